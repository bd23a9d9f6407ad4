/* account.h - one set of credentials at one origin, as the token room is told. */
#ifndef QP_TOKEN_ACCOUNT_H
#define QP_TOKEN_ACCOUNT_H

#include "base/secret.h"
#include <stdint.h>

enum qp_grant {
    QP_GRANT_CLIENT_CREDENTIALS,
    QP_GRANT_REFRESH_TOKEN,
    QP_GRANT_API_TOKEN,
    QP_GRANT_AUTHORIZATION_CODE
};
enum qp_client_auth { QP_CLIENT_AUTH_BASIC, QP_CLIENT_AUTH_BODY };

struct qp_trust;

/* All borrowed for the life of the keeper and the views. */
struct qp_account_opts {
    const char *name;
    enum qp_grant grant;
    enum qp_client_auth client_auth;
    const char *client_id;
    const struct qp_secret *client_secret; /* NULL: public client */
    const struct qp_secret *refresh_token; /* QP_GRANT_REFRESH_TOKEN: the first one */
    const struct qp_secret *api_token;     /* QP_GRANT_API_TOKEN */
    const char *scope;                     /* NULL: none sent */
    const char *token_url;                 /* absolute https URL, valid */
    const char *auth_url; /* QP_GRANT_AUTHORIZATION_CODE, as are the next three; absolute https URL, valid */
    const char *issuer;   /* what iss must be, where it is sent */
    const char *offline_scope; /* asks for a refresh token; NULL: nothing does */
    const char *redirect_uri;  /* NULL: whoever begins a sign-in says */
    const char *revoke_url;    /* RFC 7009; NULL: there is none */
    const char *origin;        /* "https://host[:port]" of the API, for whoami */
    uint64_t sign_in_warn_ms;  /* 0: never */
    const struct qp_trust *trust;
    uint32_t origin_connect_ms;
    uint32_t origin_handshake_ms;
    uint32_t origin_resolve_ms;
    uint32_t token_call_ms; /* for one whole token call */
};

#endif
