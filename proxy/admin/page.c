/* page.c - the snapshot for people: what the page is made of. It is complete without its script. */
#include "admin/html.h"
#include "admin/text.h"
#include <inttypes.h>

/* ---- tables ---- */

/* A table that is wider than a phone scrolls by itself, also by keyboard. */
static void begin_table(struct qp_buf *out, const char *id, const char *title)
{
    qp_buf_append_fmt(out,
                      "<details id=\"%s\"><summary>%s</summary><div class=\"scroll\" role=\"region\" "
                      "aria-label=\"%s\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">Counted</th>",
                      id, title, title);
}

static void end_table(struct qp_buf *out)
{
    qp_buf_append_str(out, "</tbody></table></div></details>\n");
}

static void put_number(struct qp_buf *out, uint64_t number)
{
    qp_buf_append_str(out, "<td class=\"n\">");
    qp_html_count(out, number);
    qp_buf_append_str(out, "</td>");
}

static void put_requests(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    begin_table(out, "page.requests", "Requests by worker");
    qp_buf_append_str(out, "<th scope=\"col\" class=\"n\">All</th>");
    for (unsigned i = 0; i < snapshot->worker_count; i++)
        qp_buf_append_fmt(out, "<th scope=\"col\" class=\"n\">Worker %u</th>", i);
    qp_buf_append_str(out, "</tr></thead><tbody>\n");
    for (unsigned row = 0; row < snapshot->counters.count; row++) {
        if (snapshot->counters.rows[row].label) /* the parts of a number: for machines */
            continue;
        qp_buf_append_str(out, "<tr><th scope=\"row\">");
        qp_put_html(out, snapshot->counters.rows[row].help);
        qp_buf_append_str(out, "</th>");
        put_number(out, qp_snapshot_worker_total(snapshot, row));
        for (unsigned i = 0; i < snapshot->worker_count; i++)
            put_number(out, qp_snapshot_worker(snapshot, i, row));
        qp_buf_append_str(out, "</tr>\n");
    }
    end_table(out);
}

/* ---- the top ---- */

static const struct {
    const char *level;
    const char *word;
} READINESS[] = {
    [QP_READINESS_READY] = {"good", "ready"},        [QP_READINESS_DEGRADED] = {"care", "degraded"},
    [QP_READINESS_FORGETFUL] = {"care", "degraded"}, [QP_READINESS_NOT_READY] = {"bad", "not ready"},
    [QP_READINESS_STOPPING] = {"care", "stopping"},
};

static void put_vault(struct qp_buf *out, const struct qp_vault_status *vault)
{
    if (!vault->is_configured) {
        qp_buf_append_str(out, "<li>no vault: nothing survives a restart</li>");
    } else if (vault->is_writable) {
        qp_buf_append_str(out, "<li>vault: writable</li>");
    } else {
        qp_buf_append_str(out, "<li class=\"bad\">vault: cannot be written</li>");
    }
}

static void put_facts(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    qp_buf_append_str(out, "<ul class=\"facts\"><li>version ");
    qp_put_html(out, snapshot->version);
    qp_buf_append_str(out, "</li><li>up for ");
    qp_html_duration(out, (int64_t)snapshot->uptime_s, "");
    qp_buf_append_str(out, "</li>");
    if (snapshot->worker_count > 0) {
        qp_buf_append_str(out, "<li>");
        qp_html_counted(out, snapshot->worker_count, "worker", "workers");
        qp_buf_append_str(out, "</li>");
    }
    put_vault(out, &snapshot->vault);
    qp_buf_append_str(out, "</ul>");
}

static void put_summary(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    enum qp_readiness readiness = qp_snapshot_readiness(snapshot);
    qp_buf_append_fmt(
        out, "<section class=\"summary %s\" id=\"page.summary\" data-live>\n<p class=\"verdict\"><strong>",
        READINESS[readiness].level);
    qp_html_word(out, READINESS[readiness].word);
    qp_buf_append_str(out, "</strong> <span>");
    qp_html_sentence(out, qp_readiness_text(readiness));
    qp_buf_append_str(out, "</span></p>\n");
    put_facts(out, snapshot);
    if (snapshot->vault.error) {
        qp_buf_append_str(out, "<p class=\"note bad\"><strong>The vault.</strong> ");
        qp_html_sentence(out, snapshot->vault.error);
        qp_buf_append_str(out, " What is signed in now is lost with a restart.</p>");
    }
    qp_buf_append_str(out, "\n</section>\n");
}

/* ---- all of it ---- */

static void put_cards(struct qp_buf *out, const struct qp_admin_snapshot *snapshot,
                      const struct qp_page_viewer *viewer)
{
    qp_buf_append_str(out, "<h2>Accounts</h2>\n<div class=\"cards\" id=\"page.cards\" data-live>\n");
    for (unsigned i = 0; i < snapshot->account_count; i++)
        qp_html_card(out, snapshot, i, viewer);
    qp_buf_append_str(out, "</div>\n");
}

/* Without workers nothing is relayed: this is the command line's own. */
static void put_numbers(struct qp_buf *out, const struct qp_admin_snapshot *snapshot)
{
    if (snapshot->worker_count == 0)
        return;
    qp_buf_append_str(out,
                      "<h2>The last hour</h2>\n<section class=\"panel\" id=\"page.numbers\" data-live>\n");
    qp_html_chart(out, snapshot->history);
    put_requests(out, snapshot);
    qp_buf_append_str(out, "</section>\n");
}

static void put_header(struct qp_buf *out)
{
    qp_buf_append_str(
        out,
        "<header class=\"top\"><img src=\"/icon.svg\" alt=\"\" width=\"32\" height=\"32\"><h1>qproxy</h1>"
        "<p class=\"live\" id=\"page.live\" role=\"status\"></p></header>\n<main>\n");
}

void qp_put_page(struct qp_buf *out, const struct qp_admin_snapshot *snapshot,
                 const struct qp_page_viewer *viewer)
{
    struct qp_buf title = {0};
    qp_buf_append_fmt(&title, "qproxy: %s", READINESS[qp_snapshot_readiness(snapshot)].word);
    qp_buf_append_char(&title, '\0');
    qp_html_open(out, qp_buf_slice(&title).at);
    qp_buf_deinit(&title);
    put_header(out);
    put_summary(out, snapshot);
    put_cards(out, snapshot, viewer);
    put_numbers(out, snapshot);
    qp_buf_append_str(out, "</main>\n<footer>The same for programs: <a href=\"/api/status\">status</a> "
                           "<a href=\"/metrics\">metrics</a> <a href=\"/readyz\">readiness</a> "
                           "<a href=\"/healthz\">health</a></footer>\n");
    qp_html_close(out);
}

void qp_put_message(struct qp_buf *out, const char *title, const char *text, const char *href,
                    const char *link)
{
    qp_html_open(out, title);
    qp_buf_append_str(
        out, "<main class=\"message\"><img src=\"/icon.svg\" alt=\"\" width=\"40\" height=\"40\"><h1>");
    qp_put_html(out, title);
    qp_buf_append_str(out, "</h1><p>");
    qp_html_sentence(out, text);
    qp_buf_append_str(out, "</p>");
    if (href) {
        qp_buf_append_str(out, "<p><a class=\"button primary\" href=\"");
        qp_put_html(out, href);
        qp_buf_append_str(out, "\">");
        qp_put_html(out, link);
        qp_buf_append_str(out, "</a></p>");
    }
    qp_buf_append_str(out, "</main>\n");
    qp_html_close(out);
}
