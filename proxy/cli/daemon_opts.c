#include "cli/daemon_opts.h"
#include "base/alloc.h"
#include "token/digest.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Limits of messages that come from an origin: generous, because they are not a stranger's, and fixed, because nobody needs to tune them. */
enum { RESPONSE_HEAD_BYTES = 256 * 1024, RESPONSE_FIELDS = 1000, CHUNK_EXTENSION_BYTES = 16 * 1024 };

static const struct {
    enum qp_config_grant from;
    enum qp_grant to;
} GRANTS[] = {
    {QP_CONFIG_GRANT_CLIENT_CREDENTIALS, QP_GRANT_CLIENT_CREDENTIALS},
    {QP_CONFIG_GRANT_REFRESH_TOKEN, QP_GRANT_REFRESH_TOKEN},
    {QP_CONFIG_GRANT_API_TOKEN, QP_GRANT_API_TOKEN},
    {QP_CONFIG_GRANT_AUTHORIZATION_CODE, QP_GRANT_AUTHORIZATION_CODE},
};

static enum qp_grant grant_of(enum qp_config_grant from)
{
    for (size_t i = 0; i < sizeof GRANTS / sizeof GRANTS[0]; i++)
        if (GRANTS[i].from == from)
            return GRANTS[i].to;
    return QP_GRANT_CLIENT_CREDENTIALS;
}

/* A limit of the whole process, shared out evenly; 0 stays 0. */
static uint64_t share(uint64_t total, unsigned workers)
{
    return (total + workers - 1) / workers;
}

static uint32_t to_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool is_same_file(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static enum qp_result load_trusts(struct qp_daemon_opts *opts, const struct qp_config *config, char *error,
                                  size_t error_size)
{
    for (unsigned i = 0; i < opts->account_count; i++) {
        for (unsigned k = 0; k < i && !opts->trusts[i]; k++)
            if (is_same_file(config->accounts[i].ca_file, config->accounts[k].ca_file))
                opts->trusts[i] = opts->trusts[k];
        if (opts->trusts[i])
            continue;
        enum qp_result result =
            qp_trust_load(config->accounts[i].ca_file, &opts->trusts[i], error, error_size);
        if (result != QP_OK)
            return result;
    }
    return QP_OK;
}

static struct qp_account_opts account_of(const struct qp_config *config, unsigned index)
{
    const struct qp_config_account *from = &config->accounts[index];
    return (struct qp_account_opts){
        .name = from->name,
        .grant = grant_of(from->grant),
        .client_auth =
            from->client_auth == QP_CONFIG_CLIENT_AUTH_BODY ? QP_CLIENT_AUTH_BODY : QP_CLIENT_AUTH_BASIC,
        .client_id = from->client_id,
        .client_secret = from->client_secret.value,
        .refresh_token = from->refresh_token.value,
        .api_token = from->api_token.value,
        .scope = from->scope,
        .token_url = from->token_url.text,
        .auth_url = from->auth_url.text,
        .issuer = from->issuer,
        .offline_scope = from->offline_scope,
        .redirect_uri = from->redirect_uri,
        .revoke_url = from->revoke_url.text,
        .origin = from->origin.text,
        .sign_in_warn_ms = from->sign_in_warn_ms,
        .origin_connect_ms = to_u32(config->timeouts.origin_connect_ms),
        .origin_handshake_ms = to_u32(config->timeouts.origin_handshake_ms),
        .origin_resolve_ms = to_u32(config->timeouts.origin_resolve_ms),
        .token_call_ms = to_u32(config->timeouts.token_call_ms),
    };
}

static void set_accounts(struct qp_daemon_opts *opts, const struct qp_config *config)
{
    for (unsigned i = 0; i < opts->account_count; i++) {
        const struct qp_config_account *from = &config->accounts[i];
        opts->accounts[i] = account_of(config, i);
        opts->accounts[i].trust = opts->trusts[i];
        opts->relay_accounts[i] = (struct qp_relay_account){
            .name = from->name,
            .origin_host = from->origin.host,
            .origin_port = from->origin.port,
            .trust = opts->trusts[i],
            .path_prefix = from->path_prefix,
            .hosts = (const char *const *)from->host.at,
            .host_count = (unsigned)from->host.count,
            .static_token = from->grant == QP_CONFIG_GRANT_API_TOKEN,
            .rewrite_links = from->rewrite_next_page,
        };
    }
}

static void add_listeners(struct qp_daemon_opts *opts, const struct qp_config_list *list, int account)
{
    for (size_t i = 0; i < list->count; i++) {
        opts->listen[opts->listener_count] = list->at[i];
        opts->listener_accounts[opts->listener_count++] = account;
    }
}

static void set_listeners(struct qp_daemon_opts *opts, const struct qp_config *config)
{
    size_t count = config->listen.count;
    for (unsigned i = 0; i < opts->account_count; i++)
        count += config->accounts[i].listen.count;
    opts->listen = qp_alloc((count + 1) * sizeof *opts->listen);
    opts->listener_accounts = qp_alloc((count + 1) * sizeof *opts->listener_accounts);
    add_listeners(opts, &config->listen, QP_LISTENER_ANY);
    for (unsigned i = 0; i < opts->account_count; i++)
        add_listeners(opts, &config->accounts[i].listen, (int)i);
}

static void set_server(struct qp_daemon_opts *opts, const struct qp_config *config)
{
    opts->server = (struct qp_server_opts){
        .client_head_ms = to_u32(config->timeouts.client_head_ms),
        .client_body_ms = to_u32(config->timeouts.client_body_ms),
        .client_idle_ms = to_u32(config->timeouts.client_idle_ms),
        .body_rate_bytes = to_u32(config->limits.body_rate_bytes),
        .limits = {.head_bytes = to_u32(config->limits.head_bytes),
                   .target_bytes = to_u32(config->limits.target_bytes),
                   .fields = to_u32(config->limits.fields),
                   .chunk_extension_bytes = CHUNK_EXTENSION_BYTES},
        .body_bytes = config->limits.body_bytes,
        .census = opts->census,
        .requests_per_connection = to_u32(config->limits.requests_per_connection),
        .sheds = config->limits.memory_bytes > 0,
        .error_field = "X-Qproxy-Error",
    };
}

static void name_instance(struct qp_daemon_opts *opts)
{
    uint32_t random;
    qp_random_bytes(&random, sizeof random);
    snprintf(opts->instance, sizeof opts->instance, "%08" PRIx32, random);
}

static void set_relay(struct qp_daemon_opts *opts, const struct qp_config *config)
{
    opts->relay = (struct qp_relay_opts){
        .accounts = opts->relay_accounts,
        .account_count = opts->account_count,
        .listener_accounts = opts->listener_accounts,
        .listener_count = opts->listener_count,
        .origin_connect_ms = to_u32(config->timeouts.origin_connect_ms),
        .origin_handshake_ms = to_u32(config->timeouts.origin_handshake_ms),
        .origin_resolve_ms = to_u32(config->timeouts.origin_resolve_ms),
        .origin_response_ms = to_u32(config->timeouts.origin_response_ms),
        .origin_idle_ms = to_u32(config->timeouts.origin_idle_ms),
        .origin_lost_ms = to_u32(config->timeouts.origin_lost_ms),
        .stream_wait_ms = to_u32(config->timeouts.stream_wait_ms),
        .request_ms = to_u32(config->timeouts.request_ms),
        .origin_streams = to_u32(config->limits.origin_connections),
        .waiting = to_u32(share(config->limits.waiting, opts->workers)),
        .origin_rate_bytes = to_u32(config->limits.origin_rate_bytes),
        .retry_per_cent = to_u32(config->limits.retry_per_cent),
        .response_limits = {.head_bytes = RESPONSE_HEAD_BYTES,
                            .target_bytes = RESPONSE_HEAD_BYTES,
                            .fields = RESPONSE_FIELDS,
                            .chunk_extension_bytes = CHUNK_EXTENSION_BYTES},
        .replay_memory_bytes = config->replay.memory_bytes,
        .replay_memory_total_bytes = share(config->replay.memory_total_bytes, opts->workers),
        .replay_body_bytes = config->replay.body_bytes,
        .replay_folder = config->replay.dir,
        .via = config->via,
        .instance = opts->instance,
        .access_log = config->log.access != NULL,
        .access_json = config->log.form == QP_LOG_JSON,
    };
    opts->view = (struct qp_view_opts){
        .account_count = opts->account_count,
        .token_wait_ms = to_u32(config->timeouts.token_wait_ms),
        .waiting = to_u32(share(config->limits.waiting, opts->workers)),
    };
}

static struct qp_vault_key_opts key_of(const struct qp_config_secret *secret)
{
    return (struct qp_vault_key_opts){.text = secret->value, .is_passphrase = secret->is_passphrase};
}

/* The file that a key was read from; NULL: not from a file, or not as a key. */
static const char *key_file_of(const struct qp_config_secret *secret)
{
    static const char kind[] = "file:";
    bool is_file = secret->from && strncmp(secret->from, kind, strlen(kind)) == 0;
    return is_file && !secret->is_passphrase ? secret->from + strlen(kind) : NULL;
}

static void set_vault(struct qp_daemon_opts *opts, const struct qp_config *config)
{
    opts->vault = (struct qp_vault_opts){
        .path = config->vault.path,
        .key = key_of(&config->vault.key),
        .old_key = key_of(&config->vault.old_key),
        .key_file = key_file_of(&config->vault.key),
        .create = true,
    };
}

static unsigned worker_count(const struct qp_config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return config->workers ? (unsigned)config->workers : (unsigned)(cores > 0 ? cores : 1);
}

enum qp_result qp_daemon_opts_init(struct qp_daemon_opts *opts, const struct qp_config *config, char *error,
                                   size_t error_size)
{
    *opts = (struct qp_daemon_opts){.account_count = (unsigned)config->account_count,
                                    .workers = worker_count(config)};
    opts->trusts = qp_alloc((config->account_count + 1) * sizeof(struct qp_trust *));
    opts->accounts = qp_alloc((config->account_count + 1) * sizeof *opts->accounts);
    opts->relay_accounts = qp_alloc((config->account_count + 1) * sizeof *opts->relay_accounts);
    set_listeners(opts, config);
    enum qp_result result = load_trusts(opts, config, error, error_size);
    if (result != QP_OK) {
        qp_daemon_opts_deinit(opts);
        return result;
    }
    name_instance(opts);
    set_accounts(opts, config);
    opts->census =
        qp_census_new(to_u32(config->limits.connections), to_u32(config->limits.connections_per_address));
    set_server(opts, config);
    set_relay(opts, config);
    set_vault(opts, config);
    return QP_OK;
}

void qp_daemon_opts_deinit(struct qp_daemon_opts *opts)
{
    for (unsigned i = 0; i < opts->account_count; i++) {
        struct qp_trust *trust = opts->trusts[i];
        for (unsigned k = i; k < opts->account_count; k++)
            if (opts->trusts[k] == trust)
                opts->trusts[k] = NULL;
        qp_trust_free(&trust);
    }
    qp_free(opts->trusts);
    qp_free(opts->accounts);
    qp_free(opts->relay_accounts);
    qp_free((void *)opts->listen);
    qp_free(opts->listener_accounts);
    qp_census_free(&opts->census);
    *opts = (struct qp_daemon_opts){0};
}
