"""TLS to the origin and to the token endpoint: verified, or nothing is sent (P2)."""

import os
import ssl
import time

import wire
from harness import check_own_error, eventually, test
from scripted_origin import FINE, answering


def distrusted(env, name):
    """An origin whose certificate must not be accepted, and the account key that goes with it."""
    if name == "unknown_ca":
        return env.origin(), {"ca_file": env.places.cert("other/ca.pem")}
    return env.origin(cert={"expired": "expired", "wrong_name": "other-name"}[name]), {}


WRONG = {name: (name,) for name in ("expired", "wrong_name", "unknown_ca")}


@test("P2", cases=WRONG)
def an_origin_with_a_wrong_certificate_gets_no_request(env, name):
    tokens = env.origin()
    origin, keys = distrusted(env, name)
    if name == "unknown_ca":  # the token endpoint's CA is the one that the account knows
        tokens = env.origin(cert="other/localhost")
    proxy = env.proxy(origin, account={"token_url": tokens.token_url, **keys})
    for method in ("GET", "POST"):
        check_own_error(proxy.exchange(method, body=b"secret body" if method == "POST" else None), 502)
    proxy.wait_log("certificate")
    assert len(tokens.token_calls) == 1
    assert origin.requests == [] and origin.token_calls == [] and origin.connections == []


@test("P2", cases=WRONG)
def a_token_endpoint_with_a_wrong_certificate_gets_no_secret(env, name):
    tokens, keys = distrusted(env, name)
    origin = env.origin()
    proxy = env.proxy(origin, account={"token_url": tokens.token_url, **keys})
    check_own_error(proxy.exchange(), 503)
    proxy.wait_log("certificate")
    assert tokens.token_calls == [] and tokens.connections == [] and origin.requests == []


@test("P2", cases={"tls_1_2": ssl.TLSVersion.TLSv1_2, "tls_1_3": ssl.TLSVersion.TLSv1_3})
def both_tls_versions_work(env, version):
    origin = env.origin(max_tls=version)
    proxy = env.proxy(origin)
    assert proxy.exchange("POST", body=b"x" * 100000).body == FINE
    assert origin.requests[0].conn.tls_version == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


@test("P6", cases={"tls_1_2": ssl.TLSVersion.TLSv1_2, "tls_1_3": ssl.TLSVersion.TLSv1_3})
def a_second_connection_resumes_the_tls_session(env, version):
    origin = env.origin(max_tls=version)
    origin.script = answering(fields=["Connection: close"])
    proxy = env.proxy(origin)
    for _ in range(3):
        assert proxy.exchange().status == 200
    assert [request.conn.resumed for request in origin.requests][1:] == [True, True]


@test("P6")
def an_origin_named_by_its_address_is_verified_as_such(env):
    origin = env.origin(host="127.0.0.1")
    proxy = env.proxy(origin)
    assert proxy.exchange().status == 200
    assert origin.requests[0].get("Host") == origin.authority.encode()


@test("P7", cases={"garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n", "nothing": b"", "half_a_record": b"\x16\x03\x03\x40\x00\x02\x00",
                   "an_alert": b"\x15\x03\x03\x00\x02\x02\x28",
                   "a_huge_record": b"\x16\x03\x03\xff\xff" + b"\x02" * 70000})
def an_origin_that_does_not_speak_tls_is_a_502(env, data):
    tokens, origin = env.origin(), env.origin()

    def accept(sock):
        sock.recv(65536)
        sock.sendall(data)
        time.sleep(0.05)
        sock.close()
        return True
    origin.on_accept = accept
    proxy = env.proxy(origin, account={"token_url": tokens.token_url})
    check_own_error(proxy.exchange(), 502)
    origin.on_accept = None
    origin.valid = tokens.valid
    eventually(lambda: proxy.exchange().status == 200, what="the origin is well again")


@test("P7")
def an_origin_that_never_answers_the_handshake_is_a_504(env):
    tokens, origin = env.origin(), env.origin()
    origin.on_accept = lambda sock: origin.closing.wait(30) or True
    proxy = env.proxy(origin, account={"token_url": tokens.token_url}, timeouts={"origin_connect": "300ms"})
    began = time.monotonic()
    check_own_error(proxy.exchange(), 504)
    assert 0.25 < time.monotonic() - began < 5


@test("P6")
def a_whole_answer_with_its_close_in_one_packet_is_whole(env):
    raw = wire.message("HTTP/1.1 200 OK", ["Content-Length: 5", "Connection: close"], b"whole")

    def script(conn, request):
        conn.send_wire_in_steps(raw, 1 << 20, also_close=True)
        conn.cut()
    origin = env.origin()
    origin.script = script
    proxy = env.proxy(origin)
    for _ in range(3):
        response = proxy.exchange()
        assert response.body == b"whole" and not response.cut
    origin.script = lambda conn, request: (conn.send_wire_in_steps(b"HTTP/1.1 200 OK\r\n\r\nwhole", 1 << 20, also_close=True), conn.cut())
    assert proxy.exchange().body == b"whole"


@test("P7")
def noise_inside_the_tls_stream_is_visibly_an_error(env):
    def script(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        time.sleep(0.05)
        conn.sock.sendall(b"\x17\x03\x03\x00\x40" + b"\x55" * 64)
        conn.wait(1)
    origin = env.origin()
    origin.script = script
    proxy = env.proxy(origin)
    response = proxy.exchange(cut_allowed=True)
    assert response.cut and response.body == b"half"
    origin.script = answering()
    assert proxy.exchange().status == 200


@test("P2")
def the_systems_certificates_are_the_default(env):
    """Without ca_file, SSL_CERT_FILE or the system's bundle counts: our test CA is in the first and not in the second."""
    origin = env.origin()
    trusting = env.proxy(origin, account={"ca_file": None}, environ=env.environ(SSL_CERT_FILE=env.places.cert("ca.pem")))
    assert trusting.exchange().status == 200
    if os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
        strict = env.proxy(origin, account={"ca_file": None})
        check_own_error(strict.exchange(), 503)
    assert len(origin.token_calls) == 1
