"""Real clients through the real program to the stand-in: what a service would do."""

import hashlib
import http.client
import json
import shutil
import subprocess
import urllib.request

from harness import Skip, test

CUT = (18, 56)  # curl: "transferred a partial file", "failure in receiving"
UPLOAD = bytes(range(256)) * 8192  # 2 MiB


def world(env, **keys):
    standin = env.standin()
    return standin, env.proxy(standin, **keys)


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Skip(name + " is not installed")
    return path


def curl(env, *arguments, code=(0,)):
    done = subprocess.run([tool("curl"), "-q", "-sS", "--noproxy", "*", "--max-time", "30"] + list(arguments), capture_output=True,
                          timeout=60)
    env.seen(done.stdout)
    assert done.returncode in code, (done.returncode, done.stderr)
    return done.stdout


@test("P6", smoke=True)
def curl_gets_posts_and_follows_pages(env):
    standin, proxy = world(env)
    base = "http://" + proxy.authority
    assert json.loads(curl(env, base + "/API/v3/whoami"))["result"]["userName"]
    junk = env.client_credential("junk-" + env.run_id)
    assert json.loads(curl(env, "-H", "X-API-TOKEN: " + junk, "-H", "Authorization: Bearer " + junk, base + "/API/v3/whoami"))["result"]
    url, pages = base + "/API/v3/surveys", 0
    while url:
        assert url.startswith(base + "/API/v3/surveys"), url
        url = json.loads(curl(env, url))["result"]["nextPage"]
        pages += 1
    assert pages > 1


@test("P5")
def curl_uploads_sized_chunked_and_expecting(env):
    standin, proxy = world(env)
    path = env.write("upload", UPLOAD)
    url = "http://%s/API/v3/_echo" % proxy.authority
    for name, arguments in (("sized", []), ("chunked", ["-H", "Transfer-Encoding: chunked"]), ("expecting", ["-H", "Expect: 100-continue"]),
                            ("not expecting", ["-H", "Expect:"]),
                            ("http 1.0", ["--http1.0"])):
        for revoked in (False, True):
            with env.part(name + (", revoked before" if revoked else "")):
                if revoked:
                    standin.revoke_all()
                result = json.loads(curl(env, "--data-binary", "@" + path, *arguments, url))["result"]
                assert result["body"]["sha256"] == hashlib.sha256(UPLOAD).hexdigest() and result["body"]["bytes"] == len(UPLOAD)


@test("P6")
def curl_sees_truncation_and_head_and_unix_sockets(env):
    standin = env.standin()
    path = env.socket_path()
    proxy = env.proxy(standin, listen=["127.0.0.1:0", "unix:" + path])
    port = [address for address in proxy.addresses if not isinstance(address, str)][0][1]
    base = "http://127.0.0.1:%d/API/v3" % port
    curl(env, base + "/_cut?after=1000&of=5000", code=CUT)
    curl(env, base + "/_cut?after=1000&of=5000&chunked=1", code=CUT)
    assert curl(env, "-I", base + "/whoami").startswith(b"HTTP/1.1 200")
    assert json.loads(curl(env, "--unix-socket", path, "http://anything/API/v3/whoami"))["result"]


@test("P6", limit=40)
def an_export_is_started_polled_and_downloaded(env):
    standin, proxy = world(env)
    standin.knobs(export_bytes=20 * 1024 * 1024)
    base = "http://%s/API/v3/surveys/SV_1/export-responses" % proxy.authority

    def call(method, url, body=None):
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", "X-API-TOKEN": "dummy"}, method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
    progress = json.load(call("POST", base, b'{"format":"csv","compress":true}'))["result"]["progressId"]
    standin.revoke_all()
    for _ in range(50):
        result = json.load(call("GET", base + "/" + progress))["result"]
        if result["status"] == "complete":
            break
    with call("GET", base + "/%s/file" % result["fileId"]) as answer:
        digest, count = hashlib.sha256(), 0
        while piece := answer.read(65536):
            digest.update(piece)
            count += len(piece)
        assert answer.headers["Content-Type"] == "application/zip" and count == int(answer.headers["Content-Length"])
        told = [value for name, value in answer.headers.items() if "sha256" in name.lower() or "digest" in name.lower()
                or "hash" in name.lower()]
        assert not told or digest.hexdigest() in told[0], (told, digest.hexdigest())
    assert count >= 1024 * 1024


@test("P6")
def pythons_http_client_keeps_its_connection_over_revocations(env):
    standin, proxy = world(env)
    connection = http.client.HTTPConnection(*proxy.address, timeout=20)
    for number in range(30):
        if number % 7 == 3:
            standin.revoke_all()
        body = (b"%d " % number) * 500
        if number % 2:
            connection.request("POST", "/API/v3/_echo", iter([body[:700], body[700:]]), encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})
        else:
            connection.request("POST", "/API/v3/_echo", body)
        answer = connection.getresponse()
        data = answer.read()
        env.seen(data)
        result = json.loads(data)["result"]
        assert answer.status == 200 and result["body"]["sha256"] == hashlib.sha256(body).hexdigest()
        local = connection.sock.getsockname()
        assert number == 0 or local == first
        first = local
    connection.request("HEAD", "/API/v3/whoami")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == b""
    connection.close()


NODE = """
const base = process.argv[1];
const crypto = require('crypto');
(async () => {
  const who = await fetch(base + '/API/v3/whoami', {headers: {'X-API-TOKEN': 'dummy'}});
  if (who.status !== 200 || !(await who.json()).result.userName) throw new Error('whoami');
  let pages = 0;
  for (let url = base + '/API/v3/surveys'; url; pages++) {
    if (!url.startsWith(base)) throw new Error('left the proxy: ' + url);
    url = (await (await fetch(url)).json()).result.nextPage;
  }
  if (pages < 2) throw new Error('pages: ' + pages);
  const body = crypto.randomBytes(1500000);
  const hash = crypto.createHash('sha256').update(body).digest('hex');
  const sized = await (await fetch(base + '/API/v3/_echo', {method: 'POST', body})).json();
  const stream = new ReadableStream({start(c) {
    for (let i = 0; i < body.length; i += 50000) c.enqueue(body.subarray(i, i + 50000));
    c.close();
  }});
  const chunked = await (await fetch(base + '/API/v3/_echo', {method: 'PUT', body: stream, duplex: 'half'})).json();
  if (sized.result.body.sha256 !== hash || chunked.result.body.sha256 !== hash) throw new Error('hash');
  const blob = i => fetch(base + '/API/v3/_blob?bytes=' + i * 1000).then(a => a.arrayBuffer());
  const many = await Promise.all(Array.from({length: 40}, (_, i) => blob(i)));
  many.forEach((b, i) => { if (b.byteLength !== i * 1000) throw new Error('blob ' + i); });
  let cut = false;
  try { await (await fetch(base + '/API/v3/_cut?after=1000&of=5000')).arrayBuffer(); } catch (e) { cut = true; }
  if (!cut) throw new Error('a cut body looked whole');
  console.log('all fine');
})().catch(e => { console.error(e); process.exit(1); });
"""


@test("P6", limit=60)
def nodes_fetch_does_all_of_it(env):
    node = tool("node")
    if subprocess.run([node, "-e", "process.exit(typeof fetch === 'function' ? 0 : 1)"]).returncode:
        raise Skip("this node has no fetch")
    _, proxy = world(env)
    done = subprocess.run([node, "-e", NODE, "http://" + proxy.authority], capture_output=True, timeout=50)
    env.seen(done.stdout)
    assert done.returncode == 0 and b"all fine" in done.stdout, done.stderr.decode("utf-8", "replace")
