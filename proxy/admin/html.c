#include "admin/html.h"
#include "admin/text.h"
#include <inttypes.h>
#include <stdio.h>

void qp_html_open(struct qp_buf *out, const char *title)
{
    qp_buf_append_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                           "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    qp_put_html(out, title);
    qp_buf_append_str(out,
                      "</title><meta name=\"color-scheme\" content=\"light dark\">"
                      "<link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/page.css\">"
                      "<script src=\"/page.js\" defer></script></head>\n<body>\n");
}

void qp_html_close(struct qp_buf *out)
{
    qp_buf_append_str(out, "</body></html>\n");
}

void qp_html_word(struct qp_buf *out, const char *text)
{
    char first = text[0];
    bool is_name = qp_slice_starts(qp_slice_str(text), QP_SLICE("qproxy")); /* written small everywhere */
    if (is_name || first < 'a' || first > 'z') {
        qp_put_html(out, text);
        return;
    }
    qp_buf_append_char(out, (char)(first - 'a' + 'A'));
    qp_put_html(out, text + 1);
}

void qp_html_sentence(struct qp_buf *out, const char *text)
{
    size_t len = strlen(text);
    qp_html_word(out, text);
    if (len > 0 && !strchr(".!?", text[len - 1]))
        qp_buf_append_char(out, '.');
}

void qp_html_duration(struct qp_buf *out, int64_t seconds, const char *otherwise)
{
    if (seconds < 0)
        qp_buf_append_str(out, otherwise);
    else if (seconds < 120)
        qp_buf_append_fmt(out, "%" PRId64 " s", seconds);
    else if (seconds < 7200)
        qp_buf_append_fmt(out, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else if (seconds < 172800)
        qp_buf_append_fmt(out, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
    else
        qp_buf_append_fmt(out, "%" PRId64 " d %" PRId64 " h", seconds / 86400, seconds / 3600 % 24);
}

void qp_html_count(struct qp_buf *out, uint64_t count)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            qp_buf_append_char(out, ',');
        qp_buf_append_char(out, digits[i]);
    }
}

void qp_html_counted(struct qp_buf *out, uint64_t count, const char *one, const char *many)
{
    qp_html_count(out, count);
    qp_buf_append_char(out, ' ');
    qp_buf_append_str(out, count == 1 ? one : many);
}
