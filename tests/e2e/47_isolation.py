"""No byte of one client's answer reaches another (P6), whatever clients and origin do at the same time.

Every request has a mark, in its target and body; the origin repeats it in a field and all through the answer's body.
"""

import collections
import random
import threading
import time

import rawclient
import wire
from harness import check_own_error, eventually, test
from scripted_origin import FINE, PATIENCE, answering

SECONDS = 8
CLIENTS = 24
STRAY = b"HTTP/1.1 200 OK\r\nX-Mark: stray\r\nContent-Length: 6\r\n\r\npoison"


class Rude:
    """An origin's script that answers with the request's mark, or misbehaves; by a seed and the mark, so that a failure can be had again."""

    def __init__(self, origin, seed):
        self.origin = origin
        self.seed = seed
        self.lock = threading.Lock()
        self.orders = collections.Counter()  # POSTs by mark that were accepted, whole or not
        self.kinds = collections.Counter()

    def __call__(self, conn, request):
        mark = request.target.rpartition("/")[2].encode()
        choice = random.Random("%d %s %d" % (self.seed, mark.decode(), conn.number))
        kinds = ["answer"] * 50 + ["stray", "record", "early", "cut", "reset", "silent_end", "close", "until_close", "old", "no_content", "slow",
                                   "slow", "informed", "informed", "revoke"]
        kind = choice.choice(kinds)
        with self.lock:
            self.kinds[kind] += 1
            if request.method == "POST" and kind != "revoke":
                self.orders[mark] += 1
        getattr(self, kind)(conn, request, mark, choice)

    def take(self, conn, request, mark):
        body = conn.body(request)
        if request.method == "POST" and body != mark * (len(body) // len(mark)):
            raise wire.WireError("the request %r came with another's body: %r" % (mark, body[:200]))

    def put(self, conn, request, mark, choice, **more):
        conn.send(self.compose(request, mark, choice, **more))

    @staticmethod
    def compose(request, mark, choice, behind=b"", status="200 OK", fields=(), whole=True, version="1.1"):
        body = mark * choice.choice((1, 3, 50, 3000))
        if choice.random() < 0.5 or version == "1.0":
            fields = [*fields, "Content-Length: %d" % len(body)]
        else:
            body, fields = wire.chunked(body, choice.choice((7, 1000, 60000))), [*fields, "Transfer-Encoding: chunked"]
        if request.method == "HEAD":
            body = b""
        elif not whole:
            body = body[:max(1, len(body) - 4)]
        return wire.message("HTTP/%s %s" % (version, status), ["X-Mark: " + mark.decode(), *fields], body + behind)

    def answer(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        self.put(conn, request, mark, choice)

    def stray(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        self.put(conn, request, mark, choice, behind=choice.choice((STRAY, b"H", b"\r\n", STRAY[:20])))
        conn.proxy_has_closed()
        conn.is_open = False

    def record(self, conn, request, mark, choice):
        """Half a TLS record with a stray answer behind the answer; the other half comes late."""
        self.take(conn, request, mark)
        send_half_a_record(conn, self.compose(request, mark, choice), STRAY, 0.05)
        conn.proxy_has_closed()
        conn.is_open = False

    def early(self, conn, request, mark, choice):
        if request.framing == "length" and request.length > 100:
            conn.take(request, 100)
        self.put(conn, request, mark, choice, status="400 Early")
        self.take(conn, request, mark)

    def cut(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        self.put(conn, request, mark, choice, whole=False)
        conn.cut()

    def reset(self, conn, request, mark, choice):
        self.put(conn, request, mark, choice, whole=False)
        conn.reset()

    def silent_end(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        conn.close()

    def close(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        self.put(conn, request, mark, choice, fields=["Connection: close"] if choice.random() < 0.5 else ())
        conn.close()

    def until_close(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        conn.send(wire.message("HTTP/1.1 200 OK", ["X-Mark: " + mark.decode()], b"" if request.method == "HEAD" else mark * 20))
        conn.close()

    def old(self, conn, request, mark, choice):
        self.take(conn, request, mark)
        self.put(conn, request, mark, choice, version="1.0")
        conn.close()

    def no_content(self, conn, request, mark, choice):
        """And a body all the same."""
        self.take(conn, request, mark)
        conn.send(wire.message("HTTP/1.1 204 No Content", ["X-Mark: " + mark.decode(), "Content-Length: 6"], b"poison"))
        conn.proxy_has_closed()
        conn.is_open = False

    def slow(self, conn, request, mark, choice):
        time.sleep(choice.random() * 0.3)
        self.answer(conn, request, mark, choice)

    def revoke(self, conn, request, mark, choice):
        """This request and all others come again with a new token."""
        self.origin.revoke_all()
        self.refuse(conn, request)

    def refuse(self, conn, request):
        self.put(conn, request, request.target.rpartition("/")[2].encode(), random.Random(conn.number), status="401 Unauthorized")
        conn.body(request)

    def informed(self, conn, request, mark, choice):
        for _ in range(choice.randrange(1, 4)):
            conn.send(wire.message("HTTP/1.1 103 Early Hints", ["X-Mark: " + mark.decode()]))
        self.answer(conn, request, mark, choice)


def send_half_a_record(conn, answer, behind, pause):
    """What is seen too late to be told from the next answer must go out with the one before."""
    with conn._send_lock:
        with conn._tls_lock:
            conn._tls.write(answer)
            records = conn._outgoing.read()
            conn._tls.write(behind)
            record = conn._outgoing.read()
        try:
            conn.sock.sendall(records + record[:20])
            time.sleep(pause)
            conn.sock.sendall(record[20:])
        except OSError:
            pass


class Clients:
    def __init__(self, env, proxy, seed):
        self.env = env
        self.proxy = proxy
        self.seed = seed
        self.until = time.monotonic() + SECONDS
        self.bad = []
        self.answered = collections.Counter()

    def run(self):
        threads = [threading.Thread(target=self.one, args=(name,)) for name in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def one(self, name):
        choice = random.Random("%d client %d" % (self.seed, name))
        number = 0
        try:
            while time.monotonic() < self.until and not self.bad:
                with self.proxy.connect(patience=PATIENCE) as client:
                    number = self.talk(client, choice, name, number)
        except Exception as error:  # also a WireError: the proxy broke the protocol
            self.bad.append("client %d: %s: %s" % (name, type(error).__name__, error))

    def talk(self, client, choice, name, number):
        """Some requests on one connection, pipelined at times; it may be left at any point."""
        for _ in range(choice.randrange(1, 8)):
            asked = []
            for _ in range(choice.choice((1, 1, 1, 2, 4))):
                number += 1
                asked.append((choice.choice(("GET", "GET", "POST", "POST", "HEAD", "PUT")), b"<%d.%d>" % (name, number)))
            data = b"".join(self.request(choice, method, mark) for method, mark in asked)
            if choice.random() < 0.1:
                client.send(data[:choice.randrange(len(data))])
                client.abort()
                return number
            try:
                client.send(data)
            except OSError:  # an answer that came early has ended the connection
                pass
            if not all(self.take(client, choice, method, mark) for method, mark in asked):
                return number
        return number

    @staticmethod
    def request(choice, method, mark):
        body = mark * choice.choice((1, 10, 2000)) if method in ("POST", "PUT") else None
        return rawclient.request_bytes(method, "/API/v3/" + mark.decode().strip("<>"), body=body and body.replace(b"<", b"").replace(b">", b""),
                                       chunked=choice.random() < 0.5)

    def take(self, client, choice, method, mark):
        """Reads one answer, or a part of it; false when the connection is of no use any more."""
        mark = mark.strip(b"<>")
        if choice.random() < 0.03:
            client.abort()
            return False
        try:
            response = client.response(method, cut_allowed=True)
        except (wire.Cut, ConnectionError):
            return False
        self.answered[response.status] += 1
        for head in [*response.informed, response.head]:
            if head.get("X-Mark") != mark and head.get("X-Qproxy-Error") is None and head.status != 100:
                self.bad.append("%s %r was answered %r" % (method, mark, head.raw))
        if response.get("X-Qproxy-Error") is None and response.body != (mark * (len(response.body) // len(mark) + 1))[:len(response.body)]:
            self.bad.append("%s %r got %r" % (method, mark, response.body[:200]))
        return not response.cut and response.keeps_alive


@test("P6", limit=60, threads=True)
def every_byte_belongs_to_the_request_that_it_answers(env, seed=4711):
    origin = env.origin()
    rude = Rude(origin, seed)
    origin.script = rude
    origin.refusal = rude.refuse
    proxy = env.proxy(origin, limits={"origin_connections": 12}, workers=1)
    clients = Clients(env, proxy, seed)
    clients.run()
    assert not clients.bad, clients.bad[:5]
    twice = {mark: count for mark, count in rude.orders.items() if count > 1}
    assert not twice, "carried out more than once: %r" % twice
    assert len(rude.kinds) == 14 and clients.answered[200] > 200, (rude.kinds, clients.answered)
    origin.script = answering()
    eventually(lambda: proxy.exchange().body == FINE)


@test("P6", cases={"GET": "GET", "POST": "POST"})
def the_beginning_of_a_record_behind_an_answer_ends_its_connection(env, method):
    """What is sealed in it cannot be seen yet, and would be the next request's answer."""
    origin = env.origin()
    proxy = env.proxy(origin)
    assert proxy.exchange().body == FINE

    def script(conn, request):
        conn.body(request)
        send_half_a_record(conn, wire.message("HTTP/1.1 200 OK", ["Content-Length: %d" % len(FINE)], FINE), STRAY, 0.6)
        conn.proxy_has_closed()
        conn.is_open = False
    origin.scripts = [script]
    with proxy.connect() as client:
        client.request()
        assert client.response().body == FINE
        time.sleep(0.2)
        client.request(method, "/API/v3/next", body=b"x" if method == "POST" else None)
        response = client.response()
        assert (response.status, response.body) == (200, FINE), response
    assert origin.requests[-1].conn is not origin.requests[-2].conn
    check_own_error(proxy.exchange("TRACE"), 405)
