/* pace.h - when to do what: the arithmetic of refresh, back-off and damping, without clock and sockets.
 * Private to token/.
 *
 * `random` arguments are any 64 random bits: the jitter keeps a fleet from calling in step.
 */
#ifndef QP_TOKEN_PACE_H
#define QP_TOKEN_PACE_H

#include "base/slice.h"

enum {
    QP_PACE_MARGIN_MAX_MS = 60 * 1000,
    QP_PACE_BACKOFF_FIRST_MS = 500,
    QP_PACE_BACKOFF_MAX_MS = 60 * 1000,
    QP_PACE_RETRY_AFTER_MAX_S = 3600,
    QP_PACE_ON_NEED_LIFE_MS =
        2000, /* tokens up to this life are renewed when somebody needs one, not ahead */
    QP_PACE_DAMPED_FIRST_MS = 1000,
    QP_PACE_DAMPED_MAX_MS = 5 * 60 * 1000,
    QP_PACE_WORKED_LATELY_MS = 5000, /* an account that worked a moment ago gets the benefit of the doubt */
    QP_PACE_GAP_FIRST_MS = 50,
    QP_PACE_GAP_MAX_MS = 1600
};

/* After how much of its life a token's refresh is due: min(60 s, 10 %) before its end, and up to a quarter of
 * that earlier. */
uint64_t qp_pace_refresh_after_ms(uint64_t life_ms, uint64_t random);
/* Full jitter over a window that doubles with each failure in a row (1: the first). */
uint64_t qp_pace_backoff_ms(unsigned failures, uint64_t random);
/* Retry-After (RFC 9110 section 10.2.3): seconds, or an IMF-fixdate against `unix_s`. Bounded; 0: none, past
 * or unreadable. */
uint32_t qp_pace_retry_after_s(struct qp_slice value, int64_t unix_s);

/* What the origin said to the last two tokens of an account. Two in a row that nobody accepted mean that the account
 * is damped; but tokens that are revoked faster than they can be used look the same. So an account that worked lately
 * is not damped: its mints are spaced instead, wider each time, and requests wait for them. */
struct qp_account_damping {
    struct {
        uint64_t generation; /* 0: none */
        bool accepted;
        bool rejected;
    } last[2];               /* the newest first */
    unsigned unaccepted;     /* tokens in a row, before the newest, that were rejected and never accepted */
    uint64_t accepted_ms;    /* when the origin last accepted one; 0: never */
    bool never_accepted;     /* both were rejected and none accepted; stays until an acceptance */
    uint64_t quiet_until_ms; /* no mint on a 401 before */
    uint64_t quiet_ms;
};

void qp_account_damping_new_token(struct qp_account_damping *damping, uint64_t generation);
/* True if never_accepted changed. A report on an older generation than the last two changes nothing. */
bool qp_account_damping_report(struct qp_account_damping *damping, uint64_t generation, bool accepted,
                               uint64_t now_ms);
bool qp_account_damping_is_quiet(const struct qp_account_damping *damping, uint64_t now_ms);
/* A mint is made although never_accepted: the next one has to wait twice as long. */
/* How long after the newest token's issue the next mint on a rejection has to wait. */
uint64_t qp_account_damping_gap_ms(const struct qp_account_damping *damping);
void qp_account_damping_spend(struct qp_account_damping *damping, uint64_t now_ms);

#endif
