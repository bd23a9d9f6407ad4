#include "token/shot.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "http/uri.h"
#include "net/loop.h"
#include "net/timer.h"
#include "origin/pool.h"
#include "token/pace.h"
#include <stdio.h>

enum { RANGE_IDLE_MS = 1000, RANGE_STREAMS = 4 };

struct qp_shot_range {
    struct qp_loop *loop;
    const struct qp_account_opts *account;
    struct qp_slice authority; /* in the URL */
    char *path;
    struct qp_pool *pool;
};

struct qp_shot {
    struct qp_shot_range *range;
    struct qp_shot_opts opts;
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

struct qp_shot_range *qp_shot_range_new(struct qp_loop *loop, const struct qp_account_opts *account,
                                        const char *url, bool allow_plain)
{
    struct qp_url parts;
    qp_require(qp_url_parse(qp_slice_str(url), &parts));
    /* Without trust the dialer would speak plain: credentials go out over verified TLS or not at all. */
    qp_require(parts.https ? account->trust != NULL : allow_plain);
    struct qp_shot_range *range = qp_alloc(sizeof(*range));
    range->loop = loop;
    range->account = account;
    range->authority = authority_of(url);
    range->path = path_of(&parts);
    range->pool =
        qp_pool_new(loop, &(struct qp_pool_opts){.dial = {.host = parts.host,
                                                          .port = parts.port,
                                                          .trust = parts.https ? account->trust : NULL,
                                                          .timeout_ms = account->origin_connect_ms,
                                                          .handshake_ms = account->origin_handshake_ms,
                                                          .resolve_ms = account->origin_resolve_ms},
                                                 .limits = {.head_bytes = 32 * 1024,
                                                            .target_bytes = 8 * 1024,
                                                            .fields = 128,
                                                            .chunk_extension_bytes = 1024},
                                                 .idle_ms = RANGE_IDLE_MS,
                                                 .idle_streams = 1,
                                                 .streams = RANGE_STREAMS,
                                                 .dials = RANGE_STREAMS,
                                                 .waiting = RANGE_STREAMS});
    return range;
}

void qp_shot_range_free(struct qp_shot_range **range)
{
    if (!*range)
        return;
    qp_pool_close(&(*range)->pool);
    qp_free((*range)->path);
    qp_free(*range);
    *range = NULL;
}

/* But for the answer, which the result still shows. */
static void give_up_stream(struct qp_shot *shot)
{
    if (shot->is_waiting)
        qp_pool_cancel(&shot->waiter);
    qp_exchange_release(&shot->exchange);
    qp_timer_deinit(&shot->deadline);
    qp_later_cancel(&shot->busy);
}

static void finish(struct qp_shot *shot, struct qp_shot_result *result)
{
    struct qp_buf answer = shot->answer;
    struct qp_shot_opts opts = shot->opts;
    result->retry_after_s = shot->retry_after_s;
    result->has_sent = shot->exchange && qp_exchange_has_sent(shot->exchange);
    give_up_stream(shot);
    qp_free(shot);
    opts.done(opts.owner, result);
    qp_buf_wipe(&answer);
}

static void fail(struct qp_shot *shot, enum qp_result why, const char *detail)
{
    char shown[128]; /* the stream it came from goes before the result is looked at */
    snprintf(shown, sizeof(shown), "%s", detail ? detail : "");
    qp_ascii_only(shown); /* certificates and resolvers say what they like */
    struct qp_shot_result result = {.why = why, .detail = shown};
    finish(shot, &result);
}

static void take_no_notice(void *owner, const struct qp_message *head) {}

static void take_head(void *owner, const struct qp_message *head)
{
    struct qp_shot *shot = owner;
    shot->status = head->status;
    const struct qp_field *field = qp_fields_find(&head->fields, QP_FIELD_RETRY_AFTER);
    if (field)
        shot->retry_after_s = qp_pace_retry_after_s(field->value, qp_clock_unix_ms() / 1000);
    qp_buf_reserve(&shot->answer, QP_SHOT_ANSWER_BYTES); /* once: growth would leave unwiped copies */
}

static void take_body(void *owner, struct qp_slice piece)
{
    struct qp_shot *shot = owner;
    if (piece.len > QP_SHOT_ANSWER_BYTES - qp_buf_len(&shot->answer))
        fail(shot, QP_HTTP_TOO_LARGE, NULL);
    else
        qp_buf_append(&shot->answer, piece);
}

static void take_end(void *owner)
{
    struct qp_shot *shot = owner;
    struct qp_shot_result result = {
        .why = QP_OK, .status = shot->status, .body = qp_buf_slice(&shot->answer)};
    finish(shot, &result);
}

static void take_drained(void *owner) {}

static void take_failure(void *owner, enum qp_result why, const char *detail)
{
    /* What the parser says is written for a client that sends such a message. */
    bool is_about_http = why == QP_HTTP_MALFORMED || why == QP_HTTP_TOO_LARGE || why == QP_HTTP_TRUNCATED;
    fail(owner, why, is_about_http ? NULL : detail);
}

static const struct qp_exchange_events exchange_events = {
    .informed = take_no_notice,
    .head = take_head,
    .body = take_body,
    .end = take_end,
    .drained = take_drained,
    .failed = take_failure,
};

static void send_request(struct qp_shot *shot)
{
    const struct qp_shot_range *range = shot->range;
    struct qp_buf body = {0}, head = {0};
    shot->opts.write(shot->opts.owner, range->authority, qp_slice_str(range->path), &head, &body);
    bool has_body = qp_buf_len(&body) > 0;
    qp_exchange_begin(shot->exchange, &exchange_events, shot, false);
    qp_exchange_send_head(shot->exchange, qp_buf_slice(&head), has_body ? QP_BODY_LENGTH : QP_BODY_NONE);
    if (has_body) {
        qp_exchange_send_body(shot->exchange, qp_buf_slice(&body));
        qp_exchange_finish_request(shot->exchange, NULL);
    }
    qp_buf_wipe(&head);
    qp_buf_wipe(&body);
}

static void take_stream(struct qp_pool_waiter *waiter, struct qp_exchange *exchange, enum qp_result result,
                        const char *detail)
{
    struct qp_shot *shot = QP_CONTAINER_OF(waiter, struct qp_shot, waiter);
    shot->is_waiting = false;
    shot->exchange = exchange;
    if (exchange)
        send_request(shot);
    else
        fail(shot, result, detail);
}

static void pass_deadline(struct qp_timer *timer)
{
    fail(QP_CONTAINER_OF(timer, struct qp_shot, deadline), QP_NET_TIMEOUT, NULL);
}

static void report_busy(struct qp_job *job)
{
    fail(QP_CONTAINER_OF(job, struct qp_shot, busy), QP_SELF_BUSY, NULL);
}

struct qp_shot *qp_shot_start(struct qp_shot_range *range, const struct qp_shot_opts *opts)
{
    struct qp_shot *shot = qp_alloc(sizeof(*shot));
    shot->range = range;
    shot->opts = *opts;
    shot->waiter.done = take_stream;
    qp_list_init(&shot->waiter.link);
    qp_job_init(&shot->busy, report_busy);
    qp_timer_init(&shot->deadline, pass_deadline);
    qp_timer_arm(range->loop, &shot->deadline, range->account->token_call_ms);
    /* Always a new stream: with a dead reused one nobody could tell whether the request had an effect. */
    shot->is_waiting = qp_pool_wait(range->pool, &shot->waiter, true) == QP_OK;
    if (!shot->is_waiting)
        qp_later(range->loop, &shot->busy);
    return shot;
}

void qp_shot_cancel(struct qp_shot **shot)
{
    if (!*shot)
        return;
    give_up_stream(*shot);
    qp_buf_wipe(&(*shot)->answer);
    qp_free(*shot);
    *shot = NULL;
}
