"""A whole life with everything in it, after which every secret of it is looked for everywhere (P1).

The looking is the harness's own, at the end of this as of every test: raw, percent-encoded, in base64 and in JSON, in every log, on standard output,
in every byte that a client, a browser or a terminal got, in /proc's command lines and environments, and in the vault's bytes. 00_harness.py shows that
it finds what is planted.
"""

import glob
import json
import shutil

from admin_client import Session, address_of, ask
from harness import eventually, free_port, test

PAGES = ("/", "/healthz", "/readyz", "/api/status", "/metrics", "/page.css", "/page.js", "/signed-in/person", "/nothing", "/login/nobody", "/login/service",
         "/oauth/callback", "/oauth/callback?state=x&code=y", "/oauth/callback?error=access_denied&state=x", "/api/sign-in?id=x")


@test("P1", limit=60)
def no_secret_of_a_whole_life_is_to_be_seen_anywhere(env):
    standin = env.standin(api_token="api-token-%s" % (env.run_id * 4), refresh_token="seed-%s" % (env.run_id * 4))
    standin.knobs(auto_consent=True)
    socket = env.socket_path()
    accounts = [env.account(standin, name="person", grant="authorization_code", path_prefix="/person", revoke_url=standin.url + "/oauth2/revoke"),
                env.account(standin, name="service", path_prefix="/service", client_auth="body"),
                env.account(standin, name="seed", grant="refresh_token", refresh_token="env:QP_E2E_SEED", path_prefix="/seed"),
                env.account(standin, name="static", grant="api_token", api_token="env:QP_E2E_KEY", client_id=None, client_secret=None, path_prefix="/static")]
    config = env.config(accounts=accounts, admin={"listen": ["unix:" + socket, "127.0.0.1:%d" % free_port()], "token": "env:QP_E2E_ADMIN"},
                        log={"level": "debug", "access": env.path("access.log")})
    path = env.write("audit.json", json.dumps(config))
    admin_token = env.secret("admin-%s" % (env.run_id * 3))
    environ = env.environ(QP_E2E_SEED="seed-%s" % (env.run_id * 4), QP_E2E_KEY="api-token-%s" % (env.run_id * 4), QP_E2E_ADMIN=admin_token)
    copies = iter(range(1000))

    def start():
        proxy = env.start(["run", "-c", path], dict(environ)).wait_listening(1)
        return proxy, Session(env, proxy, address_of(proxy, unix=False), admin_token)

    def verb(*words):
        return env.run([*words, "-c", path], environ=dict(environ))

    def keep_a_copy():
        standin.note_secrets()
        shutil.copy(env.path("vault"), env.path("vault-%d" % next(copies)))

    def call_all(statuses=(200,)):
        for name in ("person", "service", "seed", "static"):
            answer = proxy.exchange("POST", "/%s/API/v3/_echo" % name, body=b"{}", fields=[("Authorization", "Bearer " + env.client_credential("of-a-client-1234"))])
            assert answer.status in statuses, "%s: %r %r" % (name, answer, answer.body)
        keep_a_copy()

    proxy, session = start()
    assert session.come_back(standin.sign_in(session.begin("person"))).status == 303
    call_all()
    standin.order("POST", "/revoke-all")
    call_all((200, 401))
    for page in PAGES:
        session.get(page)
        ask(env, proxy, page, address=address_of(proxy, unix=False))
        ask(env, proxy, page, address=address_of(proxy, unix=False), fields=[("Authorization", "Bearer " + admin_token)])
    for code in ("access_denied", "invalid_scope"):
        standin.knobs(auth_error=code)
        session.come_back(standin.sign_in(session.begin("person")))
    standin.knobs(auth_error=None)
    for kind in ("invalid_grant", "garbage", "huge", "http_503", "bad_token"):
        standin.knobs(token_fail={"kind": kind, "count": 1})
        session.come_back(standin.sign_in(session.begin("person")))
        standin.knobs(token_fail={"kind": kind, "count": 1})
        session.order("/refresh/service")
    for words in (("status",), ("status", "--json"), ("refresh", "person"), ("refresh", "static"), ("check",), ("check", "--online"),
                  ("check", "--online", "--spend"), ("key", "rotate")):
        verb(*words)
    env.secret(open(env.path("vault.key")).read().strip())
    call_all((200, 401, 503))
    proxy.expected_exit = -9
    proxy.kill()
    verb("status")
    proxy, session = start()
    session.come_back(standin.sign_in(session.begin("person")))
    call_all((200, 401, 503))
    session.order("/logout/person")
    keep_a_copy()
    assert proxy.stop() == 0
    assert len(glob.glob(env.path("vault-*"))) > 3 and len(env.secrets) > 15
    eventually(lambda: "person" in open(env.path("access.log")).read(), what="access lines")
