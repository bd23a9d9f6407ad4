#include "admin/guards.h"
#include "http/uri.h"
#include "token/digest.h"

static const struct qp_refusal WRONG_HOST = {
    403, "wrong_host",
    "the admin pages are only for the names localhost, 127.0.0.1, [::1], the configured address and "
    "admin.hosts, each with its port; a request for another name may come from a foreign web page"};
static const struct qp_refusal TOKEN_NEEDED = {
    401, "admin_token_needed",
    "this needs admin.token: as a bearer token, or as the password when a browser asks (the user name does "
    "not matter)"};
static const struct qp_refusal WRONG_ORIGIN = {
    403, "wrong_origin",
    "what changes something must be sent from these pages themselves, with an Origin field that says so; "
    "open the page by its own address and try again"};
static const struct qp_refusal FORM_NEEDED = {415, "form_needed",
                                              "send the body as application/x-www-form-urlencoded, or none"};
static const struct qp_refusal CSRF = {
    403, "reload",
    "the page that this was sent from is out of date, as after a restart of qproxy: reload it and try again"};
static const struct qp_refusal NOT_NAVIGATED = {
    403, "not_navigated",
    "a link on another page cannot begin a sign-in, for then any page could: begin it on the status page"};

/* QP_SLICE_NONE unless it stands exactly once. */
static struct qp_slice only_value(const struct qp_message *head, struct qp_slice name)
{
    struct qp_slice value = QP_SLICE_NONE;
    for (unsigned i = 0; i < head->fields.count; i++) {
        if (!qp_slice_is_nocase(head->fields.at[i].name, name))
            continue;
        if (value.at)
            return QP_SLICE_NONE;
        value = head->fields.at[i].value;
    }
    return value;
}

/* What a slice holds up to the separator, without blanks. */
static struct qp_slice first_part(struct qp_slice text, char separator)
{
    return text.at ? qp_slice_trim(qp_slice_cut(&text, separator)) : text;
}

/* ---- 1. whom it means ---- */

const struct qp_refusal *qp_guard_host(const struct qp_admin_names *names, const struct qp_message *head,
                                       struct qp_slice authority)
{
    struct qp_target target;
    if (!qp_admin_is_own_host(names, authority))
        return &WRONG_HOST;
    bool is_absolute = qp_target_parse(head->method, head->target, &target) && target.authority.at;
    return is_absolute && !qp_admin_is_own_host(names, target.authority) ? &WRONG_HOST : NULL;
}

/* ---- 2. who asks ---- */

static int value_of_base64(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

/* RFC 4648 section 4, padded or not: what is wrong gives other bytes, which are then no password. */
static void decode_base64(struct qp_slice coded, struct qp_buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < coded.len; i++) {
        int value = value_of_base64(coded.at[i]);
        if (value < 0)
            return;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        qp_buf_append_char(out, (char)(bits >> count & 0xff));
    }
}

static bool is_token(const struct qp_secret *token, struct qp_slice presented)
{
    return presented.len > 0 && qp_text_is_equal_secretly(presented, qp_secret_reveal(token));
}

static bool is_password(const struct qp_secret *token, struct qp_slice coded)
{
    struct qp_buf decoded = {0};
    qp_buf_reserve(&decoded, coded.len + 1);
    decode_base64(coded, &decoded);
    struct qp_slice password = qp_buf_slice(&decoded);
    qp_slice_cut(&password, ':');
    bool is_right = is_token(token, password);
    qp_buf_wipe(&decoded);
    return is_right;
}

const struct qp_refusal *qp_guard_token(const struct qp_secret *token, const struct qp_message *head)
{
    struct qp_slice presented = only_value(head, QP_SLICE("Authorization"));
    if (!token)
        return NULL;
    struct qp_slice scheme = presented.at ? qp_slice_cut(&presented, ' ') : presented;
    if (!presented.at)
        return &TOKEN_NEEDED;
    presented = qp_slice_trim(presented);
    if (qp_slice_is_nocase(scheme, QP_SLICE("Bearer")) && is_token(token, presented))
        return NULL;
    if (qp_slice_is_nocase(scheme, QP_SLICE("Basic")) && is_password(token, presented))
        return NULL;
    return &TOKEN_NEEDED;
}

/* ---- 3. whose page it was sent from ---- */

const struct qp_refusal *qp_guard_origin(const struct qp_admin_names *names, const struct qp_message *head,
                                         struct qp_slice authority)
{
    struct qp_slice origin = only_value(head, QP_SLICE("Origin"));
    return origin.at && qp_admin_is_own_origin(names, authority, origin) ? NULL : &WRONG_ORIGIN;
}

const struct qp_refusal *qp_guard_form_type(const struct qp_message *head)
{
    if (head->body_kind == QP_BODY_NONE || (head->body_kind == QP_BODY_LENGTH && head->body_length == 0))
        return NULL;
    struct qp_slice type = first_part(only_value(head, QP_SLICE("Content-Type")), ';');
    return qp_slice_is_nocase(type, QP_SLICE("application/x-www-form-urlencoded")) ? NULL : &FORM_NEEDED;
}

const struct qp_refusal *qp_guard_csrf(struct qp_slice csrf, const struct qp_message *head,
                                       const struct qp_form *form)
{
    struct qp_slice name = QP_SLICE("X-Csrf-Token");
    struct qp_slice shown =
        qp_fields_find_name(&head->fields, name) ? only_value(head, name) : qp_form_get(form, "csrf");
    return shown.len > 0 && qp_text_is_equal_secretly(shown, csrf) ? NULL : &CSRF;
}

/* True also where the field is not there. */
static bool says_only(const struct qp_message *head, struct qp_slice name, const struct qp_slice *allowed,
                      size_t count)
{
    struct qp_slice value = only_value(head, name);
    if (!qp_fields_find_name(&head->fields, name))
        return true;
    for (size_t i = 0; i < count; i++)
        if (qp_slice_is(value, allowed[i]))
            return true;
    return false;
}

const struct qp_refusal *qp_guard_navigation(const struct qp_message *head, bool was_sent)
{
    static const struct qp_slice page[] = {{"document", 8}};
    static const struct qp_slice own[] = {{"same-origin", 11}, {"none", 4}};
    bool is_page = says_only(head, QP_SLICE("Sec-Fetch-Dest"), page, 1);
    bool is_own = was_sent || says_only(head, QP_SLICE("Sec-Fetch-Site"), own, 2);
    return is_page && is_own ? NULL : &NOT_NAVIGATED;
}

/* ---- what it would like ---- */

bool qp_admin_accepts(const struct qp_message *head, struct qp_slice type)
{
    for (unsigned i = 0; i < head->fields.count; i++) {
        struct qp_slice list = head->fields.at[i].value;
        struct qp_slice element;
        if (!qp_slice_is_nocase(head->fields.at[i].name, QP_SLICE("Accept")))
            continue;
        while (qp_list_next(&list, &element))
            if (qp_slice_is_nocase(first_part(element, ';'), type))
                return true;
    }
    return false;
}
