/* pool_impl.h - what pool.c (streams) and dials.c (dials, and who waits for them) share; private to the room. */
#ifndef QP_ORIGIN_POOL_IMPL_H
#define QP_ORIGIN_POOL_IMPL_H

#include "base/count.h"
#include "origin/exchange_impl.h"
#include "origin/outage.h"
#include "origin/pool.h"

struct qp_pool {
    struct qp_loop *loop;
    struct qp_pool_opts opts;
    struct qp_dialer *dialer;
    struct qp_list idle;    /* most recently used first */
    struct qp_list waiting; /* in order of their numbers */
    struct qp_list dialling;
    struct qp_list taken;
    struct qp_timer idle_timer;   /* for the oldest idle stream */
    struct qp_timer watch_timer;  /* for the taken ones */
    struct qp_timer outage_timer; /* the next dial is due, or the running one is no longer waited for */
    struct qp_job serve;
    struct qp_job refuse;
    struct qp_outage outage;
    uint64_t dialled_ms;  /* when the last dial began */
    uint64_t answered_ms; /* when the last exchange was completed; 0: never */
    uint64_t last_number;
    unsigned stream_count; /* idle and taken */
    unsigned idle_count;
    unsigned dial_count;
    unsigned waiting_count;
    unsigned fresh_count; /* of the waiting */
    struct {
#define COUNTED(name, text) _Atomic uint64_t name;
        QP_POOL_COUNTER_MAP(COUNTED, COUNTED)
#undef COUNTED
    } counters; /* for other threads; the loop goes by its own numbers above */
};

/* ---- pool.c ---- */

/* After each change of a level. */
void qp_pool_show_levels(struct qp_pool *pool);
/* To an owner: it is among the taken ones from now on. */
void qp_pool_give_out(struct qp_exchange *exchange);
void qp_pool_evict_oldest(struct qp_pool *pool);

/* ---- dials.c ---- */

void qp_pool_init_dials(struct qp_pool *pool);
/* Cancels what runs, when nobody waits any more. */
void qp_pool_end_dials(struct qp_pool *pool);
void qp_pool_unqueue(struct qp_pool *pool, struct qp_pool_waiter *waiter);
/* The first one whom this stream suits, or NULL. */
struct qp_pool_waiter *qp_pool_first_waiter(struct qp_pool *pool, bool is_fresh);
/* As many dials as there are waiters that no idle stream is for, within the limits. */
void qp_pool_start_dials(struct qp_pool *pool);
/* Gives how many. Those before this number; with `one` only the first of them. */
unsigned qp_pool_fail_waiters(struct qp_pool *pool, uint64_t before, bool one, enum qp_result result,
                              const char *detail);

#endif
