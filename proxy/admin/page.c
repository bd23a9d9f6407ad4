/* page.c - the snapshot for people: one page, no script, nothing from elsewhere. */
#include "admin/pages.h"
#include "admin/text.h"
#include <inttypes.h>

/* Its hash stands in pages.h; the unit test that compares them prints the right one. */
static const char STYLE[] =
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    ".scroll{overflow-x:auto}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8886}"
    "tbody th{font-weight:normal}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".yes,.no{font-weight:bold;white-space:nowrap}"
    ".yes{color:light-dark(#0a6b2d,#5fd38d)}.no{color:light-dark(#b3141d,#ff8a8a)}";

static void put_seconds(struct qp_buf *out, int64_t seconds, const char *otherwise)
{
    if (seconds < 0)
        qp_buf_append_str(out, otherwise);
    else if (seconds < 120)
        qp_buf_append_fmt(out, "%" PRId64 " s", seconds);
    else if (seconds < 7200)
        qp_buf_append_fmt(out, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else if (seconds < 172800)
        qp_buf_append_fmt(out, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
    else
        qp_buf_append_fmt(out, "%" PRId64 " d %" PRId64 " h", seconds / 86400, seconds / 3600 % 24);
}

static void put_verdict(struct qp_buf *out, bool is_good, const char *word)
{
    qp_buf_append_fmt(out, "<span class=\"%s\">", is_good ? "yes" : "no");
    qp_put_html(out, word);
    qp_buf_append_str(out, "</span>");
}

/* A table that is wider than a phone scrolls by itself, also by keyboard. */
static void begin_table(struct qp_buf *out, const char *id, const char *title)
{
    qp_buf_append_fmt(out,
                      "<h2 id=\"%s\">%s</h2>\n<div class=\"scroll\" role=\"region\" aria-labelledby=\"%s\" "
                      "tabindex=\"0\"><table>\n<thead><tr>",
                      id, title, id);
}

static void end_table(struct qp_buf *out)
{
    qp_buf_append_str(out, "</tbody></table></div>\n");
}

/* ---- what is on the page ---- */

static void put_top(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    enum qp_readiness readiness = qp_snapshot_readiness(snapshot);
    qp_buf_append_str(out,
                      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>qproxy: ");
    qp_put_html(out, qp_readiness_word(readiness));
    qp_buf_append_str(
        out, "</title><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>");
    qp_buf_append_str(out, STYLE);
    qp_buf_append_str(out, "</style></head>\n<body><main>\n<h1>qproxy</h1>\n<p>");
    put_verdict(out, qp_readiness_is_ready(readiness), qp_readiness_word(readiness));
    qp_buf_append_str(out, ": ");
    qp_put_html(out, qp_readiness_text(readiness));
    qp_buf_append_str(out, ".<br>Version ");
    qp_put_html(out, snapshot->version);
    qp_buf_append_str(out, ", up for ");
    put_seconds(out, (int64_t)snapshot->uptime_s, "");
    qp_buf_append_fmt(out, ", %u worker%s.</p>\n", snapshot->worker_count,
                      snapshot->worker_count == 1 ? "" : "s");
}

static void put_account(struct qp_buf *out, const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    struct qp_buf reason = {0};
    qp_admin_put_reason(&reason, account);
    qp_buf_append_char(&reason, '\0');
    qp_buf_append_str(out, "<tr><th scope=\"row\">");
    qp_put_html(out, account->name);
    qp_buf_append_str(out, "</th><td>");
    put_verdict(out, qp_admin_account_is_ready(account), qp_token_state_word(token->state));
    qp_buf_append_str(out, "</td><td>");
    qp_put_html(out, qp_buf_slice(&reason).at);
    qp_buf_deinit(&reason);
    qp_buf_append_fmt(out, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">", token->generation);
    put_seconds(out, token->age_s, "none");
    qp_buf_append_str(out, "</td><td class=\"n\">");
    put_seconds(out, token->expires_in_s, token->generation ? "never" : "none");
    qp_buf_append_str(out, "</td><td class=\"n\">");
    put_seconds(out, token->next_call_s, "none planned");
    qp_buf_append_fmt(out, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td></tr>\n",
                      token->token_calls, token->token_call_failures);
}

static void put_accounts(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    begin_table(out, "accounts", "Accounts");
    qp_buf_append_str(
        out, "<th scope=\"col\">Account</th><th scope=\"col\">State</th><th scope=\"col\">Reason</th>"
             "<th scope=\"col\" class=\"n\">Generation</th><th scope=\"col\" class=\"n\">Token's age</th>"
             "<th scope=\"col\" class=\"n\">Expires in</th><th scope=\"col\" class=\"n\">Next call in</th>"
             "<th scope=\"col\" class=\"n\">Token calls</th><th scope=\"col\" class=\"n\">Failed</th>"
             "</tr></thead><tbody>\n");
    for (unsigned i = 0; i < snapshot->account_count; i++)
        put_account(out, &snapshot->accounts[i]);
    end_table(out);
}

static void put_number(struct qp_buf *out, uint64_t number)
{
    qp_buf_append_fmt(out, "<td class=\"n\">%" PRIu64 "</td>", number);
}

static void put_requests(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    begin_table(out, "requests", "Requests");
    qp_buf_append_str(out, "<th scope=\"col\">Counted</th><th scope=\"col\" class=\"n\">All</th>");
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        qp_buf_append_fmt(out, "<th scope=\"col\" class=\"n\">Worker %u</th>", i);
    qp_buf_append_str(out, "</tr></thead><tbody>\n");
    for (unsigned row = 0; row < snapshot->relay.count; row++) {
        qp_buf_append_str(out, "<tr><th scope=\"row\">");
        qp_put_html(out, snapshot->relay.rows[row].help);
        qp_buf_append_str(out, "</th>");
        put_number(out, qp_snapshot_relay_total(snapshot, row));
        for (unsigned i = 0; i < snapshot->worker_count; i++)
            put_number(out, qp_snapshot_relay(snapshot, i, row));
        qp_buf_append_str(out, "</tr>\n");
    }
    end_table(out);
}

static void put_origins(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    begin_table(out, "origins", "Connections to the origins");
    qp_buf_append_str(out, "<th scope=\"col\">Counted</th>");
    for (unsigned i = 0; i < snapshot->account_count; i++) {
        qp_buf_append_str(out, "<th scope=\"col\" class=\"n\">");
        qp_put_html(out, snapshot->accounts[i].name);
        qp_buf_append_str(out, "</th>");
    }
    qp_buf_append_str(out, "</tr></thead><tbody>\n");
    for (unsigned row = 0; row < snapshot->pool.count; row++) {
        qp_buf_append_str(out, "<tr><th scope=\"row\">");
        qp_put_html(out, snapshot->pool.rows[row].help);
        qp_buf_append_str(out, "</th>");
        for (unsigned i = 0; i < snapshot->account_count; i++)
            put_number(out, qp_snapshot_pool_total(snapshot, i, row));
        qp_buf_append_str(out, "</tr>\n");
    }
    end_table(out);
}

void qp_put_page(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    put_top(out, snapshot);
    put_accounts(out, snapshot);
    put_requests(out, snapshot);
    put_origins(out, snapshot);
    qp_buf_append_str(out, "<p>The same for programs: <a href=\"/api/status\">/api/status</a>, "
                           "<a href=\"/metrics\">/metrics</a>, <a href=\"/readyz\">/readyz</a>, "
                           "<a href=\"/healthz\">/healthz</a>.</p>\n</main></body></html>\n");
}
