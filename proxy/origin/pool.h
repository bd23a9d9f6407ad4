/* pool.h - streams to one origin: idle ones kept, new ones dialled, a bounded queue in between.
 *
 * A failed dial answers every waiter that was queued before it began with its reason, so that an origin that is down does not cost
 * them one time limit after the other; only a fault of that one connection (a reset) is the first waiter's alone. An outage follows
 * (outage.h): one dial at a time, with short pauses, for all who wait; when that dial takes long, they are answered with the last
 * reason. Who waits while other streams do get answers is not answered so: one of them will be given back.
 *
 * One pool for one origin on one loop. Who needs an exchange asks qp_pool_try_take() first (the warm path: no callback, no
 * allocation) and else queues a waiter, which is served in order by whatever comes first: a stream given back or a finished dial.
 * Idle streams are watched: a byte, an end or a fault on one removes it (queue poisoning, RFC 9112 section 9.2 and 9.3). When a kept
 * stream turns out dead in use, those that have not worked since it was taken go too: after a break of the network that is one lost try for
 * each request in flight, not for each stream. A host that acknowledges nothing is noticed within twice lost_ms, idle or in use.
 */
#ifndef QP_ORIGIN_POOL_H
#define QP_ORIGIN_POOL_H

#include "base/list.h"
#include "net/dial.h"
#include "net/timer.h"
#include "origin/exchange.h"

struct qp_pool;

struct qp_pool_opts {
    struct qp_dialer_opts dial;
    struct qp_parse_limits limits; /* for responses */
    uint32_t idle_ms;      /* an idle stream is closed after this; keep it below the origin's own limit */
    uint32_t lost_ms;      /* see above; 0: not watched */
    uint32_t idle_streams; /* at most this many are kept idle */
    uint32_t streams;      /* at most this many in all */
    uint32_t dials;        /* at most this many dials at a time: no thundering reconnect */
    uint32_t waiting;      /* queue length; above, QP_SELF_BUSY */
};

struct qp_pool *qp_pool_new(struct qp_loop *loop, const struct qp_pool_opts *opts);
/* Requires that no exchange is out. Waiters get QP_SELF_CANCELED. *pool becomes NULL. */
void qp_pool_close(struct qp_pool **pool);

/* Embedded by who waits, who sets `done`; the rest is the pool's. Zeroed memory may be cancelled without having waited. */
struct qp_pool_waiter {
    struct qp_list link;
    struct qp_pool *pool; /* NULL: not waiting */
    uint64_t number;      /* in the order of queueing, counted together with the dials */
    bool fresh;
    /* exchange: ready, the callee's; or NULL with the reason and a short text. From the top of the loop, never from inside qp_pool_wait(). */
    void (*done)(struct qp_pool_waiter *waiter, struct qp_exchange *exchange, enum qp_result result,
                 const char *detail);
};

/* Closes the idle streams: somebody needs the memory more. */
void qp_pool_give_back(struct qp_pool *pool);

/* An idle stream's exchange (the most recently used), or NULL, also while others are queued for one. */
struct qp_exchange *qp_pool_try_take(struct qp_pool *pool);
/* Queues. fresh: only a newly dialled stream will do (the retry after a dead reused one). QP_SELF_BUSY when the queue is full. The waiter has no deadline of its own:
 * the owner cancels it. */
QP_MUST_USE enum qp_result qp_pool_wait(struct qp_pool *pool, struct qp_pool_waiter *waiter, bool fresh);
/* No `done` follows. Harmless when it is not waiting. */
void qp_pool_cancel(struct qp_pool_waiter *waiter);

/* COUNTER: only grows. LEVEL: as it is now. On the pool's loop dials = dial_failures + closed + streams + dialling. */
#define QP_POOL_COUNTER_MAP(COUNTER, LEVEL)                                                           \
    COUNTER(dials, "connections to the origin begun")                                                 \
    COUNTER(dial_failures, "connections to the origin that could not be made")                        \
    COUNTER(taken_warm, "times that a kept connection to the origin was used at once")                \
    COUNTER(evicted, "kept connections to the origin that died or spoke while idle")                  \
    COUNTER(stale, "connections to the origin that turned out dead, or gave no answer in time")       \
    COUNTER(suspected, "kept connections to the origin let go because another one was dead")          \
    COUNTER(moved, "kept connections let go because the origin has left their address")               \
    COUNTER(outages, "times that connections to the origin began to fail")                            \
    COUNTER(outage_answers,                                                                           \
            "requests that did not wait for a long dial in an outage, and were told of the last one") \
    COUNTER(closed, "connections to the origin that were open and are closed")                        \
    LEVEL(dialling, "connections to the origin that are being made")                                  \
    LEVEL(streams, "open connections to the origin")                                                  \
    LEVEL(idle, "open connections to the origin that are idle")                                       \
    LEVEL(waiting, "requests that wait for a connection to the origin")

struct qp_pool_counters {
#define QP_POOL_COUNTER_FIELD(name, text) uint64_t name;
    QP_POOL_COUNTER_MAP(QP_POOL_COUNTER_FIELD, QP_POOL_COUNTER_FIELD)
#undef QP_POOL_COUNTER_FIELD
    struct qp_tls_counters tls;
};
/* Any thread, as long as the pool lives: each number is exact, the set is not a snapshot. */
struct qp_pool_counters qp_pool_counters(const struct qp_pool *pool);

#endif
