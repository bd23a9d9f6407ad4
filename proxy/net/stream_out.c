/* stream_out.c - output of a stream.
 *
 *   small pieces -> joining block -+-> uv_try_write -> socket
 *   large pieces ------------------+        |
 *                                           +-> what was not taken: blocks -> uv_write
 *
 * While libuv holds blocks, the joining block waits until it is full or libuv has nothing left: so even a stream of tiny writes to a
 * slow reader holds no more blocks than its bytes need.
 */
#include "net/stream_impl.h"

#include "base/alloc.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>

enum { MAX_PIECES = 16 };

void qp_stream_drop_output(struct qp_stream *stream)
{
    if (stream->join)
        qp_block_give(qp_loop_of(&stream->uv.handle), stream->join);
    stream->join = NULL;
    stream->dirty = false;
}

static void fail_writing(struct qp_stream *stream, int error)
{
    bool reset = error == UV_EPIPE || error == UV_ECONNRESET;

    if (stream->closing || stream->fault != QP_OK)
        return;
    /* An origin may answer, close, and so reset what we still send: its answer lies in our receive buffer. The kernel has the
     * end of input ready behind it, so this does not wait. Not so for Unix sockets, which can be shut for one direction. */
    stream->bytes_first = reset && stream->reading && !stream->paused && stream->uv.handle.type == UV_TCP;
    qp_stream_fail(stream, qp_net_result(error));
}

static void on_written(uv_write_t *request, int status)
{
    struct qp_block *block = QP_CONTAINER_OF(request, struct qp_block, request);
    struct qp_stream *stream = block->stream;

    stream->in_flight_count--;
    qp_block_give(qp_loop_of(&stream->uv.handle), block);
    if (stream->closing)
        return;
    if (status != 0) {
        fail_writing(stream, status);
        return;
    }
    if (stream->in_flight_count == 0 && stream->join)
        stream->dirty = true;
    if (stream->dirty || (stream->full && qp_stream_pending_bytes(stream) <= QP_STREAM_LOW_BYTES))
        qp_stream_alert(stream);
}

/* Gives the block to libuv. */
static void submit(struct qp_stream *stream, struct qp_block *block)
{
    uv_buf_t buf = uv_buf_init(block->bytes + block->start, block->end - block->start);

    block->stream = stream;
    int error = uv_write(&block->request, &stream->uv.stream, &buf, 1, on_written);
    if (error != 0) {
        qp_block_give(qp_loop_of(&stream->uv.handle), block);
        fail_writing(stream, error);
        return;
    }
    stream->in_flight_count++;
}

void qp_stream_queue_raw(struct qp_stream *stream, struct qp_slice bytes)
{
    while (bytes.len > 0 && stream->fault == QP_OK) {
        struct qp_block *block = qp_block_take(qp_loop_of(&stream->uv.handle));
        if (!block) {
            qp_stream_fail(stream, QP_SELF_MEMORY);
            return;
        }
        size_t part = bytes.len < sizeof(block->bytes) ? bytes.len : sizeof(block->bytes);
        memcpy(block->bytes, bytes.at, part);
        block->end = (uint32_t)part;
        bytes = qp_slice(bytes.at + part, bytes.len - part);
        submit(stream, block);
    }
}

size_t qp_stream_try_raw(struct qp_stream *stream, const uv_buf_t *pieces, unsigned count)
{
    if (stream->in_flight_count > 0 || stream->fault != QP_OK)
        return 0;
    int taken = uv_try_write(&stream->uv.stream, pieces, count);
    if (taken >= 0)
        return (size_t)taken;
    if (taken != UV_EAGAIN)
        fail_writing(stream, taken);
    return 0;
}

/* Empties a full joining block, so that there is room again. */
static void empty_join(struct qp_stream *stream)
{
    struct qp_block *block = stream->join;

    stream->join = NULL;
    if (stream->tls) {
        qp_stream_tls_write(stream, qp_slice(block->bytes, block->end));
        qp_block_give(qp_loop_of(&stream->uv.handle), block);
    } else {
        submit(stream, block);
    }
}

/* Copies the bytes behind what is in the joining block; full blocks go out. */
static void join(struct qp_stream *stream, struct qp_slice bytes)
{
    while (bytes.len > 0 && stream->fault == QP_OK) {
        if (!stream->join)
            stream->join = qp_block_take(qp_loop_of(&stream->uv.handle));
        struct qp_block *block = stream->join;
        if (!block) {
            qp_stream_fail(stream, QP_SELF_MEMORY);
            return;
        }
        size_t room = (size_t)QP_STREAM_JOIN_BYTES - block->end;
        size_t part = bytes.len < room ? bytes.len : room;
        memcpy(block->bytes + block->end, bytes.at, part);
        block->end += (uint32_t)part;
        bytes = qp_slice(bytes.at + part, bytes.len - part);
        if (block->end == QP_STREAM_JOIN_BYTES && bytes.len > 0)
            empty_join(stream);
    }
    if (stream->join && !stream->dirty) {
        stream->dirty = true;
        qp_stream_alert(stream);
    }
}

/* Plain and large: the joining block and the pieces go out in one call; what was not taken is copied. */
static void write_through(struct qp_stream *stream, const struct qp_slice *pieces, unsigned count)
{
    uv_buf_t bufs[MAX_PIECES + 1];
    unsigned used = 0;
    size_t joined = stream->join ? stream->join->end - stream->join->start : 0;

    if (joined > 0)
        bufs[used++] = uv_buf_init(stream->join->bytes + stream->join->start, (unsigned)joined);
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].len > 0)
            bufs[used++] = (uv_buf_t){.base = (char *)(uintptr_t)pieces[i].at, .len = pieces[i].len};
    }
    size_t taken = qp_stream_try_raw(stream, bufs, used);
    if (stream->fault != QP_OK)
        return;
    if (joined > 0) {
        if (taken < joined) {
            stream->join->start += (uint32_t)taken;
            submit(stream, stream->join);
            stream->join = NULL;
            stream->dirty = false;
            taken = 0;
        } else {
            qp_stream_drop_output(stream);
            taken -= joined;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        size_t skip = taken < pieces[i].len ? taken : pieces[i].len;
        taken -= skip;
        join(stream, qp_slice(pieces[i].at + skip, pieces[i].len - skip));
    }
    /* The socket is full: what was copied waits for it to have room, and not for a flush. */
    if (stream->join && stream->in_flight_count == 0 && stream->fault == QP_OK)
        empty_join(stream);
    stream->dirty = stream->join != NULL;
}

/* TLS: a record holds 16 KiB, so joined bytes are topped up and whole records are made from the caller's memory. */
static void write_records(struct qp_stream *stream, struct qp_slice piece)
{
    if (stream->join && stream->fault == QP_OK) {
        size_t room = (size_t)QP_STREAM_JOIN_BYTES - stream->join->end;
        size_t part = piece.len < room ? piece.len : room;
        join(stream, qp_slice(piece.at, part));
        piece = qp_slice(piece.at + part, piece.len - part);
        if (piece.len > 0 && stream->join)
            empty_join(stream);
    }
    size_t whole = piece.len - piece.len % QP_STREAM_JOIN_BYTES;
    if (whole > 0 && stream->fault == QP_OK)
        qp_stream_tls_write(stream, qp_slice(piece.at, whole));
    join(stream, qp_slice(piece.at + whole, piece.len - whole));
}

void qp_stream_write(struct qp_stream *stream, const struct qp_slice *pieces, unsigned count)
{
    size_t total = stream->join ? stream->join->end - stream->join->start : 0;

    qp_loop_check(qp_stream_loop(stream));
    if (stream->closing || stream->fault != QP_OK)
        return;
    for (unsigned i = 0; i < count; i++)
        total += pieces[i].len;
    bool small = total <= QP_STREAM_JOIN_BYTES;
    if (!small && stream->tls && !qp_stream_tls_is_ready(stream)) {
        qp_stream_fail(stream, QP_SELF_BROKEN);
        return;
    }
    while (count > 0) {
        unsigned part = count < MAX_PIECES ? count : MAX_PIECES;
        if (!small && !stream->tls && stream->in_flight_count == 0) {
            write_through(stream, pieces, part);
        } else {
            for (unsigned i = 0; i < part; i++) {
                if (small || !stream->tls)
                    join(stream, pieces[i]);
                else
                    write_records(stream, pieces[i]);
            }
        }
        pieces += part;
        count -= part;
    }
    if (qp_stream_pending_bytes(stream) > QP_STREAM_HIGH_BYTES)
        stream->full = true;
}

void qp_stream_flush(struct qp_stream *stream)
{
    struct qp_block *block = stream->join;

    stream->dirty = false;
    if (!block || stream->closing || stream->fault != QP_OK || stream->in_flight_count > 0)
        return; /* in flight: on_written() comes back to it */
    if (stream->tls) {
        if (qp_stream_tls_is_ready(stream))
            empty_join(stream);
        return;
    }
    uv_buf_t buf = uv_buf_init(block->bytes + block->start, block->end - block->start);
    block->start += (uint32_t)qp_stream_try_raw(stream, &buf, 1);
    if (stream->fault != QP_OK)
        return;
    if (block->start == block->end)
        qp_stream_drop_output(stream);
    else
        empty_join(stream);
}

void qp_stream_flush_all(struct qp_stream *stream)
{
    qp_stream_flush(stream);
    if (stream->join && stream->fault == QP_OK && (!stream->tls || qp_stream_tls_is_ready(stream)))
        empty_join(stream);
}

size_t qp_stream_pending_bytes(const struct qp_stream *stream)
{
    size_t joined = stream->join ? stream->join->end - stream->join->start : 0;

    return stream->closing ? 0 : uv_stream_get_write_queue_size(&stream->uv.stream) + joined;
}

size_t qp_stream_untaken_bytes(const struct qp_stream *stream)
{
    int queued = 0;

    if (stream->closing || ioctl(qp_stream_fd(stream), SIOCOUTQ, &queued) != 0)
        queued = 0;
    return qp_stream_pending_bytes(stream) + (size_t)queued;
}

bool qp_stream_is_full(const struct qp_stream *stream)
{
    return stream->full;
}
