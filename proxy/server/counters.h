/* counters.h - what a server has done: counted on its loop, read from any thread.
 *
 * Everything is counted once, when it ends, so that at any time on the server's loop
 *     connections_accepted = closed (all reasons) + connections_open
 *     heads = requests + refused + unfinished + heads_open
 *     requests = what the handler counts of its own endings + requests_open
 * Pipelined bytes that lie behind the last request of a connection are nobody's request and count nowhere.
 */
#ifndef QP_SERVER_COUNTERS_H
#define QP_SERVER_COUNTERS_H

#include "base/count.h"

/* COUNTER: only grows. LEVEL: as it is now. */
#define QP_SERVER_COUNTER_MAP(COUNTER, LEVEL)                                                           \
    COUNTER(connections_accepted, "client connections accepted")                                        \
    COUNTER(connections_refused, "client connections answered 503 at once because of a limit")          \
    COUNTER(heads, "requests whose first byte came, or that were refused without")                      \
    COUNTER(requests, "requests with a good head, which were handed to the relay")                      \
    COUNTER(refused, "requests refused before they were handed to the relay")                           \
    COUNTER(unfinished, "requests whose client left before the head was whole")                         \
    COUNTER(gone, "requests that were with the relay when the client left, broke HTTP or was too slow") \
    LEVEL(connections_open, "client connections that are open")                                         \
    LEVEL(heads_open, "requests whose head is being read")                                              \
    LEVEL(requests_open, "requests that are with the relay")

/* Why a connection was closed. */
#define QP_SERVER_CLOSED_MAP(X)                                                    \
    X(QP_CLOSED_CLIENT, "client")     /* it ended or broke the connection */       \
    X(QP_CLOSED_IDLE, "idle")         /* nothing was asked for too long */         \
    X(QP_CLOSED_ANSWERED, "answered") /* after an answer that is the last */       \
    X(QP_CLOSED_CUT, "cut")           /* an answer could not be finished */        \
    X(QP_CLOSED_SLOW, "slow")         /* the client did not take its answer */     \
    X(QP_CLOSED_ROOM, "room")         /* it rested, and others needed its place */ \
    X(QP_CLOSED_STOP, "stop")         /* the server stops */

enum qp_server_closed {
#define QP_SERVER_CLOSED_ENUM(name, word) name,
    QP_SERVER_CLOSED_MAP(QP_SERVER_CLOSED_ENUM)
#undef QP_SERVER_CLOSED_ENUM
        QP_CLOSED_COUNT
};

/* Statuses of the answers that the server itself gives; the last one stands for any other. */
#define QP_SERVER_REFUSAL_MAP(X) \
    X(400) X(405) X(408) X(413) X(414) X(417) X(421) X(426) X(429) X(431) X(501) X(503) X(505) X(0)

enum qp_server_refusal_row {
#define QP_SERVER_REFUSAL_ROW(status) QP_SERVER_REFUSAL_ROW_##status,
    QP_SERVER_REFUSAL_MAP(QP_SERVER_REFUSAL_ROW)
#undef QP_SERVER_REFUSAL_ROW
        QP_REFUSAL_STATUSES
};

/* A reading: each number is exact, the set is not a snapshot (but on the server's own loop). */
struct qp_server_counters {
#define QP_SERVER_COUNTER_FIELD(name, text) uint64_t name;
    QP_SERVER_COUNTER_MAP(QP_SERVER_COUNTER_FIELD, QP_SERVER_COUNTER_FIELD)
#undef QP_SERVER_COUNTER_FIELD
    uint64_t closed[QP_CLOSED_COUNT];
    uint64_t refusals_by_status[QP_REFUSAL_STATUSES]; /* in the order of the map */
    uint64_t refusals;                                /* all of them: answers of the server itself */
};

#endif
