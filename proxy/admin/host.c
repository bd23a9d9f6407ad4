#include "admin/host.h"
#include "admin/admin.h"
#include <arpa/inet.h>
#include <stdio.h>

enum { TEXT_BYTES = 128, URI_BYTES = 160, HTTP_PORT = 80 };

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

static bool is_listed(const struct qp_admin_names *names, struct qp_slice authority)
{
    for (unsigned i = 0; i < names->host_count; i++)
        if (authority.len > 0 && qp_slice_is_nocase(authority, qp_slice_str(names->hosts[i])))
            return true;
    return false;
}

static bool is_address(const struct qp_address *address, struct qp_slice authority)
{
    char own[TEXT_BYTES];
    if (address->u.any.sa_family == AF_UNIX)
        return false;
    qp_address_format(address, own, sizeof own);
    if (is_name(authority, own, 0))
        return true;
    *strrchr(own, ':') = '\0';
    return port_of(address) == HTTP_PORT && is_name(authority, own, 0);
}

bool qp_admin_is_own_host(const struct qp_admin_names *names, struct qp_slice authority)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    unsigned port = names->address->u.any.sa_family == AF_UNIX ? 0 : port_of(names->address);
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        if (is_name(authority, loopback[i], port) ||
            (port == HTTP_PORT && is_name(authority, loopback[i], 0)))
            return true;
    return is_address(names->address, authority) || is_listed(names, authority);
}

/* ---- what browsers say of where they come from ---- */

static bool is_prefixed(struct qp_slice text, const char *prefix, struct qp_slice rest)
{
    struct qp_slice start = qp_slice_str(prefix);
    return qp_slice_starts(text, start) &&
           qp_slice_is_nocase(qp_slice(text.at + start.len, text.len - start.len), rest);
}

bool qp_admin_is_own_origin(const struct qp_admin_names *names, struct qp_slice authority,
                            struct qp_slice origin)
{
    if (names->address->u.any.sa_family == AF_UNIX && qp_slice_is(origin, QP_SLICE("http://localhost")))
        return true;
    return is_prefixed(origin, "http://", authority) ||
           (is_listed(names, authority) && is_prefixed(origin, "https://", authority));
}

/* ---- where sign-ins come back to ---- */

void qp_admin_redirect_uri(const struct qp_address *addresses, unsigned address_count, char out[160])
{
    char text[TEXT_BYTES];
    out[0] = '\0';
    for (unsigned i = 0; i < address_count && !out[0]; i++) {
        struct qp_address address = qp_address_dialled(&addresses[i]);
        if (address.u.any.sa_family != AF_UNIX)
            snprintf(out, URI_BYTES, "http://%s/oauth/callback",
                     qp_address_format(&address, text, sizeof text));
    }
}
