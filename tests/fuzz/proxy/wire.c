#include "fuzz/proxy/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void breach(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("breach: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

void story(const char *format, ...)
{
    static int wanted = -1;
    va_list args;

    if (wanted < 0)
        wanted = getenv("QP_STORY") != NULL;
    if (!wanted)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A line without its CRLF, taken off the text; false: it is not whole yet. */
static bool take_line(struct qp_slice *text, struct qp_slice *line)
{
    const char *lf = text->len ? memchr(text->at, '\n', text->len) : NULL;

    if (!lf)
        return false;
    if (lf == text->at || lf[-1] != '\r')
        breach("a bare LF: %.*s", QP_SLICE_FMT(*text));
    *line = qp_slice(text->at, (size_t)(lf - text->at) - 1);
    *text = qp_slice(lf + 1, text->len - line->len - 2);
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->at[i] < ' ' && line->at[i] != '\t')
            breach("a control byte %d in a line: %.*s", line->at[i], QP_SLICE_FMT(*line));
    return true;
}

static struct wire_field read_field(struct qp_slice line)
{
    struct qp_slice value = line;
    const struct qp_slice name = qp_slice_cut(&value, ':');

    if (!value.at || name.len == 0)
        breach("a line that is no field: %.*s", QP_SLICE_FMT(line));
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_char(name.at[i]))
            breach("a field name that is none: %.*s", QP_SLICE_FMT(line));
    if (value.len < 1 || value.at[0] != ' ')
        breach("a field without its space: %.*s", QP_SLICE_FMT(line));
    value = qp_slice(value.at + 1, value.len - 1);
    if (!qp_slice_is(value, qp_slice_trim(value)))
        breach("space around a value: %.*s", QP_SLICE_FMT(line));
    return (struct wire_field){name, value};
}

static void read_start(struct qp_slice line, struct wire_head *head)
{
    const struct qp_slice whole = line;

    head->start[0] = qp_slice_cut(&line, ' ');
    head->start[1] = line.at ? qp_slice_cut(&line, ' ') : QP_SLICE_NONE;
    head->start[2] = line;
    if (!head->start[2].at || head->start[0].len == 0 || head->start[1].len == 0)
        breach("a start line that is none: %.*s", QP_SLICE_FMT(whole));
}

size_t wire_read_head(struct qp_slice text, struct wire_head *head)
{
    struct qp_slice rest = text, line;

    head->count = 0;
    if (!take_line(&rest, &line))
        return 0;
    read_start(line, head);
    for (;;) {
        if (!take_line(&rest, &line))
            return 0;
        if (line.len == 0)
            break;
        if (head->count == WIRE_FIELDS_MOST)
            breach("too many fields");
        head->fields[head->count++] = read_field(line);
    }
    head->text = qp_slice(text.at, text.len - rest.len);
    return head->text.len;
}

unsigned wire_count(const struct wire_head *head, const char *name)
{
    unsigned count = 0;

    for (unsigned i = 0; i < head->count; i++)
        count += qp_slice_is_nocase(head->fields[i].name, qp_slice_str(name));
    return count;
}

struct qp_slice wire_value(const struct wire_head *head, const char *name)
{
    struct qp_slice value = QP_SLICE_NONE;

    for (unsigned i = 0; i < head->count; i++) {
        if (!qp_slice_is_nocase(head->fields[i].name, qp_slice_str(name)))
            continue;
        if (value.at)
            breach("%s is there twice", name);
        value = head->fields[i].value;
    }
    return value;
}

static void decide_framing(struct wire_body *body, const struct wire_head *head, enum wire_framing otherwise)
{
    const struct qp_slice length = wire_value(head, "Content-Length");
    const struct qp_slice coding = wire_value(head, "Transfer-Encoding");

    body->framing = otherwise;
    if (length.at && coding.at)
        breach("two framings: %.*s", QP_SLICE_FMT(head->text));
    if (coding.at && !qp_slice_is(coding, QP_SLICE("chunked")))
        breach("coding %.*s", QP_SLICE_FMT(coding));
    if (length.at && !qp_slice_to_u64(length, &body->left))
        breach("length %.*s", QP_SLICE_FMT(length));
    if (coding.at)
        body->framing = WIRE_CHUNKED;
    if (length.at)
        body->framing = WIRE_LENGTH;
}

void wire_begin_body(struct wire_body *body, const struct wire_head *head, enum wire_framing otherwise)
{
    body->left = 0;
    decide_framing(body, head, otherwise);
    qp_buf_clear(&body->trailers);
    body->where = body->framing == WIRE_CHUNKED ? WIRE_SIZE : WIRE_DATA;
    if (body->framing == WIRE_NONE || (body->framing == WIRE_LENGTH && body->left == 0))
        body->where = WIRE_DONE;
}

static void take_bytes(struct wire_body *body, struct qp_slice *text, struct qp_buf *bytes)
{
    size_t count = text->len;

    if (body->framing != WIRE_UNTIL_CLOSE && count > body->left)
        count = (size_t)body->left;
    if (count > 0)
        qp_buf_append(bytes, qp_slice(text->at, count));
    *text = qp_slice(text->at + count, text->len - count);
    body->left -= body->framing == WIRE_UNTIL_CLOSE ? 0 : count;
}

static uint64_t read_size(struct qp_slice line)
{
    char digits[17] = {0};
    char *end;

    if (line.len == 0 || line.len > 16 || line.at[0] == '-' || line.at[0] == '+' || line.at[0] == ' ')
        breach("a chunk size that is none: %.*s", QP_SLICE_FMT(line));
    memcpy(digits, line.at, line.len);
    const uint64_t size = strtoull(digits, &end, 16);
    if (*end)
        breach("a chunk size that is none: %s", digits);
    return size;
}

/* One step; false: there is not enough. */
static bool take_chunked(struct wire_body *body, struct qp_slice *text, struct qp_buf *bytes)
{
    struct qp_slice line;

    switch (body->where) {
    case WIRE_SIZE:
        if (!take_line(text, &line))
            return false;
        body->left = read_size(line);
        body->where = body->left > 0 ? WIRE_DATA : WIRE_TRAILERS;
        return true;
    case WIRE_DATA:
        take_bytes(body, text, bytes);
        if (body->left > 0 || text->len < 2)
            return false;
        if (memcmp(text->at, "\r\n", 2) != 0)
            breach("no CRLF behind a chunk");
        *text = qp_slice(text->at + 2, text->len - 2);
        body->where = WIRE_SIZE;
        return true;
    case WIRE_TRAILERS:
        if (!take_line(text, &line))
            return false;
        if (line.len == 0) {
            body->where = WIRE_DONE;
            return false;
        }
        (void)read_field(line);
        qp_buf_append(&body->trailers, line);
        qp_buf_append_char(&body->trailers, '\n');
        return true;
    case WIRE_DONE:
        break;
    }
    return false;
}

bool wire_take_body(struct wire_body *body, struct qp_slice *text, struct qp_buf *bytes)
{
    if (body->where == WIRE_DONE)
        return true;
    if (body->framing == WIRE_CHUNKED) {
        while (take_chunked(body, text, bytes))
            continue;
        return body->where == WIRE_DONE;
    }
    take_bytes(body, text, bytes);
    if (body->framing == WIRE_LENGTH && body->left == 0)
        body->where = WIRE_DONE;
    return body->where == WIRE_DONE;
}
