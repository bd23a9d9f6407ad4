"""Command line and configuration: one clear message for each mistake, all of them at once (P8)."""

import json
import os
import re
import subprocess
import time

from harness import check_own_error, test

EX_USAGE, EX_NOINPUT, EX_IOERR, EX_CONFIG = 64, 66, 74, 78


def check(env, config, environ=None, mode=0o600, name="c.json"):
    """qproxy check on a configuration: (exit code, stdout, stderr)."""
    path = env.write(name, config if isinstance(config, (str, bytes)) else json.dumps(config), mode)
    return env.run(["check", "-c", path], environ)


def good(env, **account):
    return env.config(accounts=[{**env.account("https://iad1.qualtrics.com", ca_file=None), **account}])


# ---- the command line ----

@test("P8", smoke=True)
def version_and_help_are_told(env):
    code, out, err = env.run(["--version"])
    assert code == 0 and re.fullmatch(r"qproxy \S.*\n", out) and err == ""
    code, out, err = env.run(["--help"])
    assert code == 0 and "run" in out and "check" in out and err == ""
    for command in ("run", "check"):
        with env.part(command):
            code, out, err = env.run([command, "--help"])
            assert code == 0 and "-c" in out and command in out and err == ""


@test("P8")
def a_wrong_command_line_is_64_and_says_what_is_right(env):
    for arguments in (["fly"], ["--fly"], ["run", "--fly"], ["check", "-c"], ["run", "extra"], ["check", "a", "b"], ["-x"]):
        with env.part(" ".join(arguments)):
            code, out, err = env.run(arguments)
            assert code == EX_USAGE and out == "" and "--help" in err, (code, out, err)


@test("P8")
def a_file_that_is_not_there_is_66(env):
    for command in ("run", "check"):
        code, out, err = env.run([command, "-c", env.path("nowhere.json")])
        assert code == EX_NOINPUT and "nowhere.json" in err and out == ""


@test("P8")
def without_any_configuration_it_says_what_it_needs(env):
    if os.path.exists("/etc/qproxy/qproxy.json"):
        return
    for command in ("run", "check"):
        code, _, err = env.run([command])
        assert code != 0 and "QUALTRICS_" in err and "qproxy.json" in err, err


# ---- check ----

@test("P8", smoke=True)
def check_prints_the_effective_configuration_with_secrets_masked(env):
    code, out, err = check(env, good(env, client_secret="env:QP_E2E_SECRET", scope="manage:all"))
    assert code == 0 and err == "", err
    assert "manage:all" in out and "client_head" in out and "iad1.qualtrics.com" in out
    assert env.client_secret not in out
    code, out, _ = check(env, good(env, client_secret=env.client_secret))
    assert code == 0 and env.client_secret not in out


@test("P8")
def what_check_prints_is_a_configuration_again(env):
    _, out, _ = check(env, good(env))
    code, _, err = check(env, out, name="again.json")
    assert code == EX_CONFIG and "accounts[0].client_secret" in err and "mask" in err, "the mask is no secret: " + err
    out = out.replace('"********"', '"env:QP_E2E_SECRET"')
    code, again, err = check(env, out, name="again.json")
    assert code == 0, err
    differ = [line for line, before in zip(again.splitlines(), out.splitlines()) if line != before]
    assert len(differ) == 2 and "again.json" in differ[0] and "client_secret" in differ[1], differ


@test("P8")
def the_sample_is_a_valid_configuration(env):
    code, out, _ = env.run(["check", "--sample"])
    assert code == 0
    code, _, err = check(env, out, environ=env.environ(QUALTRICS_CLIENT_ID="id", QUALTRICS_CLIENT_SECRET="a-secret"))
    assert code == 0, err


@test("P8")
def all_mistakes_are_told_at_once_each_with_its_place(env):
    config = {"lisen": "127.0.0.1:1", "workers": -1, "timeouts": {"client_head": 10, "drain": "10 parsecs", "client_bdy": "1s"},
              "limits": {"head": "1TiB", "body": True},
              "accounts": [{"name": "a", "origin": "http://x.example", "grant": "password", "client_id": 5,
                            "client_secret": "env:NOT_THERE_AT_ALL", "surprise": 1}]}
    code, out, err = check(env, config)
    assert code == EX_CONFIG and out == ""
    for place in ("lisen", "workers", "timeouts.client_head", "timeouts.drain", "timeouts.client_bdy", "limits.head", "limits.body",
                  "accounts[0].origin", "accounts[0].grant",
                  "accounts[0].client_id", "accounts[0].client_secret", "accounts[0].surprise"):
        with env.part(place):
            lines = [line for line in err.splitlines() if place in line]
            assert lines, "nothing is said of %s in:\n%s" % (place, err)
    assert "NOT_THERE_AT_ALL" in err and "client_credentials" in err and "https" in err and '"listen"' in err


@test("P8")
def run_says_the_same_as_check_and_does_not_listen(env):
    path = env.write("c.json", json.dumps({"listen": "127.0.0.1:0", "accounts": []}))
    code, out, err = env.run(["run", "-c", path])
    assert code == EX_CONFIG and out == "" and "accounts" in err
    assert env.run(["check", "-c", path])[2] == err
    code, out, err = env.run(["-c", path])
    assert code == EX_CONFIG and "accounts" in err, "run is the default"


@test("P8")
def a_syntax_error_has_its_line_and_column(env):
    for text, place in (('{\n  "listen": "127.0.0.1:1",\n  "workers": ]\n}', "3:14"), ('{\n"a": 1,\n}', "3:1"), ("{", "1:2"),
                        ('{"a" 1}', "1:6"), ("", "1:1")):
        with env.part(repr(text)):
            code, _, err = check(env, text)
            assert code == EX_CONFIG and (place in err or re.search("line %s.*column %s" % tuple(place.split(":")), err)), err


@test("P8")
def comments_are_understood(env):
    text = "// one\n{ /* two */ " + json.dumps(good(env))[1:-1] + " // three\n}\n"
    code, _, err = check(env, text)
    assert code == 0, err


@test("P1")
def a_literal_secret_needs_a_file_that_only_its_owner_reads(env):
    for mode, wanted in ((0o644, EX_CONFIG), (0o640, EX_CONFIG), (0o604, EX_CONFIG), (0o600, 0), (0o400, 0)):
        with env.part(oct(mode)):
            code, _, err = check(env, good(env, client_secret=env.client_secret), mode=mode, name="c%o.json" % mode)
            assert code == wanted, err
            assert wanted == 0 or ("accounts[0].client_secret" in err and "600" in err)


@test("P8")
def secret_references_that_lead_nowhere_are_named(env):
    for reference, word in (("env:NO_SUCH_NAME", "NO_SUCH_NAME"), ("file:/no/such/file", "/no/such/file"),
                            ("cred:nothing", "CREDENTIALS_DIRECTORY"), ("env:", "env:")):
        with env.part(reference):
            code, _, err = check(env, good(env, client_secret=reference))
            assert code == EX_CONFIG and word in err and "accounts[0].client_secret" in err, err


@test("P1")
def a_secret_with_control_bytes_is_refused_and_not_shown(env):
    path = env.write("secret", b"hidden-part-1\x01hidden-part-2")
    code, out, err = check(env, good(env, client_secret="file:" + path))
    assert code == EX_CONFIG and "hidden-part" not in out + err


@test("P8")
def systemd_credentials_are_read(env):
    os.mkdir(env.path("creds"))
    env.write("creds/client", env.client_secret + "\n")
    environ = env.environ(CREDENTIALS_DIRECTORY=env.path("creds"), QP_E2E_SECRET=None)
    assert check(env, good(env, client_secret="cred:client"), environ)[0] == 0
    origin = env.origin()
    proxy = env.proxy(origin, account={"client_secret": "cred:client"}, environ=environ)
    assert proxy.exchange().status == 200


@test("P2")
def an_origin_must_be_https_and_nothing_switches_verification_off(env):
    for account in ({"origin": "http://iad1.qualtrics.com"}, {"origin": "iad1.qualtrics.com"},
                    {"origin": "https://user:pw@iad1.qualtrics.com"}, {"origin": "https://iad1.qualtrics.com/API"},
                    {"token_url": "http://iad1.qualtrics.com/oauth2/token"}, {"verify": False}, {"insecure": True}, {"tls_verify": "off"},
                    {"ca_file": "/no/such/file.pem"}):
        with env.part(json.dumps(account)):
            assert check(env, good(env, **account))[0] == EX_CONFIG


@test("P8")
def a_ca_file_without_certificates_is_an_error_at_the_start(env):
    path = env.write("empty.pem", "nothing here\n")
    config = env.write("c.json", json.dumps(good(env, ca_file=path)))
    code, out, err = env.run(["run", "-c", config])
    assert code not in (0, 86) and "empty.pem" in err and "listening" not in out, (code, out, err)


@test("P8")
def a_grant_says_what_it_needs(env):
    for grant, missing in (("client_credentials", "client_secret"), ("refresh_token", "refresh_token"), ("api_token", "api_token")):
        with env.part(grant):
            config = {"accounts": [{"datacenter": "iad1", "grant": grant}]}
            code, _, err = check(env, config)
            assert code == EX_CONFIG and "accounts[0]." + missing in err, err


@test("P8")
def an_ambiguous_choice_of_accounts_is_an_error(env):
    def two(first, second):
        base = {"datacenter": "iad1", "grant": "api_token", "api_token": "env:QP_E2E_SECRET"}
        return {"listen": "127.0.0.1:0", "accounts": [{"name": "a", **base, **first}, {"name": "b", **base, **second}]}
    for first, second, wanted in (
            ({}, {}, EX_CONFIG), ({"path_prefix": "/x"}, {"path_prefix": "/x"}, EX_CONFIG),
            ({"path_prefix": "/x"}, {"path_prefix": "/x/y"}, EX_CONFIG), ({"host": "h"}, {"host": "H"}, EX_CONFIG),
            ({"listen": "127.0.0.1:7001"}, {"listen": "127.0.0.1:7001"}, EX_CONFIG),
            ({"name": "b", "path_prefix": "/x"}, {"path_prefix": "/y"}, EX_CONFIG),
            ({"path_prefix": "/x"}, {"path_prefix": "/y"}, 0), ({"path_prefix": "/x"}, {"path_prefix": "/xy"}, 0),
            ({"host": "h"}, {"host": "i"}, 0), ({"path_prefix": "/x"}, {}, 0)):
        with env.part("%r and %r" % (first, second)):
            code, _, err = check(env, two(first, second))
            assert code == wanted, err


@test("P8")
def bad_values_are_told_with_what_is_allowed(env):
    for key, value, allowed in (("workers", 100000, "512"), ("workers", "many", "auto"), ("timeouts.drain", "5", "unit"),
                                ("timeouts.drain", 5, "unit"), ("timeouts.drain", "-5s", "s"),
                                ("timeouts.client_head", "0s", "ms"), ("limits.head", "64", "KiB"), ("limits.head", "64KB", "KiB"),
                                ("limits.head", "", "KiB"), ("limits.connections", 0, "1"),
                                ("limits.connections", 1.5, "1"), ("log.level", "loud", "debug"), ("listen", "localhost", ""),
                                ("listen", [], ""), ("listen", "127.0.0.1:99999", ""),
                                ("listen", "unix:" + "x" * 300, ""), ("accounts", {}, "list"), ("timeouts", "fast", "object")):
        with env.part("%s: %r" % (key, value)):
            config = good(env)
            group, _, name = key.rpartition(".")
            (config.setdefault(group, {}) if group else config)[name] = value
            code, _, err = check(env, config)
            assert code == EX_CONFIG and key in err and allowed in err, err


@test("P7")
def no_configuration_text_kills_it(env):
    texts = [b"\x00", b"\xff\xfe", b"[" * 100000, b'{"a":' * 50000, b"null", b"1", b'"x"', b"{}", b"{" + b'"x":1,' * 50000 + b'"y":2}',
             b'{"listen":"' + b"x" * 100000 + b'"}',
             b'{"accounts":[' + b"{}," * 5000 + b"{}]}", b'{"listen":"\\u0000"}', b'{"listen":"127.0.0.1:1","listen":"127.0.0.1:2"}',
             b"/* open", b"{} trailing", b'{"\xc3\x28":1}']
    for text in texts:
        with env.part(repr(text[:30])):
            code, _, err = check(env, text)
            assert code == EX_CONFIG and err and len(err) < 200000
            assert not re.search("[\x00-\x08\x0b-\x1f]", err)


@test("P8", smoke=True)
def a_lost_output_is_no_success(env):
    """A full disk: whoever reads the file later must not take half a help for a whole one."""
    for arguments in (["--version"], ["--help"], ["check", "--help"], ["check", "--sample"]):
        with env.part(" ".join(arguments)), open("/dev/full", "w") as full:
            done = subprocess.run([env.places.qproxy] + arguments, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                  timeout=30)
            assert done.returncode == EX_IOERR and b"standard output" in done.stderr, done


@test("P1", smoke=True)
def closed_standard_files_are_not_taken_by_sockets(env):
    """Else what is meant for standard error goes into whatever got the number 2."""
    path = env.write("c.json", json.dumps(good(env)), 0o600)
    daemon = subprocess.Popen(["sh", "-c", 'exec "$0" run -c "$1" 0<&- 1>&- 2>&-', env.places.qproxy, path], env=env.environ())
    try:
        deadline = time.monotonic() + 10
        while len(os.listdir("/proc/%d/task" % daemon.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        if env.places.may_look_inside():
            assert [os.readlink("/proc/%d/fd/%d" % (daemon.pid, fd)) for fd in range(3)] == ["/dev/null"] * 3
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0, daemon.returncode


@test("P8")
def check_looks_into_the_ca_file(env):
    path = env.write("ca.txt", "not a certificate")
    code, out, err = check(env, good(env, ca_file=path))
    assert code == EX_CONFIG and out == "" and "ca.txt" in err and "PEM" in err, (code, err)


# ---- without a file ----

@test("P8")
def the_environment_is_enough(env):
    origin = env.origin()
    base = {"QUALTRICS_BASE_URL": origin.url, "QUALTRICS_CLIENT_ID": env.client_id, "QUALTRICS_CLIENT_SECRET": env.client_secret,
            "QP_E2E_SECRET": None}
    code, out, err = env.run(["check"], env.environ(**base))
    assert code == 0 and origin.authority in out, err
    code, out, err = env.run(["check"], env.environ(QUALTRICS_DATACENTER="iad1", QUALTRICS_API_KEY=env.secret("key-" + env.run_id * 4)))
    assert code == 0 and "iad1" in out and "api_token" in out, err
    code, out, err = env.run(["check"], env.environ(QUALTRICS_API_KEY="", QUALTRICS_DATACENTER="", **base))
    assert code == 0 and origin.authority in out, "an empty variable, as compose files make them, is one that is not set: " + err
    code, _, err = env.run(["check"], env.environ(QUALTRICS_DATACENTER="iad1"))
    assert code == EX_CONFIG and "QUALTRICS_CLIENT_ID" in err and "QUALTRICS_API_KEY" in err, err


@test("P8")
def a_file_in_the_working_folder_is_found(env):
    env.write("qproxy.json", json.dumps(good(env, scope="found:here")))
    code, out, err = env.run(["check"])
    assert code == 0 and "found:here" in out, err


# ---- logs ----

@test("P1")
def what_a_client_sends_is_not_logged_raw(env):
    """Credentials in fields, and control bytes by any way in; the harness looks at the log after each test."""
    origin = env.origin()
    proxy = env.proxy(origin)
    junk = env.client_credential("junk-" + env.run_id)
    proxy.exchange(fields=[("Authorization", "Bearer " + junk), ("X-API-TOKEN", junk), ("Cookie", "session=" + junk),
                           ("Proxy-Authorization", junk)])
    for raw in (b"GET /\x1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\x1bb\r\n\r\n",
                b"G\x1bT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"GET http://u:" + junk.encode() + b"@h/ HTTP/1.1\r\nHost: h\r\n\r\n"):
        proxy.send(raw)
    origin.script = lambda conn, request: conn.send(b"HTTP/1.1 200 \x1b[31mRed\x9b\r\nContent-Length: 0\r\n\r\n")
    with proxy.connect() as client:
        client.request()
        client.sock.recv(10000)


@test("P8")
def each_request_has_a_line_in_the_access_log(env):
    origin = env.origin()
    proxy = env.proxy(origin)
    assert proxy.exchange(target="/API/v3/looked-for?x=y").status == 200
    line = proxy.wait_log(".*looked-for.*").group()
    assert "GET" in line and "200" in line, line
    proxy.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    proxy.wait_log(r"\b400\b")


@test("P8")
def the_access_log_can_be_json_in_a_file(env):
    origin = env.origin()
    path = env.path("access.txt")
    proxy = env.proxy(origin, log={"form": "json", "access": path, "level": "info"})
    for number in range(3):
        assert proxy.exchange(target='/API/v3/%d"\\' % number).status == 200
    proxy.stop()
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    assert len(lines) == 3, lines
    for number, line in enumerate(lines):
        assert '/API/v3/%d"\\' % number in line.values() and 200 in line.values() and "GET" in line.values(), line
    for line in proxy.log().splitlines():
        json.loads(line)


@test("P8")
def it_is_ready_soon_and_says_so(env):
    origin = env.origin()
    began = time.monotonic()
    proxy = env.proxy(origin)
    assert time.monotonic() - began < 5
    assert re.fullmatch(rb"listening on 127\.0\.0\.1:[0-9]+\n", bytes(proxy.stdout))
    assert proxy.exchange().status == 200


@test("P8")
def a_prefix_that_no_account_has_is_a_clear_404(env):
    origin = env.origin()
    proxy = env.proxy(accounts=[env.account(origin, path_prefix="/one")])
    check_own_error(proxy.exchange(target="/two/x"), 404)
    assert proxy.exchange(target="/one/x").status == 200
