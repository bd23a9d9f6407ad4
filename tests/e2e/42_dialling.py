"""From a host name to a stream: DNS, several addresses, TLS as it should not be, and no descriptors left.

The resolver is the tests' own (tests/lib/fake_resolver.c, preloaded): it answers from a file that a test may replace at any time. The
token endpoint is named by its address, which nobody resolves, so that a test's faults meet the API's origin only.
"""

import copy
import json
import os
import resource
import socket
import ssl
import stat
import time

import scripted_origin
from harness import SLOWNESS, Skip, check_own_error, eventually, test
from scripted_origin import FINE, answering


class Names:
    """What "localhost" resolves to."""

    def __init__(self, env, *lines):
        self.env = env
        self.file = env.path("hosts")
        self.environ = env.environ(LD_PRELOAD=env.preloadable("fake_resolver"), QP_FAKE_HOSTS=self.file)
        self.become(*lines)

    def become(self, *lines):
        self.env.write("hosts.new", "".join(line + "\n" for line in lines))
        os.rename(self.env.path("hosts.new"), self.file)

    def asked(self):
        """How many questions there were."""
        try:
            with open(self.file + ".asked") as asked:
                return len(asked.readlines())
        except FileNotFoundError:
            return 0


def twin(env, origin, address, **options):
    """An origin at another address and the same port, with the same tokens."""
    other = env.origin(port=origin.port, bind=address, **options)
    other.valid = origin.valid
    return other


def proxy_for(env, origin, names=None, timeouts=None, **keys):
    """A proxy that gets its tokens from an origin of their own, and is warm but for the connection to `origin`."""
    tokens = env.origin(host="127.0.0.1")
    account = {"token_url": tokens.token_url, **keys.pop("account", {})}
    url = origin if isinstance(origin, str) else origin.url
    if not isinstance(origin, str):
        origin.is_gated = False
    return env.proxy(url, account=account, environ=names and names.environ, timeouts=timeouts or {}, **keys)


def refused_port(env):
    """A port at which nobody listens, and nobody will."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    env.on_end(held.close)
    return held.getsockname()[1]


def black_hole(env, address, port):
    """A listener whose queue is full: the kernel does not answer."""
    deaf = socket.create_server((address, port), backlog=0)
    env.on_end(deaf.close)
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(deaf.getsockname())
        env.on_end(filler.close)


def message_of(response):
    return json.loads(response.body)["meta"]["error"]["errorMessage"]


def refused(proxy, status, code, *words):
    """The answer is this error, once what an earlier fault has left behind is over."""
    def answer():
        response = proxy.exchange()
        last.append(response)
        return response.get("X-Qproxy-Error") == code.encode() and all(word in message_of(response) for word in words)
    last = []
    try:
        eventually(answer, 5 * SLOWNESS)
    except AssertionError:
        raise AssertionError("neither %s nor %r: %s" % (code, words, message_of(last[-1]))) from None
    check_own_error(last[-1], status, code)


# ---- addresses ----

@test("P7", cases={"refusing": "refusing", "black_hole": "black hole", "silent": "silent", "resetting": "resetting"})
def a_dead_first_address_costs_a_moment_only(env, kind):
    """With both addresses' share of ten seconds the second one would come too late for the client."""
    origin = env.origin()
    names = Names(env, "127.0.0.2", "127.0.0.1")
    if kind == "black hole":
        black_hole(env, "127.0.0.2", origin.port)
    if kind == "silent":
        twin(env, origin, "127.0.0.2").on_accept = lambda sock: origin.closing.wait(30) or True
    if kind == "resetting":
        twin(env, origin, "127.0.0.2").on_accept = lambda sock: (scripted_origin.Connection.reset(Bare(sock)), True)
    proxy = proxy_for(env, origin, names, {"origin_connect": "10s", "origin_handshake": "300ms"})
    began = time.monotonic()
    assert proxy.exchange("POST", body=b"once").body == FINE
    assert time.monotonic() - began < 4
    assert [request.body for request in origin.requests] == [b"once"]


class Bare:
    """What Connection.reset() needs of a connection."""

    def __init__(self, sock):
        self.sock = sock
        self._quietly = scripted_origin.Connection._quietly


@test("P7")
def the_second_family_is_tried_when_the_first_is_dead(env):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        raise Skip("no IPv6 on loopback") from None
    origin = env.origin(bind="::1")
    dead = ["127.0.0.%d" % n for n in range(2, 42)]
    for address in dead:
        black_hole(env, address, origin.port)
    names = Names(env, *dead, "::1")
    proxy = proxy_for(env, origin, names, {"origin_connect": "8s"})  # behind them all it would come after 10 s
    assert proxy.exchange().status == 200


@test("P7")
def of_a_hundred_addresses_the_one_that_works_is_found(env):
    origin = env.origin()
    names = Names(env, *["127.0.1.%d" % n for n in range(1, 100)], "127.0.0.1")
    proxy = proxy_for(env, origin, names)
    assert proxy.exchange().status == 200
    names.become(*["127.0.1.%d" % n for n in range(1, 101)])


@test("P8")
def each_way_of_not_connecting_has_its_own_message(env):
    port = refused_port(env)
    names = Names(env, "127.0.0.2", "127.0.0.3")
    with env.part("refusing"):
        refused(proxy_for(env, "https://localhost:%d" % port, names), 502, "origin_refused", "127.0.0.3:%d" % port,
                "1 other attempts failed before")
    with env.part("black hole"):
        black_hole(env, "127.0.0.2", port)
        names.become("127.0.0.2")
        refused(proxy_for(env, "https://localhost:%d" % port, names, {"origin_connect": "300ms"}), 504, "origin_connect_timeout",
                "timeouts.origin_connect", "127.0.0.2:%d" % port)
    origin = env.origin()
    names.become("127.0.0.1")
    proxy = proxy_for(env, origin, names, {"origin_handshake": "300ms"})
    with env.part("half-open"):
        origin.on_accept = lambda sock: origin.closing.wait(30) or True
        refused(proxy, 504, "origin_handshake_timeout", "timeouts.origin_handshake", "127.0.0.1:%d" % origin.port)
    with env.part("reset after the accept"):
        origin.on_accept = lambda sock: (scripted_origin.Connection.reset(Bare(sock)), True)
        refused(proxy, 502, "origin_tls", "127.0.0.1:%d" % origin.port)
    with env.part("reset in the handshake"):
        origin.on_accept = lambda sock: (sock.recv(100), scripted_origin.Connection.reset(Bare(sock)), True)
        refused(proxy, 502, "origin_tls", "closed during the TLS handshake")
    with env.part("reset behind the handshake"):
        origin.on_accept = reset_behind_the_handshake(origin)
        refused(proxy, 502, "origin_closed")
    with env.part("reset behind the request"):
        origin.on_accept = None
        origin.scripts = [lambda conn, request: conn.reset()]
        refused(proxy, 502, "origin_closed")
    with env.part("well again"):
        eventually(lambda: proxy.exchange().status == 200, what="it is well again")


def reset_behind_the_handshake(origin):
    def accept(sock):
        conn = scripted_origin.Connection(origin, sock, 0)
        conn.handshake()
        conn.reset()
        return True
    return accept


# ---- DNS ----

@test("P8", cases={"temporarily": ("fail again", "temporary failure"), "unknown": ("fail noname", "unknown node"), "empty": ("", "no address")})
def a_name_that_does_not_resolve_is_a_502_and_not_asked_for_each_request(env, line, words):
    origin = env.origin()
    names = Names(env, line)
    proxy = proxy_for(env, origin, names)
    refused(proxy, 502, "origin_unresolvable", words, "localhost")
    assert {response.status for response in proxy.burst(20)} == {502}
    assert names.asked() <= 5, "%d questions for 21 requests" % names.asked()
    names.become("127.0.0.1")
    eventually(lambda: proxy.exchange().status == 200, what="the name resolves again")


@test("P7")
def a_slow_resolver_is_waited_for_within_the_limit_only(env):
    origin = env.origin()
    names = Names(env, "delay 300", "127.0.0.1")
    proxy = proxy_for(env, origin, names)
    assert {response.status for response in proxy.burst(5)} == {200}
    assert names.asked() == 1
    names.become("delay 60000", "127.0.0.1")
    hanging = proxy_for(env, origin, names, {"origin_connect": "300ms"})
    refused(hanging, 502, "origin_unresolvable", "no answer from the resolver in time")
    began = time.monotonic()
    assert hanging.stop() == 0
    assert time.monotonic() - began < 12, "the stop waited for the resolver"


@test("P6")
def a_host_that_moves_is_followed_and_its_old_streams_are_left(env):
    old = env.origin()
    names = Names(env, "127.0.0.1")
    proxy = proxy_for(env, old, names, {"origin_resolve": "1s"})
    new = twin(env, old, "127.0.0.2")
    new.is_gated = False
    with proxy.connect() as client:
        def served():
            client.request()
            assert client.response().body == FINE
            time.sleep(0.05)
            return new.requests
        served()
        assert len(old.used()) == 1
        names.become("127.0.0.2")
        eventually(served, what="the new address is used")
        before = len(old.requests)
        for _ in range(5):
            served()
    assert len(old.requests) == before, "a stream to the old address was used again"
    assert len(new.used()) == 1 and len(old.used()) == 1
    eventually(lambda: old.used()[0].ended == "close_notify", what="the old stream is ended in order")


@test("P7")
def a_resolver_that_fails_or_hangs_later_stops_nobody(env):
    origin = env.origin()
    origin.script = answering(fields=["Connection: close"])
    names = Names(env, "127.0.0.1")
    proxy = proxy_for(env, origin, names, {"origin_resolve": "1s"})
    assert proxy.exchange().status == 200
    for line in ("fail again", "delay 60000"):
        with env.part(line):
            names.become(line)
            before = names.asked()

            def served():
                began = time.monotonic()
                assert proxy.exchange().status == 200
                assert time.monotonic() - began < 4
                time.sleep(0.05)
                return names.asked() > before
            eventually(served, what="it is asked again")
            for _ in range(5):
                served()
    proxy.wait_log("localhost: .*temporary failure.*; its addresses of [0-9]+ s ago are used on")


@test("P7")
def names_that_hang_hold_up_no_other(env):
    """More of them than threads that libuv would give to the resolver by itself."""
    origin = env.origin()
    origin.is_gated = False
    tokens = env.origin(host="127.0.0.1")
    names = Names(env, "127.0.0.1")
    accounts = [env.account(origin, token_url=tokens.token_url)]
    for n in range(4):
        env.write("hosts.hanging%d.invalid" % n, "delay 60000\n")
        accounts.append(env.account("https://hanging%d.invalid" % n, name="a%d" % n, path_prefix="/a%d" % n, token_url=tokens.token_url))
    proxy = env.proxy(environ=names.environ, accounts=accounts, timeouts={"origin_connect": "3s"})
    hanging = [proxy.connect() for _ in accounts[1:]]
    for n, client in enumerate(hanging):
        client.request(target="/a%d/API/v3/whoami" % n)
    eventually(lambda: names.asked() == 4, what="all hang")
    assert proxy.exchange().status == 200
    for client in hanging:
        check_own_error(client.response(), 502, "origin_unresolvable")


@test("P8")
def a_token_endpoint_that_does_not_resolve_is_told(env):
    origin = env.origin()
    proxy = env.proxy(origin, environ=Names(env, "fail noname").environ)
    check_own_error(proxy.exchange(), 503, "token_unavailable")
    proxy.wait_log("the token endpoint's host name does not resolve.*localhost: unknown node")
    assert origin.token_calls == []


@test("P7")
def an_origin_that_has_moved_and_is_gone_is_found_within_the_request(env):
    old = env.origin()
    old.script = answering(fields=["Connection: close"])
    names = Names(env, "127.0.0.1")
    proxy = proxy_for(env, old, names, {"origin_resolve": "10m"})
    assert proxy.exchange().status == 200
    new = twin(env, old, "127.0.0.2")
    new.is_gated = False
    old.close()
    names.become("127.0.0.2")
    time.sleep(1.1)  # what was asked less than a second ago is not asked again
    assert proxy.exchange("POST", body=b"x").status == 200
    assert len(new.requests) == 1


# ---- the clock ----

@test("P7")
def a_wall_clock_that_jumps_changes_nothing(env):
    """By years, both ways, and within the certificate's life: no time limit, token, kept connection or resumption depends on it."""
    clock = env.write("clock", "0\n")
    environ = env.environ(LD_PRELOAD=env.preloadable("fake_clock"), QP_FAKE_CLOCK=clock)
    origin = env.origin()
    proxy = env.proxy(origin, environ=environ)
    with proxy.connect() as kept:
        def year_of_an_answer():
            kept.request("POST", body=b"x")
            response = kept.response()
            assert response.status == 200
            return int(response.get("Date").split()[3])
        now = year_of_an_answer()
        for years in (3, -3):
            env.write("clock", "%d\n" % (years * 366 * 86400))
            eventually(lambda: (year_of_an_answer() - now) * years > 0, what="the Date field follows the clock")
            assert proxy.exchange().status == 200
    assert len(origin.token_calls) == 1 and len(origin.used()) == 1
    origin.script = answering(fields=["Connection: close"])
    assert proxy.exchange().status == 200 and proxy.exchange().status == 200
    assert origin.requests[-1].conn.resumed


# ---- TLS ----

LAX = "DEFAULT:@SECLEVEL=0"  # OpenSSL itself would refuse to show such certificates


@test("P2", cases={"not_yet_valid": ("future", "not valid yet"), "self_signed": ("self-signed", "issuer not trusted"),
                   "a_short_key": ("weak-key", "too weakly"), "sha_1": ("weak-hash", "too weakly"),
                   "not_for_servers": ("no-server", "not for servers"), "expired": ("expired", "expired"),
                   "another_name": ("other-name", "another name"), "unknown_ca": ("other/localhost", "issuer not trusted")})
def what_is_wrong_with_a_certificate_is_told(env, cert, words):
    origin = env.origin(cert=cert, ciphers=LAX)
    proxy = proxy_for(env, origin)
    refused(proxy, 502, "origin_certificate", words)
    proxy.wait_log("origin_certificate.*" + words)
    assert origin.requests == []


@test("P2")
def a_server_without_a_modern_tls_version_gets_nothing(env):
    if not ssl.HAS_TLSv1_1:
        raise Skip("this Python's OpenSSL has no TLS 1.1")
    origin = env.origin(min_tls=ssl.TLSVersion.TLSv1_1, max_tls=ssl.TLSVersion.TLSv1_1, ciphers=LAX)
    refused(proxy_for(env, origin), 502, "origin_tls", "no common TLS version")
    assert origin.requests == []


@test("P8")
def a_tls_alert_in_the_handshake_is_told(env):
    """The origin speaks TLS 1.3 only to those who offer a suite that nobody has."""
    origin = env.origin(max_tls=ssl.TLSVersion.TLSv1_2, ciphers="AES128-SHA:" + LAX.split(":")[1])
    refused(proxy_for(env, origin), 502, "origin_tls", "TLS alert 40", "no common cipher suite")


FATAL = b"\x15\x03\x03\x00\x02\x02\x28"


@test("P6")
def a_broken_record_instead_of_an_answer_is_an_error_and_within_one_a_cut(env):
    origin = env.origin()
    proxy = proxy_for(env, origin)
    origin.scripts = [lambda conn, request: (conn.sock.sendall(FATAL), conn.wait(1))]
    check_own_error(proxy.exchange(), 502, ("origin_tls", "origin_closed"))
    origin.scripts = [lambda conn, request: (conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), time.sleep(0.05),
                                             conn.sock.sendall(FATAL), conn.wait(1))]
    response = proxy.exchange(cut_allowed=True)
    assert response.cut and response.body == b"half"
    assert proxy.exchange().status == 200


@test("P6", cases={"tls_1_2": ssl.TLSVersion.TLSv1_2, "tls_1_3": ssl.TLSVersion.TLSv1_3})
def a_ticket_that_the_server_has_forgotten_costs_a_full_handshake_only(env, version):
    origin = env.origin(max_tls=version)
    origin.script = answering(fields=["Connection: close"])
    proxy = proxy_for(env, origin)
    for method in ("GET", "POST", "GET", "POST"):
        if len(origin.requests) == 2:
            origin.forget_tickets()
        assert proxy.exchange(method, body=b"x" if method == "POST" else None).status == 200
    assert [request.conn.resumed for request in origin.requests] == [False, True, False, True]
    assert not origin.handshake_failures


@test("P6")
def an_answer_until_close_that_lacks_its_close_notify_is_a_cut(env):
    origin = env.origin()
    proxy = proxy_for(env, origin)
    origin.script = lambda conn, request: (conn.send(b"HTTP/1.1 200 OK\r\n\r\nall of it?"), conn.cut())
    for version in ("1.1", "1.0"):
        with env.part(version):
            response = proxy.exchange(version=version, cut_allowed=True)
            assert response.cut and response.body == b"all of it?"


# ---- descriptors ----

def leave_no_descriptor(proxy):
    """The limit goes down to the first number that is free."""
    if not proxy.env.places.may_look_inside():
        raise Skip("the release forbids looks at its descriptors")
    used = {int(name) for name in os.listdir("/proc/%d/fd" % proxy.pid)}
    lowest = next(number for number in range(1024) if number not in used)
    soft, hard = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (lowest, resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)[1]))
    return lambda: resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (soft, hard))


@test("P8")
def dialling_without_descriptors_is_a_503_that_says_so(env):
    origin = env.origin()
    origin.script = answering(fields=["Connection: close"])
    proxy = proxy_for(env, origin)
    with proxy.connect() as client:
        client.request()
        assert client.response().status == 200
        eventually(lambda: not origin.requests[0].conn.is_open, what="the origin's connection has gone")
        time.sleep(0.1)
        give_back = leave_no_descriptor(proxy)
        client.request()
        response = client.response()
        check_own_error(response, 503, "no_descriptors", retry_after=True)
        assert "LimitNOFILE" in message_of(response)
        with proxy.connect() as late:  # taken with the reserve, and closed at once
            assert late.has_closed(5)
        before = proxy.ticks()
        time.sleep(1.0)
        assert proxy.ticks() - before < 0.5, "it spins"
        give_back()
        client.request()
        assert client.response().status == 200
    eventually(lambda: proxy.exchange().status == 200, what="it accepts again")
    proxy.wait_log("no file descriptors left")


@test("P6")
def a_body_that_finds_no_descriptor_for_its_copy_is_sent_all_the_same(env):
    origin = env.origin()
    proxy = proxy_for(env, origin, replay={"memory": "64KiB"})
    with proxy.connect() as client:
        client.request()
        assert client.response().status == 200
        give_back = leave_no_descriptor(proxy)
        body = os.urandom(1 << 20)
        client.request("POST", body=body)
        assert client.response().status == 200
        assert origin.requests[-1].body == body and len(origin.used()) == 1
        give_back()
    proxy.wait_log("not replayable")


def limit_descriptors(env, count):
    """For every proxy of this test, from its start."""
    script = env.write("limited", '#!/bin/sh\nulimit -n %d && exec "%s" "$@"\n' % (count, env.places.qproxy), stat.S_IRWXU)
    env.places = copy.copy(env.places)
    env.places.qproxy = script


@test("P8")
def a_start_without_descriptors_says_so(env):
    """Wherever in the start it is that they are gone."""
    path = env.write("many.json", json.dumps(env.config("https://localhost:9", workers=9)))
    places = env.places
    for count in range(12, 40, 3):
        with env.part("%d descriptors" % count):
            env.places = places
            limit_descriptors(env, count)
            code, _, log = env.run(["run", "-c", path])
            assert code == 71 and "oo many open files" in log and "LimitNOFILE" in log, (code, log)


@test("P8")
def a_limit_on_descriptors_that_is_too_low_is_told_at_the_start(env):
    limit_descriptors(env, 600)
    origin = env.origin()
    proxy = env.proxy(origin, limits={"connections": 1000, "origin_connections": 50})
    proxy.wait_log("600 .*limits.connections.*LimitNOFILE")
    assert proxy.exchange().status == 200
    enough = env.proxy(origin, limits={"connections": 300, "origin_connections": 50})
    assert enough.exchange().status == 200
    assert "LimitNOFILE" not in enough.log()
