"""A client of plain sockets: exact bytes out, strictly read answers in."""

import select
import socket
import struct
import time

import wire

PATIENCE = 15.0  # seconds that any one read may take; a test that means a limit states its own


class Response:
    """One final answer, with the 1xx heads before it."""

    def __init__(self, head, framing):
        self.head = head
        self.status = head.status
        self.reason = head.reason
        self.version = head.version
        self.framing = framing  # "none", "length", "chunked" or "close"
        self.body = b""
        self.trailers = None
        self.chunks = None
        self.informed = []
        self.cut = None  # where the connection ended, if it did inside the answer

    def get(self, name, default=None):
        return self.head.get(name, default)

    def all(self, name):
        return self.head.all(name)

    @property
    def keeps_alive(self):
        tokens = self.head.tokens("Connection")
        if b"close" in tokens or self.framing == "close":
            return False
        return self.version == b"HTTP/1.1" or b"keep-alive" in tokens

    def __repr__(self):
        return "<%d %s, %d bytes%s>" % (self.status, self.framing, len(self.body), ", cut" if self.cut else "")


class RawClient:
    """One connection. `seen` is called with every piece received."""

    def __init__(self, address, seen=lambda data: None, receive_buffer=None, patience=PATIENCE):
        unix = isinstance(address, str)
        family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(patience)
        self.sock.connect(address)
        if not unix:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._seen = seen
        self.received = 0
        self.source = wire.Source(self._more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _more(self):
        data = self.sock.recv(262144)
        self.received += len(data)
        self._seen(data)
        return data

    # ---- out ----

    def send(self, data):
        self.sock.sendall(data)
        return self

    def send_in_steps(self, data, step=1, pause=0.0):
        """Sends `step` bytes at a time, each in a packet of its own."""
        for at in range(0, len(data), step):
            self.sock.sendall(data[at:at + step])
            if pause:
                time.sleep(pause)
        return self

    def send_split(self, data, at, pause=0.002):
        """Sends in two pieces, cut at `at`."""
        self.sock.sendall(data[:at])
        time.sleep(pause)
        self.sock.sendall(data[at:])
        return self

    def request(self, method="GET", target="/API/v3/whoami", fields=(), body=None, chunked=False, version="1.1", host="localhost"):
        """Sends one whole, well-formed request."""
        return self.send(request_bytes(method, target, fields, body, chunked, version, host))

    # ---- in ----

    def response(self, method="GET", cut_allowed=False):
        """Reads the next final answer. An end inside it fails, or is noted in .cut where a test expects it."""
        informed = []
        while True:
            head = self.source.head(wire.ResponseHead)
            if head.status >= 200:
                break
            if head.status == 101:
                raise wire.WireError("101 nobody asked for")
            if wire.framing(head, bodyless=True)[0] != "none" or head.has("Content-Length") or head.has("Transfer-Encoding"):
                raise wire.WireError("framing on a 1xx: %r" % head.raw)
            informed.append(head)
        bodyless = method == "HEAD" or head.status in wire.BODYLESS
        kind, length = wire.framing(head, bodyless)
        response = Response(head, kind)
        response.informed = informed
        try:
            self._body(response, kind, length)
        except wire.Cut as cut:
            if not cut_allowed:
                raise wire.WireError("%s; so far %r" % (cut, response)) from cut
            response.cut = str(cut)
            response.body = cut.part
        return response

    def _body(self, response, kind, length):
        if kind == "length":
            response.body = self.source.exactly(length)
        elif kind == "chunked":
            response.body, response.trailers, response.chunks = self.source.chunked()
        elif kind == "close":
            response.body = self.source.rest()

    def head(self):
        """The next head only, final or not."""
        return self.source.head(wire.ResponseHead)

    def read(self, count):
        return self.source.exactly(count)

    def has_closed(self, within=5.0):
        """True if the connection ends, without a further byte, in time."""
        if self.source.buffer:
            return False
        if not select.select([self.sock], [], [], within)[0]:
            return False
        try:
            return self._more() == b""
        except ConnectionError:
            return True

    def is_silent(self, seconds):
        """True if neither a byte nor an end comes for so long."""
        return not self.source.buffer and not select.select([self.sock], [], [], seconds)[0]

    # ---- ends ----

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def abort(self):
        """Closes with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def request_bytes(method="GET", target="/API/v3/whoami", fields=(), body=None, chunked=False, version="1.1", host="localhost"):
    """A whole request. body: None for none; with `chunked`, in chunks, else with Content-Length."""
    lines = [("Host", host)] if host is not None else []
    lines += list(fields)
    payload = b""
    if body is not None and chunked:
        lines.append(("Transfer-Encoding", "chunked"))
        payload = wire.chunked(body)
    elif body is not None:
        lines.append(("Content-Length", str(len(body))))
        payload = body
    return wire.message("%s %s HTTP/%s" % (method, target, version), lines, payload)
