#include "token/view.h"
#include "base/alloc.h"
#include "base/check.h"
#include "net/loop.h"
#include "net/timer.h"
#include "token/keeper.h"
#include "token/wire.h"

/* One generation, and what of it the keeper was told. */
struct told {
    uint64_t generation;
    bool accepted;
    bool rejected;
};

struct view_account {
    struct qp_secret *token;
    uint64_t generation; /* 0: none yet */
    uint64_t expires_ms; /* 0: never */
    uint64_t quiet_until_ms;
    uint64_t asked;      /* the highest generation that an ask without its outcome is about; 0: none */
    struct told told[2]; /* of the newest generation, and of the one before */
    struct qp_list needs;
};

struct qp_view {
    struct qp_loop *loop;
    struct qp_mailbox *keeper;
    struct qp_mailbox *mailbox;
    struct qp_view_line *line;
    struct qp_view_opts opts;
    uint32_t waiting;
    struct qp_list met;  /* answered at the next turn: the token was there already */
    struct qp_list busy; /* likewise: too many were waiting */
    struct qp_job answer_soon;
    struct qp_timer deadline; /* of the need that is next to run out */
    struct view_account accounts[];
};

/* For the answers that the view gives by itself. */
static const char text_busy[] = "too many requests wait for a token: try again shortly";
static const char text_late[] =
    "no token within the time limit: the token endpoint is slow or does not answer";

static bool is_fresh_enough(const struct qp_view *view, const struct view_account *account,
                            uint64_t min_generation)
{
    return account->generation > 0 && account->generation >= min_generation &&
           (account->expires_ms == 0 || qp_loop_now_ms(view->loop) < account->expires_ms);
}

static void ask_keeper(struct qp_view *view, enum qp_ask_kind kind, unsigned account, uint64_t generation)
{
    struct qp_token_ask *ask = qp_alloc(sizeof(*ask));
    *ask = (struct qp_token_ask){
        .mail = {.deliver = qp_keeper_take_ask},
        .line = view->line,
        .kind = kind,
        .account = account,
        .generation = generation,
    };
    qp_mailbox_post(view->keeper, &ask->mail);
}

static void wait_for_news(struct qp_view *view, struct qp_need *need)
{
    struct view_account *own = &view->accounts[need->account];
    uint64_t now_ms = qp_loop_now_ms(view->loop);
    qp_list_append(&own->needs, &need->link);
    if (!qp_timer_is_armed(&view->deadline))
        qp_timer_arm(view->loop, &view->deadline,
                     need->deadline_ms > now_ms ? need->deadline_ms - now_ms : 0);
    /* One ask stands for all needs that it covers. */
    if (own->asked >= need->min_generation)
        return;
    own->asked = need->min_generation;
    ask_keeper(view, QP_ASK_NEED, need->account, need->min_generation);
}

static void answer(struct qp_view *view, struct qp_need *need, enum qp_need_outcome outcome,
                   uint32_t retry_after_s, const char *text)
{
    qp_list_remove(&need->link);
    --view->waiting;
    need->answered(need, outcome, retry_after_s, text);
}

static struct qp_need *first_need(struct qp_list *list)
{
    return qp_list_is_empty(list) ? NULL : QP_CONTAINER_OF(list->next, struct qp_need, link);
}

/* The list is the caller's own, so that needs added by the callbacks are not met; those canceled leave it. */
static void answer_all(struct qp_view *view, struct qp_list *list, enum qp_need_outcome outcome,
                       uint32_t retry_after_s, const char *text)
{
    for (struct qp_need *need; (need = first_need(list));)
        answer(view, need, outcome, retry_after_s, text);
}

static void answer_soon(struct qp_job *job)
{
    struct qp_view *view = QP_CONTAINER_OF(job, struct qp_view, answer_soon);
    struct qp_list met, busy;
    qp_list_init(&met);
    qp_list_init(&busy);
    qp_list_move_all(&met, &view->met);
    qp_list_move_all(&busy, &view->busy);
    for (struct qp_need *need; (need = first_need(&met));) {
        if (is_fresh_enough(view, &view->accounts[need->account], need->min_generation)) {
            answer(view, need, QP_NEED_MET, 0, NULL);
            continue;
        }
        /* It expired since. */
        qp_list_remove(&need->link);
        wait_for_news(view, need);
    }
    answer_all(view, &busy, QP_NEED_BUSY, 1, text_busy);
}

static void pass_deadline(struct qp_timer *timer)
{
    struct qp_view *view = QP_CONTAINER_OF(timer, struct qp_view, deadline);
    uint64_t now_ms = qp_loop_now_ms(view->loop);
    struct qp_list late;
    qp_list_init(&late);
    uint64_t next_ms = UINT64_MAX;
    for (unsigned i = 0; i < view->opts.account_count; ++i) {
        QP_LIST_FOR_EACH_SAFE (link, &view->accounts[i].needs) {
            struct qp_need *need = QP_CONTAINER_OF(link, struct qp_need, link);
            if (need->deadline_ms <= now_ms) {
                qp_list_remove(link);
                qp_list_append(&late, link);
            } else if (need->deadline_ms < next_ms) {
                next_ms = need->deadline_ms;
            }
        }
    }
    if (next_ms != UINT64_MAX)
        qp_timer_arm(view->loop, &view->deadline, next_ms - now_ms);
    answer_all(view, &late, QP_NEED_TIMEOUT, 1, text_late);
}

struct qp_view *qp_view_new(struct qp_loop *loop, struct qp_keeper *keeper, const struct qp_view_opts *opts)
{
    struct qp_view *view = qp_alloc(sizeof(*view) + opts->account_count * sizeof(view->accounts[0]));
    view->loop = loop;
    view->opts = *opts;
    view->keeper = qp_keeper_mailbox(keeper);
    view->mailbox = qp_mailbox_new(loop, view);
    view->line = qp_view_line_new(view->mailbox);
    qp_list_init(&view->met);
    qp_list_init(&view->busy);
    qp_job_init(&view->answer_soon, answer_soon);
    qp_timer_init(&view->deadline, pass_deadline);
    for (unsigned i = 0; i < opts->account_count; ++i)
        qp_list_init(&view->accounts[i].needs);
    return view;
}

void qp_view_close(struct qp_view **view)
{
    struct qp_view *closed = *view;
    *view = NULL;
    qp_require(closed->waiting == 0);
    qp_view_line_cut(closed->line);
    qp_mailbox_close(&closed->mailbox);
    qp_view_line_release(&closed->line);
    qp_later_cancel(&closed->answer_soon);
    qp_timer_deinit(&closed->deadline);
    for (unsigned i = 0; i < closed->opts.account_count; ++i)
        qp_secret_free(&closed->accounts[i].token);
    qp_free(closed);
}

struct qp_view_line *qp_view_line(struct qp_view *view)
{
    return view->line;
}

bool qp_view_token(struct qp_view *view, unsigned account, uint64_t min_generation, struct qp_token *token)
{
    const struct view_account *own = &view->accounts[account];
    if (!is_fresh_enough(view, own, min_generation))
        return false;
    *token = (struct qp_token){
        .value = own->token, .generation = own->generation, .expires_at_ms = own->expires_ms};
    return true;
}

/* One mint makes one generation: more than the next one cannot be had by waiting. */
static uint64_t attainable(const struct view_account *account, uint64_t min_generation)
{
    if (min_generation == 0)
        return 1;
    return min_generation > account->generation + 1 ? account->generation + 1 : min_generation;
}

static void queue_for_next_turn(struct qp_view *view, struct qp_list *list, struct qp_need *need)
{
    qp_list_append(list, &need->link);
    qp_later(view->loop, &view->answer_soon);
}

void qp_view_need(struct qp_view *view, unsigned account, uint64_t min_generation, struct qp_need *need)
{
    qp_loop_check(view->loop);
    qp_require(account < view->opts.account_count);
    struct view_account *own = &view->accounts[account];
    qp_list_init(&need->link);
    need->view = view;
    need->account = account;
    need->min_generation = attainable(own, min_generation);
    need->deadline_ms = qp_loop_now_ms(view->loop) + view->opts.token_wait_ms;
    bool is_full = view->waiting >= view->opts.waiting;
    ++view->waiting;
    if (is_full)
        queue_for_next_turn(view, &view->busy, need);
    else if (is_fresh_enough(view, own, need->min_generation))
        queue_for_next_turn(view, &view->met, need);
    else
        wait_for_news(view, need);
}

void qp_view_cancel(struct qp_need *need)
{
    if (!need->link.next || !qp_list_is_linked(&need->link))
        return;
    qp_list_remove(&need->link);
    --need->view->waiting;
}

static void take_token(struct qp_view *view, struct qp_token_news *news)
{
    struct view_account *own = &view->accounts[news->account];
    bool is_new = news->generation != own->generation;
    qp_secret_free(&own->token);
    own->token = news->token;
    news->token = NULL;
    own->generation = news->generation;
    own->expires_ms = news->until_ms;
    if (!is_new)
        return;
    own->told[1] = own->told[0];
    own->told[0] = (struct told){.generation = news->generation};
}

/* Those needs that the ask or the present token covers, taken aside. */
static void collect(struct qp_view *view, struct view_account *own, uint64_t asked, struct qp_list *covered)
{
    QP_LIST_FOR_EACH_SAFE (link, &own->needs) {
        struct qp_need *need = QP_CONTAINER_OF(link, struct qp_need, link);
        if (need->min_generation > asked && !is_fresh_enough(view, own, need->min_generation))
            continue;
        qp_list_remove(link);
        qp_list_append(covered, link);
    }
}

/* Each covered need is met by the present token or gets the news' outcome. A token that was met by the
 * keeper's clock but has expired by ours is asked for again: the deadline bounds it. */
static void answer_covered(struct qp_view *view, const struct qp_token_news *news, struct qp_list *covered)
{
    struct view_account *own = &view->accounts[news->account];
    for (struct qp_need *need; (need = first_need(covered));) {
        if (is_fresh_enough(view, own, need->min_generation)) {
            answer(view, need, QP_NEED_MET, 0, NULL);
        } else if (news->outcome != QP_NEED_MET) {
            answer(view, need, news->outcome, news->retry_after_s, news->text);
        } else {
            qp_list_remove(&need->link);
            wait_for_news(view, need);
        }
    }
}

void qp_view_take_news(struct qp_mail *mail, void *receiver)
{
    struct qp_view *view = receiver;
    struct qp_token_news *news = (struct qp_token_news *)(void *)mail;
    struct view_account *own = &view->accounts[news->account];
    struct qp_list covered;
    qp_list_init(&covered);
    switch (news->kind) {
    case QP_NEWS_TOKEN:
        take_token(view, news);
        collect(view, own, 0, &covered);
        break;
    case QP_NEWS_DAMPING:
        own->quiet_until_ms = news->until_ms;
        break;
    case QP_NEWS_OUTCOME:
        /* A higher ask is still under way and has an outcome of its own coming. */
        if (own->asked <= news->generation)
            own->asked = 0;
        collect(view, own, news->generation, &covered);
        break;
    }
    answer_covered(view, news, &covered);
    qp_token_news_free(news);
}

void qp_view_report(struct qp_view *view, unsigned account, uint64_t generation, bool accepted)
{
    struct view_account *own = &view->accounts[account];
    for (int i = 0; i < 2; ++i) {
        struct told *told = &own->told[i];
        if (told->generation != generation)
            continue;
        bool *known = accepted ? &told->accepted : &told->rejected;
        if (!*known)
            ask_keeper(view, accepted ? QP_ASK_ACCEPTED : QP_ASK_REJECTED, account, generation);
        *known = true;
        return;
    }
}

bool qp_view_is_damped(const struct qp_view *view, unsigned account)
{
    return qp_loop_now_ms(view->loop) < view->accounts[account].quiet_until_ms;
}
