/* session.h - what one browser has with us: a cookie, the csrf token that belongs to it, and how its last orders ended. Private to admin/.
 *
 * A cookie's value is a random text that we keep nowhere: the token is its HMAC under a key of this process. So there is nothing that visitors could
 * fill, and whatever value a browser comes with is as good as one of ours: what it must not be is known to another page, and no page can read it.
 */
#ifndef QP_ADMIN_SESSION_H
#define QP_ADMIN_SESSION_H

#include "base/buf.h"
#include "http/message.h"
#include "token/digest.h"

enum { QP_FLASHES = 32, QP_FLASH_TEXT_BYTES = 512, QP_FLASH_MS = 60 * 1000 };

/* How an order ended, kept for the browser that gave it: its answer is a redirect, and nothing that is shown may come from a URL. */
struct qp_flash {
    char session[QP_DIGEST_TEXT_BYTES]; /* "": free */
    unsigned account;
    bool ok;
    uint64_t until_ms;
    char text[QP_FLASH_TEXT_BYTES];
};

struct qp_sessions {
    char key[QP_DIGEST_TEXT_BYTES];
    struct qp_flash flashes[QP_FLASHES];
};

void qp_sessions_init(struct qp_sessions *sessions);
void qp_sessions_deinit(struct qp_sessions *sessions);

/* What the request's cookie holds, as long as it has the form of ours; QP_SLICE_NONE: none. */
struct qp_slice qp_session_find(const struct qp_message *head);
/* The whole field line that gives a browser this session. */
void qp_session_put_cookie(struct qp_buf *out, const char *session);
void qp_session_csrf(const struct qp_sessions *sessions, const char *session, char out[QP_DIGEST_TEXT_BYTES]);
/* What shows, in a URL, that it was us who sent a browser to that path. No path has the form of a cookie, so this is nobody's csrf token. */
void qp_session_sign_path(const struct qp_sessions *sessions, const char *path,
                          char out[QP_DIGEST_TEXT_BYTES]);

/* Replaces what this browser was to be told of the account; where all places are taken, the oldest goes. */
void qp_session_flash(struct qp_sessions *sessions, uint64_t now_ms, const char *session, unsigned account,
                      bool ok, const char *text);
/* NULL: nothing, or nothing any more. */
const struct qp_flash *qp_session_flash_of(const struct qp_sessions *sessions, uint64_t now_ms,
                                           const char *session, unsigned account);

#endif
