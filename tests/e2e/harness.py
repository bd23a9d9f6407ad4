"""What a test gets: an Env that starts proxies, origins and clients, ends them, and then holds every test to the same promises.

A test is a function of one Env, registered by @test("P3"); its name is a sentence. After each test the harness itself checks that
  - every proxy leaves on SIGTERM with exit code 0, and no sanitizer has reported anything;
  - P1: no secret of this run, in no encoding, is in a log, on stdout, in a command line or environment, in a vault's bytes or in any byte that a
    client received; a vault's mode is 0600;
  - the log holds no control bytes;
  - the origins saw nothing but well-formed HTTP.
"""

import base64
import contextlib
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import traceback
import urllib.parse

import rawclient
import scripted_origin

SLOWNESS = float(os.environ.get("QP_E2E_SLOWNESS", "1"))  # multiplies every time limit of the harness
SANITIZER = re.compile(rb"(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|Assertion .* failed|qp_broken)")
KEEP_RECEIVED = 4 << 20  # bytes of one client connection that are searched for secrets

REGISTRY = []


class Skip(Exception):
    """This machine lacks a third-party client."""


class Test:
    def __init__(self, function, promise, limit, smoke, threads, case, arguments):
        self.function = function
        self.promise = promise
        self.limit = limit
        self.smoke = smoke
        self.threads = threads
        self.arguments = arguments
        self.file = function.__module__
        self.name = function.__name__ + ("[%s]" % case if case else "")

    @property
    def id(self):
        return "%s::%s" % (self.file, self.name)


def test(promise, limit=20, smoke=False, threads=False, cases=None):
    """Registers a test. cases: {"name": (arguments, ...)}, a test for each, with the arguments behind env."""
    def register(function):
        for case, arguments in (cases or {"": ()}).items():
            arguments = arguments if isinstance(arguments, tuple) else (arguments,)
            REGISTRY.append(Test(function, promise, limit, smoke, threads, case, arguments))
        return function
    return register


class Places:
    """Where things are in this run: the programs, the certificates."""

    def __init__(self, build, certs, qproxy=None):
        self.build = os.path.abspath(build)
        self.certs = certs
        self.qproxy = os.path.abspath(qproxy or os.path.join(self.build, "qproxy"))

    def cert(self, name):
        return os.path.join(self.certs, name)

    def may_look_inside(self):
        """Debuggers and leak checkers may look into the other builds; the release forbids it to its own user too."""
        return os.geteuid() == 0 or os.path.basename(self.build) != "release"

    def standin(self):
        """The stand-in of this build; the release build has none of its own, and takes the newest beside it."""
        own = os.path.join(self.build, "qproxy-standin")
        others = glob.glob(os.path.join(os.path.dirname(self.build), "*", "qproxy-standin"))
        for path in [own] + sorted(others, key=os.path.getmtime, reverse=True):
            if os.access(path, os.X_OK):
                return path
        raise AssertionError("no qproxy-standin in %s or beside it" % self.build)


def encodings(secret):
    """The forms in which a secret could leak."""
    raw = secret.encode("utf-8")
    forms = {raw, urllib.parse.quote(secret, safe="").encode(), urllib.parse.quote_plus(secret).encode(),
             base64.b64encode(raw).rstrip(b"="),
             base64.urlsafe_b64encode(raw).rstrip(b"="), json.dumps(secret)[1:-1].encode()}
    forms |= {re.sub(rb"%[0-9A-F]{2}", lambda found: found.group().lower(), form) for form in forms}
    return {form for form in forms if len(form) >= 8}


class Proxy:
    """One qproxy process. Started by Env.proxy()."""

    def __init__(self, env, arguments, environ, name="qproxy"):
        self.env = env
        self.out_path = env.path(name + ".out")
        self.log_path = env.path(name + ".log")
        self.addresses = []
        self.arguments = arguments
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([env.places.qproxy] + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            env=environ, cwd=env.folder)
        self.pid = self.process.pid
        self.stdout = bytearray()
        self._listening = threading.Condition()
        self._reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._reader.start()
        self.expected_exit = 0

    def _read_stdout(self):
        for line in self.process.stdout:
            with self._listening:
                self.stdout += line
                if line.startswith(b"listening on "):
                    self.addresses.append(parse_address(line[13:].strip().decode()))
                self._listening.notify_all()
        with self._listening:
            self._listening.notify_all()

    def wait_listening(self, count, seconds=15 * SLOWNESS):
        end = time.monotonic() + seconds
        with self._listening:
            while len(self.addresses) < count:
                left = end - time.monotonic()
                assert left > 0, "the proxy does not listen: %r; its log:\n%s" % (bytes(self.stdout), self.log())
                assert self.process.poll() is None, "the proxy left with exit code %s; its log:\n%s" % (self.process.returncode, self.log())
                self._listening.wait(min(left, 0.2))
        return self

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.addresses[0][1]

    @property
    def authority(self):
        return "%s:%d" % self.addresses[0]

    # ---- clients ----

    def connect(self, listener=0, **options):
        return self.env.client(self.addresses[listener], **options)

    def exchange(self, method="GET", target="/API/v3/whoami", fields=(), body=None, chunked=False, version="1.1", host="localhost",
                 listener=0, cut_allowed=False):
        """One request on a connection of its own."""
        with self.connect(listener) as client:
            client.request(method, target, fields, body, chunked, version, host)
            return client.response(method, cut_allowed)

    def send(self, data, method="GET"):
        """Exact bytes on a connection of their own, and the first answer."""
        with self.connect() as client:
            client.send(data)
            return client.response(method)

    def burst(self, count, target="/API/v3/whoami", method="GET", body=None, fields=()):
        """That many requests at once, each on its own connection; the answers in order."""
        clients = [self.connect() for _ in range(count)]
        try:
            for client in clients:
                client.request(method, target, fields, body)
            return [client.response(method) for client in clients]
        finally:
            for client in clients:
                client.close()

    # ---- the process ----

    def log(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode("utf-8", "replace")

    def wait_log(self, pattern, seconds=10 * SLOWNESS):
        """Waits for a line that matches."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log(), re.IGNORECASE | re.MULTILINE)
            if found:
                return found
            assert time.monotonic() < end, "nothing in the log matches %r:\n%s" % (pattern, self.log())
            time.sleep(0.02)

    def ticks(self):
        """CPU time used so far, in seconds."""
        with open("/proc/%d/stat" % self.pid) as stat:
            parts = stat.read().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def pause(self):
        """Stops the whole process, so that what happens meanwhile is all there at once when it resumes."""
        self.process.send_signal(signal.SIGSTOP)
        eventually(lambda: "State:\tT" in read_text("/proc/%d/status" % self.pid), what="the process stops")

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def wait_exit(self, seconds=15 * SLOWNESS):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("the proxy does not leave after %.0f s; its log:\n%s" % (seconds, self.log())) from None
        self._reader.join(5)
        return code

    def stop(self):
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.resume()
            self.signal()
        return self.wait_exit()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)


def parse_address(text):
    """"127.0.0.1:80", "[::1]:80" or "unix:/path" as what a socket connects to."""
    if text.startswith("unix:"):
        return text[5:]
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Env:
    """The world of one test."""

    def __init__(self, places, folder):
        self.places = places
        self.folder = folder
        self.run_id = os.urandom(4).hex()
        self.client_id = "UR_%s|id" % self.run_id
        self.client_secret = "s3:+%%&=/ %s" % os.urandom(8).hex()
        self.secrets = set()       # nowhere to be seen
        self.log_secrets = set()   # not in a log; the test itself may see them (what it sent as a client)
        self.secret(self.client_secret)
        for user in (self.client_id, urllib.parse.quote_plus(self.client_id)):
            for password in (self.client_secret, urllib.parse.quote_plus(self.client_secret)):
                self.secret("%s:%s" % (user, password))
        self.proxies = []
        self.origins = []
        self._received = []
        self._parts = []
        self._cleanups = contextlib.ExitStack()
        self._number = 0

    # ---- making things ----

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content, mode=0o600):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(self.path(name), mode)
        return self.path(name)

    def secret(self, value):
        """From now on, nothing that a client or a log gets may hold it."""
        self.secrets.add(value)
        return value

    def client_credential(self, value):
        """A credential that a client of this test sends: it must not be logged."""
        self.log_secrets.add(value)
        return value

    def socket_path(self):
        """A path short enough for a Unix socket."""
        folder = tempfile.mkdtemp(prefix="qp-")
        self.on_end(shutil.rmtree, folder, True)
        return os.path.join(folder, "s")

    def on_end(self, call, *arguments):
        self._cleanups.callback(call, *arguments)

    def origin(self, cert="localhost", **options):
        """A scripted origin. cert: "localhost", "expired", "other-name", or "other/..." of a CA that nobody knows."""
        origin = scripted_origin.ScriptedOrigin(self.places.cert(cert + ".pem"), self.places.cert(cert + ".key"),
                                                (self.client_id, self.client_secret), self.secret, **options)
        self.origins.append(origin)
        self.on_end(origin.close)
        return origin

    def account(self, origin, **keys):
        """An account's configuration; keys replace, None removes."""
        account = {"name": "main", "origin": getattr(origin, "url", origin), "grant": "client_credentials", "client_id": self.client_id,
                   "client_secret": "env:QP_E2E_SECRET", "ca_file": self.places.cert("ca.pem")}
        account.update(keys)
        return {key: value for key, value in account.items() if value is not None}

    def config(self, origin=None, accounts=None, account=None, **keys):
        """A whole configuration: one account at `origin` (changed by `account`), or `accounts`; keys are merged in."""
        config = {"listen": "127.0.0.1:0", "admin": {"listen": "off"}, "workers": 1, "timeouts": {"drain": "2s"}, "log": {"level": "debug"},
                  "accounts": accounts if accounts is not None else [self.account(origin, **(account or {}))]}
        if "vault" not in keys and any(account.get("grant") in ("refresh_token", "authorization_code") for account in config["accounts"]):
            config["vault"] = self.vault()
        for key, value in keys.items():
            if value is None:
                config.pop(key, None)
            elif isinstance(value, dict):
                config[key] = {**config.get(key, {}), **value}
            else:
                config[key] = value
        return config

    def vault(self, name="vault"):
        """The settings of a vault with a key of its own; the same ones for the same name."""
        key = name + ".key"
        if not os.path.exists(self.path(key)):
            self.write(key, self.secret(os.urandom(32).hex()) + "\n")
        return {"path": self.path(name), "key": "file:" + self.path(key)}

    def environ(self, **more):
        environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.folder, "TMPDIR": self.folder,
                   "QP_E2E_SECRET": self.client_secret,
                   "ASAN_OPTIONS": "exitcode=86:detect_leaks=1:abort_on_error=0:strict_string_checks=1",
                   "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=86",
                   "TSAN_OPTIONS": "exitcode=86:halt_on_error=0:second_deadlock_stack=1"}
        environ.update(more)
        return {key: value for key, value in environ.items() if value is not None}

    def start(self, arguments, environ=None):
        """Starts qproxy with these arguments, and does not wait."""
        self._number += 1
        proxy = Proxy(self, arguments, environ or self.environ(), "qproxy-%d" % self._number)
        self.proxies.append(proxy)
        return proxy

    def proxy(self, origin=None, listeners=None, environ=None, config=None, **keys):
        """A running proxy in front of `origin`; keys as for config()."""
        config = config or self.config(origin, **keys)
        if listeners is None:
            listens = [config.get("listen", [])] + [account.get("listen", []) for account in config["accounts"]]
            listeners = sum(1 if isinstance(listen, str) else len(listen) for listen in listens)
        self._number += 1
        text = json.dumps(config, indent=1)
        path = self.write("qproxy-%d.json" % self._number, text)
        environ = environ or self.environ()
        if "env:QP_E2E_SECRET" not in text:
            environ.pop("QP_E2E_SECRET", None)  # nobody's secret here: it would stay where it is
        return self.start(["run", "-c", path], environ).wait_listening(listeners)

    def preloadable(self, name):
        """A library of tests/lib, compiled."""
        library = self.path(name + ".so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", name + ".c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        return library

    def run(self, arguments, environ=None, seconds=15 * SLOWNESS):
        """Runs a qproxy command to its end: (exit code, stdout, stderr), swept like everything else."""
        done = subprocess.run([self.places.qproxy] + arguments, stdin=subprocess.DEVNULL, capture_output=True,
                              env=environ or self.environ(),
                              cwd=self.folder, timeout=seconds)
        self.seen(done.stdout)
        self.seen(done.stderr)
        assert not SANITIZER.search(done.stderr), done.stderr.decode("utf-8", "replace")
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def standin(self, **options):
        import standin
        return standin.StandIn(self, **options)

    def client(self, address, **options):
        kept = bytearray()
        self._received.append(kept)

        def seen(data):
            if len(kept) < KEEP_RECEIVED:
                kept.extend(data)
        client = rawclient.RawClient(address, seen, **options)
        self.on_end(client.close)
        return client

    @contextlib.contextmanager
    def part(self, name):
        """One of many like cases in a test: its failure is noted, and the others still run."""
        try:
            yield
        except Skip:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[1:] or traceback.extract_tb(error.__traceback__)
            self._parts.append("%s: %s: %s (line %d)" % (name, type(error).__name__, error, place[0].lineno))

    def seen(self, data):
        """Bytes that somebody outside the proxy got to see."""
        self._received.append(data)

    # ---- the end of a test ----

    def finish(self, failed):
        """Ends everything; the list of what was wrong."""
        faults = list(self._parts)
        for proxy in self.proxies:
            try:
                self._look_at_process(proxy, faults)
                code = proxy.stop()
                if code != proxy.expected_exit:
                    faults.append("%s left with exit code %s" % (" ".join(proxy.arguments), code))
            except AssertionError as error:
                faults.append(str(error).splitlines()[0])
                proxy.kill()
        self._cleanups.close()
        for origin in self.origins:
            if not failed:
                faults += ["at the origin: %s: %s" % (type(error).__name__, error) for error in origin.errors]
        for proxy in self.proxies:
            self._look_at_log(proxy, faults)
        self._look_at_vaults(faults)
        sweep = Sweep(self.secrets)
        for data in self._received:
            faults += ["P1: a client received %s" % leak for leak in sweep(bytes(data))]
        return faults

    def _look_at_process(self, proxy, faults):
        with contextlib.suppress(OSError):
            with open("/proc/%d/cmdline" % proxy.pid, "rb") as file:
                faults += ["P1: the command line holds %s" % leak for leak in leaks(file.read(), self.secrets)]
        with contextlib.suppress(OSError):
            with open("/proc/%d/environ" % proxy.pid, "rb") as file:
                faults += ["P1: the environment holds %s" % leak for leak in leaks(file.read(), self.secrets)]

    def _look_at_vaults(self, faults):
        """Whatever begins as a vault does, under any name: copies and temporary files too."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if not stat.S_ISREG(os.lstat(path).st_mode):
                    continue
                with open(path, "rb") as file:
                    content = file.read() if file.read(8) == b"QPVAULT\n" else None
                if content is None:
                    continue
                mode = os.stat(path).st_mode & 0o777
                if mode != 0o600:
                    faults.append("P1: the vault %s has the mode %o" % (name, mode))
                faults += ["P1: the vault %s holds %s" % (name, leak) for leak in leaks(content, self.secrets)]

    def _look_at_log(self, proxy, faults):
        with open(proxy.log_path, "rb") as file:
            log = file.read()
        found = SANITIZER.search(log)
        if found:
            faults.append("in the log: " + log[found.start():].split(b"\n")[0].decode("utf-8", "replace"))
        elif re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", log):
            faults.append("control bytes in the log: %r" % re.search(rb".{0,40}[\x00-\x08\x0b-\x1f\x7f].{0,40}", log).group())
        faults += ["P1: the log holds %s" % leak for leak in leaks(log, self.secrets | self.log_secrets)]
        faults += ["P1: stdout holds %s" % leak for leak in leaks(bytes(proxy.stdout), self.secrets)]


class Sweep:
    """Finds secrets in bytes, in any encoding. Forms that begin alike are looked for only where that beginning is."""

    def __init__(self, secrets):
        self.groups = {}
        for secret in secrets:
            for form in encodings(secret):
                self.groups.setdefault(form[:4], set()).add(form)

    def __call__(self, data):
        found = []
        for beginning, forms in self.groups.items():
            if beginning not in data:
                continue
            for form in forms:
                at = data.find(form)
                if at >= 0:
                    found.append("a secret (as %d bytes, at %d): ...%r" % (len(form), at, data[max(0, at - 30):at]))
        return found


def leaks(data, secrets):
    return Sweep(secrets)(data)


# ---- judging ----

def check_own_error(response, status, code=None, retry_after=None):
    """An answer of the proxy's own: Qualtrics' envelope, X-Qproxy-Error, never a 401."""
    assert status != 401
    shown = "%r %r %r" % (response, response.head.raw, response.body[:500])
    assert response.status == status, "%d expected: %s" % (status, shown)
    error = response.get("X-Qproxy-Error", b"").decode()
    assert re.fullmatch("[a-z0-9_]+", error), "no X-Qproxy-Error: " + shown
    if code is not None:
        assert error == code if isinstance(code, str) else error in code, "X-Qproxy-Error: %s, expected %s" % (error, code)
    assert response.get("Content-Type", b"").startswith(b"application/json"), shown
    if response.body or response.framing != "none":
        meta = json.loads(response.body)["meta"]
        assert meta["httpStatus"].startswith("%d - " % status), shown
        assert "requestId" in meta, shown
        assert meta["error"]["errorCode"], shown
        assert len(meta["error"]["errorMessage"]) > 10, shown
    if retry_after is not None:
        value = response.get("Retry-After")
        assert (value is not None) == retry_after, "Retry-After: %r" % value
        assert value is None or re.fullmatch(rb"[1-9][0-9]*", value), value
    return error


def eventually(condition, seconds=10 * SLOWNESS, what=""):
    """Waits until condition() is true, and gives its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "not within %.0f s: %s" % (seconds, what or condition)
        time.sleep(0.02)


def read_text(path):
    with open(path) as file:
        return file.read()


def free_port():
    """One that stays free until it is used: below those that the system itself gives to whoever connects, or binds to any."""
    reserved = range(10000, int(read_text("/proc/sys/net/ipv4/ip_local_port_range").split()[0]))
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", random.choice(reserved) if reserved else 0)) as server:
            return server.getsockname()[1]
