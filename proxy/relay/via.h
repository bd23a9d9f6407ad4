/* via.h - our mark in the Via field (RFC 9110 section 7.6.3), and by it the requests that come back to us. Pure.
 *
 * The mark of a request is "1.1 NAME (INSTANCE)": the pseudonym, and a comment that is another one in every process. So two qproxies of one
 * name may stand in a row, and a request that comes back is known at once. Comments may be removed on the way: a name that stands there
 * QP_VIA_NAMES_MOST times already is a loop, too.
 */
#ifndef QP_RELAY_VIA_H
#define QP_RELAY_VIA_H

#include "base/buf.h"
#include "http/fields.h"

enum { QP_VIA_NAMES_MOST = 4 };

/* The line with CRLF. instance: unset in answers, which do not come back. */
void qp_via_write(unsigned major, unsigned minor, struct qp_slice name, struct qp_slice instance,
                  struct qp_buf *line);

/* True if a request with these fields has been here before. */
bool qp_via_is_loop(const struct qp_fields *fields, struct qp_slice name, struct qp_slice instance);

#endif
