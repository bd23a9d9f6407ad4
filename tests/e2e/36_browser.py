"""What a person with a browser sees: the sign-in against the stand-in's own pages, and whether the pages are worth looking at (P1, P8, requirements 28 and 29).

Screenshots are kept in BUILD/screenshots/.
"""

import re
import urllib.parse

import look
from admin_client import ANY_PORT, Session, address_of
from browser import DESKTOP, ENTER, ESCAPE, PHONE, TAB, Browser
from harness import check_own_error, eventually, free_port, test
from standin import Walker

CARD = "#main"
NOBODY = "(?i)nobody is"
WRONG_PASSWORD = "not the password"


def world(env, account=None, **keys):
    """(stand-in, proxy, where the pages are)"""
    standin = env.standin()
    keys = {"admin": ANY_PORT, **keys}
    proxy = env.proxy(accounts=[env.account(standin, grant="authorization_code", scope="manage:surveys read:users", **(account or {}))], **keys)
    return standin, proxy, "http://%s:%d" % address_of(proxy)


def fill_in(browser, standin, password=None):
    name, right = standin.users[0]
    browser.type("#username", name)
    browser.type("#password", right if password is None else password)
    browser.click("#sign-in")


def sign_in(browser, standin, base):
    """From the status page to the status page."""
    browser.open(base + "/")
    browser.click("a[href='/login/main']")
    fill_in(browser, standin)
    browser.click("#allow")
    browser.arrives("^" + base + "/signed-in/main$")
    browser.click("main a")
    browser.says(CARD, "(?s)Connected.*researcher")


# ---- the way ----

@test("P1", limit=60, smoke=True)
def a_person_signs_in_and_services_need_no_login(env):
    browser = Browser(env)
    standin, proxy, base = world(env)
    browser.open(base + "/")
    assert browser.title.startswith("qproxy: not"), browser.title
    browser.says(CARD, NOBODY)
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    browser.screenshots("standin-1-before")

    browser.click("a[href='/login/main']")
    browser.arrives("^" + standin.url + "/oauth2/auth")
    fill_in(browser, standin, env.secret(WRONG_PASSWORD + env.run_id))
    assert "do not match" in browser.text("#alert")
    browser.screenshots("standin-2-sign-in")
    fill_in(browser, standin)
    assert browser.text("#user") == "researcher" and browser.text("#client") == env.client_id
    browser.screenshots("standin-3-consent")

    browser.click("#allow")
    browser.arrives("^" + base + "/signed-in/main$")
    assert "main is signed in" in browser.text("h1")
    browser.html()
    browser.screenshots("standin-4-signed-in")
    browser.click("main a")
    browser.says(CARD, "(?s)Connected.*researcher.*standin")
    assert proxy.exchange().status == 200
    assert browser.title == "qproxy: ready"
    browser.html()
    browser.screenshots("standin-5-after")
    assert standin.counters()["codes"]["redeemed"] == 1
    assert [(one["httpOnly"], one["sameSite"]) for one in browser.cookies()] == [(True, "Lax")]
    assert browser.errors() == []


@test("P8", limit=60)
def the_buttons_refresh_and_sign_out(env):
    browser = Browser(env)
    standin = env.standin()
    _, proxy, base = world_of(env, standin, revoke_url=standin.url + "/oauth2/revoke")
    sign_in(browser, standin, base)
    calls = standin.token_calls()
    browser.click("#main\\.refresh")
    browser.arrives("^%s/#main$" % base)
    browser.says(CARD + " .told", "(?i)new token")
    assert standin.token_calls() == calls + 1 and proxy.exchange().status == 200

    standin.knobs(token_fail={"kind": "http_503", "count": 1})
    browser.click("#main\\.refresh")
    browser.says(CARD + " .told", "503")
    assert proxy.exchange().status == 200, "the token that was there is still good"

    browser.click("#main\\.ask > summary")
    browser.screenshots("standin-6-sign-out")
    browser.press(ESCAPE)
    assert not browser.has("#main\\.ask[open]")
    browser.click("#main\\.ask > summary")
    browser.click("#main\\.logout")
    browser.says(CARD, NOBODY)
    assert standin.counters()["revocations"]["done"] == 1
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    browser.html()
    console = [line for line in browser.errors() if "503" not in line]
    assert console == [], console


def world_of(env, standin, **account):
    proxy = env.proxy(accounts=[env.account(standin, grant="authorization_code", scope="manage:surveys read:users", **account)], admin=ANY_PORT)
    return standin, proxy, "http://%s:%d" % address_of(proxy)


@test("P8", limit=40)
def who_denies_is_told_what_to_do(env):
    browser = Browser(env)
    standin, proxy, base = world(env)
    browser.open(base + "/login")
    fill_in(browser, standin)
    browser.click("#deny")
    browser.arrives("^" + base + "/oauth/callback$")
    assert "not allowed" in browser.text("h1") and "sign in again" in browser.text("main")
    browser.screenshots("standin-7-denied")
    browser.click("main a")
    browser.arrives("^" + standin.url)
    fill_in(browser, standin)
    browser.click("#allow")
    browser.arrives("/signed-in/main$")
    assert proxy.exchange().status == 200


@test("P8", limit=40)
def an_old_callback_from_the_bookmarks_says_begin_again(env):
    browser = Browser(env)
    standin, proxy, base = world(env)
    sign_in(browser, standin, base)
    code = env.client_credential("old-code-" + env.run_id)
    browser.open("%s/oauth/callback?%s" % (base, urllib.parse.urlencode({"code": code, "state": "A" * 43})))
    assert "This sign-in is over" in browser.text("h1") and "begin again" in browser.text("main")
    assert code not in browser.html()
    assert browser.url == base + "/oauth/callback", "a code is not for the history"
    browser.screenshots("standin-8-old-callback")
    browser.click("main a")
    browser.says(CARD, "Connected")
    assert proxy.exchange().status == 200


@test("P1", limit=40)
def a_stolen_callback_is_no_use_in_another_browser(env):
    owner, thief = Browser(env), Browser(env)
    standin, proxy, base = world(env)
    owner.open(base + "/login/main")
    fill_in(owner, standin)
    form = {"flow": owner.run("return document.forms[0].flow.value"), "decision": "allow"}
    status, headers, _ = Walker(env.places.cert("ca.pem")).open(standin.url + "/oauth2/consent", form)
    assert status == 303
    thief.open(headers["Location"])
    assert "begun elsewhere" in thief.text("h1") and "another browser" in thief.text("main")
    thief.screenshots("standin-9-stolen")
    assert standin.counters()["codes"]["redeemed"] == 0
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    owner.open(headers["Location"])
    assert "begin again" in owner.text("main"), "who was shown a stolen answer believes it no more"
    sign_in(owner, standin, base)
    assert proxy.exchange().status == 200


@test("P8", limit=40)
def a_sign_in_by_another_name_of_this_machine_works(env):
    """Cookies of localhost are not those of 127.0.0.1, to which the sign-in comes back."""
    browser = Browser(env)
    standin, proxy, base = world(env)
    browser.open(base.replace("127.0.0.1", "localhost"))
    browser.click("a[href='/login/main']")
    fill_in(browser, standin)
    browser.click("#allow")
    browser.arrives("^" + base + "/signed-in/main$")
    assert proxy.exchange().status == 200


@test("P8", limit=40)
def without_javascript_all_of_it_works(env):
    browser = Browser(env, script=False)
    standin, proxy, base = world(env)
    sign_in(browser, standin, base)
    assert browser.text("#page\\.live") == ""
    calls = standin.token_calls()
    browser.click("#main\\.refresh")
    browser.says(CARD + " .told", "(?i)new token")
    assert standin.token_calls() == calls + 1
    browser.click("#main\\.ask > summary")
    browser.click("#main\\.logout")
    browser.says(CARD, NOBODY)
    check_own_error(proxy.exchange(), 503, "sign_in_needed")


@test("P8", limit=60)
def the_page_keeps_itself_up_to_date(env):
    browser = Browser(env)
    standin, proxy, base = world(env)
    sign_in(browser, standin, base)
    browser.says("#page\\.live", "Live")
    browser.click("#main\\.origin > summary")
    browser.click("#page\\.requests > summary")
    browser.run("window.isStillThere = true; document.getElementById('main.refresh').focus();")
    standin.order("POST", "/revoke-all?refresh")
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    browser.says(CARD + " .pill", "Sign-in needed")
    eventually(lambda: browser.title.startswith("qproxy: not"), what="a token that the origin rejects does not make ready")
    assert browser.run("return window.isStillThere"), "without a reload"
    assert browser.has("#main\\.origin[open]") and browser.has("#page\\.requests[open]"), "what was unfolded stays so"
    assert browser.errors() == []
    browser.screenshots("standin-10-sign-in-needed")
    assert Session(env, proxy).order("/logout/main")["ok"]
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")  # as if somebody came back to it
    browser.says(CARD, NOBODY)
    eventually(lambda: browser.title.startswith("qproxy: not"), what="the title says it too")
    assert proxy.stop() == 0
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.says("#page\\.live", "Not reachable")


@test("P1", limit=40)
def an_admin_token_is_asked_for_and_remembered(env):
    token = env.secret("admin-token-" + env.run_id * 3)
    browser = Browser(env)
    standin, proxy, base = world(env, admin={"listen": "127.0.0.1:%d" % free_port(), "token": token})
    browser.open(base + "/")
    assert not browser.has(CARD)
    browser.open(base.replace("//", "//anybody:%s@" % token) + "/")
    browser.says("#page\\.live", "Live")
    browser.click("a[href='/login/main']")
    fill_in(browser, standin)
    browser.click("#allow")
    browser.arrives("/signed-in/main$")
    browser.open(base + "/")
    browser.says(CARD, "Connected")
    browser.errors()
    calls = standin.token_calls()
    browser.click("#main\\.refresh")
    browser.says(CARD + " .told", "(?i)new token")
    assert standin.token_calls() == calls + 1
    standin.order("POST", "/revoke-all?refresh")
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    browser.says(CARD + " .pill", "Sign-in needed")
    assert browser.errors() == []


# ---- by keyboard ----

def tab_to(browser, css, most=30):
    """Tab after Tab, each of which must show where it is."""
    for _ in range(most):
        browser.press(TAB)
        if not browser.run("return document.activeElement !== document.body"):
            continue
        shown = browser.run("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]")
        assert shown[0] != "none" and shown[1] > 0, "the focus is not seen"
        if browser.run("return document.activeElement.matches(arguments[0])", css):
            return
    raise AssertionError("Tab does not lead to %s at %s" % (css, browser.url))


@test("P8", limit=60)
def the_keyboard_is_enough(env):
    browser = Browser(env)
    standin, proxy, base = world(env)
    name, password = standin.users[0]
    browser.open(base + "/")
    tab_to(browser, "a[href='/login/main']")
    browser.press(ENTER)
    browser.arrives("^" + standin.url)
    browser.press(*name, TAB, *password, ENTER)
    eventually(lambda: browser.has("#allow"), what="the consent")
    tab_to(browser, "#allow")
    browser.press(ENTER)
    browser.arrives("/signed-in/main$")
    tab_to(browser, "main a")
    browser.press(ENTER)
    browser.says(CARD, "Connected")
    tab_to(browser, "#main\\.refresh")
    browser.press(ENTER)
    browser.says(CARD + " .told", "(?i)new token")
    tab_to(browser, "#main\\.ask > summary")
    browser.press(ENTER)
    tab_to(browser, "#main\\.logout", 2)
    browser.press(ENTER)
    browser.says(CARD, NOBODY)
    check_own_error(proxy.exchange(), 503, "sign_in_needed")


# ---- how it looks ----

@test("P8", limit=60)
def every_page_can_be_read_by_everybody(env):
    """At any width, in light and dark, with a screen reader: what a script can tell of it."""
    browser = Browser(env)
    standin, proxy, base = world(env)

    def judge(name):
        for size in (DESKTOP, PHONE):
            for dark in (False, True):
                browser.look(size, dark)
                for fault in look.faults(browser):
                    with env.part("%s, %d px, %s" % (name, size[0], "dark" if dark else "light")):
                        raise AssertionError(fault)
        browser.look(DESKTOP, False)
    browser.open(base + "/")
    judge("nobody is signed in")
    browser.click("a[href='/login/main']")
    browser.arrives("^" + re.escape(standin.url))
    judge("the stand-in's sign-in")
    fill_in(browser, standin, "wrong")
    judge("the stand-in's alert")
    fill_in(browser, standin)
    judge("the stand-in's consent")
    browser.click("#allow")
    browser.arrives("/signed-in/main$")
    judge("signed in")
    proxy.burst(20)
    browser.click("main a")
    for folded in ("#main\\.origin > summary", "#page\\.requests > summary", "#main\\.ask > summary"):
        browser.click(folded)
    judge("the status page, all unfolded")
    browser.open(base + "/oauth/callback?code=x&state=y")
    judge("an error")
    standin.order("POST", "/revoke-all?refresh")
    check_own_error(proxy.exchange(), 503, "sign_in_needed")
    browser.open(base + "/")
    judge("a sign-in is needed")
