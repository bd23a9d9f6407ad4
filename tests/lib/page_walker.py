"""A browser without a window: opens a page, fills in its form, presses its button, until it is sent somewhere else."""

import html.parser
import ssl
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

PAGES = 10  # the most on one way


class Page(html.parser.HTMLParser):
    """The first form of a page, and what the page says."""

    def __init__(self, text):
        super().__init__()
        self.form = None  # its attributes
        self.hidden, self.inputs, self.buttons = {}, [], {}
        self.headings, self.alert = [], ""
        self._into = None
        self.feed(text)

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        if tag == "form" and self.form is None:
            self.form = attributes
        elif tag == "input" and attributes.get("type") == "hidden":
            self.hidden[attributes["name"]] = attributes.get("value") or ""
        elif tag == "input" and attributes.get("name"):
            self.inputs.append(attributes["name"])
        elif tag == "button":
            self.buttons[attributes.get("id")] = {attributes["name"]: attributes.get("value") or ""} if "name" in attributes else {}
        self._into = "alert" if attributes.get("role") == "alert" else tag

    def handle_data(self, data):
        if self._into == "alert":
            self.alert += data
        elif self._into == "h1":
            self.headings.append(data)

    def handle_endtag(self, tag):
        self._into = None


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Walker:
    """One browser: it has its cookies, trusts one CA, and uses no proxy."""

    def __init__(self, ca_file):
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), Stay, urllib.request.HTTPCookieProcessor(CookieJar()),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))

    def open(self, url, fields=None):
        """(status, headers, text) of one request; fields make it a POST."""
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        try:
            answer = self._opener.open(url, body, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read().decode()

    def walk(self, url, values, press):
        """Fills each page's form with `values` by name, and presses the button with the id `press` where there is one. Gives the first
        address that leads to another origin, which is not opened. A page with an alert, or without a form, is the end: AssertionError."""
        origin = urllib.parse.urlsplit(url)[:2]
        fields = None
        for _ in range(PAGES):
            status, headers, text = self.open(url, fields)
            fields = None
            if 300 <= status < 400:
                url = urllib.parse.urljoin(url, headers["Location"])
                if urllib.parse.urlsplit(url)[:2] != origin:
                    return url
                continue
            page = Page(text)
            assert page.form and not page.alert, "%d, %s: %s" % (status, " ".join(page.headings), page.alert)
            fields = {**page.hidden, **{name: values[name] for name in page.inputs}, **page.buttons.get(press, {})}
            url = urllib.parse.urljoin(url, page.form["action"])
        raise AssertionError("no end after %d pages" % PAGES)
