#include "http/write.h"

#include "base/check.h"

enum { MAX_U64_DIGITS = 20 };

/* Plain copies into room that was reserved once: a head is a dozen short pieces, and a check for each would
 * cost more. */
static char *put(char *at, struct qp_slice text)
{
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    return at + text.len;
}

static void finish(struct qp_buf *out, const char *begin, const char *end)
{
    qp_buf_commit(out, (size_t)(end - begin));
}

void qp_write_request_line(struct qp_buf *out, struct qp_slice method, struct qp_slice target)
{
    qp_debug_require(qp_is_token(method));
    const struct qp_slice version = QP_SLICE(" HTTP/1.1\r\n");
    char *begin = qp_buf_reserve(out, method.len + 1 + target.len + version.len);
    char *at = put(begin, method);
    *at++ = ' ';
    at = put(at, target);
    finish(out, begin, put(at, version));
}

void qp_write_status_line(struct qp_buf *out, unsigned status, struct qp_slice reason)
{
    qp_require(status >= 100 && status <= 999);
    qp_debug_require(qp_is_field_value(reason));
    const struct qp_slice version = QP_SLICE("HTTP/1.1 ");
    char *begin = qp_buf_reserve(out, version.len + 4 + reason.len + 2);
    char *at = put(begin, version);
    *at++ = (char)('0' + status / 100);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' ';
    at = put(at, reason);
    finish(out, begin, put(at, QP_SLICE("\r\n")));
}

void qp_write_field(struct qp_buf *out, struct qp_slice name, struct qp_slice value)
{
    qp_debug_require(qp_is_token(name));
    qp_debug_require(qp_is_field_value(value));
    char *begin = qp_buf_reserve(out, name.len + value.len + 4);
    char *at = put(begin, name);
    *at++ = ':';
    *at++ = ' ';
    at = put(at, value);
    finish(out, begin, put(at, QP_SLICE("\r\n")));
}

/* Digits right-aligned at the end of `text`. */
static struct qp_slice decimal(char text[MAX_U64_DIGITS], uint64_t value)
{
    char *at = text + MAX_U64_DIGITS;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return qp_slice(at, (size_t)(text + MAX_U64_DIGITS - at));
}

void qp_write_framing(struct qp_buf *out, enum qp_body_kind kind, uint64_t length)
{
    char text[MAX_U64_DIGITS];
    switch (kind) {
    case QP_BODY_LENGTH:
        qp_write_field(out, QP_SLICE("Content-Length"), decimal(text, length));
        break;
    case QP_BODY_CHUNKED:
        qp_buf_append(out, QP_SLICE("Transfer-Encoding: chunked\r\n"));
        break;
    case QP_BODY_NONE:
    case QP_BODY_UNTIL_CLOSE:
        break;
    }
}

void qp_write_head_end(struct qp_buf *out)
{
    qp_buf_append(out, QP_SLICE("\r\n"));
}

size_t qp_write_chunk_head(char out[QP_CHUNK_HEAD_BYTES], size_t chunk_bytes)
{
    qp_require(chunk_bytes > 0); /* a chunk of nothing would be the last one */
    char digits[sizeof(chunk_bytes) * 2];
    size_t count = 0;
    for (size_t rest = chunk_bytes; rest > 0; rest >>= 4)
        digits[count++] = "0123456789abcdef"[rest & 15];
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    out[count] = '\r';
    out[count + 1] = '\n';
    return count + 2;
}

void qp_write_last_chunk(struct qp_buf *out, const struct qp_fields *trailers)
{
    qp_buf_append(out, QP_SLICE("0\r\n"));
    for (unsigned i = 0; trailers && i < trailers->count; i++)
        if (qp_field_passes_as_trailer(&trailers->at[i]))
            qp_write_field(out, trailers->at[i].name, trailers->at[i].value);
    qp_buf_append(out, QP_SLICE("\r\n"));
}

/* RFC 9110 section 15, and the few others that are met in the wild: 102, 103, 207, 425, 428, 429, 431, 451,
 * 507, 508, 511. */
static const struct {
    uint16_t status;
    struct qp_slice reason;
} reasons[] = {
    {100, QP_SLICE("Continue")},
    {101, QP_SLICE("Switching Protocols")},
    {102, QP_SLICE("Processing")},
    {103, QP_SLICE("Early Hints")},
    {200, QP_SLICE("OK")},
    {201, QP_SLICE("Created")},
    {202, QP_SLICE("Accepted")},
    {203, QP_SLICE("Non-Authoritative Information")},
    {204, QP_SLICE("No Content")},
    {205, QP_SLICE("Reset Content")},
    {206, QP_SLICE("Partial Content")},
    {207, QP_SLICE("Multi-Status")},
    {300, QP_SLICE("Multiple Choices")},
    {301, QP_SLICE("Moved Permanently")},
    {302, QP_SLICE("Found")},
    {303, QP_SLICE("See Other")},
    {304, QP_SLICE("Not Modified")},
    {305, QP_SLICE("Use Proxy")},
    {307, QP_SLICE("Temporary Redirect")},
    {308, QP_SLICE("Permanent Redirect")},
    {400, QP_SLICE("Bad Request")},
    {401, QP_SLICE("Unauthorized")},
    {402, QP_SLICE("Payment Required")},
    {403, QP_SLICE("Forbidden")},
    {404, QP_SLICE("Not Found")},
    {405, QP_SLICE("Method Not Allowed")},
    {406, QP_SLICE("Not Acceptable")},
    {407, QP_SLICE("Proxy Authentication Required")},
    {408, QP_SLICE("Request Timeout")},
    {409, QP_SLICE("Conflict")},
    {410, QP_SLICE("Gone")},
    {411, QP_SLICE("Length Required")},
    {412, QP_SLICE("Precondition Failed")},
    {413, QP_SLICE("Content Too Large")},
    {414, QP_SLICE("URI Too Long")},
    {415, QP_SLICE("Unsupported Media Type")},
    {416, QP_SLICE("Range Not Satisfiable")},
    {417, QP_SLICE("Expectation Failed")},
    {421, QP_SLICE("Misdirected Request")},
    {422, QP_SLICE("Unprocessable Content")},
    {425, QP_SLICE("Too Early")},
    {426, QP_SLICE("Upgrade Required")},
    {428, QP_SLICE("Precondition Required")},
    {429, QP_SLICE("Too Many Requests")},
    {431, QP_SLICE("Request Header Fields Too Large")},
    {451, QP_SLICE("Unavailable For Legal Reasons")},
    {500, QP_SLICE("Internal Server Error")},
    {501, QP_SLICE("Not Implemented")},
    {502, QP_SLICE("Bad Gateway")},
    {503, QP_SLICE("Service Unavailable")},
    {504, QP_SLICE("Gateway Timeout")},
    {505, QP_SLICE("HTTP Version Not Supported")},
    {507, QP_SLICE("Insufficient Storage")},
    {508, QP_SLICE("Loop Detected")},
    {511, QP_SLICE("Network Authentication Required")},
};

struct qp_slice qp_status_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return QP_SLICE("");
}
