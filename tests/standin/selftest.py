#!/usr/bin/env python3
"""Drives each endpoint and each knob of the stand-in once, over TLS.   selftest.py STANDIN [NAME...]"""
import gzip, hashlib, http.client, io, json, os, socket, subprocess, sys, tempfile, threading, time, traceback
import urllib.parse, zipfile

import selftest_sign_in
from driver import API_TOKEN, CLIENT, HERE, SECRET, Standin, error_code, same, true


# ---- the token endpoint ----

def test_token(s):
    r = s.token_call(scope="read:surveys manage:all")
    same((r.status, r.json["token_type"], r.json["expires_in"], r.json["scope"]), (200, "bearer", 3600, "read:surveys manage:all"))
    true("refresh_token" not in r.json)
    same(s.token_call(basic=None, client_id=CLIENT, client_secret=SECRET).status, 200)
    same(s.token_call("?grant_type=client_credentials", form={}).status, 200)
    r = s.token_call(basic=(CLIENT, "wrong"))
    same((r.status, r.json["error"], r.getheader("WWW-Authenticate") is not None), (401, "invalid_client", True))
    same(s.token_call(basic=None).json["error"], "invalid_client")
    same(s.token_call(grant_type="password").json["error"], "unsupported_grant_type")
    same(s.token_call(client_secret=SECRET).json["error"], "invalid_request")  # two ways at once
    same(s.token_call("?grant_type=client_credentials").json["error"], "invalid_request")  # twice
    same(s.token_call(grant_type="refresh_token").json["error"], "invalid_request")
    calls = s.counters()["token_calls"]
    same((calls["total"], calls["client_credentials"]["ok"]), (9, 3))
    same(calls["open"], 0)


def test_refresh(s):
    def redeem(token):
        return s.token_call(grant_type="refresh_token", refresh_token=token)
    first = s.control("POST", "/refresh-token")["refresh_token"]
    one = redeem(first)
    same((one.status, one.json["refresh_token"] != first), (200, True))
    two = redeem(one.json["refresh_token"])
    same(s.api("whoami", token=two.json["access_token"]).status, 200)
    same((redeem(first).status, redeem(first).json["error"]), (400, "invalid_grant"))
    same(redeem(two.json["refresh_token"]).status, 400)  # the family is gone
    same(s.api("whoami", token=two.json["access_token"]).status, 401)
    counted = s.counters()["redemptions"]
    same((counted["most"], counted["repeated"]), (3, 1))
    s.knobs(rotate=False)
    kept = s.control("POST", "/refresh-token")["refresh_token"]
    same([("refresh_token" in redeem(kept).json) for _ in range(2)], [False, False])
    same(redeem("first-refresh").status, 200)
    s.control("POST", "/revoke-all?refresh")
    same(redeem(kept).status, 400)
    true(len(s.control("GET", "/issued")["refresh_tokens"]) >= 4)


def test_token_failures(s):
    for kind, status in (("invalid_grant", 400), ("invalid_client", 401), ("http_500", 500), ("http_429", 429),
                         ("garbage", 200), ("huge", 200), ("redirect", 307), ("envelope", 400)):
        s.knobs(token_fail={"count": 1, "kind": kind})
        r = s.token_call()
        same((kind, r.status), (kind, status))
        true(r.json is None or kind in ("huge", "envelope") or r.json["error"] == kind)
        same(s.token_call().status, 200)
    s.knobs(token_fail={"count": 1, "kind": "no_expires"})
    true("expires_in" not in s.token_call().json)
    s.knobs(token_fail={"count": 1, "kind": "bad_token"})
    true("\r\n" in s.token_call().json["access_token"])
    for kind in ("close", "lost"):
        s.knobs(token_fail={"count": 1, "kind": kind})
        try:
            s.token_call()
            raise AssertionError("answered")
        except (http.client.HTTPException, OSError):
            pass
    s.knobs(token_fail={"count": 1, "kind": "hang"})
    c = s.connect()
    c.request("POST", "/oauth2/token", "grant_type=client_credentials", {"Content-Type": "application/x-www-form-urlencoded"})
    c.sock.settimeout(0.3)
    try:
        c.getresponse()
        raise AssertionError("answered")
    except TimeoutError:
        same(s.counters()["token_calls"]["open"], 1)
    c.close()
    s.knobs(token_delay_ms=150)
    begun = time.monotonic()
    s.token_call()
    true(time.monotonic() - begun >= 0.15)


# ---- the gate ----

def test_gate(s):
    r = s.api("whoami", token=False)
    same((r.status, error_code(r)), (400, "ATP_2"))
    r = s.api("whoami", token="junk")
    same((r.status, error_code(r)), (401, "DCD_7"))
    same(s.api("whoami", token=False, headers={"X-API-TOKEN": API_TOKEN}).status, 200)
    same(s.api("whoami", token=False, headers={"x-api-token": "no"}).status, 401)
    same(s.api("whoami", headers={"X-API-TOKEN": "no"}).status, 200)
    s.knobs(reject_both_headers=True)
    same(s.api("whoami", headers={"X-API-TOKEN": API_TOKEN}).status, 400)
    same(s.api("nothing/here").status, 404)
    same(s.api("/elsewhere", token=False).status, 404)
    same(s.raw(b"POST /API/v3/surveys/SV_1/export-responses HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[9:12], b"411")
    s.knobs(token_life_s=0)
    same(s.api("whoami", token=s.token()).status, 401)
    s.knobs(token_life_s=60)
    old, new = s.token(), s.token()
    s.control("POST", "/revoke-all?keep_latest=1")
    same([s.api("whoami", token=t).status for t in (old, new)], [401, 200])
    true(s.control("POST", "/revoke-all")["revoked"] == 1)
    same(s.api("whoami", token=new).status, 401)
    s.bearer = s.token()
    s.knobs(always_401=True)
    same(s.api("whoami").status, 401)
    c = s.counters()
    same([c["rejected"][k] for k in ("unknown", "expired", "revoked", "forced", "no_credential")], [2, 1, 2, 1, 1])
    same(c["rejected_401"], 6)


def test_knobs(s):
    same(s.knobs(forbid_403=True)["forbid_403"], True)
    r = s.api("whoami")
    same((r.status, error_code(r)), (403, "AuthZ_2.0"))
    s.knobs(forbid_403=False, rate_429={"count": 2, "retry_after": 7})
    r = s.api("whoami")
    same((r.status, r.getheader("Retry-After")), (429, "7"))
    s.knobs(rate_429={"retry_after": None})
    r = s.api("whoami")
    same((r.status, r.getheader("Retry-After")), (429, None))
    s.knobs(status_503=True)
    same([s.api("whoami").status for _ in range(2)], [503, 503])
    s.knobs(status_503=False, notice="Request proxied.")
    r = s.api("whoami")
    same((r.status, r.json["meta"]["notice"]), (200, "Request proxied."))
    s.knobs(gzip=True)
    r = s.api("surveys", headers={"Accept-Encoding": "gzip"})
    same((r.getheader("Content-Encoding"), len(json.loads(gzip.decompress(r.body))["result"]["elements"])), ("gzip", 100))
    same(s.api("surveys").getheader("Content-Encoding"), None)
    same(s.api("surveys", headers={"Accept-Encoding": "gzip;q=0"}).getheader("Content-Encoding"), None)
    s.knobs(chunked=True)
    same(s.api("surveys").getheader("Transfer-Encoding"), "chunked")
    s.knobs(chunked=False, origin_keepalive=False)
    same(s.api("whoami").getheader("Connection"), "close")
    s.knobs(origin_keepalive=True, delay_ms=120)
    begun = time.monotonic()
    s.api("whoami")
    true(time.monotonic() - begun >= 0.12)
    for bad in ({"nonsense": 1}, {"rotate": 3}, {"token_fail": {"kind": "no"}}, {"reject_when": "late"}, {"delay_ms": -1}):
        try:
            s.knobs(**bad)
            raise AssertionError(bad)
        except ValueError:
            pass
    s.control("POST", "/reset")
    same(s.control("GET", "/knobs")["delay_ms"], 0)


def reject(s, body_bytes, **knobs):
    """A rejected upload over a raw connection: head and half of the body first, then the rest."""
    s.knobs(always_401=True, **knobs)
    body = b"x" * body_bytes
    with socket.create_connection(("localhost", s.port), 20) as plain:
        with s.context.wrap_socket(plain, server_hostname="localhost") as c:
            c.sendall(b"POST /API/v3/_echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n"
                      b"X-Test-Id: r\r\n\r\n" % (s.bearer.encode(), body_bytes))
            times = []
            for part in (b"", body[:body_bytes // 2], body[body_bytes // 2:]):
                c.sendall(part)
                c.settimeout(0.25 if len(times) < 2 else 10)
                try:
                    times.append(len(c.recv(1)))
                    break
                except TimeoutError:
                    times.append(0)
            c.settimeout(10)
            r = http.client.HTTPResponse(c)
            rest = b"H"
            while b"\r\n\r\n" not in rest:
                rest += c.recv(65536)
            return len(times) - 1, rest


def test_reject_when(s):
    for when, stage in (("head", 0), ("half", 1), ("end", 2)):
        got, head = reject(s, 1000, reject_when=when)
        same((when, got, head[9:12]), (when, stage, b"401"))
        true(b"\r\nConnection: close" not in head)
        same(s.counters()["echoes"][-1]["bytes"], (0, 500, 1000)[stage])
    true(b"\r\nConnection: close" in reject(s, 1000, reject_when="head", reject_close=True)[1])
    s.knobs(reject_close=False, reject_bytes=300000, reject_chunked=True)
    r = s.api("whoami")
    same((r.status, len(r.body), r.getheader("Transfer-Encoding"), error_code(r)), (401, 300000, "chunked", "DCD_7"))
    c = s.connect()  # the connection goes on
    for _ in range(3):
        same(s.api("_echo", "POST", b"y" * 5000, connection=c).status, 401)
    same(s.counters()["connections"]["open"], 1)
    c.close()


# ---- Qualtrics' endpoints ----

def follow(s, path, host=None):
    seen = []
    while path:
        r = s.result(path)
        seen += r["elements"]
        link = r["nextPage"]
        path = None
        if link:
            url = urllib.parse.urlsplit(link)
            same(url.netloc, host or f"localhost:{s.port}")
            path = url.path + "?" + url.query
    return seen


def test_surveys(s):
    r = s.api("whoami")
    same((r.json["meta"]["httpStatus"], r.json["result"]["brandId"]), ("200 - OK", "standin"))
    true(r.getheader("request-time").isdigit() and len(r.json["meta"]["requestId"]) == 36)
    surveys = follow(s, "surveys")
    same(len({x["id"] for x in surveys}), 250)
    s.knobs(next_page_host="az1.qualtrics.com")
    same(len(follow(s, "surveys", "az1.qualtrics.com")), 250)
    same(s.result("surveys/" + surveys[3]["id"])["id"], surveys[3]["id"])
    same(s.result(f"/API/v3//surveys/{surveys[3]['id']}/")["id"], surveys[3]["id"])
    r = s.api("survey-definitions/" + surveys[3]["id"])
    same(list(r.json), ["meta", "result"])
    same(len(r.json["result"]["Questions"]), 24)
    true("SurveyEntry" in s.result(f"survey-definitions/{surveys[3]['id']}?format=qsf"))
    same(s.api("surveys/SV_none").status, 404)
    r = s.api("whoami", "HEAD")
    same((r.status, r.body, int(r.getheader("Content-Length")) > 100), (200, b"", True))


def test_lists(s):
    pool = s.result("directories")["elements"][0]["directoryId"]
    lists = s.result(f"directories/{pool}/mailinglists")["elements"]
    same(len(lists), 2)
    path = f"directories/{pool}/mailinglists/{lists[0]['mailingListId']}/contacts"
    same(len({c["contactId"] for c in follow(s, path)}), 120)
    same(len(follow(s, path + "?pageSize=7")), 120)
    same(s.result("distributions?surveyId=SV_1")["elements"][0]["requestType"], "Invite")
    same(s.api("distributions").status, 400)
    made = s.result("distributions", "POST", json.dumps({"surveyLink": {}, "recipients": {}}))["id"]
    true(made.startswith("EMD_"))
    same(len(follow(s, f"distributions/{made}/links?surveyId=SV_1", "az1.qualtrics.com")), 30)
    same(error_code(s.api("distributions/x/links")), "GED_3")
    sub = s.result("eventsubscriptions", "POST",
                   json.dumps({"publicationUrl": "https://a/\"b", "topics": "t.*", "encrypt": True}))["id"]
    same(s.result("eventsubscriptions/" + sub)["publicationUrl"], "https://a/\"b")
    r = s.api("eventsubscriptions/" + sub, "DELETE")
    same((r.status, list(r.json)), (200, ["meta"]))
    same(error_code(s.api("eventsubscriptions/" + sub)), "ESSG_2")


def test_exports(s):
    base = "surveys/SV_000000000000001/export-responses"
    s.knobs(export_polls=2, export_bytes=200000)
    job = s.result(base, "POST", json.dumps({"format": "csv", "compress": True}), headers={"Idempotency-Key": "k1"})
    same(job["status"], "inProgress")
    polls = [s.result(f"{base}/{job['progressId']}/") for _ in range(3)]
    same([p["status"] for p in polls], ["inProgress", "inProgress", "complete"])
    r = s.api(f"{base}/{polls[2]['fileId']}/file")
    same((r.status, r.getheader("Content-Type")), (200, "application/zip"))
    true("My+Survey.zip" in r.getheader("Content-Disposition"))
    same(r.getheader("X-Content-Sha256"), hashlib.sha256(r.body).hexdigest())
    with zipfile.ZipFile(io.BytesIO(r.body)) as z:
        same((z.testzip(), z.namelist(), z.infolist()[0].file_size), (None, ["Survey.csv"], 200000))
    same(s.api(base, "POST", "{}").status, 400)
    same(s.api(base + "/ES_none").status, 404)
    plain = s.result(base, "POST", json.dumps({"format": "csv", "compress": False}))["progressId"]
    true(s.api(f"{base}/{plain}/file").body.startswith(b"ResponseId,"))
    s.knobs(export_polls=1)
    job = s.result("responseexports", "POST", json.dumps({"surveyId": "SV_1", "format": "csv"}))["id"]
    same(s.result("responseexports/" + job)["file"], None)
    link = s.result("responseexports/" + job)["file"]
    same(link, f"https://localhost:{s.port}/API/v3/responseexports/{job}/file")
    same(s.api(urllib.parse.urlsplit(link).path).status, 200)
    base = base.replace("export", "import")
    job = s.result(base, "POST", b"a,b\n" * 1000, headers={"Content-Type": "text/csv", "Idempotency-Key": "k2"})
    same((job["receivedBytes"], s.result(f"{base}/{job['progressId']}")["status"]), (4000, "inProgress"))
    posts = s.counters()["posts"]
    same((posts["executed"], posts["by_key"], posts["repeated_keys"]), (5, {"k1": 1, "k2": 1}, 0))


# ---- the tests' own endpoints ----

def test_echo(s):
    body = os.urandom(3_000_000)
    r = s.result("_echo?a=%2F&b=c+d", "PUT", body, headers={"X-Some": "caf\u00e9", "Idempotency-Key": "e"})
    same((r["method"], r["target"], r["body"]["bytes"]), ("PUT", "/API/v3/_echo?a=%2F&b=c+d", len(body)))
    same(r["body"]["sha256"], hashlib.sha256(body).hexdigest())
    fields = dict(map(tuple, r["fields"]))
    same((fields["X-Some"], fields["Authorization"], r["token"] > 0), ("caf\u00e9", f"token {r['token']}", True))
    echo = s.counters()["echoes"][-1]
    same((echo["sha256"], echo["label"], echo["complete"]), (r["body"]["sha256"], "e", True))
    got = s.raw(b"POST /API/v3/_echo HTTP/1.1\r\nHost: a\r\nAuthorization: bearer %s\r\nTransfer-Encoding: chunked\r\n"
                b"Expect: 100-continue\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n" % s.bearer.encode())
    true(got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
    r = json.loads(got.split(b"\r\n\r\n")[2])["result"]
    same((r["trailers"], r["body"]["framing"]), ([["X-Sum", "9"]], "chunked"))


def test_blob(s):
    one = s.api("_blob?bytes=1000003&seed=7")
    same((len(one.body), one.getheader("X-Content-Sha256")), (1000003, hashlib.sha256(one.body).hexdigest()))
    same(s.api("_blob?bytes=1000003&seed=7&chunked=1").body, one.body)
    true(s.api("_blob?bytes=1000003&seed=8").body != one.body)
    zipped = s.api("_blob?bytes=1000003&seed=7&gzip=1&hash=0")
    same((gzip.decompress(zipped.body), zipped.getheader("X-Content-Sha256")), (one.body, None))
    same(s.api("_blob?bytes=0").body, b"")
    got = s.raw(b"GET /API/v3/_blob?bytes=40000&seed=7&chunked=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n"
                b"Connection: close\r\n\r\n" % s.bearer.encode())
    wanted = hashlib.sha256(one.body[:40000]).hexdigest().encode()
    true(b"\r\n0\r\nX-Content-Sha256: " + wanted + b"\r\n\r\n" in got)
    c = s.connect()  # more than any buffer, read slowly, beside other requests
    c.request("GET", "/API/v3/_blob?bytes=200000000&hash=0", headers={"Authorization": "Bearer " + s.bearer})
    r = c.getresponse()
    r.read(1000)
    same(s.api("whoami").status, 200)
    total = 1000
    while piece := r.read(1 << 20):
        total += len(piece)
    same(total, 200000000)
    c.close()


def test_slow_status_cut_early(s):
    begun = time.monotonic()
    r = s.api("_slow?ms=100&chunk_ms=20&bytes=64&piece=16")
    same((len(r.body), time.monotonic() - begun >= 0.16), (64, True))
    for code in (200, 204, 304, 404, 500, 599):
        same(s.api(f"_status/{code}").status, code)
    r = s.api("_status/302?location=https%3A%2F%2Felsewhere.example%2F")
    same((r.status, r.getheader("Location")), (302, "https://elsewhere.example/"))
    true(s.raw(b"GET /API/v3/_status/103 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"
               % s.bearer.encode()).startswith(b"HTTP/1.1 103 "))
    for query in ("after=1000&of=5000", "after=1000&of=5000&chunked=1"):
        got = s.raw(b"GET /API/v3/_cut?%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n"
                    % (query.encode(), s.bearer.encode()))
        true(b"\r\n\r\n" in got and not got.endswith(b"0\r\n\r\n") and len(got) < 2500)
    same(s.raw(b"GET /API/v3/_cut HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n" % s.bearer.encode()), b"")
    head = b"POST /API/v3/_early?status=413%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 90000\r\n\r\n"
    true(s.raw(head % (b"", s.bearer.encode()), b"}}").startswith(b"HTTP/1.1 413 "))
    true(b"Connection: close" in s.raw(head % (b"&close=1", s.bearer.encode()), b"}}"))


def test_nextpage(s):
    link = f"https://localhost:{s.port}/API/v3/_nextpage?offset=100&filter=a%2Bb%20c%2f&skipToken=MLRP_x+y%3D%3D"
    for style in ("plain", "pretty", "escaped", "unicode", "spaced"):
        same(s.result("_nextpage?fake=1&style=" + style)["nextPage"], link)
    true(b"https:\\/\\/" in s.api("_nextpage?style=escaped").body)
    same(s.result("_nextpage?host=az1.qualtrics.com&query=x")["nextPage"], "https://az1.qualtrics.com/API/v3/_nextpage?x")
    same([s.result("_nextpage?value=" + v)["nextPage"] for v in ("null", "number", "string")], [None, 17, "string"])
    r = s.api("_nextpage?gzip=1&chunked=1&charset=1&pad=100000&tail=3")
    same((r.getheader("Content-Type"), r.getheader("Content-Encoding")), ("application/json; charset=utf-8", "gzip"))
    same(len(json.loads(gzip.decompress(r.body))["result"]["before"]), 100000)
    same(s.result("_nextpage?piece=50&pace=1&chunked=1&key=file")["file"], link)


def test_parallel(s):
    """Many clients at once, tokens revoked meanwhile: every answer is whole."""
    wrong = []

    def client(n):
        c = s.connect()
        for i in range(20):
            body = os.urandom(20000)
            r = s.api("_echo", "POST", body, connection=c, token=s.bearer, headers={"Idempotency-Key": f"{n}.{i}"})
            if r.status == 200 and r.json["result"]["body"]["sha256"] != hashlib.sha256(body).hexdigest():
                wrong.append(n)
            if r.status not in (200, 401):
                wrong.append(r.status)
        c.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for _ in range(3):
        s.control("POST", "/revoke-all")
        s.bearer = s.token()
    for t in threads:
        t.join()
    same(wrong, [])
    c = s.counters()
    same((c["requests"]["_echo"], c["posts"]["executed"] + c["rejected_401"], c["posts"]["repeated_keys"]), (160, 160, 0))
    true(c["handshakes"]["full"] + c["handshakes"]["resumed"] >= 8)


def main():
    program, only = sys.argv[1], sys.argv[2:]
    failed = 0
    with tempfile.TemporaryDirectory() as certs:
        subprocess.run(["sh", os.path.join(HERE, "..", "lib", "make_certs.sh"), certs], check=True)
        for threads in (1, 3):
            s = Standin(program, certs, threads)
            for name, test in sorted({**globals(), **vars(selftest_sign_in)}.items()):
                if not name.startswith("test_") or (only and name not in only):
                    continue
                s.control("POST", "/reset")
                s.bearer = s.token()
                s.control("POST", "/reset")
                try:
                    test(s)
                    print(f"ok      {name} ({threads})", flush=True)
                except Exception as error:
                    failed += 1
                    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.name == name]
                    print(f"FAILED  {name} ({threads}), line {lines[-1]}: {error!r}", flush=True)
            open_one = s.connect()  # ending with a request under way leaks nothing either
            open_one.request("GET", "/API/v3/_slow?ms=60000", headers={"Authorization": "Bearer " + s.bearer})
            time.sleep(0.1)
            code = s.stop()
            open_one.close()
            if code != 0:
                failed += 1
                print(f"FAILED  the stand-in ended with {code}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
