"""Signing in at the stand-in: the authorization endpoint, its pages, codes, PKCE, rotation, revocation. Run by selftest.py."""
import base64, hashlib, http.client, os, sys, time, urllib.parse

from driver import CLIENT, HERE, SECRET, error_code, same, true

sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from page_walker import Page, Walker  # noqa: E402

BACK = "http://127.0.0.1:9/oauth/callback"
USER = {"username": "researcher", "password": "correct horse"}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def auth_url(s, **changes):
    """An authorization request; None leaves a parameter out, a list repeats it."""
    asked = {"response_type": "code", "client_id": CLIENT, "redirect_uri": BACK, "scope": "manage:surveys offline", "state": "s t/a+t=e",
             "code_challenge": CHALLENGE, "code_challenge_method": "S256", **changes}
    return s.origin + "/oauth2/auth?" + urllib.parse.urlencode({k: v for k, v in asked.items() if v is not None}, doseq=True)


def walker(s):
    return Walker(f"{s.certs}/ca.pem")


def parts(address, back=BACK):
    """The parameters of the redirect, each of which stands there once."""
    true(address.startswith(back + ("&" if "?" in back else "?")))
    pairs = urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query, keep_blank_values=True, strict_parsing=True)
    same(len(pairs), len(dict(pairs)))
    return dict(pairs)


def redirect(s, **changes):
    """Where GET /oauth2/auth sends one at once; None: it shows a page."""
    status, headers, _ = walker(s).open(auth_url(s, **changes))
    same(status in (200, 303, 400), True)
    return headers["Location"] if status == 303 else None


def sign_in(s, press="allow", values=None, **changes):
    back = changes.get("redirect_uri", BACK)
    return parts(walker(s).walk(auth_url(s, **changes), values or USER, press), back)


def quick_code(s, **changes):
    s.knobs(auto_consent=True)
    return parts(redirect(s, **changes), changes.get("redirect_uri", BACK))["code"]


def redeem(s, code, **changes):
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER, **changes}
    basic = form.pop("basic", (CLIENT, SECRET))
    return s.token_call(form={k: v for k, v in form.items() if v is not None}, basic=basic)


def refresh(s, token, **more):
    return s.token_call(grant_type="refresh_token", refresh_token=token, **more)


def revoke(s, form, basic=(CLIENT, SECRET)):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if basic:
        pair = ":".join(urllib.parse.quote_plus(p) for p in basic)
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    c = s.connect()
    c.request("POST", "/oauth2/revoke", urllib.parse.urlencode(form), headers)
    r = c.getresponse()
    r.body = r.read()
    c.close()
    return r


# ---- the authorization endpoint ----

def test_sign_in(s):
    back = sign_in(s)
    same(sorted(back), ["code", "iss", "state"])
    same((back["state"], back["iss"]), ("s t/a+t=e", s.origin))
    true(set("/+=") <= set(back["code"]))
    r = redeem(s, back["code"])
    same((r.status, r.json["token_type"], r.json["expires_in"], r.json["scope"]), (200, "bearer", 3600, "manage:surveys offline"))
    same((r.getheader("Cache-Control"), "refresh_token" in r.json), ("no-store", True))
    who = s.result("whoami", token=r.json["access_token"])
    same((who["userName"], who["brandId"], who["datacenter"]), ("researcher", "standin", "az1"))
    true(who["userId"] != s.result("whoami")["userId"])
    same(s.result("whoami")["userName"], "service@standin#standin")
    issued = s.control("GET", "/issued")
    same([(c["verifier"], c["redeemed"]) for c in issued["codes"] if c["value"] == back["code"]], [(VERIFIER, True)])
    c = s.counters()
    same((c["codes"]["issued"], c["codes"]["redeemed"], c["codes"]["refused"]), (1, 1, 0))
    same((c["sign_ins"]["begun"], c["sign_ins"]["allowed"], c["token_calls"]["authorization_code"]), (1, 1, {"ok": 1}))


def test_pages(s):
    w = walker(s)
    status, headers, text = w.open(auth_url(s, scope="manage:all read:survey_responses offline"))
    page = Page(text)
    same((status, page.headings, page.inputs), (200, ["Sign in"], ["username", "password"]))
    same((headers["Cache-Control"], headers["X-Frame-Options"], headers["Referrer-Policy"]), ("no-store", "DENY", "no-referrer"))
    true("frame-ancestors 'none'" in headers["Content-Security-Policy"] and "<script" not in text)
    true('lang="en"' in text and '<label for="username">' in text and '<label for="password">' in text and 'id="sign-in"' in text)
    true(CLIENT in text)
    status, _, text = w.open(s.origin + page.form["action"], {**page.hidden, "username": "<i>&'\"", "password": "x"})
    page = Page(text)
    same((status, page.headings), (200, ["Sign in"]))
    true("do not match" in page.alert and "<i>" not in text and "&#60;i&#62;&#38;&#39;&#34;" in text)
    same(w.open(s.origin + "/oauth2/consent", {**page.hidden, "decision": "allow"})[0], 400)  # nobody has signed in
    _, _, text = w.open(s.origin + page.form["action"], {**page.hidden, **USER})
    page = Page(text)
    same((page.headings, sorted(page.buttons)), (["Allow access?"], ["allow", "deny"]))
    for words in (CLIENT, "researcher", "See, change and delete everything", "See survey responses", "read:survey_responses",
                  "Stay connected", "http://127.0.0.1:9<"):
        true(words in text)
    consent = page.hidden
    same(w.open(s.origin + page.form["action"], {**consent, "decision": "allow"})[0], 303)
    status, _, text = w.open(s.origin + page.form["action"], {**consent, "decision": "allow"})  # a page is good once
    same((status, Page(text).headings), (400, ["This sign-in is over"]))
    same(w.open(s.origin + "/oauth2/sign-in", {"flow": "none", **USER})[0], 400)
    same(w.open(s.origin + "/oauth2/sign-in", {})[0], 400)
    c = s.counters()["sign_ins"]
    same((c["wrong_passwords"], c["allowed"], c["shown_faults"]), (1, 1, 4))


def test_deny(s):
    back = sign_in(s, press="deny")
    same((back["error"], back["state"], back["iss"]), ("access_denied", "s t/a+t=e", s.origin))
    true("code" not in back and back["error_description"])
    same((s.counters()["sign_ins"]["denied"], s.counters()["codes"]["issued"]), (1, 0))


def test_wrong_password(s):
    try:
        sign_in(s, values={"username": "researcher", "password": "wrong"})
        raise ValueError("signed in")
    except AssertionError as error:
        true("do not match" in str(error))


def test_faults_are_shown(s):
    """A client or a redirect URI that is not right: a page, and no redirect."""
    wrong = [{"client_id": "nobody"}, {"client_id": None}, {"client_id": [CLIENT, CLIENT]}, {"redirect_uri": None},
             {"redirect_uri": [BACK, BACK]}]
    wrong += [{"redirect_uri": uri} for uri in ("https://evil.example/", "http://127.0.0.1.evil.example/", "http://127.0.0.1@evil.example/",
                                                "http://127.0.0.1:80@evil.example/", "http://localhost:9/#x", "//127.0.0.1/", "javascript:1",
                                                "http://127.0.0.1:9/a\r\nSet-Cookie: a=b", "http://127.0.0.1:9/\u00e9")]
    for changes in wrong:
        status, headers, text = walker(s).open(auth_url(s, **changes))
        same((changes, status, headers["Location"], headers["Set-Cookie"]), (changes, 400, None, None))
        true(Page(text).alert)
    same(s.counters()["sign_ins"]["shown_faults"], len(wrong))
    for uri in ("http://localhost/", "http://[::1]:1/x", "http://127.0.0.1", "http://127.0.0.1:9/a?b=c"):
        true("error" not in sign_in(s, redirect_uri=uri))


def test_registered_redirect_uris(s):
    with s.other("--redirect-uri", BACK, "--redirect-uri", "https://app.example/cb?x=1") as o:
        same(sign_in(o)["state"], "s t/a+t=e")
        same(sign_in(o, redirect_uri="https://app.example/cb?x=1")["x"], "1")
        for uri in (BACK + "/", BACK + "?a=b", BACK.replace(":9", ""), "https://app.example/cb", BACK.upper(), "http://127.0.0.1:9/"):
            same((uri, redirect(o, redirect_uri=uri)), (uri, None))
        same(o.counters()["sign_ins"]["shown_faults"], 6)


def test_faults_are_sent_back(s):
    for changes, error in (({"response_type": None}, "invalid_request"), ({"response_type": "token"}, "unsupported_response_type"),
                           ({"response_type": ["code", "code"]}, "invalid_request"), ({"scope": ["a:b", "a:b"]}, "invalid_request"),
                           ({"code_challenge": None}, "invalid_request"), ({"code_challenge_method": None}, "invalid_request"),
                           ({"code_challenge_method": "plain"}, "invalid_request"), ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
                           ({"code_challenge": CHALLENGE[1:] + "~"}, "invalid_request"), ({"code_challenge": "short"}, "invalid_request"),
                           ({"scope": "everything"}, "invalid_scope"), ({"scope": "manage:all  offline"}, "invalid_scope"),
                           ({"scope": "surveys:read"}, "invalid_scope"), ({"scope": "read:"}, "invalid_scope")):
        back = parts(redirect(s, **changes))
        same((changes, back["error"], back["state"], back["iss"]), (changes, error, "s t/a+t=e", s.origin))
        true(back["error_description"] and "code" not in back)
    for state in (None, "", "a\r\nb"):
        back = parts(redirect(s, state=state))
        same((back["error"], "state" in back), ("invalid_request", False))
    same((s.counters()["sign_ins"]["redirected_faults"], s.counters()["sign_ins"]["begun"]), (17, 0))
    true("error" not in sign_in(s, scope=None))


def test_auth_knobs(s):
    for error in ("access_denied", "server_error", "temporarily_unavailable", "made up&x=<y>"):
        s.knobs(auth_error=error)
        same(parts(redirect(s))["error"], error)
    same(redirect(s, redirect_uri="https://evil.example/"), None)  # not even then
    s.knobs(auth_error=None, iss="https://somebody.example", auto_consent=True)
    same(parts(redirect(s))["iss"], "https://somebody.example")
    s.knobs(iss="")
    same(sorted(parts(redirect(s))), ["code", "state"])
    s.knobs(require_pkce=False)
    plain = quick_code(s, code_challenge=None, code_challenge_method=None)
    same(redeem(s, plain, code_verifier=None).status, 200)
    plain = quick_code(s, code_challenge=None, code_challenge_method=None)
    same(redeem(s, plain).json["error"], "invalid_grant")  # a verifier, and no challenge before
    bound = quick_code(s)  # without being required it still counts
    same(redeem(s, bound, code_verifier=None).json["error"], "invalid_request")
    same(s.counters()["codes"]["why"]["stray_verifier"], 1)


# ---- codes ----

def test_codes(s):
    code = quick_code(s)
    for changes, error, why in (
            ({"code_verifier": None}, "invalid_request", "no_verifier"), ({"code_verifier": VERIFIER[1:]}, "invalid_request", "bad_verifier"),
            ({"code_verifier": "a" * 129}, "invalid_request", "bad_verifier"), ({"code_verifier": VERIFIER[1:] + "+"}, "invalid_request", "bad_verifier"),
            ({"code_verifier": VERIFIER[1:] + "a"}, "invalid_grant", "wrong_verifier"), ({"code_verifier": CHALLENGE}, "invalid_grant", "wrong_verifier"),
            ({"redirect_uri": None}, "invalid_grant", "redirect_uri"), ({"redirect_uri": BACK + "/"}, "invalid_grant", "redirect_uri"),
            ({"code": code + "x"}, "invalid_grant", "unknown")):
        before = s.counters()["codes"]["why"][why]
        r = redeem(s, **{"code": code, **changes})
        same((changes, r.status, r.json["error"]), (changes, 400, error))
        same(s.counters()["codes"]["why"][why], before + 1)
    same(redeem(s, None).json["error"], "invalid_request")
    same(redeem(s, code, basic=(CLIENT, "wrong")).status, 401)
    same(redeem(s, code, basic=None, client_id=CLIENT).status, 401)  # this client has a secret
    same(redeem(s, code, basic=None, client_id=CLIENT, client_secret=SECRET).status, 200)
    for length in (43, 128):
        verifier = "-._~" + "a" * (length - 4)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        same(redeem(s, quick_code(s, code_challenge=challenge), code_verifier=verifier).status, 200)
    same(s.counters()["codes"]["redeemed"], 3)


def test_code_life(s):
    s.knobs(code_life_s=0)
    same(redeem(s, quick_code(s)).json["error"], "invalid_grant")
    s.knobs(code_life_s=60)
    same(redeem(s, quick_code(s)).status, 200)
    same((s.counters()["codes"]["why"]["expired"], s.counters()["codes"]["refused"]), (1, 1))


def test_code_twice(s):
    """The second use revokes what the first gave, and what came of that."""
    code, other = quick_code(s), redeem(s, quick_code(s)).json
    first = redeem(s, code).json
    next = refresh(s, first["refresh_token"]).json
    same(s.api("whoami", token=next["access_token"]).status, 200)
    r = redeem(s, code)
    same((r.status, r.json["error"]), (400, "invalid_grant"))
    for token in (first["access_token"], next["access_token"]):
        r = s.api("whoami", token=token)
        same((r.status, error_code(r)), (401, "DCD_7"))
    same(refresh(s, next["refresh_token"]).json["error"], "invalid_grant")
    same((s.counters()["codes"]["why"]["used"], s.counters()["rejected"]["revoked"]), (1, 2))
    same(s.api("whoami", token=other["access_token"]).status, 200)  # of another sign-in
    same(refresh(s, other["refresh_token"]).status, 200)


def test_code_lost(s):
    code = quick_code(s)
    s.knobs(token_fail={"count": 1, "kind": "lost"})
    try:
        redeem(s, code)
        raise AssertionError("answered")
    except (http.client.HTTPException, OSError):
        pass
    same(redeem(s, code).json["error"], "invalid_grant")


def test_offline_word(s):
    def has_refresh(scope):
        r = redeem(s, quick_code(s, scope=scope))
        same((r.status, r.json["scope"]), (200, scope))
        return "refresh_token" in r.json
    same([has_refresh(scope) for scope in ("manage:all", "offline", "read:surveys offline")], [False, True, True])
    s.knobs(offline_word="offline_access")
    same([has_refresh(scope) for scope in ("manage:all offline", "manage:all offline_access")], [False, True])
    s.knobs(offline_word="")
    same(has_refresh("manage:all"), True)
    s.knobs(offline_word="offline", rotate=False)
    same(has_refresh("offline"), True)


def test_public_client(s):
    with s.other("--public-client") as o:
        o.knobs(require_pkce=False)
        same(parts(redirect(o, code_challenge=None, code_challenge_method=None))["error"], "invalid_request")  # here it is always required
        code = quick_code(o)
        same(redeem(o, code).status, 401)  # it has no secret
        same(redeem(o, code, basic=None).status, 401)
        same(redeem(o, code, basic=None, client_id="nobody").status, 401)
        r = redeem(o, code, basic=None, client_id=CLIENT)
        same(r.status, 200)
        r = o.token_call(basic=None, grant_type="refresh_token", refresh_token=r.json["refresh_token"], client_id=CLIENT)
        same(r.status, 200)
        same(o.token_call(basic=None, grant_type="client_credentials", client_id=CLIENT).json["error"], "unauthorized_client")
        same(revoke(o, {"token": r.json["access_token"]}, None).status, 401)
        same(revoke(o, {"token": r.json["access_token"], "client_id": CLIENT}, None).status, 200)
        same(o.api("whoami", token=r.json["access_token"]).status, 401)


# ---- refresh tokens of a sign-in, and revocation ----

def test_rotation(s):
    first = redeem(s, quick_code(s)).json
    next = refresh(s, first["refresh_token"]).json
    same((next["refresh_token"] != first["refresh_token"], next["scope"]), (True, "manage:surveys offline"))
    same(s.result("whoami", token=next["access_token"])["userName"], "researcher")
    same(refresh(s, next["refresh_token"], scope="manage:all").json["error"], "invalid_scope")  # and it is not spent
    narrow = refresh(s, next["refresh_token"], scope="offline").json
    same(narrow["scope"], "offline")
    same(refresh(s, narrow["refresh_token"]).json["scope"], "manage:surveys offline")
    same(refresh(s, first["refresh_token"]).json["error"], "invalid_grant")
    same([s.api("whoami", token=t["access_token"]).status for t in (first, next, narrow)], [401, 401, 401])
    same(refresh(s, narrow["refresh_token"]).json["error"], "invalid_grant")
    same(refresh(s, "unknown").json["error"], "invalid_grant")
    same(s.counters()["redemptions"]["ends"], {"ok": 3, "again": 0, "reused": 1, "revoked": 1, "unknown": 1})


def test_grace(s):
    s.knobs(grace_s=60)
    first = redeem(s, quick_code(s)).json
    one, again = refresh(s, first["refresh_token"]).json, refresh(s, first["refresh_token"]).json
    same((one["refresh_token"], one["access_token"] != again["access_token"]), (again["refresh_token"], True))
    same(s.api("whoami", token=again["access_token"]).status, 200)
    two = refresh(s, one["refresh_token"]).json  # now the successor has arrived: grace ends
    same(refresh(s, first["refresh_token"]).json["error"], "invalid_grant")
    same(s.api("whoami", token=two["access_token"]).status, 401)
    s.knobs(grace_s=1)
    first = redeem(s, quick_code(s)).json
    refresh(s, first["refresh_token"])
    time.sleep(1.1)
    same(refresh(s, first["refresh_token"]).json["error"], "invalid_grant")
    same(s.counters()["redemptions"]["ends"], {"ok": 3, "again": 1, "reused": 2, "revoked": 0, "unknown": 0})


def test_revoke(s):
    for what in ("refresh_token", "access_token"):
        tokens = redeem(s, quick_code(s)).json
        r = revoke(s, {"token": tokens[what], "token_type_hint": "nonsense"})
        same((r.status, r.body), (200, b""))
        same(s.api("whoami", token=tokens["access_token"]).status, 401)
        same(refresh(s, tokens["refresh_token"]).json["error"], "invalid_grant")
    other = s.token()
    same(revoke(s, {"token": other}, None).status, 401)
    same(revoke(s, {"token": other}, (CLIENT, "wrong")).status, 401)
    same(revoke(s, {}).status, 400)
    same(revoke(s, {"token": "unknown"}).status, 200)
    s.knobs(revoke_status=503)
    same(revoke(s, {"token": other}).status, 503)
    same(s.api("whoami", token=other).status, 200)
    s.knobs(revoke_status=0)
    same(revoke(s, {"token": other, "client_id": CLIENT, "client_secret": SECRET}, None).status, 200)
    same([s.api("whoami", token=t).status for t in (other, s.bearer)], [401, 200])
    same(s.counters()["revocations"], {"done": 3, "unknown": 1, "refused": 3, "failed": 1})


def test_who(s):
    s.knobs(datacenter="sjc1", notice="Request proxied. For faster response times, use this host instead: sjc1.qualtrics.com")
    r = s.api("whoami")
    same((r.json["result"]["datacenter"], r.json["meta"]["notice"][-18:]), ("sjc1", "sjc1.qualtrics.com"))
    same("Datacenter sjc1" in walker(s).open(auth_url(s))[2], True)
    with s.other("--datacenter", "fra1", "--user", "ann:a:b", "--user", "b\"ob:x") as o:
        for name, password in (("ann", "a:b"), ("b\"ob", "x")):
            tokens = redeem(o, sign_in(o, values={"username": name, "password": password})["code"]).json
            who = o.result("whoami", token=tokens["access_token"])
            same((who["userName"], who["datacenter"]), (name, "fra1"))
        try:
            sign_in(o, values=USER)  # only who is named may
            raise ValueError("signed in")
        except AssertionError:
            pass
        o.knobs(datacenter="x")
        o.knobs(datacenter=None)
        same(o.control("GET", "/knobs")["datacenter"], "fra1")


def test_sign_ins_are_bounded(s):
    w = walker(s)
    first = Page(w.open(auth_url(s))[2])
    kept = Page(w.open(auth_url(s))[2])
    c = s.connect()
    target = auth_url(s)[len(s.origin):]
    for _ in range(1023):
        c.request("GET", target)
        c.getresponse().read()
    c.close()
    same(Page(w.open(s.origin + first.form["action"], {**first.hidden, **USER})[2]).headings, ["This sign-in is over"])
    same(Page(w.open(s.origin + kept.form["action"], {**kept.hidden, **USER})[2]).headings, ["Allow access?"])
    s.control("POST", "/reset?tokens")
    same(Page(w.open(s.origin + kept.form["action"], {**kept.hidden, **USER})[2]).headings, ["This sign-in is over"])
    same(s.control("GET", "/issued")["codes"], [])
