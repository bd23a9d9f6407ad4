#include "base/clock.h"
#include "base/log.h"
#include "relay/access.h"
#include "relay/relayed.h"

static void warn_reply(const struct relayed *r, const struct qp_reply_row *row, const char *detail)
{
    if (qp_relay_may_warn(r->relay))
        qp_log_line(QP_LOG_WARN, "relay", qp_request_conn_id(r->request), qp_request_number(r->request),
                    "answering %u %s for account '%s' while %s: %s%s%s", row->status, row->code,
                    r->account ? r->account->name : "-", qp_relayed_state_text(r), row->text,
                    detail ? ": " : "", detail ? detail : "");
}

void qp_ending_reply(struct relayed *r, const struct qp_reply_row *row, uint32_t retry_after_s,
                     const char *detail)
{
    struct qp_buf *extra = &r->relay->scratch;
    struct qp_buf body = {0};
    warn_reply(r, row, detail);
    qp_buf_clear(extra);
    qp_reply_extra(extra, row->code, retry_after_s);
    qp_reply_body(&body, row->status, row->code, row->text, detail, qp_request_conn_id(r->request),
                  qp_request_number(r->request));
    struct qp_answer answer = {
        .status = row->status, .extra = qp_buf_slice(extra), .length = qp_buf_len(&body)};
    qp_request_respond(r->request, &answer);
    qp_request_send(r->request, qp_buf_slice(&body));
    qp_buf_deinit(&body);
}

void qp_ending_answer_options(struct relayed *r)
{
    struct qp_answer answer = {.status = 200};
    qp_request_respond(r->request, &answer);
    QP_COUNT(&r->relay->counters, options_answered);
}

void qp_ending_cut(struct relayed *r, const char *why, const char *detail)
{
    if (qp_relay_may_warn(r->relay))
        qp_log_line(QP_LOG_WARN, "relay", qp_request_conn_id(r->request), qp_request_number(r->request),
                    "the answer of account '%s' is cut: %s%s%s", r->account->name, why, detail ? ": " : "",
                    detail ? detail : "");
    qp_answer_cut(r);
}

static void count(struct relayed *r, enum ending how)
{
    struct qp_relay_counters *counters = &r->relay->counters;
    _Atomic uint64_t *const ended[] = {
        [END_ANSWERED] = &counters->answered,
        [END_CUT] = &counters->cut,
        [END_REPLIED] = &counters->own_replies,
        [END_GONE] = &counters->client_gone,
    };
    qp_count_more(ended[how], 1);
    qp_count_more(&counters->links_rewritten, r->links.rewritten);
    if (r->kept.spilled)
        QP_COUNT(counters, spilled);
}

static void log_access(const struct relayed *r, char ended_by, const char *error)
{
    if (!r->relay->opts.access_log)
        return;
    /* A client that the server itself has ended did not just leave. */
    const struct qp_refusal *refusal = qp_request_refusal(r->request);
    if (refusal && !error) {
        error = refusal->code;
        ended_by = ended_by == 'C' ? 'P' : ended_by;
    }
    struct qp_access access = {
        .conn = qp_request_conn_id(r->request),
        .request = qp_request_number(r->request),
        .client = qp_request_client(r->request),
        .method = qp_request_message(r->request)->method,
        .target = qp_request_target(r->request),
        .account = r->account ? r->account->name : NULL,
        .status = qp_request_answer_status(r->request),
        .received_bytes = qp_request_body_received(r->request),
        .sent_bytes = qp_request_answer_sent(r->request),
        .duration_us = qp_clock_monotonic_us() - r->started_us,
        .attempts = r->attempts,
        .replays = r->replays,
        .ended_by = ended_by,
        .ended_in = ended_by == '-' ? '-' : qp_relayed_state_letter(r),
        .error = error,
    };
    struct qp_buf *line = &r->relay->scratch;
    qp_buf_clear(line);
    qp_access_line(&access, r->relay->opts.access_json, line);
    qp_log_access(qp_buf_slice(line));
}

void qp_ending_log(struct relayed *r, enum ending how, char ended_by, const char *error)
{
    count(r, how);
    log_access(r, ended_by, error);
}
