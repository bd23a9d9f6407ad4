"""Limits and time limits: everything is bounded, and says so (P7, P8)."""

import hashlib
import random
import resource
import socket
import threading
import time

import wire
from harness import SLOWNESS, check_own_error, eventually, test
from rawclient import request_bytes
from scripted_origin import FINE, answering, reflecting, silent

KIB, MIB = 1 << 10, 1 << 20


def plain(env, **keys):
    origin = env.origin()
    return origin, env.proxy(origin, **keys)


def served(proxy):
    assert proxy.exchange().status == 200


# ---- sizes ----

@test("P7", smoke=True)
def a_head_over_its_limit_is_a_431(env):
    origin, proxy = plain(env, limits={"head": "4KiB", "target": "1KiB"})
    for name, fields in (("one long field", [("X-Long", "x" * 5000)]), ("a long name", [("X" * 5000, "y")]),
                         ("many fields", [("X-%d" % number, "y" * 20) for number in range(180)]),
                         ("a megabyte", [("X-Long", "x" * MIB)])):
        with env.part(name), proxy.connect() as client:
            try:
                client.request(fields=fields)
            except OSError:
                pass  # the proxy may stop reading
            check_own_error(client.response(), 431)
            assert client.has_closed()
    with env.part("endless without a line end"), proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nX: " + b"y" * 6000)
        check_own_error(client.response(), 431)
    with env.part("just below"):
        assert proxy.exchange(fields=[("X-Long", "x" * 3900)]).status == 200
    assert len(origin.requests) == 1


@test("P7")
def too_many_fields_are_a_431(env):
    origin, proxy = plain(env, limits={"fields": 20, "head": "64KiB"})
    check_own_error(proxy.exchange(fields=[("X-%d" % number, "y") for number in range(30)]), 431)
    assert proxy.exchange(fields=[("X-%d" % number, "y") for number in range(15)]).status == 200
    assert len(origin.requests) == 1


@test("P7")
def a_target_over_its_limit_is_a_414(env):
    origin, proxy = plain(env, limits={"target": "1KiB"})
    for count in (1100, 20000):
        with env.part(str(count)), proxy.connect() as client:
            client.request(target="/" + "x" * count)
            check_own_error(client.response(), 414)
            assert client.has_closed()
    with env.part("endless"), proxy.connect() as client:
        client.send(b"GET /" + b"x" * 5000)
        check_own_error(client.response(), 414)
    assert proxy.exchange(target="/" + "x" * 1000).status == 200
    assert len(origin.requests) == 1


@test("P7")
def a_body_over_its_limit_is_a_413(env):
    origin, proxy = plain(env, limits={"body": "64KiB"})
    origin.script = reflecting()
    with env.part("sized: refused before it is sent"), proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: 65537"]))
        check_own_error(client.response(), 413)
    with env.part("sized, expecting"), proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Expect: 100-continue", "Content-Length: 99999999"]))
        response = client.response()
        check_own_error(response, 413)
        assert response.informed == []
    assert origin.requests == []
    with env.part("chunked: refused when it goes beyond"), proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked"]))
        try:
            for _ in range(100):
                client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                time.sleep(0.002)
        except OSError:
            pass
        check_own_error(client.response(), 413)
        assert client.has_closed()
    eventually(lambda: all(not request.conn.is_open for request in origin.requests), what="a cut upload ends its connection")
    assert all(request.body is None for request in origin.requests), "a cut upload looked whole to the origin"
    with env.part("just at it"):
        assert proxy.exchange("POST", body=b"x" * 65536).body == b"x" * 65536
        assert proxy.exchange("POST", body=b"x" * 65536, chunked=True).body == b"x" * 65536


@test("P7")
def chunk_extensions_and_trailers_are_bounded(env):
    origin, proxy = plain(env, limits={"head": "8KiB", "target": "4KiB"})
    head = wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked"])
    cases = (("one long extension", b"1;" + b"x" * 100000 + b"\r\na\r\n0\r\n\r\n"),
             ("many extensions", b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n" * 3000 + b"0\r\n\r\n"),
             ("long trailers", b"1\r\na\r\n0\r\n" + b"X-T: " + b"y" * 20000 + b"\r\n\r\n"),
             ("many trailers", b"1\r\na\r\n0\r\n" + b"X-T: y\r\n" * 3000 + b"\r\n"))
    for name, body in cases:
        with env.part(name), proxy.connect() as client:
            try:
                client.send(head + body)
            except OSError:
                pass
            response = client.response()
            assert response.status in (400, 413, 431), response
            check_own_error(response, response.status)
    served(proxy)


@test("P7")
def an_origins_head_over_its_limit_is_a_502(env):
    origin, proxy = plain(env)
    for name, raw in (("a long field", wire.message("HTTP/1.1 200 OK", ["X: " + "y" * 400000, "Content-Length: 0"])),
                      ("many fields", wire.message("HTTP/1.1 200 OK",
                                                   ["X-%d: y" % number for number in range(3000)] + ["Content-Length: 0"])),
                      ("endless", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3000000),
                      ("a long reason", b"HTTP/1.1 200 " + b"y" * 400000 + b"\r\nContent-Length: 0\r\n\r\n"),
                      ("long trailers", None)):
        with env.part(name):
            if raw is None:
                raw = wire.message("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"], b"1\r\na\r\n0\r\nX: " + b"y" * 400000 + b"\r\n\r\n")
                origin.scripts = [lambda conn, request: conn.send(raw)]
                response = proxy.exchange(cut_allowed=True)
                assert response.cut or response.status == 502
                continue
            origin.scripts = [lambda conn, request: conn.send(raw)]
            check_own_error(proxy.exchange(), 502)
    served(proxy)


# ---- time ----

@test("P7", cases={"first": False, "second": True})
def a_slow_head_is_ended_by_its_total_time(env, second):
    """One byte every 50 ms does not earn more time; on a kept connection neither."""
    origin, proxy = plain(env, timeouts={"client_head": "600ms"})
    with proxy.connect() as client:
        if second:
            client.request()
            assert client.response().status == 200
        began = time.monotonic()
        closed = False
        try:
            for byte in b"GET /API/v3/whoami HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000:
                client.send(bytes([byte]))
                time.sleep(0.05)
                if client.source.buffer or not client.is_silent(0):
                    closed = True
                    break
        except OSError:
            closed = True
        took = time.monotonic() - began
        assert closed and 0.4 < took < 6, took
        try:
            response = client.response()
            check_own_error(response, 408)
        except (wire.Cut, OSError):
            pass  # a close without an answer is fair, too
    assert len(origin.requests) == (1 if second else 0)
    served(proxy)


@test("P7")
def a_connection_that_says_nothing_is_closed(env):
    _, proxy = plain(env, timeouts={"client_head": "400ms", "client_idle": "300ms"})
    with env.part("never a byte"), proxy.connect() as client:
        began = time.monotonic()
        assert client.sock.recv(1000)[:12] in (b"", b"HTTP/1.1 408")
        assert time.monotonic() - began < 8
    with env.part("between requests"), proxy.connect() as client:
        client.request()
        assert client.response().status == 200
        assert client.has_closed(8)


@test("P7")
def a_stalled_body_is_dropped(env):
    origin, proxy = plain(env, timeouts={"client_body": "500ms"})
    for name, head in (("sized", "Content-Length: 100"), ("chunked", "Transfer-Encoding: chunked")):
        with env.part(name), proxy.connect() as client:
            client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", head], b"5\r\nhello\r\n"))
            began = time.monotonic()
            try:
                response = client.response()
                assert response.status == 408, response
                check_own_error(response, 408)
            except (wire.Cut, OSError):
                pass
            assert 0.3 < time.monotonic() - began < 8
    eventually(lambda: all(not request.conn.is_open for request in origin.requests), what="the origin's connections end")
    assert all(request.body is None for request in origin.requests)
    served(proxy)


@test("P7")
def a_body_that_drips_below_the_rate_is_dropped(env):
    _, proxy = plain(env, timeouts={"client_body": "500ms"}, limits={"body_rate": "10KiB"})
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: 100000"]))
        began = time.monotonic()
        ended = False
        while not ended and time.monotonic() - began < 10:
            try:
                client.send(b"x" * 10)
                time.sleep(0.1)
                ended = not client.is_silent(0)
            except OSError:
                ended = True
        assert ended, "1000 bytes in 10 s were accepted, the limit is 10 KiB/s"
    served(proxy)


@test("P7")
def a_client_that_never_takes_its_answer_is_dropped(env):
    def script(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            conn.send(b"x" * MIB)
    origin, proxy = plain(env, timeouts={"client_body": "700ms"})
    origin.script = script
    with proxy.connect(receive_buffer=4096) as client:
        client.request()
        assert client.head().status == 200
        eventually(lambda: origin.requests and not origin.requests[0].conn.is_open, 15 * SLOWNESS, "the origin's connection is given up")
    origin.script = answering()
    served(proxy)


@test("P7")
def an_origin_that_never_answers_is_a_504(env):
    origin, proxy = plain(env, timeouts={"origin_response": "500ms"})
    for method in ("GET", "POST"):
        with env.part(method):
            origin.scripts = [silent()]
            began = time.monotonic()
            check_own_error(proxy.exchange(method, body=b"x" if method == "POST" else None), 504)
            assert 0.4 < time.monotonic() - began < 8
    assert len(origin.requests) == 2, "a request that may have been carried out was sent again"
    served(proxy)


@test("P7")
def an_origin_that_stops_inside_its_answer_is_cut(env):
    origin, proxy = plain(env, timeouts={"origin_response": "500ms"})
    origin.script = lambda conn, request: conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").wait(20)
    response = proxy.exchange(cut_allowed=True)
    assert response.cut and response.body == b"half"
    origin.script = lambda conn, request: conn.send(b"HTTP/1.1 200 OK\r\nContent-Le").wait(20)
    check_own_error(proxy.exchange(), 504)


@test("P7")
def an_origin_that_does_not_accept_is_a_504(env):
    """A full backlog: the kernel drops the SYN."""
    tokens = env.origin()
    deaf = socket.create_server(("127.0.0.1", 0), backlog=0)
    env.on_end(deaf.close)
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(deaf.getsockname())
        env.on_end(filler.close)
    time.sleep(0.1)
    proxy = env.proxy("https://127.0.0.1:%d" % deaf.getsockname()[1], account={"token_url": tokens.token_url},
                      timeouts={"origin_connect": "400ms"})
    began = time.monotonic()
    check_own_error(proxy.exchange(), 504)
    assert 0.3 < time.monotonic() - began < 8


# ---- numbers ----

def is_served(proxy):
    try:
        return proxy.exchange().status == 200
    except (wire.Cut, OSError):
        return False


@test("P7")
def few_connections_to_the_origin_serve_many_requests(env):
    origin, proxy = plain(env, limits={"origin_connections": 4})
    origin.script = lambda conn, request: (conn.wait(0.02), conn.answer())
    assert {response.status for response in proxy.burst(60)} == {200}
    assert len({request.conn for request in origin.requests}) <= 4


@test("P7", limit=40)
def running_out_of_descriptors_neither_kills_nor_spins(env):
    _, proxy = plain(env)
    served(proxy)
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (48, 48))
    clients = []
    for _ in range(100):
        clients.append(proxy.connect())
    time.sleep(0.3)
    before = proxy.ticks()
    time.sleep(1.0)
    used = proxy.ticks() - before
    assert used < 0.5, "%.2f s of CPU in one idle second without descriptors" % used
    clients[0].request()
    assert clients[0].response().status in (200, 502, 503)
    for client in clients:
        client.close()
    eventually(lambda: is_served(proxy), what="it serves again")


@test("P7")
def waiting_for_a_connection_to_the_origin_is_bounded(env):
    origin, proxy = plain(env, limits={"origin_connections": 1, "waiting": 4})
    served(proxy)
    go = threading.Event()
    origin.script = lambda conn, request: (go.wait(10), conn.answer())
    clients = [proxy.connect() for _ in range(10)]
    for client in clients:
        client.request()
    time.sleep(0.5)
    go.set()
    statuses = sorted(client.response().status for client in clients)
    assert statuses == [200] * 5 + [503] * 5, statuses


@test("P7")
def requests_per_connection_can_be_limited(env):
    _, proxy = plain(env, limits={"requests_per_connection": 3})
    with proxy.connect() as client:
        for number in range(3):
            client.request()
            response = client.response()
            assert response.status == 200 and response.keeps_alive == (number < 2)
        assert client.has_closed()


@test("P7")
def a_thousand_idle_connections_are_cheap_and_all_alive(env):
    _, proxy = plain(env)
    clients = [proxy.connect() for _ in range(400)]
    for client in clients:
        client.request()
    assert {client.response().status for client in clients} == {200}
    before = proxy.ticks()
    time.sleep(0.5)
    assert proxy.ticks() - before < 0.3
    clients[200].request()
    assert clients[200].response().status == 200


@test("P7")
def random_bytes_never_kill_it(env):
    origin, proxy = plain(env)
    dice = random.Random(1)
    seeds = [request_bytes("POST", "/API/v3/x", [("X-A", "b"), ("Connection", "x-a")], b"hello", chunked) for chunked in (False, True)]
    for number in range(150):
        raw = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 6)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        with proxy.connect() as client:
            client.send(bytes(raw)).half_close()
            client.sock.settimeout(5)
            try:
                while client.sock.recv(65536):
                    pass
            except OSError:
                pass
    origin.errors.clear()  # broken requests may end in the middle at the origin; what came whole was parsed strictly
    assert proxy.exchange().body == FINE


@test("P7", limit=60, threads=True)
def a_storm_of_rude_clients_and_a_rude_origin_is_survived(env):
    """Everything at once, by dice that fall the same way each time. What arrives whole is right, and afterwards all is well."""
    origin = env.origin()
    dice = random.Random(7)

    def script(conn, request):
        deed = dice.randrange(14)
        if deed == 0:
            origin.revoke_all()
        if deed in (1, 2, 3):
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 100)
            getattr(conn, ("close", "cut", "reset")[deed - 1])()
            return
        if deed == 4:
            conn.reset()
            return
        if deed == 5:
            conn.answer(413, b"early", fields=["Connection: close"])
            conn.close()
            return
        body = conn.body(request)
        if deed == 8:  # in one TLS record: bytes that come behind the next request cannot be told from its answer
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            return
        conn.wait(0.02 if deed == 6 else 0)
        conn.answer(body=body, chunk=dice.choice((0, 100, 5000)), fields=[("X-Body-Hash", hashlib.sha256(body).hexdigest())],
                    content_type="text/plain")
        if deed == 7:
            conn.close()
    origin.script = script
    proxy = env.proxy(origin, workers=2, timeouts={"origin_response": "3s", "client_body": "3s"})
    wrong = []
    stop = time.monotonic() + 4

    def one(seed):
        mine = random.Random(seed)
        while time.monotonic() < stop:
            try:
                with proxy.connect(patience=5) as client:
                    for _ in range(mine.randrange(1, 6)):
                        visit(mine, client)
            except (wire.Cut, wire.WireError, OSError) as error:
                if isinstance(error, wire.WireError) and "connection ended" not in str(error):
                    wrong.append(error)

    def visit(mine, client):
        body = bytes([mine.randrange(256)]) * mine.randrange(40000)
        raw = request_bytes(mine.choice(("POST", "PUT")), "/API/v3/%d" % mine.randrange(50), body=body, chunked=mine.random() < 0.5)
        deed = mine.randrange(10)
        if deed == 0:
            client.send(raw[:mine.randrange(len(raw))])
            client.abort()
            return
        if deed == 1:
            client.send(raw[:mine.randrange(len(raw))]).close()
            return
        client.send_split(raw, mine.randrange(len(raw)), 0.001)
        if deed == 2:
            client.abort()
            return
        response = client.response()
        told = response.get("X-Body-Hash")
        if response.body == b"poison":
            wrong.append("poison")
        if response.status == 200 and told and (response.body != body or told != hashlib.sha256(body).hexdigest().encode()):
            wrong.append("asked with %d bytes of %r, told %d of %r...%r; %s %r %r" % (
                len(body), body[:1], len(response.body), response.body[:1], response.body[-1:], raw[:40],
                told == hashlib.sha256(response.body).hexdigest().encode(), response.head.raw))
        if not response.keeps_alive:
            raise OSError("closed")
    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    origin.script = answering()
    eventually(lambda: is_served(proxy), what="it serves again")
    for _ in range(10):
        assert proxy.exchange("POST", body=b"calm").status in (200, 401)  # a path may still be damped
