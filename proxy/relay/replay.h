/* replay.h - may the request be sent again? Two pure decisions. */
#ifndef QP_RELAY_REPLAY_H
#define QP_RELAY_REPLAY_H

#include "base/slice.h"

enum { QP_ATTEMPTS_MOST = 3 };

enum qp_replay_verdict {
    QP_REPLAY_NOT_REJECTED, /* the status is not 401 */
    QP_REPLAY_WITH_CURRENT, /* the token has been replaced since: send again with the current one, for free */
    QP_REPLAY_WITH_NEW,     /* ask for one newer than the rejected one */
    QP_REPLAY_STATIC,       /* the rest: the 401 goes to the client. An API token has no newer one */
    QP_REPLAY_BODY_GONE,    /* the body is no longer kept */
    QP_REPLAY_EXHAUSTED,    /* the request has had its mint or its attempts */
    QP_REPLAY_DAMPED        /* a fresh token did not cure it the last time */
};

struct qp_replay_case {
    unsigned status;
    bool static_token;
    bool body_whole;   /* every byte that was received can be sent again */
    unsigned attempts; /* made, this one included */
    bool minted;       /* the request has asked for a newer token before */
    bool damped;       /* its path or its account */
    uint64_t used;     /* generation that the attempt carried */
    uint64_t current;  /* generation that the view has now */
};

enum qp_replay_verdict qp_may_replay(const struct qp_replay_case *c);

struct qp_retry_case {
    bool reused;   /* the stream had carried another exchange: it may have been dead already */
    bool answered; /* a byte of the response came */
    bool body_whole;
    bool idempotent;
    bool sent;         /* a byte of the request went out */
    bool retried;      /* once is enough: the retry runs on a fresh stream */
    unsigned attempts; /* made, this one included */
};

/* After a failure of the stream (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1). */
bool qp_may_retry(const struct qp_retry_case *c);

/* RFC 9110 section 9.2.2. */
bool qp_is_idempotent(struct qp_slice method);

#endif
