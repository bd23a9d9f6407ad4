#include "base/check.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int log_fd;

static size_t read_log(char *text, size_t size)
{
    ssize_t got = pread(log_fd, text, size - 1, 0);
    assert_true(got >= 0);
    text[got] = '\0';
    return (size_t)got;
}

static int start_log(void **state)
{
    FILE *file = tmpfile();
    log_fd = fileno(file);
    *state = file;
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = log_fd, .access_fd = -1});
    return 0;
}

static int end_log(void **state)
{
    fclose(*state);
    return 0;
}

static bool odd(int number)
{
    return qp_broken(number % 2 == 1);
}

static void a_broken_state_is_true_and_logged_once_per_place(void **state)
{
    assert_false(odd(2));
    assert_true(odd(1));
    assert_true(odd(3));
    assert_true(qp_broken(log_fd >= 0));
    char text[4096];
    read_log(text, sizeof(text));
    char *first = strstr(text, "number % 2 == 1");
    assert_non_null(first);
    assert_null(strstr(first + 1, "number % 2 == 1"));
    assert_non_null(strstr(text, "log_fd >= 0"));
    assert_non_null(strstr(text, "check_test.c:"));
}

static void a_broken_contract_ends_the_process_and_says_where(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        qp_require(log_fd < 0);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    char text[4096];
    read_log(text, sizeof(text));
    assert_non_null(strstr(text, "contract broken: 'log_fd < 0'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_broken_state_is_true_and_logged_once_per_place, start_log, end_log),
        cmocka_unit_test_setup_teardown(a_broken_contract_ends_the_process_and_says_where, start_log,
                                        end_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
