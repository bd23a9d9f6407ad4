"""The Postman collection that users get (tests/postman/), run by newman through the proxy: no OAuth step, no credential, whatever happens to the token."""

import json
import os
import subprocess

import third_parties
from harness import test

POSTMAN = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "postman"))
CREDENTIALS = ("authorization", "x-api-token", "proxy-authorization", "apikey", "oauth2", "bearer")
LIMIT = 120  # the first one installs


def read(name):
    with open(os.path.join(POSTMAN, name), encoding="utf-8") as file:
        return json.load(file)


# newman with one thing more: an order that is carried out before each request, while nothing else happens.
NEWMAN = """
const {collection, environment, variables, report, before} = JSON.parse(process.argv[1]);
const newman = require(process.cwd() + '/node_modules/newman');
const {execFileSync} = require('child_process');
newman.run({collection, environment, envVar: variables, reporters: ['cli', 'json'], reporter: {json: {export: report}}, color: 'off', timeoutRequest: 20000},
    (error, summary) => process.exit(error || summary.run.failures.length ? 1 : 0))
    .on('beforeItem', () => before && execFileSync('curl', ['-q', '-sS', '-f', '--noproxy', '*', '-X', 'POST', before]));
"""


def newman(env, proxy, before=None, **variables):
    """One run of the collection: newman's own report. before: an address, to which a POST is sent before each request."""
    report = env.path("newman.json")
    variables = {"base_url": "http://" + proxy.authority, "poll_ms": "10", **variables}
    told = {"collection": os.path.join(POSTMAN, "qproxy.postman_collection.json"), "environment": os.path.join(POSTMAN, "qproxy.postman_environment.json"),
            "variables": [{"key": key, "value": value} for key, value in variables.items()], "report": report, "before": before}
    done = subprocess.run([third_parties.node(), "-e", NEWMAN, json.dumps(told)], stdin=subprocess.DEVNULL, capture_output=True, timeout=90,
                          cwd=third_parties.modules(env))
    env.seen(done.stdout)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    with open(report, "rb") as file:
        content = file.read()
    env.seen(content)
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
def the_collection_does_not_notice_that_its_token_is_dead_each_time(env):
    standin = env.standin()
    proxy = env.proxy(standin)
    run = newman(env, proxy, before=standin.control + "/revoke-all", stand_in="true")
    check(run, 11, 30)
    assert standin.token_calls() == 1 + run["stats"]["requests"]["total"], "one refresh for each"


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
