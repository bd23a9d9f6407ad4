#include "relay/budget.h"

/* Makes room for the seconds that have begun since. */
static struct qp_budget_second *this_second(struct qp_budget *budget, uint64_t now_ms)
{
    const uint64_t now_s = now_ms / 1000;
    for (unsigned i = 0; i < QP_BUDGET_SECONDS && budget->now_s < now_s; i++)
        budget->seconds[++budget->now_s % QP_BUDGET_SECONDS] = (struct qp_budget_second){0};
    budget->now_s = now_s;
    return &budget->seconds[now_s % QP_BUDGET_SECONDS];
}

void qp_budget_request(struct qp_budget *budget, uint64_t now_ms)
{
    this_second(budget, now_ms)->requests++;
}

bool qp_budget_take_retry(struct qp_budget *budget, uint32_t per_cent, uint64_t now_ms)
{
    struct qp_budget_second *now = this_second(budget, now_ms);
    uint64_t requests = 0;
    uint64_t retries = 0;
    for (unsigned i = 0; i < QP_BUDGET_SECONDS; i++) {
        requests += budget->seconds[i].requests;
        retries += budget->seconds[i].retries;
    }
    const uint64_t allowed =
        requests * per_cent / 100 + (uint64_t)QP_BUDGET_SECONDS * QP_BUDGET_FLOOR_A_SECOND;
    if (per_cent > 0 && retries >= allowed)
        return false;
    now->retries++;
    return true;
}
