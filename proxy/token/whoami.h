/* whoami.h - GET /API/v3/whoami: the question as bytes, the answer as an identity. Private to token/. Pure.
 *
 * The answer is hostile input, and its texts end up on a page: they are cut to fit and printable.
 */
#ifndef QP_TOKEN_WHOAMI_H
#define QP_TOKEN_WHOAMI_H

#include "token/keeper.h"
#include "token/shot.h"

/* token NULL: asked without one, which shows at least whether the origin can be reached. Wipe it: it may hold the token. */
void qp_whoami_head(const struct qp_account_opts *account, const struct qp_secret *token,
                    struct qp_slice authority, struct qp_slice path, struct qp_buf *head);

struct qp_whoami_verdict {
    const char *code; /* as qp_keeper_check() has them */
    char text[832];   /* one sentence */
};

/* identity: written for code "ok" and "wrong_host" only. host: the configured origin's, without port. */
void qp_whoami_judge(const struct qp_shot_result *shot, bool had_token, struct qp_slice host,
                     struct qp_identity *identity, struct qp_whoami_verdict *verdict);

#endif
