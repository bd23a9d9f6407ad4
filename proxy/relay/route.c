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

static bool has_own_listener(const struct qp_relay_opts *opts, int account)
{
    for (unsigned i = 0; i < opts->listener_count; i++)
        if (opts->listener_accounts[i] == account)
            return true;
    return false;
}

/* Of its prefix and its Host names, those that it has fit, and it has one. */
static bool is_selected(const struct qp_relay_account *account, struct qp_slice host, struct qp_slice target)
{
    if (!account->path_prefix && account->host_count == 0)
        return false;
    return (!account->path_prefix || has_prefix(target, qp_slice_str(account->path_prefix))) &&
           (account->host_count == 0 || has_host(account, host));
}

static int choose(const struct qp_relay_opts *opts, struct qp_slice host, struct qp_slice target)
{
    int otherwise = -1;
    for (unsigned i = 0; i < opts->account_count; i++) {
        const struct qp_relay_account *account = &opts->accounts[i];
        if (is_selected(account, host, target))
            return (int)i;
        if (!account->path_prefix && account->host_count == 0 && !has_own_listener(opts, (int)i))
            otherwise = (int)i;
    }
    return otherwise;
}

int qp_route(const struct qp_relay_opts *opts, unsigned listener_id, struct qp_slice authority,
             struct qp_slice *target)
{
    int found = listener_id < opts->listener_count ? opts->listener_accounts[listener_id] : QP_LISTENER_ANY;
    if (found == QP_LISTENER_ANY)
        found = choose(opts, authority.at ? host_of(authority) : QP_SLICE_NONE, *target);
    if (found < 0)
        return -1;
    struct qp_slice prefix = qp_slice_str(opts->accounts[found].path_prefix);
    if (has_prefix(*target, prefix))
        *target = without_prefix(*target, prefix.len);
    return found;
}
