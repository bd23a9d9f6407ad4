#include "relay/damping.h"

#include "base/alloc.h"

#include "cmocka_all.h"

enum { PATH = 77 };

static int begin(void **state)
{
    *state = qp_alloc(sizeof(struct qp_damping));
    return 0;
}

static int end(void **state)
{
    qp_free(*state);
    return 0;
}

static void the_hash_knows_account_and_path_but_not_the_query(void **state)
{
    uint64_t hash = qp_damping_hash(1, QP_SLICE("/a/b"));
    assert_true(hash == qp_damping_hash(1, QP_SLICE("/a/b?c=d")));
    assert_true(hash == qp_damping_hash(1, QP_SLICE("/a/b?")));
    assert_true(hash != qp_damping_hash(2, QP_SLICE("/a/b")));
    assert_true(hash != qp_damping_hash(1, QP_SLICE("/a/B")));
    assert_true(qp_damping_hash(0, QP_SLICE("")) != 0);
}

static void a_permission_that_only_this_path_lacks_holds_at_once(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_rejected(damping, PATH, 2, true, 1000);
    assert_true(qp_damping_holds(damping, PATH, 1000));
    assert_true(qp_damping_holds(damping, PATH, 1999));
    assert_false(qp_damping_holds(damping, PATH, 2000));
    assert_false(qp_damping_holds(damping, PATH + 1, 1000));
}

static void without_evidence_the_first_time_is_only_noted(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_rejected(damping, PATH, 2, false, 1000);
    assert_false(qp_damping_holds(damping, PATH, 1000));
    qp_damping_rejected(damping, PATH, 3, false, 5000);
    assert_true(qp_damping_holds(damping, PATH, 5999));
}

static void one_token_counts_once_however_many_requests_carried_it(void **state)
{
    struct qp_damping *damping = *state;
    for (unsigned i = 0; i < 100; i++)
        qp_damping_rejected(damping, PATH, 2, true, 1000);
    assert_false(qp_damping_holds(damping, PATH, 2000));
    qp_damping_rejected(damping, PATH, 1, true, 3000); /* an older one, late */
    assert_false(qp_damping_holds(damping, PATH, 3000));
}

static void a_hold_doubles_up_to_five_minutes(void **state)
{
    struct qp_damping *damping = *state;
    uint64_t now_ms = 1000;
    for (uint64_t generation = 1, hold_ms = 1000; generation < 20; generation++) {
        qp_damping_rejected(damping, PATH, generation, true, now_ms);
        assert_true(qp_damping_holds(damping, PATH, now_ms + hold_ms - 1));
        assert_false(qp_damping_holds(damping, PATH, now_ms + hold_ms));
        now_ms += hold_ms;
        hold_ms = hold_ms * 2 < 300000 ? hold_ms * 2 : 300000;
    }
}

static void an_acceptance_ends_it(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_rejected(damping, PATH, 2, true, 1000);
    qp_damping_accepted(damping, PATH, 3, 1000);
    assert_false(qp_damping_holds(damping, PATH, 1000));
    assert_int_equal(damping->used, 0);
    qp_damping_accepted(damping, PATH, 3, 1000); /* twice is harmless */
    assert_int_equal(damping->used, 0);
}

static void a_token_that_was_accepted_here_was_revoked(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_accepted(damping, PATH, 5, 1000);
    qp_damping_rejected(damping, PATH, 5, true, 1000);
    assert_false(qp_damping_holds(damping, PATH, 1000));
}

/* The answer to a request with an older token may come last. */
static void a_late_acceptance_of_an_older_token_takes_nothing_back(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_accepted(damping, PATH, 5, 1000);
    qp_damping_accepted(damping, PATH, 4, 1000);
    qp_damping_rejected(damping, PATH, 5, true, 1000);
    assert_false(qp_damping_holds(damping, PATH, 1000));
}

static void a_path_that_worked_lately_is_not_held_without_evidence(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_accepted(damping, PATH, 5, 1000);
    for (uint64_t generation = 6; generation < 10; generation++) {
        qp_damping_rejected(damping, PATH, generation, false, 2000);
        assert_false(qp_damping_holds(damping, PATH, 2000));
    }
    qp_damping_rejected(damping, PATH, 10, false, 1000 + QP_DAMPING_WORKED_LATELY_MS);
    qp_damping_rejected(damping, PATH, 11, false, 1000 + QP_DAMPING_WORKED_LATELY_MS);
    assert_true(qp_damping_holds(damping, PATH, 1000 + QP_DAMPING_WORKED_LATELY_MS));
}

static void a_path_that_worked_lately_is_held_the_second_time_that_only_it_rejects(void **state)
{
    struct qp_damping *damping = *state;
    qp_damping_accepted(damping, PATH, 5, 1000);
    qp_damping_rejected(damping, PATH, 6, true, 1100);
    assert_false(qp_damping_holds(damping, PATH, 1100));
    qp_damping_rejected(damping, PATH, 7, true, 1200);
    assert_true(qp_damping_holds(damping, PATH, 1200));
}

static void a_full_table_forgets_what_would_end_first(void **state)
{
    struct qp_damping *damping = *state;
    for (uint64_t path = 1; path <= 5000; path++)
        qp_damping_rejected(damping, path, 2, true, 1000 + path);
    unsigned held = 0;
    for (uint64_t path = 1; path <= 5000; path++)
        held += qp_damping_holds(damping, path, 1000);
    assert_int_equal(held, damping->used);
    assert_in_range(held, 512, QP_DAMPING_ENTRIES);
    assert_true(qp_damping_holds(damping, 5000, 1000));
    for (uint64_t path = 1; path <= 5000; path++)
        qp_damping_accepted(damping, path, 3, 1000);
    assert_int_equal(damping->used, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_hash_knows_account_and_path_but_not_the_query),
        TEST(a_permission_that_only_this_path_lacks_holds_at_once),
        TEST(without_evidence_the_first_time_is_only_noted),
        TEST(one_token_counts_once_however_many_requests_carried_it),
        TEST(a_hold_doubles_up_to_five_minutes),
        TEST(an_acceptance_ends_it),
        TEST(a_token_that_was_accepted_here_was_revoked),
        TEST(a_late_acceptance_of_an_older_token_takes_nothing_back),
        TEST(a_path_that_worked_lately_is_not_held_without_evidence),
        TEST(a_path_that_worked_lately_is_held_the_second_time_that_only_it_rejects),
        TEST(a_full_table_forgets_what_would_end_first),
    };
    return cmocka_run_group_tests_name("relay.damping", tests, NULL, NULL);
}
