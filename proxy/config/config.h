/* config.h - text in, one constant struct out. Before threads start, or on the control thread (reload).
 *
 * What can be set, its type, bounds, default and help stand once, in settings.c; the loader, `qproxy check`,
 * the commented sample and the README's table are made from there. Everything wrong with a configuration is
 * reported at once. Only cli includes this header: each room gets its own small options struct.
 *
 * Which account serves a request: one that came in at an account's own `listen` belongs to that account. At
 * the common listeners it belongs to the account whose `host` and `path_prefix` (those that it has) fit, else
 * to the account that has neither. The loader refuses sets of accounts where two could fit, so the order
 * never matters.
 */
#ifndef QP_CONFIG_CONFIG_H
#define QP_CONFIG_CONFIG_H

#include "base/log.h"
#include "base/secret.h"
#include "config/problems.h"

#include <stdio.h>

struct qp_config_list {
    char **at;
    size_t count;
};

/* An https URL in parts. host is without brackets, authority is what a Host field says, path is "" if there
 * is none. */
struct qp_config_url {
    char *text;
    char *host;
    char *authority;
    char *path;
    uint16_t port;
};

/* value is NULL when not set, and where problems->unread told that it cannot be read; from is NULL when not set, else it says where it came from ("env:NAME", "file:PATH", "cred:NAME" or "the
 * configuration file"), never what it is. */
struct qp_config_secret {
    struct qp_secret *value;
    char *from;
    bool is_passphrase; /* "passphrase:" stood before the reference: only where the setting allows it */
};

enum qp_config_grant {
    QP_CONFIG_GRANT_CLIENT_CREDENTIALS,
    QP_CONFIG_GRANT_REFRESH_TOKEN,
    QP_CONFIG_GRANT_API_TOKEN,
    QP_CONFIG_GRANT_AUTHORIZATION_CODE
};

enum qp_config_client_auth { QP_CONFIG_CLIENT_AUTH_BASIC, QP_CONFIG_CLIENT_AUTH_BODY };

struct qp_config_account {
    char *name;
    char *datacenter;            /* as written; NULL where `origin` was given */
    struct qp_config_url origin; /* always set: from either */
    enum qp_config_grant grant;
    char *client_id; /* NULL for api_token */
    struct qp_config_secret client_secret;
    struct qp_config_secret refresh_token;
    struct qp_config_secret api_token;
    enum qp_config_client_auth client_auth;
    char *scope;                     /* NULL: none is sent */
    struct qp_config_url token_url;  /* always set; {origin}/oauth2/token by default */
    struct qp_config_url auth_url;   /* authorization_code: set; {origin}/oauth2/auth by default */
    struct qp_config_url revoke_url; /* text is NULL: the origin has none that we know of */
    /* authorization_code: what `iss` must be (RFC 9207); by default auth_url's scheme and authority. */
    char *issuer;
    char *offline_scope;          /* authorization_code: asks for a refresh token; NULL: nothing does */
    char *redirect_uri;           /* authorization_code: NULL: it follows from admin.listen */
    uint64_t sign_in_warn_ms;     /* a refresh token older than this is warned of; 0: never */
    char *ca_file;                /* NULL: the system's CA bundle */
    char *path_prefix;            /* NULL, or "/name": no slash at its end */
    struct qp_config_list host;   /* in lower case, without a port */
    struct qp_config_list listen; /* its own listeners */
    bool rewrite_next_page;
};

/* Everything unset is NULL or 0; 0 means "no limit" for limits. */
struct qp_config {
    char *source; /* the file's path, or "the environment" */
    struct qp_config_list
        listen; /* count 0: each account has listeners of its own, and none was written for all */
    struct {
        struct qp_config_list listen; /* count 0: off */
        bool is_by_default;           /* listen is not written in the configuration */
        /* Names beside its own by which it may be called; in lower case, with a port where there is one. */
        struct qp_config_list host;
        struct qp_config_secret token;
    } admin;
    struct {
        char *path; /* NULL: no vault */
        struct qp_config_secret key;
        struct qp_config_secret old_key;
        bool cache_tokens; /* those of client_credentials too, so that a restart makes no token call */
    } vault;
    struct qp_config_account *accounts;
    size_t account_count;
    uint64_t workers; /* 0: one per core */
    struct {
        uint64_t client_head_ms;
        uint64_t client_body_ms; /* longest silence */
        uint64_t client_idle_ms;
        uint64_t origin_connect_ms;
        uint64_t origin_handshake_ms;
        uint64_t origin_resolve_ms;
        uint64_t origin_response_ms;
        uint64_t request_ms; /* the whole request */
        uint64_t origin_idle_ms;
        uint64_t origin_lost_ms;
        uint64_t stream_wait_ms;
        uint64_t token_wait_ms;
        uint64_t token_call_ms;
        uint64_t drain_ms;
    } timeouts;
    struct {
        uint64_t head_bytes;
        uint64_t target_bytes;
        uint64_t fields;
        uint64_t body_bytes;
        uint64_t body_rate_bytes; /* least bytes a second */
        uint64_t connections;
        uint64_t connections_per_address;
        uint64_t requests_per_connection;
        uint64_t waiting;
        uint64_t origin_rate_bytes;  /* least bytes a second */
        uint64_t retry_per_cent;     /* of recent requests */
        uint64_t origin_connections; /* per worker and account */
        uint64_t memory_bytes;       /* 0: no ceiling */
    } limits;
    struct {
        uint64_t memory_bytes;
        uint64_t memory_total_bytes;
        uint64_t body_bytes;
        char *dir;
    } replay;
    struct {
        enum qp_log_level level;
        enum qp_log_form form;
        char *file;   /* "stderr" or a path */
        char *access; /* NULL: none; "stderr" or a path */
    } log;
    char *via;
};

enum qp_config_outcome {
    QP_CONFIG_LOADED,
    QP_CONFIG_NO_INPUT, /* the file that was named is missing or cannot be read */
    QP_CONFIG_INVALID
};

/* Which file is read: the one that was named, or the first that exists; NULL: the environment. For messages.
 */
const char *qp_config_find(const char *file);

/* What config may not know (it knows no net) is checked by its caller, and reported in the same list. It is
 * called for configurations with problems, too: whatever is wrong is NULL, 0 or the default then. */
typedef void qp_config_check(const struct qp_config *config, struct qp_problems *problems);

/* file: named by the user, or NULL for ./qproxy.json, then /etc/qproxy/qproxy.json, then the environment
 * (QUALTRICS_DATACENTER or QUALTRICS_BASE_URL, with QUALTRICS_CLIENT_ID and QUALTRICS_CLIENT_SECRET, or
 * QUALTRICS_API_KEY; QUALTRICS_SCOPE). *config is written only on QP_CONFIG_LOADED; else there is at least
 * one problem. Reads files, among them those that secrets refer to. also: may be NULL. */
QP_MUST_USE enum qp_config_outcome qp_config_load(const char *file, qp_config_check *also,
                                                  struct qp_config **config, struct qp_problems *problems);

/* As the content of a file called `source`. literals_refused is why a secret may not stand in it literally,
 * or NULL if it may. NULL when there were problems. Does not change the text. */
struct qp_config *qp_config_parse(struct qp_slice text, const char *source, const char *literals_refused,
                                  qp_config_check *also, struct qp_problems *problems);

/* Wipes its secrets. *config becomes NULL. */
void qp_config_free(struct qp_config **config);

/* Overwrites the values of the environment variables that secrets were read from, so that /proc/PID/environ
 * does not show them, and unsets them; they are kept as secrets for the next load (reload). Before threads
 * start. */
void qp_config_forget_environment(void);

/* The effective configuration as commented JSON, secrets masked. */
void qp_config_print(const struct qp_config *config, FILE *out);
/* The commented sample, conf/qproxy.json. */
void qp_config_sample(FILE *out);
/* The settings as a Markdown table, for the README. */
void qp_config_table(FILE *out);

#endif
