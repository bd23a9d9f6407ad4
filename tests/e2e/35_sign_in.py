"""Sign-in, the vault, and what survives what (P1-P4, P8), without a browser: the stand-in consents by itself."""

import hashlib
import json
import os
import re
import signal
import threading

from admin_client import ANY_PORT, Session, address_of, ask
from harness import SLOWNESS, check_own_error, eventually, test

EX_TEMPFAIL = 75


def code_account(env, standin, **keys):
    return env.account(standin, grant="authorization_code", scope="manage:all", **keys)


def standin_of(env, **options):
    standin = env.standin(**options)
    standin.knobs(auto_consent=True)
    return standin


def start(env, standin, fault=None, environ=None, account=None, **keys):
    environ = environ or env.environ(QP_FAULT=fault)
    return env.proxy(accounts=[code_account(env, standin, **(account or {}))], environ=environ, **{"admin": ANY_PORT, **keys})


def signed_in(env, **keys):
    standin = standin_of(env)
    proxy = start(env, standin, **keys)
    session = Session(env, proxy)
    session.sign_in(standin)
    return standin, proxy, session


def redemptions(standin):
    """What became of presented refresh tokens: {"ok": n, "reused": n, ...}."""
    return standin.counters()["redemptions"]["ends"]


def kill(proxy):
    proxy.expected_exit = -signal.SIGKILL
    proxy.kill()


# ---- signing in ----

@test("P1", smoke=True)
def a_sign_in_makes_plain_requests_work(env):
    standin = standin_of(env)
    proxy = start(env, standin)
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    session = Session(env, proxy)
    found = session.sign_in(standin)
    assert found["state"] == "fresh" and found["signed_in_s"] in range(0, 60) and found["refresh_token_age_s"] in range(0, 60), found
    assert proxy.exchange().status == 200
    known = eventually(lambda: session.status("main")["identity"]["user"] and session.status("main"), what="whoami was asked")
    assert known["identity"]["brand"] and not known["identity"]["warning"], known
    assert standin.counters()["codes"]["redeemed"] == 1


@test("P3")
def five_hundred_requests_at_a_revocation_redeem_one_refresh_token(env):
    standin, proxy, _ = signed_in(env, workers=2)
    standin.knobs(token_delay_ms=300)
    assert standin.revoke_all() > 0
    before = redemptions(standin)
    answers = proxy.burst(500)
    after = redemptions(standin)
    assert [answer.status for answer in answers] == [200] * 500
    assert after["ok"] - before["ok"] == 1 and after["reused"] == 0, (before, after)


@test("P4")
def a_state_is_good_for_one_answer(env):
    standin, proxy, session = signed_in(env)
    address = standin.sign_in(session.begin())
    assert session.come_back(address).status == 303
    again = session.come_back(address)
    assert again.status == 400 and b"begin again" in again.body, again.body
    assert proxy.exchange().status == 200, "the sign-in that went well stays"


@test("P1")
def a_sign_in_ends_in_the_browser_that_began_it(env):
    standin = standin_of(env)
    proxy = start(env, standin)
    mine, other = Session(env, proxy), Session(env, proxy)
    address = standin.sign_in(mine.begin())
    answer = other.come_back(address)
    assert answer.status == 400 and b"another browser" in answer.body, answer.body
    assert standin.counters()["codes"]["redeemed"] == 0
    check_own_error(proxy.exchange(), 503, "sign_in_needed")


@test("P8", cases={code: code for code in ("access_denied", "invalid_scope", "server_error", "temporarily_unavailable", "something_else")})
def what_the_authorization_server_refuses_is_said_in_words(env, code):
    standin, proxy, session = signed_in(env)
    standin.knobs(auth_error=code)
    answer = session.come_back(standin.sign_in(session.begin()))
    words = {"access_denied": b"sign in again", "invalid_scope": b"check scope", "server_error": b"try again later",
             "temporarily_unavailable": b"try again later", "something_else": b"refuses"}
    assert answer.status in (400, 502) and words[code] in answer.body, answer.body
    assert proxy.exchange().status == 200, "what was there stays in use"


@test("P2")
def an_answer_of_another_issuer_is_refused(env):
    standin = standin_of(env)
    proxy = start(env, standin)
    session = Session(env, proxy)
    standin.knobs(iss="https://elsewhere.example")
    answer = session.come_back(standin.sign_in(session.begin()))
    assert answer.status == 400 and b"elsewhere.example" in answer.body, answer.body
    assert standin.counters()["codes"]["redeemed"] == 0
    standin.knobs(iss="")
    session.sign_in(standin)


@test("P1")
def only_a_get_completes_a_sign_in(env):
    standin = standin_of(env)
    proxy = start(env, standin)
    session = Session(env, proxy)
    address = standin.sign_in(session.begin())
    path = address[address.index("/oauth"):]
    for method in ("HEAD", "POST", "PUT"):
        assert ask(env, proxy, path, method, fields=session.fields([("Origin", session.origin)])).status in (403, 405), method
    assert standin.counters()["codes"]["redeemed"] == 0
    assert session.come_back(address).status == 303


@test("P8")
def a_foreign_host_in_whoami_is_warned_of(env):
    standin = standin_of(env)
    standin.knobs(notice="Request proxied. For faster response times, use this host instead: fra1.qualtrics.com")
    proxy = start(env, standin)
    session = Session(env, proxy)
    session.sign_in(standin)
    warned = eventually(lambda: session.status("main")["identity"]["warning"], what="a warning")
    assert "fra1.qualtrics.com" in warned and "datacenter" in warned, warned
    assert b"fra1.qualtrics.com" in session.get("/").body


@test("P1")
def a_sign_out_takes_everything_back(env):
    standin = standin_of(env)
    proxy = start(env, standin, account={"revoke_url": standin.url + "/oauth2/revoke"})
    session = Session(env, proxy)
    session.sign_in(standin)
    assert proxy.exchange().status == 200
    end = session.order("/logout/main")
    assert end["ok"] and end["code"] == "signed_out", end
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    assert standin.counters()["revocations"]["done"] == 1
    assert proxy.stop() == 0
    again = start(env, standin)
    check_own_error(again.exchange(), 503, "sign_in_needed")
    Session(env, again).sign_in(standin)
    assert again.exchange().status == 200


@test("P8")
def a_sign_out_without_revocation_says_so(env):
    _, proxy, session = signed_in(env)
    end = session.order("/logout/main")
    assert end["ok"] and end["code"] == "not_revoked" and "revoke_url" in end["text"], end
    check_own_error(proxy.exchange(), 503, "sign_in_needed")


@test("P3")
def refresh_now_makes_one_call(env):
    standin, _, session = signed_in(env)
    calls = standin.token_calls()
    end = session.order("/refresh/main")
    assert end["ok"] and end["code"] == "refreshed", end
    assert standin.token_calls() == calls + 1
    standin.knobs(token_fail={"kind": "http_503", "count": 1})
    end = session.order("/refresh/main")
    assert not end["ok"] and end["code"] == "failed" and "503" in end["text"], end


@test("P1")
def an_order_needs_the_csrf_token_and_its_own_origin(env):
    standin, proxy, session = signed_in(env)
    other = Session(env, proxy)
    calls = standin.token_calls()
    for answer in (session.post("/refresh/main", csrf=""), session.post("/refresh/main", csrf=other.csrf),
                   session.post("/refresh/main", origin="http://evil.example"), session.post("/refresh/main", origin="null"),
                   ask(env, proxy, "/refresh/main", "POST", fields=[("Origin", session.origin), ("Content-Type", "application/x-www-form-urlencoded")],
                       body=b"csrf=" + session.csrf.encode())):
        assert answer.status == 403, answer
    assert standin.token_calls() == calls
    assert session.order("/logout/main")["ok"]


@test("P1")
def the_two_kinds_of_listener_share_nothing(env):
    standin, proxy, session = signed_in(env)
    for path in ("/", "/login/main", "/oauth/callback?state=x&code=y", "/api/status", "/healthz", "/readyz", "/metrics"):
        answer = proxy.exchange("GET", path)
        assert answer.status == 404 and answer.get("X-Qproxy-Error") is None, "%s: %r" % (path, answer)
    for path in ("/API/v3/whoami", "//API/v3/whoami", "/api/../API/v3/whoami", "/oauth2/token", standin.url + "/API/v3/whoami"):
        answer = ask(env, proxy, path)
        assert answer.status in (400, 403, 404), "%s: %r" % (path, answer)


# ---- restarts ----

@test("P4", smoke=True)
def a_restart_goes_on_without_a_token_call(env):
    standin, proxy, _ = signed_in(env)
    assert proxy.exchange().status == 200
    assert proxy.stop() == 0
    calls = standin.token_calls()
    again = start(env, standin)
    assert again.exchange().status == 200 and standin.token_calls() == calls
    standin.revoke_all()
    assert again.exchange().status == 200 and standin.token_calls() == calls + 1
    assert redemptions(standin)["reused"] == 0


@test("P3")
def a_dead_token_of_a_former_life_is_no_evidence_against_the_account(env):
    standin, proxy, _ = signed_in(env)
    assert proxy.exchange().status == 200 and proxy.stop() == 0
    standin.revoke_all()
    proxy = start(env, standin)
    standin.knobs(always_401=True)
    assert proxy.exchange().status == 401, "the kept token and the new one are rejected"
    standin.knobs(always_401=False)
    standin.revoke_all()
    assert proxy.exchange().status == 200, "one fresh token that was rejected damps nothing"


@test("P3", cases={"kept": (True, 1), "not kept": (False, 2)})
def client_credentials_are_kept_if_wished(env, keep, calls):
    standin = env.standin()
    vault = {**env.vault(), "cache_tokens": keep}
    for _ in range(2):
        proxy = env.proxy(standin, vault=vault)
        assert proxy.exchange().status == 200
        assert proxy.stop() == 0
    assert standin.token_calls() == calls


# What is lost where: between the server's rotation and the record on disk lies what no client can close.
SURVIVES = ("vault.mark.write", "vault.mark.written", "vault.mark.synced", "vault.mark.renamed", "vault.mark.done", "vault.reserve", "redeem.send",
            "vault.record.renamed", "vault.record.done", "redeem.saved")
IN_THE_WINDOW = ("redeem.answered", "vault.record.write", "vault.record.written", "vault.record.synced")


@test("P4", limit=40, cases={point: (point, point in SURVIVES, grace) for point in SURVIVES + IN_THE_WINDOW for grace in (0,)} |
      {point + " with a grace period": (point, True, 30) for point in IN_THE_WINDOW})
def kill_9_at_each_step_of_a_redemption(env, point, survives, grace):
    standin = standin_of(env)
    standin.knobs(grace_s=grace)
    proxy = start(env, standin)
    Session(env, proxy).sign_in(standin)
    assert proxy.exchange().status == 200
    assert proxy.stop() == 0
    proxy = start(env, standin, fault=point + "=kill")
    assert proxy.exchange().status == 200, "nothing is redeemed before it is needed"
    standin.revoke_all()
    proxy.expected_exit = -signal.SIGKILL
    proxy.connect().request("GET", "/API/v3/whoami")
    assert proxy.wait_exit() == -signal.SIGKILL
    again = start(env, standin)
    answer = again.exchange()
    if survives:
        assert answer.status == 200, "%r\n%s" % (answer, again.log())
        assert redemptions(standin)["reused"] == 0
    else:
        check_own_error(answer, 503, "sign_in_needed")
        assert "ended in the middle of a token call" in json.loads(answer.body)["meta"]["error"]["errorMessage"], answer.body
        presented = sum(redemptions(standin).values())
        assert again.stop() == 0
        again = start(env, standin)
        check_own_error(again.exchange(), 503, "sign_in_needed")
        assert sum(redemptions(standin).values()) == presented, "tried once more, and never again"
        Session(env, again).sign_in(standin)
        assert again.exchange().status == 200


@test("P4")
def a_stop_waits_for_the_redemption_that_runs(env):
    standin, proxy, _ = signed_in(env)
    assert proxy.exchange().status == 200
    standin.knobs(token_delay_ms=1500)
    standin.revoke_all()
    calls = standin.token_calls()
    client = proxy.connect()
    client.request("GET", "/API/v3/whoami")
    eventually(lambda: standin.token_calls() > calls, what="the refresh token is on its way")
    client.close()
    assert proxy.stop() == 0
    standin.knobs(token_delay_ms=0)
    again = start(env, standin)
    assert again.exchange().status == 200 and standin.token_calls() == calls + 1
    assert redemptions(standin)["reused"] == 0


# ---- the vault ----

@test("P1")
def the_vault_is_private_and_holds_nothing_in_the_clear(env):
    _, proxy, _ = signed_in(env)
    path = env.path("vault")
    assert os.stat(path).st_mode & 0o777 == 0o600
    content = open(path, "rb").read()
    assert content.startswith(b"QPVAULT\n") and b"main" not in content and b"refresh" not in content
    assert proxy.stop() == 0


@test("P8")
def two_daemons_do_not_share_a_vault(env):
    standin, proxy, _ = signed_in(env)
    path = env.write("second.json", json.dumps(env.config(accounts=[code_account(env, standin)], admin=ANY_PORT)))
    code, out, err = env.run(["run", "-c", path])
    assert code == EX_TEMPFAIL and "listening" not in out and str(proxy.pid) in err and "vault" in err, (code, out, err)
    assert proxy.exchange().status == 200


def try_to_start(env, standin, **keys):
    path = env.write("try.json", json.dumps(env.config(accounts=[code_account(env, standin)], admin=ANY_PORT, **keys)))
    return env.run(["run", "-c", path])


@test("P8")
def a_vault_that_cannot_be_read_stops_the_start_and_stays_as_it_is(env):
    standin, proxy, _ = signed_in(env)
    assert proxy.stop() == 0
    good = open(env.path("vault"), "rb").read()

    def changed(at, value):
        return good[:at] + value + good[at + len(value):]

    def newer():
        head = changed(8, b"\x63\x00")[:60]
        return head + hashlib.sha256(head).digest()[:4] + good[64:]
    other = env.write("other.key", env.secret(os.urandom(32).hex()) + "\n")
    cases = {"a changed bit": (changed(100, bytes([good[100] ^ 1])), {}, "(changed|damaged|corrupt)"), "cut": (good[:-1], {}, "(cut|damaged|corrupt)"),
             "empty": (b"", {}, "(cut|damaged|corrupt|no vault)"), "newer": (newer(), {}, "newer"),
             "another key": (good, {"vault": {**env.vault(), "key": "file:" + other}}, "key")}
    codes = {}
    for name, (content, keys, words) in cases.items():
        with env.part(name):
            env.write("vault", content)
            code, out, err = try_to_start(env, standin, **keys)
            assert code not in (0, 86) and "listening" not in out and re.search(words, err) and env.path("vault") in err, (code, out, err)
            assert open(env.path("vault"), "rb").read() == content, "it was overwritten"
            codes[name] = code
    assert len({codes["a changed bit"], codes["newer"], codes["another key"]}) == 3, codes
    env.write("vault", good)
    assert start(env, standin).exchange().status == 200


def signed_in_before(env, fault):
    """A daemon that a fault awaits, with the sign-in of the one before it."""
    standin, proxy, _ = signed_in(env)
    assert proxy.stop() == 0
    return standin, start(env, standin, fault=fault)


@test("P4")
def without_a_writable_vault_no_refresh_token_is_spent(env):
    standin, proxy = signed_in_before(env, "vault.mark.write=EROFS")
    assert proxy.exchange().status == 200
    standin.revoke_all()
    calls = standin.token_calls()
    check_own_error(proxy.exchange(), 503, "token_unavailable")
    ready = ask(env, proxy, "/readyz")
    assert b"vault" in ready.body and b"ead-only" in ready.body, ready.body
    assert standin.token_calls() == calls
    assert proxy.stop() == 0
    assert start(env, standin).exchange().status == 200


@test("P4")
def what_could_not_be_written_is_served_from_memory_and_written_later(env):
    standin, proxy = signed_in_before(env, "vault.record.write=ENOSPC@1")
    standin.revoke_all()
    assert proxy.exchange().status == 200
    session = Session(env, proxy)
    assert "No space left" in proxy.log()
    eventually(lambda: session.status()["vault"]["writable"], what="it is written after all")
    kill(proxy)
    again = start(env, standin)
    assert again.exchange().status == 200 and redemptions(standin)["reused"] == 0


@test("P4")
def a_stop_writes_what_is_owed_or_shouts(env):
    standin, proxy, _ = signed_in(env)
    assert proxy.stop() == 0
    proxy = start(env, standin, fault="vault.record.write=ENOSPC,vault.cache.write=ENOSPC", timeouts={"drain": "1s"})
    standin.revoke_all()
    assert proxy.exchange().status == 200
    assert proxy.stop() == 0
    assert "TOKENS ARE LOST" in proxy.log()


# ---- several accounts ----

@test("P3")
def a_slow_token_endpoint_delays_its_own_account_only(env):
    slow, quick = standin_of(env), standin_of(env)
    proxy = env.proxy(accounts=[code_account(env, slow, name="slow", path_prefix="/slow"), code_account(env, quick, name="quick", path_prefix="/quick")],
                      admin=ANY_PORT)
    session = Session(env, proxy)
    session.sign_in(slow, "slow")
    session.sign_in(quick, "quick")
    slow.knobs(token_delay_ms=4000)
    slow.revoke_all()
    waiting = proxy.connect()
    waiting.request("GET", "/slow/API/v3/whoami")
    eventually(lambda: session.status("slow")["state"] == "refreshing", what="the slow call runs")
    quick.revoke_all()
    assert proxy.exchange("GET", "/quick/API/v3/whoami").status == 200
    assert session.status("slow")["state"] == "refreshing", "the quick one did not wait for the slow one"
    assert waiting.response("GET").status == 200


@test("P8")
def one_account_s_failure_leaves_the_rest_ready(env):
    good, bad = standin_of(env), standin_of(env)
    proxy = env.proxy(accounts=[code_account(env, good, name="good", path_prefix="/good"), code_account(env, bad, name="bad", path_prefix="/bad")],
                      admin=ANY_PORT)
    session = Session(env, proxy)
    session.sign_in(good, "good")
    ready = ask(env, proxy, "/readyz")
    found = json.loads(ready.body)
    assert ready.status == 200 and found["status"] == "degraded", found
    assert [account["ready"] for account in found["accounts"]] == [True, False], found
    assert ask(env, proxy, "/readyz?account=good").status == 200 and ask(env, proxy, "/readyz?account=bad").status == 503
    assert proxy.exchange("GET", "/good/API/v3/whoami").status == 200
    check_own_error(proxy.exchange("GET", "/bad/API/v3/whoami"), 503, "sign_in_needed")
