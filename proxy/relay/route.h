/* route.h - which account a request is for. Pure. */
#ifndef QP_RELAY_ROUTE_H
#define QP_RELAY_ROUTE_H

#include "relay/relay.h"

/* The account by listener, then path prefix (the longest), then Host, then the only account that has neither; -1: none. The configuration has made
 * sure that no two can match. *target becomes what the origin is asked for: without the account's prefix. */
int qp_route(const struct qp_relay_opts *opts, unsigned listener_id, struct qp_slice authority,
             struct qp_slice *target);

#endif
