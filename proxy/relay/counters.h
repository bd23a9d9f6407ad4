/* counters.h - what a relay has done: counted on its loop, read from any thread.
 *
 * At any time on the relay's loop
 *     requests = answered + cut + own_replies + client_gone + those that the server has open
 *     attempts = forwarded + replays + stale_retries + expect_retries
 *     own_replies = replied (all codes) + options_answered
 */
#ifndef QP_RELAY_COUNTERS_H
#define QP_RELAY_COUNTERS_H

#include "base/count.h"
#include "relay/reply.h"

#define QP_RELAY_COUNTER_MAP(X)                                                             \
    X(requests, "requests taken")                                                           \
    X(answered, "answers of the origin passed on whole")                                    \
    X(cut, "answers that the origin did not finish")                                        \
    X(own_replies, "answers of our own")                                                    \
    X(options_answered, "of these, OPTIONS that may go no further (Max-Forwards)")          \
    X(client_gone, "requests whose client left or broke off")                               \
    X(forwarded, "requests sent to an origin, each counted once")                           \
    X(attempts, "requests sent to an origin, replays and retries counted")                  \
    X(replays, "requests sent again with a newer token after a 401")                        \
    X(stale_retries, "requests sent again because a kept stream had died")                  \
    X(expect_retries, "requests sent again without an Expect that the origin did not know") \
    X(retries_denied, "requests not sent again because limits.retry_budget was used")       \
    X(rejected_passed_on, "401s of the origin that went to the client")                     \
    X(unreplayable, "401s passed on because the body was no longer kept")                   \
    X(damped, "401s passed on because a fresh token was rejected on that path before")      \
    X(spilled, "request bodies that went to a file for the replay")                         \
    X(links_rewritten, "nextPage and file links rewritten")                                 \
    X(locations_rewritten, "Location and Content-Location fields rewritten")

struct qp_relay_counters {
#define QP_RELAY_COUNTER_FIELD(name, text) _Atomic uint64_t name;
    QP_RELAY_COUNTER_MAP(QP_RELAY_COUNTER_FIELD)
#undef QP_RELAY_COUNTER_FIELD
    _Atomic uint64_t replied[QP_REPLY_COUNT]; /* answers of our own, by row of the table */
};

#define QP_COUNT(counters, name) qp_count(&(counters)->name)

#endif
