#include "base/lock_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/qproxy-lock-XXXXXX";
static int folder_fd;

static int start(void **state)
{
    folder_fd = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder_fd < 0 ? -1 : 0;
}

static int end(void **state)
{
    close(folder_fd);
    return rmdir(folder);
}

static void one_has_it_until_it_closes(void **state)
{
    int first = qp_lock_file_take(folder_fd, "lock");
    assert_true(first >= 0);
    struct stat status;
    assert_int_equal(fstatat(folder_fd, "lock", &status, 0), 0);
    assert_int_equal(status.st_mode & 0177, 0);
    errno = 0;
    assert_int_equal(qp_lock_file_take(folder_fd, "lock"), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(first);
    int second = qp_lock_file_take(folder_fd, "lock");
    assert_true(second >= 0);
    assert_int_equal(unlinkat(folder_fd, "lock", 0), 0); /* its owner may: the next one makes a new file */
    int third = qp_lock_file_take(folder_fd, "lock");
    assert_true(third >= 0);
    close(second);
    close(third);
    assert_int_equal(unlinkat(folder_fd, "lock", 0), 0);
}

static void it_goes_with_its_process(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(qp_lock_file_take(folder_fd, "lock") >= 0 ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    int fd = qp_lock_file_take(folder_fd, "lock");
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(unlinkat(folder_fd, "lock", 0), 0);
}

static void it_follows_no_link_and_says_what_is_wrong(void **state)
{
    assert_int_equal(symlinkat("elsewhere", folder_fd, "lock"), 0);
    assert_int_equal(qp_lock_file_take(folder_fd, "lock"), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(unlinkat(folder_fd, "lock", 0), 0);
    assert_int_equal(qp_lock_file_take(folder_fd, "no folder/lock"), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_has_it_until_it_closes),
        cmocka_unit_test(it_goes_with_its_process),
        cmocka_unit_test(it_follows_no_link_and_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, start, end);
}
