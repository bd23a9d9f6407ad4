/* P4 under kill -9 at every point of a redemption: what the next life redeems, and how often the endpoint saw each value.
 *
 * The life that is killed is another process, this program once more, so that nothing of it is left but the file.
 */
#include "rig.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENVIRONMENT_MAX = 200 };

/* ---- the life that ends early ---- */

/* argv: program, what it does, the endpoint's port, the vault's folder. */
static int live(char **argv)
{
    struct rig rig;
    bool signs_in = strcmp(argv[1], "sign-in") == 0;
    rig_open_beside(&rig, signs_in ? NULL : "r0", (unsigned)strtoul(argv[2], NULL, 10), argv[3]);
    if (signs_in)
        rig_sign_in_instead(&rig);
    rig_start(&rig);
    if (signs_in)
        rig_sign_in(&rig, "c");
    else
        rig_run_to_generation(&rig, 1, 5000);
    rig_close(&rig);
    return 0;
}

static void run_life(const struct rig *rig, const char *what, const char *point)
{
    char name[] = "life", does[16], port[16], folder[sizeof(rig->folder)], fault[80];
    char *argv[] = {name, does, port, folder, NULL};
    char *environment[ENVIRONMENT_MAX] = {fault};
    unsigned count = 1;
    int status = 0;
    pid_t child;
    snprintf(does, sizeof(does), "%s", what);
    snprintf(port, sizeof(port), "%u", endpoint_port(rig->endpoint));
    snprintf(folder, sizeof(folder), "%s", rig->folder);
    snprintf(fault, sizeof(fault), "QP_FAULT=%s%s", point, *point ? "=kill" : "");
    for (char **variable = environ; *variable && count + 1 < ENVIRONMENT_MAX; ++variable)
        environment[count++] = *variable;
    assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environment), 0);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    bool is_as_wanted = *point ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                               : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!is_as_wanted)
        fail_msg("%s: the life ended with status %x", fault, (unsigned)status);
}

/* ---- a refresh token ---- */

static void open_first(struct rig *rig, const struct endpoint_step *steps, unsigned count)
{
    rig_open(rig, "r0", steps, count);
    rig_use_vault(rig);
}

static void test_P4_a_life_that_is_not_killed(void **state)
{
    struct rig rig;
    open_first(&rig, STEPS({rig_rotation("t1", "r1")}));
    run_life(&rig, "refresh", "");
    assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r1");
    assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r0"), 1);
    rig_close(&rig);
}

/* Nothing was sent: whatever the file says, the value is good, and the next life redeems it, once. */
static void test_P4_killed_before_the_request(void **state)
{
    static const char *const points[] = {
        "vault.begin.write", "vault.begin.synced", "vault.begin.renamed", "vault.reserve",
        "vault.mark.write",  "vault.mark.written", "vault.mark.synced",   "vault.mark.renamed",
        "vault.mark.done",   "vault.reserve@2",    "redeem.send",
    };
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); ++i) {
        struct rig rig;
        open_first(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
        run_life(&rig, "refresh", points[i]);
        assert_int_equal(endpoint_calls(rig.endpoint), 0);
        rig_start(&rig);
        rig_run_to_generation(&rig, 1, 3000);
        rig_assert_token(&rig, 1, "t1");
        assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
        assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r0"), 1);
        assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r1"), 1);
        assert_int_equal(endpoint_calls(rig.endpoint), 2);
        rig_close(&rig);
    }
}

/* The answer reached nobody's disk: the window that the protocol cannot close. Tried once more, said, and never again. */
static void test_P4_killed_before_the_answer_is_kept(void **state)
{
    static const char *const points[] = {"redeem.answered", "vault.record.write", "vault.record.written",
                                         "vault.record.synced"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); ++i) {
        struct rig rig;
        open_first(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_error("400 X", "invalid_grant")}));
        run_life(&rig, "refresh", points[i]);
        assert_int_equal(endpoint_calls(rig.endpoint), 1);
        assert_true(rig_kept(&rig, "vault").redeeming);
        rig_start(&rig);
        rig_run_to_state(&rig, QP_TOKEN_SIGN_IN_NEEDED, 3000);
        rig_assert_words(rig_status(&rig).last_error, "ended in the middle of a token call");
        rig_stop(&rig);
        rig_start(&rig);
        rig_run_for(&rig, 100);
        assert_int_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
        assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r0"), 2);
        assert_int_equal(endpoint_calls(rig.endpoint), 2);
        rig_close(&rig);
    }
}

/* A server that lets a value be presented again for a moment, as some do for this very reason. */
static void test_P4_killed_and_forgiven(void **state)
{
    struct rig rig;
    open_first(&rig,
               STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_rotation("t3", "r3")}));
    run_life(&rig, "refresh", "redeem.answered");
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 3000);
    rig_assert_token(&rig, 1, "t2");
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r2"), 1);
    rig_close(&rig);
}

/* On disk: nothing is lost, and the next life needs no call. */
static void test_P4_killed_after_the_answer_is_kept(void **state)
{
    static const char *const points[] = {"vault.record.renamed", "vault.record.done", "redeem.saved"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); ++i) {
        struct rig rig;
        open_first(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
        run_life(&rig, "refresh", points[i]);
        rig_start(&rig);
        rig_run_to_generation(&rig, 1, 3000);
        rig_assert_token(&rig, 1, "t1");
        assert_int_equal(endpoint_calls(rig.endpoint), 1);
        assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
        assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r0"), 1);
        assert_int_equal(endpoint_count(rig.endpoint, "refresh_token=r1"), 1);
        rig_close(&rig);
    }
}

/* One life after the other dies: as long as nothing is sent, nothing is lost. */
static void test_P4_killed_over_and_over(void **state)
{
    struct rig rig;
    open_first(&rig, STEPS({rig_rotation("t1", "r1")}));
    for (int i = 0; i < 4; ++i)
        run_life(&rig, "refresh", i % 2 ? "redeem.send" : "vault.mark.synced");
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 3000);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

/* ---- a code ---- */

/* Whatever becomes of a second sign-in, the first one stays; and where the second was kept, it is that. */
static void test_P4_killed_in_a_sign_in(void **state)
{
    static const struct {
        const char *point;
        bool is_kept;
    } rows[] = {
        {"redeem.send", false},          {"redeem.answered", false},     {"vault.record.write", false},
        {"vault.record.written", false}, {"vault.record.synced", false}, {"vault.record.renamed", true},
        {"vault.record.done", true},     {"redeem.saved", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        rig_open_sign_in(
            &rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_rotation("t3", "r3")}));
        rig_use_vault(&rig);
        rig_start(&rig);
        rig_sign_in(&rig, "c");
        rig_stop(&rig);
        run_life(&rig, "sign-in", rows[i].point);
        unsigned calls = endpoint_calls(rig.endpoint);
        rig_start(&rig);
        rig_run_to_generation(&rig, 1, 3000);
        rig_assert_token(&rig, 1, rows[i].is_kept ? "t2" : "t1");
        assert_int_equal(endpoint_calls(rig.endpoint), calls);
        assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
        rig_assert_words(endpoint_request(rig.endpoint, calls),
                         rows[i].is_kept ? "refresh_token=r2&" : "refresh_token=r1&");
        rig_close(&rig);
    }
}

static void test_killed_in_the_first_sign_in(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}));
    rig_use_vault(&rig);
    run_life(&rig, "sign-in", "redeem.answered");
    rig_start(&rig);
    rig_run_for(&rig, 50);
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    rig_assert_words(rig_status(&rig).last_error, "nobody has signed in yet");
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P4_a_life_that_is_not_killed),
        cmocka_unit_test(test_P4_killed_before_the_request),
        cmocka_unit_test(test_P4_killed_before_the_answer_is_kept),
        cmocka_unit_test(test_P4_killed_and_forgiven),
        cmocka_unit_test(test_P4_killed_after_the_answer_is_kept),
        cmocka_unit_test(test_P4_killed_over_and_over),
        cmocka_unit_test(test_P4_killed_in_a_sign_in),
        cmocka_unit_test(test_killed_in_the_first_sign_in),
    };
    return argc > 1 ? live(argv) : cmocka_run_group_tests(tests, NULL, NULL);
}
