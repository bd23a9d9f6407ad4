#include "base/alloc.h"
#include "cli/cli.h"
#include "net/address.h"

struct seen_address {
    struct qp_address address;
    char place[64];
};

struct seen {
    struct seen_address *at;
    size_t count;
};

/* Port 0 is another port each time. */
static bool is_fixed(const struct qp_address *address)
{
    sa_family_t family = address->u.any.sa_family;
    return !(family == AF_INET && address->u.v4.sin_port == 0) &&
           !(family == AF_INET6 && address->u.v6.sin6_port == 0);
}

static void check_address(struct seen *seen, const char *place, const char *text,
                          struct qp_problems *problems)
{
    struct seen_address *new = &seen->at[seen->count];
    const char *why = NULL;
    if (qp_address_parse(qp_slice_str(text), &new->address, &why) != QP_OK) {
        qp_problems_add(problems, place, "found \"%.60s\": %s", text, why);
        return;
    }
    if (!is_fixed(&new->address))
        return;
    for (size_t i = 0; i < seen->count; i++) {
        if (!qp_address_equal(&seen->at[i].address, &new->address))
            continue;
        qp_problems_add(problems, place,
                        "found \"%.60s\", which is the same address as %s; give one of them another address",
                        text, seen->at[i].place);
        return;
    }
    snprintf(new->place, sizeof(new->place), "%s", place);
    seen->count++;
}

static void check_list(struct seen *seen, const char *place, const struct qp_config_list *list,
                       struct qp_problems *problems)
{
    for (size_t i = 0; i < list->count; i++) {
        char member_place[64];
        snprintf(member_place, sizeof(member_place), "%.40s[%zu]", place, i);
        check_address(seen, list->count > 1 ? member_place : place, list->at[i], problems);
    }
}

/* Without a token the admin pages have no login, so the machine itself must be the fence. */
static void check_admin_is_guarded(const struct qp_config *config, struct qp_problems *problems)
{
    struct qp_address address;
    const char *why = NULL;
    for (size_t i = 0; i < config->admin.listen.count && !config->admin.token.from; i++) {
        const char *text = config->admin.listen.at[i];
        if (qp_address_parse(qp_slice_str(text), &address, &why) != QP_OK || qp_address_is_loopback(&address))
            continue;
        qp_problems_add(problems, "admin.listen",
                        "found \"%.60s\", which others than this machine can reach: set admin.token, or use "
                        "a loopback address such as 127.0.0.1:8081 or [::1]:8081, unix:/path, or off",
                        text);
    }
}

void qp_cli_check_addresses(const struct qp_config *config, struct qp_problems *problems)
{
    size_t count = config->listen.count + config->admin.listen.count;
    for (size_t i = 0; i < config->account_count; i++)
        count += config->accounts[i].listen.count;
    struct seen seen = {.at = qp_alloc((count + 1) * sizeof(*seen.at))};
    check_list(&seen, "listen", &config->listen, problems);
    check_list(&seen, "admin.listen", &config->admin.listen, problems);
    check_admin_is_guarded(config, problems);
    for (size_t i = 0; i < config->account_count; i++) {
        char place[64];
        snprintf(place, sizeof(place), "accounts[%zu].listen", i);
        check_list(&seen, place, &config->accounts[i].listen, problems);
    }
    qp_free(seen.at);
}
