#!/usr/bin/env python3
"""Revocation storm: many clients at once while the origin revokes all tokens again and again.

    python3 bench/storm.py [--clients 1000] [--workers 2] [--seconds 20] [--every-ms 500] [--build build/release]

Each client sends POST /API/v3/_echo with random bytes, one after another on one connection, and compares the hash that
the origin computed with its own. Counts the statuses that clients see, and how many tokens the origin issued for how
many revocations. A 401 is counted apart if the origin's own record shows that the request was replayed with a newer
token which was dead too: revoked again between its issue and the replay, as nobody can prevent.
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
        self.rejected = []
        self.tries = collections.defaultdict(set)
        self.mismatched = 0
        self.latencies = []
        self.revocations = 0

    async def exchange(self, reader, writer, label, body):
        writer.write(b"POST /API/v3/_echo HTTP/1.1\r\nHost: %s:%d\r\nX-Test-Id: %s\r\nContent-Length: %d\r\n\r\n"
                     % (self.pair.host.encode(), self.pair.port, label.encode(), len(body)) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return status, await reader.readexactly(length)

    async def client(self, seed):
        chance = random.Random(seed)
        reader, writer = await asyncio.open_connection(self.pair.host, self.pair.port)
        number = 0
        while time.monotonic() < self.end:
            number += 1
            label = f"{seed}.{number}"
            body = os.urandom(chance.choice(SIZES))
            began = time.monotonic()
            status, answer = await self.exchange(reader, writer, label, body)
            ended = time.monotonic()
            self.latencies.append(ended - began)
            self.statuses[status] += 1
            if status == 401:
                self.rejected.append(label)
            if status == 200:
                said = json.loads(answer)["result"]["body"]
                self.mismatched += said["sha256"] != hashlib.sha256(body).hexdigest() or said["bytes"] != len(body)
        writer.close()

    def look(self):
        """The origin keeps its latest 4096 echoes: they are fetched often enough to miss none."""
        for echo in self.pair.ask("/counters?echoes=4096")["echoes"]:
            self.tries[echo["label"]].add((echo["token"], echo["status"]))

    async def looker(self):
        while time.monotonic() < self.end:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(self.look)

    async def revoker(self, every_s):
        while time.monotonic() < self.end - 2 * every_s:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.pair.revoke_all)
            self.revocations += 1

    def was_revoked_again(self, label):
        return len({token for token, status in self.tries[label] if status == 401}) > 1

    async def run(self, clients, every_s):
        await asyncio.gather(self.revoker(every_s), self.looker(), *(self.client(i) for i in range(clients)))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--clients", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--every-ms", type=float, default=500)
    options.add_argument("--build", default="build/release")
    given = options.parse_args()
    with Pair(given.build, workers=given.workers, standin_threads=2) as pair:
        storm = Storm(pair, given.seconds)
        asyncio.run(storm.run(given.clients, given.every_ms / 1000))
        storm.look()
        counters = pair.counters()
        peak = pair.status("VmHWM")
    storm.latencies.sort()
    print(json.dumps({
        "requests": sum(storm.statuses.values()),
        "statuses": dict(storm.statuses),
        "of the 401s, replayed with a newer token that was revoked again": sum(map(storm.was_revoked_again, storm.rejected)),
        "bodies mismatched": storm.mismatched,
        "revocations": storm.revocations,
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
