#include "admin/host.h"
#include <arpa/inet.h>
#include <stdio.h>

enum { TEXT_BYTES = 160, HTTP_PORT = 80 };

static unsigned port_of(const struct qp_address *address)
{
    return ntohs(address->u.any.sa_family == AF_INET6 ? address->u.v6.sin6_port : address->u.v4.sin_port);
}

/* name, with brackets where it needs them; port 0: none is written. */
static bool is_name(struct qp_slice authority, const char *name, unsigned port)
{
    char text[TEXT_BYTES];
    if (port)
        snprintf(text, sizeof text, "%s:%u", name, port);
    else
        snprintf(text, sizeof text, "%s", name);
    return qp_slice_is_nocase(authority, qp_slice_str(text));
}

bool qp_admin_is_own_host(const struct qp_address *address, struct qp_slice authority)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    bool is_local = address->u.any.sa_family == AF_UNIX;
    unsigned port = is_local ? 0 : port_of(address);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_name(authority, names[i], port) || (port == HTTP_PORT && is_name(authority, names[i], 0)))
            return true;
    char own[TEXT_BYTES];
    if (is_local)
        return false;
    qp_address_format(address, own, sizeof own);
    if (is_name(authority, own, 0))
        return true;
    *strrchr(own, ':') = '\0';
    return port == HTTP_PORT && is_name(authority, own, 0);
}
