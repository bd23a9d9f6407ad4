#include "config/settings.h"
#include "config/config.h"
#include "config/url.h"
#include "config/values.h"

#define TOP(member)        offsetof(struct qp_config, member)
#define OF_ACCOUNT(member) offsetof(struct qp_config_account, member)

#define MINUTE_MS ((uint64_t)60 * 1000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)
#define KIB       ((uint64_t)1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)

#define BY_CLIENT      QP_SETTING_BY(QP_CONFIG_GRANT_CLIENT_CREDENTIALS)
#define BY_REFRESH     QP_SETTING_BY(QP_CONFIG_GRANT_REFRESH_TOKEN)
#define BY_API_TOKEN   QP_SETTING_BY(QP_CONFIG_GRANT_API_TOKEN)
#define BY_SIGN_IN     QP_SETTING_BY(QP_CONFIG_GRANT_AUTHORIZATION_CODE)
#define BY_TOKEN_CALLS (BY_CLIENT | BY_REFRESH | BY_SIGN_IN)

static const char no_literal_key[] =
    "a key that stands in plain text beside its vault's path protects nothing: whoever has this file or a "
    "copy of it needs only the vault";

static const struct qp_choice grants[] = {
    {"client_credentials", QP_CONFIG_GRANT_CLIENT_CREDENTIALS},
    {"refresh_token", QP_CONFIG_GRANT_REFRESH_TOKEN},
    {"api_token", QP_CONFIG_GRANT_API_TOKEN},
    {"authorization_code", QP_CONFIG_GRANT_AUTHORIZATION_CODE},
    {0},
};
static const struct qp_choice client_auths[] = {
    {"basic", QP_CONFIG_CLIENT_AUTH_BASIC},
    {"body", QP_CONFIG_CLIENT_AUTH_BODY},
    {0},
};
static const struct qp_choice log_levels[] = {
    {"error", QP_LOG_ERROR}, {"warn", QP_LOG_WARN}, {"info", QP_LOG_INFO}, {"debug", QP_LOG_DEBUG}, {0},
};
static const struct qp_choice log_forms[] = {
    {"text", QP_LOG_TEXT},
    {"json", QP_LOG_JSON},
    {0},
};

/* clang-format off */
#define DURATION(path_, member, fallback_, min_, max_, help_) \
    {.path = (path_), .type = QP_SETTING_DURATION, .offset = TOP(member), .fallback = (fallback_), .min = (min_), .max = (max_), .help = (help_)}
#define SIZE(path_, member, fallback_, min_, max_, zero_word_, help_) \
    {.path = (path_), .type = QP_SETTING_SIZE, .offset = TOP(member), .fallback = (fallback_), .min = (min_), .max = (max_), .zero_word = (zero_word_), .help = (help_)}
#define COUNT(path_, member, fallback_, min_, max_, zero_word_, help_) \
    {.path = (path_), .type = QP_SETTING_COUNT, .offset = TOP(member), .fallback = (fallback_), .min = (min_), .max = (max_), .zero_word = (zero_word_), .help = (help_)}

/* The order is that of the sample. The last row of each group has a default, so that the sample's commented-out rows
 * never stand behind the last comma. */
const struct qp_setting qp_settings[] = {
    {.path = "listen", .type = QP_SETTING_LIST, .offset = TOP(listen), .fallback = "127.0.0.1:8080", .max = 256,
     .restart = true,
     .help = "Where services connect: \"127.0.0.1:8080\", \"[::1]:8080\", \"unix:/path\", or a list of them. Whoever can connect can use the accounts."},
    {.path = "admin.token", .type = QP_SETTING_SECRET, .offset = TOP(admin.token), .example = "file:/etc/qproxy/admin_token", .restart = true,
     .help = "What a visitor of the admin pages must know (as password of HTTP Basic, or as bearer token), except at a Unix socket and for /healthz."},
    {.path = "admin.host", .type = QP_SETTING_LIST, .offset = TOP(admin.host), .example = "qproxy.internal:8081", .max = 260, .restart = true,
     .refuse = qp_refuse_authority, .help = "Names, beside its own addresses, by which the admin pages may be called; a request for any other name is refused."},
    {.path = "admin.listen", .type = QP_SETTING_LIST, .offset = TOP(admin.listen), .fallback = "127.0.0.1:8081", .max = 256,
     .zero_word = "off", .restart = true,
     .help = "Where the status page, sign-in, health and metrics are served, and where the other subcommands find the daemon: addresses as in listen. Beyond this machine only with admin.token."},

    {.path = "vault.path", .type = QP_SETTING_TEXT, .offset = TOP(vault.path), .example = "/var/lib/qproxy/vault", .max = 4000, .restart = true,
     .help = "The encrypted file that keeps refresh tokens and tokens over restarts. The grants authorization_code and refresh_token need it."},
    {.path = "vault.key", .type = QP_SETTING_SECRET, .offset = TOP(vault.key), .example = "file:/etc/qproxy/vault.key", .restart = true, .passphrase = true,
     .never_literal = no_literal_key, .help = "The vault's key: env:NAME, file:PATH or cred:NAME with 64 hex digits (`qproxy key new FILE` makes one), or passphrase: before one of these."},
    {.path = "vault.old_key", .type = QP_SETTING_SECRET, .offset = TOP(vault.old_key), .example = "env:QPROXY_OLD_VAULT_KEY", .restart = true, .passphrase = true,
     .never_literal = no_literal_key, .help = "The key before this one: it still reads, and the vault is then sealed with vault.key."},
    {.path = "vault.cache_tokens", .type = QP_SETTING_BOOL, .offset = TOP(vault.cache_tokens), .fallback = "true",
     .help = "Keep the access tokens of client_credentials in the vault too, so that a restart makes no token call."},

    {.path = "accounts[].name", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(name), .fallback = "main", .max = 64,
     .refuse = qp_refuse_name, .help = "What the account is called in logs and metrics."},
    {.path = "accounts[].datacenter", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(datacenter), .example = "iad1", .max = 253,
     .refuse = qp_refuse_datacenter, .in_sample = true,
     .help = "The datacenter id, or a full host such as brand.iad1.qualtrics.com."},
    {.path = "accounts[].origin", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(origin.text), .example = "https://iad1.qualtrics.com:443", .max = 512,
     .refuse = qp_refuse_origin, .help = "Instead of datacenter: any https://host:port."},
    {.path = "accounts[].grant", .type = QP_SETTING_CHOICE, .offset = OF_ACCOUNT(grant), .example = "client_credentials",
     .choices = grants, .in_sample = true, .help = "How tokens are obtained: client_credentials, authorization_code (somebody signs in once), refresh_token or api_token."},
    {.path = "accounts[].client_id", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(client_id), .example = "env:QUALTRICS_CLIENT_ID", .max = 1024,
     .used_by = BY_TOKEN_CALLS, .needed_by = BY_TOKEN_CALLS, .refuse = qp_refuse_unprintable, .reference = true, .in_sample = true,
     .help = "The OAuth client's id: literally, or a reference as for secrets."},
    {.path = "accounts[].client_secret", .type = QP_SETTING_SECRET, .offset = OF_ACCOUNT(client_secret), .example = "env:QUALTRICS_CLIENT_SECRET",
     .used_by = BY_TOKEN_CALLS, .needed_by = BY_CLIENT, .in_sample = true, .help = "The OAuth client's secret: env:NAME, file:PATH, cred:NAME (systemd), or literally if only its owner can read this file."},
    {.path = "accounts[].refresh_token", .type = QP_SETTING_SECRET, .offset = OF_ACCOUNT(refresh_token), .example = "file:/run/secrets/refresh_token",
     .used_by = BY_REFRESH, .needed_by = BY_REFRESH, .help = "For the grant refresh_token: the first refresh token."},
    {.path = "accounts[].api_token", .type = QP_SETTING_SECRET, .offset = OF_ACCOUNT(api_token), .example = "env:QUALTRICS_API_KEY",
     .used_by = BY_API_TOKEN, .needed_by = BY_API_TOKEN, .help = "For the grant api_token: sent as X-API-TOKEN."},
    {.path = "accounts[].client_auth", .type = QP_SETTING_CHOICE, .offset = OF_ACCOUNT(client_auth), .fallback = "basic",
     .used_by = BY_TOKEN_CALLS, .choices = client_auths, .help = "How id and secret go to the token endpoint."},
    {.path = "accounts[].scope", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(scope), .example = "manage:all", .max = 4096,
     .used_by = BY_TOKEN_CALLS, .refuse = qp_refuse_scope, .help = "OAuth scopes, separated by a space."},
    {.path = "accounts[].token_url", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(token_url.text), .example = "https://iad1.qualtrics.com/oauth2/token", .max = 2048,
     .used_by = BY_TOKEN_CALLS, .refuse = qp_refuse_token_url, .help = "The token endpoint; by default /oauth2/token at the origin."},
    {.path = "accounts[].auth_url", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(auth_url.text), .example = "https://iad1.qualtrics.com/oauth2/auth", .max = 2048,
     .used_by = BY_SIGN_IN, .refuse = qp_refuse_token_url, .help = "For authorization_code: where people sign in; by default /oauth2/auth at the origin."},
    {.path = "accounts[].redirect_uri", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(redirect_uri), .example = "http://127.0.0.1:8081/oauth/callback", .max = 2048,
     .used_by = BY_SIGN_IN, .refuse = qp_refuse_redirect_uri, .help = "For authorization_code: where sign-ins come back to, exactly as registered with the OAuth client; by default http://ADMIN/oauth/callback, ADMIN being the first address in admin.listen that is not a Unix socket."},
    {.path = "accounts[].issuer", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(issuer), .example = "https://iad1.qualtrics.com", .max = 2048,
     .used_by = BY_SIGN_IN, .refuse = qp_refuse_unprintable, .help = "For authorization_code: what `iss` must be where a sign-in comes back with one (RFC 9207); by default scheme and host of auth_url."},
    {.path = "accounts[].offline_scope", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(offline_scope), .fallback = "offline", .max = 256, .zero_word = "off",
     .used_by = BY_SIGN_IN, .refuse = qp_refuse_scope, .help = "For authorization_code: the scope that asks for a refresh token, added to scope."},
    {.path = "accounts[].revoke_url", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(revoke_url.text), .example = "https://iad1.qualtrics.com/oauth2/revoke", .max = 2048,
     .used_by = BY_TOKEN_CALLS, .refuse = qp_refuse_token_url, .help = "Where tokens are revoked at sign-out (RFC 7009); by default nowhere, since Qualtrics documents no such address."},
    {.path = "accounts[].sign_in_warn", .type = QP_SETTING_DURATION, .offset = OF_ACCOUNT(sign_in_warn_ms), .fallback = "off", .min = HOUR_MS, .max = 3650 * DAY_MS, .zero_word = "off",
     .used_by = BY_SIGN_IN | BY_REFRESH, .help = "From this age on a refresh token is warned of on the status page."},
    {.path = "accounts[].ca_file", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(ca_file), .example = "/etc/ssl/private-ca.pem", .max = 4095,
     .help = "CA certificates (PEM) to verify origin and token endpoint with, instead of the system's."},
    {.path = "accounts[].path_prefix", .type = QP_SETTING_TEXT, .offset = OF_ACCOUNT(path_prefix), .example = "/main", .max = 256,
     .refuse = qp_refuse_path_prefix, .help = "Requests under this path are the account's; it is removed before they are forwarded."},
    {.path = "accounts[].host", .type = QP_SETTING_LIST, .offset = OF_ACCOUNT(host), .example = "main.qproxy.internal", .max = 253,
     .refuse = qp_refuse_host, .help = "Requests whose Host field says one of these names are the account's."},
    {.path = "accounts[].listen", .type = QP_SETTING_LIST, .offset = OF_ACCOUNT(listen), .example = "127.0.0.1:8090", .max = 256,
     .restart = true, .help = "Listeners of the account's own: whatever comes in there is the account's."},
    {.path = "accounts[].rewrite_next_page", .type = QP_SETTING_BOOL, .offset = OF_ACCOUNT(rewrite_next_page), .fallback = "true",
     .help = "Let nextPage, and Location, in answers point at qproxy instead of at Qualtrics, so that clients that follow them come back here."},

    {.path = "workers", .type = QP_SETTING_COUNT, .offset = TOP(workers), .fallback = "auto", .min = 1, .max = 512,
     .zero_word = "auto", .restart = true, .help = "Worker threads; auto is one per core."},

    DURATION("timeouts.client_head", timeouts.client_head_ms, "10s", 100, HOUR_MS, "For a client to send a whole request head."),
    DURATION("timeouts.client_body", timeouts.client_body_ms, "30s", 100, HOUR_MS, "Longest silence of a client within a body, in either direction."),
    DURATION("timeouts.client_idle", timeouts.client_idle_ms, "75s", 100, DAY_MS, "How long a client's connection may rest between requests."),
    DURATION("timeouts.origin_connect", timeouts.origin_connect_ms, "8s", 100, 5 * MINUTE_MS, "To connect to the origin, TLS handshake included."),
    DURATION("timeouts.origin_handshake", timeouts.origin_handshake_ms, "4s", 50, 5 * MINUTE_MS, "Within origin_connect: for the TLS handshake at one of the origin's addresses, before the next one is tried."),
    DURATION("timeouts.origin_resolve", timeouts.origin_resolve_ms, "30s", 1000, DAY_MS, "How long the origin's resolved addresses are used before they are looked up anew (in the background, and used on for up to a day if that fails)."),
    DURATION("timeouts.origin_response", timeouts.origin_response_ms, "2m", 100, DAY_MS, "Longest silence of the origin: before its answer begins, and within it."),
    {.path = "timeouts.request", .type = QP_SETTING_DURATION, .offset = TOP(timeouts.request_ms), .fallback = "1h", .min = 100, .max = 7 * DAY_MS, .zero_word = "off",
     .help = "For a whole request, from its head to the last byte of the answer."},
    DURATION("timeouts.origin_idle", timeouts.origin_idle_ms, "1m", 100, HOUR_MS, "How long an unused connection to the origin is kept."),
    DURATION("timeouts.origin_lost", timeouts.origin_lost_ms, "10s", 1000, HOUR_MS, "So long, or at most twice that, the origin's host may leave what was sent unacknowledged, or an idle connection's signs of life unanswered."),
    DURATION("timeouts.stream_wait", timeouts.stream_wait_ms, "10s", 100, HOUR_MS, "How long a request waits for a connection to the origin, be it a free one or a new one."),
    DURATION("timeouts.token_wait", timeouts.token_wait_ms, "10s", 100, HOUR_MS, "How long a request waits for a token."),
    DURATION("timeouts.token_call", timeouts.token_call_ms, "10s", 100, HOUR_MS, "For one call to the token endpoint."),
    DURATION("timeouts.drain", timeouts.drain_ms, "30s", 0, DAY_MS, "How long running requests are given to end at shutdown."),

    SIZE("limits.head", limits.head_bytes, "32KiB", 1 * KIB, 1 * MIB, NULL, "Largest head of a request."),
    SIZE("limits.target", limits.target_bytes, "16KiB", 256, 1 * MIB, NULL, "Longest request target; not over limits.head."),
    COUNT("limits.fields", limits.fields, "200", 10, 10000, NULL, "Most header fields of a request."),
    SIZE("limits.body", limits.body_bytes, "off", 1, 1024 * GIB, "off", "Largest request body."),
    SIZE("limits.body_rate", limits.body_rate_bytes, "1KiB", 1, 1 * GIB, "off", "Least bytes a second at which a client sends a request body and takes an answer, averaged over timeouts.client_body."),
    COUNT("limits.connections", limits.connections, "10000", 1, 1000000, NULL, "Most client connections, over all workers; then those that have rested longest are closed, and more wait in the kernel's queue."),
    COUNT("limits.connections_per_address", limits.connections_per_address, "off", 1, 1000000, "off", "Most client connections from one address, over all workers; more are answered 503. Services on this machine all share one; Unix sockets have none."),
    COUNT("limits.requests_per_connection", limits.requests_per_connection, "off", 1, 1000000000, "off", "A client's connection is closed after so many requests; the last answer says so."),
    COUNT("limits.waiting", limits.waiting, "4096", 1, 1000000, NULL, "Most requests that wait for a token or for a connection to the origin."),
    SIZE("limits.origin_rate", limits.origin_rate_bytes, "64B", 1, 1 * GIB, "off", "Least bytes a second of an answer's body from the origin and of a request's body to it, averaged over timeouts.origin_response; off for event streams that say little."),
    COUNT("limits.retry_budget", limits.retry_per_cent, "20", 1, 100, "off", "So many per cent of the requests of the last 10 s may be sent again because a kept connection was dead, and 10 a second beside, per worker; off: all of them."),
    COUNT("limits.origin_connections", limits.origin_connections, "256", 1, 65535, NULL, "Most connections to the origin, per worker and account."),
    SIZE("limits.memory", limits.memory_bytes, "1GiB", 16 * MIB, 1024 * GIB, "off", "Past so much memory in use (heap of the whole process) no new request is taken on: 503 memory_full, until less than nine tenths are. At least twice what is in use at rest (some 0.3 MiB a worker)."),

    SIZE("replay.memory", replay.memory_bytes, "2MiB", 0, 1 * GIB, NULL, "So much of a request's body is kept in memory for a replay; more goes to a sealed temporary file."),
    SIZE("replay.memory_total", replay.memory_total_bytes, "256MiB", 0, 1024 * GIB, NULL, "The same over all requests."),
    {.path = "replay.dir", .type = QP_SETTING_TEXT, .offset = TOP(replay.dir), .example = "/var/tmp", .max = 4000, .restart = true,
     .help = "Where the temporary files are; by default $TMPDIR or /var/tmp. They have no name and are encrypted."},
    SIZE("replay.body", replay.body_bytes, "512MiB", 0, 1024 * GIB, NULL, "A request with a longer body is not replayed: its 401 is passed on."),

    {.path = "log.level", .type = QP_SETTING_CHOICE, .offset = TOP(log.level), .fallback = "info", .choices = log_levels,
     .help = "How much is logged."},
    {.path = "log.form", .type = QP_SETTING_CHOICE, .offset = TOP(log.form), .fallback = "text", .choices = log_forms, .restart = true,
     .help = "How messages and access lines are written."},
    {.path = "log.file", .type = QP_SETTING_TEXT, .offset = TOP(log.file), .fallback = "stderr", .max = 4095,
     .help = "Where messages go: stderr or a file."},
    {.path = "log.access", .type = QP_SETTING_TEXT, .offset = TOP(log.access), .fallback = "stderr", .max = 4095, .zero_word = "off",
     .help = "Where a line for each request goes: off, stderr or a file."},

    {.path = "via", .type = QP_SETTING_TEXT, .offset = TOP(via), .fallback = "qproxy", .max = 64, .refuse = qp_refuse_via,
     .help = "The name in the Via field that is added to requests and answers."},
};
/* clang-format on */

const size_t qp_setting_count = sizeof(qp_settings) / sizeof(qp_settings[0]);
_Static_assert(sizeof(qp_settings) / sizeof(qp_settings[0]) <= QP_MOST_SETTINGS,
               "seen[] in load.c is too short");

const struct qp_setting *qp_setting_find(const char *path)
{
    for (size_t i = 0; i < qp_setting_count; i++)
        if (strcmp(qp_settings[i].path, path) == 0)
            return &qp_settings[i];
    return NULL;
}

bool qp_setting_is_group(const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < qp_setting_count; i++)
        if (strncmp(qp_settings[i].path, path, len) == 0 && qp_settings[i].path[len] == '.')
            return true;
    return false;
}

bool qp_setting_is_of_account(const struct qp_setting *setting)
{
    return strncmp(setting->path, "accounts[].", strlen("accounts[].")) == 0;
}

bool qp_setting_is_used_by(const struct qp_setting *setting, unsigned grant)
{
    return !setting->used_by || (setting->used_by & QP_SETTING_BY(grant));
}

const char *qp_setting_key(const struct qp_setting *setting)
{
    const char *dot = strrchr(setting->path, '.');
    return dot ? dot + 1 : setting->path;
}

/* Candidates are the paths themselves, and paths with the same last part at another place: "client_head" for
 * "timeouts.client_head", "drain_timeout" stays unguessed. */
static const char *guess_place(const char *path)
{
    const char *dot = strrchr(path, '.');
    const char *key = dot ? dot + 1 : path;
    for (size_t i = 0; i < qp_setting_count; i++)
        if (strcmp(qp_setting_key(&qp_settings[i]), key) == 0)
            return qp_settings[i].path;
    return NULL;
}

const char *qp_setting_guess(const char *path)
{
    static const char *const outer[] = {"accounts", "admin", "vault", "timeouts", "limits", "replay", "log"};
    const char *best = NULL;
    size_t best_distance = strlen(path) > 8 ? 3 : 2;
    for (size_t i = 0; i < sizeof(outer) / sizeof(outer[0]); i++) {
        size_t distance = qp_text_distance(path, outer[i], best_distance);
        if (distance < best_distance) {
            best_distance = distance;
            best = outer[i];
        }
    }
    for (size_t i = 0; i < qp_setting_count; i++) {
        size_t distance = qp_text_distance(path, qp_settings[i].path, best_distance);
        if (distance < best_distance) {
            best_distance = distance;
            best = qp_settings[i].path;
        }
    }
    return best ? best : guess_place(path);
}
