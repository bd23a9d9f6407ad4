#include "relay/replay.h"

#include "cmocka_all.h"

/* All combinations of the yes/no questions, times three counts of attempts, times three relations of the generations. */
static void every_case_has_its_verdict(void **state)
{
    static const unsigned statuses[] = {200, 204, 400, 401, 403, 407, 500};
    for (unsigned bits = 0; bits < 16; bits++)
        for (unsigned attempts = 1; attempts <= 3; attempts++)
            for (uint64_t current = 4; current <= 6; current++)
                for (unsigned i = 0; i < 7; i++) {
                    struct qp_replay_case c = {
                        .status = statuses[i],
                        .static_token = bits & 1,
                        .body_whole = bits & 2,
                        .minted = bits & 4,
                        .damped = bits & 8,
                        .attempts = attempts,
                        .used = 5,
                        .current = current,
                    };
                    enum qp_replay_verdict wanted = c.status != 401  ? QP_REPLAY_NOT_REJECTED
                                                    : c.static_token ? QP_REPLAY_STATIC
                                                    : !c.body_whole  ? QP_REPLAY_BODY_GONE
                                                    : attempts == 3  ? QP_REPLAY_EXHAUSTED
                                                    : current == 6   ? QP_REPLAY_WITH_CURRENT
                                                    : c.minted       ? QP_REPLAY_EXHAUSTED
                                                    : c.damped       ? QP_REPLAY_DAMPED
                                                                     : QP_REPLAY_WITH_NEW;
                    assert_int_equal(qp_may_replay(&c), wanted);
                }
}

struct row {
    const char *what;
    struct qp_replay_case c;
    enum qp_replay_verdict verdict;
};

/* The same decision in words. */
static const struct row ROWS[] = {
    {"an accepted request", {.status = 200, .body_whole = true, .attempts = 1}, QP_REPLAY_NOT_REJECTED},
    {"403 is about permissions, not tokens",
     {.status = 403, .body_whole = true, .attempts = 1},
     QP_REPLAY_NOT_REJECTED},
    {"the usual expiry",
     {.status = 401, .body_whole = true, .attempts = 1, .used = 7, .current = 7},
     QP_REPLAY_WITH_NEW},
    {"somebody has refreshed since",
     {.status = 401, .body_whole = true, .attempts = 1, .used = 7, .current = 8},
     QP_REPLAY_WITH_CURRENT},
    {"and it was ours",
     {.status = 401, .body_whole = true, .attempts = 2, .minted = true, .used = 8, .current = 8},
     QP_REPLAY_EXHAUSTED},
    {"ours, replaced again: free",
     {.status = 401, .body_whole = true, .attempts = 2, .minted = true, .used = 8, .current = 9},
     QP_REPLAY_WITH_CURRENT},
    {"damped, but a newer one is there",
     {.status = 401, .body_whole = true, .attempts = 1, .damped = true, .used = 7, .current = 8},
     QP_REPLAY_WITH_CURRENT},
    {"damped",
     {.status = 401, .body_whole = true, .attempts = 1, .damped = true, .used = 7, .current = 7},
     QP_REPLAY_DAMPED},
    {"the token expired at this instant",
     {.status = 401, .body_whole = true, .attempts = 1, .used = 7, .current = 0},
     QP_REPLAY_WITH_NEW},
    {"the third attempt",
     {.status = 401, .body_whole = true, .attempts = 3, .used = 7, .current = 9},
     QP_REPLAY_EXHAUSTED},
};

static void the_usual_cases_in_words(void **state)
{
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (qp_may_replay(&ROWS[i].c) != ROWS[i].verdict)
            fail_msg("%s: %d", ROWS[i].what, (int)qp_may_replay(&ROWS[i].c));
    }
}

static void a_retry_needs_all_of_its_conditions(void **state)
{
    for (unsigned bits = 0; bits < 64; bits++)
        for (unsigned attempts = 1; attempts <= 4; attempts++) {
            struct qp_retry_case c = {
                .reused = bits & 1,
                .answered = bits & 2,
                .body_whole = bits & 4,
                .idempotent = bits & 8,
                .sent = bits & 16,
                .retried = bits & 32,
                .attempts = attempts,
            };
            bool harmless = (bits & 8) || !(bits & 16);
            bool wanted = (bits & (1 | 2 | 4 | 32)) == (1 | 4) && harmless && attempts < 3;
            assert_int_equal(qp_may_retry(&c), wanted);
        }
}

static void methods_are_idempotent_by_their_exact_name(void **state)
{
    static const char *const yes[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    static const char *const no[] = {"POST", "PATCH", "get", "GETX", "GE", "", "PROPFIND"};
    for (unsigned i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(qp_is_idempotent(qp_slice_str(yes[i])));
    for (unsigned i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(qp_is_idempotent(qp_slice_str(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_has_its_verdict),
        cmocka_unit_test(the_usual_cases_in_words),
        cmocka_unit_test(a_retry_needs_all_of_its_conditions),
        cmocka_unit_test(methods_are_idempotent_by_their_exact_name),
    };
    return cmocka_run_group_tests_name("relay.replay", tests, NULL, NULL);
}
