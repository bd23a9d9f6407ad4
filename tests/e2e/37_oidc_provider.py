"""The sign-in at an authorization server that nobody here wrote: oidc-provider, with PKCE required, rotation, and reuse that revokes the grant (P1-P4, P8)."""

import base64
import json
import os
import signal
import ssl
import urllib.error
import urllib.parse
import urllib.request

from admin_client import Session
from browser import Browser
from harness import check_own_error, eventually, free_port, test
from third_parties import Provider

PERSON = "ada@example.org"
LIMIT = 120  # the first one installs


class World:
    """A provider with one client, a proxy whose account is that client's, and a browser."""

    def __init__(self, env, method="client_secret_basic", life=3600, **account):
        self.env = env
        port = free_port()
        self.base = "http://127.0.0.1:%d" % port
        client = {"client_id": env.client_id, "redirect_uris": [self.base + "/oauth/callback"], "grant_types": ["authorization_code", "refresh_token"],
                  "response_types": ["code"], "scope": "manage:all offline_access", "token_endpoint_auth_method": method}
        client.update({"application_type": "native"} if method == "none" else {"client_secret": env.client_secret})
        self.provider = Provider(env, [client], life)
        self.browser = Browser(env)
        url = self.provider.url
        keys = {"grant": "authorization_code", "auth_url": url + "/auth?prompt=consent", "token_url": url + "/token", "revoke_url": url + "/token/revocation",
                "scope": "manage:all", "offline_scope": "offline_access", "client_auth": "body" if method == "client_secret_post" else "basic",
                "client_secret": None if method == "none" else "env:QP_E2E_SECRET", **account}
        self.config = env.config(accounts=[env.account(url, **keys)], admin={"listen": "127.0.0.1:%d" % port})
        self.start()

    def start(self):
        self.proxy = self.env.proxy(config=self.config)
        return self.proxy

    def kill(self):
        self.proxy.expected_exit = -signal.SIGKILL
        self.proxy.kill()

    def begin(self):
        """To the provider's consent."""
        self.browser.open(self.base + "/")
        self.browser.click("a[href='/login/main']")
        self.browser.arrives("^%s/interaction/" % self.provider.url)
        self.browser.type("[name=login]", PERSON)
        self.browser.type("[name=password]", "anything will do")
        self.browser.click("[type=submit]")
        eventually(lambda: self.browser.has("[name=prompt][value=consent]"), what="the consent")

    def sign_in(self):
        self.begin()
        self.browser.click("[type=submit]")
        self.browser.arrives("^%s/signed-in/main$" % self.base)
        return self

    def redeem(self, refresh_token):
        """A redemption that is not qproxy's: the status and the answer."""
        client = ":".join(urllib.parse.quote_plus(part) for part in (self.env.client_id, self.env.client_secret))
        body = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token}).encode()
        request = urllib.request.Request(self.provider.url + "/token", body, {"Authorization": "Basic " + base64.b64encode(client.encode()).decode()})
        context = ssl.create_default_context(cafile=self.env.places.cert("ca.pem"))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def whoami(proxy):
    answer = proxy.exchange()
    assert answer.status == 200, "%r %r" % (answer, answer.body)
    return json.loads(answer.body)["result"]["userName"]


@test("P1", limit=LIMIT)
def a_person_signs_in_at_a_server_of_somebody_else_s(env):
    world = World(env)
    browser = world.browser
    browser.open(world.base + "/")
    browser.screenshots("provider-1-before")
    browser.click("a[href='/login/main']")
    eventually(lambda: browser.has("[name=login]"), what="the provider's sign-in")
    browser.screenshots("provider-2-sign-in")
    world.begin()
    browser.screenshots("provider-3-consent")
    browser.click("[type=submit]")
    browser.arrives("^%s/signed-in/main$" % world.base)
    browser.screenshots("provider-4-signed-in")
    browser.click("main a")
    browser.says("#main", "(?s)Connected.*" + PERSON)
    assert whoami(world.proxy) == PERSON
    browser.html()
    browser.screenshots("provider-5-after")
    assert len(world.provider.calls("authorization_code")) == 1
    assert Session(env, world.proxy).status("main")["refresh_token_age_s"] >= 0, "offline_access gives a refresh token"
    assert [line for line in browser.errors() if world.base in line] == []


@test("P1", limit=LIMIT, cases={"secret in the body": "client_secret_post", "no secret at all": "none"})
def other_kinds_of_client_sign_in_and_refresh(env, method):
    world = World(env, method=method).sign_in()
    assert whoami(world.proxy) == PERSON
    world.provider.revoke_access()
    assert whoami(world.proxy) == PERSON
    calls = world.provider.counters()["token_calls"]
    assert [(call["grant"], call["by_basic"], call["error"]) for call in calls] == [("authorization_code", False, None), ("refresh_token", False, None)], calls


@test("P4", limit=LIMIT)
def refresh_tokens_rotate_again_and_again(env):
    world = World(env, life=3).sign_in()
    eventually(lambda: whoami(world.proxy) == PERSON and len(world.provider.calls("refresh_token")) >= 2, 20, "tokens that end are renewed in time")
    session = Session(env, world.proxy)
    for _ in range(10):
        assert session.order("/refresh/main")["ok"]
        assert whoami(world.proxy) == PERSON
    calls = world.provider.calls("refresh_token")
    assert len(calls) >= 12 and not [call for call in calls if call["error"]], calls
    counters = world.provider.counters()
    assert counters["grants_revoked"] == 0 and [one for one in counters["requests"] if not one["accepted"]] == []


@test("P3", limit=LIMIT)
def a_revoked_access_token_is_one_refresh_and_no_client_s_trouble(env):
    world = World(env).sign_in()
    assert whoami(world.proxy) == PERSON
    for round_ in range(3):
        assert world.provider.revoke_access() == 1
        clients = [world.proxy.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.request("POST", "/API/v3/_echo", [("Idempotency-Key", "%d-%d" % (round_, number))], b"%d" % number * 3000)
        assert [client.response("POST").status for client in clients] == [200] * 20
        assert len(world.provider.calls("refresh_token")) == round_ + 1
    done = [one["id"] for one in world.provider.counters()["requests"] if one["id"] and one["accepted"]]
    assert len(done) == len(set(done)) == 60


@test("P4", limit=LIMIT)
def kill_9_and_a_restart_need_no_new_sign_in(env):
    world = World(env).sign_in()
    for _ in range(4):
        assert whoami(world.proxy) == PERSON
        world.kill()
        world.provider.revoke_access()
        world.start()
    assert whoami(world.proxy) == PERSON
    assert world.provider.counters()["grants_revoked"] == 0 and len(world.provider.calls("authorization_code")) == 1
    world.browser.open(world.base + "/")
    world.browser.says("#main", "Connected")


@test("P8", limit=LIMIT)
def a_refresh_token_that_somebody_else_redeems_too_ends_the_grant(env):
    world = World(env).sign_in()
    world.provider.revoke_access()
    assert whoami(world.proxy) == PERSON
    spent, current = world.provider.issued()["refresh_tokens"]
    status, answer = world.redeem(spent)
    assert status == 400 and answer["error"] == "invalid_grant", answer
    assert world.provider.counters()["grants_revoked"] == 1, "the provider sees the reuse"
    own_error = world.proxy.exchange()
    check_own_error(own_error, 503, "sign_in_needed")
    assert "sign in" in json.loads(own_error.body)["meta"]["error"]["errorMessage"]
    assert world.redeem(current)[0] == 400, "all of the grant is gone"
    world.browser.open(world.base + "/")
    world.browser.says("#main", "(?s)Sign-in needed.*[Ss]ign in")
    world.browser.screenshots("provider-6-sign-in-needed")
    calls = len(world.provider.counters()["token_calls"])
    check_own_error(world.proxy.exchange(), 503, "sign_in_needed")
    assert len(world.provider.counters()["token_calls"]) == calls, "what is refused is not asked again"
    world.browser.click("a[href='/login/main']")
    world.browser.arrives("^%s/interaction/" % world.provider.url)
    world.browser.click("[type=submit]")
    world.browser.arrives("^%s/signed-in/main$" % world.base)
    assert whoami(world.proxy) == PERSON


@test("P2", limit=LIMIT)
def the_issuer_that_the_answer_names_must_be_the_right_one(env):
    world = World(env, issuer="https://localhost:1")
    world.begin()
    world.browser.click("[type=submit]")
    world.browser.arrives("^%s/oauth/callback" % world.base)
    world.browser.says("main", "(?s)localhost:1.*issuer")
    assert world.provider.url in world.browser.text("main")
    world.browser.screenshots("provider-7-wrong-issuer")
    assert world.provider.counters()["token_calls"] == []
    check_own_error(world.proxy.exchange(), 503, "sign_in_needed")


@test("P8", limit=LIMIT)
def who_cancels_is_told_what_to_do(env):
    world = World(env)
    world.begin()
    world.browser.click(".login-help a")
    world.browser.arrives("^%s/oauth/callback$" % world.base)
    assert "not allowed" in world.browser.text("h1") and "sign in again" in world.browser.text("main")
    assert world.provider.counters()["token_calls"] == []


@test("P1", limit=LIMIT)
def signing_out_revokes_at_the_server(env):
    world = World(env).sign_in()
    assert whoami(world.proxy) == PERSON
    world.browser.click("main a")
    world.browser.click("#main\\.ask > summary")
    world.browser.click("#main\\.logout")
    world.browser.says("#main", "(?i)revoked")
    assert world.provider.counters()["grants_revoked"] == 1
    for token in world.provider.issued()["refresh_tokens"]:
        assert world.redeem(token)[0] == 400
    check_own_error(world.proxy.exchange(), 503, "sign_in_needed")
    assert os.stat(env.path("vault")).st_mode & 0o777 == 0o600
