#include "token/token_call.h"
#include "base/alloc.h"
#include "base/fault.h"
#include <stdio.h>

struct qp_token_call {
    const struct qp_account_opts *account;
    struct qp_grant_request request;
    struct qp_shot *shot;
    void (*done)(void *owner, struct qp_token_call_result *result);
    void *owner;
};

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
    {QP_NET_TLS_TIMEOUT, "timeout", "the token endpoint does not finish the TLS handshake in time"},
    {QP_NET_DESCRIPTORS, "no_descriptors",
     "qproxy has no file descriptors left: raise its limit (ulimit -n)"},
    {QP_HTTP_TOO_LARGE, "too_large", "the token endpoint's answer is over its limit: check token_url"},
    {QP_HTTP_MALFORMED, "not_http", "the token endpoint's answer is not valid HTTP: check token_url"},
    {QP_HTTP_TRUNCATED, "cut", "the token endpoint's answer was cut short"},
};

static void judge_failure(const struct qp_shot_result *shot, struct qp_token_call_result *result)
{
    struct failure_row row = {shot->why, "network", qp_result_text(shot->why)};
    for (size_t i = 0; i < sizeof(failure_rows) / sizeof(failure_rows[0]); ++i) {
        if (failure_rows[i].why == shot->why)
            row = failure_rows[i];
    }
    bool has_detail = *shot->detail;
    result->answer.outcome = QP_GRANT_PASSING;
    result->maybe_redeemed = shot->has_sent;
    snprintf(result->answer.error, sizeof(result->answer.error), "%s", row.error);
    snprintf(result->answer.text, sizeof(result->answer.text), "%s%s%s%s", row.text, has_detail ? " (" : "",
             shot->detail, has_detail ? ")" : "");
}

/* A gateway that gave up waiting does not know what became of the request behind it. */
static bool leaves_open(unsigned status)
{
    return status < 300 || status == 502 || status == 504;
}

static void judge_answer(const struct qp_shot_result *shot, struct qp_token_call_result *result)
{
    qp_grant_judge(shot->status, shot->body, &result->answer);
    result->maybe_redeemed = result->answer.outcome == QP_GRANT_PASSING && leaves_open(shot->status) &&
                             !result->answer.refresh_token;
}

static void take_shot(void *owner, const struct qp_shot_result *shot)
{
    struct qp_token_call *call = owner;
    struct qp_token_call_result result = {.retry_after_s = shot->retry_after_s};
    (void)qp_fault("redeem.answered");
    if (shot->why == QP_OK)
        judge_answer(shot, &result);
    else
        judge_failure(shot, &result);
    void (*done)(void *, struct qp_token_call_result *) = call->done;
    void *done_owner = call->owner;
    qp_free(call);
    done(done_owner, &result);
}

static void write_request(void *owner, struct qp_slice authority, struct qp_slice path, struct qp_buf *head,
                          struct qp_buf *body)
{
    struct qp_token_call *call = owner;
    qp_grant_body(call->account, &call->request, body);
    qp_grant_head(call->account, authority, path, qp_buf_len(body), head);
    (void)qp_fault("redeem.send");
}

struct qp_token_call *qp_token_call_start(struct qp_shot_range *endpoint,
                                          const struct qp_account_opts *account,
                                          const struct qp_grant_request *request,
                                          void (*done)(void *owner, struct qp_token_call_result *result),
                                          void *owner)
{
    struct qp_token_call *call = qp_alloc(sizeof(*call));
    call->account = account;
    call->request = *request;
    call->done = done;
    call->owner = owner;
    call->shot = qp_shot_start(
        endpoint, &(struct qp_shot_opts){.write = write_request, .done = take_shot, .owner = call});
    return call;
}

void qp_token_call_cancel(struct qp_token_call **call)
{
    if (!*call)
        return;
    qp_shot_cancel(&(*call)->shot);
    qp_free(*call);
    *call = NULL;
}
