/* admin.c - the handler: which request is ours, which page it gets, and the fields that every answer has. */
#include "admin/admin.h"
#include "admin/host.h"
#include "admin/pages.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/uri.h"
#include "net/loop.h"
#include "server/envelope.h"
#include "server/server.h"

enum { SECOND_MS = 1000 };

struct qp_admin {
    struct qp_loop *loop;
    struct qp_admin_opts opts;
    struct qp_server *server;
    uint64_t started_ms;
    int64_t started_unix_s;
    uint64_t warned_ms; /* when the last refused Host was logged; 0: none was */
    bool is_stopping;
    struct qp_admin_account *accounts;
    uint64_t *relay_values;
    uint64_t *pool_values;
};

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

static struct qp_admin_snapshot take_snapshot(struct qp_admin *admin)
{
    const struct qp_admin_opts *opts = &admin->opts;
    for (unsigned i = 0; i < opts->account_count; i++)
        admin->accounts[i] = (struct qp_admin_account){.name = opts->account_names[i],
                                                       .token = qp_keeper_status(opts->keeper, i)};
    for (unsigned i = 0; i < opts->worker_count; i++)
        opts->read(opts->context, i, &admin->relay_values[(size_t)i * opts->relay.count],
                   &admin->pool_values[(size_t)i * opts->account_count * opts->pool.count]);
    return (struct qp_admin_snapshot){
        .version = opts->version,
        .uptime_s = (qp_loop_now_ms(admin->loop) - admin->started_ms) / SECOND_MS,
        .started_unix_s = admin->started_unix_s,
        .is_stopping = admin->is_stopping,
        .accounts = admin->accounts,
        .account_count = opts->account_count,
        .worker_count = opts->worker_count,
        .relay = opts->relay,
        .pool = opts->pool,
        .relay_values = admin->relay_values,
        .pool_values = admin->pool_values,
    };
}

/* ---- answers ---- */

#define JSON_TYPE "application/json"
/* Nothing is kept, guessed, framed or read by another site; a page may have its own style and nothing else. */
#define GUARDS                                                                                \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n" \
    "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"           \
    "Content-Security-Policy: default-src 'none'; style-src '" QP_PAGE_STYLE_HASH             \
    "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"

static void refuse(struct qp_request *request, unsigned status, const char *code, const char *text)
{
    struct qp_buf body = {0};
    struct qp_buf extra = {0};
    qp_envelope_error(&body, status, code, text, NULL, qp_request_conn_id(request),
                      qp_request_number(request));
    qp_buf_append_fmt(&extra, GUARDS "X-Qproxy-Error: %s\r\n%s", code,
                      status == 405 ? "Allow: GET, HEAD\r\n" : "");
    qp_request_reply(request, status, JSON_TYPE, qp_buf_slice(&extra), qp_buf_slice(&body));
    qp_buf_deinit(&body);
    qp_buf_deinit(&extra);
}

static void reply(struct qp_request *request, unsigned status, const char *type, struct qp_buf *body)
{
    qp_request_reply(request, status, type, QP_SLICE(GUARDS), qp_buf_slice(body));
    qp_buf_deinit(body);
}

/* ---- pages ---- */

static void give_health(struct qp_admin *admin, struct qp_request *request, struct qp_slice query)
{
    (void)admin, (void)query;
    qp_request_reply(request, 200, "text/plain; charset=utf-8", QP_SLICE(GUARDS), QP_SLICE("ok\n"));
}

/* Narrows the snapshot to the account that the query names; false if there is none of that name. */
static bool choose_account(struct qp_admin_snapshot *snapshot, struct qp_slice query)
{
    struct qp_slice key = QP_SLICE("account=");
    if (!qp_slice_starts(query, key))
        return true;
    struct qp_slice name = qp_slice(query.at + key.len, query.len - key.len);
    for (unsigned i = 0; i < snapshot->account_count; i++) {
        if (!qp_slice_is(name, qp_slice_str(snapshot->accounts[i].name)))
            continue;
        snapshot->accounts += i;
        snapshot->account_count = 1;
        return true;
    }
    return false;
}

static void give_readiness(struct qp_admin *admin, struct qp_request *request, struct qp_slice query)
{
    struct qp_admin_snapshot snapshot = take_snapshot(admin);
    struct qp_buf body = {0};
    if (!choose_account(&snapshot, query)) {
        refuse(request, 404, "no_account", "no account of this name is configured");
        return;
    }
    qp_put_ready_json(&body, &snapshot);
    reply(request, qp_readiness_is_ready(qp_snapshot_readiness(&snapshot)) ? 200 : 503, JSON_TYPE, &body);
}

static void give_status(struct qp_admin *admin, struct qp_request *request, struct qp_slice query)
{
    struct qp_admin_snapshot snapshot = take_snapshot(admin);
    struct qp_buf body = {0};
    (void)query;
    qp_put_status_json(&body, &snapshot);
    reply(request, 200, JSON_TYPE, &body);
}

static void give_metrics(struct qp_admin *admin, struct qp_request *request, struct qp_slice query)
{
    struct qp_admin_snapshot snapshot = take_snapshot(admin);
    struct qp_buf body = {0};
    (void)query;
    qp_put_metrics(&body, &snapshot);
    reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static void give_page(struct qp_admin *admin, struct qp_request *request, struct qp_slice query)
{
    struct qp_admin_snapshot snapshot = take_snapshot(admin);
    struct qp_buf body = {0};
    (void)query;
    qp_put_page(&body, &snapshot);
    reply(request, 200, "text/html; charset=utf-8", &body);
}

static const struct route {
    const char *path;
    void (*give)(struct qp_admin *admin, struct qp_request *request, struct qp_slice query);
} ROUTES[] = {
    {"/", give_page},
    {"/healthz", give_health},
    {"/readyz", give_readiness},
    {"/api/status", give_status},
    {"/metrics", give_metrics},
};

static const struct route *find_route(struct qp_slice path)
{
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++)
        if (qp_slice_is(qp_slice_str(ROUTES[i].path), path))
            return &ROUTES[i];
    return NULL;
}

/* ---- the handler ---- */

/* What the client means must be us by Host and, in a target that has one (as proxies are asked), by that authority too. */
static bool means_us(const struct qp_admin *admin, struct qp_request *request)
{
    const struct qp_message *head = qp_request_message(request);
    const struct qp_admin_names names = {
        .address = &admin->opts.addresses[qp_request_listener_id(request)],
        .hosts = admin->opts.hosts,
        .host_count = admin->opts.host_count,
    };
    struct qp_target target;
    if (!qp_admin_is_own_host(&names, qp_request_authority(request)))
        return false;
    return !qp_target_parse(head->method, head->target, &target) || !target.authority.at ||
           qp_admin_is_own_host(&names, target.authority);
}

static void refuse_host(struct qp_admin *admin, struct qp_request *request)
{
    uint64_t now_ms = qp_loop_now_ms(admin->loop);
    if (admin->warned_ms == 0 || now_ms - admin->warned_ms >= SECOND_MS) {
        admin->warned_ms = now_ms;
        qp_log_line(QP_LOG_WARN, "admin", qp_request_conn_id(request), qp_request_number(request),
                    "refused a request for the host '%.*s', which is not this listener's",
                    QP_SLICE_FMT(qp_request_authority(request)));
    }
    refuse(request, 403, "wrong_host",
           "the admin pages are only for the names localhost, 127.0.0.1, [::1] and the configured address, "
           "each with its "
           "port; a request for another name may come from a foreign web page");
}

static void on_head(void *context, struct qp_request *request)
{
    struct qp_admin *admin = context;
    struct qp_slice method = qp_request_message(request)->method;
    struct qp_slice query = qp_request_target(request);
    struct qp_slice path = qp_slice_cut(&query, '?');
    const struct route *route = find_route(path);
    if (!means_us(admin, request))
        refuse_host(admin, request);
    else if (!route)
        refuse(request, 404, "not_found",
               "there is no such page; there are /, /healthz, /readyz, /api/status and /metrics, and "
               "requests to the "
               "API belong to the addresses in listen");
    else if (!qp_slice_is(method, QP_SLICE("GET")) && !qp_slice_is(method, QP_SLICE("HEAD")))
        refuse(request, 405, "method_not_allowed", "this page is only read: use GET or HEAD");
    else
        route->give(admin, request, query);
}

/* Every request is answered by its head, so nothing of it is heard of again. */
static void on_body(struct qp_request *request, struct qp_slice piece)
{
    (void)request, (void)piece;
}

static void on_nothing(struct qp_request *request)
{
    (void)request;
}

static void on_gone(struct qp_request *request, enum qp_result why)
{
    (void)request, (void)why;
}

static const char *refusal_body(void *context, const struct qp_refusal *refusal, struct qp_buf *body)
{
    (void)context;
    qp_envelope_error(body, refusal->status, refusal->code, refusal->text, NULL, 0, 0);
    return JSON_TYPE;
}

static const struct qp_handler HANDLER = {
    .head = on_head,
    .body = on_body,
    .end = on_nothing,
    .drained = on_nothing,
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
    admin->relay_values = qp_alloc(((size_t)opts->worker_count * opts->relay.count + 1) * sizeof(uint64_t));
    admin->pool_values = qp_alloc((pools * opts->pool.count + 1) * sizeof(uint64_t));
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
    qp_free(admin->accounts);
    qp_free(admin->relay_values);
    qp_free(admin->pool_values);
    qp_free(admin);
}
