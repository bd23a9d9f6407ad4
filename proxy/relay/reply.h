/* reply.h - our own answers: one table, one form. Pure.
 *
 * Each is a 4xx or 5xx, never 401, with X-Qproxy-Error: code and a body in Qualtrics' own envelope, so that client libraries can read it.
 */
#ifndef QP_RELAY_REPLY_H
#define QP_RELAY_REPLY_H

#include "base/buf.h"
#include "base/result.h"
#include "token/view.h"

#define QP_REPLY_MAP(X)                                                                                      \
    X(QP_REPLY_NO_ACCOUNT, 404, "no_account",                                                                \
      "no configured account matches this listener, path and Host; see the accounts' path_prefix, host and " \
      "listen")                                                                                              \
    X(QP_REPLY_LOOP, 508, "loop_detected",                                                                   \
      "the request has come through this qproxy before; correct the origin or the proxies in between")       \
    X(QP_REPLY_ORIGIN_RESOLVE, 502, "origin_unresolvable",                                                   \
      "the origin's host name does not resolve; check the account's datacenter and DNS")                     \
    X(QP_REPLY_ORIGIN_REFUSED, 502, "origin_refused",                                                        \
      "the origin refuses connections; check the account's datacenter or try again later")                   \
    X(QP_REPLY_ORIGIN_UNREACHABLE, 502, "origin_unreachable",                                                \
      "the origin cannot be reached; check the network and the firewall")                                    \
    X(QP_REPLY_ORIGIN_TLS, 502, "origin_tls",                                                                \
      "no TLS connection to the origin could be made; the log has the details")                              \
    X(QP_REPLY_ORIGIN_CERTIFICATE, 502, "origin_certificate",                                                \
      "the origin's certificate is not accepted; check ca_file and the host name; the log has the details")  \
    X(QP_REPLY_ORIGIN_CLOSED, 502, "origin_closed",                                                          \
      "the origin closed the connection before it answered; it is not known whether it acted on the "        \
      "request")                                                                                             \
    X(QP_REPLY_ORIGIN_MALFORMED, 502, "origin_malformed", "the origin's answer is not valid HTTP")           \
    X(QP_REPLY_ORIGIN_CONNECT_TIMEOUT, 504, "origin_connect_timeout",                                        \
      "no connection to the origin within timeouts.origin_connect")                                          \
    X(QP_REPLY_ORIGIN_HANDSHAKE_TIMEOUT, 504, "origin_handshake_timeout",                                    \
      "no TLS handshake with the origin within timeouts.origin_handshake")                                   \
    X(QP_REPLY_NO_DESCRIPTORS, 503, "no_descriptors",                                                        \
      "qproxy has no file descriptors left for a connection to the origin; raise its limit (LimitNOFILE, "   \
      "ulimit -n) or lower limits.connections")                                                              \
    X(QP_REPLY_ORIGIN_TIMEOUT, 504, "origin_timeout",                                                        \
      "the origin did not answer within timeouts.origin_response")                                           \
    X(QP_REPLY_ORIGIN_SLOW, 504, "origin_slow",                                                              \
      "the origin gives its answer or takes the request more slowly than limits.origin_rate")                \
    X(QP_REPLY_REQUEST_TIMEOUT, 504, "request_timeout",                                                      \
      "the whole request took longer than timeouts.request; ask for less at a time, or raise it")            \
    X(QP_REPLY_STREAM_TIMEOUT, 503, "origin_busy",                                                           \
      "no connection to the origin became free within timeouts.stream_wait; try again later")                \
    X(QP_REPLY_QUEUE_FULL, 503, "queue_full",                                                                \
      "too many requests wait for the origin or for a token; raise limits.waiting or send fewer at a time")  \
    X(QP_REPLY_TOKEN_COOLING_DOWN, 503, "token_unavailable",                                                 \
      "no token could be had and the next try waits; the log says why the last one failed")                  \
    X(QP_REPLY_TOKEN_SIGN_IN, 503, "sign_in_needed",                                                         \
      "somebody has to sign the account in: use the status page or `qproxy login`")                          \
    X(QP_REPLY_TOKEN_REFUSED, 502, "token_refused",                                                          \
      "the token endpoint does not accept the account's client_id, client_secret or scope; correct the "     \
      "configuration")                                                                                       \
    X(QP_REPLY_TOKEN_TIMEOUT, 503, "token_timeout", "no token within timeouts.token_wait; try again later")  \
    X(QP_REPLY_TOKEN_REJECTED, 502, "token_rejected",                                                        \
      "the origin rejects even fresh tokens of this account; check its datacenter and permissions")          \
    X(QP_REPLY_REPLAY_LOST, 502, "replay_lost",                                                              \
      "the kept copy of the request's body could not be read back; send the request again")                  \
    X(QP_REPLY_BROKEN, 502, "internal", "qproxy met a state that should not be; the log has the details")

enum qp_reply {
#define QP_REPLY_ENUM(name, status, code, text) name,
    QP_REPLY_MAP(QP_REPLY_ENUM)
#undef QP_REPLY_ENUM
        QP_REPLY_COUNT
};

struct qp_reply_row {
    uint16_t status;
    const char *code;
    const char *text;
};
const struct qp_reply_row *qp_reply_row(enum qp_reply reply);

/* What a failed dial, exchange or need is answered with. */
enum qp_reply qp_reply_for_dial(enum qp_result why);
enum qp_reply qp_reply_for_exchange(enum qp_result why);
enum qp_reply qp_reply_for_need(enum qp_need_outcome outcome);

#define QP_REPLY_CONTENT_TYPE "application/json"

/* qp_envelope_error(). */
void qp_reply_body(struct qp_buf *body, unsigned status, const char *code, const char *text,
                   const char *detail, uint64_t conn, uint64_t request);
/* Content-Type and X-Qproxy-Error lines and, for retry_after_s > 0, "Retry-After: n\r\n". */
void qp_reply_extra(struct qp_buf *lines, const char *code, uint32_t retry_after_s);

#endif
