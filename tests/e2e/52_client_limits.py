"""The client's side at its limits: each has its answer or its silence, its access line, and costs nobody else (P7, P8)."""

import json
import re
import threading
import time

import wire
from harness import SLOWNESS, check_own_error, eventually, test
from scripted_origin import answering

MIB = 1 << 20
GET = "GET /API/v3/whoami HTTP/1.1"
ACCESS = re.compile(r' access (c\d+) (r\d+) (\S+) "(\S+) (\S+)" (\d+) account=(\S+) .* end=(\S\S) error=(\S+)')


def plain(env, **keys):
    origin = env.origin()
    keys.setdefault("log", {"access": env.path("access.log")})
    return origin, env.proxy(origin, **keys)


def lines(env):
    """The access lines so far, each as (conn, request, client, method, path, status, account, end, error)."""
    with open(env.path("access.log")) as log:
        return [ACCESS.search(line).groups() for line in log]


def line_of(env, error, count=1):
    def found():
        return [line for line in lines(env) if line[8] == error]
    eventually(lambda: len(found()) >= count, what="an access line with %s" % error)
    return found()[-1]


def hold(origin, proxy, count):
    """So many connections with a request in flight; gives them and what lets the answers go."""
    go = threading.Event()
    origin.script = lambda conn, request: (go.wait(30), conn.answer())
    before = len(origin.requests)
    clients = []
    for _ in range(count):
        clients.append(proxy.connect())
        clients[-1].request()
    origin.wait_requests(before + count)
    return clients, go


# ---- numbers ----

@test("P7", smoke=True)
def one_address_has_so_many_connections_over_all_workers_and_the_next_is_told(env):
    origin, proxy = plain(env, workers=3, limits={"connections_per_address": 4})
    held, go = hold(origin, proxy, 4)
    for _ in range(12):
        with proxy.connect() as extra:
            extra.request(fields=[("Authorization", "Bearer " + env.client_credential("of-a-client-52"))])
            response = extra.response()
            check_own_error(response, 503, "too_many_connections")
            assert response.get("Retry-After") == b"1" and not response.keeps_alive
            assert extra.has_closed()
    go.set()
    assert [client.response().status for client in held] == [200] * 4
    conn, number, client, method, path, status, account, end, error = line_of(env, "too_many_connections", 12)
    assert (number, method, path, status, account, end) == ("r1", "-", "-", "503", "-", "PH")
    said = proxy.log().count("503 too_many_connections, the last from 127.0.0.1")
    assert 1 <= said <= 3, "one line a worker, not one a connection: %d" % said
    held[0].close()
    eventually(lambda: proxy.exchange().status == 200, what="a place that became free is given out")


@test("P7")
def the_limit_on_connections_is_the_process_s_whichever_worker_they_meet(env):
    """Ten tries each: the kernel deals connections out to workers blindly."""
    origin, proxy = plain(env, workers=3, limits={"connections": 4})
    held, go = hold(origin, proxy, 4)
    late = [proxy.connect() for _ in range(10)]
    for client in late:
        client.request()
    before = proxy.ticks()
    time.sleep(1)
    assert proxy.ticks() - before < 0.3 * SLOWNESS, "waiting costs time"
    assert all(client.is_silent(0) for client in late), "more than four were served"
    proxy.wait_log("limit of 4 connections reached")
    assert len(origin.requests) == 4
    go.set()
    for client in held:
        assert client.response().status == 200
        client.close()
    for client in late:
        assert client.response().status == 200
        client.close()


@test("P7")
def a_connection_that_rests_makes_room_and_one_that_works_does_not(env):
    origin, proxy = plain(env, workers=3, limits={"connections": 4})
    resting = [proxy.connect() for _ in range(3)]
    for client in resting:
        client.request()
        assert client.response().status == 200
    held, go = hold(origin, proxy, 1)
    origin.script = answering()
    time.sleep(1.1)
    late = [proxy.connect() for _ in range(3)]
    for client in late:
        client.request()
    for client in late:
        assert client.response().status == 200
    assert all(client.has_closed() for client in resting)
    go.set()
    assert held[0].response().status == 200


@test("P7")
def the_last_request_of_a_connection_is_told_so(env):
    origin, proxy = plain(env, limits={"requests_per_connection": 3})
    with proxy.connect() as client:
        for _ in range(5):
            client.request()
        answers = [client.response() for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3
        assert [answer.keeps_alive for answer in answers] == [True, True, False]
        assert client.has_closed()
    assert len(origin.requests) == 3


# ---- what is refused ----

@test("P8", smoke=True)
def what_is_refused_has_its_access_line_and_its_numbers(env):
    _, proxy = plain(env, timeouts={"client_head": "400ms"}, limits={"head": "2KiB", "target": "1KiB", "body": "1KiB", "fields": 20})
    secret = env.client_credential("of-a-client-5252")
    cases = (
        ("bad_host", 400, "GET", "/a", b"GET /a?name=person HTTP/1.1\r\n\r\n"),
        ("bad_field", 400, "GET", "/a", b"GET /a HTTP/1.1\r\nHost: a\r\nX-API-TOKEN : %s\r\n\r\n" % secret.encode()),
        ("bad_request", 400, "-", "-", b"X-API-TOKEN: %s\r\n\r\n" % secret.encode()),
        ("bad_target", 400, "GET", "-", b"GET http://user:%s@host/ HTTP/1.1\r\nHost: a\r\n\r\n" % secret.encode()),
        ("bad_framing", 400, "POST", "/a", b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("method_not_allowed", 405, "TRACE", "/a", b"TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("target_too_long", 414, "GET", "-", b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 1100)),
        ("head_too_large", 431, "GET", "/a", b"GET /a HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"x" * 3000)),
        ("too_many_fields", 431, "GET", "/a", b"GET /a HTTP/1.1\r\nHost: a\r\n%s\r\n" % (b"A: b\r\n" * 30)),
        ("body_too_large", 413, "PUT", "/a", b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"),
        ("version_not_supported", 505, "GET", "/a", b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n"),
        ("head_timeout", 408, "GET", "/a", b"GET /a HTTP/1.1\r\nAuthorization: Bearer %s" % secret.encode()),
        ("truncated", 400, "GET", "/b", b"GET /b HTTP/1.1\r\nHost"),
    )
    told = {}
    for code, status, method, path, data in cases:
        with env.part(code), proxy.connect() as client:
            client.request()
            assert client.response().status == 200
            client.send(data)
            if code == "truncated":
                client.half_close()
            response = client.response()
            check_own_error(response, status, code)
            assert client.has_closed()
            told[code] = json.loads(response.body)["meta"]["requestId"]
    with env.part("control bytes"), proxy.connect() as client:
        client.send(b"GET /\x1b[31m\x07 HTTP/1.1\r\nHost: a\r\n\r\n")
        check_own_error(client.response(), 400)
    for code, status, method, path, data in cases:
        with env.part(code + ", its line"):
            line_of(env, code)
            line = [line for line in lines(env) if "qproxy-%s-%s" % (line[0][1:], line[1][1:]) == told[code]][-1]
            assert line[1] == "r2" and line[3:7] == (method, path, str(status), "-") and line[8] == code, line
            assert line[7] == ("TH" if status == 408 else "PH"), line
    for path in (env.path("access.log"), proxy.log_path):
        with open(path, "rb") as log:
            text = log.read()
        assert secret.encode() not in text and b"person" not in text and b"\x1b" not in text, path


@test("P7", cases={"tcp": 0, "unix": 1})
def a_refusal_survives_a_megabyte_that_nobody_reads(env, listener):
    _, proxy = plain(env, listen=["127.0.0.1:0", "unix:" + env.socket_path()], limits={"body": "64KiB"})
    junk = b"x" * MIB
    for name, status, data in (
            ("413 by length", 413, wire.message("POST /API/v3/x HTTP/1.1", ["Host: a", "Content-Length: %d" % MIB]) + junk),
            ("413 in chunks", 413, wire.message("POST /API/v3/x HTTP/1.1", ["Host: a", "Transfer-Encoding: chunked"]) + wire.chunked(junk)),
            ("431", 431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + junk),
            ("414", 414, b"GET /" + junk)):
        with env.part(name), proxy.connect(listener) as client:
            try:
                client.send(data)
            except OSError:
                pass  # the proxy may stop reading; what it said is to be read all the same
            check_own_error(client.response(), status)
            assert client.has_closed(8)


@test("P7")
def answers_owed_come_before_the_refusal_and_nothing_behind_it_is_read(env):
    origin, proxy = plain(env)
    origin.script = lambda conn, request: (conn.wait(0.1), conn.answer(body=request.target.encode()))
    good = [wire.message("GET /API/v3/%d HTTP/1.1" % number, ["Host: a"]) for number in range(4)]
    with proxy.connect() as client:
        client.send(good[0] + good[1] + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + good[2] + good[3])
        client.half_close()
        assert [client.response().body for _ in range(2)] == [b"/API/v3/0", b"/API/v3/1"]
        check_own_error(client.response(), 400, "bad_host")
        assert client.has_closed()
    assert len(origin.requests) == 2


# ---- time ----

@test("P7", cases={"first, tcp": (False, 0), "later, tcp": (True, 0), "first, unix": (False, 1), "later, unix": (True, 1)})
def a_trickled_head_is_told_408_and_an_idle_connection_nothing(env, later, listener):
    _, proxy = plain(env, listen=["127.0.0.1:0", "unix:" + env.socket_path()], timeouts={"client_head": "800ms", "client_idle": "800ms"})
    with proxy.connect(listener) as client, proxy.connect(listener) as idle:
        if later:
            for one in (client, idle):
                one.request()
                assert one.response().status == 200
        client.send(b"GET /API/v3/x HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(100):
            if not client.is_silent(0.05):
                break
            try:
                client.send(b"y")
            except OSError:
                break
        check_own_error(client.response(), 408, "head_timeout")
        assert idle.has_closed(), "an idle connection is not told anything"


@test("P7")
def a_slow_sender_is_told_408_in_its_own_access_line(env):
    origin, proxy = plain(env, timeouts={"client_body": "600ms"}, limits={"body_rate": "4KiB"})
    for name, piece in (("silent", b""), ("dripping", b"x")):
        with env.part(name), proxy.connect() as client:
            client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: a", "Content-Length: 100000"]) + b"x" * 100)
            for _ in range(200):
                if not client.is_silent(0.05):
                    break
                try:
                    client.send(piece)
                except OSError:
                    break
            check_own_error(client.response(), 408, "body_timeout")
    line = line_of(env, "body_timeout", 2)
    assert line[3:7] == ("POST", "/API/v3/x", "408", "main") and line[7][0] == "T", line
    assert all(request.body is None for request in origin.requests), "a cut upload looked whole to the origin"


@test("P7", cases={"tcp": 0, "unix": 1})
def a_slow_reader_is_cut_and_named_and_a_slow_origin_is_not_its_fault(env, listener):
    origin, proxy = plain(env, listen=["127.0.0.1:0", "unix:" + env.socket_path()], timeouts={"client_body": "600ms"}, limits={"body_rate": "64KiB"})

    def flood(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            conn.send(b"x" * MIB)

    def drip(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            conn.send(b"x")
            conn.wait(0.1)
    origin.scripts = [drip]
    assert proxy.exchange(listener=listener).body == b"x" * 20
    origin.scripts = [flood]
    with proxy.connect(listener, receive_buffer=4096) as client:
        client.request()
        client.head()
        for _ in range(400):  # a byte now and then
            if any(line[8] == "slow_reader" for line in lines(env)):
                break
            client.sock.recv(1)
            time.sleep(0.02)
        line = line_of(env, "slow_reader")
        assert line[5] == "200" and line[7] == "TB", line
    assert "connection cut, slow_reader" in proxy.log()
    assert proxy.exchange().status == 200


@test("P7")
def an_answer_that_is_written_waits_for_a_reader_above_the_rate(env):
    """The last answer of a connection lies in the proxy: it takes longer to read than any silence may last."""
    origin, proxy = plain(env, timeouts={"client_body": "300ms"}, limits={"body_rate": "1KiB"})
    body = b"x" * (6 * MIB)
    origin.scripts = [lambda conn, request: conn.answer(body=body)]
    with proxy.connect(receive_buffer=65536) as client:
        client.request(fields=[("Connection", "close")])
        got = 0
        client.head()
        while got < len(body):
            if client.source.buffer:
                got += len(client.source.buffer)
                client.source.buffer.clear()
                continue
            piece = client.sock.recv(65536)
            assert piece, "cut after %d bytes" % got
            got += len(piece)
            time.sleep(0.03)


@test("P6")
def a_stop_waits_for_who_still_reads_the_last_answer(env):
    origin, proxy = plain(env, timeouts={"drain": "30s"})
    body = b"x" * (6 * MIB)
    origin.scripts = [lambda conn, request: conn.answer(body=body)]
    with proxy.connect(receive_buffer=65536) as client:
        client.request()
        client.head()
        proxy.signal()
        got = len(client.source.buffer)
        while got < len(body):
            piece = client.sock.recv(65536)
            assert piece, "cut after %d bytes" % got
            got += len(piece)
            time.sleep(0.01)
    assert proxy.process.wait(15 * SLOWNESS) == 0
