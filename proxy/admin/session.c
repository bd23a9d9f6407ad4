#include "admin/session.h"
#include <stdio.h>

#define COOKIE "qproxy_session"

void qp_sessions_init(struct qp_sessions *sessions)
{
    *sessions = (struct qp_sessions){0};
    qp_random_text(sessions->key);
}

void qp_sessions_deinit(struct qp_sessions *sessions)
{
    qp_wipe(sessions, sizeof *sessions);
}

/* ---- the cookie ---- */

static bool is_of_ours(struct qp_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        bool is_base64url = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                            c == '-' || c == '_';
        if (!is_base64url)
            return false;
    }
    return value.len == QP_DIGEST_TEXT_BYTES - 1;
}

static struct qp_slice find_in(struct qp_slice cookies)
{
    while (cookies.at) {
        struct qp_slice value = qp_slice_trim(qp_slice_cut(&cookies, ';'));
        struct qp_slice name = qp_slice_cut(&value, '=');
        if (value.at && qp_slice_is(name, QP_SLICE(COOKIE)) && is_of_ours(value))
            return value;
    }
    return QP_SLICE_NONE;
}

struct qp_slice qp_session_find(const struct qp_message *head)
{
    for (unsigned i = 0; i < head->fields.count; i++) {
        const struct qp_field *field = &head->fields.at[i];
        struct qp_slice found = field->id == QP_FIELD_COOKIE ? find_in(field->value) : QP_SLICE_NONE;
        if (found.at)
            return found;
    }
    return QP_SLICE_NONE;
}

/* Not Secure: we speak plain http on this machine, and some browsers would not take it then. SameSite is Lax and not Strict because the cookie must come
 * along when the authorization server sends the browser back to us. No age: it ends with the browser. */
void qp_session_put_cookie(struct qp_buf *out, const char *session)
{
    qp_buf_append_fmt(out, "Set-Cookie: " COOKIE "=%s; Path=/; HttpOnly; SameSite=Lax\r\n", session);
}

void qp_session_csrf(const struct qp_sessions *sessions, const char *session, char out[QP_DIGEST_TEXT_BYTES])
{
    qp_hmac_text(qp_slice_str(sessions->key), qp_slice_str(session), out);
}

void qp_session_sign_path(const struct qp_sessions *sessions, const char *path,
                          char out[QP_DIGEST_TEXT_BYTES])
{
    qp_hmac_text(qp_slice_str(sessions->key), qp_slice_str(path), out);
}

/* ---- what is to be told ---- */

static bool is_for(const struct qp_flash *flash, const char *session, unsigned account)
{
    return flash->account == account && strcmp(flash->session, session) == 0;
}

/* The browser's own for this account, else the one that ends first: free ones are at 0. */
static struct qp_flash *place_for(struct qp_sessions *sessions, const char *session, unsigned account)
{
    struct qp_flash *place = &sessions->flashes[0];
    for (unsigned i = 0; i < QP_FLASHES; i++) {
        struct qp_flash *flash = &sessions->flashes[i];
        if (is_for(flash, session, account))
            return flash;
        if (flash->until_ms < place->until_ms)
            place = flash;
    }
    return place;
}

void qp_session_flash(struct qp_sessions *sessions, uint64_t now_ms, const char *session, unsigned account,
                      bool ok, const char *text)
{
    struct qp_flash *flash = place_for(sessions, session, account);
    *flash = (struct qp_flash){.account = account, .ok = ok, .until_ms = now_ms + QP_FLASH_MS};
    snprintf(flash->session, sizeof flash->session, "%s", session);
    snprintf(flash->text, sizeof flash->text, "%s", text);
}

const struct qp_flash *qp_session_flash_of(const struct qp_sessions *sessions, uint64_t now_ms,
                                           const char *session, unsigned account)
{
    for (unsigned i = 0; i < QP_FLASHES; i++) {
        const struct qp_flash *flash = &sessions->flashes[i];
        if (now_ms < flash->until_ms && is_for(flash, session, account))
            return flash;
    }
    return NULL;
}
