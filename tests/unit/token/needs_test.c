/* What a worker's view promises to those who wait, and damping end to end. */
#include "rig.h"
#include <stdio.h>

static const char granted[] = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"access_token\":\"t1\"}";
static const struct endpoint_step soon[] = {{granted}};
static const struct endpoint_step later[] = {{granted, .delay_ms = 150}};

static void test_one_call_for_all(void **state)
{
    struct rig rig;
    struct answered all[8];
    rig_open(&rig, NULL, later, 1);
    rig_start(&rig);
    for (int i = 0; i < 8; ++i)
        rig_need(&rig, (uint64_t)i, &all[i]); /* 2 to 7 are taken as 1: nobody has seen a token yet */
    rig_run_to_generation(&rig, 1, 2000);
    for (int i = 0; i < 8; ++i) {
        assert_int_equal(all[i].times, 1);
        assert_int_equal(all[i].outcome, QP_NEED_MET);
        assert_int_equal(all[i].need.min_generation, 1);
    }
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

/* Who sends something that can be sent only once wants to know. */
static void test_a_token_says_when_it_expires(void **state)
{
    static const struct endpoint_step hour[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{\"access_token\":\"t1\",\"expires_in\":3600}"}};
    struct rig rig;
    struct answered one;
    struct qp_token token;
    rig_open(&rig, NULL, hour, 1);
    rig_start(&rig);
    rig_need(&rig, 1, &one);
    rig_run_to_generation(&rig, 1, 2000);
    assert_true(qp_view_token(rig.view, 0, 1, &token));
    uint64_t now_ms = qp_loop_now_ms(rig.loop);
    assert_in_range(token.expires_at_ms, now_ms + 3500000, now_ms + 3600000);
    rig_close(&rig);
}

static void test_busy_and_canceled(void **state)
{
    struct rig rig;
    struct answered all[10];
    struct qp_need never = {0};
    rig_open(&rig, NULL, later, 1);
    rig_start(&rig);
    for (int i = 0; i < 10; ++i)
        rig_need(&rig, 1, &all[i]);
    qp_view_cancel(&all[3].need);
    qp_view_cancel(&all[3].need);
    qp_view_cancel(&all[9].need); /* a busy one */
    qp_view_cancel(&never);
    rig_run_to_generation(&rig, 1, 2000);
    for (int i = 0; i < 8; ++i)
        assert_int_equal(all[i].times, i != 3);
    assert_int_equal(all[8].outcome, QP_NEED_BUSY);
    assert_int_equal(all[9].times, 0);
    qp_view_cancel(&all[0].need); /* answered */
    rig_close(&rig);
}

/* All clients leave: the call goes on for those who come next. */
static void test_leaving_does_not_cancel_the_call(void **state)
{
    struct rig rig;
    struct answered one;
    rig_open(&rig, NULL, later, 1);
    rig_start(&rig);
    rig_need(&rig, 1, &one);
    rig_run_for(&rig, 30);
    qp_view_cancel(&one.need);
    rig_run_to_generation(&rig, 1, 2000);
    assert_int_equal(one.times, 0);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

static void test_deadline_of_a_need(void **state)
{
    static const struct endpoint_step hang[] = {{NULL}};
    struct rig rig;
    struct answered first, second;
    rig_open(&rig, NULL, hang, 1);
    rig.account.token_call_ms = 60000;
    rig_start(&rig);
    uint64_t start_ms = qp_loop_now_ms(rig.loop);
    rig_need(&rig, 1, &first);
    rig_run_for(&rig, 500);
    rig_need(&rig, 1, &second);
    rig_run_for(&rig, start_ms + 3200 - qp_loop_now_ms(rig.loop));
    assert_int_equal(first.times, 1);
    assert_int_equal(first.outcome, QP_NEED_TIMEOUT);
    assert_int_equal(second.times, 0);
    rig_run_for(&rig, 500);
    assert_int_equal(second.outcome, QP_NEED_TIMEOUT);
    rig_close(&rig);
}

struct meddler {
    struct answered *victim;
    struct answered *addition;
    struct qp_need need;
    struct rig *rig;
    unsigned times;
};

static void meddle(struct qp_need *need, enum qp_need_outcome outcome, uint32_t retry_after_s,
                   const char *text)
{
    struct meddler *meddler = QP_CONTAINER_OF(need, struct meddler, need);
    ++meddler->times;
    qp_view_cancel(&meddler->victim->need);
    rig_need(meddler->rig, 2, meddler->addition);
    qp_view_cancel(need);
}

static void test_callbacks_may_cancel_and_add(void **state)
{
    struct rig rig;
    struct answered before, victim, after, addition;
    rig_open(&rig, NULL, later, 1);
    rig_start(&rig);
    struct meddler meddler = {.victim = &victim, .addition = &addition, .rig = &rig, .need.answered = meddle};
    rig_need(&rig, 1, &before);
    qp_view_need(rig.view, 0, 1, &meddler.need);
    rig_need(&rig, 1, &victim);
    rig_need(&rig, 1, &after);
    rig_run_to_generation(&rig, 2, 2000);
    assert_int_equal(meddler.times, 1);
    assert_int_equal(before.times + after.times + addition.times, 3);
    assert_int_equal(victim.times, 0);
    assert_int_equal(addition.outcome, QP_NEED_MET);
    assert_int_equal(addition.need.min_generation, 2);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

static bool is_damped(struct rig *rig)
{
    return qp_view_is_damped(rig->view, 0);
}

static bool is_not_damped(struct rig *rig)
{
    return !is_damped(rig);
}

static void report_rejected(struct rig *rig, uint64_t generation)
{
    for (int i = 0; i < 5; ++i)
        qp_view_report(rig->view, 0, generation, false);
}

static void damp(struct rig *rig)
{
    rig_open(rig, NULL, soon, 1);
    rig_start(rig);
    rig_run_to_generation(rig, 1, 1000);
    report_rejected(rig, 1);
    assert_int_equal(rig_ask(rig, 2).outcome, QP_NEED_MET);
    assert_false(is_damped(rig));
    report_rejected(rig, 2);
    rig_run_until(rig, is_damped, 500);
    assert_true(rig_status(rig).never_accepted);
}

static void test_damping(void **state)
{
    struct rig rig;
    damp(&rig);
    struct answered answered = rig_ask(&rig, 3);
    assert_int_equal(answered.outcome, QP_NEED_REJECTED);
    assert_int_equal(answered.retry_after_s, 1);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    /* One mint after a while, and then not for twice as long. */
    rig_run_until(&rig, is_not_damped, 1500);
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_MET);
    assert_true(is_damped(&rig));
    report_rejected(&rig, 3);
    assert_int_equal(rig_ask(&rig, 4).outcome, QP_NEED_REJECTED);
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    rig_close(&rig);
}

static void test_damping_heals(void **state)
{
    struct rig rig;
    damp(&rig);
    qp_view_report(rig.view, 0, 2, true);
    rig_run_until(&rig, is_not_damped, 500);
    assert_false(rig_status(&rig).never_accepted);
    assert_int_equal(rig_ask(&rig, 3).outcome, QP_NEED_MET);
    rig_close(&rig);
}

static void test_late_reports_do_not_damp(void **state)
{
    struct rig rig;
    rig_open(&rig, NULL, soon, 1);
    rig_start(&rig);
    for (uint64_t generation = 1; generation <= 4; ++generation)
        assert_int_equal(rig_ask(&rig, generation).outcome, QP_NEED_MET);
    report_rejected(&rig, 1);
    report_rejected(&rig, 2);
    report_rejected(&rig, 4);
    report_rejected(&rig, 99);
    rig_run_for(&rig, 50);
    assert_false(is_damped(&rig));
    /* A late 401 of an old token finds the new one: no call. */
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    assert_int_equal(endpoint_calls(rig.endpoint), 4);
    report_rejected(&rig, 3);
    rig_run_until(&rig, is_damped, 500);
    rig_close(&rig);
}

/* An expired token is renewed in spite of damping. */
static void test_expiry_heals_in_spite_of_damping(void **state)
{
    static const struct endpoint_step steps[] = {
        {granted},
        {"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"access_token\":\"t2\",\"expires_in\":1}"},
        {granted},
    };
    struct rig rig;
    rig_open(&rig, NULL, steps, 3);
    rig_start(&rig);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    report_rejected(&rig, 1);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    report_rejected(&rig, 2);
    rig_run_until(&rig, is_damped, 500);
    rig_run_to_state(&rig, QP_TOKEN_STALE, 1500);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_MET);
    struct qp_token token;
    assert_true(qp_view_token(rig.view, 0, 3, &token));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call_for_all),
        cmocka_unit_test(test_a_token_says_when_it_expires),
        cmocka_unit_test(test_busy_and_canceled),
        cmocka_unit_test(test_leaving_does_not_cancel_the_call),
        cmocka_unit_test(test_deadline_of_a_need),
        cmocka_unit_test(test_callbacks_may_cancel_and_add),
        cmocka_unit_test(test_damping),
        cmocka_unit_test(test_damping_heals),
        cmocka_unit_test(test_late_reports_do_not_damp),
        cmocka_unit_test(test_expiry_heals_in_spite_of_damping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
