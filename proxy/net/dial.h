/* dial.h - resolve, connect, handshake as one cancellable call with one deadline.
 *
 * A dialer knows where (host and port) and how (plain or TLS); it keeps resolved addresses (resolve.h) and, through its qp_tls,
 * sessions for resumption. Addresses are raced as in RFC 8305: in the resolver's order with the families taking turns, the next one 250 ms
 * after the one before or as soon as that has failed; the first TCP connection wins. If its handshake is cut or takes too long, the
 * race goes on with the others; a certificate or a TLS alert ends the dial, since every address would show the same.
 */
#ifndef QP_NET_DIAL_H
#define QP_NET_DIAL_H

#include "net/stream.h"
#include "net/tls.h"

struct qp_dialer;
struct qp_dial;

struct qp_dialer_opts {
    struct qp_slice host; /* name or address, without brackets; copied */
    uint16_t port;
    const struct qp_trust *trust; /* NULL: plain (tests only: a configured origin is always https) */
    uint32_t timeout_ms;          /* for resolving, connecting and the handshake together */
    uint32_t handshake_ms;        /* for the TLS handshake at one address; 0: no limit but the above */
    uint32_t resolve_ms;          /* how long resolved addresses hold; 0: 30 s */
};

/* Once per process, before the first dial: so many dialers there will be. Each resolves on a thread of libuv's pool, and a name that hangs
 * should not hold up the others; UV_THREADPOOL_SIZE in the environment overrides it. */
void qp_dial_expect(unsigned dialers);

struct qp_dialer *qp_dialer_new(struct qp_loop *loop, const struct qp_dialer_opts *opts);
/* Requires that no dial is running; its streams may still be closing. *slot becomes NULL. */
void qp_dialer_free(struct qp_dialer **slot);

struct qp_dial_events {
    /* The stream is ready (callee owns it; set its owner, then resume it), or NULL with the reason; `detail` is a short text for
     * the log, such as the certificate's fault. The dial is over: its handle is already gone. Results: QP_NET_RESOLVE (also for a resolver
     * that does not answer), QP_NET_TIMEOUT (timeout_ms), QP_NET_TLS_TIMEOUT (handshake_ms), QP_NET_RESET (cut in the handshake),
     * QP_NET_TLS, QP_NET_TLS_VERIFY, QP_NET_DESCRIPTORS, or what connect() said at the last address. */
    void (*done)(void *owner, struct qp_stream *stream, enum qp_result result, const char *detail);
};

/* Never calls back before it has returned. */
struct qp_dial *qp_dial_start(struct qp_dialer *dialer, const struct qp_dial_events *events, void *owner);
/* No event follows. *slot becomes NULL. */
void qp_dial_cancel(struct qp_dial **slot);

/* Whether a stream that this dialer made leads to one of the host's present addresses; for streams that are kept, at each use: it also has
 * the host resolved anew, in the background, when that is due. *mark: kept by the caller with the stream, 0 at first; it makes the
 * question cost a comparison, and a system call only after addresses have gone. */
bool qp_dialer_is_current(struct qp_dialer *dialer, const struct qp_stream *stream, uint32_t *mark);

/* Any thread, as long as the dialer lives. */
struct qp_tls_counters qp_dialer_tls_counters(const struct qp_dialer *dialer);

#endif
