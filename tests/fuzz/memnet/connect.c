/* connect.c - dials that the test answers, and connections that it makes. */
#include "fuzz/memnet/memnet_impl.h"
#include "net/dial.h"
#include "net/listen.h"

#include <arpa/inet.h>

struct qp_dialer {
    struct qp_list link;
    struct qp_loop *loop;
    char *host;
    uint32_t timeout_ms;
    unsigned dial_count;
};

struct qp_dial {
    struct qp_list link;
    struct qp_dialer *dialer;
    const struct qp_dial_events *events;
    void *owner;
    struct qp_timer limit;
    struct qp_stream *stream; /* connected: reported with the next turn */
    enum qp_result why;       /* not QP_OK: failed, likewise */
};

struct qp_listener {
    struct qp_list link;
    struct qp_loop *loop;
    const struct qp_listener_events *events;
    void *owner;
    struct qp_list queue; /* of struct caller */
    uint16_t next_port;
    bool paused;
};

struct caller {
    struct qp_list link;
    struct mem_end *end;
};

/* ---- dialers ---- */

struct qp_dialer *qp_dialer_new(struct qp_loop *loop, const struct qp_dialer_opts *opts)
{
    struct qp_dialer *dialer = qp_alloc(sizeof(*dialer));

    qp_require(!opts->trust);
    dialer->loop = loop;
    dialer->host = qp_strndup(opts->host.at, opts->host.len);
    dialer->timeout_ms = opts->timeout_ms;
    qp_list_append(&loop->dialers, &dialer->link);
    return dialer;
}

void qp_dialer_free(struct qp_dialer **slot)
{
    struct qp_dialer *dialer = *slot;

    *slot = NULL;
    if (!dialer)
        return;
    qp_require(dialer->dial_count == 0);
    qp_list_remove(&dialer->link);
    qp_free(dialer->host);
    qp_free(dialer);
}

struct qp_tls_counters qp_dialer_tls_counters(const struct qp_dialer *dialer)
{
    (void)dialer;
    return (struct qp_tls_counters){0};
}

/* The test says when the host moves. */
bool qp_dialer_is_current(struct qp_dialer *dialer, const struct qp_stream *stream, uint32_t *mark)
{
    (void)mark;
    return stream->end->fd >= dialer->loop->first_current_fd;
}

/* ---- dials ---- */

static void on_limit(struct qp_timer *timer)
{
    QP_CONTAINER_OF(timer, struct qp_dial, limit)->why = QP_NET_TIMEOUT;
}

struct qp_dial *qp_dial_start(struct qp_dialer *dialer, const struct qp_dial_events *events, void *owner)
{
    struct qp_dial *dial = qp_alloc(sizeof(*dial));

    dialer->dial_count++;
    dial->dialer = dialer;
    dial->events = events;
    dial->owner = owner;
    qp_timer_init(&dial->limit, on_limit);
    qp_timer_arm(dialer->loop, &dial->limit, dialer->timeout_ms);
    qp_list_append(&dialer->loop->dials, &dial->link);
    return dial;
}

static void forget(struct qp_dial *dial)
{
    qp_list_remove(&dial->link);
    qp_timer_deinit(&dial->limit);
    dial->dialer->dial_count--;
    qp_free(dial);
}

void qp_dial_cancel(struct qp_dial **slot)
{
    struct qp_dial *dial = *slot;

    *slot = NULL;
    if (!dial)
        return;
    qp_stream_close(&dial->stream, false);
    forget(dial);
}

static bool is_open(const struct qp_dial *dial)
{
    return !dial->stream && dial->why == QP_OK;
}

static bool report(struct qp_dial *dial)
{
    const struct qp_dial_events *events = dial->events;
    struct qp_stream *stream = dial->why == QP_OK ? dial->stream : NULL;
    enum qp_result why = dial->why;
    void *owner = dial->owner;

    if (is_open(dial))
        return false;
    if (!stream)
        qp_stream_close(&dial->stream, false);
    forget(dial);
    events->done(owner, stream, why, stream ? NULL : "as the test wants it");
    return true;
}

/* One at a time from the front: a report may cancel any other dial. */
bool mem_deliver_dials(struct qp_loop *loop)
{
    bool did = false;

    for (struct qp_list *link = loop->dials.next; link != &loop->dials;) {
        struct qp_dial *dial = QP_CONTAINER_OF(link, struct qp_dial, link);
        link = link->next;
        if (!report(dial))
            continue;
        did = true;
        mem_attend(loop);
        link = loop->dials.next;
    }
    return did;
}

struct qp_dial *mem_dial_to(struct qp_loop *loop, struct qp_slice host)
{
    QP_LIST_FOR_EACH (link, &loop->dials) {
        struct qp_dial *dial = QP_CONTAINER_OF(link, struct qp_dial, link);
        if (is_open(dial) && qp_slice_is(host, qp_slice_str(dial->dialer->host)))
            return dial;
    }
    return NULL;
}

void mem_move_hosts(struct qp_loop *loop)
{
    loop->first_current_fd = loop->next_fd;
}

struct mem_end *mem_dial_accept(struct qp_dial *dial)
{
    struct mem_end *end = mem_end_new(dial->dialer->loop);

    dial->stream = end->stream;
    return end;
}

void mem_dial_fail(struct qp_dial *dial, enum qp_result why)
{
    dial->why = why;
}

/* ---- listeners ---- */

struct qp_listener *qp_listener_new(struct qp_loop *loop, int fd, const struct qp_listener_events *events,
                                    void *owner)
{
    struct qp_listener *listener = qp_alloc(sizeof(*listener));

    (void)fd;
    listener->loop = loop;
    listener->events = events;
    listener->owner = owner;
    listener->next_port = 40000;
    qp_list_init(&listener->queue);
    qp_list_append(&loop->listeners, &listener->link);
    return listener;
}

void qp_listener_pause(struct qp_listener *listener)
{
    listener->paused = true;
}

void qp_listener_resume(struct qp_listener *listener)
{
    listener->paused = false;
}

/* The kernel resets those that nobody has accepted. */
void qp_listener_close(struct qp_listener **slot)
{
    struct qp_listener *listener = *slot;

    *slot = NULL;
    if (!listener)
        return;
    for (struct qp_list *link; (link = qp_list_shift(&listener->queue)) != NULL;) {
        struct caller *caller = QP_CONTAINER_OF(link, struct caller, link);
        qp_stream_close(&caller->end->stream, true);
        qp_free(caller);
    }
    qp_list_remove(&listener->link);
    qp_free(listener);
}

struct mem_end *mem_connect(struct qp_listener *listener)
{
    struct caller *caller = qp_alloc(sizeof(*caller));

    caller->end = mem_end_new(listener->loop);
    qp_list_append(&listener->queue, &caller->link);
    return caller->end;
}

struct qp_listener *mem_first_listener(const struct qp_loop *loop)
{
    qp_require(!qp_list_is_empty(&loop->listeners));
    return QP_CONTAINER_OF(loop->listeners.next, struct qp_listener, link);
}

static void accept_one(struct qp_listener *listener)
{
    /* One that says no has paused the listener, or is asked again. */
    if (listener->events->admit && !listener->events->admit(listener->owner, true))
        return;
    struct caller *caller = QP_CONTAINER_OF(qp_list_shift(&listener->queue), struct caller, link);
    struct qp_stream *stream = caller->end->stream;
    const struct qp_address from = {
        .u.v4 = {.sin_family = AF_INET,
                 .sin_port = htons(listener->next_port++),
                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .len = sizeof(struct sockaddr_in),
    };

    qp_free(caller);
    listener->events->accepted(listener->owner, stream, &from);
}

bool mem_deliver_accepted(struct qp_loop *loop)
{
    bool did = false;

    QP_LIST_FOR_EACH (link, &loop->listeners) {
        struct qp_listener *listener = QP_CONTAINER_OF(link, struct qp_listener, link);
        if (listener->paused || qp_list_is_empty(&listener->queue))
            continue;
        accept_one(listener);
        did = true;
    }
    return did;
}
