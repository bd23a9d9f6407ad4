"""The soak's second origin: one that misbehaves, as the path of each request asks it to.

A body that it gives is made from the request's id, so that the client knows each byte of it, also of a part. It checks the
hash that the client announced of the request's body, counts what it saw, and issues its own tokens.
"""
import asyncio
import collections
import hashlib
import json
import os
import random
import socket
import ssl
import struct
import urllib.parse

MALFORMED = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"\x16\x03\x01 no http at all\r\n\r\n",
)


def body_of(ident, size):
    return random.Random(ident).randbytes(size)


class Request:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, target, _ = lines[0].split(" ", 2)
        path, _, query = target.partition("?")
        self.kind = path.rpartition("/")[2]
        self.query = dict(urllib.parse.parse_qsl(query))
        self.fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        self.ident = self.query.get("id", "")
        self.size = int(self.query.get("n", 0))
        self.body = None


class Wild:
    """`start()` binds; `close()` ends."""

    def __init__(self, cert, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.valid = set()
        self.heads = 0        # requests, token calls apart
        self.token_calls = 0
        self.rejected = 0
        self.mismatched = []  # ids of requests whose body was not what the client announced
        self.acted_on = collections.Counter()  # POSTs that came whole with a good token, by id
        self.tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context, limit=1 << 17)
        self.url = "https://localhost:%d" % self.server.sockets[0].getsockname()[1]

    async def close(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def revoke(self):
        self.valid.clear()

    def repeated_posts(self):
        return [ident for ident, count in self.acted_on.items() if count > 1]

    # ---- a connection ----

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            while not writer.is_closing():
                request = Request(await reader.readuntil(b"\r\n\r\n"))
                await self._answer(reader, writer, request)
                if request.body is None and not writer.is_closing():
                    await self._read_body(reader, request)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self.tasks.discard(task)
            writer.transport.abort()

    async def _read_body(self, reader, request):
        pieces = []
        if "transfer-encoding" in request.fields:
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                if size == 0:
                    await reader.readuntil(b"\r\n")
                    break
                pieces.append((await reader.readexactly(size + 2))[:-2])
        else:
            pieces.append(await reader.readexactly(int(request.fields.get("content-length", 0))))
        request.body = b"".join(pieces)
        announced = request.fields.get("x-soak-sha256")
        if announced and hashlib.sha256(request.body).hexdigest() != announced:
            self.mismatched.append(request.ident)

    async def _answer(self, reader, writer, request):
        if request.kind == "token":
            await self._read_body(reader, request)
            self.token_calls += 1
            token = os.urandom(12).hex()
            self.valid.add(token)
            return await self._send(writer, 200, json.dumps({"access_token": token, "token_type": "bearer", "expires_in": 3600}).encode())
        self.heads += 1
        is_known = request.fields.get("authorization", "").rpartition(" ")[2] in self.valid
        if not is_known or request.kind == "denied":
            self.rejected += 1
            await self._read_body(reader, request)
            return await self._send(writer, 401, b'{"meta":{"denied":"%s"}}' % request.ident.encode(), request)
        if not request.kind.startswith("early"):
            await self._read_body(reader, request)
            self.acted_on[request.ident] += request.method == "POST"
        await getattr(self, "_do_" + request.kind)(writer, request)

    @staticmethod
    async def _send(writer, status, body, request=None, chunked=False, fields="", part=None, behind=b""):
        """part: only so many bytes of the body, and no end."""
        head = "HTTP/1.1 %d Soak\r\nX-Soak-Id: %s\r\n%s" % (status, request.ident if request else "", fields)
        head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else "Content-Length: %d\r\n\r\n" % len(body)
        given = body if part is None else body[:part]
        if request and request.method == "HEAD":
            given, chunked = b"", False
        if chunked:
            step = 1 + len(request.ident) * 997
            pieces = [given[at:at + step] for at in range(0, len(given), step)]
            given = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if part is None else b"")
        writer.write(head.encode() + given + behind)
        await writer.drain()

    def _is_chunked(self, request):
        return request.query.get("chunked") == "1"

    @staticmethod
    def _reset(writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    # ---- what it does, by the last part of the path ----

    async def _do_echo(self, writer, request):
        await self._send(writer, 200, body_of(request.ident, request.size), request, self._is_chunked(request))

    async def _do_slow(self, writer, request):
        await asyncio.sleep(0.1 + request.size % 7 / 10)
        await self._do_echo(writer, request)

    async def _do_inform(self, writer, request):
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._do_echo(writer, request)

    async def _do_drip(self, writer, request):
        body = body_of(request.ident, request.size)
        await self._send(writer, 200, body, request, part=0)
        for at in range(0, len(body) if request.method != "HEAD" else 0, 1 + len(body) // 10):
            writer.write(body[at:at + 1 + len(body) // 10])
            await writer.drain()
            await asyncio.sleep(0.02)

    async def _do_extra(self, writer, request):
        """Bytes that nobody asked for, in the record that ends the answer: later ones could not be told from the next answer."""
        poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Soak-Id: nobody\r\n\r\npoison"
        await self._send(writer, 200, body_of(request.ident, request.size), request, self._is_chunked(request), behind=poison)

    async def _do_stale(self, writer, request):
        await self._do_echo(writer, request)
        await asyncio.sleep(request.size % 5 / 1000)
        writer.transport.abort()

    async def _do_cut(self, writer, request):
        await self._send(writer, 200, body_of(request.ident, request.size), request, self._is_chunked(request), part=request.size // 2)
        writer.transport.abort()

    async def _do_reset(self, writer, request):
        await self._send(writer, 200, body_of(request.ident, request.size), request, self._is_chunked(request), part=request.size // 2)
        await asyncio.sleep(0.01)
        self._reset(writer)

    async def _do_stall(self, writer, request):
        await self._send(writer, 200, body_of(request.ident, request.size), request, self._is_chunked(request), part=request.size // 2)
        if request.method != "HEAD":
            await asyncio.sleep(60)

    async def _do_none(self, writer, request):
        self._reset(writer)

    async def _do_silent(self, writer, request):
        await asyncio.sleep(60)

    async def _do_malformed(self, writer, request):
        writer.write(MALFORMED[request.size % len(MALFORMED)])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async def _do_early(self, writer, request):
        await self._do_echo(writer, request)

    async def _do_earlyclose(self, writer, request):
        await self._send(writer, 413, b"too much", request, fields="Connection: close\r\n")
        await asyncio.sleep(0.05)
        writer.transport.abort()
