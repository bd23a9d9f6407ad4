#include "relay/budget.h"

#include "cmocka_all.h"

enum { FLOOR = QP_BUDGET_SECONDS * QP_BUDGET_FLOOR_A_SECOND, NOW_MS = 123456000 };

static void request(struct qp_budget *budget, unsigned count, uint64_t now_ms)
{
    while (count-- > 0)
        qp_budget_request(budget, now_ms);
}

/* How many retries there are at this moment. */
static unsigned drain(struct qp_budget *budget, uint32_t per_cent, uint64_t now_ms)
{
    unsigned count = 0;
    while (count < 100000 && qp_budget_take_retry(budget, per_cent, now_ms))
        count++;
    return count;
}

static void a_quiet_worker_may_retry_a_little(void **state)
{
    struct qp_budget budget = {0};
    assert_int_equal(drain(&budget, 20, NOW_MS), FLOOR);
    assert_int_equal(drain(&budget, 20, NOW_MS + 999), 0);
}

static void a_busy_one_may_retry_its_share(void **state)
{
    struct qp_budget budget = {0};
    request(&budget, 5000, NOW_MS);
    assert_int_equal(drain(&budget, 20, NOW_MS), FLOOR + 1000);
    request(&budget, 100, NOW_MS + 1000);
    assert_int_equal(drain(&budget, 20, NOW_MS + 1000), 20);
}

static void what_was_used_comes_back_with_time(void **state)
{
    struct qp_budget budget = {0};
    assert_int_equal(drain(&budget, 20, NOW_MS), FLOOR);
    assert_int_equal(drain(&budget, 20, NOW_MS + 9000), 0);
    assert_int_equal(drain(&budget, 20, NOW_MS + 10000), FLOOR);
}

static void old_requests_do_not_count(void **state)
{
    struct qp_budget budget = {0};
    request(&budget, 5000, NOW_MS);
    request(&budget, 5, NOW_MS + 10000);
    assert_int_equal(drain(&budget, 20, NOW_MS + 10000), FLOOR + 1);
}

/* Seconds that are skipped, up to for ever, are seconds without requests. */
static void a_gap_clears_what_lies_behind_it(void **state)
{
    static const uint64_t gaps_ms[] = {10000, 11000, 19000, 20000, 86400000, UINT64_MAX / 2};
    for (unsigned i = 0; i < sizeof gaps_ms / sizeof gaps_ms[0]; i++) {
        struct qp_budget budget = {0};
        for (unsigned s = 0; s < QP_BUDGET_SECONDS; s++)
            request(&budget, 1000, NOW_MS + s * 1000);
        assert_int_equal(drain(&budget, 10, NOW_MS + 9000), FLOOR + 1000);
        assert_int_equal(drain(&budget, 10, NOW_MS + 9000 + gaps_ms[i]), FLOOR);
    }
}

/* Over any span the retries are at most the share and the floor, however they are spread. */
static void a_long_outage_gets_no_more_than_the_share(void **state)
{
    struct qp_budget budget = {0};
    uint64_t retries = 0;
    for (unsigned ms = 0; ms < 60000; ms++) { /* 1000 requests a second, and each one fails */
        qp_budget_request(&budget, NOW_MS + ms);
        retries += qp_budget_take_retry(&budget, 20, NOW_MS + ms);
    }
    assert_in_range(retries, 60000 / 5, 60000 / 5 + 7 * FLOOR);
}

static void off_is_no_limit(void **state)
{
    struct qp_budget budget = {0};
    assert_int_equal(drain(&budget, 0, NOW_MS), 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_worker_may_retry_a_little),
        cmocka_unit_test(a_busy_one_may_retry_its_share),
        cmocka_unit_test(what_was_used_comes_back_with_time),
        cmocka_unit_test(old_requests_do_not_count),
        cmocka_unit_test(a_gap_clears_what_lies_behind_it),
        cmocka_unit_test(a_long_outage_gets_no_more_than_the_share),
        cmocka_unit_test(off_is_no_limit),
    };
    return cmocka_run_group_tests_name("relay.budget", tests, NULL, NULL);
}
