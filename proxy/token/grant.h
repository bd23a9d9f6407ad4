/* grant.h - token requests to bytes, token answers to values. Pure: RFC 6749 sections 2.3.1, 4.1.3, 4.4, 5.1, 5.2,
 * 6, RFC 7636 section 4.5, RFC 7009 section 2.1; no sockets.
 *
 * The answer is hostile input: cut, deep, huge or not JSON at all.
 */
#ifndef QP_TOKEN_GRANT_H
#define QP_TOKEN_GRANT_H

#include "base/buf.h"
#include "base/secret.h"
#include "token/account.h"

enum { QP_GRANT_ANSWER_BYTES = 64 * 1024 }; /* a larger answer is not read */

enum qp_grant_kind {
    QP_GRANT_BY_CLIENT,  /* client_credentials */
    QP_GRANT_BY_REFRESH, /* refresh_token */
    QP_GRANT_BY_CODE,    /* authorization_code */
    QP_GRANT_REVOKE      /* no grant but its end, at a revocation endpoint */
};

/* All borrowed. */
struct qp_grant_request {
    enum qp_grant_kind kind;
    const struct qp_secret *token;    /* BY_REFRESH, REVOKE: the token in question */
    const struct qp_secret *code;     /* BY_CODE, as are the next two */
    const struct qp_secret *verifier; /* RFC 7636 */
    const char *redirect_uri;
};

/* The form body; holds secrets: wipe it with qp_buf_wipe(). */
void qp_grant_body(const struct qp_account_opts *account, const struct qp_grant_request *request,
                   struct qp_buf *body);
/* The whole request head for a body of that length: "POST {path} HTTP/1.1", Host, Authorization for
 * client_auth basic (each part form-encoded before base64, RFC 6749 section 2.3.1), Content-Type,
 * Content-Length, Accept. Wipe it too. */
void qp_grant_head(const struct qp_account_opts *account, struct qp_slice authority, struct qp_slice path,
                   size_t body_bytes, struct qp_buf *head);

enum qp_grant_outcome {
    QP_GRANT_GRANTED,
    QP_GRANT_PASSING, /* try again later: network, 408, 429, 5xx, not JSON, no usable token */
    QP_GRANT_SIGN_IN, /* invalid_grant: the refresh token is spent or revoked */
    QP_GRANT_REFUSED  /* invalid_client, unauthorized_client, invalid_scope, unsupported_grant_type,
                         invalid_request: until reload */
};

struct qp_grant_answer {
    enum qp_grant_outcome outcome;
    struct qp_secret *access_token; /* GRANTED; the caller's */
    struct qp_secret
        *refresh_token;    /* NULL: none sent, the old one stays. May come without an access token */
    uint32_t expires_in_s; /* 1 s to 365 days; 3600 when absent, not a number (a string of digits is one),
                              zero or negative */
    char error[64]; /* the endpoint's error code in printable ASCII, or our own: "not_json", "http_503"; never
                       a token */
    char text[256]; /* one sentence for log and status page, with what to do; no secret */
};

/* Judges one answer. body: all of it, at most QP_GRANT_ANSWER_BYTES. An access token must be non-empty
 * visible ASCII without spaces (RFC 6750 section 2.1: b64token and what a field value can carry) of at most 8
 * KiB. token_type, when sent, must be bearer. */
void qp_grant_judge(unsigned status, struct qp_slice body, struct qp_grant_answer *answer);
void qp_grant_answer_deinit(struct qp_grant_answer *answer);

#endif
