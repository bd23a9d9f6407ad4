/* tls.c - configuration of TLS: trust, roles, sessions to resume. The streams' part is stream_tls.c. */
#include "net/tls_impl.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "net/loop.h"
#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SESSION_LIFE_MS = 3600 * 1000, /* older ones are not offered; servers rarely honour them longer */
    TICKET_LIFE_S = 24 * 3600      /* of those that our server role issues */
};

/* Both versions share the list: forward secrecy and AEAD only. */
static const int suites[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static const char *protocols[] = {"http/1.1", NULL};

enum qp_result qp_tls_init(void)
{
    return psa_crypto_init() == PSA_SUCCESS ? QP_OK : QP_NET_TLS;
}

/* --- trust --- */

static const char *find_system_bundle(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    };
    const char *named = getenv("SSL_CERT_FILE");

    if (named && *named)
        return named;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (access(places[i], R_OK) == 0)
            return places[i];
    }
    return NULL;
}

enum qp_result qp_trust_load(const char *ca_file, struct qp_trust **out, char *error, size_t error_size)
{
    const char *file = ca_file ? ca_file : find_system_bundle();

    if (!file) {
        snprintf(error, error_size,
                 "no CA bundle found at the usual places; install ca-certificates or name a PEM file");
        return QP_SELF_IO;
    }
    if (access(file, R_OK) != 0) {
        snprintf(error, error_size, "cannot read the CA bundle '%s': %s; name a readable PEM file", file,
                 strerror(errno));
        return QP_SELF_IO;
    }
    struct qp_trust *trust = qp_alloc(sizeof(*trust));
    mbedtls_x509_crt_init(&trust->chain);
    int skipped = mbedtls_x509_crt_parse_file(&trust->chain, file);
    if (skipped < 0 || trust->chain.raw.len == 0) {
        snprintf(error, error_size, "no certificate in the CA bundle '%s'; it must be a PEM file", file);
        qp_trust_free(&trust);
        return QP_NET_TLS;
    }
    if (skipped > 0)
        qp_log_warn("net", "%d certificates of the CA bundle '%s' were not understood and are not trusted",
                    skipped, file);
    *out = trust;
    return QP_OK;
}

void qp_trust_free(struct qp_trust **trust)
{
    if (!*trust)
        return;
    mbedtls_x509_crt_free(&(*trust)->chain);
    qp_free(*trust);
    *trust = NULL;
}

/* --- roles --- */

static struct qp_tls *new_tls(struct qp_loop *loop, int role)
{
    struct qp_tls *tls = qp_alloc(sizeof(*tls));

    tls->loop = loop;
    mbedtls_ssl_config_init(&tls->conf);
    mbedtls_entropy_init(&tls->entropy);
    mbedtls_ctr_drbg_init(&tls->random);
    mbedtls_x509_crt_init(&tls->own_chain);
    mbedtls_pk_init(&tls->own_key);
    mbedtls_ssl_ticket_init(&tls->ticket_keys);
    /* Without random numbers there is nothing that we could do safely. */
    qp_require(mbedtls_ctr_drbg_seed(&tls->random, mbedtls_entropy_func, &tls->entropy, NULL, 0) == 0);
    qp_require(mbedtls_ssl_config_defaults(&tls->conf, role, MBEDTLS_SSL_TRANSPORT_STREAM,
                                           MBEDTLS_SSL_PRESET_DEFAULT) == 0);
    mbedtls_ssl_conf_rng(&tls->conf, mbedtls_ctr_drbg_random, &tls->random);
    mbedtls_ssl_conf_min_tls_version(&tls->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_ciphersuites(&tls->conf, suites);
    mbedtls_ssl_conf_groups(&tls->conf, groups);
    qp_require(mbedtls_ssl_conf_alpn_protocols(&tls->conf, protocols) == 0);
    return tls;
}

struct qp_tls *qp_tls_client_new(struct qp_loop *loop, const struct qp_trust *trust, struct qp_slice host)
{
    struct qp_tls *tls = new_tls(loop, MBEDTLS_SSL_IS_CLIENT);

    tls->host = qp_strndup(host.at, host.len);
    mbedtls_ssl_conf_authmode(&tls->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    /* mbedTLS only reads the chain; its prototype does not say so. */
    mbedtls_ssl_conf_ca_chain(&tls->conf, (mbedtls_x509_crt *)(uintptr_t)&trust->chain, NULL);
    mbedtls_ssl_conf_session_tickets(&tls->conf, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &tls->conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return tls;
}

static int write_ticket(void *context, const mbedtls_ssl_session *session, unsigned char *start,
                        const unsigned char *end, size_t *len, uint32_t *lifetime)
{
    struct qp_tls *tls = context;

    return mbedtls_ssl_ticket_write(&tls->ticket_keys, session, start, end, len, lifetime);
}

static int parse_ticket(void *context, mbedtls_ssl_session *session, unsigned char *ticket, size_t len)
{
    struct qp_tls *tls = context;
    int answer = mbedtls_ssl_ticket_parse(&tls->ticket_keys, session, ticket, len);

    if (answer == 0)
        tls->ticket_taken = true;
    return answer;
}

static int load_own_chain(struct qp_tls *tls, const char *cert_file, const char *key_file)
{
    int answer = mbedtls_x509_crt_parse_file(&tls->own_chain, cert_file);

    if (answer == 0)
        answer =
            mbedtls_pk_parse_keyfile(&tls->own_key, key_file, NULL, mbedtls_ctr_drbg_random, &tls->random);
    if (answer == 0)
        answer = mbedtls_ssl_conf_own_cert(&tls->conf, &tls->own_chain, &tls->own_key);
    return answer;
}

enum qp_result qp_tls_server_new(struct qp_loop *loop, const char *cert_file, const char *key_file,
                                 struct qp_tls **out, char *error, size_t error_size)
{
    struct qp_tls *tls = new_tls(loop, MBEDTLS_SSL_IS_SERVER);
    char words[96];
    int answer = load_own_chain(tls, cert_file, key_file);

    if (answer != 0) {
        mbedtls_strerror(answer, words, sizeof(words));
        snprintf(error, error_size, "cannot use the certificate '%s' with the key '%s': %s", cert_file,
                 key_file, words);
        qp_tls_free(&tls);
        return QP_NET_TLS;
    }
    qp_require(mbedtls_ssl_ticket_setup(&tls->ticket_keys, mbedtls_ctr_drbg_random, &tls->random,
                                        MBEDTLS_CIPHER_AES_256_GCM, TICKET_LIFE_S) == 0);
    mbedtls_ssl_conf_session_tickets_cb(&tls->conf, write_ticket, parse_ticket, tls);
    mbedtls_ssl_conf_new_session_tickets(&tls->conf, 1);
    *out = tls;
    return QP_OK;
}

void qp_tls_limit_to_12(struct qp_tls *tls)
{
    mbedtls_ssl_conf_max_tls_version(&tls->conf, MBEDTLS_SSL_VERSION_TLS1_2);
}

void qp_tls_free(struct qp_tls **slot)
{
    struct qp_tls *tls = *slot;

    *slot = NULL;
    if (!tls)
        return;
    tls->is_released = true;
    qp_tls_drop(tls);
}

void qp_tls_drop(struct qp_tls *tls)
{
    if (tls->stream_count > 0 || !tls->is_released)
        return;
    qp_tls_forget_last12(tls);
    for (unsigned i = 0; i < tls->ticket_count; i++)
        mbedtls_ssl_session_free(&tls->tickets[i].session);
    mbedtls_ssl_config_free(&tls->conf);
    mbedtls_ssl_ticket_free(&tls->ticket_keys);
    mbedtls_pk_free(&tls->own_key);
    mbedtls_x509_crt_free(&tls->own_chain);
    mbedtls_ctr_drbg_free(&tls->random);
    mbedtls_entropy_free(&tls->entropy);
    qp_free(tls->host);
    qp_free(tls);
}

struct qp_tls_counters qp_tls_counters(const struct qp_tls *tls)
{
    return (struct qp_tls_counters){
        .full_handshakes = qp_count_of(&tls->counters.full_handshakes),
        .resumed_handshakes = qp_count_of(&tls->counters.resumed_handshakes),
        .failed_handshakes = qp_count_of(&tls->counters.failed_handshakes),
    };
}

/* --- sessions to resume --- */

void qp_tls_forget_last12(struct qp_tls *tls)
{
    if (tls->has_last12)
        mbedtls_ssl_session_free(&tls->last12.session);
    tls->has_last12 = false;
}

static void drop_oldest_ticket(struct qp_tls *tls)
{
    mbedtls_ssl_session_free(&tls->tickets[0].session);
    tls->ticket_count--;
    memmove(&tls->tickets[0], &tls->tickets[1], tls->ticket_count * sizeof(tls->tickets[0]));
}

void qp_tls_keep_session(struct qp_tls *tls, const mbedtls_ssl_context *ssl)
{
    struct qp_tls_saved fresh = {.saved_ms = qp_loop_now_ms(tls->loop)};

    if (!tls->host)
        return;
    mbedtls_ssl_session_init(&fresh.session);
    if (mbedtls_ssl_get_session(ssl, &fresh.session) != 0) {
        mbedtls_ssl_session_free(&fresh.session);
        return;
    }
    if (mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_3) {
        if (tls->ticket_count == QP_TLS_TICKETS)
            drop_oldest_ticket(tls);
        tls->tickets[tls->ticket_count++] = fresh;
    } else {
        qp_tls_forget_last12(tls);
        tls->last12 = fresh;
        tls->has_last12 = true;
    }
}

void qp_tls_offer_session(struct qp_tls *tls, mbedtls_ssl_context *ssl)
{
    uint64_t now_ms = qp_loop_now_ms(tls->loop);

    while (tls->ticket_count > 0 && tls->tickets[0].saved_ms + SESSION_LIFE_MS < now_ms)
        drop_oldest_ticket(tls);
    if (tls->has_last12 && tls->last12.saved_ms + SESSION_LIFE_MS < now_ms)
        qp_tls_forget_last12(tls);
    if (tls->ticket_count > 0) {
        struct qp_tls_saved *saved = &tls->tickets[--tls->ticket_count];
        if (mbedtls_ssl_set_session(ssl, &saved->session) != 0)
            qp_log_debug("net", "a session ticket could not be offered");
        mbedtls_ssl_session_free(&saved->session);
    } else if (tls->has_last12 && mbedtls_ssl_set_session(ssl, &tls->last12.session) != 0) {
        qp_tls_forget_last12(tls);
    }
}

/* --- what mbedTLS says --- */

enum qp_tls_answer qp_tls_classify(int answer)
{
    if (answer >= 0) /* an empty record gives 0: its end of input we know from the socket, never from here */
        return QP_TLS_AGAIN;
    switch (answer) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
        return QP_TLS_AGAIN;
    case MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET:
        return QP_TLS_NOTICE;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return QP_TLS_CLOSED;
    default:
        return QP_TLS_FATAL;
    }
}

static void explain_verification(uint32_t flags, char *out, size_t size)
{
    static const struct {
        uint32_t flag;
        const char *words;
    } map[] = {
        {MBEDTLS_X509_BADCERT_EXPIRED, "certificate expired"},
        {MBEDTLS_X509_BADCERT_FUTURE, "certificate not valid yet (is the clock right?)"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, "certificate is for another name"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "issuer not trusted"},
        {MBEDTLS_X509_BADCERT_REVOKED, "certificate revoked"},
        {MBEDTLS_X509_BADCERT_MISSING, "no certificate sent"},
        {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
         "certificate signed or keyed too weakly"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
             MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
         "certificate is not for servers"},
    };
    size_t used = 0;

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]) && used < size; i++) {
        if (flags & map[i].flag) {
            int n = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", map[i].words);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (used == 0)
        snprintf(out, size, "certificate not accepted (flags %#x)", (unsigned)flags);
}

void qp_tls_explain_alert(unsigned alert, char *out, size_t size)
{
    static const struct {
        unsigned alert;
        const char *words;
    } map[] = {
        {MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE, "no common cipher suite, group or signature"},
        {MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, "no common TLS version (1.2 or 1.3)"},
        {MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY, "it wants stronger ciphers"},
        {MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, "it does not know the host name"},
        {MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL, "it does not speak http/1.1"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED, "it wants a client certificate, and there is none"},
        {MBEDTLS_SSL_ALERT_MSG_NO_CERT, "it wants a client certificate, and there is none"},
        {MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED, "access denied"},
        {MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR, "it has an internal error"},
    };
    const char *words = "";

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].alert == alert)
            words = map[i].words;
    }
    snprintf(out, size, "the other side refused with TLS alert %u%s%s", alert, *words ? ": " : "", words);
}

void qp_tls_explain(int answer, uint32_t verify_flags, char *out, size_t size)
{
    static const struct {
        int answer;
        const char *words;
    } map[] = {
        {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, "no common TLS version (1.2 or 1.3)"},
        {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, "no common cipher suite, group or signature"},
        {MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL, "the other side does not speak http/1.1"},
        {MBEDTLS_ERR_SSL_INVALID_RECORD, "the other side does not speak TLS"},
        {MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, "unexpected TLS message"},
        {MBEDTLS_ERR_SSL_INVALID_MAC, "TLS record damaged"},
        {MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, "the other side ended the TLS handshake"},
    };

    if (answer == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        explain_verification(verify_flags, out, size);
        return;
    }
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].answer == answer) {
            snprintf(out, size, "%s", map[i].words);
            return;
        }
    }
    mbedtls_strerror(answer, out, size);
}
