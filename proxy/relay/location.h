/* location.h - Location and Content-Location towards the account's own API, led back to the address that the client used. Pure.
 *
 * Only https://ORIGIN/API/... is, ORIGIN being the account's own host and port: what a redirect to another host means, qproxy does not know.
 * A reference that begins with /API/ stays one, and gets the account's path_prefix where it has one. What stands behind stays byte for byte.
 */
#ifndef QP_RELAY_LOCATION_H
#define QP_RELAY_LOCATION_H

#include "relay/links.h"

/* Appends the value that leads back; false, and nothing is appended, if the field stays as it is. */
bool qp_location_lead_back(const struct qp_links_rules *rules, struct qp_slice path_prefix,
                           struct qp_slice value, struct qp_buf *out);

#endif
