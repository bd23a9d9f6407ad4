/* session.c - one client connection: read a request, hand it over, wait for its answer, go on or end.
 *
 *   accepted -> [ idle -> head -> body ... -> answered ]* -> closed
 *
 * Input comes from the stream or from the backlog, answers come from the handler; settle() stands behind each of them and
 * decides what is next. It is the only place that does, and it runs from the top of the loop only.
 */
#include "server/session.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

static void on_data(void *owner, struct qp_slice bytes);
static void on_end(void *owner);
static void on_drained(void *owner);
static void on_failed(void *owner, enum qp_result why);
static void on_timer(struct qp_timer *timer);
static void on_settle(struct qp_job *job);
static void settle(struct qp_session *session);

/* With its stream it is what an idle connection costs: 512 bytes in all. */
_Static_assert(sizeof(struct qp_session) <= 128, "a session is too dear for an idle connection");

static const struct qp_stream_events stream_events = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

/* ---- begin and end ---- */

struct qp_session *qp_session_open(struct qp_server *server, struct qp_stream *stream,
                                   const struct qp_client_address *client, unsigned listener_id,
                                   struct qp_tls *tls)
{
    struct qp_session *session = qp_alloc(sizeof(*session));

    session->server = server;
    session->stream = stream;
    session->client = *client;
    session->listener_id = listener_id;
    session->is_tls = tls != NULL;
    session->conn_id = server->next_conn_id;
    server->next_conn_id += server->opts.conn_id_step ? server->opts.conn_id_step : 1;
    qp_list_append(&server->resting, &session->link);
    qp_timer_init(&session->timer, on_timer);
    qp_timer_arm(server->loop, &session->timer, server->opts.client_head_ms);
    qp_stream_set_owner(stream, &stream_events, session);
    if (tls)
        qp_stream_serve_tls(stream, tls);
    qp_stream_resume(stream);
    return session;
}

/* Output that the client has not taken yet must not be lost to a short limit. */
static uint64_t linger_ms(const struct qp_session *session)
{
    qp_stream_flush(session->stream);
    const bool is_owing = qp_stream_pending_bytes(session->stream) > 0;
    return QP_LINGER_MS + (is_owing ? session->server->opts.client_body_ms : 0);
}

/* The head is one that counts: its first byte came, or it is refused. */
static void count_head(struct qp_request *request)
{
    struct qp_server *server = request->server;

    if (request->life.head != QP_HEAD_UNCOUNTED)
        return;
    request->life.head = QP_HEAD_OPEN;
    qp_count(&server->counters.heads);
    qp_count(&server->counters.heads_open);
}

/* What became of the head, once. */
static void count_head_end(struct qp_request *request, _Atomic uint64_t *end)
{
    if (request->life.head == QP_HEAD_COUNTED)
        return;
    count_head(request);
    request->life.head = QP_HEAD_COUNTED;
    qp_count_less(&request->server->counters.heads_open);
    qp_count(end);
}

uint64_t qp_session_rest_ms(const struct qp_session *session)
{
    const struct qp_server *server = session->server;
    const uint32_t limit_ms =
        session->request_count > 0 ? server->opts.client_idle_ms : server->opts.client_head_ms;

    return qp_loop_now_ms(server->loop) + limit_ms - session->timer.due_ms;
}

static void move_to(struct qp_session *session, struct qp_list *list)
{
    qp_list_remove(&session->link);
    qp_list_append(list, &session->link);
}

void qp_session_close(struct qp_session *session, enum qp_session_end how, enum qp_server_closed why)
{
    struct qp_server *server = session->server;

    qp_timer_deinit(&session->timer);
    if (session->request) {
        if (session->request->life.head == QP_HEAD_OPEN)
            count_head_end(session->request, &server->counters.unfinished);
        qp_request_disown(session->request);
        qp_request_give(session->request);
    }
    if (how == QP_SESSION_STAGED)
        qp_stream_linger(&session->stream, linger_ms(session), server->opts.body_rate_bytes);
    else
        qp_stream_close(&session->stream, how == QP_SESSION_CUT);
    if (session->is_counted)
        qp_census_remove_address(server->census, &session->client);
    qp_list_remove(&session->link);
    qp_free(session);
    qp_server_session_closed(server, why);
}

/* An empty line may have come before the head that is waited for: it is not lent for nothing, for empty lines are counted. */
bool qp_session_is_idle(const struct qp_session *session)
{
    const struct qp_request *request = session->request;

    return !request || (request->life.input == QP_INPUT_HEAD && !qp_parser_has_begun(&request->parser));
}

/* Takes the request from the handler. */
static void tell_gone(struct qp_request *request, enum qp_result why)
{
    if (!request->life.is_owned)
        return;
    qp_request_disown(request);
    qp_count(&request->server->counters.gone);
    request->server->handler->gone(request, why);
}

void qp_session_cancel(struct qp_session *session, enum qp_server_closed why)
{
    if (session->request)
        tell_gone(session->request, QP_SELF_CANCELED);
    qp_session_close(session, QP_SESSION_CUT, why);
}

/* ---- reading a request ---- */

static void begin_request(struct qp_session *session)
{
    session->request = qp_request_take(session->server);
    session->request->session = session;
    qp_job_init(&session->request->settle, on_settle);
}

/* A head's time runs from its first byte: empty lines before it move no deadline. The first head has had its own since the
 * connection was made. */
static void begin_head(struct qp_session *session)
{
    session->request->life.begun_ms = qp_loop_now_ms(session->server->loop);
    if (session->request_count > 0)
        qp_timer_arm(session->server->loop, &session->timer, session->server->opts.client_head_ms);
}

/* A flood of refusals must not become one of lines; each has its access line anyhow. */
static bool may_log_refusal(struct qp_server *server)
{
    const uint64_t now_s = qp_loop_now_ms(server->loop) / 1000;

    if (now_s != server->refusal_log_s) {
        server->refusal_log_s = now_s;
        server->refusal_log_count = 0;
    }
    return ++server->refusal_log_count <= QP_REFUSALS_LOGGED;
}

static void log_refusal(const struct qp_session *session, const struct qp_refusal *refusal)
{
    if (!may_log_refusal(session->server))
        return;
    if (refusal->status)
        qp_log_line(QP_LOG_INFO, "server", session->conn_id, session->request_count,
                    "request refused with %u %s: %s", refusal->status, refusal->code, refusal->text);
    else
        qp_log_line(QP_LOG_INFO, "server", session->conn_id, session->request_count, "connection cut, %s: %s",
                    refusal->code, refusal->text);
}

/* The request cannot go on: 4xx if the client can still be told, else a cut that it can see. */
static void refuse(struct qp_request *request, const struct qp_refusal *refusal, enum qp_result why)
{
    struct qp_session *session = request->session;
    const struct qp_handler *handler = request->server->handler;
    const bool is_unanswered = request->life.answer == QP_ANSWER_NONE;

    count_head_end(request, &request->server->counters.refused);
    if (request->life.input == QP_INPUT_HEAD)
        session->request_count++;
    if (!request->life.is_owned && is_unanswered)
        qp_request_expose(request);
    log_refusal(session, refusal);
    request->life.keep = false;
    request->life.refusal = refusal;
    if (is_unanswered)
        qp_answer_refuse(request, refusal);
    else if (request->life.answer == QP_ANSWER_BEGUN)
        request->life.answer = QP_ANSWER_CUT;
    if (request->life.is_owned)
        tell_gone(request, why);
    else if (is_unanswered && handler->refused)
        handler->refused(request->server->handler_context, request);
}

static uint64_t pace_tick_ms(const struct qp_server *server)
{
    return server->opts.client_body_ms / 4 + 1;
}

static void take_head(struct qp_request *request)
{
    struct qp_session *session = request->session;
    struct qp_server *server = request->server;
    const uint32_t limit = server->opts.requests_per_connection;
    const uint64_t now_ms = qp_loop_now_ms(server->loop);

    session->request_count++;
    request->life.input = QP_INPUT_BODY;
    request->life.keep = request->parser.message.keep_alive && (limit == 0 || session->request_count < limit);
    qp_pace_restart(&request->life.in, now_ms, 0);
    qp_pace_restart(&request->life.out, now_ms, 0);
    qp_timer_arm(server->loop, &session->timer, pace_tick_ms(server));

    const struct qp_refusal *refusal = qp_request_examine(request);
    if (refusal) {
        refuse(request, refusal, QP_HTTP_MALFORMED);
        return;
    }
    request->life.is_owned = true;
    count_head_end(request, &server->counters.requests);
    qp_count(&server->counters.requests_open);
    server->handler->head(server->handler_context, request);
}

static void take_body(struct qp_request *request, struct qp_slice piece)
{
    const struct qp_server *server = request->server;

    request->life.received_bytes += piece.len;
    if (server->opts.body_bytes > 0 && request->life.received_bytes > server->opts.body_bytes)
        refuse(request, &qp_refusal_body_size, QP_HTTP_TOO_LARGE);
    else if (request->life.is_owned)
        server->handler->body(request, piece);
}

static void take_end(struct qp_request *request)
{
    request->life.input = QP_INPUT_DONE;
    if (request->life.is_owned)
        request->server->handler->end(request);
}

/* A refused or cut request has no more input: what follows it on the connection must never be parsed. */
static bool wants_input(const struct qp_request *request)
{
    const struct qp_request_life *life = &request->life;

    if (life->input == QP_INPUT_DONE || life->answer == QP_ANSWER_CUT)
        return false;
    return life->answer != QP_ANSWER_DONE || life->keep;
}

static bool is_in_head(const struct qp_request *request)
{
    return request->life.input == QP_INPUT_HEAD && qp_parser_has_begun(&request->parser);
}

static void parse(struct qp_request *request, struct qp_slice *input)
{
    const bool was_in_head = is_in_head(request);
    struct qp_slice piece;

    while (wants_input(request)) {
        switch (qp_parser_next(&request->parser, input, &piece)) {
        case QP_PARSE_MORE:
            if (is_in_head(request))
                count_head(request);
            if (!was_in_head && is_in_head(request))
                begin_head(request->session);
            /* A head that comes in pieces grows, and there are many clients. Before the method is known nobody could say whether the
             * answer may have a body. */
            if (is_in_head(request) && request->parser.message.method.len > 0 &&
                qp_server_is_short(request->server))
                refuse(request, &qp_refusal_memory, QP_SELF_MEMORY);
            return;
        case QP_PARSE_HEAD:
            take_head(request);
            break;
        case QP_PARSE_BODY:
            take_body(request, piece);
            break;
        case QP_PARSE_END:
            take_end(request);
            break;
        case QP_PARSE_REFUSED:
            refuse(request, &request->parser.refusal, QP_HTTP_MALFORMED);
            break;
        }
    }
}

static void on_data(void *owner, struct qp_slice bytes)
{
    struct qp_session *session = owner;

    if (!session->request) {
        begin_request(session);
        move_to(session, &session->server->sessions);
    }
    struct qp_request *request = session->request;
    if (qp_buf_len(&request->backlog) == 0)
        parse(request, &bytes);
    /* Behind a request that ends the session nothing will be read. */
    if (bytes.len > 0 && request->life.keep)
        qp_buf_append(&request->backlog, bytes);
    settle(session);
}

static void parse_backlog(struct qp_request *request)
{
    struct qp_slice rest = qp_buf_slice(&request->backlog);
    const size_t before = rest.len;

    parse(request, &rest);
    qp_buf_consume(&request->backlog, before - rest.len);
}

void qp_session_adjust_reading(struct qp_session *session)
{
    const struct qp_request *request = session->request;
    const bool is_held = request && request->life.is_paused && request->life.input == QP_INPUT_BODY;
    const bool pause = is_held || (request && qp_buf_len(&request->backlog) >= QP_BACKLOG_BYTES);

    if (pause == session->is_paused)
        return;
    session->is_paused = pause;
    if (pause)
        qp_stream_pause(session->stream);
    else
        qp_stream_resume(session->stream);
}

/* ---- what is next ---- */

static void go_idle(struct qp_session *session)
{
    qp_request_give(session->request);
    qp_session_adjust_reading(session);
    if (session->has_ended || session->server->is_draining) {
        qp_session_close(session, QP_SESSION_STAGED, session->has_ended ? QP_CLOSED_CLIENT : QP_CLOSED_STOP);
        return;
    }
    qp_timer_arm(session->server->loop, &session->timer, session->server->opts.client_idle_ms);
    move_to(session, &session->server->resting);
    qp_server_session_rests(session->server);
}

/* The request before is complete in both directions. A client that pipelines but does not read its answers gets no further.
 * True if there was a next one. */
static bool next_request(struct qp_session *session)
{
    struct qp_request *request = session->request;

    if (qp_stream_is_full(session->stream)) {
        qp_session_adjust_reading(session);
        return false;
    }
    qp_request_clear(request);
    if (qp_buf_len(&request->backlog) == 0) {
        go_idle(session);
        return false;
    }
    qp_timer_arm(session->server->loop, &session->timer, session->server->opts.client_idle_ms);
    parse_backlog(request);
    return true;
}

/* The client has ended its direction inside its message. What can still be said is said. */
static void cut_short(struct qp_session *session)
{
    struct qp_request *request = session->request;

    if (request->life.answer != QP_ANSWER_DONE && !qp_session_is_idle(session))
        refuse(request, qp_refusal_get(QP_REFUSAL_CUT), QP_HTTP_TRUNCATED);
    qp_session_close(session, request->life.answer == QP_ANSWER_CUT ? QP_SESSION_CUT : QP_SESSION_STAGED,
                     QP_CLOSED_CLIENT);
}

/* True if a next request has come to where it can be looked at again; else the session may be gone. */
static bool advance(struct qp_session *session)
{
    struct qp_request *request = session->request;
    const struct qp_request_life *life = &request->life;
    const bool is_last = !life->keep || session->server->is_draining;

    if (life->answer == QP_ANSWER_CUT)
        qp_session_cancel(session, QP_CLOSED_CUT); /* where the handler did not ask for the cut, it is told */
    else if (life->answer == QP_ANSWER_DONE && is_last)
        qp_session_close(session, QP_SESSION_STAGED, QP_CLOSED_ANSWERED);
    else if (life->answer == QP_ANSWER_DONE && life->input == QP_INPUT_DONE)
        return next_request(session);
    else if (session->has_ended && life->input != QP_INPUT_DONE)
        cut_short(session);
    else if (session->server->is_draining && qp_session_is_idle(session))
        qp_session_close(session, QP_SESSION_STAGED, QP_CLOSED_STOP);
    else
        qp_session_adjust_reading(session);
    return false;
}

/* Some pipelined requests at a time, so that their answers leave together and other sessions get their turn. */
static void settle(struct qp_session *session)
{
    for (unsigned i = 0; i < QP_PIPELINED_AT_ONCE; i++)
        if (!advance(session))
            return;
    qp_later(session->server->loop, &session->request->settle);
}

static void on_settle(struct qp_job *job)
{
    settle(QP_CONTAINER_OF(job, struct qp_request, settle)->session);
}

void qp_session_turn_away(struct qp_session *session)
{
    if (session->is_tls) { /* nothing can be said before the handshake */
        qp_session_close(session, QP_SESSION_QUIET, QP_CLOSED_ROOM);
        return;
    }
    begin_request(session);
    refuse(session->request, &qp_refusal_connections, QP_SELF_CANCELED);
    settle(session);
}

/* ---- the stream's other events ---- */

static void on_end(void *owner)
{
    struct qp_session *session = owner;

    session->has_ended = true;
    if (session->request)
        settle(session);
    else
        qp_session_close(session, QP_SESSION_STAGED, QP_CLOSED_CLIENT);
}

static void on_drained(void *owner)
{
    struct qp_session *session = owner;
    struct qp_request *request = session->request;

    if (!request)
        return;
    if (request->life.is_owned)
        session->server->handler->drained(request);
    settle(session);
}

static void on_failed(void *owner, enum qp_result why)
{
    struct qp_session *session = owner;

    if (session->request)
        tell_gone(session->request, why);
    /* The fault may be ours (no memory for output), and then the client still listens. */
    qp_session_close(session, QP_SESSION_CUT, QP_CLOSED_CLIENT);
}

/* ---- time ---- */

/* A client that was told to wait, by back-pressure or by the lack of a 100, is not slow. */
static bool is_slow_to_send(struct qp_request *request, uint64_t now_ms)
{
    const struct qp_server_opts *opts = &request->server->opts;
    struct qp_request_life *life = &request->life;
    const bool waits_for_100 =
        request->parser.message.expect_continue && !life->continued && life->received_bytes == 0;

    if (life->input != QP_INPUT_BODY)
        return false;
    if (request->session->is_paused || (waits_for_100 && life->is_owned)) {
        qp_pace_restart(&life->in, now_ms, life->received_bytes);
        return false;
    }
    return qp_pace_is_slow(&life->in, now_ms, life->received_bytes, opts->client_body_ms,
                           opts->body_rate_bytes);
}

static bool is_slow_to_take(struct qp_request *request, uint64_t now_ms)
{
    const struct qp_server_opts *opts = &request->server->opts;
    const struct qp_stream *stream = request->session->stream;
    const uint64_t taken = request->life.out_bytes - qp_stream_untaken_bytes(stream);

    if (qp_stream_pending_bytes(stream) == 0) {
        qp_pace_restart(&request->life.out, now_ms, taken);
        return false;
    }
    return qp_pace_is_slow(&request->life.out, now_ms, taken, opts->client_body_ms, opts->body_rate_bytes);
}

static void look_at_pace(struct qp_session *session)
{
    struct qp_request *request = session->request;
    const uint64_t now_ms = qp_loop_now_ms(session->server->loop);

    if (is_slow_to_take(request, now_ms)) {
        request->life.refusal = &qp_refusal_taking_time;
        log_refusal(session, &qp_refusal_taking_time);
        tell_gone(request, QP_NET_TIMEOUT);
        qp_session_close(session, QP_SESSION_CUT, QP_CLOSED_SLOW);
        return;
    }
    qp_timer_arm(session->server->loop, &session->timer, pace_tick_ms(session->server));
    if (!is_slow_to_send(request, now_ms))
        return;
    refuse(request, &qp_refusal_body_time, QP_NET_TIMEOUT);
    settle(session);
}

static void on_timer(struct qp_timer *timer)
{
    struct qp_session *session = QP_CONTAINER_OF(timer, struct qp_session, timer);
    struct qp_request *request = session->request;

    if (qp_session_is_idle(session)) {
        /* The end of the last answer may still be on its way to a slow client. */
        const bool is_owing = qp_stream_pending_bytes(session->stream) > 0;
        qp_session_close(session, is_owing ? QP_SESSION_STAGED : QP_SESSION_QUIET, QP_CLOSED_IDLE);
    } else if (request->life.input == QP_INPUT_HEAD) {
        refuse(request, &qp_refusal_head_time, QP_NET_TIMEOUT);
        settle(session);
    } else {
        look_at_pace(session);
    }
}
