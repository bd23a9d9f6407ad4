/* token_call.h - one request to a token endpoint and its judged answer. Private to token/; control thread. */
#ifndef QP_TOKEN_TOKEN_CALL_H
#define QP_TOKEN_TOKEN_CALL_H

#include "token/grant.h"
#include "token/shot.h"

struct qp_token_call;

struct qp_token_call_result {
    struct qp_grant_answer answer; /* the callee's to deinit */
    uint32_t retry_after_s;        /* what the endpoint asked for; 0: nothing */
    /* The request went out and no answer says that it had no effect: a single-use refresh token in it may be
     * spent. */
    bool maybe_redeemed;
};

/* Calls back once, never from inside, within token_call_ms; the call is gone by then. `request` is copied; what it points to must live as long. */
struct qp_token_call *qp_token_call_start(struct qp_shot_range *endpoint,
                                          const struct qp_account_opts *account,
                                          const struct qp_grant_request *request,
                                          void (*done)(void *owner, struct qp_token_call_result *result),
                                          void *owner);
/* No call-back follows. *call becomes NULL; NULL inside is fine. */
void qp_token_call_cancel(struct qp_token_call **call);

#endif
