"""HTTP/1.1 on the wire, read strictly: shared by the raw client and the scripted origin.

Nothing here is lenient. What the proxy writes must be the one form that every peer reads the same way, so a bare LF, a doubled
Content-Length or a blank before a colon fails the test that met it.
"""

import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
BODYLESS = frozenset([204, 304])


class WireError(AssertionError):
    """The peer broke the protocol."""


class Cut(Exception):
    """The connection ended inside a message. `part` holds what of the message had come."""

    def __init__(self, where, part=b""):
        super().__init__("the connection ended " + where)
        self.part = part


class Head:
    """A start line and its fields, as they came."""

    def __init__(self, raw):
        self.raw = raw
        if not raw.endswith(b"\r\n\r\n"):
            raise WireError("a head without its empty line: %r" % raw[-60:])
        lines = raw[:-4].split(b"\r\n")
        for line in lines:
            if b"\n" in line or b"\r" in line or b"\0" in line:
                raise WireError("a bare CR, LF or NUL in the head line %r" % line)
        self.start = lines[0]
        self.fields = [self._field(line) for line in lines[1:]]

    @staticmethod
    def _field(line):
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise WireError("not a field line: %r" % line)
        return name, value.strip(b" \t")

    def all(self, name):
        """Every value of a field, in order."""
        wanted = _bytes(name).lower()
        return [value for key, value in self.fields if key.lower() == wanted]

    def get(self, name, default=None):
        """The one value of a field; two are an error."""
        values = self.all(name)
        if len(values) > 1:
            raise WireError("%s stands %d times: %r" % (name, len(values), values))
        return values[0] if values else default

    def has(self, name):
        return bool(self.all(name))

    def tokens(self, name):
        """The comma-separated elements of a field, in lower case."""
        joined = b",".join(self.all(name))
        return [part.strip().lower() for part in joined.split(b",") if part.strip()]

    def names(self):
        return [key.lower() for key, _ in self.fields]


class RequestHead(Head):
    def __init__(self, raw):
        super().__init__(raw)
        parts = self.start.split(b" ")
        if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise WireError("not a request line: %r" % self.start)
        self.method, self.target, self.version = parts


class ResponseHead(Head):
    def __init__(self, raw):
        super().__init__(raw)
        match = re.fullmatch(rb"(HTTP/1\.[01]) ([1-9][0-9][0-9]) ?(.*)", self.start)
        if not match:
            raise WireError("not a status line: %r" % self.start)
        self.version, status, self.reason = match.groups()
        self.status = int(status)


def framing(head, bodyless=False):
    """("none" | "length" | "chunked" | "close", length): the one reading of a head, or WireError."""
    codings = head.tokens("Transfer-Encoding")
    lengths = head.all("Content-Length")
    if codings and lengths:
        raise WireError("Transfer-Encoding beside Content-Length: %r" % head.raw)
    if len(lengths) > 1 or (lengths and not re.fullmatch(rb"[0-9]+", lengths[0])):
        raise WireError("Content-Length: %r" % lengths)
    if codings and codings != [b"chunked"]:
        raise WireError("Transfer-Encoding: %r" % codings)
    if bodyless:
        return "none", 0
    if codings:
        return "chunked", None
    if lengths:
        return "length", int(lengths[0])
    return ("none", 0) if isinstance(head, RequestHead) else ("close", None)


class Source:
    """Reads from `more()`, which gives bytes, b"" at the end, or raises OSError. Ends inside a message raise Cut."""

    def __init__(self, more):
        self._more = more
        self.buffer = bytearray()

    def _fill(self, where, part=b""):
        try:
            piece = self._more()
        except (ConnectionError, BrokenPipeError) as error:
            raise Cut("%s (%s)" % (where, error), part) from error
        if not piece:
            raise Cut(where, part)
        self.buffer += piece

    def until(self, mark, limit=1 << 20):
        """Everything up to and with `mark`."""
        start = 0
        while True:
            found = self.buffer.find(mark, max(0, start - len(mark)))
            if found >= 0:
                return self._take(found + len(mark))
            if len(self.buffer) > limit:
                raise WireError("%d bytes without %r" % (len(self.buffer), mark))
            start = len(self.buffer)
            where = "before the first byte" if not self.buffer else "before %r" % mark
            self._fill(where, bytes(self.buffer))

    def exactly(self, count):
        pieces = []
        left = count
        while left:
            if not self.buffer:
                self._fill("%d bytes before the end of %d" % (left, count), b"".join(pieces))
            pieces.append(self._take(min(left, len(self.buffer))))
            left -= len(pieces[-1])
        return b"".join(pieces)

    def some(self, limit=65536):
        """At least one byte, or b"" at the end."""
        if not self.buffer:
            piece = self._more()
            if not piece:
                return b""
            self.buffer += piece
        return self._take(min(limit, len(self.buffer)))

    def rest(self):
        """Everything up to the end of the connection."""
        pieces = []
        while True:
            try:
                piece = self.some()
            except ConnectionError as error:
                raise Cut("by a fault: %s" % error, b"".join(pieces)) from error
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def _take(self, count):
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def head(self, kind):
        return kind(self.until(b"\r\n\r\n"))

    def chunked(self):
        """(body, trailers, chunks): a chunked body to its end; trailers as a Head without a start line."""
        chunks = []
        try:
            while True:
                line = self.until(b"\r\n", 4096)
                match = re.fullmatch(rb"([0-9A-Fa-f]+)\r\n", line)
                if not match:
                    raise WireError("not a plain chunk size: %r" % line)
                size = int(match.group(1), 16)
                if size == 0:
                    break
                chunks.append(self._chunk(size))
            raw = bytearray(b"trailers\r\n")
            while not raw.endswith(b"\r\n\r\n"):
                raw += self.until(b"\r\n")
        except Cut as cut:
            raise Cut("inside a chunked body", b"".join(chunks) + cut.part) from cut
        return b"".join(chunks), Head(bytes(raw)), chunks

    def _chunk(self, size):
        data = self.exactly(size)
        try:
            end = self.exactly(2)
        except Cut as cut:
            raise Cut("behind a chunk's data", data) from cut
        if end != b"\r\n":
            raise WireError("%r behind a chunk's data" % end)
        return data


def chunked(body, size=4096, trailers=b"", last=True):
    """The chunked form of a body: in chunks of `size`, or of the given pieces."""
    pieces = body if isinstance(body, (list, tuple)) else [body[at:at + size] for at in range(0, len(body), size)]
    out = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return out + (b"0\r\n" + trailers + b"\r\n" if last else b"")


def message(start, fields, body=b""):
    """A start line, fields (pairs or ready lines) and body, as bytes."""
    lines = [_bytes(start)]
    for field in fields:
        lines.append(_bytes(field) if isinstance(field, (str, bytes)) else _bytes(field[0]) + b": " + _bytes(field[1]))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _bytes(text):
    return text.encode("latin-1") if isinstance(text, str) else text
