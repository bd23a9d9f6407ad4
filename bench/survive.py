#!/usr/bin/env python3
"""kill -9 at random instants, again and again, while tokens are revoked all the time: how many sign-ins are lost?

    python3 bench/survive.py [--kills 1000] [--every-ms 25] [--build build/release] [--seed 1]

An account is signed in (authorization code with PKCE, rotation on, reuse of a spent refresh token revokes the grant), requests run, the origin
revokes every access token every few milliseconds, so that refresh tokens are redeemed most of the time. qproxy is killed after a random time, started
again, and must go on without a new sign-in. Where it cannot, the origin's own record says why: the one window that no client can close lies between
the authorization server's rotation of a refresh token and the moment when the answer with its successor is on the client's disk. A loss belongs there
only if qproxy found its mark, the spent token was presented once more and no more often, and the access token of the lost answer was never
used. A sign-in that is lost otherwise is a fault, and so is any other reuse; both end the run with exit code 1.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from daemon import ROOT, SECRET


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class World:
    def __init__(self, build, seed):
        self.build = ROOT / build
        self.folder = tempfile.TemporaryDirectory(prefix="qproxy-survive-")
        self.path = pathlib.Path(self.folder.name)
        self.certs = self.path / "certs"
        subprocess.run(["sh", ROOT / "tests/lib/make_certs.sh", self.certs], check=True, capture_output=True)
        self.admin = free_port()
        self.port = free_port()
        self.callback = f"http://127.0.0.1:{self.admin}/oauth/callback"
        self.standin = subprocess.Popen(
            [self.build / "qproxy-standin", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--cert", self.certs / "localhost.pem",
             "--key", self.certs / "localhost.key", "--client-id", "bench", "--client-secret", SECRET, "--redirect-uri", self.callback],
            stdout=subprocess.PIPE, text=True)
        self.origin = self.standin.stdout.readline().split()[1]
        self.control = self.standin.stdout.readline().split()[1]
        self.ask("/knobs", {"auto_consent": True})
        self.qproxy = self.build / "qproxy"
        subprocess.run([self.qproxy, "key", "new", self.path / "key"], check=True, stdout=subprocess.DEVNULL)
        self.config = self.path / "qproxy.json"
        self.config.write_text(json.dumps({
            "listen": f"127.0.0.1:{self.port}", "workers": 1,
            "admin": {"listen": [f"unix:{self.path}/admin", f"127.0.0.1:{self.admin}"]},
            "vault": {"path": str(self.path / "vault"), "key": f"file:{self.path}/key"},
            "accounts": [{"name": "bench", "origin": self.origin, "grant": "authorization_code", "client_id": "bench",
                          "client_secret": "env:BENCH_SECRET", "ca_file": str(self.certs / "ca.pem")}],
            "log": {"access": "off"}}))
        self.log = open(self.path / "log", "w+b")
        self.environ = {**os.environ, "BENCH_SECRET": SECRET}
        self.daemon = None
        self.chance = random.Random(seed)

    def close(self):
        self.kill()
        self.standin.terminate()
        self.standin.wait(10)
        self.log.close()
        self.folder.cleanup()

    def ask(self, path, post=None):
        data = None if post is None else json.dumps(post).encode()
        with urllib.request.urlopen(self.control + path, data=data, timeout=10) as answer:
            return json.load(answer)

    def start(self):
        self.log_from = self.log.seek(0, os.SEEK_END)
        self.daemon = subprocess.Popen([self.qproxy, "run", "-c", self.config], stdout=subprocess.PIPE, stderr=self.log, env=self.environ)
        while b"admin on 127" not in (line := self.daemon.stdout.readline()):
            if not line:
                raise SystemExit("qproxy does not start:\n" + self.said())

    def said(self):
        self.log.seek(self.log_from)
        return self.log.read().decode("utf-8", "replace")

    def kill(self):
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon.stdout.close()
            self.daemon = None

    def sign_in(self):
        """By the command line, pasting what a browser would have been sent to."""
        login = subprocess.Popen([self.qproxy, "login", "-c", self.config, "--no-browser"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, env=self.environ)
        while not (found := re.search(r"https://\S+", line := login.stdout.readline())):
            assert line, "qproxy login shows no address"
        context = ssl.create_default_context(cafile=str(self.certs / "ca.pem"))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), NoRedirect)
        try:
            opener.open(found.group(), timeout=10)
            raise SystemExit("the stand-in does not redirect")
        except urllib.error.HTTPError as answer:
            address = answer.headers["Location"]
        said, _ = login.communicate(address + "\n", timeout=30)
        if login.returncode != 0:
            raise SystemExit("the sign-in failed:\n" + said)

    def request(self, timeout=10):
        """(status, X-Qproxy-Error)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", "/API/v3/_echo")
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("X-Qproxy-Error")
        finally:
            connection.close()


class Background:
    """Requests and revocations, until told to stop; both take a dead proxy as it comes."""

    def __init__(self, world, every_ms, clients=4):
        self.world = world
        self.over = threading.Event()
        self.statuses = {}
        self.lock = threading.Lock()
        self.revocations = 0
        self.fault = None
        self.every = every_ms / 1000
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(clients)]
        self.threads.append(threading.Thread(target=self.revoke, daemon=True))
        for thread in self.threads:
            thread.start()

    def call(self):
        while not self.over.is_set():
            try:
                status, _ = self.world.request(5)
            except OSError:
                status = 0
                time.sleep(0.002)
            except http.client.HTTPException:
                status = 0
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1

    def revoke(self):
        try:
            while not self.over.wait(self.every):
                self.world.ask("/revoke-all", {})
                self.revocations += 1
        except OSError as fault:  # without revocations nothing is put to the test
            self.fault = fault

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


INTERRUPTED = "ended in the middle of a token call"


def why_not_the_window(world, losses):
    """Of a sign-in that is lost, the losses-th: what shows that it was not lost in the window; None if all fits."""
    record = world.ask("/counters?echoes=4096")
    newest = record["tokens_issued"]
    if INTERRUPTED not in world.said():
        return "no redemption was under way"
    if record["redemptions"]["ends"]["reused"] != losses:
        return f"{record['redemptions']['ends']} is not one reuse for each of {losses} losses"
    if any(echo["token"] == newest for echo in record["echoes"]):
        return f"the access token {newest} was used before its refresh token was on disk"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--every-ms", type=float, default=25)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    world = World(options.build, options.seed)
    began = time.monotonic()
    lost, unexplained, marked = 0, [], 0
    background = None
    try:
        world.start()
        world.sign_in()
        background = Background(world, options.every_ms)
        for number in range(options.kills):
            time.sleep(world.chance.uniform(0, 0.12))
            world.kill()
            world.start()
            marked += INTERRUPTED in world.said()
            status, error = world.request()
            if error == "sign_in_needed":
                lost += 1
                why = why_not_the_window(world, lost)
                if why:
                    unexplained.append((number, why, world.said()[-2000:]))
                world.sign_in()
            if sys.stderr.isatty() or number % 100 == 99:
                print(f"{number + 1} kills, {marked} in the middle of a redemption, {lost} sign-ins lost", file=sys.stderr)
        background.stop()
        if background.fault:
            raise SystemExit(f"the revocations stopped: {background.fault}")
        counters = world.ask("/counters?echoes=0")
        ends = counters["redemptions"]["ends"]
        if ends["reused"] != lost:
            unexplained.append((options.kills, f"{ends['reused']} reuses and {lost} losses", ""))
        seconds = time.monotonic() - began
        result = {"kills": options.kills, "seconds": round(seconds), "revocations": background.revocations,
                  "requests_by_status": {str(key): value for key, value in sorted(background.statuses.items())},
                  "killed_in_the_middle_of_a_redemption": marked, "sign_ins_lost": lost,
                  "lost_outside_the_window": len(unexplained),
                  # The share of the kills that hit it, of the time from one redemption to the next.
                  "window_ms": round(lost / options.kills * seconds * 1000 / max(ends["ok"], 1), 2),
                  "redemptions": ends, "token_calls": counters["token_calls"]}
        print(json.dumps(result, indent=4))
    finally:
        if background:
            background.over.set()
        world.close()
    for number, why, said in unexplained:
        print(f"---- kill {number}: {why}:\n{said}", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
