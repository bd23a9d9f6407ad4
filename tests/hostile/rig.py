"""A case sent to a proxy, and what became of it: at the client, and at an origin that keeps every byte."""

import collections
import os
import re
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import scripted_origin  # noqa: E402
import strict  # noqa: E402

TARGET = "/API/v3/x"
LATE_SECONDS = 0.05

# statuses: of the final answers. closed: the proxy ended the connection. doubt: why the answers have no single reading. cut: they ended
# inside one. whole, rest, doubt_at_origin: what a strict reader makes of the origin's bytes.
Outcome = collections.namedtuple("Outcome", "answers closed cut doubt whole rest doubt_at_origin raw")


class Origin(scripted_origin.ScriptedOrigin):
    """Reads strictly, but takes whatever comes: each whole request is answered with "origin:TARGET", or as `case` says for TARGET."""

    case = None

    def _converse(self, conn):
        at = 0
        while conn.is_open and conn.source.some():
            while conn.is_open and not self.closing.is_set():
                try:
                    request, used = strict.read_request(conn.received[at:])
                except strict.Unfinished:
                    break
                except strict.Doubt:
                    conn.answer(200, b"doubt", [("Connection", "close")])
                    conn.close()
                    return
                at += used
                self._answer(conn, request)

    def _answer(self, conn, request):
        case = self.case
        if not case or request.target != TARGET:
            conn.answer(200, None if request.method == "HEAD" else b"origin:" + request.target.encode(), content_type="text/plain")
            return
        if case.data:
            conn.send(case.data)
        if case.late:
            conn.wait(LATE_SECONDS)
            conn.send(case.late)
        if case.end != "keep":
            getattr(conn, case.end)()

    def mark(self):
        return {conn: len(conn.received) for conn in list(self.connections)}

    def since(self, mark):
        """What came since then, by connection."""
        taken = [bytes(conn.received[mark.get(conn, 0):]) for conn in list(self.connections)]
        return [data for data in taken if data]


def start_origin(env):
    origin = Origin(env.places.cert("localhost.pem"), env.places.cert("localhost.key"))
    env.on_end(origin.close)
    return origin


def start_qproxy(env):
    """(origin, proxy). With an API token, so that nothing but the requests goes to the origin."""
    origin = start_origin(env)
    token = env.write("token", env.secret("tk-%s" % os.urandom(8).hex()))
    proxy = env.proxy(origin, log={"level": "warn", "access": "off"},
                      account={"grant": "api_token", "api_token": "file:" + token, "client_id": None, "client_secret": None})
    return origin, proxy


def found_at_origin(whole):
    """(method, target, body) of each; absolute-form, which agrees with Host here, as origin-form."""
    return [(request.method, re.sub(r"^(?i:https?)://[^/?]*", "", request.target) or "/", request.body) for request in whole]


def reading_at_origin(taken):
    """(whole requests, unfinished bytes, doubt)"""
    whole, rest = [], b""
    try:
        for data in taken:
            requests, unfinished = strict.read_requests(data)
            whole += requests
            rest += unfinished
    except strict.Doubt as doubt:
        return whole, rest, str(doubt)
    return whole, rest, None


class Listener:
    """The client's side: reads answers one by one, strictly."""

    def __init__(self, client):
        self.client = client
        self.data = bytearray()
        self.used = 0
        self.ended = None  # "fin" or "reset"

    def wait(self, seconds):
        """False if neither a byte nor the end came."""
        if self.ended or not select.select([self.client.sock], [], [], seconds)[0]:
            return False
        try:
            piece = self.client._more()
        except OSError:
            self.ended = "reset"
            return True
        self.data += piece
        if not piece:
            self.ended = "fin"
        return True

    def answer(self, method):
        """The next one, if it is whole; Unfinished or Doubt."""
        answer, used = strict.read_response(self.data[self.used:], method, self.ended == "fin")
        self.used += used
        return answer

    def answers(self, methods, quiet, at_least=None):
        """All that come until the end or silence, or `at_least` so many: (answers, doubt)."""
        found = []
        while True:
            try:
                while self.used < len(self.data):
                    found.append(self.answer(methods[min(len(found), len(methods) - 1)]))
            except strict.Doubt as doubt:
                return found, str(doubt)
            except strict.Unfinished:
                pass
            if (at_least is not None and len(found) >= at_least) or not self.wait(quiet):
                return found, None


def run_request(connect, origin, case, quiet, at_least=None):
    """Sends the case's bytes on a connection of their own."""
    mark = origin.mark()
    with connect() as client:
        listener = Listener(client)
        try:
            client.send(case.data)
            if case.ends:
                client.half_close()
        except OSError:
            pass  # closed while we wrote: the answer is read below
        methods = [case.data.lstrip(b"\r\n")[:4] == b"HEAD" and "HEAD" or "GET"]
        answers, doubt = listener.answers(methods, quiet, at_least)
        if case.closed and not listener.ended:
            listener.answers(methods, quiet)
        outcome = Outcome([answer.status for answer in answers], bool(listener.ended), listener.used < len(listener.data), doubt,
                          *reading_at_origin(origin.since(mark)), bytes(listener.data))
    return outcome


def run_cut(connect, origin, case, places, quiet):
    """Sends the case once for each place, cut in two there; all first halves before any second one. The outcomes, and what a strict
    reader finds at the origin."""
    mark = origin.mark()
    clients = [connect() for _ in places]
    for client, place in zip(clients, places):
        client.send(case.data[:place])
    listeners = [Listener(client) for client in clients]
    for client, place in zip(clients, places):
        try:
            client.send(case.data[place:])
            if case.ends:
                client.half_close()
        except OSError:
            pass
    found = []
    for client, listener in zip(clients, listeners):
        answers, doubt = listener.answers(["HEAD" if case.data.startswith(b"HEAD") else "GET"], quiet, max(1, len(case.status)))
        if case.closed and not listener.ended:
            listener.answers(["GET"], quiet)
        found.append((tuple(answer.status for answer in answers), bool(listener.ended), doubt))
        client.close()
    return found, reading_at_origin(origin.since(mark))


def run_response(connect, origin, case, quiet):
    """Asks for TARGET; the origin answers as the case says. A second request behind it must get its own answer."""
    mark = origin.mark()
    origin.case = case
    with connect() as client:
        listener = Listener(client)
        client.request(case.method, TARGET)
        answers, doubt = listener.answers([case.method], quiet, 1)
        origin.case = None
        if case.late:
            time.sleep(2 * LATE_SECONDS)
        if answers and answers[0].keeps_open and not listener.ended:
            probe, probe_doubt = _probe(client, listener, quiet)
        else:
            if not answers and not doubt:
                listener.wait(quiet)
            with connect() as fresh:
                probe, probe_doubt = _probe(fresh, Listener(fresh), quiet)
        unread = listener.used < len(listener.data)
    outcome = Outcome(answers, bool(listener.ended), unread and not doubt, doubt, *reading_at_origin(origin.since(mark)), bytes(listener.data))
    return outcome, probe, probe_doubt


def _probe(client, listener, quiet):
    """True if a further request gets its own answer."""
    try:
        client.request(target="/probe")
    except OSError:
        return False, None
    answers, doubt = listener.answers(["GET"], quiet, 1)
    return bool(answers) and answers[0].body == b"origin:/probe", doubt
