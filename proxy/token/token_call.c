#include "token/token_call.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/uri.h"
#include "net/loop.h"
#include "net/timer.h"
#include "origin/pool.h"
#include "token/pace.h"
#include <stdio.h>

enum { ENDPOINT_IDLE_MS = 1000 };

struct qp_token_endpoint {
    struct qp_loop *loop;
    const struct qp_account_opts *account;
    struct qp_slice authority; /* in the account's token_url */
    char *path;
    struct qp_pool *pool;
};

struct qp_token_call {
    struct qp_token_endpoint *endpoint;
    const struct qp_secret *refresh_token;
    void (*done)(void *owner, struct qp_token_call_result *result);
    void *owner;
    struct qp_pool_waiter waiter;
    bool is_waiting;
    struct qp_exchange *exchange;
    struct qp_timer deadline;
    struct qp_job busy; /* the pool would not even queue us */
    struct qp_buf answer;
    unsigned status;
    uint32_t retry_after_s;
};

static char *path_of(const struct qp_url *url)
{
    if (url->rest.len && url->rest.at[0] == '/')
        return qp_strndup(url->rest.at, url->rest.len);
    char *path = qp_alloc(url->rest.len + 2);
    path[0] = '/';
    if (url->rest.len)
        memcpy(path + 1, url->rest.at, url->rest.len);
    return path;
}

static struct qp_slice authority_of(const char *text)
{
    const char *start = strstr(text, "://");
    qp_require(start);
    return qp_slice(start + 3, strcspn(start + 3, "/?"));
}

struct qp_token_endpoint *qp_token_endpoint_new(struct qp_loop *loop, const struct qp_account_opts *account,
                                                bool allow_plain)
{
    struct qp_url url;
    qp_require(qp_url_parse(qp_slice_str(account->token_url), &url));
    /* Without trust the dialer would speak plain: credentials go out over verified TLS or not at all. */
    qp_require(url.https ? account->trust != NULL : allow_plain);
    struct qp_token_endpoint *endpoint = qp_alloc(sizeof(*endpoint));
    endpoint->loop = loop;
    endpoint->account = account;
    endpoint->authority = authority_of(account->token_url);
    endpoint->path = path_of(&url);
    endpoint->pool =
        qp_pool_new(loop, &(struct qp_pool_opts){.dial = {.host = url.host,
                                                          .port = url.port,
                                                          .trust = url.https ? account->trust : NULL,
                                                          .timeout_ms = account->origin_connect_ms},
                                                 .limits = {.head_bytes = 32 * 1024,
                                                            .target_bytes = 8 * 1024,
                                                            .fields = 128,
                                                            .chunk_extension_bytes = 1024},
                                                 .idle_ms = ENDPOINT_IDLE_MS,
                                                 .idle_streams = 1,
                                                 .streams = 1,
                                                 .dials = 1,
                                                 .waiting = 1});
    return endpoint;
}

void qp_token_endpoint_free(struct qp_token_endpoint **endpoint)
{
    if (!*endpoint)
        return;
    qp_pool_close(&(*endpoint)->pool);
    qp_free((*endpoint)->path);
    qp_free(*endpoint);
    *endpoint = NULL;
}

static void give_up_resources(struct qp_token_call *call)
{
    if (call->is_waiting)
        qp_pool_cancel(&call->waiter);
    qp_exchange_release(&call->exchange);
    qp_timer_deinit(&call->deadline);
    qp_later_cancel(&call->busy);
    qp_buf_wipe(&call->answer);
    qp_free(call);
}

static void finish(struct qp_token_call *call, struct qp_token_call_result *result)
{
    void (*done)(void *, struct qp_token_call_result *) = call->done;
    void *owner = call->owner;
    result->retry_after_s = call->retry_after_s;
    give_up_resources(call);
    done(owner, result);
}

struct failure_row {
    enum qp_result why;
    const char *error;
    const char *text;
};

static const struct failure_row failure_rows[] = {
    {QP_NET_TLS_VERIFY, "certificate",
     "the token endpoint's certificate is not accepted: check token_url and the CA file"},
    {QP_NET_TLS, "tls", "TLS with the token endpoint failed: check token_url"},
    {QP_NET_RESOLVE, "resolve", "the token endpoint's host name does not resolve: check token_url and DNS"},
    {QP_NET_REFUSED, "connection_refused", "the token endpoint refuses the connection: check token_url"},
    {QP_NET_TIMEOUT, "timeout", "the token endpoint does not answer in time"},
    {QP_HTTP_TOO_LARGE, "too_large", "the token endpoint's answer is over its limit: check token_url"},
    {QP_HTTP_MALFORMED, "not_http", "the token endpoint's answer is not valid HTTP: check token_url"},
    {QP_HTTP_TRUNCATED, "cut", "the token endpoint's answer was cut short"},
};

static void put_printable(char *out, size_t size, const char *text)
{
    size_t i = 0;
    for (; text[i] && i + 1 < size; ++i) {
        out[i] = text[i];
        if (text[i] < 0x20 || text[i] > 0x7e)
            out[i] = '?';
    }
    out[i] = 0;
}

static void fail(struct qp_token_call *call, enum qp_result why, const char *detail)
{
    struct failure_row row = {why, "network", qp_result_text(why)};
    for (size_t i = 0; i < sizeof(failure_rows) / sizeof(failure_rows[0]); ++i) {
        if (failure_rows[i].why == why)
            row = failure_rows[i];
    }
    /* What the parser says is written for a client that sends such a message. */
    bool is_about_http = why == QP_HTTP_MALFORMED || why == QP_HTTP_TOO_LARGE || why == QP_HTTP_TRUNCATED;
    char shown[128] = "";
    if (detail && !is_about_http)
        put_printable(shown, sizeof(shown), detail);
    struct qp_token_call_result result = {.answer = {.outcome = QP_GRANT_PASSING}};
    result.maybe_redeemed = call->exchange && qp_exchange_has_sent(call->exchange);
    snprintf(result.answer.error, sizeof(result.answer.error), "%s", row.error);
    snprintf(result.answer.text, sizeof(result.answer.text), "%s%s%s%s", row.text, *shown ? " (" : "", shown,
             *shown ? ")" : "");
    finish(call, &result);
}

static void take_no_notice(void *owner, const struct qp_message *head) {}

static void take_head(void *owner, const struct qp_message *head)
{
    struct qp_token_call *call = owner;
    call->status = head->status;
    const struct qp_field *field = qp_fields_find(&head->fields, QP_FIELD_RETRY_AFTER);
    if (field)
        call->retry_after_s = qp_pace_retry_after_s(field->value, qp_clock_unix_ms() / 1000);
    qp_buf_reserve(&call->answer, QP_GRANT_ANSWER_BYTES); /* once: growth would leave unwiped copies */
}

static void take_body(void *owner, struct qp_slice piece)
{
    struct qp_token_call *call = owner;
    if (piece.len > QP_GRANT_ANSWER_BYTES - qp_buf_len(&call->answer))
        fail(call, QP_HTTP_TOO_LARGE, NULL);
    else
        qp_buf_append(&call->answer, piece);
}

/* A gateway that gave up waiting does not know what became of the request behind it. */
static bool leaves_open(unsigned status)
{
    return status < 300 || status == 502 || status == 504;
}

static void take_end(void *owner)
{
    struct qp_token_call *call = owner;
    struct qp_token_call_result result = {0};
    qp_grant_judge(call->status, qp_buf_slice(&call->answer), &result.answer);
    result.maybe_redeemed = result.answer.outcome == QP_GRANT_PASSING && leaves_open(call->status) &&
                            !result.answer.refresh_token;
    finish(call, &result);
}

static void take_drained(void *owner) {}

static void take_failure(void *owner, enum qp_result why, const char *detail)
{
    fail(owner, why, detail);
}

static const struct qp_exchange_events exchange_events = {
    .informed = take_no_notice,
    .head = take_head,
    .body = take_body,
    .end = take_end,
    .drained = take_drained,
    .failed = take_failure,
};

static void send_request(struct qp_token_call *call)
{
    const struct qp_token_endpoint *endpoint = call->endpoint;
    struct qp_buf body = {0}, head = {0};
    qp_grant_body(endpoint->account, call->refresh_token, &body);
    qp_grant_head(endpoint->account, endpoint->authority, qp_slice_str(endpoint->path), qp_buf_len(&body),
                  &head);
    qp_exchange_begin(call->exchange, &exchange_events, call, false);
    qp_exchange_send_head(call->exchange, qp_buf_slice(&head), QP_BODY_LENGTH);
    qp_exchange_send_body(call->exchange, qp_buf_slice(&body));
    qp_exchange_finish_request(call->exchange, NULL);
    qp_buf_wipe(&head);
    qp_buf_wipe(&body);
}

static void take_stream(struct qp_pool_waiter *waiter, struct qp_exchange *exchange, enum qp_result result,
                        const char *detail)
{
    struct qp_token_call *call = QP_CONTAINER_OF(waiter, struct qp_token_call, waiter);
    call->is_waiting = false;
    call->exchange = exchange;
    if (exchange)
        send_request(call);
    else
        fail(call, result, detail);
}

static void pass_deadline(struct qp_timer *timer)
{
    fail(QP_CONTAINER_OF(timer, struct qp_token_call, deadline), QP_NET_TIMEOUT, NULL);
}

static void report_busy(struct qp_job *job)
{
    fail(QP_CONTAINER_OF(job, struct qp_token_call, busy), QP_SELF_BUSY, NULL);
}

struct qp_token_call *qp_token_call_start(struct qp_token_endpoint *endpoint,
                                          const struct qp_secret *refresh_token,
                                          void (*done)(void *owner, struct qp_token_call_result *result),
                                          void *owner)
{
    struct qp_token_call *call = qp_alloc(sizeof(*call));
    call->endpoint = endpoint;
    call->refresh_token = refresh_token;
    call->done = done;
    call->owner = owner;
    call->waiter.done = take_stream;
    qp_list_init(&call->waiter.link);
    qp_job_init(&call->busy, report_busy);
    qp_timer_init(&call->deadline, pass_deadline);
    qp_timer_arm(endpoint->loop, &call->deadline, endpoint->account->token_call_ms);
    /* Always a new stream: with a dead reused one nobody could tell whether a refresh token was spent. */
    call->is_waiting = qp_pool_wait(endpoint->pool, &call->waiter, true) == QP_OK;
    if (!call->is_waiting)
        qp_later(endpoint->loop, &call->busy);
    return call;
}

void qp_token_call_cancel(struct qp_token_call **call)
{
    if (*call)
        give_up_resources(*call);
    *call = NULL;
}
