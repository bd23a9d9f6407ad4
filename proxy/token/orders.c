#include "base/alloc.h"
#include "base/check.h"
#include "token/account_life.h"
#include <stdio.h>

/* ---- an order's life ---- */

/* One at a time from the keeper's own list: a callback may abandon others. */
static void tell(struct qp_job *job)
{
    struct qp_keeper *keeper = QP_CONTAINER_OF(job, struct qp_keeper, tell);
    for (struct qp_list *link; (link = qp_list_shift(&keeper->ended));) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        struct qp_order_end end = {.ok = order->ok, .code = order->code, .text = order->text};
        if (order->done)
            order->done(order->owner, &end);
        qp_free(order);
    }
}

struct qp_order *qp_order_new(struct qp_keeper *keeper, struct qp_account *account, enum qp_order_kind kind,
                              qp_order_done *done, void *owner)
{
    struct qp_order *order = qp_alloc(sizeof(*order));
    qp_loop_check(keeper->loop);
    order->keeper = keeper;
    order->account = account;
    order->kind = kind;
    order->done = done;
    order->owner = owner;
    qp_list_append(&keeper->orders, &order->link);
    return order;
}

void qp_order_end(struct qp_order *order, bool ok, const char *code, const char *text)
{
    order->ok = ok;
    order->code = code;
    snprintf(order->text, sizeof(order->text), "%s", text);
    qp_list_remove(&order->link);
    qp_list_append(&order->keeper->ended, &order->link);
    qp_later(order->keeper->loop, &order->keeper->tell);
}

static void abandon(struct qp_list *orders, const void *owner)
{
    QP_LIST_FOR_EACH (link, orders) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        if (order->owner == owner)
            order->done = NULL;
    }
}

void qp_keeper_abandon(struct qp_keeper *keeper, void *owner)
{
    abandon(&keeper->orders, owner);
    abandon(&keeper->ended, owner);
}

void qp_orders_init(struct qp_keeper *keeper)
{
    qp_list_init(&keeper->orders);
    qp_list_init(&keeper->ended);
    qp_job_init(&keeper->tell, tell);
}

static void free_all(struct qp_list *orders)
{
    for (struct qp_list *link; (link = qp_list_shift(orders));)
        qp_free(QP_CONTAINER_OF(link, struct qp_order, link));
}

void qp_orders_deinit(struct qp_keeper *keeper)
{
    qp_later_cancel(&keeper->tell);
    free_all(&keeper->orders);
    free_all(&keeper->ended);
}

void qp_orders_stop(struct qp_keeper *keeper)
{
    QP_LIST_FOR_EACH_SAFE (link, &keeper->orders) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        bool is_signed_out = order->kind == QP_ORDER_SIGN_OUT && order->is_asking;
        if (is_signed_out)
            qp_order_end(order, true, "not_revoked",
                         "signed out here; qproxy is stopping and does not wait for revoke_url, so the grant "
                         "may live on at the origin: revoke it there");
        else if (order->kind != QP_ORDER_SIGN_IN)
            qp_order_end(order, false, "stopping", "qproxy is stopping");
    }
}

/* ---- why something is not done ---- */

static const struct {
    const char *code;
    const char *text;
} refusals[] = {
    {"static", "an API token is neither refreshed nor signed out: replace it in the configuration"},
    {"stopping", "qproxy is stopping"},
    {"sign_in_needed", "somebody has to sign in first"},
};

static void refuse(struct qp_order *order, const char *code)
{
    const char *text = "";
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); ++i) {
        if (strcmp(refusals[i].code, code) == 0)
            text = refusals[i].text;
    }
    qp_order_end(order, false, code, text);
}

static struct qp_account *account_of(struct qp_keeper *keeper, unsigned index)
{
    qp_require(index < keeper->account_count);
    return &keeper->accounts[index];
}

static bool is_busy(const struct qp_account *account)
{
    return account->call || account->exchanging;
}

/* How the last call of the account went, by what it left behind. */
static void end_by_state(struct qp_order *order, const char *failed)
{
    const struct qp_account *account = order->account;
    const char *code = account->state == QP_TOKEN_SIGN_IN_NEEDED ? "sign_in_needed"
                       : account->state == QP_TOKEN_REFUSED      ? "refused"
                                                                 : failed;
    qp_order_end(order, false, code, account->last_error);
}

/* ---- refresh ---- */

void qp_keeper_refresh(struct qp_keeper *keeper, unsigned account_index, qp_order_done *done, void *owner)
{
    struct qp_account *account = account_of(keeper, account_index);
    struct qp_order *order = qp_order_new(keeper, account, QP_ORDER_REFRESH, done, owner);
    const char *why = qp_account_forbids_call(account);
    if (why)
        refuse(order, why);
    else if (!qp_account_call(account))
        end_by_state(order, "failed");
}

static void go_on_with_refresh(struct qp_order *order)
{
    if (order->account->state == QP_TOKEN_FRESH)
        qp_order_end(order, true, "refreshed", "there is a new token");
    else
        end_by_state(order, "failed");
}

/* ---- sign out ---- */

void qp_keeper_sign_out(struct qp_keeper *keeper, unsigned account_index, qp_order_done *done, void *owner)
{
    struct qp_account *account = account_of(keeper, account_index);
    struct qp_order *order = qp_order_new(keeper, account, QP_ORDER_SIGN_OUT, done, owner);
    if (account->opts->grant == QP_GRANT_CLIENT_CREDENTIALS)
        qp_order_end(order, false, "static",
                     "client credentials are no sign-in: remove the account from the configuration, or the "
                     "client at Qualtrics");
    else if (!qp_account_redeems(account))
        refuse(order, "static");
    else if (keeper->is_draining)
        refuse(order, "stopping");
    else if (!is_busy(account))
        qp_sign_out_now(account);
}

void qp_orders_join_sign_out(struct qp_account *account)
{
    QP_LIST_FOR_EACH (link, &account->keeper->orders) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        if (order->account == account && order->kind == QP_ORDER_SIGN_OUT)
            order->is_asking = true;
    }
}

void qp_orders_hear_of_sign_out(struct qp_account *account, const char *code, const char *text)
{
    bool is_wanted_again = false;
    QP_LIST_FOR_EACH_SAFE (link, &account->keeper->orders) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        if (order->account != account || order->kind != QP_ORDER_SIGN_OUT)
            continue;
        is_wanted_again |= !order->is_asking;
        if (order->is_asking)
            qp_order_end(order, true, code, text);
    }
    if (is_wanted_again && !is_busy(account))
        qp_sign_out_now(account);
}

/* ---- check ---- */

static void ask(struct qp_order *order)
{
    order->is_asking = true;
    qp_identity_ask(order->account);
}

static bool may_mint(const struct qp_order *order)
{
    const struct qp_account *account = order->account;
    return !order->has_minted && !qp_account_forbids_call(account) &&
           (!qp_account_redeems(account) || order->may_spend);
}

static void mint(struct qp_order *order)
{
    order->has_minted = true;
    order->is_asking = false;
    if (!qp_account_call(order->account))
        end_by_state(order, "token_failed");
}

void qp_keeper_check(struct qp_keeper *keeper, unsigned account_index, bool spend, qp_order_done *done,
                     void *owner)
{
    struct qp_account *account = account_of(keeper, account_index);
    qp_require(account->opts->origin);
    struct qp_order *order = qp_order_new(keeper, account, QP_ORDER_CHECK, done, owner);
    order->may_spend = spend;
    bool is_usable = qp_account_has_usable_token(account);
    if (keeper->is_draining)
        refuse(order, "stopping");
    else if (!is_usable && spend && account->state == QP_TOKEN_SIGN_IN_NEEDED)
        end_by_state(order, "token_failed");
    else if (is_usable || !may_mint(order))
        ask(order);
    else
        mint(order);
}

static void go_on_with_check(struct qp_order *order)
{
    if (order->is_asking || !order->has_minted)
        return;
    /* Without a token, too: that shows whether the origin is out of reach, or only the token call went wrong. */
    if (order->account->state == QP_TOKEN_FRESH || !qp_account_has_usable_token(order->account))
        ask(order);
    else
        end_by_state(order, "token_failed");
}

static const char *words_of_token(const struct qp_order *order, bool had_token)
{
    if (had_token || order->has_minted)
        return had_token && order->has_minted ? "a new token was made; " : "";
    return order->account->refresh_token
               ? "no token was made, since that would redeem the one-time refresh token (--spend allows it); "
               : "nobody is signed in; ";
}

static void end_check(struct qp_order *order, const char *code, const char *text)
{
    char whole[sizeof(order->text)];
    bool had_token = order->account->asked_generation > 0;
    /* A token that was revoked since is what a new one cures. */
    if (had_token && strcmp(code, "rejected") == 0 && may_mint(order)) {
        mint(order);
        return;
    }
    if (order->has_minted && strcmp(code, "ok_without_token") == 0) {
        end_by_state(order, "token_failed");
        return;
    }
    snprintf(whole, sizeof(whole), "%s%s", words_of_token(order, had_token), text);
    bool ok = strcmp(code, "ok") == 0 || strcmp(code, "ok_without_token") == 0;
    qp_order_end(order, ok, code, whole);
}

void qp_orders_hear_of_whoami(struct qp_account *account, const char *code, const char *text)
{
    QP_LIST_FOR_EACH_SAFE (link, &account->keeper->orders) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        if (order->account == account && order->kind == QP_ORDER_CHECK && order->is_asking)
            end_check(order, code, text);
    }
}

/* ---- a call has ended ---- */

static void go_on(struct qp_order *order)
{
    switch (order->kind) {
    case QP_ORDER_REFRESH:
        go_on_with_refresh(order);
        break;
    case QP_ORDER_CHECK:
        go_on_with_check(order);
        break;
    case QP_ORDER_SIGN_OUT:
    case QP_ORDER_SIGN_IN:
        break;
    }
}

void qp_orders_hear_of_call(struct qp_account *account)
{
    bool signs_out = false;
    if (account->call)
        return;
    QP_LIST_FOR_EACH_SAFE (link, &account->keeper->orders) {
        struct qp_order *order = QP_CONTAINER_OF(link, struct qp_order, link);
        if (order->account != account)
            continue;
        signs_out |= order->kind == QP_ORDER_SIGN_OUT && !order->is_asking;
        go_on(order);
    }
    if (signs_out && !is_busy(account))
        qp_sign_out_now(account);
}
