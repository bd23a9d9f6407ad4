/* nextpage.c - _nextpage: one JSON answer with links, in every dress that a rewriting proxy may meet.
 *
 *   style=plain|pretty|escaped|unicode|spaced   how the JSON is written ("https:\/\/", "\u0068ttps", " : ")
 *   host=H       of nextPage (default: the knob, else what the request named); query=Q: what stands behind the '?'
 *   value=V      nextPage is this text instead of a link; "null" and "number" are literal
 *   pad=N        so many bytes of other JSON before the link; tail=N: behind it
 *   fake=1       strings that look like the member, and the same key at other depths
 *   gzip=1, chunked=1, charset=1, type=T, piece=N with pace=MS (bytes of a piece, pause behind it)
 *   key=K        the member's name instead of nextPage ("file" as legacy exports have it)
 */
#include "answers.h"
#include <stdio.h>

static bool style_is(struct si_call *call, const char *style)
{
    return qp_slice_is(si_param(call, "style"), qp_slice_str(style));
}

/* The text between quotes, in the style that was asked for. */
static void append_styled(struct si_call *call, struct qp_slice text)
{
    struct qp_buf *out = &call->out;
    if (!text.at)
        return;
    if (style_is(call, "unicode") && text.len > 0) {
        qp_buf_append_fmt(out, "\\u%04X", (unsigned)(unsigned char)text.at[0]);
        text = qp_slice(text.at + 1, text.len - 1);
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '/' && style_is(call, "escaped"))
            qp_buf_append_str(out, "\\/");
        else
            qp_buf_append_json(out, qp_slice(text.at + i, 1));
    }
}

static void append_link(struct si_call *call)
{
    struct qp_slice value = si_param(call, "value");
    struct qp_slice host = si_param(call, "host");
    struct qp_slice query = si_param(call, "query");
    const bool null = qp_slice_is(value, QP_SLICE("null"));
    if (null || qp_slice_is(value, QP_SLICE("number"))) {
        qp_buf_append_str(&call->out, null ? "null" : "17");
        return;
    }
    if (!host.at)
        host = call->knobs.next_page_host[0] ? qp_slice_str(call->knobs.next_page_host)
                                             : qp_request_authority(call->request);
    if (!query.at)
        query = QP_SLICE("offset=100&filter=a%2Bb%20c%2f&skipToken=MLRP_x+y%3D%3D");
    struct qp_buf text = {0};
    if (value.at)
        qp_buf_append(&text, value);
    else
        qp_buf_append_fmt(&text, "https://%.*s/API/v3/_nextpage?%.*s", QP_SLICE_FMT(host),
                          QP_SLICE_FMT(query));
    qp_buf_append_char(&call->out, '"');
    append_styled(call, qp_buf_slice(&text));
    qp_buf_append_char(&call->out, '"');
    qp_buf_deinit(&text);
}

static const char *colon(struct si_call *call)
{
    if (style_is(call, "spaced"))
        return " \t:\r\n ";
    return style_is(call, "pretty") ? ": " : ":";
}

static const char *line(struct si_call *call, unsigned depth)
{
    static const char *const breaks[] = {"\n", "\n  ", "\n    ", "\n      "};
    return style_is(call, "pretty") ? breaks[depth] : "";
}

static void append_padding(struct si_call *call, const char *name, uint64_t bytes)
{
    struct qp_buf *out = &call->out;
    const uint64_t most = (uint64_t)64 << 20;
    bytes = bytes > most ? most : bytes;
    qp_buf_append_fmt(out, "\"%s\"%s\"", name, colon(call));
    for (uint64_t i = 0; i < bytes; i++)
        qp_buf_append_char(out, (char)('a' + i % 26));
    qp_buf_append_fmt(out, "\",%s", line(call, 2));
}

static const char fakes[] =
    "{\"name\":\"\\\"nextPage\\\":\\\"https://iad1.qualtrics.com/API/v3/fake-in-a-string\\\"\"},"
    "{\"name\":\"nextPage\",\"value\":\"https://iad1.qualtrics.com/API/v3/fake-as-another-member\"},"
    "{\"nextPageHint\":\"https://iad1.qualtrics.com/API/v3/fake-longer-key\"},"
    "{\"nextPage\":\"https://standin.qualtrics.com/jfe/form/SV_1?nextPage=https://iad1.qualtrics.com/API/v3/"
    "no\"},"
    "{\"BrandBaseURL\":\"https://standin.az1.qualtrics.com\",\"publicationUrl\":\"https://iad1.qualtrics.com/"
    "API/v3/mine\"},"
    "{\"link\":\"https://az1.qualtrics.com/SE?Q_DL=1\",\"fileUrl\":\"https://az1.qualtrics.com/API/v3/"
    "file-url\"},"
    "{\"nested\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/nested-deeper\"}},"
    "{\"nextPage\":{\"href\":\"https://iad1.qualtrics.com/API/v3/an-object\"}}";

static void build(struct si_call *call)
{
    struct qp_buf *out = &call->out;
    struct qp_slice key = si_param(call, "key");
    qp_buf_append_fmt(out, "{%s\"result\"%s{%s", line(call, 1), colon(call), line(call, 2));
    append_padding(call, "before", si_param_u64(call, "pad", 0));
    qp_buf_append_fmt(out, "\"elements\"%s[", colon(call));
    if (si_param_on(call, "fake"))
        qp_buf_append_str(out, fakes);
    qp_buf_append_fmt(out, "],%s\"", line(call, 2));
    qp_buf_append_json(out, key.at ? key : QP_SLICE("nextPage"));
    qp_buf_append_fmt(out, "\"%s", colon(call));
    append_link(call);
    qp_buf_append_fmt(out, ",%s", line(call, 2));
    append_padding(call, "behind", si_param_u64(call, "tail", 0));
    qp_buf_append_fmt(out, "\"end\"%strue%s},%s", colon(call), line(call, 1), line(call, 1));
    qp_buf_append_fmt(out, "\"meta\"%s{\"requestId\"%s\"%s\",\"httpStatus\"%s\"200 - OK\"}%s}%s", colon(call),
                      colon(call), call->request_id, colon(call), line(call, 0), line(call, 0));
}

void si_nextpage(struct si_call *call)
{
    char type[96];
    struct qp_slice wanted = si_param(call, "type");
    snprintf(type, sizeof(type), "%.*s%s", QP_SLICE_FMT(wanted.at ? wanted : QP_SLICE("application/json")),
             si_param_on(call, "charset") ? "; charset=utf-8" : "");
    if (!qp_is_field_value(qp_slice_str(type))) {
        si_reply_error(call, 400, "QVAL_1", "type: not a field value.");
        return;
    }
    build(call);
    call->gzip = si_param_on(call, "gzip");
    call->chunked = call->chunked || si_param_on(call, "chunked");
    call->pace_ms = si_param_u64(call, "pace", 0);
    call->pace_bytes = (size_t)si_param_u64(call, "piece", 0);
    if (call->pace_bytes > 0 && call->pace_ms == 0)
        call->pace_ms = 1;
    si_reply_out(call, 200, type);
}
