/* table.h - what people read on a terminal: aligned tables, spans of time, texts that came from elsewhere. Pure.
 *
 * Whatever a text holds, what goes out is printable: control bytes, which a terminal would obey, and broken UTF-8 become '?'.
 */
#ifndef QP_CLI_TABLE_H
#define QP_CLI_TABLE_H

#include "base/buf.h"
#include <stdio.h>

enum qp_tone { QP_TONE_PLAIN, QP_TONE_HEAD, QP_TONE_GOOD, QP_TONE_WARN, QP_TONE_BAD };

struct qp_table_cell {
    char *text;
    unsigned width; /* in characters */
    enum qp_tone tone;
};

/* Zeroed but for `columns`: empty. */
struct qp_table {
    unsigned columns;
    struct qp_table_cell *cells; /* row by row */
    size_t count;
    size_t capacity;
};

/* The next cell, row by row. NULL and "" are shown as "-". */
void qp_table_put(struct qp_table *table, enum qp_tone tone, const char *text);
void qp_table_print(const struct qp_table *table, bool has_colours, FILE *out);
void qp_table_deinit(struct qp_table *table);

/* Appends the text made printable. */
void qp_put_printable(struct qp_buf *out, const char *text);
/* One line to `out`, made printable: first the prefix, which is ours, then the text. */
void qp_say(FILE *out, const char *prefix, const char *text);

enum { QP_SPAN_BYTES = 32 };
/* "45 s", "12 min", "3 h 10 min", "5 d"; of a negative one "-". Gives `out`. */
const char *qp_span(int64_t seconds, char out[QP_SPAN_BYTES]);

/* True for a terminal that takes them, unless NO_COLOR (no-color.org) is set. */
bool qp_has_colours(FILE *out);

#endif
