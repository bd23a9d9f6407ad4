/* worker.h - one worker thread: a loop with its listeners, sessions, streams and its view of the tokens.
 *
 * Made on the control thread, which starts it, asks it to drain by mail and is told by mail when it has stopped. A worker shares nothing with another
 * but what its options point to: constants, and the census of connections.
 */
#ifndef QP_CLI_WORKER_H
#define QP_CLI_WORKER_H

#include "admin/admin.h"
#include "net/listen.h"
#include "relay/relay.h"
#include "server/server.h"
#include "token/keeper.h"

struct qp_mailbox;
struct qp_worker;

struct qp_worker_opts {
    const struct qp_relay_opts *relay;
    const struct qp_server_opts *server;
    const struct qp_view_opts *view;
    struct qp_listen_claim *const *claims; /* by listener id */
    unsigned claim_count;
    unsigned worker_count;
    struct qp_keeper *keeper;
    struct qp_mailbox
        *control; /* gets one mail when the worker has stopped; its receiver is handed to `stopped` */
    void (*stopped)(void *control_receiver, struct qp_worker *worker);
};

/* Everything is made and listens; nothing runs yet. number: 1 to worker_count. On failure `error` holds one line. Borrows the options. */
QP_MUST_USE enum qp_result qp_worker_new(const struct qp_worker_opts *opts, unsigned number,
                                         struct qp_worker **worker, char *error, size_t error_size);
/* Reads what the worker has done so far, by the rows of qp_worker_counters, and account by account by those of
 * qp_worker_pool_counters. Control thread, from new until free, whatever the worker is doing. */
void qp_worker_read(struct qp_worker *worker, uint64_t *values, uint64_t *pool);
extern const struct qp_admin_table qp_worker_counters;
extern const struct qp_admin_table qp_worker_pool_counters;
/* Starts the thread. */
QP_MUST_USE enum qp_result qp_worker_start(struct qp_worker *worker);
/* Control thread, once, after the start: stops accepting, lets requests in flight finish for limit_ms. `stopped` comes when all is over. */
void qp_worker_drain(struct qp_worker *worker, uint64_t limit_ms);
/* After `stopped`, or when it was never started. *slot becomes NULL. */
void qp_worker_free(struct qp_worker **slot);

#endif
