"""The stand-in as its own tests see it: started, asked, ordered about."""
import base64, contextlib, http.client, json, os, socket, ssl, subprocess, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT, SECRET = "UR_1|a b:c", "s%3A+e/cr?t"  # what Basic must form-encode
API_TOKEN = "A" * 40


class Standin:
    """more: further options; a repeated one comes later, and so counts."""

    def __init__(self, program, certs, threads, *more):
        self.program, self.certs, self.threads = program, certs, threads
        self.process = subprocess.Popen(
            [program, "--cert", f"{certs}/localhost.pem", "--key", f"{certs}/localhost.key", "--client-id", CLIENT,
             "--client-secret", SECRET, "--api-token", API_TOKEN, "--refresh-token", "first-refresh", "--threads",
             str(threads), "--exit-with-stdin", *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = dict(self.process.stdout.readline().split() for _ in range(2))
        self.origin = words["origin"]
        self.port = int(words["origin"].rsplit(":", 1)[1])
        self.control_port = int(words["control"].rsplit(":", 1)[1])
        self.context = ssl.create_default_context(cafile=f"{certs}/ca.pem")

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(20)

    @contextlib.contextmanager
    def other(self, *more):
        """Another one beside this, with these options."""
        s = Standin(self.program, self.certs, self.threads, *more)
        try:
            yield s
        finally:
            code = s.stop()
        same(code, 0)

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=20, context=self.context)

    def raw(self, data, until=b""):
        """Sends bytes, gives what comes until `until` or the end."""
        with socket.create_connection(("localhost", self.port), 20) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost") as s:
                s.sendall(data)
                got = b""
                try:
                    while not (until and until in got):
                        piece = s.recv(65536)
                        if not piece:
                            break
                        got += piece
                except OSError:
                    pass
                return got

    def control(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=20)
        c.request(method, path, None if body is None else json.dumps(body))
        r = c.getresponse()
        answer = json.loads(r.read())
        c.close()
        if r.status != 200:
            raise ValueError(answer)
        return answer

    def knobs(self, **knobs):
        return self.control("POST", "/knobs", knobs)

    def counters(self):
        return self.control("GET", "/counters")

    def token_call(self, query="", form=None, basic=(CLIENT, SECRET), **more):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if basic:
            pair = ":".join(urllib.parse.quote_plus(p) for p in basic)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        body = urllib.parse.urlencode(form if form is not None else dict({"grant_type": "client_credentials"}, **more))
        c = self.connect()
        c.request("POST", "/oauth2/token" + query, body, headers)
        r = c.getresponse()
        text = r.read()
        c.close()
        r.body = text
        try:
            r.json = json.loads(text)
        except ValueError:
            r.json = None
        return r

    def token(self):
        return self.token_call().json["access_token"]

    def api(self, path, method="GET", body=None, headers=None, token=None, connection=None, **knobs):
        headers = dict(headers or {})
        if token is not False:
            headers.setdefault("Authorization", "Bearer " + (token or self.bearer))
        c = connection or self.connect()
        c.request(method, path if path.startswith("/") else "/API/v3/" + path, body, headers, **knobs)
        r = c.getresponse()
        r.body = r.read()
        r.json = None
        if r.body and (r.getheader("Content-Type") or "").startswith("application/json") and not r.getheader("Content-Encoding"):
            r.json = json.loads(r.body)
        if connection is None:
            c.close()
        return r

    def result(self, path, method="GET", body=None, **more):
        r = self.api(path, method, body, **more)
        same(r.status, 200)
        return r.json["result"]


def same(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def true(what):
    if not what:
        raise AssertionError("not so")


def error_code(r):
    return r.json["meta"]["error"].get("errorCode")
