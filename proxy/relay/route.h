/* route.h - which account a request is for. Pure. */
#ifndef QP_RELAY_ROUTE_H
#define QP_RELAY_ROUTE_H

#include "relay/relay.h"

/* The account whose own listener it came by; else the one whose path prefix and Host names (those that it has) fit; else the one that has
 * neither; -1: none. The configuration has made sure that no two can fit. *target becomes what the origin is asked for: without the
 * account's prefix. */
int qp_route(const struct qp_relay_opts *opts, unsigned listener_id, struct qp_slice authority,
             struct qp_slice *target);

#endif
