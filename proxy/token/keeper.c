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

struct qp_keeper *qp_keeper_new(struct qp_loop *loop, const struct qp_keeper_opts *opts)
{
    struct qp_keeper *keeper = qp_alloc(sizeof(*keeper) + opts->account_count * sizeof(keeper->accounts[0]));
    keeper->loop = loop;
    keeper->mailbox = qp_mailbox_new(loop, keeper);
    qp_list_init(&keeper->seats);
    if (getrandom(&keeper->random, sizeof(keeper->random), GRND_NONBLOCK) != (ssize_t)sizeof(keeper->random))
        keeper->random = qp_clock_monotonic_us();
    keeper->account_count = opts->account_count;
    for (unsigned i = 0; i < opts->account_count; ++i)
        qp_account_init(&keeper->accounts[i], keeper, &opts->accounts[i], i, opts->allow_plain_http);
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

void qp_keeper_close(struct qp_keeper **keeper)
{
    struct qp_keeper *closed = *keeper;
    *keeper = NULL;
    closed->is_closing = true;
    qp_mailbox_close(&closed->mailbox);
    for (unsigned i = 0; i < closed->account_count; ++i)
        qp_account_deinit(&closed->accounts[i]);
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

struct qp_token_status qp_keeper_status(const struct qp_keeper *keeper, unsigned account_index)
{
    qp_require(account_index < keeper->account_count);
    const struct qp_account *account = &keeper->accounts[account_index];
    uint64_t now_ms = qp_loop_now_ms(keeper->loop);
    bool has_token = account->generation > 0;
    return (struct qp_token_status){
        .state = account->state,
        .generation = account->generation,
        .usable = qp_account_has_usable_token(account),
        .age_s = has_token ? seconds_from(account->issued_ms, now_ms) : -1,
        .expires_in_s = has_token && account->expires_ms ? seconds_from(now_ms, account->expires_ms) : -1,
        .next_call_s = account->next_call_ms ? seconds_from(now_ms, account->next_call_ms) : -1,
        .never_accepted = account->damping.never_accepted,
        .token_calls = account->token_calls,
        .token_call_failures = account->token_call_failures,
        .last_error = account->last_error[0] ? account->last_error : NULL,
    };
}
