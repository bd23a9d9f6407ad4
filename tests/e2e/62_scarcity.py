"""What runs out or jumps: memory, the disk under the logs, whoever reads them, the clocks (P7, P8)."""

import email.utils
import hashlib
import json
import os
import re
import resource
import subprocess
import threading
import time

import wire
from admin_client import ANY_PORT, ask
from harness import Skip, check_own_error, eventually, read_text, test
from scripted_origin import answering, reflecting

KIB, MIB = 1 << 10, 1 << 20


def metric(env, proxy, name):
    found = re.search(r"^qproxy_%s (\d+)$" % name, ask(env, proxy, "/metrics").body.decode(), re.M)
    assert found, "no metric qproxy_" + name
    return int(found.group(1))


def quiet_connection(proxy):
    """One that was accepted while there was memory."""
    client = proxy.connect()
    client.request()
    assert client.response().status == 200
    return client


class Heads:
    """Clients that each hold most of a large head back, as many as it takes."""

    def __init__(self, env, proxy):
        self.env, self.proxy, self.clients = env, proxy, []

    def add(self, count):
        for _ in range(count):
            client = self.proxy.connect()
            self.clients.append(client)
            client.send(b"GET /API/v3/whoami HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(28)))

    def fill(self, limit=1500):
        while metric(self.env, self.proxy, "memory_shortages_total") == 0:
            assert len(self.clients) < limit, "no limit is met"
            self.add(20)
            self.look()

    def look(self):
        """Somebody asks something: that is when it is noticed."""
        with self.proxy.connect() as client:
            client.sock.settimeout(0.05)
            try:
                client.request()
                client.response()
            except (OSError, AssertionError):
                pass

    def close(self):
        for client in self.clients:
            client.close()


@test("P7", smoke=True, limit=40)
def past_the_memory_limit_nothing_new_is_taken_on_until_there_is_room(env):
    origin = env.origin()
    proxy = env.proxy(origin, admin=ANY_PORT, workers=2, limits={"memory": "16MiB", "connections": 3000}, timeouts={"client_head": "60s"})
    upload = proxy.connect()
    origin.scripts = [reflecting()]
    upload.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: 200000"], b"a" * 100000))
    origin.wait_requests(1)  # it has the script
    quiet = [quiet_connection(proxy) for _ in range(8)]
    heads = Heads(env, proxy)
    heads.fill()
    for client in quiet:
        client.request()
        check_own_error(client.response(), 503, "memory_full", retry_after=True)
        assert client.has_closed()
    taken = len(origin.requests)
    late = [proxy.connect() for _ in range(8)]  # the kernel takes them, nobody else does
    for client in late:
        client.request()
    upload.send(b"b" * 100000)
    answer = upload.response("POST")
    assert answer.status == 200 and hashlib.sha256(answer.body).digest() == hashlib.sha256(b"a" * 100000 + b"b" * 100000).digest()
    assert all(request.method == "POST" for request in origin.requests[taken:])
    assert ask(env, proxy, "/healthz").status == 200, "the admin pages go on"
    most = 16 * MIB + 2 * MIB  # what was under way when it was noticed
    assert metric(env, proxy, "memory_bytes") < most
    assert metric(env, proxy, "memory_limit_bytes") == 16 * MIB
    heads.close()
    for client in late:
        assert client.response().status == 200
    assert proxy.exchange().status == 200
    assert re.search(r" warn  memory: \d+ KiB are held and limits.memory is 16384 KiB: nothing new is taken on", proxy.log())
    assert re.search(r" warn  memory: \d+ KiB of 16384 KiB are held: new requests are taken on again", proxy.log())


@test("P8")
def a_limit_that_the_workers_alone_come_near_is_refused_at_the_start(env):
    """Else no request would ever be taken on."""
    path = env.write("small.json", json.dumps(env.config(env.origin(), workers=64, limits={"memory": "16MiB"})))
    code, _, words = env.run(["run", "-c", path])
    assert code == 78, (code, words)
    told = re.search(r"limits.memory is 16384 KiB, and \d+ KiB are held without any request \(64 workers, 1 accounts\): set it to (\d+) KiB", words)
    assert told, words
    proxy = env.proxy(env.origin(), workers=64, limits={"memory": told.group(1) + "KiB"})
    assert proxy.exchange().status == 200


@test("P5", limit=40)
def without_memory_a_replay_copy_goes_to_its_file(env):
    origin = env.origin()
    proxy = env.proxy(origin, admin=ANY_PORT, limits={"memory": "16MiB"}, replay={"memory": "8MiB", "memory_total": "512MiB"},
                      timeouts={"token_wait": "30s"})
    assert proxy.exchange().status == 200
    release = threading.Event()

    def late_401(conn, request):
        conn.body(request)
        release.wait(30)
        conn.answer(401, b"{}")
    count = 6
    origin.scripts = [late_401] * count + [answering()] * count
    body = os.urandom(4 * MIB)
    clients = [proxy.connect() for _ in range(count)]
    # One after the other: those that come when memory is short already would be declined.
    for client in clients:
        client.sock.settimeout(30)
        client.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: %d" % len(body)], b""))
    origin.wait_requests(1 + count)
    senders = [threading.Thread(target=client.send, args=(body,)) for client in clients]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(30)
    eventually(lambda: sum(request.body is not None for request in origin.requests) >= count + 1, what="all bodies are there")
    assert metric(env, proxy, "memory_bytes") < 19 * MIB, "the copies are %d MiB" % (count * 4)
    release.set()
    for client in clients:
        assert client.response("POST").status == 200
    digest = hashlib.sha256(body).digest()
    replayed = [request for request in origin.requests if request.method == "POST"]
    assert len(replayed) == 2 * count and all(hashlib.sha256(request.body).digest() == digest for request in replayed)


@test("P7", limit=40)
def the_limit_holds_where_the_system_has_no_more_to_give(env):
    if os.path.basename(env.places.build) in ("asan", "tsan"):
        raise Skip("a sanitizer's shadow is larger than any limit")
    origin = env.origin()
    proxy = env.proxy(origin, admin=ANY_PORT, workers=2, limits={"memory": "24MiB", "connections": 3000}, timeouts={"client_head": "60s"})
    assert proxy.exchange().status == 200
    held = int(re.search(r"VmSize:\s+(\d+)", read_text("/proc/%d/status" % proxy.pid)).group(1)) * KIB
    resource.prlimit(proxy.pid, resource.RLIMIT_AS, (held + 64 * MIB, held + 64 * MIB))
    quiet = quiet_connection(proxy)
    heads = Heads(env, proxy)
    heads.fill()
    heads.add(100)
    quiet.request()
    check_own_error(quiet.response(), 503, "memory_full")
    heads.close()
    eventually(lambda: proxy.process.poll() is None and proxy.exchange().status == 200, what="it serves again")


# ---- logs ----

def lines_of(path):
    with open(path) as file:
        return file.read().splitlines()


@test("P8", smoke=True)
def on_a_full_disk_requests_go_on_and_the_loss_is_told(env):
    origin = env.origin()
    log, access = env.path("qproxy.log"), env.path("access.log")
    proxy = env.proxy(origin, admin=ANY_PORT, log={"file": log, "access": access, "level": "debug"})
    assert proxy.exchange().status == 200
    eventually(lambda: os.path.getsize(access) > 0, what="the access line is written")
    limit = max(os.path.getsize(log), os.path.getsize(access)) + 500
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    before, ticks = time.monotonic(), proxy.ticks()
    with proxy.connect() as client:
        for _ in range(300):
            client.request()
            assert client.response().status == 200
    eventually(lambda: metric(env, proxy, "log_lost_lines_total") > 100, what="lines are lost")
    time.sleep(1.5)
    assert proxy.ticks() - ticks < 0.8 * (time.monotonic() - before) + 2, "it spins"
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert proxy.exchange().status == 200
    told = eventually(lambda: re.search(r"log: (\d+) access lines were lost: File too large$", read_text(log), re.M), what="the loss is told")
    assert 100 < int(told.group(1)) <= 300
    for line in lines_of(access):
        assert not line or line.startswith("20"), "a line that was cut ran into %r" % line
    whole = [line for line in lines_of(access) if " end=" in line and "error=" in line]
    lost = int(told.group(1))
    assert len(whole) + lost == 302, "%d written, %d lost, 302 made" % (len(whole), lost)


@test("P8")
def dev_full_and_a_closed_stderr_harm_no_request(env):
    origin = env.origin()
    for name, keys in (("full from the start", {"file": "/dev/full", "access": "/dev/full"}), ("stderr", {})):
        with env.part(name):
            proxy = env.proxy(origin, admin=ANY_PORT, log={"level": "debug", **keys})
            if name == "stderr":
                proxy.stop()
                config = env.write("closed.json", json.dumps(env.config(origin, admin=ANY_PORT)))
                proxy = env.start(["run", "-c", config])  # only to have it ended
                proxy.kill()
                proxy.expected_exit = -9
                closed = subprocess.Popen(["sh", "-c", "exec \"$0\" run -c \"$1\" 2>&-", env.places.qproxy, config], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, env=env.environ())
                env.on_end(closed.wait)
                env.on_end(closed.kill)
                address = re.match(rb"listening on (\S+):(\d+)", closed.stdout.readline())
                with env.client((address.group(1).decode(), int(address.group(2)))) as client:
                    client.request()
                    assert client.response().status == 200
                assert not os.path.exists("/proc/%d/fd/2" % closed.pid) or "socket" not in os.readlink("/proc/%d/fd/2" % closed.pid)
                continue
            for _ in range(20):
                assert proxy.exchange().status == 200
            eventually(lambda: metric(env, proxy, "log_lost_lines_total") > 20, what="the loss is counted")


@test("P7", smoke=True)
def a_reader_of_stderr_that_stops_reading_stops_nobody(env):
    origin = env.origin()
    path = env.write("pipe.json", json.dumps(env.config(origin, admin=ANY_PORT, log={"level": "debug"}, timeouts={"drain": "1s"})))
    reading, writing = os.pipe()
    process = subprocess.Popen([env.places.qproxy, "run", "-c", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writing,
                               env=env.environ())
    env.on_end(process.wait)
    env.on_end(process.kill)
    os.close(writing)
    address = re.match(rb"listening on (\S+):(\d+)", process.stdout.readline())
    address = (address.group(1).decode(), int(address.group(2)))
    with env.client(address) as client:
        for _ in range(1500):  # several pipes full of lines
            client.request()
            assert client.response().status == 200
    pieces = []
    reader = threading.Thread(target=lambda: pieces.extend(iter(lambda: os.read(reading, 65536), b"")), daemon=True)
    reader.start()

    def told():
        with env.client(address) as client:
            client.request()
            client.response()
        return re.search(rb"log: \d+ (access )?lines were lost: nobody took them in time", b"".join(pieces))
    eventually(told, what="the loss is told")
    process.terminate()
    assert process.wait(20) == 0
    reader.join(5)
    for line in b"".join(pieces).splitlines():
        assert re.match(rb"20\d\d-\d\d-\d\dT", line), "half a line: %r" % line


@test("P7")
def a_terminal_that_nobody_reads_stops_nobody(env):
    """It takes part of a line and has the writer wait for the rest."""
    origin = env.origin()
    path = env.write("tty.json", json.dumps(env.config(origin, log={"level": "debug"}, timeouts={"drain": "1s"})))
    master, terminal = os.openpty()
    process = subprocess.Popen([env.places.qproxy, "run", "-c", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal,
                               env=env.environ())
    env.on_end(lambda: (os.close(master), os.close(terminal)))
    env.on_end(process.wait)
    env.on_end(process.kill)
    address = re.match(rb"listening on (\S+):(\d+)", process.stdout.readline())
    with env.client((address.group(1).decode(), int(address.group(2)))) as client:
        for _ in range(800):
            client.request()
            assert client.response().status == 200
    assert os.get_blocking(terminal), "it is others' too"
    process.terminate()
    assert process.wait(20) == 0


@test("P8")
def log_files_are_opened_anew_at_sigusr1(env):
    origin = env.origin()
    log, access = env.path("qproxy.log"), env.path("access.log")
    proxy = env.proxy(origin, log={"file": log, "access": access, "level": "info"})
    assert proxy.exchange().status == 200
    eventually(lambda: os.path.getsize(access) > 0, what="the access line is written")
    os.rename(log, log + ".1")
    os.rename(access, access + ".1")
    proxy.signal(10)
    eventually(lambda: os.path.exists(log) and os.path.exists(access) and "log files opened anew" in read_text(log), what="they are made anew")
    for _ in range(10):
        assert proxy.exchange().status == 200
    eventually(lambda: len(lines_of(access)) == 10, what="new lines go there")
    assert len(lines_of(access + ".1")) == 1
    assert os.stat(log).st_mode & 0o777 == 0o640 & ~umask()
    with env.part("one that cannot be opened keeps the old one"):
        os.rename(access, access + ".2")
        os.mkdir(access)
        proxy.signal(10)
        eventually(lambda: re.search(r"error run: log file '\S+access.log' cannot be opened anew, the old one goes on: Is a directory", read_text(log)),
                   what="it says so")
        assert proxy.exchange().status == 200
        eventually(lambda: len(lines_of(access + ".2")) == 11, what="the old file goes on")
    assert proxy.stop() == 0
    assert "run: stopped" in read_text(log)


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---- clocks ----

class Clock:
    """The proxy's wall clock, which a preloaded library shifts."""

    def __init__(self, env):
        self.env = env
        self.library = env.preloadable("fake_clock")
        self.set(0)

    def set(self, seconds):
        self.shift = seconds
        self.env.write("shift.new", "%d\n" % seconds)
        os.rename(self.env.path("shift.new"), self.env.path("shift"))

    def environ(self):
        return self.env.environ(LD_PRELOAD=self.library, QP_FAKE_CLOCK=self.env.path("shift"))

    def now(self):
        return time.time() + self.shift


HOURS = (5, -5, 0, 24 * 400, -24 * 400, 0)


@test("P3", limit=40)
def a_wall_clock_that_jumps_changes_no_deadline(env):
    origin = env.origin()
    clock = Clock(env)
    proxy = env.proxy(origin, environ=clock.environ(), log={"level": "info"})
    kept = quiet_connection(proxy)
    for hours in HOURS:
        with env.part("%+d hours" % hours):
            origin.scripts = [lambda conn, request: (conn.wait(0.3), conn.answer())]
            before = len(origin.requests)
            kept.request()
            origin.wait_requests(before + 1)
            clock.set(hours * 3600)
            answer = kept.response()
            assert answer.status == 200, answer
            eventually(lambda: abs(email.utils.parsedate_to_datetime(date_of(proxy)).timestamp() - clock.now()) < 5, what="the Date field follows")
            stamp = eventually(lambda: (re.findall(r"^(\S+Z) access ", proxy.log(), re.M) or [None])[-1], what="a line")
            assert stamp
    assert len(origin.token_calls) == 1, "a token's life is not the wall clock's business"
    year = time.gmtime(time.time() + 400 * 86400).tm_year
    proxy.wait_log(r"^%d-.* access " % year)


def date_of(proxy):
    """A refusal is the server's own, with its Date."""
    time.sleep(0.2)
    answer = proxy.send(b"GET / HTTP/1.1\r\n\r\n")
    assert answer.status == 400
    return answer.get("Date").decode()


@test("P4", limit=40)
def a_vault_of_another_time_is_not_believed_longer_than_its_token_lives(env):
    """Restarts with the clock set wrongly: a token from the future, or one that ended long ago, costs one token call. (Before its time a
    certificate is not valid, so there is no token then; nothing is lost by it.)"""
    standin = env.standin()
    clock = Clock(env)
    account = env.account(standin)
    calls = 0
    for hours, status, cost in ((0, 200, 1), (0, 200, 0), (-5, 503, 0), (0, 200, 0), (5, 200, 1), (0, 200, 1), (0, 200, 0)):
        with env.part("%+d hours, %d calls before" % (hours, calls)):
            clock.set(hours * 3600)
            proxy = env.proxy(accounts=[account], vault=env.vault(), environ=clock.environ())
            assert proxy.exchange().status == status
            calls += cost
            assert standin.token_calls() == calls, "%d token calls, expected %d" % (standin.token_calls(), calls)
            assert proxy.stop() == 0


@test("P7", limit=40)
def after_a_long_standstill_nothing_is_cut_that_moves(env):
    """The process stands still for longer than every limit; all that came meanwhile counts as come in time."""
    origin = env.origin()
    proxy = env.proxy(origin, timeouts={"client_head": "2s", "client_body": "2s", "client_idle": "2s", "origin_response": "2s", "origin_idle": "2s"})
    assert proxy.exchange().status == 200
    upload, slow_head, idle, waiting = proxy.connect(), proxy.connect(), quiet_connection(proxy), proxy.connect()
    body = os.urandom(300 * KIB)
    origin.scripts = [reflecting(), answering(), answering(), answering()]
    upload.send(wire.message("POST /API/v3/x HTTP/1.1", ["Host: localhost", "Content-Length: %d" % len(body)], body[:1000]))
    origin.wait_requests(3)
    slow_head.send(b"GET /API/v3/whoami HTTP/1.1\r\nHost:")
    time.sleep(0.3)
    proxy.pause()
    sender = threading.Thread(target=upload.send, args=(body[1000:],))
    sender.start()
    slow_head.send(b" localhost\r\n\r\n")
    idle.request()
    waiting.request()
    time.sleep(3.5)
    proxy.resume()
    sender.join(20)
    assert upload.response("POST").body == body
    for client in (slow_head, idle, waiting):
        assert client.response().status == 200


@test("P7", limit=40)
def a_stream_that_ended_during_a_standstill_is_not_used(env):
    origin = env.origin()
    proxy = env.proxy(origin)
    assert proxy.exchange().status == 200
    conn = origin.requests[-1].conn
    proxy.pause()
    conn.close()
    client = proxy.connect()
    client.request("POST", body=b"once")
    time.sleep(0.5)
    proxy.resume()
    assert client.response("POST").status == 200
    assert [request.body for request in origin.requests if request.method == "POST"] == [b"once"]
