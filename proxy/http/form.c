#include "http/form.h"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "%XX" at the start stands for; 0, which no value may hold, if it is none. */
static char escaped(struct qp_slice text)
{
    int high = text.len > 2 ? digit_of(text.at[1]) : -1;
    int low = text.len > 2 ? digit_of(text.at[2]) : -1;
    return high < 0 || low < 0 ? '\0' : (char)(high * 16 + low);
}

bool qp_form_decode(struct qp_slice text, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i] == '+' ? ' ' : text.at[i];
        if (c == '%') {
            c = escaped(qp_slice(text.at + i, text.len - i));
            i += 2;
        }
        if (c == '\0' || len + 1 >= size) {
            out[0] = '\0';
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

static bool is_named(struct qp_slice key, const char *name)
{
    char text[64];
    return qp_form_decode(key, text, sizeof(text)) && strcmp(text, name) == 0;
}

unsigned qp_form_find(struct qp_slice pairs, const char *name, char *out, size_t size)
{
    unsigned found = 0;
    out[0] = '\0';
    while (pairs.at) {
        struct qp_slice value = qp_slice_cut(&pairs, '&');
        struct qp_slice key = qp_slice_cut(&value, '=');
        if (!is_named(key, name) || ++found > 1)
            continue;
        if (value.at && !qp_form_decode(value, out, size))
            found++;
    }
    return found;
}

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '*' ||
           c == '-' || c == '.' || c == '_';
}

void qp_form_append_encoded(struct qp_buf *out, struct qp_slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; text.at && i < text.len; ++i) {
        unsigned char c = (unsigned char)text.at[i];
        if (is_plain(c)) {
            qp_buf_append_char(out, (char)c);
        } else if (c == ' ') {
            qp_buf_append_char(out, '+');
        } else {
            qp_buf_append_char(out, '%');
            qp_buf_append_char(out, hex[c >> 4]);
            qp_buf_append_char(out, hex[c & 15]);
        }
    }
}

void qp_form_append_pair(struct qp_buf *out, const char *name, struct qp_slice value)
{
    struct qp_slice so_far = qp_buf_slice(out);
    if (so_far.at && so_far.len > 0 && so_far.at[so_far.len - 1] != '?')
        qp_buf_append_char(out, '&');
    qp_buf_append_str(out, name);
    qp_buf_append_char(out, '=');
    qp_form_append_encoded(out, value);
}
