#!/usr/bin/env python3
"""Bodies of every size, replayed after a 401 at every stage; and a large download to a slow reader.

    python3 bench/bodies.py [--build build/release] [--quick] [--only uploads|download]

Uploads: 0 B to 512 MiB (replayable) and 1 GiB (past replay.body), sized and chunked. Before each all tokens are revoked
and the stand-in is told when to answer 401: at the head, in the middle of the body, or after it. Shown: the status that
the client saw, what each attempt brought to the origin (bytes and hash, from the origin's own record), whether the
accepted one is the client's body byte for byte, and the proxy's peak RSS during the request.
Download: 1 GiB from the origin to a client that reads slowly.
"""
import argparse
import hashlib
import json
import os
import select
import socket
import time

from daemon import Pair

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BLOCK = os.urandom(MIB)


def pieces(size):
    for offset in range(0, size, MIB):
        yield BLOCK[:min(MIB, size - offset)]


def hash_of(size):
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def framed(size, chunked):
    for piece in pieces(size):
        yield b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"


def upload(pair, size, chunked):
    """Sends the body while watching for an early answer; gives the status and the answer's JSON, or None."""
    sock = socket.create_connection((pair.host, pair.port))
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    sock.sendall(f"POST /API/v3/_echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}\r\n\r\n".encode())
    sock.setblocking(False)
    received, waiting, unsent = b"", framed(size, chunked), memoryview(b"")
    ended = False
    while not ended:
        if not unsent and waiting:
            unsent = memoryview(next(waiting, b""))
            waiting = waiting if unsent else None
        readable, writable, _ = select.select([sock], [sock] if unsent else [], [], 120)
        if readable:
            piece = sock.recv(65536)
            received += piece
            ended = not piece
        if writable and not ended:
            try:
                unsent = unsent[sock.send(unsent):]
            except OSError:
                unsent, waiting = memoryview(b""), None
        if not readable and not writable:
            raise SystemExit("nothing moved for two minutes")
    sock.close()
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    return status, json.loads(body) if status == 200 else None


def uploads(build, sizes):
    print("| body | framing | 401 | status | attempts at the origin: bytes | body equal | replayed equal | peak RSS MiB | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    sound = True
    for size, name in sizes:
        digest = hash_of(size)
        for chunked in (False, True):
            for when in ("head", "half", "end"):
                with Pair(build) as pair:
                    pair.knobs(reject_when=when)
                    upload(pair, 10, False)
                    pair.revoke_all()
                    pair.reset_peak()
                    began = time.monotonic()
                    status, answer = upload(pair, size, chunked)
                    seconds = time.monotonic() - began
                    peak = pair.status("VmHWM") / 1024
                    echoes = pair.ask("/counters?echoes=10")["echoes"][1:]
                equal = answer is not None and answer["result"]["body"] == {
                    **answer["result"]["body"], "bytes": size, "sha256": digest}
                whole = [echo for echo in echoes if echo["bytes"] == size]
                same = all(echo["sha256"] == digest for echo in whole)
                sound = sound and same and (equal or (size > 512 * MIB and status == 401))
                print(f"| {name} | {'chunked' if chunked else 'sized'} | {when} | {status} | "
                      f"{', '.join(str(echo['bytes']) for echo in echoes)} | {'yes' if equal else 'no'} | "
                      f"{'yes' if same and len(whole) > 1 else 'one whole attempt' if same else 'NO'} | {peak:.1f} | "
                      f"{seconds:.1f} |", flush=True)
    return sound


def download(build, size):
    with Pair(build) as pair:
        sock = socket.create_connection((pair.host, pair.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        pair.reset_peak()
        began = time.monotonic()
        sock.sendall(f"GET /API/v3/_blob?bytes={size}&seed=7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, digest, count = b"", hashlib.sha256(), 0
        while True:
            piece = sock.recv(64 * KIB)
            if not piece:
                break
            if count == 0 and b"\r\n\r\n" not in head:
                head += piece
                if b"\r\n\r\n" not in head:
                    continue
                head, _, piece = head.partition(b"\r\n\r\n")
            digest.update(piece)
            count += len(piece)
            time.sleep(0.001)
        seconds = time.monotonic() - began
        peak = pair.status("VmHWM") / 1024
    print(f"\ndownload of {count} bytes by a slow reader in {seconds:.0f} s: peak RSS {peak:.1f} MiB, sha256 {digest.hexdigest()}")
    return count == size


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--build", default="build/release")
    options.add_argument("--quick", action="store_true", help="nothing above 20 MiB")
    options.add_argument("--only", choices=["uploads", "download"])
    given = options.parse_args()
    sizes = [(0, "0 B"), (KIB, "1 KiB"), (MIB, "1 MiB"), (20 * MIB, "20 MiB")]
    if not given.quick:
        sizes += [(512 * MIB, "512 MiB"), (GIB, "1 GiB")]
    sound = True
    if given.only != "download":
        sound = uploads(given.build, sizes)
    if given.only != "uploads":
        sound = download(given.build, 64 * MIB if given.quick else GIB) and sound
    raise SystemExit(0 if sound else 1)


if __name__ == "__main__":
    main()
