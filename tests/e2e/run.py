#!/usr/bin/env python3
"""Runs the end-to-end tests: python3 tests/e2e/run.py --build build/asan [--only PATTERN|smoke|threads] [--jobs 2] [--keep] [--list]

The tests are spread over worker processes. A test that exceeds its time is killed together with all that it started. The last line is
"N passed, N failed", and ", N skipped" when a third-party client is missing on this machine; exit 0 only if none failed and some passed.
"""

import argparse
import importlib
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness  # noqa: E402

LOG_LINES = 150  # of a failed test's logs


def load(only):
    for name in sorted(os.listdir(HERE)):
        if re.fullmatch(r"[0-9][0-9]_\w+\.py", name):
            importlib.import_module(name[:-3])
    ids = [test.id for test in harness.REGISTRY]
    doubled = {name for name in ids if ids.count(name) > 1}
    assert not doubled, "two tests of one name: %s" % doubled
    if only == "smoke":
        return [test for test in harness.REGISTRY if test.smoke]
    if only == "threads":
        return [test for test in harness.REGISTRY if test.threads]
    return [test for test in harness.REGISTRY if not only or re.search(only, test.id)]


def run_one(test, places, folder):
    """Runs one test in this process: ("passed" | "failed" | "skipped", text)."""
    env = harness.Env(places, folder)
    text = []
    skipped = None
    try:
        test.function(env, *test.arguments)
    except harness.Skip as skip:
        skipped = str(skip)
    except Exception:
        text.append(traceback.format_exc())
    for origin in env.origins if text else []:
        text.append("origin %s: requests %r; token calls %d; errors %r; failed handshakes %r" % (
            origin.authority, origin.requests[-10:], len(origin.token_calls), origin.errors, origin.handshake_failures[-3:]))
    try:
        text += env.finish(bool(text))
    except Exception:
        text.append(traceback.format_exc())
    if not text:
        return ("skipped", skipped) if skipped else ("passed", "")
    return "failed", "\n".join(text)


def folder_of(test, scratch):
    return os.path.join(scratch, "%d-%s" % (harness.REGISTRY.index(test), re.sub(r"[^A-Za-z0-9]+", "_", test.name)[:60]))


def work(tests, places, scratch):
    """A worker: reads test ids, a line each, and answers a line of JSON each."""
    by_id = {test.id: test for test in tests}
    for line in sys.stdin:
        test = by_id[line.strip()]
        folder = folder_of(test, scratch)
        os.makedirs(folder, mode=0o700)
        began = time.monotonic()
        outcome, text = run_one(test, places, folder)
        print(json.dumps({"outcome": outcome, "text": text, "seconds": time.monotonic() - began, "folder": folder}), flush=True)


class Worker:
    def __init__(self, arguments, number):
        self.arguments = arguments
        self.number = number
        self.test = None
        self.process = None
        self.count = 0

    def start(self):
        self.count += 1
        scratch = os.path.join(self.arguments.scratch, "w%d-%d" % (self.number, self.count))
        os.makedirs(scratch)
        self.scratch = scratch
        command = [sys.executable, "-B", os.path.join(HERE, "run.py"), "--build", self.arguments.build, "--worker", scratch,
                   "--scratch", self.arguments.scratch, "--binary", self.arguments.binary]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def give(self, test):
        if not self.process:
            self.start()
        self.test = test
        self.deadline = time.monotonic() + test.limit * harness.SLOWNESS + 15  # the end of a test takes time too
        self.process.stdin.write(test.id + "\n")
        self.process.stdin.flush()

    def end(self):
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None


class Report:
    def __init__(self, keep):
        self.keep = keep
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failures = []

    def add(self, test, result):
        outcome = result["outcome"]
        self.counts[outcome] += 1
        mark = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome]
        note = ": " + result["text"] if outcome == "skipped" else ""
        print("%s %6.2f s  %s %s%s" % (mark, result["seconds"], test.promise, test.id, note), flush=True)
        if outcome == "failed":
            self.failures.append(test)
            print(indent(result["text"]), flush=True)
            for name in sorted(os.listdir(result["folder"])) if os.path.isdir(result["folder"]) else []:
                if name.endswith((".log", ".out")):
                    self.show(os.path.join(result["folder"], name))
        if not self.keep:
            shutil.rmtree(result["folder"], ignore_errors=True)

    @staticmethod
    def show(path):
        with open(path, "rb") as file:
            lines = file.read().decode("utf-8", "backslashreplace").splitlines()
        if lines:
            print("    ---- %s, the last %d of %d lines" % (os.path.basename(path), min(LOG_LINES, len(lines)), len(lines)))
            print(indent("\n".join(line[:600] for line in lines[-LOG_LINES:])), flush=True)


def indent(text):
    return "\n".join("    | " + line for line in text.splitlines())


def make_certificates(scratch):
    """One set that the tests trust, and below other/ one that nobody knows."""
    script = os.path.join(HERE, "..", "lib", "make_certs.sh")
    for folder in ("certs", "certs/other"):
        done = subprocess.run(["sh", script, os.path.join(scratch, folder)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("run.py: %s failed:\n%s%s" % (script, done.stdout, done.stderr))


def run_all(arguments, tests):
    """Gives the tests to the workers, the slow ones first, and reports as they end."""
    report = Report(arguments.keep)
    waiting = sorted(tests, key=lambda test: -test.limit)
    workers = [Worker(arguments, number) for number in range(min(arguments.jobs, len(tests)))]
    selector = selectors.DefaultSelector()

    def next_test(worker):
        if waiting:
            worker.give(waiting.pop(0))
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        else:
            worker.test = None

    def ended(worker, result):
        selector.unregister(worker.process.stdout)
        report.add(worker.test, result)
        next_test(worker)

    def died(worker, why):
        folder = folder_of(worker.test, worker.scratch)
        selector.unregister(worker.process.stdout)
        worker.end()
        report.add(worker.test, {"outcome": "failed", "text": why, "seconds": worker.test.limit, "folder": folder})
        next_test(worker)

    try:
        for worker in workers:
            next_test(worker)
        while any(worker.test for worker in workers):
            for key, _ in selector.select(0.5):
                line = key.fileobj.readline()
                if line:
                    ended(key.data, json.loads(line))
                else:
                    died(key.data, "the test's process died")
            for worker in workers:
                if worker.test and time.monotonic() > worker.deadline:
                    died(worker, "more than %d s: killed" % worker.test.limit)
    finally:
        for worker in workers:
            worker.end()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="the folder of the binary, for example build/asan")
    parser.add_argument("--binary", help="the qproxy to test, if it is not the one in --build")
    parser.add_argument("--only", help="smoke, threads, or a regular expression on file::name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep each test's folder (configuration, logs)")
    parser.add_argument("--list", action="store_true", help="name the tests and end")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # A shell that starts us in the background lets us ignore it, and whom we start would inherit that.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

    if arguments.worker:
        places = harness.Places(arguments.build, os.path.join(arguments.scratch, "certs"), arguments.binary)
        return work(load(None), places, arguments.worker)

    tests = load(arguments.only)
    if arguments.list:
        for test in tests:
            print(test.promise, test.id)
        return 0
    if not tests:
        sys.exit("run.py: no test matches %r" % arguments.only)
    arguments.binary = arguments.binary or os.path.join(arguments.build, "qproxy")
    if not os.access(arguments.binary, os.X_OK):
        sys.exit("run.py: there is no %s; build it first" % arguments.binary)
    began = time.monotonic()
    arguments.scratch = tempfile.mkdtemp(prefix="qproxy-e2e-")
    try:
        make_certificates(arguments.scratch)
        report = run_all(arguments, tests)
    finally:
        if arguments.keep:
            print("kept: " + arguments.scratch)
        else:
            shutil.rmtree(arguments.scratch, ignore_errors=True)
    print("\n%d tests in %.0f s" % (len(tests), time.monotonic() - began))
    if report.failures:
        print("failed:\n" + "\n".join("  " + test.id for test in report.failures))
    counts = report.counts
    print("%d passed, %d failed%s" % (counts["passed"], counts["failed"], ", %d skipped" % counts["skipped"] if counts["skipped"] else ""))
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
