"""The soak's clients: each does one thing after another, chosen by its own dice, and judges every answer.

An answer's bytes must belong to its request: the stand-in says what it received (method, target, hash), the misbehaving origin
makes its bytes from the request's id. What an answer may be depends on what was asked of the origin and on whether an origin or
a token endpoint was away meanwhile (Weather).
"""
import asyncio
import collections
import contextlib
import hashlib
import json
import random
import socket
import struct
import time

from soak_origin import body_of

KIB, MIB = 1 << 10, 1 << 20
REVOKED_BEFORE_S = 1  # a revocation just before a request is met by it, if the new token is still on its way
PATIENCE = 45  # seconds for one action; whatever takes longer hangs
SIZES = ([0] * 4 + [1, 17, 300, KIB, KIB, 4 * KIB, 10_000, 16 * KIB, 70_000, 70_000, 300_000]) * 3 + [MIB + MIB // 2, 4 * MIB]
METHODS = ["GET"] * 6 + ["HEAD", "HEAD", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FROBNICATE"]
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}
BODYLESS = {204, 205, 304}

# What is sent, and what may be answered; the connection is closed behind it.
MALFORMED = (
    ("length and coding", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("two lengths", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", {400}),
    ("signed length", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", {400}),
    ("coding", b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc", {400, 501}),
    ("bare LF", b"GET /a HTTP/1.1\nHost: x\n\n", {400}),
    ("space before colon", b"GET /a HTTP/1.1\r\nHost : x\r\n\r\n", {400}),
    ("folded", b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", {400}),
    ("NUL", b"GET /a HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", {400}),
    ("no host", b"GET /a HTTP/1.1\r\n\r\n", {400}),
    ("two hosts", b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", {400}),
    ("version", b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", {400, 505}),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", {400, 405}),
    ("TRACE", b"TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    ("target", b"GET a HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("long target", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414}),
    ("large head", b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"A: %s\r\n" % (b"b" * 1000) * 40 + b"\r\n", {431}),
    ("chunk", b"POST /API/v3/_echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
    ("expectation", b"GET /a HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", {417}),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), {400}),
)


class Weather:
    """When an origin or its token endpoint was away, and so what may be answered."""

    def __init__(self):
        self.bad = []      # [from, until] of the stand-in; until is None while it lasts
        self.revoked = []  # when its tokens were

    def turn_bad(self):
        self.bad.append([time.monotonic(), None])

    def turn_fine(self):
        self.bad[-1][1] = time.monotonic()

    def revoke(self):
        self.revoked.append(time.monotonic())

    def was_revoked_twice(self, since):
        """A request whose replay met a dead token too, as nobody can prevent."""
        return len(self.revoked) > 1 and self.revoked[-2] >= since - REVOKED_BEFORE_S

    def was_bad(self, since):
        return bool(self.bad) and (self.bad[-1][1] is None or self.bad[-1][1] >= since)


class Tally:
    """All that the clients saw."""

    def __init__(self):
        self.connections = 0
        self.begun = 0        # requests of which a byte was sent
        self.complete = 0     # final answers read to their end
        self.cut = 0          # answers that visibly broke off
        self.lost = 0         # no answer, on a connection that had carried others: it may have been closed meanwhile
        self.revoked_twice = 0  # 401s of requests that met two revocations
        self.own = collections.Counter()       # X-Qproxy-Error codes seen
        self.statuses = collections.Counter()
        self.kinds = collections.Counter()
        self.aborts = collections.Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.faults = []      # texts; each is a failure of the soak
        self.mismatches = []

    def fault(self, text):
        self.faults.append(text)

    def mismatch(self, text):
        self.mismatches.append(text)


class Lost(Exception):
    """The connection ended before a byte of the answer."""


class Answer:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        version, status, _ = (lines[0] + "  ").split(" ", 2)
        self.status = int(status)
        self.fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        self.closes = self.fields.get("connection", "").lower() == "close" or version == "HTTP/1.0"
        self.body = b""
        self.is_cut = False

    @property
    def own(self):
        return self.fields.get("x-qproxy-error")


class Conn:
    def __init__(self, crowd, reader, writer):
        self.crowd, self.reader, self.writer = crowd, reader, writer
        self.uses = 0
        self.idle_since = time.monotonic()
        self.is_spent = False

    @classmethod
    async def open(cls, crowd):
        reader, writer = await asyncio.open_connection(crowd.host, crowd.port, limit=1 << 17)
        writer.transport.set_write_buffer_limits(1 << 16)
        crowd.tally.connections += 1
        return cls(crowd, reader, writer)

    async def send(self, data, step=1 << 18, pause=0.0):
        for at in range(0, len(data), step):
            self.crowd.tally.bytes_out += len(data[at:at + step])
            self.writer.write(data[at:at + step])
            await self.writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def answer(self, method="GET", on_continue=None, pause=0.0):
        """The next final answer. pause: before each 16 KiB of its body."""
        while True:
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    raise AssertionError("an answer's head was cut: %r" % end.partial[:80]) from None
                raise Lost from None
            except OSError:
                raise Lost from None
            answer = Answer(head)
            if answer.status >= 200:
                break
            if answer.status == 100 and on_continue:
                on_continue()
        try:
            await self._body(answer, method, pause)
        except (asyncio.IncompleteReadError, OSError):
            answer.is_cut = True
        self.crowd.tally.bytes_in += len(answer.body)
        self.uses += 1
        self.idle_since = time.monotonic()
        self.is_spent = self.is_spent or answer.is_cut or answer.closes
        return answer

    async def _body(self, answer, method, pause):
        if method == "HEAD" or answer.status in BODYLESS:
            return
        if "transfer-encoding" in answer.fields:
            while True:
                size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
                if size == 0:
                    break
                await self._take(answer, size, pause)
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        elif "content-length" in answer.fields:
            await self._take(answer, int(answer.fields["content-length"]), pause)
        else:
            answer.closes = True
            while piece := await self.reader.read(1 << 16):
                answer.body += piece

    async def _take(self, answer, size, pause):
        pieces = []
        try:
            while size:
                if pause:
                    await asyncio.sleep(pause)
                piece = await self.reader.read(min(size, 1 << 14))
                if not piece:
                    raise asyncio.IncompleteReadError(b"", None)
                pieces.append(piece)
                size -= len(piece)
        finally:
            answer.body += b"".join(pieces)

    async def has_ended(self, within=20):
        """True if the other side ends it, without another byte."""
        try:
            return await asyncio.wait_for(self.reader.read(1), within) == b""
        except OSError:
            return True
        except asyncio.TimeoutError:
            return False

    def close(self):
        self.is_spent = True
        self.writer.close()

    def reset(self):
        self.is_spent = True
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Ask:
    """One request, and what is known of its answer."""

    def __init__(self, ident, method, path, body=None, chunked=False, fields=(), version="1.1", query=""):
        self.ident, self.method, self.path, self.body = ident, method, path, body
        self.target = "%s?id=%s%s" % (path, ident, query)
        lines = ["%s %s HTTP/%s" % (method, self.target, version), "Host: soak", *fields]
        payload = body or b""
        if body is not None:
            lines.append("X-Soak-Sha256: " + hashlib.sha256(body).hexdigest())
            lines.append("Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % len(body))
        if body is not None and chunked:
            step = 1 + len(body) // 7
            pieces = [body[at:at + step] for at in range(0, len(body), step)]
            payload = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        self.head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        self.payload = payload

    @property
    def bytes(self):
        return self.head + self.payload


class Client:
    def __init__(self, crowd, number):
        self.crowd, self.number = crowd, number
        self.tally = crowd.tally
        self.dice = random.Random("%s.%d" % (crowd.seed, number))
        self.count = 0
        self.conn = None

    # ---- its life ----

    async def run(self):
        actions = [name for name, weight in ACTIONS.items() for _ in range(weight)]
        while not self.crowd.is_over.is_set():
            name = self.dice.choice(actions)
            self.tally.kinds[name] += 1
            self.began = time.monotonic()
            try:
                await asyncio.wait_for(getattr(self, name)(), PATIENCE)
            except asyncio.TimeoutError:
                self.tally.fault("%s hangs (client %d, action %d)" % (name, self.number, self.count))
                self.drop()
            except (Lost, OSError) as error:
                self.tally.fault("%s: no answer (%s %s; client %d, action %d)" % (name, type(error).__name__, error, self.number, self.count))
                self.drop()
            except (AssertionError, ValueError, KeyError) as error:
                self.tally.fault("%s: %s: %s (client %d, action %d)" % (name, type(error).__name__, error, self.number, self.count))
                self.drop()
            await asyncio.sleep(self.dice.random() * self.crowd.pause)
        self.drop()

    def drop(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def ident(self):
        self.count += 1
        return "%d.%d" % (self.number, self.count)

    def some_body(self, most=4 * MIB):
        size = min(self.dice.choice(SIZES), most)
        return self.dice.randbytes(size)

    def ask(self, path="/API/v3/_echo", method=None, most=4 * MIB, query="", **options):
        method = method or self.dice.choice(METHODS)
        if "body" not in options:
            options["body"] = self.some_body(most) if method not in ("GET", "HEAD", "OPTIONS") and self.dice.random() < 0.9 else None
        options.setdefault("chunked", self.dice.random() < 0.4)
        return Ask(self.ident(), method, path, query=query, **options)

    async def kept(self):
        """The connection that is kept between actions, or a new one; never one that may just be ending for its rest."""
        if self.conn and (self.conn.is_spent or time.monotonic() - self.conn.idle_since > self.crowd.rest_s):
            self.drop()
        if not self.conn:
            self.conn = await Conn.open(self.crowd)
        return self.conn

    async def exchange(self, conn, ask, **reading):
        """Sends while it reads: an answer may come first."""
        self.tally.begun += 1
        sending = asyncio.ensure_future(conn.send(ask.bytes, pause=reading.pop("sending_pause", 0.0), step=reading.pop("step", 1 << 18)))
        try:
            answer = await conn.answer(ask.method, **reading)
            if not answer.closes and not answer.is_cut:
                await sending
        finally:
            if not sending.done():
                sending.cancel()
                conn.is_spent = True
            await asyncio.gather(sending, return_exceptions=True)
        self.note(answer)
        return answer

    def note(self, answer):
        self.tally.statuses[answer.status] += 1
        self.tally.cut += answer.is_cut
        self.tally.complete += not answer.is_cut
        if answer.own:
            self.tally.own[answer.own] += 1

    # ---- judging ----

    def judge(self, ask, answer, allowed=frozenset({200}), may_cut=False):
        """True if it is the answer that was wanted."""
        shown = "%s %s: %d %s%s" % (ask.method, ask.target, answer.status, answer.own or "", " cut" if answer.is_cut else "")
        is_main = not ask.path.startswith("/wild")
        if is_main and self.crowd.weather.was_bad(self.began) and (answer.own or answer.is_cut or answer.status == 401):
            return False
        if is_main and answer.status == 401 and self.crowd.weather.was_revoked_twice(self.began):
            self.tally.revoked_twice += 1
            return False
        if answer.is_cut != may_cut and (answer.is_cut or answer.status == 200) and not (may_cut == "maybe"):
            self.tally.fault("cut: " + shown)
        elif answer.status not in allowed:
            self.tally.fault("unexpected: " + shown)
        return answer.status == 200

    def check_echo(self, ask, answer):
        if answer.status != 200 or ask.method == "HEAD" or answer.is_cut:
            return
        said = json.loads(answer.body)["result"]
        body = ask.body or b""
        equal = (said["method"], said["target"], said["body"]["bytes"], said["body"]["sha256"]) == (
            ask.method, ask.target, len(body), hashlib.sha256(body).hexdigest())
        if not equal:
            self.tally.mismatch("%s %s was answered %r" % (ask.method, ask.target, answer.body[:300]))

    def check_made(self, ask, answer, size):
        """From the misbehaving origin: each byte is known, also of a part."""
        if answer.status != 200 or answer.own:
            return
        whole = body_of(ask.ident, size)
        got = answer.body
        is_equal = whole.startswith(got) if answer.is_cut or ask.method == "HEAD" else whole == got
        if not is_equal or answer.fields.get("x-soak-id") != ask.ident:
            self.tally.mismatch("%s %s: %d bytes, id %s" % (ask.method, ask.target, len(got), answer.fields.get("x-soak-id")))

    # ---- what it does: well-behaved ----

    async def plain(self):
        conn = await self.kept()
        ask = self.ask(most=MIB + MIB // 2)
        answer = await self.exchange(conn, ask)
        self.judge(ask, answer)
        self.check_echo(ask, answer)

    async def upload(self):
        conn = await self.kept()
        ask = self.ask(method=self.dice.choice(["POST", "PUT", "PATCH"]), fields=("Idempotency-Key: soak-%d-%d" % (self.number, self.count),))
        answer = await self.exchange(conn, ask)
        self.judge(ask, answer)
        self.check_echo(ask, answer)

    async def download(self):
        conn = await self.kept()
        size = self.dice.choice(SIZES) + self.dice.randrange(1000)
        query = "&bytes=%d&seed=%d&chunked=%d" % (size, self.dice.randrange(1 << 30), self.dice.random() < 0.5)
        ask = self.ask("/API/v3/_blob", "GET", query=query, body=None)
        is_slow = size < 400_000 and self.dice.random() < 0.2
        answer = await self.exchange(conn, ask, pause=0.02 if is_slow else 0.0)
        if self.judge(ask, answer):
            digest = answer.fields.get("x-content-sha256")
            if len(answer.body) != size or (digest and hashlib.sha256(answer.body).hexdigest() != digest):
                self.tally.mismatch("%s: %d bytes" % (ask.target, len(answer.body)))

    async def one_shot(self):
        conn = await Conn.open(self.crowd)
        ask = self.ask(fields=("Connection: close",), most=70_000)
        answer = await self.exchange(conn, ask)
        self.judge(ask, answer)
        self.check_echo(ask, answer)
        assert await conn.has_ended(), "not closed behind Connection: close"
        conn.close()

    async def http_1_0(self):
        conn = await Conn.open(self.crowd)
        keeps = self.dice.random() < 0.5
        for _ in range(2 if keeps else 1):
            ask = self.ask(method=self.dice.choice(["GET", "POST", "HEAD"]), version="1.0", chunked=False, most=70_000,
                           fields=("Connection: keep-alive",) if keeps else ())
            answer = await self.exchange(conn, ask)
            self.judge(ask, answer)
            self.check_echo(ask, answer)
            if answer.fields.get("connection", "").lower() != "keep-alive":
                break
        conn.close()

    async def pipelined(self, ends_badly=False):
        conn = await Conn.open(self.crowd)
        asks = [self.ask(most=16 * KIB) for _ in range(self.dice.randrange(2, 7))]
        data = b"".join(ask.bytes for ask in asks)
        if ends_badly:
            name, bad, allowed = self.dice.choice(MALFORMED[:14])
            data += bad + asks[0].bytes
        self.tally.begun += len(asks) + ends_badly
        sending = asyncio.ensure_future(conn.send(data))
        try:
            for ask in asks:
                answer = await conn.answer(ask.method)
                self.note(answer)
                self.judge(ask, answer)
                self.check_echo(ask, answer)
                if answer.closes or answer.is_cut:
                    return
            if ends_badly:
                answer = await conn.answer()
                self.note(answer)
                assert answer.status in allowed, "%s is answered %d" % (name, answer.status)
                assert await conn.has_ended(), "not closed behind " + name
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            conn.close()

    async def pipelined_badly(self):
        await self.pipelined(True)

    async def expecting(self):
        conn = await Conn.open(self.crowd)
        ask = self.ask(method="POST", fields=("Expect: 100-continue",), body=self.some_body(300_000) or b"x")
        self.tally.begun += 1
        await conn.send(ask.head)
        sending = []

        def go_on():
            if not sending:
                sending.append(asyncio.ensure_future(conn.send(ask.payload)))
        answer = await conn.answer("POST", on_continue=go_on)
        await asyncio.gather(*sending, return_exceptions=True)
        self.note(answer)
        if answer.own or answer.status != 200:
            self.judge(ask, answer)
        else:
            assert sending, "a whole answer without a 100"
            self.check_echo(ask, answer)
        conn.close()

    async def half_closing(self):
        conn = await Conn.open(self.crowd)
        ask = self.ask(method="POST", most=70_000)
        self.tally.begun += 1
        await conn.send(ask.bytes)
        conn.writer.write_eof()
        answer = await conn.answer("POST")
        self.note(answer)
        self.judge(ask, answer)
        self.check_echo(ask, answer)
        assert await conn.has_ended(), "not closed behind a half-closed client's last answer"
        conn.close()

    async def slow_sender(self):
        conn = await Conn.open(self.crowd)
        ask = self.ask(method="POST", body=self.dice.randbytes(self.dice.randrange(1, 3000)))
        answer = await self.exchange(conn, ask, step=1 + len(ask.bytes) // 20, sending_pause=0.03)
        self.judge(ask, answer)
        self.check_echo(ask, answer)
        conn.close()

    async def resting(self):
        """A connection that is left alone ends without a word."""
        conn = await Conn.open(self.crowd)
        if self.dice.random() < 0.7:
            ask = self.ask(method="GET")
            self.judge(ask, await self.exchange(conn, ask))
        ending = asyncio.ensure_future(conn.has_ended(30))
        over = asyncio.ensure_future(self.crowd.is_over.wait())
        await asyncio.wait([ending, over], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if ending.done():
            assert ending.result(), "an idle connection is not closed"
        ending.cancel()
        conn.close()

    async def early(self):
        """The stand-in answers before the upload has ended."""
        conn = await Conn.open(self.crowd)
        ask = self.ask("/API/v3/_early", "POST", query="&status=413&close=1", body=self.dice.randbytes(300_000))
        answer = await self.exchange(conn, ask)
        self.judge(ask, answer, {413, 502}, "maybe")
        conn.close()

    # ---- what it does: badly ----

    async def malformed(self):
        name, data, allowed = self.dice.choice(MALFORMED)
        conn = await Conn.open(self.crowd)
        self.tally.begun += 1
        with contextlib.suppress(OSError):  # it may be refused before it is all sent
            await conn.send(data)
        answer = await conn.answer()
        self.note(answer)
        assert answer.status in allowed and answer.own, "%s is answered %d" % (name, answer.status)
        assert await conn.has_ended(), "not closed behind " + name
        conn.close()

    async def too_slow(self):
        """A head, or a body, that does not go on."""
        conn = await Conn.open(self.crowd)
        ask = self.ask(method="POST", body=bytes(1000), chunked=False)
        self.tally.begun += 1
        await conn.send(ask.head[:20] if self.dice.random() < 0.5 else ask.bytes[:-500])
        answer = await conn.answer("POST")
        self.note(answer)
        if answer.status != 408:
            assert self.crowd.weather.was_bad(self.began) and answer.own, "what does not go on is answered %d" % answer.status
        assert await conn.has_ended(), "not closed behind a 408"
        conn.close()

    async def go_as_far_as(self, stage, conn):
        if stage == "in head":
            await conn.send(self.ask().head[:self.dice.randrange(1, 40)])
        elif stage == "in body":
            ask = self.ask(method="POST", body=self.dice.randbytes(self.dice.choice([100, 70_000, MIB])))
            await conn.send(ask.bytes[:len(ask.head) + self.dice.randrange(len(ask.payload))])
        elif stage == "before answer":
            path = self.dice.choice(["/API/v3/_slow", "/wild/API/v3/slow", "/wild/API/v3/silent", "/API/v3/_echo"])
            await conn.send(self.ask(path, method="GET", body=None, query="&ms=500&n=%d" % self.dice.randrange(100)).bytes)
        elif stage == "in answer":
            await conn.send(self.ask("/API/v3/_blob", "GET", body=None, query="&bytes=%d" % self.dice.choice([100_000, MIB, 8 * MIB])).bytes)
            await conn.reader.read(self.dice.randrange(1, 100_000))
        elif stage == "in pipeline":
            asks = [self.ask(most=KIB) for _ in range(5)]
            self.tally.begun += 4
            await conn.send(b"".join(ask.bytes for ask in asks)[:-self.dice.randrange(1, 60)])
        elif stage == "in continue":
            await conn.send(self.ask(method="POST", body=bytes(5000), fields=("Expect: 100-continue",)).head)

    async def leaving(self):
        """Leaves at a random point, with a FIN or a reset."""
        stage = self.dice.choice(["silent", "in head", "in body", "before answer", "in answer", "in pipeline", "in continue"])
        conn = await Conn.open(self.crowd)
        self.tally.aborts[stage] += 1
        if stage != "silent":
            self.tally.begun += 1
        with contextlib.suppress(OSError):
            await self.go_as_far_as(stage, conn)
        await asyncio.sleep(self.dice.choice([0, 0, 0.01, 0.1]))
        if self.dice.random() < 0.5:
            conn.reset()
        else:
            conn.close()

    async def not_reading(self):
        """Asks for much, reads nothing for long, then everything: back-pressure, not a cut."""
        conn = await Conn.open(self.crowd)
        size = 3 * MIB + self.dice.randrange(1000)
        ask = self.ask("/API/v3/_blob", "GET", body=None, query="&bytes=%d" % size)
        self.tally.begun += 1
        await conn.send(ask.bytes)
        await asyncio.sleep(self.dice.random() * 0.8)
        answer = await conn.answer()
        self.note(answer)
        if self.judge(ask, answer) and len(answer.body) != size:
            self.tally.mismatch("%s: %d bytes" % (ask.target, len(answer.body)))
        conn.close()

    # ---- what the other origin does ----

    async def wild(self):
        kind, may_cut, allowed = self.dice.choice(WILD)
        conn = await self.kept() if self.dice.random() < 0.7 else await Conn.open(self.crowd)
        size = self.dice.choice([10, 300, 5000, 70_000, 300_000]) + self.dice.randrange(100)
        method = self.dice.choice(["GET", "GET", "POST", "PUT", "HEAD", "PATCH"])
        ask = self.ask("/wild/API/v3/" + kind, method, most=300_000, query="&n=%d&chunked=%d" % (size, self.dice.random() < 0.4))
        if method == "HEAD":
            may_cut = "maybe" if may_cut else may_cut
        if method not in IDEMPOTENT:
            allowed = allowed | {502}  # a kept stream that ends just then: it cannot be known what became of a POST
        answer = await self.exchange(conn, ask)
        self.judge(ask, answer, allowed, may_cut)
        self.check_made(ask, answer, size)
        if conn is not self.conn:
            conn.close()


# What the misbehaving origin is asked for; whether the answer is cut; what it may be.
WILD = [(kind, False, {200}) for kind in ("echo",) * 8 + ("inform", "drip", "slow", "extra", "stale", "stale") * 2] + [
    ("cut", True, {200, 502}), ("reset", True, {200, 502}), ("stall", True, {200, 502}), ("none", False, {502}),
    ("silent", False, {504}), ("malformed", False, {502}), ("denied", False, {401}),
    ("early", "maybe", {200, 502}), ("earlyclose", "maybe", {413, 502})]

ACTIONS = {"plain": 30, "upload": 8, "download": 10, "one_shot": 6, "http_1_0": 4, "pipelined": 5, "pipelined_badly": 3, "expecting": 4,
           "half_closing": 3, "slow_sender": 3, "resting": 1, "early": 2, "malformed": 6, "too_slow": 1, "leaving": 12, "not_reading": 2,
           "wild": 20}


class Crowd:
    """All clients and what they share."""

    def __init__(self, host, port, seed, count, pause, rest_s):
        self.host, self.port, self.seed, self.pause, self.rest_s = host, port, seed, pause, rest_s
        self.tally = Tally()
        self.weather = Weather()
        self.is_over = asyncio.Event()
        self.late_s = 0.0
        self.clients = [Client(self, number) for number in range(count)]

    async def run(self):
        watch = asyncio.ensure_future(self.watch_loop())
        await asyncio.gather(*(client.run() for client in self.clients))
        watch.cancel()

    async def watch_loop(self):
        """How late this process is: on a machine that is busy with other things limits of time are met without a fault."""
        while True:
            due = time.monotonic() + 0.1
            await asyncio.sleep(0.1)
            self.late_s = max(self.late_s, time.monotonic() - due)
