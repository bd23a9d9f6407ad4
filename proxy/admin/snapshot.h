/* snapshot.h - all that is shown, at one moment; and what it comes to. Private to admin/.
 *
 * The pages are pure functions of a snapshot, so that they say the same and can be tested without a daemon.
 */
#ifndef QP_ADMIN_SNAPSHOT_H
#define QP_ADMIN_SNAPSHOT_H

#include "admin/admin.h"
#include "admin/history.h"
#include "base/buf.h"
#include "token/keeper.h"

struct qp_admin_account {
    const char *name;
    struct qp_token_status token;
};

struct qp_admin_memory {
    uint64_t held_bytes;
    uint64_t limit_bytes; /* 0: none */
    uint64_t shortages;
};

struct qp_admin_snapshot {
    const char *version;
    uint64_t uptime_s;
    int64_t started_unix_s;
    bool is_stopping;
    const struct qp_admin_account *accounts;
    unsigned account_count;
    struct qp_vault_status vault;
    struct qp_admin_memory memory;
    uint64_t log_lost_lines;
    const struct qp_history *history;
    unsigned worker_count;
    struct qp_admin_table counters;
    struct qp_admin_table pool;
    const uint64_t *worker_values; /* worker by worker */
    const uint64_t *pool_values;   /* worker by worker, in it account by account */
};

#define QP_GRANT_MAP(X)                                                                \
    X(QP_GRANT_CLIENT_CREDENTIALS, "client_credentials", "Client credentials")         \
    X(QP_GRANT_REFRESH_TOKEN, "refresh_token", "Refresh token from the configuration") \
    X(QP_GRANT_API_TOKEN, "api_token", "API token")                                    \
    X(QP_GRANT_AUTHORIZATION_CODE, "authorization_code", "Sign-in with a browser")

/* As the configuration has it, and in words. */
const char *qp_admin_grant_word(enum qp_grant grant);
const char *qp_admin_grant_text(enum qp_grant grant);

#define QP_READINESS_MAP(X)                                                                             \
    X(QP_READINESS_READY, "ready", "every account can be used")                                         \
    X(QP_READINESS_DEGRADED, "degraded", "some accounts can be used and others cannot")                 \
    X(QP_READINESS_FORGETFUL, "degraded", "every account can be used, but the vault cannot be written") \
    X(QP_READINESS_NOT_READY, "not-ready", "no account can be used")                                    \
    X(QP_READINESS_STOPPING, "stopping", "qproxy is stopping")

enum qp_readiness {
#define QP_READINESS_ENUM(name, word, text) name,
    QP_READINESS_MAP(QP_READINESS_ENUM)
#undef QP_READINESS_ENUM
};

const char *qp_readiness_word(enum qp_readiness readiness);
const char *qp_readiness_text(enum qp_readiness readiness);
/* One account's failure must not take the others out of service, and what the vault cannot keep still serves until the next start: degraded is
 * answered with 200. */
bool qp_readiness_is_ready(enum qp_readiness readiness);
enum qp_readiness qp_snapshot_readiness(const struct qp_admin_snapshot *snapshot);

/* A request that came now would be served: there is a token that has not expired, or the next request gets one and nothing speaks against
 * it (tokens of a short life are got on need, and would otherwise never be asked for again once a load balancer looks away). */
bool qp_admin_account_is_ready(const struct qp_admin_account *account);
/* The state in words; no period. Not escaped, nor is the next. */
void qp_admin_put_state(struct qp_buf *out, const struct qp_admin_account *account);
/* The state, and what went wrong. */
void qp_admin_put_reason(struct qp_buf *out, const struct qp_admin_account *account);

/* How much an account wants looking after. */
enum qp_admin_level {
    QP_LEVEL_GOOD,
    QP_LEVEL_CARE, /* it can be used, and somebody should do something */
    QP_LEVEL_BAD   /* it cannot be used */
};
enum qp_admin_level qp_admin_account_level(const struct qp_admin_account *account);

/* Where the table has a row of that name; its count if it has none. */
unsigned qp_admin_table_row(const struct qp_admin_table *table, const char *name);
uint64_t qp_snapshot_worker(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned row);
uint64_t qp_snapshot_worker_total(const struct qp_admin_snapshot *snapshot, unsigned row);
uint64_t qp_snapshot_pool(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned account,
                          unsigned row);
uint64_t qp_snapshot_pool_total(const struct qp_admin_snapshot *snapshot, unsigned account, unsigned row);
/* What the history keeps. */
void qp_snapshot_series(const struct qp_admin_snapshot *snapshot, uint64_t totals[QP_SERIES_COUNT]);

#endif
