#include "cli/daemon_opts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const TEXT =
    "{\"listen\": [\"127.0.0.1:0\", \"unix:/tmp/a\"], \"workers\": 3,"
    " \"limits\": {\"connections\": 10, \"waiting\": 4, \"origin_connections\": 7, \"origin_rate\": \"9B\", "
    "\"retry_budget\": \"off\"},"
    " \"timeouts\": {\"origin_handshake\": \"700ms\", \"origin_resolve\": \"9s\", \"request\": \"11s\", "
    "\"stream_wait\": \"12s\", \"token_wait\": \"13s\"},"
    " \"replay\": {\"memory\": \"1MiB\", \"memory_total\": \"30MiB\"},"
    " \"log\": {\"access\": \"off\"},"
    " \"vault\": {\"path\": \"/v/ault\", \"key\": \"file:" QP_TEST_CERTS "/vault.key\", \"old_key\": "
    "\"passphrase:env:QP_TEST_PASSPHRASE\"},"
    " \"accounts\": [{\"name\": \"one\", \"datacenter\": \"iad1\", \"grant\": \"api_token\", \"api_token\": "
    "\"x\","
    "                 \"path_prefix\": \"/one\", \"ca_file\": \"" QP_TEST_CERTS "/ca.pem\"},"
    "                {\"name\": \"two\", \"origin\": \"https://h.example:8443\", \"grant\": "
    "\"client_credentials\", \"client_id\": \"i\","
    "                 \"client_secret\": \"s\", \"client_auth\": \"body\", \"listen\": \"127.0.0.1:9\","
    "                 \"ca_file\": \"" QP_TEST_CERTS "/ca.pem\"},"
    "                {\"name\": \"three\", \"datacenter\": \"fra1\", \"grant\": \"authorization_code\", "
    "\"client_id\": \"i\", \"path_prefix\": \"/three\", \"revoke_url\": "
    "\"https://fra1.qualtrics.com/revoke\", "
    "\"redirect_uri\": \"http://127.0.0.1:1/cb\", \"sign_in_warn\": \"2h\", "
    "                 \"ca_file\": \"" QP_TEST_CERTS "/ca.pem\"}]}";

struct stage {
    struct qp_config *config;
    struct qp_daemon_opts opts;
};
static struct stage stage;

static int begin(void **state)
{
    struct qp_problems problems = {0};
    char error[512];
    (void)state;
    FILE *key = fopen(QP_TEST_CERTS "/vault.key", "w");
    fputs("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", key);
    fclose(key);
    setenv("QP_TEST_PASSPHRASE", "correct horse battery", 1);
    stage.config = qp_config_parse(qp_slice_str(TEXT), "test", NULL, NULL, &problems);
    if (!stage.config) {
        qp_problems_print(&problems, "test", stderr);
        qp_problems_deinit(&problems);
        return -1;
    }
    return qp_daemon_opts_init(&stage.opts, stage.config, error, sizeof(error)) == QP_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    qp_daemon_opts_deinit(&stage.opts);
    qp_config_free(&stage.config);
    return 0;
}

static void each_time_and_rate_has_its_own_setting(void **state)
{
    (void)state;
    assert_int_equal(stage.opts.relay.request_ms, 11000);
    assert_int_equal(stage.opts.relay.stream_wait_ms, 12000);
    assert_int_equal(stage.opts.view.token_wait_ms, 13000);
    assert_int_equal(stage.opts.relay.origin_rate_bytes, 9);
    assert_int_equal(stage.opts.relay.retry_per_cent, 0);
}

/* What Via tells one process from the next one by. */
static void each_process_has_a_name_of_its_own(void **state)
{
    struct qp_daemon_opts other;
    char error[128];
    (void)state;
    assert_int_equal(qp_daemon_opts_init(&other, stage.config, error, sizeof error), QP_OK);
    assert_int_equal(strlen(stage.opts.relay.instance), 8);
    assert_int_equal(strspn(stage.opts.relay.instance, "0123456789abcdef"), 8);
    assert_string_not_equal(stage.opts.relay.instance, other.relay.instance);
    qp_daemon_opts_deinit(&other);
}

/* "10 for all" must not become less than 10, nor 10 for each. */
static void limits_of_the_process_are_shared_out(void **state)
{
    (void)state;
    assert_int_equal(stage.opts.workers, 3);
    assert_int_equal(qp_census_limit(stage.opts.server.census), 10); /* these are counted together */
    assert_true(stage.opts.server.sheds);
    assert_int_equal(stage.opts.relay.waiting, 2);
    assert_int_equal(stage.opts.view.waiting, 2);
    assert_int_equal(stage.opts.relay.replay_memory_total_bytes, 10 * 1024 * 1024);
    assert_int_equal(stage.opts.relay.replay_memory_bytes, 1024 * 1024);
    assert_int_equal(stage.opts.relay.origin_streams, 7);
    assert_int_equal(stage.opts.relay.origin_handshake_ms, 700);
    assert_int_equal(stage.opts.relay.origin_resolve_ms, 9000);
    assert_int_equal(stage.opts.accounts[0].origin_handshake_ms, 700);
    assert_int_equal(stage.opts.accounts[0].origin_resolve_ms, 9000);
    assert_false(stage.opts.relay.access_log);
}

static void listeners_know_their_account(void **state)
{
    (void)state;
    assert_int_equal(stage.opts.listener_count, 3);
    assert_string_equal(stage.opts.listen[2], "127.0.0.1:9");
    assert_int_equal(stage.opts.listener_accounts[0], QP_LISTENER_ANY);
    assert_int_equal(stage.opts.listener_accounts[1], QP_LISTENER_ANY);
    assert_int_equal(stage.opts.listener_accounts[2], 1);
}

static void each_room_is_told_the_same_accounts_in_the_same_order(void **state)
{
    (void)state;
    assert_int_equal(stage.opts.account_count, 3);
    assert_string_equal(stage.opts.accounts[0].name, "one");
    assert_string_equal(stage.opts.relay_accounts[0].name, "one");
    assert_int_equal(stage.opts.accounts[0].grant, QP_GRANT_API_TOKEN);
    assert_true(stage.opts.relay_accounts[0].static_token);
    assert_string_equal(stage.opts.relay_accounts[0].origin_host, "iad1.qualtrics.com");
    assert_int_equal(stage.opts.relay_accounts[0].origin_port, 443);
    assert_int_equal(stage.opts.accounts[1].client_auth, QP_CLIENT_AUTH_BODY);
    assert_string_equal(stage.opts.accounts[1].token_url, "https://h.example:8443/oauth2/token");
    assert_int_equal(stage.opts.relay_accounts[1].origin_port, 8443);
    assert_false(stage.opts.relay_accounts[1].static_token);
}

static void what_a_sign_in_needs_is_handed_on(void **state)
{
    (void)state;
    const struct qp_account_opts *account = &stage.opts.accounts[2];
    assert_int_equal(account->grant, QP_GRANT_AUTHORIZATION_CODE);
    assert_null(account->client_secret);
    assert_string_equal(account->origin, "https://fra1.qualtrics.com");
    assert_string_equal(account->auth_url, "https://fra1.qualtrics.com/oauth2/auth");
    assert_string_equal(account->issuer, "https://fra1.qualtrics.com");
    assert_string_equal(account->revoke_url, "https://fra1.qualtrics.com/revoke");
    assert_string_equal(account->redirect_uri, "http://127.0.0.1:1/cb");
    assert_string_equal(account->offline_scope, "offline");
    assert_int_equal(account->sign_in_warn_ms, 2 * 3600 * 1000);
    assert_null(stage.opts.accounts[0].revoke_url);
    assert_null(stage.opts.accounts[0].redirect_uri);
}

/* Only a key that is the content of a file can be replaced there. */
static void the_vault_knows_where_its_key_came_from(void **state)
{
    (void)state;
    const struct qp_vault_opts *vault = &stage.opts.vault;
    assert_string_equal(vault->path, "/v/ault");
    assert_string_equal(vault->key_file, QP_TEST_CERTS "/vault.key");
    assert_false(vault->key.is_passphrase);
    assert_int_equal(qp_secret_reveal(vault->key.text).len, 64);
    assert_true(vault->old_key.is_passphrase);
    struct qp_config other = {
        .vault = {.path = stage.config->vault.path, .key = stage.config->vault.old_key}};
    struct qp_daemon_opts opts;
    char error[128];
    assert_int_equal(qp_daemon_opts_init(&opts, &other, error, sizeof error), QP_OK);
    assert_true(opts.vault.key.is_passphrase);
    assert_null(opts.vault.key_file);
    qp_daemon_opts_deinit(&opts);
}

static void one_ca_file_is_parsed_once(void **state)
{
    (void)state;
    assert_non_null(stage.opts.trusts[0]);
    assert_ptr_equal(stage.opts.trusts[0], stage.opts.trusts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_of_the_process_are_shared_out),
        cmocka_unit_test(each_time_and_rate_has_its_own_setting),
        cmocka_unit_test(each_process_has_a_name_of_its_own),
        cmocka_unit_test(listeners_know_their_account),
        cmocka_unit_test(each_room_is_told_the_same_accounts_in_the_same_order),
        cmocka_unit_test(what_a_sign_in_needs_is_handed_on),
        cmocka_unit_test(the_vault_knows_where_its_key_came_from),
        cmocka_unit_test(one_ca_file_is_parsed_once),
    };
    return cmocka_run_group_tests_name("cli.daemon_opts", tests, begin, end);
}
