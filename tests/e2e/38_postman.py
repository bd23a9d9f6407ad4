"""The Postman collection that users get (tests/postman/), run by newman through the proxy: no OAuth step, no credential, whatever happens to the token."""

import json
import os
import subprocess
import threading

import third_parties
from harness import test

POSTMAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "postman")
CREDENTIALS = ("authorization", "x-api-token", "proxy-authorization", "apikey", "oauth2", "bearer")
LIMIT = 120  # the first one installs


def read(name):
    with open(os.path.join(POSTMAN, name), encoding="utf-8") as file:
        return json.load(file)


def newman(env, proxy, *options, **variables):
    """One run of the collection: newman's own report."""
    report = env.path("newman.json")
    command = [third_parties.node(), os.path.join(third_parties.modules(env), "node_modules", "newman", "bin", "newman.js"), "run",
               os.path.join(POSTMAN, "qproxy.postman_collection.json"), "--environment", os.path.join(POSTMAN, "qproxy.postman_environment.json"),
               "--reporters", "cli,json", "--reporter-json-export", report, "--timeout-request", "20000", "--color", "off", *options]
    for name, value in {"base_url": "http://" + proxy.authority, "poll_ms": "10", **variables}.items():
        command += ["--env-var", "%s=%s" % (name, value)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=90, cwd=env.folder)
    env.seen(done.stdout)
    with open(report, "rb") as file:
        content = file.read()
    env.seen(content)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return json.loads(content)["run"]


def check(run, least_requests, least_assertions):
    assert run["failures"] == [] and run["stats"]["assertions"]["failed"] == 0, run["failures"]
    assert run["stats"]["requests"]["total"] >= least_requests and run["stats"]["assertions"]["total"] >= least_assertions, run["stats"]
    for execution in run["executions"]:
        fields = {field["key"].lower() for field in execution["request"]["header"]} if "request" in execution else set()
        assert not fields & set(CREDENTIALS), fields


@test("P1", limit=LIMIT)
def the_collection_runs_before_and_after_a_revocation(env):
    standin = env.standin()
    proxy = env.proxy(standin)
    check(newman(env, proxy, stand_in="true"), 11, 30)
    assert standin.revoke_all() == 1
    check(newman(env, proxy, stand_in="true"), 11, 30)
    assert standin.token_calls() == 2


@test("P3", limit=LIMIT)
def the_collection_does_not_notice_that_its_token_dies_all_the_time(env):
    standin = env.standin()
    proxy = env.proxy(standin)
    over = threading.Event()

    def revoke():
        while not over.wait(0.05):
            standin.revoke_all()
    revoker = threading.Thread(target=revoke)
    revoker.start()
    try:
        check(newman(env, proxy, "--delay-request", "60", stand_in="true"), 11, 30)
    finally:
        over.set()
        revoker.join()
    assert standin.token_calls() > 5, "the token died often"


@test("P1")
def the_collection_asks_for_no_credential(env):
    collection = read("qproxy.postman_collection.json")
    assert collection["auth"] == {"type": "noauth"}

    def look(items):
        for item in items:
            if "item" in item:
                look(item["item"])
                continue
            request = item["request"]
            assert "auth" not in request and not [field for field in request["header"] if field["key"].lower() in CREDENTIALS], item["name"]
            assert item["event"], "%s tests nothing" % item["name"]
    look(collection["item"])
    wanted = {variable["key"] for variable in collection["variable"]}
    assert wanted == {value["key"] for value in read("qproxy.postman_environment.json")["values"]} == {"base_url", "poll_ms", "stand_in"}


@test("P1", limit=LIMIT)
def a_user_s_run_leaves_the_tests_own_requests_out(env):
    standin = env.standin()
    run = newman(env, env.proxy(standin))
    check(run, 9, 25)
    assert standin.counters()["requests"]["_echo"] == 0
