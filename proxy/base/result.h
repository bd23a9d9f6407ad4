/* result.h - how a call ended.
 *
 * One enum for every room. The letter codes appear in logs and counters, the text in messages; both stand once,
 * in the map below. Results are values of a function, never mixed with data; outputs are written only on QP_OK.
 * The network's results do not name a side: whoever owns the stream knows whether it is the client's or the
 * origin's, and says so when it reports.
 */
#ifndef QP_BASE_RESULT_H
#define QP_BASE_RESULT_H

/*        enumerator           text                                                                            */
#define QP_RESULT_MAP(X)                                             \
    X(QP_OK, "ok")                                                   \
    X(QP_AGAIN, "not now")                                           \
    /* net: streams */                                               \
    X(QP_NET_END, "connection closed")                               \
    X(QP_NET_RESET, "connection reset")                              \
    X(QP_NET_TRUNCATED, "connection cut without a TLS close_notify") \
    X(QP_NET_TIMEOUT, "time limit reached")                          \
    X(QP_NET_RESOLVE, "host name does not resolve")                  \
    X(QP_NET_REFUSED, "connection refused")                          \
    X(QP_NET_UNREACHABLE, "host unreachable")                        \
    X(QP_NET_TLS, "TLS failure")                                     \
    X(QP_NET_TLS_VERIFY, "certificate not accepted")                 \
    X(QP_NET_TLS_TIMEOUT, "TLS handshake not finished in time")      \
    X(QP_NET_IN_USE, "address in use")                               \
    X(QP_NET_DENIED, "not permitted")                                \
    X(QP_NET_STRANGER, "another user is at the other end")           \
    X(QP_NET_DESCRIPTORS, "no file descriptors left")                \
    X(QP_NET_FAILED, "network failure")                              \
    /* http: messages */                                             \
    X(QP_HTTP_MALFORMED, "malformed message")                        \
    X(QP_HTTP_TOO_LARGE, "message over its limit")                   \
    X(QP_HTTP_TRUNCATED, "message cut short")                        \
    X(QP_HTTP_UNEXPECTED, "bytes outside a message")                 \
    /* ourselves */                                                  \
    X(QP_SELF_MEMORY, "out of memory")                               \
    X(QP_SELF_BUSY, "queue full")                                    \
    X(QP_SELF_IO, "file error")                                      \
    X(QP_SELF_CANCELED, "canceled")                                  \
    X(QP_SELF_BROKEN, "internal contradiction")

enum qp_result {
#define QP_RESULT_ENUM(name, text) name,
    QP_RESULT_MAP(QP_RESULT_ENUM)
#undef QP_RESULT_ENUM
};

#define QP_MUST_USE __attribute__((warn_unused_result))

/* The text of the map; never NULL. */
const char *qp_result_text(enum qp_result result);

/* The enumerator's own name, for logs: "QP_NET_RESET". */
const char *qp_result_name(enum qp_result result);

#endif
