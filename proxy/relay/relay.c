#include "base/alloc.h"
#include "base/log.h"
#include "relay/access.h"
#include "relay/relay_impl.h"
#include "relay/reply.h"

enum { WARNINGS_A_SECOND = 10, DIALS_AT_A_TIME = 32, IDLE_STREAMS_MOST = 256 };

static struct qp_slice make_authority(const struct qp_relay_account *account)
{
    struct qp_buf text = {0};
    bool v6 = strchr(account->origin_host, ':') != NULL;
    qp_buf_append_fmt(&text, v6 ? "[%s]" : "%s", account->origin_host);
    if (account->origin_port != 443)
        qp_buf_append_fmt(&text, ":%u", (unsigned)account->origin_port);
    return qp_buf_slice(&text);
}

static struct qp_pool *make_pool(struct qp_loop *loop, const struct qp_relay_opts *opts,
                                 const struct qp_relay_account *account)
{
    struct qp_pool_opts pool = {
        .dial = {.host = qp_slice_str(account->origin_host),
                 .port = account->origin_port,
                 .trust = account->trust,
                 .timeout_ms = opts->origin_connect_ms,
                 .handshake_ms = opts->origin_handshake_ms,
                 .resolve_ms = opts->origin_resolve_ms},
        .limits = opts->response_limits,
        .idle_ms = opts->origin_idle_ms,
        .lost_ms = opts->origin_lost_ms,
        .idle_streams = opts->origin_streams < IDLE_STREAMS_MOST ? opts->origin_streams : IDLE_STREAMS_MOST,
        .streams = opts->origin_streams,
        .dials = DIALS_AT_A_TIME,
        .waiting = opts->waiting,
    };
    return qp_pool_new(loop, &pool);
}

struct qp_relay *qp_relay_new(struct qp_loop *loop, const struct qp_relay_opts *opts, struct qp_view *view)
{
    struct qp_relay *relay = qp_alloc(sizeof *relay);
    relay->loop = loop;
    relay->opts = *opts;
    relay->view = view;
    relay->kept_budget = (struct qp_kept_budget){.memory_bytes = opts->replay_memory_bytes,
                                                 .memory_total_bytes = opts->replay_memory_total_bytes,
                                                 .body_bytes = opts->replay_body_bytes,
                                                 .folder = opts->replay_folder};
    qp_list_init(&relay->warm);
    relay->pools = qp_alloc(opts->account_count * sizeof(struct qp_pool *));
    relay->authorities = qp_alloc(opts->account_count * sizeof(struct qp_slice));
    relay->accepted = qp_alloc(opts->account_count * sizeof *relay->accepted);
    for (unsigned i = 0; i < opts->account_count; i++) {
        relay->pools[i] = make_pool(loop, opts, &opts->accounts[i]);
        relay->authorities[i] = make_authority(&opts->accounts[i]);
    }
    return relay;
}

void qp_relay_close(struct qp_relay **relay)
{
    struct qp_relay *r = *relay;
    qp_relay_free_warm(r);
    for (unsigned i = 0; i < r->opts.account_count; i++) {
        qp_pool_close(&r->pools[i]);
        qp_free((void *)(uintptr_t)r->authorities[i].at);
    }
    qp_free(r->pools);
    qp_free(r->authorities);
    qp_free(r->accepted);
    qp_buf_wipe(&r->head);
    qp_buf_deinit(&r->scratch);
    qp_free(r);
    *relay = NULL;
}

bool qp_relay_may_warn(struct qp_relay *relay)
{
    return qp_log_may(&relay->warnings, WARNINGS_A_SECOND);
}

static const char *refusal_body(void *relay, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body)
{
    (void)relay;
    qp_reply_body(body, refusal->status, refusal->code, refusal->text, NULL, qp_request_conn_id(request),
                  qp_request_number(request));
    return QP_REPLY_CONTENT_TYPE;
}

static struct qp_slice or_dash(struct qp_slice text)
{
    return text.len > 0 ? text : QP_SLICE("-");
}

static void on_refused(void *context, struct qp_request *request)
{
    struct qp_relay *relay = context;
    const struct qp_refusal *refusal = qp_request_refusal(request);
    struct qp_access access = {
        .conn = qp_request_conn_id(request),
        .request = qp_request_number(request),
        .client = qp_request_client(request),
        .method = or_dash(qp_request_message(request)->method),
        .target = or_dash(qp_request_target(request)),
        .status = qp_request_answer_status(request),
        .sent_bytes = qp_request_answer_sent(request),
        .duration_us = qp_request_age_ms(request) * 1000,
        .ended_by = refusal->status == 408 ? 'T' : 'P',
        .ended_in = 'H',
        .error = refusal->code,
    };

    if (!relay->opts.access_log)
        return;
    qp_buf_clear(&relay->scratch);
    qp_access_line(&access, relay->opts.access_json, &relay->scratch);
    qp_log_access(qp_buf_slice(&relay->scratch));
}

static void on_scarce(void *context)
{
    struct qp_relay *relay = context;
    qp_relay_free_warm(relay);
    for (unsigned i = 0; i < relay->opts.account_count; i++)
        qp_pool_give_back(relay->pools[i]);
}

const struct qp_handler *qp_relay_handler(void)
{
    static const struct qp_handler handler = {
        .head = qp_relay_on_head,
        .body = qp_relay_on_body,
        .end = qp_relay_on_end,
        .drained = qp_relay_on_drained,
        .gone = qp_relay_on_gone,
        .refusal_body = refusal_body,
        .refused = on_refused,
        .scarce = on_scarce,
    };
    return &handler;
}

const struct qp_relay_counters *qp_relay_counters(const struct qp_relay *relay)
{
    return &relay->counters;
}

struct qp_pool_counters qp_relay_pool_counters(const struct qp_relay *relay, unsigned account)
{
    return qp_pool_counters(relay->pools[account]);
}
