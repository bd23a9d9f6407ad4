/* address.h - where to listen. Pure. "127.0.0.1:8080", "[::1]:8080", "unix:/path". */
#ifndef QP_NET_ADDRESS_H
#define QP_NET_ADDRESS_H

#include "base/result.h"
#include "base/slice.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct qp_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } u;
    socklen_t len;
};

/* A numeric address with a port (0: let the kernel choose), or an absolute Unix path. Names are not resolved. On failure *why
 * is a constant text that says what is wrong and what is allowed. */
QP_MUST_USE enum qp_result qp_address_parse(struct qp_slice text, struct qp_address *address,
                                            const char **why);
/* The form that qp_address_parse() reads, cut at `size`. Gives `out`. */
char *qp_address_format(const struct qp_address *address, char *out, size_t size);
bool qp_address_is_loopback(const struct qp_address *address); /* 127/8, ::1 or a Unix socket */
/* Where to dial one that is listened on: of a wildcard its family's loopback. */
struct qp_address qp_address_dialled(const struct qp_address *listened);
bool qp_address_equal(const struct qp_address *a, const struct qp_address *b);

#endif
