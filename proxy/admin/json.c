/* json.c - the snapshot for programs: /readyz and /api/status. */
#include "admin/pages.h"
#include "admin/text.h"

static void put_reason(struct qp_buf *out, const char *name, const struct qp_admin_account *account)
{
    struct qp_buf reason = {0};
    qp_admin_put_reason(&reason, account);
    qp_buf_append_char(&reason, '\0');
    qp_json_text(out, name, qp_buf_slice(&reason).at);
    qp_buf_deinit(&reason);
}

/* What both documents say of an account. */
static void put_account_head(struct qp_buf *out, const struct qp_admin_account *account)
{
    qp_json_text(out, "name", account->name);
    qp_json_bool(out, "ready", qp_admin_account_is_ready(account));
    qp_json_bool(out, "usable_token", account->token.usable);
    qp_json_text(out, "state", qp_token_state_word(account->token.state));
    put_reason(out, "reason", account);
}

static void put_readiness(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    enum qp_readiness readiness = qp_snapshot_readiness(snapshot);
    qp_json_bool(out, "ready", qp_readiness_is_ready(readiness));
    qp_json_text(out, "status", qp_readiness_word(readiness));
    qp_json_text(out, "reason", qp_readiness_text(readiness));
}

static void put_vault(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    qp_json_open(out, "vault", '{');
    qp_json_bool(out, "configured", snapshot->vault.is_configured);
    qp_json_bool(out, "writable", snapshot->vault.is_configured && snapshot->vault.is_writable);
    qp_json_text(out, "error", snapshot->vault.error);
    qp_json_close(out, '}');
}

void qp_put_ready_json(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    qp_json_open(out, NULL, '{');
    put_readiness(out, snapshot);
    put_vault(out, snapshot);
    qp_json_open(out, "accounts", '[');
    for (unsigned i = 0; i < snapshot->account_count; i++) {
        qp_json_open(out, NULL, '{');
        put_account_head(out, &snapshot->accounts[i]);
        qp_json_close(out, '}');
    }
    qp_json_close(out, ']');
    qp_json_close(out, '}');
    qp_buf_append_char(out, '\n');
}

/* ---- /api/status ---- */

static void put_pool(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned account)
{
    qp_json_open(out, "origin", '{');
    for (unsigned row = 0; row < snapshot->pool.count; row++)
        qp_json_u64(out, snapshot->pool.rows[row].name, qp_snapshot_pool_total(snapshot, account, row));
    qp_json_close(out, '}');
}

static void put_known(struct qp_buf *out, const char *name, const char *text)
{
    qp_json_text(out, name, text[0] ? text : NULL);
}

void qp_put_identity_json(struct qp_buf *out, const struct qp_identity *identity)
{
    put_known(out, "brand", identity->brand);
    put_known(out, "user", identity->user);
    put_known(out, "datacenter", identity->datacenter);
    put_known(out, "warning", identity->warning);
}

/* What people can do about it, and whom it is signed in as. */
static void put_sign_in(struct qp_buf *out, const struct qp_token_status *token)
{
    qp_json_text(out, "grant", qp_admin_grant_word(token->grant));
    qp_json_bool(out, "can_sign_in", token->can_sign_in);
    qp_json_bool(out, "can_refresh", token->can_refresh);
    qp_json_bool(out, "can_sign_out", token->can_sign_out);
    qp_json_seconds(out, "signed_in_s", token->signed_in_s);
    qp_json_seconds(out, "refresh_token_age_s", token->refresh_token_age_s);
    qp_json_bool(out, "refresh_token_is_old", token->refresh_token_is_old);
    qp_json_open(out, "identity", '{');
    qp_put_identity_json(out, token->identity);
    qp_json_close(out, '}');
}

static void put_account(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned index)
{
    const struct qp_admin_account *account = &snapshot->accounts[index];
    const struct qp_token_status *token = &account->token;
    qp_json_open(out, NULL, '{');
    put_account_head(out, account);
    qp_json_u64(out, "generation", token->generation);
    qp_json_seconds(out, "age_s", token->age_s);
    qp_json_seconds(out, "expires_in_s", token->expires_in_s);
    qp_json_seconds(out, "next_call_s", token->next_call_s);
    qp_json_bool(out, "never_accepted", token->never_accepted);
    qp_json_u64(out, "token_calls", token->token_calls);
    qp_json_u64(out, "token_call_failures", token->token_call_failures);
    qp_json_text(out, "last_error", token->last_error);
    put_sign_in(out, token);
    put_pool(out, snapshot, index);
    qp_json_close(out, '}');
}

enum { ALL_WORKERS = -1 };

static bool is_same(const char *one, const char *other)
{
    return one && other && strcmp(one, other) == 0;
}

/* One number, or one of several of a name, whose object is opened by the first and closed by the last of them. */
static void put_counter(struct qp_buf *out, const struct qp_admin_table *table, unsigned row, uint64_t value)
{
    const struct qp_admin_counter *counter = &table->rows[row];
    if (!counter->label) {
        qp_json_u64(out, counter->name, value);
        return;
    }
    if (row == 0 || !is_same(table->rows[row - 1].name, counter->name))
        qp_json_open(out, counter->name, '{');
    qp_json_u64(out, counter->label_value, value);
    if (row + 1 == table->count || !is_same(table->rows[row + 1].name, counter->name))
        qp_json_close(out, '}');
}

/* An object for each group. */
static void put_counters(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, int worker)
{
    const struct qp_admin_table *table = &snapshot->counters;
    for (unsigned row = 0; row < table->count; row++) {
        const char *group = table->rows[row].group;
        if (row == 0 || !is_same(table->rows[row - 1].group, group))
            qp_json_open(out, group, '{');
        put_counter(out, table, row,
                    worker == ALL_WORKERS ? qp_snapshot_worker_total(snapshot, row)
                                          : qp_snapshot_worker(snapshot, (unsigned)worker, row));
        if (row + 1 == table->count || !is_same(table->rows[row + 1].group, group))
            qp_json_close(out, '}');
    }
}

static void put_worker(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned worker)
{
    qp_json_open(out, NULL, '{');
    qp_json_u64(out, "worker", worker);
    put_counters(out, snapshot, (int)worker);
    qp_json_close(out, '}');
}

/* One number a minute, the oldest first. */
static void put_history(struct qp_buf *out, const struct qp_history *history)
{
    static const char *const words[] = {
#define WORD(name, word, title, text, one, many) word,
        QP_SERIES_MAP(WORD)
#undef WORD
    };
    qp_json_open(out, "history", '{');
    qp_json_u64(out, "bucket_s", QP_HISTORY_MINUTE_MS / 1000);
    for (unsigned series = 0; series < QP_SERIES_COUNT; series++) {
        qp_json_open(out, words[series], '[');
        for (unsigned i = 0; i < QP_HISTORY_MINUTES; i++)
            qp_json_u64(out, NULL, qp_history_at(history, series, i));
        qp_json_close(out, ']');
    }
    qp_json_close(out, '}');
}

static void put_scarcity(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    qp_json_open(out, "memory", '{');
    qp_json_u64(out, "bytes", snapshot->memory.held_bytes);
    qp_json_u64(out, "limit_bytes", snapshot->memory.limit_bytes);
    qp_json_u64(out, "shortages", snapshot->memory.shortages);
    qp_json_close(out, '}');
    qp_json_u64(out, "log_lost_lines", snapshot->log_lost_lines);
}

void qp_put_status_json(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    qp_json_open(out, NULL, '{');
    qp_json_text(out, "version", snapshot->version);
    qp_json_u64(out, "uptime_s", snapshot->uptime_s);
    put_readiness(out, snapshot);
    put_vault(out, snapshot);
    put_scarcity(out, snapshot);
    qp_json_open(out, "accounts", '[');
    for (unsigned i = 0; i < snapshot->account_count; i++)
        put_account(out, snapshot, i);
    qp_json_close(out, ']');
    put_counters(out, snapshot, ALL_WORKERS);
    qp_json_open(out, "workers", '[');
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        put_worker(out, snapshot, i);
    qp_json_close(out, ']');
    put_history(out, snapshot->history);
    qp_json_close(out, '}');
    qp_buf_append_char(out, '\n');
}
