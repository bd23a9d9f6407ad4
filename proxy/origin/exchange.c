/* exchange.c - one request out, one response in.
 *
 *   idle -> taken -> begun: [ request  NONE -> BEGUN -> DONE ] -> released -> idle, if both are DONE and nothing else came
 *                           [ response NONE -> BEGUN -> DONE ]              -> closed otherwise
 *
 * The owner may release in any of its events. Each event is therefore delivered through deliver_*(), which says whether the
 * exchange still is the owner's; a release inside is carried out when the event has returned.
 */
#include "origin/exchange_impl.h"

#include "base/alloc.h"
#include "base/check.h"
#include "http/write.h"
#include "origin/socket.h"

enum {
    ARENA_BLOCK_BYTES = 4096,
    INFORMED_MAX = 16,
    MUTE_LOOKS = 3,   /* two intervals lie between them */
    LINGER_MS = 2000, /* for the origin's close_notify */
    KEPT_BUF_BYTES = 4096
};

static void on_data(void *owner, struct qp_slice bytes);
static void on_end(void *owner);
static void on_drained(void *owner);
static void on_failed(void *owner, enum qp_result why);
static void on_report(struct qp_job *job);

static const struct qp_stream_events stream_events = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

/* ---- begin and end ---- */

struct qp_exchange *qp_exchange_new(struct qp_pool *pool, struct qp_loop *loop, struct qp_stream *stream,
                                    const struct qp_parse_limits *limits)
{
    struct qp_exchange *exchange = qp_alloc(sizeof(*exchange));

    qp_list_init(&exchange->link);
    qp_job_init(&exchange->report, on_report);
    qp_arena_init(&exchange->arena, ARENA_BLOCK_BYTES, qp_parser_arena_bytes(limits));
    qp_parser_init(&exchange->parser, QP_RESPONSE, limits, &exchange->arena);
    exchange->pool = pool;
    exchange->loop = loop;
    exchange->stream = stream;
    exchange->worked_ms = qp_loop_now_ms(loop);
    qp_stream_set_owner(stream, &stream_events, exchange);
    qp_stream_resume(stream);
    return exchange;
}

void qp_exchange_free(struct qp_exchange *exchange, bool polite)
{
    qp_later_cancel(&exchange->report);
    qp_list_remove(&exchange->link);
    if (polite && exchange->stream)
        qp_stream_linger(&exchange->stream, LINGER_MS, 0);
    else
        qp_stream_close(&exchange->stream, false);
    qp_arena_deinit(&exchange->arena);
    qp_buf_deinit(&exchange->out);
    qp_free(exchange);
}

void qp_exchange_begin(struct qp_exchange *exchange, const struct qp_exchange_events *events, void *owner,
                       bool head_request)
{
    struct qp_exchange_life *life = &exchange->life;

    qp_require(!life->events);
    life->events = events;
    life->owner = owner;
    life->is_head = head_request;
    if (head_request)
        qp_parser_expect_no_body(&exchange->parser);
    /* It may have died between being taken and now. */
    if (life->why != QP_OK)
        qp_later(exchange->loop, &exchange->report);
}

static bool is_complete(const struct qp_exchange *exchange)
{
    return exchange->life.request == QP_HALF_DONE && exchange->life.response == QP_HALF_DONE;
}

static bool can_live(struct qp_exchange *exchange)
{
    const struct qp_exchange_life *life = &exchange->life;

    if (!exchange->stream || life->is_poisoned || qp_stream_holds_input(exchange->stream))
        return false;
    /* Taken, but nothing was sent and nothing came: as good as before. */
    if (life->request == QP_HALF_NONE && !life->has_bytes)
        return true;
    /* What of a broken off request has not gone out must not go now: the client's may have turned out malformed. */
    if (!is_complete(exchange) || !exchange->parser.message.keep_alive)
        return false;
    /* An origin that has answered early may never read the rest of the request. */
    if (qp_stream_pending_bytes(exchange->stream) > 0)
        qp_stream_flush(exchange->stream);
    return qp_stream_pending_bytes(exchange->stream) == 0;
}

static void take_home(struct qp_exchange *exchange)
{
    const bool lives = can_live(exchange);
    const bool polite = is_complete(exchange);

    qp_later_cancel(&exchange->report);
    exchange->is_reused |= exchange->life.request == QP_HALF_DONE;
    if (lives) {
        if (exchange->life.is_paused)
            qp_stream_resume(exchange->stream);
        qp_arena_reset(&exchange->arena);
        qp_parser_reset(&exchange->parser);
        if (exchange->out.capacity > KEPT_BUF_BYTES)
            qp_buf_deinit(&exchange->out);
    }
    exchange->is_released = false;
    exchange->life = (struct qp_exchange_life){0};
    qp_pool_take_back(exchange, lives, polite);
}

void qp_exchange_release(struct qp_exchange **exchange)
{
    struct qp_exchange *released = *exchange;

    *exchange = NULL;
    if (!released)
        return;
    qp_require(!released->is_idle && !released->is_released);
    released->is_released = true;
    if (!released->in_event)
        take_home(released);
}

/* ---- the owner's events ---- */

/* Behind each event: false if the owner has released the exchange in it; it is gone then. */
static bool is_still_owned(struct qp_exchange *exchange)
{
    exchange->in_event = false;
    if (!exchange->is_released)
        return true;
    take_home(exchange);
    return false;
}

static bool deliver_message(struct qp_exchange *exchange,
                            void (*event)(void *owner, const struct qp_message *head))
{
    exchange->in_event = true;
    event(exchange->life.owner, &exchange->parser.message);
    return is_still_owned(exchange);
}

static bool deliver_piece(struct qp_exchange *exchange, struct qp_slice piece)
{
    exchange->in_event = true;
    exchange->life.events->body(exchange->life.owner, piece);
    return is_still_owned(exchange);
}

static bool deliver(struct qp_exchange *exchange, void (*event)(void *owner))
{
    exchange->in_event = true;
    event(exchange->life.owner);
    return is_still_owned(exchange);
}

static void report_failure(struct qp_exchange *exchange)
{
    const struct qp_exchange_life *life = &exchange->life;

    exchange->in_event = true;
    life->events->failed(life->owner, life->why, life->detail);
    (void)is_still_owned(exchange);
}

static void on_report(struct qp_job *job)
{
    report_failure(QP_CONTAINER_OF(job, struct qp_exchange, report));
}

/* A kept stream that was dead, or one whose host is gone: others may be like it. */
static bool is_telling(const struct qp_exchange *exchange, enum qp_result why)
{
    const bool unanswered = exchange->life.request != QP_HALF_NONE && !exchange->life.has_bytes;

    return why == QP_NET_TIMEOUT || (exchange->is_reused && unanswered &&
                                     (why == QP_NET_END || why == QP_NET_RESET || why == QP_NET_TRUNCATED));
}

/* The last thing that is done with the exchange in an event of the stream. Behind a whole answer it is no failure: an origin that answers
 * early often resets, and the owner may hold the answer still. */
static void fail(struct qp_exchange *exchange, enum qp_result why, const char *detail)
{
    qp_stream_close(&exchange->stream, false);
    if (exchange->life.response == QP_HALF_DONE)
        return;
    if (is_telling(exchange, why))
        qp_pool_suspect(exchange, why);
    exchange->life.why = why;
    exchange->life.detail = detail;
    if (exchange->life.events)
        report_failure(exchange);
}

/* ---- the response ---- */

static bool take_final_head(struct qp_exchange *exchange)
{
    exchange->life.response = QP_HALF_BEGUN;
    return deliver_message(exchange, exchange->life.events->head);
}

static bool take_head(struct qp_exchange *exchange)
{
    struct qp_exchange_life *life = &exchange->life;
    const unsigned status = exchange->parser.message.status;

    if (status >= 200)
        return take_final_head(exchange);
    if (status == 101) {
        fail(exchange, QP_HTTP_UNEXPECTED, "101 that nobody asked for");
        return false;
    }
    if (++life->informed_count > INFORMED_MAX) {
        fail(exchange, QP_HTTP_MALFORMED, "too many 1xx responses");
        return false;
    }
    return deliver_message(exchange, life->events->informed);
}

/* The end of a 1xx makes room for the next head; the final one is the owner's to look at until it releases. */
static bool take_end(struct qp_exchange *exchange, struct qp_slice rest)
{
    if (exchange->life.response == QP_HALF_NONE) {
        qp_arena_reset(&exchange->arena);
        qp_parser_reset(&exchange->parser);
        if (exchange->life.is_head)
            qp_parser_expect_no_body(&exchange->parser);
        return true;
    }
    exchange->life.response = QP_HALF_DONE;
    exchange->life.is_poisoned |= rest.len > 0;
    return deliver(exchange, exchange->life.events->end);
}

static bool refuse(struct qp_exchange *exchange)
{
    const struct qp_refusal refusal = exchange->parser.refusal;

    fail(exchange, refusal.status == 431 ? QP_HTTP_TOO_LARGE : QP_HTTP_MALFORMED, refusal.text);
    return false;
}

/* False when the exchange must not be touched any more. */
static bool step(struct qp_exchange *exchange, enum qp_parse_event event, struct qp_slice piece,
                 struct qp_slice rest)
{
    switch (event) {
    case QP_PARSE_HEAD:
        return take_head(exchange);
    case QP_PARSE_BODY:
        return deliver_piece(exchange, piece);
    case QP_PARSE_END:
        return take_end(exchange, rest);
    case QP_PARSE_REFUSED:
        return refuse(exchange);
    case QP_PARSE_MORE:
        break;
    }
    return false;
}

static void parse(struct qp_exchange *exchange, struct qp_slice input)
{
    struct qp_slice piece = QP_SLICE_NONE;
    enum qp_parse_event event;

    do {
        event = qp_parser_next(&exchange->parser, &input, &piece);
        if (!step(exchange, event, piece, input))
            return;
    } while (exchange->life.response != QP_HALF_DONE);
}

static void on_data(void *owner, struct qp_slice bytes)
{
    struct qp_exchange *exchange = owner;
    struct qp_exchange_life *life = &exchange->life;

    if (exchange->is_idle) {
        qp_pool_evict(exchange);
    } else if (life->response == QP_HALF_DONE) {
        life->is_poisoned = true;
    } else if (life->request == QP_HALF_NONE) {
        life->is_poisoned = true;
        fail(exchange, QP_HTTP_UNEXPECTED, "bytes before a request was sent");
    } else {
        life->has_bytes = true;
        parse(exchange, bytes);
    }
}

static void on_end(void *owner)
{
    struct qp_exchange *exchange = owner;

    if (exchange->is_idle) {
        qp_pool_evict(exchange);
        return;
    }
    exchange->life.is_poisoned = true;
    if (exchange->life.response == QP_HALF_DONE)
        return;
    switch (qp_parser_end_of_input(&exchange->parser)) {
    case QP_PARSE_END:
        (void)take_end(exchange, QP_SLICE_NONE);
        break;
    case QP_PARSE_MORE:
        fail(exchange, QP_NET_END, "closed before a response");
        break;
    case QP_PARSE_HEAD:
    case QP_PARSE_BODY:
    case QP_PARSE_REFUSED:
        fail(exchange, QP_HTTP_TRUNCATED, "closed inside a response");
        break;
    }
}

static void on_drained(void *owner)
{
    struct qp_exchange *exchange = owner;

    if (!exchange->is_idle && exchange->life.events)
        (void)deliver(exchange, exchange->life.events->drained);
}

static void on_failed(void *owner, enum qp_result why)
{
    struct qp_exchange *exchange = owner;

    if (exchange->is_idle)
        qp_pool_evict(exchange);
    else
        fail(exchange, why, NULL);
}

/* ---- the request ---- */

static bool may_send(const struct qp_exchange *exchange, enum qp_half expected)
{
    return !qp_broken(exchange->life.request != expected || !exchange->life.events) && exchange->stream;
}

void qp_exchange_send_head(struct qp_exchange *exchange, struct qp_slice head, enum qp_body_kind kind)
{
    const bool can_write = may_send(exchange, QP_HALF_NONE);

    exchange->life.framing = kind;
    exchange->life.request = kind == QP_BODY_NONE ? QP_HALF_DONE : QP_HALF_BEGUN;
    if (can_write)
        qp_stream_write(exchange->stream, &head, 1);
}

void qp_exchange_send_body(struct qp_exchange *exchange, struct qp_slice piece)
{
    char head[QP_CHUNK_HEAD_BYTES];

    if (!may_send(exchange, QP_HALF_BEGUN) || piece.len == 0)
        return;
    if (exchange->life.framing == QP_BODY_CHUNKED) {
        const struct qp_slice pieces[] = {qp_slice(head, qp_write_chunk_head(head, piece.len)), piece,
                                          QP_SLICE("\r\n")};
        qp_stream_write(exchange->stream, pieces, 3);
    } else {
        qp_stream_write(exchange->stream, &piece, 1);
    }
}

void qp_exchange_finish_request(struct qp_exchange *exchange, const struct qp_fields *trailers)
{
    const bool can_write = exchange->life.request != QP_HALF_DONE && may_send(exchange, QP_HALF_BEGUN);

    exchange->life.request = QP_HALF_DONE;
    if (!can_write || exchange->life.framing != QP_BODY_CHUNKED)
        return;
    qp_write_last_chunk(&exchange->out, trailers);
    const struct qp_slice text = qp_buf_slice(&exchange->out);
    qp_stream_write(exchange->stream, &text, 1);
    qp_buf_clear(&exchange->out);
}

bool qp_exchange_is_full(const struct qp_exchange *exchange)
{
    return exchange->stream && qp_stream_is_full(exchange->stream);
}

size_t qp_exchange_untaken_bytes(const struct qp_exchange *exchange)
{
    return exchange->stream ? qp_stream_untaken_bytes(exchange->stream) : 0;
}

void qp_exchange_pause(struct qp_exchange *exchange)
{
    exchange->life.is_paused = true;
    if (exchange->stream)
        qp_stream_pause(exchange->stream);
}

void qp_exchange_resume(struct qp_exchange *exchange)
{
    exchange->life.is_paused = false;
    if (exchange->stream)
        qp_stream_resume(exchange->stream);
}

/* ---- what an owner asks ---- */

bool qp_exchange_probe(struct qp_exchange *exchange)
{
    const bool silent = exchange->stream && !qp_stream_holds_input(exchange->stream) &&
                        qp_socket_is_silent(qp_stream_fd(exchange->stream));

    exchange->life.is_poisoned |= !silent;
    return silent;
}

void qp_exchange_give_up(struct qp_exchange *exchange)
{
    if (exchange->stream && !exchange->life.has_bytes)
        qp_pool_suspect(exchange, QP_NET_TIMEOUT);
}

void qp_exchange_look(struct qp_exchange *exchange, uint32_t interval_ms)
{
    struct qp_exchange_life *life = &exchange->life;

    if (!exchange->stream || life->request == QP_HALF_NONE || life->response == QP_HALF_DONE)
        return;
    /* Most exchanges are over before a second look, and cost none. */
    const bool mute = life->is_looked_at && qp_socket_is_mute(qp_stream_fd(exchange->stream), interval_ms);
    life->is_looked_at = true;
    life->mute_looks = mute ? life->mute_looks + 1 : 0;
    if (life->mute_looks >= MUTE_LOOKS)
        fail(exchange, QP_NET_TIMEOUT, "the origin's host acknowledges nothing");
}

bool qp_exchange_is_reused(const struct qp_exchange *exchange)
{
    return exchange->is_reused;
}

bool qp_exchange_has_response(const struct qp_exchange *exchange)
{
    return exchange->life.has_bytes;
}

bool qp_exchange_has_sent(const struct qp_exchange *exchange)
{
    return exchange->life.request != QP_HALF_NONE;
}
