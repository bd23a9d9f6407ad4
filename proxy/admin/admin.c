/* admin.c - the room's life, what it knows at one moment, and its place behind the server. */
#include "admin/pages.h"
#include "admin/room.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include "server/envelope.h"

enum { SECOND_MS = 1000 };

/* Few clients, small requests: fixed, because nobody needs to tune them. */
static const struct qp_server_opts SERVER = {
    .client_head_ms = 10 * SECOND_MS,
    .client_body_ms = 10 * SECOND_MS,
    .client_idle_ms = 60 * SECOND_MS,
    .body_rate_bytes = 1024,
    .limits = {.head_bytes = 16384, .target_bytes = 4096, .fields = 100, .chunk_extension_bytes = 1024},
    .body_bytes = 65536,
    .connections = 256,
    .error_field = "X-Qproxy-Error",
};

/* ---- one moment ---- */

struct qp_admin_snapshot qp_admin_look(struct qp_admin *admin)
{
    const struct qp_admin_opts *opts = &admin->opts;
    for (unsigned i = 0; i < opts->account_count; i++)
        admin->accounts[i] = (struct qp_admin_account){.name = opts->account_names[i],
                                                       .token = qp_keeper_status(opts->keeper, i)};
    for (unsigned i = 0; i < opts->worker_count; i++)
        opts->read(opts->context, i, &admin->worker_values[(size_t)i * opts->counters.count],
                   &admin->pool_values[(size_t)i * opts->account_count * opts->pool.count]);
    struct qp_admin_snapshot snapshot = {
        .version = opts->version,
        .uptime_s = (qp_loop_now_ms(admin->loop) - admin->started_ms) / SECOND_MS,
        .started_unix_s = admin->started_unix_s,
        .is_stopping = admin->is_stopping,
        .accounts = admin->accounts,
        .account_count = opts->account_count,
        .vault = qp_keeper_vault_status(opts->keeper),
        .memory = {.held_bytes = qp_alloc_held_bytes(),
                   .limit_bytes = qp_alloc_ceiling_bytes(),
                   .shortages = qp_alloc_shortages()},
        .log_lost_lines = qp_log_lost_lines(),
        .history = &admin->history,
        .worker_count = opts->worker_count,
        .counters = opts->counters,
        .pool = opts->pool,
        .worker_values = admin->worker_values,
        .pool_values = admin->pool_values,
    };
    uint64_t totals[QP_SERIES_COUNT];
    qp_snapshot_series(&snapshot, totals);
    qp_history_look(&admin->history, qp_loop_now_ms(admin->loop), totals);
    return snapshot;
}

static void on_minute(struct qp_timer *timer)
{
    struct qp_admin *admin = QP_CONTAINER_OF(timer, struct qp_admin, minute);
    qp_admin_look(admin);
    qp_timer_arm(admin->loop, timer, qp_history_next_ms(&admin->history, qp_loop_now_ms(admin->loop)));
}

/* ---- behind the server ---- */

static void on_head(void *context, struct qp_request *request)
{
    qp_routes_begin(context, request);
}

/* The server's limit on bodies is the limit. */
static void on_body(struct qp_request *request, struct qp_slice piece)
{
    struct qp_visit *visit = qp_request_context(request);
    qp_buf_append(&visit->body, piece);
}

static void on_end(struct qp_request *request)
{
    qp_routes_end(qp_request_context(request));
}

static void on_drained(struct qp_request *request)
{
    (void)request;
}

static void on_gone(struct qp_request *request, enum qp_result why)
{
    struct qp_visit *visit = qp_request_context(request);
    (void)why;
    qp_keeper_abandon(visit->admin->opts.keeper, visit);
    qp_visit_free(visit);
}

static const char *refusal_body(void *context, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body)
{
    (void)context;
    qp_envelope_error(body, refusal->status, refusal->code, refusal->text, NULL, qp_request_conn_id(request),
                      qp_request_number(request));
    return QP_JSON_TYPE;
}

static const struct qp_handler HANDLER = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
    .refusal_body = refusal_body,
};

/* ---- its life ---- */

struct qp_admin *qp_admin_new(struct qp_loop *loop, const struct qp_admin_opts *opts)
{
    struct qp_admin *admin = qp_alloc(sizeof *admin);
    size_t pools = (size_t)opts->worker_count * opts->account_count;
    admin->loop = loop;
    admin->opts = *opts;
    admin->started_ms = qp_loop_now_ms(loop);
    admin->started_unix_s = qp_clock_unix_ms() / SECOND_MS;
    admin->accounts = qp_alloc((opts->account_count + 1) * sizeof *admin->accounts);
    admin->worker_values =
        qp_alloc(((size_t)opts->worker_count * opts->counters.count + 1) * sizeof(uint64_t));
    admin->pool_values = qp_alloc((pools * opts->pool.count + 1) * sizeof(uint64_t));
    qp_admin_redirect_uri(opts->addresses, opts->address_count, admin->redirect_uri);
    qp_sessions_init(&admin->sessions);
    qp_timer_init(&admin->minute, on_minute);
    qp_history_begin(&admin->history, admin->started_ms);
    qp_timer_arm(loop, &admin->minute, QP_HISTORY_MINUTE_MS);
    admin->server = qp_server_new(loop, &SERVER, &HANDLER, admin);
    return admin;
}

void qp_admin_listen(struct qp_admin *admin, unsigned listener, int fd)
{
    qp_server_listen(admin->server, fd, listener, NULL);
}

void qp_admin_set_stopping(struct qp_admin *admin)
{
    admin->is_stopping = true;
}

void qp_admin_drain(struct qp_admin *admin, uint64_t limit_ms, void (*done)(void *context), void *context)
{
    qp_server_drain(admin->server, limit_ms, done, context);
}

void qp_admin_close(struct qp_admin **slot)
{
    struct qp_admin *admin = *slot;
    *slot = NULL;
    if (!admin)
        return;
    qp_server_close(&admin->server);
    qp_timer_deinit(&admin->minute);
    qp_sessions_deinit(&admin->sessions);
    qp_free(admin->accounts);
    qp_free(admin->worker_values);
    qp_free(admin->pool_values);
    qp_free(admin);
}
