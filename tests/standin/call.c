/* call.c - the events of a request, in the order in which they come, and its end. */
#include "call.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/write.h"

static void call_split_target(struct si_call *call)
{
    struct qp_slice rest = qp_request_target(call->request);
    call->path = qp_slice_cut(&rest, '?');
    call->query = rest;
    rest = call->path;
    while (rest.at && call->segments < SI_SEGMENTS) {
        struct qp_slice segment = qp_slice_cut(&rest, '/');
        if (segment.len > 0) /* real clients send "//" and a '/' at the end */
            call->segment[call->segments++] = segment;
    }
}

static void call_release(struct si_call *call)
{
    qp_timer_deinit(&call->timer);
    qp_later_cancel(&call->job);
    if (call->token_call_open) {
        si_lock(call->world);
        call->world->counters.token_calls_open--;
        si_unlock(call->world);
    }
    if (call->has_feed)
        si_feed_deinit(&call->feed);
    mbedtls_sha256_free(&call->body_hash);
    qp_buf_deinit(&call->body);
    qp_buf_deinit(&call->head);
    qp_buf_deinit(&call->out);
    qp_free(call);
}

static void on_timer(struct qp_timer *timer)
{
    struct si_call *call = QP_CONTAINER_OF(timer, struct si_call, timer);
    call->timer_then(call);
}

static void on_job(struct qp_job *job)
{
    struct si_call *call = QP_CONTAINER_OF(job, struct si_call, job);
    call->job_then(call);
}

void si_call_after(struct si_call *call, uint64_t ms, void (*then)(struct si_call *call))
{
    call->timer_then = then;
    qp_timer_arm(call->worker->loop, &call->timer, ms);
}

void si_call_later(struct si_call *call, void (*then)(struct si_call *call))
{
    call->job_then = then;
    qp_later(call->worker->loop, &call->job);
}

void si_call_ask_body(struct si_call *call)
{
    if (qp_request_message(call->request)->expect_continue && !call->body_asked)
        qp_request_inform(call->request, 100, QP_SLICE_NONE, NULL);
    call->body_asked = true;
}

struct qp_slice si_field(const struct si_call *call, const char *name)
{
    const struct qp_field *field =
        qp_fields_find_name(&qp_request_message(call->request)->fields, qp_slice_str(name));
    return field ? field->value : QP_SLICE_NONE;
}

struct qp_slice si_param(const struct si_call *call, const char *name)
{
    struct qp_slice rest = call->query;
    while (rest.at) {
        struct qp_slice pair = qp_slice_cut(&rest, '&');
        struct qp_slice key = qp_slice_cut(&pair, '=');
        if (qp_slice_is(key, qp_slice_str(name)))
            return pair.at ? pair : QP_SLICE("");
    }
    return QP_SLICE_NONE;
}

uint64_t si_param_u64(const struct si_call *call, const char *name, uint64_t otherwise)
{
    uint64_t value;
    struct qp_slice text = si_param(call, name);
    return text.at && qp_slice_to_u64(text, &value) ? value : otherwise;
}

bool si_param_on(const struct si_call *call, const char *name)
{
    return si_param_u64(call, name, 0) != 0;
}

/* ---- events ---- */

static void on_head(void *handler_context, struct qp_request *request)
{
    struct si_call *call = qp_alloc(sizeof(*call));
    call->worker = handler_context;
    call->world = call->worker->world;
    call->request = request;
    call->began_ms = qp_clock_monotonic_ms();
    call->cut_after = UINT64_MAX;
    qp_timer_init(&call->timer, on_timer);
    qp_job_init(&call->job, on_job);
    mbedtls_sha256_init(&call->body_hash);
    qp_require(mbedtls_sha256_starts(&call->body_hash, 0) == 0);
    qp_request_set_context(request, call);
    call_split_target(call);
    call->route = si_route_find(call);

    si_lock(call->world);
    call->knobs = call->world->knobs;
    call->world->counters.route[call->route->id]++;
    si_next_uuid(call->world, call->request_id);
    si_unlock(call->world);
    call->gzip = false;
    call->chunked = call->knobs.chunked;
    call->close = !call->knobs.origin_keepalive;
    si_gate_head(call);
}

static void on_body(struct qp_request *request, struct qp_slice piece)
{
    struct si_call *call = qp_request_context(request);
    call->body_bytes += piece.len;
    if (call->route->id == SI_ROUTE_ECHO)
        qp_require(mbedtls_sha256_update(&call->body_hash, (const unsigned char *)piece.at, piece.len) == 0);
    if ((call->route->flags & SI_COLLECT) && call->body_bytes <= SI_COLLECT_BYTES && !call->rejecting)
        qp_buf_append(&call->body, piece);
    if (call->rejecting && !call->answering)
        si_gate_body(call);
}

static void call_answer(struct si_call *call)
{
    if ((call->route->flags & SI_COLLECT) && call->body_bytes > SI_COLLECT_BYTES) {
        si_reply_error(call, 413, NULL, "The request body is too large.");
        return;
    }
    bool echo_post = call->route->id == SI_ROUTE_ECHO &&
                     qp_slice_is(qp_request_message(call->request)->method, QP_SLICE("POST"));
    if ((call->route->flags & SI_POST) || echo_post) {
        si_lock(call->world);
        si_count_post(&call->world->counters, si_field(call, "Idempotency-Key"));
        si_unlock(call->world);
    }
    call->route->answer(call);
}

static void call_finish(struct si_call *call);

static void on_end(struct qp_request *request)
{
    struct si_call *call = qp_request_context(request);
    if (call->answer_done) {
        call_finish(call);
        return;
    }
    if (call->answering)
        return;
    if (call->rejecting) {
        si_gate_end(call);
        return;
    }
    call->answering = true;
    if (call->knobs.delay_ms > 0 && !(call->route->flags & SI_PLAIN))
        si_call_after(call, (uint64_t)call->knobs.delay_ms, call_answer);
    else
        call_answer(call);
}

static void on_gone(struct qp_request *request, enum qp_result why)
{
    struct si_call *call = qp_request_context(request);
    if (call->route->id == SI_ROUTE_ECHO && call->status == 0)
        si_echo_record(call, 0);
    call_release(call);
}

/* ---- the answer goes out ---- */

enum { TURN_BYTES = 1024 * 1024 }; /* then other connections have their turn */

static void call_finish(struct si_call *call)
{
    struct qp_request *request = call->request;
    struct qp_fields trailers = {0};
    char hex[SI_HASH_HEX];
    if (call->feed_trailer) {
        si_feed_hash(&call->feed, hex);
        struct qp_slice value = qp_arena_copy(qp_request_arena(request), qp_slice_str(hex));
        if (value.at)
            qp_fields_add(&trailers, qp_request_arena(request), QP_SLICE("X-Content-Sha256"), value);
    }
    call_release(call);
    qp_request_finish(request, trailers.count ? &trailers : NULL);
}

static void call_pump(struct si_call *call);

static void call_cut(struct si_call *call)
{
    struct qp_request *request = call->request;
    call_release(call);
    qp_request_abort(request);
}

void si_reply_cut(struct si_call *call)
{
    call->answering = true;
    call_cut(call);
}

/* True if the pump goes on with the next piece now. */
static bool call_send(struct si_call *call, struct qp_slice piece)
{
    if (call->cut_after - call->sent <= piece.len) {
        qp_request_send(call->request, qp_slice(piece.at, (size_t)(call->cut_after - call->sent)));
        si_call_after(call, 50, call_cut); /* so that the bytes before the cut arrive */
        return false;
    }
    call->sent += piece.len;
    qp_request_send(call->request, piece);
    if (call->pace_ms == 0)
        return true;
    si_call_after(call, call->pace_ms, call_pump);
    return false;
}

static struct qp_slice call_next_piece(struct si_call *call)
{
    if (call->pace_ms == 0 || call->feed.content != SI_MEMORY || call->feed.gzip)
        return qp_slice(call->worker->scratch, si_feed_read(&call->feed, call->worker->scratch));
    struct qp_slice rest = call->feed.memory;
    size_t at = (size_t)call->sent;
    size_t left = rest.len - at;
    return qp_slice(rest.at + at, left < call->pace_bytes ? left : call->pace_bytes);
}

static void call_pump(struct si_call *call)
{
    size_t turn = 0;
    while (!qp_request_is_full(call->request)) {
        struct qp_slice piece = call_next_piece(call);
        if (piece.len == 0) {
            call->answer_done = true;
            if (!call->finish_at_end || qp_request_has_ended(call->request))
                call_finish(call);
            return;
        }
        if (!call_send(call, piece))
            return;
        turn += piece.len;
        if (turn >= TURN_BYTES) {
            si_call_later(call, call_pump);
            return;
        }
    }
}

static void on_drained(struct qp_request *request)
{
    struct si_call *call = qp_request_context(request);
    if (call->status != 0 && !call->answer_done && !qp_timer_is_armed(&call->timer))
        call_pump(call);
}

static const char *refusal_body(void *handler_context, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body)
{
    (void)request;
    struct si_worker *worker = handler_context;
    si_lock(worker->world);
    worker->world->counters.answered[refusal->status % 1000]++;
    si_unlock(worker->world);
    qp_buf_append_fmt(body, "{\"meta\":{\"httpStatus\":\"%u - ", refusal->status);
    qp_buf_append(body, qp_status_reason(refusal->status));
    qp_buf_append_str(body, "\",\"error\":{\"errorMessage\":\"");
    qp_buf_append_json(body, qp_slice_str(refusal->text));
    qp_buf_append_str(body, "\"}}}");
    return "application/json";
}

const struct qp_handler si_handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
    .refusal_body = refusal_body,
};

/* ---- beginning it ---- */

static void call_begin(struct si_call *call, const char *content_type)
{
    struct si_call *c = call; /* it stands in every line */
    if (content_type)
        si_head_line(c, "Content-Type", content_type);
    if (c->feed.gzip)
        si_head_line(c, "Content-Encoding", "gzip");
    if (c->feed.gzip)
        si_head_line(c, "Vary", "Accept-Encoding");
    qp_buf_append_fmt(&c->head, "request-time: %llu\r\n",
                      (unsigned long long)(qp_clock_monotonic_ms() - c->began_ms));
    qp_buf_append_str(&c->head, "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
                                "x-content-type-options: nosniff\r\n");
    si_lock(c->world);
    c->world->counters.answered[c->status % 1000]++;
    si_unlock(c->world);
    if (c->route->id == SI_ROUTE_ECHO)
        si_echo_record(c, c->status);
    c->answering = true;
    c->has_feed = true;
    /* A client that was not asked for its body may never send it: then the server decides what becomes of the connection. */
    if (qp_request_message(c->request)->expect_continue && !c->body_asked)
        c->finish_at_end = false;
    struct qp_answer answer = {
        .status = (uint16_t)c->status,
        .extra = qp_buf_slice(&c->head),
        .length = c->chunked ? QP_LENGTH_UNKNOWN : si_feed_length(&c->feed),
        .close = c->close,
    };
    qp_request_respond(c->request, &answer);
    call_pump(c);
}

void si_reply_out(struct si_call *call, unsigned status, const char *content_type)
{
    call->status = status;
    si_feed_init_memory(&call->feed, qp_buf_slice(&call->out), call->gzip);
    if (call->pace_bytes == 0)
        call->pace_bytes = SI_PIECE_BYTES;
    call_begin(call, content_type);
}

/* A first reading for the hash, a megabyte a turn, then the true one. */
static void feed_hash_first(struct si_call *call)
{
    for (size_t turn = 0; turn < TURN_BYTES;) {
        size_t run = si_feed_read(&call->feed, call->worker->scratch);
        turn += run;
        if (run > 0)
            continue;
        char hex[SI_HASH_HEX];
        si_feed_hash(&call->feed, hex);
        si_head_line(call, "X-Content-Sha256", hex);
        call->feed.hashed = false;
        si_feed_rewind(&call->feed);
        call_begin(call, NULL);
        return;
    }
    si_call_later(call, feed_hash_first);
}

void si_reply_feed(struct si_call *call, const char *content_type, bool hash)
{
    call->status = call->status ? call->status : 200;
    call->has_feed = true;
    si_head_line(call, "Content-Type", content_type);
    call->feed.hashed = hash;
    si_feed_rewind(&call->feed);
    call->feed_trailer = hash && call->chunked;
    if (call->feed_trailer)
        si_head_line(call, "Trailer", "X-Content-Sha256");
    if (hash && !call->chunked)
        feed_hash_first(call);
    else
        call_begin(call, NULL);
}

void si_reply_never(struct si_call *call)
{
    call->answering = true;
}
