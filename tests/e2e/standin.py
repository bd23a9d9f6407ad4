"""The Qualtrics stand-in as a test sees it: the real program, its knobs and its counters."""

import json
import subprocess
import urllib.request


class StandIn:
    """Started by Env.standin(). Like the proxy, it must leave with exit code 0 and without a sanitizer's report."""

    def __init__(self, env, life=3600, threads=1, api_token=None, refresh_token=None):
        self.env = env
        command = [env.places.standin(), "--cert", env.places.cert("localhost.pem"), "--key", env.places.cert("localhost.key"),
                   "--client-id", env.client_id, "--client-secret", env.client_secret, "--token-life", str(life), "--threads", str(threads),
                   "--seed", str(int(env.run_id, 16)), "--exit-with-stdin"]
        if api_token:
            command += ["--api-token", env.secret(api_token)]
        if refresh_token:
            command += ["--refresh-token", env.secret(refresh_token)]
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

    def note_secrets(self):
        """From now on every token that was issued counts as a secret."""
        issued = self.order("GET", "/issued")
        for token in issued["access_tokens"] + issued["refresh_tokens"]:
            self.env.secret(token["value"])

    def close(self):
        try:
            self.note_secrets()
        finally:
            self.process.stdin.close()
            self.process.stdout.close()
            code = self.process.wait(20)
        assert code == 0, "the stand-in left with exit code %d" % code
