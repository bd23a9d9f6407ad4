"""An origin that does exactly what a test tells it, down to the byte: TLS over sockets and threads.

A connection is a thread. It reads a request head and calls a script, `script(conn, request)`; when the script returns, the rest of the
request is read and the next head awaited. A script reads the body when it likes (conn.body(request), conn.take(n)) and answers in any
way at all:

    conn.send(b"...")                  these plaintext bytes, in as few TLS records as they need
    conn.send_in_steps(data, 1, 0.01)  a TLS record a step, with a pause behind each
    conn.send_wire_in_steps(data, 1)   one TLS record, its ciphertext in steps
    conn.close() / cut() / reset()     an end with close_notify / a FIN without one / an RST
    conn.wait(seconds)                 stalls; ends early when the test ends

Unless told otherwise, the origin is also the token endpoint (POST /oauth2/token checks the client's credentials and mints a new token)
and its gate: a request without a token that is valid now gets Qualtrics' 401. All that comes in is kept: connections, requests, token
calls.
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import threading
import time
import urllib.parse

import wire

PATIENCE = 20.0
UNRECOGNIZED = json.dumps({"meta": {"httpStatus": "401 - Unauthorized", "requestId": "",
                                    "error": {"errorMessage": "Unrecognized X-API-TOKEN.", "errorCode": "DCD_7"}}}).encode()
FINE = json.dumps({"result": {"fine": True}, "meta": {"httpStatus": "200 - OK", "requestId": "1"}}).encode()


class Request:
    """What came: the head at once, the body when it was read."""

    def __init__(self, head, conn, number):
        self.head = head
        self.conn = conn
        self.number = number  # on its connection, from 1
        self.method = head.method.decode("latin-1")
        self.target = head.target.decode("latin-1")
        self.framing, self.length = wire.framing(head)
        self.body = b"" if self.framing == "none" else None
        self.trailers = None
        self.chunks = None
        self.at = time.monotonic()

    def get(self, name, default=None):
        return self.head.get(name, default)

    def all(self, name):
        return self.head.all(name)

    @property
    def token(self):
        """The bearer token, exactly one Authorization field given."""
        value = self.head.get("Authorization", b"").decode("latin-1")
        return value[7:] if value.lower().startswith("bearer ") else None

    @property
    def without_token(self):
        """The head's bytes but for the credential's value: equal for a request and its replay."""
        lines = self.head.raw.split(b"\r\n")
        return b"\r\n".join(line.partition(b":")[0] if line.lower().startswith((b"authorization:",
                b"x-api-token:")) else line for line in lines)

    @property
    def form(self):
        """The body as a form: last value of each name."""
        return dict(urllib.parse.parse_qsl((self.body or b"").decode("latin-1"), keep_blank_values=True))

    def __repr__(self):
        return "<%s %s on connection %d, body %s>" % (self.method, self.target, self.conn.number,
                                                      "unread" if self.body is None else len(self.body))


class Connection:
    """One accepted connection, after its TLS handshake."""

    def __init__(self, origin, sock, number):
        self.origin = origin
        self.sock = sock
        self.number = number
        self.received = bytearray()  # plaintext, all of it, unless keep_received is off
        self.keep_received = True
        self.sent = 0
        self.requests = 0
        self.ended = None  # how the proxy ended it: "close_notify", "fin" or "fault"
        self.is_open = True
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = origin.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._tls_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self.source = wire.Source(self._more)

    # ---- TLS ----

    def handshake(self):
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    raise wire.Cut("in the handshake")
                self._incoming.write(data)
            except ssl.SSLError:
                self._flush()
                raise
        self._flush()
        self.sni = getattr(self._tls, "qp_sni", None)
        self.alpn = self._tls.selected_alpn_protocol()
        self.tls_version = self._tls.version()
        self.resumed = self._tls.session_reused

    def _flush(self):
        data = self._outgoing.read()
        if data:
            self.sock.sendall(data)

    def _more(self):
        while True:
            with self._tls_lock:
                try:
                    data = self._tls.read(262144)
                    if self.keep_received:
                        self.received += data
                    if not data:
                        self.ended = self.ended or "close_notify"
                    return data
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLEOFError:
                    self.ended = self.ended or "fin"
                    return b""
                except ssl.SSLError as error:
                    self.ended = "fault"
                    raise ConnectionResetError(str(error)) from error
            try:
                data = self.sock.recv(262144)
            except ConnectionError:
                self.ended = "fault"
                raise
            with self._tls_lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    # ---- in ----

    def body(self, request):
        """Reads what is left of the request's body, and keeps it."""
        if request.body is None:
            if request.framing == "chunked":
                body, request.trailers, request.chunks = self.source.chunked()
            else:
                body = getattr(request, "taken", b"") + self.source.exactly(request.length - len(getattr(request, "taken", b"")))
            request.body = body
            self.origin.note()
        return request.body

    def take(self, request, count):
        """Reads `count` more bytes of a sized body, or of a chunked one's wire form."""
        data = self.source.exactly(count)
        if request.framing == "length":
            request.taken = getattr(request, "taken", b"") + data
        else:
            self.source.buffer[:0] = data
        return data

    def proxy_has_closed(self, within=5.0):
        """True if the proxy ends this connection in time (bytes before that are dropped)."""
        self.sock.settimeout(within)
        try:
            while self.source.some():
                pass
            return True
        except (TimeoutError, socket.timeout):
            return False
        except OSError:
            return True
        finally:
            try:
                self.sock.settimeout(PATIENCE)
            except OSError:
                pass

    # ---- out ----

    def send(self, data):
        for at in range(0, len(data), 65536):
            piece = data[at:at + 65536]
            with self._send_lock:
                with self._tls_lock:
                    self._tls.write(piece)
                    wire_bytes = self._outgoing.read()
                self.sock.sendall(wire_bytes)
                self.sent += len(piece)
        return self

    def send_in_steps(self, data, step=1, pause=0.0):
        for at in range(0, len(data), step):
            self.send(data[at:at + step])
            if pause:
                time.sleep(pause)
        return self

    def send_wire_in_steps(self, data, step=1, pause=0.0, also_close=False):
        """One TLS record (and the close_notify behind it), its bytes on the wire in steps."""
        with self._send_lock:
            with self._tls_lock:
                self._tls.write(data)
                if also_close:
                    self._say_goodbye()
                wire_bytes = self._outgoing.read()
            for at in range(0, len(wire_bytes), step):
                self.sock.sendall(wire_bytes[at:at + step])
                if pause:
                    time.sleep(pause)
        return self

    def send_part_of_record(self, data, wire_count):
        """Seals `data` and sends only the first bytes of the record."""
        with self._send_lock, self._tls_lock:
            self._tls.write(data)
            self.sock.sendall(self._outgoing.read()[:wire_count])
        return self

    def answer(self, status=200, body=FINE, fields=(), content_type="application/json", chunk=0, reason=None):
        """A well-formed answer: with Content-Length, or in chunks of `chunk` bytes."""
        lines = [("Content-Type", content_type)] if content_type else []
        lines += list(fields)
        if chunk:
            lines.append(("Transfer-Encoding", "chunked"))
            body = wire.chunked(body, chunk)
        elif body is not None:
            lines.append(("Content-Length", str(len(body))))
        reason = reason if reason is not None else {200: "OK", 401: "Unauthorized"}.get(status, "Status")
        return self.send(wire.message("HTTP/1.1 %d %s" % (status, reason), lines, body or b""))

    # ---- ends ----

    def _say_goodbye(self):
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # it wants the proxy's own close_notify, which nobody waits for

    def close(self):
        """close_notify, FIN; what the proxy still sends is read and dropped."""
        with self._send_lock:
            with self._tls_lock:
                self._say_goodbye()
                wire_bytes = self._outgoing.read()
            self._quietly(self.sock.sendall, wire_bytes)
        self.cut()

    def cut(self):
        """FIN without close_notify."""
        self._quietly(self.sock.shutdown, socket.SHUT_WR)
        self.is_open = False
        self.sock.settimeout(2.0)
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        self.is_open = False
        self._quietly(self.sock.setsockopt, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait(self, seconds):
        """Stalls; True if the test is still running then."""
        return not self.origin.closing.wait(seconds)

    @staticmethod
    def _quietly(call, *arguments):
        try:
            call(*arguments)
        except OSError:
            pass


class ScriptedOrigin:
    def __init__(self, cert_file, key_file, client=("client", "secret"), on_secret=lambda value: None, host="localhost", max_tls=None,
                 port=0, bind="127.0.0.1", ciphers=None, min_tls=None):
        self.client_id, self.client_secret = client
        self.on_secret = on_secret
        self._tls_options = (cert_file, key_file, ciphers, min_tls, max_tls)
        self.forget_tickets()

        # What to do.
        self.script = answering()      # for each API request that passes the gate
        self.scripts = []              # the same, for the next requests, first one first
        self.token_script = None       # for each token call; None: grant
        self.token_scripts = []
        self.on_accept = None          # on_accept(sock) before TLS; true: it has taken the connection
        self.is_gated = True
        self.refusal = refusing()      # what the gate does
        self.expires_in = 3600

        # What happened.
        self.connections = []
        self.requests = []
        self.token_calls = []
        self.minted = []
        self.valid = set()
        self.rejected = []  # requests that the gate refused
        self.errors = []    # the proxy broke the protocol, or a script failed
        self.handshake_failures = []

        self.changed = threading.Condition()
        self.closing = threading.Event()
        self._threads = []
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._listener = socket.create_server((bind, port), family=family, backlog=512)
        self.port = self._listener.getsockname()[1]
        self.authority = "%s:%d" % (host, self.port)
        self.url = "https://" + self.authority
        self.token_url = self.url + "/oauth2/token"
        self._spawn(self._accept)

    # ---- for tests ----

    def note(self):
        with self.changed:
            self.changed.notify_all()

    def until(self, condition, seconds=PATIENCE):
        """Waits until condition() holds; False if it does not in time."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition():
                left = end - time.monotonic()
                if left <= 0 or self.closing.is_set():
                    return bool(condition())
                self.changed.wait(min(left, 0.05))
        return True

    def wait_requests(self, count, seconds=PATIENCE):
        if not self.until(lambda: len(self.requests) >= count, seconds):
            raise AssertionError("%d requests reached the origin, not %d: %r" % (len(self.requests), count, self.requests))
        return self.requests

    def revoke_all(self):
        self.valid = set()

    def mint(self):
        """A new valid token, with all the characters that a token may have."""
        token = "tk-%d.%s_~+/==" % (len(self.minted) + 1, os.urandom(8).hex())
        self.on_secret(token)
        self.minted.append(token)
        self.valid = self.valid | {token}
        return token

    def used(self):
        """The connections that carried API requests, in order."""
        return list(dict.fromkeys(request.conn for request in self.requests))

    def close(self):
        if self.closing.is_set():
            return
        self.closing.set()
        self.note()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        for conn in list(self.connections):
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(3)

    def forget_tickets(self):
        """From now on with new ticket keys, as a server that was started anew."""
        cert_file, key_file, ciphers, min_tls, max_tls = self._tls_options
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if ciphers:
            context.set_ciphers(ciphers)  # before the certificate: OpenSSL judges its strength by them
        context.load_cert_chain(cert_file, key_file)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = self._note_sni
        if min_tls:
            context.minimum_version = min_tls
        if max_tls:
            context.maximum_version = max_tls
        self.context = context

    # ---- connections ----

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _note_sni(tls, name, _context):
        tls.qp_sni = name

    def _accept(self):
        while not self.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._run, sock)

    def _run(self, sock):
        conn = None
        try:
            if self.on_accept and self.on_accept(sock):
                return
            conn = Connection(self, sock, len(self.connections) + 1)
            try:
                conn.handshake()
            except (OSError, wire.Cut) as error:
                self.handshake_failures.append(error)
                return
            with self.changed:
                conn.number = len(self.connections) + 1
                self.connections.append(conn)
            self._converse(conn)
        except wire.Cut:
            pass  # the proxy left; what that means, the test judges by what was recorded
        except (OSError, ValueError) as error:
            if conn and conn.is_open and not self.closing.is_set() and not isinstance(error,
                    (ConnectionError, TimeoutError, socket.timeout)):
                self.errors.append(error)
        except Exception as error:  # a WireError, or a fault of a script: the test fails with it
            if not self.closing.is_set():
                self.errors.append(error)
        finally:
            sock.close()
            if conn:
                conn.is_open = False
            self.note()

    def _converse(self, conn):
        while conn.is_open and not self.closing.is_set():
            head = conn.source.head(wire.RequestHead)
            conn.requests += 1
            request = Request(head, conn, conn.requests)
            script = self._choose(request)
            self.note()
            script(conn, request)
            if conn.is_open:
                conn.body(request)

    def _choose(self, request):
        with self.changed:
            if request.target.partition("?")[0] == "/oauth2/token":
                self.token_calls.append(request)
                return self.token_scripts.pop(0) if self.token_scripts else self.token_script or self.grant
            self.requests.append(request)
            if self.is_gated and request.token not in self.valid:
                self.rejected.append(request)
                return self.refusal
            return self.scripts.pop(0) if self.scripts else self.script

    # ---- the token endpoint ----

    def client_is_known(self, request):
        """By Basic, each part form-encoded (RFC 6749 section 2.3.1), or by the body; not by both."""
        basic = request.get("Authorization")
        form = request.form
        if basic is None:
            return (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)
        scheme, _, value = basic.decode("latin-1").partition(" ")
        if scheme.lower() != "basic" or "client_secret" in form:
            return False
        user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        return (urllib.parse.unquote_plus(user), urllib.parse.unquote_plus(password)) == (self.client_id, self.client_secret)

    def grant(self, conn, request):
        """The default token script: an honest token endpoint."""
        conn.body(request)
        if request.method != "POST" or request.get("Content-Type", b"").partition(b";")[0] != b"application/x-www-form-urlencoded":
            conn.answer(400, b'{"error":"invalid_request"}')
        elif not self.client_is_known(request):
            conn.answer(401, b'{"error":"invalid_client","error_description":"unknown client"}')
        elif request.form.get("grant_type") != "client_credentials":
            conn.answer(400, b'{"error":"unsupported_grant_type"}')
        else:
            self.send_token(conn)

    def send_token(self, conn, dead=False, **more):
        """Answers with a new token; keyword arguments replace or add JSON members, None removes one. dead: it is revoked before it is sent."""
        members = {"access_token": self.mint(), "token_type": "bearer", "expires_in": self.expires_in, "scope": "manage:all"}
        members.update(more)
        if dead:
            self.revoke_all()
        conn.answer(200, json.dumps({key: value for key, value in members.items() if value is not None}).encode())


# ---- scripts ----

def answering(status=200, body=FINE, fields=(), chunk=0, content_type="application/json", reason=None, end=None):
    """Reads the whole request, then gives a well-formed answer. end: "close", "cut" or "reset" behind it."""
    def script(conn, request):
        conn.body(request)
        conn.answer(status, body, fields, content_type, chunk, reason)
        if end:
            getattr(conn, end)()
    return script


def sending(data, end=None, step=0, pause=0.0):
    """Reads the whole request, then sends these bytes, whatever they are."""
    def script(conn, request):
        conn.body(request)
        if step:
            conn.send_in_steps(data, step, pause)
        else:
            conn.send(data)
        if end:
            getattr(conn, end)()
    return script


def reflecting(chunk=0):
    """Answers with the request's own body and its hash."""
    def script(conn, request):
        body = conn.body(request)
        conn.answer(200, body, [("X-Body-Hash", hashlib.sha256(body).hexdigest()), ("X-Target", request.target)],
                    "application/octet-stream", chunk)
    return script


def refusing(when="after", fields=(), close=False, body=UNRECOGNIZED, chunk=0, status=401, part=0.5):
    """A 401 before, while or after the body is read. close: Connection: close, and the end at once."""
    def script(conn, request):
        lines = list(fields) + ([("Connection", "close")] if close else [])
        if when == "after":
            conn.body(request)
        elif when == "while" and request.body is None:
            conn.take(request, int((request.length if request.framing == "length" else 65536) * part))
        conn.answer(status, body, lines, chunk=chunk)
        if close:
            conn.close()
    return script


def ending(how, after_body=True):
    """Ends the connection ("close", "cut", "reset") instead of answering."""
    def script(conn, request):
        if after_body:
            conn.body(request)
        getattr(conn, how)()
    return script


def silent(seconds=60):
    """Never answers."""
    def script(conn, request):
        conn.wait(seconds)
    return script
