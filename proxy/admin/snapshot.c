#include "admin/snapshot.h"

static const struct {
    const char *word;
    const char *text;
} READINESS[] = {
#define READINESS_ROW(name, word, text) [name] = {word, text},
    QP_READINESS_MAP(READINESS_ROW)
#undef READINESS_ROW
};

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
    return readiness == QP_READINESS_READY || readiness == QP_READINESS_DEGRADED;
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
    return ready == snapshot->account_count ? QP_READINESS_READY : QP_READINESS_DEGRADED;
}

bool qp_admin_account_is_ready(const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    bool is_got_on_need = token->state == QP_TOKEN_STALE || (token->state == QP_TOKEN_REFRESHING &&
                                                             token->generation > 0 && !token->last_error);
    return token->usable || is_got_on_need;
}

void qp_admin_put_reason(struct qp_buf *out, const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    if (token->state == QP_TOKEN_STALE && !token->usable)
        qp_buf_append_str(out, "the token has expired and the next request gets a new one");
    else
        qp_buf_append_str(out, qp_token_state_text(token->state));
    if (token->usable && token->state != QP_TOKEN_FRESH && token->state != QP_TOKEN_STALE)
        qp_buf_append_str(out, "; the present token is still good");
    if (token->last_error) {
        qp_buf_append_str(out, "; the last error: ");
        qp_buf_append_str(out, token->last_error);
    }
    if (token->never_accepted)
        qp_buf_append_str(out,
                          "; the origin accepted none of the last two tokens: check the datacenter and the "
                          "permissions");
}

uint64_t qp_snapshot_relay(const struct qp_admin_snapshot *snapshot, unsigned worker, unsigned row)
{
    return snapshot->relay_values[worker * snapshot->relay.count + row];
}

uint64_t qp_snapshot_relay_total(const struct qp_admin_snapshot *snapshot, unsigned row)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        total += qp_snapshot_relay(snapshot, i, row);
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
