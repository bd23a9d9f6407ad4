"""The origin fails, at each stage of an exchange and in numbers: what the client gets, and how often the origin has seen a request.

20_proxying has single cuts, 42_dialling how a connection is made, 50_limits the limits in time; here is what a network or an origin does to
many streams at once, and that a POST never runs twice.
"""

import ctypes
import socket
import struct
import threading
import time

import wire
from admin_client import ANY_PORT, ask
from harness import SLOWNESS, check_own_error, eventually, test
from scripted_origin import FINE, answering, ending, sending

SO_ATTACH_FILTER = 26
KEPT = 50


def plain(env, script=None, **keys):
    origin = env.origin()
    if script:
        origin.script = script
    return origin, env.proxy(origin, **keys)


def count_of(env, proxy, name):
    lines = ask(env, proxy, "/metrics").body.decode().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith("qproxy_origin_%s{" % name))


def deafen(conn):
    """From now on the host behind this connection is gone: what is sent to it is neither taken nor acknowledged nor refused."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    conn.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(drop_all)))


def keep_streams(origin, proxy, count=KEPT, go=None, end=None):
    """That many connections to the origin, all idle; they end so when they are told to."""
    together = threading.Barrier(count)
    kept = []

    def script(conn, request):
        together.wait(15)
        kept.append(conn)
        conn.answer()
        if go:
            go.wait(15)
            getattr(conn, end)()
    origin.scripts = [script] * count
    assert all(response.status == 200 for response in proxy.burst(count))
    assert len(set(kept)) == count
    time.sleep(0.1)
    return kept


def burst_of_both(proxy, count):
    """GETs and POSTs by turns, all at once; the answers with the mark that each POST has in its body."""
    clients = [proxy.connect(patience=15 * SLOWNESS) for _ in range(2 * count)]
    for number, client in enumerate(clients):
        client.request("POST" if number % 2 else "GET", "/API/v3/%d" % number, body=b"order %d" % number if number % 2 else None)
    answers = [client.response() for client in clients]
    for client in clients:
        client.close()
    return answers[0::2], answers[1::2]


def check_orders(origin, before, answers):
    """Each POST that was answered 200 was carried out once, and none twice."""
    bodies = [request.body for request in origin.requests[before:] if request.method == "POST" and request.body is not None]
    assert len(bodies) == len(set(bodies)), "carried out twice: %r" % sorted(body for body in bodies if bodies.count(body) > 1)
    for number, answer in enumerate(answers):
        if answer.status == 200:
            assert bodies.count(b"order %d" % (2 * number + 1)) == 1
        else:
            check_own_error(answer, answer.status, ("origin_closed", "origin_timeout"))


# ---- one exchange, each stage of it ----

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody"


@test("P6", cases={"close": "close", "cut": "cut", "reset": "reset"})
def an_answer_may_break_off_at_every_byte(env, end):
    origin, proxy = plain(env)
    head_bytes = WHOLE.index(b"\r\n\r\n") + 4
    for at in range(len(WHOLE)):
        with env.part("at byte %d" % at):
            origin.scripts = [sending(WHOLE[:at], end)]
            before = len(origin.requests)
            response = proxy.exchange("POST", body=b"x", cut_allowed=True)
            if response.status == 200:
                assert at >= head_bytes and response.cut and WHOLE.endswith(b"\r\n\r\n" + response.body + WHOLE[at:]), (at, response)
            else:
                check_own_error(response, 502, "origin_closed")
            assert len(origin.requests) == before + 1


def stage(take=None, sent=b""):
    """Reads that much of the request's body (None: all), sends that, and breaks off."""
    def of(end):
        def script(conn, request):
            if take is None:
                conn.body(request)
            elif take:
                conn.take(request, take)
            if sent:
                conn.send(sent)
            getattr(conn, end)()
        return script
    return of


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STAGES = {"before_the_body": stage(0), "within_the_body": stage(30000), "before_the_answer": stage(), "in_the_answers_head": stage(sent=HEAD[:20]),
          "in_an_early_answers_head": stage(30000, HEAD[:20]), "behind_a_1xx": stage(sent=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
          "behind_the_answers_head": stage(sent=HEAD), "in_a_chunk": stage(sent=HEAD + b"8\r\nhalf"),
          "before_the_last_chunk": stage(sent=HEAD + b"4\r\nhalf\r\n"), "in_the_trailers": stage(sent=HEAD + b"4\r\nhalf\r\n0\r\nX-T: ")}


@test("P6", cases=STAGES)
def a_post_meets_a_fault_once(env, of):
    """On a kept connection and on a new one, and whatever the end is."""
    origin, proxy = plain(env)
    body = b"carried out once" * 6000
    for kept in (True, False):
        for end in ("close", "cut", "reset"):
            with env.part("%s on a %s connection" % (end, "kept" if kept else "new")):
                if kept:
                    assert proxy.exchange().body == FINE
                before = len(origin.requests)
                origin.scripts = [of(end)]
                response = proxy.exchange("POST", body=body, cut_allowed=True)
                assert response.cut if response.status == 200 else check_own_error(response, 502, "origin_closed")
                assert len(origin.requests) == before + 1
    assert proxy.exchange().body == FINE


@test("P6")
def a_put_is_tried_again_only_on_a_kept_connection_that_said_nothing(env):
    origin, proxy = plain(env)
    body = b"the same each time" * 6000
    for name, of in STAGES.items():
        with env.part(name):
            assert proxy.exchange().body == FINE
            before = len(origin.requests)
            origin.scripts = [of("reset")]
            response = proxy.exchange("PUT", body=body, cut_allowed=True)
            said_nothing = name in ("before_the_body", "within_the_body", "before_the_answer")
            if said_nothing:
                assert response.body == FINE and origin.requests[-1].body == body
                assert origin.requests[-1].conn is not origin.requests[before].conn
            else:
                # A reset may overtake what was said before it.
                assert response.cut or response.status in (200, 502)
            assert len(origin.requests) <= before + 2


@test("P7")
def an_origin_that_is_slow_and_alive_is_waited_for(env):
    """Its host acknowledges, so that it is not taken for a lost one: slow to answer, slow to read, slow within its answer."""
    def slow_to_answer(conn, request):
        conn.body(request)
        conn.wait(2.6)
        conn.answer()

    def slow_to_read(conn, request):
        conn.wait(2.6)
        conn.body(request)
        conn.answer()

    def slow_within(conn, request):
        conn.body(request)
        conn.send(HEAD + b"4\r\nslow\r\n")
        conn.wait(2.6)
        conn.send(b"0\r\n\r\n")
    origin, proxy = plain(env, timeouts={"origin_lost": "1s"})
    assert proxy.exchange().status == 200
    answers = []

    def one(method, body, script):
        origin.scripts = [script]
        with proxy.connect() as client:
            client.request(method, body=body)
            eventually(lambda: not origin.scripts)
            waiting.release()
            answers.append(client.response())
    waiting = threading.Semaphore(0)
    threads = []
    for arguments in (("GET", None, slow_to_answer), ("POST", b"x" * (12 << 20), slow_to_read), ("GET", None, slow_within)):
        threads.append(threading.Thread(target=one, args=arguments))
        threads[-1].start()
        assert waiting.acquire(timeout=10 * SLOWNESS)
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200, 200], answers
    assert len(origin.requests) == 4


@test("P7", limit=60)
def an_origin_that_takes_an_upload_slowly_is_waited_for_as_long_as_it_takes(env):
    """Kernels hold megabytes of it, and tell of room late: neither these nor what is left of them when the client is done is a silence."""
    pieces, piece = 64, 128 << 10

    def slow(conn, request):
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        for _ in range(pieces):
            conn.take(request, piece)
            conn.wait(0.1)
        conn.answer()
    origin, proxy = plain(env, slow, timeouts={"origin_response": "2s"})
    with proxy.connect(patience=40 * SLOWNESS) as client:
        client.request("POST", body=b"x" * (pieces * piece))
        assert client.response().status == 200
    assert len(origin.requests) == 1


# ---- many streams at once ----

@test("P6", limit=40, cases={"close": "close", "cut": "cut", "reset": "reset"})
def kept_streams_that_all_ended_cost_nobody_anything(env, end):
    """The ends and the next requests are there in the same moment."""
    origin, proxy = plain(env, admin=ANY_PORT)
    go = threading.Event()
    kept = keep_streams(origin, proxy, KEPT, go, end)
    before = len(origin.requests)
    proxy.pause()
    go.set()
    eventually(lambda: not any(conn.is_open for conn in kept))
    time.sleep(0.1)
    resumed = threading.Timer(0.3, proxy.resume)
    resumed.start()
    gets, posts = burst_of_both(proxy, KEPT)
    assert [answer.status for answer in gets + posts] == [200] * (2 * KEPT)
    check_orders(origin, before, posts)
    assert count_of(env, proxy, "evicted_total") >= KEPT


@test("P6", limit=40)
def kept_streams_whose_host_is_gone_cost_each_at_most_one_try(env):
    """Nothing comes back, not even a reset: a firewall has forgotten them all."""
    origin, proxy = plain(env, admin=ANY_PORT, timeouts={"origin_lost": "1s"})
    for conn in keep_streams(origin, proxy):
        deafen(conn)
    before = len(origin.requests)
    gets, posts = burst_of_both(proxy, 10)
    assert [answer.status for answer in gets] == [200] * 10, gets
    check_orders(origin, before, posts)
    # What is left of them is not tried one by one.
    assert count_of(env, proxy, "suspected_total") >= KEPT - 20
    stale = count_of(env, proxy, "stale_total")
    assert 1 <= stale <= 20
    for number in range(10):
        assert proxy.exchange("POST", body=b"later %d" % number).status == 200
    assert count_of(env, proxy, "stale_total") == stale


@test("P7", limit=40)
def an_idle_stream_whose_host_is_gone_is_let_go(env):
    origin, proxy = plain(env, admin=ANY_PORT, timeouts={"origin_lost": "1s"})
    for conn in keep_streams(origin, proxy, 3):
        deafen(conn)
    eventually(lambda: count_of(env, proxy, "idle") == 0, 20 * SLOWNESS, "the kernel notices")
    assert proxy.exchange("POST", body=b"x").status == 200


@test("P6", limit=40)
def after_one_reset_in_use_the_streams_of_its_age_are_not_trusted(env):
    origin, proxy = plain(env, admin=ANY_PORT)
    keep_streams(origin, proxy, 20)
    origin.scripts = [ending("reset")]
    before = len(origin.connections)
    assert proxy.exchange().status == 200
    assert count_of(env, proxy, "stale_total") == 1
    assert count_of(env, proxy, "suspected_total") == 19
    assert len(origin.connections) == before + 1


@test("P6", limit=40)
def streams_of_a_silent_origin_are_let_go_after_a_time_limit(env):
    """It acknowledges and never answers: what stands before it may have lost its way to it, on all streams."""
    origin, proxy = plain(env, admin=ANY_PORT, timeouts={"origin_response": "500ms"})
    keep_streams(origin, proxy, 10)
    origin.scripts = [lambda conn, request: conn.wait(3) and conn.reset()]
    check_own_error(proxy.exchange("POST", body=b"x"), 504, "origin_timeout")
    assert count_of(env, proxy, "suspected_total") == 9
    assert proxy.exchange("POST", body=b"y").status == 200
    assert len([request for request in origin.requests if request.method == "POST"]) == 2


@test("P6", limit=40, cases={"close": "close", "cut": "cut", "reset": "reset"})
def an_origin_that_closes_after_each_answer_without_saying_so(env, end):
    origin, proxy = plain(env, answering(end=end), limits={"origin_connections": 3})
    bad, posts = [], {}

    def one(name):
        with proxy.connect() as client:
            for number in range(8):
                method = "POST" if number % 2 else "GET"
                mark = b"%d/%d" % (name, number)
                client.request(method, "/API/v3/" + mark.decode(), body=mark if method == "POST" else None)
                response = client.response()
                if method == "GET" and response.status != 200 or response.status not in (200, 502):
                    bad.append((mark, response))
                posts[mark] = response.status
    threads = [threading.Thread(target=one, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad, bad
    bodies = [request.body for request in origin.requests if request.method == "POST"]
    assert len(bodies) == len(set(bodies)), "carried out twice"
    assert all(mark in bodies for mark, status in posts.items() if status == 200 and int(mark.split(b"/")[1]) % 2)


@test("P6")
def a_408_that_crosses_with_a_request_is_tried_again_where_that_is_allowed(env):
    """It is how some origins close an idle connection. The first one on a connection, or one that keeps it, is an answer like any other."""
    origin, proxy = plain(env)
    late = wire.message("HTTP/1.1 408 Request Timeout", ["Connection: close", "Content-Length: 4"], b"late")
    for method in ("GET", "PUT", "POST"):
        with env.part(method):
            assert proxy.exchange().body == FINE
            before = len(origin.requests)
            origin.scripts = [sending(late, "close")]
            response = proxy.exchange(method, body=b"x" * 1000 if method != "GET" else None)
            assert (response.status, response.body) == ((408, b"late") if method == "POST" else (200, FINE)), response
            assert len(origin.requests) == before + (1 if method == "POST" else 2)
    with env.part("on a new connection"):
        origin.scripts = [answering(fields=["Connection: close"]), sending(late, "close")]
        assert [proxy.exchange().status for _ in range(2)] == [200, 408]
    with env.part("kept"):
        assert proxy.exchange().body == FINE
        origin.scripts = [answering(408)]
        assert proxy.exchange().status == 408


# ---- the origin is away ----

@test("P8", limit=40)
def an_origin_that_is_away_is_not_stormed_and_everybody_is_answered(env):
    """It takes connections and resets them; two hundred requests come at once, and some more one by one."""
    origin, proxy = plain(env, admin=ANY_PORT)
    origin.scripts = [answering(end="reset")]
    assert proxy.exchange().status == 200
    refused = []

    def reset(sock):
        refused.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        return True
    origin.on_accept = reset
    for response in proxy.burst(200):
        check_own_error(response, 502, ("origin_unreachable", "origin_refused", "origin_tls"), retry_after=False)
    assert len(refused) < 120, "%d connections for 200 requests" % len(refused)
    for _ in range(5):
        check_own_error(proxy.exchange("POST", body=b"x"), 502)
    assert count_of(env, proxy, "outages_total") == 1
    proxy.wait_log(r"no connection to 'localhost' after 3 tries")
    origin.on_accept = None
    assert all(response.status == 200 for response in proxy.burst(20))
    proxy.wait_log(r"connected to 'localhost' again")


@test("P8", limit=40)
def a_restarted_origin_is_found_at_once(env):
    tokens, origin = env.origin(), env.origin(port=0)
    origin.is_gated = False
    proxy = env.proxy(origin, account={"token_url": tokens.token_url})
    for _ in range(3):
        keep_streams(origin, proxy, 5)
        origin.close()
        for method in ("GET", "POST", "GET"):
            check_own_error(proxy.exchange(method, body=b"x" if method == "POST" else None), 502, retry_after=False)
        origin = env.origin(port=origin.port)
        origin.is_gated = False
        assert proxy.exchange("POST", body=b"x").status == 200
        assert len(origin.requests) == 1


# ---- its answer is over a limit, or not HTTP ----

BODY = wire.message("HTTP/1.1 200 OK", ["Transfer-Encoding: chunked"], b"5\r\nbegun\r\n")
EXCESSES = {
    "fields": (wire.message("HTTP/1.1 200 OK", ["X-%d: y" % number for number in range(1200)] + ["Content-Length: 0"]), r"warn .*answering 502 origin_malformed.*field"),
    "head": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300000, r"warn .*answering 502 origin_malformed.*(head|large)"),
    "informed": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17, r"warn .*answering 502 origin_malformed.*too many 1xx"),
    "unasked_101": (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", r"warn .*answering 502 origin_malformed.*101 that nobody asked for"),
    "chunk_extensions": (BODY + b"1;x=" + b"y" * 20000 + b"\r\na\r\n0\r\n\r\n", r"warn .*the answer .* is cut: .*chunk"),
    "chunk_size": (BODY + b"xyz\r\na\r\n0\r\n\r\n", r"warn .*the answer .* is cut: .*chunk"),
    "trailers": (BODY + b"0\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"y" * 3000) for number in range(200)) + b"\r\n",
                 r"warn .*the answer .* is cut: .*(trailer|large)"),
}


@test("P8", cases=EXCESSES)
def an_answer_that_is_refused_is_a_502_or_a_cut_and_the_log_says_why(env, raw, reason):
    origin, proxy = plain(env, sending(raw))
    response = proxy.exchange(cut_allowed=True)
    if response.status == 200:
        assert response.cut and response.body == b"begun"
    else:
        check_own_error(response, 502, "origin_malformed")
    proxy.wait_log(reason)
    origin.script = answering()
    assert proxy.exchange().body == FINE
    assert len(origin.used()) == 2
