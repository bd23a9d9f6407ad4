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
    qp_rate_run(&rate, 5000);
    for (uint64_t i = 0; i < 10; i++)
        assert_false(looks_slow(&rate, 5000 + i * 100, i));
    assert_true(looks_slow(&rate, 6000, 10));
}

static void exactly_the_least_is_enough(void **state)
{
    struct qp_rate rate = {0};
    qp_rate_run(&rate, 0);
    assert_false(looks_slow(&rate, 1000, 100));
    assert_true(looks_slow(&rate, 2000, 199));
    assert_false(looks_slow(&rate, 3500, 349)); /* a longer window asks for more */
}

static void each_window_counts_anew(void **state)
{
    struct qp_rate rate = {0};
    qp_rate_run(&rate, 0);
    assert_false(looks_slow(&rate, 1000, 1000000));
    assert_true(looks_slow(&rate, 2000, 1000099));
    assert_true(rate.runs);
}

static void time_in_which_somebody_else_is_waited_for_does_not_count(void **state)
{
    struct qp_rate rate = {0};
    assert_false(looks_slow(&rate, 60000, 0));
    for (uint64_t i = 0; i < 4; i++) { /* 200 ms of each minute are the origin's */
        qp_rate_run(&rate, i * 60000);
        qp_rate_run(&rate, i * 60000 + 100);
        qp_rate_rest(&rate, i * 60000 + 200);
        qp_rate_rest(&rate, i * 60000 + 5000);
        assert_false(looks_slow(&rate, i * 60000 + 30000, i));
    }
    qp_rate_run(&rate, 240000);
    assert_false(looks_slow(&rate, 240199, 5));
    assert_true(looks_slow(&rate, 240200, 5));
}

static void off_is_never_slow(void **state)
{
    struct qp_rate rate = {0};
    qp_rate_run(&rate, 0);
    assert_false(qp_rate_is_slow(&rate, 1000000, 0, WINDOW_MS, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drip_is_slow_when_a_window_has_ended),
        cmocka_unit_test(exactly_the_least_is_enough),
        cmocka_unit_test(each_window_counts_anew),
        cmocka_unit_test(time_in_which_somebody_else_is_waited_for_does_not_count),
        cmocka_unit_test(off_is_never_slow),
    };
    return cmocka_run_group_tests_name("relay.rate", tests, NULL, NULL);
}
