#include "relay/relayed.h"

bool qp_upload_is_past_replay(const struct relayed *r)
{
    const struct qp_message *message = qp_request_message(r->request);
    return message->body_kind == QP_BODY_LENGTH && message->body_length > r->relay->opts.replay_body_bytes;
}

bool qp_upload_is_whole(const struct relayed *r)
{
    /* Also a body that is not kept for long, as long as nothing of it has gone out. */
    return r->kept.whole || (r->kept.base == 0 && r->attempt.sent_bytes == 0);
}

static bool can_send(const struct relayed *r)
{
    return (r->state == STATE_SEND || r->state == STATE_RELAY_BODY) && r->attempt.exchange &&
           !r->attempt.request_finished && !r->attempt.waits_for_continue;
}

/* How much of the body is no longer needed once it is not kept whole. A replay that is due begins at the start. */
static uint64_t done_with(const struct relayed *r)
{
    return r->holding ? 0 : r->attempt.sent_bytes;
}

void qp_upload_take(struct relayed *r, struct qp_slice piece)
{
    qp_kept_append(&r->kept, piece, done_with(r));
    /* A client that sends its body without waiting for the 100 gets no delay for having asked. */
    if (r->attempt.waits_for_continue && !qp_upload_is_past_replay(r)) {
        r->attempt.waits_for_continue = false;
        qp_relayed_arm_deadline(r);
    }
    if (!can_send(r))
        qp_request_pause(r->request);
}

static void finish_upload(struct relayed *r)
{
    r->attempt.request_finished = true;
    qp_exchange_finish_request(r->attempt.exchange, &qp_request_message(r->request)->trailers);
    if (r->state == STATE_SEND)
        qp_relayed_set_state(r, STATE_WAIT_HEAD);
    else
        qp_answer_note_turn(r);
}

enum qp_result qp_upload_pump(struct relayed *r)
{
    if (!can_send(r))
        return QP_OK;
    while (r->attempt.sent_bytes < r->kept.total && !qp_exchange_is_full(r->attempt.exchange)) {
        struct qp_slice bytes;
        enum qp_result result = qp_kept_read(&r->kept, r->attempt.sent_bytes, &bytes);
        if (result != QP_OK)
            return result;
        qp_exchange_send_body(r->attempt.exchange, bytes);
        r->attempt.sent_bytes += bytes.len;
        if (!r->kept.whole)
            qp_kept_release(&r->kept, r->attempt.sent_bytes);
    }
    if (qp_exchange_is_full(r->attempt.exchange))
        qp_rate_run(&r->attempt.upload_rate, qp_loop_now_ms(r->relay->loop));
    else
        qp_rate_rest(&r->attempt.upload_rate, qp_loop_now_ms(r->relay->loop));
    if (r->attempt.sent_bytes < r->kept.total)
        qp_request_pause(r->request);
    else if (qp_request_has_ended(r->request))
        finish_upload(r);
    else
        qp_request_resume(r->request);
    return QP_OK;
}
