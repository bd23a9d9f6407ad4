/* stream.h - one byte stream, plain or TLS behind the same calls.
 *
 * Owner: who got it from a listener or a dial. It closes it exactly once with qp_stream_close() or qp_stream_linger(); both clear the
 * owner's pointer, and no event comes after. Handles are counted: the memory goes when the last one has closed.
 * Thread: its loop's. May call back: never from inside a call on it; events come from the top of the loop, and the
 * owner may close the stream in any of them.
 *
 * Output: qp_stream_write() keeps small pieces until the event that is being delivered ends (or the loop is about to wait) and
 * then writes them in one call; large pieces go straight from the caller's memory; only what the socket does not take is copied.
 * Between high and low mark a stream is "full": the owner stops what feeds it and gets `drained` when it may go on.
 * Input: bytes are lent to `data` from memory of the loop (read buffers exist only while data is there), so an idle stream holds
 * no buffer. Reading pauses and resumes by qp_stream_pause()/resume(), which cost no system call unless bytes really come during
 * the pause. No `data` comes while paused; `end` and `failed` may.
 */
#ifndef QP_NET_STREAM_H
#define QP_NET_STREAM_H

#include "base/result.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct qp_loop;
struct qp_stream;
struct qp_tls;

enum {
    QP_STREAM_HIGH_BYTES = 256 * 1024, /* full above */
    QP_STREAM_LOW_BYTES = 64 * 1024,   /* drained below */
    QP_STREAM_READ_BYTES = 64 * 1024,  /* the most that one `data` event carries */
    QP_STREAM_JOIN_BYTES = 16 * 1024   /* pieces up to this are joined before they are written */
};

struct qp_stream_events {
    /* Bytes, valid until the callee returns. Never empty. */
    void (*data)(void *owner, struct qp_slice bytes);
    /* The other side has ended its direction properly (FIN; TLS: close_notify). Writing is still possible. Comes at most once. */
    void (*end)(void *owner);
    /* Was full and no longer is. */
    void (*drained)(void *owner);
    /* The stream is dead in both directions: reset, TLS alert or fault, TLS cut without close_notify, write failure. No event
     * follows; the owner closes it. When a write meets a TCP reset while the stream is being read, what had arrived is delivered
     * first: an early answer to a request that the origin did not want to read whole. */
    void (*failed)(void *owner, enum qp_result why);
};

/* Hands the stream's events to another owner (a pooled stream changes hands for each exchange). */
void qp_stream_set_owner(struct qp_stream *stream, const struct qp_stream_events *events, void *owner);

/* Makes an accepted stream a TLS server's: the handshake runs by itself, `data` carries plain bytes. Requires that nothing was
 * read or written yet; tls is borrowed and outlives the stream. */
void qp_stream_serve_tls(struct qp_stream *stream, struct qp_tls *tls);

/* Begins delivering input. A new stream does not read. */
void qp_stream_resume(struct qp_stream *stream);
void qp_stream_pause(struct qp_stream *stream);

/* True if bytes have come that no `data` has brought yet: what lies here over a pause, or the beginning of a TLS record. (What the
 * socket holds is not looked at.) A stream that is to be used for something else must have none. */
bool qp_stream_holds_input(const struct qp_stream *stream);

/* True if the socket holds bytes that were not read: they have come, and only the loop has not got to them. A system call. */
bool qp_stream_has_unread(const struct qp_stream *stream);

/* Queues the pieces, in order. Borrows them for the call only. A failure is reported later by `failed`. */
void qp_stream_write(struct qp_stream *stream, const struct qp_slice *pieces, unsigned count);
/* Writes now what was kept for joining. */
void qp_stream_flush(struct qp_stream *stream);
/* Bytes that the socket has not taken yet. */
size_t qp_stream_pending_bytes(const struct qp_stream *stream);
/* The same and what the socket has taken, but the other side has not: the kernel keeps megabytes, and asks for more only when a good part
 * of them is gone, so that pending_bytes alone stands still while a slow reader reads. A system call. */
size_t qp_stream_untaken_bytes(const struct qp_stream *stream);
/* True from the moment that pending output passes the high mark until `drained` is about to be called. */
bool qp_stream_is_full(const struct qp_stream *stream);

/* Closes at once; unwritten output is lost. hard: with a TCP reset, so that the other side cannot mistake a cut for an
 * end. *slot becomes NULL; NULL inside is fine. */
void qp_stream_close(struct qp_stream **slot, bool hard);
/* Takes the stream: writes out what is pending, ends our direction (close_notify, FIN), discards input until the other side ends or
 * limit_ms has passed, then closes. So the last bytes written are not destroyed by a reset (RFC 9112 section 9.6). While output is pending
 * the limit begins again each time that rate_bytes a second of it (0: any) have been taken. */
void qp_stream_linger(struct qp_stream **slot, uint64_t limit_ms, uint64_t rate_bytes);
/* A stream that lingers on this loop has output that its socket has not taken yet: freeing the loop now would lose it. */
bool qp_stream_some_linger_owing(const struct qp_loop *loop);

struct qp_loop *qp_stream_loop(const struct qp_stream *stream);
/* Of the underlying socket, for SO_* looks and logs; -1 when closed. */
int qp_stream_fd(const struct qp_stream *stream);

/* How many streams are open on the loop, lingering ones included; for counters and the drain. */
unsigned qp_stream_count(const struct qp_loop *loop);

#endif
