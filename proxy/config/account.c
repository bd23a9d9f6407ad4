/* What can only be judged with more than one setting in view: where an account's origin is, whether its grant
 * has what it needs, and whether any request could belong to two accounts. */
#include "base/alloc.h"
#include "config/load.h"
#include "config/url.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

struct account_view {
    struct qp_config_account *account;
    const struct qp_seen *seen;
    struct qp_problems *problems;
    size_t index;
};

static bool is_given(const struct account_view *view, const char *path)
{
    return view->seen->settings[qp_setting_find(path) - qp_settings];
}

__attribute__((format(printf, 3, 4))) static void refuse(const struct account_view *view, const char *key,
                                                         const char *format, ...)
{
    char place[QP_CONFIG_PLACE_BYTES];
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(place, sizeof(place), "accounts[%zu]%s%s", view->index, *key ? "." : "", key);
    qp_problems_add(view->problems, place, "%s", text);
}

static void finish_origin(const struct account_view *view)
{
    struct qp_config_account *account = view->account;
    bool datacenter = is_given(view, "accounts[].datacenter");
    bool origin = is_given(view, "accounts[].origin");
    if (datacenter == origin) {
        refuse(view, "", "%s; allowed: either datacenter (such as \"iad1\") or origin (https://host:port)",
               origin ? "both datacenter and origin are given" : "neither datacenter nor origin is given");
        return;
    }
    if (account->datacenter) {
        char text[300];
        const char *domain = strchr(account->datacenter, '.') ? "" : ".qualtrics.com";
        int len = snprintf(text, sizeof(text), "https://%s%s", account->datacenter, domain);
        account->origin.text = qp_strndup(text, (size_t)len);
    }
    if (account->origin.text)
        (void)qp_config_url_parse(&account->origin, false); /* judged when it was read */
}

static char *under(const char *authority, const char *path)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "https://%s%s", authority, path);
    return qp_strndup(text, (size_t)len);
}

/* fallback: the path at the origin; NULL: there is none. */
static void finish_url(const struct account_view *view, struct qp_config_url *url, const char *fallback)
{
    if (!url->text && fallback && view->account->origin.authority)
        url->text = under(view->account->origin.authority, fallback);
    if (url->text)
        (void)qp_config_url_parse(url, true); /* judged when it was read */
}

static void finish_urls(const struct account_view *view)
{
    struct qp_config_account *account = view->account;
    bool signs_in = account->grant == QP_CONFIG_GRANT_AUTHORIZATION_CODE;
    finish_url(view, &account->token_url, "/oauth2/token");
    finish_url(view, &account->auth_url, signs_in ? "/oauth2/auth" : NULL);
    finish_url(view, &account->revoke_url, NULL);
    if (signs_in && !account->issuer && account->auth_url.authority)
        account->issuer = under(account->auth_url.authority, "");
}

enum need { UNUSED, OPTIONAL, REQUIRED };

struct grant_needs {
    const char *grant;
    enum need client_id, client_secret, refresh_token, api_token, token_calls;
};

static const struct grant_needs needs[] = {
    [QP_CONFIG_GRANT_CLIENT_CREDENTIALS] = {"client_credentials", REQUIRED, REQUIRED, UNUSED, UNUSED,
                                            OPTIONAL},
    [QP_CONFIG_GRANT_REFRESH_TOKEN] = {"refresh_token", REQUIRED, OPTIONAL, REQUIRED, UNUSED, OPTIONAL},
    [QP_CONFIG_GRANT_API_TOKEN] = {"api_token", UNUSED, UNUSED, UNUSED, REQUIRED, UNUSED},
    [QP_CONFIG_GRANT_AUTHORIZATION_CODE] = {"authorization_code", REQUIRED, OPTIONAL, UNUSED, UNUSED,
                                            OPTIONAL},
};

static void check_need(const struct account_view *view, const char *key, enum need need, const char *grant)
{
    char path[QP_CONFIG_PLACE_BYTES];
    snprintf(path, sizeof(path), "accounts[].%s", key);
    bool given = is_given(view, path);
    if (need == REQUIRED && !given)
        refuse(view, key, "missing; the grant %s needs it", grant);
    if (need == UNUSED && given)
        refuse(view, key, "the grant %s does not use it; remove it or choose another grant", grant);
}

static void check_grant(const struct account_view *view)
{
    if (!is_given(view, "accounts[].grant")) {
        char allowed[256];
        qp_setting_describe(qp_setting_find("accounts[].grant"), allowed, sizeof(allowed));
        refuse(view, "grant", "missing; allowed: %s", allowed);
        return;
    }
    if (view->seen->wrong[qp_setting_find("accounts[].grant") - qp_settings])
        return;
    const struct grant_needs *need = &needs[view->account->grant];
    check_need(view, "client_id", need->client_id, need->grant);
    check_need(view, "client_secret", need->client_secret, need->grant);
    check_need(view, "refresh_token", need->refresh_token, need->grant);
    check_need(view, "api_token", need->api_token, need->grant);
    check_need(view, "scope", need->token_calls, need->grant);
    check_need(view, "token_url", need->token_calls, need->grant);
    check_need(view, "client_auth", need->token_calls, need->grant);
}

/* Whether it holds certificates that TLS can use is seen when the TLS contexts are made. */
static void check_ca_file(const struct account_view *view)
{
    if (view->account->ca_file && access(view->account->ca_file, R_OK) != 0)
        refuse(view, "ca_file", "%s cannot be read: %s", view->account->ca_file, strerror(errno));
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

/* How two accounts are told apart in a message: by name, and where they stand if that does not help. */
struct pair {
    const struct qp_config_account *a, *b;
    size_t a_index;
    struct account_view view; /* of b: the later one is where the problem is shown */
};

static bool share_a_host(const struct qp_config_list *a, const struct qp_config_list *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (strcmp(a->at[i], b->at[k]) == 0)
                return true;
    return false;
}

/* Segment-wise: /a holds /a and /a/b but not /ab. */
static bool prefix_holds(const char *outer, const char *inner)
{
    size_t len = strlen(outer);
    return strncmp(outer, inner, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}

static bool has_selector(const struct qp_config_account *account)
{
    return account->path_prefix || account->host.count;
}

static void check_prefixes(const struct pair *pair)
{
    const char *a = pair->a->path_prefix;
    const char *b = pair->b->path_prefix;
    if (a && b && !prefix_holds(a, b) && !prefix_holds(b, a))
        return;
    if (a && b && strcmp(a, b) == 0)
        refuse(&pair->view, "path_prefix", "accounts '%s' and '%s' have the same path_prefix %s",
               pair->a->name, pair->b->name, a);
    else if (a && b)
        refuse(&pair->view, "path_prefix",
               "accounts '%s' (%s) and '%s' (%s): one path_prefix lies within the other, so a request could "
               "belong to both",
               pair->a->name, a, pair->b->name, b);
    else
        refuse(
            &pair->view, "",
            "a request could belong to both accounts '%s' and '%s': give both a host of their own, or both a "
            "path_prefix",
            pair->a->name, pair->b->name);
}

/* An account that only has listeners of its own is never chosen at the common ones. */
static bool is_at_common_listeners(const struct qp_config_account *account)
{
    return has_selector(account) || account->listen.count == 0;
}

bool qp_accounts_use_common_listeners(const struct qp_config *config)
{
    for (size_t i = 0; i < config->account_count; i++)
        if (is_at_common_listeners(&config->accounts[i]))
            return true;
    return false;
}

/* At the common listeners. One account without host and path_prefix may stand beside those that have some: it
 * gets what nobody else claims. */
static void check_selectors(const struct pair *pair)
{
    if (!is_at_common_listeners(pair->a) || !is_at_common_listeners(pair->b))
        return;
    bool a_selects = has_selector(pair->a);
    bool b_selects = has_selector(pair->b);
    if (a_selects != b_selects)
        return;
    if (!a_selects) {
        refuse(&pair->view, "",
               "accounts '%s' and '%s' both have neither path_prefix, host nor listen, so nothing tells "
               "which one "
               "a request is for",
               pair->a->name, pair->b->name);
        return;
    }
    bool hosts_differ =
        pair->a->host.count && pair->b->host.count && !share_a_host(&pair->a->host, &pair->b->host);
    if (!hosts_differ)
        check_prefixes(pair);
}

static void check_pair(const struct pair *pair)
{
    if (strcmp(pair->a->name, pair->b->name) == 0)
        refuse(&pair->view, "name", "accounts[%zu] and accounts[%zu] are both called '%s'", pair->a_index,
               pair->view.index, pair->a->name);
    check_selectors(pair);
}

void qp_accounts_finish(struct qp_config *config, const struct qp_seen *seen, struct qp_problems *problems)
{
    if (config->account_count == 0 && problems->count == 0)
        qp_problems_add(problems, "accounts", "missing; allowed: a list of at least one account");
    for (size_t i = 0; i < config->account_count; i++) {
        struct account_view view = {&config->accounts[i], &seen[i], problems, i};
        finish_origin(&view);
        finish_urls(&view);
        check_grant(&view);
        check_ca_file(&view);
        for (size_t k = 0; k < view.account->host.count; k++)
            lower(view.account->host.at[k]);
        for (size_t k = 0; k < i; k++)
            check_pair(&(struct pair){&config->accounts[k], &config->accounts[i], k, view});
    }
}
