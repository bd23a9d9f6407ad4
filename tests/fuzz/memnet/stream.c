/* stream.c - streams and the test's ends of them. */
#include "fuzz/memnet/memnet_impl.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { SMALL_PIECES = 300 };

/* As net/linger.c: what is pending goes out, then our direction ends, then input is thrown away. */
struct lingering {
    struct qp_stream *stream;
    struct qp_timer limit;
    uint64_t limit_ms;
    uint64_t rate_bytes;
    size_t untaken_bytes; /* when the limit began */
};

struct mem_end *mem_end_new(struct qp_loop *loop)
{
    struct mem_end *end = qp_alloc(sizeof(*end));
    struct qp_stream *stream = qp_alloc(sizeof(*stream));

    qp_list_init(&stream->attention);
    stream->end = end;
    stream->paused = true;
    end->loop = loop;
    end->stream = stream;
    end->fd = loop->next_fd++;
    end->window = MEM_ALL;
    qp_list_append(&loop->ends, &end->link);
    loop->stream_count++;
    return end;
}

void mem_end_free(struct mem_end *end)
{
    qp_require(!end->stream);
    qp_list_remove(&end->link);
    qp_buf_deinit(&end->input);
    qp_buf_deinit(&end->output);
    qp_free(end);
}

static void alert(struct qp_stream *stream)
{
    if (!qp_list_is_linked(&stream->attention))
        qp_list_append(&stream->end->loop->attention, &stream->attention);
}

static void fail(struct qp_stream *stream, enum qp_result why)
{
    if (stream->fault != QP_OK)
        return;
    stream->fault = why;
    qp_buf_deinit(&stream->out);
    stream->dirty = false;
    alert(stream);
}

static void tell(struct mem_end *end)
{
    if (end->arrived)
        end->arrived(end);
}

/* ---- output ---- */

/* As much as the other end takes. */
static void push(struct qp_stream *stream)
{
    struct mem_end *end = stream->end;
    size_t count = qp_buf_len(&stream->out);

    stream->dirty = false;
    if (stream->fault != QP_OK || count == 0)
        return;
    if (end->vanished || end->cut) {
        stream->bytes_first = end->vanished && !stream->paused && !stream->ended;
        fail(stream, QP_NET_RESET);
        return;
    }
    if (count > end->window)
        count = end->window;
    if (count == 0)
        return;
    qp_buf_append(&end->output, qp_slice(qp_buf_slice(&stream->out).at, count));
    qp_buf_consume(&stream->out, count);
    if (end->window != MEM_ALL)
        end->window -= count;
    if (stream->full && qp_buf_len(&stream->out) <= QP_STREAM_LOW_BYTES)
        alert(stream);
    tell(end);
}

void qp_stream_write(struct qp_stream *stream, const struct qp_slice *pieces, unsigned count)
{
    qp_require(!stream->lingering);
    if (stream->fault != QP_OK)
        return;
    for (unsigned i = 0; i < count; i++)
        qp_buf_append(&stream->out, pieces[i]);
    if (qp_buf_len(&stream->out) > QP_STREAM_JOIN_BYTES)
        push(stream);
    if (qp_buf_len(&stream->out) > QP_STREAM_HIGH_BYTES)
        stream->full = true;
    if (qp_buf_len(&stream->out) > 0) {
        stream->dirty = true;
        alert(stream);
    }
}

void qp_stream_flush(struct qp_stream *stream)
{
    push(stream);
}

size_t qp_stream_pending_bytes(const struct qp_stream *stream)
{
    return qp_buf_len(&stream->out);
}

/* What has left is with the other end: there is no kernel between. */
size_t qp_stream_untaken_bytes(const struct qp_stream *stream)
{
    return qp_buf_len(&stream->out);
}

bool qp_stream_holds_input(const struct qp_stream *stream)
{
    (void)stream;
    return false;
}

bool qp_stream_has_unread(const struct qp_stream *stream)
{
    return qp_buf_len(&stream->end->input) > 0;
}

bool qp_stream_is_full(const struct qp_stream *stream)
{
    return stream->full;
}

/* ---- life ---- */

void qp_stream_set_owner(struct qp_stream *stream, const struct qp_stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
    if (stream->fault != QP_OK && !stream->reported)
        alert(stream);
}

void qp_stream_serve_tls(struct qp_stream *stream, struct qp_tls *tls)
{
    (void)stream;
    (void)tls;
    abort(); /* there is no TLS in memory */
}

static void end_bytes_first(struct qp_stream *stream)
{
    if (!stream->bytes_first)
        return;
    stream->bytes_first = false;
    alert(stream);
}

void qp_stream_resume(struct qp_stream *stream)
{
    stream->paused = false;
}

void qp_stream_pause(struct qp_stream *stream)
{
    stream->paused = true;
    end_bytes_first(stream);
}

void qp_stream_close(struct qp_stream **slot, bool hard)
{
    struct qp_stream *stream = *slot;

    *slot = NULL;
    if (!stream)
        return;
    struct mem_end *end = stream->end;
    if (stream->lingering) {
        qp_timer_deinit(&stream->lingering->limit);
        qp_free(stream->lingering);
    }
    end->lost = qp_buf_len(&stream->out);
    end->reset |= hard || stream->fault != QP_OK;
    end->fin |= !end->reset;
    end->stream = NULL;
    end->loop->stream_count--;
    qp_list_remove(&stream->attention);
    qp_buf_deinit(&stream->out);
    qp_buf_deinit(&end->input);
    qp_free(stream);
    tell(end);
}

struct qp_loop *qp_stream_loop(const struct qp_stream *stream)
{
    return stream->end->loop;
}

int qp_stream_fd(const struct qp_stream *stream)
{
    return stream->end->fd;
}

unsigned qp_stream_count(const struct qp_loop *loop)
{
    return loop->stream_count;
}

/* ---- lingering ---- */

static void on_data(void *owner, struct qp_slice bytes)
{
    (void)owner;
    (void)bytes;
}

static void finish(struct qp_stream *stream, bool hard)
{
    qp_stream_close(&stream, hard);
}

static void on_end(void *owner)
{
    struct lingering *lingering = owner;

    if (lingering->stream->end->fin)
        finish(lingering->stream, false);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, enum qp_result why)
{
    (void)why;
    finish(((struct lingering *)owner)->stream, false);
}

static const struct qp_stream_events lingering_events = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

static void begin_limit(struct lingering *lingering)
{
    lingering->untaken_bytes = qp_buf_len(&lingering->stream->out);
    qp_timer_arm(lingering->stream->end->loop, &lingering->limit, lingering->limit_ms);
}

static void on_limit(struct qp_timer *timer)
{
    struct lingering *lingering = QP_CONTAINER_OF(timer, struct lingering, limit);
    const size_t untaken = qp_buf_len(&lingering->stream->out);
    const size_t taken = lingering->untaken_bytes - untaken;

    if (untaken > 0 && taken > 0 && taken * 1000 >= lingering->rate_bytes * lingering->limit_ms)
        begin_limit(lingering);
    else
        finish(lingering->stream, untaken > 0);
}

void qp_stream_linger(struct qp_stream **slot, uint64_t limit_ms, uint64_t rate_bytes)
{
    struct qp_stream *stream = *slot;

    if (!stream || stream->fault != QP_OK) {
        qp_stream_close(slot, true);
        return;
    }
    *slot = NULL;
    stream->lingering = qp_alloc(sizeof(*stream->lingering));
    stream->lingering->stream = stream;
    stream->lingering->limit_ms = limit_ms;
    stream->lingering->rate_bytes = rate_bytes;
    qp_timer_init(&stream->lingering->limit, on_limit);
    begin_limit(stream->lingering);
    qp_stream_set_owner(stream, &lingering_events, stream->lingering);
    stream->paused = false;
    stream->full = false;
    stream->dirty = true;
    alert(stream);
}

/* All is out: our direction ends. */
static void shut(struct qp_stream *stream)
{
    struct mem_end *end = stream->end;

    if (end->fin || qp_buf_len(&stream->out) > 0)
        return;
    end->fin = true;
    tell(end);
    if (stream->ended)
        finish(stream, false);
}

bool qp_stream_some_linger_owing(const struct qp_loop *loop)
{
    QP_LIST_FOR_EACH (link, &loop->ends) {
        const struct qp_stream *stream = QP_CONTAINER_OF(link, struct mem_end, link)->stream;
        if (stream && stream->lingering && qp_buf_len(&stream->out) > 0)
            return true;
    }
    return false;
}

void mem_end_lingering(struct qp_loop *loop)
{
    QP_LIST_FOR_EACH (link, &loop->ends) {
        struct mem_end *end = QP_CONTAINER_OF(link, struct mem_end, link);
        if (end->stream && end->stream->lingering)
            finish(end->stream, qp_buf_len(&end->stream->out) > 0);
    }
}

/* ---- events ---- */

static void report_fault(struct qp_stream *stream)
{
    if (stream->reported || stream->bytes_first || !stream->events)
        return;
    stream->reported = true;
    stream->events->failed(stream->owner, stream->fault);
}

static void attend(struct qp_stream *stream)
{
    if (stream->dirty)
        push(stream);
    if (stream->fault != QP_OK) {
        report_fault(stream);
    } else if (stream->lingering) {
        shut(stream);
    } else if (stream->full && stream->events && qp_buf_len(&stream->out) <= QP_STREAM_LOW_BYTES) {
        stream->full = false;
        stream->events->drained(stream->owner);
    }
}

void mem_attend(struct qp_loop *loop)
{
    struct qp_list round;

    qp_list_init(&round);
    qp_list_move_all(&round, &loop->attention);
    for (struct qp_list *link; (link = qp_list_shift(&round)) != NULL;)
        attend(QP_CONTAINER_OF(link, struct qp_stream, attention));
}

/* The bytes lie in a block of exactly their size, which is gone behind the call. */
static void deliver_data(struct mem_end *end)
{
    const struct qp_slice input = qp_buf_slice(&end->input);
    const size_t most = end->small_pieces > 0 ? end->piece : (size_t)QP_STREAM_READ_BYTES;
    const size_t count = input.len < most ? input.len : most;
    char *lent = qp_try_alloc(count);

    qp_require(lent);
    end->small_pieces -= end->small_pieces > 0;
    memcpy(lent, input.at, count);
    qp_buf_consume(&end->input, count);
    end->delivered += count;
    end->delivered_ms = end->loop->now_ms;
    end->stream->events->data(end->stream->owner, qp_slice(lent, count));
    qp_free(lent);
}

static void deliver_end(struct mem_end *end)
{
    struct qp_stream *stream = end->stream;

    stream->ended = true;
    end->end_delivered = true;
    end_bytes_first(stream); /* nothing comes behind it */
    stream->events->end(stream->owner);
}

static bool wants_bytes(const struct qp_stream *stream)
{
    return stream->events && !stream->ended && !stream->paused &&
           (stream->fault == QP_OK || stream->bytes_first);
}

static bool wants_end(const struct qp_stream *stream)
{
    return wants_bytes(stream) ||
           (stream->end->loop->eager_ends && stream->events && !stream->ended && stream->fault == QP_OK);
}

static bool deliver(struct mem_end *end)
{
    struct qp_stream *stream = end->stream;

    if (qp_buf_len(&stream->out) > 0 && end->window > 0 && !stream->dirty) {
        stream->dirty = true;
        alert(stream);
    }
    if (end->cut && stream->fault == QP_OK)
        fail(stream, QP_NET_RESET);
    if (qp_buf_len(&end->input) > 0 && wants_bytes(stream))
        deliver_data(end);
    else if (qp_buf_len(&end->input) == 0 && end->input_over && wants_end(stream))
        deliver_end(end);
    else
        return false;
    return true;
}

bool mem_deliver_input(struct qp_loop *loop)
{
    bool did = false;

    QP_LIST_FOR_EACH (link, &loop->ends) {
        struct mem_end *end = QP_CONTAINER_OF(link, struct mem_end, link);
        if (!end->stream)
            continue;
        did |= deliver(end);
        did |= !qp_list_is_empty(&loop->attention);
        mem_attend(loop);
    }
    return did;
}

/* ---- the test's side ---- */

void mem_say(struct mem_end *end, struct qp_slice bytes)
{
    if (!end->input_over && !end->cut)
        qp_buf_append(&end->input, bytes);
}

void mem_finish(struct mem_end *end)
{
    end->input_over = true;
}

void mem_cut(struct mem_end *end)
{
    end->input_over = end->cut = true;
    qp_buf_clear(&end->input);
}

void mem_vanish(struct mem_end *end)
{
    end->input_over = end->vanished = true;
}

void mem_set_piece(struct mem_end *end, size_t bytes)
{
    end->piece = bytes;
    end->small_pieces = SMALL_PIECES;
}

void mem_open_window(struct mem_end *end, size_t bytes)
{
    end->window = bytes;
}

size_t mem_most_pending(const struct qp_loop *loop)
{
    size_t most = 0;

    QP_LIST_FOR_EACH (link, &loop->ends) {
        const struct mem_end *end = QP_CONTAINER_OF(link, struct mem_end, link);
        size_t pending = end->stream ? qp_buf_len(&end->stream->out) : 0;
        most = pending > most ? pending : most;
    }
    return most;
}

unsigned mem_open_count(const struct qp_loop *loop)
{
    return loop->stream_count;
}

/* ---- system calls that the rooms make on a stream's descriptor ---- */

struct mem_end *mem_end_of_fd(int fd)
{
    QP_LIST_FOR_EACH (link, &mem_loop->ends) {
        struct mem_end *end = QP_CONTAINER_OF(link, struct mem_end, link);
        if (end->fd == fd)
            return end;
    }
    return NULL;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

/* A look at what lies there: the rooms read through their stream only. */
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    const struct mem_end *end = mem_end_of_fd(fd);

    qp_require(end && (flags & MSG_PEEK) && size > 0);
    const struct qp_slice input = qp_buf_slice(&end->input);
    if (end->cut) {
        errno = ECONNRESET;
        return -1;
    }
    if (input.len == 0 && end->input_over)
        return 0;
    if (input.len == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(bytes, input.at, input.len < size ? input.len : size);
    return (ssize_t)(input.len < size ? input.len : size);
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    const struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    qp_require(mem_end_of_fd(fd) && *len >= sizeof(own));
    memcpy(address, &own, sizeof(own));
    *len = sizeof(own);
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    qp_require(mem_end_of_fd(fd));
    errno = ENOPROTOOPT;
    return -1;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    qp_require(mem_end_of_fd(fd));
    return 0;
}
