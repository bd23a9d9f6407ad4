#include "cli/daemon_opts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const TEXT =
    "{\"listen\": [\"127.0.0.1:0\", \"unix:/tmp/a\"], \"workers\": 3,"
    " \"limits\": {\"connections\": 10, \"waiting\": 4, \"origin_connections\": 7},"
    " \"replay\": {\"memory\": \"1MiB\", \"memory_total\": \"30MiB\"},"
    " \"log\": {\"access\": \"off\"},"
    " \"accounts\": [{\"name\": \"one\", \"datacenter\": \"iad1\", \"grant\": \"api_token\", \"api_token\": "
    "\"x\","
    "                 \"path_prefix\": \"/one\", \"ca_file\": \"" QP_TEST_CERTS "/ca.pem\"},"
    "                {\"name\": \"two\", \"origin\": \"https://h.example:8443\", \"grant\": "
    "\"client_credentials\", \"client_id\": \"i\","
    "                 \"client_secret\": \"s\", \"client_auth\": \"body\", \"listen\": \"127.0.0.1:9\","
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

/* "10 for all" must not become less than 10, nor 10 for each. */
static void limits_of_the_process_are_shared_out(void **state)
{
    (void)state;
    assert_int_equal(stage.opts.workers, 3);
    assert_int_equal(stage.opts.server.connections, 4);
    assert_int_equal(stage.opts.relay.waiting, 2);
    assert_int_equal(stage.opts.view.waiting, 2);
    assert_int_equal(stage.opts.relay.replay_memory_total_bytes, 10 * 1024 * 1024);
    assert_int_equal(stage.opts.relay.replay_memory_bytes, 1024 * 1024);
    assert_int_equal(stage.opts.relay.origin_streams, 7);
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
    assert_int_equal(stage.opts.account_count, 2);
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
        cmocka_unit_test(listeners_know_their_account),
        cmocka_unit_test(each_room_is_told_the_same_accounts_in_the_same_order),
        cmocka_unit_test(one_ca_file_is_parsed_once),
    };
    return cmocka_run_group_tests_name("cli.daemon_opts", tests, begin, end);
}
