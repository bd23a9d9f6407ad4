#include "token/keeper.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/loop.h"
#include "token/account_life.h"
#include <stdio.h>
#include <sys/random.h>

uint64_t qp_keeper_random(struct qp_keeper *keeper)
{
    /* splitmix64: spreads calls in time, guards nothing. */
    uint64_t z = keeper->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void pass_drain_limit(struct qp_timer *timer);
static void look_at_drain(struct qp_job *job);

struct qp_keeper *qp_keeper_new(struct qp_loop *loop, const struct qp_keeper_opts *opts)
{
    struct qp_keeper *keeper = qp_alloc(sizeof(*keeper) + opts->account_count * sizeof(keeper->accounts[0]));
    keeper->loop = loop;
    keeper->mailbox = qp_mailbox_new(loop, keeper);
    qp_list_init(&keeper->seats);
    if (getrandom(&keeper->random, sizeof(keeper->random), GRND_NONBLOCK) != (ssize_t)sizeof(keeper->random))
        keeper->random = qp_clock_monotonic_us();
    keeper->is_passive = opts->passive;
    keeper->allow_plain = opts->allow_plain_http;
    qp_timer_init(&keeper->drain_limit, pass_drain_limit);
    qp_job_init(&keeper->look_at_drain, look_at_drain);
    qp_orders_init(keeper);
    qp_keeper_init_vault(keeper, opts->vault, opts->cache_tokens);
    keeper->account_count = opts->account_count;
    for (unsigned i = 0; i < opts->account_count; ++i)
        qp_account_init(&keeper->accounts[i], keeper, &opts->accounts[i], i);
    return keeper;
}

struct qp_mailbox *qp_keeper_mailbox(struct qp_keeper *keeper)
{
    return keeper->mailbox;
}

static void post_token(const struct qp_account *account, struct qp_seat *seat)
{
    struct qp_token_news *news = qp_alloc(sizeof(*news));
    news->kind = QP_NEWS_TOKEN;
    news->account = account->index;
    news->generation = account->generation;
    news->token = qp_secret_dup(account->token);
    news->until_ms = account->expires_ms;
    qp_view_line_post(seat->line, news);
}

static void post_damping(const struct qp_account *account, struct qp_seat *seat)
{
    struct qp_token_news *news = qp_alloc(sizeof(*news));
    news->kind = QP_NEWS_DAMPING;
    news->account = account->index;
    news->until_ms = account->damping.never_accepted ? account->damping.quiet_until_ms : 0;
    qp_view_line_post(seat->line, news);
}

static void post_outcome(const struct qp_account *account, struct qp_seat *seat, uint64_t generation,
                         const struct qp_verdict *verdict)
{
    struct qp_token_news *news = qp_alloc(sizeof(*news));
    news->kind = QP_NEWS_OUTCOME;
    news->account = account->index;
    news->generation = generation;
    news->outcome = verdict->outcome;
    news->retry_after_s = verdict->retry_after_s;
    snprintf(news->text, sizeof(news->text), "%s", verdict->text);
    qp_view_line_post(seat->line, news);
}

void qp_keeper_publish_token(struct qp_account *account)
{
    QP_LIST_FOR_EACH (link, &account->keeper->seats)
        post_token(account, QP_CONTAINER_OF(link, struct qp_seat, link));
}

void qp_keeper_publish_damping(struct qp_account *account)
{
    QP_LIST_FOR_EACH (link, &account->keeper->seats)
        post_damping(account, QP_CONTAINER_OF(link, struct qp_seat, link));
}

static void settle_seat(struct qp_account *account, struct qp_seat *seat)
{
    uint64_t *asked = &seat->asked[account->index];
    struct qp_verdict verdict;
    if (*asked == 0)
        return;
    /* More than the next generation cannot be: a view that asks for it is mistaken, not stuck. */
    uint64_t generation = *asked > account->generation + 1 ? account->generation + 1 : *asked;
    if (!qp_account_consider(account, generation, &verdict))
        return;
    post_outcome(account, seat, *asked, &verdict);
    *asked = 0;
}

void qp_keeper_settle(struct qp_account *account)
{
    QP_LIST_FOR_EACH (link, &account->keeper->seats)
        settle_seat(account, QP_CONTAINER_OF(link, struct qp_seat, link));
}

void qp_keeper_take_ask(struct qp_mail *mail, void *receiver)
{
    struct qp_keeper *keeper = receiver;
    struct qp_token_ask ask = *(struct qp_token_ask *)(void *)mail;
    qp_free(mail);
    if (keeper->is_closing)
        return;
    qp_require(ask.account < keeper->account_count);
    struct qp_account *account = &keeper->accounts[ask.account];
    struct qp_seat *seat = ask.line->seat;
    if (qp_broken(seat == NULL))
        return;
    if (ask.kind != QP_ASK_NEED) {
        qp_account_report(account, ask.generation, ask.kind == QP_ASK_ACCEPTED);
        return;
    }
    if (ask.generation > seat->asked[ask.account])
        seat->asked[ask.account] = ask.generation;
    settle_seat(account, seat);
}

void qp_keeper_add_view(struct qp_keeper *keeper, struct qp_view *view)
{
    qp_loop_check(keeper->loop);
    struct qp_seat *seat = qp_alloc(sizeof(*seat) + keeper->account_count * sizeof(seat->asked[0]));
    seat->line = qp_view_line(view);
    qp_view_line_hold(seat->line);
    qp_require(!seat->line->seat);
    seat->line->seat = seat;
    qp_list_append(&keeper->seats, &seat->link);
    for (unsigned i = 0; i < keeper->account_count; ++i) {
        if (keeper->accounts[i].generation)
            post_token(&keeper->accounts[i], seat);
        if (keeper->accounts[i].damping.never_accepted)
            post_damping(&keeper->accounts[i], seat);
    }
}

void qp_keeper_start(struct qp_keeper *keeper)
{
    qp_loop_check(keeper->loop);
    for (unsigned i = 0; i < keeper->account_count; ++i)
        qp_account_start(&keeper->accounts[i]);
}

/* ---- drain ---- */

static void end_drain(struct qp_keeper *keeper)
{
    void (*drained)(void *) = keeper->drained;
    keeper->drained = NULL;
    qp_timer_disarm(&keeper->drain_limit);
    if (drained)
        drained(keeper->drained_context);
}

static bool is_redeeming(const struct qp_keeper *keeper)
{
    for (unsigned i = 0; i < keeper->account_count; ++i) {
        const struct qp_account *account = &keeper->accounts[i];
        if (account->exchange || (account->call && qp_account_redeems(account)))
            return true;
    }
    return false;
}

/* A redemption is always waited for: its own deadline bounds it, and without its answer the sign-in is lost. */
static void look_at_drain(struct qp_job *job)
{
    struct qp_keeper *keeper = QP_CONTAINER_OF(job, struct qp_keeper, look_at_drain);
    if (is_redeeming(keeper))
        return;
    bool is_paid =
        qp_timer_is_armed(&keeper->vault_retry) ? !qp_keeper_owes_disk(keeper) : qp_keeper_pay_disk(keeper);
    if (is_paid || !qp_timer_is_armed(&keeper->drain_limit))
        end_drain(keeper);
}

void qp_keeper_look_at_drain(struct qp_keeper *keeper)
{
    if (keeper->drained)
        qp_later(keeper->loop, &keeper->look_at_drain);
}

static void pass_drain_limit(struct qp_timer *timer)
{
    qp_keeper_look_at_drain(QP_CONTAINER_OF(timer, struct qp_keeper, drain_limit));
}

void qp_keeper_drain(struct qp_keeper *keeper, uint64_t limit_ms, void (*done)(void *context), void *context)
{
    qp_loop_check(keeper->loop);
    keeper->is_draining = true;
    keeper->drained = done;
    keeper->drained_context = context;
    qp_orders_stop(keeper);
    qp_timer_disarm(&keeper->vault_retry); /* it may be far away; now it is tried in short intervals */
    qp_timer_arm(keeper->loop, &keeper->drain_limit, limit_ms);
    qp_keeper_look_at_drain(keeper);
}

void qp_keeper_close(struct qp_keeper **keeper)
{
    struct qp_keeper *closed = *keeper;
    *keeper = NULL;
    closed->is_closing = true;
    qp_mailbox_close(&closed->mailbox);
    qp_timer_deinit(&closed->drain_limit);
    qp_later_cancel(&closed->look_at_drain);
    qp_keeper_deinit_vault(closed);
    qp_orders_deinit(closed);
    for (unsigned i = 0; i < closed->account_count; ++i)
        qp_account_deinit(&closed->accounts[i]);
    qp_sign_in_free(closed);
    qp_buf_wipe(&closed->sign_in_url);
    for (struct qp_list *link; (link = qp_list_shift(&closed->seats));) {
        struct qp_seat *seat = QP_CONTAINER_OF(link, struct qp_seat, link);
        qp_view_line_release(&seat->line);
        qp_free(seat);
    }
    qp_free(closed);
}

static int64_t seconds_from(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? (int64_t)((to_ms - from_ms) / 1000) : 0;
}

/* By the wall clock, which may have been set since. */
static int64_t seconds_since(int64_t unix_s)
{
    int64_t now_s = qp_clock_unix_ms() / 1000;
    return unix_s == 0 ? -1 : now_s > unix_s ? now_s - unix_s : 0;
}

/* Where no newer one can be had, a token that the origin has rejected is no use, though its time is not over. */
static bool is_usable(const struct qp_account *account)
{
    bool is_stuck = account->state == QP_TOKEN_SIGN_IN_NEEDED || account->state == QP_TOKEN_REFUSED;
    return qp_account_has_usable_token(account) && !(is_stuck && account->damping.last[0].rejected);
}

static void put_token(const struct qp_account *account, struct qp_token_status *status)
{
    uint64_t now_ms = qp_loop_now_ms(account->keeper->loop);
    bool has_token = account->token != NULL;
    status->generation = account->generation;
    status->usable = is_usable(account);
    status->age_s = has_token ? seconds_from(account->issued_ms, now_ms) : -1;
    status->expires_in_s = has_token && account->expires_ms ? seconds_from(now_ms, account->expires_ms) : -1;
    status->next_call_s = account->next_call_ms ? seconds_from(now_ms, account->next_call_ms) : -1;
}

static void put_sign_in(const struct qp_account *account, struct qp_token_status *status)
{
    bool redeems = qp_account_redeems(account);
    uint64_t warn_s = account->opts->sign_in_warn_ms / 1000;
    status->can_sign_in = account->opts->grant == QP_GRANT_AUTHORIZATION_CODE;
    status->can_refresh = !qp_account_forbids_call(account) && (!redeems || account->refresh_token);
    status->can_sign_out = redeems && (account->token || account->refresh_token);
    status->signed_in_s = seconds_since(account->signed_in_unix_s);
    status->refresh_token_age_s = account->refresh_token ? seconds_since(account->refresh_token_unix_s) : -1;
    status->refresh_token_is_old =
        warn_s && status->refresh_token_age_s >= 0 && (uint64_t)status->refresh_token_age_s >= warn_s;
}

struct qp_token_status qp_keeper_status(const struct qp_keeper *keeper, unsigned account_index)
{
    qp_require(account_index < keeper->account_count);
    const struct qp_account *account = &keeper->accounts[account_index];
    struct qp_token_status status = {
        .grant = account->opts->grant,
        .state = account->state,
        .never_accepted = account->damping.never_accepted,
        .token_calls = account->token_calls,
        .token_call_failures = account->token_call_failures,
        .last_error = account->last_error[0] ? account->last_error : NULL,
        .identity = &account->identity,
    };
    put_token(account, &status);
    put_sign_in(account, &status);
    return status;
}
