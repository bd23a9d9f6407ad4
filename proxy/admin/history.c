#include "admin/history.h"
#include <string.h>

void qp_history_begin(struct qp_history *history, uint64_t now_ms)
{
    *history = (struct qp_history){.began_ms = now_ms};
}

static uint64_t minute_of(const struct qp_history *history, uint64_t now_ms)
{
    return (now_ms - history->began_ms) / QP_HISTORY_MINUTE_MS;
}

void qp_history_look(struct qp_history *history, uint64_t now_ms, const uint64_t totals[QP_SERIES_COUNT])
{
    uint64_t now = minute_of(history, now_ms);
    uint64_t *bucket = history->buckets[history->minute % QP_HISTORY_MINUTES];
    for (unsigned i = 0; i < QP_SERIES_COUNT; i++) {
        bucket[i] += totals[i] > history->last[i] ? totals[i] - history->last[i] : 0;
        history->last[i] = totals[i];
    }
    /* After an hour without a look each bucket is emptied once, not once an hour. */
    uint64_t passed = now - history->minute;
    for (uint64_t i = 1; i <= passed && i <= QP_HISTORY_MINUTES; i++)
        memset(history->buckets[(history->minute + i) % QP_HISTORY_MINUTES], 0, sizeof history->buckets[0]);
    history->minute = now;
}

uint64_t qp_history_next_ms(const struct qp_history *history, uint64_t now_ms)
{
    return QP_HISTORY_MINUTE_MS - (now_ms - history->began_ms) % QP_HISTORY_MINUTE_MS;
}

uint64_t qp_history_at(const struct qp_history *history, enum qp_series series, unsigned index)
{
    /* The bucket behind the newest one is the oldest. */
    return history->buckets[(history->minute + 1 + index) % QP_HISTORY_MINUTES][series];
}

uint64_t qp_history_sum(const struct qp_history *history, enum qp_series series)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < QP_HISTORY_MINUTES; i++)
        sum += qp_history_at(history, series, i);
    return sum;
}

uint64_t qp_history_peak(const struct qp_history *history, enum qp_series series)
{
    uint64_t peak = 0;
    for (unsigned i = 0; i < QP_HISTORY_MINUTES; i++)
        if (qp_history_at(history, series, i) > peak)
            peak = qp_history_at(history, series, i);
    return peak;
}
