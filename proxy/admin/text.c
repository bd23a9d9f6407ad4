#include "admin/text.h"
#include "base/utf8.h"

#define UNKNOWN "\xef\xbf\xbd"

/* Gives what stands for an ASCII character, or NULL for itself. */
typedef const char *escape_function(char c);

static void put_escaped(struct qp_buf *out, const char *text, escape_function *escape)
{
    struct qp_slice rest = qp_slice_str(text);
    while (rest.len > 0) {
        bool is_ascii = (unsigned char)rest.at[0] < 0x80;
        size_t bytes = is_ascii ? 1 : qp_utf8_shown_bytes(rest);
        const char *instead = bytes == 0 ? UNKNOWN : bytes == 1 ? escape(rest.at[0]) : NULL;
        if (instead)
            qp_buf_append_str(out, instead);
        else
            qp_buf_append(out, qp_slice(rest.at, bytes));
        bytes += bytes == 0;
        rest = qp_slice(rest.at + bytes, rest.len - bytes);
    }
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static const char *escape_html(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
    case '\t':
        return " ";
    default:
        return is_control(c) ? UNKNOWN : NULL;
    }
}

static const char *escape_label(char c)
{
    switch (c) {
    case '\\':
        return "\\\\";
    case '"':
        return "\\\"";
    case '\n':
        return "\\n";
    default:
        return is_control(c) ? UNKNOWN : NULL;
    }
}

static const char *escape_json(char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\t':
        return "\\t";
    case '\r':
        return "\\r";
    default:
        return is_control(c) ? UNKNOWN : NULL;
    }
}

void qp_put_html(struct qp_buf *out, const char *text)
{
    put_escaped(out, text, escape_html);
}

void qp_put_label(struct qp_buf *out, const char *text)
{
    put_escaped(out, text, escape_label);
}

/* ---- JSON ---- */

static void put_name(struct qp_buf *out, const char *name)
{
    struct qp_slice so_far = qp_buf_slice(out);
    char last = so_far.at && so_far.len > 0 ? so_far.at[so_far.len - 1] : '{';
    if (last != '{' && last != '[')
        qp_buf_append_char(out, ',');
    if (!name)
        return;
    qp_buf_append_char(out, '"');
    put_escaped(out, name, escape_json);
    qp_buf_append_str(out, "\":");
}

void qp_json_open(struct qp_buf *out, const char *name, char bracket)
{
    put_name(out, name);
    qp_buf_append_char(out, bracket);
}

void qp_json_close(struct qp_buf *out, char bracket)
{
    qp_buf_append_char(out, bracket);
}

void qp_json_text(struct qp_buf *out, const char *name, const char *text)
{
    put_name(out, name);
    if (!text) {
        qp_buf_append_str(out, "null");
        return;
    }
    qp_buf_append_char(out, '"');
    put_escaped(out, text, escape_json);
    qp_buf_append_char(out, '"');
}

void qp_json_bool(struct qp_buf *out, const char *name, bool value)
{
    put_name(out, name);
    qp_buf_append_str(out, value ? "true" : "false");
}

void qp_json_u64(struct qp_buf *out, const char *name, uint64_t value)
{
    put_name(out, name);
    qp_buf_append_u64(out, value);
}

void qp_json_seconds(struct qp_buf *out, const char *name, int64_t seconds)
{
    put_name(out, name);
    if (seconds < 0)
        qp_buf_append_str(out, "null");
    else
        qp_buf_append_u64(out, (uint64_t)seconds);
}
