/* gate.c - what stands before every API route: length, credentials, and the failures that knobs ask for.
 *
 * The order is the real gateway's as far as it is known: 411 by the HTTP layer, then the credential, then the route.
 */
#include "call.h"
#include <stdio.h>

/* The bearer of an Authorization value, or unset. The scheme is case-insensitive (RFC 9110 section 11.1). */
static struct qp_slice bearer_of(struct qp_slice value)
{
    struct qp_slice scheme = qp_slice_cut(&value, ' ');
    if (!value.at || !qp_slice_is_nocase(scheme, QP_SLICE("bearer")))
        return QP_SLICE_NONE;
    return qp_slice_trim(value);
}

static enum si_verdict judge(struct si_call *call, struct qp_slice authorization, struct qp_slice api_token)
{
    struct si_world *world = call->world;
    enum si_verdict verdict = SI_UNKNOWN;
    struct qp_slice bearer = authorization.at ? bearer_of(authorization) : QP_SLICE_NONE;
    si_lock(world);
    if (bearer.at)
        verdict = si_tokens_check(&world->tokens, bearer, &call->serial);
    else if (!authorization.at && world->opts.api_token &&
             qp_slice_is(api_token, qp_slice_str(world->opts.api_token)))
        verdict = SI_VALID;
    if (verdict == SI_VALID && world->knobs.always_401)
        verdict = SI_FORCED;
    if (verdict != SI_VALID)
        world->counters.rejected[verdict]++;
    si_unlock(world);
    return verdict;
}

/* Answers, when the credential is none or more than one. */
static bool gate_count_credentials(struct si_call *call)
{
    const struct qp_fields *fields = &qp_request_message(call->request)->fields;
    unsigned authorizations = qp_fields_count(fields, QP_FIELD_AUTHORIZATION);
    unsigned api_tokens = qp_fields_count(fields, QP_FIELD_X_API_TOKEN);
    bool none = authorizations + api_tokens == 0;
    bool both = authorizations > 1 || api_tokens > 1 ||
                (authorizations && api_tokens && call->knobs.reject_both_headers);
    si_lock(call->world);
    call->world->counters.no_credential += none;
    call->world->counters.two_credentials += authorizations + api_tokens > 1;
    si_unlock(call->world);
    if (none)
        si_reply_error(call, 400, "ATP_2", "Expected authorization in headers, but none provided.");
    else if (both)
        si_reply_error(call, 400, "STANDIN_2", "More than one credential was sent.");
    return none || both;
}

static bool gate_wants_length(const struct si_call *call)
{
    const struct qp_message *message = qp_request_message(call->request);
    return qp_slice_is(message->method, QP_SLICE("POST")) && message->body_kind != QP_BODY_CHUNKED &&
           !qp_fields_find(&message->fields, QP_FIELD_CONTENT_LENGTH);
}

static void reject_now(struct si_call *call)
{
    struct qp_buf *out = &call->out;
    call->close = call->close || call->knobs.reject_close;
    call->finish_at_end = !call->close;
    call->chunked = call->chunked || call->knobs.reject_chunked;
    qp_buf_append_str(out, "{\"meta\":{\"httpStatus\":\"401 - Unauthorized\",\"error\":{\"errorMessage\":\""
                           "Unrecognized X-API-TOKEN.\",\"errorCode\":\"DCD_7\"},\"requestId\":\"\"}");
    size_t wanted = (size_t)call->knobs.reject_bytes;
    while (qp_buf_len(out) + 1 < wanted) {
        size_t run = wanted - 1 - qp_buf_len(out);
        run = run < SI_PIECE_BYTES ? run : SI_PIECE_BYTES;
        memset(qp_buf_reserve(out, run), ' ', run);
        qp_buf_commit(out, run);
    }
    qp_buf_append_char(out, '}');
    si_reply_out(call, 401, "application/json");
}

void si_gate_body(struct si_call *call)
{
    const struct qp_message *message = qp_request_message(call->request);
    uint64_t half = message->body_kind == QP_BODY_LENGTH ? (message->body_length + 1) / 2 : 1;
    if (strcmp(call->knobs.reject_when, "half") == 0 && call->body_bytes >= half)
        reject_now(call);
}

void si_gate_end(struct si_call *call)
{
    reject_now(call);
}

/* Answers with a failure that a knob asked for; for a request with a good credential. */
static bool gate_fail(struct si_call *call)
{
    struct si_world *world = call->world;
    si_lock(world);
    bool forbid = world->knobs.forbid_403;
    bool throttle = !forbid && si_knob_take(&world->knobs.rate_429_count);
    bool away = !forbid && !throttle && si_knob_take(&world->knobs.status_503);
    si_unlock(world);
    if (forbid)
        si_reply_error(call, 403, "AuthZ_2.0", "This user does not have access to this API endpoint.");
    if (throttle && call->knobs.rate_429_retry_after >= 0)
        qp_buf_append_fmt(&call->head, "Retry-After: %lld\r\n", (long long)call->knobs.rate_429_retry_after);
    if (throttle)
        si_reply_error(call, 429, "STANDIN_429", "Too many requests.");
    if (away)
        si_reply_error(call, 503, "STANDIN_503", "The service is temporarily unavailable.");
    return forbid || throttle || away;
}

void si_gate_head(struct si_call *call)
{
    if (call->route->flags & SI_OPEN) {
        si_call_ask_body(call);
        return;
    }
    call->finish_at_end = true; /* whatever is answered before the end */
    if (gate_wants_length(call)) {
        si_reply_error(call, 411, NULL, "Content-Length is required.");
        return;
    }
    if (gate_count_credentials(call))
        return;
    call->verdict = judge(call, si_field(call, "Authorization"), si_field(call, "X-API-TOKEN"));
    if (call->verdict != SI_VALID) {
        call->rejecting = true;
        if (strcmp(call->knobs.reject_when, "head") == 0)
            reject_now(call);
        else
            si_call_ask_body(call);
        return;
    }
    if (!(call->route->flags & SI_PLAIN) && gate_fail(call))
        return;
    if (call->route->flags & SI_AT_HEAD) {
        call->route->answer(call);
        return;
    }
    si_call_ask_body(call);
}
