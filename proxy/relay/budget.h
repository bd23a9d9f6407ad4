/* budget.h - how many retries a worker may make: a share of its recent requests, and a few beside. Pure: the caller says what time it is.
 *
 * An origin that fails must not get twice the requests for it. Replays after a 401 do not count: they have their own bounds (damping.h).
 */
#ifndef QP_RELAY_BUDGET_H
#define QP_RELAY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
    QP_BUDGET_SECONDS = 10,       /* what is recent */
    QP_BUDGET_FLOOR_A_SECOND = 10 /* retries that are always allowed, so that a quiet proxy may retry too */
};

struct qp_budget_second {
    uint32_t requests;
    uint32_t retries;
};

/* Zeroed is a budget of which nothing was used. */
struct qp_budget {
    uint64_t now_s; /* the newest of the seconds below, by number modulo their count */
    struct qp_budget_second seconds[QP_BUDGET_SECONDS];
};

void qp_budget_request(struct qp_budget *budget, uint64_t now_ms);
/* Takes a retry; false when there is none left. per_cent: of the requests; 0: no limit. */
bool qp_budget_take_retry(struct qp_budget *budget, uint32_t per_cent, uint64_t now_ms);

#endif
