#!/usr/bin/env python3
"""Revocation storm: many clients at once while the origin revokes all tokens again and again.

    python3 bench/storm.py [--clients 1000] [--workers 2] [--seconds 20] [--every-ms 500] [--build build/release]

Each client sends POST /API/v3/_echo with random bytes, one after another on one connection, and compares the hash that
the origin computed with its own, and the answer's length with what it says. Counts the statuses that clients see, and
how many tokens the origin issued for how many revocations. A 401 is counted apart if a revocation lay between the
request's start and its end: then the new token may have been revoked before the replay, as nobody can prevent.
"""
import argparse
import asyncio
import collections
import hashlib
import json
import os
import random
import time

from daemon import Pair

SIZES = [0, 100, 1024, 10_000, 70_000]


class Storm:
    def __init__(self, pair, seconds):
        self.pair = pair
        self.end = time.monotonic() + seconds
        self.statuses = collections.Counter()
        self.revoked_between = 0
        self.mismatched = 0
        self.latencies = []
        self.revocations = []

    async def exchange(self, reader, writer, body):
        writer.write(b"POST /API/v3/_echo HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %d\r\n\r\n"
                     % (self.pair.host.encode(), self.pair.port, len(body)) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return status, await reader.readexactly(length)

    async def client(self, seed):
        chance = random.Random(seed)
        reader, writer = await asyncio.open_connection(self.pair.host, self.pair.port)
        while time.monotonic() < self.end:
            body = os.urandom(chance.choice(SIZES))
            began = time.monotonic()
            status, answer = await self.exchange(reader, writer, body)
            ended = time.monotonic()
            self.latencies.append(ended - began)
            self.statuses[status] += 1
            if status == 401 and sum(began <= at <= ended for at in self.revocations) > 1:
                self.revoked_between += 1
            if status == 200:
                said = json.loads(answer)["result"]["body"]
                self.mismatched += said["sha256"] != hashlib.sha256(body).hexdigest() or said["bytes"] != len(body)
        writer.close()

    async def revoker(self, every_s):
        while time.monotonic() < self.end - 2 * every_s:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.pair.revoke_all)
            self.revocations.append(time.monotonic())

    async def run(self, clients, every_s):
        await asyncio.gather(self.revoker(every_s), *(self.client(i) for i in range(clients)))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--clients", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--every-ms", type=float, default=500)
    options.add_argument("--build", default="build/release")
    given = options.parse_args()
    with Pair(given.build, workers=given.workers) as pair:
        storm = Storm(pair, given.seconds)
        asyncio.run(storm.run(given.clients, given.every_ms / 1000))
        counters = pair.counters()
        peak = pair.status("VmHWM")
    storm.latencies.sort()
    print(json.dumps({
        "requests": sum(storm.statuses.values()),
        "statuses": dict(storm.statuses),
        "of the 401s, revoked again meanwhile": storm.revoked_between,
        "bodies mismatched": storm.mismatched,
        "revocations": len(storm.revocations),
        "token calls": counters["token_calls"]["total"],
        "401s at the origin": counters["rejected_401"],
        "handshakes at the origin": counters.get("handshakes"),
        "latency ms p50": round(storm.latencies[len(storm.latencies) // 2] * 1000, 1),
        "latency ms p99": round(storm.latencies[len(storm.latencies) * 99 // 100] * 1000, 1),
        "peak RSS KiB": peak,
        "totals": pair.totals,
        "exit code": pair.exit_code,
    }, indent=2))


if __name__ == "__main__":
    main()
