/* tls.h - TLS 1.2 and 1.3 by mbedTLS; nothing outside net/ sees the library.
 *
 * qp_trust: a parsed CA chain, read-only after loading, shared by threads.
 * qp_tls: one role with its configuration, random generator and resumable sessions; belongs to one loop. A client's is for one
 * host name only, so that a session can never be offered to another host (RFC 8446 appendix C.4, fastpath note on cache keys).
 */
#ifndef QP_NET_TLS_H
#define QP_NET_TLS_H

#include "base/result.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct qp_loop;
struct qp_tls;
struct qp_trust;

/* Once per process, before threads. */
QP_MUST_USE enum qp_result qp_tls_init(void);

/* ca_file: a PEM bundle; NULL: the system's (the first that exists of the usual places, SSL_CERT_FILE first). Blocking. On failure `error` holds one line
 * with file, reason and remedy. */
QP_MUST_USE enum qp_result qp_trust_load(const char *ca_file, struct qp_trust **trust, char *error,
                                         size_t error_size);
void qp_trust_free(struct qp_trust **trust);

/* A verifying client for `host` (SNI and certificate name; an IP address is matched as such). ALPN offers http/1.1 only. Borrows trust, which must outlive it. */
struct qp_tls *qp_tls_client_new(struct qp_loop *loop, const struct qp_trust *trust, struct qp_slice host);

/* A server with certificate chain and key (PEM), issuing session tickets; for the tests' stand-in. */
QP_MUST_USE enum qp_result qp_tls_server_new(struct qp_loop *loop, const char *cert_file,
                                             const char *key_file, struct qp_tls **tls, char *error,
                                             size_t error_size);

/* Streams that still close or linger keep what they need; no new one may use it. *slot becomes NULL. */
void qp_tls_free(struct qp_tls **slot);

struct qp_tls_counters {
    uint64_t full_handshakes;
    uint64_t resumed_handshakes;
    uint64_t failed_handshakes;
};
/* Any thread, as long as tls lives. */
struct qp_tls_counters qp_tls_counters(const struct qp_tls *tls);

#endif
