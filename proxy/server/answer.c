/* answer.c - the client's answer: its head, its framing, and how it ends.
 *
 * Everything here may be called from inside a handler's event or from anywhere else on the loop, so nothing is freed or parsed: the
 * states change, the bytes go to the stream, and the session settles from a job.
 */
#include "server/session.h"

#include "base/check.h"
#include "http/write.h"

const struct qp_refusal qp_refusal_method = {
    405, "method_not_allowed",
    "TRACE is not allowed because its answer would show credentials; use another method."};
const struct qp_refusal qp_refusal_body_size = {
    413, "body_too_large", "The request body is larger than the limit; send less at a time."};
const struct qp_refusal qp_refusal_head_time = {
    408, "head_timeout", "The request's head did not arrive in time; send it in one go."};
const struct qp_refusal qp_refusal_body_time = {
    408, "body_timeout", "The request's body arrived too slowly or stood still; send it again."};
const struct qp_refusal qp_refusal_taking_time = {
    0, "slow_reader", "The answer was taken too slowly or not at all; read it faster."};
const struct qp_refusal qp_refusal_connections = {
    503, "too_many_connections",
    "This address has as many connections as it may have; keep and share them, or try again later."};

const struct qp_refusal qp_refusal_memory = {
    503, "memory_full",
    "As much memory is in use as may be (limits.memory); try again in a moment, with less."};

static void write_out(struct qp_request *request, const struct qp_slice *pieces, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        request->life.out_bytes += pieces[i].len;
    qp_stream_write(request->session->stream, pieces, count);
}

static void write_buf(struct qp_request *request)
{
    const struct qp_slice text = qp_buf_slice(&request->out);

    write_out(request, &text, 1);
    qp_buf_clear(&request->out);
}

static void settle_later(struct qp_request *request)
{
    qp_later(request->server->loop, &request->settle);
}

static void cut(struct qp_request *request)
{
    request->life.answer = QP_ANSWER_CUT;
    settle_later(request);
}

/* ---- decisions ---- */

/* Of a request that was refused before its head was whole nothing is known, and HTTP/1.1 is as good as any. */
static bool has_head(const struct qp_request *request)
{
    return request->life.input != QP_INPUT_HEAD;
}

static bool is_http_1_0(const struct qp_request *request)
{
    return has_head(request) && request->parser.message.minor == 0;
}

/* The method is known before the head is whole. */
static bool is_head_method(const struct qp_request *request)
{
    return qp_slice_is(request->parser.message.method, QP_SLICE("HEAD"));
}

/* The rest of the request's body, if any, is so little that reading past it is cheaper than a new connection. A client that
 * waits for a 100 may never send it, and nobody could tell (RFC 9110 section 10.1.1). */
static bool can_discard_rest(const struct qp_request *request)
{
    const struct qp_message *message = &request->parser.message;
    const struct qp_request_life *life = &request->life;

    if (life->input == QP_INPUT_DONE || message->body_kind == QP_BODY_NONE)
        return true;
    if (message->body_kind != QP_BODY_LENGTH)
        return false;
    if (message->expect_continue && !life->continued && life->received_bytes == 0)
        return message->body_length == 0;
    return message->body_length - life->received_bytes <= QP_DISCARD_BYTES;
}

/* RFC 9112 section 6.3 and RFC 9110 sections 8.6, 15.3.6: the framing of the answer, from method, status and version. */
static void decide_framing(struct qp_request *request, uint16_t status, uint64_t length)
{
    struct qp_request_life *life = &request->life;

    life->no_body = is_head_method(request) || status == 204 || status == 205 || status == 304;
    life->length = status == 205 ? 0 : length;
    if (status == 204 || (life->no_body && life->length == QP_LENGTH_UNKNOWN))
        life->framing = QP_BODY_NONE;
    else if (life->length != QP_LENGTH_UNKNOWN)
        life->framing = QP_BODY_LENGTH;
    else
        life->framing = is_http_1_0(request) ? QP_BODY_UNTIL_CLOSE : QP_BODY_CHUNKED;
}

/* The client has ended its direction, and what it had sent before is all looked at. */
static bool has_asked_all(const struct qp_request *request)
{
    return request->session->has_ended && qp_buf_len(&request->backlog) == 0;
}

static void decide_keep(struct qp_request *request, bool close)
{
    if (close || has_asked_all(request) || request->server->is_draining || !has_head(request) ||
        request->life.framing == QP_BODY_UNTIL_CLOSE || !can_discard_rest(request))
        request->life.keep = false;
}

/* ---- the parts of an answer ---- */

static void put_passing_fields(struct qp_buf *out, const struct qp_fields *fields)
{
    for (unsigned i = 0; fields && i < fields->count; i++)
        if (qp_field_passes(&fields->at[i]))
            qp_write_field(out, fields->at[i].name, fields->at[i].value);
}

static void put_reason_line(struct qp_buf *out, unsigned status, struct qp_slice reason)
{
    qp_write_status_line(out, status, reason.at ? reason : qp_status_reason(status));
}

static void put_connection(const struct qp_request *request, struct qp_buf *out)
{
    if (!request->life.keep)
        qp_write_field(out, QP_SLICE("Connection"), QP_SLICE("close"));
    else if (is_http_1_0(request))
        qp_write_field(out, QP_SLICE("Connection"), QP_SLICE("keep-alive"));
}

static void begin(struct qp_request *request, const struct qp_answer *answer, const char *content_type)
{
    struct qp_buf *out = &request->out;

    decide_framing(request, answer->status, answer->length);
    decide_keep(request, answer->close);
    put_reason_line(out, answer->status, answer->reason);
    put_passing_fields(out, answer->fields);
    if (!answer->fields || !qp_fields_find(answer->fields, QP_FIELD_DATE))
        qp_write_field(out, QP_SLICE("Date"), qp_server_date(request->server));
    if (content_type)
        qp_write_field(out, QP_SLICE("Content-Type"), qp_slice_str(content_type));
    if (answer->extra.len > 0)
        qp_buf_append(out, answer->extra);
    qp_write_framing(out, request->life.framing, request->life.length);
    put_connection(request, out);
    qp_write_head_end(out);
    write_buf(request);
    request->life.status = answer->status;
    request->life.answer = QP_ANSWER_BEGUN;
}

static void send_piece(struct qp_request *request, struct qp_slice piece)
{
    struct qp_request_life *life = &request->life;
    char head[QP_CHUNK_HEAD_BYTES];

    if (piece.len == 0 || life->no_body || life->answer != QP_ANSWER_BEGUN)
        return;
    if (life->framing == QP_BODY_LENGTH && qp_broken(piece.len > life->length - life->sent_bytes)) {
        cut(request);
        return;
    }
    life->sent_bytes += piece.len;
    if (life->framing == QP_BODY_CHUNKED) {
        const struct qp_slice pieces[] = {qp_slice(head, qp_write_chunk_head(head, piece.len)), piece,
                                          QP_SLICE("\r\n")};
        write_out(request, pieces, 3);
    } else {
        write_out(request, &piece, 1);
    }
}

static void complete(struct qp_request *request, const struct qp_fields *trailers)
{
    struct qp_request_life *life = &request->life;
    const bool is_short =
        life->framing == QP_BODY_LENGTH && !life->no_body && life->sent_bytes < life->length;

    if (life->answer != QP_ANSWER_BEGUN || is_short) {
        cut(request);
        return;
    }
    if (life->framing == QP_BODY_CHUNKED) {
        qp_write_last_chunk(&request->out, trailers);
        write_buf(request);
    }
    life->answer = QP_ANSWER_DONE;
    /* What is left of the request is the session's to discard. */
    life->is_paused = false;
    settle_later(request);
}

/* ---- the server's own answer ---- */

static void put_refusal_fields(const struct qp_request *request, const struct qp_refusal *refusal,
                               struct qp_buf *out)
{
    const char *error_field = request->server->opts.error_field;

    if (error_field)
        qp_write_field(out, qp_slice_str(error_field), qp_slice_str(refusal->code));
    /* RFC 9110 section 15.5.6 */
    if (refusal->status == 405)
        qp_write_field(out, QP_SLICE("Allow"), QP_SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (refusal->status == 503)
        qp_write_field(out, QP_SLICE("Retry-After"), QP_SLICE("1"));
}

void qp_answer_refuse(struct qp_request *request, const struct qp_refusal *refusal)
{
    const struct qp_server *server = request->server;
    struct qp_buf body = {0};
    struct qp_buf extra = {0};
    const char *type = "text/plain; charset=utf-8";

    qp_server_count_refusal(request->server, refusal->status);
    if (server->handler->refusal_body)
        type = server->handler->refusal_body(server->handler_context, request, refusal, &body);
    else
        qp_buf_append_fmt(&body, "%s\n", refusal->text);
    put_refusal_fields(request, refusal, &extra);
    const struct qp_answer answer = {
        .status = refusal->status, .extra = qp_buf_slice(&extra), .length = qp_buf_len(&body), .close = true};
    begin(request, &answer, type);
    send_piece(request, qp_buf_slice(&body));
    complete(request, NULL);
    qp_buf_deinit(&body);
    qp_buf_deinit(&extra);
}

/* ---- the handler's calls ---- */

void qp_request_inform(struct qp_request *request, unsigned status, struct qp_slice reason,
                       const struct qp_fields *fields)
{
    struct qp_request_life *life = &request->life;

    if (qp_broken(!life->is_owned) || qp_broken(status < 100 || status > 199 || status == 101))
        return;
    if (is_http_1_0(request) || life->answer != QP_ANSWER_NONE || (status == 100 && life->continued))
        return;
    if (status == 100) {
        life->continued = true;
        qp_pace_restart(&life->in, qp_loop_now_ms(request->server->loop), life->received_bytes);
    }
    put_reason_line(&request->out, status, reason);
    put_passing_fields(&request->out, fields);
    qp_write_head_end(&request->out);
    write_buf(request);
}

void qp_request_respond(struct qp_request *request, const struct qp_answer *answer)
{
    if (qp_broken(!request->life.is_owned) || qp_broken(request->life.answer != QP_ANSWER_NONE))
        return;
    if (qp_broken(answer->status < 200 || answer->status > 599)) {
        cut(request);
        return;
    }
    begin(request, answer, NULL);
}

void qp_request_send(struct qp_request *request, struct qp_slice piece)
{
    if (!qp_broken(!request->life.is_owned))
        send_piece(request, piece);
}

bool qp_request_is_full(const struct qp_request *request)
{
    return qp_stream_is_full(request->session->stream);
}

void qp_request_finish(struct qp_request *request, const struct qp_fields *trailers)
{
    if (qp_broken(!request->life.is_owned))
        return;
    qp_request_disown(request);
    complete(request, trailers);
}

void qp_request_abort(struct qp_request *request)
{
    if (qp_broken(!request->life.is_owned))
        return;
    qp_request_disown(request);
    cut(request);
}

void qp_request_reply(struct qp_request *request, unsigned status, const char *content_type,
                      struct qp_slice extra, struct qp_slice body)
{
    const struct qp_answer answer = {.status = (uint16_t)status, .extra = extra, .length = body.len};

    if (qp_broken(!request->life.is_owned) || qp_broken(request->life.answer != QP_ANSWER_NONE))
        return;
    begin(request, &answer, content_type);
    send_piece(request, body);
    qp_request_disown(request);
    complete(request, NULL);
}
