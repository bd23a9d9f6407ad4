/* history_test.c - which minute a number belongs to, with made-up clocks. */
#include "admin/history.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = QP_HISTORY_MINUTES - 1, BEGAN_MS = 123456 };

static struct qp_history history;

static int begin(void **state)
{
    memset(&history, 0xff, sizeof history);
    qp_history_begin(&history, BEGAN_MS);
    return 0;
}

static void look(uint64_t after_ms, uint64_t requests)
{
    const uint64_t totals[QP_SERIES_COUNT] = {requests, requests / 10, requests / 100};
    qp_history_look(&history, BEGAN_MS + after_ms, totals);
}

static uint64_t ago(unsigned minutes)
{
    return qp_history_at(&history, QP_SERIES_REQUESTS, NOW - minutes);
}

static void an_hour_begins_empty(void **state)
{
    for (unsigned i = 0; i < QP_HISTORY_MINUTES; i++)
        assert_int_equal(qp_history_at(&history, QP_SERIES_ERRORS, i), 0);
    assert_int_equal(qp_history_sum(&history, QP_SERIES_REQUESTS), 0);
    assert_int_equal(qp_history_peak(&history, QP_SERIES_REQUESTS), 0);
}

static void looks_in_a_minute_add_up(void **state)
{
    look(1000, 300);
    look(20000, 300);
    look(59999, 1000);
    assert_int_equal(ago(0), 1000);
    assert_int_equal(ago(1), 0);
    assert_int_equal(qp_history_at(&history, QP_SERIES_TOKEN_CALLS, NOW), 100);
    assert_int_equal(qp_history_at(&history, QP_SERIES_ERRORS, NOW), 10);
}

/* The timer that closes a minute is a little late: what it finds is the minute's that has ended. */
static void what_a_late_look_finds_is_the_old_minutes(void **state)
{
    look(60016, 500);
    assert_int_equal(ago(0), 0);
    assert_int_equal(ago(1), 500);
    look(90000, 700);
    look(120009, 750);
    assert_int_equal(ago(0), 0);
    assert_int_equal(ago(1), 250);
    assert_int_equal(ago(2), 500);
}

static void an_hour_later_it_is_forgotten(void **state)
{
    for (uint64_t minute = 1; minute <= 59; minute++)
        look(minute * 60000, minute * 10);
    assert_int_equal(ago(59), 10); /* the first minute */
    assert_int_equal(ago(1), 10);
    assert_int_equal(qp_history_sum(&history, QP_SERIES_REQUESTS), 590);
    look(60 * 60000, 600);
    assert_int_equal(ago(59), 10); /* the second */
    assert_int_equal(qp_history_sum(&history, QP_SERIES_REQUESTS), 590);
}

static void a_long_pause_empties_what_it_passed(void **state)
{
    look(30000, 100);
    look(5 * 60000 + 1, 200); /* nobody looked for minutes: all of it is the first's */
    assert_int_equal(ago(5), 200);
    assert_int_equal(ago(0), 0);
    look(5 * 60000 + 2, 203);
    assert_int_equal(ago(0), 3);
    look(UINT64_C(100) * 60 * 60000, 500);
    assert_int_equal(qp_history_sum(&history, QP_SERIES_REQUESTS), 0);
    look(UINT64_C(100) * 60 * 60000 + 1, 501);
    assert_int_equal(ago(0), 1);
}

static void exactly_an_hours_pause_leaves_nothing(void **state)
{
    look(30000, 100);
    look(30000 + 60 * 60000, 100);
    assert_int_equal(qp_history_sum(&history, QP_SERIES_REQUESTS), 0);
}

static void a_counter_that_falls_counts_for_nothing(void **state)
{
    look(1000, 100);
    look(2000, 40);
    look(3000, 45);
    assert_int_equal(ago(0), 105);
}

static void the_peak_is_the_largest_minute(void **state)
{
    look(60000, 10);
    look(120000, 90);
    look(180000, 95);
    assert_int_equal(qp_history_peak(&history, QP_SERIES_REQUESTS), 80);
    assert_int_equal(qp_history_sum(&history, QP_SERIES_REQUESTS), 95);
}

static void the_next_minute_is_never_now(void **state)
{
    assert_int_equal(qp_history_next_ms(&history, BEGAN_MS), 60000);
    assert_int_equal(qp_history_next_ms(&history, BEGAN_MS + 1), 59999);
    assert_int_equal(qp_history_next_ms(&history, BEGAN_MS + 59999), 1);
    assert_int_equal(qp_history_next_ms(&history, BEGAN_MS + 60000), 60000);
    assert_int_equal(qp_history_next_ms(&history, BEGAN_MS + 60016), 59984);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_hour_begins_empty),
        TEST(looks_in_a_minute_add_up),
        TEST(what_a_late_look_finds_is_the_old_minutes),
        TEST(an_hour_later_it_is_forgotten),
        TEST(a_long_pause_empties_what_it_passed),
        TEST(exactly_an_hours_pause_leaves_nothing),
        TEST(a_counter_that_falls_counts_for_nothing),
        TEST(the_peak_is_the_largest_minute),
        TEST(the_next_minute_is_never_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
