/* metrics.c - the snapshot in Prometheus' text format 0.0.4. */
#include "admin/pages.h"
#include "admin/text.h"
#include <inttypes.h>
#include <stdio.h>

static void put_head(struct qp_buf *out, const char *prefix, const char *name, const char *help,
                     bool is_level)
{
    const char *suffix = is_level ? "" : "_total";
    qp_buf_append_fmt(out, "# HELP qproxy_%s%s%s %s\n# TYPE qproxy_%s%s%s %s\n", prefix, name, suffix, help,
                      prefix, name, suffix, is_level ? "gauge" : "counter");
}

static void put_account_label(struct qp_buf *out, const struct qp_admin_account *account)
{
    qp_buf_append_str(out, "account=\"");
    qp_put_label(out, account->name);
    qp_buf_append_char(out, '"');
}

/* ---- the process ---- */

static void put_scarcity(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    put_head(out, "", "memory_bytes", "memory in use, as limits.memory counts it", true);
    qp_buf_append_fmt(out, "qproxy_memory_bytes %" PRIu64 "\n", snapshot->memory.held_bytes);
    if (snapshot->memory.limit_bytes > 0) {
        put_head(out, "", "memory_limit_bytes", "limits.memory; absent if it is off", true);
        qp_buf_append_fmt(out, "qproxy_memory_limit_bytes %" PRIu64 "\n", snapshot->memory.limit_bytes);
    }
    put_head(out, "", "memory_shortages", "how often limits.memory was reached", false);
    qp_buf_append_fmt(out, "qproxy_memory_shortages_total %" PRIu64 "\n", snapshot->memory.shortages);
    put_head(out, "", "log_lost_lines", "log and access lines that could not be written", false);
    qp_buf_append_fmt(out, "qproxy_log_lost_lines_total %" PRIu64 "\n", snapshot->log_lost_lines);
}

static void put_process(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    put_head(out, "", "build_info", "the version, as a label", true);
    qp_buf_append_str(out, "qproxy_build_info{version=\"");
    qp_put_label(out, snapshot->version);
    qp_buf_append_str(out, "\"} 1\n");
    put_head(out, "", "start_time_seconds", "when it was started, in seconds since 1970", true);
    qp_buf_append_fmt(out, "qproxy_start_time_seconds %" PRId64 "\n", snapshot->started_unix_s);
    put_head(out, "", "ready", "1 if /readyz answers 200", true);
    qp_buf_append_fmt(out, "qproxy_ready %d\n", qp_readiness_is_ready(qp_snapshot_readiness(snapshot)));
    put_head(out, "", "workers", "threads that relay requests", true);
    qp_buf_append_fmt(out, "qproxy_workers %u\n", snapshot->worker_count);
    put_scarcity(out, snapshot);
    if (!snapshot->vault.is_configured)
        return;
    put_head(out, "", "vault_writable", "1 if the last write of the vault went well; absent without a vault",
             true);
    qp_buf_append_fmt(out, "qproxy_vault_writable %d\n", snapshot->vault.is_writable);
}

/* ---- the accounts ---- */

/* One value of an account; negative: there is none. */
struct account_row {
    const char *name;
    const char *help;
    bool is_level;
    int64_t (*value)(const struct qp_admin_account *account);
};

#define VALUE(name, expression)                                 \
    static int64_t name(const struct qp_admin_account *account) \
    {                                                           \
        return (int64_t)(expression);                           \
    }
VALUE(value_ready, qp_admin_account_is_ready(account))
VALUE(value_usable, account->token.usable)
VALUE(value_generation, account->token.generation)
VALUE(value_age, account->token.age_s)
VALUE(value_expires_in, account->token.expires_in_s)
VALUE(value_next_call, account->token.next_call_s)
VALUE(value_never_accepted, account->token.never_accepted)
VALUE(value_signed_in, account->token.can_sign_in ? account->token.signed_in_s >= 0 : -1)
VALUE(value_refresh_age, account->token.refresh_token_age_s)
VALUE(value_calls, account->token.token_calls)
VALUE(value_failures, account->token.token_call_failures)
#undef VALUE

static const struct account_row ACCOUNT_ROWS[] = {
    {"account_ready", "1 if a request that came now would get a token", true, value_ready},
    {"token_usable", "1 if there is a token that has not expired", true, value_usable},
    {"token_generation", "how many tokens the account has had", true, value_generation},
    {"token_age_seconds", "since the present token was got", true, value_age},
    {"token_expires_in_seconds", "until the present token expires; absent if it does not", true,
     value_expires_in},
    {"token_next_call_seconds", "until the next token call that is planned; absent if none is", true,
     value_next_call},
    {"token_never_accepted", "1 if the origin accepted none of the last two tokens", true,
     value_never_accepted},
    {"account_signed_in", "1 if somebody is signed in; absent where nobody can be", true, value_signed_in},
    {"refresh_token_age_seconds", "since the present refresh token was got; absent without one", true,
     value_refresh_age},
    {"token_calls", "calls of the token endpoint", false, value_calls},
    {"token_call_failures", "calls of the token endpoint that gave no token", false, value_failures},
};

static void put_account_row(struct qp_buf *out, const struct qp_admin_snapshot *snapshot,
                            const struct account_row *row)
{
    put_head(out, "", row->name, row->help, row->is_level);
    for (unsigned i = 0; i < snapshot->account_count; i++) {
        int64_t value = row->value(&snapshot->accounts[i]);
        if (value < 0)
            continue;
        qp_buf_append_fmt(out, "qproxy_%s%s{", row->name, row->is_level ? "" : "_total");
        put_account_label(out, &snapshot->accounts[i]);
        qp_buf_append_fmt(out, "} %" PRId64 "\n", value);
    }
}

static const enum qp_token_state STATES[] = {
#define STATE(name, word, text) name,
    QP_TOKEN_STATE_MAP(STATE)
#undef STATE
};

static void put_states(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    put_head(out, "", "account_state", "1 for the state that the account is in, 0 for the others", true);
    for (unsigned i = 0; i < snapshot->account_count; i++) {
        for (size_t k = 0; k < sizeof STATES / sizeof STATES[0]; k++) {
            qp_buf_append_str(out, "qproxy_account_state{");
            put_account_label(out, &snapshot->accounts[i]);
            qp_buf_append_fmt(out, ",state=\"%s\"} %d\n", qp_token_state_word(STATES[k]),
                              snapshot->accounts[i].token.state == STATES[k]);
        }
    }
}

/* ---- the workers ---- */

static void put_worker_value(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned worker,
                             unsigned row)
{
    const struct qp_admin_counter *counter = &snapshot->counters.rows[row];
    qp_buf_append_fmt(out, "qproxy_%s_%s%s{worker=\"%u\"", counter->group, counter->name,
                      counter->is_level ? "" : "_total", worker);
    if (counter->label)
        qp_buf_append_fmt(out, ",%s=\"%s\"", counter->label, counter->label_value);
    qp_buf_append_fmt(out, "} %" PRIu64 "\n", qp_snapshot_worker(snapshot, worker, row));
}

/* Rows of one name share the head of the first. */
static void put_counter(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned row)
{
    const struct qp_admin_counter *counter = &snapshot->counters.rows[row];
    bool is_next_of_name = row > 0 && counter->label && strcmp(counter[-1].name, counter->name) == 0;
    if (!is_next_of_name) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "%s_", counter->group);
        put_head(out, prefix, counter->name, counter->help, counter->is_level);
    }
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        put_worker_value(out, snapshot, i, row);
}

static void put_pool(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned row)
{
    const struct qp_admin_counter *counter = &snapshot->pool.rows[row];
    put_head(out, "origin_", counter->name, counter->help, counter->is_level);
    for (unsigned i = 0; i < snapshot->worker_count; i++) {
        for (unsigned k = 0; k < snapshot->account_count; k++) {
            qp_buf_append_fmt(out, "qproxy_origin_%s%s{", counter->name, counter->is_level ? "" : "_total");
            put_account_label(out, &snapshot->accounts[k]);
            qp_buf_append_fmt(out, ",worker=\"%u\"} %" PRIu64 "\n", i, qp_snapshot_pool(snapshot, i, k, row));
        }
    }
}

void qp_put_metrics(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    put_process(out, snapshot);
    for (size_t i = 0; i < sizeof ACCOUNT_ROWS / sizeof ACCOUNT_ROWS[0]; i++)
        put_account_row(out, snapshot, &ACCOUNT_ROWS[i]);
    put_states(out, snapshot);
    for (unsigned row = 0; row < snapshot->counters.count; row++)
        put_counter(out, snapshot, row);
    for (unsigned row = 0; row < snapshot->pool.count; row++)
        put_pool(out, snapshot, row);
}
