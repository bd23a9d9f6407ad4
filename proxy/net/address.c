/* address.c - the text form of addresses. */
#include "net/address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

static bool parse_port(struct qp_slice text, in_port_t *port)
{
    uint64_t value;

    if (text.len > 5 || !qp_slice_to_u64(text, &value) || value > 65535)
        return false;
    *port = htons((uint16_t)value);
    return true;
}

static enum qp_result parse_local(struct qp_slice path, struct qp_address *address, const char **why)
{
    struct sockaddr_un *local = &address->u.local;

    if (path.len == 0 || path.at[0] != '/') {
        *why = "a Unix socket needs an absolute path, such as unix:/run/qproxy.sock";
        return QP_NET_FAILED;
    }
    if (path.len >= sizeof(local->sun_path)) {
        *why = "the path of a Unix socket may have at most 107 bytes";
        return QP_NET_FAILED;
    }
    if (memchr(path.at, 0, path.len)) {
        *why = "the path of a Unix socket may not hold a NUL byte";
        return QP_NET_FAILED;
    }
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, path.at, path.len);
    address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return QP_OK;
}

static enum qp_result parse_numeric(struct qp_slice host, struct qp_slice port, struct qp_address *address,
                                    const char **why)
{
    char text[INET6_ADDRSTRLEN];
    bool v6 = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';

    if (v6)
        host = qp_slice(host.at + 1, host.len - 2);
    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.at, 0, host.len)) {
        *why = "give a numeric address and a port, such as 127.0.0.1:8080 or [::1]:8080";
        return QP_NET_FAILED;
    }
    memcpy(text, host.at, host.len);
    text[host.len] = 0;
    if (v6) {
        address->u.v6.sin6_family = AF_INET6;
        address->len = sizeof(address->u.v6);
    } else {
        address->u.v4.sin_family = AF_INET;
        address->len = sizeof(address->u.v4);
    }
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text,
                  v6 ? (void *)&address->u.v6.sin6_addr : &address->u.v4.sin_addr) != 1) {
        *why = memchr(host.at, ':', host.len) && !v6
                   ? "an IPv6 address stands in brackets, such as [::1]:8080"
                   : "names are not resolved here; give a numeric address";
        return QP_NET_FAILED;
    }
    if (!parse_port(port, v6 ? &address->u.v6.sin6_port : &address->u.v4.sin_port)) {
        *why = "the port must be a number from 0 to 65535";
        return QP_NET_FAILED;
    }
    return QP_OK;
}

enum qp_result qp_address_parse(struct qp_slice text, struct qp_address *out, const char **why)
{
    struct qp_address address = {0};
    enum qp_result result;
    const char *colon = text.len > 0 ? memrchr(text.at, ':', text.len) : NULL;

    if (qp_slice_starts(text, QP_SLICE("unix:"))) {
        result = parse_local(qp_slice(text.at + 5, text.len - 5), &address, why);
    } else if (!colon || (text.at[0] == '[' && text.at[text.len - 1] == ']')) {
        *why = "a port is missing, such as in 127.0.0.1:8080";
        result = QP_NET_FAILED;
    } else {
        size_t host_len = (size_t)(colon - text.at);
        result = parse_numeric(qp_slice(text.at, host_len), qp_slice(colon + 1, text.len - host_len - 1),
                               &address, why);
    }
    if (result == QP_OK)
        *out = address;
    return result;
}

/* Of a Unix socket's path: an unnamed socket has none. */
static struct qp_slice local_path(const struct qp_address *address)
{
    size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t room = address->len > before ? address->len - before : 0;

    return qp_slice(address->u.local.sun_path, strnlen(address->u.local.sun_path, room));
}

char *qp_address_format(const struct qp_address *address, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "?";

    switch (address->u.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address->u.v4.sin_addr, text, sizeof(text));
        snprintf(out, size, "%s:%u", text, (unsigned)ntohs(address->u.v4.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &address->u.v6.sin6_addr, text, sizeof(text));
        snprintf(out, size, "[%s]:%u", text, (unsigned)ntohs(address->u.v6.sin6_port));
        break;
    case AF_UNIX: {
        struct qp_slice path = local_path(address);
        snprintf(out, size, "unix:%.*s", QP_SLICE_FMT(path));
        break;
    }
    default:
        snprintf(out, size, "?");
    }
    return out;
}

bool qp_address_is_loopback(const struct qp_address *address)
{
    switch (address->u.any.sa_family) {
    case AF_INET:
        return ntohl(address->u.v4.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&address->u.v6.sin6_addr);
    default:
        return address->u.any.sa_family == AF_UNIX;
    }
}

bool qp_address_equal(const struct qp_address *a, const struct qp_address *b)
{
    if (a->u.any.sa_family != b->u.any.sa_family)
        return false;
    switch (a->u.any.sa_family) {
    case AF_INET:
        return a->u.v4.sin_port == b->u.v4.sin_port && a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
    case AF_INET6:
        return a->u.v6.sin6_port == b->u.v6.sin6_port && a->u.v6.sin6_scope_id == b->u.v6.sin6_scope_id &&
               IN6_ARE_ADDR_EQUAL(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr);
    case AF_UNIX:
        return qp_slice_is(local_path(a), local_path(b));
    default:
        return false;
    }
}

struct qp_address qp_address_dialled(const struct qp_address *listened)
{
    struct qp_address address = *listened;
    if (address.u.any.sa_family == AF_INET && address.u.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        address.u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (address.u.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.u.v6.sin6_addr))
        address.u.v6.sin6_addr = in6addr_loopback;
    return address;
}
