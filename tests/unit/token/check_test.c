/* Who the origin says we are, when people ask for it. */
#include "rig.h"
#include <stdio.h>

static void order_check(struct rig *rig, bool spend, struct ordered *ordered)
{
    *ordered = (struct ordered){0};
    qp_keeper_check(rig->keeper, 0, spend, rig_take_end, ordered);
    assert_int_equal(ordered->times, 0);
}

static void do_nothing(void *context) {}

static const char *status_of(unsigned status)
{
    char line[40];
    snprintf(line, sizeof(line), "%u X", status);
    return endpoint_answer(line, "");
}

#define PROXIED                                                                                            \
    "{\"result\":{\"userName\":\"u\"},\"meta\":{\"notice\":\"Request proxied. For faster response times, " \
    "use "                                                                                                 \
    "this host instead: sjc1.qualtrics.com\"}}"

static void test_codes_with_a_token(void **state)
{
    const struct {
        const char *answer, *code, *words;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n{\"result\":{\"userName\":\"anna\",\"brandId\":\"b\"}}", "ok",
         "knows the account as 'anna' of brand 'b'"},
        {"HTTP/1.1 200 OK\r\n\r\n" PROXIED, "wrong_host", "set datacenter to sjc1.qualtrics.com"},
        {"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", "forbidden", "a permission or a scope"},
        {"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", "unexpected", "status 404"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "unexpected", "status 200"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>", "network", "cut"},
        {"", "network", "closed"},
        {NULL, "network", "in time"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        struct ordered ordered;
        rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}, {rows[i].answer, .lane = LANE_WHOAMI}));
        rig.account.token_call_ms = 400;
        rig_start(&rig);
        rig_run_to_generation(&rig, 1, 2000);
        order_check(&rig, false, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        rig_assert_words(ordered.text, rows[i].words);
        assert_int_equal(ordered.ok, strcmp(rows[i].code, "ok") == 0);
        assert_int_equal(endpoint_calls(rig.endpoint), 1);
        rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 0), "Authorization: Bearer t1\r\n");
        bool is_known = ordered.ok || strcmp(rows[i].code, "wrong_host") == 0;
        assert_int_equal(*rig_status(&rig).identity->user != 0, is_known);
        rig_close(&rig);
    }
}

static void test_an_origin_that_is_not_there(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig.account.origin = "http://127.0.0.1:1";
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "network");
    rig_assert_words(ordered.text, "refuses the connection");
    rig_close(&rig);
}

/* One that makes no call by itself, as the command line has it. */
static void open_passive(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps,
                         unsigned count)
{
    rig_open(rig, refresh_token, steps, count);
    rig->opts.passive = true;
    rig_start(rig);
}

static void test_a_token_is_made_first(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_passive(&rig, NULL, STEPS({rig_grant("t1", 3600)}, {rig_who("anna"), .lane = LANE_WHOAMI}));
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "ok");
    rig_assert_words(ordered.text, "a new token was made; the origin knows the account as 'anna'");
    assert_string_equal(rig_status(&rig).identity->user, "anna");
    rig_close(&rig);
}

static void test_a_token_cannot_be_made(void **state)
{
    static const struct {
        const char *refresh_token, *status, *error, *code;
    } rows[] = {
        {NULL, "401 X", "invalid_client", "refused"},
        {NULL, "503 X", "x", "token_failed"},
        {"r0", "400 X", "invalid_grant", "sign_in_needed"},
        {"r0", "503 X", "x", "token_failed"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        struct ordered ordered;
        /* The origin is asked all the same: it is well, so the token call is what is to be told of. */
        open_passive(
            &rig, rows[i].refresh_token,
            STEPS({rig_error(rows[i].status, rows[i].error)}, {status_of(401), .lane = LANE_WHOAMI}));
        order_check(&rig, true, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        assert_false(ordered.ok);
        assert_int_equal(endpoint_calls_at(rig.endpoint, LANE_WHOAMI), 1);
        rig_close(&rig);
    }
}

/* A refresh token is for one use: it is spent only for who says so. */
static void test_P4_nothing_is_spent_unasked(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_passive(&rig, "r0",
                 STEPS({rig_rotation("t1", "r1")}, {status_of(401), .lane = LANE_WHOAMI},
                       {rig_who("anna"), .lane = LANE_WHOAMI}));
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "ok_without_token");
    assert_true(ordered.ok);
    rig_assert_words(ordered.text, "--spend");
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    assert_null(strstr(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 0), "Authorization"));
    order_check(&rig, true, &ordered);
    rig_run_to_end(&rig, &ordered, "ok");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 1), "Bearer t1\r\n");
    rig_close(&rig);
}

static void test_nobody_is_signed_in(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({rig_error("400 X", "x")}, {status_of(400), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "ok_without_token");
    rig_assert_words(ordered.text, "nobody is signed in; the origin answers");
    /* Who would spend a refresh token for it wants to know of it. */
    order_check(&rig, true, &ordered);
    rig_run_to_end(&rig, &ordered, "sign_in_needed");
    rig_assert_words(ordered.text, "nobody has signed in yet");
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_close(&rig);
}

static void test_an_api_token(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, NULL,
             STEPS({NULL}, {rig_who("anna"), .lane = LANE_WHOAMI}, {status_of(401), .lane = LANE_WHOAMI}));
    rig.account.grant = QP_GRANT_API_TOKEN;
    rig.account.api_token = rig.client_secret;
    rig_start(&rig);
    order_check(&rig, true, &ordered);
    rig_run_to_end(&rig, &ordered, "ok");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 0), "X-API-TOKEN: hush\r\n");
    order_check(&rig, true, &ordered);
    rig_run_to_end(&rig, &ordered, "rejected");
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_close(&rig);
}

/* ---- 401 ---- */

static void test_a_revoked_token_is_replaced_once(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, NULL,
             STEPS({rig_grant("t1", 3600)}, {rig_grant("t2", 3600)}, {status_of(401), .lane = LANE_WHOAMI},
                   {rig_who("anna"), .lane = LANE_WHOAMI}, {status_of(401), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "ok");
    rig_assert_words(ordered.text, "a new token was made");
    rig_assert_token(&rig, 2, "t2");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 1), "Bearer t2\r\n");
    /* It is not the token's age then. */
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "rejected");
    rig_assert_words(ordered.text, "the account's own datacenter");
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    assert_int_equal(endpoint_calls_at(rig.endpoint, LANE_WHOAMI), 4);
    rig_close(&rig);
}

static void test_P4_a_rejected_token_is_no_reason_to_spend(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, "r0",
             STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                   {status_of(401), .lane = LANE_WHOAMI}, {status_of(401), .lane = LANE_WHOAMI},
                   {rig_who("anna"), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_check(&rig, false, &ordered);
    rig_run_to_end(&rig, &ordered, "rejected");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    order_check(&rig, true, &ordered);
    rig_run_to_end(&rig, &ordered, "ok");
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

/* ---- more than one ---- */

static void test_joined(void **state)
{
    struct rig rig;
    struct ordered first, second, gone;
    rig_open(&rig, NULL,
             STEPS({rig_grant("t1", 3600)}, {rig_grant("t2", 3600)},
                   {status_of(401), .lane = LANE_WHOAMI, .is_held = true},
                   {rig_who("anna"), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_check(&rig, false, &first);
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    order_check(&rig, false, &second);
    order_check(&rig, false, &gone);
    qp_keeper_abandon(rig.keeper, &gone);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &first, "ok");
    rig_run_to_end(&rig, &second, "ok");
    assert_int_equal(gone.times, 0);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    assert_int_equal(endpoint_calls_at(rig.endpoint, LANE_WHOAMI), 2);
    rig_close(&rig);
}

/* The question that runs is asked without a token; who made one wants to know what that is worth. */
static void test_joining_a_question_without_a_token(void **state)
{
    struct rig rig;
    struct ordered first, second;
    open_passive(&rig, "r0",
                 STEPS({rig_rotation("t1", "r1")}, {status_of(401), .lane = LANE_WHOAMI, .is_held = true},
                       {rig_who("anna"), .lane = LANE_WHOAMI}));
    order_check(&rig, false, &first);
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    order_check(&rig, true, &second);
    rig_run_to_generation(&rig, 1, 2000);
    rig_run_for(&rig, 30);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &second, "ok");
    rig_run_to_end(&rig, &first, "ok");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

/* The question that runs is asked with a token that has been replaced since. */
static void test_joining_a_question_with_an_old_token(void **state)
{
    struct rig rig;
    struct ordered first, second, refreshed = {0};
    rig_open(&rig, "r0",
             STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                   {status_of(401), .lane = LANE_WHOAMI, .is_held = true},
                   {rig_who("anna"), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_check(&rig, false, &first);
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
    rig_run_to_end(&rig, &refreshed, "refreshed");
    order_check(&rig, false, &second);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &second, "ok");
    rig_run_to_end(&rig, &first, "ok");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 1), "Bearer t2\r\n");
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

static void test_signed_out_meanwhile(void **state)
{
    struct rig rig;
    struct ordered ordered, out = {0};
    rig_open_sign_in(
        &rig, STEPS({rig_rotation("t1", "r1")}, {rig_who("anna"), .lane = LANE_WHOAMI, .is_held = true}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    order_check(&rig, false, &ordered);
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    qp_keeper_sign_out(rig.keeper, 0, rig_take_end, &out);
    rig_run_to_end(&rig, &out, "not_revoked");
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "sign_in_needed");
    rig_run_for(&rig, 400);
    assert_string_equal(rig_status(&rig).identity->user, "");
    assert_string_equal(rig_kept(&rig, "vault").user, "");
    rig_close(&rig);
}

static void test_stopping(void **state)
{
    struct rig rig;
    struct ordered ordered, running;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}, {NULL, .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_check(&rig, false, &running);
    qp_keeper_drain(rig.keeper, 10, do_nothing, NULL);
    rig_run_to_end(&rig, &running, "stopping");
    order_check(&rig, true, &ordered);
    rig_run_to_end(&rig, &ordered, "stopping");
    rig_close(&rig);
}

/* ---- the keeper's own question ---- */

static bool has_user(struct rig *rig)
{
    return *rig_status(rig).identity->user != 0;
}

static void test_asked_once_after_a_sign_in(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig,
                     STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                           {status_of(503), .lane = LANE_WHOAMI}, {rig_who("anna"), .lane = LANE_WHOAMI}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    rig_run_for(&rig, 60);
    assert_string_equal(rig_status(&rig).identity->user, "");
    /* What is not known yet is asked with the next token. */
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    rig_run_until(&rig, has_user, 2000);
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_MET);
    rig_run_for(&rig, 400);
    assert_int_equal(endpoint_calls_at(rig.endpoint, LANE_WHOAMI), 2);
    assert_string_equal(rig_kept(&rig, "vault").user, "anna");
    rig_stop(&rig);
    rig_start(&rig);
    assert_string_equal(rig_status(&rig).identity->user, "anna");
    rig_run_for(&rig, 60);
    assert_int_equal(endpoint_calls_at(rig.endpoint, LANE_WHOAMI), 2);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_with_a_token),
        cmocka_unit_test(test_an_origin_that_is_not_there),
        cmocka_unit_test(test_a_token_is_made_first),
        cmocka_unit_test(test_a_token_cannot_be_made),
        cmocka_unit_test(test_P4_nothing_is_spent_unasked),
        cmocka_unit_test(test_nobody_is_signed_in),
        cmocka_unit_test(test_an_api_token),
        cmocka_unit_test(test_a_revoked_token_is_replaced_once),
        cmocka_unit_test(test_P4_a_rejected_token_is_no_reason_to_spend),
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_joining_a_question_without_a_token),
        cmocka_unit_test(test_joining_a_question_with_an_old_token),
        cmocka_unit_test(test_signed_out_meanwhile),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_asked_once_after_a_sign_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
