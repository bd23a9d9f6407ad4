/* timer.h - many cheap deadlines on one loop.
 *
 * Intrusive and coarse: 8 ms slots in a wheel behind one uv_timer_t. Arming a timer again for later is one store (the
 * wheel finds out when the slot comes round), and disarming likewise; so deadlines may be re-armed for every request. A timer
 * fires at its deadline or up to 16 ms later, never earlier.
 */
#ifndef QP_NET_TIMER_H
#define QP_NET_TIMER_H

#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct qp_loop;

struct qp_timer {
    struct qp_list link;
    uint64_t due_ms;  /* 0: disarmed */
    uint64_t slot_ms; /* when the wheel looks at it next, while linked */
    void (*fire)(struct qp_timer *timer);
};

/* The embedding struct is found with QP_CONTAINER_OF. */
void qp_timer_init(struct qp_timer *timer, void (*fire)(struct qp_timer *timer));
/* Fires once, after_ms from the loop's now; arming an armed timer moves it. fire may free the owner. */
void qp_timer_arm(struct qp_loop *loop, struct qp_timer *timer, uint64_t after_ms);
void qp_timer_disarm(struct qp_timer *timer);
static inline bool qp_timer_is_armed(const struct qp_timer *timer)
{
    return timer->due_ms != 0;
}
/* Before the owner's memory goes away. */
void qp_timer_deinit(struct qp_timer *timer);

#endif
