#include "cmocka_all.h"
#include "token/pace.h"

static void test_refresh_is_ahead_of_the_end(void **state)
{
    static const struct {
        uint64_t life_ms, latest_ms, earliest_ms;
    } rows[] = {
        {6000, 5400, 5250},
        {3600 * 1000, 3540 * 1000, 3525 * 1000},
        {600 * 1000, 540 * 1000, 525 * 1000},
        {31536000ull * 1000, 31536000ull * 1000 - 60000, 31536000ull * 1000 - 75000},
        {1000, 900, 875},
        {1, 1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        assert_int_equal(qp_pace_refresh_after_ms(rows[i].life_ms, 0), rows[i].latest_ms);
        for (uint64_t random = 0; random < 40000; random += 7) {
            uint64_t after_ms = qp_pace_refresh_after_ms(rows[i].life_ms, random);
            assert_true(after_ms <= rows[i].latest_ms && after_ms >= rows[i].earliest_ms);
        }
    }
}

static void test_backoff_doubles_to_its_cap(void **state)
{
    static const uint64_t windows_ms[] = {500, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (unsigned failures = 0; failures < 10; ++failures) {
        uint64_t window_ms = windows_ms[failures];
        assert_int_equal(qp_pace_backoff_ms(failures, 0), window_ms / 10);
        assert_int_equal(qp_pace_backoff_ms(failures, window_ms - window_ms / 10), window_ms);
        assert_true(qp_pace_backoff_ms(failures, UINT64_MAX) <= window_ms);
    }
    assert_int_equal(qp_pace_backoff_ms(UINT32_MAX, 0), 6000);
}

static void test_retry_after(void **state)
{
    enum { NOW = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value;
        uint32_t seconds;
    } rows[] = {
        {"0", 0},
        {"5", 5},
        {"3600", 3600},
        {"3601", 3600},
        {"99999999999999999999999999", 3600},
        {"-1", 0},
        {"1.5", 0},
        {"", 0},
        {"soon", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60},
        {"Sun, 06 Nov 1994 08:48:37 GMT", 0},
        {"Mon, 07 Nov 1994 08:49:37 GMT", 3600},
        {"Wed, 29 Feb 2096 00:00:00 GMT", 3600},
        {"Sun, 06 Foo 1994 08:50:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:50:37 CET", 0},
        {"Sun, 06 Nov 1994 0x:50:37 GMT", 0},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:50:37", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        uint32_t seconds = qp_pace_retry_after_s(qp_slice_str(rows[i].value), NOW);
        if (seconds != rows[i].seconds)
            fail_msg("Retry-After '%s': %u", rows[i].value, seconds);
    }
    assert_int_equal(qp_pace_retry_after_s(QP_SLICE("Fri, 01 Mar 2024 00:00:10 GMT"), 1709251200), 10);
    assert_int_equal(qp_pace_retry_after_s(QP_SLICE("Thu, 29 Feb 2024 23:59:59 GMT"), 1709251190), 9);
}

static void test_damping_needs_two_rejected_tokens(void **state)
{
    struct qp_account_damping damping = {0};
    qp_account_damping_new_token(&damping, 1);
    assert_false(qp_account_damping_report(&damping, 1, false, 0));
    qp_account_damping_new_token(&damping, 2);
    assert_false(damping.never_accepted);
    assert_true(qp_account_damping_report(&damping, 2, false, 100));
    assert_true(damping.never_accepted);
    assert_true(qp_account_damping_is_quiet(&damping, 100 + 999));
    assert_false(qp_account_damping_is_quiet(&damping, 100 + 1000));
    /* Stays over a new token until the origin takes one. */
    qp_account_damping_new_token(&damping, 3);
    assert_false(qp_account_damping_report(&damping, 3, false, 200));
    assert_true(damping.never_accepted);
    assert_true(qp_account_damping_report(&damping, 3, true, 300));
    assert_false(damping.never_accepted);
    assert_false(qp_account_damping_is_quiet(&damping, 300));
}

static void test_damping_one_acceptance_is_enough(void **state)
{
    struct qp_account_damping damping = {0};
    qp_account_damping_new_token(&damping, 1);
    qp_account_damping_report(&damping, 1, true, 0);
    qp_account_damping_report(&damping, 1, false, 0);
    qp_account_damping_new_token(&damping, 2);
    assert_false(qp_account_damping_report(&damping, 2, false, 0));
    assert_false(damping.never_accepted);
}

/* Tokens that are revoked faster than they can be used are no lost permission: the mints are spaced instead. */
static void test_damping_spares_what_worked_lately(void **state)
{
    struct qp_account_damping damping = {0};
    qp_account_damping_new_token(&damping, 1);
    qp_account_damping_report(&damping, 1, true, 1000);
    const uint64_t gaps_ms[] = {0, 50, 100, 200, 400, 800, 1600, 1600, 1600};
    for (uint64_t i = 0; i < sizeof(gaps_ms) / sizeof(gaps_ms[0]); ++i) {
        qp_account_damping_new_token(&damping, 2 + i);
        assert_false(qp_account_damping_report(&damping, 2 + i, false, 2000));
        assert_int_equal(qp_account_damping_gap_ms(&damping), gaps_ms[i]);
    }
    qp_account_damping_report(&damping, 10, true, 3000);
    assert_int_equal(qp_account_damping_gap_ms(&damping), 0);
    qp_account_damping_new_token(&damping, 11);
    qp_account_damping_new_token(&damping, 12);
    qp_account_damping_report(&damping, 11, false, 3000 + QP_PACE_WORKED_LATELY_MS);
    assert_true(qp_account_damping_report(&damping, 12, false, 3000 + QP_PACE_WORKED_LATELY_MS));
    assert_int_equal(qp_account_damping_gap_ms(&damping), 0);
}

static void test_damping_late_reports(void **state)
{
    struct qp_account_damping damping = {0};
    for (uint64_t generation = 1; generation <= 4; ++generation)
        qp_account_damping_new_token(&damping, generation);
    assert_false(qp_account_damping_report(&damping, 1, false, 0));
    assert_false(qp_account_damping_report(&damping, 2, false, 0));
    assert_false(qp_account_damping_report(&damping, 9, false, 0));
    assert_false(qp_account_damping_report(&damping, 3, false, 0));
    assert_true(qp_account_damping_report(&damping, 4, false, 0));
    assert_false(qp_account_damping_report(&damping, 2, true, 0));
    assert_true(damping.never_accepted);
    /* The last but one is still one of the two. */
    assert_true(qp_account_damping_report(&damping, 3, true, 0));
    assert_false(damping.never_accepted);
}

static void test_damping_doubles(void **state)
{
    struct qp_account_damping damping = {0};
    qp_account_damping_new_token(&damping, 1);
    qp_account_damping_new_token(&damping, 2);
    qp_account_damping_report(&damping, 1, false, 0);
    qp_account_damping_report(&damping, 2, false, 0);
    static const uint64_t quiet_ms[] = {2000,  4000,   8000,   16000,  32000,
                                        64000, 128000, 256000, 300000, 300000};
    for (size_t i = 0; i < sizeof(quiet_ms) / sizeof(quiet_ms[0]); ++i) {
        qp_account_damping_spend(&damping, 0);
        assert_int_equal(damping.quiet_until_ms, quiet_ms[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refresh_is_ahead_of_the_end),
        cmocka_unit_test(test_backoff_doubles_to_its_cap),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_damping_needs_two_rejected_tokens),
        cmocka_unit_test(test_damping_one_acceptance_is_enough),
        cmocka_unit_test(test_damping_spares_what_worked_lately),
        cmocka_unit_test(test_damping_late_reports),
        cmocka_unit_test(test_damping_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
