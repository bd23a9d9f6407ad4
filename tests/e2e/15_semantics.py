"""What RFC 9110 wants of a proxy, and what each limit in time and rate does: whatever is not framing (10, 12) or plain relaying (20)."""

import re
import socket
import threading
import time

import wire
from harness import check_own_error, eventually, test
from rawclient import RawClient, request_bytes
from scripted_origin import FINE, answering, ending, reflecting, refusing, sending, silent

MIB = 1 << 20
HOST = "proxy.internal:8080"


def plain(env, script=None, **keys):
    """An origin and a proxy that has its token."""
    origin = env.origin()
    if script:
        origin.script = script
    proxy = env.proxy(origin, **keys)
    return origin, proxy


def access_line(proxy, target):
    """The access line of the last request for this target."""
    pattern = r'^.* access .*"[A-Z]+ %s" .*$' % re.escape(target)
    proxy.wait_log(pattern)
    return re.findall(pattern, proxy.log(), re.MULTILINE)[-1]


# ---- Via, Max-Forwards, upgrades ----

def passing_on(proxy, change=lambda raw: raw):
    """A TLS front: passes the request on to a proxy as it came (but for what `change` does to its head), and the answer back."""
    def script(conn, request):
        body = conn.body(request)
        with RawClient(proxy.address) as client:
            client.send(change(request.head.raw) + (body or b""))
            answer = client.response(request.method)
        fields = [(name, value) for name, value in answer.head.fields if name.lower() not in (b"content-length", b"connection")]
        conn.send(wire.message(answer.head.start, fields + [("Content-Length", str(len(answer.body)))], answer.body))
    return script


@test("P7")
def a_request_that_comes_back_is_a_508_at_once(env):
    front, proxy = plain(env)
    front.script = passing_on(proxy)
    for method, body in (("GET", None), ("POST", b"order")):
        with env.part(method):
            check_own_error(proxy.exchange(method, "/API/v3/loop", body=body), 508, "loop_detected")
    assert len(front.requests) == 2, "each goes round once"
    proxy.wait_log("loop_detected")
    front.script = answering()
    assert proxy.exchange().status == 200


@test("P7")
def a_loop_through_who_removes_comments_ends_too(env):
    front, proxy = plain(env)
    front.script = passing_on(proxy, lambda raw: re.sub(rb" \([0-9a-f]{8}\)", b"", raw))
    check_own_error(proxy.exchange(target="/API/v3/loop"), 508, "loop_detected")
    assert 2 <= len(front.requests) <= 5


@test("P6", cases={"of_one_name": ("qproxy", "qproxy"), "of_different_names": ("edge", "inner")})
def two_qproxies_in_a_row_are_no_loop(env, outer_name, inner_name):
    origin = env.origin()
    origin.script = reflecting()
    front = env.origin()
    inner = env.proxy(origin, via=inner_name)
    outer = env.proxy(front, via=outer_name)
    front.script = passing_on(inner)
    response = outer.exchange("POST", body=b"through both")
    assert (response.status, response.body) == (200, b"through both")
    sent = b", ".join(origin.requests[0].all("Via"))
    assert re.fullmatch(rb"1\.1 %s \([0-9a-f]{8}\), 1\.1 %s \([0-9a-f]{8}\)" % (outer_name.encode(), inner_name.encode()), sent), sent
    assert b", ".join(response.all("Via")) == b"1.1 %s, 1.1 %s" % (inner_name.encode(), outer_name.encode())


@test("P6")
def an_options_request_goes_as_many_hops_as_it_may(env):
    origin, proxy = plain(env)
    for target in ("*", "/API/v3/x"):
        with env.part(target):
            response = proxy.exchange("OPTIONS", target, fields=[("Max-Forwards", "0")])
            assert (response.status, response.body, response.get("Content-Length")) == (200, b"", b"0")
    assert not origin.requests
    for method, given, passed in (("OPTIONS", "7", b"6"), ("GET", "7", b"7"), ("GET", "0", b"0"), ("OPTIONS", "x", b"x")):
        with env.part("%s %s" % (method, given)):
            assert proxy.exchange(method, fields=[("Max-Forwards", given)]).status == 200
            assert origin.requests[-1].get("Max-Forwards") == passed


@test("P6")
def an_upgrade_that_is_demanded_is_not_passed_on_either(env):
    _, proxy = plain(env, answering(426, b"upgrade!", fields=["Upgrade: TLS/1.3", "Connection: Upgrade"]))
    with proxy.connect() as client:
        for _ in range(2):
            client.request()
            response = client.response()
            assert (response.status, response.body) == (426, b"upgrade!")
            assert not response.head.has("Upgrade") and response.keeps_alive


@test("P6")
def an_origin_can_name_neither_framing_nor_via_away(env):
    _, proxy = plain(env, sending(b"HTTP/1.1 200 OK\r\nConnection: content-length, TRANSFER-encoding,,x-one\r\nConnection: date, via\r\n"
                                  b"X-One: 1\r\nX-Two: 2\r\nContent-Length: 5\r\n\r\nwhole"))
    with proxy.connect() as client:
        for _ in range(2):
            client.request()
            response = client.response()
            assert (response.framing, response.body) == ("length", b"whole")
            assert not response.head.has("X-One") and response.get("X-Two") == b"2"
            assert response.head.has("Date") and response.get("Via") == b"1.1 qproxy"


# ---- bodies that are none ----

@test("P6")
def a_205_has_no_content(env):
    origin, proxy = plain(env)
    raws = (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nstray", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstray\r\n0\r\n\r\n",
            b"HTTP/1.1 205 Reset Content\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    for version in ("1.1", "1.0"):
        for raw in raws:
            with env.part("HTTP/%s %r" % (version, raw[30:60])), proxy.connect() as client:
                origin.scripts = [sending(raw)]
                client.request(version=version)
                response = client.response()
                assert (response.status, response.get("Content-Length"), response.body) == (205, b"0", b""), response
                if version == "1.1":
                    client.request()
                    assert client.response().body == FINE


@test("P6")
def a_head_answer_repeats_no_length_that_a_get_would_not_have(env):
    origin, proxy = plain(env)
    page = b'{"result":{"elements":[],"nextPage":"%s/API/v3/x?offset=1"}}' % origin.url.encode()
    kinds = {"json": (page, "application/json", False), "text": (b"text", "text/plain", True)}
    for name, (body, kind, has_length) in kinds.items():
        head = wire.message("HTTP/1.1 200 OK", ["Content-Type: " + kind, "Content-Length: %d" % len(body)])
        with env.part(name), proxy.connect() as client:
            origin.scripts = [sending(head), sending(head + body), sending(head.replace(b"200 OK", b"304 Not Modified"))]
            answers = []
            for method in ("HEAD", "GET", "GET"):
                client.request(method, host=HOST)
                answers.append(client.response(method))
            of_head, of_get, not_modified = answers
            assert not_modified.status == 304 and of_get.head.has("Content-Length")
            for answer in (of_head, not_modified):
                assert answer.get("Content-Length") == (of_get.get("Content-Length") if has_length else None), answer.head.raw
    origin.scripts = [sending(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")]
    assert not proxy.exchange().head.has("Content-Length"), "of which type it is, it does not say"
    bare, raw_proxy = plain(env, account={"rewrite_next_page": False})
    bare.script = sending(wire.message("HTTP/1.1 200 OK", ["Content-Type: application/json", "Content-Length: 77"]))
    assert raw_proxy.exchange("HEAD").get("Content-Length") == b"77"


# ---- trailers ----

@test("P6")
def trailers_go_to_a_client_that_takes_them(env):
    def script(conn, request):
        conn.body(request)
        conn.send(wire.message("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked", "Trailer: X-Sum"],
                               wire.chunked(b"body", trailers=b"X-Sum: 5\r\nSet-Cookie: a=b\r\n")))
    origin, proxy = plain(env, script)
    with proxy.connect() as client:
        for fields, takes in (((("TE", "trailers"), ("Connection", "TE")), True), ((("TE", "gzip, Trailers"),), True), ((), False),
                              ((("TE", "gzip"),), False), ((("X-TE", "trailers"),), False), ((("TE", "trailers"),), True)):
            with env.part(repr(fields)):
                client.request(fields=fields)
                response = client.response()
                assert (response.framing, response.body) == ("chunked", b"body")
                assert response.trailers.fields == ([(b"X-Sum", b"5")] if takes else []), response.trailers.fields
                assert origin.requests[-1].get("TE") == (b"trailers" if takes else None)
    assert proxy.exchange(version="1.0", fields=[("TE", "trailers")]).body == b"body"


# ---- Location ----

@test("P6")
def a_location_within_the_origins_api_leads_back(env):
    other = env.origin()
    origin = env.origin()
    proxy = env.proxy(accounts=[env.account(origin), env.account(origin, name="team", path_prefix="/team")])
    back, team = b"http://proxy.internal:8080", b"http://proxy.internal:8080/team"
    own = origin.url.encode()
    cases = (
        (own + b"/API/v3/there?a=%2F#f", back + b"/API/v3/there?a=%2F#f", team + b"/API/v3/there?a=%2F#f"),
        (own.replace(b"https://localhost", b"HTTPS://LOCALHOST") + b"/API/v4/", back + b"/API/v4/", team + b"/API/v4/"),
        (b"/API/v3/x", b"/API/v3/x", b"/team/API/v3/x"),
        (own + b"/login", None, None), (own + b"/api/v3/x", None, None), (own, None, None), (b"/login", None, None),
        (own.replace(b"https", b"http") + b"/API/v3/x", None, None), (b"//localhost/API/v3/x", None, None),
        (other.url.encode() + b"/API/v3/x", None, None), (b"https://evil.example/API/v3/x", None, None),
        (b"https://x@" + origin.authority.encode() + b"/API/v3/x", None, None), (b"x", None, None),
    )
    for value, plain_wanted, team_wanted in cases:
        for prefix, wanted in (("", plain_wanted), ("/team", team_wanted)):
            for status, name in ((302, b"Location"), (201, b"location"), (200, b"Content-Location")):
                with env.part("%s%s: %r" % (prefix, name.decode(), value)):
                    origin.scripts = [answering(status, b"moved", fields=[b"X-Before: 1", name + b": " + value, b"X-After: 2"])]
                    response = proxy.exchange(target=prefix + "/API/v3/here", host=HOST)
                    assert (response.status, response.body, response.get(name)) == (status, b"moved", wanted or value), response.head.raw
                    assert [key for key, _ in response.head.fields if key in (b"X-Before", name, b"X-After")] == [b"X-Before", name, b"X-After"]
    assert other.connections == []


@test("P6")
def a_client_that_follows_a_location_stays_here(env):
    origin, proxy = plain(env)
    origin.scripts = [answering(303, b"", fields=["Location: %s/API/v3/result" % origin.url]), answering(body=b"arrived")]
    with proxy.connect() as client:
        client.request("POST", "/API/v3/start", host=proxy.authority, body=b"x")
        place = client.response().get("Location").decode()
        assert place == "http://%s/API/v3/result" % proxy.authority
        client.request("GET", place, host=proxy.authority)
        assert client.response().body == b"arrived"
    assert origin.requests[1].target == "/API/v3/result"


@test("P6")
def an_account_can_switch_that_off_too(env):
    origin, proxy = plain(env, account={"rewrite_next_page": False})
    place = "%s/API/v3/there" % origin.url
    origin.script = answering(302, b"", fields=["Location: " + place, "Content-Location: " + place])
    response = proxy.exchange()
    assert response.get("Location") == response.get("Content-Location") == place.encode()


# ---- Expect ----

@test("P6")
def a_417_for_qproxys_own_expectation_is_not_the_clients(env):
    """A body past replay.body goes with an expectation that the client knows nothing of."""
    def script(conn, request):
        if request.head.has("Expect"):
            conn.answer(417, b"what?", fields=["Connection: close"])
            conn.close()
        else:
            conn.answer(body=conn.body(request))
    origin, proxy = plain(env, script, replay={"memory": "1KiB", "body": "4KiB"})
    body = bytes(range(256)) * 64
    response = proxy.exchange("POST", body=body)
    assert (response.status, response.body) == (200, body)
    assert [request.head.has("Expect") for request in origin.requests] == [True, False]
    with proxy.connect() as client:  # its own is answered to it
        client.request("POST", fields=[("Expect", "100-continue")], body=body)
        assert client.response().status == 417


@test("P6")
def an_expectation_survives_its_replay(env):
    def script(conn, request):
        assert request.head.has("Expect")
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.answer(body=conn.body(request))
    origin, proxy = plain(env)
    assert proxy.exchange().status == 200
    origin.script, origin.refusal = script, refusing("before", close=True)
    origin.revoke_all()
    with proxy.connect() as client:
        client.send(request_bytes("POST", fields=[("Expect", "100-continue")], body=b"12345")[:-5])
        assert client.head().status == 100
        client.send(b"12345")
        response = client.response()
        assert (response.status, response.body, response.informed) == (200, b"12345", [])


# ---- early answers, half-closed clients, pipelines ----

@test("P6", cases={"close": "close", "cut": "cut", "reset": "reset"})
def an_early_answer_survives_the_end_of_its_connection(env, end):
    """The origin says no and leaves, and what is still being sent to it resets the connection: the answer is there all the same."""
    def script(conn, request):
        conn.take(request, 1000)
        conn.answer(413, b"too much", fields=["Connection: close"])
        time.sleep(0.05)
        getattr(conn, end)()
    origin, proxy = plain(env, script)
    for _ in range(3):
        with proxy.connect() as client:
            def upload(client=client):
                try:
                    client.send(request_bytes("POST", body=b"x" * (4 * MIB)))
                except OSError:
                    pass
            thread = threading.Thread(target=upload)
            thread.start()
            response = client.response()
            assert (response.status, response.body) == (413, b"too much"), response
            client.sock.shutdown(2)
            thread.join()
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P6")
def a_half_closed_client_gets_all_answers_that_it_asked_for(env):
    def script(conn, request):
        body = conn.body(request)
        conn.wait(0.1)
        conn.answer(body=request.target.encode() + body, chunk=7)
    _, proxy = plain(env, script)
    with proxy.connect() as client:
        client.request("POST", "/a", body=b"1", chunked=True)
        client.request("GET", "/b")
        client.request("PUT", "/c", body=b"3")
        client.half_close()
        assert [client.response().body for _ in range(3)] == [b"/a1", b"/b", b"/c3"]
        assert client.has_closed()


@test("P6")
def a_failure_in_the_middle_of_a_pipeline_is_answered_in_its_place(env):
    """What is wrong with one request only ends neither the connection nor the order."""
    def script(conn, request):
        conn.body(request)
        if request.target.endswith("/dies"):
            conn.reset()
        elif request.target.endswith("/broken"):
            conn.send(b"HTTP/1.1 2OO OK\r\n\r\n")
        else:
            conn.wait(0.05)
            conn.answer(body=request.target.encode())
    origin = env.origin()
    origin.script = script
    proxy = env.proxy(accounts=[env.account(origin, path_prefix="/one")])
    targets = ["/one/a", "/nobody", "/one/dies", "/one/b", "/one/broken", "/two", "/one/c"]
    with proxy.connect() as client:
        client.send(b"".join(request_bytes("POST", target, body=b"x" * 10) for target in targets))
        answers = [client.response() for _ in targets]
        assert client.is_silent(0.1)
    assert [answer.status for answer in answers] == [200, 404, 502, 200, 502, 404, 200]
    assert [answers[i].body for i in (0, 3, 6)] == [b"/a", b"/b", b"/c"]


@test("P6")
def an_http_1_0_client_gets_rewritten_and_endless_answers_until_the_close(env):
    origin, proxy = plain(env)
    page = b'{"result":{"elements":["%s"],"nextPage":"%s/API/v3/x?offset=1"}}' % (b"x" * 100000, origin.url.encode())
    origin.script = answering(body=page, chunk=5000)
    response = proxy.exchange(version="1.0", host=HOST)
    assert response.framing == "close" and b'"nextPage":"http://proxy.internal:8080/API/v3/x?offset=1"' in response.body
    origin.script = sending(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", end="close")
    for version in ("1.0", "1.1"):
        response = proxy.exchange(version=version)
        assert (response.framing, response.body) == ("close" if version == "1.0" else "chunked", b"until the end")


# ---- time and rate ----

def request_timeout(env, script, **keys):
    """A proxy for which no limit but timeouts.request is short."""
    return plain(env, script, timeouts={"request": "600ms"}, limits={"origin_rate": "off"}, **keys)


@test("P7")
def a_request_has_a_time_of_its_own_before_its_answer(env):
    def trickle(conn, request):
        for _ in range(16):
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            conn.wait(0.2)
    origin, proxy = request_timeout(env, silent())
    for name, script in (("silent", silent()), ("only hints", trickle), ("a page that stands", sending(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", step=1))):
        with env.part(name):
            origin.scripts = [script]
            check_own_error(proxy.exchange(target="/API/v3/slow"), 504, "request_timeout")
    assert "error=request_timeout" in access_line(proxy, "/API/v3/slow")
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P7")
def a_request_has_a_time_of_its_own_while_its_token_is_awaited(env):
    origin = env.origin()
    origin.token_script = silent()
    proxy = env.proxy(origin, timeouts={"request": "400ms", "token_wait": "20s", "token_call": "20s"})
    check_own_error(proxy.exchange(), 504, "request_timeout")


@test("P7")
def an_answer_that_does_not_end_in_time_is_cut(env):
    """However lively it is."""
    def stream(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while conn.wait(0.02):
            conn.send(b"5\r\nalive\r\n")
    _, proxy = request_timeout(env, stream)
    response = proxy.exchange(target="/API/v3/endless", cut_allowed=True)
    assert response.cut and set(response.body) == set(b"alive")
    line = access_line(proxy, "/API/v3/endless")
    assert " end=TB " in line and "error=request_timeout" in line, line


@test("P7")
def an_upload_that_does_not_end_in_time_is_a_504(env):
    _, proxy = request_timeout(env, answering())
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: 1000000"]))
        stop = time.monotonic() + 10
        while client.is_silent(0.05) and time.monotonic() < stop:
            client.send(b"x")
        check_own_error(client.response(), 504, "request_timeout")
        assert client.has_closed()


@test("P7")
def waiting_for_a_connection_has_a_time_of_its_own(env):
    origin, proxy = plain(env, limits={"origin_connections": 1}, timeouts={"stream_wait": "300ms", "token_wait": "20s"})
    assert proxy.exchange().status == 200
    go = threading.Event()
    origin.script = lambda conn, request: (go.wait(10), conn.answer())
    with proxy.connect() as first:
        first.request()
        origin.wait_requests(2)
        began = time.monotonic()
        check_own_error(proxy.exchange(), 503, "origin_busy", retry_after=True)
        assert time.monotonic() - began >= 0.25
        go.set()
        assert first.response().status == 200


@test("P7")
def whoever_cannot_be_queued_is_told_when_to_come_back(env):
    origin = env.origin()
    proxy = env.proxy(origin, limits={"waiting": 2, "origin_connections": 1}, timeouts={"token_wait": "700ms", "token_call": "20s"})
    origin.token_script = silent()
    codes = [check_own_error(response, 503, retry_after=True) for response in proxy.burst(5)]
    assert sorted(codes) == ["queue_full"] * 3 + ["token_timeout"] * 2, codes
    origin.token_script = None
    again = env.proxy(origin, limits={"waiting": 2, "origin_connections": 1})
    assert again.exchange().status == 200
    go = threading.Event()
    origin.script = lambda conn, request: (go.wait(10), conn.answer())
    clients = [again.connect() for _ in range(5)]
    for client in clients:
        client.request()
    eventually(lambda: again.log().count("queue_full") >= 2, what="two are turned away")
    go.set()
    answers = [client.response() for client in clients]
    assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 2
    for answer in answers:
        if answer.status == 503:
            check_own_error(answer, 503, "queue_full", retry_after=True)


@test("P7")
def an_answer_that_drips_is_cut(env):
    def drip(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n")
        while conn.wait(0.05):
            conn.send(b"d")
    origin, proxy = plain(env, drip, timeouts={"origin_response": "500ms"}, limits={"origin_rate": "1KiB"})
    response = proxy.exchange(target="/API/v3/drip", cut_allowed=True)
    assert response.cut and set(response.body) == set(b"d")
    line = access_line(proxy, "/API/v3/drip")
    assert " end=TB " in line and "error=origin_slow" in line, line
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P7")
def an_origin_that_takes_a_body_too_slowly_is_a_504(env):
    """The rate is one that no reader of a little at a time comes to, so that no buffer on the way matters."""
    def script(conn, request):
        while conn.wait(0.008):
            conn.take(request, 131072)
    origin, proxy = plain(env, script, timeouts={"origin_response": "2s"}, limits={"origin_rate": "1GiB"})
    origin.on_accept = lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    with proxy.connect() as client:
        def upload():
            try:
                client.send(request_bytes("PUT", body=b"x" * (64 * MIB)))
            except OSError:
                pass
        thread = threading.Thread(target=upload)
        thread.start()
        check_own_error(client.response(), 504, "origin_slow")
        client.sock.shutdown(2)
        thread.join()


@test("P6")
def a_slow_reader_is_not_taken_for_a_slow_origin(env):
    body = b"z" * (8 * MIB)
    _, proxy = plain(env, answering(body=body, content_type="text/plain"), timeouts={"origin_response": "300ms"},
                     limits={"origin_rate": "4KiB"})
    with proxy.connect(receive_buffer=65536) as client:
        client.request()
        head = client.head()
        received = 0
        for _ in range(6):  # stands still for longer than a window, then takes a little
            time.sleep(0.4)
            received += len(client.read(2000))
        assert head.status == 200
        assert len(client.read(len(body) - received)) == len(body) - received


@test("P8", cases={"too_large": (413, "body_too_large", b"5dc\r\n" + b"x" * 1500 + b"\r\n"), "bad_chunk": (400, "bad_chunk", b"5\r\nhello\r\nzz\r\n")})
def a_body_refused_while_it_is_read_has_its_status_in_the_log(env, status, code, rest):
    """The relay had the request already, and the origin half of it."""
    origin, proxy = plain(env, silent(), limits={"body": "1KiB"})
    with proxy.connect() as client:
        client.send(wire.message("POST /API/v3/half HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n"))
        origin.wait_requests(1)
        client.send(rest)
        check_own_error(client.response(), status, code)
        assert client.has_closed()
    line = access_line(proxy, "/API/v3/half")
    assert '" %d account=main ' % status in line and line.endswith(" error=" + code), line
    assert len(origin.requests) == 1 and origin.requests[0].body is None


# ---- retries ----

@test("P7", limit=60)
def retries_have_a_budget(env):
    """Many kept connections die at once, each under a request: some are tried again, the rest is told."""
    count = 110
    gate = threading.Barrier(count, timeout=30)

    def first(conn, request):
        gate.wait()
        conn.answer()

    def script(conn, request):
        ending("reset")(conn, request) if conn.requests > 1 else conn.answer()
    origin, proxy = plain(env, limits={"retry_budget": 1})
    assert proxy.exchange().status == 200  # the token
    origin.script = first
    clients = [proxy.connect() for _ in range(count)]
    for client in clients:
        client.request()
    assert {client.response().status for client in clients} == {200}
    origin.script = script
    before = len(origin.requests)
    proxy.pause()  # so that no connection is free again before all are taken
    for client in clients:
        client.request()
    proxy.resume()
    answers = [client.response() for client in clients]
    told = [answer for answer in answers if answer.status == 502]
    for answer in told:
        check_own_error(answer, 502, "origin_closed")
    assert {answer.status for answer in answers} == {200, 502}
    assert 100 <= count - len(told) < count, len(told)
    assert len(origin.requests) - before <= 2 * count - len(told)
    proxy.wait_log("limits.retry_budget is used up")
    origin.script = answering()
    assert proxy.exchange("POST", body=b"x").status == 200
