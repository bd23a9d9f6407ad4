"""The admin listener: health, readiness, status, metrics, the page; only for this machine, and only read (P1, P8, hard requirement 29)."""

import json
import os
import re
import socket
import threading
import time

from admin_client import ANY_PORT, address_of, ask
from harness import SLOWNESS, check_own_error, eventually, free_port, leaks, test
from scripted_origin import answering

EX_UNAVAILABLE, EX_CONFIG = 69, 78
PAGES = ("/", "/healthz", "/readyz", "/api/status", "/metrics")


def status_of(env, proxy):
    return json.loads(ask(env, proxy, "/api/status").body)


def metrics_of(env, proxy):
    """{"name{labels}": number}"""
    lines = ask(env, proxy, "/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


# ---- health ----

@test("P8", smoke=True)
def health_status_metrics_and_the_page_are_there(env):
    proxy = env.proxy(env.origin(), admin=ANY_PORT)
    assert proxy.exchange().status == 200
    assert address_of(proxy) and re.fullmatch(rb"listening on \S+\nadmin on \S+\n", bytes(proxy.stdout)), proxy.stdout
    types = {"/": b"text/html; charset=utf-8", "/healthz": b"text/plain; charset=utf-8", "/readyz": b"application/json", "/api/status": b"application/json",
             "/metrics": b"text/plain; version=0.0.4; charset=utf-8"}
    for page in PAGES:
        with env.part(page):
            answer = ask(env, proxy, page)
            assert answer.status == 200 and answer.get("Content-Type") == types[page] and answer.body
            assert answer.get("Cache-Control") == b"no-store" and answer.get("X-Content-Type-Options") == b"nosniff"
            policy = answer.get("Content-Security-Policy")
            assert policy.startswith(b"default-src 'none';") and b"frame-ancestors 'none'" in policy and b"unsafe" not in policy
            head = ask(env, proxy, page, "HEAD")
            assert head.status == 200 and head.body == b"" and head.get("Content-Type") == types[page] and int(head.get("Content-Length")) > 0
    assert ask(env, proxy, "/healthz").body == b"ok\n"
    page = ask(env, proxy, "/").body
    assert b"://" not in page.replace(b"http://www.w3.org/2000/svg", b"") and b"main" in page


@test("P8", smoke=True)
def ready_follows_the_token_endpoint(env):
    origin = env.origin()
    origin.token_script = answering(503, b'{"error":"<b>later</b>"}')
    proxy = env.proxy(origin, admin=ANY_PORT)

    def readiness():
        answer = ask(env, proxy, "/readyz")
        return answer.status, json.loads(answer.body)
    status, found = eventually(lambda: (lambda r: r[1]["accounts"][0]["state"] == "cooling-down" and r)(readiness()), what="a failed token call")
    assert status == 503 and found["ready"] is False and found["status"] == "not-ready"
    account = found["accounts"][0]
    assert account["name"] == "main" and account["ready"] is False and account["usable_token"] is False and "503" in account["reason"], account
    assert ask(env, proxy, "/healthz").status == 200, "alive, whatever the token endpoint does"
    assert metrics_of(env, proxy)["qproxy_ready"] == 0
    assert ask(env, proxy, "/readyz", "HEAD").status == 503
    origin.token_script = None
    found = eventually(lambda: (lambda r: r[0] == 200 and r[1])(readiness()), 30 * SLOWNESS, "ready again")
    assert found["ready"] is True and found["status"] == "ready" and found["accounts"][0]["state"] == "fresh"
    account = status_of(env, proxy)["accounts"][0]
    assert account["generation"] == 1 and account["last_error"] is None and account["token_call_failures"] >= 1
    assert account["token_calls"] == account["token_call_failures"] + 1 and account["expires_in_s"] > 0 and account["age_s"] >= 0


@test("P8")
def one_accounts_failure_leaves_the_rest_ready(env):
    good, bad = env.origin(), env.origin()
    bad.token_script = answering(500)
    proxy = env.proxy(accounts=[env.account(good, name="good"), env.account(bad, name="bad", path_prefix="/bad")], admin=ANY_PORT)
    eventually(lambda: json.loads(ask(env, proxy, "/readyz").body)["status"] == "degraded", what="one account is ready")
    answer = ask(env, proxy, "/readyz")
    assert answer.status == 200
    assert [(account["name"], account["ready"]) for account in json.loads(answer.body)["accounts"]] == [("good", True), ("bad", False)]
    assert ask(env, proxy, "/readyz?account=good").status == 200
    assert ask(env, proxy, "/readyz?account=bad").status == 503
    check_own_error(ask(env, proxy, "/readyz?account=ugly"), 404, "no_account")


# ---- what it says ----

def settled(env, proxy, wanted):
    """The status once the relay has counted that many requests as over."""
    def look():
        found = status_of(env, proxy)
        relay = found["relay"]
        return relay["answered"] + relay["own_replies"] + relay["cut"] + relay["client_gone"] >= wanted and found
    return eventually(look, what="%d requests counted" % wanted)


@test("P8", threads=True)
def the_counters_add_up(env):
    one, two = env.origin(), env.origin()
    proxy = env.proxy(accounts=[env.account(one, name="one"), env.account(two, name="two", path_prefix="/two")], admin=ANY_PORT, workers=3)
    asking = threading.Event()
    looks = []

    def look():
        while not asking.is_set():
            looks.append(status_of(env, proxy)["relay"]["requests"])
            ask(env, proxy, "/metrics")
    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(5):
            assert {answer.status for answer in proxy.burst(12)} == {200}
            assert {answer.status for answer in proxy.burst(6, target="/two/API/v3/whoami")} == {200}
        one.revoke_all()
        assert proxy.exchange().status == 200
    finally:
        asking.set()
        looker.join()
    assert looks == sorted(looks) and looks, "counters only grow"

    found = settled(env, proxy, 91)
    relay = found["relay"]
    assert relay["requests"] == relay["answered"] == 91 and relay["own_replies"] == 0, relay
    assert relay["attempts"] == len(one.requests) + len(two.requests) == 92 and relay["replays"] == 1, relay
    client = found["client"]
    assert client["heads"] == client["requests"] == 91 and client["refused"] == client["unfinished"] == 0, client
    assert client["connections_accepted"] == sum(client["connections_closed"].values()) + client["connections_open"] == 91, client
    for group in ("relay", "client"):
        for name, value in found[group].items():
            parts = [worker[group][name] for worker in found["workers"]]
            for label in value if isinstance(value, dict) else ():
                assert sum(part[label] for part in parts) == value[label], (name, label)
            assert isinstance(value, dict) or sum(parts) == value, name
    assert len(found["workers"]) == 3
    by_name = {account["name"]: account for account in found["accounts"]}
    assert by_name["one"]["generation"] == by_name["one"]["token_calls"] == len(one.token_calls) == 2
    assert by_name["two"]["generation"] == by_name["two"]["token_calls"] == len(two.token_calls) == 1
    for name in ("one", "two"):
        pool = by_name[name]["origin"]
        assert pool["dials"] >= pool["streams"] >= pool["idle"] >= 1 and pool["dial_failures"] == pool["waiting"] == 0, pool
        assert pool["full_handshakes"] + pool["resumed_handshakes"] == pool["dials"] and pool["failed_handshakes"] == 0, pool

    metrics = metrics_of(env, proxy)
    for name, value in relay.items():
        if not isinstance(value, dict):
            assert sum(metrics['qproxy_relay_%s_total{worker="%d"}' % (name, number)] for number in range(3)) == value
    closed = 'qproxy_client_connections_closed_total{worker="%d",reason="answered"}'
    assert sum(metrics[closed % number] for number in range(3)) == client["connections_closed"]["answered"]
    for name in ("one", "two"):
        dials = sum(metrics['qproxy_origin_dials_total{account="%s",worker="%d"}' % (name, number)] for number in range(3))
        assert dials == by_name[name]["origin"]["dials"]
    assert metrics['qproxy_token_calls_total{account="one"}'] == 2
    assert metrics['qproxy_account_state{account="one",state="fresh"}'] == 1
    page = ask(env, proxy, "/").body.decode()
    assert re.search(r">requests taken</th><td class=\"n\">91</td>", page)


@test("P1")
def no_secret_is_on_any_page(env):
    origin = env.origin()
    key = env.secret("api-token-" + env.run_id * 3)
    refresh = env.secret("refresh-token-" + env.run_id * 3)
    origin.token_script = answering(400, json.dumps({"error": "invalid_grant", "error_description": "no " + refresh}).encode())
    proxy = env.proxy(accounts=[env.account(origin, name="good"),
                                env.account(origin, name="static", grant="api_token", api_token=key, client_id=None, client_secret=None, path_prefix="/s"),
                                env.account(origin, name="ended", grant="refresh_token", refresh_token=refresh, path_prefix="/e")], admin=ANY_PORT)
    eventually(lambda: status_of(env, proxy)["accounts"][2]["state"] == "sign-in-needed", 30 * SLOWNESS, "the refresh token is refused")
    origin.token_script = None
    proxy.exchange("GET", "/s/API/v3/whoami")
    for page in PAGES + ("/nothing", "/readyz?account=" + env.client_credential("looks-like-a-secret")):
        with env.part(page):
            answer = ask(env, proxy, page, fields=[("Authorization", "Bearer " + env.client_credential("token-of-a-client"))])
            found = leaks(answer.head.raw + answer.body, env.secrets | env.log_secrets)
            assert not found, found


# ---- who may ask, and what ----

@test("P1", smoke=True)
def only_its_own_names_with_its_port_are_answered(env):
    proxy = env.proxy(env.origin(), admin=ANY_PORT)
    port = address_of(proxy)[1]
    for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        with env.part(name):
            assert ask(env, proxy, "/api/status", host="%s:%d" % (name, port)).status == 200
    for host in ("evil.example", "evil.example:%d" % port, "localhost", "localhost:%d" % (port % 65535 + 1), "localhost.:%d" % port, "127.0.0.1.evil.example:%d" % port,
                 "127.0.0.2:%d" % port, "0.0.0.0:%d" % port, proxy.authority):
        with env.part(host):
            for page in PAGES:
                answer = ask(env, proxy, page, host=host)
                check_own_error(answer, 403, "wrong_host")
                assert b"main" not in answer.body
    proxy.wait_log("admin: refused .*evil.example")
    with env.client(address_of(proxy)) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\nHost: evil.example\r\n\r\n" % port)
        assert client.response().status == 400


@test("P1", smoke=True)
def it_is_no_proxy_and_the_api_listener_is_not_it(env):
    origin = env.origin()
    proxy = env.proxy(origin, admin=ANY_PORT)
    assert proxy.exchange().status == 200
    before = len(origin.requests)
    for method, target, status in (("GET", "/API/v3/whoami", 404), ("POST", "/API/v3/surveys", 404), ("GET", origin.url + "/API/v3/whoami", 403), ("GET", origin.url + "/", 403),
                                   ("POST", "/", 405), ("DELETE", "/api/status", 405), ("OPTIONS", "/metrics", 405), ("PUT", "/healthz", 405), ("GET", "/../", 404),
                                   ("GET", "/healthz/", 404), ("GET", "/%68ealthz", 404)):
        with env.part("%s %s" % (method, target)):
            answer = ask(env, proxy, target, method, body=b"x" if method in ("POST", "PUT") else None)
            check_own_error(answer, status)
            assert (answer.get("Allow") == b"GET, HEAD") == (status == 405)
    for line in (b"CONNECT 127.0.0.1:443", b"TRACE /"):
        with env.client(address_of(proxy)) as client:
            client.send(line + b" HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % address_of(proxy)[1])
            check_own_error(client.response(), 405)
    assert len(origin.requests) == before, "nothing that the admin listener got went to the origin"

    for page in PAGES:
        with env.part("API " + page):
            for host in ("localhost", "%s:%d" % address_of(proxy)):
                answer = proxy.exchange(target=page, host=host)
                assert b"qproxy_" not in answer.body and b'"uptime_s"' not in answer.body and b"<h1>qproxy" not in answer.body
                assert origin.requests[-1].target == page, "it is the origin's to answer"


@test("P8")
def a_unix_socket_serves_too_and_is_its_users_alone(env):
    path = env.socket_path()
    proxy = env.proxy(env.origin(), admin={"listen": "unix:" + path})
    assert address_of(proxy) == path
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert ask(env, proxy, "/healthz").body == b"ok\n"
    check_own_error(ask(env, proxy, "/healthz", host="evil.example"), 403, "wrong_host")
    assert proxy.stop() == 0
    assert not os.path.exists(path)


@test("P8")
def beyond_this_machine_needs_a_token(env):
    for listen, wanted in (("0.0.0.0:8081", EX_CONFIG), ("[::]:8081", EX_CONFIG), ("192.0.2.1:8081", EX_CONFIG), ("[::ffff:192.0.2.1]:8081", EX_CONFIG), ("127.0.0.9:8081", 0),
                           ("[::1]:8081", 0), ("unix:/run/q.sock", 0), ("off", 0)):
        with env.part(listen):
            config = env.config("https://iad1.qualtrics.com", admin={"listen": listen}, account={"ca_file": None})
            code, _, err = env.run(["check", "-c", env.write("c.json", json.dumps(config))])
            assert code == wanted, err
            assert wanted == 0 or ("admin.listen" in err and "127.0.0.1" in err and "admin.token" in err), err
            if wanted:
                config["admin"]["token"] = "env:QP_E2E_SECRET"
                code, _, err = env.run(["check", "-c", env.write("c.json", json.dumps(config))])
                assert code == 0, err


# ---- its address ----

@test("P8")
def a_busy_address_is_an_error_if_it_was_asked_for(env):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        path = env.write("c.json", json.dumps(env.config(env.origin(), admin={"listen": "127.0.0.1:%d" % port})))
        code, out, err = env.run(["run", "-c", path])
    assert code == EX_UNAVAILABLE and out == ""
    assert "admin.listen" in err and "127.0.0.1:%d is in use" % port in err and str(os.getpid()) in err, err


@test("P8")
def the_default_address_is_not_worth_a_failed_start(env):
    try:
        server = socket.create_server(("127.0.0.1", 8081))
    except OSError:
        server = None  # somebody else's: as good
    try:
        origin = env.origin()
        proxy = env.proxy(origin, admin=None)
        assert proxy.exchange().status == 200
        proxy.wait_log(r"warn .*127\.0\.0\.1:8081 is in use by .*admin\.listen")
        assert not server or str(os.getpid()) in proxy.log()
        assert b"admin on" not in proxy.stdout
    finally:
        if server:
            server.close()


@test("P8")
def off_is_off(env):
    proxy = env.proxy(env.origin(), admin={"listen": "off"})
    assert proxy.exchange().status == 200
    assert b"admin on" not in proxy.stdout


# ---- its end ----

@test("P8", threads=True)
def it_answers_until_the_workers_have_drained(env):
    origin = env.origin()
    go = threading.Event()

    def script(conn, request):
        go.wait(20)
        conn.answer()
    proxy = env.proxy(origin, admin=ANY_PORT, workers=2, timeouts={"drain": "20s"})
    address = address_of(proxy)
    assert proxy.exchange().status == 200
    origin.script = script
    waiting = proxy.connect()
    waiting.request()
    origin.wait_requests(2)
    proxy.signal()
    answer = eventually(lambda: (lambda a: a.status == 503 and a)(ask(env, proxy, "/readyz")), what="readyz says that it stops")
    assert json.loads(answer.body)["status"] == "stopping"
    time.sleep(0.3)  # the idle worker has ended by now, and its numbers still count
    relay = status_of(env, proxy)["relay"]
    assert relay["requests"] == 2 and relay["answered"] == 1, relay
    assert ask(env, proxy, "/healthz").status == 200
    go.set()
    assert waiting.response().status == 200
    assert proxy.wait_exit() == 0
    with socket.socket() as probe:
        assert probe.connect_ex(address) != 0


@test("P7")
def a_client_that_does_not_read_does_not_hold_up_the_end(env):
    proxy = env.proxy(env.origin(), admin=ANY_PORT)
    address = address_of(proxy)
    client = env.client(address, receive_buffer=4096)
    client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % address[1] * 300)
    time.sleep(0.2)
    assert ask(env, proxy, "/healthz").status == 200
    began = time.monotonic()
    assert proxy.stop() == 0
    assert time.monotonic() - began < 5 * SLOWNESS


@test("P7")
def two_daemons_do_not_share_an_admin_address(env):
    port = free_port()
    origin = env.origin()
    first = env.proxy(origin, admin={"listen": "127.0.0.1:%d" % port})
    second = env.start(["run", "-c", env.write("c.json", json.dumps(env.config(origin, admin={"listen": "127.0.0.1:%d" % port})))])
    second.expected_exit = EX_UNAVAILABLE
    assert second.wait_exit() == EX_UNAVAILABLE
    assert "in use" in second.log() and str(first.pid) in second.log(), second.log()
    assert ask(env, first, "/healthz").status == 200
