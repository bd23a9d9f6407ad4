/* listen.c - accepting.
 *
 * accept4() is called here and not by libuv: it gives the client's address for free, and what happens without descriptors is ours to
 * say: one is given up to take and close what waits, so that clients hear at once, and then the listener rests.
 */
#include "net/listen.h"

#include "base/alloc.h"
#include "base/log.h"
#include "net/stream_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { ACCEPT_BATCH = 16, REST_MS = 100 };

struct qp_listener {
    uv_poll_t poll;
    struct qp_loop *loop;
    const struct qp_listener_events *events;
    void *owner;
    int fd;
    struct qp_timer rest;
    bool paused; /* by the owner */
    bool closing;
    bool told; /* of the exhaustion that goes on */
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void update_polling(struct qp_listener *listener)
{
    if (!listener->paused && !qp_timer_is_armed(&listener->rest))
        qp_require(uv_poll_start(&listener->poll, UV_READABLE, on_readable) == 0);
    else
        uv_poll_stop(&listener->poll);
}

static void on_rested(struct qp_timer *timer)
{
    update_polling(QP_CONTAINER_OF(timer, struct qp_listener, rest));
}

static int accept_one(struct qp_listener *listener, struct qp_address *from)
{
    from->len = sizeof(from->u);
    return accept4(listener->fd, &from->u.any, &from->len, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* Another thread may have taken what was given up: then it is made again as soon as descriptors are back. */
static void keep_reserve(struct qp_loop *loop)
{
    if (loop->reserve_fd < 0)
        loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Closes what waits with the descriptor that the loop keeps for this. */
static void shed(struct qp_listener *listener)
{
    struct qp_loop *loop = listener->loop;
    struct qp_address from;

    if (!listener->told)
        qp_log_error("net", "no file descriptors left: connections are refused; raise the limit (ulimit -n)");
    listener->told = true;
    if (loop->reserve_fd >= 0)
        close(loop->reserve_fd);
    loop->reserve_fd = -1;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept_one(listener, &from);
        if (fd < 0)
            break;
        close(fd);
    }
    keep_reserve(loop);
}

/* False: nothing more to accept now. */
static bool survive(struct qp_listener *listener, int error)
{
    switch (error) {
    case EAGAIN:
        return false;
    case EINTR:
    case ECONNABORTED: /* accept(2): errors of the new connection, not of the listening socket */
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case ENONET:
        return true;
    case EMFILE:
    case ENFILE:
        if (qp_stream_end_settled(listener->loop))
            return true;
        shed(listener);
        break;
    default:
        qp_log_error("net", "accept: %s", strerror(error));
        break;
    }
    qp_timer_arm(listener->loop, &listener->rest, REST_MS);
    update_polling(listener);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct qp_listener *listener = QP_CONTAINER_OF(poll, struct qp_listener, poll);
    struct qp_address from;

    (void)status; /* a fault of the socket comes out of accept4() */
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && !listener->closing && !listener->paused; i++) {
        if (listener->events->admit && !listener->events->admit(listener->owner, i == 0))
            return;
        struct qp_stream *stream = NULL;
        int fd = accept_one(listener, &from);
        bool may_go_on = fd >= 0 || survive(listener, errno);
        if (fd >= 0) {
            listener->told = false;
            keep_reserve(listener->loop);
            stream = qp_stream_adopt(listener->loop, fd, from.u.any.sa_family);
        }
        if (stream)
            listener->events->accepted(listener->owner, stream, &from);
        else if (listener->events->unused)
            listener->events->unused(listener->owner);
        if (!may_go_on)
            return;
    }
}

struct qp_listener *qp_listener_new(struct qp_loop *loop, int fd, const struct qp_listener_events *events,
                                    void *owner)
{
    struct qp_listener *listener = qp_alloc(sizeof(*listener));

    listener->loop = loop;
    listener->fd = fd;
    listener->events = events;
    listener->owner = owner;
    qp_timer_init(&listener->rest, on_rested);
    qp_require(uv_poll_init(&loop->uv, &listener->poll, fd) == 0);
    update_polling(listener);
    return listener;
}

void qp_listener_pause(struct qp_listener *listener)
{
    listener->paused = true;
    update_polling(listener);
}

void qp_listener_resume(struct qp_listener *listener)
{
    listener->paused = false;
    update_polling(listener);
}

static void on_closed(uv_handle_t *handle)
{
    struct qp_listener *listener = QP_CONTAINER_OF(handle, struct qp_listener, poll);

    qp_free(listener);
}

void qp_listener_close(struct qp_listener **slot)
{
    struct qp_listener *listener = *slot;

    *slot = NULL;
    if (!listener)
        return;
    listener->closing = true;
    qp_timer_deinit(&listener->rest);
    uv_poll_stop(&listener->poll);
    /* uv_poll holds no descriptor; closing it now frees the address at once. */
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    close(listener->fd);
}
