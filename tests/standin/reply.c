/* reply.c - Qualtrics' envelope around results and errors. */
#include "call.h"
#include "http/write.h"

void si_head_line(struct si_call *call, const char *name, const char *value)
{
    qp_write_field(&call->head, qp_slice_str(name), qp_slice_str(value));
}

static void meta(struct si_call *call, unsigned status, const char *code, const char *message)
{
    struct qp_buf *out = &call->out;
    qp_buf_append_fmt(out, "\"meta\":{\"httpStatus\":\"%u - ", status);
    qp_buf_append(out, qp_status_reason(status));
    qp_buf_append_char(out, '"');
    if (message) {
        qp_buf_append_str(out, ",\"error\":{\"errorMessage\":\"");
        qp_buf_append_json(out, qp_slice_str(message));
        qp_buf_append_char(out, '"');
        if (code)
            qp_buf_append_fmt(out, ",\"errorCode\":\"%s\"", code);
        qp_buf_append_char(out, '}');
    }
    if (!message || code)
        qp_buf_append_fmt(out, ",\"requestId\":\"%s\"", call->request_id);
    if (call->knobs.notice[0]) {
        qp_buf_append_str(out, ",\"notice\":\"");
        qp_buf_append_json(out, qp_slice_str(call->knobs.notice));
        qp_buf_append_char(out, '"');
    }
    qp_buf_append_char(out, '}');
}

/* "gzip" or "*" as an element with a weight above nought (RFC 9110 section 12.5.3). */
static bool accepts_gzip(const struct si_call *call)
{
    struct qp_slice rest = si_field(call, "Accept-Encoding");
    while (rest.at) {
        struct qp_slice element = qp_slice_cut(&rest, ',');
        struct qp_slice coding = qp_slice_trim(qp_slice_cut(&element, ';'));
        struct qp_slice weight = element.at ? qp_slice_trim(element) : QP_SLICE_NONE;
        if (!qp_slice_is_nocase(coding, QP_SLICE("gzip")) && !qp_slice_is(coding, QP_SLICE("*")))
            continue;
        return !(weight.at && qp_slice_starts(weight, QP_SLICE("q=0")) &&
                 !memchr(weight.at, '.', weight.len));
    }
    return false;
}

static void reply_json(struct si_call *call, unsigned status)
{
    if (call->knobs.gzip && accepts_gzip(call))
        call->gzip = true;
    si_reply_out(call, status, "application/json");
}

void si_result_begin(struct si_call *call)
{
    qp_buf_clear(&call->out);
    qp_buf_append_str(&call->out, "{\"result\":");
}

void si_reply_result(struct si_call *call)
{
    qp_buf_append_char(&call->out, ',');
    meta(call, 200, NULL, NULL);
    qp_buf_append_char(&call->out, '}');
    reply_json(call, 200);
}

void si_reply_meta(struct si_call *call, unsigned status)
{
    qp_buf_clear(&call->out);
    qp_buf_append_char(&call->out, '{');
    meta(call, status, NULL, NULL);
    qp_buf_append_char(&call->out, '}');
    reply_json(call, status);
}

void si_reply_error(struct si_call *call, unsigned status, const char *code, const char *message)
{
    qp_buf_clear(&call->out);
    qp_buf_append_char(&call->out, '{');
    meta(call, status, code, message);
    qp_buf_append_char(&call->out, '}');
    reply_json(call, status);
}
