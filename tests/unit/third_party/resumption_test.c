/* mbedtls_config.h must let a session be resumed, on both sides and in both versions of TLS: without it each new
 * connection to an origin costs a full handshake. Client and server talk through two buffers in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <psa/crypto.h>

struct pipe {
    unsigned char bytes[65536];
    size_t len;
};

struct end {
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    struct pipe *in, *out;
};

static struct {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
    unsigned verified; /* chains that a client looked at: a resumed handshake brings none */
} all;

static int pipe_send(void *context, const unsigned char *at, size_t len)
{
    struct pipe *out = ((struct end *)context)->out;
    if (len > sizeof out->bytes - out->len)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(out->bytes + out->len, at, len);
    out->len += len;
    return (int)len;
}

static int pipe_receive(void *context, unsigned char *at, size_t len)
{
    struct pipe *in = ((struct end *)context)->in;
    if (in->len == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (len > in->len)
        len = in->len;
    memcpy(at, in->bytes, len);
    memmove(in->bytes, in->bytes + len, in->len - len);
    in->len -= len;
    return (int)len;
}

static int count_verified(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    all.verified++;
    return 0;
}

static void end_open(struct end *end, int side, mbedtls_ssl_protocol_version version)
{
    mbedtls_ssl_config_init(&end->config);
    mbedtls_ssl_init(&end->ssl);
    assert_int_equal(mbedtls_ssl_config_defaults(&end->config, side, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&end->config, mbedtls_ctr_drbg_random, &all.random);
    mbedtls_ssl_conf_min_tls_version(&end->config, version);
    mbedtls_ssl_conf_max_tls_version(&end->config, version);
    if (side == MBEDTLS_SSL_IS_CLIENT) {
        mbedtls_ssl_conf_ca_chain(&end->config, &all.certificate, NULL);
        mbedtls_ssl_conf_verify(&end->config, count_verified, NULL);
        mbedtls_ssl_conf_session_tickets(&end->config, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
        mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
            &end->config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    } else {
        assert_int_equal(mbedtls_ssl_conf_own_cert(&end->config, &all.certificate, &all.key), 0);
        mbedtls_ssl_conf_session_tickets_cb(&end->config, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                            &all.tickets);
        mbedtls_ssl_conf_new_session_tickets(&end->config, 1);
    }
    assert_int_equal(mbedtls_ssl_setup(&end->ssl, &end->config), 0);
    mbedtls_ssl_set_bio(&end->ssl, end, pipe_send, pipe_receive, NULL);
}

static void end_close(struct end *end)
{
    mbedtls_ssl_free(&end->ssl);
    mbedtls_ssl_config_free(&end->config);
}

static bool handshake_step(struct end *end)
{
    int result = mbedtls_ssl_handshake(&end->ssl);
    if (result != 0 && result != MBEDTLS_ERR_SSL_WANT_READ)
        fail_msg("handshake: -0x%04x", (unsigned)-result);
    return result == 0;
}

/* One connection; takes the session's ticket into `next`. Returns how many certificates the client verified. */
static unsigned connect_once(mbedtls_ssl_protocol_version version, const mbedtls_ssl_session *last,
                             mbedtls_ssl_session *next)
{
    static struct pipe up, down;
    static struct end client, server;
    up.len = down.len = 0;
    client.in = server.out = &down;
    client.out = server.in = &up;
    all.verified = 0;
    end_open(&client, MBEDTLS_SSL_IS_CLIENT, version);
    end_open(&server, MBEDTLS_SSL_IS_SERVER, version);
    assert_int_equal(mbedtls_ssl_set_hostname(&client.ssl, "localhost"), 0);
    if (last)
        assert_int_equal(mbedtls_ssl_set_session(&client.ssl, last), 0);

    bool client_done = false, server_done = false;
    for (int round = 0; round < 100 && !(client_done && server_done); round++) {
        client_done = client_done || handshake_step(&client);
        server_done = server_done || handshake_step(&server);
    }
    assert_true(client_done && server_done);

    if (version == MBEDTLS_SSL_VERSION_TLS1_3) {
        /* The ticket comes after the handshake: the server writes it when it next reads (or writes), and the client
         * learns of it by reading. Its first read only notes what kind of message came and wants to read again,
         * though nothing more is there. */
        unsigned char byte;
        assert_int_equal(mbedtls_ssl_read(&server.ssl, &byte, 1), MBEDTLS_ERR_SSL_WANT_READ);
        int result = mbedtls_ssl_read(&client.ssl, &byte, 1);
        if (result == MBEDTLS_ERR_SSL_WANT_READ)
            result = mbedtls_ssl_read(&client.ssl, &byte, 1);
        assert_int_equal(result, MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
    }
    assert_int_equal(mbedtls_ssl_get_session(&client.ssl, next), 0);
    end_close(&client);
    end_close(&server);
    return all.verified;
}

static void resumes(mbedtls_ssl_protocol_version version)
{
    mbedtls_ssl_session first, second;
    mbedtls_ssl_session_init(&first);
    mbedtls_ssl_session_init(&second);
    assert_true(connect_once(version, NULL, &first) > 0);
    assert_int_equal(connect_once(version, &first, &second), 0);
    mbedtls_ssl_session_free(&first);
    mbedtls_ssl_session_free(&second);
}

static void test_tls12_resumes(void **state)
{
    resumes(MBEDTLS_SSL_VERSION_TLS1_2);
}

static void test_tls13_resumes(void **state)
{
    resumes(MBEDTLS_SSL_VERSION_TLS1_3);
}

/* A key and its certificate for localhost, made for this run: no private key lies in the repository. */
static int set_up(void **state)
{
    char folder[] = "/tmp/qproxy-resumption-XXXXXX", command[512], path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(
        command, sizeof command,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout %s/key -out %s/certificate 2>%s/log",
        folder, folder, folder);
    assert_int_equal(system(command), 0);

    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    mbedtls_entropy_init(&all.entropy);
    mbedtls_ctr_drbg_init(&all.random);
    mbedtls_x509_crt_init(&all.certificate);
    mbedtls_pk_init(&all.key);
    mbedtls_ssl_ticket_init(&all.tickets);
    assert_int_equal(mbedtls_ctr_drbg_seed(&all.random, mbedtls_entropy_func, &all.entropy, NULL, 0), 0);
    snprintf(path, sizeof path, "%s/certificate", folder);
    assert_int_equal(mbedtls_x509_crt_parse_file(&all.certificate, path), 0);
    snprintf(path, sizeof path, "%s/key", folder);
    assert_int_equal(mbedtls_pk_parse_keyfile(&all.key, path, NULL, mbedtls_ctr_drbg_random, &all.random), 0);
    assert_int_equal(mbedtls_ssl_ticket_setup(&all.tickets, mbedtls_ctr_drbg_random, &all.random,
                                              MBEDTLS_CIPHER_AES_256_GCM, 3600),
                     0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static int tear_down(void **state)
{
    mbedtls_ssl_ticket_free(&all.tickets);
    mbedtls_pk_free(&all.key);
    mbedtls_x509_crt_free(&all.certificate);
    mbedtls_ctr_drbg_free(&all.random);
    mbedtls_entropy_free(&all.entropy);
    mbedtls_psa_crypto_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls12_resumes),
        cmocka_unit_test(test_tls13_resumes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
