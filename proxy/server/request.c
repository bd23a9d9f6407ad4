/* request.c - a request as a handler sees it, and as the server lends and takes back its memory. */
#include "server/session.h"

#include "base/alloc.h"
#include "base/check.h"
#include "http/uri.h"

enum {
    ARENA_BLOCK_BYTES = 4096,
    ARENA_EXTRA_BYTES = 64 * 1024, /* for a handler's own data */
    KEPT_BUF_BYTES = 16 * 1024     /* a buffer that grew beyond is not kept warm */
};

/* ---- lending ---- */

static struct qp_request *make(struct qp_server *server)
{
    struct qp_request *request = qp_alloc(sizeof(*request));

    request->server = server;
    qp_list_init(&request->link);
    qp_arena_init(&request->arena, ARENA_BLOCK_BYTES,
                  qp_parser_arena_bytes(&server->opts.limits) + ARENA_EXTRA_BYTES);
    qp_parser_init(&request->parser, QP_REQUEST, &server->opts.limits, &request->arena);
    request->life.keep = true;
    return request;
}

struct qp_request *qp_request_take(struct qp_server *server)
{
    struct qp_list *link = qp_list_shift(&server->warm);

    if (!link)
        return make(server);
    server->warm_count--;
    return QP_CONTAINER_OF(link, struct qp_request, link);
}

void qp_request_clear(struct qp_request *request)
{
    qp_arena_reset(&request->arena);
    qp_parser_reset(&request->parser);
    request->life = (struct qp_request_life){.keep = true};
    request->client[0] = '\0';
}

static void keep_small(struct qp_buf *buf)
{
    if (buf->capacity > KEPT_BUF_BYTES)
        qp_buf_deinit(buf);
    else
        qp_buf_clear(buf);
}

void qp_request_give(struct qp_request *request)
{
    struct qp_server *server = request->server;

    qp_later_cancel(&request->settle);
    request->session->request = NULL;
    request->session = NULL;
    if (server->warm_count >= QP_REQUESTS_WARM) {
        qp_request_free(request);
        return;
    }
    qp_request_clear(request);
    keep_small(&request->backlog);
    keep_small(&request->out);
    qp_list_prepend(&server->warm, &request->link);
    server->warm_count++;
}

void qp_request_free(struct qp_request *request)
{
    qp_arena_deinit(&request->arena);
    qp_buf_deinit(&request->backlog);
    qp_buf_deinit(&request->out);
    qp_free(request);
}

void qp_request_disown(struct qp_request *request)
{
    if (request->life.is_owned)
        qp_count_less(&request->server->counters.requests_open);
    request->life.is_owned = false;
}

/* ---- looking at a head ---- */

/* RFC 9112 section 3.2.2: whatever authority the client wrote, only the path and the query go on. */
static bool reduce_absolute(struct qp_request *request, const struct qp_target *target)
{
    const struct qp_message *message = &request->parser.message;
    const char *authority_end = target->authority.at + target->authority.len;
    const bool has_nothing_behind = authority_end == message->target.at + message->target.len;

    if (has_nothing_behind && qp_slice_is(message->method, QP_SLICE("OPTIONS"))) {
        request->life.target = QP_SLICE("*"); /* RFC 9112 section 3.2.4 */
        return true;
    }
    if (target->path.len > 0) {
        request->life.target = target->path;
        return true;
    }
    char *text = qp_arena_take(&request->arena, target->query.len + 1);
    if (!text)
        return false;
    text[0] = '/';
    if (target->query.len > 0)
        memcpy(text + 1, target->query.at, target->query.len);
    request->life.target = qp_slice(text, target->query.len + 1);
    return true;
}

/* False: it is refused, and stays unset. */
static bool set_target(struct qp_request *request)
{
    const struct qp_message *message = &request->parser.message;
    struct qp_target target;

    if (!qp_target_parse(message->method, message->target, &target))
        return false;
    switch (target.form) {
    case QP_TARGET_ABSOLUTE:
        return reduce_absolute(request, &target);
    case QP_TARGET_ASTERISK:
        if (!qp_slice_is(message->method, QP_SLICE("OPTIONS")))
            return false;
        break;
    case QP_TARGET_AUTHORITY:
        return false;
    case QP_TARGET_ORIGIN:
        break;
    }
    request->life.target = message->target;
    return true;
}

const struct qp_refusal *qp_request_examine(struct qp_request *request)
{
    const struct qp_message *message = &request->parser.message;
    const uint64_t body_bytes = request->server->opts.body_bytes;

    if (qp_server_is_short(request->server))
        return &qp_refusal_memory;
    /* CONNECT, which is no less a danger, does not get past the parser. */
    if (qp_slice_is_nocase(message->method, QP_SLICE("TRACE"))) /* an origin may be lax about the case */
        return &qp_refusal_method;
    if (!set_target(request))
        return qp_refusal_get(QP_REFUSAL_TARGET);
    if (body_bytes > 0 && message->body_kind == QP_BODY_LENGTH && message->body_length > body_bytes)
        return &qp_refusal_body_size;
    return NULL;
}

static bool is_common_method(struct qp_slice method)
{
    static const char *const common[] = {"GET",    "HEAD",    "POST",  "PUT",    "PATCH",
                                         "DELETE", "OPTIONS", "TRACE", "CONNECT"};

    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (qp_slice_is(method, qp_slice_str(common[i])))
            return true;
    return false;
}

/* What stands where a method should may be anything, a secret among it, unless the target behind it is one. */
void qp_request_expose(struct qp_request *request)
{
    struct qp_message *message = &request->parser.message;

    if (!request->life.target.at && !set_target(request) && !is_common_method(message->method))
        message->method = QP_SLICE_NONE;
}

/* ---- pace ---- */

void qp_pace_restart(struct qp_pace *pace, uint64_t now_ms, uint64_t bytes)
{
    *pace = (struct qp_pace){.moved_ms = now_ms, .bytes = bytes, .window_ms = now_ms, .window_bytes = bytes};
}

bool qp_pace_is_slow(struct qp_pace *pace, uint64_t now_ms, uint64_t bytes, uint32_t limit_ms,
                     uint32_t rate_bytes)
{
    const uint64_t window_ms = now_ms - pace->window_ms;

    /* Signed: the kernel counts what it holds with its own overhead, so a number can be less than the one before. */
    if ((int64_t)(bytes - pace->bytes) > 0) {
        pace->bytes = bytes;
        pace->moved_ms = now_ms;
    } else if (now_ms - pace->moved_ms >= limit_ms) {
        return true;
    }
    if (window_ms < limit_ms)
        return false;
    const int64_t moved = (int64_t)(bytes - pace->window_bytes) * 1000;
    const bool is_slow = moved < (int64_t)(rate_bytes * window_ms);
    pace->window_ms = now_ms;
    pace->window_bytes = bytes;
    return is_slow;
}

/* ---- what a handler asks ---- */

const struct qp_message *qp_request_message(const struct qp_request *request)
{
    return &request->parser.message;
}

struct qp_arena *qp_request_arena(struct qp_request *request)
{
    return &request->arena;
}

void qp_request_set_context(struct qp_request *request, void *context)
{
    request->life.context = context;
}

void *qp_request_context(const struct qp_request *request)
{
    return request->life.context;
}

unsigned qp_request_listener_id(const struct qp_request *request)
{
    return request->session->listener_id;
}

/* The address that the client reached us by, for those that do not say it (HTTP/1.0). */
static struct qp_slice local_authority(struct qp_request *request)
{
    struct qp_address address = {.len = sizeof(address.u)};
    char text[QP_CLIENT_TEXT_BYTES];

    if (getsockname(qp_stream_fd(request->session->stream), &address.u.any, &address.len) != 0)
        return QP_SLICE("");
    if (address.u.any.sa_family == AF_UNIX)
        return QP_SLICE("localhost");
    return qp_arena_copy(&request->arena, qp_slice_str(qp_address_format(&address, text, sizeof(text))));
}

struct qp_slice qp_request_authority(struct qp_request *request)
{
    const struct qp_message *message = &request->parser.message;
    const struct qp_field *host = qp_fields_find(&message->fields, QP_FIELD_HOST);

    return host ? host->value : local_authority(request);
}

bool qp_request_is_tls(const struct qp_request *request)
{
    return request->session->is_tls;
}

struct qp_slice qp_request_target(const struct qp_request *request)
{
    return request->life.target;
}

uint64_t qp_request_conn_id(const struct qp_request *request)
{
    return request->session->conn_id;
}

uint64_t qp_request_number(const struct qp_request *request)
{
    return request->session->request_count;
}

struct qp_slice qp_request_client(struct qp_request *request)
{
    if (!request->client[0])
        qp_client_address_format(&request->session->client, request->client, sizeof(request->client));
    return qp_slice_str(request->client);
}

bool qp_request_has_ended(const struct qp_request *request)
{
    return request->life.input == QP_INPUT_DONE;
}

uint64_t qp_request_body_received(const struct qp_request *request)
{
    return request->life.received_bytes;
}

uint64_t qp_request_answer_sent(const struct qp_request *request)
{
    return request->life.sent_bytes;
}

uint16_t qp_request_answer_status(const struct qp_request *request)
{
    return request->life.status;
}

const struct qp_refusal *qp_request_refusal(const struct qp_request *request)
{
    return request->life.refusal;
}

uint64_t qp_request_age_ms(const struct qp_request *request)
{
    const uint64_t begun_ms = request->life.begun_ms;

    return begun_ms ? qp_loop_now_ms(request->server->loop) - begun_ms : 0;
}

void qp_request_pause(struct qp_request *request)
{
    request->life.is_paused = true;
    qp_session_adjust_reading(request->session);
}

void qp_request_resume(struct qp_request *request)
{
    if (!request->life.is_paused)
        return;
    request->life.is_paused = false;
    qp_pace_restart(&request->life.in, qp_loop_now_ms(request->server->loop), request->life.received_bytes);
    qp_session_adjust_reading(request->session);
}
