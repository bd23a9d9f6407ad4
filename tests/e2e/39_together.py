"""P3, P4: sign-ins, sign-outs, refreshes, checks, requests, revocations and a token endpoint that fails, all at the same time."""

import random
import threading
import time

from admin_client import ANY_PORT, Session
from harness import test

SECONDS = 8
NAMES = ("a", "b")
# None of them has an effect at the server that the client does not hear of: whatever is reused, is reused by fault.
FAILURES = ("close", "http_500", "http_503", "garbage", "invalid_scope")


class Crowd:
    """Threads that each do one thing again and again; the first that fails ends all."""

    def __init__(self):
        self.over = threading.Event()
        self.faults = []
        self.threads = []

    def add(self, work, count):
        for number in range(count):
            name = "%s %d" % (work.__name__, number)
            self.threads.append(threading.Thread(target=self._run, args=(work, random.Random(name)), name=name))

    def _run(self, work, chance):
        try:
            while not self.over.is_set():
                work(chance)
        except Exception as fault:  # pylint: disable=broad-except
            self.faults.append("%s: %r" % (threading.current_thread().name, fault))
            self.over.set()

    def run(self, seconds):
        for thread in self.threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.faults, self.faults
        assert not any(thread.is_alive() for thread in self.threads), "somebody was never answered"


@test("P4", limit=90, threads=True)
def everything_at_once(env):
    standin = env.standin()
    standin.knobs(auto_consent=True)
    accounts = [env.account(standin, grant="authorization_code", scope="manage:all", name=name, path_prefix="/" + name,
                            revoke_url=standin.url + "/oauth2/revoke") for name in NAMES]
    proxy = env.proxy(accounts=accounts, admin=ANY_PORT, workers=2, timeouts={"token_call": "2s", "token_wait": "4s"})
    mine = threading.local()
    ends = set()

    def session():
        mine.session = getattr(mine, "session", None) or Session(env, proxy)
        return mine.session

    def request(chance):
        assert proxy.exchange("GET", "/%s/API/v3/whoami" % chance.choice(NAMES)).status in (200, 401, 502, 503)
        time.sleep(chance.uniform(0, 0.01))

    def sign_in(chance):
        address = standin.sign_in(session().begin(chance.choice(NAMES)))
        if chance.random() < 0.15:
            address = address.replace("code=", "code=x")
        ends.add(("sign in", session().come_back(address).status))
        time.sleep(chance.uniform(0, 0.2))

    def order(chance):
        path = chance.choice(("/refresh/", "/refresh/", "/logout/", "/api/check/"))
        ends.add((path, session().order(path + chance.choice(NAMES), {"spend": "1"} if path == "/api/check/" else None)["code"]))
        time.sleep(chance.uniform(0, 0.1))

    def disturb(chance):
        standin.knobs(token_delay_ms=chance.choice((0, 0, 1, 5, 30, 200)))
        if chance.random() < 0.2:
            standin.knobs(token_fail={"kind": chance.choice(FAILURES), "count": 1})
        standin.revoke_all()
        time.sleep(chance.uniform(0, 0.08))

    crowd = Crowd()
    for work, count in ((request, 4), (sign_in, 2), (order, 4), (disturb, 1)):
        crowd.add(work, count)
    crowd.run(SECONDS)
    counters = standin.counters()
    assert counters["redemptions"]["ends"]["reused"] == 0, counters["redemptions"]
    assert counters["token_calls"]["open_most"] <= len(NAMES), counters["token_calls"]
    assert {("sign in", 303), ("/refresh/", "refreshed"), ("/logout/", "signed_out")} <= ends, ends
    assert proxy.stop() == 0
