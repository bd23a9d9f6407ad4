"""The subcommands that talk with the daemon, or open the vault themselves: login, status, logout, refresh, key, check --online (P1, P4, P8)."""

import json
import os
import re
import signal
import subprocess
import time

from admin_client import Session, address_of, ask
from harness import SLOWNESS, check_own_error, eventually, free_port, test

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_CANTCREAT, EX_TEMPFAIL, EX_PROTOCOL, EX_NOPERM = 64, 65, 69, 73, 75, 76, 77


class Place:
    """One configuration, whose daemon may run or not."""

    def __init__(self, env, accounts=None, daemon=True, **keys):
        self.env = env
        self.standin = env.standin()
        self.standin.knobs(auto_consent=True)
        self.socket = env.socket_path()
        accounts = accounts or [{"name": "main"}]
        accounts = [env.account(self.standin, **{"grant": "authorization_code", **account}) for account in accounts]
        keys.setdefault("admin", {"listen": ["unix:" + self.socket, "127.0.0.1:%d" % free_port()]})
        self.config = env.config(accounts=accounts, vault=keys.pop("vault", env.vault()), **keys)
        self.path = env.write("place.json", json.dumps(self.config))
        self.proxy = self.start() if daemon else None

    def start(self, **environ):
        return self.env.start(["run", "-c", self.path], self.env.environ(**environ)).wait_listening(1)

    def run(self, *words, environ=None):
        return self.env.run([*words, "-c", self.path], environ=environ)

    def begin_login(self, *words, environ=None):
        return Login(self, words, environ)

    def sign_in(self, account="main"):
        login = self.begin_login(account)
        login.paste(self.standin.sign_in(login.url))
        code, said = login.end()
        assert code == 0, said


class Login:
    """A `qproxy login` that waits."""

    def __init__(self, place, words, environ=None):
        self.env = place.env
        self.process = subprocess.Popen([place.env.places.qproxy, "login", *words, "--no-browser", "-c", place.path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ or place.env.environ(), cwd=place.env.folder)
        place.env.on_end(self.process.kill)
        self.said = b""
        self.url = self.wait_for(rb"https://\S+").decode()

    def wait_for(self, pattern, seconds=15 * SLOWNESS):
        os.set_blocking(self.process.stdout.fileno(), False)
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < end, "login never says %r: %r" % (pattern, self.said)
            self.said += self.process.stdout.read() or b""
            time.sleep(0.01)
        return found.group()

    def paste(self, address):
        self.process.stdin.write(address.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, seconds=15 * SLOWNESS):
        os.set_blocking(self.process.stdout.fileno(), True)
        rest, _ = self.process.communicate(timeout=seconds)
        self.said += rest
        self.env.seen(self.said)
        return self.process.returncode, self.said.decode("utf-8", "replace")


# ---- login ----

@test("P1", smoke=True)
def login_takes_a_pasted_address(env):
    place = Place(env)
    check_own_error(place.proxy.exchange(), 503, "sign_in_needed")
    login = place.begin_login()
    address = place.standin.sign_in(login.url)
    login.paste("what is this?")
    login.wait_for(b"(?i)(again|expected|not what)")
    login.paste(address)
    code, said = login.end()
    assert code == 0 and "signed in" in said and "researcher" in said, said
    assert re.search("code=([^&]+)", address).group(1) not in said, "the code is shown"
    assert place.proxy.exchange().status == 200


@test("P1")
def login_hears_of_the_callback(env):
    place = Place(env)
    login = place.begin_login("main")
    address = place.standin.sign_in(login.url)
    assert Session(env, place.proxy, address_of(place.proxy, unix=False)).come_back(address).status == 303
    code, said = login.end()
    assert code == 0 and "signed in" in said, said
    assert place.proxy.exchange().status == 200


@test("P4", cases={"pasted": True, "called back": False})
def login_without_a_daemon_uses_the_vault_itself(env, pasted):
    place = Place(env, daemon=False)
    login = place.begin_login()
    address = place.standin.sign_in(login.url)
    if pasted:
        login.paste("?" + address.partition("?")[2])  # the query alone will do
    else:
        url = re.match(r"http://(127\.0\.0\.1):(\d+)(/.*)", address)
        answer = ask(env, None, url.group(3), address=(url.group(1), int(url.group(2))))
        assert answer.status == 303, answer
    code, said = login.end()
    assert code == 0 and "signed in" in said, said
    calls = place.standin.token_calls()
    assert place.start().exchange().status == 200 and place.standin.token_calls() == calls


@test("P8")
def login_says_what_the_authorization_server_refused(env):
    place = Place(env)
    place.standin.knobs(auth_error="access_denied")
    login = place.begin_login()
    login.paste(place.standin.sign_in(login.url))
    code, said = login.end()
    assert code == EX_NOPERM and "refused by whoever signed in" in said, (code, said)


@test("P8")
def login_wants_a_name_where_several_accounts_fit(env):
    place = Place(env, [{"name": "one", "path_prefix": "/one"}, {"name": "two", "path_prefix": "/two"}])
    code, _, err = place.run("login", "--no-browser")
    assert code == EX_USAGE and "one" in err and "two" in err, (code, err)
    code, _, err = place.run("login", "three", "--no-browser")
    assert code == EX_USAGE and "three" in err and "one" in err, (code, err)
    place.sign_in("two")
    assert place.proxy.exchange("GET", "/two/API/v3/whoami").status == 200
    check_own_error(place.proxy.exchange("GET", "/one/API/v3/whoami"), 503, "sign_in_needed")


@test("P8")
def login_that_is_ended_leaves_nothing_behind(env):
    place = Place(env, daemon=False)
    before = set(os.listdir(env.folder))
    for number in (signal.SIGINT, signal.SIGTERM):
        login = place.begin_login()
        login.process.send_signal(number)
        code, said = login.end()
        assert code == 128 + number, (code, said)
    assert {name for name in set(os.listdir(env.folder)) - before if not name.startswith("vault")} == set()
    place.sign_in()


# ---- status ----

@test("P8", smoke=True)
def status_is_a_table_or_json_and_its_exit_code_tells(env):
    place = Place(env)
    code, out, _ = place.run("status")
    assert code == EX_NOPERM and "sign-in-needed" in out and "main" in out, (code, out)
    place.sign_in()
    code, out, _ = place.run("status")
    assert code == 0 and "fresh" in out and "researcher" in out, (code, out)
    code, out, _ = place.run("status", "--json")
    found = json.loads(out)
    assert code == 0 and found["accounts"][0]["name"] == "main" and found["vault"]["writable"] is True
    assert place.proxy.stop() == 0
    code, out, err = place.run("status")
    assert code == EX_UNAVAILABLE and "no daemon" in out + err and "researcher" in out, (code, out, err)


# ---- logout, refresh ----

@test("P1", cases={"through the daemon": True, "without one": False})
def logout_and_refresh(env, daemon):
    place = Place(env, daemon=daemon)
    place.sign_in()
    calls = place.standin.token_calls()
    code, out, err = place.run("refresh")
    assert code == 0 and "new token" in out and place.standin.token_calls() == calls + 1, (code, out, err)
    code, out, err = place.run("logout", "main")
    assert code == 0 and "signed out" in out, (code, out, err)
    code, out, err = place.run("refresh", "main")
    assert code == EX_NOPERM and "sign in" in out + err, (code, out, err)
    proxy = place.proxy or place.start()
    check_own_error(proxy.exchange(), 503, "sign_in_needed")


# ---- keys ----

@test("P1")
def key_new_makes_a_private_file_and_overwrites_nothing(env):
    path = env.path("new.key")
    code, out, _ = env.run(["key", "new", path])
    key = env.secret(open(path).read().strip())
    assert code == 0 and re.fullmatch("[0-9a-f]{64}", key) and os.stat(path).st_mode & 0o777 == 0o600
    assert path in out and '"vault"' in out and key not in out
    code, _, err = env.run(["key", "new", path])
    assert code == EX_CANTCREAT and path in err and open(path).read().strip() == key, (code, err)


@test("P4", cases={"through the daemon": True, "without one": False})
def key_rotate_seals_the_vault_anew(env, daemon):
    place = Place(env, daemon=daemon)
    place.sign_in()
    old_key, old_vault = open(env.path("vault.key")).read(), open(env.path("vault"), "rb").read()
    code, out, err = place.run("key", "rotate")
    assert code == 0, (code, out, err)
    key = env.secret(open(env.path("vault.key")).read().strip())
    assert key != old_key.strip() and os.stat(env.path("vault.key")).st_mode & 0o777 == 0o600
    assert open(env.path("vault"), "rb").read()[36:44] != old_vault[36:44], "the id of the key"
    if place.proxy:
        place.standin.revoke_all()
        assert place.proxy.exchange().status == 200, "the running daemon has the new key"
        assert place.proxy.stop() == 0
    assert place.start().exchange().status == 200
    env.proxies[-1].stop()
    env.write("vault.key", old_key)
    code, _, err = place.run("status")
    assert code == EX_NOPERM and "key" in err, (code, err)


@test("P4", cases={point: point for point in ("rotate.key_written", "rotate.sealed", "rotate.done")})
def kill_9_in_the_middle_of_a_rotation(env, point):
    place = Place(env, daemon=False)
    place.sign_in()
    done = subprocess.run([env.places.qproxy, "key", "rotate", "-c", place.path], stdin=subprocess.DEVNULL, capture_output=True,
                          env=env.environ(QP_FAULT=point + "=kill"), timeout=20 * SLOWNESS)
    if os.path.basename(env.places.build) == "release":
        return  # it has no fault points
    assert done.returncode == -signal.SIGKILL, done
    assert place.start().exchange().status == 200
    for name in os.listdir(env.folder):
        if name.startswith("vault.key"):
            env.secret(open(env.path(name)).read().strip())
    assert env.proxies[-1].stop() == 0
    code, out, err = place.run("key", "rotate")
    assert code == 0, (out, err)
    env.secret(open(env.path("vault.key")).read().strip())
    assert place.start().exchange().status == 200


@test("P4")
def an_old_key_still_reads(env):
    place = Place(env, daemon=False)
    place.sign_in()
    new = env.write("new.key", env.secret(os.urandom(32).hex()))
    config = {**place.config, "vault": {**env.vault(), "key": "file:" + new, "old_key": env.vault()["key"]}}
    place.path = env.write("second.json", json.dumps(config))
    proxy = place.start()
    assert proxy.exchange().status == 200 and proxy.stop() == 0
    assert "the vault is sealed with vault.key now: vault.old_key can be removed" in proxy.log()
    config["vault"].pop("old_key")
    place.path = env.write("third.json", json.dumps(config))
    assert place.start().exchange().status == 200


@test("P4")
def a_passphrase_is_a_key_too(env):
    phrase = env.secret("correct horse battery " + env.run_id)
    place = Place(env, vault={"path": env.path("vault"), "key": "passphrase:file:" + env.write("phrase", phrase)}, daemon=False)
    place.sign_in()
    assert place.start().exchange().status == 200
    assert env.proxies[-1].stop() == 0
    env.write("phrase", env.secret("another horse battery " + env.run_id))
    code, _, err = place.run("status")
    assert code == EX_NOPERM and "passphrase" in err, (code, err)


# ---- who has the vault ----

@test("P8")
def a_vault_that_an_unreachable_daemon_has_is_said(env):
    place = Place(env, admin={"listen": "off"}, accounts=[{"redirect_uri": "http://127.0.0.1:8081/oauth/callback"}])
    code, _, err = place.run("status")
    assert code == EX_TEMPFAIL and str(place.proxy.pid) in err and "admin.listen" in err, (code, err)


# ---- check --online ----

@test("P8")
def check_online_tells_classes_apart(env):
    place = Place(env, [{"grant": "client_credentials"}], daemon=False)
    code, out, err = place.run("check", "--online")
    assert code == 0 and "verified" in out and "minted" in out, (code, out, err)

    def other(**keys):
        account = {key: value for key, value in {**place.config["accounts"][0], **keys}.items() if value is not None}
        config = {**place.config, "accounts": [account]}
        config.pop("vault")
        return env.run(["check", "--online", "-c", env.write("other.json", json.dumps(config))])
    with env.part("nobody listens"):
        code, out, err = other(origin="https://127.0.0.1:%d" % free_port(), token_url=place.standin.url + "/oauth2/token")
        assert code == EX_UNAVAILABLE and "refuses the connection" in out + err, (code, out, err)
    with env.part("a certificate that nobody vouches for"):
        code, out, err = other(ca_file=None) if os.path.exists("/etc/ssl/certs/ca-certificates.crt") else (EX_PROTOCOL, "certificate", "")
        assert code in (EX_PROTOCOL, EX_UNAVAILABLE) and "certificate" in out + err, (code, out, err)
    with env.part("wrong credentials"):
        code, out, err = other(client_id="nobody")
        assert code == EX_NOPERM and "client_id" in out + err, (code, out, err)
    with env.part("no permission"):
        place.standin.knobs(forbid_403=True)
        code, out, err = other()
        assert code == EX_NOPERM and "permission" in out + err, (code, out, err)


@test("P4", cases={"through the daemon": True, "without one": False})
def check_online_spends_a_refresh_token_only_if_told_to(env, daemon):
    place = Place(env, daemon=daemon)
    place.sign_in()
    place.standin.revoke_all()  # only the access tokens: the present one is good for nothing now
    calls = place.standin.token_calls()
    code, out, err = place.run("check", "--online")
    assert code == EX_NOPERM and place.standin.token_calls() == calls, (code, out, err)
    code, out, err = place.run("check", "--online", "--spend")
    assert code == 0 and "researcher" in out and place.standin.token_calls() == calls + 1, (code, out, err)
    assert (place.proxy or place.start()).exchange().status == 200
