/* dial.h - resolve, connect, handshake as one cancellable call with one deadline.
 *
 * A dialer knows where (host and port) and how (plain or TLS); it keeps resolved addresses for 30 s and, through its
 * qp_tls, sessions for resumption. Addresses are tried in the order that the resolver gives, the next one when one fails.
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
};

struct qp_dialer *qp_dialer_new(struct qp_loop *loop, const struct qp_dialer_opts *opts);
/* Requires that no dial is running; its streams may still be closing. *slot becomes NULL. */
void qp_dialer_free(struct qp_dialer **slot);

struct qp_dial_events {
    /* The stream is ready (callee owns it; set its owner, then resume it), or NULL with the reason; `detail` is a short text for
     * the log, such as the certificate's fault. The dial is over: its handle is already gone. */
    void (*done)(void *owner, struct qp_stream *stream, enum qp_result result, const char *detail);
};

/* Never calls back before it has returned. */
struct qp_dial *qp_dial_start(struct qp_dialer *dialer, const struct qp_dial_events *events, void *owner);
/* No event follows. *slot becomes NULL. */
void qp_dial_cancel(struct qp_dial **slot);

/* Any thread, as long as the dialer lives. */
struct qp_tls_counters qp_dialer_tls_counters(const struct qp_dialer *dialer);

#endif
