#!/usr/bin/env python3
"""Sends every case of this folder to qproxy, nginx and HAProxy, and writes what each made of it as a Markdown table:

    python3 tests/hostile/compare.py --build build/release >tests/hostile/RESULTS.md

All three stand in front of the same scripted origin, over TLS that they verify, with plain configurations and default checks. What is not
installed is named and left out (Debian: apt-get install nginx haproxy). Servers listen on 127.0.0.1 only.
"""

import argparse
import collections
import concurrent.futures
import getpass
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import request_cases  # noqa: E402, F401
import response_cases  # noqa: E402, F401
import rig  # noqa: E402
from cases import REQUEST_CASES, RESPONSE_CASES  # noqa: E402

import harness  # noqa: E402 (the path to it comes with rig)
import rawclient  # noqa: E402

QUIET_SECONDS = 1.0  # silence after which nothing more is expected
REFUSED, SAFE, AMBIGUOUS, WRONG = "refused rightly", "forwarded safely", "forwarded something ambiguous", "wrong"
VERDICTS = (REFUSED, SAFE, AMBIGUOUS, WRONG)

NGINX = """
%(user)s
daemon off;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.log;
worker_processes 1;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    upstream origin { server 127.0.0.1:%(origin_port)d; keepalive 16; }
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass https://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host %(authority)s;
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_trusted_certificate %(ca)s;
        }
    }
}
"""

HAPROXY = """
global
    maxconn 512
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend clients
    bind 127.0.0.1:%(port)d
    default_backend origin
backend origin
    http-request set-header Host %(authority)s
    server origin 127.0.0.1:%(origin_port)d ssl verify required ca-file %(ca)s sni str(localhost) verifyhost localhost
"""

Proxy = collections.namedtuple("Proxy", "name version origin connect")


def connector(address):
    return lambda: rawclient.RawClient(address)


def start_other(env, name, template, command, version_flag, version_pattern):
    """nginx or HAProxy; None if it is not installed."""
    program = shutil.which(name) or shutil.which("/usr/sbin/" + name)
    if not program:
        print("%s is not installed, and left out (Debian: apt-get install %s)" % (name, name), file=sys.stderr)
        return None
    said = subprocess.run([program, version_flag], capture_output=True, text=True)
    version = re.search(version_pattern, said.stdout + said.stderr).group(1)
    origin = rig.start_origin(env)
    port = harness.free_port()
    config = env.write(name + ".conf", template % {
        "user": "user %s;" % getpass.getuser() if os.geteuid() == 0 else "", "folder": env.folder, "port": port,
        "origin_port": origin.port, "authority": origin.authority, "ca": env.places.cert("ca.pem")})
    with open(env.path(name + ".out"), "wb") as out:
        process = subprocess.Popen([program] + [part % {"config": config} for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    env.on_end(process.wait)
    env.on_end(process.terminate)
    for _ in range(100):
        try:
            rawclient.RawClient(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    return Proxy(name, version, origin, connector(("127.0.0.1", port)))


def start_all(env):
    origin, proxy = rig.start_qproxy(env)
    version = subprocess.run([env.places.qproxy, "--version"], capture_output=True, text=True).stdout.split()[-1]
    others = [start_other(env, "nginx", NGINX, ["-e", env.path("nginx.log"), "-c", "%(config)s"], "-v", r"nginx/(\S+)"),
              start_other(env, "haproxy", HAPROXY, ["-db", "-f", "%(config)s"], "-v", r"version (\d+\.\d+\.\d+)")]
    return [Proxy("qproxy", version, origin, connector(proxy.address))] + [other for other in others if other]


# ---- judging ----

def said(statuses, closed):
    return "%s, %s" % (" ".join(str(status) for status in statuses) or "no answer", "closed" if closed else "open")


def reached(outcome):
    if outcome.doubt_at_origin:
        return "ambiguous at the origin: " + outcome.doubt_at_origin
    if not outcome.whole:
        return "a cut request" if outcome.rest else "nothing forwarded"
    return "%d request%s" % (len(outcome.whole), "s" if len(outcome.whole) > 1 else "") + (", one more cut" if outcome.rest else "")


def judge_request(case, outcome, taken):
    """(verdict, why)"""
    found = sorted(rig.found_at_origin(outcome.whole))  # pipelined requests may come over several connections
    before, reads = sorted(case.before), sorted(case.reads)
    leaked = [text.decode() for text in case.lacks if text in taken.lower()]
    is_refused = found == before
    if outcome.doubt_at_origin:
        return AMBIGUOUS, None
    if is_refused and case.must == "forward":
        return WRONG, "refused"
    if is_refused and outcome.answers and outcome.answers[-1] < 400:
        return (WRONG, "not refused") if len(outcome.answers) > len(before) or not outcome.closed else (REFUSED, None)
    if is_refused and not outcome.closed and not outcome.raw:
        return WRONG, "no answer and no end"
    if is_refused:
        return REFUSED, None
    if case.must == "refuse" and found[len(before):] and outcome.doubt is None:
        return WRONG, "let through"
    if outcome.doubt:
        return WRONG, "let through, and the answer cannot be read" if case.must == "refuse" else "the answer cannot be read"
    if leaked:
        return WRONG, "passes on " + ", ".join(leaked)
    if found != sorted(before + reads):
        return AMBIGUOUS, "another reading: " + ", ".join("%s %s + %d" % (method, target[:30], len(body)) for method, target, body in found)
    return SAFE, None


def judge_response(case, outcome, probe):
    """(verdict, why)"""
    statuses = [answer.status for answer in outcome.answers]
    sent = re.match(rb"HTTP/1\.. ([2-9][0-9][0-9])[ \r]", case.data)
    expected = int(sent.group(1)) if sent else 200
    if outcome.doubt:
        return AMBIGUOUS, outcome.doubt
    if not probe:
        return WRONG, "the next request does not get its own answer"
    if not statuses:
        if not outcome.closed:
            return WRONG, "no end"
        return (REFUSED, None) if case.must != "forward" else (WRONG, "cut")
    if statuses == [expected] and outcome.answers[0].body == case.body:
        return (SAFE, None) if case.must != "refuse" else (WRONG, "taken for good and whole")
    if statuses[0] in (500, 502, 503, 504):
        return (REFUSED, None) if case.must != "forward" else (WRONG, "refused")
    if case.must == "refuse":
        return WRONG, "taken for good: %r" % outcome.answers[0].body[:20]
    return AMBIGUOUS, "%d with another body: %r" % (statuses[0], outcome.answers[0].body[:20])


def run_requests(proxy, case):
    mark = proxy.origin.mark()
    outcome = rig.run_request(proxy.connect, proxy.origin, case, QUIET_SECONDS)
    verdict, why = judge_request(case, outcome, b"".join(proxy.origin.since(mark)))
    return verdict, cell(verdict, why, "%s; %s" % (said(outcome.answers, outcome.closed), reached(outcome)))


def run_responses(proxy, case):
    outcome, probe, _ = rig.run_response(proxy.connect, proxy.origin, case, QUIET_SECONDS)
    verdict, why = judge_response(case, outcome, probe)
    statuses = [answer.status for answer in outcome.answers]
    text = said(statuses, outcome.closed) if statuses or not outcome.raw else "unclear" if outcome.doubt else "cut"
    return verdict, cell(verdict, why, text)


def cell(verdict, why, text):
    if verdict == AMBIGUOUS:
        text = "**AMBIGUOUS** " + text
    elif verdict == WRONG:
        text = "**WRONG** " + text
    text = re.sub(r"localhost:[0-9]+", "localhost:PORT", text + (": " + why if why else ""))
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("|", "\\|").replace("<", "&lt;")


# ---- writing ----

def run_all(proxy, requests, responses):
    """(what became of each request, of each answer), as (verdict, cell)"""
    return [run_requests(proxy, case) for case in requests], [run_responses(proxy, case) for case in responses]


def table(title, proxies, cases, results):
    counts = {proxy.name: collections.Counter(verdict for verdict, _ in column) for proxy, column in zip(proxies, results)}
    lines = ["## %s" % title, "", "| case | RFC | may | %s |" % " | ".join("%s %s" % (proxy.name, proxy.version) for proxy in proxies),
             "|---|---|---|" + "---|" * len(proxies)]
    for number, case in enumerate(cases):
        cells = [column[number][1] for column in results]
        lines.append("| %s | %s | %s | %s |" % (case.name.replace("|", "\\|"), case.rfc, case.must, " | ".join(cells)))
    return counts, "\n".join(lines)


def summary(title, counts):
    lines = ["| %s | %s |" % (title, " | ".join(VERDICTS)), "|---|" + "---|" * len(VERDICTS)]
    return "\n".join(lines + ["| %s | %s |" % (name, " | ".join(str(count[verdict]) for verdict in VERDICTS)) for name, count in counts.items()])


INTRODUCTION = """# Hostile messages, side by side

Made by `%s` with %s. Each case is one row of `request_cases.py` or `response_cases.py`, sent byte for byte to each proxy on a connection
of its own. All three stand in front of the same scripted origin, over verified TLS, with keep-alive on both sides, HTTP/1.1 to the
origin, default checks and default limits (`compare.py` holds the two configurations). The origin answers whatever it can read.

`may` is what the RFC lets a proxy do: *refuse* (an error, or any forwarding would choose one of several readings), *either* (refuse, or
repair and forward), *forward* (the message is good, however odd). A cell says the statuses that the client got, whether the proxy closed the
connection, and what reached the origin as a strict reader finds it (`strict.py`, which refuses whatever two readers could understand
differently). For answers it says what the client got; "cut" is an answer that visibly is not whole. Behind each answer a second request had to get
its own answer.

- *refused rightly*: an error or a visible cut; no whole request of the doubtful bytes at the origin
- *forwarded safely*: one reading, and the right one
- *forwarded something ambiguous*: what came out can be read in more than one way, or not as what was sent
- *wrong*: let through what must be refused, refused what is good, no answer and no end, or a cut that nobody sees

The list was written for qproxy, so that it does well here is no surprise: its end-to-end tests demand it (`tests/e2e/12_hostile.py`,
with every request also cut in two). The other two columns are for comparison; they are general proxies, and some of what counts as
wrong here is a documented choice of theirs.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="the folder of qproxy")
    parser.add_argument("--only", default="", help="a regular expression on the names of cases")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qproxy-hostile-") as folder:
        certs = os.path.join(folder, "certs")
        subprocess.run(["sh", os.path.join(HERE, "..", "lib", "make_certs.sh"), certs], check=True, capture_output=True)
        env = harness.Env(harness.Places(arguments.build, certs), folder)
        try:
            proxies = start_all(env)
            requests = [case for case in REQUEST_CASES if re.search(arguments.only, case.name)]
            responses = [case for case in RESPONSE_CASES if re.search(arguments.only, case.name)]
            with concurrent.futures.ThreadPoolExecutor(len(proxies)) as pool:
                results = list(pool.map(lambda proxy: run_all(proxy, requests, responses), proxies))
        finally:
            faults = env.finish(True)
    request_counts, request_table = table("Requests", proxies, requests, [result[0] for result in results])
    response_counts, response_table = table("Answers", proxies, responses, [result[1] for result in results])
    command = "python3 tests/hostile/compare.py --build " + os.path.relpath(arguments.build)
    print(INTRODUCTION % (command, ", ".join("%s %s" % (proxy.name, proxy.version) for proxy in proxies)))
    print(summary("%d requests" % len(requests), request_counts), end="\n\n")
    print(summary("%d answers" % len(responses), response_counts), end="\n\n")
    print(request_table, end="\n\n")
    print(response_table)
    for fault in faults:
        print("fault: " + fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
