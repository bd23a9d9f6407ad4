/* snapshot.h - all that is shown, at one moment; and what it comes to. Private to admin/.
 *
 * The pages are pure functions of a snapshot, so that they say the same and can be tested without a daemon.
 */
#ifndef QP_ADMIN_SNAPSHOT_H
#define QP_ADMIN_SNAPSHOT_H

#include "admin/admin.h"
#include "base/buf.h"
#include "token/keeper.h"

struct qp_admin_account {
    const char *name;
    struct qp_token_status token;
};

struct qp_admin_snapshot {
    const char *version;
    uint64_t uptime_s;
    int64_t started_unix_s;
    bool is_stopping;
    const struct qp_admin_account *accounts;
    unsigned account_count;
    unsigned worker_count;
    struct qp_admin_table relay;
    struct qp_admin_table pool;
    const uint64_t *relay_values; /* worker by worker */
    const uint64_t *pool_values;  /* worker by worker, in it account by account */
};

#define QP_READINESS_MAP(X)                                                             \
    X(QP_READINESS_READY, "ready", "every account can be used")                         \
    X(QP_READINESS_DEGRADED, "degraded", "some accounts can be used and others cannot") \
    X(QP_READINESS_NOT_READY, "not-ready", "no account can be used")                    \
    X(QP_READINESS_STOPPING, "stopping", "qproxy is stopping")

enum qp_readiness {
#define QP_READINESS_ENUM(name, word, text) name,
    QP_READINESS_MAP(QP_READINESS_ENUM)
#undef QP_READINESS_ENUM
};

const char *qp_readiness_word(enum qp_readiness readiness);
const char *qp_readiness_text(enum qp_readiness readiness);
/* One account's failure must not take the others out of service: degraded is answered with 200. */
bool qp_readiness_is_ready(enum qp_readiness readiness);
enum qp_readiness qp_snapshot_readiness(const struct qp_admin_snapshot *snapshot);

/* A request that came now would be served: there is a token that has not expired, or the next request gets one and nothing speaks against
 * it (tokens of a short life are got on need, and would otherwise never be asked for again once a load balancer looks away). */
bool qp_admin_account_is_ready(const struct qp_admin_account *account);
/* The state in words, and what went wrong; no period. Not escaped. */
void qp_admin_put_reason(struct qp_buf *out, const struct qp_admin_account *account);

uint64_t qp_snapshot_relay(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned row);
uint64_t qp_snapshot_relay_total(const struct qp_admin_snapshot *snapshot, unsigned row);
uint64_t qp_snapshot_pool(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned account,
                          unsigned row);
uint64_t qp_snapshot_pool_total(const struct qp_admin_snapshot *snapshot, unsigned account, unsigned row);

#endif
