#include "base/clock.h"
#include "base/log.h"
#include "token/account_life.h"
#include "token/digest.h"
#include <stdio.h>

enum {
    LAZY_MS = 250,
    RETRY_FIRST_MS = 500,
    RETRY_MAX_MS = 30 * 1000,
    RETRY_AT_END_MS = 200,
    CLOCK_SLACK_S = 300,
    LONGEST_LIFE_S = 365 * 24 * 3600
};

static struct qp_vault_record *record_of(const struct qp_account *account)
{
    bool is_kept = account->keeper->vault && account->opts->grant != QP_GRANT_API_TOKEN;
    return is_kept ? qp_vault_record(account->keeper->vault, account->opts->name) : NULL;
}

static int64_t now_unix_s(void)
{
    return qp_clock_unix_ms() / 1000;
}

/* What the tokens of a record belong to: with another client, or at another endpoint, they are worth nothing, and nobody else's business. */
static void put_binding(const struct qp_account_opts *opts, char out[QP_DIGEST_TEXT_BYTES])
{
    struct qp_buf text = {0};
    bool has_scope = opts->grant == QP_GRANT_CLIENT_CREDENTIALS && opts->scope;
    qp_buf_append_fmt(&text, "%d\n%s\n%s\n%s", (int)opts->grant, opts->token_url, opts->client_id,
                      has_scope ? opts->scope : "");
    qp_sha256_text(qp_buf_slice(&text), out);
    qp_buf_deinit(&text);
}

static void put_seed(const struct qp_account_opts *opts, char out[QP_DIGEST_TEXT_BYTES])
{
    out[0] = '\0';
    if (opts->grant == QP_GRANT_REFRESH_TOKEN && opts->refresh_token)
        qp_sha256_text(qp_secret_reveal(opts->refresh_token), out);
}

static bool keeps_access_token(const struct qp_account *account)
{
    return account->opts->grant != QP_GRANT_CLIENT_CREDENTIALS || account->keeper->cache_tokens;
}

/* ---- from the record ---- */

static void load_refresh_token(struct qp_account *account, const struct qp_vault_record *record)
{
    if (!record->refresh_token)
        return;
    account->refresh_token = qp_secret_dup(record->refresh_token);
    account->refresh_token_unix_s = record->refresh_token_unix_s;
    if (!record->redeeming)
        return;
    account->open_redemptions = 1;
    account->was_interrupted = true;
    qp_log_warn("token",
                "account '%s': qproxy was ended in the middle of a token call, so its refresh token may be "
                "spent; it is tried once more "
                "when a token is needed",
                account->opts->name);
}

/* The wall clock may have been set back or forward since: a life that cannot be is none, and none is longer than it was. */
static void load_access_token(struct qp_account *account, const struct qp_vault_record *record)
{
    int64_t age_s = now_unix_s() - record->access_token_unix_s;
    int64_t left_s = record->access_token_until_unix_s - record->access_token_unix_s;
    if (age_s > 0)
        left_s -= age_s;
    if (!record->access_token || left_s <= 0 || left_s > LONGEST_LIFE_S || age_s < -CLOCK_SLACK_S)
        return;
    uint64_t now_ms = qp_loop_now_ms(account->keeper->loop);
    uint64_t age_ms = age_s > 0 ? (uint64_t)age_s * 1000 : 0;
    account->token = qp_secret_dup(record->access_token);
    account->generation = 1;
    account->issued_ms = age_ms < now_ms ? now_ms - age_ms : 0;
    account->expires_ms = now_ms + (uint64_t)left_s * 1000;
    /* Damping does not hear of it: that a token of a former life is rejected says nothing of fresh ones. */
}

static void copy_identity(struct qp_identity *identity, const struct qp_vault_record *record)
{
    snprintf(identity->brand, sizeof(identity->brand), "%s", record->identity.brand);
    snprintf(identity->user, sizeof(identity->user), "%s", record->identity.user);
    snprintf(identity->datacenter, sizeof(identity->datacenter), "%s", record->identity.datacenter);
    snprintf(identity->warning, sizeof(identity->warning), "%s", record->identity.warning);
}

static void load_seed(struct qp_account *account)
{
    if (account->opts->grant != QP_GRANT_REFRESH_TOKEN || !account->opts->refresh_token)
        return;
    account->refresh_token = qp_secret_dup(account->opts->refresh_token);
    account->refresh_token_unix_s = now_unix_s();
}

/* P4: one whose successor the record holds is spent; to present it again could end that grant, and would overwrite the successor, which is still good once a
 * mistyped client or endpoint is put right. */
static void load_presented_seed(struct qp_account *account, const struct qp_vault_record *record)
{
    if (qp_secret_equal(record->refresh_token, account->opts->refresh_token))
        load_refresh_token(account, record);
}

void qp_account_load(struct qp_account *account)
{
    char binding[QP_DIGEST_TEXT_BYTES], seed[QP_DIGEST_TEXT_BYTES];
    if (account->opts->grant == QP_GRANT_API_TOKEN)
        return;
    const struct qp_vault_record *record = record_of(account);
    put_binding(account->opts, binding);
    put_seed(account->opts, seed);
    bool is_known = record && *record->binding;
    bool is_foreign = is_known && strcmp(record->binding, binding) != 0;
    if (is_foreign)
        qp_log_warn("token",
                    "account '%s': what the vault keeps under this name belongs to another grant, client or "
                    "token endpoint, so it is not "
                    "used, and replaced with the next token",
                    account->opts->name);
    bool is_same_seed = is_known && strcmp(record->seed, seed) == 0;
    if (is_foreign && is_same_seed && *seed && record->refresh_token) {
        load_presented_seed(account, record);
        return;
    }
    /* A first refresh token that was replaced in the configuration is a new beginning. */
    if (is_foreign || !is_same_seed) {
        load_seed(account);
        return;
    }
    load_refresh_token(account, record);
    if (keeps_access_token(account))
        load_access_token(account, record);
    account->signed_in_unix_s = record->signed_in_unix_s;
    copy_identity(&account->identity, record);
}

/* ---- to the record ---- */

static void set_secret(struct qp_secret **slot, const struct qp_secret *value)
{
    if (*slot && qp_secret_equal(*slot, value))
        return;
    qp_secret_free(slot);
    *slot = qp_secret_dup(value);
}

static void fill_access_token(const struct qp_account *account, struct qp_vault_record *record)
{
    uint64_t now_ms = qp_loop_now_ms(account->keeper->loop);
    bool is_kept = account->token && account->expires_ms > now_ms && keeps_access_token(account);
    set_secret(&record->access_token, is_kept ? account->token : NULL);
    record->access_token_unix_s =
        is_kept ? now_unix_s() - (int64_t)((now_ms - account->issued_ms) / 1000) : 0;
    record->access_token_until_unix_s =
        is_kept ? now_unix_s() + (int64_t)((account->expires_ms - now_ms) / 1000) : 0;
}

static void fill(struct qp_account *account, struct qp_vault_record *record)
{
    put_binding(account->opts, record->binding);
    put_seed(account->opts, record->seed);
    set_secret(&record->refresh_token, account->refresh_token);
    record->refresh_token_unix_s = account->refresh_token_unix_s;
    record->signed_in_unix_s = account->signed_in_unix_s;
    /* Whoever has something to save while a call is under way must not take its mark away. */
    record->redeeming = account->open_redemptions > 0 || (account->call && qp_account_redeems(account));
    fill_access_token(account, record);
    snprintf(record->identity.brand, sizeof(record->identity.brand), "%s", account->identity.brand);
    snprintf(record->identity.user, sizeof(record->identity.user), "%s", account->identity.user);
    snprintf(record->identity.datacenter, sizeof(record->identity.datacenter), "%s",
             account->identity.datacenter);
    snprintf(record->identity.warning, sizeof(record->identity.warning), "%s", account->identity.warning);
}

/* ---- the disk ---- */

static bool write_vault(struct qp_keeper *keeper, const char *step)
{
    char error[sizeof(keeper->vault_error)] = "";
    bool is_written = qp_vault_write(keeper->vault, step, error, sizeof(error)) == QP_OK;
    if (is_written && keeper->vault_failures)
        qp_log_info("token", "the vault is written again");
    snprintf(keeper->vault_error, sizeof(keeper->vault_error), "%s", error);
    if (is_written) {
        keeper->vault_failures = 0;
        keeper->owes_disk = false;
        qp_timer_disarm(&keeper->vault_retry);
        qp_timer_disarm(&keeper->vault_lazily);
    }
    return is_written;
}

static uint64_t try_later(struct qp_keeper *keeper)
{
    unsigned doublings = keeper->vault_failures < 6 ? keeper->vault_failures : 6;
    uint64_t wait_ms = (uint64_t)RETRY_FIRST_MS << doublings;
    if (wait_ms > RETRY_MAX_MS)
        wait_ms = RETRY_MAX_MS;
    if (keeper->is_draining)
        wait_ms = RETRY_AT_END_MS;
    ++keeper->vault_failures;
    qp_timer_arm(keeper->loop, &keeper->vault_retry, wait_ms);
    return wait_ms;
}

/* What is not on disk yet stays in memory, in use, and is tried again. */
static void write_or_retry(struct qp_keeper *keeper, const char *step)
{
    if (write_vault(keeper, step))
        return;
    uint64_t wait_ms = try_later(keeper);
    qp_log_line(keeper->owes_disk ? QP_LOG_ERROR : QP_LOG_WARN, "token", 0, 0, "%s%s; tried again in %llu ms",
                keeper->vault_error,
                keeper->owes_disk ? "; what is new is in memory only and would be lost with this process"
                                  : "",
                (unsigned long long)wait_ms);
}

static bool set_space_aside(struct qp_keeper *keeper)
{
    char error[sizeof(keeper->vault_error)] = "";
    if (qp_vault_reserve(keeper->vault, error, sizeof(error)) == QP_OK)
        return true;
    snprintf(keeper->vault_error, sizeof(keeper->vault_error), "%s", error);
    return false;
}

/* Also of what failed before a call, and lost nothing: whoever looks at the vault's status is to see when it is well again. */
static void pass_retry(struct qp_timer *timer)
{
    struct qp_keeper *keeper = QP_CONTAINER_OF(timer, struct qp_keeper, vault_retry);
    write_or_retry(keeper, "record");
    if (!qp_vault_is_dirty(keeper->vault) && !set_space_aside(keeper))
        (void)try_later(keeper);
    qp_keeper_look_at_drain(keeper);
}

static void pass_lazily(struct qp_timer *timer)
{
    struct qp_keeper *keeper = QP_CONTAINER_OF(timer, struct qp_keeper, vault_lazily);
    write_or_retry(keeper, "cache");
    qp_keeper_look_at_drain(keeper);
}

bool qp_account_reserve(struct qp_account *account)
{
    struct qp_keeper *keeper = account->keeper;
    if (!keeper->vault || set_space_aside(keeper))
        return true;
    (void)try_later(keeper);
    return false;
}

/* The next write goes over what somebody restored or put there: it is kept for the case that ours turns out to be dead. */
static void look_at_file(struct qp_account *account, const struct qp_vault_record *record)
{
    char binding[QP_DIGEST_TEXT_BYTES];
    if (!qp_vault_reread(account->keeper->vault, account->opts->name))
        return;
    put_binding(account->opts, binding);
    if (strcmp(record->binding, binding) != 0)
        return;
    qp_secret_free(&account->found.refresh_token);
    account->found = (struct qp_found){.refresh_token = qp_secret_dup(record->refresh_token),
                                       .unix_s = record->refresh_token_unix_s,
                                       .redeeming = record->redeeming};
}

bool qp_account_mark(struct qp_account *account)
{
    struct qp_keeper *keeper = account->keeper;
    struct qp_vault_record *record = record_of(account);
    if (!record)
        return true;
    qp_secret_free(&account->found.refresh_token);
    look_at_file(account, record);
    fill(account, record);
    record->redeeming = true;
    /* The mark takes the space that was set aside before it, so that no mark stands where there is none for what comes after. */
    if (set_space_aside(keeper) && write_vault(keeper, "mark") && set_space_aside(keeper))
        return true;
    record->redeeming = account->open_redemptions > 0;
    (void)try_later(keeper);
    return false;
}

void qp_account_unmark(struct qp_account *account)
{
    struct qp_vault_record *record = record_of(account);
    if (!record || account->open_redemptions)
        return;
    record->redeeming = false;
    write_or_retry(account->keeper, "mark");
}

void qp_account_save(struct qp_account *account)
{
    struct qp_vault_record *record = record_of(account);
    if (!record)
        return;
    fill(account, record);
    account->keeper->owes_disk = true;
    write_or_retry(account->keeper, "record");
}

void qp_account_save_lazily(struct qp_account *account)
{
    struct qp_vault_record *record = record_of(account);
    struct qp_keeper *keeper = account->keeper;
    if (!record || !keeps_access_token(account))
        return;
    fill(account, record);
    if (!qp_timer_is_armed(&keeper->vault_lazily))
        qp_timer_arm(keeper->loop, &keeper->vault_lazily, LAZY_MS);
}

bool qp_account_reread(struct qp_account *account)
{
    const struct qp_vault_record *record = record_of(account);
    if (!record)
        return false;
    look_at_file(account, record);
    if (!account->found.refresh_token)
        return false;
    qp_secret_free(&account->refresh_token);
    account->refresh_token = account->found.refresh_token;
    account->refresh_token_unix_s = account->found.unix_s;
    account->open_redemptions = account->found.redeeming;
    account->was_interrupted = account->found.redeeming;
    account->found = (struct qp_found){0};
    qp_account_save(account);
    qp_log_info("token",
                "account '%s': somebody had put another refresh token into the vault, which is tried",
                account->opts->name);
    return true;
}

bool qp_keeper_owes_disk(const struct qp_keeper *keeper)
{
    return keeper->owes_disk;
}

bool qp_keeper_pay_disk(struct qp_keeper *keeper)
{
    bool is_behind = keeper->vault && (qp_vault_is_dirty(keeper->vault) || keeper->vault_failures ||
                                       qp_timer_is_armed(&keeper->vault_lazily));
    if (is_behind)
        write_or_retry(keeper, "record");
    return !keeper->owes_disk;
}

void qp_keeper_init_vault(struct qp_keeper *keeper, struct qp_vault *vault, bool cache_tokens)
{
    keeper->vault = vault;
    keeper->cache_tokens = cache_tokens;
    qp_timer_init(&keeper->vault_retry, pass_retry);
    qp_timer_init(&keeper->vault_lazily, pass_lazily);
}

void qp_keeper_deinit_vault(struct qp_keeper *keeper)
{
    if (!qp_keeper_pay_disk(keeper))
        qp_log_error("token",
                     "%s; THE NEWEST TOKENS ARE LOST with this process: accounts may have to be signed in, "
                     "or out, again",
                     keeper->vault_error);
    qp_timer_deinit(&keeper->vault_retry);
    qp_timer_deinit(&keeper->vault_lazily);
}

struct qp_vault_status qp_keeper_vault_status(const struct qp_keeper *keeper)
{
    return (struct qp_vault_status){
        .is_configured = keeper->vault != NULL,
        .is_writable = keeper->vault && !keeper->vault_error[0],
        .error = keeper->vault_error[0] ? keeper->vault_error : NULL,
    };
}

enum qp_result qp_keeper_rotate_key(struct qp_keeper *keeper, char *text, size_t text_size)
{
    if (keeper->vault)
        return qp_vault_rotate(keeper->vault, text, text_size);
    snprintf(text, text_size, "there is no vault: set vault.path and vault.key");
    return QP_NET_DENIED;
}
