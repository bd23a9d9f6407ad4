#include "base/buf.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"

#include <stdarg.h>
#include <stdio.h>

enum { SMALLEST_BYTES = 64 };

/* The old memory is wiped because any buffer may hold a secret's bytes (a request head with the token does),
 * and growing is rare enough. */
static bool grow(struct qp_buf *buf, size_t bytes, bool may_fail)
{
    size_t len = qp_buf_len(buf);
    qp_require(bytes <= SIZE_MAX / 4 && len <= SIZE_MAX / 4);
    size_t capacity = buf->capacity < SMALLEST_BYTES ? SMALLEST_BYTES : buf->capacity * 2;
    if (capacity < len + bytes)
        capacity = len + bytes;
    char *data = qp_try_alloc(capacity);
    if (!data) {
        capacity = len + bytes; /* less is enough */
        data = may_fail ? qp_try_alloc(capacity) : qp_alloc(capacity);
    }
    if (!data)
        return false;
    if (buf->data) {
        memcpy(data, buf->data + buf->start, len);
        qp_wipe(buf->data, buf->capacity);
        qp_free(buf->data);
    }
    *buf = (struct qp_buf){.data = data, .end = len, .capacity = capacity};
    return true;
}

static bool reserve(struct qp_buf *buf, size_t bytes, bool may_fail)
{
    if (buf->data && bytes <= buf->capacity - buf->end)
        return true;
    size_t len = qp_buf_len(buf);
    /* Moving down is only worth it when at least half is consumed: else many small appends would move it each
     * time. */
    if (!buf->data || buf->start < len || bytes > buf->capacity - len)
        return grow(buf, bytes, may_fail);
    memmove(buf->data, buf->data + buf->start, len);
    buf->start = 0;
    buf->end = len;
    return true;
}

char *qp_buf_reserve(struct qp_buf *buf, size_t bytes)
{
    (void)reserve(buf, bytes, false);
    return buf->data + buf->end;
}

bool qp_buf_try_append(struct qp_buf *buf, struct qp_slice bytes)
{
    if (bytes.len == 0)
        return true;
    if (!reserve(buf, bytes.len, true))
        return false;
    memcpy(buf->data + buf->end, bytes.at, bytes.len);
    buf->end += bytes.len;
    return true;
}

void qp_buf_append(struct qp_buf *buf, struct qp_slice bytes)
{
    if (bytes.len == 0)
        return;
    memcpy(qp_buf_reserve(buf, bytes.len), bytes.at, bytes.len);
    buf->end += bytes.len;
}

void qp_buf_append_str(struct qp_buf *buf, const char *text)
{
    qp_buf_append(buf, qp_slice_str(text));
}

void qp_buf_append_char(struct qp_buf *buf, char c)
{
    *qp_buf_reserve(buf, 1) = c;
    buf->end++;
}

void qp_buf_append_u64(struct qp_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    qp_buf_append(buf, qp_slice(digits + at, sizeof(digits) - at));
}

void qp_buf_append_fmt(struct qp_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    qp_require(len >= 0);
    char *room = qp_buf_reserve(buf, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(room, (size_t)len + 1, format, args);
    va_end(args);
    buf->end += (size_t)len;
}

static void append_json_char(struct qp_buf *buf, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(plain, c) : NULL;
    if (found) {
        char pair[2] = {'\\', letters[found - plain]};
        qp_buf_append(buf, qp_slice(pair, sizeof(pair)));
        return;
    }
    char escape[6] = {'\\', 'u', '0', '0', hex[(unsigned char)c >> 4], hex[c & 0xF]};
    qp_buf_append(buf, qp_slice(escape, sizeof(escape)));
}

void qp_buf_append_json(struct qp_buf *buf, struct qp_slice text)
{
    size_t plain_from = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        qp_buf_append(buf, qp_slice(text.at + plain_from, i - plain_from));
        append_json_char(buf, text.at[i]);
        plain_from = i + 1;
    }
    if (plain_from < text.len)
        qp_buf_append(buf, qp_slice(text.at + plain_from, text.len - plain_from));
}

void qp_buf_consume(struct qp_buf *buf, size_t bytes)
{
    qp_require(bytes <= qp_buf_len(buf));
    buf->start += bytes;
    if (buf->start == buf->end)
        qp_buf_clear(buf);
}

void qp_buf_deinit(struct qp_buf *buf)
{
    qp_free(buf->data);
    *buf = (struct qp_buf){0};
}

void qp_buf_wipe(struct qp_buf *buf)
{
    if (buf->data)
        qp_wipe(buf->data, buf->capacity);
    qp_buf_deinit(buf);
}
