/* request.c - the life of one relayed request, top to bottom.
 *
 *   READ_HEAD -> TOKEN -> STREAM -> SEND -> WAIT_HEAD -> RELAY_BODY -> DONE
 *                  ^                 |          |
 *                  +-----------------+----------+---- 401 and qp_may_replay(): min_generation = used + 1
 *   any state: reply (our own answer) -> DONE         client gone: DONE
 *
 * There is no refresh state: TOKEN means "a valid token of at least min_generation". The first attempt asks for any, a replay for a newer one than was
 * rejected; start-up, expiry and 401 are one path. While a replay waits for its token the rejected answer is held, so that it can still go to the
 * client as it came if there will be no newer token.
 *
 * Body bytes do not pass through the switch: upload.c feeds the origin from the kept copy, answer.c feeds the client; step() sees only heads,
 * ends, failures and deadlines. An event that a state does not expect ends in our own 502 and a log line.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "relay/relayed.h"
#include "relay/rewrite.h"
#include "relay/route.h"
#include "relay/via.h"
#include <stdio.h>

enum {
    HELD_BYTES = 64 * 1024, /* of a rejected answer's body; a longer one stops the origin's stream */
    LARGE_UPLOAD_LIFE_MS =
        60000,       /* the life that a token must have left for an upload that cannot be replayed */
    EXPIRED_MOST = 5 /* tokens that run out before they can be used: then the request gives up */
};

enum event {
    EVENT_TOKEN,
    EVENT_NO_TOKEN,
    EVENT_STREAM,
    EVENT_NO_STREAM,
    EVENT_HEAD,
    EVENT_END,
    EVENT_FAILED,
    EVENT_DEADLINE,
    EVENT_COUNT
};

/* What came with an event; each event sets its own. */
struct detail {
    const struct qp_message *head;
    struct qp_exchange *exchange;
    enum qp_result why;
    enum qp_need_outcome outcome;
    uint32_t retry_after_s;
    const char *text;
};

/* ---- the story's contents ---- */
static void enter_token(struct relayed *r);
static void enter_stream(struct relayed *r, const struct detail *d);
static void enter_send(struct relayed *r, const struct detail *d);
static void on_origin_head(struct relayed *r, const struct detail *d);
static void hold_rejected(struct relayed *r, bool needs_new);
static void enter_relay(struct relayed *r);
static void on_answer_end(struct relayed *r, const struct detail *d);
static void on_answer_failed(struct relayed *r, const struct detail *d);
static void on_attempt_failed(struct relayed *r, const struct detail *d);
static void on_no_token(struct relayed *r, const struct detail *d);
static void on_no_stream(struct relayed *r, const struct detail *d);
static void on_held_end(struct relayed *r, const struct detail *d);
static void on_held_failed(struct relayed *r, const struct detail *d);
static void on_stream_deadline(struct relayed *r, const struct detail *d);
static void on_send_deadline(struct relayed *r, const struct detail *d);
static void on_head_deadline(struct relayed *r, const struct detail *d);
static void on_body_deadline(struct relayed *r, const struct detail *d);
static void reply(struct relayed *r, enum qp_reply which, uint32_t retry_after_s, const char *detail);
static void give_up(struct relayed *r, enum qp_reply which);
static void finish(struct relayed *r, enum ending how, char ended_by, const char *error);

/* Legal moves; an empty field is an event that cannot come in that state. */
static void (*const STEPS[STATE_COUNT][EVENT_COUNT])(struct relayed *r, const struct detail *d) = {
    [STATE_TOKEN] = {[EVENT_TOKEN] = enter_stream,
                     [EVENT_NO_TOKEN] = on_no_token,
                     [EVENT_END] = on_held_end,
                     [EVENT_FAILED] = on_held_failed},
    [STATE_STREAM] = {[EVENT_STREAM] = enter_send,
                      [EVENT_NO_STREAM] = on_no_stream,
                      [EVENT_DEADLINE] = on_stream_deadline},
    [STATE_SEND] = {[EVENT_HEAD] = on_origin_head,
                    [EVENT_FAILED] = on_attempt_failed,
                    [EVENT_DEADLINE] = on_send_deadline},
    [STATE_WAIT_HEAD] = {[EVENT_HEAD] = on_origin_head,
                         [EVENT_FAILED] = on_attempt_failed,
                         [EVENT_DEADLINE] = on_head_deadline},
    [STATE_RELAY_BODY] =
        {[EVENT_END] = on_answer_end, [EVENT_FAILED] = on_answer_failed, [EVENT_DEADLINE] = on_body_deadline},
};

static void step(struct relayed *r, enum event event, const struct detail *d)
{
    if (qp_broken(!STEPS[r->state][event])) {
        qp_log_line(QP_LOG_ERROR, "relay", qp_request_conn_id(r->request), qp_request_number(r->request),
                    "event %d cannot come while %s", (int)event, qp_relayed_state_text(r));
        reply(r, QP_REPLY_BROKEN, 0, NULL);
        return;
    }
    STEPS[r->state][event](r, d);
}

/* ---- callbacks: find, translate, step ---- */

static void on_deadline(struct qp_timer *timer)
{
    struct relayed *r = QP_CONTAINER_OF(timer, struct relayed, deadline);
    if (qp_relayed_is_overdue(r))
        give_up(r, QP_REPLY_REQUEST_TIMEOUT);
    else
        step(r, EVENT_DEADLINE, &(struct detail){.why = QP_NET_TIMEOUT});
}

static void on_need_answered(struct qp_need *need, enum qp_need_outcome outcome, uint32_t retry_after_s,
                             const char *text)
{
    struct relayed *r = QP_CONTAINER_OF(need, struct relayed, need);
    struct detail d = {.outcome = outcome, .retry_after_s = retry_after_s, .text = text};
    step(r, outcome == QP_NEED_MET ? EVENT_TOKEN : EVENT_NO_TOKEN, &d);
}

static void on_stream(struct qp_pool_waiter *waiter, struct qp_exchange *exchange, enum qp_result result,
                      const char *text)
{
    struct relayed *r = QP_CONTAINER_OF(waiter, struct relayed, waiter);
    struct detail d = {.exchange = exchange, .why = result, .text = text};
    step(r, exchange ? EVENT_STREAM : EVENT_NO_STREAM, &d);
}

static void on_head(void *owner, const struct qp_message *head)
{
    step(owner, EVENT_HEAD, &(struct detail){.head = head});
}
static void on_end(void *owner)
{
    step(owner, EVENT_END, &(struct detail){0});
}
static void on_failed(void *owner, enum qp_result why, const char *text)
{
    step(owner, EVENT_FAILED, &(struct detail){.why = why, .text = text});
}

static void on_informed(void *owner, const struct qp_message *head);
static void on_answer_body(void *owner, struct qp_slice piece);
static void on_exchange_drained(void *owner);

static const struct qp_exchange_events EXCHANGE_EVENTS = {
    .informed = on_informed,
    .head = on_head,
    .body = on_answer_body,
    .end = on_end,
    .drained = on_exchange_drained,
    .failed = on_failed,
};

/* ---- READ_HEAD ---- */

/* False: it has been answered here. */
static bool is_for_an_origin(struct relayed *r)
{
    const struct qp_message *message = qp_request_message(r->request);
    const struct qp_relay_opts *opts = &r->relay->opts;
    uint64_t hops;
    if (qp_via_is_loop(&message->fields, qp_slice_str(opts->via), qp_slice_str(opts->instance))) {
        reply(r, QP_REPLY_LOOP, 0, NULL);
        return false;
    }
    if (qp_rewrite_max_forwards(message, &hops) && hops == 0) {
        qp_ending_answer_options(r);
        finish(r, END_REPLIED, 'P', NULL);
        return false;
    }
    return true;
}

void qp_relay_on_head(void *context, struct qp_request *request)
{
    struct qp_relay *relay = context;
    struct relayed *r = qp_relayed_take(relay);
    QP_COUNT(&relay->counters, requests);
    qp_budget_request(&relay->budget, qp_loop_now_ms(relay->loop));
    r->request = request;
    r->started_us = qp_clock_monotonic_us();
    r->due_ms = relay->opts.request_ms ? qp_loop_now_ms(relay->loop) + relay->opts.request_ms : 0;
    r->target = qp_request_target(request);
    r->need.answered = on_need_answered;
    r->waiter.done = on_stream;
    qp_timer_init(&r->deadline, on_deadline);
    qp_kept_begin(&r->kept, &relay->kept_budget);
    qp_request_set_context(request, r);
    if (!is_for_an_origin(r))
        return;
    int account =
        qp_route(&relay->opts, qp_request_listener_id(request), qp_request_authority(request), &r->target);
    if (account < 0) {
        reply(r, QP_REPLY_NO_ACCOUNT, 0, NULL);
        return;
    }
    r->account_index = (unsigned)account;
    r->account = &relay->opts.accounts[account];
    r->path_hash = qp_damping_hash(r->account_index, r->target);
    if (qp_upload_is_past_replay(r))
        qp_kept_release(&r->kept, 0);
    enter_token(r);
}

/* ---- TOKEN ---- */

/* An upload that cannot be sent again should not meet an expiry on its way: it starts with a token that has some life left. */
static void ask_for_long_life(struct relayed *r, const struct qp_token *token)
{
    bool short_lived =
        token->expires_at_ms && token->expires_at_ms < qp_loop_now_ms(r->relay->loop) + LARGE_UPLOAD_LIFE_MS;
    if (short_lived && !r->minted && qp_upload_is_past_replay(r)) {
        r->minted = true;
        r->min_generation = token->generation + 1;
    }
}

static void await_token(struct relayed *r)
{
    qp_relayed_set_state(r, STATE_TOKEN);
    qp_view_need(r->relay->view, r->account_index, r->min_generation, &r->need);
}

static void enter_token(struct relayed *r)
{
    struct qp_token token;
    bool have = qp_view_token(r->relay->view, r->account_index, r->min_generation, &token);
    if (have)
        ask_for_long_life(r, &token);
    if (have && token.generation >= r->min_generation)
        enter_stream(r, NULL);
    else
        await_token(r);
}

/* ---- STREAM ---- */

/* Gives the attempt's stream back (the pool decides whether it lives on) and forgets everything of the attempt. */
static void drop_attempt(struct relayed *r)
{
    qp_exchange_release(&r->attempt.exchange);
    r->attempt = (struct qp_attempt){0};
    r->holding = r->held_ended = false;
    qp_buf_clear(&r->body);
}

/* A kept stream. A request that must not run twice goes out only on one that looks alive at this instant. */
static struct qp_exchange *take_kept_stream(struct relayed *r, struct qp_pool *pool)
{
    bool careful = !qp_is_idempotent(qp_request_message(r->request)->method);
    for (;;) {
        struct qp_exchange *exchange = r->retried ? NULL : qp_pool_try_take(pool);
        if (!exchange || !careful || qp_exchange_probe(exchange))
            return exchange;
        qp_exchange_release(&exchange);
    }
}

static void enter_stream(struct relayed *r, const struct detail *d)
{
    (void)d;
    drop_attempt(r);
    struct qp_pool *pool = r->relay->pools[r->account_index];
    struct qp_exchange *exchange = take_kept_stream(r, pool);
    if (exchange) {
        enter_send(r, &(struct detail){.exchange = exchange});
        return;
    }
    qp_relayed_set_state(r, STATE_STREAM);
    enum qp_result result = qp_pool_wait(pool, &r->waiter, r->retried);
    if (result != QP_OK)
        reply(r, qp_reply_for_dial(result), 1, NULL);
}

/* ---- SEND ---- */

static void pump(struct relayed *r)
{
    if (qp_upload_pump(r) != QP_OK)
        reply(r, QP_REPLY_REPLAY_LOST, 0, NULL);
}

static void send_head(struct relayed *r, const struct qp_secret *token)
{
    struct qp_relay *relay = r->relay;
    const struct qp_message *message = qp_request_message(r->request);
    struct qp_rewrite rewrite = {
        .message = message,
        .target = r->target,
        .authority = relay->authorities[r->account_index],
        .via = qp_slice_str(relay->opts.via),
        .instance = qp_slice_str(relay->opts.instance),
        .token = token,
        .static_token = r->account->static_token,
        .plain_answer = r->account->rewrite_links,
        .expect_continue = r->attempt.waits_for_continue,
    };
    qp_rewrite_request(&rewrite, &relay->head);
    qp_exchange_send_head(r->attempt.exchange, qp_buf_slice(&relay->head), qp_rewrite_body_kind(message));
    qp_wipe(relay->head.data, relay->head.end);
    qp_buf_clear(&relay->head);
}

/* The token ran out while the stream was awaited. */
static void on_expired(struct relayed *r)
{
    drop_attempt(r);
    qp_relayed_set_state(r, STATE_READ_HEAD);
    if (++r->expired > EXPIRED_MOST)
        reply(r, QP_REPLY_TOKEN_TIMEOUT, 0, "its tokens expire as soon as they are issued");
    else
        enter_token(r);
}

/* For a 100, also in a replay; once the answer has begun, perhaps for ever. */
static bool client_waits(const struct relayed *r)
{
    return qp_request_message(r->request)->expect_continue && qp_request_body_received(r->request) == 0;
}

static void enter_send(struct relayed *r, const struct detail *d)
{
    const struct qp_message *message = qp_request_message(r->request);
    r->attempt.exchange = d->exchange;
    struct qp_token token;
    if (!qp_view_token(r->relay->view, r->account_index, r->min_generation, &token)) {
        on_expired(r);
        return;
    }
    qp_relayed_count_attempt(r);
    r->attempt.generation = token.generation;
    bool would_wait = client_waits(r) || (qp_upload_is_past_replay(r) && !r->unexpected);
    r->attempt.expects = r->attempt.waits_for_continue = message->body_kind != QP_BODY_NONE && would_wait;
    qp_exchange_begin(r->attempt.exchange, &EXCHANGE_EVENTS, r,
                      qp_slice_is(message->method, QP_SLICE("HEAD")));
    qp_relayed_set_state(r, STATE_SEND);
    send_head(r, token.value);
    pump(r);
}

/* For a 100. The body may go. */
static void stop_waiting(struct relayed *r)
{
    if (!r->attempt.waits_for_continue)
        return;
    r->attempt.waits_for_continue = false;
    qp_relayed_arm_deadline(r);
}

void qp_relay_on_body(struct qp_request *request, struct qp_slice piece)
{
    struct relayed *r = qp_request_context(request);
    qp_upload_take(r, piece);
    pump(r);
}

void qp_relay_on_end(struct qp_request *request)
{
    struct relayed *r = qp_request_context(request);
    if (r->kept.total == 0) /* there is nothing to wait for a 100 with */
        stop_waiting(r);
    pump(r);
}

static bool is_too_slow(const struct relayed *r, struct qp_rate *rate, uint64_t bytes)
{
    const struct qp_relay_opts *opts = &r->relay->opts;
    return qp_rate_is_slow(rate, qp_loop_now_ms(r->relay->loop), bytes, opts->origin_response_ms,
                           opts->origin_rate_bytes);
}

static void on_exchange_drained(void *owner)
{
    struct relayed *r = owner;
    (void)qp_upload_goes_on(r);
    if (!r->holding && is_too_slow(r, &r->attempt.upload_rate, r->attempt.taken_bytes)) {
        give_up(r, QP_REPLY_ORIGIN_SLOW);
        return;
    }
    qp_relayed_arm_deadline(r);
    pump(r);
}

static void on_informed(void *owner, const struct qp_message *head)
{
    struct relayed *r = owner;
    bool asked = qp_request_message(r->request)->expect_continue;
    if (head->status != 100 || asked)
        qp_request_inform(r->request, head->status, head->reason, &head->fields);
    if (head->status == 100) {
        stop_waiting(r);
        pump(r);
    }
}

/* At a deadline of the origin: it has said nothing, but goes on taking the upload, and gets as much time again; unless it is too slow at
 * that. */
static bool is_spared(struct relayed *r)
{
    if (!qp_upload_goes_on(r))
        return false;
    bool is_left = r->attempt.taken_bytes < r->attempt.sent_bytes;
    if (is_left && is_too_slow(r, &r->attempt.upload_rate, r->attempt.taken_bytes))
        give_up(r, QP_REPLY_ORIGIN_SLOW);
    else
        qp_relayed_arm_deadline(r);
    return true;
}

static void on_send_deadline(struct relayed *r, const struct detail *d)
{
    (void)d;
    if (r->attempt.waits_for_continue) {
        stop_waiting(r);
        if (qp_request_message(r->request)->expect_continue)
            qp_request_inform(r->request, 100, QP_SLICE_NONE, NULL);
        pump(r);
    } else if (is_spared(r)) {
        return;
    } else if (qp_exchange_is_full(r->attempt.exchange)) {
        qp_exchange_give_up(r->attempt.exchange);
        reply(r, QP_REPLY_ORIGIN_TIMEOUT, 0, "it stopped taking the request's body");
    } else {
        qp_relayed_arm_deadline(r); /* it is the client that is slow; the server room watches it */
    }
}

/* ---- WAIT_HEAD: the decision ---- */

static void on_origin_head(struct relayed *r, const struct detail *d)
{
    r->attempt.head = d->head;
    r->attempt.waits_for_continue = false;
    if (qp_retry_parted(r, d->head)) {
        enter_stream(r, NULL);
        return;
    }
    qp_rejected_learn(r, d->head->status != 401);
    if (qp_retry_without_expect(r, d->head->status)) {
        r->unexpected = true;
        enter_stream(r, NULL);
        return;
    }
    enum qp_replay_verdict verdict = qp_rejected_judge(r, d->head->status);
    if (verdict == QP_REPLAY_WITH_CURRENT || verdict == QP_REPLAY_WITH_NEW) {
        hold_rejected(r, verdict == QP_REPLAY_WITH_NEW);
        return;
    }
    if (verdict != QP_REPLAY_NOT_REJECTED)
        qp_rejected_pass_on(r, verdict);
    enter_relay(r);
}

/* ---- TOKEN again, with a rejected answer in hand ---- */

/* Even if the token is there already it is awaited for a turn: the end of the rejected answer usually lies in the same read, and then its stream can be
 * used again. */
static void hold_rejected(struct relayed *r, bool needs_new)
{
    r->holding = r->rejected = true;
    r->min_generation = r->attempt.generation + 1;
    r->minted = r->minted || needs_new;
    await_token(r);
}

static void on_held_end(struct relayed *r, const struct detail *d)
{
    (void)d;
    r->held_ended = true;
}

/* Nothing is left to pass on; the token may still come, and then this is a replay all the same. */
static void on_held_failed(struct relayed *r, const struct detail *d)
{
    (void)d;
    drop_attempt(r);
}

/* The held answer goes to the client as it came, and what is left of both bodies goes on. */
static void relay_held(struct relayed *r)
{
    bool ended = r->held_ended;
    qp_rejected_pass_on(r, QP_REPLAY_DAMPED);
    r->holding = r->rejected = false;
    qp_relayed_set_state(r, STATE_RELAY_BODY);
    qp_kept_release(&r->kept, r->attempt.sent_bytes);
    qp_answer_give_held(r);
    if (ended) {
        finish(r, END_ANSWERED, '-', NULL);
        return;
    }
    qp_answer_note_turn(r);
    qp_exchange_resume(r->attempt.exchange);
    pump(r);
}

/* The token that was to be newer was only wished for (ask_for_long_life()), and there is a valid one. */
static bool can_do_without(struct relayed *r)
{
    struct qp_token token;
    return r->attempts == 0 && r->min_generation > 0 &&
           qp_view_token(r->relay->view, r->account_index, 0, &token);
}

/* No newer token will come. Where that is the origin's last word on this account, its own 401 goes to the client as it came. */
static void on_no_token(struct relayed *r, const struct detail *d)
{
    bool last_word = d->outcome == QP_NEED_REJECTED || d->outcome == QP_NEED_STATIC;
    if (can_do_without(r)) {
        r->min_generation = 0;
        enter_stream(r, NULL);
    } else if (last_word && r->holding) {
        relay_held(r);
    } else {
        reply(r, qp_reply_for_need(d->outcome), d->retry_after_s, d->text);
    }
}

/* ---- RELAY_BODY ---- */

static void enter_relay(struct relayed *r)
{
    qp_relayed_set_state(r, STATE_RELAY_BODY);
    qp_kept_release(&r->kept,
                    r->attempt.sent_bytes); /* the status is known: the request will not be sent again */
    qp_answer_begin(r);
    qp_answer_note_turn(r);
    pump(r);
}

static void give_piece(struct relayed *r, struct qp_slice piece)
{
    const struct qp_message *head = r->attempt.head;
    bool is_last = head->body_kind == QP_BODY_LENGTH && r->attempt.answer_bytes == head->body_length;
    bool is_slow = is_too_slow(r, &r->attempt.answer_rate, r->attempt.answer_bytes);
    qp_answer_piece(r, piece);
    if (is_slow && !is_last)
        give_up(r, QP_REPLY_ORIGIN_SLOW);
}

static void on_answer_body(void *owner, struct qp_slice piece)
{
    struct relayed *r = owner;
    qp_relayed_arm_deadline(r);
    r->attempt.answer_bytes += piece.len;
    if (!r->holding) {
        give_piece(r, piece);
        return;
    }
    qp_buf_append(&r->body, piece);
    if (qp_buf_len(&r->body) > HELD_BYTES)
        qp_exchange_pause(r->attempt.exchange);
}

void qp_relay_on_drained(struct qp_request *request)
{
    struct relayed *r = qp_request_context(request);
    if (r && r->state == STATE_RELAY_BODY) {
        qp_relayed_arm_deadline(r);
        qp_answer_note_turn(r);
        qp_exchange_resume(r->attempt.exchange);
    }
}

static void on_answer_end(struct relayed *r, const struct detail *d)
{
    (void)d;
    qp_answer_end(r);
    finish(r, END_ANSWERED, '-', NULL);
}

/* The origin broke off inside the body: the client gets what came, and sees the cut. */
static void on_answer_failed(struct relayed *r, const struct detail *d)
{
    qp_ending_cut(r, qp_result_text(d->why), d->text);
    finish(r, END_CUT, d->why == QP_NET_TIMEOUT ? 'T' : 'O',
           qp_reply_row(qp_reply_for_exchange(d->why))->code);
}

static void on_body_deadline(struct relayed *r, const struct detail *d)
{
    (void)d;
    if (is_spared(r))
        return;
    bool slow_to_take = qp_request_is_full(r->request);
    bool slow_to_send =
        !r->attempt.request_finished && !client_waits(r) && !qp_exchange_is_full(r->attempt.exchange);
    if (slow_to_take || slow_to_send)
        qp_relayed_arm_deadline(r); /* it is the client; the server room watches it */
    else
        give_up(r, QP_REPLY_ORIGIN_TIMEOUT);
}

/* ---- failures before the response's head ---- */

static void on_attempt_failed(struct relayed *r, const struct detail *d)
{
    if (qp_retry_take(r))
        enter_stream(r, NULL);
    else
        reply(r, qp_reply_for_exchange(d->why), 0, d->text);
}

static void on_no_stream(struct relayed *r, const struct detail *d)
{
    reply(r, qp_reply_for_dial(d->why), 0, d->text);
}

static void on_stream_deadline(struct relayed *r, const struct detail *d)
{
    (void)d;
    reply(r, QP_REPLY_STREAM_TIMEOUT, 1, NULL);
}

static void on_head_deadline(struct relayed *r, const struct detail *d)
{
    (void)d;
    if (is_spared(r))
        return;
    qp_exchange_give_up(r->attempt.exchange);
    reply(r, QP_REPLY_ORIGIN_TIMEOUT, 0, NULL);
}

/* ---- DONE ---- */

/* Our own answer; where the origin's has begun already, it is cut. */
static void reply(struct relayed *r, enum qp_reply which, uint32_t retry_after_s, const char *detail)
{
    const struct qp_reply_row *row = qp_reply_row(which);
    if (qp_request_answer_status(r->request) != 0) {
        qp_ending_cut(r, row->text, detail);
        finish(r, END_CUT, 'P', row->code);
        return;
    }
    /* A 503 says when to come back, but for the one that only a person can end. */
    if (row->status == 503 && retry_after_s == 0 && which != QP_REPLY_TOKEN_SIGN_IN)
        retry_after_s = 1;
    qp_ending_reply(r, row, retry_after_s, detail);
    QP_COUNT(&r->relay->counters, replied[which]);
    finish(r, END_REPLIED, 'P', row->code);
}

/* A limit of time is reached: the client is told, or sees the cut. */
static void give_up(struct relayed *r, enum qp_reply which)
{
    const struct qp_reply_row *row = qp_reply_row(which);
    if (qp_request_answer_status(r->request) == 0) {
        reply(r, which, 0, NULL);
        return;
    }
    qp_ending_cut(r, row->text, NULL);
    finish(r, END_CUT, 'T', row->code);
}

/* The one end: whatever happened, the line is written, the server is told, and everything that was taken is given back. */
static void finish(struct relayed *r, enum ending how, char ended_by, const char *error)
{
    struct qp_request *request = r->request;
    qp_view_cancel(&r->need);
    qp_pool_cancel(&r->waiter);
    qp_ending_log(r, how, ended_by, error);
    qp_relayed_set_state(r, STATE_DONE);
    qp_request_set_context(request, NULL);
    if (how == END_ANSWERED)
        qp_request_finish(request, qp_answer_trailers(r));
    else if (how == END_REPLIED)
        qp_request_finish(request, NULL);
    else if (how == END_CUT)
        qp_request_abort(request);
    drop_attempt(r);
    qp_relayed_give(r);
}

void qp_relay_on_gone(struct qp_request *request, enum qp_result why)
{
    struct relayed *r = qp_request_context(request);
    if (r)
        finish(r, END_GONE, why == QP_NET_TIMEOUT ? 'T' : 'C', NULL);
}
