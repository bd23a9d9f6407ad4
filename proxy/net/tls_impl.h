/* tls_impl.h - the inside of qp_tls and the words for mbedTLS's answers. Private to net/. */
#ifndef QP_NET_TLS_IMPL_H
#define QP_NET_TLS_IMPL_H

#include "base/count.h"
#include "net/tls.h"
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>

enum { QP_TLS_TICKETS = 8 };

struct qp_trust {
    mbedtls_x509_crt chain;
};

struct qp_tls_saved {
    mbedtls_ssl_session session;
    uint64_t saved_ms;
};

struct qp_tls {
    struct qp_loop *loop;
    mbedtls_ssl_config conf;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random; /* one a loop: no lock, no sharing */
    struct {
        _Atomic uint64_t full_handshakes;
        _Atomic uint64_t resumed_handshakes;
        _Atomic uint64_t failed_handshakes;
    } counters;
    unsigned stream_count; /* streams that use it, closing and lingering ones included */
    bool is_released;      /* its owner has freed it: it goes with the last stream */
    /* client */
    char *host; /* NULL: a server */
    struct qp_tls_saved
        tickets[QP_TLS_TICKETS]; /* TLS 1.3, oldest first; each is used once (RFC 8446 appendix C.4) */
    unsigned ticket_count;
    struct qp_tls_saved last12; /* TLS 1.2: used again and again */
    bool has_last12;
    /* server */
    mbedtls_x509_crt own_chain;
    mbedtls_pk_context own_key;
    mbedtls_ssl_ticket_context ticket_keys;
    bool ticket_taken; /* by the handshake step that is running */
};

/* What an answer of mbedTLS means for the stream. */
enum qp_tls_answer {
    QP_TLS_AGAIN,  /* go on, with more input if it asked for some */
    QP_TLS_NOTICE, /* a session ticket came */
    QP_TLS_CLOSED, /* close_notify */
    QP_TLS_FATAL
};
enum qp_tls_answer qp_tls_classify(int answer);

/* Words for a failed handshake; verify_flags as mbedTLS's verification left them. */
void qp_tls_explain(int answer, uint32_t verify_flags, char *out, size_t size);
/* Words for the alert that the other side has sent, its number as in RFC 8446 section 6. */
void qp_tls_explain_alert(unsigned alert, char *out, size_t size);

/* Gives the context a session to resume, if there is one. */
void qp_tls_offer_session(struct qp_tls *tls, mbedtls_ssl_context *ssl);
/* Keeps the context's newest session. */
void qp_tls_keep_session(struct qp_tls *tls, const mbedtls_ssl_context *ssl);
void qp_tls_forget_last12(struct qp_tls *tls);
/* A stream has let go of it: frees it if that was the last one and the owner has let go too. */
void qp_tls_drop(struct qp_tls *tls);

/* For tests: no version above TLS 1.2. */
void qp_tls_limit_to_12(struct qp_tls *tls);

#endif
