"""What somebody with bad intentions, or bad luck, does to the admin pages and the subcommands (P1, P4, P7, P8, hard requirements 28-30)."""

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading

from admin_client import ANY_PORT, Session, address_of, ask
from browser import Browser
from harness import SLOWNESS, Skip, eventually, free_port, test

EX_IOERR, EX_CONFIG = 74, 78
STRANGER = 45678  # a user id that owns nothing
CONNECTIONS = 256  # as many as the admin listeners take


class Stranger:
    """Another user's program at an address: takes what comes, and answers as a daemon begins to."""

    ANSWER = b'HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nConnection: close\r\n\r\n{"csrf":"x"}'

    def __init__(self, env, address):
        is_local = isinstance(address, str)
        self.told = b""
        os.seteuid(STRANGER)  # a socket belongs to who makes it
        try:
            self.listener = socket.socket(socket.AF_UNIX if is_local else socket.AF_INET)
            self.listener.bind(address)
            self.listener.listen(8)
        finally:
            os.seteuid(0)
        if is_local:
            os.chmod(address, 0o777)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        env.on_end(self.end)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with contextlib.closing(connection), contextlib.suppress(OSError):
                    connection.settimeout(1)
                    self.told += connection.recv(65536)
                    connection.sendall(self.ANSWER)

    def end(self):
        """All that it was told."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        return self.told


def world(env):
    standin = env.standin()
    standin.knobs(auto_consent=True)
    account = env.account(standin, grant="authorization_code", scope="manage:all")
    return standin, env.proxy(accounts=[account], admin=ANY_PORT)


def signed_in(env):
    standin, proxy = world(env)
    session = Session(env, proxy)
    session.sign_in(standin)
    return standin, proxy, session


# ---- somebody else at the daemon's address ----

@test("P1", cases={"a port": False, "a socket in a folder for all": True})
def who_took_the_daemon_s_address_is_told_nothing(env, is_local):
    if os.geteuid() != 0:
        raise Skip("only root can play another user")
    token = env.secret("admin-token-" + env.run_id * 2)
    standin = env.standin()
    with tempfile.TemporaryDirectory(prefix="qp-") as folder:
        os.chmod(folder, 0o1777)
        port, path = free_port(), os.path.join(folder, "admin")
        account = env.account(standin, grant="authorization_code", redirect_uri="http://127.0.0.1:%d/oauth/callback" % port)
        config = env.config(accounts=[account], vault=env.vault(), admin={"listen": "unix:" + path if is_local else "127.0.0.1:%d" % port, "token": token})
        config = env.write("stranger.json", json.dumps(config))
        stranger = Stranger(env, path if is_local else ("127.0.0.1", port))
        for word in ("login",) if is_local else ("status", "login"):  # at a socket a plain question tells nothing
            code, out, err = env.run([word, "-c", config])
            assert code != 0 and "another user" in err and "told nothing" in err, (word, code, out, err)
        assert stranger.end() == b""


# ---- somebody else's page ----

@contextlib.contextmanager
def foreign_page(body):
    """A web server of somebody else's on this machine."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@test("P1", limit=60, cases={"of another site": "localhost", "of another port": "127.0.0.1"})
def another_page_cannot_have_an_account_signed_in_anew(env, name):
    """The authorization server asks nothing where it knows visitor and consent, so a link would be enough."""
    browser = Browser(env)
    standin, proxy, _ = signed_in(env)
    base = "http://%s:%d" % address_of(proxy)
    redeemed = standin.counters()["codes"]["redeemed"]
    markup = '<a id=go href="%s/login/main">win</a><img src="%s/login/main"><iframe src="%s/login/main"></iframe>' % (base, base, base)
    with foreign_page(markup.encode()) as port:
        browser.open("http://%s:%d/" % (name, port))
        browser.click("#go")
        browser.says("main", "begin it on the status page")
    assert browser.url == base + "/login/main"
    assert standin.counters()["codes"]["redeemed"] == redeemed
    browser.click("main a")
    browser.says("#main", "Connected")
    browser.click("a[href='/login/main']")
    browser.arrives("^" + base + "/signed-in/main$")
    assert standin.counters()["codes"]["redeemed"] == redeemed + 1


# ---- clients that do not behave ----

def begin_refresh(env, session, standin):
    """A connection on which an order waits for the token endpoint."""
    standin.knobs(token_delay_ms=700)
    calls = standin.token_calls()
    client = env.client(session.address)
    fields = session.fields([("Origin", session.origin), ("Accept", "application/json"), ("X-Csrf-Token", session.csrf)])
    client.request("POST", "/refresh/main", fields, host="%s:%d" % session.address)
    eventually(lambda: standin.token_calls() > calls, what="the order runs")
    return client


@test("P7", cases={"reset": True, "closed": False})
def an_order_outlives_the_client_that_gave_it(env, is_reset):
    standin, proxy, session = signed_in(env)
    generation = session.status("main")["generation"]
    client = begin_refresh(env, session, standin)
    (client.abort if is_reset else client.close)()
    assert ask(env, proxy, "/healthz").status == 200, "the loop is free meanwhile"
    eventually(lambda: session.status("main")["generation"] == generation + 1, 10 * SLOWNESS, "the token came all the same")
    assert session.order("/refresh/main")["code"] == "refreshed"


@test("P7")
def what_is_pipelined_behind_an_order_is_answered_in_turn(env):
    standin, _, session = signed_in(env)
    client = begin_refresh(env, session, standin)
    for path in ("/healthz", "/nothing", "/api/status"):
        client.request("GET", path, session.fields(), host="%s:%d" % session.address)
    first = client.response("POST")
    assert first.status == 200 and json.loads(first.body)["code"] == "refreshed", first
    assert [client.response().status for _ in range(3)] == [200, 404, 200]


@test("P4")
def a_stop_answers_the_order_that_is_under_way(env):
    standin, proxy, session = signed_in(env)
    client = begin_refresh(env, session, standin)
    proxy.signal(signal.SIGTERM)
    answer = client.response("POST")
    assert answer.status == 200 and json.loads(answer.body)["code"] in ("refreshed", "stopping"), answer.body
    assert proxy.wait_exit() == 0


@test("P7")
def too_many_visitors_wait_and_the_services_do_not(env):
    _, proxy, session = signed_in(env)
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS + 8):
            stack.enter_context(contextlib.closing(socket.create_connection(session.address, timeout=5)))
        assert proxy.exchange().status == 200
    eventually(lambda: ask(env, proxy, "/healthz").status == 200, 10 * SLOWNESS, "there is room again")


# ---- a subcommand whose output is lost ----

@test("P8")
def a_login_that_cannot_show_its_address_ends(env):
    standin, proxy = world(env)
    account = env.account(standin, grant="authorization_code", scope="manage:all")
    path = env.write("place.json", json.dumps(env.config(accounts=[account], vault=env.vault(), admin={"listen": "%s:%d" % address_of(proxy)})))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([env.places.qproxy, "login", "--no-browser", "-c", path], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                              env=env.environ(), cwd=env.folder, timeout=15 * SLOWNESS)
    assert done.returncode == EX_IOERR and b"standard output" in done.stderr, done


# ---- settings that would never fit ----

@test("P8", cases={"https": "qproxy.example:443", "http": "qproxy.example:80"})
def a_port_that_no_browser_writes_is_refused_as_a_host(env, host):
    config = env.config(env.origin(), admin={"listen": "127.0.0.1:0", "host": [host]})
    code, _, err = env.run(["check", "-c", env.write("host.json", json.dumps(config))])
    assert code == EX_CONFIG and "admin.host" in err and "leave out" in err, (code, err)
