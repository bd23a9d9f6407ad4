/* sign_in_pages.c - how a browser, or the command line, begins a sign-in and ends it.
 *
 *   browser                                    we                          authorization server
 *   GET /login/ACCOUNT  ---------------------> cookie, attempt
 *                       <- 302 --------------- its URL  ------------------> signs in, consents
 *   GET /oauth/callback?code=..&state=..  ---> state, cookie; the code is redeemed
 *                       <- 303 --------------- /signed-in/ACCOUNT: the code is out of the address bar and the history
 */
#include "admin/guards.h"
#include "admin/pages.h"
#include "admin/room.h"
#include "admin/text.h"
#include "base/log.h"
#include <stdio.h>

enum { TITLE_BYTES = 128, LOCATION_BYTES = 512, ID_BYTES = 64 };

#define CALLBACK_PATH "/oauth/callback"
#define LOGIN_PATH    "/login/"

/* ---- what was begun ---- */

/* What the parameters of the URL to sign in at say: the keeper gives the URL only. */
static void remember(struct qp_begun_sign_ins *begun, struct qp_slice state, unsigned account)
{
    qp_sha256_text(state, begun->at[begun->next].state_hash);
    begun->at[begun->next].account = account;
    begun->next = (begun->next + 1) % QP_SIGN_IN_ATTEMPTS;
}

/* False: not among the last ones. */
static bool recall(const struct qp_begun_sign_ins *begun, struct qp_slice state, unsigned *account)
{
    char hash[QP_DIGEST_TEXT_BYTES];
    if (state.len == 0)
        return false;
    qp_sha256_text(state, hash);
    for (unsigned i = 0; i < QP_SIGN_IN_ATTEMPTS; i++) {
        if (strcmp(begun->at[i].state_hash, hash) != 0)
            continue;
        *account = begun->at[i].account;
        return true;
    }
    return false;
}

static struct qp_slice query_of(const char *url)
{
    struct qp_slice rest = qp_slice_str(url);
    qp_slice_cut(&rest, '?');
    return rest;
}

static const char *redirect_uri_of(const struct qp_visit *visit)
{
    const char *own = visit->admin->opts.redirect_uris[visit->account];
    return own ? own : visit->admin->redirect_uri;
}

/* False: refused already. */
static bool begin(struct qp_visit *visit, struct qp_slice binding, struct qp_sign_in_begun *begun)
{
    struct qp_admin *admin = visit->admin;
    struct qp_form parameters = {0};
    const char *why = NULL;
    if (!qp_sign_in_begin(admin->opts.keeper, visit->account, redirect_uri_of(visit), binding, begun, &why)) {
        const struct qp_refusal refusal = {409, "no_sign_in", why};
        qp_visit_refuse(visit, &refusal);
        return false;
    }
    if (qp_form_parse(query_of(begun->url), &parameters))
        remember(&admin->begun, qp_form_get(&parameters, "state"), visit->account);
    qp_form_deinit(&parameters);
    qp_log_line(QP_LOG_INFO, "admin", qp_request_conn_id(visit->request), qp_request_number(visit->request),
                "a sign-in of '%s' begun from %.*s", qp_visit_account_name(visit),
                QP_SLICE_FMT(qp_request_client(visit->request)));
    return true;
}

/* ---- the browser goes ---- */

static void put_location(char location[LOCATION_BYTES], const char *path, const struct qp_visit *visit)
{
    snprintf(location, LOCATION_BYTES, "%s%s", path, qp_visit_account_name(visit));
}

static void sign_login(const struct qp_visit *visit, char proof[QP_DIGEST_TEXT_BYTES])
{
    char path[LOCATION_BYTES];
    put_location(path, LOGIN_PATH, visit);
    qp_session_sign_path(&visit->admin->sessions, path, proof);
}

static bool was_sent_here(const struct qp_visit *visit)
{
    char proof[QP_DIGEST_TEXT_BYTES];
    struct qp_slice shown = visit->query;
    if (!shown.at || !qp_slice_is(qp_slice_cut(&shown, '='), QP_SLICE("here")) || !shown.at)
        return false;
    sign_login(visit, proof);
    return qp_text_is_equal_secretly(shown, qp_slice_str(proof));
}

/* The cookie must be of the name that the browser comes back to: localhost and 127.0.0.1 do not share theirs. So who came by another name is first
 * sent to that one, which is the account's own and no client's choice; once only, for what stands before us may give us yet another name. */
static bool is_elsewhere(struct qp_visit *visit, char location[LOCATION_BYTES])
{
    struct qp_slice suffix = QP_SLICE(CALLBACK_PATH);
    struct qp_slice redirect_uri = qp_slice_str(redirect_uri_of(visit));
    const char *scheme_end = qp_slice_find(redirect_uri, QP_SLICE("://"));
    char proof[QP_DIGEST_TEXT_BYTES];
    if (!scheme_end || !qp_slice_ends_nocase(redirect_uri, suffix))
        return false;
    struct qp_slice front = qp_slice(redirect_uri.at, redirect_uri.len - suffix.len);
    size_t scheme_len = (size_t)(scheme_end + 3 - front.at);
    struct qp_slice authority = qp_slice(front.at + scheme_len, front.len - scheme_len);
    if (qp_slice_is_nocase(authority, qp_request_authority(visit->request)))
        return false;
    sign_login(visit, proof);
    int len = snprintf(location, LOCATION_BYTES, "%.*s" LOGIN_PATH "%s?here=%s", QP_SLICE_FMT(front),
                       qp_visit_account_name(visit), proof);
    return len > 0 && len < LOCATION_BYTES;
}

void qp_give_login(struct qp_visit *visit)
{
    bool was_sent = was_sent_here(visit);
    const struct qp_refusal *why = qp_guard_navigation(qp_request_message(visit->request), was_sent);
    char location[LOCATION_BYTES];
    struct qp_sign_in_begun begun;
    if (why)
        qp_visit_refuse(visit, why);
    else if (!was_sent && is_elsewhere(visit, location))
        qp_visit_redirect(visit, 302, location);
    else if (begin(visit, qp_slice_str(visit->session), &begun))
        qp_visit_redirect(visit, 302, begun.url);
}

void qp_give_only_login(struct qp_visit *visit)
{
    static const struct qp_refusal which = {
        404, "which_account",
        "no account or more than one can be signed in here; name the account, as in /login/ACCOUNT"};
    unsigned count = 0;
    for (unsigned i = 0; i < visit->admin->opts.account_count; i++) {
        if (!qp_keeper_status(visit->admin->opts.keeper, i).can_sign_in)
            continue;
        visit->account = i;
        count++;
    }
    if (count == 1)
        qp_give_login(visit);
    else
        qp_visit_refuse(visit, &which);
}

/* ---- the browser comes back ---- */

static const struct {
    const char *code;
    unsigned status;
    const char *title;
} ENDS[] = {
    {"access_denied", 400, "The sign-in was not allowed"},
    {"state_unknown", 400, "This sign-in is over"},
    {"other_browser", 400, "This sign-in was begun elsewhere"},
    {"vault", 503, "The sign-in could not be kept"},
    {"stopping", 503, "qproxy is stopping"},
    {"failed", 502, "The sign-in could not be completed"},
    {NULL, 400, "The sign-in did not work"},
};

static void on_finished(void *owner, const struct qp_order_end *end)
{
    struct qp_visit *visit = owner;
    bool is_known = visit->account < visit->admin->opts.account_count;
    char location[LOCATION_BYTES];
    size_t row = 0;
    if (end->ok) {
        if (is_known)
            put_location(location, "/signed-in/", visit);
        qp_visit_redirect(visit, 303, is_known ? location : "/");
        return;
    }
    while (ENDS[row].code && strcmp(ENDS[row].code, end->code) != 0)
        row++;
    if (is_known)
        put_location(location, LOGIN_PATH, visit);
    qp_visit_give_message(visit, ENDS[row].status, ENDS[row].title, end->text, is_known ? location : "/",
                          is_known ? "Try again" : "To the status page");
}

static unsigned account_of(const struct qp_visit *visit)
{
    struct qp_form parameters = {0};
    unsigned account = visit->admin->opts.account_count;
    if (qp_form_parse(visit->query, &parameters))
        recall(&visit->admin->begun, qp_form_get(&parameters, "state"), &account);
    qp_form_deinit(&parameters);
    return account;
}

void qp_give_callback(struct qp_visit *visit)
{
    const struct qp_sign_in_answer answer = {
        .query = visit->query.at ? visit->query : QP_SLICE(""),
        .binding = qp_slice_str(visit->session),
    };
    visit->account = account_of(visit);
    qp_sign_in_finish(visit->admin->opts.keeper, &answer, on_finished, visit);
}

/* Says how it is, not what the address claims: anybody may go there at any time. */
void qp_give_signed_in(struct qp_visit *visit)
{
    struct qp_token_status token = qp_keeper_status(visit->admin->opts.keeper, visit->account);
    bool is_signed_in = token.signed_in_s >= 0;
    char title[TITLE_BYTES];
    snprintf(title, sizeof title, is_signed_in ? "%s is signed in" : "%s is not signed in",
             qp_visit_account_name(visit));
    qp_visit_give_message(visit, 200, title,
                          is_signed_in
                              ? "qproxy keeps the token fresh from now on. You can close this window; "
                                "if the command line began this, it goes on by itself."
                              : "Begin a sign-in on the status page, or with qproxy login.",
                          "/", "To the status page");
}

/* ---- the command line ---- */

void qp_give_api_begin(struct qp_visit *visit)
{
    struct qp_sign_in_begun begun;
    struct qp_buf body = {0};
    if (!begin(visit, QP_SLICE(""), &begun))
        return;
    qp_json_open(&body, NULL, '{');
    qp_json_text(&body, "id", begun.id);
    qp_json_text(&body, "url", begun.url);
    qp_json_text(&body, "redirect_uri", redirect_uri_of(visit));
    qp_json_u64(&body, "expires_in_s", QP_SIGN_IN_LIFE_S);
    qp_json_close(&body, '}');
    qp_buf_append_char(&body, '\n');
    qp_visit_give_json(visit, 200, &body);
}

/* As a string; "" if it is too long to be one of ours. */
static void read_id(const struct qp_form *form, char id[ID_BYTES])
{
    struct qp_slice found = qp_form_get(form, "id");
    snprintf(id, ID_BYTES, "%.*s", found.len < ID_BYTES ? (int)found.len : 0, found.at ? found.at : "");
}

void qp_give_api_progress(struct qp_visit *visit)
{
    struct qp_form parameters = {0};
    struct qp_order_end end = {0};
    struct qp_buf body = {0};
    char id[ID_BYTES] = "";
    if (qp_form_parse(visit->query, &parameters))
        read_id(&parameters, id);
    qp_form_deinit(&parameters);
    qp_json_open(&body, NULL, '{');
    qp_json_text(&body, "state", qp_sign_in_progress(visit->admin->opts.keeper, id, &end, NULL));
    qp_json_text(&body, "code", end.code);
    qp_json_text(&body, "text", end.text);
    qp_json_close(&body, '}');
    qp_buf_append_char(&body, '\n');
    qp_visit_give_json(visit, 200, &body);
}

static void on_api_finished(void *owner, const struct qp_order_end *end)
{
    qp_visit_give_end(owner, end);
}

/* What somebody copied: the whole address, or what stands behind its '?'; with blanks and line ends around it. */
static struct qp_slice query_of_pasted(struct qp_slice address)
{
    while (address.len > 0 && (unsigned char)address.at[0] <= ' ')
        address = qp_slice(address.at + 1, address.len - 1);
    while (address.len > 0 && (unsigned char)address.at[address.len - 1] <= ' ')
        address.len--;
    struct qp_slice rest = address.at ? address : QP_SLICE("");
    struct qp_slice before = qp_slice_cut(&rest, '?');
    struct qp_slice query = rest.at ? rest : before;
    return qp_slice_cut(&query, '#');
}

void qp_give_api_finish(struct qp_visit *visit)
{
    char id[ID_BYTES];
    read_id(&visit->form, id);
    const struct qp_sign_in_answer answer = {
        .query = query_of_pasted(qp_form_get(&visit->form, "address")),
        .binding = QP_SLICE(""),
        .id = id,
    };
    qp_sign_in_finish(visit->admin->opts.keeper, &answer, on_api_finished, visit);
}
