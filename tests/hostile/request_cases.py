"""What clients send that is malformed, ambiguous, or only looks so."""

from cases import request

X = b"/API/v3/x"
HOST = b"Host: localhost\r\n"
GET = b"GET " + X + b" HTTP/1.1\r\n"
PLAIN = GET + HOST + b"\r\n"
POST = b"POST " + X + b" HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /API/v3/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"

READ_GET = ("GET", "/API/v3/x", b"")
READ_POST = ("POST", "/API/v3/x", b"hello")
READ_EMPTY = ("POST", "/API/v3/x", b"")
READ_SMUGGLED = ("GET", "/API/v3/smuggled", b"")

# ---- Content-Length and Transfer-Encoding ----

request("Content-Length, then Transfer-Encoding", "9112 6.3", "either", 400,
        POST + b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, [READ_POST])
request("Transfer-Encoding, then Content-Length", "9112 6.3", "either", 400,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n" + HELLO, [READ_POST])
request("both, the length ends inside the chunks (CL.TE)", "9112 6.3", "either", 400,
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, [READ_POST])
request("both, a request behind the last chunk (TE.CL)", "9112 6.3", "either", 400,
        POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(SMUGGLED)) + SMUGGLED, [READ_EMPTY])
request("both, with a length of 0", "9112 6.3", "either", 400,
        POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, [READ_POST])
request("both, with an unknown coding", "9112 6.3", "refuse", 400,
        POST + b"Content-Length: 5\r\nTransfer-Encoding: cow\r\n\r\nhello")
request("both, with an invalid length", "9112 6.3", "refuse", 400,
        POST + b"Content-Length: five\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO)
request("both in HTTP/1.0", "9112 6.1", "refuse", 400,
        b"POST " + X + b" HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello")
request("Transfer-Encoding in HTTP/1.0", "9112 6.1", "either", 400,
        b"POST " + X + b" HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + HELLO, [READ_POST])
request("Transfer-Encoding in HTTP/1.0 with keep-alive", "9112 6.1", "either", 400,
        b"POST " + X + b" HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, [READ_POST])
request("Content-Length in HTTP/1.0", "9112 6.2", "forward", 200,
        b"POST " + X + b" HTTP/1.0\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", [READ_POST], closed=True)

# ---- Content-Length ----

for name, rfc, must, lines, reads in (
        ("twice, equal", "9110 8.6", "either", b"Content-Length: 5\r\nContent-Length: 5", [READ_POST]),
        ("twice, different", "9112 6.3", "refuse", b"Content-Length: 5\r\nContent-Length: 4", []),
        ("twice, the second 0", "9112 6.3", "refuse", b"Content-Length: 5\r\nContent-Length: 0", []),
        ("twice, in other case", "9110 8.6", "either", b"Content-Length: 5\r\ncontent-length: 5", [READ_POST]),
        ("three times, equal", "9110 8.6", "either", b"Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 5", [READ_POST]),
        ("a list of equal numbers", "9110 8.6", "either", b"Content-Length: 5, 5", [READ_POST]),
        ("a list of different numbers", "9112 6.3", "refuse", b"Content-Length: 5, 4", []),
        ("a list with an empty element", "9112 6.3", "either", b"Content-Length: 5,", [READ_POST]),
        ("signed with +", "9110 8.6", "refuse", b"Content-Length: +5", []),
        ("signed with -", "9110 8.6", "refuse", b"Content-Length: -5", []),
        ("-0", "9110 8.6", "refuse", b"Content-Length: -0", []),
        ("hexadecimal", "9110 8.6", "refuse", b"Content-Length: 0x5", []),
        ("hexadecimal digit", "9110 8.6", "refuse", b"Content-Length: a", []),
        ("with an underscore", "9110 8.6", "refuse", b"Content-Length: 0_5", []),
        ("with a fraction", "9110 8.6", "refuse", b"Content-Length: 5.0", []),
        ("with an exponent", "9110 8.6", "refuse", b"Content-Length: 5e0", []),
        ("a space inside", "9110 8.6", "refuse", b"Content-Length: 5 0", []),
        ("a tab inside", "9110 8.6", "refuse", b"Content-Length: 5\t0", []),
        ("quoted", "9110 8.6", "refuse", b'Content-Length: "5"', []),
        ("empty", "9110 8.6", "refuse", b"Content-Length:", []),
        ("only spaces", "9110 8.6", "refuse", b"Content-Length:   ", []),
        ("a word", "9110 8.6", "refuse", b"Content-Length: five", []),
        ("8-bit digits", "9110 8.6", "refuse", b"Content-Length: \xd9\xa5", []),
        ("with a NUL", "9110 5.5", "refuse", b"Content-Length: 5\0", []),
        ("with a vertical tab", "9110 5.5", "refuse", b"Content-Length: \x0b5", []),
        ("2^63", "9110 8.6", "refuse", b"Content-Length: 9223372036854775808", []),
        ("2^64 + 5", "9110 8.6", "refuse", b"Content-Length: 18446744073709551621", []),
        ("2^32 + 5 as 30 digits of overflow", "9110 8.6", "refuse", b"Content-Length: 340282366920938463463374607431768211461", []),
        ("folded", "9112 5.2", "either", b"Content-Length:\r\n 5", [READ_POST]),
        ("a space before the colon", "9112 5.1", "refuse", b"Content-Length : 5", []),
        ("a tab before the colon", "9112 5.1", "refuse", b"Content-Length\t: 5", []),
        ("a CR before the colon", "9112 2.2", "refuse", b"Content-Length\r: 5", [])):
    request("Content-Length: " + name, rfc, must, 400, POST + lines + b"\r\n\r\nhello", reads)
request("Content-Length: leading zeros", "9110 8.6", "forward", 200, POST + b"Content-Length: 0005\r\n\r\nhello", [READ_POST])
request("Content-Length: spaces around", "9110 5.5", "forward", 200, POST + b"Content-Length: \t 5 \t\r\n\r\nhello", [READ_POST])
request("Content_Length is another field", "9110 5.1", "forward", (200, 200),
        POST + b"Content_Length: 5\r\nContent-Length: 0\r\n\r\n" + PLAIN, [READ_EMPTY, READ_GET])

# ---- Transfer-Encoding ----

for name, rfc, must, status, lines, reads in (
        ("chunked twice in a list", "9112 7.1", "refuse", 400, b"Transfer-Encoding: chunked, chunked", []),
        ("chunked twice in two lines", "9112 7.1", "refuse", 400, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", []),
        ("chunked, then gzip", "9112 6.3", "refuse", 400, b"Transfer-Encoding: chunked, gzip", []),
        ("chunked, then identity", "9112 6.3", "refuse", 400, b"Transfer-Encoding: chunked, identity", []),
        ("chunked, then a line with nonsense", "9112 6.3", "refuse", 400, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", []),
        ("identity", "9112 7", "refuse", 400, b"Transfer-Encoding: identity", []),
        ("identity, then chunked", "9112 7", "refuse", 400, b"Transfer-Encoding: identity, chunked", []),
        ("gzip", "9112 6.3", "refuse", 501, b"Transfer-Encoding: gzip", []),
        ("gzip, then chunked", "9112 6.1", "refuse", 501, b"Transfer-Encoding: gzip, chunked", []),
        ("compress, then chunked", "9112 6.1", "refuse", 501, b"Transfer-Encoding: compress, chunked", []),
        ("deflate and chunked in two lines", "9112 6.1", "refuse", 501, b"Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked", []),
        ("unknown", "9112 6.1", "refuse", 400, b"Transfer-Encoding: cow", []),
        ("unknown, then chunked", "9112 6.1", "refuse", 400, b"Transfer-Encoding: cow, chunked", []),
        ("xchunked", "9112 6.1", "refuse", 400, b"Transfer-Encoding: xchunked", []),
        ("chunkedx", "9112 6.1", "refuse", 400, b"Transfer-Encoding: chunkedx", []),
        ("with a parameter", "9112 7", "refuse", 400, b"Transfer-Encoding: chunked;a=b", []),
        ("with an empty parameter", "9112 7", "refuse", 400, b"Transfer-Encoding: chunked;", []),
        ("with a weight", "9112 7", "refuse", 400, b"Transfer-Encoding: chunked;q=1", []),
        ("quoted", "9112 7", "refuse", 400, b'Transfer-Encoding: "chunked"', []),
        ("in single quotes", "9112 7", "refuse", 400, b"Transfer-Encoding: 'chunked'", []),
        ("an empty element before", "9110 5.6.1", "either", 400, b"Transfer-Encoding: , chunked", [READ_POST]),
        ("an empty element behind", "9110 5.6.1", "either", 400, b"Transfer-Encoding: chunked,", [READ_POST]),
        ("an empty line beside it", "9110 5.6.1", "either", 400, b"Transfer-Encoding:\r\nTransfer-Encoding: chunked", [READ_POST]),
        ("empty", "9112 6.1", "refuse", 400, b"Transfer-Encoding:", []),
        ("a vertical tab before", "9110 5.5", "refuse", 400, b"Transfer-Encoding: \x0bchunked", []),
        ("a form feed behind", "9110 5.5", "refuse", 400, b"Transfer-Encoding: chunked\x0c", []),
        ("a NUL behind", "9110 5.5", "refuse", 400, b"Transfer-Encoding: chunked\0", []),
        ("a no-break space before", "9112 7", "refuse", 400, b"Transfer-Encoding: \xa0chunked", []),
        ("a dotless capital", "9112 7", "refuse", 400, b"Transfer-Encoding: chun\xe2\x84\xaaed", []),
        ("folded", "9112 5.2", "either", 400, b"Transfer-Encoding:\r\n chunked", [READ_POST]),
        ("a space before the colon", "9112 5.1", "refuse", 400, b"Transfer-Encoding : chunked", []),
        ("hidden behind a bare LF", "9112 2.2", "either", 400, b"X: y\nTransfer-Encoding: chunked", [READ_POST]),
        ("hidden behind a bare CR", "9112 2.2", "refuse", 400, b"X: y\rTransfer-Encoding: chunked", [])):
    request("Transfer-Encoding: " + name, rfc, must, status, POST + lines + b"\r\n\r\n" + HELLO, reads)
request("Transfer-Encoding: odd case", "9112 7", "forward", 200, POST + b"TRANSFER-encoding:cHuNkEd\r\n\r\n" + HELLO, [READ_POST])
request("Transfer_Encoding is another field", "9110 5.1", "forward", 200,
        POST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", [READ_POST])

# ---- chunks ----

for name, rfc, must, chunks, reads in (
        ("no size", "9112 7.1", "refuse", b"\r\nhello\r\n0\r\n\r\n", []),
        ("size with a sign", "9112 7.1", "refuse", b"+5\r\nhello\r\n0\r\n\r\n", []),
        ("negative size", "9112 7.1", "refuse", b"-5\r\nhello\r\n0\r\n\r\n", []),
        ("size with 0x", "9112 7.1", "refuse", b"0x5\r\nhello\r\n0\r\n\r\n", []),
        ("size with an underscore", "9112 7.1", "refuse", b"0_5\r\nhello\r\n0\r\n\r\n", []),
        ("size is no hex", "9112 7.1", "refuse", b"g\r\nhello\r\n0\r\n\r\n", []),
        ("size quoted", "9112 7.1", "refuse", b'"5"\r\nhello\r\n0\r\n\r\n', []),
        ("size of 17 digits", "9112 7.1", "refuse", b"10000000000000005\r\nhello\r\n0\r\n\r\n", []),
        ("size of 2^64 - 1", "9112 7.1", "refuse", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", []),
        ("size of 2^63", "9112 7.1", "refuse", b"8000000000000000\r\nhello\r\n0\r\n\r\n", []),
        ("space before the size", "9112 7.1", "refuse", b" 5\r\nhello\r\n0\r\n\r\n", []),
        ("space behind the size", "9112 7.1", "either", b"5 \r\nhello\r\n0\r\n\r\n", [READ_POST]),
        ("tab behind the size", "9112 7.1", "either", b"5\t\r\nhello\r\n0\r\n\r\n", [READ_POST]),
        ("NUL behind the size", "9112 7.1", "refuse", b"5\0\r\nhello\r\n0\r\n\r\n", []),
        ("comma behind the size", "9112 7.1", "refuse", b"5,5\r\nhello\r\n0\r\n\r\n", []),
        ("bare LF behind the size", "9112 7.1", "refuse", b"5\nhello\r\n0\r\n\r\n", []),
        ("bare CR behind the size", "9112 2.2", "refuse", b"5\rhello\r\n0\r\n\r\n", []),
        ("CR CR LF behind the size", "9112 2.2", "refuse", b"5\r\r\nhello\r\n0\r\n\r\n", []),
        ("no CR LF behind the data", "9112 7.1", "refuse", b"5\r\nhello0\r\n\r\n", []),
        ("bare LF behind the data", "9112 7.1", "refuse", b"5\r\nhello\n0\r\n\r\n", []),
        ("bare CR behind the data", "9112 2.2", "refuse", b"5\r\nhello\r0\r\n\r\n", []),
        ("data longer than its size", "9112 7.1", "refuse", b"5\r\nhello!\r\n0\r\n\r\n", []),
        ("data shorter than its size", "9112 7.1", "refuse", b"6\r\nhello\r\n0\r\n\r\n", []),
        ("two CR LF behind the data", "9112 7.1", "refuse", b"5\r\nhello\r\n\r\n0\r\n\r\n", []),
        ("bare LF behind the last size", "9112 7.1", "refuse", b"5\r\nhello\r\n0\n\r\n", []),
        ("bare LF at the end", "9112 2.2", "either", b"5\r\nhello\r\n0\r\n\n", [READ_POST]),
        ("CR without LF at the end", "9112 2.2", "refuse", b"5\r\nhello\r\n0\r\n\rX", []),
        ("extension with a bare LF", "9112 7.1.1", "refuse", b"5;a\nb\r\nhello\r\n0\r\n\r\n", []),
        ("extension with a bare CR", "9112 7.1.1", "refuse", b"5;a\rb\r\nhello\r\n0\r\n\r\n", []),
        ("extension with a control", "9112 7.1.1", "refuse", b"5;a\x01\r\nhello\r\n0\r\n\r\n", []),
        ("extension with a NUL", "9112 7.1.1", "refuse", b"5;a\0\r\nhello\r\n0\r\n\r\n", []),
        ("extension with a quoted DEL", "9110 5.6.4", "refuse", b'5;a="\x7f"\r\nhello\r\n0\r\n\r\n', []),
        ("extension with an open quote", "9112 7.1.1", "refuse", b'5;a="b\r\nhello\r\n0\r\n\r\n', []),
        ("extension with a quoted LF", "9112 7.1.1", "refuse", b'5;a="\n"\r\nhello\r\n0\r\n\r\n', []),
        ("extension without a name", "9112 7.1.1", "either", b"5;\r\nhello\r\n0\r\n\r\n", [READ_POST]),
        ("extension of 20 KB", "9112 7.1.1", "either", b"5;" + b"a" * 20000 + b"\r\nhello\r\n0\r\n\r\n", [READ_POST]),
        ("size of 20,000 zeros and a 5", "9112 7.1", "either", b"0" * 20000 + b"5\r\nhello\r\n0\r\n\r\n", [READ_POST]),
        ("spaces around an extension", "9112 7.1.1", "either", b"5 ; a = b\r\nhello\r\n0\r\n\r\n", [READ_POST])):
    request("chunk: " + name, rfc, must, 400, CHUNKED + chunks, reads, cut=True)
for name, chunks in (
        ("leading zeros", b"0005\r\nhello\r\n000\r\n\r\n"),
        ("upper and lower case", b"1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n"),
        ("extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("extension with a quoted CR LF-less text", b'5;a="b;c"\r\nhello\r\n0;last\r\n\r\n'),
        ("extension without a value", b"5;a\r\nhello\r\n0\r\n\r\n")):
    request("chunk: " + name, "9112 7.1", "forward", 200, CHUNKED + chunks, [READ_POST], lacks=[b";a"])
request("chunk: behind the last one a request", "9112 9.3.2", "forward", (200, 200), CHUNKED + HELLO + SMUGGLED, [READ_POST, READ_SMUGGLED])
request("chunk: behind the last one a bad request", "9112 9.3.2", "refuse", (200, 400), CHUNKED + HELLO + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        before=[READ_POST])

# ---- trailers ----

for name in ("Content-Length: 3", "Transfer-Encoding: chunked", "Host: evil", "Authorization: Bearer evil", "X-API-TOKEN: evil",
             "Proxy-Authorization: Basic evil", "Connection: close", "Trailer: X", "TE: trailers", "Expect: 100-continue", "Upgrade: h2c",
             "Keep-Alive: timeout=5"):
    field = name.encode()
    request("trailer: %s" % name.partition(":")[0], "9110 6.5.1", "either", 400, CHUNKED + b"5\r\nhello\r\n0\r\n" + field + b"\r\n\r\n",
            [READ_POST], lacks=[b"evil"], cut=True)
for name in ("Content-Type: evil", "Cookie: evil", "Content-Encoding: evil"):
    request("trailer: %s" % name.partition(":")[0], "9110 6.5.1", "either", 200,
            CHUNKED + b"5\r\nhello\r\n0\r\n" + name.encode() + b"\r\n\r\n", [READ_POST], lacks=[b"evil"])
request("trailer: plain", "9110 6.5", "forward", 200, CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", [READ_POST])
request("trailer: named by Connection", "9110 7.6.1", "forward", 200,
        POST + b"Connection: X-Evil\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Evil: 1\r\n\r\n", [READ_POST], lacks=[b"x-evil"])
for name, rfc, must, lines, reads in (
        ("folded", "9112 5.2", "either", b"X: a\r\n b\r\n", [READ_POST]),
        ("a space before the colon", "9112 5.1", "refuse", b"X : a\r\n", []),
        ("no colon", "9112 5", "refuse", b"nonsense\r\n", []),
        ("no name", "9112 5", "refuse", b": a\r\n", []),
        ("a leading space", "9112 5.2", "refuse", b" X: a\r\n", []),
        ("a NUL", "9110 5.5", "refuse", b"X: a\0b\r\n", []),
        ("a bare LF", "9112 2.2", "either", b"X: a\n", [READ_POST]),
        ("a bare CR", "9112 2.2", "refuse", b"X: a\rb: c\r\n", []),
        ("a start line", "9112 5", "refuse", b"GET /API/v3/smuggled HTTP/1.1\r\nHost: localhost\r\n", [])):
    request("trailer: " + name, rfc, must, 400, CHUNKED + b"5\r\nhello\r\n0\r\n" + lines + b"\r\n", reads, cut=True)
request("trailer: 300 of them", "6585 5", "either", 431, CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 300 + b"\r\n", [READ_POST], cut=True)
request("trailer: 70 KB", "6585 5", "either", 431, CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"y" * 70000 + b"\r\n\r\n", [READ_POST], cut=True)

# ---- lines, spaces, controls ----

for name, rfc, must, data, reads in (
        ("bare LF behind the start line", "9112 2.2", "either", b"GET " + X + b" HTTP/1.1\n" + HOST + b"\r\n", [READ_GET]),
        ("bare CR behind the start line", "9112 2.2", "refuse", b"GET " + X + b" HTTP/1.1\r" + HOST + b"\r\n", []),
        ("CR CR LF behind the start line", "9112 2.2", "refuse", b"GET " + X + b" HTTP/1.1\r\r\n" + HOST + b"\r\n", []),
        ("bare CR in the start line", "9112 2.2", "refuse", b"GET\r" + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("bare LF behind a field", "9112 2.2", "either", GET + b"Host: localhost\n\r\n", [READ_GET]),
        ("bare LF everywhere", "9112 2.2", "either", b"GET " + X + b" HTTP/1.1\nHost: localhost\n\n", [READ_GET]),
        ("bare LF instead of the empty line", "9112 2.2", "either", GET + HOST + b"\n", [READ_GET]),
        ("bare CR instead of the empty line", "9112 2.2", "refuse", GET + HOST + b"\rX: y\r\n\r\n", []),
        ("bare CR inside a field", "9112 2.2", "either", GET + HOST + b"X: a\rb\r\n\r\n", [READ_GET]),
        ("bare CR at the end of a field", "9112 2.2", "either", GET + HOST + b"X: a\r\r\n\r\n", [READ_GET]),
        ("LF CR behind a field", "9112 2.2", "either", GET + b"Host: localhost\n\r\n\r", [READ_GET]),
        ("space before a colon", "9112 5.1", "refuse", GET + HOST + b"X : y\r\n\r\n", []),
        ("tab before a colon", "9112 5.1", "refuse", GET + HOST + b"X\t: y\r\n\r\n", []),
        ("space before Host's colon", "9112 5.1", "refuse", GET + b"Host : localhost\r\n\r\n", []),
        ("folded with a space", "9112 5.2", "either", GET + HOST + b"X: a\r\n b\r\n\r\n", [READ_GET]),
        ("folded with a tab", "9112 5.2", "either", GET + HOST + b"X: a\r\n\tb\r\n\r\n", [READ_GET]),
        ("folded to nothing", "9112 5.2", "either", GET + HOST + b"X: a\r\n \r\n\r\n", [READ_GET]),
        ("folded Host", "9112 5.2", "either", GET + b"Host:\r\n localhost\r\n\r\n", [READ_GET]),
        ("whitespace line behind the start line", "9112 2.2", "either", GET + b" \r\n" + HOST + b"\r\n", [READ_GET]),
        ("first field indented", "9112 2.2", "refuse", GET + b" " + HOST + b"\r\n", []),
        ("first field indented, a good Host behind", "9112 2.2", "either", GET + b" Host: evil\r\n" + HOST + b"\r\n", [READ_GET]),
        ("no colon", "9112 5", "refuse", GET + HOST + b"nonsense\r\n\r\n", []),
        ("no name", "9112 5", "refuse", GET + HOST + b": y\r\n\r\n", []),
        ("name with a space", "9110 5.1", "refuse", GET + HOST + b"X Y: z\r\n\r\n", []),
        ("name with a separator", "9110 5.1", "refuse", GET + HOST + b"X(Y): z\r\n\r\n", []),
        ("name with a slash", "9110 5.1", "refuse", GET + HOST + b"X/Y: z\r\n\r\n", []),
        ("name in quotes", "9110 5.1", "refuse", GET + HOST + b'"X": z\r\n\r\n', []),
        ("name with 8 bits", "9110 5.1", "refuse", GET + HOST + b"X\xe4: z\r\n\r\n", []),
        ("name with a NUL", "9110 5.1", "refuse", GET + HOST + b"X\0: z\r\n\r\n", []),
        ("name with a control", "9110 5.1", "refuse", GET + HOST + b"X\x1f: z\r\n\r\n", []),
        ("name with a DEL", "9110 5.1", "refuse", GET + HOST + b"X\x7f: z\r\n\r\n", []),
        ("value with a NUL", "9110 5.5", "refuse", GET + HOST + b"X: a\0b\r\n\r\n", []),
        ("value with a control", "9110 5.5", "refuse", GET + HOST + b"X: a\x01b\r\n\r\n", []),
        ("value with an escape", "9110 5.5", "refuse", GET + HOST + b"X: \x1b[2J\r\n\r\n", []),
        ("value with a DEL", "9110 5.5", "refuse", GET + HOST + b"X: a\x7f\r\n\r\n", []),
        ("value with a vertical tab", "9110 5.5", "refuse", GET + HOST + b"X: a\x0bb\r\n\r\n", []),
        ("Connection with a control", "9110 5.5", "refuse", GET + HOST + b"Connection: close\x01\r\n\r\n", []),
        ("Connection with a NUL", "9110 5.5", "refuse", GET + HOST + b"Connection: \0close\r\n\r\n", []),
        ("Upgrade with a control", "9110 5.5", "refuse", GET + HOST + b"Upgrade: x\x02\r\n\r\n", [])):
    request("field: " + name, rfc, must, 400, data, reads)
for name, lines in (("8-bit value", b"X: \xe4\xf6\xfc\r\n"), ("tab in a value", b"X: a\tb\r\n"), ("no space behind the colon", b"X:y\r\n"),
                    ("spaces around a value", b"X:  \t y \t\r\n"), ("empty value", b"X:\r\n"), ("odd but good name", b"!#$%&'*+-.^_`|~9: y\r\n"),
                    ("colons in a value", b"X: a: b: c\r\n"), ("the same name 80 times", b"X: y\r\n" * 80),
                    ("Connection names Host and Authorization", b"Connection: host, authorization, content-length, via\r\n"),
                    ("Connection with empty elements", b"Connection: ,, ,keep-alive,,\r\n")):
    request("field: " + name, "9110 5.5", "forward", 200, GET + HOST + lines + b"\r\n", [READ_GET])
request("field: a client's credentials", "DESIGN P1", "forward", 200,
        GET + HOST + b"X-Api-Token: evil\r\nauthorization: Bearer evil\r\nProxy-Authorization: evil\r\n\r\n", [READ_GET])
request("field: one named by Connection", "9110 7.6.1", "forward", 200, GET + HOST + b"Connection: X-Evil\r\nx-evil: 1\r\n\r\n", [READ_GET],
        lacks=[b"x-evil"])

# ---- before the start line ----

request("start: an empty line", "9112 2.2", "forward", 200, b"\r\n" + PLAIN, [READ_GET])
request("start: two empty lines", "9112 2.2", "either", 200, b"\r\n\r\n" + PLAIN, [READ_GET])
for name, rfc, must, status, data, reads in (
        ("three empty lines", "9112 2.2", "either", 400, b"\r\n" * 3 + PLAIN, [READ_GET]),
        ("10,000 empty lines", "9112 2.2", "either", 400, b"\r\n" * 10000 + PLAIN, [READ_GET]),
        ("a bare LF before", "9112 2.2", "either", 400, b"\n" + PLAIN, [READ_GET]),
        ("a bare CR before", "9112 2.2", "refuse", 400, b"\r" + PLAIN, []),
        ("a space before", "9112 3", "refuse", 400, b" " + PLAIN, []),
        ("a NUL before", "9112 3", "refuse", 400, b"\0" + PLAIN, []),
        ("a byte order mark before", "9112 3", "refuse", 400, b"\xef\xbb\xbf" + PLAIN, []),
        ("a PROXY line before", "9112 3", "refuse", 400, b"PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n" + PLAIN, []),
        ("a PROXY v2 header before", "9112 3", "refuse", 400, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0" + PLAIN, []),
        ("TLS", "9112 3", "refuse", 400, b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(range(32)) + b"\0\0\x02\x13\x01\x01\0", []),
        ("SSLv2", "9112 3", "refuse", 400, b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\r\n\r\n", []),
        ("HTTP/2 preface", "9113 3.4", "refuse", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", []),
        ("SSH", "9112 3", "refuse", 400, b"SSH-2.0-OpenSSH_9.2\r\n", []),
        ("SMTP", "9112 3", "refuse", 400, b"EHLO localhost\r\n\r\n", []),
        ("an answer", "9112 3", "refuse", 400, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", []),
        # ---- method ----
        ("no method", "9112 3", "refuse", 400, b"/API/v3/x HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("method with a separator", "9110 9.1", "refuse", 400, b"GE(T " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("method with a colon", "9110 9.1", "refuse", 400, b"GET: " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("method with 8 bits", "9110 9.1", "refuse", 400, b"G\xc9T " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("method with a NUL", "9110 9.1", "refuse", 400, b"GET\0 " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("method of 65 letters", "9110 15.6.2", "either", 501, b"M" * 65 + b" " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [("M" * 65, "/API/v3/x", b"")]),
        ("method of 40,000 letters", "9110 15.6.2", "refuse", 501, b"M" * 40000 + b" " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("CONNECT", "9110 9.3.6", "refuse", 405, b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", []),
        ("CONNECT with a path", "9110 9.3.6", "refuse", 405, b"CONNECT /API/v3/x HTTP/1.1\r\n" + HOST + b"\r\n", []),
        ("TRACE", "9110 9.3.8", "either", 405, b"TRACE " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [("TRACE", "/API/v3/x", b"")]),
        ("TRACE in lower case", "9110 9.1", "either", 405, b"trace " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [("trace", "/API/v3/x", b"")]),
        # ---- spaces ----
        ("two spaces before the target", "9112 3", "either", 400, b"GET  " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [READ_GET]),
        ("two spaces behind the target", "9112 3", "either", 400, b"GET " + X + b"  HTTP/1.1\r\n" + HOST + b"\r\n", [READ_GET]),
        ("a tab before the target", "9112 3", "either", 400, b"GET\t" + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [READ_GET]),
        ("a vertical tab before the target", "9112 3", "either", 400, b"GET\x0b" + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [READ_GET]),
        ("a space at the end", "9112 3", "either", 400, b"GET " + X + b" HTTP/1.1 \r\n" + HOST + b"\r\n", [READ_GET]),
        ("a fourth word", "9112 3", "refuse", 400, b"GET " + X + b" HTTP/1.1 x\r\n" + HOST + b"\r\n", []),
        # ---- version ----
        ("HTTP/0.9 without a version", "9112 3", "refuse", 505, b"GET " + X + b"\r\n\r\n", []),
        ("HTTP/0.9 with a version", "9110 2.5", "refuse", 505, b"GET " + X + b" HTTP/0.9\r\n" + HOST + b"\r\n", []),
        ("HTTP/1.2", "9110 6.2", "either", 505, b"GET " + X + b" HTTP/1.2\r\n" + HOST + b"\r\n", [READ_GET]),
        ("HTTP/1.9", "9110 6.2", "either", 505, b"GET " + X + b" HTTP/1.9\r\n" + HOST + b"\r\n", [READ_GET]),
        ("HTTP/2.0", "9110 15.6.6", "refuse", 505, b"GET " + X + b" HTTP/2.0\r\n" + HOST + b"\r\n", []),
        ("HTTP/9.9", "9110 15.6.6", "refuse", 505, b"GET " + X + b" HTTP/9.9\r\n" + HOST + b"\r\n", []),
        ("HTTP/2", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP/2\r\n" + HOST + b"\r\n", []),
        ("HTTP/1.10", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP/1.10\r\n" + HOST + b"\r\n", []),
        ("HTTP/01.1", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP/01.1\r\n" + HOST + b"\r\n", []),
        ("HTTP/1,1", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP/1,1\r\n" + HOST + b"\r\n", []),
        ("HTTP/1.", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP/1.\r\n" + HOST + b"\r\n", []),
        ("HTTP/ 1.1", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP/ 1.1\r\n" + HOST + b"\r\n", []),
        ("HTTP 1.1", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTP 1.1\r\n" + HOST + b"\r\n", []),
        ("http/1.1", "9112 2.3", "refuse", 400, b"GET " + X + b" http/1.1\r\n" + HOST + b"\r\n", []),
        ("HTTPS/1.1", "9112 2.3", "refuse", 400, b"GET " + X + b" HTTPS/1.1\r\n" + HOST + b"\r\n", []),
        ("RTSP/1.0", "9112 2.3", "refuse", 400, b"GET " + X + b" RTSP/1.0\r\n" + HOST + b"\r\n", []),
        ("ICE/1.0", "9112 2.3", "refuse", 400, b"SOURCE " + X + b" ICE/1.0\r\n" + HOST + b"\r\n", [])):
    request("start: " + name, rfc, must, status, data, reads)
request("start: method in lower case", "9110 9.1", "either", 200, b"get " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n", [("get", "/API/v3/x", b"")])
request("start: method that nobody knows", "9110 9.1", "either", 200, b"B-REW " + X + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        [("B-REW", "/API/v3/x", b"")])
request("start: HTTP/1.0 without Host", "9112 3.2", "forward", 200, b"GET " + X + b" HTTP/1.0\r\n\r\n", [READ_GET], closed=True)
request("start: HTTP/1.0 with keep-alive", "9112 9.3", "forward", 200, b"GET " + X + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [READ_GET],
        closed=False)

# ---- target ----

for name, must, target in (
        ("none", "refuse", b""), ("* with GET", "refuse", b"*"), ("no slash", "refuse", b"API/v3/x"),
        ("a fragment", "refuse", b"/API/v3/x#y"), ("only a fragment", "refuse", b"/#"), ("a space", "refuse", b"/API/v3/x y"),
        ("a tab", "refuse", b"/API/v3/x\ty"), ("a NUL", "refuse", b"/API/v3/x\0"), ("a control", "refuse", b"/API/v3/\x01"),
        ("a DEL", "refuse", b"/API/v3/\x7f"), ("8 bits", "refuse", b"/API/v3/\xe4"), ("a bare CR", "refuse", b"/API/v3/\rx"),
        ("another scheme", "either", b"ftp://localhost/API/v3/x"), ("a file URL", "refuse", b"file:///etc/passwd"),
        ("a scheme without an authority", "refuse", b"http:/API/v3/x"), ("an empty authority", "refuse", b"http:///API/v3/x"),
        ("userinfo", "refuse", b"http://user:secret@localhost/API/v3/x"),
        ("an absolute one with a bad port", "refuse", b"http://localhost:99999/API/v3/x"),
        ("authority-form with GET", "refuse", b"localhost:443"), ("a backslash first", "refuse", b"\\API\\v3\\x"),
        ("a question mark first", "refuse", b"?x")):
    request("target: " + name, "9112 3.2", must, 400, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            [READ_GET] if must == "either" else ())
for name, target, read in (
        ("percent case and dot segments", b"/API/v3/a/../%2e%2E/%2f?x=%zz", None), ("double slash", b"//API/v3//x", None),
        ("a host-like double slash", b"//evil/API/v3/x", None),
        ("an encoded CR LF", b"/API/v3/%0d%0aX:%20y", None), ("an empty query", b"/API/v3/x?", None), ("a colon", b"/API/v3/x:y@z", None),
        ("a semicolon and pipes", b"/API/v3/x;y=1|2{3}^`\"<>", None),
        ("absolute-form", b"http://localhost/API/v3/x", "/API/v3/x"), ("absolute-form in capitals", b"HTTP://LOCALHOST/API/v3/x", "/API/v3/x"),
        ("absolute-form without a path", b"http://localhost", "/"), ("absolute-form with only a query", b"http://localhost?x=1", "/?x=1")):
    request("target: " + name, "9112 3.2", "forward", 200, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            [("GET", read or target.decode(), b"")], lacks=[b"evil\r\n"])
request("target: an encoded NUL", "3986 7.3", "either", 200, b"GET /API/v3/%00 HTTP/1.1\r\n" + HOST + b"\r\n", [("GET", "/API/v3/%00", b"")])
request("target: absolute-form for another host", "9112 3.2.2", "either", 200, b"GET http://evil.example/API/v3/x HTTP/1.1\r\n" + HOST + b"\r\n",
        [READ_GET], lacks=[b"evil"])
request("target: absolute-form without a Host field", "9112 3.2", "refuse", 400, b"GET http://localhost/API/v3/x HTTP/1.1\r\n\r\n")
request("target: * with OPTIONS", "9112 3.2.4", "forward", 200, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", [("OPTIONS", "*", b"")])
request("target: over 16 KiB", "9110 15.5.15", "either", 414, b"GET /" + b"x" * 16400 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        [("GET", "/" + "x" * 16400, b"")])
request("target: 100 KB", "9110 15.5.15", "either", 414, b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        [("GET", "/" + "x" * 100000, b"")])

# ---- Host ----

for name, rfc, lines in (
        ("missing", "9112 3.2", b""), ("twice, equal", "9112 3.2", b"Host: localhost\r\nHost: localhost\r\n"),
        ("twice, different", "9112 3.2", b"Host: localhost\r\nhost: evil\r\n"), ("empty", "9112 3.2", b"Host:\r\n"),
        ("a list", "9112 3.2", b"Host: localhost, evil\r\n"), ("userinfo", "9110 4.2.4", b"Host: user@localhost\r\n"),
        ("a path", "9112 3.2", b"Host: localhost/x\r\n"), ("a query", "9112 3.2", b"Host: localhost?x\r\n"),
        ("a fragment", "9112 3.2", b"Host: localhost#x\r\n"), ("a scheme", "9112 3.2", b"Host: http://localhost\r\n"),
        ("a space", "9112 3.2", b"Host: local host\r\n"), ("a tab", "9112 3.2", b"Host: local\thost\r\n"),
        ("a port that is no number", "9110 7.2", b"Host: localhost:http\r\n"), ("a port over 65535", "9110 7.2", b"Host: localhost:65536\r\n"),
        ("a port with a sign", "9110 7.2", b"Host: localhost:+80\r\n"), ("two ports", "9110 7.2", b"Host: localhost:80:80\r\n"),
        ("only a port", "9110 7.2", b"Host: :80\r\n"), ("IPv6 without brackets", "3986 3.2.2", b"Host: ::1\r\n"),
        ("IPv6 with an open bracket", "3986 3.2.2", b"Host: [::1\r\n"), ("IPv6 with nonsense", "3986 3.2.2", b"Host: [::g]\r\n"),
        ("IPv6 with bytes behind", "3986 3.2.2", b"Host: [::1]x\r\n"), ("empty brackets", "3986 3.2.2", b"Host: []\r\n"),
        ("IPv6 of nine groups", "3986 3.2.2", b"Host: [1:2:3:4:5:6:7:8:9]\r\n"), ("IPv6 with three colons", "3986 3.2.2", b"Host: [:::1]\r\n"),
        ("8 bits", "3986 3.2.2", b"Host: localh\xf6st\r\n"), ("a bad percent sign", "3986 3.2.2", b"Host: local%zzhost\r\n"),
        ("quotes", "3986 3.2.2", b'Host: "localhost"\r\n'), ("a backslash", "3986 3.2.2", b"Host: localhost\\evil\r\n"),
        ("a NUL", "9110 5.5", b"Host: localhost\0\r\n"), ("angle brackets", "3986 3.2.2", b"Host: <localhost>\r\n")):
    request("Host: " + name, rfc, "refuse", 400, GET + lines + b"\r\n")
request("Host: twice in HTTP/1.0", "9112 3.2", "refuse", 400, b"GET " + X + b" HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
for name, value in (("with a port", b"localhost:8080"), ("with an empty port", b"localhost:"), ("IPv6", b"[::1]:8080"), ("an IPv4 address", b"127.0.0.1"),
                    ("a final dot", b"localhost."), ("in capitals", b"LOCALHOST"), ("another name", b"anything.example")):
    request("Host: " + name, "9110 7.2", "forward", 200, GET + b"Host: " + value + b"\r\n\r\n", [READ_GET])

# ---- bodies where none is expected, and bytes behind ----

request("body: GET with a length", "9110 9.3.1", "forward", 200, GET + HOST + b"Content-Length: 5\r\n\r\nhello", [("GET", "/API/v3/x", b"hello")])
request("body: GET in chunks", "9110 9.3.1", "forward", 200, GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + HELLO, [("GET", "/API/v3/x", b"hello")])
request("body: HEAD with a length", "9110 9.3.2", "forward", 200, b"HEAD " + X + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
        [("HEAD", "/API/v3/x", b"hello")])
request("body: DELETE with a length", "9110 9.3.5", "forward", 200, b"DELETE " + X + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
        [("DELETE", "/API/v3/x", b"hello")])
request("body: POST without a length", "9112 6.3", "forward", 200, POST + b"\r\n", [READ_EMPTY])
request("body: is a request", "9112 6.3", "forward", 200, POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        [("POST", "/API/v3/x", SMUGGLED)])
request("body: in chunks, is a request", "9112 7.1", "forward", 200, CHUNKED + b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n",
        [("POST", "/API/v3/x", SMUGGLED)])
request("behind: nonsense behind a GET", "9112 9.3.2", "refuse", (200, 400), PLAIN + b"hello\r\n\r\n", before=[READ_GET])
request("behind: bytes behind the length", "9112 9.3.2", "refuse", (200, 400), POST + b"Content-Length: 5\r\n\r\nhello\x01\x02\r\n\r\n", before=[READ_POST])
request("behind: a next request", "9112 9.3.2", "forward", (200, 200), PLAIN + SMUGGLED, [READ_GET, READ_SMUGGLED])
request("behind: CR LF and a next request", "9112 2.2", "forward", (200, 200), POST + b"Content-Length: 5\r\n\r\nhello\r\n" + SMUGGLED,
        [READ_POST, READ_SMUGGLED])
request("behind: a request behind Connection: close", "9112 9.6", "forward", 200, GET + HOST + b"Connection: close\r\n\r\n" + SMUGGLED, [READ_GET],
        closed=True)
request("behind: a request behind HTTP/1.0", "9112 9.3", "forward", 200, b"GET " + X + b" HTTP/1.0\r\n\r\n" + SMUGGLED, [READ_GET], closed=True)
for name, bad in (("a missing Host", GET + b"\r\n"), ("two lengths", POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n"),
                  ("a folded field", GET + HOST + b"X: a\r\n b\r\n\r\n"), ("a bad target", b"GET x HTTP/1.1\r\n" + HOST + b"\r\n")):
    request("behind: a good request behind %s" % name, "9112 9.3.2", "either" if "fold" in name else "refuse", 400, bad + SMUGGLED,
            [READ_GET, READ_SMUGGLED] if "fold" in name else ())
request("behind: good, bad, good", "9112 9.3.2", "refuse", (200, 400), PLAIN + GET + b"\r\n" + SMUGGLED, before=[READ_GET])
request("behind: CONNECT and a request", "9110 9.3.6", "refuse", 405, b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED)
request("behind: Upgrade to h2c and a preface", "9110 7.8", "refuse", (200, 505),
        GET + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        before=[READ_GET], lacks=[b"h2c", b"http2-settings"])

# ---- Expect, Upgrade, TE ----

for name, value in (("something unknown", b"magic"), ("100-continue and more", b"100-continue, magic"), ("200-ok", b"200-ok"),
                    ("100-continue with a parameter", b"100-continue;x=y")):
    request("Expect: " + name, "9110 10.1.1", "either", 417, POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\nhello", [READ_POST])
request("Expect: 100-continue with the body", "9110 10.1.1", "forward", 200, POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", [READ_POST])
request("Expect: 100-continue in odd case", "9110 10.1.1", "forward", 200, POST + b"Expect: 100-CONTINUE\r\nContent-Length: 5\r\n\r\nhello", [READ_POST])
request("Expect: 100-continue without a body", "9110 10.1.1", "forward", 200, GET + HOST + b"Expect: 100-continue\r\n\r\n", [READ_GET])
request("Expect: 100-continue in HTTP/1.0", "9110 10.1.1", "forward", 200,
        b"POST " + X + b" HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", [READ_POST], closed=True)
request("Upgrade: h2c", "9110 7.8", "forward", 200,
        GET + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", [READ_GET],
        lacks=[b"h2c", b"http2-settings"])
request("Upgrade: websocket", "9110 7.8", "forward", 200,
        GET + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        [READ_GET])
request("Upgrade: without Connection", "9110 7.8", "forward", 200, GET + HOST + b"Upgrade: h2c\r\n\r\n", [READ_GET])
request("TE: trailers and more", "9110 10.1.4", "forward", 200, GET + HOST + b"TE: trailers, gzip;q=0.5\r\nConnection: TE\r\n\r\n", [READ_GET],
        lacks=[b"gzip;q"])

# ---- too much ----

request("size: a field of 40 KB", "6585 5", "either", 431, GET + HOST + b"X: " + b"y" * 40000 + b"\r\n\r\n", [READ_GET])
request("size: a name of 40 KB", "6585 5", "either", 431, GET + HOST + b"X" * 40000 + b": y\r\n\r\n", [READ_GET])
request("size: a field without an end", "6585 5", "refuse", 431, GET + HOST + b"X: " + b"y" * 300000)
request("size: 201 fields", "6585 5", "either", 431, GET + HOST + b"X: y\r\n" * 200 + b"\r\n", [READ_GET])
request("size: 200 fields", "6585 5", "either", 200, GET + HOST + b"X: y\r\n" * 199 + b"\r\n", [READ_GET])
request("size: 20,000 fields", "6585 5", "either", 431, GET + HOST + b"X: y\r\n" * 20000 + b"\r\n", [READ_GET])
request("size: a field of 15 KB", "6585 5", "either", 200, GET + HOST + b"X: " + b"y" * 15000 + b"\r\n\r\n", [READ_GET])

# ---- cut: the client's side ends ----

for name, data in (("in the method", b"GE"), ("in the target", b"GET /API/v3"), ("in a field", GET + b"Host: loc"),
                           ("before the empty line", GET + HOST), ("in the body", POST + b"Content-Length: 5\r\n\r\nhel"),
                           ("before the body", POST + b"Content-Length: 5\r\n\r\n"), ("in a chunk", CHUNKED + b"5\r\nhel"),
                           ("in a size", CHUNKED + b"5"), ("behind a chunk", CHUNKED + b"5\r\nhello\r\n"),
                           ("in the last chunk", CHUNKED + b"5\r\nhello\r\n0\r\n"), ("in a trailer", CHUNKED + b"5\r\nhello\r\n0\r\nX: y")):
    request("cut: " + name, "9112 8", "refuse", 400, data, ends=True, cut=True)
