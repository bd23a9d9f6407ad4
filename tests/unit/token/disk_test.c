/* The disk fails, and the daemon stops: what is redeemed, what is served, what is said, and what is on disk at the end. */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>

static int forget_faults(void **state)
{
    return unsetenv("QP_FAULT");
}

static void set_fault(const char *fault)
{
    assert_int_equal(setenv("QP_FAULT", fault, 1), 0);
}

static struct qp_vault_status vault_status(const struct rig *rig)
{
    return qp_keeper_vault_status(rig->keeper);
}

static bool is_written(struct rig *rig)
{
    return vault_status(rig).is_writable;
}

static void open_rotating(struct rig *rig, const struct endpoint_step *steps, unsigned count)
{
    rig_open(rig, "r0", steps, count);
    rig_use_vault(rig);
    rig_start(rig);
    rig_run_to_generation(rig, 1, 2000);
}

static void order_refresh(struct rig *rig, struct ordered *ordered)
{
    *ordered = (struct ordered){0};
    qp_keeper_refresh(rig->keeper, 0, rig_take_end, ordered);
}

/* ---- before the call ---- */

static void test_P4_without_a_mark_nothing_is_redeemed(void **state)
{
    static const char *const points[] = {"vault.mark.write", "vault.mark.written", "vault.mark.synced",
                                         "vault.mark.renamed", "vault.reserve"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); ++i) {
        struct rig rig;
        struct ordered ordered;
        char fault[64];
        open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
        snprintf(fault, sizeof(fault), "%s=ENOSPC", points[i]);
        set_fault(fault);
        order_refresh(&rig, &ordered);
        rig_run_to_end(&rig, &ordered, "failed");
        rig_assert_words(ordered.text, "no refresh token is spent before that is mended");
        rig_assert_words(ordered.text, "free some disk space");
        assert_int_equal(rig_status(&rig).state, QP_TOKEN_COOLING_DOWN);
        assert_true(rig_status(&rig).usable && rig_status(&rig).can_refresh);
        assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
        rig_assert_token(&rig, 1, "t1");
        struct answered answered = rig_ask(&rig, 2);
        assert_int_equal(answered.outcome, QP_NEED_COOLING_DOWN);
        assert_false(vault_status(&rig).is_writable);
        rig_assert_words(vault_status(&rig).error, "No space left");
        assert_int_equal(endpoint_calls(rig.endpoint), 1);
        unsetenv("QP_FAULT");
        rig_run_to_generation(&rig, 2, 3000);
        assert_true(vault_status(&rig).is_writable);
        assert_null(rig_status(&rig).last_error);
        rig_close(&rig);
    }
}

/* A mark that stands without a call behind it makes the next life doubt a good token. */
static void test_a_mark_without_a_call_is_taken_back(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}));
    set_fault("vault.reserve=ENOSPC");
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "failed");
    rig_assert_kept(&rig, "vault", "r1", "t1", false);
    rig_assert_words(vault_status(&rig).error, "no space can be set aside");
    rig_close(&rig);
}

/* Nobody calls for a while: that the disk is well again is found out all the same. */
static void test_a_disk_that_heals_is_noticed(void **state)
{
    static const char *const faults[] = {"vault.mark.write=EROFS", "vault.reserve=ENOSPC"};
    for (size_t i = 0; i < 2; ++i) {
        struct rig rig;
        struct ordered ordered;
        rig_open(&rig, "r0", STEPS({rig_rotation("t1", "r1")}));
        rig_use_vault(&rig);
        rig.opts.passive = true;
        rig_start(&rig);
        set_fault(faults[i]);
        order_refresh(&rig, &ordered);
        rig_run_to_end(&rig, &ordered, "failed");
        assert_false(is_written(&rig));
        unsetenv("QP_FAULT");
        rig_run_until(&rig, is_written, 3000);
        assert_null(vault_status(&rig).error);
        assert_int_equal(endpoint_calls(rig.endpoint), 0);
        rig_assert_kept(&rig, "vault", "r0", "", false);
        rig_close(&rig);
    }
}

static void test_P4_no_code_is_redeemed_without_a_vault_to_keep_it(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_begin(&rig, "", "c", &begun);
    set_fault("vault.reserve=ENOSPC");
    rig_finish(&rig, begun.query, "", NULL, &ordered);
    rig_run_to_end(&rig, &ordered, "vault");
    rig_assert_words(ordered.text, "nothing was redeemed");
    rig_assert_words(ordered.text, "free some disk space");
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    assert_false(is_written(&rig));
    unsetenv("QP_FAULT");
    rig_run_until(&rig, is_written, 3000);
    rig_answer(&rig, begun.query, "state_unknown");
    rig_sign_in(&rig, "c");
    rig_close(&rig);
}

/* ---- after the call ---- */

static void test_P4_what_cannot_be_saved_is_served_and_tried_again(void **state)
{
    static const char *const points[] = {"vault.record.write", "vault.record.written", "vault.record.synced"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); ++i) {
        struct rig rig;
        struct ordered ordered;
        char fault[64];
        open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
        snprintf(fault, sizeof(fault), "%s=EIO", points[i]);
        set_fault(fault);
        order_refresh(&rig, &ordered);
        rig_run_to_end(&rig, &ordered, "refreshed");
        rig_run_to_generation(&rig, 2, 2000);
        rig_assert_token(&rig, 2, "t2");
        assert_int_equal(rig_status(&rig).state, QP_TOKEN_FRESH);
        assert_false(is_written(&rig));
        rig_assert_words(vault_status(&rig).error, "cannot be written");
        rig_assert_kept(&rig, "vault", "r1", "t1",
                        true); /* so that the next life knows what it may not trust */
        rig_run_for(&rig, 700);
        assert_false(is_written(&rig));
        unsetenv("QP_FAULT");
        rig_run_until(&rig, is_written, 3000);
        rig_assert_kept(&rig, "vault", "r2", "t2", false);
        assert_int_equal(endpoint_calls(rig.endpoint), 2);
        rig_close(&rig);
    }
}

/* The next redemption would lose the one that is not on disk yet. */
static void test_P4_no_call_while_the_last_one_is_not_saved(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_rotating(&rig,
                  STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_rotation("t3", "r3")}));
    set_fault("vault.record.write=EIO,vault.mark.write=EIO@2");
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "refreshed");
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "failed");
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    /* The mark's own write carries what was owed. */
    order_refresh(&rig, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 3, 2000);
    rig_run_to_end(&rig, &ordered, "refreshed");
    rig_assert_kept(&rig, "vault", "r2", "t2", true);
    rig_close(&rig);
}

static void test_the_end_pays_what_is_owed(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
    set_fault("vault.record.write=EIO@1");
    order_refresh(&rig, &ordered);
    rig_run_to_end(&rig, &ordered, "refreshed");
    rig_assert_kept(&rig, "vault", "r1", "t1", true);
    rig_stop(&rig);
    rig_assert_kept(&rig, "vault", "r2", "t2", false);
    rig_close(&rig);
}

static void test_a_sign_out_that_cannot_be_saved(void **state)
{
    struct rig rig;
    struct ordered ordered = {0};
    open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}));
    set_fault("vault.record.write=EIO");
    qp_keeper_sign_out(rig.keeper, 0, rig_take_end, &ordered);
    rig_run_to_end(&rig, &ordered, "not_revoked");
    assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_SIGN_IN);
    assert_false(is_written(&rig));
    unsetenv("QP_FAULT");
    rig_run_until(&rig, is_written, 3000);
    rig_assert_kept(&rig, "vault", "", "", false);
    rig_close(&rig);
}

static void test_a_cache_that_cannot_be_written(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_use_vault(&rig);
    rig.opts.cache_tokens = true;
    rig_start(&rig);
    set_fault("vault.cache.write=ENOSPC,vault.record.write=ENOSPC");
    rig_run_to_generation(&rig, 1, 2000);
    rig_run_for(&rig, 400);
    assert_false(is_written(&rig));
    rig_assert_token(&rig, 1, "t1");
    unsetenv("QP_FAULT");
    rig_run_until(&rig, is_written, 3000);
    rig_assert_kept(&rig, "vault", "", "t1", false);
    rig_close(&rig);
}

/* ---- drain ---- */

static unsigned drained;

static void count_drain(void *context)
{
    assert_ptr_equal(context, &drained);
    ++drained;
}

static bool has_drained(struct rig *rig)
{
    return drained > 0;
}

static void drain(struct rig *rig, uint64_t limit_ms)
{
    drained = 0;
    qp_keeper_drain(rig->keeper, limit_ms, count_drain, &drained);
    assert_int_equal(drained, 0);
}

static void run_to_drained(struct rig *rig, uint64_t least_ms, uint64_t most_ms)
{
    uint64_t start_ms = qp_loop_now_ms(rig->loop);
    rig_run_until(rig, has_drained, most_ms);
    assert_true(qp_loop_now_ms(rig->loop) - start_ms >= least_ms);
    rig_run_for(rig, 300);
    assert_int_equal(drained, 1);
}

static void test_drain_with_nothing_to_do(void **state)
{
    struct rig rig;
    open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}));
    drain(&rig, 60000);
    run_to_drained(&rig, 0, 500);
    /* What is there is served; what is not is not begun. */
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    struct answered answered = rig_ask(&rig, 2);
    assert_int_equal(answered.outcome, QP_NEED_COOLING_DOWN);
    rig_assert_words(answered.text, "stopping");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
    rig_open(&rig, NULL, NULL, 0); /* without a vault */
    rig_start(&rig);
    drain(&rig, 60000);
    run_to_drained(&rig, 0, 500);
    rig_close(&rig);
}

static void test_no_call_is_begun_while_draining(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    drain(&rig, 60000);
    rig_run_for(&rig, 3300);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_COOLING_DOWN);
    rig_close(&rig);
}

static void test_P4_drain_waits_for_a_redemption(void **state)
{
    struct rig rig;
    struct ordered ordered;
    struct answered answered;
    open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true}));
    order_refresh(&rig, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    drain(&rig, 50); /* however little it was given */
    rig_run_to_end(&rig, &ordered, "stopping");
    rig_need(&rig, 2, &answered); /* it comes late, and still gets what is on its way */
    rig_run_for(&rig, 300);
    assert_int_equal(drained, 0);
    assert_int_equal(answered.times, 0);
    endpoint_release(rig.endpoint);
    run_to_drained(&rig, 0, 2000);
    assert_int_equal(answered.outcome, QP_NEED_MET);
    rig_assert_kept(&rig, "vault", "r2", "t2", false);
    rig_close(&rig);
}

static void test_drain_and_a_redemption_without_an_answer(void **state)
{
    struct rig rig;
    struct ordered ordered;
    open_rotating(&rig, STEPS({rig_rotation("t1", "r1")}, {NULL}));
    rig.account.token_call_ms = 500; /* borrowed by the keeper */
    order_refresh(&rig, &ordered);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    drain(&rig, 50);
    run_to_drained(&rig, 200, 2000);
    rig_assert_kept(&rig, "vault", "r1", "t1", true);
    rig_close(&rig);
}

/* Another one of client_credentials costs nothing. */
static void test_drain_does_not_wait_for_what_can_be_had_again(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({NULL}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    drain(&rig, 60000);
    run_to_drained(&rig, 0, 500);
    rig_close(&rig);
}

static void owe(struct rig *rig)
{
    struct ordered ordered;
    open_rotating(rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
    set_fault("vault.record.write=EIO");
    order_refresh(rig, &ordered);
    rig_run_to_end(rig, &ordered, "refreshed");
    rig_run_for(rig, 1600); /* by now it is tried every two seconds only */
    assert_false(is_written(rig));
}

static void test_drain_pays_the_disk(void **state)
{
    struct rig rig;
    owe(&rig);
    drain(&rig, 5000);
    rig_run_for(&rig, 450);
    assert_int_equal(drained, 0);
    unsetenv("QP_FAULT");
    run_to_drained(&rig, 0, 1000);
    rig_assert_kept(&rig, "vault", "r2", "t2", false);
    rig_close(&rig);
}

static void test_drain_gives_up_at_its_limit(void **state)
{
    struct rig rig;
    owe(&rig);
    drain(&rig, 600);
    run_to_drained(&rig, 550, 2000);
    rig_assert_kept(&rig, "vault", "r1", "t1", true);
    rig_close(&rig);
}

static void test_drain_writes_what_is_lazy(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_use_vault(&rig);
    rig.opts.cache_tokens = true;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    drain(&rig, 60000);
    rig_run_until(&rig, has_drained, 200);
    rig_assert_kept(&rig, "vault", "", "t1", false);
    rig_close(&rig);
}

static void test_closing_in_a_drain(void **state)
{
    struct rig rig;
    owe(&rig);
    drain(&rig, 60000);
    rig_run_for(&rig, 50);
    unsetenv("QP_FAULT");
    rig_stop(&rig);
    assert_int_equal(drained, 0);
    rig_assert_kept(&rig, "vault", "r2", "t2", false);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_P4_without_a_mark_nothing_is_redeemed, forget_faults),
        cmocka_unit_test_teardown(test_a_mark_without_a_call_is_taken_back, forget_faults),
        cmocka_unit_test_teardown(test_a_disk_that_heals_is_noticed, forget_faults),
        cmocka_unit_test_teardown(test_P4_no_code_is_redeemed_without_a_vault_to_keep_it, forget_faults),
        cmocka_unit_test_teardown(test_P4_what_cannot_be_saved_is_served_and_tried_again, forget_faults),
        cmocka_unit_test_teardown(test_P4_no_call_while_the_last_one_is_not_saved, forget_faults),
        cmocka_unit_test_teardown(test_the_end_pays_what_is_owed, forget_faults),
        cmocka_unit_test_teardown(test_a_sign_out_that_cannot_be_saved, forget_faults),
        cmocka_unit_test_teardown(test_a_cache_that_cannot_be_written, forget_faults),
        cmocka_unit_test(test_drain_with_nothing_to_do),
        cmocka_unit_test(test_no_call_is_begun_while_draining),
        cmocka_unit_test(test_P4_drain_waits_for_a_redemption),
        cmocka_unit_test(test_drain_and_a_redemption_without_an_answer),
        cmocka_unit_test(test_drain_does_not_wait_for_what_can_be_had_again),
        cmocka_unit_test_teardown(test_drain_pays_the_disk, forget_faults),
        cmocka_unit_test_teardown(test_drain_gives_up_at_its_limit, forget_faults),
        cmocka_unit_test(test_drain_writes_what_is_lazy),
        cmocka_unit_test_teardown(test_closing_in_a_drain, forget_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
