"""Starts the stand-in and qproxy on free loopback ports for the scripts of this folder, and asks the stand-in."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECRET = "bench:+%&=/ secret"


class Pair:
    """A stand-in and a qproxy in front of it, ended with the `with` block."""

    def __init__(self, build="build/release", workers=1, standin_threads=1, config=None, environ=None, standin=None):
        self.build = ROOT / build
        self.standin_program = ROOT / (standin or self.build / "qproxy-standin")
        self.workers = workers
        self.standin_threads = standin_threads
        self.config = config or {}
        self.environ = environ or {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="qproxy-bench-")
        self.certs = pathlib.Path(self.folder.name) / "certs"
        subprocess.run(["sh", ROOT / "tests/lib/make_certs.sh", self.certs], check=True)
        self.start_standin()
        self.start_proxy()
        return self

    def start_standin(self, listen="127.0.0.1:0", control="127.0.0.1:0"):
        self.standin = subprocess.Popen(
            [self.standin_program, "--listen", listen, "--control", control,
             "--cert", self.certs / "localhost.pem", "--key", self.certs / "localhost.key", "--client-id", "bench",
             "--client-secret", SECRET, "--threads", str(self.standin_threads)],
            stdout=subprocess.PIPE, text=True)
        self.origin = self.standin.stdout.readline().split()[1]
        self.control = self.standin.stdout.readline().split()[1]

    def accounts(self):
        return [{"name": "bench", "origin": self.origin, "grant": "client_credentials", "client_id": "bench",
                 "client_secret": "env:BENCH_SECRET", "ca_file": str(self.certs / "ca.pem")}]

    def start_proxy(self):
        config = {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "off"},
            "workers": self.workers,
            "accounts": self.accounts(),
            "log": {"access": "off"},
        }
        config.update(self.config)
        path = pathlib.Path(self.folder.name) / "qproxy.json"
        path.write_text(json.dumps(config))
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.proxy = subprocess.Popen([self.build / "qproxy", "run", "-c", path], stdout=subprocess.PIPE, stderr=self.log,
                                      text=True, env={**os.environ, "BENCH_SECRET": SECRET, **self.environ})
        line = self.proxy.stdout.readline()
        if not line:
            self.standin.terminate()
            self.log.seek(0)
            raise SystemExit("qproxy did not start:\n" + self.log.read())
        self.host, port = line.split()[-1].rsplit(":", 1)
        self.port = int(port)

    def __exit__(self, *_):
        self.proxy.terminate()
        self.exit_code = self.proxy.wait(60)
        self.standin.terminate()
        self.standin.wait(10)
        self.log.seek(0)
        self.lines = self.log.read().splitlines()
        self.totals = [line.split("totals: ")[1].strip() for line in self.lines if "worker's totals: " in line]
        self.log.close()
        self.folder.cleanup()

    def ask(self, path, post=None):
        data = None if post is None else json.dumps(post).encode()
        with urllib.request.urlopen(self.control + path, data=data, timeout=10) as answer:
            return json.load(answer)

    def knobs(self, **knobs):
        self.ask("/knobs", knobs)

    def revoke_all(self):
        self.ask("/revoke-all", {})

    def counters(self):
        return self.ask("/counters")

    def status(self, name):
        """A figure of /proc/PID/status in KiB, such as VmHWM (the peak) or VmRSS."""
        text = pathlib.Path(f"/proc/{self.proxy.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.proxy.pid}/clear_refs").write_text("5")
