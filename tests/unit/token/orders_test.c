/* Refresh, sign-out and check, as people order them. */
#include "rig.h"
#include <stdio.h>

static void order_refresh(struct rig *rig, struct ordered *ordered)
{
    *ordered = (struct ordered){0};
    qp_keeper_refresh(rig->keeper, 0, rig_take_end, ordered);
    assert_int_equal(ordered->times, 0);
}

static void order_sign_out(struct rig *rig, struct ordered *ordered)
{
    *ordered = (struct ordered){0};
    qp_keeper_sign_out(rig->keeper, 0, rig_take_end, ordered);
    assert_int_equal(ordered->times, 0);
}

static void order_check(struct rig *rig, bool spend, struct ordered *ordered)
{
    *ordered = (struct ordered){0};
    qp_keeper_check(rig->keeper, 0, spend, rig_take_end, ordered);
    assert_int_equal(ordered->times, 0);
}

static void do_nothing(void *context) {}

/* ---- refresh ---- */

static void test_refresh(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}, {rig_grant("t2", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "refreshed");
    assert_true(ordered.ok);
    rig_assert_token(&rig, 2, "t2");
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

static void test_refresh_joins_a_running_call(void **state)
{
    struct rig rig;
    struct ordered first, second, gone;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600), .is_held = true}));
    rig_start(&rig);
    order_refresh(&rig, &first);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    order_refresh(&rig, &second);
    order_refresh(&rig, &gone);
    qp_keeper_abandon(rig.keeper, &gone);
    rig_run_for(&rig, 30);
    assert_int_equal(first.times, 0);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &first, "refreshed");
    rig_run_to_end(&rig, &second, "refreshed");
    rig_run_for(&rig, 30);
    assert_int_equal(gone.times, 0);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

static void test_refresh_that_fails(void **state)
{
    static const struct {
        const char *status, *body, *code, *words;
    } rows[] = {
        {"503 X", "", "failed", "status 503"},
        {"200 OK", "<html>", "failed", "not a JSON object"},
        {"401 X", "{\"error\":\"invalid_client\"}", "refused", "check client_id and client_secret"},
        {"400 X", "{\"error\":\"invalid_grant\"}", "sign_in_needed", "sign in again"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        struct ordered ordered;
        rig_open(&rig, "r0",
                 STEPS({rig_rotation("t1", "r1")}, {endpoint_answer(rows[i].status, rows[i].body)},
                       {rig_grant("t2", 3600)}));
        rig_start(&rig);
        rig_run_to_generation(&rig, 1, 2000);
        order_refresh(&rig, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        assert_false(ordered.ok);
        rig_assert_words(ordered.text, rows[i].words);
        rig_assert_token(&rig, 1, "t1"); /* in use all the same */
        bool is_lost = strcmp(rows[i].code, "sign_in_needed") == 0;
        assert_int_equal(rig_status(&rig).can_refresh, !is_lost);
        /* Who orders it again need not wait for the cool-down's end, or for a restart. */
        order_refresh(&rig, &ordered);
        rig_run_to_end(&rig, &ordered, is_lost ? "sign_in_needed" : "refreshed");
        assert_int_equal(endpoint_calls(rig.endpoint), is_lost ? 2 : 3);
        rig_close(&rig);
    }
}

static void test_nothing_to_refresh(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, NULL, NULL, 0);
    rig.account.grant = QP_GRANT_API_TOKEN;
    rig.account.api_token = rig.client_secret;
    rig_start(&rig);
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "static");
    assert_false(ordered.ok);
    assert_false(rig_status(&rig).can_refresh);
    rig_close(&rig);
    rig_open_sign_in(&rig, NULL, 0);
    rig_start(&rig);
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "sign_in_needed");
    qp_keeper_drain(rig.keeper, 10, do_nothing, NULL);
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "stopping");
    rig_close(&rig);
}

/* ---- sign out ---- */

static void open_signed_in(struct rig *rig, const struct endpoint_step *steps, unsigned count)
{
    rig_open_sign_in(rig, steps, count);
    rig_use_vault(rig);
    rig->account.revoke_url = rig->revoke_url;
    rig_start(rig);
    rig_sign_in(rig, "c1");
}

static void assert_signed_out(struct rig *rig)
{
    struct qp_token token;
    struct qp_token_status status = rig_status(rig);
    assert_int_equal(status.state, QP_TOKEN_SIGN_IN_NEEDED);
    assert_true(!status.usable && status.can_sign_in && !status.can_refresh && !status.can_sign_out);
    assert_true(status.age_s == -1 && status.expires_in_s == -1 && status.next_call_s == -1);
    assert_true(status.signed_in_s == -1 && status.refresh_token_age_s == -1);
    assert_string_equal(status.identity->user, "");
    rig_assert_words(status.last_error, "signed out");
    struct answered answered = rig_ask(rig, 0);
    assert_int_equal(answered.outcome, QP_NEED_SIGN_IN);
    rig_assert_words(answered.text, "sign in");
    assert_false(qp_view_token(rig->view, 0, 0, &token));
    struct kept kept = rig_kept(rig, "vault");
    assert_string_equal(kept.refresh_token, "");
    assert_string_equal(kept.access_token, "");
    assert_true(!kept.redeeming && kept.signed_in_unix_s == 0);
    assert_string_equal(kept.user, "");
}

static bool has_user(struct rig *rig)
{
    return *rig_status(rig).identity->user != 0;
}

static void test_sign_out(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                               {rig_who("anna"), .lane = LANE_WHOAMI},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE}));
    rig_run_until(&rig, has_user, 2000);
    order_sign_out(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "signed_out");
    assert_true(ordered.ok);
    rig_assert_words(ordered.text, "revoked the tokens");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 0), "\r\n\r\ntoken=r1&client_id=id");
    assert_signed_out(&rig);
    /* And back again: workers hear of it as of any token. */
    rig_sign_in(&rig, "c2");
    rig_run_to_generation(&rig, 2, 2000);
    rig_assert_token(&rig, 2, "t2");
    assert_true(rig_status(&rig).can_sign_out);
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r2");
    rig_close(&rig);
}

static void test_sign_out_without_revocation(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    order_sign_out(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "not_revoked");
    assert_true(ordered.ok);
    rig_assert_words(ordered.text, "no revoke_url is configured");
    assert_signed_out(&rig);
    order_sign_out(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "signed_out");
    rig_assert_words(ordered.text, "nothing to revoke");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

static void test_sign_out_when_revocation_fails(void **state)
{
    static const struct {
        const char *answer, *code, *words;
    } rows[] = {
        {"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", "not_revoked", "status 500"},
        {"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "not_revoked",
         "status 302"},
        {"HTTP/1.1 204 X\r\n\r\n", "signed_out", "revoked"},
        {"SSH-2.0-x\r\n\r\n", "not_revoked", "cannot be reached"},
        {"", "not_revoked", "cannot be reached"},
        {NULL, "not_revoked", "time limit"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        struct ordered ordered;
        open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rows[i].answer, .lane = LANE_REVOKE}));
        rig.account.token_call_ms = 300; /* borrowed by the keeper */
        order_sign_out(&rig, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        assert_true(ordered.ok);
        rig_assert_words(ordered.text, rows[i].words);
        assert_signed_out(&rig);
        rig_close(&rig);
    }
}

static void test_sign_out_without_a_refresh_token(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_signed_in(&rig,
                   STEPS({rig_grant("t1", 3600)}, {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE}));
    order_sign_out(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "signed_out");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 0), "\r\n\r\ntoken=t1&");
    assert_signed_out(&rig);
    rig_close(&rig);
}

/* What a call brings is to be revoked too. */
static void test_sign_out_waits_for_a_running_call(void **state)
{
    struct rig rig;
    struct ordered refreshed, ordered;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE}));
    order_refresh(&rig, &refreshed);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    order_sign_out(&rig, &ordered);
    rig_run_for(&rig, 60);
    assert_int_equal(ordered.times, 0);
    assert_true(rig_status(&rig).usable);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_out");
    assert_string_equal(refreshed.code, "refreshed");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 0), "\r\n\r\ntoken=r2&");
    assert_signed_out(&rig);
    rig_close(&rig);
}

static void test_sign_out_waits_for_an_exchange(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered signed_in, ordered;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE}));
    rig_begin(&rig, "", "c2", &begun);
    rig_finish(&rig, begun.query, "", NULL, &signed_in);
    order_sign_out(&rig, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_out");
    assert_string_equal(signed_in.code, "signed_in");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 0), "\r\n\r\ntoken=r2&");
    assert_signed_out(&rig);
    rig_close(&rig);
}

/* Who is told "stopping" is still signed in; who is signed out is told so. */
static void test_sign_out_while_stopping(void **state)
{
    struct rig rig;
    struct ordered ordered, late;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {NULL, .lane = LANE_REVOKE}));
    order_sign_out(&rig, &ordered);
    rig_run_to_calls(&rig, LANE_REVOKE, 1, 2000);
    qp_keeper_drain(rig.keeper, 10, do_nothing, NULL);
    rig_run_to_end(&rig, &ordered, "not_revoked");
    assert_true(ordered.ok);
    rig_assert_words(ordered.text, "revoke it there");
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "");
    rig_close(&rig);
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true}));
    order_refresh(&rig, &late);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    order_sign_out(&rig, &ordered);
    qp_keeper_drain(rig.keeper, 10, do_nothing, NULL);
    rig_run_to_end(&rig, &ordered, "stopping");
    assert_false(ordered.ok);
    endpoint_release(rig.endpoint);
    rig_run_to_generation(&rig, 2, 2000);
    order_sign_out(&rig, &late);
    rig_run_to_end(&rig, &late, "stopping");
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r2");
    rig_close(&rig);
}

static void test_sign_out_twice_at_a_time(void **state)
{
    struct rig rig;
    struct ordered first, second;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE, .is_held = true}));
    order_sign_out(&rig, &first);
    order_sign_out(&rig, &second); /* before anything was sent */
    rig_run_to_calls(&rig, LANE_REVOKE, 1, 2000);
    struct ordered third;
    order_sign_out(&rig, &third);
    rig_run_for(&rig, 60);
    assert_int_equal(first.times + second.times + third.times, 0);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &first, "signed_out");
    rig_run_to_end(&rig, &second, "signed_out");
    rig_run_to_end(&rig, &third, "signed_out");
    rig_assert_words(first.text, "revoked the tokens");
    assert_int_equal(endpoint_calls_at(rig.endpoint, LANE_REVOKE), 1);
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 0), "\r\n\r\ntoken=r1&");
    assert_signed_out(&rig);
    rig_close(&rig);
}

/* Signed in again while the first revocation was under way, and out once more. */
static void test_sign_out_of_the_next_sign_in(void **state)
{
    struct rig rig;
    struct ordered first, second;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE, .is_held = true},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE, .is_held = true}));
    order_sign_out(&rig, &first);
    rig_run_to_calls(&rig, LANE_REVOKE, 1, 2000);
    rig_sign_in(&rig, "c2");
    order_sign_out(&rig, &second);
    rig_run_for(&rig, 30);
    endpoint_release(rig.endpoint);
    rig_run_to_calls(&rig, LANE_REVOKE, 2, 2000);
    rig_run_for(&rig, 30);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &first, "signed_out");
    rig_run_to_end(&rig, &second, "signed_out");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 0), "\r\n\r\ntoken=r1&");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 1), "\r\n\r\ntoken=r2&");
    assert_signed_out(&rig);
    rig_close(&rig);
}

/* The revocation ends while the next sign-in is being finished: the second order is about that one. */
static void test_sign_out_during_the_next_sign_in(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered first, signed_in, second;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE, .is_held = true},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE}));
    order_sign_out(&rig, &first);
    rig_run_to_calls(&rig, LANE_REVOKE, 1, 2000);
    rig_begin(&rig, "", "c2", &begun);
    rig_finish(&rig, begun.query, "", NULL, &signed_in);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    order_sign_out(&rig, &second);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &first, "signed_out");
    rig_run_to_end(&rig, &signed_in, "signed_in");
    rig_run_to_end(&rig, &second, "signed_out");
    rig_assert_words(endpoint_request_at(rig.endpoint, LANE_REVOKE, 1), "\r\n\r\ntoken=r2&");
    assert_signed_out(&rig);
    rig_close(&rig);
}

static void test_nothing_to_sign_out_of(void **state)
{
    struct rig rig;
    struct ordered ordered;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    order_sign_out(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "static");
    assert_false(ordered.ok);
    rig_run_to_generation(&rig, 1, 2000);
    rig_close(&rig);
    rig_open(&rig, NULL, NULL, 0);
    rig.account.grant = QP_GRANT_API_TOKEN;
    rig.account.api_token = rig.client_secret;
    rig_start(&rig);
    order_sign_out(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "static");
    assert_true(rig_status(&rig).usable);
    rig_close(&rig);
}

static void test_sign_out_that_nobody_waits_for(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")},
                               {endpoint_answer("200 OK", ""), .lane = LANE_REVOKE, .is_held = true}));
    order_sign_out(&rig, &ordered);
    qp_keeper_abandon(rig.keeper, &ordered);
    rig_run_to_calls(&rig, LANE_REVOKE, 1, 2000); /* what was begun goes on */
    endpoint_release(rig.endpoint);
    rig_run_for(&rig, 60);
    assert_int_equal(ordered.times, 0);
    assert_signed_out(&rig);
    rig_close(&rig);
}

/* ---- orders as such ---- */

struct meddler {
    struct rig *rig;
    struct ordered *victim;
    struct ordered *addition;
    unsigned times;
};

static void meddle(void *owner, const struct qp_order_end *end)
{
    struct meddler *meddler = owner;
    ++meddler->times;
    qp_keeper_abandon(meddler->rig->keeper, meddler->victim);
    order_refresh(meddler->rig, meddler->addition);
}

static void test_callbacks_may_abandon_and_order(void **state)
{
    struct rig rig;
    struct ordered victim, addition = {0};
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    struct meddler meddler = {.rig = &rig, .victim = &victim, .addition = &addition};
    qp_keeper_refresh(rig.keeper, 0, meddle, &meddler);
    order_refresh(&rig, &victim);
    rig_run_to_end(&rig, &addition, "refreshed");
    assert_int_equal(meddler.times, 1);
    assert_int_equal(victim.times, 0);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

static void test_closing_with_orders(void **state)
{
    struct rig rig;
    struct ordered refresh, sign_out, check;
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {NULL}, {NULL, .lane = LANE_WHOAMI},
                               {NULL, .lane = LANE_REVOKE}));
    order_check(&rig, false, &check);
    order_refresh(&rig, &refresh);
    order_sign_out(&rig, &sign_out);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_close(&rig);
    assert_int_equal(refresh.times + sign_out.times + check.times, 0);
    open_signed_in(&rig, STEPS({rig_rotation("t1", "r1")}, {NULL, .lane = LANE_REVOKE}));
    order_sign_out(&rig, &sign_out);
    rig_run_to_calls(&rig, LANE_REVOKE, 1, 2000);
    rig_close(&rig);
    rig_open(&rig, NULL, STEPS({NULL}));
    rig_start(&rig);
    order_sign_out(&rig, &sign_out); /* ended, not told yet */
    rig_close(&rig);
    assert_int_equal(sign_out.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_refresh_joins_a_running_call),
        cmocka_unit_test(test_refresh_that_fails),
        cmocka_unit_test(test_nothing_to_refresh),
        cmocka_unit_test(test_sign_out),
        cmocka_unit_test(test_sign_out_without_revocation),
        cmocka_unit_test(test_sign_out_when_revocation_fails),
        cmocka_unit_test(test_sign_out_without_a_refresh_token),
        cmocka_unit_test(test_sign_out_waits_for_a_running_call),
        cmocka_unit_test(test_sign_out_waits_for_an_exchange),
        cmocka_unit_test(test_sign_out_while_stopping),
        cmocka_unit_test(test_sign_out_twice_at_a_time),
        cmocka_unit_test(test_sign_out_of_the_next_sign_in),
        cmocka_unit_test(test_sign_out_during_the_next_sign_in),
        cmocka_unit_test(test_nothing_to_sign_out_of),
        cmocka_unit_test(test_sign_out_that_nobody_waits_for),
        cmocka_unit_test(test_callbacks_may_abandon_and_order),
        cmocka_unit_test(test_closing_with_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
