#!/bin/sh
# All tests, from a fresh checkout on: what is missing is installed (as root) or named; ends with "N passed, N failed".
#
#     sh tests/run.sh [--quick] [--stage dev|asan|tsan|release]...
#
#     dev      gcc, contracts on: the lint checks and the unit tests
#     asan     clang, AddressSanitizer and UBSan: unit tests, fuzz corpora, the whole end-to-end suite
#     tsan     clang, ThreadSanitizer: the rooms with threads, and the end-to-end tests of threads
#     release  the binary that is installed: the end-to-end smoke tests
#     --quick  dev, and the smoke tests under asan
set -u
cd "$(dirname "$0")/.." || exit 1

stages= quick=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 stages="dev asan" ;;
    --stage)
        shift
        case ${1:-} in
        dev | asan | tsan | release) stages="$stages $1" ;;
        *) echo "tests/run.sh: the stages are dev, asan, tsan and release" >&2; exit 64 ;;
        esac
        ;;
    *) sed -n 's/^# \{0,1\}//; 2,11p' "$0" >&2; exit 64 ;;
    esac
    shift
done
stages=${stages:-dev asan tsan release}

. third_party/prerequisites.sh
qp_test_prerequisites
qp_browser_prerequisites

jobs=$(nproc)
at_once=$((jobs + 1)) # many a test waits rather than works
logs=build/run
passed=0 failed=0
troubles= # the logs to show at the end
rm -rf "$logs"
mkdir -p "$logs"
# Some kernels spread addresses wider than clang 14's sanitizers expect; where it is allowed, ask for the plain layout.
plain=
setarch "$(uname -m)" -R true 2>/dev/null && plain="setarch $(uname -m) -R"

count() { # count <passed> <failed> <log>
    passed=$((passed + $1))
    failed=$((failed + $2))
    [ "$2" -eq 0 ] || troubles="$troubles $3"
}

begin() { # begin <what>: the seconds are counted from here
    printf '== %s\n' "$1"
    began=$(date +%s)
}

end() { # end <what it came to>
    printf '   %s, %s s\n' "$1" $(($(date +%s) - began))
}

# A build is no test: it is counted only when it fails.
build() { # build <preset>
    begin "build $1"
    if { cmake --preset "$1" && cmake --build "build/$1" -j "$jobs"; } >"$logs/build-$1.log" 2>&1; then
        end built
    else
        count 0 1 "$logs/build-$1.log"
        end FAILED
        return 1
    fi
}

units() { # units <preset> [ctest's selection...]
    preset=$1
    shift
    begin "ctest $preset $*"
    log=$logs/ctest-$preset.log junit=$PWD/$logs/ctest-$preset.xml
    $plain ctest --test-dir "build/$preset" -j "$at_once" --output-on-failure --output-junit "$junit" "$@" >"$log" 2>&1
    status=$?
    all=$(grep -c '<testcase ' "$junit" 2>/dev/null)
    good=$(grep -c '<testcase .*status="run"' "$junit" 2>/dev/null)
    bad=$((${all:-0} - ${good:-0}))
    [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    grep -v -E '^ *[0-9]+/[0-9]+ Test .* Passed|^ *Start ' "$log" >"$log.short"
    count "${good:-0}" "$bad" "$log.short"
    end "${good:-0} passed, $bad failed"
}

e2e() { # e2e <preset> [run.py's options...]
    preset=$1
    shift
    begin "end-to-end tests $preset $*"
    log=$logs/e2e-$preset.log
    {
        PYTHONUNBUFFERED=1 $plain python3 tests/e2e/run.py --build "build/$preset" --jobs "$at_once" "$@" 2>&1
        echo $? >"$logs/status"
    } | tee "$log" | grep --line-buffered -v -E '^[0-9]+ passed, [0-9]+ failed'
    status=$(cat "$logs/status")
    good=$(sed -n '$s/^\([0-9]*\) passed, [0-9]* failed.*$/\1/p' "$log")
    bad=$(sed -n '$s/^[0-9]* passed, \([0-9]*\) failed.*$/\1/p' "$log")
    if [ "$status" -ne 0 ] && [ "${bad:-0}" -eq 0 ] || [ -z "$good" ]; then
        bad=$((${bad:-0} + 1)) # it broke off, or did not say what it came to
    fi
    count "${good:-0}" "$bad" "$log"
    end "${good:-0} passed, $bad failed"
}

start=$(date +%s)
for stage in $stages; do
    case $stage$quick in
    dev | dev1) build dev && units dev ;;
    asan) build asan && units asan && e2e asan ;;
    asan1) build asan && e2e asan --only smoke ;;
    tsan) build tsan && units tsan -L threads --no-tests=ignore && e2e tsan --only threads ;;
    release) build release && e2e release --only smoke ;;
    esac
done

for log in $troubles; do
    printf '\n======== %s\n' "$log"
    tail -n 400 "$log" | grep -v -E '^[0-9]+ passed, [0-9]+ failed'
done
printf '\nIn %s s:\n' $(($(date +%s) - start))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
