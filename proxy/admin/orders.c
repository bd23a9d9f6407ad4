/* orders.c - what is asked of the keeper: a visit waits for the order's end; whoever leaves earlier leaves the order to itself. */
#include "admin/guards.h"
#include "admin/pages.h"
#include "admin/room.h"
#include "admin/text.h"
#include "base/log.h"
#include "net/loop.h"

/* Who asked is worth knowing where several people can. */
static void log_order(const struct qp_visit *visit, const char *what, const char *of)
{
    qp_log_line(QP_LOG_INFO, "admin", qp_request_conn_id(visit->request), qp_request_number(visit->request),
                "%s %s was asked for from %.*s", what, of, QP_SLICE_FMT(qp_request_client(visit->request)));
}

/* ---- the ends ---- */

static void put_end(struct qp_buf *out, const struct qp_order_end *end)
{
    qp_json_open(out, NULL, '{');
    qp_json_bool(out, "ok", end->ok);
    qp_json_text(out, "code", end->code);
    qp_json_text(out, "text", end->text);
}

static void put_close(struct qp_buf *out)
{
    qp_json_close(out, '}');
    qp_buf_append_char(out, '\n');
}

void qp_visit_give_end(struct qp_visit *visit, const struct qp_order_end *end)
{
    struct qp_buf body = {0};
    put_end(&body, end);
    put_close(&body);
    qp_visit_give_json(visit, 200, &body);
}

static bool wants_json(const struct qp_visit *visit)
{
    return !qp_visit_wants_page(visit) &&
           qp_admin_accepts(qp_request_message(visit->request), QP_SLICE(QP_JSON_TYPE));
}

/* Back to the account's card, which shows it: nothing of it goes through the URL. */
static void on_ended(void *owner, const struct qp_order_end *end)
{
    struct qp_visit *visit = owner;
    struct qp_admin *admin = visit->admin;
    struct qp_buf location = {0};
    if (wants_json(visit)) {
        qp_visit_give_end(visit, end);
        return;
    }
    qp_session_flash(&admin->sessions, qp_loop_now_ms(admin->loop), visit->session, visit->account, end->ok,
                     end->text);
    qp_buf_append_fmt(&location, "/#%s", qp_visit_account_name(visit));
    qp_buf_append_char(&location, '\0');
    qp_visit_redirect(visit, 303, qp_buf_slice(&location).at);
    qp_buf_deinit(&location);
}

void qp_give_refresh(struct qp_visit *visit)
{
    log_order(visit, "a refresh of", qp_visit_account_name(visit));
    qp_keeper_refresh(visit->admin->opts.keeper, visit->account, on_ended, visit);
}

void qp_give_logout(struct qp_visit *visit)
{
    log_order(visit, "the sign-out of", qp_visit_account_name(visit));
    qp_keeper_sign_out(visit->admin->opts.keeper, visit->account, on_ended, visit);
}

/* ---- for the command line ---- */

static void on_checked(void *owner, const struct qp_order_end *end)
{
    struct qp_visit *visit = owner;
    const struct qp_identity *identity = qp_keeper_status(visit->admin->opts.keeper, visit->account).identity;
    struct qp_buf body = {0};
    put_end(&body, end);
    qp_put_identity_json(&body, identity);
    put_close(&body);
    qp_visit_give_json(visit, 200, &body);
}

void qp_give_check(struct qp_visit *visit)
{
    log_order(visit, "a check of", qp_visit_account_name(visit));
    bool spend = qp_slice_is(qp_form_get(&visit->form, "spend"), QP_SLICE("1"));
    qp_keeper_check(visit->admin->opts.keeper, visit->account, spend, on_checked, visit);
}

void qp_give_key_rotation(struct qp_visit *visit)
{
    char text[QP_FLASH_TEXT_BYTES] = "";
    log_order(visit, "a new key for", "the vault");
    enum qp_result result = qp_keeper_rotate_key(visit->admin->opts.keeper, text, sizeof text);
    const char *why_not = result == QP_NET_DENIED ? "not_rotatable" : "vault";
    const struct qp_order_end end = {
        .ok = result == QP_OK, .code = result == QP_OK ? "rotated" : why_not, .text = text};
    qp_visit_give_end(visit, &end);
}
