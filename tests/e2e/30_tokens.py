"""The life of a token: got, attached, refreshed, replaced on a 401 and the request replayed, and what happens when none is to be had."""

import base64
import hashlib
import json
import os
import threading
import time

import wire
from harness import SLOWNESS, check_own_error, eventually, free_port, test
from scripted_origin import FINE, UNRECOGNIZED, answering, ending, reflecting, refusing, sending

KIB, MIB = 1 << 10, 1 << 20


def plain(env, **keys):
    origin = env.origin()
    return origin, env.proxy(origin, **keys)


def noise(count):
    block = b"".join(hashlib.sha256(b"body%d" % number).digest() for number in range(2048))
    return (block * (count // len(block) + 1))[:count]


def warm(origin, proxy):
    """One request, so that a token is there and a connection stands."""
    assert proxy.exchange().status == 200
    assert len(origin.token_calls) == 1


# ---- getting a token ----

@test("P3", smoke=True)
def one_token_serves_many_requests(env):
    origin, proxy = plain(env)
    for _ in range(10):
        assert proxy.exchange().status == 200
    assert len(origin.token_calls) == 1
    assert {request.token for request in origin.requests} == {origin.minted[0]}


@test("P3")
def a_burst_before_the_first_token_makes_one_call(env):
    origin = env.origin()
    go = threading.Event()

    def script(conn, request):
        conn.body(request)
        go.wait(10)
        origin.send_token(conn)
    origin.token_script = script
    proxy = env.proxy(origin, workers=2)
    clients = [proxy.connect() for _ in range(50)]
    for client in clients:
        client.request()
    time.sleep(0.2)
    go.set()
    assert {client.response().status for client in clients} == {200}
    assert len(origin.token_calls) == 1


@test("P3")
def the_token_request_is_what_rfc_6749_says(env):
    """Section 2.3.1: id and secret form-encoded, then Basic; the secret holds ':+%&=/ ' and the id a '|'."""
    origin, proxy = plain(env, account={"scope": "manage:all read:users"})
    warm(origin, proxy)
    call = origin.token_calls[0]
    assert (call.method, call.target) == ("POST", "/oauth2/token")
    assert call.get("Host") == origin.authority.encode() and call.get("Content-Type") == b"application/x-www-form-urlencoded"
    user, colon, password = base64.b64decode(call.get("Authorization").partition(b" ")[2]).partition(b":")
    assert colon and b":" not in password and b"%7C" in user.upper() and b"%3A" in password.upper() and b"%2B" in password.upper()
    assert call.form == {"grant_type": "client_credentials", "scope": "manage:all read:users"}
    assert call.framing == "length" and not call.head.has("X-API-TOKEN")


@test("P3")
def the_scope_is_left_out_when_none_is_configured(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    assert origin.token_calls[0].form == {"grant_type": "client_credentials"}


@test("P3")
def the_client_can_authenticate_in_the_body(env):
    origin, proxy = plain(env, account={"client_auth": "body"})
    warm(origin, proxy)
    call = origin.token_calls[0]
    assert not call.head.has("Authorization")
    assert call.form == {"grant_type": "client_credentials", "client_id": env.client_id, "client_secret": env.client_secret}


@test("P2")
def a_token_endpoint_elsewhere_gets_only_token_calls(env):
    tokens, origin = env.origin(), env.origin()
    origin.is_gated = False
    proxy = env.proxy(origin, account={"token_url": tokens.url + "/realms/x/token?a=b"})
    tokens.is_gated = False
    tokens.script = tokens.grant
    assert proxy.exchange().status == 200
    assert [request.target for request in tokens.requests] == ["/realms/x/token?a=b"] and origin.token_calls == []
    assert origin.requests[0].token == tokens.minted[0] and tokens.requests[0].token is None
    assert tokens.requests[0].get("Host") == tokens.authority.encode()


@test("P1")
def secrets_may_come_from_files(env):
    origin = env.origin()
    path = env.write("client secret", env.client_secret + "\n")
    proxy = env.proxy(origin, account={"client_secret": "file:" + path}, environ=env.environ(QP_E2E_SECRET=None))
    warm(origin, proxy)


# ---- replay ----

REPLAYS = {}
for _size, _size_name in ((0, "0B"), (KIB, "1KiB"), (MIB, "1MiB"), (5 * MIB, "5MiB")):
    for _chunked in (False, True):
        for _when in ("before", "while", "after"):
            if _when != "while" or _size >= MIB:
                REPLAYS["%s_%s_%s" % (_size_name, "chunked" if _chunked else "sized", _when)] = (_size, _chunked, _when)


@test("P5", limit=40, cases=REPLAYS)
def a_401_is_replaced_by_a_replay_with_the_same_bytes(env, size, chunked, when):
    origin, proxy = plain(env)
    origin.script = reflecting()
    warm(origin, proxy)
    origin.revoke_all()
    origin.refusal = refusing(when)
    body = noise(size)
    fields = [("Idempotency-Key", "key-1"), ("X-Twice", "a"), ("X-Twice", "b"), ("Content-Type", "text/csv")]
    response = proxy.exchange("POST", "/API/v3/surveys/SV_1/import-responses?a=%2f", fields, body, chunked)
    assert response.status == 200 and response.get("X-Body-Hash") == hashlib.sha256(body).hexdigest().encode()
    assert response.body == body
    refused, replay = origin.requests[1:]
    assert len(origin.token_calls) == 2 and replay.token == origin.minted[1] and refused.token == origin.minted[0]
    assert replay.without_token == refused.without_token
    assert replay.body == body and replay.all("Idempotency-Key") == [b"key-1"] and replay.framing == ("chunked" if chunked else "length")
    if when == "after":
        assert refused.body == body


@test("P5", cases={method: (method,) for method in ("GET", "HEAD", "DELETE", "OPTIONS", "POST", "PATCH")}, smoke=False)
def every_method_is_replayed(env, method):
    origin, proxy = plain(env)
    warm(origin, proxy)
    origin.revoke_all()
    assert proxy.exchange(method).status == 200
    assert origin.requests[1].without_token == origin.requests[2].without_token and origin.requests[2].method == method


@test("P5", smoke=True)
def a_dead_token_is_replaced_unseen(env):
    origin, proxy = plain(env)
    origin.script = reflecting()
    warm(origin, proxy)
    with proxy.connect() as client:
        for number in range(5):
            origin.revoke_all()
            client.request("POST", body=b"number %d" % number)
            response = client.response()
            assert response.status == 200 and response.body == b"number %d" % number and response.keeps_alive
    assert len(origin.token_calls) == 6


@test("P5", limit=40, cases={"close_before": ("before", True, 0), "close_while": ("while", True, 0), "close_after": ("after", True, 0),
                             "chunked_401": ("after", False, 100),
                             "chunked_401_before": ("before", False, 100), "large_401": ("after", False, -1),
                             "large_401_before": ("before", False, -1)})
def every_kind_of_401_is_replaced(env, when, close, chunk):
    origin, proxy = plain(env)
    origin.script = reflecting()
    warm(origin, proxy)
    origin.refusal = refusing(when, close=close, chunk=max(chunk, 0), body=UNRECOGNIZED * (20000 if chunk < 0 else 1))
    body = noise(MIB)
    for chunked in (False, True):
        with env.part("chunked" if chunked else "sized"):
            origin.revoke_all()
            response = proxy.exchange("POST", body=body, chunked=chunked)
            assert response.status == 200 and response.body == body
    assert len(origin.token_calls) == 3


@test("P5")
def a_401_without_an_end_is_replaced_too(env):
    """Its own body never ends, or ends with the connection: nothing of it is needed."""
    origin, proxy = plain(env)
    warm(origin, proxy)
    for name, refusal in (("until close", sending(b"HTTP/1.1 401 No\r\n\r\ntext", end="close")),
                          ("cut", sending(b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\ntext", end="cut")),
                          ("stalled", lambda conn, request: conn.send(b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\ntext").wait(20))):
        with env.part(name):
            origin.refusal = refusal
            origin.revoke_all()
            response = proxy.exchange("POST", body=b"abc")
            assert response.status == 200 and response.body == FINE


@test("P5")
def a_401_while_the_client_still_uploads_waits_for_the_rest(env):
    origin, proxy = plain(env)
    origin.script = reflecting()
    warm(origin, proxy)
    for close in (False, True):
        for chunked in (False, True):
            with env.part("%s, %s" % ("close" if close else "kept", "chunked" if chunked else "sized")), proxy.connect() as client:
                origin.refusal = refusing("before", close=close)
                origin.revoke_all()
                count = len(origin.rejected)
                body = noise(300000)
                client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost",
                        "Transfer-Encoding: chunked" if chunked else "Content-Length: 300000"]))
                for at in range(0, len(body), 100000):
                    piece = body[at:at + 100000]
                    client.send(wire.chunked(piece, last=False) if chunked else piece)
                    assert origin.until(lambda: len(origin.rejected) > count)
                    time.sleep(0.1)
                if chunked:
                    client.send(b"0\r\n\r\n")
                response = client.response()
                assert response.status == 200 and response.body == body


@test("P5")
def trailers_are_replayed(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    origin.revoke_all()
    assert proxy.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Transfer-Encoding: chunked", "Trailer: X-Sum"],
                                   wire.chunked(b"hello", trailers=b"X-Sum: 12\r\n"))).status == 200
    refused, replay = origin.requests[1:]
    assert replay.body == refused.body == b"hello"
    assert replay.trailers.fields == refused.trailers.fields


@test("P5")
def an_expecting_client_is_replayed_with_its_whole_body(env):
    origin, proxy = plain(env)
    origin.script = reflecting()
    warm(origin, proxy)
    for when in ("before", "after"):
        with env.part(when), proxy.connect() as client:
            origin.refusal = refusing(when)
            origin.revoke_all()
            client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Expect: 100-continue", "Content-Length: 5"]))
            assert client.head().status == 100
            client.send(b"hello")
            response = client.response()
            assert (response.status, response.body, response.informed) == (200, b"hello", [])


@test("P5")
def pipelined_requests_with_a_dead_token_stay_in_order(env):
    origin, proxy = plain(env)
    origin.script = lambda conn, request: conn.answer(body=request.target.encode())
    warm(origin, proxy)
    origin.revoke_all()
    with proxy.connect() as client:
        client.send(b"".join(b"GET /API/v3/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(5)))
        assert [client.response().body for _ in range(5)] == [b"/API/v3/%d" % number for number in range(5)]
    assert len(origin.token_calls) == 2


@test("P5")
def a_body_beyond_the_memory_limit_is_replayed_from_a_sealed_file(env):
    origin, proxy = plain(env, replay={"memory": "64KiB", "body": "8MiB"})
    origin.script = reflecting()
    warm(origin, proxy)
    marker = b"PLAINTEXT-OF-A-CLIENT-" + env.run_id.encode()
    body = (marker * 100000)[:2 * MIB]
    looked = []

    def refuse(conn, request):
        conn.body(request)
        looked.extend(open_deleted_files(proxy.pid))
        conn.answer(401, UNRECOGNIZED)
    origin.refusal = refuse
    for chunked in (False, True):
        origin.revoke_all()
        with env.part("chunked" if chunked else "sized"):
            response = proxy.exchange("POST", body=body, chunked=chunked)
            assert response.status == 200 and response.body == body
    assert looked, "no unlinked file held the body"
    assert all(marker not in content for content in looked), "the file holds the client's plaintext"
    assert max(len(content) for content in looked) > MIB
    assert open_deleted_files(proxy.pid) == [], "the file outlives its request"


def open_deleted_files(pid):
    """The contents of the unlinked regular files that a process has open."""
    contents = []
    for number in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, number)
        try:
            name = os.readlink(path)
            if name.endswith(" (deleted)") and not name.startswith(("/memfd:", "/dev/")) and os.path.isfile(path):
                with open(path, "rb") as file:
                    contents.append(file.read())
        except OSError:
            pass
    return contents


@test("P8")
def a_body_too_large_to_replay_gets_the_401_as_it_came(env):
    origin, proxy = plain(env, replay={"memory": "64KiB", "body": "256KiB"})
    origin.script = reflecting()
    warm(origin, proxy)
    for chunked in (False, True):
        with env.part("chunked" if chunked else "sized"):
            origin.revoke_all()
            response = proxy.exchange("POST", body=noise(MIB), chunked=chunked)
            assert response.status == 401 and response.body == UNRECOGNIZED and not response.head.has("X-Qproxy-Error")
            response = proxy.exchange("POST", body=noise(200000), chunked=chunked)
            assert response.status == 200
    proxy.wait_log("replay")


@test("P5")
def an_upload_too_large_to_replay_is_announced_first(env):
    """Expect: 100-continue goes to the origin, so that a 401 comes while nothing is lost yet."""
    origin, proxy = plain(env, replay={"memory": "64KiB", "body": "256KiB"})
    warm(origin, proxy)

    def careful(conn, request):
        if request.head.has("Expect"):
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.body(request)
        conn.answer(body=request.body)
    origin.script = careful
    origin.refusal = refusing("before")
    body = noise(MIB)
    origin.revoke_all()
    response = proxy.exchange("POST", body=body)
    assert origin.rejected[-1].get("Expect", b"").lower() == b"100-continue"
    assert response.status == 200 and response.body == body and response.informed == []


@test("P3")
def a_request_overtaken_by_two_generations_gets_three_attempts(env):
    """Its 401 is late, its replay with the token of the others is rejected too: now it may force one of its own, and no more."""
    origin, proxy = plain(env)
    warm(origin, proxy)
    late, there = threading.Event(), threading.Event()

    def held(conn, request):
        conn.body(request)
        there.set()
        late.wait(10)
        conn.answer(401, UNRECOGNIZED)
    origin.scripts = [held]
    with proxy.connect() as client:
        client.request("POST", "/API/v3/overtaken", body=b"overtaken")
        assert there.wait(10)
        origin.revoke_all()
        assert proxy.exchange().status == 200  # generation 2
        origin.revoke_all()
        late.set()
        assert client.response().status == 200
    tries = [request for request in origin.requests if request.target == "/API/v3/overtaken"]
    assert [origin.minted.index(request.token) for request in tries] == [0, 1, 2] and len(origin.token_calls) == 3
    assert len({request.without_token for request in tries}) == 1 and tries[2].body == b"overtaken"


@test("P5")
def a_replay_survives_a_stale_connection(env):
    """The token is dead, and so is the kept connection that the replay gets."""
    origin, proxy = plain(env)
    warm(origin, proxy)
    for method in ("GET", "PUT"):
        with env.part(method):
            origin.revoke_all()
            origin.scripts = [ending("close")]
            response = proxy.exchange(method, body=b"x" if method == "PUT" else None)
            assert response.status == 200, response


@test("P7")
def clients_that_leave_during_a_replay_leave_nothing_behind(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    body = noise(300000)
    for when in ("before", "after"):
        for end in ("abort", "close"):
            for share in (0.0, 0.5, 1.0):
                origin.refusal = refusing(when)
                origin.revoke_all()
                client = proxy.connect()
                client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: %d" % len(body)],
                                         body[:int(len(body) * share)]))
                time.sleep(0.03)
                getattr(client, end)()
    origin.refusal = refusing()
    eventually(lambda: proxy.exchange("POST", body=body).status == 200,
               what="it serves again")  # so many rejected tokens may have damped the account


@test("P6")
def a_second_401_goes_to_the_client_with_the_origins_own_body(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    own = b'{"meta":{"httpStatus":"401 - Unauthorized","error":{"errorCode":"OWN_1","errorMessage":"not for you"}}}'
    for chunk in (0, 9):
        before = len(origin.requests)
        origin.script = answering(401, own, fields=["WWW-Authenticate: Bearer realm=x", "X-Own: yes"], chunk=chunk)
        response = proxy.exchange("POST", "/API/v3/forbidden%d" % chunk, body=b"abc")
        assert (response.status, response.body, response.get("X-Own"), response.get("WWW-Authenticate")) == (401, own, b"yes",
                b"Bearer realm=x")
        assert not response.head.has("X-Qproxy-Error")
        assert 2 <= len(origin.requests) - before <= 3


@test("P3")
def only_a_401_makes_a_new_token(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    for status in (400, 402, 403, 404, 407, 408, 429, 500, 502, 503, 504):
        origin.script = answering(status, b'{"meta":{"error":{"errorCode":"AuthZ_2.0"}}}')
        with env.part(str(status)):
            assert proxy.exchange("POST", body=b"x").status == status
    assert len(origin.token_calls) == 1 and len(origin.requests) == 12


@test("P3")
def a_late_401_of_an_older_token_is_replayed_without_a_new_one(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    late, there = threading.Event(), threading.Event()

    def slow(conn, request):
        conn.body(request)
        there.set()
        late.wait(10)
        conn.answer(401, UNRECOGNIZED)
    origin.scripts = [slow]
    with proxy.connect() as client:
        client.request("POST", "/API/v3/late", body=b"late")
        assert there.wait(10)
        origin.revoke_all()
        assert proxy.exchange(target="/API/v3/early").status == 200
        assert len(origin.token_calls) == 2
        late.set()
        assert client.response().status == 200
    assert len(origin.token_calls) == 2, "a late 401 minted again"
    assert origin.requests[-1].token == origin.minted[1] and origin.requests[-1].body == b"late"


@test("P3", limit=60, threads=True, cases={"one_worker": (1, 100), "two_workers": (2, 100), "four_workers": (4, 60)})
def many_requests_with_a_dead_token_make_one_token_call(env, workers, count):
    origin, proxy = plain(env, workers=workers)
    origin.script = reflecting()
    warm(origin, proxy)
    origin.revoke_all()
    all_there = threading.Event()

    def refuse(conn, request):
        conn.body(request)
        if len(origin.rejected) >= count:
            all_there.set()
        all_there.wait(1.0)
        conn.answer(401, UNRECOGNIZED)
    origin.refusal = refuse
    responses = proxy.burst(count, method="POST", body=b"together")
    assert {response.status for response in responses} == {200} and {response.body for response in responses} == {b"together"}
    assert len(origin.token_calls) == 2, "%d token calls for one revocation" % (len(origin.token_calls) - 1)


@test("P3")
def a_client_that_leaves_does_not_cancel_the_refresh(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    go, there = threading.Event(), threading.Event()

    def script(conn, request):
        conn.body(request)
        there.set()
        go.wait(10)
        origin.send_token(conn)
    origin.token_script = script
    origin.revoke_all()
    clients = [proxy.connect() for _ in range(3)]
    clients[0].request()
    assert there.wait(10)
    for client in clients[1:]:
        client.request()
    time.sleep(0.1)
    clients[0].abort()
    clients[1].close()
    time.sleep(0.1)
    go.set()
    assert clients[2].response().status == 200
    assert len(origin.token_calls) == 2


@test("P3")
def a_refresh_goes_on_when_everybody_has_left(env):
    origin, proxy = plain(env)
    warm(origin, proxy)
    go, there = threading.Event(), threading.Event()

    def script(conn, request):
        conn.body(request)
        there.set()
        go.wait(10)
        origin.send_token(conn)
    origin.token_scripts = [script]
    origin.revoke_all()
    client = proxy.connect()
    client.request()
    assert there.wait(10)
    client.abort()
    go.set()
    eventually(lambda: len(origin.minted) == 2)
    assert proxy.exchange().status == 200
    assert len(origin.token_calls) == 2


# ---- expiry ----

@test("P3", limit=30)
def a_short_lived_token_is_refreshed_ahead_of_its_end(env):
    """The origin drops each token at its end; no client may notice, and no 401 may be needed."""
    origin = env.origin()
    origin.expires_in = 2
    born = {}

    def script(conn, request):
        conn.body(request)
        origin.send_token(conn)
        born[origin.minted[-1]] = time.monotonic()
    origin.token_script = script
    proxy = env.proxy(origin)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        now = time.monotonic()
        origin.valid = {token for token, at in list(born.items()) if now - at < 2.0}
        assert proxy.exchange().status == 200
        time.sleep(0.02)
    calls = len(origin.token_calls)
    assert 2 <= calls <= 8, "%d token calls in 5 s of 2 s tokens" % calls
    assert len(origin.rejected) <= 2, "%d requests carried a token past its end" % len(origin.rejected)


@test("P3", limit=30)
def requests_do_not_wait_for_a_refresh_ahead_of_time(env):
    origin = env.origin()
    origin.expires_in = 6
    go = threading.Event()

    def slow(conn, request):
        conn.body(request)
        go.wait(10)
        origin.send_token(conn)
    origin.token_scripts = [origin.grant, slow]
    proxy = env.proxy(origin)
    warm(origin, proxy)
    assert origin.until(lambda: len(origin.token_calls) == 2, 10 * SLOWNESS), "no refresh ahead of the token's end"
    response = proxy.exchange()  # the token call hangs; 0.6 s of life are left
    answered_before_the_refresh = len(origin.minted) == 1
    go.set()
    assert response.status == 200 and answered_before_the_refresh


EXPIRY = {"absent": None, "zero": 0, "negative": -5, "string": "3600", "float": 3599.5, "huge": 10**18, "beyond_double": "1e999",
          "null": "null", "true": True, "list": [3600], "six": 6}


@test("P7", cases={name: (value,) for name, value in EXPIRY.items()})
def any_expires_in_is_survived_without_a_call_per_request(env, value):
    origin = env.origin()

    def script(conn, request):
        conn.body(request)
        if value in ("1e999", "null"):
            token = origin.mint()
            conn.answer(200, b'{"access_token":"%s","token_type":"bearer","expires_in":%s}' % (token.encode(), value.encode()))
        else:
            origin.send_token(conn, expires_in=value)
    origin.token_script = script
    proxy = env.proxy(origin)
    for _ in range(20):
        assert proxy.exchange().status == 200
    assert len(origin.token_calls) <= 2, "%d token calls for 20 requests" % len(origin.token_calls)


# ---- a token endpoint in trouble ----

QUICK = {"token_wait": "2s", "token_call": "700ms"}
TOKEN = "tk-garbage-0123456789abcdef"
BAD_ANSWERS = {
    "http_500": answering(500, b'{"error":"server_error"}'), "http_503_html": answering(503, b"<html>away</html>",
            content_type="text/html"),
    "http_429": answering(429, b"{}"), "http_404": answering(404, b"no"), "http_204": answering(204, None), "empty": answering(200, b""),
    "html": answering(200, b"<html>sign in</html>", content_type="text/html"), "not_json": answering(200, b"access_token=x"),
    "array": answering(200, b"[1,2]"), "number": answering(200, b"1"),
    "cut_json": answering(200, b'{"access_token":"%s","expires_in":36' % TOKEN.encode()), "deep": answering(200, b"[" * 60000),
    "deep_objects": answering(200, b'{"a":' * 12000),
    "huge": answering(200, b'{"access_token":"%s","x":"%s"}' % (TOKEN.encode(), b"y" * (3 * MIB))),
    "no_token": answering(200, b'{"token_type":"bearer","expires_in":3600}'),
    "token_number": answering(200, b'{"access_token":12345678,"token_type":"bearer"}'),
    "token_null": answering(200, b'{"access_token":null}'),
    "token_empty": answering(200, b'{"access_token":"","token_type":"bearer"}'),
    "token_crlf": answering(200, b'{"access_token":"%s\\r\\nX-Injected: yes","token_type":"bearer"}' % TOKEN.encode()),
    "token_lf": answering(200, b'{"access_token":"%s\\n","token_type":"bearer"}' % TOKEN.encode()),
    "token_nul": answering(200, b'{"access_token":"%s\\u0000x","token_type":"bearer"}' % TOKEN.encode()),
    "token_blank": answering(200, b'{"access_token":"%s x","token_type":"bearer"}' % TOKEN.encode()),
    "token_8_bit": answering(200, b'{"access_token":"%s\xc3\xa9","token_type":"bearer"}' % TOKEN.encode()),
    "token_unicode": answering(200, b'{"access_token":"%s\\u20ac","token_type":"bearer"}' % TOKEN.encode()),
    "token_del": answering(200, b'{"access_token":"%s\\u007f","token_type":"bearer"}' % TOKEN.encode()),
    "token_long": answering(200, b'{"access_token":"%s","token_type":"bearer"}' % (TOKEN.encode() * 2000)),
    "type_mac": answering(200, b'{"access_token":"%s","token_type":"mac"}' % TOKEN.encode()),
    "cut_body": sending(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"access_token\":\"%s\"" % TOKEN.encode(), end="close"),
    "no_answer": sending(b"", end="close"),
    "reset": sending(b"HTTP/1.1 200", end="reset"), "no_http": sending(b"hello there\r\n\r\n"),
    "hangs": lambda conn, request: conn.wait(30),
    "drips": lambda conn, request: conn.send_in_steps(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 300, 1, 0.05),
    "endless": lambda conn, request: [conn.send(b"HTTP/1.1 200 OK\r\n\r\n")] + [conn.send(b" " * 65536) for _ in range(800)],
}


@test("P7", cases={name: (script,) for name, script in BAD_ANSWERS.items()})
def a_bad_answer_of_the_token_endpoint_gives_a_503(env, script):
    env.secret(TOKEN)
    origin = env.origin()
    origin.token_script = script
    proxy = env.proxy(origin, timeouts=QUICK)
    response = proxy.exchange()
    assert response.status in (502, 503)
    check_own_error(response, response.status, retry_after=True if response.status == 503 else None)
    assert origin.requests == [], "a request without a token, or with a bad one, reached the origin"


@test("P2")
def a_redirect_of_the_token_endpoint_is_not_followed(env):
    other = env.origin()
    for status in (301, 302, 303, 307, 308):
        with env.part(str(status)):
            origin = env.origin()
            origin.token_script = answering(status, b"", fields=["Location: %s/oauth2/token" % other.url])
            proxy = env.proxy(origin, timeouts=QUICK)
            assert proxy.exchange().status in (502, 503)
            proxy.stop()
    assert other.connections == []


@test("P8")
def a_token_endpoint_that_is_down_at_the_start_heals_by_itself(env):
    port = free_port()
    proxy = env.proxy("https://localhost:%d" % port, timeouts=QUICK)
    error = check_own_error(proxy.exchange(), 503, retry_after=True)
    assert error
    proxy.wait_log("token")
    env.origin(port=port)
    eventually(lambda: proxy.exchange().status == 200, 30 * SLOWNESS, "requests are served")


@test("P8")
def a_token_endpoint_that_fails_heals_by_itself(env):
    origin = env.origin()
    origin.token_scripts = [answering(500, b"{}"), answering(200, b"garbage"), answering(400, b'{"error":"temporarily_unavailable"}')]
    proxy = env.proxy(origin, timeouts=QUICK)
    check_own_error(proxy.exchange(), 503, retry_after=True)
    eventually(lambda: proxy.exchange().status == 200, 30 * SLOWNESS, "requests are served")
    assert len(origin.token_calls) == 4


@test("P8")
def waiters_are_answered_at_once_while_the_endpoint_cools_down(env):
    origin = env.origin()
    origin.token_script = answering(503, b"{}", fields=["Retry-After: 60"])
    proxy = env.proxy(origin, timeouts={"token_wait": "20s"})
    check_own_error(proxy.exchange(), 503, retry_after=True)
    began = time.monotonic()
    for _ in range(20):
        response = proxy.exchange()
        check_own_error(response, 503, retry_after=True)
        assert 20 <= int(response.get("Retry-After")) <= 61, response.get("Retry-After")
    assert time.monotonic() - began < 10
    assert len(origin.token_calls) == 1, "%d calls although Retry-After said 60 s" % len(origin.token_calls)


@test("P8")
def failing_token_calls_are_paced(env):
    origin = env.origin()
    origin.token_script = answering(500, b"{}")
    proxy = env.proxy(origin)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        check_own_error(proxy.exchange(), 503, retry_after=True)
        time.sleep(0.01)
    assert len(origin.token_calls) <= 20, "%d token calls in 3 s" % len(origin.token_calls)


@test("P8")
def a_hanging_token_call_costs_a_request_its_token_wait_at_most(env):
    origin = env.origin()
    origin.token_script = lambda conn, request: conn.wait(60)
    proxy = env.proxy(origin, timeouts={"token_wait": "400ms", "token_call": "30s"})
    began = time.monotonic()
    check_own_error(proxy.exchange(), 503)
    assert 0.3 < time.monotonic() - began < 8
    assert len(origin.token_calls) == 1


@test("P7")
def waiters_are_bounded_in_number(env):
    origin = env.origin()
    go = threading.Event()

    def script(conn, request):
        conn.body(request)
        go.wait(20)
        origin.send_token(conn)
    origin.token_script = script
    proxy = env.proxy(origin, limits={"waiting": 5})
    clients = [proxy.connect() for _ in range(12)]
    for client in clients:
        client.request()
    time.sleep(0.5)
    go.set()
    statuses = sorted(client.response().status for client in clients)
    assert statuses == [200] * 5 + [503] * 7, statuses


@test("P8")
def a_refused_client_is_no_401_and_no_storm(env):
    origin = env.origin()
    for name, script in (("invalid_client", answering(401, b'{"error":"invalid_client","error_description":"who?"}')),
                         ("unauthorized_client", answering(400, b'{"error":"unauthorized_client"}')),
                         ("invalid_scope", answering(400, b'{"error":"invalid_scope"}')),
                         ("envelope", answering(401, UNRECOGNIZED))):
        with env.part(name):
            origin.token_calls.clear()
            origin.token_script = script
            proxy = env.proxy(origin)
            for _ in range(10):
                response = proxy.exchange()
                assert response.status in (502, 503), response
                check_own_error(response, response.status)
            assert len(origin.token_calls) <= 2, "%d token calls" % len(origin.token_calls)
            if name != "envelope":
                assert name in proxy.log()
            proxy.stop()


@test("P3")
def a_failing_refresh_does_not_hurt_while_the_old_token_lives(env):
    origin = env.origin()
    origin.expires_in = 5
    origin.token_scripts = [origin.grant]
    origin.token_script = answering(500, b"{}")
    proxy = env.proxy(origin)
    warm(origin, proxy)
    assert origin.until(lambda: len(origin.token_calls) >= 2, 10 * SLOWNESS)
    assert proxy.exchange().status == 200


# ---- 401s that no token cures ----

@test("P3")
def a_path_that_refuses_fresh_tokens_is_no_reason_for_more_of_them(env):
    origin, proxy = plain(env)

    def script(conn, request):
        conn.body(request)
        if "denied" in request.target:
            conn.answer(401, UNRECOGNIZED)
        else:
            conn.answer()
    origin.script = script
    warm(origin, proxy)
    for _ in range(40):
        response = proxy.exchange(target="/API/v3/denied")
        assert response.status == 401 and response.body == UNRECOGNIZED
    calls = len(origin.token_calls)
    assert 2 <= calls <= 5, "%d token calls for 40 denials" % calls
    assert proxy.exchange(target="/API/v3/fine").status == 200
    with env.part("a real expiry elsewhere still heals"):
        origin.revoke_all()
        assert proxy.exchange(target="/API/v3/fine").status == 200
    with env.part("and on the denied path, once it is allowed"):
        origin.script = answering()
        assert proxy.exchange(target="/API/v3/denied").status == 200
        origin.revoke_all()
        assert proxy.exchange(target="/API/v3/denied").status == 200


@test("P3")
def a_token_revoked_again_before_its_replay_is_no_lost_permission(env):
    """The path was fine a moment ago. One request may see that 401; the next one gets a new token, and not the damping."""
    origin, proxy = plain(env)
    for number in range(4):
        with env.part("round %d" % number):
            warm_again = [proxy.exchange().status for _ in range(2)]
            assert warm_again == [200, 200]

            def mint_a_dead_one(conn, request):
                conn.body(request)
                origin.send_token(conn, dead=True)
            origin.token_scripts = [mint_a_dead_one]
            origin.revoke_all()
            assert proxy.exchange().status == 401
            response = proxy.exchange()
            assert response.status == 200, "%r: a refresh could have cured it" % response


@test("P3")
def an_account_whose_tokens_are_never_accepted_does_not_storm(env):
    """The wrong datacenter answers every OAuth token with a 401."""
    origin, proxy = plain(env)
    origin.script = answering(401, UNRECOGNIZED)
    for number in range(40):
        response = proxy.exchange(target="/API/v3/%d" % number)
        assert response.status == 401 and response.body == UNRECOGNIZED
    assert len(origin.token_calls) <= 5, "%d token calls" % len(origin.token_calls)
    proxy.wait_log("never accepted|not accepted|rejected|datacenter")
    with env.part("and it heals"):
        origin.script = answering()
        assert proxy.exchange().status == 200
        origin.revoke_all()
        eventually(lambda: proxy.exchange().status == 200, 15 * SLOWNESS, "a real expiry heals")


# ---- refresh tokens ----

def refresh_origin(env):
    """An origin that rotates refresh tokens and counts what is redeemed."""
    origin = env.origin()
    origin.good = [env.secret("rt-first+/=%s" % env.run_id)]
    origin.redeemed = []

    def script(conn, request):
        conn.body(request)
        given = request.form.get("refresh_token")
        origin.redeemed.append(given)
        if not origin.client_is_known(request) or request.form.get("grant_type") != "refresh_token" or given != origin.good[-1]:
            conn.answer(400, b'{"error":"invalid_grant"}')
            return
        origin.good.append(env.secret("rt-%d.%s" % (len(origin.good), os.urandom(6).hex())))
        origin.send_token(conn, refresh_token=origin.good[-1])
    origin.token_script = script
    return origin


def refresh_proxy(env, origin, **keys):
    return env.proxy(origin, account={"grant": "refresh_token", "refresh_token": "env:QP_E2E_REFRESH"},
                     environ=env.environ(QP_E2E_REFRESH=origin.good[0]), **keys)


@test("P4")
def a_rotated_refresh_token_is_redeemed_once(env):
    origin = refresh_origin(env)
    proxy = refresh_proxy(env, origin, workers=2)
    for _ in range(3):
        assert {response.status for response in proxy.burst(20)} == {200}
        origin.revoke_all()
    assert {response.status for response in proxy.burst(20)} == {200}
    assert origin.redeemed == origin.good[:-1] and len(origin.redeemed) == 4


@test("P4")
def a_reply_without_a_refresh_token_keeps_the_old_one(env):
    origin = refresh_origin(env)

    def script(conn, request):
        conn.body(request)
        origin.redeemed.append(request.form.get("refresh_token"))
        origin.send_token(conn)
    origin.token_script = script
    proxy = refresh_proxy(env, origin)
    for _ in range(3):
        assert proxy.exchange().status == 200
        origin.revoke_all()
    assert origin.redeemed == [origin.good[0]] * 3


@test("P4")
def a_network_failure_does_not_lose_the_refresh_token(env):
    origin = refresh_origin(env)
    origin.token_scripts = [answering(503, b"{}"), sending(b"", end="close")]
    proxy = refresh_proxy(env, origin)
    eventually(lambda: proxy.exchange().status == 200, 30 * SLOWNESS, "requests are served")
    assert origin.redeemed == origin.good[:1]


@test("P8")
def a_spent_refresh_token_asks_for_a_sign_in(env):
    origin = refresh_origin(env)
    origin.good.append("another")
    proxy = refresh_proxy(env, origin)
    for _ in range(10):
        check_own_error(proxy.exchange(), 503)
    assert "sign" in check_own_error(proxy.exchange(), 503)
    assert len(origin.token_calls) <= 2, "%d token calls" % len(origin.token_calls)
    proxy.wait_log("invalid_grant")


# ---- API tokens ----

def api_token_proxy(env, **keys):
    origin = env.origin()
    origin.is_gated = False
    token = env.secret("api-token-" + os.urandom(15).hex())
    proxy = env.proxy(origin, account={"grant": "api_token", "api_token": "env:QP_E2E_API_TOKEN", "client_id": None, "client_secret": None},
                      environ=env.environ(QP_E2E_API_TOKEN=token), **keys)
    return origin, proxy, token.encode()


@test("P1")
def an_api_token_account_sends_x_api_token(env):
    origin, proxy, token = api_token_proxy(env)
    junk = env.client_credential("junk-" + env.run_id)
    for fields in ((), [("X-API-TOKEN", junk)], [("x-api-token", junk), ("Authorization", "Bearer " + junk),
                                                 ("Connection", "x-api-token")]):
        assert proxy.exchange(fields=fields).status == 200
        request = origin.requests[-1]
        assert request.all("X-API-TOKEN") == [token] and not request.head.has("Authorization") and junk.encode() not in request.head.raw
    assert origin.token_calls == []


@test("P8")
def a_401_of_an_api_token_is_passed_on_and_logged_with_its_reason(env):
    origin, proxy, _ = api_token_proxy(env)
    origin.script = answering(401, UNRECOGNIZED)
    response = proxy.exchange("POST", body=b"x")
    assert response.status == 401 and response.body == UNRECOGNIZED and not response.head.has("X-Qproxy-Error")
    proxy.wait_log("401.*(api.token|api_token)|(api.token|api_token).*401")
    assert len(origin.requests) == 1 and origin.token_calls == []


# ---- against the stand-in ----

@test("P3", smoke=True)
def the_stand_in_revokes_and_two_hundred_requests_at_once_are_served_by_one_call(env):
    standin = env.standin()
    proxy = env.proxy(standin, workers=2)
    assert proxy.exchange().status == 200
    standin.note_secrets()
    assert standin.revoke_all() == 1
    responses = proxy.burst(200)
    assert {response.status for response in responses} == {200}
    assert standin.token_calls() == 2
    assert all(json.loads(response.body)["result"]["userName"] for response in responses)


@test("P5", threads=True)
def a_post_is_carried_out_once_however_often_tokens_die(env):
    """Each with an Idempotency-Key of its own; the stand-in counts what it carried out."""
    standin = env.standin()
    proxy = env.proxy(standin, workers=2)
    served = 0
    with proxy.connect() as client:
        for number in range(60):
            if number % 3 == 0:
                standin.revoke_all()
            if number == 30:
                standin.knobs(reject_when="head", reject_close=True)
            client.request("POST", "/API/v3/distributions", [("Idempotency-Key", "key-%d" % number), ("Content-Type", "application/json")], 
                           b'{"surveyLink":{"surveyId":"SV_1"},"recipients":{"mailingListId":"CG_1"},"message":{}}')
            served += client.response().status == 200
    posts = standin.counters()["posts"]
    assert served == 60 and posts["executed"] == 60 and posts["repeated_keys"] == 0 and len(posts["by_key"]) == 60, posts


@test("P5", limit=60, threads=True, cases={"two_workers": 2, "four_workers": 4})
def revocations_under_load_are_unseen(env, workers):
    """Revoked every 100 ms; only a token revoked again between its issue and the replay may show as a 401."""
    standin = env.standin(threads=2)
    proxy = env.proxy(standin, workers=workers)
    stop = threading.Event()
    bad, done, unauthorized = [], [], []

    def one(name):
        number = 0
        with proxy.connect() as client:
            while not stop.is_set():
                number += 1
                body = noise((name * 7919 + number * 104729) % 30000)
                client.request("POST", "/API/v3/_echo", [("X-Test-Id", "%d.%d" % (name, number))], body, number % 2 == 0)
                response = client.response()
                if response.status == 401:
                    unauthorized.append("%d.%d" % (name, number))
                elif response.status != 200 or json.loads(response.body)["result"]["body"] != {
                        "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(),
                        "framing": "chunked" if number % 2 == 0 else "length"}:
                    bad.append((response.status, response.body[:300]))
                done.append(name)
    threads = [threading.Thread(target=one, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(done) >= 64, what="every client has been served")
    revocations = 0
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        time.sleep(0.1)
        revocations += standin.revoke_all() > 0
    stop.set()
    for thread in threads:
        thread.join()
    counters = standin.order("GET", "/counters?echoes=4096")
    calls = counters["token_calls"]["total"]
    assert not bad, bad[:3]
    assert len(done) > 50 and revocations > 3
    assert calls <= revocations + 1, "%d token calls for %d revocations" % (calls, revocations)
    tries = {}
    for echo in counters["echoes"]:
        tries.setdefault(echo["label"], []).append((echo["token"], echo["status"]))
    uncured = {label: tries.get(label) for label in unauthorized if not was_revoked_again(tries.get(label, []))}
    assert not uncured, "%d of %d requests saw a 401 that a refresh could cure (%d were revoked again): %r" % (
        len(uncured), len(done), len(unauthorized) - len(uncured), list(uncured.items())[:5])


def was_revoked_again(tries):
    """A request may show a 401 only if it was replayed with a newer token, and that was dead again when it arrived."""
    tokens = [token for token, status in tries]
    return len(tokens) > 1 and tokens[-1] > tokens[0] and all(status == 401 for _, status in tries)
