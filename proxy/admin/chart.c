/* chart.c - the last hour as bars: one lane a series, each on its own scale, for they differ by orders of magnitude. */
#include "admin/html.h"
#include "admin/text.h"
#include <inttypes.h>

enum { BAR_STEP = 10, BAR_WIDTH = 8, HEIGHT = 100, SMALLEST = 3 };

static const struct {
    const char *word;
    const char *title;
    const char *text;
    const char *one;
    const char *many;
} LANES[] = {
#define LANE(name, word, title, text, one, many) [name] = {word, title, text, one, many},
    QP_SERIES_MAP(LANE)
#undef LANE
};

/* What is there at all can be seen. */
static unsigned height_of(uint64_t value, uint64_t peak)
{
    unsigned height = peak ? (unsigned)((double)value / (double)peak * HEIGHT) : 0;
    return value > 0 && height < SMALLEST ? SMALLEST : height;
}

static void put_bar(struct qp_buf *out, const struct qp_history *history, enum qp_series series,
                    unsigned index)
{
    uint64_t value = qp_history_at(history, series, index);
    unsigned height = height_of(value, qp_history_peak(history, series));
    unsigned ago = QP_HISTORY_MINUTES - 1 - index;
    if (value == 0)
        return;
    qp_buf_append_fmt(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"><title>",
                      index * BAR_STEP + (BAR_STEP - BAR_WIDTH) / 2, HEIGHT - height, (unsigned)BAR_WIDTH,
                      height);
    qp_html_counted(out, value, LANES[series].one, LANES[series].many);
    if (ago == 0)
        qp_buf_append_str(out, " in this minute</title></rect>");
    else
        qp_buf_append_fmt(out, ", %u min ago</title></rect>", ago);
}

static void put_caption(struct qp_buf *out, const struct qp_history *history, enum qp_series series)
{
    uint64_t peak = qp_history_peak(history, series);
    qp_buf_append_fmt(out, "<figcaption><span class=\"lane-name\">%s</span> <span class=\"lane-sum\">",
                      LANES[series].title);
    qp_html_count(out, qp_history_sum(history, series));
    qp_buf_append_str(out, "</span> <span class=\"lane-peak\">");
    if (peak > 0) {
        qp_buf_append_str(out, "at most ");
        qp_html_count(out, peak);
        qp_buf_append_str(out, " a minute");
    }
    qp_buf_append_str(out, "</span></figcaption>");
}

static void put_lane(struct qp_buf *out, const struct qp_history *history, enum qp_series series)
{
    const char *word = LANES[series].word;
    qp_buf_append_fmt(out, "<figure class=\"lane %s\">", word);
    put_caption(out, history, series);
    qp_buf_append_fmt(
        out,
        "<svg role=\"img\" aria-labelledby=\"chart.%s.title chart.%s.text\" viewBox=\"0 0 %d %d\" "
        "preserveAspectRatio=\"none\"><title id=\"chart.%s.title\">%s in each of the last %d "
        "minutes</title><desc id=\"chart.%s.text\">",
        word, word, QP_HISTORY_MINUTES * BAR_STEP, HEIGHT, word, LANES[series].title, QP_HISTORY_MINUTES,
        word);
    qp_html_counted(out, qp_history_sum(history, series), LANES[series].one, LANES[series].many);
    qp_buf_append_str(out, " in all, at most ");
    qp_html_count(out, qp_history_peak(history, series));
    qp_buf_append_fmt(out, " in one minute. Counted are %s.</desc>", LANES[series].text);
    for (unsigned i = 0; i < QP_HISTORY_MINUTES; i++)
        put_bar(out, history, series, i);
    qp_buf_append_str(out, "</svg></figure>\n");
}

void qp_html_chart(struct qp_buf *out, const struct qp_history *history)
{
    for (unsigned series = 0; series < QP_SERIES_COUNT; series++)
        put_lane(out, history, series);
    qp_buf_append_str(out, "<p class=\"axis\" aria-hidden=\"true\"><span>60 min ago</span><span>30 min</span>"
                           "<span>now</span></p>\n");
}
