/* stream.c - the life of a stream and its input.
 *
 * Bytes are read into the loop's one buffer and lent to the owner. Pausing is lazy: libuv goes on polling until bytes really
 * come, and only then, before they are read, is it told to stop; a pause that is over by then costs no epoll_ctl.
 */
#include "net/stream_impl.h"

#include "base/alloc.h"
#include "base/secret.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool wants_bytes(const struct qp_stream *stream)
{
    if (stream->closing || stream->ended || (stream->fault != QP_OK && !stream->bytes_first))
        return false;
    if (stream->discarding)
        return true;
    if (stream->tls)
        return !qp_stream_tls_is_ready(stream) || (!stream->paused && !qp_stream_tls_holds_back(stream));
    return !stream->paused;
}

static void stop_reading(struct qp_stream *stream)
{
    if (stream->reading)
        uv_read_stop(&stream->uv.stream);
    stream->reading = false;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct qp_stream *stream = QP_CONTAINER_OF(handle, struct qp_stream, uv.handle);
    struct qp_loop *loop = qp_loop_of(handle);

    (void)suggested;
    /* An empty buffer makes libuv leave the bytes where they are and say UV_ENOBUFS. */
    *buf =
        wants_bytes(stream) ? uv_buf_init(loop->read_bytes, sizeof(loop->read_bytes)) : uv_buf_init(NULL, 0);
}

/* What had arrived before the fault has come, or is not waited for any more. */
static void end_bytes_first(struct qp_stream *stream)
{
    if (!stream->bytes_first)
        return;
    stream->bytes_first = false;
    qp_stream_alert(stream);
}

/* End of the socket's input, or its death. */
static void read_over(struct qp_stream *stream, int error)
{
    stop_reading(stream);
    if (stream->fault != QP_OK) {
        end_bytes_first(stream);
        return;
    }
    if (error != UV_EOF) {
        qp_stream_fail(stream, qp_net_result(error));
        return;
    }
    if (stream->tls && !stream->ended && !stream->discarding) {
        qp_stream_fail(stream, QP_NET_TRUNCATED);
        return;
    }
    qp_stream_deliver_end(stream);
}

static void on_read(uv_stream_t *uv, ssize_t nread, const uv_buf_t *buf)
{
    struct qp_stream *stream = QP_CONTAINER_OF(uv, struct qp_stream, uv.stream);
    struct qp_loop *loop = qp_loop_of(&stream->uv.handle);

    if (stream->closing || nread == 0)
        return;
    if (nread == UV_ENOBUFS) {
        stop_reading(stream);
        return;
    }
    if (nread < 0)
        read_over(stream, (int)nread);
    else if (stream->discarding)
        return;
    else if (stream->tls)
        qp_stream_tls_feed(stream, qp_slice(buf->base, (size_t)nread));
    else {
        qp_stream_deliver(stream, qp_slice(buf->base, (size_t)nread));
        qp_wipe(loop->read_bytes, (size_t)nread); /* a client may have sent a credential */
    }
    qp_loop_settle(loop);
}

void qp_stream_update_reading(struct qp_stream *stream)
{
    if (stream->reading || !wants_bytes(stream))
        return;
    int error = uv_read_start(&stream->uv.stream, on_alloc, on_read);
    if (error != 0) {
        qp_stream_fail(stream, qp_net_result(error));
        return;
    }
    stream->reading = true;
}

void qp_stream_deliver(struct qp_stream *stream, struct qp_slice bytes)
{
    if (!stream->closing && stream->events)
        stream->events->data(stream->owner, bytes);
}

void qp_stream_deliver_end(struct qp_stream *stream)
{
    if (stream->ended || stream->closing)
        return;
    stream->ended = true;
    if (stream->events)
        stream->events->end(stream->owner);
    end_bytes_first(stream); /* TLS: nothing comes behind a close_notify, and so nothing is read */
}

void qp_stream_alert(struct qp_stream *stream)
{
    if (!stream->closing && !qp_list_is_linked(&stream->attention))
        qp_list_append(&qp_loop_of(&stream->uv.handle)->attention, &stream->attention);
}

void qp_stream_fail(struct qp_stream *stream, enum qp_result why)
{
    if (stream->closing || stream->fault != QP_OK)
        return;
    stream->fault = why;
    qp_stream_drop_output(stream);
    qp_stream_alert(stream);
}

static void report(struct qp_stream *stream)
{
    if (stream->fault != QP_OK) {
        if (stream->reported || stream->bytes_first || !stream->events)
            return;
        stream->reported = true;
        stop_reading(stream);
        stream->events->failed(stream->owner, stream->fault);
        return;
    }
    if (stream->full && stream->events && qp_stream_pending_bytes(stream) <= QP_STREAM_LOW_BYTES) {
        stream->full = false;
        stream->events->drained(stream->owner);
    }
}

void qp_stream_attend(struct qp_stream *stream)
{
    if (stream->dirty)
        qp_stream_flush(stream);
    if (stream->tls && !stream->closing)
        qp_stream_tls_resume(stream);
    if (!stream->closing)
        report(stream);
}

static struct qp_stream *new_stream(struct qp_loop *loop)
{
    struct qp_stream *stream = qp_alloc(sizeof(*stream));

    qp_loop_check(loop);
    qp_list_init(&stream->attention);
    stream->paused = true;
    return stream;
}

struct qp_stream *qp_stream_new_tcp(struct qp_loop *loop)
{
    struct qp_stream *stream = new_stream(loop);

    qp_require(uv_tcp_init(&loop->uv, &stream->uv.tcp) == 0);
    loop->stream_count++;
    uv_tcp_nodelay(&stream->uv.tcp, 1); /* kept by libuv until there is a socket */
    return stream;
}

struct qp_stream *qp_stream_adopt(struct qp_loop *loop, int fd, int family)
{
    struct qp_stream *stream;
    int error;

    if (family == AF_UNIX) {
        stream = new_stream(loop);
        qp_require(uv_pipe_init(&loop->uv, &stream->uv.pipe, 0) == 0);
        loop->stream_count++;
        error = uv_pipe_open(&stream->uv.pipe, fd);
    } else {
        stream = qp_stream_new_tcp(loop);
        error = uv_tcp_open(&stream->uv.tcp, fd);
    }
    if (error != 0) {
        close(fd);
        qp_stream_close(&stream, false);
    }
    return stream;
}

void qp_stream_set_owner(struct qp_stream *stream, const struct qp_stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
    if (stream->fault != QP_OK && !stream->reported)
        qp_stream_alert(stream);
}

void qp_stream_resume(struct qp_stream *stream)
{
    qp_loop_check(qp_stream_loop(stream));
    stream->paused = false;
    if (stream->tls && qp_stream_tls_holds_back(stream))
        qp_stream_alert(stream);
    qp_stream_update_reading(stream);
}

void qp_stream_pause(struct qp_stream *stream)
{
    stream->paused = true;
    end_bytes_first(stream); /* nobody waits for those bytes any more */
}

bool qp_stream_holds_input(const struct qp_stream *stream)
{
    return stream->tls && qp_stream_tls_holds_input(stream);
}

bool qp_stream_has_unread(const struct qp_stream *stream)
{
    int unread = 0;

    return !stream->closing && ioctl(qp_stream_fd(stream), FIONREAD, &unread) == 0 && unread > 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct qp_stream *stream = QP_CONTAINER_OF(handle, struct qp_stream, uv.handle);

    qp_loop_of(handle)->stream_count--;
    qp_free(stream);
}

void qp_stream_close(struct qp_stream **slot, bool hard)
{
    struct qp_stream *stream = *slot;

    *slot = NULL;
    if (!stream || stream->closing)
        return;
    qp_loop_check(qp_stream_loop(stream));
    /* Not after a cut: a close_notify would make it look like an end. */
    if (!hard && stream->tls && qp_stream_pending_bytes(stream) == 0)
        qp_stream_tls_close_notify(stream);
    stream->closing = true;
    stream->events = NULL;
    qp_list_remove(&stream->attention);
    qp_stream_drop_output(stream);
    if (stream->tls)
        qp_stream_tls_free(stream);
    stream->reading = false;
    if (hard && stream->uv.handle.type == UV_TCP) {
        /* Refused while a shutdown is under way: then the linger option is set by hand. */
        if (uv_tcp_close_reset(&stream->uv.tcp, on_closed) == 0)
            return;
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(qp_stream_fd(stream), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    uv_close(&stream->uv.handle, on_closed);
}

struct qp_loop *qp_stream_loop(const struct qp_stream *stream)
{
    return qp_loop_of(&stream->uv.handle);
}

int qp_stream_fd(const struct qp_stream *stream)
{
    uv_os_fd_t fd;

    return uv_fileno(&stream->uv.handle, &fd) == 0 ? fd : -1;
}

unsigned qp_stream_count(const struct qp_loop *loop)
{
    return loop->stream_count;
}
