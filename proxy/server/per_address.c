#include "server/per_address.h"

#include "base/alloc.h"
#include "base/check.h"
#include <stdio.h>
#include <string.h>

struct qp_per_address_entry {
    struct qp_per_address_entry *next;
    uint8_t bytes[16];
    uint8_t family;
    uint32_t count;
};

void qp_client_address_set(struct qp_client_address *client, const struct qp_address *from)
{
    *client = (struct qp_client_address){.family = AF_UNIX};
    if (from->u.any.sa_family == AF_INET) {
        client->family = AF_INET;
        client->port = from->u.v4.sin_port;
        memcpy(client->bytes, &from->u.v4.sin_addr, sizeof(from->u.v4.sin_addr));
    } else if (from->u.any.sa_family == AF_INET6) {
        client->family = AF_INET6;
        client->port = from->u.v6.sin6_port;
        memcpy(client->bytes, &from->u.v6.sin6_addr, sizeof(from->u.v6.sin6_addr));
    }
}

char *qp_client_address_format(const struct qp_client_address *client, char *out, size_t size)
{
    struct qp_address address = {0};

    switch (client->family) {
    case AF_INET:
        address.u.v4.sin_family = AF_INET;
        address.u.v4.sin_port = client->port;
        memcpy(&address.u.v4.sin_addr, client->bytes, sizeof(address.u.v4.sin_addr));
        address.len = sizeof(address.u.v4);
        return qp_address_format(&address, out, size);
    case AF_INET6:
        address.u.v6.sin6_family = AF_INET6;
        address.u.v6.sin6_port = client->port;
        memcpy(&address.u.v6.sin6_addr, client->bytes, sizeof(address.u.v6.sin6_addr));
        address.len = sizeof(address.u.v6);
        return qp_address_format(&address, out, size);
    default:
        snprintf(out, size, "unix:");
        return out;
    }
}

static bool is_counted(const struct qp_client_address *client)
{
    return client->family == AF_INET || client->family == AF_INET6;
}

/* FNV-1a from a seed of this process, so that nobody outside can choose addresses that meet in one bucket. */
static struct qp_per_address_entry **bucket_of(struct qp_per_address *table,
                                               const struct qp_client_address *client)
{
    uint64_t hash = 0xcbf29ce484222325U ^ table->seed;

    for (size_t i = 0; i < sizeof(client->bytes); i++)
        hash = (hash ^ client->bytes[i]) * 0x100000001b3U;
    return &table->buckets[(hash >> 32) % QP_PER_ADDRESS_BUCKETS];
}

/* Where the pointer to the entry stands, or the end of the bucket. */
static struct qp_per_address_entry **find(struct qp_per_address *table,
                                          const struct qp_client_address *client)
{
    struct qp_per_address_entry **at = bucket_of(table, client);

    while (*at && ((*at)->family != client->family ||
                   memcmp((*at)->bytes, client->bytes, sizeof(client->bytes)) != 0))
        at = &(*at)->next;
    return at;
}

bool qp_per_address_add(struct qp_per_address *table, const struct qp_client_address *client, uint32_t limit)
{
    if (!is_counted(client))
        return true;
    struct qp_per_address_entry **at = find(table, client);
    if (*at && (*at)->count >= limit)
        return false;
    if (!*at) {
        *at = qp_alloc(sizeof(**at));
        (*at)->family = client->family;
        memcpy((*at)->bytes, client->bytes, sizeof(client->bytes));
    }
    (*at)->count++;
    return true;
}

void qp_per_address_remove(struct qp_per_address *table, const struct qp_client_address *client)
{
    if (!is_counted(client))
        return;
    struct qp_per_address_entry **at = find(table, client);
    struct qp_per_address_entry *entry = *at;

    qp_require(entry);
    if (--entry->count > 0)
        return;
    *at = entry->next;
    qp_free(entry);
}
