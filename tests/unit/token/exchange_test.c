/* A code is exchanged: what becomes of the account, beside other calls, and at the end. */
#include "http/form.h"
#include "rig.h"
#include <stdio.h>

static bool has_user(struct rig *rig)
{
    return *rig_status(rig).identity->user != 0;
}

static void test_signed_in(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    char verifier[QP_DIGEST_TEXT_BYTES], challenge[QP_DIGEST_TEXT_BYTES], sent[QP_DIGEST_TEXT_BYTES];
    rig_open_sign_in(
        &rig, STEPS({rig_rotation("t1", "r1"), .is_held = true}, {rig_who("anna"), .lane = LANE_WHOAMI}));
    rig_use_vault(&rig);
    rig_start(&rig);
    struct qp_token_status status = rig_status(&rig);
    assert_int_equal(status.state, QP_TOKEN_SIGN_IN_NEEDED);
    assert_true(status.can_sign_in && !status.can_refresh && !status.can_sign_out);
    assert_true(status.signed_in_s == -1 && status.refresh_token_age_s == -1 && status.generation == 0);
    struct answered answered = rig_ask(&rig, 0);
    assert_int_equal(answered.outcome, QP_NEED_SIGN_IN);
    rig_begin(&rig, "cookie", "c%2F1", &begun);
    assert_string_equal(rig_progress(&rig, &begun), "waiting");
    rig_finish(&rig, begun.query, "cookie", begun.begun.id, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    struct qp_order_end end = {.code = "untouched"};
    unsigned account_index = 7;
    assert_string_equal(qp_sign_in_progress(rig.keeper, begun.begun.id, &end, &account_index), "working");
    assert_string_equal(end.code, "untouched");
    assert_int_equal(account_index, 0);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_in");
    assert_true(ordered.ok);
    assert_string_equal(qp_sign_in_progress(rig.keeper, begun.begun.id, &end, NULL), "done");
    assert_true(end.ok);
    assert_string_equal(end.code, "signed_in");

    /* RFC 6749 section 4.1.3, RFC 7636 section 4.6. */
    const char *request = endpoint_request(rig.endpoint, 0);
    struct qp_slice body = qp_slice_str(strstr(request, "\r\n\r\n") + 4);
    assert_int_equal(qp_form_find(body, "code_verifier", verifier, sizeof(verifier)), 1);
    qp_sha256_text(qp_slice_str(verifier), challenge);
    (void)qp_form_find(qp_slice_str(begun.url), "code_challenge", sent, sizeof(sent));
    assert_string_equal(challenge, sent);
    assert_true(qp_slice_find(body, QP_SLICE("grant_type=authorization_code&code=c%2F1&")) == body.at);
    rig_assert_words(request, "&redirect_uri=http%3A%2F%2F127.0.0.1%3A8081%2Foauth%2Fcallback&client_id=id");
    assert_null(strstr(request, "scope="));
    assert_null(strstr(request, "secret"));
    assert_null(strstr(request, "Authorization"));

    rig_assert_token(&rig, 1, "t1");
    rig_run_until(&rig, has_user, 2000);
    assert_string_equal(rig_status(&rig).identity->user, "anna");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 0), "Authorization: Bearer t1\r\n");
    status = rig_status(&rig);
    assert_true(status.state == QP_TOKEN_FRESH && status.usable && status.can_refresh && status.can_sign_out);
    assert_in_range(status.signed_in_s, 0, 5);
    assert_in_range(status.refresh_token_age_s, 0, 5);
    assert_int_equal(status.token_calls, 1);
    assert_null(status.last_error);
    struct kept kept = rig_kept(&rig, "vault");
    assert_string_equal(kept.refresh_token, "r1");
    assert_string_equal(kept.access_token, "t1");
    assert_true(!kept.redeeming && kept.signed_in_unix_s > 1600000000);
    rig_close(&rig);
}

static void test_a_client_with_a_secret(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}));
    rig.account.client_secret = rig.client_secret;
    rig_start(&rig);
    rig_sign_in(&rig, "c");
    rig_assert_words(endpoint_request(rig.endpoint, 0), "Authorization: Basic aWQ6aHVzaA==\r\n");
    assert_null(strstr(endpoint_request(rig.endpoint, 0), "client_id="));
    rig_close(&rig);
}

/* Whatever goes wrong with a second sign-in, the first stays as it is. */
static void test_a_failure_changes_nothing(void **state)
{
    static const struct {
        const char *status, *body, *words;
    } rows[] = {
        {"400 X", "{\"error\":\"invalid_grant\"}", "expired or was used already"},
        {"401 X", "{\"error\":\"invalid_client\"}", "check client_id and client_secret"},
        {"400 X", "{\"error\":\"invalid_request\"}", "check grant"},
        {"500 X", "", "status 500"},
        {"429 X\r\nRetry-After: 100", "", "status 429"},
        {"200 OK", "<html>", "not a JSON object"},
        {"200 OK", "{\"access_token\":\"a b\"}", "bytes that no field can carry"},
        {"200 OK", "{\"access_token\":\"t9\",\"token_type\":\"mac\"}", "not bearer"},
        {"302 X\r\nLocation: http://127.0.0.1:1/", "", "redirects are not followed"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        struct begun begun;
        struct ordered ordered;
        rig_open_sign_in(&rig,
                         STEPS({rig_rotation("t1", "r1")}, {endpoint_answer(rows[i].status, rows[i].body)},
                               {rig_rotation("t2", "r2")}));
        rig_start(&rig);
        rig_sign_in(&rig, "c");
        rig_begin(&rig, "", "c2", &begun);
        rig_finish(&rig, begun.query, "", NULL, &ordered);
        rig_run_to_end(&rig, &ordered, "failed");
        rig_assert_words(ordered.text, "the code could not be exchanged");
        rig_assert_words(ordered.text, rows[i].words);
        rig_assert_token(&rig, 1, "t1");
        assert_int_equal(rig_status(&rig).state, QP_TOKEN_FRESH);
        assert_int_equal(rig_status(&rig).generation, 1);
        assert_int_equal(rig_status(&rig).token_call_failures, 1);
        assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
        rig_assert_words(endpoint_request(rig.endpoint, 2), "&refresh_token=r1&");
        rig_close(&rig);
    }
}

static void test_no_answer_from_the_endpoint(void **state)
{
    struct rig rig;
    struct begun begun;
    rig_open_sign_in(&rig, STEPS({NULL}));
    rig.account.token_call_ms = 150;
    rig_start(&rig);
    rig_begin(&rig, "", "c", &begun);
    rig_answer(&rig, begun.query, "failed");
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    rig_close(&rig);
}

static void test_without_a_refresh_token(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({rig_grant("t1", 3600)}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_begin(&rig, "", "c", &begun);
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    rig_run_to_end(&rig, &ordered, "signed_in");
    assert_true(ordered.ok);
    rig_assert_words(ordered.text, "check offline_scope");
    struct qp_token_status status = rig_status(&rig);
    assert_true(status.usable && !status.can_refresh && status.can_sign_out);
    assert_true(status.refresh_token_age_s == -1 && status.signed_in_s >= 0);
    assert_string_equal(rig_kept(&rig, "vault").access_token, "t1");
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "");
    /* What needs a newer one hears why there is none; what has one keeps it. */
    struct answered answered = rig_ask(&rig, 2);
    assert_int_equal(answered.outcome, QP_NEED_SIGN_IN);
    rig_assert_words(answered.text, "offline_scope");
    rig_assert_token(&rig, 1, "t1");
    rig_close(&rig);
}

static void test_a_second_sign_in_replaces_the_first(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig,
                     STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_rotation("t3", "r3")},
                           {rig_who("anna"), .lane = LANE_WHOAMI}, {rig_who("berta"), .lane = LANE_WHOAMI}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_run_until(&rig, has_user, 2000);
    rig_sign_in(&rig, "c2");
    rig_assert_token(&rig, 2, "t2");
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r2");
    rig_run_to_calls(&rig, LANE_WHOAMI, 2, 2000);
    rig_run_until(&rig, has_user, 2000);
    assert_string_equal(rig_status(&rig).identity->user, "berta");
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_MET);
    rig_assert_words(endpoint_request(rig.endpoint, 2), "&refresh_token=r2&");
    rig_close(&rig);
}

/* The answer about the first user comes when the second one has signed in. */
static void test_no_identity_of_somebody_else(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                                 {rig_who("anna"), .lane = LANE_WHOAMI, .is_held = true},
                                 {rig_who("berta"), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    rig_sign_in(&rig, "c2");
    endpoint_release(rig.endpoint);
    rig_run_until(&rig, has_user, 2000);
    assert_string_equal(rig_status(&rig).identity->user, "berta");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_WHOAMI, 1), "Bearer t2\r\n");
    rig_close(&rig);
}

/* ---- beside other calls ---- */

static void test_an_exchange_waits_for_a_running_call(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered, refreshed = {0};
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true},
                                 {rig_rotation("t3", "r3")}, {rig_rotation("t4", "r4")}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_begin(&rig, "", "c2", &begun);
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    rig_run_for(&rig, 100);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    assert_string_equal(rig_progress(&rig, &begun), "working");
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_in");
    rig_run_to_end(&rig, &refreshed, "refreshed");
    rig_assert_token(&rig, 3, "t3");
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r3");
    assert_int_equal(rig_ask(&rig, 4).outcome, QP_NEED_MET);
    rig_assert_words(endpoint_request(rig.endpoint, 3), "&refresh_token=r3&");
    assert_int_equal(endpoint_count(rig.endpoint, "&refresh_token=r2"), 0);
    rig_close(&rig);
}

/* A refresh is wanted while a code is being exchanged; outcome: of the exchange. */
static void want_a_refresh(struct rig *rig, const char *outcome, struct ordered *refreshed)
{
    struct begun begun;
    struct ordered ordered;
    *refreshed = (struct ordered){0};
    rig_start(rig);
    rig_sign_in(rig, "c1");
    rig_begin(rig, "", "c2", &begun);
    rig_finish(rig, begun.query, "", NULL, &ordered);
    rig_run_to_calls(rig, LANE_TOKEN, 2, 2000);
    qp_keeper_refresh(rig->keeper, 0, rig_take_end, refreshed);
    rig_run_for(rig, 60);
    assert_int_equal(refreshed->times, 0);
    assert_int_equal(endpoint_calls(rig->endpoint), 2);
    endpoint_release(rig->endpoint);
    rig_run_to_end(rig, &ordered, outcome);
    rig_run_to_end(rig, refreshed, "refreshed");
}

static void test_a_sign_in_is_refreshment_enough(void **state)
{
    struct rig rig;
    struct ordered refreshed;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true}));
    want_a_refresh(&rig, "signed_in", &refreshed);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_assert_token(&rig, 2, "t2");
    rig_close(&rig);
}

static void test_a_refresh_follows_an_exchange_that_failed(void **state)
{
    struct rig rig;
    struct ordered refreshed;
    rig_open_sign_in(&rig,
                     STEPS({rig_rotation("t1", "r1")}, {rig_error("400 X", "invalid_grant"), .is_held = true},
                           {rig_rotation("t3", "r3")}));
    want_a_refresh(&rig, "failed", &refreshed);
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    rig_assert_words(endpoint_request(rig.endpoint, 2), "&refresh_token=r1&");
    rig_assert_token(&rig, 2, "t3");
    rig_close(&rig);
}

static void test_needs_wait_for_an_exchange(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    struct answered answered;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_error("500 X", "x"), .is_held = true},
                                 {rig_rotation("t3", "r3")}));
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_begin(&rig, "", "c2", &begun);
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    rig_need(&rig, 2, &answered);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_run_for(&rig, 60);
    assert_int_equal(answered.times, 0);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "failed");
    rig_run_to_generation(&rig, 2, 2000);
    rig_run_for(&rig, 20);
    assert_int_equal(answered.outcome, QP_NEED_MET);
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    rig_close(&rig);
}

static void test_two_at_the_same_time(void **state)
{
    struct rig rig;
    struct begun first, second;
    struct ordered ordered, other;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1"), .is_held = true}));
    rig_start(&rig);
    rig_begin(&rig, "", "c1", &first);
    rig_begin(&rig, "", "c2", &second);
    rig_finish(&rig, first.query, "", NULL, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    rig_finish(&rig, second.query, "", NULL, &other);
    rig_run_to_end(&rig, &other, "failed");
    rig_assert_words(other.text, "another sign-in");
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_in");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

/* ---- at the end ---- */

static void count_drain(void *context)
{
    ++*(unsigned *)context;
}

static unsigned drained;

static bool has_drained(struct rig *rig)
{
    return drained > 0;
}

static void test_draining(void **state)
{
    struct rig rig;
    struct begun working, waiting;
    struct ordered ordered, other;
    struct qp_sign_in_begun begun;
    const char *why = NULL;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1"), .is_held = true}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_begin(&rig, "", "c1", &working);
    rig_begin(&rig, "", "c2", &waiting);
    rig_finish(&rig, working.query, "", NULL, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    drained = 0;
    qp_keeper_drain(rig.keeper, 2000, count_drain, &drained);
    assert_false(qp_sign_in_begin(rig.keeper, 0, NULL, QP_SLICE_NONE, &begun, &why));
    rig_assert_words(why, "stopping");
    rig_finish(&rig, waiting.query, "", NULL, &other);
    rig_run_to_end(&rig, &other, "stopping");
    rig_run_for(&rig, 60);
    assert_int_equal(drained, 0);
    /* The code is spent: what comes of it is kept, and who waits is told. */
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_in");
    rig_run_until(&rig, has_drained, 2000);
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r1");
    rig_close(&rig);
}

/* No new call is begun: the code that had to wait for another call is not redeemed any more. */
static void test_draining_before_the_exchange(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered, refreshed = {0};
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_begin(&rig, "", "c2", &begun);
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    drained = 0;
    qp_keeper_drain(rig.keeper, 2000, count_drain, &drained);
    rig_run_to_end(&rig, &refreshed, "stopping");
    rig_run_for(&rig, 60);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "stopping");
    rig_run_until(&rig, has_drained, 2000);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r2");
    rig_close(&rig);
}

static void test_nobody_waits_any_more(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1"), .is_held = true}));
    rig_start(&rig);
    rig_begin(&rig, "", "c1", &begun);
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    qp_keeper_abandon(rig.keeper, &ordered);
    endpoint_release(rig.endpoint);
    rig_run_to_generation(&rig, 1, 2000);
    assert_string_equal(rig_progress(&rig, &begun), "done");
    assert_int_equal(ordered.times, 0);
    rig_close(&rig);
}

static void test_closing_in_the_middle(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({NULL}));
    rig_start(&rig);
    rig_begin(&rig, "b", "c1", &begun);
    rig_begin(&rig, "", "c1", &begun);
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    rig_close(&rig);
    assert_int_equal(ordered.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_in),
        cmocka_unit_test(test_a_client_with_a_secret),
        cmocka_unit_test(test_a_failure_changes_nothing),
        cmocka_unit_test(test_no_answer_from_the_endpoint),
        cmocka_unit_test(test_without_a_refresh_token),
        cmocka_unit_test(test_a_second_sign_in_replaces_the_first),
        cmocka_unit_test(test_no_identity_of_somebody_else),
        cmocka_unit_test(test_an_exchange_waits_for_a_running_call),
        cmocka_unit_test(test_a_sign_in_is_refreshment_enough),
        cmocka_unit_test(test_a_refresh_follows_an_exchange_that_failed),
        cmocka_unit_test(test_needs_wait_for_an_exchange),
        cmocka_unit_test(test_two_at_the_same_time),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_draining_before_the_exchange),
        cmocka_unit_test(test_nobody_waits_any_more),
        cmocka_unit_test(test_closing_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
