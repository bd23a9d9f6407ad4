/* per_address.h - how many sessions each client address has; private to server/.
 *
 * A hash table of counts, with an entry only for addresses that have a session now: bounded by the number of sessions.
 */
#ifndef QP_SERVER_PER_ADDRESS_H
#define QP_SERVER_PER_ADDRESS_H

#include "net/address.h"
#include <stdbool.h>
#include <stdint.h>

/* A client's address without what a sockaddr has beside it: sessions are many. */
struct qp_client_address {
    uint8_t bytes[16];
    uint16_t port;
    uint8_t family; /* AF_INET, AF_INET6; else a Unix socket */
};

enum { QP_PER_ADDRESS_BUCKETS = 256 };

struct qp_per_address_entry;

struct qp_per_address {
    struct qp_per_address_entry *buckets[QP_PER_ADDRESS_BUCKETS];
    uint64_t seed;
};

void qp_client_address_set(struct qp_client_address *client, const struct qp_address *from);
/* "127.0.0.1:5312", "unix:", cut at `size`. Gives `out`. */
char *qp_client_address_format(const struct qp_client_address *client, char *out, size_t size);

/* Counts one more, unless the address has `limit` already. Unix sockets have no address to count by: always true. */
bool qp_per_address_add(struct qp_per_address *table, const struct qp_client_address *client, uint32_t limit);
void qp_per_address_remove(struct qp_per_address *table, const struct qp_client_address *client);

#endif
