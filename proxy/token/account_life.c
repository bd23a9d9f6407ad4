#include "token/account_life.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/loop.h"
#include <stdio.h>

enum { REFUSED_RETRY_MS = 5 * 60 * 1000 };

struct state_row {
    const char *word;
    const char *text;
};

static const struct state_row state_rows[] = {
#define STATE_ROW(name, word, text) [name] = {word, text},
    QP_TOKEN_STATE_MAP(STATE_ROW)
#undef STATE_ROW
};

const char *qp_token_state_word(enum qp_token_state state)
{
    return state_rows[state].word;
}

const char *qp_token_state_text(enum qp_token_state state)
{
    return state_rows[state].text;
}

static uint64_t now_of(const struct qp_account *account)
{
    return qp_loop_now_ms(account->keeper->loop);
}

bool qp_account_has_usable_token(const struct qp_account *account)
{
    return account->generation > 0 && (account->expires_ms == 0 || now_of(account) < account->expires_ms);
}

bool qp_account_redeems(const struct qp_account *account)
{
    return account->opts->grant == QP_GRANT_REFRESH_TOKEN ||
           account->opts->grant == QP_GRANT_AUTHORIZATION_CODE;
}

/* The one setter: says what happened, and arms what the new state waits for (after_ms; 0: nothing). */
static void enter(struct qp_account *account, enum qp_token_state state, uint64_t after_ms)
{
    bool is_news =
        state == QP_TOKEN_SIGN_IN_NEEDED || state == QP_TOKEN_REFUSED || account->state == QP_TOKEN_EMPTY;
    qp_log_line(is_news ? QP_LOG_INFO : QP_LOG_DEBUG, "token", 0, 0, "account '%s': %s -> %s: %s",
                account->opts->name, qp_token_state_word(account->state), qp_token_state_word(state),
                state_rows[state].text);
    account->state = state;
    if (account->keeper->is_passive || account->keeper->is_draining)
        after_ms = 0;
    account->next_call_ms = after_ms ? now_of(account) + after_ms : 0;
    if (after_ms)
        qp_timer_arm(account->keeper->loop, &account->timer, after_ms);
    else
        qp_timer_disarm(&account->timer);
}

static void take_result(void *owner, struct qp_token_call_result *result);
static void cool_down(struct qp_account *account, uint32_t retry_after_s);

void qp_account_need_sign_in(struct qp_account *account, enum qp_log_level level, const char *why)
{
    snprintf(account->last_error, sizeof(account->last_error), "%s", why);
    qp_log_line(level, "token", 0, 0, "account '%s': %s", account->opts->name, account->last_error);
    enter(account, QP_TOKEN_SIGN_IN_NEEDED, 0);
}

/* Before the call: DESIGN's order for a rotating refresh token. */
static bool prepare_redemption(struct qp_account *account)
{
    if (!account->refresh_token) {
        qp_account_need_sign_in(
            account, QP_LOG_ERROR,
            account->generation ? "the sign-in gave no refresh token (is offline_scope right?): sign in again"
                                : "nobody has signed in yet: sign in");
        return false;
    }
    if (qp_account_mark(account))
        return true;
    ++account->failures;
    snprintf(account->last_error, sizeof(account->last_error),
             "vault: %.300s; no refresh token is spent before that is mended", account->keeper->vault_error);
    cool_down(account, 0);
    return false;
}

const char *qp_account_forbids_call(const struct qp_account *account)
{
    if (account->opts->grant == QP_GRANT_API_TOKEN)
        return "static";
    if (account->keeper->is_draining)
        return "stopping";
    return account->state == QP_TOKEN_SIGN_IN_NEEDED ? "sign_in_needed" : NULL;
}

bool qp_account_call(struct qp_account *account)
{
    if (account->call || qp_account_forbids_call(account))
        return account->call != NULL;
    if (account->exchange) {
        account->is_call_due = true;
        return true;
    }
    bool redeems = qp_account_redeems(account);
    if (redeems && !prepare_redemption(account))
        return false;
    ++account->token_calls;
    struct qp_grant_request request = {.kind = redeems ? QP_GRANT_BY_REFRESH : QP_GRANT_BY_CLIENT,
                                       .token = redeems ? account->refresh_token : NULL};
    account->call = qp_token_call_start(account->endpoint, account->opts, &request, take_result, account);
    enter(account, QP_TOKEN_REFRESHING, 0);
    return true;
}

/* By itself, when nobody waits for the outcome: those who do are told if it did not even begin. */
static void call_in_time(struct qp_account *account)
{
    if (qp_account_call(account))
        return;
    qp_orders_hear_of_call(account);
    qp_keeper_settle(account);
}

static void pass_timer(struct qp_timer *timer)
{
    struct qp_account *account = QP_CONTAINER_OF(timer, struct qp_account, timer);
    switch (account->state) {
    case QP_TOKEN_FRESH:
        enter(account, QP_TOKEN_STALE, 0);
        if (account->expires_ms - account->issued_ms > QP_PACE_ON_NEED_LIFE_MS)
            call_in_time(account);
        break;
    case QP_TOKEN_COOLING_DOWN:
    case QP_TOKEN_REFUSED:
        call_in_time(account);
        break;
    case QP_TOKEN_EMPTY:
    case QP_TOKEN_REFRESHING:
    case QP_TOKEN_STALE:
    case QP_TOKEN_SIGN_IN_NEEDED:
        (void)qp_broken(account->state != QP_TOKEN_FRESH);
        break;
    }
}

static uint64_t renewal_due_ms(struct qp_account *account, uint64_t life_ms)
{
    if (life_ms <= QP_PACE_ON_NEED_LIFE_MS)
        return life_ms;
    return qp_pace_refresh_after_ms(life_ms, qp_keeper_random(account->keeper));
}

void qp_account_take_token(struct qp_account *account, struct qp_secret **token, uint32_t life_s)
{
    uint64_t now_ms = now_of(account);
    uint64_t life_ms = (uint64_t)life_s * 1000;
    qp_secret_free(&account->token);
    account->token = *token;
    *token = NULL;
    ++account->generation;
    account->issued_ms = now_ms;
    account->expires_ms = life_ms ? now_ms + life_ms : 0;
    account->failures = 0;
    account->last_error[0] = 0;
    qp_account_damping_new_token(&account->damping, account->generation);
    if (qp_account_redeems(account))
        qp_account_save(account); /* P4: on disk before it is used */
    else
        qp_account_save_lazily(account);
    (void)qp_fault("redeem.saved");
    qp_keeper_publish_token(account);
    enter(account, QP_TOKEN_FRESH, renewal_due_ms(account, life_ms));
    bool is_unknown = account->opts->grant == QP_GRANT_AUTHORIZATION_CODE && !*account->identity.user;
    if (is_unknown)
        qp_identity_ask(account);
}

/* Before anything else of an answer, even one that is of no use otherwise: the old one is history (DESIGN, P4). */
static bool take_refresh_token(struct qp_account *account, struct qp_grant_answer *answer)
{
    if (!qp_account_redeems(account) || !answer->refresh_token)
        return false;
    qp_secret_free(&account->refresh_token);
    account->refresh_token = answer->refresh_token;
    account->refresh_token_unix_s = qp_clock_unix_ms() / 1000;
    answer->refresh_token = NULL;
    account->open_redemptions = 0;
    account->was_interrupted = false;
    return true;
}

static void take_grant(struct qp_account *account, struct qp_grant_answer *answer)
{
    account->open_redemptions = 0;
    account->was_interrupted = false;
    bool is_recovery = account->failures > 0;
    bool is_first = account->generation == 0; /* says that the account works */
    qp_account_take_token(account, &answer->access_token, answer->expires_in_s);
    qp_log_line(is_recovery || is_first ? QP_LOG_INFO : QP_LOG_DEBUG, "token", 0, 0,
                "account '%s': token of generation %llu for %u s%s", account->opts->name,
                (unsigned long long)account->generation, answer->expires_in_s,
                is_recovery ? ", the token endpoint is well again" : "");
}

static void cool_down(struct qp_account *account, uint32_t retry_after_s)
{
    uint64_t wait_ms = qp_pace_backoff_ms(account->failures, qp_keeper_random(account->keeper));
    if (wait_ms < (uint64_t)retry_after_s * 1000)
        wait_ms = (uint64_t)retry_after_s * 1000;
    qp_log_warn("token", "account '%s': token call failed: %s; %s; next one in %llu ms", account->opts->name,
                account->last_error,
                qp_account_has_usable_token(account) ? "the present token stays in use" : "there is no token",
                (unsigned long long)wait_ms);
    enter(account, QP_TOKEN_COOLING_DOWN, wait_ms);
}

static void end_redeeming(struct qp_account *account, const struct qp_token_call_result *result)
{
    /* Somebody restored the vault, or put a newer one in place: once. */
    if (result->answer.outcome == QP_GRANT_SIGN_IN && qp_account_reread(account)) {
        enter(account, QP_TOKEN_STALE, 0);
        call_in_time(account);
        return;
    }
    char why[sizeof(account->last_error)];
    snprintf(why, sizeof(why), "%s", account->last_error);
    if (account->was_interrupted)
        snprintf(why, sizeof(why),
                 "qproxy was ended in the middle of a token call, so the refresh token may have been spent "
                 "then, and it did not "
                 "work once more: sign in again");
    else if (account->open_redemptions)
        snprintf(why, sizeof(why),
                 "the answer to a token call was lost, so the refresh token may be spent, and it did not "
                 "work once more: sign in again");
    /* P4: a value that is known to be dead, or was presented twice, is not presented again, in no later life either. */
    qp_secret_free(&account->refresh_token);
    account->refresh_token_unix_s = 0;
    account->open_redemptions = 0;
    account->was_interrupted = false;
    qp_account_save(account);
    qp_account_need_sign_in(account, QP_LOG_ERROR, why);
}

static void refuse(struct qp_account *account)
{
    /* A client that is being set up at the endpoint heals without a restart; a refresh token is not risked
     * for that. */
    bool is_retried = account->opts->grant == QP_GRANT_CLIENT_CREDENTIALS;
    qp_log_error("token", "account '%s': %s; %s", account->opts->name, account->last_error,
                 is_retried ? "tried again in 5 minutes and at restart" : "not tried again before a restart");
    enter(account, QP_TOKEN_REFUSED, is_retried ? REFUSED_RETRY_MS : 0);
}

static void take_failure(struct qp_account *account, const struct qp_token_call_result *result,
                         bool is_rotated)
{
    bool redeems = qp_account_redeems(account);
    ++account->failures;
    ++account->token_call_failures;
    snprintf(account->last_error, sizeof(account->last_error), "%s: %s", result->answer.error,
             result->answer.text);
    if (is_rotated)
        qp_account_save(account);
    else if (redeems && result->maybe_redeemed)
        ++account->open_redemptions;
    else if (redeems && result->answer.outcome != QP_GRANT_SIGN_IN) /* else the vault is read first */
        qp_account_unmark(account);
    /* A value whose fate is unknown is presented once more, not twice (DESIGN, P4). */
    bool is_spent = account->open_redemptions > 1;
    if (redeems && (is_spent || result->answer.outcome == QP_GRANT_SIGN_IN))
        end_redeeming(account, result);
    else if (result->answer.outcome == QP_GRANT_REFUSED)
        refuse(account);
    else
        cool_down(account, result->retry_after_s);
}

static void take_result(void *owner, struct qp_token_call_result *result)
{
    struct qp_account *account = owner;
    account->call = NULL;
    bool is_rotated = take_refresh_token(account, &result->answer);
    if (result->answer.outcome == QP_GRANT_GRANTED)
        take_grant(account, &result->answer);
    else
        take_failure(account, result, is_rotated);
    qp_grant_answer_deinit(&result->answer);
    qp_sign_in_go_on(account);
    qp_orders_hear_of_call(account);
    qp_keeper_settle(account);
    qp_keeper_look_at_drain(account->keeper);
}

/* The asks that waited are looked at again; one that still needs a newer token starts the call. */
static void pass_gap(struct qp_timer *timer)
{
    qp_keeper_settle(QP_CONTAINER_OF(timer, struct qp_account, spaced));
}

/* Which state what was found at the start comes to; nothing runs yet. */
static void settle_in(struct qp_account *account)
{
    bool is_static = account->opts->grant == QP_GRANT_API_TOKEN;
    if (is_static) {
        account->token = qp_secret_dup(account->opts->api_token);
        account->generation = 1;
        account->issued_ms = now_of(account);
        qp_account_damping_new_token(&account->damping, account->generation);
    }
    if (account->generation)
        account->state = QP_TOKEN_FRESH;
    if (account->generation || !qp_account_redeems(account) || account->refresh_token)
        return;
    const char *why = account->opts->grant == QP_GRANT_REFRESH_TOKEN
                          ? "the configured refresh token is spent: configure a new one"
                      : account->signed_in_unix_s ? "the last sign-in has ended: sign in again"
                                                  : "nobody has signed in yet: sign in";
    snprintf(account->last_error, sizeof(account->last_error), "%s", why);
    account->state = QP_TOKEN_SIGN_IN_NEEDED;
}

void qp_account_init(struct qp_account *account, struct qp_keeper *keeper, const struct qp_account_opts *opts,
                     unsigned index)
{
    account->keeper = keeper;
    account->opts = opts;
    account->index = index;
    qp_timer_init(&account->timer, pass_timer);
    qp_timer_init(&account->spaced, pass_gap);
    if (opts->grant != QP_GRANT_API_TOKEN)
        account->endpoint = qp_shot_range_new(keeper->loop, opts, opts->token_url, keeper->allow_plain);
    qp_account_load(account);
    settle_in(account);
}

void qp_account_deinit(struct qp_account *account)
{
    qp_token_call_cancel(&account->call);
    qp_token_call_cancel(&account->exchange);
    qp_shot_cancel(&account->revoking);
    qp_shot_cancel(&account->whoami);
    qp_shot_range_free(&account->endpoint);
    qp_shot_range_free(&account->revocation);
    qp_shot_range_free(&account->origin);
    qp_buf_deinit(&account->whoami_url);
    qp_timer_deinit(&account->timer);
    qp_timer_deinit(&account->spaced);
    qp_secret_free(&account->token);
    qp_secret_free(&account->refresh_token);
    qp_secret_free(&account->found.refresh_token);
    qp_secret_free(&account->revoked);
}

void qp_account_start(struct qp_account *account)
{
    if (account->opts->grant == QP_GRANT_API_TOKEN || account->state == QP_TOKEN_REFRESHING)
        return;
    if (account->state == QP_TOKEN_SIGN_IN_NEEDED) {
        qp_log_warn("token", "account '%s': %s", account->opts->name, account->last_error);
    } else if (!account->generation) {
        if (!account->keeper->is_passive)
            call_in_time(account);
    } else {
        uint64_t age_ms = now_of(account) - account->issued_ms;
        uint64_t left_ms = qp_account_has_usable_token(account) ? account->expires_ms - now_of(account) : 0;
        uint64_t due_ms = renewal_due_ms(account, account->expires_ms - account->issued_ms);
        enter(account, QP_TOKEN_FRESH, due_ms > age_ms ? due_ms - age_ms : 1);
        qp_log_info("token", "account '%s': the vault has a token for %llu s more, no token call is needed",
                    account->opts->name, (unsigned long long)left_ms / 1000);
    }
    qp_keeper_settle(account);
}

/* Nothing runs and nothing forbids a call: damping may, but only on top of a token that has not expired. */
static bool consider_mint(struct qp_account *account, struct qp_verdict *verdict)
{
    uint64_t now_ms = now_of(account);
    bool is_on_rejection = qp_account_has_usable_token(account);
    if (is_on_rejection && qp_account_damping_is_quiet(&account->damping, now_ms)) {
        *verdict = (struct qp_verdict){
            .outcome = QP_NEED_REJECTED,
            .retry_after_s = 1 + (uint32_t)((account->damping.quiet_until_ms - now_ms) / 1000),
            .text = "the origin accepts no token of this account: check datacenter and credentials",
        };
        return true;
    }
    uint64_t due_ms = account->issued_ms + qp_account_damping_gap_ms(&account->damping);
    if (is_on_rejection && now_ms < due_ms) {
        if (!qp_timer_is_armed(&account->spaced))
            qp_timer_arm(account->keeper->loop, &account->spaced, due_ms - now_ms);
        return false;
    }
    if (is_on_rejection && account->damping.never_accepted) {
        qp_account_damping_spend(&account->damping, now_ms);
        qp_keeper_publish_damping(account);
    }
    /* One that cannot be begun has changed the state: the verdict is there. */
    return !qp_account_call(account) && qp_account_consider(account, account->generation + 1, verdict);
}

bool qp_account_consider(struct qp_account *account, uint64_t generation, struct qp_verdict *verdict)
{
    *verdict = (struct qp_verdict){.outcome = QP_NEED_MET, .text = account->last_error};
    if (qp_account_has_usable_token(account) && generation <= account->generation)
        return true;
    if (account->keeper->is_draining && !account->call) {
        *verdict = (struct qp_verdict){
            .outcome = QP_NEED_COOLING_DOWN, .retry_after_s = 1, .text = "qproxy is stopping"};
        return true;
    }
    if (account->opts->grant == QP_GRANT_API_TOKEN) {
        verdict->outcome = QP_NEED_STATIC;
        verdict->text = "the origin rejects the API token and there is no newer one: check it";
        return account->generation > 0;
    }
    switch (account->state) {
    case QP_TOKEN_REFRESHING:
        return false;
    case QP_TOKEN_COOLING_DOWN:
        verdict->outcome = QP_NEED_COOLING_DOWN;
        verdict->retry_after_s = 1;
        if (account->next_call_ms > now_of(account))
            verdict->retry_after_s += (uint32_t)((account->next_call_ms - now_of(account)) / 1000);
        return true;
    case QP_TOKEN_SIGN_IN_NEEDED:
        verdict->outcome = QP_NEED_SIGN_IN;
        return true;
    case QP_TOKEN_REFUSED:
        verdict->outcome = QP_NEED_REFUSED;
        return true;
    case QP_TOKEN_EMPTY:
    case QP_TOKEN_FRESH:
    case QP_TOKEN_STALE:
        break;
    }
    return consider_mint(account, verdict);
}

void qp_account_report(struct qp_account *account, uint64_t generation, bool accepted)
{
    if (!qp_account_damping_report(&account->damping, generation, accepted, now_of(account)))
        return;
    if (account->damping.never_accepted)
        qp_log_warn("token",
                    "the origin rejects fresh tokens of account '%s': check datacenter and credentials",
                    account->opts->name);
    else
        qp_log_info("token", "the origin accepts tokens of account '%s' again", account->opts->name);
    qp_keeper_publish_damping(account);
}
