"""The admin listener as a browser or a script sees it: a session with its cookie and csrf token; and a sign-in without a browser."""

import json
import re
import urllib.parse

from harness import SLOWNESS, eventually, parse_address

ANY_PORT = {"listen": "127.0.0.1:0"}


def address_of(proxy, unix=None):
    """Where its admin listener is: the first one, or the first one of that kind."""
    def find():
        found = [parse_address(line.decode()) for line in re.findall(rb"^admin on (\S+)$", bytes(proxy.stdout), re.M)]
        return next((address for address in found if unix is None or isinstance(address, str) == unix), None)
    return eventually(find, what="the proxy says where its admin listener is")


def ask(env, proxy, target, method="GET", host=None, fields=(), body=None, address=None):
    address = address or address_of(proxy)
    with env.client(address) as client:
        client.request(method, target, fields, body, host=host or ("localhost" if isinstance(address, str) else "%s:%d" % address))
        return client.response(method)


class Session:
    """One browser's cookie, or one script's."""

    def __init__(self, env, proxy, address=None, token=None):
        self.env = env
        self.always = [("Authorization", "Bearer " + token)] if token else []
        self.proxy = proxy
        self.address = address or address_of(proxy)
        self.origin = "http://localhost" if isinstance(self.address, str) else "http://%s:%d" % self.address
        self.cookie = None
        self.csrf = json.loads(self.get("/api/session").body)["csrf"]

    def _take(self, answer):
        value = answer.get("Set-Cookie")
        if value:
            self.cookie = value.split(b";")[0].decode()
            self.env.log_secrets.add(self.cookie.split("=", 1)[1])
        return answer

    def fields(self, more=()):
        return self.always + ([("Cookie", self.cookie)] if self.cookie else []) + list(more)

    def get(self, target, fields=()):
        return self._take(ask(self.env, self.proxy, target, fields=self.fields(fields), address=self.address))

    def post(self, target, form=None, accept="application/json", csrf=None, origin=None):
        """csrf, origin: others than the right ones."""
        fields = self.fields([("Origin", origin or self.origin), ("Accept", accept), ("Content-Type", "application/x-www-form-urlencoded")])
        values = {"csrf": self.csrf if csrf is None else csrf, **(form or {})}
        return self._take(ask(self.env, self.proxy, target, "POST", fields=fields, body=urllib.parse.urlencode(values).encode(), address=self.address))

    def order(self, target, form=None):
        """The outcome of a POST: {"ok", "code", "text", ...}."""
        return json.loads(self.post(target, form).body)

    def status(self, account=None):
        status = json.loads(self.get("/api/status").body)
        return status if account is None else next(one for one in status["accounts"] if one["name"] == account)

    def begin(self, account="main"):
        """A sign-in of this browser: where it is sent to."""
        answer = self.get("/login/" + account)
        assert answer.status == 302, "%r %r" % (answer, answer.body)
        return answer.get("Location").decode()

    def come_back(self, address):
        """Follows the redirect that the authorization server gave."""
        url = urllib.parse.urlsplit(address)
        return self.get("%s?%s" % (url.path, url.query))

    def sign_in(self, standin, account="main"):
        """The whole way, at a stand-in."""
        answer = self.come_back(standin.sign_in(self.begin(account)))
        assert answer.status == 303, "%r %r" % (answer, answer.body)
        return eventually(lambda: self.usable(account), 10 * SLOWNESS, "the account is signed in")

    def usable(self, account="main"):
        status = self.status(account)
        return status["usable_token"] and status
