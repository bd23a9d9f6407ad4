#include "cli/client.h"
#include "base/clock.h"
#include "http/parse.h"
#include "http/write.h"
#include "net/holder.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { AUTHORITY_BYTES = 160, PIECE_BYTES = 16 * 1024, ARENA_BLOCK_BYTES = 8 * 1024 };

static const struct qp_parse_limits LIMITS = {
    .head_bytes = 64 * 1024, .target_bytes = 4096, .fields = 200, .chunk_extension_bytes = 4096};

struct call {
    const struct qp_client *client;
    const struct qp_client_request *request;
    struct qp_client_answer *answer;
    uint64_t until_ms;
    int fd;
    struct qp_parser parser;
    struct qp_arena arena;
    bool is_complete;
};

static enum qp_result result_of_errno(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
    case ENOTSOCK:
        return QP_NET_REFUSED;
    case EACCES:
    case EPERM:
        return QP_NET_DENIED;
    case ECONNRESET:
    case EPIPE:
        return QP_NET_RESET;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
        return QP_NET_UNREACHABLE;
    case EMFILE:
    case ENFILE:
        return QP_NET_DESCRIPTORS;
    default:
        return QP_NET_FAILED;
    }
}

/* ---- waiting ---- */

static enum qp_result wait_for(const struct call *call, short events)
{
    for (;;) {
        uint64_t now_ms = qp_clock_monotonic_ms();
        if (now_ms >= call->until_ms)
            return QP_NET_TIMEOUT;
        struct pollfd fds[] = {{.fd = call->fd, .events = events},
                               {.fd = call->client->stop_fd, .events = POLLIN}};
        int ready = poll(fds, 2, (int)(call->until_ms - now_ms));
        if (ready < 0 && errno != EINTR)
            return QP_NET_FAILED;
        if (ready > 0 && fds[1].revents)
            return QP_SELF_CANCELED;
        if (ready > 0)
            return QP_OK;
    }
}

/* A full queue of a Unix socket cannot be waited for with poll(). */
static enum qp_result pause_before_retry(const struct call *call)
{
    struct pollfd stop = {.fd = call->client->stop_fd, .events = POLLIN};
    if (qp_clock_monotonic_ms() >= call->until_ms)
        return QP_NET_TIMEOUT;
    return poll(&stop, 1, 10) > 0 ? QP_SELF_CANCELED : QP_OK;
}

static enum qp_result dial(struct call *call)
{
    const struct qp_address *address = &call->client->address;
    enum qp_result result = QP_OK;
    int error = 0;
    call->fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (call->fd < 0)
        return result_of_errno(errno);
    while (connect(call->fd, &address->u.any, address->len) != 0) {
        error = errno;
        if (error == EINPROGRESS)
            break;
        if (error != EAGAIN && error != EINTR)
            return result_of_errno(error);
        result = pause_before_retry(call);
        if (result != QP_OK)
            return result;
    }
    result = wait_for(call, POLLOUT);
    socklen_t len = sizeof error;
    if (result != QP_OK || getsockopt(call->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return result == QP_OK ? result_of_errno(errno) : result;
    return error ? result_of_errno(error) : QP_OK;
}

/* ---- who is there ---- */

/* A port that no daemon has can be taken by anybody on this machine, and so can a socket's path in a folder for all. */
static bool is_stranger(const struct call *call)
{
    const struct qp_client_trusted *trusted = call->client->trusted;
    uid_t user = 0;
    bool is_known = qp_holder_user_of_peer(call->fd, &user);
    for (unsigned i = 0; is_known && i < trusted->count; i++)
        if (trusted->users[i] == user)
            return false;
    return is_known; /* else it is the kernel that leads it elsewhere, and only root tells it to */
}

/* ---- the request ---- */

/* As a client of that listener names it; at a Unix socket, which has no name, "localhost". */
static void put_authority(const struct qp_address *address, char out[AUTHORITY_BYTES])
{
    if (address->u.any.sa_family == AF_UNIX)
        snprintf(out, AUTHORITY_BYTES, "localhost");
    else
        qp_address_format(address, out, AUTHORITY_BYTES);
}

static void put_request(const struct call *call, struct qp_buf *out)
{
    const struct qp_client_request *request = call->request;
    char authority[AUTHORITY_BYTES];
    put_authority(&call->client->address, authority);
    qp_write_request_line(out, qp_slice_str(request->method), qp_slice_str(request->target));
    qp_buf_append_fmt(out, "Host: %s\r\nAccept: application/json\r\nConnection: close\r\n", authority);
    if (call->client->token) {
        qp_buf_append_str(out, "Authorization: Bearer ");
        qp_buf_append(out, qp_secret_reveal(call->client->token));
        qp_buf_append_str(out, "\r\n");
    }
    if (request->cookie)
        qp_buf_append_fmt(out, "Cookie: %s\r\n", request->cookie);
    if (request->csrf)
        qp_buf_append_fmt(out, "Origin: http://%s\r\nX-Csrf-Token: %s\r\n", authority, request->csrf);
    if (request->form.at) {
        qp_buf_append_str(out, "Content-Type: application/x-www-form-urlencoded\r\n");
        qp_write_framing(out, QP_BODY_LENGTH, request->form.len);
    }
    qp_write_head_end(out);
    if (request->form.at)
        qp_buf_append(out, request->form);
}

/* An answer may come before all is sent, and then the rest is no longer wanted: that is no failure yet. */
static enum qp_result send_all(const struct call *call, struct qp_buf *bytes)
{
    while (qp_buf_len(bytes)) {
        ssize_t sent = send(call->fd, qp_buf_slice(bytes).at, qp_buf_len(bytes), MSG_NOSIGNAL);
        if (sent >= 0) {
            qp_buf_consume(bytes, (size_t)sent);
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return QP_OK;
        if (errno != EAGAIN && errno != EINTR)
            return result_of_errno(errno);
        enum qp_result result = wait_for(call, POLLOUT);
        if (result != QP_OK)
            return result;
    }
    return QP_OK;
}

/* ---- the answer ---- */

static void take_head(struct call *call)
{
    static const struct qp_slice name = {"Set-Cookie", sizeof "Set-Cookie" - 1};
    const struct qp_message *message = &call->parser.message;
    call->answer->status = message->status;
    const struct qp_field *field = qp_fields_find_name(&message->fields, name);
    struct qp_slice cookie = field ? field->value : QP_SLICE_NONE;
    if (cookie.at)
        cookie = qp_slice_trim(qp_slice_cut(&cookie, ';'));
    if (cookie.len < sizeof call->answer->cookie)
        snprintf(call->answer->cookie, sizeof call->answer->cookie, "%.*s", QP_SLICE_FMT(cookie));
}

static enum qp_result take_event(struct call *call, enum qp_parse_event event, struct qp_slice body)
{
    switch (event) {
    case QP_PARSE_HEAD:
        take_head(call);
        return QP_OK;
    case QP_PARSE_BODY:
        if (qp_buf_len(&call->answer->body) + body.len > QP_CLIENT_MOST_BODY_BYTES)
            return QP_HTTP_TOO_LARGE;
        qp_buf_append(&call->answer->body, body);
        return QP_OK;
    case QP_PARSE_END:
        call->is_complete = call->answer->status >= 200;
        if (!call->is_complete)
            qp_parser_reset(&call->parser);
        return QP_OK;
    case QP_PARSE_MORE:
        return QP_OK;
    case QP_PARSE_REFUSED:
        break;
    }
    return QP_HTTP_MALFORMED;
}

static enum qp_result take_bytes(struct call *call, struct qp_slice bytes)
{
    struct qp_slice body = QP_SLICE_NONE;
    while (!call->is_complete) {
        enum qp_parse_event event = qp_parser_next(&call->parser, &bytes, &body);
        enum qp_result result = take_event(call, event, body);
        if (result != QP_OK || event == QP_PARSE_MORE)
            return result;
    }
    return QP_OK;
}

static enum qp_result take_end(struct call *call)
{
    if (!qp_parser_has_begun(&call->parser))
        return QP_NET_END;
    return qp_parser_end_of_input(&call->parser) == QP_PARSE_END ? QP_OK : QP_HTTP_TRUNCATED;
}

static enum qp_result receive_piece(struct call *call, char *piece)
{
    enum qp_result result = wait_for(call, POLLIN);
    if (result != QP_OK)
        return result;
    ssize_t got = recv(call->fd, piece, PIECE_BYTES, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? QP_OK : result_of_errno(errno);
    if (got > 0)
        return take_bytes(call, qp_slice(piece, (size_t)got));
    call->is_complete = true;
    return take_end(call);
}

static enum qp_result receive(struct call *call)
{
    char piece[PIECE_BYTES];
    enum qp_result result = QP_OK;
    qp_arena_init(&call->arena, ARENA_BLOCK_BYTES, qp_parser_arena_bytes(&LIMITS));
    qp_parser_init(&call->parser, QP_RESPONSE, &LIMITS, &call->arena);
    while (result == QP_OK && !call->is_complete)
        result = receive_piece(call, piece);
    qp_wipe(piece, sizeof piece);
    qp_arena_deinit(&call->arena);
    return result;
}

static enum qp_result exchange(struct call *call)
{
    struct qp_buf bytes = {0};
    enum qp_result result = dial(call);
    if (result != QP_OK)
        return result;
    if (call->client->trusted && is_stranger(call))
        return QP_NET_STRANGER;
    put_request(call, &bytes);
    result = send_all(call, &bytes);
    qp_buf_wipe(&bytes);
    return result == QP_OK ? receive(call) : result;
}

enum qp_result qp_client_ask(const struct qp_client *client, const struct qp_client_request *request,
                             struct qp_client_answer *answer)
{
    *answer = (struct qp_client_answer){0};
    struct call call = {.client = client,
                        .request = request,
                        .answer = answer,
                        .until_ms = qp_clock_monotonic_ms() + request->limit_ms,
                        .fd = -1};
    enum qp_result result = exchange(&call);
    if (call.fd >= 0)
        close(call.fd);
    if (result != QP_OK)
        qp_client_answer_deinit(answer);
    return result;
}

void qp_client_answer_deinit(struct qp_client_answer *answer)
{
    qp_buf_wipe(&answer->body);
    qp_wipe(answer->cookie, sizeof answer->cookie);
}

void qp_client_put_escaped(struct qp_buf *out, struct qp_slice text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(unreserved, text.at[i], sizeof unreserved - 1))
            qp_buf_append_char(out, text.at[i]);
        else
            qp_buf_append_fmt(out, "%%%02X", (unsigned)(unsigned char)text.at[i]);
    }
}
