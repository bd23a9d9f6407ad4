/* view.h - a worker's view of the accounts' tokens: the hot path reads its own copy, no lock, no other
 * thread.
 *
 * Made on the control thread, used on the worker's loop. The keeper's news come by mail; needs go to the
 * keeper by mail.
 */
#ifndef QP_TOKEN_VIEW_H
#define QP_TOKEN_VIEW_H

#include "base/list.h"
#include "base/result.h"
#include "base/secret.h"
#include <stdint.h>

struct qp_keeper;
struct qp_loop;
struct qp_view;

struct qp_token {
    const struct qp_secret *value; /* borrowed from the view: for use within this call only */
    uint64_t generation;           /* from 1; grows by one with every new token of the account */
    uint64_t expires_at_ms;        /* on the loop's clock; 0: does not expire */
};

enum qp_need_outcome {
    QP_NEED_MET,
    QP_NEED_COOLING_DOWN, /* 503, retry_after_s says when */
    QP_NEED_SIGN_IN,      /* 503 sign_in_needed */
    QP_NEED_REFUSED,      /* 502 token_refused */
    QP_NEED_TIMEOUT,      /* 503: not within the need's deadline */
    QP_NEED_REJECTED,     /* no new token is made for this: the account's last tokens were never accepted
                             (damping) */
    QP_NEED_STATIC,       /* api_token: there is no newer one */
    QP_NEED_BUSY          /* too many waiting */
};

/* Embedded by who waits. */
struct qp_need {
    struct qp_list link;
    struct qp_view *view;
    unsigned account;
    uint64_t min_generation;
    uint64_t deadline_ms; /* on the worker's loop clock; private to the view */
    void (*answered)(struct qp_need *need, enum qp_need_outcome outcome, uint32_t retry_after_s,
                     const char *text);
};

struct qp_view_opts {
    unsigned account_count;
    uint32_t token_wait_ms; /* deadline of each need */
    uint32_t waiting;       /* at most this many needs at a time */
};

/* On the worker's loop (before it runs). */
struct qp_view *qp_view_new(struct qp_loop *loop, struct qp_keeper *keeper, const struct qp_view_opts *opts);
/* On the worker's thread (or the control thread, if the worker never ran), when its needs are answered or
 * canceled; never from inside an answer. News that the keeper is posting meanwhile is discarded. *view
 * becomes NULL. */
void qp_view_close(struct qp_view **view);

/* The warm path: true and *token if a token of at least that generation is there and not expired. */
bool qp_view_token(struct qp_view *view, unsigned account, uint64_t min_generation, struct qp_token *token);

/* Queues a need; answered later, never from inside, exactly once, unless canceled. min_generation: 0 and 1
 * mean any; more than one above what the view has is taken as that one (need->min_generation holds the
 * result). When answered with QP_NEED_MET, qp_view_token() with need->min_generation succeeds within the
 * call. `text` says what to do, valid within the call, NULL when met; retry_after_s is 0 where waiting does
 * not help. The callback may queue and cancel needs. */
void qp_view_need(struct qp_view *view, unsigned account, uint64_t min_generation, struct qp_need *need);
/* A leaving client does not cancel the others' refresh. A need that was answered or never queued (zeroed) is
 * fine. */
void qp_view_cancel(struct qp_need *need);

/* Reports what the origin said to a generation: accepted (any answer but 401) or rejected. Cheap: the keeper
 * is told once per generation and kind. */
void qp_view_report(struct qp_view *view, unsigned account, uint64_t generation, bool accepted);
/* True if the last two tokens of the account were never accepted, so that a 401 is not worth another mint
 * now. It turns false for one mint from time to time (1 s, doubling to 5 min), so that what was repaired
 * heals: while it is false, ask. */
bool qp_view_is_damped(const struct qp_view *view, unsigned account);

#endif
