/* history.h - what was counted in each minute of the last hour. Pure: it is told the time. Private to admin/.
 *
 * Minutes begin with the process and not with the wall clock. Counters only grow; what was counted between two looks belongs to the minute of the
 * first of them, so one look as each minute begins is enough, and others in between only bring it up to date.
 */
#ifndef QP_ADMIN_HISTORY_H
#define QP_ADMIN_HISTORY_H

#include <stdint.h>

enum { QP_HISTORY_MINUTES = 60, QP_HISTORY_MINUTE_MS = 60 * 1000 };

/* name, word for programs, title, what is counted, one of it, several */
#define QP_SERIES_MAP(X)                                                                                  \
    X(QP_SERIES_REQUESTS, "requests", "Requests", "requests taken", "request", "requests")                \
    X(QP_SERIES_TOKEN_CALLS, "token_calls", "Refreshes", "calls of the token endpoint", "refresh",        \
      "refreshes")                                                                                        \
    X(QP_SERIES_ERRORS, "errors", "Errors", "error answers of qproxy's own, and token calls that failed", \
      "error", "errors")

enum qp_series {
#define QP_SERIES_ENUM(name, word, title, text, one, many) name,
    QP_SERIES_MAP(QP_SERIES_ENUM)
#undef QP_SERIES_ENUM
        QP_SERIES_COUNT
};

struct qp_history {
    uint64_t began_ms;
    uint64_t minute; /* the newest one that is written to, counted from began_ms */
    uint64_t last[QP_SERIES_COUNT];
    uint64_t buckets[QP_HISTORY_MINUTES][QP_SERIES_COUNT]; /* by minute modulo the hour */
};

/* With all counters at 0. */
void qp_history_begin(struct qp_history *history, uint64_t now_ms);
/* totals: the counters' values as they are now, by series. */
void qp_history_look(struct qp_history *history, uint64_t now_ms, const uint64_t totals[QP_SERIES_COUNT]);
/* Until the next minute begins; never 0. */
uint64_t qp_history_next_ms(const struct qp_history *history, uint64_t now_ms);

/* index: 0 is the oldest minute, QP_HISTORY_MINUTES - 1 the present one, as of the last look. */
uint64_t qp_history_at(const struct qp_history *history, enum qp_series series, unsigned index);
uint64_t qp_history_sum(const struct qp_history *history, enum qp_series series);
uint64_t qp_history_peak(const struct qp_history *history, enum qp_series series);

#endif
