/* exchange_impl.h - what exchange.c and pool.c share; private to the room.
 *
 * An exchange and its stream live and die together: between two requests it lies in the pool's idle list, with its parser and
 * the arena's first block, so that taking it allocates nothing.
 */
#ifndef QP_ORIGIN_EXCHANGE_IMPL_H
#define QP_ORIGIN_EXCHANGE_IMPL_H

#include "base/buf.h"
#include "base/list.h"
#include "net/loop.h"
#include "net/stream.h"
#include "origin/exchange.h"

struct qp_pool;

/* Where each half of an exchange is. */
enum qp_half { QP_HALF_NONE, QP_HALF_BEGUN, QP_HALF_DONE };

/* All that belongs to one request and its response: cleared by one assignment before the next. */
struct qp_exchange_life {
    const struct qp_exchange_events *events; /* NULL: not begun */
    void *owner;
    enum qp_half request;
    enum qp_half response;
    enum qp_body_kind framing; /* of the request */
    enum qp_result why;        /* of a failure that was not reported yet; QP_OK: none */
    const char *detail;
    unsigned informed_count;
    unsigned mute_looks; /* in a row that found the origin's host acknowledging nothing */
    bool is_looked_at;
    bool is_head;     /* the request's method is HEAD */
    bool has_bytes;   /* of the response */
    bool is_poisoned; /* bytes came that belong to no response */
    bool is_paused;
};

struct qp_exchange {
    struct qp_list link; /* in the pool's list of idle or of taken ones */
    struct qp_pool *pool;
    struct qp_loop *loop;
    struct qp_stream *stream; /* NULL once it has failed or ended before its time */
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_buf out; /* the last chunk while it is put together */
    struct qp_job report;
    struct qp_exchange_life life;
    uint64_t idle_since_ms;
    uint64_t worked_ms; /* when it was dialled, or an exchange on it was completed */
    uint64_t taken_ms;
    uint32_t address_mark; /* the dialer's */
    bool is_idle;          /* in the idle list */
    bool
        is_reused; /* an exchange was completed on the stream before this one, or it lay in the pool for long */
    bool in_event;    /* one of the owner's events is running */
    bool is_released; /* inside such an event */
};

/* Takes the stream, whose events are its own from now on. It is neither idle nor begun. */
struct qp_exchange *qp_exchange_new(struct qp_pool *pool, struct qp_loop *loop, struct qp_stream *stream,
                                    const struct qp_parse_limits *limits);
/* polite: our end is announced and the origin's awaited for a moment, so that TLS sees no cut. */
void qp_exchange_free(struct qp_exchange *exchange, bool polite);

/* Looks whether the origin's host still acknowledges what was sent, interval_ms after the look before. Fails the exchange if it has not for two
 * intervals. */
void qp_exchange_look(struct qp_exchange *exchange, uint32_t interval_ms);

/* pool.c: a released exchange comes home. can_live: its stream may carry another exchange. polite: both messages were complete. */
void qp_pool_take_back(struct qp_exchange *exchange, bool can_live, bool polite);
/* pool.c: an idle one died or spoke. */
void qp_pool_evict(struct qp_exchange *exchange);
/* pool.c: the exchange's stream, which was kept, turned out dead for this reason: those that have not worked since it was taken are no
 * better. */
void qp_pool_suspect(struct qp_exchange *dead, enum qp_result why);

#endif
