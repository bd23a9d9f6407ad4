"""P1: what is spent is gone from the process's memory too: codes, verifiers, former tokens, and the copies that were on their way."""

import base64
import re
import urllib.parse

from admin_client import ANY_PORT, Session
from harness import Skip, encodings, eventually, test

MOST_BYTES = 1 << 30  # a sanitizer's shadow is larger, and holds no copies


def found_in(pid, words):
    """Those of the words that stand somewhere in the process's writable memory."""
    hits = set()
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for low, high, rights in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+)", maps.read(), re.M):
            low, high = int(low, 16), int(high, 16)
            if "w" not in rights or high - low > MOST_BYTES:
                continue
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except OSError:  # a guard page, or gone since
                continue
            hits |= {word for word in words if word in data}
    return hits


@test("P1", limit=60)
def what_is_spent_is_wiped(env):
    if not env.places.may_look_inside():
        raise Skip("this build does not let anybody look into its memory")
    standin = env.standin()
    standin.knobs(auto_consent=True)
    account = env.account(standin, grant="authorization_code", scope="manage:all", revoke_url=standin.url + "/oauth2/revoke")
    proxy = env.proxy(accounts=[account], admin=ANY_PORT, workers=1)
    session = Session(env, proxy)
    session.sign_in(standin)
    for _ in range(2):
        assert session.order("/refresh/main")["ok"]
        assert proxy.exchange().status == 200

    def left():
        issued = standin.order("GET", "/issued")
        spent = [code[key] for code in issued["codes"] for key in ("value", "verifier")]
        spent += [token["value"] for token in issued["access_tokens"][:-1]]
        spent += [token["value"] for token in issued["refresh_tokens"] if token["spent"] or token["revoked"]]
        words = set().union(*map(encodings, spent))
        words.add(base64.b64encode(("%s:%s" % (env.client_id, urllib.parse.quote_plus(env.client_secret))).encode()))
        return found_in(proxy.pid, words)
    present = standin.order("GET", "/issued")["access_tokens"][-1]["value"].encode()
    assert found_in(proxy.pid, {present}), "the looking finds nothing at all"
    eventually(lambda: not left(), what="what is spent is wiped")
    assert session.order("/logout/main")["code"] == "signed_out"
    eventually(lambda: not found_in(proxy.pid, {present}) and not left(), what="what was signed out of is wiped")
    assert proxy.stop() == 0
