"""The end of the process, and more than one of them (P7, P8)."""

import json
import os
import resource
import signal
import socket
import threading
import time

import wire
from harness import SLOWNESS, check_own_error, eventually, free_port, test
from scripted_origin import FINE, answering


def plain(env, **keys):
    origin = env.origin()
    return origin, env.proxy(origin, **keys)


def is_refused(address):
    try:
        socket.create_connection(address, 2).close()
        return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return True


@test("P8", smoke=True, cases={"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT})
def a_signal_ends_an_idle_daemon_at_once_with_exit_0(env, number):
    _, proxy = plain(env, timeouts={"drain": "30s"})
    assert proxy.exchange().status == 200
    began = time.monotonic()
    proxy.signal(number)
    assert proxy.wait_exit() == 0
    assert time.monotonic() - began < 10 * SLOWNESS


@test("P8")
def sigterm_lets_a_request_in_flight_finish(env):
    origin, proxy = plain(env, timeouts={"drain": "20s"}, workers=2)
    go = threading.Event()

    def script(conn, request):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        go.wait(10)
        conn.send(b" half")
    assert proxy.exchange().status == 200
    origin.script = script
    waiting, streaming = proxy.connect(), proxy.connect()
    streaming.request()
    assert streaming.head().status == 200
    origin.script = lambda conn, request: (go.wait(10), conn.answer())
    waiting.request("POST", body=b"x")
    origin.wait_requests(3)
    proxy.signal()
    eventually(lambda: is_refused(proxy.address), what="new connections are refused")
    assert proxy.process.poll() is None
    go.set()
    assert streaming.read(10) == b"first half"
    response = waiting.response()
    assert response.body == FINE and not response.keeps_alive
    assert waiting.has_closed() and streaming.has_closed()
    assert proxy.wait_exit() == 0


@test("P8")
def sigterm_closes_idle_connections_at_once(env):
    origin, proxy = plain(env, timeouts={"drain": "20s"})
    idle, fresh, busy = proxy.connect(), proxy.connect(), proxy.connect()
    idle.request()
    assert idle.response().status == 200
    go = threading.Event()
    origin.script = lambda conn, request: (go.wait(10), conn.answer())
    busy.request()
    origin.wait_requests(2)
    proxy.signal()
    assert idle.has_closed() and fresh.has_closed()
    assert proxy.process.poll() is None
    go.set()
    assert busy.response().status == 200
    assert proxy.wait_exit() == 0


@test("P8")
def a_drain_ends_at_its_limit(env):
    origin, proxy = plain(env, timeouts={"drain": "500ms"})
    origin.script = lambda conn, request: conn.wait(30)
    client = proxy.connect()
    client.request()
    origin.wait_requests(1)
    began = time.monotonic()
    proxy.signal()
    code = proxy.wait_exit()
    assert 0.3 < time.monotonic() - began < 10 * SLOWNESS
    assert code == 0
    assert client.has_closed()


@test("P8")
def a_second_signal_ends_at_once(env):
    origin, proxy = plain(env, timeouts={"drain": "60s"})
    origin.script = lambda conn, request: conn.wait(30)
    client = proxy.connect()
    client.request()
    origin.wait_requests(1)
    proxy.signal()
    proxy.wait_log("stopping")
    began = time.monotonic()
    proxy.signal()
    proxy.expected_exit = proxy.wait_exit()
    assert proxy.expected_exit != 0 and time.monotonic() - began < 8 * SLOWNESS


@test("P8")
def sigterm_during_a_token_call_ends_too(env):
    origin = env.origin()
    origin.token_script = lambda conn, request: conn.wait(30)
    proxy = env.proxy(origin, timeouts={"drain": "400ms", "token_wait": "30s", "token_call": "30s"})
    clients = [proxy.connect() for _ in range(5)]
    for client in clients:
        client.request()
    assert origin.until(lambda: origin.token_calls)
    proxy.signal()
    assert proxy.wait_exit() == 0


@test("P8")
def sigterm_in_a_storm_is_clean(env):
    origin, proxy = plain(env, timeouts={"drain": "5s"}, workers=2)
    assert proxy.exchange().status == 200
    stop = threading.Event()
    bad = []

    def one():
        while not stop.is_set():
            try:
                with proxy.connect() as client:
                    for _ in range(5):
                        client.request("POST", body=b"x" * 3000)
                        response = client.response()
                        if response.status != 200 or response.body != FINE:
                            bad.append(response)
                        if not response.keeps_alive:
                            break
            except (wire.Cut, OSError):
                pass  # no new connection, or an idle one closed: both are the drain's right
    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    proxy.signal()
    code = proxy.wait_exit()
    stop.set()
    for thread in threads:
        thread.join()
    assert code == 0 and not bad, bad[:3]


@test("P8")
def a_second_daemon_on_the_same_port_says_who_has_it(env):
    origin = env.origin()
    port = free_port()
    first = env.proxy(origin, listen="127.0.0.1:%d" % port)
    second = env.start(["run", "-c", env.path("qproxy-1.json")])
    second.expected_exit = second.wait_exit()
    assert second.expected_exit not in (0, 86)
    assert "in use" in second.log() and str(first.pid) in second.log(), second.log()
    assert b"listening" not in second.stdout
    assert first.exchange().status == 200


@test("P8")
def a_port_that_somebody_else_has_is_named(env):
    with socket.create_server(("127.0.0.1", 0)) as other:
        origin = env.origin()
        path = env.write("c.json", json.dumps(env.config(origin, listen="127.0.0.1:%d" % other.getsockname()[1])))
        code, _, err = env.run(["run", "-c", path])
        assert code not in (0, 86) and str(other.getsockname()[1]) in err and str(os.getpid()) in err, err


@test("P8")
def a_live_unix_socket_is_respected_and_a_stale_one_replaced(env):
    origin = env.origin()
    path = env.socket_path()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    first = env.proxy(origin, listen="unix:" + path)
    assert first.exchange().status == 200
    second = env.start(["run", "-c", env.path("qproxy-1.json")])
    second.expected_exit = second.wait_exit()
    assert second.expected_exit not in (0, 86) and path in second.log(), second.log()
    assert first.exchange().status == 200
    assert first.stop() == 0
    assert not os.path.exists(path), "the socket's file outlives the daemon"


@test("P8")
def a_plain_file_in_the_place_of_a_socket_is_left_alone(env):
    origin = env.origin()
    path = env.socket_path()
    with open(path, "w") as file:
        file.write("mine")
    config = env.write("c.json", json.dumps(env.config(origin, listen="unix:" + path)))
    code, _, err = env.run(["run", "-c", config])
    assert code not in (0, 86) and path in err
    with open(path) as file:
        assert file.read() == "mine"


@test("P8")
def it_listens_before_it_has_a_token(env):
    origin = env.origin()
    go = threading.Event()

    def script(conn, request):
        conn.body(request)
        go.wait(10)
        origin.send_token(conn)
    origin.token_script = script
    proxy = env.proxy(origin)
    client = proxy.connect()
    client.request()
    assert client.is_silent(0.2)
    go.set()
    assert client.response().status == 200


@test("P8")
def a_daemon_can_be_restarted_on_its_port_at_once(env):
    origin = env.origin()
    port = free_port()
    for _ in range(3):
        proxy = env.proxy(origin, listen="127.0.0.1:%d" % port)
        client = proxy.connect()
        client.request()
        assert client.response().status == 200
        assert proxy.stop() == 0


@test("P8")
def a_closed_log_reader_does_not_kill_it(env):
    """SIGPIPE from a log pipe whose reader is gone."""
    origin = env.origin()
    proxy = env.proxy(origin)
    proxy.signal(signal.SIGPIPE)
    assert proxy.exchange().status == 200


@test("P8")
def an_origin_that_goes_away_for_a_while_costs_only_that_while(env):
    origin, proxy = plain(env)
    assert proxy.exchange().status == 200
    tokens, port = set(origin.valid), origin.port
    origin.close()
    time.sleep(0.1)
    check_own_error(proxy.exchange(), 502)
    again = env.origin(port=port)
    again.valid = tokens
    assert proxy.exchange().status == 200
    again.script = answering()
    assert proxy.exchange("POST", body=b"x").status == 200


@test("P1", smoke=True)
def a_crash_leaves_no_core_file(env):
    """Neither the limit nor the kernel's dumpable flag allows one."""
    origin = env.origin()
    proxy = env.proxy(origin)
    assert proxy.exchange().status == 200
    assert resource.prlimit(proxy.pid, resource.RLIMIT_CORE) == (0, 0)
    if not env.places.may_look_inside():
        assert os.stat("/proc/%d/mem" % proxy.pid).st_uid == 0, "the process is dumpable"
    proxy.signal(signal.SIGQUIT)
    _, status = os.waitpid(proxy.pid, 0)
    proxy.process.returncode = proxy.expected_exit = -signal.SIGQUIT
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status), "it dumped its memory"
