#include "cli/table.h"
#include "base/alloc.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_CELLS = 32, GAP = 2 };
static const long long MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400;

static const char *const TONES[] = {
    [QP_TONE_PLAIN] = "",        [QP_TONE_HEAD] = "\033[1m", [QP_TONE_GOOD] = "\033[32m",
    [QP_TONE_WARN] = "\033[33m", [QP_TONE_BAD] = "\033[31m",
};

/* ---- texts ---- */

void qp_put_printable(struct qp_buf *out, const char *text)
{
    struct qp_slice rest = qp_slice_str(text);
    while (rest.len > 0) {
        size_t bytes = qp_utf8_shown_bytes(rest);
        if (bytes)
            qp_buf_append(out, qp_slice(rest.at, bytes));
        else
            qp_buf_append_char(out, '?');
        bytes += bytes == 0;
        rest = qp_slice(rest.at + bytes, rest.len - bytes);
    }
}

void qp_say(FILE *out, const char *prefix, const char *text)
{
    struct qp_buf line = {0};
    qp_put_printable(&line, text);
    fprintf(out, "%s%.*s\n", prefix, QP_SLICE_FMT(qp_buf_slice(&line)));
    qp_buf_deinit(&line);
}

const char *qp_span(int64_t seconds, char out[QP_SPAN_BYTES])
{
    long long value = seconds;
    if (value < 0)
        snprintf(out, QP_SPAN_BYTES, "-");
    else if (value < 2 * MINUTE_S)
        snprintf(out, QP_SPAN_BYTES, "%lld s", value);
    else if (value < 2 * HOUR_S)
        snprintf(out, QP_SPAN_BYTES, "%lld min", value / MINUTE_S);
    else if (value < 2 * DAY_S)
        snprintf(out, QP_SPAN_BYTES, "%lld h %lld min", value / HOUR_S, value % HOUR_S / MINUTE_S);
    else
        snprintf(out, QP_SPAN_BYTES, "%lld d", value / DAY_S);
    return out;
}

bool qp_has_colours(FILE *out)
{
    const char *refused = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(fileno(out)) && !(refused && *refused) && terminal && strcmp(terminal, "dumb") != 0;
}

/* ---- tables ---- */

static unsigned characters(struct qp_slice text)
{
    unsigned count = 0;
    for (size_t i = 0; text.at && i < text.len; i++)
        count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return count;
}

void qp_table_put(struct qp_table *table, enum qp_tone tone, const char *text)
{
    struct qp_buf clean = {0};
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : FIRST_CELLS;
        struct qp_table_cell *cells = qp_alloc(capacity * sizeof *cells);
        if (table->count)
            memcpy(cells, table->cells, table->count * sizeof *cells);
        qp_free(table->cells);
        table->cells = cells;
        table->capacity = capacity;
    }
    qp_put_printable(&clean, text && *text ? text : "-");
    struct qp_slice slice = qp_buf_slice(&clean);
    table->cells[table->count++] = (struct qp_table_cell){
        .text = qp_strndup(slice.at, slice.len), .width = characters(slice), .tone = tone};
    qp_buf_deinit(&clean);
}

static unsigned column_width(const struct qp_table *table, unsigned column)
{
    unsigned width = 0;
    for (size_t i = column; i < table->count; i += table->columns)
        if (table->cells[i].width > width)
            width = table->cells[i].width;
    return width;
}

static void print_cell(const struct qp_table *table, size_t index, unsigned width, bool has_colours,
                       FILE *out)
{
    const struct qp_table_cell *cell = &table->cells[index];
    bool is_last = index % table->columns == table->columns - 1;
    bool is_toned = has_colours && *TONES[cell->tone];
    fprintf(out, "%s%s%s", is_toned ? TONES[cell->tone] : "", cell->text, is_toned ? "\033[0m" : "");
    if (is_last)
        fputc('\n', out);
    else
        fprintf(out, "%*s", (int)(width - cell->width) + GAP, "");
}

void qp_table_print(const struct qp_table *table, bool has_colours, FILE *out)
{
    if (table->columns == 0)
        return;
    unsigned *widths = qp_alloc(table->columns * sizeof *widths);
    for (unsigned column = 0; column < table->columns; column++)
        widths[column] = column_width(table, column);
    for (size_t i = 0; i < table->count; i++)
        print_cell(table, i, widths[i % table->columns], has_colours, out);
    qp_free(widths);
}

void qp_table_deinit(struct qp_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        qp_free(table->cells[i].text);
    qp_free(table->cells);
    *table = (struct qp_table){.columns = table->columns};
}
