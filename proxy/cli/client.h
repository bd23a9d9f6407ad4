/* client.h - a small blocking HTTP client for an admin listener: one request, one connection, one answer. Any thread without a loop.
 *
 * Answers are parsed by http/; whatever answers there need not be qproxy, so everything is bounded in bytes and in time.
 */
#ifndef QP_CLI_CLIENT_H
#define QP_CLI_CLIENT_H

#include "base/buf.h"
#include "base/result.h"
#include "base/secret.h"
#include "net/address.h"
#include <sys/types.h>

enum { QP_CLIENT_MOST_BODY_BYTES = 4 * 1024 * 1024, QP_CLIENT_COOKIE_BYTES = 512, QP_CLIENT_TRUSTED = 8 };

/* Users of this machine. */
struct qp_client_trusted {
    uid_t users[QP_CLIENT_TRUSTED];
    unsigned count;
};

struct qp_client {
    struct qp_address address;     /* of the listener, one that can be dialled */
    const struct qp_secret *token; /* borrowed; sent as a bearer token; NULL: none is */
    int stop_fd;                   /* readable: give up; -1: nothing does that */
    /* Borrowed; nothing is sent to who listens there as another user. NULL: whoever answers will do. */
    const struct qp_client_trusted *trusted;
};

struct qp_client_request {
    const char *method;
    const char *target;
    struct qp_slice form; /* a form's members, encoded; not set: no body */
    const char *cookie;   /* "name=value"; NULL: none */
    const char *csrf;     /* NULL: none */
    uint32_t limit_ms;    /* for all of it */
};

struct qp_client_answer {
    unsigned status;
    struct qp_buf body;
    char cookie[QP_CLIENT_COOKIE_BYTES]; /* "name=value" of the first Set-Cookie; else empty */
};

/* QP_OK: there is an answer, of whatever status. Results beside those of the network: QP_NET_TIMEOUT, QP_NET_DENIED (a Unix socket that is
 * not for this user), QP_NET_STRANGER (it is none of the trusted users), QP_HTTP_*, QP_SELF_CANCELED (stop_fd). The answer is to be given back after QP_OK only. */
QP_MUST_USE enum qp_result qp_client_ask(const struct qp_client *client,
                                         const struct qp_client_request *request,
                                         struct qp_client_answer *answer);
/* Wipes it: what an admin listener says has the right to change things. */
void qp_client_answer_deinit(struct qp_client_answer *answer);

/* Appends `text` as part of a path, or as the value of a form's member: all but RFC 3986's unreserved characters escaped. */
void qp_client_put_escaped(struct qp_buf *out, struct qp_slice text);

#endif
