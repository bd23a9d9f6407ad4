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
    struct qp_slice rest = qp_slice_str(text);
    struct qp_slice word = qp_slice_cut(&rest, ' ');
    /* Written small everywhere: our own name, and codes such as invalid_grant. */
    bool is_name = qp_slice_starts(word, QP_SLICE("qproxy")) || qp_slice_find(word, QP_SLICE("_"));
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

/* Finer than this nobody looks, and the page would never stand still. */
static const struct {
    int64_t below_s;
    int64_t unit_s;
    const char *unit;
    int64_t part_s; /* 0: no second unit */
    const char *part;
} DURATIONS[] = {
    {120, 1, "s", 0, NULL},         {600, 60, "min", 1, "s"},         {7200, 60, "min", 0, NULL},
    {172800, 3600, "h", 60, "min"}, {1209600, 86400, "d", 3600, "h"}, {INT64_MAX, 86400, "d", 0, NULL},
};

void qp_html_duration(struct qp_buf *out, int64_t seconds, const char *otherwise)
{
    size_t row = 0;
    if (seconds < 0) {
        qp_buf_append_str(out, otherwise);
        return;
    }
    while (seconds >= DURATIONS[row].below_s && DURATIONS[row].below_s < INT64_MAX)
        row++;
    qp_buf_append_fmt(out, "%" PRId64 " %s", seconds / DURATIONS[row].unit_s, DURATIONS[row].unit);
    if (DURATIONS[row].part_s > 0)
        qp_buf_append_fmt(out, " %" PRId64 " %s", seconds % DURATIONS[row].unit_s / DURATIONS[row].part_s,
                          DURATIONS[row].part);
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
