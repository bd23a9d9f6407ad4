/* admin.h - what the admin listener serves: health, readiness, status, metrics, and a page for people.
 *
 *   GET /healthz      200 "ok" while the control thread's loop runs
 *   GET /readyz       200 or 503 with each account's state and the reason; ?account=NAME asks about that one only
 *   GET /api/status   everything that is known, as JSON
 *   GET /metrics      the same in Prometheus' text format 0.0.4
 *   GET /             the same for people; needs no script
 *
 * A third handler on `server`, beside the relay and the tests' stand-in, with a server of its own on the control thread's loop: nothing
 * of it can be reached through the listeners of the API, and it forwards nothing. It only reads. It never gets to see a credential: the keeper's status has none.
 * There is no login, so the address must be a loopback one or a Unix socket (cli sees to that), and a request must name it exactly:
 * a web page that points its own name at 127.0.0.1 (DNS rebinding) gets 403.
 */
#ifndef QP_ADMIN_ADMIN_H
#define QP_ADMIN_ADMIN_H

#include "net/address.h"
#include <stdint.h>

struct qp_admin;
struct qp_keeper;
struct qp_loop;

struct qp_admin_counter {
    const char *name; /* "dial_failures" */
    const char *help; /* what it counts, in words */
    bool is_level;    /* as it is now; otherwise it only grows */
};

struct qp_admin_table {
    const struct qp_admin_counter *rows;
    unsigned count;
};

/* All is borrowed. */
struct qp_admin_opts {
    const char *version;
    struct qp_address address; /* as it is, not port 0 */
    const struct qp_keeper *keeper;
    const char *const *account_names; /* in the keeper's order */
    unsigned account_count;
    unsigned worker_count;
    struct qp_admin_table relay; /* what each worker's relay counts */
    struct qp_admin_table pool;  /* what it counts for each account's origin */
    /* Reads one worker's numbers, whatever it is doing: relay by row; pool by account, then by row. */
    void (*read)(void *context, unsigned worker, uint64_t *relay, uint64_t *pool);
    void *context;
};

struct qp_admin *qp_admin_new(struct qp_loop *loop, const struct qp_admin_opts *opts);
/* Accepts on `fd`, which it takes. */
void qp_admin_listen(struct qp_admin *admin, int fd);
/* From now on it says that it is not ready, so that whoever balances load looks elsewhere. */
void qp_admin_set_stopping(struct qp_admin *admin);
/* Answers what was asked already, and calls `done`. */
void qp_admin_drain(struct qp_admin *admin, uint64_t limit_ms, void (*done)(void *context), void *context);
/* *slot becomes NULL; NULL inside is fine. */
void qp_admin_close(struct qp_admin **slot);

#endif
