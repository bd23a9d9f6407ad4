"""nextPage and the legacy result.file: rewritten to the address that the client used, and nothing else touched (qualtrics.md 4.3)."""

import gzip
import json

import wire
from harness import test
from scripted_origin import answering, sending

HOST = "proxy.internal:8080"
QUERY = "surveyId=SV_1&proxyDepth=1&proxyInfo=%7B%22proxyDepth%22%3A1%7D&skipToken=MLRP_a%2Fb+c=="


def plain(env, **keys):
    origin = env.origin()
    return origin, env.proxy(origin, **keys)


def page(next_page, **more):
    return json.dumps({"result": {"elements": [{"id": "SV_1"}], "nextPage": next_page, **more},
                       "meta": {"httpStatus": "200 - OK", "requestId": "1"}}).encode()


def answer_for(origin, proxy, body, target="/API/v3/x", fields=(), content_type="application/json", chunk=0, host=HOST, version="1.1"):
    origin.scripts = [answering(body=body, fields=fields, content_type=content_type, chunk=chunk)]
    response = proxy.exchange(target=target, host=host, version=version)
    assert response.status == 200
    return response


@test("P6", smoke=True)
def next_page_leads_back_to_the_proxy(env):
    origin, proxy = plain(env)
    for name, url in (("the called host", origin.url + "/API/v3/surveys?offset=100"),
                      ("another datacenter", "https://az1.qualtrics.com/API/v3/distributions/EMD_1/links?" + QUERY),
                      ("a brand in a datacenter", "https://brand.iad1.qualtrics.com/API/v3/surveys?" + QUERY),
                      ("no query", "https://co1.qualtrics.com/API/v3/surveys"),
                      ("a fragment of a path", "https://fra1.qualtrics.com/API/v3/"),
                      ("double slashes", "https://fra1.qualtrics.com/API/v3//a//b?c=//d")):
        for chunk in (0, 1, 7, 4096):
            with env.part("%s, %s" % (name, "chunks of %d" % chunk if chunk else "sized")):
                result = json.loads(answer_for(origin, proxy, page(url), chunk=chunk).body)["result"]
                assert result["nextPage"] == "http://" + HOST + url[url.index("/API/v3/"):], result
                assert result["elements"] == [{"id": "SV_1"}]


@test("P6")
def the_legacy_file_link_leads_back_to_the_proxy(env):
    origin, proxy = plain(env)
    body = (b'{"result":{"percentComplete":100.0,"status":"complete","file":"https://co1.qualtrics.com/API/v3/responseexports/ES_1/file"},'
            b'"meta":{"httpStatus":"200 - OK"}}')
    wanted = body.replace(b"https://co1.qualtrics.com", b"http://" + HOST.encode())
    assert answer_for(origin, proxy, body).body == wanted


@test("P6")
def only_the_url_changes_and_every_other_byte_stays(env):
    origin, proxy = plain(env)
    body = (b' {\r\n\t"meta" : {"httpStatus":"200 - OK","requestId":null},"result":{ "elements":[{"a":"\\u00e9\\"\\\\","b":1.0e+5}] ,'
            b' "nextPage"\n: \t"https://az1.qualtrics.com/API/v3/x?' + QUERY.encode() + b'" ,"z":[[],{}] }}\n\n')
    wanted = body.replace(b"https://az1.qualtrics.com", b"http://" + HOST.encode())
    for chunk in (0, 3):
        assert answer_for(origin, proxy, body, chunk=chunk).body == wanted


@test("P6")
def escaped_slashes_are_understood(env):
    origin, proxy = plain(env)
    body = page("https://az1.qualtrics.com/API/v3/x?a=/b").replace(b"https://az1.qualtrics.com/API/v3/x?a=/b",
            b"https:\\/\\/az1.qualtrics.com\\/API\\/v3\\/x?a=\\/b")
    assert json.loads(answer_for(origin, proxy, body).body)["result"]["nextPage"] == "http://" + HOST + "/API/v3/x?a=/b"


@test("P6")
def the_content_may_be_split_at_every_byte(env):
    body = page("https://az1.qualtrics.com/API/v3/x?" + QUERY)
    wanted = body.replace(b"https://az1.qualtrics.com", b"http://" + HOST.encode())
    head = wire.message("HTTP/1.1 200 OK", ["Content-Type: application/json", "Content-Length: %d" % len(body)])

    def script(conn, request):
        at = int(request.target.rpartition("/")[2])
        conn.send(head + body[:at])
        if at:
            conn.wait(0.0005)
        conn.send(body[at:])
    origin, proxy = plain(env)
    origin.script = script
    with proxy.connect() as client:
        for at in range(len(body)):
            client.request(target="/API/v3/%d" % at, host=HOST)
            assert client.response().body == wanted, at
    origin.script = lambda conn, request: conn.send(head).send_in_steps(body, 1)
    assert proxy.exchange(host=HOST).body == wanted


@test("P6")
def links_to_elsewhere_stay_as_they_are(env):
    origin, proxy = plain(env)
    for url in ("https://az1.qualtrics.com/jfe/form/SV_1?Q_DL=x", "https://az1.qualtrics.com/SE?Q_DL=1", "https://evil.example/API/v3/x",
                "https://qualtrics.com.evil.example/API/v3/x",
                "https://notqualtrics.com/API/v3/x", "https://evil.example/?u=https://az1.qualtrics.com/API/v3/x",
                "http://az1.qualtrics.com/API/v3/x", "https://az1.qualtrics.com/API/v2/x",
                "https://az1.qualtrics.com/", "https://az1.qualtrics.com", "https://user@az1.qualtrics.com/API/v3/x",
                "https://evil.example/.qualtrics.com/API/v3/x",
                "https://localhost/API/v3/x", "https://localhost:1/API/v3/x", "/API/v3/x?offset=100", "?skipToken=1", "string", "",
                "skipToken1"):
        with env.part(url):
            assert answer_for(origin, proxy, page(url)).body == page(url)
    for value in (None, 1, True, {"href": "https://az1.qualtrics.com/API/v3/x"}, ["https://az1.qualtrics.com/API/v3/x"]):
        with env.part(repr(value)):
            assert answer_for(origin, proxy, page(value)).body == page(value)


@test("P6")
def urls_under_other_names_stay_as_they_are(env):
    origin, proxy = plain(env)
    url = "https://az1.qualtrics.com/API/v3/x"
    body = page(None, publicationUrl=url, fileUrl=url, link=url, BrandBaseURL="https://az1.qualtrics.com", nextPages=url, xnextPage=url,
                Nextpage=url, href=url,
                note='the field "nextPage":"%s" says so' % url, text="nextPage", other=url)
    assert answer_for(origin, proxy, body).body == body
    body = b'"https://az1.qualtrics.com/API/v3/x"'
    assert answer_for(origin, proxy, body).body == body


@test("P6")
def what_is_not_json_is_not_touched(env):
    origin, proxy = plain(env)
    body = page("https://az1.qualtrics.com/API/v3/x?" + QUERY)
    for kind in ("text/plain", "application/octet-stream", "text/csv", "application/zip", None):
        with env.part(str(kind)):
            assert answer_for(origin, proxy, body, content_type=kind).body == body
    for kind in ("application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON"):
        with env.part(kind):
            assert HOST.encode() in answer_for(origin, proxy, body, content_type=kind).body


@test("P6")
def an_encoded_answer_is_not_touched(env):
    origin, proxy = plain(env)
    body = gzip.compress(page("https://az1.qualtrics.com/API/v3/x?" + QUERY))
    response = answer_for(origin, proxy, body, fields=["Content-Encoding: gzip", "Vary: Accept-Encoding"])
    assert response.body == body and response.get("Content-Encoding") == b"gzip"
    response = answer_for(origin, proxy, body, fields=["Content-Encoding: gzip"], chunk=10)
    assert response.body == body
    for coding, stored in (("gzip", gzip.compress(page("https://az1.qualtrics.com/API/v3/x"), 0)),
                           ("br", page("https://az1.qualtrics.com/API/v3/x"))):
        with env.part(coding + ", where the link can be read"):
            assert b"az1.qualtrics.com/API/v3" in stored
            assert answer_for(origin, proxy, stored, fields=["Content-Encoding: " + coding]).body == stored


@test("P6")
def an_account_can_switch_it_off(env):
    origin, proxy = plain(env, account={"rewrite_next_page": False})
    body = page("https://az1.qualtrics.com/API/v3/x?" + QUERY)
    response = answer_for(origin, proxy, body)
    assert response.body == body and response.framing == "length"


@test("P6")
def the_address_is_the_one_that_the_client_used(env):
    origin, proxy = plain(env)
    body = page("https://az1.qualtrics.com/API/v3/x?a=b")
    for host, version, wanted in (("localhost:%d" % proxy.port, "1.1", None), ("[::1]:8080", "1.1", None), ("h", "1.0", None),
                                  (None, "1.0", proxy.authority)):
        with env.part("%s, HTTP/%s" % (host, version)):
            response = answer_for(origin, proxy, body, host=host, version=version)
            assert json.loads(response.body)["result"]["nextPage"] == "http://%s/API/v3/x?a=b" % (wanted or host)


@test("P6")
def a_path_prefix_is_put_back(env):
    one, two = env.origin(), env.origin()
    proxy = env.proxy(accounts=[env.account(one, name="one", path_prefix="/one"), env.account(two, name="two", path_prefix="/two")])
    for origin, prefix in ((one, "/one"), (two, "/two")):
        response = answer_for(origin, proxy, page("https://az1.qualtrics.com/API/v3/x?" + QUERY), target=prefix + "/API/v3/x")
        assert json.loads(response.body)["result"]["nextPage"] == "http://" + HOST + prefix + "/API/v3/x?" + QUERY
        origin.scripts = []
        assert proxy.exchange(target=prefix + "/API/v3/x?" + QUERY).status == 200
        assert origin.requests[-1].target == "/API/v3/x?" + QUERY


@test("P6")
def large_and_odd_json_goes_through_whole(env):
    origin, proxy = plain(env)
    url = "https://az1.qualtrics.com/API/v3/x?a=b"
    new = "http://" + HOST + "/API/v3/x?a=b"
    bulk = [{"name": "x" * 50, "number": number, "text": 'a "quoted" \\ thing \u20ac'} for number in range(12000)]
    with env.part("1 MiB, nextPage behind it"):
        body = json.dumps({"result": {"elements": bulk, "nextPage": url}}).encode()
        assert answer_for(origin, proxy, body).body == body.replace(url.encode(), new.encode())
        assert answer_for(origin, proxy, body, chunk=5000).body == body.replace(url.encode(), new.encode())
    with env.part("deep"):
        body = b'{"a":' * 20000 + b"1" + b"}" * 20000
        assert answer_for(origin, proxy, body).body == body
    with env.part("a very long URL"):
        body = page(url + "x" * 200000)
        assert answer_for(origin, proxy, body).body in (body, body.replace(url.encode(), new.encode()))
    for name, body in (("not JSON at all", b"\x00\xff{{{]]]" * 100), ("an open string", b'{"nextPage":"https://az1.qualtrics.com/API/v3'),
                       ("an open escape", b'{"nextPage":"https:\\'),
                       ("empty", b""), ("only the name", b'{"nextPage"'), ("name twice", page(None) + page(None))):
        with env.part(name):
            assert answer_for(origin, proxy, body).body == body


@test("P6")
def a_truncated_page_is_still_visibly_truncated(env):
    origin, proxy = plain(env)
    body = page("https://az1.qualtrics.com/API/v3/x?" + QUERY)
    for count in (len(body) - 2, body.index(b"qualtrics.com"), 5):
        for name, raw in (("sized", wire.message("HTTP/1.1 200 OK", ["Content-Type: application/json", "Content-Length: %d" % len(body)],
                                                 body[:count])),
                          ("chunked", wire.message("HTTP/1.1 200 OK", ["Content-Type: application/json", "Transfer-Encoding: chunked"],
                                                   wire.chunked(body[:count], last=False)))):
            with env.part("%s, %d bytes" % (name, count)):
                origin.scripts = [sending(raw, end="close")]
                response = proxy.exchange(host=HOST, cut_allowed=True)
                assert response.cut or response.status == 502


@test("P6")
def head_and_304_of_json_are_served(env):
    origin, proxy = plain(env)
    with proxy.connect() as client:
        for method, status in (("HEAD", 200), ("GET", 304)):
            origin.scripts = [sending(wire.message("HTTP/1.1 %d X" % status, ["Content-Type: application/json", "Content-Length: 500"]))]
            client.request(method)
            assert client.response(method).status == status
        client.request()
        assert client.response().status == 200
