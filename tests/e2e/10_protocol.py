"""The client's side of HTTP: what is understood, what is refused, and how a connection lives (RFC 9110, RFC 9112)."""

import time

import wire
from harness import check_own_error, eventually, test
from rawclient import request_bytes
from scripted_origin import FINE, answering, reflecting

GET = b"GET /API/v3/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def plain(env, script=None, **keys):
    """An origin and a proxy that has its token."""
    origin = env.origin()
    if script:
        origin.script = script
    proxy = env.proxy(origin, **keys)
    return origin, proxy


# ---- versions and connections ----

@test("P6", smoke=True)
def a_plain_request_is_answered_with_what_the_origin_said(env):
    origin, proxy = plain(env)
    response = proxy.exchange()
    assert (response.status, response.reason, response.body) == (200, b"OK", FINE)
    assert response.get("Content-Type") == b"application/json"
    assert len(origin.requests) == 1 and origin.requests[0].token == origin.minted[0]


@test("P6")
def a_connection_carries_many_requests(env):
    origin, proxy = plain(env)
    with proxy.connect() as client:
        for number in range(20):
            client.request(target="/API/v3/%d" % number)
            response = client.response()
            assert response.status == 200 and response.keeps_alive
    assert [request.target for request in origin.requests] == ["/API/v3/%d" % number for number in range(20)]


@test("P6")
def connection_close_is_kept_as_a_promise(env):
    _, proxy = plain(env)
    for field in ("close", "Close", "keep-alive, close", "foo,close"):
        with env.part(field), proxy.connect() as client:
            client.request(fields=[("Connection", field)])
            assert not client.response().keeps_alive
            assert client.has_closed()


@test("P6", smoke=True)
def an_http_1_0_client_gets_no_chunks_and_a_close(env):
    origin, proxy = plain(env)
    for name, script in (("sized", answering()), ("chunked", answering(chunk=10))):
        with env.part(name), proxy.connect() as client:
            origin.script = script
            client.request(version="1.0", host=None)
            response = client.response()
            assert response.status == 200 and response.body == FINE
            assert response.framing in ("length", "close")
            assert not response.head.has("Transfer-Encoding") and not response.keeps_alive
            assert client.has_closed()
    assert {request.head.version for request in origin.requests} == {b"HTTP/1.1"}


@test("P6")
def an_http_1_0_client_may_ask_to_keep_its_connection(env):
    _, proxy = plain(env)
    with proxy.connect() as client:
        client.request(version="1.0", fields=[("Connection", "keep-alive")])
        if client.response().keeps_alive:
            client.request(version="1.0")
            assert client.response().status == 200
        assert client.has_closed()


@test("P6")
def an_http_1_0_client_gets_no_1xx(env):
    def script(conn, request):
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").answer()
    _, proxy = plain(env, script)
    response = proxy.exchange(version="1.0")
    assert response.status == 200 and response.informed == []


@test("P6")
def requests_in_a_pipeline_are_answered_in_their_order(env):
    def script(conn, request):
        conn.wait(0.2 if request.target.endswith("/0") else 0)
        conn.answer(body=request.target.encode())
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        client.send(b"".join(GET % b"%d" % number for number in range(10)))
        assert [client.response().body for _ in range(10)] == [b"/API/v3/%d" % number for number in range(10)]
        assert client.is_silent(0.1)
    assert len(origin.requests) == 10


@test("P6")
def bodies_in_a_pipeline_stay_with_their_requests(env):
    origin, proxy = plain(env, reflecting())
    bodies = [b"first", b"", b"third" * 3000, b"fourth"]
    with proxy.connect() as client:
        for number, body in enumerate(bodies):
            client.send(request_bytes("POST", "/%d" % number, body=body, chunked=number % 2 == 0))
        client.request(target="/last")
        assert [client.response().body for _ in range(5)] == bodies + [b""]
    assert [request.body for request in origin.requests] == bodies + [b""]


@test("P6")
def a_refused_request_ends_the_pipeline_behind_the_answers_owed(env):
    def script(conn, request):
        conn.wait(0.2)
        conn.answer(body=request.target.encode())
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        client.send(GET % b"1" + GET % b"2" + b"GET /bad HTTP/1.1\r\nHost : x\r\n\r\n" + GET % b"smuggled")
        assert client.response().body == b"/API/v3/1"
        assert client.response().body == b"/API/v3/2"
        check_own_error(client.response(), 400)
        assert client.has_closed()
    time.sleep(0.1)
    assert [request.target for request in origin.requests] == ["/API/v3/1", "/API/v3/2"]


@test("P6")
def an_empty_line_before_a_request_is_forgiven(env):
    _, proxy = plain(env)
    with proxy.connect() as client:
        for _ in range(2):
            client.send(b"\r\n" + GET % b"x")
            assert client.response().status == 200


@test("P6")
def a_client_that_half_closes_still_gets_its_answer(env):
    def script(conn, request):
        conn.wait(0.2)
        conn.answer()
    _, proxy = plain(env, script)
    with proxy.connect() as client:
        client.request().half_close()
        assert client.response().status == 200
        assert client.has_closed()


@test("P7")
def clients_that_vanish_leave_nothing_behind(env):
    def script(conn, request):
        conn.body(request)
        conn.wait(0.1)
        conn.answer(body=b"x" * 200000)
    origin, proxy = plain(env, script)
    whole = request_bytes("POST", "/API/v3/x", body=b"y" * 50000)
    for end in ("abort", "close"):
        for count in (0, 3, 60, 2000, len(whole)):
            client = proxy.connect()
            client.send(whole[:count])
            time.sleep(0.05)
            getattr(client, end)()
    client = proxy.connect()
    client.request()
    client.read(1000)
    client.abort()
    origin.script = answering()
    assert proxy.exchange().status == 200


# ---- a request cut anywhere ----

@test("P6", limit=40)
def a_request_may_be_cut_at_every_byte(env):
    origin, proxy = plain(env, reflecting())
    sized = request_bytes("POST", "/API/v3/a?b=c", [("X-One", "1"), ("x-two", "2"), ("Content-Type", "text/plain")], b"hello, world")
    chunky = (b"PUT /API/v3/chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
              b"5;name=value\r\nhello\r\n0007\r\n, world\r\n0\r\nX-Sum: 12\r\n\r\n")
    with proxy.connect() as client:
        for raw in (sized, chunky):
            for at in range(1, len(raw)):
                client.send_split(raw, at, 0.0005)
                response = client.response()
                assert (response.status, response.body) == (200, b"hello, world"), (at, response)
    heads = {request.without_token for request in origin.requests}
    assert len(heads) == 2, heads


@test("P6")
def a_request_may_come_byte_by_byte(env):
    origin, proxy = plain(env, reflecting())
    with proxy.connect() as client:
        for chunked in (False, True):
            client.send_in_steps(request_bytes("POST", "/API/v3/drip", body=b"slow but sure", chunked=chunked), 1, 0.001)
            assert client.response().body == b"slow but sure"
    assert len(origin.requests) == 2


# ---- methods ----

@test("P6")
def every_method_goes_through(env):
    origin, proxy = plain(env, reflecting())
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "LINK", "M-SEARCH"):
        with env.part(method):
            response = proxy.exchange(method)
            assert response.status == 200, response
            assert origin.requests[-1].method == method
    with env.part("with a body"):
        for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"):
            assert proxy.exchange(method, body=b"body of " + method.encode()).body == b"body of " + method.encode(), method


@test("P6")
def a_method_that_nobody_registered_goes_through_too(env):
    """Any method but CONNECT and TRACE, case-sensitive (RFC 9110 section 9.1)."""
    origin, proxy = plain(env, reflecting())
    for method in ("FROBNICATE", "get", "x!#$%&'*+-.^_`|~9"):
        with env.part(method):
            assert proxy.exchange(method, body=b"hello").body == b"hello"
            assert origin.requests[-1].method == method


@test("P1", smoke=True)
def connect_and_trace_are_refused(env):
    origin, proxy = plain(env)
    for raw in (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"TRACE /API/v3/whoami HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\n\r\n",
                b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", b"CONNECT a.qualtrics.com:443 HTTP/1.0\r\n\r\n",
                b"TRACE / HTTP/1.0\r\n\r\n"):
        with env.part(raw.split(b"\r\n")[0]), proxy.connect() as client:
            client.send(raw)
            response = client.response()
            check_own_error(response, 405)
            assert response.get("Allow") is not None, "405 without Allow (RFC 9110 15.5.6)"
    time.sleep(0.1)
    assert origin.requests == []


@test("P6")
def options_star_goes_through(env):
    origin, proxy = plain(env)
    assert proxy.exchange("OPTIONS", "*").status == 200
    assert origin.requests[0].target == "*"


# ---- what is not HTTP is refused ----

def refuses(env, origin, proxy, cases, statuses=(400,)):
    """Each case gets an own error and a closed connection, and never reaches the origin."""
    for name, raw in cases:
        with env.part(name):
            before = len(origin.requests)
            with proxy.connect() as client:
                client.send(raw + GET % b"smuggled")
                response = client.response()
                assert response.status in statuses, "%r, not one of %r" % (response, statuses)
                check_own_error(response, response.status)
                assert client.has_closed(), "the connection stays open"
            time.sleep(0.005)
            assert len(origin.requests) == before, "it reached the origin: %r" % origin.requests[before:]


def post(*lines, body=b""):
    return wire.message("POST /API/v3/x HTTP/1.1", ("Host: localhost",) + lines, body)


@test("P6")
def a_wrong_content_length_is_refused(env):
    origin, proxy = plain(env)
    refuses(env, origin, proxy, [(repr(value), post(b"Content-Length: " + value, body=b"abcde")) for value in (
        b"+5", b"-1", b"5,5", b"5, 6", b"5 5", b"0x5", b"", b"5;", b"five", b"99999999999999999999999", b"18446744073709551616", b"5.0",
        b'"5"', b"\xb2")])
    refuses(env, origin, proxy, [
        ("two that differ", post("Content-Length: 5", "Content-Length: 6", body=b"abcdef")),
        ("two in one case each", post("Content-Length: 5", "content-length: 4", body=b"abcde")),
        ("blank before the colon", post("Content-Length : 5", body=b"abcde"))])


@test("P6")
def a_wrong_transfer_encoding_is_refused(env):
    origin, proxy = plain(env)
    end = b"0\r\n\r\n"
    refuses(env, origin, proxy, [(repr(value), post(b"Transfer-Encoding: " + value, body=end)) for value in (
        b"chunked, chunked", b"chunked, identity", b"identity", b"xchunked", b"chunked;q=1", b"gzip", b"chunked, gzip", b"", b"\x0bchunked",
        b"chunked\x0b", b'"chunked"', b"chunke", b"chunkedd", b"gzip, chunked", b"chunked foo", b"chun\tked")], (400, 501))
    refuses(env, origin, proxy, [
        ("beside Content-Length", post("Transfer-Encoding: chunked", "Content-Length: 5", body=end)),
        ("Content-Length before it", post("Content-Length: 5", "Transfer-Encoding: chunked", body=end)),
        ("twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=end)),
        ("identity beside it", post("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body=end)),
        ("blank before the colon", post("Transfer-Encoding : chunked", body=end)),
        ("in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + end)], (400, 501))


@test("P6")
def a_head_that_is_not_clean_is_refused(env):
    origin, proxy = plain(env)
    refuses(env, origin, proxy, [
        ("bare LF", b"GET / HTTP/1.1\nHost: localhost\n\n"),
        ("bare LF behind a field", b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n"),
        ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n"),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n"),
        ("control in a value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x01b\r\n\r\n"),
        ("folded line", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n"),
        ("folded by a tab", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\r\n\r\n"),
        ("blank before the first field", b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n"),
        ("blank in a name", b"GET / HTTP/1.1\r\nHost: localhost\r\nX Y: z\r\n\r\n"),
        ("blank before a colon", b"GET / HTTP/1.1\r\nHost: localhost\r\nX : z\r\n\r\n"),
        ("no name", b"GET / HTTP/1.1\r\nHost: localhost\r\n: z\r\n\r\n"),
        ("no colon", b"GET / HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n"),
        ("8 bits in a name", b"GET / HTTP/1.1\r\nHost: localhost\r\nX\xe9: z\r\n\r\n"),
        ("two blanks", b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("a blank in the target", b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("a tab for a blank", b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("control in the target", b"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("DEL in the target", b"GET /\x7f HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("8 bits in the target", b"GET /\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("fragment in the target", b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("no slash", b"GET API/v3 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("star for GET", b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("a method that is no token", b"GE(T / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("no method", b" / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("lower case version", b"GET / http/1.1\r\nHost: localhost\r\n\r\n"),
        ("long version", b"GET / HTTP/1.10\r\nHost: localhost\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 300 + b"\r\n\r\n"),
        ("noise", bytes(range(128, 256)) + b"\r\n\r\n"),
    ])
    refuses(env, origin, proxy, [
        ("no version", b"GET /\r\nHost: localhost\r\n\r\n"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        ("HTTP/0.9", b"GET / HTTP/0.9\r\nHost: localhost\r\n\r\n"),
        ("HTTP/3.1", b"GET / HTTP/3.1\r\nHost: localhost\r\n\r\n")], (400, 501, 505))


@test("P6")
def a_missing_doubled_or_wrong_host_is_refused(env):
    origin, proxy = plain(env)
    refuses(env, origin, proxy, [("none", b"GET / HTTP/1.1\r\n\r\n"), ("two", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
                                 ("two alike", b"GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"),
                                 ("two in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")])
    refuses(env, origin, proxy, [(value, b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % value.encode("latin-1")) for value in (
        "a b", "a/b", "user@a", "a:b", "a:99999x", "http://a", "a?b", "a#b", "[::1", "::1", "a\\b", "<a>", "\xe9")])
    refuses(env, origin, proxy, [("absolute-form and none", b"GET http://a/ HTTP/1.1\r\n\r\n")])


@test("P6")
def every_good_host_is_served(env):
    origin, proxy = plain(env)
    for host in ("localhost", "127.0.0.1:80", "[::1]:8080", "a.b-c.example", "A_b", "a:", "x%20y"):
        with env.part(host):
            response = proxy.exchange(host=host)
            assert response.status == 200 or (host in ("a:", "x%20y") and response.status == 400), response
    assert {request.get("Host") for request in origin.requests} == {origin.authority.encode()}


@test("P6")
def a_broken_chunk_is_refused_and_the_origin_sees_no_end(env):
    origin, proxy = plain(env)
    head = post("Transfer-Encoding: chunked")
    cases = [("size %r" % size, size + b"\r\nhello\r\n0\r\n\r\n") for size in (
        b"g", b"", b"-5", b"+5", b"0x5", b"5 ", b" 5", b"5\x0b", b"FFFFFFFFFFFFFFFFF", b"10000000000000000", b"5;\x00", b"5\r", b"5,")]
    cases += [("short data", b"6\r\nhello\r\n0\r\n\r\n"), ("long data", b"4\r\nhello\r\n0\r\n\r\n"), ("bare LF", b"5\nhello\r\n0\r\n\r\n"),
              ("bare LF behind data", b"5\r\nhello\n0\r\n\r\n"), ("bare LF at the end", b"5\r\nhello\r\n0\r\n\n"),
              ("a broken trailer", b"5\r\nhello\r\n0\r\nno colon\r\n\r\n"),
              ("a folded trailer", b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"), ("CR in an extension", b"5;a=\rb\r\nhello\r\n0\r\n\r\n"),
              ("LF in an extension", b"5;a\nhello\r\n0\r\n\r\n")]
    for name, body in cases:
        with env.part(name), proxy.connect() as client:
            client.send(head + body + GET % b"smuggled")
            response = client.response()
            check_own_error(response, 400)
            assert client.has_closed(), "the connection stays open"
    eventually(lambda: all(not request.conn.is_open for request in origin.requests), what="the origin's connections end")
    assert all(request.body is None for request in origin.requests), "a broken request looked whole to the origin: %r" % origin.requests
    assert not any(request.target.endswith("smuggled") for request in origin.requests)
    assert proxy.exchange().status == 200


@test("P6")
def chunk_extensions_are_read_over_and_not_passed_on(env):
    origin, proxy = plain(env, reflecting())
    body = b'5;a\r\nhello\r\n5;a="b;c";d=e\r\nworld\r\n5 ;\ta\r\nspace\r\n0;last\r\n\r\n'
    with proxy.connect() as client:
        client.send(post("Transfer-Encoding: chunked", body=body.replace(b"5 ;\ta", b"5;ab")))
        assert client.response().body == b"helloworldspace"
    assert b";" not in bytes(origin.requests[0].conn.received).partition(b"\r\n\r\n")[2]


# ---- an error answer arrives, whatever the client still sends ----

@test("P6")
def an_error_answer_survives_the_bytes_behind_it(env):
    _, proxy = plain(env, limits={"body": "1MiB"})
    bulk = b"x" * 65536
    for name, head in (("400", b"POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 9999999\r\n\r\n"),
                       ("405", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
                       ("413", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")):
        with env.part(name), proxy.connect() as client:
            client.send(head)
            client.sock.settimeout(0.2)
            try:
                for _ in range(8):
                    client.send(bulk)
                    time.sleep(0.01)
            except OSError:
                pass  # the proxy may stop reading; its answer must be there nevertheless
            client.sock.settimeout(10)
            response = client.response()
            check_own_error(response, int(name))
            assert not response.keeps_alive


# ---- targets ----

@test("P6")
def a_target_goes_through_byte_for_byte(env):
    origin, proxy = plain(env)
    targets = ["/", "//", "///API//v3///surveys/", "/API/v3/surveys/", "/API/v3/./surveys/../x", "/..", "/%2e%2e/%2E", "/a%2fb", "/a%2Fb",
               "/%zz", "/a?", "/a??",
               "/?", "/a?b", "/a?b=c&d=e%20f+g", "/a?http://x/y?z", "/a;b=c;d", "/a,b!$&'()*+~_-.@:", "/a?x=/../..", "/a%00b", "/%E2%82%AC",
               "/a?%7B%22proxyDepth%22%3A1%7D",
               "/a'b", "/a[b]", "/a|b", "/a\"b", "/a<b>", "/a{b}", "/a^b", "/a`b", "/a\\b", "/" + "x" * 4000]
    with proxy.connect() as client:
        for target in targets:
            client.request(target=target)
            response = client.response()
            with env.part(target):
                assert response.status == 200, response
                assert origin.requests[-1].target == target
            if not response.keeps_alive:
                client = proxy.connect()


@test("P2")
def an_absolute_target_is_reduced_and_chooses_no_destination(env):
    origin, proxy = plain(env)
    for target, wanted in (("http://localhost/API/v3/a?b=c", "/API/v3/a?b=c"), ("http://evil.example/API/v3/a", "/API/v3/a"),
                           ("http://evil.example:81", "/"), ("http://evil.example?x=1", "/?x=1"),
                           ("https://evil.example//a/../b%2f", "//a/../b%2f"),
                           ("HTTP://Evil.example/", "/"), ("http://[::1]:8080/a", "/a")):
        with env.part(target):
            response = proxy.exchange(target=target, host="localhost")
            assert response.status == 200, response
            assert origin.requests[-1].target == wanted, origin.requests[-1].target
            assert origin.requests[-1].get("Host") == origin.authority.encode()


@test("P1")
def userinfo_in_a_target_is_refused_or_dropped(env):
    origin, proxy = plain(env)
    secret = env.client_credential("pass-" + env.run_id)
    with proxy.connect() as client:
        client.request(target="http://user:%s@localhost/API/v3/a" % secret)
        assert client.response().status in (200, 400)
    assert all(secret.encode() not in request.head.raw for request in origin.requests)
    assert all(request.token in origin.minted for request in origin.requests)


# ---- Expect: 100-continue ----

def expecting(method="POST", length=5, fields=()):
    own = ["Host: localhost", "Expect: 100-continue", "Content-Length: %d" % length]
    return wire.message("%s /API/v3/expect HTTP/1.1" % method, own + list(fields))


@test("P6")
def a_client_that_waits_for_100_gets_it_although_the_origin_says_nothing(env):
    origin, proxy = plain(env, reflecting())
    for name, raw, body in (("sized", expecting(), b"hello"),
                            ("chunked", expecting().replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
                             b"5\r\nhello\r\n0\r\n\r\n"),
                            ("odd case", expecting().replace(b"100-continue", b"100-Continue"), b"hello")):
        with env.part(name), proxy.connect() as client:
            client.send(raw)
            assert client.head().status == 100
            client.send(body)
            response = client.response()
            assert response.body == b"hello" and response.informed == []
    assert len(origin.requests) == 3


@test("P6")
def the_origins_100_reaches_the_client_once(env):
    def script(conn, request):
        if request.head.has("Expect"):
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.body(request)
        conn.answer(body=request.body)
    _, proxy = plain(env, script)
    with proxy.connect() as client:
        client.send(expecting())
        assert client.head().status == 100
        client.send(b"hello")
        response = client.response()
        assert response.body == b"hello" and response.informed == []


@test("P6")
def a_final_answer_instead_of_100_reaches_the_client(env):
    def script(conn, request):
        conn.answer(417, b"no", fields=["Connection: close"])
        conn.close()
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        client.send(expecting(length=100000))
        response = client.response()
        assert response.status == 417 and response.body == b"no", response
    assert len(origin.requests) == 1


@test("P6")
def an_http_1_0_client_that_expects_gets_no_100(env):
    _, proxy = plain(env, reflecting())
    with proxy.connect() as client:
        client.send(expecting().replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
        response = client.response()
        assert response.status == 200 and response.body == b"hello" and response.informed == []


@test("P6")
def a_body_sent_without_waiting_for_100_is_taken(env):
    _, proxy = plain(env, reflecting())
    with proxy.connect() as client:
        for _ in range(3):
            client.send(expecting() + b"hello")
            response = client.response()
            assert response.status == 200 and response.body == b"hello" and len(response.informed) <= 1


# ---- 1xx and upgrades ----

@test("P6")
def informational_answers_go_through_one_by_one(env):
    def script(conn, request):
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nX-Hop: 1\r\nConnection: x-hop\r\n\r\n")
        conn.wait(0.2)
        conn.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n").answer(200)
    _, proxy = plain(env, script)
    with proxy.connect() as client:
        client.request()
        first = client.head()
        assert (first.status, first.get("Link")) == (103, b"</a>; rel=preload") and not first.has("X-Hop")
        response = client.response()
        assert [head.status for head in response.informed] == [102, 103] and response.status == 200
        client.request()
        assert client.response().status == 200


@test("P7")
def endless_informational_answers_end_in_502(env):
    def script(conn, request):
        for _ in range(500):
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        conn.answer()
    _, proxy = plain(env, script)
    response = proxy.exchange()
    check_own_error(response, 502)
    assert len(response.informed) < 100


@test("P6")
def an_upgrade_is_not_passed_on_and_a_101_is_an_error(env):
    origin, proxy = plain(env)
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x")]
    assert proxy.exchange(fields=fields).status == 200
    assert not origin.requests[0].head.has("Upgrade")
    switching = wire.message("HTTP/1.1 101 Switching Protocols", ["Upgrade: websocket", "Connection: Upgrade"])
    origin.script = lambda conn, request: conn.send(switching).wait(5)
    for given in (fields, ()):
        check_own_error(proxy.exchange(fields=given), 502)
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P6")
def http2_upgrade_fields_stay_here(env):
    origin, proxy = plain(env)
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")]
    assert proxy.exchange(fields=fields).status == 200
    assert not origin.requests[0].head.has("HTTP2-Settings") and not origin.requests[0].head.has("Upgrade")
