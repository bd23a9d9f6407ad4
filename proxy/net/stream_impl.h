/* stream_impl.h - the inside of a stream. Private to net/.
 *
 *   stream.c      life, events, reading
 *   stream_out.c  joining, writing, marks
 *   stream_tls.c  a TLS session between the socket and the owner
 *   linger.c      the patient end
 */
#ifndef QP_NET_STREAM_IMPL_H
#define QP_NET_STREAM_IMPL_H

#include "net/loop_impl.h"
#include "net/stream.h"

struct sockaddr;
struct qp_tls_session;

/* Many of these lie idle, each with a client connection: nothing is in here that only a busy stream needs. */
struct qp_stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const struct qp_stream_events *events;
    void *owner;
    struct qp_tls_session *tls; /* NULL: plain */
    struct qp_block *join;      /* small pieces before they are written; always plain bytes */
    struct qp_list attention;   /* linked: qp_stream_attend() is due */
    uint32_t in_flight_count;   /* blocks that libuv holds */
    enum qp_result fault : 8;   /* not QP_OK: dead */
    bool closing : 1;
    bool paused : 1;      /* the owner wants no data */
    bool reading : 1;     /* libuv reads */
    bool ended : 1;       /* the other side's direction is over */
    bool dirty : 1;       /* the joining block waits to be flushed */
    bool full : 1;        /* over the high mark and not yet told otherwise */
    bool reported : 1;    /* the owner knows of the fault */
    bool discarding : 1;  /* lingering: input is thrown away */
    bool bytes_first : 1; /* a reset met while writing: what had arrived before it is still delivered */
};

_Static_assert(sizeof(struct qp_stream) <= 352, "an idle client connection may cost 512 bytes altogether");

/* A plain TCP stream without a socket yet, for connecting; paused. */
struct qp_stream *qp_stream_new_tcp(struct qp_loop *loop);
/* Takes a connected descriptor (closes it on failure); NULL on failure. */
struct qp_stream *qp_stream_adopt(struct qp_loop *loop, int fd, int family);

/* Puts the stream on the loop's list for attention. */
void qp_stream_alert(struct qp_stream *stream);
/* Flushes and reports what is due. From the top of the loop. */
void qp_stream_attend(struct qp_stream *stream);
/* Marks the stream dead; the owner hears of it from the top of the loop. */
void qp_stream_fail(struct qp_stream *stream, enum qp_result why);

/* To the owner, unless he has closed; from the top of the loop. */
void qp_stream_deliver(struct qp_stream *stream, struct qp_slice bytes);
void qp_stream_deliver_end(struct qp_stream *stream);
/* Makes libuv read if somebody wants bytes now. Stopping is left to the next read that finds nobody. */
void qp_stream_update_reading(struct qp_stream *stream);

/* Copies raw bytes (cipher or plain) into blocks and hands them to libuv. */
void qp_stream_queue_raw(struct qp_stream *stream, struct qp_slice bytes);
/* Tries to write raw pieces at once; gives how many bytes the socket took. */
size_t qp_stream_try_raw(struct qp_stream *stream, const uv_buf_t *pieces, unsigned count);
/* As qp_stream_flush(), and does not wait for blocks in flight. */
void qp_stream_flush_all(struct qp_stream *stream);
/* Gives the joining block back with what is in it. */
void qp_stream_drop_output(struct qp_stream *stream);

void qp_stream_end_lingering(struct qp_loop *loop);
/* Somebody needs a descriptor: closes what lingers and owes nothing. False: there was nothing to close. From the top of the loop. */
bool qp_stream_end_settled(struct qp_loop *loop);

/* Starts a TLS session on the stream; ready() is called once, from the top of the loop, when the handshake is done. A failed
 * handshake is an ordinary fault of the stream. */
void qp_stream_start_tls(struct qp_stream *stream, struct qp_tls *tls, void (*ready)(void *owner));
/* Cipher bytes from the socket. */
void qp_stream_tls_feed(struct qp_stream *stream, struct qp_slice cipher);
void qp_stream_tls_resume(struct qp_stream *stream);
/* True: the owner may not have the next bytes yet, whatever the socket holds. */
bool qp_stream_tls_holds_back(const struct qp_stream *stream);
/* See qp_stream_holds_input(). */
bool qp_stream_tls_holds_input(const struct qp_stream *stream);
bool qp_stream_tls_is_ready(const struct qp_stream *stream);
/* Encrypts and writes (or queues) plain bytes. Requires a finished handshake. */
void qp_stream_tls_write(struct qp_stream *stream, struct qp_slice plain);
/* Hands the records that were made to the socket. */
void qp_stream_tls_push(struct qp_stream *stream);
void qp_stream_tls_close_notify(struct qp_stream *stream);
void qp_stream_tls_free(struct qp_stream *stream);
/* Why the handshake failed, in words; empty when it did not. */
const char *qp_stream_tls_detail(const struct qp_stream *stream);

#endif
