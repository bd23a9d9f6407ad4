#include "relay/relayed.h"

/* A body that is no larger is as good as taken when it is sent: no look for each small request. */
enum { LOOKED_AT_BYTES = 64 * 1024 };

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

bool qp_upload_goes_on(struct relayed *r)
{
    struct qp_attempt *attempt = &r->attempt;
    const size_t untaken = qp_exchange_untaken_bytes(attempt->exchange);
    if (attempt->sent_bytes <= attempt->taken_bytes + untaken)
        return false;
    attempt->taken_bytes = attempt->sent_bytes - untaken;
    return true;
}

void qp_upload_note_turn(struct relayed *r)
{
    struct qp_attempt *attempt = &r->attempt;
    const uint64_t now_ms = qp_loop_now_ms(r->relay->loop);
    const bool is_last = r->state == STATE_WAIT_HEAD && attempt->taken_bytes < attempt->sent_bytes;
    if ((is_last || qp_exchange_is_full(attempt->exchange)) && !qp_request_is_full(r->request))
        qp_rate_run(&attempt->upload_rate, now_ms);
    else
        qp_rate_rest(&attempt->upload_rate, now_ms);
}

/* It is the origin's turn from now on, whatever it has waited for the client. */
static void finish_upload(struct relayed *r)
{
    r->attempt.request_finished = true;
    qp_exchange_finish_request(r->attempt.exchange, &qp_request_message(r->request)->trailers);
    if (r->attempt.sent_bytes > LOOKED_AT_BYTES)
        (void)qp_upload_goes_on(r);
    else
        r->attempt.taken_bytes = r->attempt.sent_bytes;
    qp_relayed_set_state(r, r->state == STATE_SEND ? STATE_WAIT_HEAD : r->state);
    if (r->state == STATE_RELAY_BODY)
        qp_answer_note_turn(r);
    else
        qp_upload_note_turn(r);
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
    qp_upload_note_turn(r);
    if (r->attempt.sent_bytes < r->kept.total)
        qp_request_pause(r->request);
    else if (qp_request_has_ended(r->request))
        finish_upload(r);
    else
        qp_request_resume(r->request);
    return QP_OK;
}
