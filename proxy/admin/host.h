/* host.h - does a request mean us, and under which address do browsers come back? Pure. Private to admin/. */
#ifndef QP_ADMIN_HOST_H
#define QP_ADMIN_HOST_H

#include "net/address.h"

/* What a listener answers to. */
struct qp_admin_names {
    const struct qp_address *address;
    const char *const *hosts; /* further ones, as a Host field has them */
    unsigned host_count;
};

/* authority: of a Host field or of an absolute target. True for localhost, 127.0.0.1, [::1] and the address itself, each with the
 * port that is listened on (which may be left out where it is 80), for `hosts`, and for nothing else. At a Unix socket, where no port
 * is: the bare names. */
bool qp_admin_is_own_host(const struct qp_admin_names *names, struct qp_slice authority);
/* origin: of an Origin field. True if it is http://AUTHORITY; also https://AUTHORITY where that is one of `hosts`, for a TLS server may
 * stand before us under that name; at a Unix socket: http://localhost, whatever was called. Requires that the authority is our own. */
bool qp_admin_is_own_origin(const struct qp_admin_names *names, struct qp_slice authority,
                            struct qp_slice origin);

#endif
