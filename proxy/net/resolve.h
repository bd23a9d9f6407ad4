/* resolve.h - the addresses of one host, asked of the system's resolver and kept. Private to net/.
 *
 * An answer holds for keep_ms. Then it is asked for anew in the background, when somebody next wants it, and goes on being used
 * meanwhile: for up to a day if the resolver is slow or fails (RFC 8767), which is logged. A resolver that has just failed is left
 * alone for a second. All who wait share one question.
 * Thread: the loop's. May call back from the top of the loop only.
 */
#ifndef QP_NET_RESOLVE_H
#define QP_NET_RESOLVE_H

#include "base/list.h"
#include "net/address.h"

struct qp_loop;
struct qp_resolver;

/* Addresses in the order in which to try them: as the system sorted them (RFC 6724), families taking turns (RFC 8305 section 4). Counted:
 * who uses one holds it. Never empty. */
struct qp_answer {
    unsigned use_count;
    unsigned count;
    unsigned preferred; /* index of the one to try first: it worked when those before it did not */
    struct qp_address at[];
};
struct qp_answer *qp_answer_hold(struct qp_answer *answer);
void qp_answer_drop(struct qp_answer **slot);
bool qp_answer_has(const struct qp_answer *answer, const struct qp_address *address);

/* host: a name, or an address, for which nothing is ever asked; copied. */
struct qp_resolver *qp_resolver_new(struct qp_loop *loop, struct qp_slice host, uint16_t port,
                                    uint32_t keep_ms);
/* Requires that nobody waits. *slot becomes NULL. */
void qp_resolver_free(struct qp_resolver **slot);
const char *qp_resolver_host(const struct qp_resolver *resolver);

/* Embedded by who waits, who sets `done`; zeroed memory but for `link`, which is initialised. */
struct qp_resolver_waiter {
    struct qp_list link;
    /* QP_OK and an answer, borrowed; or the reason and a text. */
    void (*done)(struct qp_resolver_waiter *waiter, struct qp_answer *answer, enum qp_result result,
                 const char *detail);
};

/* QP_OK: *answer, borrowed, may be used now. QP_AGAIN: `done` follows. Else the resolver failed a moment ago, and *detail says how. */
QP_MUST_USE enum qp_result qp_resolver_get(struct qp_resolver *resolver, struct qp_resolver_waiter *waiter,
                                           struct qp_answer **answer, const char **detail);
/* None of the addresses works, perhaps the host has moved. True: it is asked again, and `done` follows; false: it was asked a moment
 * ago, or is an address. */
bool qp_resolver_renew(struct qp_resolver *resolver, struct qp_resolver_waiter *waiter);
/* No `done` follows. Harmless when it does not wait. */
void qp_resolver_cancel(struct qp_resolver_waiter *waiter);

/* The answer that is used now, borrowed, or NULL; begins a question in the background when one is due. */
struct qp_answer *qp_resolver_peek(struct qp_resolver *resolver);
/* Changes whenever an address has gone from the answer. */
uint32_t qp_resolver_epoch(const struct qp_resolver *resolver);

#endif
