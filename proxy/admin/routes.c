/* routes.c - which path is whose, and a request's way past the guards, in the order of admin.h. */
#include "admin/guards.h"
#include "admin/pages.h"
#include "admin/parts.h"
#include "admin/room.h"
#include "admin/text.h"
#include "base/alloc.h"
#include "base/log.h"
#include "net/loop.h"
#include <stdio.h>

enum { WARN_MS = 1000, ALLOW_BYTES = 32 };

static const struct qp_refusal NOT_FOUND = {
    404, "not_found",
    "there is no such page; see / for what there is, and send requests for the API to the addresses in "
    "listen"};
static const struct qp_refusal NO_ACCOUNT = {404, "no_account", "no account of this name is configured"};
static const struct qp_refusal BAD_FORM = {
    400, "bad_form", "a form or query that can be read in two ways: a name twice, or broken percent codes"};
static const struct qp_refusal NO_SESSION = {
    403, "no_session",
    "the cookie is missing that the page or /api/session gives: allow cookies for this address, reload and "
    "try again"};

/* ---- what is only looked at ---- */

static void give_part(struct qp_visit *visit, const char *type, struct qp_slice part)
{
    const struct qp_visit_answer answer = {.status = 200, .type = type};
    struct qp_buf body = {0};
    qp_buf_append(&body, part);
    qp_visit_answer(visit, &answer, &body);
}

static void give_style(struct qp_visit *visit)
{
    give_part(visit, "text/css; charset=utf-8", qp_part_style());
}

static void give_script(struct qp_visit *visit)
{
    give_part(visit, "text/javascript; charset=utf-8", qp_part_script());
}

static void give_icon(struct qp_visit *visit)
{
    give_part(visit, "image/svg+xml", qp_part_icon());
}

static void give_health(struct qp_visit *visit)
{
    give_part(visit, "text/plain; charset=utf-8", QP_SLICE("ok\n"));
}

/* Narrows the snapshot to the account that the query names, if it names one. NULL, or why not. */
static const struct qp_refusal *choose_account(struct qp_admin_snapshot *snapshot, struct qp_slice query)
{
    struct qp_form form = {0};
    if (!qp_form_parse(query, &form))
        return &BAD_FORM;
    struct qp_slice name = qp_form_get(&form, "account");
    const struct qp_refusal *why = name.at ? &NO_ACCOUNT : NULL;
    for (unsigned i = 0; i < snapshot->account_count && why; i++) {
        if (!qp_slice_is(name, qp_slice_str(snapshot->accounts[i].name)))
            continue;
        snapshot->accounts += i;
        snapshot->account_count = 1;
        why = NULL;
    }
    qp_form_deinit(&form);
    return why;
}

static void give_readiness(struct qp_visit *visit)
{
    struct qp_admin_snapshot snapshot = qp_admin_look(visit->admin);
    const struct qp_refusal *why = choose_account(&snapshot, visit->query);
    struct qp_buf body = {0};
    if (why) {
        qp_visit_refuse(visit, why);
        return;
    }
    qp_put_ready_json(&body, &snapshot);
    qp_visit_give_json(visit, qp_readiness_is_ready(qp_snapshot_readiness(&snapshot)) ? 200 : 503, &body);
}

static void give_status(struct qp_visit *visit)
{
    struct qp_admin_snapshot snapshot = qp_admin_look(visit->admin);
    struct qp_buf body = {0};
    qp_put_status_json(&body, &snapshot);
    qp_visit_give_json(visit, 200, &body);
}

static void give_metrics(struct qp_visit *visit)
{
    const struct qp_visit_answer answer = {.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8"};
    struct qp_admin_snapshot snapshot = qp_admin_look(visit->admin);
    struct qp_buf body = {0};
    qp_put_metrics(&body, &snapshot);
    qp_visit_answer(visit, &answer, &body);
}

/* The forms' Origin would be "null" under no-referrer (Fetch standard, "append a request Origin header"). */
static void give_page(struct qp_visit *visit)
{
    const struct qp_visit_answer answer = {
        .status = 200, .type = QP_PAGE_TYPE, .referrer_policy = "same-origin"};
    struct qp_admin_snapshot snapshot = qp_admin_look(visit->admin);
    char csrf[QP_DIGEST_TEXT_BYTES];
    struct qp_buf body = {0};
    qp_session_csrf(&visit->admin->sessions, visit->session, csrf);
    const struct qp_page_viewer viewer = {
        .csrf = csrf,
        .session = visit->session,
        .sessions = &visit->admin->sessions,
        .now_ms = qp_loop_now_ms(visit->admin->loop),
    };
    qp_put_page(&body, &snapshot, &viewer);
    qp_visit_answer(visit, &answer, &body);
}

static void give_session(struct qp_visit *visit)
{
    char csrf[QP_DIGEST_TEXT_BYTES];
    struct qp_buf body = {0};
    qp_session_csrf(&visit->admin->sessions, visit->session, csrf);
    qp_json_open(&body, NULL, '{');
    qp_json_text(&body, "csrf", csrf);
    qp_json_close(&body, '}');
    qp_buf_append_char(&body, '\n');
    qp_visit_give_json(visit, 200, &body);
}

/* ---- the table ---- */

#define LOOK (QP_VISIT_GET | QP_VISIT_HEAD)

static const struct qp_route ROUTES[] = {
    {"/", LOOK, true, give_page},
    {"/page.css", LOOK, false, give_style},
    {"/page.js", LOOK, false, give_script},
    {"/icon.svg", LOOK, false, give_icon},
    {"/healthz", LOOK, false, give_health},
    {"/readyz", LOOK, false, give_readiness},
    {"/metrics", LOOK, false, give_metrics},
    {"/login", QP_VISIT_GET, true, qp_give_only_login},
    {"/login/", QP_VISIT_GET, true, qp_give_login},
    {"/oauth/callback", QP_VISIT_GET, false, qp_give_callback},
    {"/signed-in/", LOOK, false, qp_give_signed_in},
    {"/refresh/", QP_VISIT_POST, false, qp_give_refresh},
    {"/logout/", QP_VISIT_POST, false, qp_give_logout},
    {"/api/status", LOOK, false, give_status},
    {"/api/session", LOOK, true, give_session},
    {"/api/sign-in", LOOK, false, qp_give_api_progress},
    {"/api/sign-in", QP_VISIT_POST, false, qp_give_api_finish},
    {"/api/sign-in/", QP_VISIT_POST, false, qp_give_api_begin},
    {"/api/check/", QP_VISIT_POST, false, qp_give_check},
    {"/api/key/rotate", QP_VISIT_POST, false, qp_give_key_rotation},
};

static const struct {
    enum qp_visit_method method;
    const char *name;
} METHODS[] = {{QP_VISIT_GET, "GET"}, {QP_VISIT_HEAD, "HEAD"}, {QP_VISIT_POST, "POST"}};

static unsigned method_of(const struct qp_message *head)
{
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++)
        if (qp_slice_is(head->method, qp_slice_str(METHODS[i].name)))
            return METHODS[i].method;
    return 0;
}

static bool takes_account(const struct qp_route *route)
{
    size_t len = strlen(route->path);
    return len > 1 && route->path[len - 1] == '/';
}

static bool is_at(const struct qp_route *route, struct qp_slice path)
{
    struct qp_slice own = qp_slice_str(route->path);
    return takes_account(route) ? qp_slice_starts(path, own) && path.len > own.len : qp_slice_is(path, own);
}

/* The route for path and method. NULL: none; then *others are the methods of those at that path. */
static const struct qp_route *find_route(struct qp_slice path, unsigned method, unsigned *others)
{
    *others = 0;
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        if (!is_at(&ROUTES[i], path))
            continue;
        if (ROUTES[i].methods & method)
            return &ROUTES[i];
        *others |= ROUTES[i].methods;
    }
    return NULL;
}

static void refuse_method(struct qp_visit *visit, unsigned methods)
{
    char allow[ALLOW_BYTES] = "";
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++) {
        size_t len = strlen(allow);
        if (methods & METHODS[i].method)
            snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "", METHODS[i].name);
    }
    qp_visit_refuse_method(visit, allow);
}

/* ---- past the guards ---- */

/* A page elsewhere that tries its luck, or a wrong password, is worth a line, but not one for each try. */
static void warn(struct qp_visit *visit, const struct qp_refusal *why)
{
    struct qp_admin *admin = visit->admin;
    uint64_t now_ms = qp_loop_now_ms(admin->loop);
    bool is_first_401 = why->status == 401 &&
                        !qp_fields_find(&qp_request_message(visit->request)->fields, QP_FIELD_AUTHORIZATION);
    if (is_first_401 || (admin->warned_ms && now_ms - admin->warned_ms < WARN_MS))
        return;
    admin->warned_ms = now_ms;
    qp_log_line(QP_LOG_WARN, "admin", qp_request_conn_id(visit->request), qp_request_number(visit->request),
                "refused a request for the host '%.*s' (%s)",
                QP_SLICE_FMT(qp_request_authority(visit->request)), why->code);
}

static const struct qp_refusal *guard_all(const struct qp_visit *visit, const struct qp_admin_names *names,
                                          struct qp_slice path)
{
    const struct qp_message *head = qp_request_message(visit->request);
    const struct qp_refusal *why = qp_guard_host(names, head, qp_request_authority(visit->request));
    bool is_open = names->address->u.any.sa_family == AF_UNIX || qp_slice_is(path, QP_SLICE("/healthz"));
    if (!why && !is_open)
        why = qp_guard_token(visit->admin->opts.token, head);
    return why;
}

static const struct qp_refusal *guard_post(const struct qp_visit *visit, const struct qp_admin_names *names)
{
    const struct qp_message *head = qp_request_message(visit->request);
    const struct qp_refusal *why = qp_guard_origin(names, head, qp_request_authority(visit->request));
    if (!why && !visit->session[0])
        why = &NO_SESSION;
    return why ? why : qp_guard_form_type(head);
}

static bool find_account(struct qp_visit *visit, struct qp_slice path)
{
    size_t before = strlen(visit->route->path);
    struct qp_slice name = qp_slice(path.at + before, path.len - before);
    for (unsigned i = 0; i < visit->admin->opts.account_count; i++) {
        visit->account = i;
        if (qp_slice_is(name, qp_slice_str(qp_visit_account_name(visit))))
            return true;
    }
    return false;
}

static void find_session(struct qp_visit *visit)
{
    struct qp_slice found = qp_session_find(qp_request_message(visit->request));
    if (found.at)
        snprintf(visit->session, sizeof visit->session, "%.*s", QP_SLICE_FMT(found));
    visit->is_new_session = !found.at && visit->route->has_session;
    if (visit->is_new_session)
        qp_random_text(visit->session);
}

/* The route is there, and it is the method's. */
static void enter(struct qp_visit *visit, const struct qp_admin_names *names, struct qp_slice path)
{
    bool is_post = visit->route->methods == QP_VISIT_POST;
    if (takes_account(visit->route) && !find_account(visit, path)) {
        qp_visit_refuse(visit, &NO_ACCOUNT);
        return;
    }
    find_session(visit);
    const struct qp_refusal *why = is_post ? guard_post(visit, names) : NULL;
    if (why) {
        warn(visit, why);
        qp_visit_refuse(visit, why);
    } else if (!is_post) {
        visit->route->give(visit);
    } else if (qp_request_message(visit->request)->expect_continue) {
        qp_request_inform(visit->request, 100, QP_SLICE_NONE, NULL);
    }
}

void qp_routes_begin(struct qp_admin *admin, struct qp_request *request)
{
    struct qp_visit *visit = qp_alloc(sizeof *visit);
    const struct qp_admin_names names = {
        .address = &admin->opts.addresses[qp_request_listener_id(request)],
        .hosts = admin->opts.hosts,
        .host_count = admin->opts.host_count,
    };
    unsigned others = 0;
    visit->admin = admin;
    visit->request = request;
    visit->query = qp_request_target(request);
    struct qp_slice path = qp_slice_cut(&visit->query, '?');
    visit->is_api = qp_slice_starts(path, QP_SLICE("/api/"));
    qp_request_set_context(request, visit);
    const struct qp_refusal *why = guard_all(visit, &names, path);
    if (why) {
        warn(visit, why);
        qp_visit_refuse(visit, why);
        return;
    }
    visit->route = find_route(path, method_of(qp_request_message(request)), &others);
    if (visit->route)
        enter(visit, &names, path);
    else if (others)
        refuse_method(visit, others);
    else
        qp_visit_refuse(visit, &NOT_FOUND);
}

void qp_routes_end(struct qp_visit *visit)
{
    char csrf[QP_DIGEST_TEXT_BYTES];
    if (visit->route->methods != QP_VISIT_POST) /* begun at its head, and waits for the keeper */
        return;
    if (!qp_form_parse(qp_buf_slice(&visit->body), &visit->form)) {
        qp_visit_refuse(visit, &BAD_FORM);
        return;
    }
    qp_session_csrf(&visit->admin->sessions, visit->session, csrf);
    const struct qp_refusal *why =
        qp_guard_csrf(qp_slice_str(csrf), qp_request_message(visit->request), &visit->form);
    if (why)
        qp_visit_refuse(visit, why);
    else
        visit->route->give(visit);
}
