/* visit.c - the answers, and the fields that every one of them has. */
#include "admin/guards.h"
#include "admin/pages.h"
#include "admin/room.h"
#include "base/alloc.h"
#include "http/write.h"
#include "server/envelope.h"

/* Nothing is kept, guessed, framed or read by another site, and a page has its own parts and nothing else. */
#define GUARDS                                                                                           \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"            \
    "Cross-Origin-Resource-Policy: same-origin\r\n"                                                      \
    "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " \
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"

static void put_fields(struct qp_buf *out, const struct qp_visit *visit, const struct qp_visit_answer *answer)
{
    qp_buf_append_str(out, GUARDS);
    qp_write_field(out, QP_SLICE("Referrer-Policy"),
                   qp_slice_str(answer->referrer_policy ? answer->referrer_policy : "no-referrer"));
    if (answer->location)
        qp_write_field(out, QP_SLICE("Location"), qp_slice_str(answer->location));
    if (visit->is_new_session)
        qp_session_put_cookie(out, visit->session);
    if (answer->extra)
        qp_buf_append_str(out, answer->extra);
}

void qp_visit_free(struct qp_visit *visit)
{
    qp_buf_wipe(&visit->body);
    qp_form_deinit(&visit->form);
    qp_wipe(visit->session, sizeof visit->session);
    qp_free(visit);
}

void qp_visit_answer(struct qp_visit *visit, const struct qp_visit_answer *answer, struct qp_buf *body)
{
    struct qp_buf fields = {0};
    put_fields(&fields, visit, answer);
    qp_request_reply(visit->request, answer->status, answer->type, qp_buf_slice(&fields), qp_buf_slice(body));
    qp_buf_wipe(&fields);
    qp_buf_wipe(body);
    qp_visit_free(visit);
}

void qp_visit_give_json(struct qp_visit *visit, unsigned status, struct qp_buf *body)
{
    const struct qp_visit_answer answer = {.status = status, .type = QP_JSON_TYPE};
    qp_visit_answer(visit, &answer, body);
}

void qp_visit_redirect(struct qp_visit *visit, unsigned status, const char *location)
{
    const struct qp_visit_answer answer = {.status = status, .location = location};
    struct qp_buf body = {0};
    qp_visit_answer(visit, &answer, &body);
}

/* ---- for people ---- */

bool qp_visit_wants_page(const struct qp_visit *visit)
{
    return !visit->is_api && qp_admin_accepts(qp_request_message(visit->request), QP_SLICE("text/html"));
}

const char *qp_visit_account_name(const struct qp_visit *visit)
{
    return visit->admin->opts.account_names[visit->account];
}

void qp_visit_give_message(struct qp_visit *visit, unsigned status, const char *title, const char *text,
                           const char *href, const char *link)
{
    const struct qp_visit_answer answer = {.status = status, .type = QP_PAGE_TYPE};
    struct qp_buf body = {0};
    qp_put_message(&body, title, text, href, link);
    qp_visit_answer(visit, &answer, &body);
}

/* ---- refusals ---- */

static const struct {
    unsigned status;
    const char *title;
} TITLES[] = {
    {400, "This cannot be read"},   {401, "The admin token is needed"}, {403, "This is not allowed"},
    {404, "There is no such page"}, {405, "Not by this method"},        {409, "Not for this account"},
    {415, "This is not a form"},
};

static const char *title_of(unsigned status)
{
    for (size_t i = 0; i < sizeof TITLES / sizeof TITLES[0]; i++)
        if (TITLES[i].status == status)
            return TITLES[i].title;
    return "This did not work";
}

static void put_refusal(struct qp_buf *body, const struct qp_visit *visit, const struct qp_refusal *why)
{
    if (qp_visit_wants_page(visit))
        qp_put_message(body, title_of(why->status), why->text, "/", "To the status page");
    else
        qp_envelope_error(body, why->status, why->code, why->text, NULL, qp_request_conn_id(visit->request),
                          qp_request_number(visit->request));
}

static void refuse(struct qp_visit *visit, const struct qp_refusal *why, const char *allow)
{
    struct qp_buf body = {0};
    struct qp_buf extra = {0};
    put_refusal(&body, visit, why);
    qp_buf_append_fmt(&extra, "X-Qproxy-Error: %s\r\n", why->code);
    if (allow)
        qp_buf_append_fmt(&extra, "Allow: %s\r\n", allow);
    if (why->status == 401)
        qp_buf_append_str(&extra, "WWW-Authenticate: Basic realm=\"qproxy\", charset=\"UTF-8\"\r\n");
    qp_buf_append_char(&extra, '\0');
    const struct qp_visit_answer answer = {
        .status = why->status,
        .type = qp_visit_wants_page(visit) ? QP_PAGE_TYPE : QP_JSON_TYPE,
        .extra = qp_buf_slice(&extra).at,
    };
    qp_visit_answer(visit, &answer, &body);
    qp_buf_deinit(&extra);
}

void qp_visit_refuse(struct qp_visit *visit, const struct qp_refusal *why)
{
    refuse(visit, why, NULL);
}

void qp_visit_refuse_method(struct qp_visit *visit, const char *allow)
{
    static const struct qp_refusal wrong_method = {
        405, "method_not_allowed", "this is not for that method; the Allow field names those that it is for"};
    refuse(visit, &wrong_method, allow);
}
