#include "relay/reply.h"
#include "server/envelope.h"

static const struct qp_reply_row ROWS[] = {
#define QP_REPLY_ROW(name, status, code, text) [name] = {status, code, text},
    QP_REPLY_MAP(QP_REPLY_ROW)
#undef QP_REPLY_ROW
};

const struct qp_reply_row *qp_reply_row(enum qp_reply reply)
{
    return &ROWS[reply];
}

struct outcome_row {
    int outcome;
    enum qp_reply reply;
};

static const struct outcome_row DIAL_ROWS[] = {
    {QP_NET_RESOLVE, QP_REPLY_ORIGIN_RESOLVE},
    {QP_NET_REFUSED, QP_REPLY_ORIGIN_REFUSED},
    {QP_NET_UNREACHABLE, QP_REPLY_ORIGIN_UNREACHABLE},
    {QP_NET_TLS_VERIFY, QP_REPLY_ORIGIN_CERTIFICATE},
    {QP_NET_TIMEOUT, QP_REPLY_ORIGIN_CONNECT_TIMEOUT},
    {QP_NET_TLS_TIMEOUT, QP_REPLY_ORIGIN_HANDSHAKE_TIMEOUT},
    {QP_NET_DESCRIPTORS, QP_REPLY_NO_DESCRIPTORS},
    {QP_SELF_BUSY, QP_REPLY_QUEUE_FULL},
    {QP_NET_TLS, QP_REPLY_ORIGIN_TLS},
    {QP_NET_TRUNCATED, QP_REPLY_ORIGIN_TLS},
    {QP_NET_RESET, QP_REPLY_ORIGIN_TLS},
    {QP_NET_END, QP_REPLY_ORIGIN_TLS},
};

static const struct outcome_row EXCHANGE_ROWS[] = {
    {QP_NET_END, QP_REPLY_ORIGIN_CLOSED},
    {QP_NET_RESET, QP_REPLY_ORIGIN_CLOSED},
    {QP_NET_TRUNCATED, QP_REPLY_ORIGIN_CLOSED},
    {QP_NET_TIMEOUT, QP_REPLY_ORIGIN_TIMEOUT},
    {QP_NET_TLS, QP_REPLY_ORIGIN_TLS},
    {QP_HTTP_MALFORMED, QP_REPLY_ORIGIN_MALFORMED},
    {QP_HTTP_TOO_LARGE, QP_REPLY_ORIGIN_MALFORMED},
    {QP_HTTP_TRUNCATED, QP_REPLY_ORIGIN_CLOSED},
    {QP_HTTP_UNEXPECTED, QP_REPLY_ORIGIN_MALFORMED},
};

static const struct outcome_row NEED_ROWS[] = {
    {QP_NEED_COOLING_DOWN, QP_REPLY_TOKEN_COOLING_DOWN},
    {QP_NEED_SIGN_IN, QP_REPLY_TOKEN_SIGN_IN},
    {QP_NEED_REFUSED, QP_REPLY_TOKEN_REFUSED},
    {QP_NEED_TIMEOUT, QP_REPLY_TOKEN_TIMEOUT},
    {QP_NEED_REJECTED, QP_REPLY_TOKEN_REJECTED},
    {QP_NEED_STATIC, QP_REPLY_TOKEN_REJECTED},
    {QP_NEED_BUSY, QP_REPLY_QUEUE_FULL},
};

static enum qp_reply look_up(const struct outcome_row *rows, size_t count, int outcome,
                             enum qp_reply otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].outcome == outcome)
            return rows[i].reply;
    return otherwise;
}

#define LOOK_UP(rows, outcome, otherwise) \
    look_up(rows, sizeof(rows) / sizeof((rows)[0]), (int)(outcome), otherwise)

enum qp_reply qp_reply_for_dial(enum qp_result why)
{
    return LOOK_UP(DIAL_ROWS, why, QP_REPLY_ORIGIN_UNREACHABLE);
}
enum qp_reply qp_reply_for_exchange(enum qp_result why)
{
    return LOOK_UP(EXCHANGE_ROWS, why, QP_REPLY_ORIGIN_CLOSED);
}
enum qp_reply qp_reply_for_need(enum qp_need_outcome outcome)
{
    return LOOK_UP(NEED_ROWS, outcome, QP_REPLY_BROKEN);
}

void qp_reply_body(struct qp_buf *body, unsigned status, const char *code, const char *text,
                   const char *detail, uint64_t conn, uint64_t request)
{
    qp_envelope_error(body, status, code, text, detail, conn, request);
}

void qp_reply_extra(struct qp_buf *lines, const char *code, uint32_t retry_after_s)
{
    qp_buf_append(lines, QP_SLICE("Content-Type: " QP_REPLY_CONTENT_TYPE "\r\nX-Qproxy-Error: "));
    qp_buf_append_str(lines, code);
    qp_buf_append(lines, QP_SLICE("\r\n"));
    if (retry_after_s > 0) {
        qp_buf_append(lines, QP_SLICE("Retry-After: "));
        qp_buf_append_u64(lines, retry_after_s);
        qp_buf_append(lines, QP_SLICE("\r\n"));
    }
}
