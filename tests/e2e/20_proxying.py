"""From client to origin and back: fields, bodies, framing, early and broken answers, the pool."""

import hashlib
import re
import socket
import threading
import time

import wire
from harness import check_own_error, eventually, free_port, test
from scripted_origin import FINE, answering, ending, reflecting, sending

MIB = 1 << 20


def plain(env, script=None, **keys):
    origin = env.origin()
    if script:
        origin.script = script
    return origin, env.proxy(origin, **keys)


def noise(count, seed=b"noise"):
    """Bytes that look random and are the same in every run."""
    block = b"".join(hashlib.sha256(seed + b"%d" % number).digest() for number in range(2048))
    return (block * (count // len(block) + 1))[:count]


# ---- towards the origin ----

@test("P2", smoke=True)
def the_origin_gets_its_own_authority_in_host_and_sni(env):
    origin, proxy = plain(env)
    assert proxy.exchange(host="proxy.internal:8080").status == 200
    conn = origin.requests[0].conn
    assert origin.requests[0].get("Host") == origin.authority.encode()
    assert (conn.sni, conn.alpn) == ("localhost", "http/1.1")
    assert origin.requests[0].head.version == b"HTTP/1.1"


@test("P6")
def via_is_added_in_both_directions_behind_what_was_there(env):
    origin, proxy = plain(env, answering(fields=["Via: 1.1 edge"]))
    response = proxy.exchange(fields=[("Via", "1.0 fred, 1.1 barney")])
    sent = b", ".join(origin.requests[0].all("Via"))
    assert re.fullmatch(rb"1\.0 fred, 1\.1 barney, (HTTP/)?1\.1 \S+ \([0-9a-f]{8}\)", sent), sent
    got = b", ".join(response.all("Via"))
    assert re.fullmatch(rb"1\.1 edge(, (HTTP/)?1\.1 \S+)?", got), got
    proxy.exchange(version="1.0", host=None)
    assert re.fullmatch(rb"(HTTP/)?1\.0 \S+ \([0-9a-f]{8}\)", origin.requests[1].get("Via")), origin.requests[1].get("Via")


CREDENTIALS = {
    "one": [("Authorization", "Bearer %s")],
    "basic": [("Authorization", "Basic %s")],
    "x_api_token": [("X-API-TOKEN", "%s")],
    "proxy_authorization": [("Proxy-Authorization", "Basic %s")],
    "odd_case": [("aUTHORIZATION", "Bearer %s"), ("x-Api-toKEN", "%s"), ("PROXY-authorization", "%s")],
    "doubled": [("Authorization", "Bearer %s"), ("Authorization", "Bearer two"), ("X-API-TOKEN", "%s"), ("X-API-TOKEN", "%s")],
    "nominated": [("Authorization", "Bearer %s"), ("Connection", "authorization, X-API-TOKEN, host, content-length, via"),
                  ("X-API-TOKEN", "%s")],
    "nominated_twice": [("Connection", "Authorization"), ("Connection", ",, keep-alive ,AUTHORIZATION,"), ("Authorization", "%s")],
    "empty": [("Authorization", ""), ("X-API-TOKEN", "")],
}


@test("P1", cases={name: (fields,) for name, fields in CREDENTIALS.items()})
def a_clients_credential_never_reaches_the_origin(env, fields):
    junk = env.client_credential("junk-" + env.run_id)
    origin, proxy = plain(env)
    given = [(name, value.replace("%s", junk)) for name, value in fields]
    with proxy.connect() as client:
        for body in (None, b"with a body"):
            client.request("POST" if body else "GET", fields=given, body=body)
            assert client.response().status == 200
    for request in origin.requests:
        assert request.all("Authorization") == [b"Bearer " + origin.minted[0].encode()], request.head.raw
        assert not request.head.has("X-API-TOKEN") and not request.head.has("Proxy-Authorization")
        assert request.get("Host") == origin.authority.encode()
        assert junk.encode() not in bytes(request.conn.received)
    assert origin.requests[1].body == b"with a body"


@test("P1")
def a_credential_in_trailers_never_reaches_the_origin(env):
    junk = env.client_credential("junk-" + env.run_id)
    origin, proxy = plain(env)
    for name, status in (("Authorization", 400), ("X-API-TOKEN", 400), ("proxy-authorization", 400), ("Cookie", 200)):
        with proxy.connect() as client:
            client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked", "Trailer: " + name],
                                     wire.chunked(b"body", trailers=("%s: %s\r\n" % (name, junk)).encode())))
            assert client.response().status == status
    assert [request.body for request in origin.requests if request.body is not None] == [b"body"]
    assert not any(junk.encode() in conn.received for conn in origin.connections)


@test("P6")
def hop_by_hop_and_nominated_fields_stay_on_their_side(env):
    hops = ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers, deflate", "Upgrade: foo/2", "Proxy-Authenticate: Basic"]
    nominated = ["Connection: X-One", "connection: x-TWO, , X-Three ,", "CONNECTION: keep-alive", "X-One: 1", "x-two: 2", "X-THREE: 3",
                 "x-one: again", "X-Four: stays"]
    origin, proxy = plain(env, answering(fields=hops[:2] + hops[4:] + nominated))
    response = proxy.exchange(fields=hops + nominated)
    assert response.status == 200 and response.body == FINE
    gone = [b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"x-one", b"x-two", b"x-three"]
    request = origin.requests[0]
    for head in (request.head, response.head):
        assert not set(gone) & set(head.names()), head.raw
        assert head.get("X-Four") == b"stays"
    assert not request.head.has("Upgrade")
    assert request.head.tokens("TE") in ([], [b"trailers"])
    assert set(request.head.tokens("Connection")) <= {b"keep-alive", b"te"}
    assert set(response.head.tokens("Connection")) <= {b"keep-alive", b"close"}


@test("P6")
def nobody_can_nominate_the_proxys_own_fields_away(env):
    origin, proxy = plain(env, answering(fields=["Connection: content-length, content-type, transfer-encoding"]))
    response = proxy.exchange("POST", fields=[("Connection", "host, content-length, authorization, transfer-encoding")], body=b"12345")
    request = origin.requests[0]
    assert request.get("Host") and request.get("Content-Length") == b"5" and request.token and request.body == b"12345"
    assert response.status == 200 and response.body == FINE


@test("P6")
def other_fields_go_through_in_order_and_unchanged(env):
    fields = [("X-b", "2"), ("x-A", "1"), ("X-b", "  3  "), ("Idempotency-Key", '"8e03978e-40d5"'), ("charset", "UTF-8"),
              ("Cookie", "a=b; c=d"), ("Cookie", "e=f"),
              ("X-Latin", "gr\xfc\xdfe"), ("X-Empty", ""), ("X-Tab", "a\tb"), ("User-Agent", "curl/8 (\"x\")"), ("If-None-Match", '"x"'),
              ("Range", "bytes=0-5"),
              ("X-Long", "y" * 5000), ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "1.2.3.4"), ("Origin", "null"),
              ("Referer", "http://x/")]
    wanted = [(name.encode(), value.encode("latin-1").strip()) for name, value in fields]
    back = [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Edgeconnect-Midmile-Rtt", "12"), ("request-time", "93"), ("X-Latin", "\xe9"),
            ("WWW-Authenticate", "Basic"),
            ("Retry-After", "5"), ("X-Empty", ""), ("ETag", 'W/"1"'), ("Server", "devplat-gateway"),
            ("Date", "Mon, 23 Nov 2026 20:00:00 GMT"), ("Vary", "a"), ("Vary", "b")]
    origin, proxy = plain(env, answering(fields=back))
    response = proxy.exchange(fields=fields)
    names = {name.lower() for name, _ in wanted}
    assert [field for field in origin.requests[0].head.fields if field[0].lower() in names] == wanted, origin.requests[0].head.raw
    wanted = [(name.encode(), value.encode("latin-1")) for name, value in back]
    names = {name.lower() for name, _ in wanted}
    assert [field for field in response.head.fields if field[0].lower() in names] == wanted, response.head.raw


@test("P6")
def a_post_without_a_body_says_so_to_the_origin(env):
    origin, proxy = plain(env)
    with proxy.connect() as client:
        for raw in (b"POST /API/v3/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    b"POST /API/v3/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                    b"PUT /API/v3/c HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            client.send(raw)
            assert client.response().status == 200
    assert [request.get("Content-Length") for request in origin.requests] == [b"0", b"0", b"0"]
    proxy.exchange("GET")
    assert not origin.requests[3].head.has("Content-Length") and not origin.requests[3].head.has("Transfer-Encoding")


# ---- bodies ----

SIZES = {"0B": 0, "1B": 1, "1KiB": 1024, "70kB": 70000, "3MiB": 3 * MIB}


@test("P6", limit=40, cases={"%s_%s" % (name, "chunked" if chunked else "sized"): (SIZES[name], chunked)
                             for name in SIZES for chunked in (False, True)})
def a_body_goes_through_in_both_directions(env, size, chunked):
    origin, proxy = plain(env, reflecting(chunk=5000 if chunked else 0))
    body = noise(size)
    with proxy.connect() as client:
        for _ in range(2):
            client.request("POST", body=body, chunked=chunked)
            response = client.response()
            assert response.body == body
            assert response.framing == ("chunked" if chunked else "length")
    for request in origin.requests:
        assert request.body == body and request.framing == ("chunked" if chunked else "length")
    assert len(origin.used()) == 1


@test("P6")
def an_answer_may_be_cut_at_every_byte(env):
    sized = wire.message("HTTP/1.1 200 OK", ["Content-Type: text/plain", "X-A: b", "Content-Length: 12"], b"hello, world")
    chunky = wire.message("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked", "Trailer: X-Sum"],
                          b"5;x=y\r\nhello\r\n0007\r\n, world\r\n0\r\nX-Sum: 12\r\n\r\n")
    cuts = [(raw, at) for raw in (sized, chunky) for at in range(1, len(raw))]

    def script(conn, request):
        raw, at = cuts[int(request.target.rpartition("/")[2])]
        conn.send(raw[:at])
        time.sleep(0.0005)
        conn.send(raw[at:])
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        for number in range(len(cuts)):
            client.request(target="/API/v3/%d" % number)
            response = client.response()
            assert (response.status, response.body) == (200, b"hello, world"), (cuts[number], response)
    assert len(origin.used()) == 1


@test("P6")
def an_answer_may_come_byte_by_byte_in_records_and_on_the_wire(env):
    raw = wire.message("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"], wire.chunked(b"slow but sure", 5))
    origin, proxy = plain(env, lambda conn, request: conn.send_in_steps(raw, 1, 0.0005))
    assert proxy.exchange().body == b"slow but sure"
    origin.script = lambda conn, request: conn.send_wire_in_steps(raw, 1, 0.0005)
    assert proxy.exchange().body == b"slow but sure"


@test("P6")
def an_answer_until_close_is_whole_and_ends_the_origin_connection(env):
    origin, proxy = plain(env, sending(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end", end="close"))
    for version in ("1.1", "1.0"):
        with env.part(version):
            response = proxy.exchange(version=version)
            assert (response.status, response.body, response.cut) == (200, b"to the end", None)
            assert response.framing == ("chunked" if version == "1.1" else "close")
    origin.script = sending(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold", end="close")
    assert proxy.exchange().body == b"old"
    assert len(origin.used()) == 3


@test("P6")
def an_http_1_0_origin_is_understood(env):
    origin, proxy = plain(env, sending(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"))
    with proxy.connect() as client:
        for _ in range(2):
            client.request()
            response = client.response()
            assert response.body == b"old" and response.version == b"HTTP/1.1"
    assert len(origin.used()) == 2  # HTTP/1.0 without keep-alive is not reused


@test("P6")
def head_204_and_304_have_no_body_and_keep_the_connection(env):
    def script(conn, request):
        status = int(request.target.rpartition("/")[2])
        length = ["Content-Length: 1234"] if status != 204 else []
        conn.send(wire.message("HTTP/1.1 %d X" % status, ['ETag: "1"', "Content-Type: text/plain"] + length))
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        for method, status in (("HEAD", 200), ("GET", 304), ("GET", 204), ("HEAD", 404), ("HEAD", 304), ("DELETE", 204)):
            client.request(method, "/API/v3/%d" % status)
            response = client.response(method)
            assert response.status == status and response.get("ETag") == b'"1"'
            if method == "HEAD" and status in (200, 404):
                assert response.get("Content-Length") == b"1234"
            assert status != 204 or not response.head.has("Content-Length")
    assert len(origin.used()) == 1


@test("P6")
def a_head_answer_with_chunked_has_no_body(env):
    origin, proxy = plain(env, sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    with proxy.connect() as client:
        for _ in range(2):
            client.request("HEAD")
            assert client.response("HEAD").status == 200
            assert client.is_silent(0.05)
    assert len(origin.used()) == 1


# ---- trailers ----

@test("P6")
def trailers_go_through_as_trailers_or_vanish(env):
    def script(conn, request):
        conn.body(request)
        conn.send(wire.message("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked", "Trailer: X-Sum"], wire.chunked(
            b"body", trailers=b"X-Sum: 5\r\nContent-Type: text/evil\r\nSet-Cookie: a=b\r\n")))
    origin, proxy = plain(env, script)
    trailers = b"X-Sum: 12\r\nContent-Type: text/evil\r\nMax-Forwards: 0\r\nCookie: a\r\n"
    with proxy.connect() as client:
        for version in ("1.1", "1.1", "1.0"):
            client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked", "TE: trailers"],
                                     wire.chunked(b"hello", trailers=trailers))
                        if version == "1.1" else b"POST /API/v3/x HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
            response = client.response()
            assert response.status == 200 and response.body == b"body"
            for name in ("X-Sum", "Content-Type", "Set-Cookie"):
                assert not (response.framing == "chunked" and response.head.has(name)), "a trailer became a field: " + name
            if response.trailers:
                assert set(response.trailers.names()) <= {b"x-sum"}, response.trailers.fields
    for request in origin.requests:
        assert request.body == b"hello" and request.get("Host") == origin.authority.encode()
        if request.trailers:
            assert set(request.trailers.names()) <= {b"x-sum"}, request.trailers.fields
        assert not request.head.has("X-Sum")


# ---- truncation is visible ----

SIZED_CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400
CHUNKED_CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 400
CUTS = {
    "sized_close": (SIZED_CUT, "close"), "sized_cut": (SIZED_CUT, "cut"), "sized_reset": (SIZED_CUT, "reset"),
    "chunked_close": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\n", "close"),
    "chunked_cut": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\n", "cut"),
    "chunked_reset": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\n", "reset"),
    "chunked_in_a_chunk": (CHUNKED_CUT + b"191\r\n" + b"x" * 400, "close"),
    "chunked_in_a_size": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\n1", "close"),
    "chunked_in_the_end": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\n0\r\n", "close"),
    "chunked_broken": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\nzz\r\n", None),
    "chunked_broken_trailer": (CHUNKED_CUT + b"190\r\n" + b"x" * 400 + b"\r\n0\r\nno colon\r\n\r\n", None),
    "until_close_cut": (UNTIL_CLOSE, "cut"), "until_close_reset": (UNTIL_CLOSE, "reset"),
}


@test("P6", cases=CUTS)
def a_truncated_answer_is_visibly_truncated(env, raw, end):
    def script(conn, request):
        conn.send(raw)
        time.sleep(0.1)  # so that an RST overtakes nothing
        if end:
            getattr(conn, end)()
        else:
            conn.wait(5)
    origin, proxy = plain(env, script)
    for version in ("1.1", "1.0"):
        with env.part("HTTP/" + version), proxy.connect() as client:
            client.request(version=version)
            response = client.response(cut_allowed=True)
            assert response.status in (200, 502), response
            assert response.cut or response.status == 502, "%r looks complete" % response
            assert response.cut is None or set(response.body) <= {ord("x")}
            assert client.has_closed()
    assert len(origin.requests) == 2
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P6")
def a_cut_inside_a_tls_record_is_visible(env):
    def script(conn, request):
        conn.send(SIZED_CUT)
        conn.send_part_of_record(b"x" * 600, 300)
        time.sleep(0.1)
        conn.cut()
    _, proxy = plain(env, script)
    response = proxy.exchange(cut_allowed=True)
    assert response.cut and response.body == b"x" * 400


@test("P6", cases={"before_a_byte": (b"", "close"), "in_the_status_line": (b"HTTP/1.1 20", "close"),
                   "in_the_fields": (b"HTTP/1.1 200 OK\r\nContent-Le", "cut"),
                   "reset_in_the_fields": (b"HTTP/1.1 200 OK\r\nX: y\r\n", "reset"),
                   "behind_a_100": (b"HTTP/1.1 100 Continue\r\n\r\n", "close")})
def an_answer_cut_inside_its_head_is_a_502(env, raw, end):
    origin, proxy = plain(env, sending(raw, end=end))
    check_own_error(proxy.exchange(), 502)
    assert len(origin.requests) == 1
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P6", cases={
    "no_http": b"SSH-2.0-OpenSSH\r\n\r\n", "status_line": b"HTTP/1.1 two OK\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "bad_length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "negative_length": b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
    "length_list": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
    "length_and_chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked_twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "unknown_coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xx\r\n\r\n0\r\n\r\n",
    "bare_lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "blank_in_name": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    "cr_in_reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", "status_099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "status_1000": b"HTTP/1.1 1000 OK\r\nContent-Length: 0\r\n\r\n"})
def a_malformed_answer_is_a_502_and_its_bytes_go_nowhere(env, raw):
    origin, proxy = plain(env, sending(raw))
    with proxy.connect() as client:
        client.request()
        response = client.response()
        check_own_error(response, 502)
        assert raw not in response.body
        if response.keeps_alive:
            assert client.is_silent(0.1)
    origin.script = answering()
    assert proxy.exchange().status == 200
    assert origin.requests[0].conn is not origin.requests[-1].conn


# ---- early answers ----

@test("P6", cases={"kept_open": False, "closed": True})
def an_answer_before_the_upload_is_finished_reaches_the_client(env, close):
    def script(conn, request):
        conn.take(request, 1000)
        conn.answer(413, b"too much", fields=["Connection: close"] if close else [])
        if close:
            conn.close()
        else:
            conn.wait(3)
            conn.is_open = False
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: %d" % MIB]) + b"x" * 100000)
        response = client.response()
        assert response.status == 413 and response.body == b"too much"
        if response.keeps_alive:
            client.send(b"x" * (MIB - 100000))
            client.request()
            assert client.response().status in (200, 413)
    origin.script = answering()
    assert proxy.exchange().status == 200
    assert origin.requests[0].conn is not origin.requests[-1].conn, "a connection with half an upload was reused"


@test("P6")
def bytes_behind_an_early_answer_reach_nobody(env):
    """The answer is whole, the upload is not yet; what the origin says in between must end the connection."""
    go = threading.Event()

    def script(conn, request):
        conn.take(request, 1000)
        conn.answer(body=b"early")
        go.wait(5)
        conn.send(STRAY)
        told.set()
        conn.body(request)
    told = threading.Event()
    origin, proxy = plain(env)
    origin.scripts = [script]
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: 2000"], b"x" * 1000))
        response = client.response()
        assert response.body == b"early"
        go.set()
        assert told.wait(5)
        time.sleep(0.1)
        if response.keeps_alive:
            client.send(b"x" * 1000)
            client.request()
            assert client.response().body == FINE
    assert proxy.exchange().body == FINE
    assert len(origin.used()) == 2


@test("P6")
def an_upload_that_goes_on_behind_an_early_answer_gets_it_whole(env):
    def script(conn, request):
        conn.take(request, 1000)
        conn.answer(400, b"e" * 300000)
        conn.wait(3)
        conn.is_open = False
    _, proxy = plain(env, script)
    body = b"x" * (8 * MIB)
    with proxy.connect() as client:
        def upload():
            try:
                client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: %d" % len(body)]) + body)
            except OSError:
                pass
        thread = threading.Thread(target=upload)
        thread.start()
        response = client.response()
        client.sock.shutdown(2)
        thread.join()
    assert response.status == 400 and len(response.body) == 300000


# ---- no answer ever reaches another client ----

STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


@test("P6", cases={
    "sized": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "chunked": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "head": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "204_with_length": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    "304": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
    "empty": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")})
def bytes_behind_an_answer_never_reach_another_client(env, method, raw):
    origin, proxy = plain(env)
    for how in ("at once", "a moment later", "one byte", "inside a piece"):
        with env.part(how):
            def script(conn, request):
                if how == "at once":
                    conn.send(raw + STRAY)
                elif how == "inside a piece":
                    conn.send(raw[:-1] if raw.endswith(b"ok") else raw)
                    conn.send((raw[-1:] if raw.endswith(b"ok") else b"") + STRAY)
                elif how == "one byte":
                    conn.send(raw + b"H")
                else:
                    conn.send(raw)
                    time.sleep(0.05)
                    conn.send(STRAY)
                conn.wait(0.5)
            origin.scripts = [script]
            with proxy.connect() as client:
                client.request(method)
                first = client.response(method)
                assert first.status in (200, 204, 304)
                time.sleep(0.15)
                assert first.body in (b"", b"ok")
                client.request(target="/API/v3/second")
                assert client.response().body == FINE
            assert proxy.exchange(target="/API/v3/third").body == FINE
    assert len({request.conn for request in origin.requests if request.target.endswith("whoami")}) >= 4


@test("P6")
def a_204_that_has_a_body_is_delivered_clean(env):
    origin, proxy = plain(env, sending(b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison"))
    with proxy.connect() as client:
        client.request()
        response = client.response()
        assert response.status in (204, 502) and b"poison" not in response.body
        origin.script = answering()
        client.request()
        assert client.response().body == FINE


@test("P6")
def answers_stay_with_their_clients_under_load(env):
    def script(conn, request):
        conn.body(request)
        count = int(request.target.rpartition("=")[2])
        conn.answer(body=(request.target.encode() + b".") * count, chunk=count % 3 * 100, content_type="text/plain")
    _, proxy = plain(env, script)
    bad = []

    def one(name):
        with proxy.connect() as client:
            for number in range(30):
                target = "/API/v3/%d/%d?n=%d" % (name, number, (name * 31 + number * 7) % 400)
                client.request(target=target)
                body = client.response().body
                if body != (target.encode() + b".") * int(target.rpartition("=")[2]):
                    bad.append((target, body[:80]))
    threads = [threading.Thread(target=one, args=(name,)) for name in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad, bad


# ---- the pool ----

@test("P6")
def connections_to_the_origin_are_reused(env):
    origin, proxy = plain(env)
    for _ in range(8):
        assert proxy.exchange().status == 200
    assert len(origin.used()) == 1
    origin.script = answering(fields=["Connection: close"])
    for _ in range(3):
        assert proxy.exchange().status == 200
    assert len({request.conn for request in origin.requests[8:]}) == 3


@test("P6", cases={"close": "close", "cut": "cut", "reset": "reset"})
def a_connection_that_closed_while_idle_costs_nobody_an_error(env, end):
    origin, proxy = plain(env)
    for method, body in (("GET", None), ("POST", b"carried out once"), ("DELETE", None), ("POST", b"x" * 100000)):
        def script(conn, request):
            conn.answer()
            getattr(conn, end)()
        origin.scripts = [script]
        assert proxy.exchange().status == 200
        time.sleep(0.15)
        with env.part(method):
            assert proxy.exchange(method, body=body).status == 200
            assert origin.requests[-1].body == (body or b"")
    assert len(origin.requests) == 8


@test("P6", cases={"close": "close", "cut": "cut", "reset": "reset"})
def a_close_that_could_be_seen_before_sending_is_no_error_for_a_post(env, end):
    """The request and the origin's close are both there when the proxy wakes up, the request first."""
    origin, proxy = plain(env)
    go = threading.Event()

    def script(conn, request):
        conn.answer()
        go.wait(10)
        getattr(conn, end)()
    origin.scripts = [script]
    with proxy.connect() as client:
        client.request()
        assert client.response().status == 200
        proxy.pause()
        client.request("POST", body=b"carried out once")
        time.sleep(0.02)
        go.set()
        time.sleep(0.1)
        proxy.resume()
        response = client.response()
        assert response.status == 200, response
    assert [request.body for request in origin.requests] == [b"", b"carried out once"]


@test("P6", cases={"GET": "GET", "POST": "POST"})
def what_the_origin_said_before_a_request_is_not_its_answer(env, method):
    """Origins close an idle connection with a 408; it and the next request may be there in the same moment, the request first."""
    origin, proxy = plain(env)
    go = threading.Event()

    def script(conn, request):
        conn.answer()
        go.wait(10)
        conn.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nidle").close()
    origin.scripts = [script]
    with proxy.connect() as client:
        client.request()
        assert client.response().status == 200
        time.sleep(1.2)  # a connection that rested: under load nobody need look twice at one that was used a moment ago
        proxy.pause()
        client.request(method, body=b"x" if method == "POST" else None)
        time.sleep(0.02)
        go.set()
        time.sleep(0.1)
        proxy.resume()
        response = client.response()
        assert (response.status, response.body) == (200, FINE), response


@test("P6")
def an_idempotent_request_on_a_stale_connection_is_tried_again(env):
    origin, proxy = plain(env)
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        for end in ("close", "reset"):
            with env.part(method + " " + end):
                assert proxy.exchange().status == 200
                before = len(origin.requests)
                origin.scripts = [ending(end)]
                response = proxy.exchange(method, body=b"again" if method == "PUT" else None)
                assert response.status == 200, response
                tries = origin.requests[before:]
                assert len(tries) == 2 and tries[0].conn is not tries[1].conn
                assert tries[0].head.raw == tries[1].head.raw and tries[1].body == (b"again" if method == "PUT" else b"")


@test("P6")
def a_post_that_may_have_been_processed_is_never_sent_again(env):
    origin, proxy = plain(env)
    for end in ("close", "cut", "reset"):
        for after_body in (True, False):
            with env.part("%s, after the %s" % (end, "body" if after_body else "head")):
                assert proxy.exchange().status == 200
                before = len(origin.requests)
                origin.scripts = [ending(end, after_body)]
                check_own_error(proxy.exchange("POST", body=b"order one" * 1000), 502)
                assert len(origin.requests) == before + 1


@test("P6")
def a_fresh_connection_that_ends_unanswered_is_a_502(env):
    origin, proxy = plain(env, ending("close"))
    check_own_error(proxy.exchange(), 502)
    check_own_error(proxy.exchange("POST", body=b"x"), 502)
    assert len(origin.requests) == 2


@test("P6")
def an_answer_cut_after_its_first_byte_is_not_tried_again(env):
    origin, proxy = plain(env)
    assert proxy.exchange().status == 200
    origin.scripts = [sending(b"HTTP/1.1 200 OK\r\n", end="close")]
    check_own_error(proxy.exchange(), 502)
    assert len(origin.requests) == 2


@test("P6")
def an_origin_that_speaks_while_idle_loses_its_connection(env):
    origin, proxy = plain(env)

    def script(conn, request):
        conn.answer()
        conn.wait(0.1)
        conn.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nidle")
        assert conn.proxy_has_closed()
        conn.is_open = False
    origin.scripts = [script]
    assert proxy.exchange().status == 200
    time.sleep(0.3)
    for method in ("GET", "POST"):
        assert proxy.exchange(method, body=b"" if method == "POST" else None).body == FINE
    assert len(origin.used()) == 2


@test("P6")
def idle_connections_are_closed_after_their_time(env):
    origin, proxy = plain(env, timeouts={"origin_idle": "300ms"})
    assert proxy.exchange().status == 200
    conn = origin.requests[0].conn
    eventually(lambda: not conn.is_open, what="the idle connection is closed")
    assert proxy.exchange("POST", body=b"x").status == 200
    assert origin.requests[1].conn is not conn


# ---- the origin is away ----

@test("P8")
def an_origin_that_is_down_is_a_502_and_comes_back_by_itself(env):
    tokens, port = env.origin(), free_port()
    proxy = env.proxy("https://localhost:%d" % port, account={"token_url": tokens.token_url})
    for method in ("GET", "POST"):
        check_own_error(proxy.exchange(method, body=b"x" if method == "POST" else None), 502)
    proxy.wait_log(r"refused")
    with proxy.connect() as client:
        for _ in range(2):
            client.request()
            response = client.response()
            check_own_error(response, 502)
            assert response.keeps_alive


@test("P8")
def an_origin_whose_name_does_not_resolve_is_a_502(env):
    tokens = env.origin()
    proxy = env.proxy("https://no-such-host.invalid", account={"token_url": tokens.token_url})
    check_own_error(proxy.exchange(), 502)
    proxy.wait_log(r"resolve")


# ---- redirects ----

@test("P2")
def a_redirect_is_passed_on_and_not_followed(env):
    other = env.origin()
    origin, proxy = plain(env)
    for status in (301, 302, 303, 307, 308):
        for place in ("https://%s/API/v3/there" % other.authority, "/API/v3/elsewhere", "https://evil.example/"):
            origin.scripts = [answering(status, b"moved", fields=["Location: " + place])]
            response = proxy.exchange()
            assert (response.status, response.get("Location"), response.body) == (status, place.encode(), b"moved")
    assert other.connections == [] and len(origin.requests) == 15


@test("P6")
def every_status_goes_through_with_its_reason_and_body(env):
    origin, proxy = plain(env)
    body = b'{"meta":{"httpStatus":"429 - Too Many Requests","error":{"errorCode":"X"}}}'
    for status, reason in ((201, "Created"), (202, ""), (206, "Partial"), (299, "Odd Thing"), (400, "Bad"), (403, "No"), (404, "Where"),
                           (411, "Length"), (429, "Slow down"),
                           (499, "x"), (500, "Oh"), (503, "Away"), (504, "Late"), (599, "Last")):
        origin.scripts = [answering(status, body, fields=["Retry-After: 7"], reason=reason)]
        response = proxy.exchange()
        with env.part(str(status)):
            assert (response.status, response.body, response.get("Retry-After")) == (status, body, b"7")
            assert response.reason == reason.encode(), response.reason
            assert not response.head.has("X-Qproxy-Error")
    assert len(origin.requests) == 14


# ---- streaming ----

@test("P6")
def a_piece_of_a_stream_arrives_while_the_rest_is_still_to_come(env):
    def script(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            conn.send(b"6\r\nevent\n\r\n")
            received.wait(10)
            received.clear()
        conn.send(b"0\r\n\r\n")
    received = threading.Event()
    _, proxy = plain(env, script)
    with proxy.connect() as client:
        client.request()
        assert client.head().status == 200
        for _ in range(3):
            began = time.monotonic()
            assert client.source.until(b"\n\r\n").endswith(b"event\n\r\n")
            assert time.monotonic() - began < 3
            received.set()


@test("P6")
def a_piece_of_an_upload_arrives_while_the_rest_is_still_to_come(env):
    def script(conn, request):
        for _ in range(3):
            conn.source.until(b"piece\r\n")
            received.set()
        conn.body(request)
        conn.answer()
    received = threading.Event()
    _, proxy = plain(env, script)
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked"]))
        for _ in range(3):
            client.send(b"5\r\npiece\r\n")
            assert received.wait(5)
            received.clear()
        client.send(b"0\r\n\r\n")
        assert client.response().status == 200


@test("P7", limit=40)
def a_reader_that_pauses_stops_the_origin(env):
    total = 96 * MIB
    sent = []

    def script(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        block = noise(MIB)
        for _ in range(total // MIB):
            conn.send(block)
            sent.append(time.monotonic())
    origin, proxy = plain(env, script, timeouts={"client_body": "30s"})
    with proxy.connect(receive_buffer=65536) as client:
        client.request()
        assert client.head().status == 200
        eventually(lambda: sent and time.monotonic() - sent[-1] > 1.0, what="the origin is stopped")
        assert len(sent) < 60, "%d MiB went into the proxy for a reader that pauses" % len(sent)
        rest = hashlib.sha256()
        left = total
        while left:
            piece = client.source.some()
            assert piece
            rest.update(piece)
            left -= len(piece)
    whole = hashlib.sha256()
    for _ in range(total // MIB):
        whole.update(noise(MIB))
    assert rest.digest() == whole.digest()


@test("P7", limit=40)
def an_origin_that_pauses_stops_the_uploader(env):
    total = 96 * MIB
    go = threading.Event()

    def script(conn, request):
        conn.keep_received = False
        go.wait(20)
        digest = hashlib.sha256()
        left = total
        while left:
            piece = conn.source.some()
            digest.update(piece)
            left -= len(piece)
        request.body = b""
        conn.answer(body=digest.hexdigest().encode())
    _, proxy = plain(env, script, timeouts={"client_body": "30s"}, replay={"memory": "64KiB", "body": "1MiB"})
    block = noise(MIB)
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: %d" % total]))
        client.sock.settimeout(1.5)
        count, at = 0, 0
        try:
            while count < total // MIB:
                at += client.sock.send(block[at:])
                if at == MIB:
                    count, at = count + 1, 0
        except OSError:
            pass
        assert count < 60, "%d MiB went into the proxy for an origin that pauses" % count
        client.sock.settimeout(20)
        go.set()
        client.send(block[at:])
        for _ in range(total // MIB - count - 1):
            client.send(block)
        whole = hashlib.sha256()
        for _ in range(total // MIB):
            whole.update(block)
        assert client.response().body == whole.hexdigest().encode()


# ---- several accounts ----

@test("P2")
def accounts_are_chosen_by_path_prefix(env):
    one, two = env.origin(), env.origin()
    proxy = env.proxy(accounts=[env.account(one, name="one", path_prefix="/one"), env.account(two, name="two", path_prefix="/two")])
    for origin, prefix in ((one, "/one"), (two, "/two")):
        for target in ("/API/v3/a?b=/one/two", "//x", "/", "/one/two"):
            with env.part(prefix + target):
                response = proxy.exchange(target=prefix + target)
                assert response.status == 200, response
                assert origin.requests[-1].target == target and origin.requests[-1].token == origin.minted[0]
    counts = len(one.requests), len(two.requests)
    for target in ("/onenonsense/x", "/API/v3/x", "/", "/ONE/x", "/%6fne/x", "/three/x", "//one/x"):
        with env.part(target):
            check_own_error(proxy.exchange(target=target), 404)
    assert (len(one.requests), len(two.requests)) == counts


@test("P2")
def accounts_are_chosen_by_their_own_listener(env):
    one, two = env.origin(), env.origin()
    socket_path = env.socket_path()
    proxy = env.proxy(accounts=[env.account(one, name="one", listen="127.0.0.1:0"),
                                env.account(two, name="two", listen="unix:" + socket_path)],
                      listen="127.0.0.2:0")
    ports = [number for number, address in enumerate(proxy.addresses) if not isinstance(address, str)]
    statuses = {number: proxy.exchange(listener=number).status for number in ports}
    assert sorted(statuses.values()) == [200, 404], statuses  # the common listener is no account's
    assert proxy.exchange(listener=proxy.addresses.index(socket_path)).status == 200
    assert proxy.exchange(listener=proxy.addresses.index(socket_path)).status == 200
    assert proxy.exchange(listener=[number for number in ports if statuses[number] == 200][0]).status == 200
    assert [len(one.requests), len(two.requests)] == [2, 2]
    assert {request.token for request in two.requests} == {two.minted[0]}


@test("P2")
def accounts_are_chosen_by_host_and_one_takes_the_rest(env):
    one, two, rest = env.origin(), env.origin(), env.origin()
    proxy = env.proxy(accounts=[env.account(one, name="one", host=["one.internal", "uno.internal"]),
                                env.account(two, name="two", host="two.internal"),
                                env.account(rest, name="rest")])
    for origin, hosts in ((one, ("one.internal", "ONE.internal:8080", "uno.internal")), (two, ("two.internal", "Two.Internal:1")),
                          (rest, ("localhost", "one.internal.example", "xone.internal"))):
        for host in hosts:
            with env.part(host):
                before = len(origin.requests)
                assert proxy.exchange(host=host).status == 200
                assert len(origin.requests) == before + 1 and origin.requests[-1].token == origin.minted[0]
    with env.part("HTTP/1.0 without Host"):
        assert proxy.exchange(version="1.0", host=None).status == 200
        assert len(rest.requests) == 4


@test("P2")
def one_accounts_trouble_is_not_the_others(env):
    one, two = env.origin(), env.origin()
    one.token_script = answering(500, b"no")
    proxy = env.proxy(accounts=[env.account(one, name="one", path_prefix="/one"), env.account(two, name="two", path_prefix="/two")])
    check_own_error(proxy.exchange(target="/one/API/v3/x"), 503, retry_after=True)
    assert proxy.exchange(target="/two/API/v3/x").status == 200


# ---- listeners ----

@test("P6")
def a_unix_socket_serves_like_a_port(env):
    origin = env.origin()
    path = env.socket_path()
    proxy = env.proxy(origin, listen=["unix:" + path, "127.0.0.1:0"])
    for listener in range(2):
        with proxy.connect(listener) as client:
            for body in (b"one", b"two" * 50000):
                client.request("POST", body=body)
                assert client.response().status == 200
    assert [len(request.body) for request in origin.requests] == [3, 150000] * 2
    assert path in proxy.addresses


@test("P6")
def an_ipv6_address_serves_too(env):
    origin = env.origin()
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # this machine has no IPv6
    proxy = env.proxy(origin, listen=["[::1]:0", "127.0.0.1:0"])
    assert proxy.exchange(listener=0, host="[::1]:%d" % proxy.port).status == 200
    assert proxy.exchange(listener=1).status == 200
    assert re.search(rb"listening on \[::1\]:[0-9]+\n", bytes(proxy.stdout))


@test("P6")
def several_workers_all_serve(env):
    origin = env.origin()
    proxy = env.proxy(origin, workers=3)
    with env.part("many connections"):
        assert {response.status for response in proxy.burst(40)} == {200}
    assert len(origin.token_calls) == 1
