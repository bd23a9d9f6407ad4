#!/bin/sh
# qproxy at work, in under a minute: a Qualtrics stand-in on a free loopback port, qproxy in front of it, and plain curl.
#
#     sh conf/demo.sh           shows six things, ends with 0 if all of them held, else with 1
#     sh conf/demo.sh --keep    the same, then leaves both running and prints what to try
set -u
umask 077
cd "$(dirname "$0")/.." || exit 1

keep=
case ${1:-} in
'') ;;
--keep) keep=yes ;;
*)
    sed -n 's/^# \{0,1\}//; 2,5p' "$0" >&2
    exit 64
    ;;
esac

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') green=$(printf '\033[32m') red=$(printf '\033[31m')
    plain=$(printf '\033[0m')
else
    bold='' dim='' green='' red='' plain=''
fi

failures=0
origin_pid='' proxy_pid='' dir=''

say() { printf '%s\n' "$*"; }
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
command_line() { printf '%s  $ %s%s\n' "$dim" "$*" "$plain"; }
shown() { printf '    %s\n' "$*"; }
ok() { printf '  %sok%s      %s\n' "$green" "$plain" "$*"; }
failed() {
    printf '  %sFAILED%s  %s\n' "$red" "$plain" "$*"
    failures=$((failures + 1))
}
# verdict <what it came to> <what is wanted> <in words>
verdict() {
    if [ "$1" = "$2" ]; then ok "$3"; else failed "$3 (got '$1', wanted '$2')"; fi
}
give_up() {
    failed "$1"
    [ -z "${2:-}" ] || [ ! -s "$2" ] || tail -n 20 "$2"
    exit 1
}

# Only what was started here is ended, by its number.
clean_up() {
    code=$?
    trap - EXIT INT TERM
    for pid in $proxy_pid $origin_pid; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    [ -z "$dir" ] || rm -rf "$dir"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fetch() { curl -q -sS --noproxy '*' --max-time 30 "$@"; }

# number <name>: a number in the stand-in's counters, the first with that name
number() { fetch "$control/counters?echoes=0" | tr '{,}' '[\n*]' | sed -n "s/^\"$1\"://p" | head -n 1; }
# Token calls that gave a token.
token_calls() { fetch "$control/counters?echoes=0" | sed -n 's/.*"token_calls":{"total":\([0-9]*\).*/\1/p'; }
# text <member>: a text member of the JSON on standard input
text() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# wait_for <process> <file> <pattern> <what>
wait_for() {
    tries=0
    until grep -q "$3" "$2" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$1" 2>/dev/null; then
            give_up "$4 does not start" "${2%.out}.err"
        fi
        sleep 0.1
    done
}

# ---- tools, build, certificates ----

. third_party/prerequisites.sh
qp_build_prerequisites "curl:curl" "openssl:openssl" "sha256sum:coreutils"

dir=$(mktemp -d "${TMPDIR:-/tmp}/qproxy-demo.XXXXXX") || exit 1
step 'Building qproxy and the stand-in (the first time takes a few minutes, later on nothing)'
if ! { [ -f build/release/build.ninja ] || cmake --preset release; } >"$dir/build.log" 2>&1 ||
    ! cmake --build build/release --target qproxy qproxy-standin >>"$dir/build.log" 2>&1; then
    give_up 'The build failed:' "$dir/build.log"
fi
ok 'build/release/qproxy, build/release/qproxy-standin'
sh tests/lib/make_certs.sh "$dir/certs" >"$dir/certs.log" 2>&1 || give_up 'No certificates:' "$dir/certs.log"

# ---- both processes ----

step 'Starting a Qualtrics stand-in (TLS) and qproxy in front of it'
secret=demo-secret-$$
printf '%s' "$secret" >"$dir/client_secret"
build/release/qproxy-standin --cert "$dir/certs/localhost.pem" --key "$dir/certs/localhost.key" \
    --client-id demo-client --client-secret "$secret" </dev/null >"$dir/origin.out" 2>"$dir/origin.err" &
origin_pid=$!
wait_for "$origin_pid" "$dir/origin.out" '^control ' 'The stand-in'
# By its address: a bare container has no /etc/hosts, and so no localhost.
origin=$(sed -n 's/^origin //p' "$dir/origin.out" | sed 's/localhost/127.0.0.1/')
control=$(sed -n 's/^control //p' "$dir/origin.out")

build/release/qproxy key new "$dir/vault.key" >"$dir/key.log" 2>&1 || give_up 'No key:' "$dir/key.log"

# configure <address of the API> <address of the status page>
configure() {
    cat >"$dir/qproxy.json" <<CONFIG
{
    "listen": "$1",
    "admin": {"listen": ["unix:$dir/admin.sock", "$2"]},
    "vault": {"path": "$dir/vault", "key": "file:$dir/vault.key"},
    "accounts": [
        {
            "name": "demo",
            "origin": "$origin",
            "ca_file": "$dir/certs/ca.pem",
            "grant": "client_credentials",
            "client_id": "demo-client",
            "client_secret": "file:$dir/client_secret"
        },
        {
            "name": "person",
            "path_prefix": "/person",
            "origin": "$origin",
            "ca_file": "$dir/certs/ca.pem",
            "grant": "authorization_code",
            "client_id": "demo-client",
            "client_secret": "file:$dir/client_secret"
        }
    ]
}
CONFIG
}
start_proxy() {
    : >"$dir/proxy.out"
    build/release/qproxy run -c "$dir/qproxy.json" </dev/null >"$dir/proxy.out" 2>>"$dir/proxy.err" &
    proxy_pid=$!
    wait_for "$proxy_pid" "$dir/proxy.out" '^admin on 127' 'qproxy'
}
configure 127.0.0.1:0 127.0.0.1:0
start_proxy
listen=$(sed -n 's/^listening on //p' "$dir/proxy.out" | grep '^127' | head -n 1)
admin=$(sed -n 's/^admin on //p' "$dir/proxy.out" | grep '^127' | head -n 1)
configure "$listen" "$admin" # it comes back at the same addresses
base=http://$listen/API/v3
shown "stand-in   $origin"
shown "qproxy     http://$listen, its status page http://$admin/"
answer=$(fetch "$origin/API/v3/whoami" --cacert "$dir/certs/ca.pem")
case $answer in
*ATP_2*) ok 'without qproxy the stand-in refuses a request that has no token (ATP_2)' ;;
*) failed "the stand-in should have refused: $answer" ;;
esac

# ---- 1, 2: plain requests ----

# whoami <in words> <curl options...>
whoami() {
    words=$1
    shift
    answer=$(fetch -w '\n%{http_code}' "$@" "$base/whoami")
    code=${answer##*
}
    shown "$(printf '%s' "$answer" | head -n 1 | cut -c 1-150)..."
    verdict "$code $(printf '%s' "$answer" | text userName)" '200 service@standin#standin' "$words"
}

step '1. A plain request, without any login'
command_line "curl $base/whoami"
whoami 'answered 200; qproxy fetched a token and attached it'

step '2. The same with a junk X-API-TOKEN, as many clients insist on sending one'
command_line "curl -H 'X-API-TOKEN: junk' $base/whoami"
whoami 'answered 200; the junk was dropped' -H 'X-API-TOKEN: junk'
verdict "$(number two_credentials)" 0 'no request reached the stand-in with two credentials'

# ---- 3: all tokens revoked ----

step '3. All tokens are revoked at the stand-in, then 200 requests come at once'
calls=$(token_calls)
rejected=$(number rejected_401)
fetch -o /dev/null -d '{"token_delay_ms": 300}' "$control/knobs" # so that all of them meet the dead token
fetch -o /dev/null -X POST "$control/revoke-all"
i=0
while [ "$i" -lt 200 ]; do
    printf 'url = "%s/whoami?n=%d"\noutput = "/dev/null"\n' "$base" "$i"
    i=$((i + 1))
done >"$dir/requests"
command_line "curl -X POST $control/revoke-all"
command_line "curl --parallel --parallel-immediate --parallel-max 200 '$base/whoami?n=[0-199]'"
fetch --parallel --parallel-immediate --parallel-max 200 -w '%{http_code}\n' -K "$dir/requests" >"$dir/codes" 2>"$dir/curl.err"
fetch -o /dev/null -d '{"token_delay_ms": 0}' "$control/knobs"
shown "$(sort "$dir/codes" | uniq -c | sed 's/^ *\([0-9]*\) \(.*\)/\1 answers \2/' | tr '\n' ';')" \
    "$(($(number rejected_401) - rejected)) times the stand-in said 401, and no client saw it"
verdict "$(grep -c '^200$' "$dir/codes")" 200 'all 200 requests were answered 200'
verdict "$(($(token_calls) - calls))" 1 'exactly one token call was made for all of them'

# ---- 4: paging ----

step '4. Paging through the surveys, following nextPage word for word'
url=$base/surveys
pages=0
: >"$dir/ids"
while [ -n "$url" ] && [ "$pages" -lt 10 ]; do
    command_line "curl '$url'"
    case $url in "$base"/*) ;; *)
        failed "nextPage leads past qproxy: $url"
        break
        ;;
    esac
    fetch "$url" >"$dir/page"
    tr ',' '\n' <"$dir/page" | sed -n 's/.*"id":"\(SV_[0-9]*\)".*/\1/p' >>"$dir/ids"
    url=$(text nextPage <"$dir/page")
    pages=$((pages + 1))
done
verdict "$pages pages, $(sort -u "$dir/ids" | wc -l | tr -d ' ') surveys" '3 pages, 250 surveys' \
    'three pages with 250 surveys; each link led back to qproxy'

# ---- 5: an export ----

step '5. A response export: started, polled, downloaded'
fetch -o /dev/null -d '{"export_bytes": 20000000}' "$control/knobs"
exports=$base/surveys/SV_000000000000001/export-responses
command_line "curl -H 'Content-Type: application/json' -d '{\"format\":\"csv\"}' $exports"
progress=$(fetch -H 'Content-Type: application/json' -d '{"format":"csv"}' "$exports" | text progressId)
shown "progressId $progress"
command_line "curl $exports/$progress"
file='' polls=0
while [ -z "$file" ] && [ "$polls" -lt 20 ]; do
    sleep 0.1
    answer=$(fetch "$exports/$progress")
    file=$(printf '%s' "$answer" | text fileId)
    shown "$(printf '%s' "$answer" | sed -n 's/.*"result":\({[^}]*}\).*/\1/p')"
    polls=$((polls + 1))
done
command_line "curl -o export.zip $exports/$file/file"
fetch -D "$dir/head" -o "$dir/export.zip" "$exports/$file/file"
wanted=$(tr -d '\r' <"$dir/head" | sed -n 's/^[Xx]-[Cc]ontent-[Ss]ha256: //p')
got=$(sha256sum "$dir/export.zip" | cut -d ' ' -f 1)
shown "$(wc -c <"$dir/export.zip" | tr -d ' ') bytes, sha256 $got"
verdict "$got" "${wanted:-no hash from the stand-in}" 'the file is byte for byte what the stand-in sent'

# ---- 6: a sign-in that survives ----

step '6. A person signs in once; then kill -9'
fetch -o /dev/null -d '{"auto_consent": true}' "$control/knobs" # the stand-in's pages press their own buttons
command_line 'qproxy login person'
build/release/qproxy login person --no-browser -c "$dir/qproxy.json" </dev/null >"$dir/login.out" 2>&1 &
login_pid=$!
wait_for "$login_pid" "$dir/login.out" 'https://' 'qproxy login'
address=$(sed -n 's/.*\(https:[^ ]*\).*/\1/p' "$dir/login.out" | head -n 1)
shown "$(printf '%s' "$address" | cut -c 1-100)..."
fetch -o /dev/null -L --cacert "$dir/certs/ca.pem" "$address" # the browser, on its way to the stand-in and back
wait "$login_pid"
verdict $? 0 'signed in'
code=$(fetch -o /dev/null -w '%{http_code}' "http://$listen/person/API/v3/whoami")
verdict "$code" 200 "the person's account is served"
calls=$(token_calls)
command_line "kill -9 $proxy_pid; qproxy run"
kill -9 "$proxy_pid"
wait "$proxy_pid" 2>/dev/null
start_proxy
code=$(fetch -o /dev/null -w '%{http_code}' "http://$listen/person/API/v3/whoami")
verdict "$code" 200 'served again after kill -9 and a restart'
verdict "$(($(token_calls) - calls))" 0 'without a token call, and without a sign-in'

# ---- the end ----

say
if [ "$failures" -eq 0 ]; then
    say "${green}All of it held.${plain}"
else
    say "${red}$failures of the checks failed.${plain} The log of qproxy ends with:"
    tail -n 20 "$dir/proxy.err"
fi
if [ -n "$keep" ]; then
    trap - EXIT INT TERM
    cat <<TRY

Both are still running. Try:

    curl $base/whoami
    curl '$base/surveys?offset=100'
    curl -d 'any body' $base/_echo
        shows what the origin received
    curl -X POST $control/revoke-all
        kills all tokens; then ask again
    curl -d '{"always_401": true}' $control/knobs
        accepts none any more; {"always_401": false} ends it
    curl $control/counters
        shows what the stand-in has seen
    http://$admin/
        is the status page; sign 'person' in and out there
    build/release/qproxy status -c $dir/qproxy.json
        is the same in a terminal
    tail -f $dir/proxy.err
        is the log of qproxy

Stop them:

    kill $proxy_pid $origin_pid; rm -r $dir

TRY
fi
[ "$failures" -eq 0 ]
