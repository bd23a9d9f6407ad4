#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_fault(const char *text)
{
    assert_int_equal(setenv("QP_FAULT", text, 1), 0);
}

static int forget_faults(void **state)
{
    return unsetenv("QP_FAULT");
}

static void without_the_variable_nothing_happens(void **state)
{
    assert_false(qp_fault("vault.mark.write"));
    set_fault("");
    assert_false(qp_fault("vault.mark.write"));
}

static void a_point_fails_with_the_errno_that_is_named(void **state)
{
    set_fault("vault.mark.write=ENOSPC,vault.mark.synced=EROFS,net.read=ECONNRESET");
    errno = 0;
    assert_false(qp_fault("vault.mark.writ"));
    assert_false(qp_fault("vault.mark.write.more"));
    assert_int_equal(errno, 0);
    assert_true(qp_fault("vault.mark.write"));
    assert_int_equal(errno, ENOSPC);
    assert_true(qp_fault_fmt("vault.%s.%s", "mark", "synced"));
    assert_int_equal(errno, EROFS);
    assert_true(qp_fault("net.read"));
    assert_int_equal(errno, ECONNRESET);
}

/* What the first passings were answered, as bits. */
static unsigned passings(const char *point, unsigned count)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < count; i++)
        failed |= (unsigned)qp_fault(point) << i;
    return failed;
}

static void it_fails_from_a_passing_on_or_at_one_only(void **state)
{
    set_fault("from@3=EIO,only=EIO@2,both=EIO@1,both=EROFS@4");
    assert_int_equal(passings("from", 5), 0x1C);
    assert_int_equal(passings("only", 5), 0x02);
    assert_int_equal(passings("both", 5), 0x09);
    set_fault("only=EIO@3"); /* counted anew */
    assert_int_equal(passings("only", 5), 0x04);
}

static int status_of_child(void (*act)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        act();
        _exit(7);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (!WIFSTOPPED(status))
        return status;
    assert_int_equal(WSTOPSIG(status), SIGSTOP);
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : -1;
}

static void pass_twice(void)
{
    qp_fault("here");
    qp_fault("here");
}

static void it_dies_as_by_kill_9(void **state)
{
    set_fault("here@2=kill");
    int status = status_of_child(pass_twice);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    set_fault("here@3=kill");
    status = status_of_child(pass_twice);
    assert_true(WIFEXITED(status));
}

static void it_stops_and_goes_on(void **state)
{
    set_fault("here=stop@2");
    assert_int_equal(status_of_child(pass_twice), 0);
}

static void pass_quietly(void)
{
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    qp_fault("here");
}

static void a_variable_that_makes_no_sense_ends_the_program(void **state)
{
    static const char *const wrong[] = {"here",       "=EIO",      "here=",      "here=EWHAT", "here@0=EIO",
                                        "here@x=EIO", "here=EIO@", "here=EIO@0", "here=EIO,",  "here=1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        set_fault(wrong[i]);
        int status = status_of_child(pass_quietly);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_the_variable_nothing_happens, forget_faults),
        cmocka_unit_test_teardown(a_point_fails_with_the_errno_that_is_named, forget_faults),
        cmocka_unit_test_teardown(it_fails_from_a_passing_on_or_at_one_only, forget_faults),
        cmocka_unit_test_teardown(it_dies_as_by_kill_9, forget_faults),
        cmocka_unit_test_teardown(it_stops_and_goes_on, forget_faults),
        cmocka_unit_test_teardown(a_variable_that_makes_no_sense_ends_the_program, forget_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
