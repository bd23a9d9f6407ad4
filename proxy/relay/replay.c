#include "relay/replay.h"

enum qp_replay_verdict qp_may_replay(const struct qp_replay_case *c)
{
    if (c->status != 401)
        return QP_REPLAY_NOT_REJECTED;
    if (c->static_token)
        return QP_REPLAY_STATIC;
    if (!c->body_whole)
        return QP_REPLAY_BODY_GONE;
    if (c->attempts >= QP_ATTEMPTS_MOST)
        return QP_REPLAY_EXHAUSTED;
    if (c->current > c->used)
        return QP_REPLAY_WITH_CURRENT;
    if (c->minted)
        return QP_REPLAY_EXHAUSTED;
    return c->damped ? QP_REPLAY_DAMPED : QP_REPLAY_WITH_NEW;
}

bool qp_may_retry(const struct qp_retry_case *c)
{
    return c->reused && !c->answered && c->body_whole && !c->retried && c->attempts < QP_ATTEMPTS_MOST &&
           (c->idempotent || !c->sent);
}

bool qp_is_idempotent(struct qp_slice method)
{
    static const struct qp_slice idempotent[] = {
        {"GET", 3}, {"HEAD", 4}, {"PUT", 3}, {"DELETE", 6}, {"OPTIONS", 7}};
    for (unsigned i = 0; i < sizeof idempotent / sizeof idempotent[0]; i++)
        if (qp_slice_is(method, idempotent[i]))
            return true;
    return false;
}
