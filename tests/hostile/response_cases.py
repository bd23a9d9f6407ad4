"""What origins send that is malformed, ambiguous, or only looks so."""

from cases import response

OK = b"HTTP/1.1 200 OK\r\n"
TEXT = b"Content-Type: text/plain\r\n"
CHUNKED = OK + TEXT + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SIZED = OK + TEXT + b"Content-Length: 5\r\n\r\n"
STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSTRAY"

# ---- framing ----

for name, rfc, must, lines, body in (
        ("Content-Length, then Transfer-Encoding", "9112 6.3", "either", b"Content-Length: 5\r\nTransfer-Encoding: chunked", HELLO),
        ("Transfer-Encoding, then Content-Length", "9112 6.3", "either", b"Transfer-Encoding: chunked\r\nContent-Length: 15", HELLO),
        ("length twice, equal", "9110 8.6", "either", b"Content-Length: 5\r\nContent-Length: 5", b"hello"),
        ("length twice, different", "9112 6.3", "refuse", b"Content-Length: 5\r\nContent-Length: 4", b"hello"),
        ("length in a list, equal", "9110 8.6", "either", b"Content-Length: 5, 5", b"hello"),
        ("length in a list, different", "9112 6.3", "refuse", b"Content-Length: 5, 4", b"hello"),
        ("length with +", "9112 6.3", "refuse", b"Content-Length: +5", b"hello"),
        ("length with -", "9112 6.3", "refuse", b"Content-Length: -5", b"hello"),
        ("length in hexadecimal", "9112 6.3", "refuse", b"Content-Length: 0x5", b"hello"),
        ("length is a word", "9112 6.3", "refuse", b"Content-Length: five", b"hello"),
        ("length is empty", "9112 6.3", "refuse", b"Content-Length:", b"hello"),
        ("length with a space inside", "9112 6.3", "refuse", b"Content-Length: 5 0", b"hello"),
        ("length of 2^63", "9112 6.3", "refuse", b"Content-Length: 9223372036854775808", b"hello"),
        ("length of 2^64 + 5", "9112 6.3", "refuse", b"Content-Length: 18446744073709551621", b"hello"),
        ("length with a vertical tab", "9110 5.5", "refuse", b"Content-Length: \x0b5", b"hello"),
        ("length folded", "9112 5.2", "either", b"Content-Length:\r\n 5", b"hello"),
        ("length with a space before the colon", "9112 5.1", "either", b"Content-Length : 5", b"hello"),
        ("coding: chunked twice", "9112 7.1", "refuse", b"Transfer-Encoding: chunked, chunked", HELLO),
        ("coding: chunked in two lines", "9112 7.1", "refuse", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HELLO),
        ("coding: chunked, then identity", "9112 6.3", "refuse", b"Transfer-Encoding: chunked, identity", HELLO),
        ("coding: identity", "9112 7", "refuse", b"Transfer-Encoding: identity", HELLO),
        ("coding: gzip", "9112 7", "refuse", b"Transfer-Encoding: gzip", HELLO),
        ("coding: gzip, then chunked", "9112 7", "refuse", b"Transfer-Encoding: gzip, chunked", HELLO),
        ("coding: unknown", "9112 7", "refuse", b"Transfer-Encoding: cow", HELLO),
        ("coding: xchunked", "9112 7", "refuse", b"Transfer-Encoding: xchunked", HELLO),
        ("coding: with a parameter", "9112 7", "refuse", b"Transfer-Encoding: chunked;a=b", HELLO),
        ("coding: quoted", "9112 7", "refuse", b'Transfer-Encoding: "chunked"', HELLO),
        ("coding: empty", "9112 7", "refuse", b"Transfer-Encoding:", HELLO),
        ("coding: a vertical tab before", "9110 5.5", "refuse", b"Transfer-Encoding: \x0bchunked", HELLO),
        ("coding: a space before the colon", "9112 5.1", "either", b"Transfer-Encoding : chunked", HELLO),
        ("coding: folded", "9112 5.2", "either", b"Transfer-Encoding:\r\n chunked", HELLO)):
    response(name, rfc, must, 502, OK + TEXT + lines + b"\r\n\r\n" + body, b"hello", end="close")
response("coding: in HTTP/1.0", "9112 6.1", "either", 502, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, b"hello", end="close")
response("coding: odd case", "9112 7", "forward", 200, OK + TEXT + b"transfer-ENCODING:ChunKed\r\n\r\n" + HELLO, b"hello")
response("length with leading zeros", "9110 8.6", "forward", 200, OK + TEXT + b"Content-Length: 0005\r\n\r\nhello", b"hello")

# ---- chunks and trailers ----

for name, rfc, must, chunks in (
        ("no size", "9112 7.1", "refuse", b"\r\nhello\r\n0\r\n\r\n"), ("negative size", "9112 7.1", "refuse", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("size with +", "9112 7.1", "refuse", b"+5\r\nhello\r\n0\r\n\r\n"), ("size with 0x", "9112 7.1", "refuse", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("size is no hex", "9112 7.1", "refuse", b"zz\r\nhello\r\n0\r\n\r\n"),
        ("size of 17 digits", "9112 7.1", "refuse", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size of 2^64 - 1", "9112 7.1", "refuse", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("space before the size", "9112 7.1", "refuse", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("space behind the size", "9112 7.1", "either", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("bare LF behind the size", "9112 7.1", "refuse", b"5\nhello\r\n0\r\n\r\n"),
        ("no CR LF behind the data", "9112 7.1", "refuse", b"5\r\nhello0\r\n\r\n"),
        ("bare LF behind the data", "9112 7.1", "refuse", b"5\r\nhello\n0\r\n\r\n"),
        ("data longer than its size", "9112 7.1", "refuse", b"5\r\nhello!\r\n0\r\n\r\n"),
        ("extension with a bare LF", "9112 7.1.1", "refuse", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("trailer folded", "9112 5.2", "either", b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"),
        ("trailer without a colon", "9112 5", "refuse", b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
        ("trailer with a NUL", "9110 5.5", "refuse", b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n"),
        ("trailer is Content-Length", "9110 6.5.1", "either", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n"),
        ("trailer is Transfer-Encoding", "9110 6.5.1", "either", b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("bare LF at the end", "9112 2.2", "either", b"5\r\nhello\r\n0\r\n\n")):
    response("chunk: " + name, rfc, must, 200, CHUNKED + chunks, b"hello", cut=True, end="close")
response("chunk: extension", "9112 7.1.1", "forward", 200, CHUNKED + b'5;a="b"\r\nhello\r\n0;c\r\n\r\n', b"hello")
response("chunk: plain trailer", "9110 6.5", "forward", 200, CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello")
response("chunk: trailer is Set-Cookie", "9110 6.5.1", "either", 200, CHUNKED + b"5\r\nhello\r\n0\r\nSet-Cookie: a=b\r\n\r\n", b"hello")
response("chunk: extensions of 100 KB", "9112 7.1.1", "either", 200, CHUNKED + b"5;" + b"a" * 100000 + b"\r\nhello\r\n0\r\n\r\n", b"hello", cut=True,
         end="close")

# ---- status line ----

for name, rfc, must, line in (
        ("status 000", "9110 15", "refuse", b"HTTP/1.1 000 Low"), ("status 099", "9110 15", "refuse", b"HTTP/1.1 099 Low"),
        ("status 600", "9110 15", "either", b"HTTP/1.1 600 High"), ("status 999", "9110 15", "either", b"HTTP/1.1 999 High"),
        ("status 1000", "9112 4", "refuse", b"HTTP/1.1 1000 High"), ("status 20", "9112 4", "refuse", b"HTTP/1.1 20 OK"),
        ("status 2xx", "9112 4", "refuse", b"HTTP/1.1 2xx OK"), ("status +200", "9112 4", "refuse", b"HTTP/1.1 +200 OK"),
        ("status -200", "9112 4", "refuse", b"HTTP/1.1 -200 OK"), ("no status", "9112 4", "refuse", b"HTTP/1.1 OK"),
        ("reason glued on", "9112 4", "refuse", b"HTTP/1.1 200OK"), ("two spaces before the status", "9112 4", "refuse", b"HTTP/1.1  200 OK"),
        ("a tab before the status", "9112 4", "refuse", b"HTTP/1.1\t200 OK"), ("reason with a NUL", "9112 4", "refuse", b"HTTP/1.1 200 O\0K"),
        ("reason with an escape", "9112 4", "refuse", b"HTTP/1.1 200 \x1b[2J"), ("HTTP/2.0", "9110 15.6.6", "refuse", b"HTTP/2.0 200 OK"),
        ("HTTP/1.2", "9110 6.2", "either", b"HTTP/1.2 200 OK"), ("HTTP/0.9", "9110 2.5", "refuse", b"HTTP/0.9 200 OK"),
        ("HTTP/1.10", "9112 2.3", "refuse", b"HTTP/1.10 200 OK"), ("HTTP/2", "9112 2.3", "refuse", b"HTTP/2 200"),
        ("http/1.1", "9112 2.3", "refuse", b"http/1.1 200 OK"), ("ICY", "9112 2.3", "refuse", b"ICY 200 OK"),
        ("RTSP/1.0", "9112 2.3", "refuse", b"RTSP/1.0 200 OK"), ("a request line", "9112 4", "refuse", b"GET / HTTP/1.1")):
    response("line: " + name, rfc, must, 502, line + b"\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello", end="close")
response("line: no reason", "9112 4", "forward", 200, b"HTTP/1.1 200 \r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello")
response("line: no reason and no space", "9112 4", "either", 200, b"HTTP/1.1 200\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello")
response("line: 8-bit reason", "9112 4", "forward", 200, b"HTTP/1.1 200 F\xfcr dich\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello")
response("line: status 299", "9110 15", "forward", 299, b"HTTP/1.1 299 Odd\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello")
response("line: status 599", "9110 15", "forward", 599, b"HTTP/1.1 599 Odd\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello")
for name, rfc, must, data in (
        ("HTTP/0.9 body", "9112 4", "refuse", b"<html>hello</html>\n"), ("an empty line first", "9112 4", "either", b"\r\n" + SIZED + b"hello"),
        ("a bare LF first", "9112 4", "either", b"\n" + SIZED + b"hello"), ("bare LF behind the line", "9112 2.2", "either", b"HTTP/1.1 200 OK\n" + TEXT + b"Content-Length: 5\r\n\r\nhello"),
        ("bare LF behind a line without reason", "9112 2.2", "either", b"HTTP/1.1 200\n" + TEXT + b"Content-Length: 5\r\n\r\nhello"),
        ("CR CR behind the line", "9112 2.2", "refuse", b"HTTP/1.1 200 OK\r\rX: y\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello"),
        ("bare CR in the reason", "9112 2.2", "refuse", b"HTTP/1.1 200 O\rK\r\n" + TEXT + b"Content-Length: 5\r\n\r\nhello"),
        ("TLS alert in plaintext", "9112 4", "refuse", b"\x15\x03\x01\x00\x02\x02\x28"), ("HTTP/2 frames", "9112 4", "refuse", b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64")):
    response("line: " + name, rfc, must, 502, data, b"hello", end="close")

# ---- fields ----

for name, rfc, must, lines in (
        ("folded", "9112 5.2", "either", b"X: a\r\n b\r\n"), ("space before the colon", "9112 5.1", "either", b"X : a\r\n"),
        ("no colon", "9112 5", "refuse", b"nonsense\r\n"), ("no name", "9112 5", "refuse", b": a\r\n"),
        ("name with a space", "9110 5.1", "refuse", b"X Y: a\r\n"), ("name with 8 bits", "9110 5.1", "refuse", b"X\xe4: a\r\n"),
        ("NUL", "9110 5.5", "either", b"X: a\0b\r\n"), ("control", "9110 5.5", "refuse", b"X: a\x01\r\n"),
        ("DEL", "9110 5.5", "refuse", b"X: \x7f\r\n"), ("bare LF", "9112 2.2", "either", b"X: a\nY: b\r\n"),
        ("bare CR", "9112 2.2", "either", b"X: a\rb\r\n"), ("bare CR that splits", "9112 2.2", "either", b"X: a\rSet-Cookie: evil=1\r\n"),
        ("first one indented", "9112 5.2", "refuse", b" X: a\r\n"), ("Connection with a control", "9110 5.5", "refuse", b"Connection: \x01\r\n")):
    response("field: " + name, rfc, must, 502, OK + lines + TEXT + b"Content-Length: 5\r\n\r\nhello", b"hello", end="close")
for name, lines in (("8-bit value", b"X: \xe4\r\n"), ("empty value", b"X:\r\n"), ("20 cookies", b"Set-Cookie: a=b\r\n" * 20),
                    ("Connection names Content-Type and Content-Length", b"Connection: content-length\r\n"),
                    ("Upgrade without 101", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"), ("Trailer names Content-Length", b"Trailer: Content-Length\r\n")):
    response("field: " + name, "9110 5.5", "forward", 200, OK + TEXT + lines + b"Content-Length: 5\r\n\r\nhello", b"hello")
response("field: 1 MB", "6585 5", "either", 502, OK + b"X: " + b"y" * 1000000 + b"\r\nContent-Length: 5\r\n\r\nhello", b"hello", end="close")
response("field: 20,000 of them", "6585 5", "either", 502, OK + b"X: y\r\n" * 20000 + b"Content-Length: 5\r\n\r\nhello", b"hello", end="close")

# ---- 1xx ----

response("1xx: 100 nobody asked for", "9110 15.2", "forward", 200, b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED + b"hello", b"hello")
response("1xx: 103 twice", "8297 2", "forward", 200, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + SIZED + b"hello", b"hello")
response("1xx: with a length", "9110 8.6", "either", 200, b"HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n" + SIZED + b"hello", b"hello")
response("1xx: with a coding", "9112 6.1", "either", 200, b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n" + SIZED + b"hello", b"hello")
response("1xx: with a bad length", "9112 6.3", "either", 502, b"HTTP/1.1 103 Early\r\nContent-Length: x\r\n\r\n" + SIZED + b"hello", b"hello", end="close")
response("1xx: 199", "9110 15.2", "either", 200, b"HTTP/1.1 199 Odd\r\n\r\n" + SIZED + b"hello", b"hello")
response("1xx: 101 nobody asked for", "9110 15.2.2", "refuse", 502, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + STRAY, end="close")
response("1xx: 101 without fields", "9110 15.2.2", "refuse", 502, b"HTTP/1.1 101 Switching\r\n\r\n", end="close")
response("1xx: 10,000 of them", "9110 15.2", "either", 502, b"HTTP/1.1 103 Early\r\n\r\n" * 10000 + SIZED + b"hello", b"hello", end="close")
response("1xx: and then nothing", "9112 8", "refuse", 502, b"HTTP/1.1 103 Early\r\n\r\n", end="close")

# ---- answers without a body, and bytes behind the end ----

for status in (204, 304):
    head = b"HTTP/1.1 %d Status\r\n" % status
    response("%d: with bytes behind" % status, "9112 6.3", "either", status, head + b"\r\n" + STRAY)
    response("%d: with a length and a body" % status, "9112 6.3", "either", status, head + b"Content-Length: 5\r\n\r\nhello")
    response("%d: in chunks" % status, "9112 6.3", "either", status, head + b"Transfer-Encoding: chunked\r\n\r\n" + HELLO)
response("304: with a length and no body", "9110 8.6", "forward", 304, b"HTTP/1.1 304 Status\r\nContent-Length: 500\r\n\r\n")
response("304: with an invalid length", "9112 6.3", "refuse", 502, b"HTTP/1.1 304 Status\r\nContent-Length: x\r\n\r\n", end="close")
response("HEAD: with a length and no body", "9110 9.3.2", "forward", 200, SIZED, method="HEAD")
response("HEAD: with a body", "9112 6.3", "either", 200, SIZED + b"hello", method="HEAD")
response("HEAD: with a stray answer", "9112 6.3", "either", 200, SIZED + STRAY, method="HEAD")
response("HEAD: in chunks", "9112 6.3", "either", 200, CHUNKED + HELLO, method="HEAD")
response("HEAD: chunked and no body", "9110 9.3.2", "forward", 200, CHUNKED, method="HEAD")
response("HEAD: two lengths", "9112 6.3", "refuse", 502, OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", method="HEAD", end="close")
response("205: with a body", "9110 15.3.6", "either", 205, b"HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhello")
response("205: with a length of 0", "9110 15.3.6", "forward", 205, b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n")
response("behind: a stray answer behind a length", "9112 9.2", "either", 200, SIZED + b"hello" + STRAY, b"hello")
response("behind: a stray answer behind the last chunk", "9112 9.2", "either", 200, CHUNKED + HELLO + STRAY, b"hello")
response("behind: CR LF behind a length", "9112 9.2", "either", 200, SIZED + b"hello\r\n", b"hello")
response("behind: a stray answer, a moment later", "9112 9.2", "forward", 200, SIZED + b"hello", b"hello", late=STRAY)
response("behind: a 408, a moment later", "9112 9.2", "forward", 200, SIZED + b"hello", b"hello", late=b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
response("behind: a stray answer behind a length of 0", "9112 9.2", "either", 200, OK + b"Content-Length: 0\r\n\r\n" + STRAY)

# ---- until the end of the connection, and cut ----

response("close: until close_notify", "9112 6.3", "forward", 200, OK + TEXT + b"\r\nhello", b"hello", end="close")
response("close: HTTP/1.0 until close_notify", "9112 6.3", "forward", 200, b"HTTP/1.0 200 OK\r\n" + TEXT + b"\r\nhello", b"hello", end="close")
response("close: nothing until close_notify", "9112 6.3", "forward", 200, OK + TEXT + b"\r\n", b"", end="close")
response("close: until a FIN without close_notify", "9112 9.8", "refuse", 200, OK + TEXT + b"\r\nhello", b"hello", cut=True, end="cut")
response("close: until a reset", "9112 8", "refuse", 200, OK + TEXT + b"\r\nhello", b"hello", cut=True, end="reset")
for end in ("close", "cut", "reset"):
    how = {"close": "close_notify", "cut": "FIN", "reset": "reset"}[end]
    for name, data, status in (("before a byte", b"", 502), ("in the status line", b"HTTP/1.1 20", 502), ("in a field", OK + b"Content-Le", 502),
                               ("before the empty line", OK + TEXT + b"Content-Length: 5\r\n", 502), ("before the body", SIZED, 200),
                               ("in the body", SIZED + b"hel", 200), ("before the first chunk", CHUNKED, 200), ("in a size", CHUNKED + b"5", 200),
                               ("in a chunk", CHUNKED + b"5\r\nhel", 200), ("behind a chunk", CHUNKED + b"5\r\nhello\r\n", 200),
                               ("behind the last size", CHUNKED + b"5\r\nhello\r\n0\r\n", 200),
                               ("in a trailer", CHUNKED + b"5\r\nhello\r\n0\r\nX: y", 200)):
        response("cut: %s, %s" % (name, how), "9112 8", "refuse", status, data, b"hello", cut=status == 200, end=end)
