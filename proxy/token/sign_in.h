/* sign_in.h - how people sign an account in: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9700). Control thread.
 *
 * An attempt is a state of 256 random bits, a verifier, a redirect URI, and whom it is bound to. It lives 10 minutes and takes one answer; at most
 * QP_SIGN_IN_ATTEMPTS are open at a time (a new one ends the oldest). The verifier never leaves the keeper but to the token endpoint.
 * An answer that fails changes nothing of the account: what it had stays in use.
 */
#ifndef QP_TOKEN_SIGN_IN_H
#define QP_TOKEN_SIGN_IN_H

#include "base/slice.h"
#include "token/digest.h"
#include "token/keeper.h"

enum { QP_SIGN_IN_ATTEMPTS = 64, QP_SIGN_IN_LIFE_S = 600 };

struct qp_sign_in_begun {
    char id[QP_DIGEST_TEXT_BYTES]; /* for qp_sign_in_progress(); says nothing of the state */
    const char *url;               /* where to sign in. Valid until the next turn */
};

/* Begins an attempt. binding: what the browser that begins must show again when it comes back (a cookie's value); empty for the command line, whose
 * user carries the URL and the answer by hand. redirect_uri: used when the account has none of its own. False, with one sentence in *why, if the account's
 * grant is not authorization_code, there is neither redirect URI, the keeper drains, or the codes of all attempts are being redeemed. */
bool qp_sign_in_begin(struct qp_keeper *keeper, unsigned account_index, const char *redirect_uri,
                      struct qp_slice binding, struct qp_sign_in_begun *begun, const char **why);

/* What came back to the redirect URI: its query, as it came ("code=...&state=..."). Parameters that stand twice are an error. */
struct qp_sign_in_answer {
    struct qp_slice query;
    struct qp_slice binding; /* of the browser that came back; empty: none, or the command line */
    const char *id;          /* the command line's attempt, which the state must be of; NULL: a browser */
};

/* Ends the attempt that the state names (but not when `id` is another's) and, if all is well, redeems the code. Codes: signed_in, bad_answer,
 * state_unknown, other_browser, other_attempt, wrong_issuer, no_code, vault (it cannot be written; nothing was redeemed), stopping, failed (the token endpoint; the text says how); and the
 * authorization server's own error code, where it is one that RFC 6749 section 4.1.2.1 knows (access_denied, invalid_scope, ...), else refused. */
void qp_sign_in_finish(struct qp_keeper *keeper, const struct qp_sign_in_answer *came, qp_order_done *done,
                       void *owner);

/* How the attempt stands: "waiting", "working", "done", "failed", "unknown" (also 10 minutes after it began or ended). end: for done and failed; may be NULL.
 * account_index is written unless unknown; may be NULL. */
const char *qp_sign_in_progress(struct qp_keeper *keeper, const char *id, struct qp_order_end *end,
                                unsigned *account_index);

#endif
