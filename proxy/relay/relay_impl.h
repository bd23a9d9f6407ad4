/* relay_impl.h - what relay.c and request.c share. Private to relay/. */
#ifndef QP_RELAY_RELAY_IMPL_H
#define QP_RELAY_RELAY_IMPL_H

#include "base/log.h"
#include "net/loop.h"
#include "relay/budget.h"
#include "relay/damping.h"
#include "relay/kept.h"
#include "relay/relay.h"

struct qp_relay {
    struct qp_loop *loop;
    struct qp_relay_opts opts;
    struct qp_view *view;
    struct qp_relay_counters counters;
    struct qp_kept_budget kept_budget;
    struct qp_pool **pools;       /* by account */
    struct qp_slice *authorities; /* by account: what Host says to the origin */
    uint64_t *accepted;           /* by account: the newest generation that the origin accepted here */
    struct qp_list warm;          /* requests kept for reuse */
    unsigned warm_count;
    struct qp_buf head;    /* scratch for a head with a token: wiped after each use */
    struct qp_buf scratch; /* scratch for everything else */
    struct qp_log_pace warnings;
    struct qp_damping damping;
    struct qp_budget budget;
};

/* The handler's parts (request.c). */
void qp_relay_on_head(void *context, struct qp_request *request);
void qp_relay_on_body(struct qp_request *request, struct qp_slice piece);
void qp_relay_on_end(struct qp_request *request);
void qp_relay_on_drained(struct qp_request *request);
void qp_relay_on_gone(struct qp_request *request, enum qp_result why);
/* Frees the requests kept for reuse. */
void qp_relay_free_warm(struct qp_relay *relay);

/* One line per failing request, at most ten a second: an outage must not become a flood. */
bool qp_relay_may_warn(struct qp_relay *relay);

#endif
