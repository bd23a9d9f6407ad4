#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/loop.h"
#include "net/tls_impl.h"
#include <mbedtls/net_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void each_answer_of_mbedtls_has_one_meaning(void **state)
{
    static const struct {
        int answer;
        enum qp_tls_answer meaning;
    } cases[] = {
        {0, QP_TLS_AGAIN},
        {17, QP_TLS_AGAIN},
        {MBEDTLS_ERR_SSL_WANT_READ, QP_TLS_AGAIN},
        {MBEDTLS_ERR_SSL_WANT_WRITE, QP_TLS_AGAIN},
        {MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET, QP_TLS_NOTICE},
        {MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, QP_TLS_CLOSED},
        {MBEDTLS_ERR_SSL_CONN_EOF, QP_TLS_FATAL},
        {MBEDTLS_ERR_NET_CONN_RESET, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_INVALID_MAC, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_INVALID_RECORD, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_TIMEOUT, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_ALLOC_FAILED, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_INTERNAL_ERROR, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, QP_TLS_FATAL},
        {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, QP_TLS_FATAL},
        {MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, QP_TLS_FATAL},
        {-1, QP_TLS_FATAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(qp_tls_classify(cases[i].answer), cases[i].meaning);
}

static void faults_are_explained_in_words(void **state)
{
    static const struct {
        int answer;
        uint32_t flags;
        const char *words;
    } cases[] = {
        {MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, MBEDTLS_X509_BADCERT_EXPIRED, "certificate expired"},
        {MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, MBEDTLS_X509_BADCERT_CN_MISMATCH,
         "certificate is for another name"},
        {MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_NOT_TRUSTED,
         "certificate expired, issuer not trusted"},
        {MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, 0x80000000, "certificate not accepted (flags 0x80000000)"},
        {MBEDTLS_ERR_SSL_INVALID_RECORD, 0, "the other side does not speak TLS"},
    };
    char words[96];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        qp_tls_explain(cases[i].answer, cases[i].flags, words, sizeof(words));
        assert_string_equal(words, cases[i].words);
    }
    qp_tls_explain_alert(70, words, sizeof(words));
    assert_string_equal(words,
                        "the other side refused with TLS alert 70: no common TLS version (1.2 or 1.3)");
    qp_tls_explain_alert(255, words, sizeof(words));
    assert_string_equal(words, "the other side refused with TLS alert 255");
    qp_tls_explain(MBEDTLS_ERR_SSL_ALLOC_FAILED, 0, words, sizeof(words));
    assert_true(strlen(words) > 0);
    char small[8];
    qp_tls_explain(MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, UINT32_MAX, small, sizeof(small));
    assert_string_equal(small, "certifi");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static void trust_needs_a_readable_file_with_certificates(void **state)
{
    struct qp_trust *trust = NULL;
    char error[256] = "";
    char path[] = "/tmp/qp_trust_XXXXXX";

    (void)state;
    assert_int_equal(qp_trust_load(QP_TEST_CERTS "/ca.pem", &trust, error, sizeof(error)), QP_OK);
    qp_trust_free(&trust);
    assert_null(trust);
    assert_int_not_equal(qp_trust_load("/nowhere/ca.pem", &trust, error, sizeof(error)), QP_OK);
    assert_non_null(strstr(error, "/nowhere/ca.pem"));
    close(mkstemp(path));
    static const char *const junk[] = {"", "no certificate\n",
                                       "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    for (size_t i = 0; i < 3; i++) {
        write_file(path, junk[i]);
        error[0] = 0;
        assert_int_not_equal(qp_trust_load(path, &trust, error, sizeof(error)), QP_OK);
        assert_non_null(strstr(error, path));
        assert_null(trust);
    }
    unlink(path);
}

static void a_bundle_with_one_good_certificate_is_trusted_with_a_warning(void **state)
{
    struct qp_trust *trust = NULL;
    char error[256] = "";
    char path[] = "/tmp/qp_trust_XXXXXX";
    char pem[4096];
    FILE *ca = fopen(QP_TEST_CERTS "/ca.pem", "re");

    (void)state;
    assert_non_null(ca);
    size_t len = fread(pem, 1, sizeof(pem) - 200, ca);
    fclose(ca);
    snprintf(pem + len, sizeof(pem) - len, "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n");
    close(mkstemp(path));
    write_file(path, pem);
    assert_int_equal(qp_trust_load(path, &trust, error, sizeof(error)), QP_OK);
    qp_trust_free(&trust);
    unlink(path);
}

static void ssl_cert_file_names_the_systems_bundle(void **state)
{
    struct qp_trust *trust = NULL;
    char error[256] = "";

    (void)state;
    setenv("SSL_CERT_FILE", QP_TEST_CERTS "/ca.pem", 1);
    assert_int_equal(qp_trust_load(NULL, &trust, error, sizeof(error)), QP_OK);
    qp_trust_free(&trust);
    setenv("SSL_CERT_FILE", "/nowhere", 1);
    assert_int_not_equal(qp_trust_load(NULL, &trust, error, sizeof(error)), QP_OK);
    unsetenv("SSL_CERT_FILE");
}

static void a_server_needs_its_certificate_and_key(void **state)
{
    struct qp_loop *loop = qp_loop_new();
    struct qp_tls *tls = NULL;
    char error[512] = "";

    (void)state;
    assert_int_not_equal(
        qp_tls_server_new(loop, "/nowhere.pem", QP_TEST_CERTS "/localhost.key", &tls, error, sizeof(error)),
        QP_OK);
    assert_non_null(strstr(error, "/nowhere.pem"));
    assert_null(tls);
    assert_int_equal(qp_tls_server_new(loop, QP_TEST_CERTS "/localhost.pem", QP_TEST_CERTS "/localhost.key",
                                       &tls, error, sizeof(error)),
                     QP_OK);
    qp_tls_free(&tls);
    qp_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_of_mbedtls_has_one_meaning),
        cmocka_unit_test(faults_are_explained_in_words),
        cmocka_unit_test(trust_needs_a_readable_file_with_certificates),
        cmocka_unit_test(a_bundle_with_one_good_certificate_is_trusted_with_a_warning),
        cmocka_unit_test(ssl_cert_file_names_the_systems_bundle),
        cmocka_unit_test(a_server_needs_its_certificate_and_key),
    };
    if (qp_tls_init() != QP_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
