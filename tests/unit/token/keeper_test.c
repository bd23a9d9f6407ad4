/* The keeper against a scripted endpoint: calls, failures, recovery. */
#include "rig.h"

static void test_first_mint(void **state)
{
    struct rig rig;
    struct qp_token token;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_REFRESHING);
    assert_false(qp_view_token(rig.view, 0, 0, &token));
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_MET);
    rig_assert_token(&rig, 1, "t1");
    assert_false(qp_view_token(rig.view, 0, 2, &token));
    struct qp_token_status status = rig_status(&rig);
    assert_int_equal(status.state, QP_TOKEN_FRESH);
    assert_int_equal(status.generation, 1);
    assert_true(status.usable && status.expires_in_s > 3590 && status.next_call_s > 3500);
    assert_null(status.last_error);
    /* One that is there already costs no call, and neither does a second start. */
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    qp_keeper_start(rig.keeper);
    rig_run_for(&rig, 20);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    assert_non_null(strstr(endpoint_request(rig.endpoint, 0), "Authorization: Basic aWQ6aHVzaA==\r\n"));
    rig_close(&rig);
}

static void test_refresh_ahead_never_without_token(void **state)
{
    struct rig rig;
    struct qp_token token;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3)}, {rig_grant("t2", 3600), .delay_ms = 50}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 1000);
    uint64_t start_ms = qp_loop_now_ms(rig.loop);
    while (!qp_view_token(rig.view, 0, 2, &token)) {
        assert_true(qp_view_token(rig.view, 0, 1, &token));
        rig_run_for(&rig, 8);
    }
    uint64_t after_ms = qp_loop_now_ms(rig.loop) - start_ms;
    assert_true(after_ms > 2500 && after_ms < 3000);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

static void test_very_short_life_is_renewed_on_need(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 1)}, {rig_grant("t2", 3600)}));
    rig_start(&rig);
    rig_run_to_state(&rig, QP_TOKEN_STALE, 1500);
    assert_false(rig_status(&rig).usable);
    rig_run_for(&rig, 100);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    rig_assert_token(&rig, 2, "t2");
    rig_close(&rig);
}

static void test_failure_while_valid_only_logs(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL,
             STEPS({rig_grant("t1", 3)}, {endpoint_answer("503 X", "down")}, {rig_grant("t2", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 1000);
    rig_run_to_state(&rig, QP_TOKEN_COOLING_DOWN, 3500);
    assert_true(rig_status(&rig).usable);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    rig_assert_token(&rig, 1, "t1");
    rig_run_to_generation(&rig, 2, 1500);
    rig_close(&rig);
}

static void test_recovers_by_itself(void **state)
{
    struct rig rig;
    rig_open(
        &rig, NULL,
        STEPS({endpoint_answer("500 X", "")}, {endpoint_answer("429 X", "{}")}, {rig_grant("t1", 3600)}));
    rig_start(&rig);
    struct answered answered = rig_ask(&rig, 0);
    assert_int_equal(answered.outcome, QP_NEED_COOLING_DOWN);
    assert_true(answered.retry_after_s >= 1 && answered.retry_after_s <= 2);
    assert_non_null(strstr(answered.text, "http_500"));
    rig_run_to_generation(&rig, 1, 3000);
    struct qp_token_status status = rig_status(&rig);
    assert_int_equal(status.token_calls, 3);
    assert_int_equal(status.token_call_failures, 2);
    assert_null(status.last_error);
    rig_close(&rig);
}

static void test_retry_after_is_honoured(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({endpoint_answer("503 X\r\nRetry-After: 2", "")}, {rig_grant("t1", 3600)}));
    rig_start(&rig);
    rig_run_to_state(&rig, QP_TOKEN_COOLING_DOWN, 1000);
    uint64_t start_ms = qp_loop_now_ms(rig.loop);
    struct answered answered = rig_ask(&rig, 1);
    assert_int_equal(answered.outcome, QP_NEED_COOLING_DOWN);
    assert_in_range(answered.retry_after_s, 2, 3);
    assert_true(qp_loop_now_ms(rig.loop) - start_ms < 500);
    rig_run_to_generation(&rig, 1, 3000);
    assert_true(qp_loop_now_ms(rig.loop) - start_ms > 1900);
    rig_close(&rig);
}

static void test_refused_client(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({rig_error("401 X", "invalid_client")}));
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_REFUSED);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_REFUSED);
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_REFUSED);
    assert_in_range(rig_status(&rig).next_call_s, 290, 300);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

/* Even then what is valid is served. */
static void test_refused_with_a_valid_token(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}, {rig_error("400 X", "invalid_scope")}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 1000);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_REFUSED);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    assert_true(rig_status(&rig).usable);
    rig_close(&rig);
}

static void test_invalid_grant(void **state)
{
    struct rig rig;
    rig_open(&rig, "r0", STEPS({rig_error("400 X", "invalid_grant")}));
    rig_start(&rig);
    struct answered answered = rig_ask(&rig, 0);
    assert_int_equal(answered.outcome, QP_NEED_SIGN_IN);
    assert_non_null(strstr(answered.text, "sign in"));
    rig_run_for(&rig, 800);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_SIGN_IN);
    assert_int_equal(rig_status(&rig).next_call_s, -1);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
    /* With client_credentials there is nobody to sign in: it passes or it does not. */
    rig_open(&rig, NULL, STEPS({rig_error("400 X", "invalid_grant")}, {rig_grant("t1", 3600)}));
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_COOLING_DOWN);
    rig_run_to_generation(&rig, 1, 2000);
    rig_close(&rig);
}

static void test_refresh_token_account_without_one(void **state)
{
    struct rig rig;
    rig_open(&rig, "r0", NULL, 0);
    rig.account.refresh_token = NULL;
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_SIGN_IN);
    assert_int_equal(rig_status(&rig).token_calls, 0);
    rig_close(&rig);
}

static void test_view_tells_when_the_token_expires(void **state)
{
    struct rig rig;
    struct qp_token token;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_MET);
    assert_true(qp_view_token(rig.view, 0, 1, &token));
    uint64_t now_ms = qp_loop_now_ms(rig.loop);
    assert_in_range(token.expires_at_ms, now_ms + 3590 * 1000, now_ms + 3600 * 1000);
    rig_close(&rig);
}

static void test_rotation(void **state)
{
    struct rig rig;
    rig_open(&rig, "r0",
             STEPS({endpoint_answer("200 OK", "{\"access_token\":\"t1\",\"refresh_token\":\"r1\"}")},
                   {rig_grant("t2", 3600)},
                   {endpoint_answer("200 OK", "{\"access_token\":\"t3\",\"refresh_token\":\"r2\"}")},
                   {rig_grant("t4", 3600)}));
    rig_start(&rig);
    static const char *const used[] = {"&refresh_token=r0", "&refresh_token=r1", "&refresh_token=r1",
                                       "&refresh_token=r2"};
    for (unsigned i = 0; i < 4; ++i) {
        assert_int_equal(rig_ask(&rig, i + 1).outcome, QP_NEED_MET);
        assert_non_null(strstr(endpoint_request(rig.endpoint, i), used[i]));
    }
    assert_int_equal(endpoint_calls(rig.endpoint), 4);
    rig_close(&rig);
}

/* The old value is spent whatever is wrong with the rest of the answer: presenting it again would end the chain. */
static void test_P4_rotation_beside_an_unusable_token(void **state)
{
    struct rig rig;
    rig_open(&rig, "r0",
             STEPS({endpoint_answer("200 OK", "{\"access_token\":\"a b\",\"refresh_token\":\"r1\"}")},
                   {endpoint_answer("200 OK", "{\"refresh_token\":\"r2\"}")}, {rig_grant("t1", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 5000);
    static const char *const used[] = {"&refresh_token=r0", "&refresh_token=r1", "&refresh_token=r2"};
    for (unsigned i = 0; i < 3; ++i)
        assert_non_null(strstr(endpoint_request(rig.endpoint, i), used[i]));
    rig_close(&rig);
}

static void test_hang_ends_at_the_deadline(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({NULL}, {rig_grant("t1", 3600)}));
    rig.account.token_call_ms = 150;
    rig_start(&rig);
    struct answered answered = rig_ask(&rig, 0);
    assert_int_equal(answered.outcome, QP_NEED_COOLING_DOWN);
    assert_non_null(strstr(answered.text, "timeout"));
    rig_run_to_generation(&rig, 1, 2000);
    rig_close(&rig);
}

/* The answer is lost twice: a third call could be the second redemption of a value that is long spent. */
static void test_lost_answers_end_in_sign_in(void **state)
{
    struct rig rig;
    rig_open(&rig, "r0", STEPS({NULL}, {""}));
    rig.account.token_call_ms = 150;
    rig_start(&rig);
    rig_run_to_state(&rig, QP_TOKEN_SIGN_IN_NEEDED, 3000);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    assert_non_null(strstr(rig_status(&rig).last_error, "may be spent"));
    rig_close(&rig);
    rig_open(&rig, "r0",
             STEPS({"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access"}, {rig_grant("t1", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 3000);
    rig_close(&rig);
}

/* What was never sent and what was answered with "later" spends nothing. */
static void test_no_redemption_no_sign_in(void **state)
{
    struct rig rig;
    rig_open(&rig, "r0", NULL, 0);
    rig_start(&rig);
    rig_run_for(&rig, 2500);
    assert_true(rig_status(&rig).token_calls >= 3);
    assert_int_not_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    assert_non_null(strstr(rig_status(&rig).last_error, "connection_refused"));
    rig_close(&rig);
    rig_open(&rig, "r0",
             STEPS({endpoint_answer("503 X", "")}, {endpoint_answer("500 X", "")},
                   {endpoint_answer("429 X", "")}, {rig_grant("t1", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 6000);
    rig_close(&rig);
}

static void assert_first_error(const struct endpoint_step *steps, unsigned count, const char *code)
{
    struct rig rig;
    rig_open(&rig, NULL, steps, count);
    rig_start(&rig);
    struct answered answered = rig_ask(&rig, 0);
    assert_int_equal(answered.outcome, QP_NEED_COOLING_DOWN);
    if (!strstr(answered.text, code))
        fail_msg("'%s' has no '%s'", answered.text, code);
    assert_null(strstr(answered.text, "hush"));
    rig_close(&rig);
}

static void test_hostile_answers(void **state)
{
    assert_first_error(STEPS({"SSH-2.0-OpenSSH_9.2\r\n\r\n"}), "not_http");
    assert_first_error(STEPS({""}), ":");
    assert_first_error(STEPS({"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"}), ":");
    assert_first_error(STEPS({endpoint_answer("200 OK", "<html>")}), "not_json");
    assert_first_error(STEPS({"HTTP/1.1 200 OK\r\n\r\n", .padding = 65537}), "too_large");
    assert_first_error(STEPS({"HTTP/1.1 200 OK\r\n\r\n", .padding = 8 * 1024 * 1024}), "too_large");
    assert_first_error(STEPS({"HTTP/1.1 200 OK\r\nX: ", .padding = 65537}), ":");
    assert_first_error(STEPS({endpoint_answer("302 Found\r\nLocation: http://127.0.0.1:1/", "")}),
                       "redirect");
    assert_first_error(STEPS({endpoint_answer("200 OK", "{\"access_token\":\"a\\r\\nb\"}")}), "bad_token");
}

static void test_interim_answers_are_skipped(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL,
             STEPS({"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n15\r\n{\"access_token\":\"t1\"}\r\n0\r\n\r\n"}));
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_MET);
    rig_assert_token(&rig, 1, "t1");
    rig_close(&rig);
}

static void test_api_token(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, NULL, 0);
    rig.account.grant = QP_GRANT_API_TOKEN;
    rig.account.api_token = rig.client_secret;
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_MET);
    rig_assert_token(&rig, 1, "hush");
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_STATIC);
    struct qp_token_status status = rig_status(&rig);
    assert_int_equal(status.state, QP_TOKEN_FRESH);
    assert_true(status.usable && status.expires_in_s == -1 && status.next_call_s == -1);
    assert_int_equal(status.token_calls, 0);
    rig_close(&rig);
}

static void test_close_while_a_call_runs(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({NULL}));
    rig_start(&rig);
    rig_close(&rig); /* before anything was sent */
    rig_open(&rig, "r0", STEPS({NULL}));
    rig_start(&rig);
    rig_run_for(&rig, 100);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_mint),
        cmocka_unit_test(test_refresh_ahead_never_without_token),
        cmocka_unit_test(test_very_short_life_is_renewed_on_need),
        cmocka_unit_test(test_failure_while_valid_only_logs),
        cmocka_unit_test(test_recovers_by_itself),
        cmocka_unit_test(test_retry_after_is_honoured),
        cmocka_unit_test(test_refused_client),
        cmocka_unit_test(test_refused_with_a_valid_token),
        cmocka_unit_test(test_invalid_grant),
        cmocka_unit_test(test_refresh_token_account_without_one),
        cmocka_unit_test(test_view_tells_when_the_token_expires),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_P4_rotation_beside_an_unusable_token),
        cmocka_unit_test(test_hang_ends_at_the_deadline),
        cmocka_unit_test(test_lost_answers_end_in_sign_in),
        cmocka_unit_test(test_no_redemption_no_sign_in),
        cmocka_unit_test(test_hostile_answers),
        cmocka_unit_test(test_interim_answers_are_skipped),
        cmocka_unit_test(test_api_token),
        cmocka_unit_test(test_close_while_a_call_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
