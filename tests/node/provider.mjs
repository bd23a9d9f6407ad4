// provider.mjs - an authorization server that nobody here wrote: the npm package oidc-provider, and behind its tokens the little of
// an API that a test needs. `node provider.mjs SETTINGS`, a file of JSON: cert, key (paths), clients (as oidc-provider takes them),
// scopes, access_life_s. Run in the folder of the installed packages. Prints "origin https://localhost:PORT" and
// "control http://127.0.0.1:PORT", and ends with its standard input.
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const counters = { token_calls: [], grants_revoked: 0, revocations: 0, authorization_errors: [], requests: [] };
const issued = { access_tokens: new Set(), refresh_tokens: new Set(), codes: new Set() };

// ---- the authorization server ----

const makeProvider = (issuer) => new Provider(issuer, {
    clients: settings.clients,
    scopes: ["openid", "offline_access", ...settings.scopes],
    cookies: { keys: ["one run only"] },
    features: { devInteractions: { enabled: true }, revocation: { enabled: true }, userinfo: { enabled: false } },
    findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: { AccessToken: settings.access_life_s, AuthorizationCode: 60, Grant: 86400, Interaction: 600, RefreshToken: 86400, Session: 86400 },
});

function listen(provider) {
    const called = (ctx, error) => counters.token_calls.push({
        grant: ctx.oidc.params?.grant_type, client: ctx.oidc.params?.client_id ?? "", by_basic: Boolean(ctx.get("Authorization")), error });
    provider.on("grant.success", (ctx) => called(ctx, null));
    provider.on("grant.error", (ctx, error) => called(ctx, `${error.error}: ${error.error_detail ?? error.error_description}`));
    provider.on("grant.revoked", () => counters.grants_revoked++);
    provider.on("authorization.error", (ctx, error) => counters.authorization_errors.push(error.error));
    provider.on("revocation.error", (ctx, error) => counters.authorization_errors.push(`revocation: ${error.error}`));
    provider.on("access_token.saved", (token) => issued.access_tokens.add(token.jti));
    provider.on("refresh_token.saved", (token) => issued.refresh_tokens.add(token.jti));
    provider.on("authorization_code.saved", (code) => issued.codes.add(code.jti));
    provider.on("server_error", (ctx, error) => console.error(error));
    provider.on("refresh_token.destroyed", () => counters.revocations++);
}

// ---- the API: the envelope and the errors are Qualtrics' ----

function reply(response, status, text, members) {
    const meta = { httpStatus: `${status} - ${text}`, requestId: randomUUID(), ...members.meta };
    const body = JSON.stringify({ ...(members.result && { result: members.result }), meta });
    response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
}

async function serveApi(provider, request, response) {
    const hash = createHash("sha256");
    for await (const piece of request)
        hash.update(piece);
    const bearer = /^bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const token = await provider.AccessToken.find(bearer);
    const path = request.url.split("?")[0];
    counters.requests.push({ path, accepted: Boolean(token), id: request.headers["idempotency-key"] ?? null });
    if (!token)
        reply(response, 401, "Unauthorized", { meta: { error: { errorMessage: "Unrecognized X-API-TOKEN.", errorCode: "DCD_7" } } });
    else if (path === "/API/v3/whoami")
        reply(response, 200, "OK", { result: { brandId: "provider", userId: "UR_provider0000001", userName: token.accountId, datacenter: "localhost" } });
    else if (path === "/API/v3/_echo")
        reply(response, 200, "OK", { result: { method: request.method, sha256: hash.digest("hex"), scope: token.scope } });
    else
        reply(response, 404, "Not Found", { meta: { error: { errorMessage: "The requested resource does not exist." } } });
}

// ---- what a test asks ----

const orders = {
    "GET /counters": () => counters,
    "GET /issued": () => Object.fromEntries(Object.entries(issued).map(([kind, values]) => [kind, [...values]])),
    // Behind the proxy's back, as an administrator would; the refresh tokens stay.
    "POST /revoke-access": async (provider) => {
        const tokens = (await Promise.all([...issued.access_tokens].map((value) => provider.AccessToken.find(value)))).filter(Boolean);
        await Promise.all(tokens.map((token) => token.destroy()));
        return { revoked: tokens.length };
    },
};

async function obey(provider, request, response) {
    const order = orders[`${request.method} ${request.url}`];
    request.resume();
    const answer = order ? await order(provider) : {};
    response.writeHead(order ? 200 : 404, { "Content-Type": "application/json" });
    response.end(JSON.stringify(answer));
}

// ---- begin and end ----

const listening = (server) => new Promise((done) => { server.listen(0, "127.0.0.1", () => done(server.address().port)); });
const failing = (call) => (request, response) => call(request, response).catch((error) => { console.error(error); response.destroy(); });

const origin = https.createServer({ cert: readFileSync(settings.cert), key: readFileSync(settings.key) });
const issuer = `https://localhost:${await listening(origin)}`;
const provider = makeProvider(issuer);
const signIn = provider.callback();
listen(provider);
origin.on("request", (request, response) => (request.url.startsWith("/API/")
    ? failing((...both) => serveApi(provider, ...both))(request, response) : signIn(request, response)));
const control = http.createServer(failing((request, response) => obey(provider, request, response)));
console.log(`origin ${issuer}`);
console.log(`control http://127.0.0.1:${await listening(control)}`);
process.stdin.resume().on("end", () => process.exit(0));
