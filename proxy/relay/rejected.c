#include "base/log.h"
#include "relay/relayed.h"

void qp_rejected_learn(struct relayed *r, bool accepted)
{
    struct qp_relay *relay = r->relay;
    uint64_t generation = r->attempt.generation;
    uint64_t *newest_accepted = &relay->accepted[r->account_index];
    if (r->account->static_token)
        return;
    qp_view_report(relay->view, r->account_index, generation, accepted);
    if (accepted) {
        qp_damping_accepted(&relay->damping, r->path_hash, generation, qp_loop_now_ms(relay->loop));
        *newest_accepted = generation > *newest_accepted ? generation : *newest_accepted;
    } else if (r->minted && generation >= r->min_generation) {
        qp_damping_rejected(&relay->damping, r->path_hash, generation, *newest_accepted >= generation,
                            qp_loop_now_ms(relay->loop));
    }
}

enum qp_replay_verdict qp_rejected_judge(struct relayed *r, unsigned status)
{
    struct qp_relay *relay = r->relay;
    struct qp_token now;
    bool have = qp_view_token(relay->view, r->account_index, 0, &now);
    struct qp_replay_case c = {
        .status = status,
        .static_token = r->account->static_token,
        .body_whole = qp_upload_is_whole(r),
        .attempts = r->attempts,
        .minted = r->minted,
        .damped = qp_damping_holds(&relay->damping, r->path_hash, qp_loop_now_ms(relay->loop)) ||
                  qp_view_is_damped(relay->view, r->account_index),
        .used = r->attempt.generation,
        .current = have ? now.generation : 0,
    };
    return qp_may_replay(&c);
}

void qp_rejected_pass_on(struct relayed *r, enum qp_replay_verdict verdict)
{
    static const char *const WHY[] = {
        [QP_REPLAY_NOT_REJECTED] = "",
        [QP_REPLAY_WITH_CURRENT] = "",
        [QP_REPLAY_WITH_NEW] = "",
        [QP_REPLAY_STATIC] = "an API token cannot be refreshed: check its value and the datacenter",
        [QP_REPLAY_BODY_GONE] =
            "the request cannot be sent again because its body is no longer kept (see replay.body)",
        [QP_REPLAY_EXHAUSTED] =
            "a fresh token was rejected too: check the account's permissions and datacenter",
        [QP_REPLAY_DAMPED] = "no new token is made for it, because the last fresh one was rejected too",
    };
    struct qp_relay_counters *counters = &r->relay->counters;
    QP_COUNT(counters, rejected_passed_on);
    if (verdict == QP_REPLAY_BODY_GONE)
        QP_COUNT(counters, unreplayable);
    if (verdict == QP_REPLAY_DAMPED)
        QP_COUNT(counters, damped);
    if (qp_relay_may_warn(r->relay))
        qp_log_line(QP_LOG_WARN, "relay", qp_request_conn_id(r->request), qp_request_number(r->request),
                    "the origin's 401 for account '%s' goes to the client: %s", r->account->name,
                    WHY[verdict]);
}
