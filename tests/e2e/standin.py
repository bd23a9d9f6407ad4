"""The Qualtrics stand-in as a test sees it: the real program, its knobs and its counters."""

import json
import os
import subprocess
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from page_walker import Walker  # noqa: E402

USER = ("researcher", "correct horse")

class StandIn:
    """Started by Env.standin(). Like the proxy, it must leave with exit code 0 and without a sanitizer's report.

    users: pairs of name and password. public: its client has no secret. redirect_uris: none, and any loopback address will do."""

    def __init__(self, env, life=3600, threads=1, api_token=None, refresh_token=None, redirect_uris=(), users=(USER,), public=False,
                 datacenter=None):
        self.env = env
        self.users = list(users)
        command = [env.places.standin(), "--cert", env.places.cert("localhost.pem"), "--key", env.places.cert("localhost.key"),
                   "--client-id", env.client_id, "--client-secret", env.client_secret, "--token-life", str(life), "--threads", str(threads),
                   "--seed", str(int(env.run_id, 16)), "--exit-with-stdin"]
        if api_token:
            command += ["--api-token", env.secret(api_token)]
        if refresh_token:
            command += ["--refresh-token", env.secret(refresh_token)]
        for uri in redirect_uris:
            command += ["--redirect-uri", uri]
        for name, password in self.users:
            command += ["--user", "%s:%s" % (name, env.secret(password))]
        if public:
            command.append("--public-client")
        if datacenter:
            command += ["--datacenter", datacenter]
        self.log_path = env.path("standin.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env.environ())
        env.on_end(self.close)
        self.url = self._told("origin ")
        self.control = self._told("control ")

    def _told(self, word):
        line = self.process.stdout.readline().decode()
        assert line.startswith(word), "the stand-in says %r" % line
        return line[len(word):].strip()

    def order(self, method, path, values=None):
        body = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(self.control + path, body, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return json.load(answer)

    def counters(self):
        return self.order("GET", "/counters")

    def revoke_all(self):
        return self.order("POST", "/revoke-all")["revoked"]

    def knobs(self, **values):
        return self.order("POST", "/knobs", values)

    def token_calls(self):
        return self.counters()["token_calls"]["total"]

    def sign_in(self, url, user=None, press="allow"):
        """What a person's browser does with the authorization URL: signs in as `user` (a pair; the first one), presses #allow or #deny,
        and gives the address that it is sent back to, without going there."""
        name, password = user or self.users[0]
        return Walker(self.env.places.cert("ca.pem")).walk(url, {"username": name, "password": password}, press)

    def note_secrets(self):
        """From now on every token, code and verifier that this has seen counts as a secret."""
        issued = self.order("GET", "/issued")
        for token in issued["access_tokens"] + issued["refresh_tokens"] + issued["codes"]:
            self.env.secret(token["value"])
        for code in issued["codes"]:
            if code["verifier"]:
                self.env.secret(code["verifier"])

    def close(self):
        try:
            self.note_secrets()
        finally:
            self.process.stdin.close()
            self.process.stdout.close()
            code = self.process.wait(20)
        assert code == 0, "the stand-in left with exit code %d" % code
