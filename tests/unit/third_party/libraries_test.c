/* The four libraries as they were built for us: the versions we rely on, and what mbedtls_config.h must
 * bring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <cJSON.h>
#include <llhttp.h>
#include <mbedtls/pkcs5.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#include <psa/crypto.h>
#include <uv.h>

static void test_versions(void **state)
{
    assert_true(uv_version() >= 0x013200); /* 1.50 */
    assert_true(mbedtls_version_get_number() >= 0x03060600);
    assert_int_equal(mbedtls_version_get_number(), MBEDTLS_VERSION_NUMBER);
    assert_true(LLHTTP_VERSION_MAJOR == 9 && LLHTTP_VERSION_MINOR >= 2);
    assert_true(strcmp(cJSON_Version(), "1.7.18") >= 0);
}

/* A library compiled against another configuration than its users would show here: it writes past our struct.
 */
static void test_one_configuration_for_all(void **state)
{
    struct {
        mbedtls_ssl_config config;
        unsigned char guard[64];
    } both;
    memset(&both, 0xa5, sizeof both);
    mbedtls_ssl_config_init(&both.config);
    for (size_t i = 0; i < sizeof both.guard; i++)
        assert_int_equal(both.guard[i], 0xa5);
    assert_int_equal(mbedtls_ssl_config_defaults(&both.config, MBEDTLS_SSL_IS_CLIENT,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_session_tickets(&both.config, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &both.config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_config_free(&both.config);
}

static void test_only_sound_ciphersuites(void **state)
{
    static const char *const wanted[] = {
        "TLS1-3-AES-128-GCM-SHA256",
        "TLS1-3-AES-256-GCM-SHA384",
        "TLS1-3-CHACHA20-POLY1305-SHA256",
        "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
        "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384",
        "TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_non_null(mbedtls_ssl_ciphersuite_from_string(wanted[i]));
    for (const int *suite = mbedtls_ssl_list_ciphersuites(); *suite; suite++) {
        const char *name = mbedtls_ssl_get_ciphersuite_name(*suite);
        assert_null(strstr(name, "CBC"));
        assert_null(strstr(name, "WITH-NULL"));
    }
}

static void test_psa_starts(void **state)
{
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    mbedtls_psa_crypto_free();
}

/* RFC 7914, section 11: PBKDF2-HMAC-SHA-256 (P="passwd", S="salt", c=1). */
static void test_pbkdf2(void **state)
{
    static const unsigned char expected[] = {0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f};
    unsigned char key[64];
    assert_int_equal(mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA256, (const unsigned char *)"passwd", 6,
                                                   (const unsigned char *)"salt", 4, 1, sizeof key, key),
                     0);
    assert_memory_equal(key, expected, sizeof expected);
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    *(size_t *)parser->data += length;
    return 0;
}

static void test_llhttp_parses(void **state)
{
    size_t seen = 0;
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &seen;
    static const char request[] = "GET /whoami HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(llhttp_execute(&parser, request, sizeof request - 1), HPE_OK);
    assert_int_equal(seen, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_one_configuration_for_all),
        cmocka_unit_test(test_only_sound_ciphersuites),
        cmocka_unit_test(test_psa_starts),
        cmocka_unit_test(test_pbkdf2),
        cmocka_unit_test(test_llhttp_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
