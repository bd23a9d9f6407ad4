"""Other people's programs from npm (tests/node/package.json): installed once for a build, where npm is there."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

from harness import SLOWNESS, Skip, read_text

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "node")
FILES = ("package.json", "package-lock.json")
OLDEST_NODE = 18
INSTALL_S = 80 * SLOWNESS
FAILED_FOR_S = 600  # a failed installation is not tried again by each test


def node():
    path = shutil.which("node")
    if not path or not shutil.which("npm"):
        raise Skip("node and npm are not installed")
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
    if int(re.match(r"v(\d+)", version).group(1)) < OLDEST_NODE:
        raise Skip("node is %s, and %d is the oldest that will do" % (version, OLDEST_NODE))
    return path


def _install(folder):
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        shutil.copy(os.path.join(SOURCE, name), folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        return "more than %d s" % INSTALL_S
    errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
    return "; ".join(errors[:2] or ["exit code %d" % done.returncode]) if done.returncode else None


def modules(env):
    """The folder in which node_modules is."""
    node()
    folder = os.path.join(env.places.build, "node")
    wanted = hashlib.sha256("".join(read_text(os.path.join(SOURCE, name)) for name in FILES).encode()).hexdigest()
    installed, failed = folder + ".installed", folder + ".failed"
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(installed) and read_text(installed) == wanted:
            return folder
        if os.path.exists(failed) and time.time() - os.path.getmtime(failed) < FAILED_FOR_S:
            raise Skip(read_text(failed))
        why = _install(folder)
        with open(failed if why else installed, "w") as mark:
            mark.write("npm ci: " + why if why else wanted)
    if why:
        raise Skip("npm ci: " + why)
    return folder


class Provider:
    """tests/node/provider.mjs: the npm package oidc-provider as authorization server, and an API that takes its tokens."""

    def __init__(self, env, clients, access_life_s=3600):
        self.env = env
        settings = {"cert": env.places.cert("localhost.pem"), "key": env.places.cert("localhost.key"), "clients": clients, "scopes": ["manage:all"],
                    "access_life_s": access_life_s}
        command = [node(), os.path.abspath(os.path.join(SOURCE, "provider.mjs")), env.write("provider.json", json.dumps(settings))]
        folder = modules(env)
        with open(env.path("provider.log"), "wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        env.on_end(self.close)
        self.url = self._told("origin ")
        self.control = self._told("control ")

    def _told(self, word):
        for line in self.process.stdout:
            if line.decode().startswith(word):
                return line.decode()[len(word):].strip()
        raise AssertionError("the provider left with exit code %s: %s" % (self.process.wait(), read_text(self.env.path("provider.log"))))

    def order(self, method, path):
        request = urllib.request.Request(self.control + path, b"" if method == "POST" else None, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return json.load(answer)

    def counters(self):
        return self.order("GET", "/counters")

    def calls(self, grant):
        """The token calls with that grant so far: {"client", "by_basic", "error"} each."""
        return [call for call in self.counters()["token_calls"] if call["grant"] == grant]

    def issued(self):
        return self.order("GET", "/issued")

    def revoke_access(self):
        return self.order("POST", "/revoke-access")["revoked"]

    def close(self):
        try:
            for values in self.issued().values():
                for value in values:
                    self.env.secret(value)
        finally:
            self.process.stdin.close()
            self.process.stdout.close()
            code = self.process.wait(20)
        assert code == 0, "the provider left with exit code %d" % code
