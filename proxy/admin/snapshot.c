#include "admin/snapshot.h"

static const struct {
    const char *word;
    const char *text;
} READINESS[] = {
#define READINESS_ROW(name, word, text) [name] = {word, text},
    QP_READINESS_MAP(READINESS_ROW)
#undef READINESS_ROW
};

static const struct {
    const char *word;
    const char *text;
} GRANTS[] = {
#define GRANT_ROW(name, word, text) [name] = {word, text},
    QP_GRANT_MAP(GRANT_ROW)
#undef GRANT_ROW
};

const char *qp_admin_grant_word(enum qp_grant grant)
{
    return GRANTS[grant].word;
}

const char *qp_admin_grant_text(enum qp_grant grant)
{
    return GRANTS[grant].text;
}

const char *qp_readiness_word(enum qp_readiness readiness)
{
    return READINESS[readiness].word;
}

const char *qp_readiness_text(enum qp_readiness readiness)
{
    return READINESS[readiness].text;
}

bool qp_readiness_is_ready(enum qp_readiness readiness)
{
    return readiness == QP_READINESS_READY || readiness == QP_READINESS_DEGRADED ||
           readiness == QP_READINESS_FORGETFUL;
}

enum qp_readiness qp_snapshot_readiness(const struct qp_admin_snapshot *snapshot)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < snapshot->account_count; i++)
        ready += qp_admin_account_is_ready(&snapshot->accounts[i]);
    if (snapshot->is_stopping)
        return QP_READINESS_STOPPING;
    if (ready == 0)
        return QP_READINESS_NOT_READY;
    if (ready < snapshot->account_count)
        return QP_READINESS_DEGRADED;
    return snapshot->vault.is_configured && !snapshot->vault.is_writable ? QP_READINESS_FORGETFUL
                                                                         : QP_READINESS_READY;
}

bool qp_admin_account_is_ready(const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    bool is_got_on_need = token->state == QP_TOKEN_STALE || (token->state == QP_TOKEN_REFRESHING &&
                                                             token->generation > 0 && !token->last_error);
    return token->usable || is_got_on_need;
}

void qp_admin_put_state(struct qp_buf *out, const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    if (token->state == QP_TOKEN_STALE && !token->usable)
        qp_buf_append_str(out, "the token has expired and the next request gets a new one");
    else
        qp_buf_append_str(out, qp_token_state_text(token->state));
    if (token->usable && token->state != QP_TOKEN_FRESH && token->state != QP_TOKEN_STALE)
        qp_buf_append_str(out, "; the present token is still good");
}

void qp_admin_put_reason(struct qp_buf *out, const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    qp_admin_put_state(out, account);
    if (token->last_error) {
        qp_buf_append_str(out, "; the last error: ");
        qp_buf_append_str(out, token->last_error);
    }
    if (token->never_accepted)
        qp_buf_append_str(out,
                          "; the origin accepted none of the last two tokens: check the datacenter and the "
                          "permissions");
}

/* A token call that runs is no reason to worry, nor is one that the next request makes. */
enum qp_admin_level qp_admin_account_level(const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    bool is_calm = token->state == QP_TOKEN_FRESH || token->state == QP_TOKEN_STALE ||
                   token->state == QP_TOKEN_REFRESHING;
    if (!qp_admin_account_is_ready(account))
        return QP_LEVEL_BAD;
    bool wants_care = token->never_accepted || token->refresh_token_is_old || token->identity->warning[0];
    return is_calm && !wants_care ? QP_LEVEL_GOOD : QP_LEVEL_CARE;
}

unsigned qp_admin_table_row(const struct qp_admin_table *table, const char *name)
{
    unsigned row = 0;
    while (row < table->count && strcmp(table->rows[row].name, name) != 0)
        row++;
    return row;
}

uint64_t qp_snapshot_worker(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned row)
{
    return snapshot->worker_values[worker * snapshot->counters.count + row];
}

uint64_t qp_snapshot_worker_total(const struct qp_admin_snapshot *snapshot, unsigned row)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        total += qp_snapshot_worker(snapshot, i, row);
    return total;
}

uint64_t qp_snapshot_pool(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned account,
                          unsigned row)
{
    return snapshot->pool_values[(worker * snapshot->account_count + account) * snapshot->pool.count + row];
}

uint64_t qp_snapshot_pool_total(const struct qp_admin_snapshot *snapshot, unsigned account, unsigned row)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        total += qp_snapshot_pool(snapshot, i, account, row);
    return total;
}

/* The relay's rows come first, and no other group has these names before. */
static uint64_t relay_total(const struct qp_admin_snapshot *snapshot, const char *name)
{
    unsigned row = qp_admin_table_row(&snapshot->counters, name);
    return row < snapshot->counters.count ? qp_snapshot_worker_total(snapshot, row) : 0;
}

void qp_snapshot_series(const struct qp_admin_snapshot *snapshot, uint64_t totals[QP_SERIES_COUNT])
{
    totals[QP_SERIES_REQUESTS] = relay_total(snapshot, "requests");
    totals[QP_SERIES_TOKEN_CALLS] = 0;
    totals[QP_SERIES_ERRORS] = relay_total(snapshot, "own_replies");
    for (unsigned i = 0; i < snapshot->account_count; i++) {
        totals[QP_SERIES_TOKEN_CALLS] += snapshot->accounts[i].token.token_calls;
        totals[QP_SERIES_ERRORS] += snapshot->accounts[i].token.token_call_failures;
    }
}
