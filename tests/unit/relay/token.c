#include "world.h"

bool qp_view_token(struct qp_view *view, unsigned account, uint64_t min_generation, struct qp_token *token)
{
    const struct fake_account *own = &view->accounts[account];
    if (!own->valid || own->generation < min_generation)
        return false;
    *token = (struct qp_token){
        .value = view->token, .generation = own->generation, .expires_at_ms = own->expires_at_ms};
    return true;
}

void qp_view_need(struct qp_view *view, unsigned account, uint64_t min_generation, struct qp_need *need)
{
    const struct fake_account *own = &view->accounts[account];
    struct relayed *r = QP_CONTAINER_OF(need, struct relayed, need);
    WANT(!need->link.next || !qp_list_is_linked(&need->link));
    WANT(need->answered && r->request->is_owned);
    WANT(min_generation <= own->generation + 1);
    world_note("need %llu of account %u", (unsigned long long)min_generation, account);
    qp_list_init(&need->link);
    need->view = view;
    need->account = account;
    need->min_generation = min_generation ? min_generation : 1;
    qp_list_append(&view->needs, &need->link);
    if (own->valid && min_generation > own->generation) {
        WANT(r->request->minted == 0 || r->request->minted == min_generation); /* one mint a request */
        WANT(account != ACCOUNT_STATIC);
        r->request->minted = min_generation;
    }
}

void qp_view_cancel(struct qp_need *need)
{
    if (need->link.next)
        qp_list_remove(&need->link);
}

void qp_view_report(struct qp_view *view, unsigned account, uint64_t generation, bool accepted)
{
    WANT(account == ACCOUNT_OAUTH && generation > 0 && generation <= view->accounts[account].generation);
}

bool qp_view_is_damped(const struct qp_view *view, unsigned account)
{
    return view->accounts[account].damped;
}

/* ---- what a test does ---- */

struct qp_need *token_first_need(void)
{
    struct qp_list *needs = &world->view.needs;
    return qp_list_is_empty(needs) ? NULL : QP_CONTAINER_OF(needs->next, struct qp_need, link);
}

void token_mint(unsigned account)
{
    struct fake_account *own = &world->view.accounts[account];
    world_note("mint for account %u", account);
    own->generation++;
    own->valid = true;
}

void token_expire(unsigned account)
{
    world_note("account %u's token expires", account);
    world->view.accounts[account].valid = false;
}

void token_answer(struct qp_need *need, enum qp_need_outcome outcome)
{
    struct fake_account *own = &world->view.accounts[need->account];
    world_note("need answered with %d", (int)outcome);
    if (outcome == QP_NEED_MET) {
        while (!own->valid || own->generation < need->min_generation)
            token_mint(need->account);
    }
    qp_list_remove(&need->link);
    need->answered(need, outcome, 0, outcome == QP_NEED_MET ? NULL : "a reason");
    world_check();
}
