"""The harness itself: a test that cannot fail proves nothing."""

import base64
import http.client
import os
import socket
import ssl
import threading
from urllib.parse import quote_plus

import harness
import rawclient
import wire
from harness import test
from scripted_origin import answering, ending, reflecting, refusing, sending


def direct(env, origin, trust="ca.pem"):
    """A TLS connection straight to the origin."""
    context = ssl.create_default_context(cafile=env.places.cert(trust))
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # a default of some versions of Python
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", origin.port), 10), server_hostname="localhost",
                               suppress_ragged_eofs=False)
    env.on_end(sock.close)
    return sock


def answer_to(env, origin, data):
    """What the origin sends for these bytes, up to the end, and how it ended."""
    sock = direct(env, origin)
    sock.sendall(data)
    out = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return out, "clean"
            out += piece
    except ssl.SSLError as error:  # older versions of Python have no SSLEOFError for it
        if not isinstance(error, ssl.SSLEOFError) and error.reason != "UNEXPECTED_EOF_WHILE_READING":
            raise
        return out, "cut"
    except ConnectionResetError:
        return out, "reset"


def pair(data):
    """A client that will read exactly these bytes, and then the end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.sendall(data)
    theirs.close()
    client = rawclient.RawClient.__new__(rawclient.RawClient)
    client.sock, client._seen, client.received = ours, lambda piece: None, 0
    client.source = wire.Source(client._more)
    return client


def fails(call, *arguments, kind=(AssertionError, wire.Cut)):
    try:
        call(*arguments)
    except kind:
        return True
    return False


@test("harness", smoke=True)
def the_scripted_origin_gates_mints_and_answers(env):
    origin = env.origin()
    connection = http.client.HTTPSConnection("localhost", origin.port, context=ssl.create_default_context(cafile=env.places.cert("ca.pem")))
    connection.request("GET", "/API/v3/whoami")
    refused = connection.getresponse()
    assert refused.status == 401 and b"DCD_7" in refused.read()
    token = origin.mint()
    connection.request("GET", "/API/v3/whoami", headers={"Authorization": "Bearer " + token})
    assert connection.getresponse().read() == b'{"result": {"fine": true}, "meta": {"httpStatus": "200 - OK", "requestId": "1"}}'
    origin.revoke_all()
    connection.request("POST", "/API/v3/whoami", b"x" * 100000, headers={"Authorization": "Bearer " + token})
    assert connection.getresponse().status == 401
    assert [request.body for request in origin.requests] == [b"", b"", b"x" * 100000]
    assert len(origin.connections) == 1 and origin.connections[0].sni == "localhost"
    connection.close()


@test("harness")
def the_token_endpoint_checks_the_client(env):
    origin = env.origin()
    pair_of = "%s:%s" % (quote_plus(env.client_id), quote_plus(env.client_secret))
    good = "Authorization: Basic " + base64.b64encode(pair_of.encode()).decode()
    for header, status in ((good, b"200"), ("Authorization: Basic eDp5", b"401"), ("X: y", b"401")):
        out, _ = answer_to(env, origin, wire.message("POST /oauth2/token HTTP/1.1", [
            "Host: x", header, "Content-Type: application/x-www-form-urlencoded", "Content-Length: 29"], b"grant_type=client_credentials") +
            b"BROKEN\r\n\r\n")
        assert out.split(b" ")[1] == status, out
    assert len(origin.token_calls) == 3 and len(origin.minted) == 1
    assert len(origin.errors) == 3  # the broken heads behind are noticed
    origin.errors.clear()


@test("harness")
def an_origin_ends_as_the_script_says(env):
    origin = env.origin()
    origin.is_gated = False
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for how, seen in (("close", ["clean"]), ("cut", ["cut"]), ("reset", ["reset", "cut"])):  # ssl tells the last two apart only at times
        origin.scripts = [sending(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour", end=how)]
        out, ended = answer_to(env, origin, request)
        assert ended in seen, (how, ended, out)
        assert how == "reset" or out.endswith(b"four")
    origin.scripts = [ending("close")]
    assert answer_to(env, origin, request) == (b"", "clean")


@test("harness")
def chunked_bodies_are_read_whole_and_strictly(env):
    origin = env.origin()
    origin.is_gated = False
    origin.script = reflecting(chunk=7)
    body = bytes(range(256)) * 40
    sock = direct(env, origin)
    sock.sendall(rawclient.request_bytes("PUT", "/a", body=body, chunked=True))
    raw = b""
    while not raw.endswith(b"0\r\n\r\n"):
        raw += sock.recv(65536)
    response = pair(raw).response()
    assert response.body == body and response.framing == "chunked" and set(map(len, response.chunks[:-1])) == {7}
    assert origin.requests[0].body == body and origin.requests[0].framing == "chunked"


@test("harness")
def a_401_can_come_before_while_and_after_the_body(env):
    origin = env.origin()
    for when in ("before", "while", "after"):
        origin.refusal = refusing(when)
        sock = direct(env, origin)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + (b"" if when == "before" else b"x" * 500))
        if when == "after":
            sock.sendall(b"x" * 500)
        assert sock.recv(20).startswith(b"HTTP/1.1 401"), when
        sock.close()


@test("harness")
def the_client_refuses_what_is_not_clean_http(env):
    for raw in (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", b"HTTP/1.1 101 Switching\r\n\r\n",
                b"junk\r\n\r\n"):
        assert fails(pair(raw).response), raw
    cut = pair(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").response(cut_allowed=True)
    assert cut.cut and cut.body == b"abc"
    fine = pair(b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end").response()
    assert fine.framing == "close" and fine.body == b"to the end" and [head.status for head in fine.informed] == [103]


@test("harness", smoke=True)
def a_leaked_secret_is_found_in_every_encoding(env):
    secret = "a:b+%&=/ c-12345"
    for text in (b"xx a:b+%&=/ c-12345", b"a%3Ab%2B%25%26%3D%2F+c-12345", b"a%3ab%2b%25%26%3d%2f%20c-12345", b"<YTpiKyUmPS8gYy0xMjM0NQ==>"):
        assert harness.leaks(text, {secret}), text
    assert not harness.leaks(b"a:b+%&=/ c-1234", {secret})
    env.seen(b"zz" + env.client_secret.encode())
    faults = env.finish(False)
    assert faults and "P1" in faults[0], faults
    env._received.clear()


@test("P1")
def a_vault_that_shows_a_secret_or_is_for_everybody_is_found(env):
    inner = harness.Env(env.places, env.socket_path())
    os.makedirs(inner.folder)
    inner.write("copy", b"QPVAULT\n" + base64.b64encode(inner.client_secret.encode()), 0o644)
    faults = inner.finish(False)
    assert any("mode 644" in fault for fault in faults) and any("the vault copy holds a secret" in fault for fault in faults), faults


@test("P1")
def a_secret_in_the_environment_is_found(env):
    standin = env.standin()
    inner = harness.Env(env.places, env.path("inner"))
    os.makedirs(inner.folder)
    inner.client_id, inner.client_secret = env.client_id, env.client_secret
    inner.proxy(standin, environ=inner.environ(QP_E2E_OTHER=inner.secret("left-here-" + env.run_id)))
    faults = inner.finish(False)
    assert any("the environment holds a secret" in fault for fault in faults), faults


@test("harness")
def a_script_fault_and_broken_http_fail_the_test(env):
    origin = env.origin()
    origin.is_gated = False
    origin.scripts = [lambda conn, request: 1 / 0]
    answer_to(env, origin, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer_to(env, origin, b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert origin.until(lambda: len(origin.errors) == 2), origin.errors
    assert any("ZeroDivisionError" in fault for fault in env.finish(False))
    origin.errors.clear()


@test("harness")
def a_hundred_connections_at_once_are_served(env):
    origin = env.origin()
    origin.is_gated = False
    origin.script = answering(body=b"x" * 10000)
    bad = []

    def one():
        sock = direct(env, origin)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        count = 0
        while count < 10000:
            count += len(sock.recv(65536))
        if count < 10000:
            bad.append(count)
    threads = [threading.Thread(target=one) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad and len(origin.requests) == 100
