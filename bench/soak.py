#!/usr/bin/env python3
"""Soak: a mixed workload for minutes, after which memory, descriptors and counters must be as if nothing had been.

    python3 bench/soak.py [--build build/release] [--minutes 10] [--clients 24] [--seed N] [--json FILE]

Clients do all that clients do, well and badly (soak_clients.py), in front of two origins: the stand-in, whose tokens are
revoked, whose token endpoint fails for a while and which is killed and started again; and one that breaks off, stalls, talks
nonsense and closes kept connections (soak_origin.py). Every body is compared at both ends. Then the load stops, the idle time
limits pass, and each of the checks below has to hold. The report is Markdown; exit code 1 if a check fails.

For a sanitizer's build take the stand-in of the release (--standin build/release/qproxy-standin), which is not what is tested
and would be slow; ASan's quarantine is kept small. On a machine that is busy with other things raise --slack.
"""
import argparse
import asyncio
import collections
import json
import os
import pathlib
import random
import re
import statistics
import time
import urllib.request

from daemon import Pair
from soak_clients import Ask, Conn, Crowd
from soak_origin import Wild

ORIGIN_IDLE_S = 3
CLIENT_IDLE_S = 10
REST_S = 1.5  # after which a client uses no kept connection: far from the limit, for a busy machine is late
WORKERS = 2
# `one`: the misbehaving origin's tokens; `endpoint`: token calls fail for a while; `restart`: the stand-in is killed.
TROUBLES = ["revoke", "one", "endpoint", "restart", "revoke", "one", "revoke", "revoke"]
# Those that are tried again by themselves within seconds.
ENDPOINT_FAULTS = ["http_500", "http_503", "garbage", "hang", "close", "http_429", "huge"]
HEALS_WITHIN_S = 30
EACH_WITHIN_S = 30  # kinds of trouble, after the time is over
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|qp_broken)")
SANITIZER_ENVIRON = {"ASAN_OPTIONS": "exitcode=86:detect_leaks=1:quarantine_size_mb=4", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=86",
                     "TSAN_OPTIONS": "exitcode=86:halt_on_error=0:second_deadlock_stack=1"}


class World(Pair):
    """The stand-in, qproxy and the misbehaving origin behind it."""

    def __init__(self, given, wild_url_of):
        super().__init__(given.build, workers=WORKERS, environ=SANITIZER_ENVIRON, standin=given.standin, config={
            "timeouts": {"client_head": "%gs" % (given.slack / 2), "client_body": "%gs" % (given.slack / 2),
                         "client_idle": "%ds" % CLIENT_IDLE_S, "origin_idle": "%ds" % ORIGIN_IDLE_S, "drain": "5s",
                         **{name: "%gs" % given.slack for name in (
                             "origin_connect", "origin_handshake", "origin_response", "stream_wait", "token_wait")},
                         "token_call": "2s"},
            "limits": {"origin_connections": 24},
            "replay": {"memory": "128KiB"},
        })
        self.wild_url_of = wild_url_of

    def accounts(self):
        main, = super().accounts()
        url = self.wild_url_of(self.certs)
        return [main, {**main, "name": "wild", "origin": url, "path_prefix": "/wild"}]

    def start_proxy(self):
        folder = pathlib.Path(self.folder.name)
        self.access = folder / "access"
        self.config["admin"] = {"listen": "127.0.0.1:0"}
        self.config["log"] = {"access": str(self.access)}
        super().start_proxy()
        line = ""
        while not line.startswith("admin on "):
            line = self.proxy.stdout.readline()
        self.admin = "http://" + line.split()[-1]

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.proxy.pid))

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=20) as answer:
            return answer.read().decode()

    def metrics(self):
        """Sums over workers: by name, and by (name, label's value) for what has a further label."""
        sums = collections.Counter()
        for line in self.get("/metrics").splitlines():
            found = re.fullmatch(r"qproxy_(\w+?)(?:_total)?(?:\{(.*)\})? (-?\d+)", line)
            if not found:
                continue
            name, labels, value = found.groups()
            sums[name] += int(value)
            for label in re.findall(r'(?:reason|status|code)="([^"]*)"', labels or ""):
                sums[name, label] += int(value)
        return sums


class Sampler:
    """Looks once a second."""

    def __init__(self, world):
        self.world = world
        self.began = time.monotonic()
        self.rows = []

    def look(self):
        world, metrics = self.world, self.world.metrics()
        row = {"s": round(time.monotonic() - self.began, 1), "rss_kib": world.status("VmRSS"), "descriptors": world.descriptors(),
               "threads": world.status("Threads"), "clients": metrics["client_connections_open"], "streams": metrics["origin_streams"],
               "requests": metrics["relay_requests"]}
        self.rows.append(row)
        if len(self.rows) % 5 == 0:
            world.get("/api/status")
            world.get("/")
        return row

    async def run(self, is_over):
        while not is_over.is_set():
            await asyncio.to_thread(self.look)
            await asyncio.sleep(1)

    def median(self, low, high):
        """Of the RSS in that part of the time."""
        rows = self.rows[int(len(self.rows) * low):max(int(len(self.rows) * high), 1)]
        return statistics.median(row["rss_kib"] for row in rows or self.rows)


class Trouble:
    """What happens to the origins while the clients go on."""

    def __init__(self, world, wild, crowd, every_s):
        self.world, self.wild, self.crowd, self.every_s = world, wild, crowd, every_s
        self.counts = collections.Counter()
        self.seen = collections.Counter()  # by stand-ins that are gone
        self.unseen_most = 0               # attempts that a killed stand-in may have got after it was last asked
        self.problems = []
        self.had_each = asyncio.Event()  # of the kinds

    def note_seen(self):
        counters = self.world.counters()
        self.seen["requests"] += counters["connections"]["requests"] - counters["token_calls"]["total"]
        self.seen["token_calls"] += counters["token_calls"]["total"]
        self.seen["repeated_posts"] += counters["posts"]["repeated_keys"]

    async def heal(self):
        """Until the stand-in's account answers 200 again."""
        end = time.monotonic() + HEALS_WITHIN_S
        while True:
            conn = await Conn.open(self.crowd)
            self.crowd.tally.begun += 1
            await conn.send(Ask("probe", "GET", "/API/v3/whoami", fields=("Connection: close",)).bytes)
            answer = await conn.answer()
            conn.close()
            if answer.status == 200:
                return
            if time.monotonic() > end:
                self.problems.append("the stand-in's account does not heal: %d %s" % (answer.status, answer.own))
                return
            await asyncio.sleep(0.1)

    async def run(self, is_over, dice):
        number = 0
        while not is_over.is_set():
            await asyncio.sleep(self.every_s * (0.5 + dice.random()))
            name = TROUBLES[number % len(TROUBLES)]
            number += 1
            self.counts[name] += 1
            await getattr(self, "_" + name)(dice)
            if set(self.counts) == set(TROUBLES):
                self.had_each.set()

    async def _revoke(self, _dice):
        await asyncio.to_thread(self.world.revoke_all)
        self.crowd.weather.revoke()

    async def _one(self, _dice):
        self.wild.revoke()

    async def _endpoint(self, dice):
        self.crowd.weather.turn_bad()
        self.crowd.weather.revoke()
        await asyncio.to_thread(self.world.knobs, token_fail={"count": -1, "kind": dice.choice(ENDPOINT_FAULTS)})
        await asyncio.to_thread(self.world.revoke_all)
        await asyncio.sleep(dice.random())
        await asyncio.to_thread(self.world.knobs, token_fail={"count": 0})
        await self.heal()
        self.crowd.weather.turn_fine()

    async def _restart(self, dice):
        await asyncio.to_thread(self.restart_blocking, dice.random())
        await self.heal()
        self.crowd.weather.turn_fine()

    def restart_blocking(self, pause_s):
        world = self.world
        before = world.metrics()["relay_attempts"]
        self.note_seen()
        self.crowd.weather.turn_bad()
        self.crowd.weather.revoke()
        world.standin.kill()
        world.standin.wait()
        self.unseen_most += world.metrics()["relay_attempts"] - before
        time.sleep(pause_s)
        world.start_standin(world.origin.partition("://")[2].replace("localhost", "127.0.0.1"), world.control.partition("://")[2])


# ---- the end ----

def settle(world, at_start, seconds=40):
    """Waits for the idle time limits to have passed; the last numbers."""
    end = time.monotonic() + seconds
    while True:
        metrics = world.metrics()
        is_quiet = not any(metrics[name] for name in (
            "client_connections_open", "client_heads_open", "client_requests_open", "origin_streams", "origin_dialling", "origin_waiting"))
        lines = world.access.read_bytes().count(b"\n")
        if (is_quiet and world.descriptors() <= at_start and lines >= metrics["relay_requests"] + metrics["client_refused"]) or time.monotonic() > end:
            return metrics, world.descriptors(), lines
        time.sleep(0.25)


def sum_of(metrics, name):
    return sum(value for key, value in metrics.items() if isinstance(key, tuple) and key[0] == name)


def check_counters(metrics, lines):
    """Pairs of what must be equal."""
    m = metrics
    return {
        "client connections: accepted = closed": (m["client_connections_accepted"], sum_of(m, "client_connections_closed")),
        "requests begun = with a good head + refused + unfinished": (
            m["client_heads"], m["client_requests"] + m["client_refused"] + m["client_unfinished"]),
        "requests with a good head = taken by the relay": (m["client_requests"], m["relay_requests"]),
        "taken = answered + cut + answered by us + client gone": (
            m["relay_requests"], m["relay_answered"] + m["relay_cut"] + m["relay_own_replies"] + m["relay_client_gone"]),
        "answered by us = the sum over codes": (m["relay_own_replies"], sum_of(m, "relay_replies") + m["relay_options_answered"]),
        "attempts = forwarded + replays + retries of both kinds": (
            m["relay_attempts"], m["relay_forwarded"] + m["relay_replays"] + m["relay_stale_retries"] + m["relay_expect_retries"]),
        "dials = failed + closed": (m["origin_dials"], m["origin_dial_failures"] + m["origin_closed"]),
        "access lines = requests taken + refused": (lines, m["relay_requests"] + m["client_refused"]),
        "open at the end: connections, heads, requests, streams": (
            (0, 0, 0, 0), (m["client_connections_open"], m["client_heads_open"], m["client_requests_open"], m["origin_streams"])),
    }


def check_both_ends(metrics, tally, trouble, wild):
    """What clients and origins counted, as far as they can know: (name, low, value, high)."""
    m = metrics
    lost_on_the_way = trouble.unseen_most + m["relay_stale_retries"] + m["relay_client_gone"] + m["relay_replies", "origin_closed"]
    seen = trouble.seen["requests"] + wild.heads
    return [
        ("connections: what clients made", tally.connections, m["client_connections_accepted"], tally.connections),
        ("requests begun: answers that clients read, requests that they began", tally.complete + tally.cut, m["client_heads"], tally.begun),
        ("own answers: what clients read", sum(tally.own.values()), m["relay_own_replies"] + m["client_refusals"], tally.begun),
        ("attempts: what origins saw, and what may have been lost on the way", seen, m["relay_attempts"], seen + lost_on_the_way),
    ]


class Report:
    def __init__(self):
        self.rows = []

    def check(self, name, is_sound, shown):
        self.rows.append({"check": name, "holds": bool(is_sound), "shown": str(shown)})

    def is_sound(self):
        return all(row["holds"] for row in self.rows)


def judge(given, world, sampler, trouble, crowd, wild, ended):
    report = Report()
    metrics, descriptors, lines, at_start = ended
    tally = crowd.tally
    early, middle, late = sampler.median(0.2, 0.4), sampler.median(0.45, 0.65), sampler.median(0.8, 1)
    allowed = early * (1 + given.growth_percent / 100) + given.growth_mib * 1024
    report.check("memory is flat (medians early, middle, late; at most +%g %% and %g MiB)" % (given.growth_percent, given.growth_mib),
                 middle <= allowed and late <= allowed, "%.1f, %.1f, %.1f MiB" % (early / 1024, middle / 1024, late / 1024))
    report.check("descriptors are back", descriptors <= at_start, "%d at the start, %d at the end" % (at_start, descriptors))
    report.check("bodies mismatched", not tally.mismatches and not wild.mismatched, len(tally.mismatches) + len(wild.mismatched))
    repeated = trouble.seen["repeated_posts"] + len(wild.repeated_posts())
    report.check("POSTs carried out twice", repeated == 0, repeated)
    report.check("answers that are missing, cut or not what was due", not tally.faults, len(tally.faults))
    report.check("accounts heal", not trouble.problems, "; ".join(trouble.problems) or "each time")
    for name, (one, other) in check_counters(metrics, lines).items():
        report.check(name, one == other, "%s, %s" % (one, other))
    for name, low, value, high in check_both_ends(metrics, tally, trouble, wild):
        report.check(name, low <= value <= high, "%d <= %d <= %d" % (low, value, high))
    report.check("exit code on SIGTERM", world.exit_code == 0, world.exit_code)
    found = [line for line in world.lines if SANITIZER.search(line)]
    report.check("sanitizer reports", not found, len(found))
    errors = [line for line in world.lines if re.match(r"\S+ error ", line) and " token: " not in line]
    report.check("lines of level error (but of the token room)", not errors, errors[:3] or 0)
    return report


def sparkline(values, width=60):
    step = max(len(values) / width, 1)
    picked = [values[int(i * step)] for i in range(int(len(values) / step))]
    low, high = min(picked), max(picked)
    return "".join("▁▂▃▄▅▆▇█"[int((value - low) * 7 / max(high - low, 1))] for value in picked)


def table(title, rows):
    print("\n| %s | |\n|---|---|" % title)
    for name, value in rows:
        print("| %s | %s |" % (name, value))


def show(result):
    rows = result["samples"]
    rss = [row["rss_kib"] for row in rows]
    print("# Soak: %s, %.1f minutes, %d clients, seed %s\n" % (result["build"], result["minutes"], result["clients"], result["seed"]))
    print("| check | | |\n|---|---|---|")
    for row in result["checks"]:
        print("| %s | %s | %s |" % (row["check"], "holds" if row["holds"] else "**FAILS**", row["shown"]))
    table("traffic", result["traffic"].items())
    table("requests by what clients did", sorted(result["kinds"].items(), key=lambda item: -item[1]))
    table("clients that left, by when", sorted(result["aborts"].items()))
    table("answers by status", sorted(result["statuses"].items()))
    table("answers of qproxy's own, seen by clients", sorted(result["own"].items()))
    table("counters", sorted((name, value) for name, value in result["counters"].items() if value))
    print("\nRSS %.1f to %.1f MiB: `%s`\n" % (min(rss) / 1024, max(rss) / 1024, sparkline(rss)))
    print("| s | RSS MiB | descriptors | threads | client connections | origin connections | requests so far |\n|---|---|---|---|---|---|---|")
    for row in [rows[int(i * (len(rows) - 1) / 11)] for i in range(12)]:
        print("| %(s)s | {:.1f} | %(descriptors)d | %(threads)d | %(clients)d | %(streams)d | %(requests)d |".format(row["rss_kib"] / 1024) % row)
    for text in result["faults"]:
        print("- " + text)


def result_of(given, report, sampler, trouble, crowd, wild, metrics):
    tally = crowd.tally
    return {
        "build": given.build, "minutes": given.minutes, "clients": given.clients, "seed": given.seed,
        "holds": report.is_sound(), "checks": report.rows,
        "traffic": {
            "requests taken": metrics["relay_requests"], "requests refused": metrics["client_refused"],
            "connections": metrics["client_connections_accepted"],
            "bodies to clients, MiB": round(tally.bytes_in / (1 << 20)), "from clients, MiB": round(tally.bytes_out / (1 << 20)),
            "revocations of all tokens": trouble.counts["revoke"], "of the other origin's": trouble.counts["one"],
            "token endpoint failing for a while": trouble.counts["endpoint"], "restarts of the origin": trouble.counts["restart"],
            "token calls": metrics["token_calls"], "of these failed": metrics["token_call_failures"],
            "replays after a 401": metrics["relay_replays"], "retries on a fresh connection": metrics["relay_stale_retries"],
            "401s of requests that met two revocations": tally.revoked_twice,
            "clients that left": sum(tally.aborts.values()),
            "the clients' own loop was late by at most, s": round(crowd.late_s, 1), "answers cut": tally.cut,
            "bodies mismatched": len(tally.mismatches) + len(wild.mismatched),
        },
        "kinds": dict(tally.kinds), "aborts": dict(tally.aborts), "statuses": dict(tally.statuses), "own": dict(tally.own),
        "counters": {name if isinstance(name, str) else "%s{%s}" % name: value for name, value in metrics.items()
                     if (name if isinstance(name, str) else name[0]).startswith(("relay_", "client_", "origin_", "token_call"))},
        "samples": sampler.rows, "faults": (tally.mismatches + tally.faults)[:50],
    }


# ---- the run ----

async def load(given, world, wild, sampler, crowd, trouble):
    over = crowd.is_over
    side = [asyncio.ensure_future(sampler.run(over)), asyncio.ensure_future(trouble.run(over, given.dice))]
    clients = asyncio.ensure_future(crowd.run())
    ended, _ = await asyncio.wait([clients, *side], timeout=given.minutes * 60, return_when=asyncio.FIRST_EXCEPTION)
    if not ended:  # a busy machine comes to the last kind of trouble late
        each = asyncio.ensure_future(trouble.had_each.wait())
        await asyncio.wait([each, *side], timeout=EACH_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        each.cancel()
    over.set()
    await asyncio.gather(clients, *side)
    trouble.note_seen()


async def warm_up(world, crowd):
    """What is opened once, at the first connection of each loop, is there before the descriptors are counted."""
    for number in range(12 * WORKERS):
        for path in ("/API/v3/_echo", "/wild/API/v3/echo"):
            crowd.tally.begun += 1
            conn = await Conn.open(crowd)
            await conn.send(Ask("warm.%d" % number, "GET", path, fields=("Connection: close",)).bytes)
            answer = await conn.answer()
            assert answer.status == 200, answer.own
            crowd.tally.complete += 1
            conn.close()
    while (await asyncio.to_thread(world.metrics))["origin_streams"]:
        await asyncio.sleep(0.2)
    return world.descriptors()


async def soak(given):
    given.dice = random.Random(given.seed)
    loop = asyncio.get_running_loop()
    holder = []

    def wild_url_of(certs):
        holder.append(Wild(certs / "localhost.pem", certs / "localhost.key"))
        asyncio.run_coroutine_threadsafe(holder[0].start(), loop).result(10)
        return holder[0].url
    world = World(given, wild_url_of)
    await asyncio.to_thread(world.__enter__)
    try:
        wild, = holder
        crowd = Crowd(world.host, world.port, given.seed, given.clients, given.pause_ms / 1000, REST_S)
        at_start = await warm_up(world, crowd)
        sampler, trouble = Sampler(world), Trouble(world, wild, crowd, given.every)
        await load(given, world, wild, sampler, crowd, trouble)
        metrics, descriptors, lines = await asyncio.to_thread(settle, world, at_start)
        access = world.access.read_text()
        if descriptors > at_start:
            for name in os.listdir("/proc/%d/fd" % world.proxy.pid):
                crowd.tally.fault("open at the end: %s %s" % (name, os.readlink("/proc/%d/fd/%s" % (world.proxy.pid, name))))
    finally:
        await asyncio.to_thread(world.__exit__, None, None, None)
        await wild.close()
    report = judge(given, world, sampler, trouble, crowd, wild, (metrics, descriptors, lines, at_start))
    return result_of(given, report, sampler, trouble, crowd, wild, metrics), world.lines, access


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", default="build/release")
    options.add_argument("--standin", help="the program; by default the one of the build")
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--pause-ms", type=float, default=40, help="the longest pause of a client between two actions")
    options.add_argument("--every", type=float, default=2.5, help="seconds between two troubles, on average")
    options.add_argument("--slack", type=float, default=10, help="seconds of the origins' time limits; the clients' are half of it")
    options.add_argument("--seed", default="soak", help="what clients and troubles do follows from it; when, does not")
    options.add_argument("--growth-percent", type=float, default=10, help="how much the late and middle RSS may exceed the early one")
    options.add_argument("--growth-mib", type=float, default=6, help="and so much more")
    options.add_argument("--json", help="write the figures there too")
    options.add_argument("--log", help="keep qproxy's log there, and its access log beside it, as FILE.access")
    given = options.parse_args()
    result, log, access = asyncio.run(soak(given))
    show(result)
    if given.log:
        pathlib.Path(given.log).write_text("\n".join(log) + "\n")
        pathlib.Path(given.log + ".access").write_text(access)
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps(result, indent=1))
    raise SystemExit(0 if result["holds"] else 1)


if __name__ == "__main__":
    main()
