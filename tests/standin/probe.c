/* probe.c - honest endpoints that Qualtrics does not have, for tests: what arrived, made-up bytes, slowness, cuts. */
#include "answers.h"
#include <stdio.h>

/* ---- _echo ---- */

void si_echo_record(struct si_call *call, unsigned status)
{
    struct qp_slice label = si_field(call, "Idempotency-Key");
    if (!label.at)
        label = si_field(call, "X-Test-Id");
    unsigned char digest[32] = {0};
    mbedtls_sha256_context copy;
    mbedtls_sha256_init(&copy);
    mbedtls_sha256_clone(&copy, &call->body_hash);
    bool hashed = mbedtls_sha256_finish(&copy, digest) == 0;
    mbedtls_sha256_free(&copy);

    si_lock(call->world);
    struct si_echo *echo = si_count_echo(&call->world->counters);
    echo->serial = call->serial;
    echo->bytes = call->body_bytes;
    echo->status = (uint16_t)status;
    echo->complete = qp_request_has_ended(call->request) && status != 0;
    snprintf(echo->method, sizeof(echo->method), "%.*s",
             QP_SLICE_FMT(qp_request_message(call->request)->method));
    snprintf(echo->label, sizeof(echo->label), "%.*s", QP_SLICE_FMT(label));
    if (hashed)
        si_hash_hex(digest, echo->sha256);
    si_unlock(call->world);
}

/* Bytes above 0x7f as Latin-1, so that the answer is JSON whatever came. */
static void append_latin1(struct qp_buf *out, struct qp_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte >= 0x80)
            qp_buf_append_fmt(out, "\\u%04x", byte);
        else
            qp_buf_append_json(out, qp_slice(text.at + i, 1));
    }
}

static void append_field(struct si_call *call, const struct qp_field *field)
{
    struct qp_buf *out = &call->out;
    qp_buf_append_str(out, "[\"");
    append_latin1(out, field->name);
    qp_buf_append_str(out, "\",\"");
    if (field->id == QP_FIELD_AUTHORIZATION)
        qp_buf_append_fmt(out, "token %llu", (unsigned long long)call->serial);
    else if (field->id == QP_FIELD_X_API_TOKEN)
        qp_buf_append_str(out, "api token");
    else
        append_latin1(out, field->value);
    qp_buf_append_str(out, "\"]");
}

static void append_fields(struct si_call *call, const char *name, const struct qp_fields *fields)
{
    qp_buf_append_fmt(&call->out, ",\"%s\":[", name);
    for (unsigned i = 0; i < fields->count; i++) {
        if (i)
            qp_buf_append_char(&call->out, ',');
        append_field(call, &fields->at[i]);
    }
    qp_buf_append_char(&call->out, ']');
}

void si_echo_answer(struct si_call *call)
{
    const struct qp_message *message = qp_request_message(call->request);
    struct qp_buf *out = &call->out;
    unsigned char digest[32] = {0};
    char hex[SI_HASH_HEX] = "";
    mbedtls_sha256_context copy;
    mbedtls_sha256_init(&copy);
    mbedtls_sha256_clone(&copy, &call->body_hash);
    if (mbedtls_sha256_finish(&copy, digest) == 0)
        si_hash_hex(digest, hex);
    mbedtls_sha256_free(&copy);

    si_result_begin(call);
    qp_buf_append_str(out, "{\"method\":\"");
    append_latin1(out, message->method);
    qp_buf_append_str(out, "\",\"target\":\"");
    append_latin1(out, message->target);
    qp_buf_append_fmt(out, "\",\"version\":\"%u.%u\",\"token\":%llu,\"connection\":%llu,\"number\":%llu",
                      message->major, message->minor, (unsigned long long)call->serial,
                      (unsigned long long)qp_request_conn_id(call->request),
                      (unsigned long long)qp_request_number(call->request));
    append_fields(call, "fields", &message->fields);
    qp_buf_append_fmt(out, ",\"body\":{\"bytes\":%llu,\"sha256\":\"%s\",\"framing\":\"%s\"}",
                      (unsigned long long)call->body_bytes, hex,
                      message->body_kind == QP_BODY_CHUNKED  ? "chunked"
                      : message->body_kind == QP_BODY_LENGTH ? "length"
                                                             : "none");
    append_fields(call, "trailers", &message->trailers);
    qp_buf_append_char(out, '}');
    si_reply_result(call);
}

/* ---- _blob?bytes=N&seed=S&chunked=0|1&gzip=0|1&hash=0|1&type=T&zip=0|1 ---- */

void si_blob(struct si_call *call)
{
    uint64_t bytes = si_param_u64(call, "bytes", 1024);
    char type[64] = "application/octet-stream";
    if (si_param(call, "type").at)
        snprintf(type, sizeof(type), "%.*s", QP_SLICE_FMT(si_param(call, "type")));
    if (!qp_is_field_value(qp_slice_str(type)) || bytes > (uint64_t)1 << 40) {
        si_reply_error(call, 400, "QVAL_1", "bytes or type: not possible.");
        return;
    }
    call->chunked = call->chunked || si_param_on(call, "chunked");
    si_feed_init(&call->feed, si_param_on(call, "zip") ? SI_ZIP : SI_RANDOM, si_param_u64(call, "seed", 1),
                 bytes, si_param_on(call, "gzip"), false);
    bool hash = si_param_u64(call, "hash", bytes <= SI_HASHED_UNASKED || call->chunked) != 0;
    si_reply_feed(call, type, hash);
}

/* ---- _slow?ms=M&chunk_ms=C&bytes=B&piece=P&chunked=0|1 ---- */

static void slow_answer(struct si_call *call)
{
    uint64_t bytes = si_param_u64(call, "bytes", 80);
    const uint64_t most = (uint64_t)1 << 20;
    bytes = bytes > most ? most : bytes;
    for (uint64_t i = 0; i < bytes; i++)
        qp_buf_append_char(&call->out, (char)('a' + i % 26));
    call->pace_ms = si_param_u64(call, "chunk_ms", 0);
    call->pace_bytes = (size_t)si_param_u64(call, "piece", 16);
    call->pace_bytes = call->pace_bytes ? call->pace_bytes : 16;
    call->chunked = call->chunked || si_param_on(call, "chunked");
    si_reply_out(call, 200, "text/plain");
}

void si_slow(struct si_call *call)
{
    uint64_t ms = si_param_u64(call, "ms", 0);
    if (ms > 0)
        si_call_after(call, ms, slow_answer);
    else
        slow_answer(call);
}

/* ---- _status/{code}?location=U&retry_after=S&bytes=B ---- */

/* Percent-decoded into a field line, unless that would break the head. */
static void field_from_param(struct si_call *call, const char *param, const char *name)
{
    struct qp_slice text = si_param(call, param);
    char value[512];
    size_t len = 0;
    for (size_t i = 0; text.at && i < text.len && len < sizeof(value) - 1; i++) {
        unsigned byte = 0;
        if (text.at[i] == '%' && i + 2 < text.len && sscanf(text.at + i + 1, "%2x", &byte) == 1) {
            value[len++] = (char)byte;
            i += 2;
        } else {
            value[len++] = text.at[i];
        }
    }
    value[len] = '\0';
    if (len > 0 && qp_is_field_value(qp_slice(value, len)))
        si_head_line(call, name, value);
}

void si_status(struct si_call *call)
{
    uint64_t code = 0;
    if (!qp_slice_to_u64(call->segment[3], &code) || code < 100 || code > 599 || code == 101) {
        si_reply_error(call, 400, "QVAL_1", "A status from 100 to 599, but not 101, is wanted.");
        return;
    }
    field_from_param(call, "location", "Location");
    field_from_param(call, "retry_after", "Retry-After");
    field_from_param(call, "authenticate", "WWW-Authenticate");
    if (code < 200) {
        struct qp_fields fields = {0};
        qp_fields_add(&fields, qp_request_arena(call->request), QP_SLICE("Link"),
                      QP_SLICE("</style.css>; rel=preload"));
        qp_request_inform(call->request, (unsigned)code, QP_SLICE_NONE, &fields);
        code = 200;
    }
    if (code == 204 || code == 205 || code == 304) {
        si_reply_out(call, (unsigned)code, NULL);
        return;
    }
    si_reply_meta(call, (unsigned)code);
}

/* ---- _cut?after=N&of=M&chunked=0|1&gzip=0|1; without `after`: no answer at all ---- */

void si_cut(struct si_call *call)
{
    if (!si_param(call, "after").at) {
        si_reply_cut(call);
        return;
    }
    call->cut_after = si_param_u64(call, "after", 0);
    call->chunked = call->chunked || si_param_on(call, "chunked");
    char type[64] = "application/octet-stream";
    if (si_param_on(call, "json"))
        snprintf(type, sizeof(type), "application/json");
    si_feed_init(&call->feed, SI_RANDOM, 1, si_param_u64(call, "of", call->cut_after + 1024),
                 si_param_on(call, "gzip"), false);
    si_reply_feed(call, type, false);
}

/* ---- _early?status=S&close=0|1&bytes=B: the answer comes before the request's body is read ---- */

void si_early(struct si_call *call)
{
    call->close = call->close || si_param_on(call, "close");
    call->finish_at_end = !call->close;
    uint64_t status = si_param_u64(call, "status", 200);
    si_reply_meta(call, status >= 200 && status <= 599 ? (unsigned)status : 400);
}
