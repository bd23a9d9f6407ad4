#include "base/log.h"
#include "relay/relayed.h"

static bool is_within_budget(struct relayed *r)
{
    struct qp_relay *relay = r->relay;
    if (qp_budget_take_retry(&relay->budget, relay->opts.retry_per_cent, qp_loop_now_ms(relay->loop)))
        return true;
    QP_COUNT(&relay->counters, retries_denied);
    if (qp_relay_may_warn(relay))
        qp_log_line(QP_LOG_WARN, "relay", qp_request_conn_id(r->request), qp_request_number(r->request),
                    "a request for account '%s' found its kept connection dead and is not sent again: "
                    "limits.retry_budget is used up",
                    r->account->name);
    return false;
}

static bool take(struct relayed *r, bool answered)
{
    const struct qp_retry_case c = {
        .reused = qp_exchange_is_reused(r->attempt.exchange),
        .answered = answered,
        .body_whole = qp_upload_is_whole(r),
        .idempotent = qp_is_idempotent(qp_request_message(r->request)->method),
        .sent = qp_exchange_has_sent(r->attempt.exchange),
        .retried = r->retried,
        .attempts = r->attempts,
    };
    if (!qp_may_retry(&c) || !is_within_budget(r))
        return false;
    r->retried = r->was_stale = true;
    return true;
}

bool qp_retry_take(struct relayed *r)
{
    return take(r, qp_exchange_has_response(r->attempt.exchange));
}

bool qp_retry_parted(struct relayed *r, const struct qp_message *head)
{
    return head->status == 408 && !head->keep_alive && take(r, false);
}

bool qp_retry_without_expect(const struct relayed *r, unsigned status)
{
    return status == 417 && r->attempt.expects && r->attempt.sent_bytes == 0 &&
           r->attempts < QP_ATTEMPTS_MOST && !qp_request_message(r->request)->expect_continue;
}
