/* What can only be judged with more than one setting in view: where an account's origin is, whether its grant
 * has what it needs, and whether any request could belong to two accounts. */
#include "base/alloc.h"
#include "config/load.h"
#include "config/url.h"
#include "config/values.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

struct account_view {
    struct qp_config_account *account;
    const struct qp_config *config;
    const struct qp_seen *top;
    const struct qp_seen *seen;
    struct qp_problems *problems;
    size_t index;
};

static bool is_given(const struct account_view *view, const char *path)
{
    return qp_seen_has(view->seen, path);
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

static void check_needs(const struct account_view *view, const char *grant)
{
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        bool given = view->seen->settings[i];
        if (!qp_setting_is_of_account(setting))
            continue;
        if (!given && (setting->needed_by & QP_SETTING_BY(view->account->grant)))
            refuse(view, qp_setting_key(setting), "missing; the grant %s needs it", grant);
        if (given && !qp_setting_is_used_by(setting, view->account->grant))
            refuse(view, qp_setting_key(setting),
                   "the grant %s does not use it; remove it or choose another grant", grant);
    }
}

/* A vault that is there in part has been told of already. */
static void check_vault(const struct account_view *view, const char *grant)
{
    bool rotates = view->account->grant == QP_CONFIG_GRANT_AUTHORIZATION_CODE ||
                   view->account->grant == QP_CONFIG_GRANT_REFRESH_TOKEN;
    bool has_vault = qp_seen_has(view->top, "vault.path") || qp_seen_has(view->top, "vault.key") ||
                     qp_seen_has(view->top, "vault.old_key");
    if (rotates && !has_vault)
        refuse(
            view, "grant",
            "%s needs a vault, or its refresh token would be lost at a restart; run `qproxy key new FILE`, "
            "then write \"vault\": {\"path\": \"/var/lib/qproxy/vault\", \"key\": \"file:FILE\"} beside "
            "\"accounts\"",
            grant);
}

static bool has_tcp(const struct qp_config_list *addresses)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (strncmp(addresses->at[i], "unix:", 5) != 0)
            return true;
    return false;
}

static void check_redirect_uri(const struct account_view *view)
{
    const struct qp_config_list *admin = &view->config->admin.listen;
    bool signs_in = view->account->grant == QP_CONFIG_GRANT_AUTHORIZATION_CODE;
    if (signs_in && !is_given(view, "accounts[].redirect_uri") && !has_tcp(admin))
        refuse(view, "redirect_uri",
               "missing, and none follows from admin.listen, which %s; give admin.listen an address such as "
               "\"127.0.0.1:8081\", or write the redirect URI that is registered with the OAuth client",
               admin->count ? "has Unix sockets only" : "is off");
}

static const char *grant_name(enum qp_config_grant grant)
{
    const struct qp_choice *choice = qp_setting_find("accounts[].grant")->choices;
    while (choice->value != grant)
        choice++;
    return choice->name;
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
    const char *grant = grant_name(view->account->grant);
    check_needs(view, grant);
    check_vault(view, grant);
    check_redirect_uri(view);
}

/* Whether it holds certificates that TLS can use is seen when the TLS contexts are made. */
static void check_ca_file(const struct account_view *view)
{
    if (view->account->ca_file && access(view->account->ca_file, R_OK) != 0)
        refuse(view, "ca_file", "%s cannot be read: %s", view->account->ca_file, strerror(errno));
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

void qp_accounts_finish(struct qp_config *config, const struct qp_seen *top, const struct qp_seen *seen,
                        struct qp_problems *problems)
{
    if (config->account_count == 0 && problems->count == 0)
        qp_problems_add(problems, "accounts", "missing; allowed: a list of at least one account");
    for (size_t i = 0; i < config->account_count; i++) {
        struct account_view view = {&config->accounts[i], config, top, &seen[i], problems, i};
        finish_origin(&view);
        finish_urls(&view);
        check_grant(&view);
        check_ca_file(&view);
        for (size_t k = 0; k < view.account->host.count; k++)
            qp_text_lower(view.account->host.at[k]);
        for (size_t k = 0; k < i; k++)
            check_pair(&(struct pair){&config->accounts[k], &config->accounts[i], k, view});
    }
}
