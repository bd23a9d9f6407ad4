/* oauth.c - POST /oauth2/token: client_credentials, authorization_code and refresh_token, with rotation and reuse detection.
 *
 * A token is issued (and a code or a refresh token spent) when the call arrives, even if the reply is delayed or never read.
 */
#include "answers.h"
#include "client.h"
#include <stdio.h>

struct grant_call {
    enum si_grant grant;
    char scope[SI_FORM_VALUE]; /* asked for; then what is granted */
    char kind[32];             /* of a failure that a knob wants; empty: none */
};

/* ---- replies ---- */

static void token_sent(struct si_call *call)
{
    si_head_line(call, "Cache-Control", "no-store");
    si_head_line(call, "Pragma", "no-cache");
    si_reply_out(call, call->status, "application/json");
}

/* call->status and call->out are set; the reply goes out now or after the delay. */
static void token_send(struct si_call *call)
{
    if (call->knobs.token_delay_ms > 0)
        si_call_after(call, (uint64_t)call->knobs.token_delay_ms, token_sent);
    else
        token_sent(call);
}

static void count(struct si_call *call, enum si_grant grant, const char *outcome)
{
    si_lock(call->world);
    si_count_outcome(&call->world->counters, grant, outcome);
    si_unlock(call->world);
}

static void token_error(struct si_call *call, const struct grant_call *grant, const char *error,
                        const char *description)
{
    count(call, grant->grant, error);
    si_client_refuse(call, error, description);
    token_send(call);
}

/* ---- the failures that knobs ask for ---- */

static void append_fill(struct qp_buf *out, size_t bytes)
{
    memset(qp_buf_reserve(out, bytes), 'x', bytes);
    qp_buf_commit(out, bytes);
}

/* A reply of some status with a body that is no token. */
static void fail_with(struct si_call *call, unsigned status, const char *body)
{
    call->status = status;
    qp_buf_append_str(&call->out, body);
    token_send(call);
}

static void fail_status(struct si_call *call, unsigned status)
{
    if ((status == 429 || status == 503) && call->knobs.rate_429_retry_after >= 0)
        qp_buf_append_fmt(&call->head, "Retry-After: %lld\r\n", (long long)call->knobs.rate_429_retry_after);
    fail_with(call, status, "<html><body><h1>Not now</h1></body></html>");
}

/* Gives false for a kind that lets the call go on to a (changed) success. */
static bool fail(struct si_call *call, const struct grant_call *grant)
{
    const char *kind = grant->kind;
    unsigned status = 0;
    if (strcmp(kind, "no_expires") == 0 || strcmp(kind, "bad_token") == 0 ||
        strcmp(kind, "wrong_type") == 0 || strcmp(kind, "lost") == 0)
        return false;
    if (strncmp(kind, "invalid_", 8) == 0) {
        token_error(call, grant, kind, "Asked for by a knob.");
        return true;
    }
    count(call, grant->grant, kind);
    if (sscanf(kind, "http_%3u", &status) == 1) {
        fail_status(call, status);
    } else if (strcmp(kind, "hang") == 0) {
        si_reply_never(call);
    } else if (strcmp(kind, "close") == 0) {
        si_reply_cut(call);
    } else if (strcmp(kind, "redirect") == 0) {
        si_head_line(call, "Location", "https://elsewhere.example/oauth2/token");
        fail_with(call, 307, "");
    } else if (strcmp(kind, "envelope") == 0) {
        fail_with(call, 400,
                  "{\"meta\":{\"httpStatus\":\"400 - Bad Request\",\"error\":{\"errorMessage\":\"No.\","
                  "\"errorCode\":\"invalid_grant\"}}}");
    } else if (strcmp(kind, "huge") == 0) {
        qp_buf_append_str(&call->out, "{\"access_token\":\"");
        append_fill(&call->out, (size_t)16 * 1024 * 1024);
        fail_with(call, 200, "\",\"expires_in\":3600,\"token_type\":\"bearer\"}");
    } else { /* garbage */
        fail_with(call, 200, "{\"access_token\":\"abc\",,\x01 <html>not JSON");
    }
    return true;
}

/* ---- success ---- */

/* refresh_token empty: none is given. */
static void token_success(struct si_call *call, const struct grant_call *grant, uint64_t family,
                          const char *refresh_token)
{
    struct qp_buf *out = &call->out;
    struct si_world *world = call->world;
    const char *kind = grant->kind;
    uint64_t life = (uint64_t)call->knobs.token_life_s;
    si_lock(world);
    bool no_expires = strcmp(kind, "no_expires") == 0;
    const struct si_access *access = si_tokens_issue(&world->tokens, no_expires ? 3600 : life, family);
    si_count_outcome(&world->counters, grant->grant, kind[0] ? kind : "ok");
    qp_buf_append_fmt(out, "{\"access_token\":\"%s%s\"", access->value,
                      strcmp(kind, "bad_token") == 0 ? "\\r\\nX-Injected: 1" : "");
    si_unlock(world);
    if (refresh_token[0]) {
        qp_buf_append_str(out, ",\"refresh_token\":\"");
        qp_buf_append_json(out, qp_slice_str(refresh_token));
        qp_buf_append_char(out, '"');
    }
    if (strcmp(kind, "wrong_type") == 0)
        qp_buf_append_fmt(out, ",\"expires_in\":\"%llu\"", (unsigned long long)life);
    else if (!no_expires)
        qp_buf_append_fmt(out, ",\"expires_in\":%llu", (unsigned long long)life);
    qp_buf_append_str(out, ",\"scope\":\"");
    qp_buf_append_json(out, grant->scope[0] ? qp_slice_str(grant->scope) : QP_SLICE(SI_DEFAULT_SCOPE));
    qp_buf_append_str(out, "\",\"token_type\":\"bearer\"}");
    call->status = 200;
    if (strcmp(kind, "lost") == 0)
        si_reply_cut(call);
    else
        token_send(call);
}

/* ---- the grants ---- */

static void grant_client(struct si_call *call, struct grant_call *grant)
{
    if (call->world->opts.is_public) /* RFC 6749 section 4.4 */
        token_error(call, grant, "unauthorized_client",
                    "A client without a secret cannot have tokens of its own.");
    else
        token_success(call, grant, 0, "");
}

static void grant_refresh(struct si_call *call, struct grant_call *grant)
{
    struct si_world *world = call->world;
    struct si_redemption redemption = {0};
    char refresh_token[SI_FORM_VALUE];
    if (si_client_param(call, "refresh_token", refresh_token) != 1) {
        token_error(call, grant, "invalid_request", "One refresh_token is wanted.");
        return;
    }
    struct qp_slice value = qp_slice_str(refresh_token);
    enum si_redeemed redeemed = SI_REDEEM_UNKNOWN;
    si_lock(world);
    const struct si_family *family = si_tokens_refresh_family(&world->tokens, value);
    bool widened = family && family->scope && !si_scope_is_within(grant->scope, family->scope);
    if (family && family->scope && !grant->scope[0]) /* RFC 6749 section 6 */
        snprintf(grant->scope, sizeof(grant->scope), "%s", family->scope);
    if (!widened) {
        redeemed = si_tokens_redeem(&world->tokens, value, call->knobs.rotate,
                                    (uint64_t)call->knobs.grace_s * 1000, &redemption);
        world->counters.refreshed[redeemed]++;
    }
    si_unlock(world);
    if (widened)
        token_error(call, grant, "invalid_scope", "More than was granted.");
    else if (redeemed == SI_REDEEMED || redeemed == SI_REDEEMED_AGAIN)
        token_success(call, grant, redemption.family, redemption.successor);
    else
        token_error(call, grant, "invalid_grant",
                    "The refresh token is invalid, expired, revoked or was used.");
}

/* For a code that is redeemed: the family of tokens, and the refresh token if the scope asks for one. The caller holds the lock. */
static void begin_family(struct si_call *call, struct grant_call *grant, struct si_sign_in *sign_in,
                         char refresh_token[SI_REFRESH_TEXT])
{
    struct si_tokens *tokens = &call->world->tokens;
    const char *word = call->knobs.offline_word;
    snprintf(grant->scope, sizeof(grant->scope), "%s", sign_in->scope);
    sign_in->family = si_tokens_family_new(tokens, sign_in->user, sign_in->scope);
    if (!word[0] || si_scope_is_within(word, sign_in->scope))
        snprintf(refresh_token, SI_REFRESH_TEXT, "%s",
                 si_tokens_refresh_new(tokens, sign_in->family, NULL)->value);
}

static void grant_code(struct si_call *call, struct grant_call *grant)
{
    struct si_world *world = call->world;
    char code[SI_FORM_VALUE];
    char redirect_uri[SI_FORM_VALUE];
    char verifier[SI_FORM_VALUE];
    unsigned codes = si_client_param(call, "code", code);
    unsigned redirect_uris = si_client_param(call, "redirect_uri", redirect_uri);
    unsigned verifiers = si_client_param(call, "code_verifier", verifier);
    if (codes != 1 || redirect_uris > 1 || verifiers > 1) {
        token_error(call, grant, "invalid_request",
                    "One code, one redirect_uri and one code_verifier are wanted.");
        return;
    }
    struct si_sign_in *sign_in;
    char refresh_token[SI_REFRESH_TEXT] = "";
    si_lock(world);
    enum si_code_end end = si_code_redeem(&world->sign_ins, code, redirect_uri, verifier, &sign_in);
    world->counters.code[end]++;
    if (end == SI_CODE_REDEEMED)
        begin_family(call, grant, sign_in, refresh_token);
    else if (end == SI_CODE_USED)
        si_tokens_revoke_family(&world->tokens, sign_in->family);
    uint64_t family = sign_in ? sign_in->family : 0;
    si_unlock(world);
    const struct si_code_words *words = si_code_words(end);
    if (words->error)
        token_error(call, grant, words->error, words->description);
    else
        token_success(call, grant, family, refresh_token);
}

static const struct {
    const char *type;
    enum si_grant grant;
    void (*run)(struct si_call *call, struct grant_call *grant);
} grants[] = {
    {"client_credentials", SI_GRANT_CLIENT, grant_client},
    {"refresh_token", SI_GRANT_REFRESH, grant_refresh},
    {"authorization_code", SI_GRANT_CODE, grant_code},
};
enum { GRANT_TYPES = sizeof(grants) / sizeof(grants[0]) };

/* ---- the request ---- */

static void begin_call(struct si_call *call, struct grant_call *grant)
{
    struct si_world *world = call->world;
    si_lock(world);
    if (si_knob_take(&world->knobs.token_fail_count))
        memcpy(grant->kind, world->knobs.token_fail_kind, sizeof(grant->kind));
    world->counters.token_calls++;
    world->counters.token_calls_open++;
    if (world->counters.token_calls_open > world->counters.token_calls_open_most)
        world->counters.token_calls_open_most = world->counters.token_calls_open;
    si_unlock(world);
    call->token_call_open = true;
}

void si_token(struct si_call *call)
{
    struct grant_call grant = {.grant = SI_GRANT_OTHER};
    char type[SI_FORM_VALUE];
    unsigned types = si_client_param(call, "grant_type", type);
    size_t at = 0;
    while (at < GRANT_TYPES && strcmp(type, grants[at].type) != 0)
        at++;
    if (at < GRANT_TYPES)
        grant.grant = grants[at].grant;
    begin_call(call, &grant);
    if (grant.kind[0] && fail(call, &grant))
        return;
    const char *refused = si_client_authenticate(call);
    if (types != 1 || si_client_param(call, "scope", grant.scope) > 1)
        refused = "invalid_request";
    if (refused)
        token_error(call, &grant, refused, "Refused.");
    else if (at == GRANT_TYPES)
        token_error(call, &grant, "unsupported_grant_type",
                    "client_credentials, authorization_code or refresh_token.");
    else
        grants[at].run(call, &grant);
}
