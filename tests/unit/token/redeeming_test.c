/* A refresh token whose fate is not known, or not as we believed: a call that nobody saw the end of, and a file that somebody restored. */
#include "rig.h"
#include <stdio.h>

/* ---- after a call that nobody saw the end of ---- */

static void leave_a_mark(struct rig *rig)
{
    rig_start(rig);
    rig_run_to_calls(rig, LANE_TOKEN, 1, 2000);
    rig_stop(rig);
    rig_assert_kept(rig, "vault", "r0", "", true);
}

static void test_P4_tried_once_more_and_it_works(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r0", STEPS({NULL}, {rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
    leave_a_mark(&rig);
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_assert_kept(&rig, "vault", "r1", "t1", false);
    assert_int_equal(endpoint_count(rig.endpoint, "&refresh_token=r0"), 2);
    /* A lost answer is not held against the next token. */
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    rig_close(&rig);
}

static void assert_interrupted(struct rig *rig)
{
    leave_a_mark(rig);
    rig_start(rig);
    rig_run_to_state(rig, QP_TOKEN_SIGN_IN_NEEDED, 2000);
    rig_assert_words(rig_status(rig).last_error, "ended in the middle of a token call");
    rig_assert_words(rig_status(rig).last_error, "sign in again");
    rig_restart(rig);
    rig_run_for(rig, 100);
    assert_int_equal(rig_status(rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    assert_int_equal(endpoint_count(rig->endpoint, "&refresh_token=r0"), 2);
    assert_int_equal(endpoint_calls(rig->endpoint), 2);
    rig_close(rig);
}

static void test_P4_tried_once_more_and_it_is_spent(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r0", STEPS({NULL}, {rig_error("400 X", "invalid_grant")}));
    assert_interrupted(&rig);
    rig_open_with_vault(&rig, "r0", STEPS({NULL}, {""})); /* lost again */
    assert_interrupted(&rig);
}

/* What did not reach the endpoint is no try. */
static void test_P4_a_try_needs_an_endpoint(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r0",
                        STEPS({NULL}, {endpoint_answer("503 X", "")}, {rig_rotation("t1", "r1")}));
    leave_a_mark(&rig);
    rig_start(&rig);
    rig_run_to_state(&rig, QP_TOKEN_COOLING_DOWN, 2000);
    rig_assert_kept(&rig, "vault", "r0", "", true);
    rig_run_to_generation(&rig, 1, 3000);
    rig_close(&rig);
}

static void test_a_marked_token_is_served_from_the_vault(void **state)
{
    struct rig rig;
    struct ordered refreshed = {0};
    rig_open_with_vault(&rig, "r0",
                        STEPS({rig_rotation("t1", "r1")}, {NULL}, {rig_error("400 X", "invalid_grant")}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_restart(&rig);
    rig_run_for(&rig, 100);
    rig_assert_token(&rig, 1, "t1");
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_SIGN_IN);
    rig_assert_token(&rig, 1, "t1");
    rig_assert_kept(&rig, "vault", "", "t1", false);
    rig_close(&rig);
}

/* ---- somebody restored the file ---- */

static char restored[32];

static void restore_when_seen(void *context, enum endpoint_lane lane, unsigned call, const char *request)
{
    const struct rig *rig = context;
    char from[128];
    snprintf(from, sizeof(from), "%s/%s", rig->folder, restored);
    if (call == 2)
        assert_int_equal(rename(from, rig->vault_path), 0);
}

static void refuse_while_restored(struct rig *rig)
{
    rig_start(rig);
    rig_run_to_generation(rig, 1, 2000);
    rig_copy_vault(rig, "vault", "backup");
    assert_int_equal(rig_ask(rig, 2).outcome, QP_NEED_MET);
    rig_copy_vault(rig, "vault", "present");
    endpoint_watch(rig->endpoint, restore_when_seen, rig);
}

static void test_a_restored_vault_is_read_once(void **state)
{
    struct rig rig;
    snprintf(restored, sizeof(restored), "backup");
    rig_open_with_vault(&rig, "r0",
                        STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                              {rig_error("400 X", "invalid_grant")}, {rig_rotation("t3", "r3")}));
    refuse_while_restored(&rig);
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_MET);
    rig_assert_words(endpoint_request(rig.endpoint, 2), "&refresh_token=r2");
    rig_assert_words(endpoint_request(rig.endpoint, 3), "&refresh_token=r1");
    rig_assert_kept(&rig, "vault", "r3", "t3", false);
    rig_close(&rig);
    rig_open_with_vault(
        &rig, "r0",
        STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_error("400 X", "invalid_grant")}));
    refuse_while_restored(&rig);
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_SIGN_IN);
    rig_run_for(&rig, 50);
    assert_int_equal(endpoint_calls(rig.endpoint), 4);
    rig_close(&rig);
}

static void test_a_restored_vault_with_the_same_token(void **state)
{
    struct rig rig;
    snprintf(restored, sizeof(restored), "present");
    rig_open_with_vault(
        &rig, "r0",
        STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_error("400 X", "invalid_grant")}));
    refuse_while_restored(&rig);
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_SIGN_IN);
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    rig_close(&rig);
}

static void test_a_restored_vault_of_another_client(void **state)
{
    struct rig rig;
    snprintf(restored, sizeof(restored), "foreign");
    rig_open_with_vault(
        &rig, "r0",
        STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_error("400 X", "invalid_grant")}));
    struct qp_secret *seed = qp_secret_new(QP_SLICE("q0"));
    rig.account.client_id = "another";
    rig.account.refresh_token = seed;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_stop(&rig);
    rig_copy_vault(&rig, "vault", "foreign");
    rig.account.client_id = "id";
    rig.account.refresh_token = rig.refresh_token;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    endpoint_watch(rig.endpoint, restore_when_seen, &rig);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_SIGN_IN);
    assert_int_equal(endpoint_count(rig.endpoint, "&refresh_token=r1"), 0);
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    qp_secret_free(&seed);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P4_tried_once_more_and_it_works),
        cmocka_unit_test(test_P4_tried_once_more_and_it_is_spent),
        cmocka_unit_test(test_P4_a_try_needs_an_endpoint),
        cmocka_unit_test(test_a_marked_token_is_served_from_the_vault),
        cmocka_unit_test(test_a_restored_vault_is_read_once),
        cmocka_unit_test(test_a_restored_vault_with_the_same_token),
        cmocka_unit_test(test_a_restored_vault_of_another_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
