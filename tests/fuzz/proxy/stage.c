#include "fuzz/proxy/stage.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include <stdarg.h>
#include <stdio.h>

enum {
    OPTION_NO_LINKS = 1 << 0,
    OPTION_FEW_STREAMS = 1 << 1,
    OPTION_SHORT_REPLAY = 1 << 2,
    OPTION_EAGER_ENDS = 1 << 3,
    OPTION_TIGHT = 1 << 4,
    OPTION_MANUAL = 1 << 5,
    OPTION_ONE_REQUEST = 1 << 6,
    OPTION_SHORT_TOKENS = 1 << 7,
    OPTION_RATES = 1 << 8,
    OPTION_REQUEST_TIME = 1 << 9,
    OPTION_BUDGET = 1 << 10,
    OPTION_CEILING = 1 << 11,
};

enum {
    QUIET_MOST_MS = 2 * 3600 * 1000,
    /* What one stream may hold of output: its mark, and what one call may add to it. */
    CEILING_BYTES = 512 * 1024,
    PENDING_MOST_BYTES = QP_STREAM_HIGH_BYTES + REPLAY_BYTES + 2 * QP_STREAM_READ_BYTES
};

struct stage stage;

const char *const stage_hosts[ACCOUNTS] = {"a.qualtrics.com", "b.qualtrics.com"};

/* ---- what the rooms say, instead of writing it ---- */

void __wrap_qp_log_line(enum qp_log_level level, const char *room, uint64_t conn, uint64_t request,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
bool __wrap_qp_log_wants(enum qp_log_level level);
void __wrap_qp_log_access(struct qp_slice line);
bool __wrap_qp_broken_report(const char *condition, const char *file, int line);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);

void __wrap_qp_log_line(enum qp_log_level level, const char *room, uint64_t conn, uint64_t request,
                        const char *format, ...)
{
    char text[2048];
    va_list args;

    (void)level;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    story("    [c%u r%u %s: %s]", (unsigned)conn, (unsigned)request, room, text);
    stage_require_no_secret(qp_slice_str(text), false, "in the log");
}

bool __wrap_qp_log_wants(enum qp_log_level level)
{
    (void)level;
    return true;
}

void __wrap_qp_log_access(struct qp_slice line)
{
    stage_require_no_secret(line, false, "in the access log");
    stage.access_lines++;
}

bool __wrap_qp_broken_report(const char *condition, const char *file, int line)
{
    breach("broken: %s at %s:%d", condition, file, line);
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    memset(bytes, 0x5a, size);
    return (ssize_t)size;
}

/* ---- signs and patterns ---- */

void stage_say_raw(struct mem_end *end, struct qp_slice bytes)
{
    char *copy = qp_try_alloc(bytes.len + 1);

    qp_require(copy);
    for (size_t i = 0; i < bytes.len; i++) {
        copy[i] = bytes.at[i];
        if (copy[i] == '!' || copy[i] == '~' || copy[i] == '`')
            copy[i] = '-';
    }
    mem_say(end, qp_slice(copy, bytes.len));
    qp_free(copy);
}

void stage_require_no_secret(struct qp_slice bytes, bool has_token, const char *where)
{
    unsigned signs = 0;

    if (bytes.len && memchr(bytes.at, '`', bytes.len))
        breach("a client's credential %s: %.*s", where, QP_SLICE_FMT(bytes));
    for (const char *at; (at = qp_slice_find(bytes, QP_SLICE("~~"))) != NULL; signs++)
        bytes = qp_slice(at + 2, bytes.len - (size_t)(at - bytes.at) - 2);
    if (signs != (has_token ? 2 : 0))
        breach("a token %s", where);
}

bool stage_leads_back(void)
{
    return !(stage.options & OPTION_NO_LINKS);
}

size_t stage_length(unsigned byte)
{
    if (byte < 128)
        return byte;
    return byte < 224 ? (byte - 128) * 311U : (byte - 223) * 16384U;
}

/* A prime number of bytes, so that no two places of a body, or bodies, look alike for long; the second half is the first again. */
enum { PATTERN_BYTES = 4093, PATTERN_STEP = 61 };
static char pattern[2 * PATTERN_BYTES];

static void make_pattern(void)
{
    uint32_t state = 1;

    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        state = state * 1664525 + 1013904223;
        pattern[i] = pattern[i + PATTERN_BYTES] = (char)('a' + (state >> 16) % 26);
    }
}

/* As much as lies together. */
static struct qp_slice pattern_at(unsigned seed, size_t from, size_t count)
{
    const size_t start = (seed * PATTERN_STEP + from) % PATTERN_BYTES;

    return qp_slice(pattern + start, count < PATTERN_BYTES ? count : PATTERN_BYTES);
}

void stage_put_body(struct qp_buf *out, unsigned seed, size_t from, size_t count)
{
    while (count > 0) {
        const struct qp_slice part = pattern_at(seed, from, count);
        qp_buf_append(out, part);
        from += part.len;
        count -= part.len;
    }
}

bool stage_is_body(struct qp_slice bytes, unsigned seed, size_t from)
{
    while (bytes.len > 0) {
        const struct qp_slice part = pattern_at(seed, from, bytes.len);
        if (memcmp(part.at, bytes.at, part.len) != 0)
            return false;
        from += part.len;
        bytes = qp_slice(bytes.at + part.len, bytes.len - part.len);
    }
    return true;
}

/* ---- opening ---- */

static const struct qp_relay_account relay_accounts[ACCOUNTS] = {
    {.name = "one", .origin_host = "a.qualtrics.com", .origin_port = 443, .rewrite_links = true},
    {.name = "two",
     .origin_host = "b.qualtrics.com",
     .origin_port = 443,
     .path_prefix = "/b",
     .static_token = true,
     .rewrite_links = true},
};
static struct qp_relay_account accounts[ACCOUNTS];
static struct qp_secret *client_secret, *api_token;
static struct qp_account_opts token_accounts[ACCOUNTS];

static void open_tokens(void)
{
    client_secret = qp_secret_new(QP_SLICE("secret`"));
    api_token = qp_secret_new(QP_SLICE("tk~~9999~~"));
    token_accounts[0] = (struct qp_account_opts){
        .name = "one",
        .grant = QP_GRANT_CLIENT_CREDENTIALS,
        .client_id = "client",
        .client_secret = client_secret,
        .token_url = "http://token.example/oauth2/token",
        .origin = "https://a.qualtrics.com",
        .origin_connect_ms = 5000,
        .token_call_ms = 10000,
    };
    token_accounts[1] = (struct qp_account_opts){
        .name = "two",
        .grant = QP_GRANT_API_TOKEN,
        .api_token = api_token,
        .origin = "https://b.qualtrics.com",
        .origin_connect_ms = 5000,
        .token_call_ms = 10000,
    };
    const struct qp_keeper_opts opts = {
        .accounts = token_accounts, .account_count = ACCOUNTS, .allow_plain_http = true};
    stage.keeper = qp_keeper_new(stage.loop, &opts);
    stage.view =
        qp_view_new(stage.loop, stage.keeper,
                    &(struct qp_view_opts){.account_count = ACCOUNTS, .token_wait_ms = 15000, .waiting = 16});
    qp_keeper_add_view(stage.keeper, stage.view);
    qp_keeper_start(stage.keeper);
}

static void open_relay(void)
{
    static const int listener_accounts[] = {QP_LISTENER_ANY};
    const bool few = stage.options & OPTION_FEW_STREAMS;
    const uint64_t replay = stage.options & OPTION_SHORT_REPLAY ? 64 : REPLAY_BYTES;

    memcpy(accounts, relay_accounts, sizeof(accounts));
    for (unsigned i = 0; i < ACCOUNTS; i++)
        accounts[i].rewrite_links = !(stage.options & OPTION_NO_LINKS);
    const struct qp_relay_opts opts = {
        .accounts = accounts,
        .account_count = ACCOUNTS,
        .listener_accounts = listener_accounts,
        .listener_count = 1,
        .origin_connect_ms = 5000,
        .origin_response_ms = 30000,
        .origin_idle_ms = 20000,
        .origin_lost_ms = 10000,
        .stream_wait_ms = 8000,
        .request_ms = stage.options & OPTION_REQUEST_TIME ? 45000 : 0,
        .origin_rate_bytes = stage.options & OPTION_RATES ? 1000 : 0,
        .retry_per_cent = stage.options & OPTION_BUDGET ? 20 : 0,
        .origin_streams = few ? 1 : 8,
        .waiting = few ? 1 : 64,
        .response_limits = {.head_bytes = 2048,
                            .target_bytes = 1024,
                            .fields = 40,
                            .chunk_extension_bytes = 64},
        .replay_memory_bytes = replay,
        .replay_memory_total_bytes = 4 * replay,
        .replay_body_bytes = replay,
        .replay_folder = "/nonexistent",
        .via = "qproxy",
        .instance = "i1",
        .access_log = true,
    };
    stage.relay = qp_relay_new(stage.loop, &opts, stage.view);
}

static void open_server(void)
{
    const bool tight = stage.options & OPTION_TIGHT;
    const struct qp_server_opts opts = {
        .client_head_ms = 10000,
        .client_body_ms = 20000,
        .client_idle_ms = 60000,
        .body_rate_bytes = stage.options & OPTION_RATES ? 1000 : 0,
        .limits = {.head_bytes = tight ? 512 : 2048,
                   .target_bytes = 256,
                   .fields = tight ? 12 : 40,
                   .chunk_extension_bytes = 256},
        .body_bytes = tight ? 40000 : 0,
        .connections = tight ? 2 : 64,
        .connections_per_address = tight ? 2 : 0,
        .requests_per_connection = stage.options & OPTION_ONE_REQUEST ? 2 : 0,
        .sheds = true,
        .error_field = "X-Qproxy-Error",
    };
    stage.server = qp_server_new(stage.loop, &opts, qp_relay_handler(), stage.relay);
    qp_server_listen(stage.server, 3, 0, NULL);
    stage.listener = mem_first_listener(stage.loop);
}

void stage_open(unsigned options)
{
    memset(&stage, 0, sizeof(stage));
    make_pattern();
    stage.options = options;
    stage.automatic = options & OPTION_MANUAL ? 0 : AUTO_DIAL | AUTO_TOKEN;
    stage.life_s = options & OPTION_SHORT_TOKENS ? 20 : 3600;
    for (unsigned i = 0; i < CLIENTS; i++)
        stage.clients[i].index = i;
    stage.held_bytes = qp_alloc_held_bytes();
    qp_alloc_set_ceiling(stage.options & OPTION_CEILING ? stage.held_bytes + CEILING_BYTES : 0);
    stage.loop = qp_loop_new();
    mem_set_eager_ends(stage.loop, options & OPTION_EAGER_ENDS);
    open_tokens();
    open_relay();
    open_server();
}

/* ---- between two steps ---- */

void stage_check(void)
{
    const size_t pending = mem_most_pending(stage.loop);

    if (pending > PENDING_MOST_BYTES)
        breach("a stream holds %zu bytes", pending);
}

/* ---- closing ---- */

/* Those of the token endpoint come and go: its account's token is renewed for ever. */
static unsigned open_count(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CLIENTS; i++)
        count += stage.clients[i].end && stage.clients[i].end->stream;
    for (unsigned i = 0; i < stage.conn_count; i++)
        count += stage.conns[i].end->stream != NULL;
    return count;
}

static void wait_for_the_end(void)
{
    const uint64_t until_ms = qp_loop_now_ms(stage.loop) + QUIET_MOST_MS;

    mem_settle(stage.loop);
    while (open_count() > 0 || qp_server_counters(stage.server).connections_open > 0) {
        const uint64_t due_ms = mem_next_due_ms(stage.loop);
        if (due_ms == 0 || due_ms > until_ms)
            breach("%u connections hang", open_count());
        mem_advance(stage.loop, due_ms - qp_loop_now_ms(stage.loop));
        stage_check();
    }
}

static void check_counters(void)
{
    const struct qp_relay_counters *relay = qp_relay_counters(stage.relay);
    const struct qp_server_counters server = qp_server_counters(stage.server);
    const uint64_t ended = relay->answered + relay->cut + relay->own_replies + relay->client_gone;

    if (server.requests_open != 0 || relay->requests != server.requests || relay->requests != ended)
        breach("%llu requests, %llu ended", (unsigned long long)relay->requests, (unsigned long long)ended);
    if (stage.access_lines < ended)
        breach("%llu requests, %llu access lines", (unsigned long long)ended,
               (unsigned long long)stage.access_lines);
}

void stage_close(void)
{
    story("all go quiet");
    qp_alloc_set_ceiling(0); /* what the script itself holds counts, too */
    wait_for_the_end();
    check_counters();
    for (unsigned i = 0; i < CLIENTS; i++)
        client_leave(&stage.clients[i]);
    qp_server_close(&stage.server);
    qp_relay_close(&stage.relay);
    qp_view_close(&stage.view);
    qp_keeper_close(&stage.keeper);
    qp_loop_free(&stage.loop);
    for (unsigned i = 0; i < stage.conn_count; i++)
        conn_free(&stage.conns[i]);
    for (unsigned i = 0; i < stage.ask_count; i++)
        ask_free(&stage.asks[i]);
    qp_secret_free(&client_secret);
    qp_secret_free(&api_token);
    qp_require(qp_secret_live_count() == 0);
    if (qp_alloc_held_bytes() != stage.held_bytes)
        breach("%llu bytes are left", (unsigned long long)(qp_alloc_held_bytes() - stage.held_bytes));
}
