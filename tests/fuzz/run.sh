#!/bin/sh
# Fuzzes for a time, keeps what was found, and says what it amounts to.
#
#     tests/fuzz/run.sh [SECONDS] [TARGET...]     each target for 60 s, or so many; all of them, or these
#     tests/fuzz/run.sh --coverage [TARGET...]    what the kept inputs alone cover of http, relay, origin and token
#     tests/fuzz/run.sh --coverage --unit         the same, and beside it what they and the unit tests cover together
#
# New inputs go to tests/fuzz/TARGET.corpus: those that reach something new, up to 4 KiB each and about 300 in all. A finding ends its target;
# its input lies in build/fuzz/findings/ and belongs, with its fix, in tests/fuzz/regression/TARGET/. Exit status 1: there was one.
# Rows are Markdown. NICE=0 runs it at normal priority.
set -eu
cd "$(dirname "$0")/../.."
MOST_FILES=300
MOST_BYTES=4096
nice="nice -n ${NICE:-10}"

targets_of() { # every target, unless some are named
    [ $# -gt 0 ] && { echo "$*"; return; }
    for file in tests/fuzz/*_fuzz.c; do
        basename "$file" _fuzz.c
    done
}

dictionary_of() {
    case $1 in http_* | rewrite | proxy) echo "-dict=tests/fuzz/http.dict" ;; esac
}

# The inputs that reach something new join those that are kept. Named ones are people's and stay.
keep() {
    target=$1 found=$2 corpus=tests/fuzz/$1.corpus
    $nice "build/fuzz/fuzz/fuzz_$target" -merge=1 -max_len=$MOST_BYTES "$corpus" "$found" >"$found.merge" 2>&1 ||
        { echo "$target: the inputs could not be merged, see $found.merge" >&2; return; }
    ls -S "$corpus" | grep -E '^[0-9a-f]{40}$' >"$found.list" || true
    surplus=$(($(ls "$corpus" | wc -l) - MOST_FILES))
    [ $surplus -le 0 ] || head -n $surplus "$found.list" | while read -r name; do rm "$corpus/$name"; done
}

run() {
    target=$1 seconds=$2
    found=build/fuzz/found/$target findings=build/fuzz/findings/$target log=build/fuzz/found/$target.log
    mkdir -p "$found" "$findings"
    # shellcheck disable=SC2046 # no dictionary is no word
    $nice "build/fuzz/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=$MOST_BYTES -timeout=60 -rss_limit_mb=3072 \
        -print_final_stats=1 -artifact_prefix="$findings/" $(dictionary_of "$target") \
        "$found" "tests/fuzz/$target.corpus" >"$log" 2>&1 && failed=0 || failed=1
    python3 - "$target" "$seconds" "$failed" "$log" <<'PY'
import re, sys
target, seconds, failed, log = sys.argv[1:]
text = open(log, errors="replace").read()
stat = lambda name: int((re.findall(rf"stat::{name}:\s*(\d+)", text) or ["0"])[-1])
edges = (re.findall(r"cov: (\d+)", text) or ["0"])[-1]
took = (re.findall(r"Done \d+ runs in (\d+) second", text) or [seconds])[-1]
runs = stat("number_of_executed_units")
print(f"| {target} | {took} | {runs:,} | {runs // max(int(took), 1):,} | {edges} | {failed} |", flush=True)
PY
    [ $failed -eq 0 ] || { echo "$target: a finding, see $findings and $log" >&2; bad=1; }
    keep "$target" "$found"
}

fuzz() {
    seconds=60
    case ${1:-} in [0-9]*) seconds=$1; shift ;; esac
    targets=$(targets_of "$@")
    [ -d build/fuzz ] || cmake --preset fuzz >/dev/null
    # shellcheck disable=SC2046,SC2086
    $nice cmake --build build/fuzz --target $(printf 'fuzz_%s ' $targets) >/dev/null
    echo "| target | seconds | executions | a second | edges | findings |"
    echo "|---|---|---|---|---|---|"
    bad=0
    for target in $targets; do
        run "$target" "$seconds"
    done
    return $bad
}

# Line coverage of the rooms, from the profiles in the folder.
report() {
    title=$1 profiles=$2
    llvm-profdata merge -sparse -o "$profiles/all.profdata" "$profiles"/*.profraw
    objects=
    for program in build/coverage/fuzz/fuzz_* build/coverage/unit/*; do
        [ -x "$program" ] && [ -f "$program" ] && objects="$objects -object $program"
    done
    # shellcheck disable=SC2086
    llvm-cov export -summary-only -instr-profile="$profiles/all.profdata" $objects >"$profiles/summary.json" 2>/dev/null
    python3 - "$title" "$profiles/summary.json" <<'PY'
import json, re, sys
title, path = sys.argv[1:]
rooms = {}
for file in json.load(open(path))["data"][0]["files"]:
    match = re.search(r"proxy/(http|relay|origin|token)/([a-z_]+\.[ch])$", file["filename"])
    if match and "tests/" not in file["filename"]:
        room = rooms.setdefault(match.group(1), [0, 0])
        room[0] += file["summary"]["lines"]["covered"]
        room[1] += file["summary"]["lines"]["count"]
for room, (covered, count) in sorted(rooms.items()):
    print(f"| {room} | {title} | {covered:,} of {count:,} | {100 * covered / count:.1f} % |")
PY
}

coverage() {
    with_unit=0
    [ "${1:-}" != --unit ] || { with_unit=1; shift; }
    targets=$(targets_of "$@")
    cmake -S . -B build/coverage -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DQPROXY_TESTS=ON \
        -DQPROXY_DEBUG=ON -DQPROXY_FAULTS=ON -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping" >/dev/null
    if [ $with_unit -eq 1 ]; then
        $nice cmake --build build/coverage >/dev/null
    else
        rm -rf build/coverage/unit
        # shellcheck disable=SC2046,SC2086
        $nice cmake --build build/coverage --target $(printf 'fuzz_%s ' $targets) >/dev/null
    fi
    rm -rf build/coverage/profiles
    mkdir -p build/coverage/profiles
    for target in $targets; do
        LLVM_PROFILE_FILE="$PWD/build/coverage/profiles/fuzz_$target.profraw" "build/coverage/fuzz/fuzz_$target" \
            "tests/fuzz/$target.corpus" "tests/fuzz/regression/$target" >/dev/null 2>&1 ||
            echo "$target: its replay failed" >&2
    done
    echo "| room | by | lines | |"
    echo "|---|---|---|---|"
    report "fuzzing" build/coverage/profiles
    [ $with_unit -eq 1 ] || return 0
    LLVM_PROFILE_FILE="$PWD/build/coverage/profiles/unit_%p_%m.profraw" \
        ctest --test-dir build/coverage -L unit -R '^(http|relay|origin|token)\.' >build/coverage/unit.log 2>&1 ||
        echo "some unit tests failed, see build/coverage/unit.log" >&2
    report "fuzzing and unit tests" build/coverage/profiles
}

if [ "${1:-}" = --coverage ]; then
    shift
    coverage "$@"
else
    fuzz "$@"
fi
