"""HTTP/1.1 read by somebody who refuses whatever a second reader could understand differently. Shares no code with the proxy."""

import collections
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*")
AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+;=%]+)(?::[0-9]{1,5})?")
LENGTH = re.compile(rb"[0-9]{1,18}")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
NOT_IN_TRAILERS = {b"content-length", b"transfer-encoding", b"host", b"authorization", b"x-api-token", b"proxy-authorization",
                   b"connection", b"trailer", b"te", b"expect", b"upgrade", b"content-type", b"content-encoding", b"set-cookie",
                   b"cookie"}

Request = collections.namedtuple("Request", "method target body fields trailers")
Response = collections.namedtuple("Response", "status body fields trailers keeps_open")


class Doubt(Exception):
    """More than one reading, or none."""


class Unfinished(Exception):
    """Good so far; more must come."""


class Reader:
    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    def line(self):
        end = self.data.find(b"\r\n", self.at)
        line = self.data[self.at:end if end >= 0 else len(self.data)]
        bare = line[:-1] if end < 0 else line  # the CR of a CR LF may be the last byte so far
        if b"\n" in line or b"\r" in bare or b"\0" in line:
            raise Doubt("a bare CR or LF, or a NUL, in %r" % line[:60])
        if end < 0:
            raise Unfinished()
        self.at = end + 2
        return line

    def take(self, count):
        if len(self.data) - self.at < count:
            raise Unfinished()
        self.at += count
        return self.data[self.at - count:self.at]

    def fields(self):
        found = []
        while True:
            line = self.line()
            if not line:
                return found
            match = FIELD.fullmatch(line)
            if not match:
                raise Doubt("no field line: %r" % line[:60])
            found.append((match.group(1).lower(), match.group(2)))

    def chunked(self):
        body = b""
        while True:
            size = self.line()
            if not CHUNK_SIZE.fullmatch(size):
                raise Doubt("no plain chunk size: %r" % size[:60])
            if int(size, 16) == 0:
                break
            body += self.take(int(size, 16))
            if self.take(2) != b"\r\n":
                raise Doubt("no CR LF behind a chunk")
        trailers = self.fields()
        for name, _ in trailers:
            if name in NOT_IN_TRAILERS:
                raise Doubt("%r among the trailers" % name)
        return body, trailers


def values(fields, name):
    return [value for key, value in fields if key == name]


def framing(fields, minor):
    """None, "chunked" or a length."""
    lengths, codings = values(fields, b"content-length"), values(fields, b"transfer-encoding")
    if lengths and codings:
        raise Doubt("Content-Length and Transfer-Encoding")
    if codings:
        if [value.lower() for value in codings] != [b"chunked"] or minor == 0:
            raise Doubt("Transfer-Encoding: %r in HTTP/1.%d" % (codings, minor))
        return "chunked"
    if len(lengths) > 1 or (lengths and not LENGTH.fullmatch(lengths[0])):
        raise Doubt("Content-Length: %r" % lengths)
    return int(lengths[0]) if lengths else None


def _target(method, target, host):
    if method == b"CONNECT":
        raise Doubt("CONNECT: what follows is no HTTP")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return
    absolute = re.fullmatch(rb"(?i:https?)://([^/?]*)(?:[/?].*)?", target)
    if not absolute:
        raise Doubt("the target %r" % target[:60])
    if absolute.group(1).lower() != host.lower():
        raise Doubt("the target names %r and Host %r" % (absolute.group(1), host))


def read_request(data):
    """(Request, bytes used); Unfinished or Doubt."""
    reader = Reader(data)
    line = reader.line()
    match = REQUEST_LINE.fullmatch(line)
    if not match:
        raise Doubt("no request line: %r" % line[:60])
    method, target, minor = match.group(1), match.group(2), int(match.group(3))
    fields = reader.fields()
    hosts = values(fields, b"host")
    if len(hosts) != 1 or not AUTHORITY.fullmatch(hosts[0]):
        raise Doubt("Host: %r" % hosts)
    _target(method, target, hosts[0])
    kind = framing(fields, minor)
    body, trailers = reader.chunked() if kind == "chunked" else (reader.take(kind or 0), [])
    return Request(method.decode(), target.decode(), body, fields, trailers), reader.at


def read_requests(data):
    """(whole requests, bytes of an unfinished one); Doubt."""
    found, at = [], 0
    while at < len(data):
        try:
            request, used = read_request(data[at:])
        except Unfinished:
            break
        found.append(request)
        at += used
    return found, bytes(data[at:])


def read_response(data, method, ended):
    """(Response, bytes used), 1xx skipped; Unfinished or Doubt. ended: the connection has."""
    reader = Reader(data)
    while True:
        line = reader.line()
        match = STATUS_LINE.fullmatch(line)
        if not match:
            raise Doubt("no status line: %r" % line[:60])
        minor, status = int(match.group(1)), int(match.group(2))
        fields = reader.fields()
        kind = framing(fields, minor)
        if status == 101:
            raise Doubt("101: what follows is no HTTP")
        if status >= 200:
            break
        if kind is not None:
            raise Doubt("framing on a 1xx")
    options = b",".join(values(fields, b"connection")).lower()
    keeps_open = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    if status == 205 and kind not in (None, 0):
        raise Doubt("205 with a body")
    trailers = []
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif kind == "chunked":
        body, trailers = reader.chunked()
    elif kind is not None:
        body = reader.take(kind)
    elif ended:
        body, keeps_open = reader.take(len(reader.data) - reader.at), False
    else:
        raise Unfinished()
    return Response(status, body, fields, trailers, keeps_open), reader.at
