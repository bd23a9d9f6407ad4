#include "relay/route.h"

/* "/brand" matches "/brand" and "/brand/x", not "/brandy"; nor "/brand?x", which would leave a target without a path. */
static bool has_prefix(struct qp_slice target, struct qp_slice prefix)
{
    return prefix.len && qp_slice_starts(target, prefix) &&
           (target.len == prefix.len || target.at[prefix.len] == '/');
}

/* RFC 9112 section 3.2.1: an empty path becomes "/". */
static struct qp_slice without_prefix(struct qp_slice target, size_t prefix_len)
{
    struct qp_slice rest = qp_slice(target.at + prefix_len, target.len - prefix_len);
    return rest.len ? rest : QP_SLICE("/");
}

/* Without the port; an IPv6 address without its brackets. */
static struct qp_slice host_of(struct qp_slice authority)
{
    if (authority.len && authority.at[0] == '[') {
        const char *end = memchr(authority.at, ']', authority.len);
        return end ? qp_slice(authority.at + 1, (size_t)(end - authority.at) - 1) : authority;
    }
    return qp_slice_cut(&authority, ':');
}

static bool has_host(const struct qp_relay_account *account, struct qp_slice host)
{
    for (unsigned i = 0; i < account->host_count; i++)
        if (qp_slice_is_nocase(qp_slice_str(account->hosts[i]), host))
            return true;
    return false;
}

static int by_prefix(const struct qp_relay_opts *opts, struct qp_slice *target)
{
    int found = -1;
    size_t found_len = 0;
    for (unsigned i = 0; i < opts->account_count; i++) {
        struct qp_slice prefix = qp_slice_str(opts->accounts[i].path_prefix);
        if (prefix.len > found_len && has_prefix(*target, prefix)) {
            found = (int)i;
            found_len = prefix.len;
        }
    }
    if (found >= 0)
        *target = without_prefix(*target, found_len);
    return found;
}

static bool has_own_listener(const struct qp_relay_opts *opts, int account)
{
    for (unsigned i = 0; i < opts->listener_count; i++)
        if (opts->listener_accounts[i] == account)
            return true;
    return false;
}

int qp_route(const struct qp_relay_opts *opts, unsigned listener_id, struct qp_slice authority,
             struct qp_slice *target)
{
    if (listener_id < opts->listener_count && opts->listener_accounts[listener_id] != QP_LISTENER_ANY) {
        int own = opts->listener_accounts[listener_id];
        struct qp_slice prefix = qp_slice_str(opts->accounts[own].path_prefix);
        if (has_prefix(*target, prefix))
            *target = without_prefix(*target, prefix.len);
        return own;
    }
    int found = by_prefix(opts, target);
    if (found >= 0)
        return found;
    struct qp_slice host = authority.at ? host_of(authority) : QP_SLICE_NONE;
    for (unsigned i = 0; i < opts->account_count; i++)
        if (host.len && has_host(&opts->accounts[i], host))
            return (int)i;
    for (unsigned i = 0; i < opts->account_count; i++)
        if (!opts->accounts[i].path_prefix && opts->accounts[i].host_count == 0 &&
            !has_own_listener(opts, (int)i))
            return (int)i;
    return -1;
}
