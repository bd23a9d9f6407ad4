"""A real browser: headless Chromium, driven by WebDriver (W3C) through Debian's chromedriver.

Every browser has a fresh profile, resolves no name but localhost, and takes the tests' own certificates. It speaks to its driver through a pipe, and
both are in the process group of the test's worker: when the driver is gone, whichever way, so is Chromium.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from harness import SLOWNESS, Skip, eventually

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name that the standard gives to a reference
DESKTOP, PHONE = (1280, 900), (390, 844)
TAB, ENTER, SPACE, ESCAPE = "\ue004", "\ue007", " ", "\ue00c"
TRIES = 5
STALE = ("stale element reference", "no such element", "element not interactable", "element click intercepted")

SWITCHES = ["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-extensions", "--no-proxy-server", "--password-store=basic", "--force-prefers-reduced-motion",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"]


class DriverError(Exception):
    """What the driver says it could not do."""

    def __init__(self, value):
        super().__init__("%s: %s" % (value.get("error"), value.get("message", "").split("\n")[0]))
        self.error = value.get("error")


def programs():
    """(chromium, chromedriver), as Debian's packages chromium and chromium-driver install them."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(found):
        raise Skip("Debian's chromium and chromium-driver are not installed")
    return found


class Browser:
    """Ended by the test's end. size: of the viewport; below 600 px it is a phone. script: whether pages may run theirs."""

    def __init__(self, env, size=DESKTOP, dark=False, script=True):
        chromium, driver = programs()
        self.env = env
        self.folder = tempfile.mkdtemp(prefix="qp-")  # short: Chromium puts sockets there
        self.driver = self.connection = self.session = None
        self.size = self.is_dark = None
        env.on_end(self.close)
        self.connection = http.client.HTTPConnection("127.0.0.1", self._start(driver), timeout=30 * SLOWNESS)
        options = {"binary": chromium, "args": SWITCHES + ["--user-data-dir=" + os.path.join(self.folder, "profile")] + (["--no-sandbox"] if os.geteuid() == 0 else [])}
        if not script:
            options["prefs"] = {"profile.default_content_setting_values.javascript": 2}
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.look(size, dark)

    def _start(self, program):
        """Starts the driver, and gives its port. It wants the same one for IPv4 and IPv6, and leaves if the second is taken."""
        environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.folder, "TMPDIR": self.folder, "LANG": "C.UTF-8"}
        for _ in range(TRIES):
            with open(self.env.path("chromedriver.log"), "ab") as log:
                self.driver = subprocess.Popen([program, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environ)
            for line in self.driver.stdout:
                found = re.search(rb"on port ([1-9]\d*)\.?$", line.strip())
                if found:
                    return int(found.group(1))
            self._end_driver()
        raise AssertionError("chromedriver leaves with exit code %s" % self.driver.returncode)

    def _end_driver(self):
        self.driver.stdout.close()
        self.driver.terminate()
        try:
            self.driver.wait(5)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()

    # ---- the protocol ----

    def _call(self, method, path, values=None):
        body = None if values is None else json.dumps(values)
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        value = json.load(self.connection.getresponse())["value"]
        if isinstance(value, dict) and "error" in value and "stacktrace" in value:
            raise DriverError(value)
        return value

    def ask(self, method, path, values=None):
        if method == "POST" and values is None:
            values = {}
        return self._call(method, "/session/%s%s" % (self.session, path), values)

    def devtools(self, command, **parameters):
        """Chrome's own protocol, where WebDriver has no word for it."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    # ---- how it looks ----

    def look(self, size=None, dark=None):
        """Another viewport, another colour scheme, or both."""
        if size and size != self.size:
            phone = size[0] < 600
            self.devtools("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=2 if phone else 1, mobile=phone)
            self.size = size
        if dark is not None and dark != self.is_dark:
            self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
            self.is_dark = dark

    def screenshot(self, name):
        """The whole page, kept in the build's folder."""
        folder = os.path.join(self.env.places.build, "screenshots")
        os.makedirs(folder, exist_ok=True)
        whole = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": self.size[0], "height": max(whole["height"], 1), "scale": 1}
        data = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        with open(os.path.join(folder, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))

    def screenshots(self, name):
        """The same page wide and narrow, light and dark; it then looks as before."""
        before = self.size, self.is_dark
        for where, size in (("desktop", DESKTOP), ("phone", PHONE)):
            for how, dark in (("light", False), ("dark", True)):
                self.look(size, dark)
                self.screenshot("%s-%s-%s" % (name, where, how))
        self.look(*before)

    # ---- what is there ----

    @property
    def url(self):
        return self.ask("GET", "/url")

    @property
    def title(self):
        return self.ask("GET", "/title")

    def html(self):
        """The page as it is now; swept for secrets like everything that a client gets."""
        text = self.ask("GET", "/source")
        self.env.seen(text.encode())
        return text

    def all(self, css):
        return [element[ELEMENT] for element in self.ask("POST", "/elements", {"using": "css selector", "value": css})]

    def has(self, css):
        return bool(self.all(css))

    def _element(self, css, action, values=None, method="POST"):
        """Does something with the first that fits. The pages change in place: what was found a moment ago may be another by now."""
        def attempt():
            try:
                found = self.ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]
                return [self.ask(method, "/element/%s/%s" % (found, action), values)]
            except DriverError as error:
                if error.error in STALE:
                    self._last = str(error)
                    return None
                raise
        self._last = None
        try:
            return eventually(attempt, 5 * SLOWNESS)[0]
        except AssertionError:
            raise AssertionError("%s of %s at %s: %s" % (action, css, self.url, self._last)) from None

    def text(self, css):
        """As a reader sees it."""
        return self._element(css, "text", method="GET")

    def attribute(self, css, name):
        return self._element(css, "attribute/" + name, method="GET")

    def says(self, css, pattern):
        """Waits until the text there matches."""
        def look():
            try:
                return re.search(pattern, self.text(css))
            except DriverError:
                return None
        try:
            return eventually(look, 10 * SLOWNESS)
        except AssertionError:
            raise AssertionError("%s at %s says %r, not %r" % (css, self.url, self.text(css), pattern)) from None

    def run(self, script, *arguments):
        """JavaScript in the page, as the body of a function."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def errors(self):
        """What the console has got since the last look: warnings and errors, broken content policies among them."""
        lines = self.ask("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] in ("WARNING", "SEVERE")]

    def cookies(self):
        return self.ask("GET", "/cookie")

    # ---- what a person does ----

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def reload(self):
        self.ask("POST", "/refresh")

    def click(self, css):
        self._element(css, "click", {})

    def type(self, css, text):
        self._element(css, "clear", {})
        self._element(css, "value", {"text": text})

    def press(self, *keys):
        """Keys for whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def arrives(self, pattern):
        """Waits until the address matches, and gives it."""
        def look():
            return re.search(pattern, self.url)
        try:
            eventually(look, 15 * SLOWNESS)
        except AssertionError:
            raise AssertionError("at %s, titled %r, instead of %r" % (self.url, self.title, pattern)) from None
        return self.url

    # ---- the end ----

    def close(self):
        with contextlib.suppress(DriverError, OSError, http.client.HTTPException, ValueError):
            if self.session:
                self._call("DELETE", "/session/" + self.session)
        self.session = None
        if self.connection:
            self.connection.close()
        if self.driver:
            self._end_driver()
        for _ in range(100):  # Chromium's last processes still write
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                return
            time.sleep(0.02)
