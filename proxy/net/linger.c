/* linger.c - the patient end of a stream (RFC 9112 section 9.6).
 *
 *   flush -> close_notify -> FIN -> throw input away -> the other side's end, or the limit -> close
 *
 * Closing a socket with unread input makes the kernel send a reset, which destroys what the other side has not read yet. It is enough
 * for that that a TLS 1.3 session ticket lies unread in our receive buffer.
 *
 * Their owners count these streams no longer, so their number has a limit of its own: a client that provokes ends and never ends its
 * own side would else use up all descriptors. The oldest makes room, of those that owe nothing if there is one. Where descriptors run out before
 * that number is reached, all of those go.
 */
#include "net/stream_impl.h"

#include "base/alloc.h"

struct lingering {
    struct qp_list link;
    struct qp_timer limit;
    struct qp_stream *stream;
    uint64_t limit_ms;
    uint64_t rate_bytes;
    size_t untaken_bytes; /* when the limit began */
    bool shut;            /* our FIN is out */
};

/* What the other side has not been given by now it may not take for a whole. */
static void finish(struct lingering *lingering)
{
    const struct qp_stream *stream = lingering->stream;
    const bool is_cut = stream->fault != QP_OK || qp_stream_pending_bytes(stream) > 0;

    qp_stream_loop(stream)->lingering_count--;
    qp_list_remove(&lingering->link);
    qp_timer_deinit(&lingering->limit);
    qp_stream_close(&lingering->stream, is_cut);
    qp_free(lingering);
}

static void on_data(void *owner, struct qp_slice bytes)
{
    (void)owner;
    (void)bytes;
}

static void on_end(void *owner)
{
    struct lingering *lingering = owner;

    if (lingering->shut)
        finish(lingering);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, enum qp_result why)
{
    (void)why;
    finish(owner);
}

static const struct qp_stream_events lingering_events = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

static void begin_limit(struct lingering *lingering)
{
    lingering->untaken_bytes = qp_stream_untaken_bytes(lingering->stream);
    qp_timer_arm(qp_stream_loop(lingering->stream), &lingering->limit, lingering->limit_ms);
}

static void on_limit(struct qp_timer *timer)
{
    struct lingering *lingering = QP_CONTAINER_OF(timer, struct lingering, limit);
    const size_t before = lingering->untaken_bytes;
    const size_t untaken = qp_stream_untaken_bytes(lingering->stream);
    const size_t taken = before > untaken ? before - untaken : 0;

    if (qp_stream_pending_bytes(lingering->stream) > 0 && taken > 0 &&
        taken * 1000 >= lingering->rate_bytes * lingering->limit_ms)
        begin_limit(lingering);
    else
        finish(lingering);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct qp_stream *stream = QP_CONTAINER_OF(request->handle, struct qp_stream, uv.stream);

    (void)status; /* a failed write has its own report */
    qp_free(request);
    if (stream->closing)
        return;
    struct lingering *lingering = stream->owner;
    lingering->shut = true;
    if (stream->ended)
        finish(lingering);
}

/* Whoever makes many ends shall not cut the answers that others still take. */
static struct lingering *oldest_settled(const struct qp_loop *loop)
{
    QP_LIST_FOR_EACH (link, &loop->lingering) {
        struct lingering *lingering = QP_CONTAINER_OF(link, struct lingering, link);
        if (qp_stream_pending_bytes(lingering->stream) == 0)
            return lingering;
    }
    return NULL;
}

bool qp_stream_end_settled(struct qp_loop *loop)
{
    const unsigned before = loop->lingering_count;

    QP_LIST_FOR_EACH_SAFE (link, &loop->lingering) {
        struct lingering *lingering = QP_CONTAINER_OF(link, struct lingering, link);
        if (qp_stream_pending_bytes(lingering->stream) == 0)
            finish(lingering);
    }
    return loop->lingering_count < before;
}

bool qp_stream_some_linger_owing(const struct qp_loop *loop)
{
    QP_LIST_FOR_EACH (link, &loop->lingering) {
        if (qp_stream_pending_bytes(QP_CONTAINER_OF(link, struct lingering, link)->stream) > 0)
            return true;
    }
    return false;
}

void qp_stream_linger(struct qp_stream **slot, uint64_t limit_ms, uint64_t rate_bytes)
{
    struct qp_stream *stream = *slot;

    if (!stream || stream->closing || stream->fault != QP_OK) {
        qp_stream_close(slot, true);
        return;
    }
    *slot = NULL;
    struct qp_loop *loop = qp_stream_loop(stream);
    struct lingering *lingering = qp_alloc(sizeof(*lingering));

    if (loop->lingering_count >= QP_LOOP_LINGERING) {
        struct lingering *settled = oldest_settled(loop);
        finish(settled ? settled : QP_CONTAINER_OF(loop->lingering.next, struct lingering, link));
    }
    lingering->stream = stream;
    lingering->limit_ms = limit_ms;
    lingering->rate_bytes = rate_bytes;
    loop->lingering_count++;
    qp_list_append(&loop->lingering, &lingering->link);
    qp_timer_init(&lingering->limit, on_limit);
    qp_stream_set_owner(stream, &lingering_events, lingering);
    stream->discarding = true;
    stream->full = false;
    qp_stream_flush_all(stream);
    if (stream->tls)
        qp_stream_tls_close_notify(stream);
    begin_limit(lingering);
    uv_shutdown_t *request = qp_alloc(sizeof(*request));
    if (stream->fault != QP_OK || uv_shutdown(request, &stream->uv.stream, on_shutdown) != 0) {
        qp_free(request);
        finish(lingering);
        return;
    }
    qp_stream_update_reading(stream);
}

void qp_stream_end_lingering(struct qp_loop *loop)
{
    while (!qp_list_is_empty(&loop->lingering))
        finish(QP_CONTAINER_OF(loop->lingering.next, struct lingering, link));
}
