#include "relay/rate.h"

#include "cmocka_all.h"

enum { WINDOW_MS = 1000, LEAST = 100 };

static bool looks_slow(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes)
{
    return qp_rate_is_slow(rate, now_ms, bytes, WINDOW_MS, LEAST);
}

static void a_drip_is_slow_when_a_window_has_ended(void **state)
{
    struct qp_rate rate = {0};
    for (uint64_t i = 0; i < 10; i++)
        assert_false(looks_slow(&rate, 5000 + i * 100, i));
    assert_true(looks_slow(&rate, 6000, 10));
}

static void exactly_the_least_is_enough(void **state)
{
    struct qp_rate rate = {0};
    assert_false(looks_slow(&rate, 0, 0));
    assert_false(looks_slow(&rate, 1000, 100));
    assert_true(looks_slow(&rate, 2000, 199));
    qp_rate_stop(&rate);
    assert_false(looks_slow(&rate, 3000, 199));
    assert_false(looks_slow(&rate, 4500, 349)); /* a longer window asks for more */
}

static void each_window_counts_anew(void **state)
{
    struct qp_rate rate = {0};
    assert_false(looks_slow(&rate, 0, 0));
    assert_false(looks_slow(&rate, 1000, 1000000));
    assert_true(looks_slow(&rate, 2000, 1000099));
}

static void who_waits_for_somebody_else_is_not_slow(void **state)
{
    struct qp_rate rate = {0};
    assert_false(looks_slow(&rate, 0, 0));
    qp_rate_stop(&rate);
    assert_false(looks_slow(&rate, 60000, 1));
    assert_false(looks_slow(&rate, 60999, 2));
    assert_true(looks_slow(&rate, 61000, 3));
}

static void a_window_may_begin_before_bytes_move(void **state)
{
    struct qp_rate rate = {0};
    qp_rate_begin(&rate, 1000, 50);
    assert_true(rate.runs);
    assert_true(looks_slow(&rate, 2000, 149));
    qp_rate_begin(&rate, 1000, 50);
    assert_false(looks_slow(&rate, 2000, 150));
}

static void off_is_never_slow(void **state)
{
    struct qp_rate rate = {0};
    assert_false(qp_rate_is_slow(&rate, 0, 0, WINDOW_MS, 0));
    assert_false(qp_rate_is_slow(&rate, 1000000, 0, WINDOW_MS, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drip_is_slow_when_a_window_has_ended),
        cmocka_unit_test(exactly_the_least_is_enough),
        cmocka_unit_test(each_window_counts_anew),
        cmocka_unit_test(who_waits_for_somebody_else_is_not_slow),
        cmocka_unit_test(a_window_may_begin_before_bytes_move),
        cmocka_unit_test(off_is_never_slow),
    };
    return cmocka_run_group_tests_name("relay.rate", tests, NULL, NULL);
}
