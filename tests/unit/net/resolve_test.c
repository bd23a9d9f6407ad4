/* How long a resolved address is used, and what a resolver that is slow, fails or changes its mind does to dials and kept streams. */
#include "dialling.h"

#include <stdio.h>
#include <string.h>

enum { SECOND = 1000, HOUR = 3600 * SECOND, KEEP_MS = 5 * SECOND, MANY = 200 };

static void expect_refusal(enum qp_result result, const char *words)
{
    struct outcome outcome = {0};

    dial(&outcome);
    assert_int_equal(outcome.result, result);
    assert_non_null(strstr(outcome.detail, words));
}

static void make(void)
{
    serve(NULL);
    make_dialer_with("localhost", NULL, 5000, 0, KEEP_MS);
    RESOLVES_TO("127.0.0.1");
}

static void an_answer_is_used_for_its_time_and_then_renewed_beside_the_dials(void **state)
{
    (void)state;
    make();
    dial_well();
    skew_ms += KEEP_MS - SECOND;
    dial_well();
    assert_int_equal(resolver.count, 1);
    skew_ms += 2 * SECOND;
    resolver.silent = true; /* slow: the old answer does until the new one is there */
    dial_well();
    dial_well();
    assert_int_equal(resolver.count, 2);
    RESOLVES_TO("127.0.0.3");
    answer_now(&resolver.job);
    expect_refusal(QP_NET_REFUSED, "127.0.0.3");
    assert_int_equal(resolver.count, 2);
}

static void a_failing_resolver_stops_nobody_while_an_old_answer_is_there(void **state)
{
    (void)state;
    make();
    dial_well();
    resolver.status = UV_EAI_AGAIN;
    skew_ms += KEEP_MS + SECOND;
    dial_well();
    run_for_ms(20); /* it has failed */
    dial_well();
    dial_well();
    assert_int_equal(resolver.count, 2); /* and is left alone for a second */
    skew_ms += 2 * SECOND;
    dial_well();
    assert_int_equal(resolver.count, 3);
    run_for_ms(20);
    skew_ms += 25 * HOUR;
    expect_refusal(QP_NET_RESOLVE, "localhost");
    resolver.status = 0;
    skew_ms += 2 * SECOND;
    dial_well();
}

static void a_failure_is_remembered_for_a_second(void **state)
{
    (void)state;
    make();
    resolver.status = UV_EAI_NONAME;
    expect_refusal(QP_NET_RESOLVE, "localhost: ");
    expect_refusal(QP_NET_RESOLVE, "localhost: ");
    assert_int_equal(resolver.count, 1);
    resolver.status = 0;
    skew_ms += 2 * SECOND;
    dial_well();
    assert_int_equal(resolver.count, 2);
}

static void a_host_that_has_moved_is_found_within_the_dial(void **state)
{
    (void)state;
    make();
    RESOLVES_TO("127.0.0.5");
    expect_refusal(QP_NET_REFUSED, "127.0.0.5");
    expect_refusal(QP_NET_REFUSED, "127.0.0.5");
    assert_int_equal(resolver.count, 1); /* it was asked a moment ago */
    skew_ms += 2 * SECOND;
    RESOLVES_TO("127.0.0.5", "127.0.0.1");
    dial_well();
    assert_int_equal(resolver.count, 2);
    assert_int_equal(connect_count, 4); /* 127.0.0.5 was not tried twice in that dial */
    assert_string_equal(connected_to[3], "127.0.0.1");
}

static void a_host_that_is_down_is_looked_up_but_not_tried_again(void **state)
{
    (void)state;
    make();
    RESOLVES_TO("127.0.0.5");
    expect_refusal(QP_NET_REFUSED, "127.0.0.5");
    skew_ms += 2 * SECOND;
    expect_refusal(QP_NET_REFUSED, "127.0.0.5");
    assert_int_equal(resolver.count, 2);
    assert_int_equal(connect_count, 2);
    skew_ms += 2 * SECOND;
    resolver.status = UV_EAI_AGAIN; /* what the address said is told, not this */
    expect_refusal(QP_NET_REFUSED, "127.0.0.5");
    assert_int_equal(resolver.count, 3);
}

static void an_answer_without_addresses_is_a_failure(void **state)
{
    (void)state;
    make();
    resolver.address_count = 0;
    expect_refusal(QP_NET_RESOLVE, "no address");
}

static void a_question_that_cannot_be_asked_is_a_failure(void **state)
{
    (void)state;
    make();
    resolver.start_error = UV_ENOMEM;
    expect_refusal(QP_NET_RESOLVE, "localhost");
    skew_ms += 2 * SECOND;
    resolver.start_error = UV_EMFILE;
    expect_refusal(QP_NET_DESCRIPTORS, "localhost");
}

static void many_addresses_are_bounded(void **state)
{
    struct outcome outcome = {0};
    char text[32];

    (void)state;
    make();
    resolver.address_count = 0;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(text, sizeof(text), "127.0.1.%u", i + 1);
        also_resolves_to(text);
    }
    connect_error = UV_ENETUNREACH;
    dial(&outcome);
    assert_int_equal(connect_count, 128);
}

static void a_kept_stream_is_current_as_long_as_its_address_is(void **state)
{
    struct outcome outcome = {0};
    uint32_t mark = 0;

    (void)state;
    make();
    dial(&outcome);
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark));
    assert_int_equal(resolver.count, 1);
    skew_ms += KEEP_MS + SECOND;
    RESOLVES_TO("127.0.0.2", "127.0.0.1");
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark)); /* and this asks */
    run_for_ms(20);
    assert_int_equal(resolver.count, 2);
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark));
    skew_ms += KEEP_MS + SECOND;
    RESOLVES_TO("127.0.0.1", "127.0.0.3"); /* another one has gone */
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark));
    run_for_ms(20);
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark));
    skew_ms += KEEP_MS + SECOND;
    RESOLVES_TO("127.0.0.3");
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark));
    run_for_ms(20);
    assert_false(qp_dialer_is_current(dialer, outcome.stream, &mark));
    assert_false(qp_dialer_is_current(dialer, outcome.stream, &mark));
    qp_stream_close(&outcome.stream, false);
}

static void a_stream_to_an_address_of_the_configuration_is_always_current(void **state)
{
    struct outcome outcome = {0};
    uint32_t mark = 0;

    (void)state;
    serve(NULL);
    make_dialer_with("127.0.0.1", NULL, 5000, 0, KEEP_MS);
    dial(&outcome);
    skew_ms += 48 * HOUR;
    assert_true(qp_dialer_is_current(dialer, outcome.stream, &mark));
    assert_int_equal(resolver.count, 0);
    qp_stream_close(&outcome.stream, false);
}

static void whoever_waits_for_the_second_answer_may_leave(void **state)
{
    struct outcome outcome = {0};

    (void)state;
    make();
    RESOLVES_TO("127.0.0.5");
    expect_refusal(QP_NET_REFUSED, "127.0.0.5");
    skew_ms += 2 * SECOND;
    resolver.silent = true;
    start(&outcome);
    while (resolver.count < 2)
        run_for_ms(10);
    run_for_ms(20);
    qp_dial_cancel(&outcome.dial);
    answer_now(&resolver.job);
    run_for_ms(20);
    assert_int_equal(outcome.count, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_used_for_its_time_and_then_renewed_beside_the_dials),
        TEST(a_failing_resolver_stops_nobody_while_an_old_answer_is_there),
        TEST(a_failure_is_remembered_for_a_second),
        TEST(a_host_that_has_moved_is_found_within_the_dial),
        TEST(a_host_that_is_down_is_looked_up_but_not_tried_again),
        TEST(an_answer_without_addresses_is_a_failure),
        TEST(a_question_that_cannot_be_asked_is_a_failure),
        TEST(many_addresses_are_bounded),
        TEST(a_kept_stream_is_current_as_long_as_its_address_is),
        TEST(a_stream_to_an_address_of_the_configuration_is_always_current),
        TEST(whoever_waits_for_the_second_answer_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
