/* oauth.c - POST /oauth2/token: client_credentials and refresh_token, with rotation and reuse detection.
 *
 * Parameters come in a form body or in the query; the client authenticates by Basic or by parameters, not by both (RFC 6749 section
 * 2.3). A token is issued (and a refresh token spent) when the call arrives, even if the reply is delayed or never read.
 */
#include "answers.h"
#include "form.h"
#include <stdio.h>

struct grant_call {
    enum si_grant grant;
    char refresh_token[SI_FORM_VALUE];
    char scope[SI_FORM_VALUE];
    bool by_basic; /* a failed Basic is answered with a challenge */
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

static void token_error(struct si_call *call, const struct grant_call *grant, unsigned status,
                        const char *error, const char *description)
{
    count(call, grant->grant, error);
    if (grant->by_basic && status == 401)
        si_head_line(call, "WWW-Authenticate", "Basic realm=\"oauth2\"");
    call->status = status;
    qp_buf_append_fmt(&call->out, "{\"error\":\"%s\",\"error_description\":\"%s\"}", error, description);
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
static bool fail(struct si_call *call, struct grant_call *grant, const char *kind)
{
    unsigned status = 0;
    if (strcmp(kind, "no_expires") == 0 || strcmp(kind, "bad_token") == 0 ||
        strcmp(kind, "wrong_type") == 0 || strcmp(kind, "lost") == 0)
        return false;
    if (strcmp(kind, "invalid_client") == 0) {
        token_error(call, grant, 401, kind, "Asked for by a knob.");
        return true;
    }
    if (strncmp(kind, "invalid_", 8) == 0) {
        token_error(call, grant, 400, kind, "Asked for by a knob.");
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

static void token_success(struct si_call *call, const struct grant_call *grant, uint64_t family,
                          const char *kind)
{
    struct qp_buf *out = &call->out;
    struct si_world *world = call->world;
    uint64_t life = (uint64_t)call->knobs.token_life_s;
    si_lock(world);
    bool no_expires = strcmp(kind, "no_expires") == 0;
    const struct si_access *access = si_tokens_issue(&world->tokens, no_expires ? 3600 : life, family);
    si_count_outcome(&world->counters, grant->grant, kind[0] ? kind : "ok");
    qp_buf_append_fmt(out, "{\"access_token\":\"%s%s\"", access->value,
                      strcmp(kind, "bad_token") == 0 ? "\\r\\nX-Injected: 1" : "");
    if (family && call->knobs.rotate) {
        qp_buf_append_str(out, ",\"refresh_token\":\"");
        qp_buf_append_json(out, qp_slice_str(si_tokens_refresh_new(&world->tokens, family, NULL)->value));
        qp_buf_append_char(out, '"');
    }
    si_unlock(world);
    if (strcmp(kind, "wrong_type") == 0)
        qp_buf_append_fmt(out, ",\"expires_in\":\"%llu\"", (unsigned long long)life);
    else if (!no_expires)
        qp_buf_append_fmt(out, ",\"expires_in\":%llu", (unsigned long long)life);
    qp_buf_append_str(out, ",\"scope\":\"");
    qp_buf_append_json(out, grant->scope[0] ? qp_slice_str(grant->scope) : QP_SLICE("manage:all"));
    qp_buf_append_str(out, "\",\"token_type\":\"bearer\"}");
    call->status = 200;
    if (strcmp(kind, "lost") == 0)
        si_reply_cut(call);
    else
        token_send(call);
}

/* ---- the request ---- */

/* From the query and a form body together; more than once is an error (RFC 6749 section 3.2). */
static unsigned parameter(const struct si_call *call, const char *name, char out[SI_FORM_VALUE])
{
    struct qp_slice type = si_field(call, "Content-Type");
    struct qp_slice form = QP_SLICE("application/x-www-form-urlencoded");
    out[0] = '\0';
    unsigned found = si_form_find(call->query, name, out);
    bool is_form = type.len >= form.len && qp_slice_is_nocase(qp_slice(type.at, form.len), form);
    char again[SI_FORM_VALUE];
    if (is_form && qp_buf_len(&call->body) > 0)
        found += si_form_find(qp_buf_slice(&call->body), name, found ? again : out);
    return found;
}

/* NULL when the client is who it says; else the error. */
static const char *authenticate(struct si_call *call, struct grant_call *grant)
{
    char id[SI_FORM_VALUE];
    char secret[SI_FORM_VALUE];
    struct qp_slice basic = si_field(call, "Authorization");
    unsigned ids = parameter(call, "client_id", id);
    unsigned secrets = parameter(call, "client_secret", secret);
    grant->by_basic = basic.at != NULL;
    if (ids > 1 || secrets > 1 || (basic.at && secrets))
        return "invalid_request";
    if (basic.at && !si_form_basic(basic, id, secret))
        return "invalid_client";
    if (!basic.at && (!ids || !secrets))
        return "invalid_client";
    bool known =
        strcmp(id, call->world->opts.client_id) == 0 && strcmp(secret, call->world->opts.client_secret) == 0;
    return known ? NULL : "invalid_client";
}

static const char *take_knob(struct si_call *call, char kind[32])
{
    struct si_world *world = call->world;
    kind[0] = '\0';
    si_lock(world);
    if (si_knob_take(&world->knobs.token_fail_count))
        memcpy(kind, world->knobs.token_fail_kind, 32);
    world->counters.token_calls++;
    world->counters.token_calls_open++;
    if (world->counters.token_calls_open > world->counters.token_calls_open_most)
        world->counters.token_calls_open_most = world->counters.token_calls_open;
    si_unlock(world);
    call->token_call_open = true;
    return kind;
}

void si_token(struct si_call *call)
{
    struct grant_call grant = {.grant = SI_GRANT_OTHER};
    char kind[32];
    char name[SI_FORM_VALUE];
    unsigned names = parameter(call, "grant_type", name);
    if (strcmp(name, "client_credentials") == 0)
        grant.grant = SI_GRANT_CLIENT;
    else if (strcmp(name, "refresh_token") == 0)
        grant.grant = SI_GRANT_REFRESH;
    if (take_knob(call, kind)[0] && fail(call, &grant, kind))
        return;
    const char *refused = authenticate(call, &grant);
    unsigned refresh_tokens = parameter(call, "refresh_token", grant.refresh_token);
    unsigned scopes = parameter(call, "scope", grant.scope);
    if (names != 1 || scopes > 1 || refresh_tokens > 1 ||
        (grant.grant == SI_GRANT_REFRESH && refresh_tokens == 0))
        refused = "invalid_request";
    if (refused) {
        token_error(call, &grant, strcmp(refused, "invalid_client") == 0 ? 401 : 400, refused, "Refused.");
        return;
    }
    if (grant.grant == SI_GRANT_OTHER) {
        token_error(call, &grant, 400, "unsupported_grant_type", "client_credentials or refresh_token.");
        return;
    }
    uint64_t family = 0;
    si_lock(call->world);
    bool redeemed = grant.grant == SI_GRANT_CLIENT ||
                    si_tokens_redeem(&call->world->tokens, qp_slice_str(grant.refresh_token),
                                     call->knobs.rotate, &family);
    si_unlock(call->world);
    if (redeemed)
        token_success(call, &grant, family, kind);
    else
        token_error(call, &grant, 400, "invalid_grant",
                    "The refresh token is invalid, expired, revoked or was used.");
}
