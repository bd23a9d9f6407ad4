#include "cli/log_files.h"
#include "base/log.h"
#include "config/config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { NOWHERE = -1 };

static int file_fd = STDERR_FILENO;
static int access_fd = NOWHERE;

static bool is_file(const char *path)
{
    return path && strcmp(path, "stderr") != 0;
}

/* A FIFO that nobody reads would otherwise hold us here for ever. */
static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

/* A terminal takes part of a line and has the writer wait for the rest, and so may a pipe that others write to. Opened once more it is ours alone to
 * be non-blocking; where that cannot be (another user's), the look before each write (base/sink.h) has to do. */
static int own_stderr(void)
{
    static int own_fd = NOWHERE;
    struct stat status;
    if (own_fd == NOWHERE && fstat(STDERR_FILENO, &status) == 0 &&
        (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode)))
        own_fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return own_fd == NOWHERE ? STDERR_FILENO : own_fd;
}

static int open_log(const char *path, int *fd)
{
    if (!is_file(path)) {
        *fd = path ? own_stderr() : NOWHERE;
        return EX_OK;
    }
    *fd = open_file(path);
    if (*fd >= 0)
        return EX_OK;
    fprintf(stderr,
            "qproxy: log file '%s' cannot be opened: %s; name a writable one in log.file and log.access\n",
            path, strerror(errno));
    return EX_CANTCREAT;
}

int qp_log_files_open(const struct qp_config *config)
{
    int code = open_log(config->log.file, &file_fd);
    if (code == EX_OK)
        code = open_log(config->log.access, &access_fd);
    if (code == EX_OK)
        qp_log_setup(&(struct qp_log_opts){
            .level = config->log.level, .form = config->log.form, .fd = file_fd, .access_fd = access_fd});
    return code;
}

/* dup3() changes what the number means at one instant for all threads. */
static void reopen(const char *path, int fd)
{
    if (!is_file(path))
        return;
    int fresh = open_file(path);
    if (fresh < 0 || dup3(fresh, fd, O_CLOEXEC) < 0)
        qp_log_error("run", "log file '%s' cannot be opened anew, the old one goes on: %s", path,
                     strerror(errno));
    if (fresh >= 0)
        close(fresh);
}

void qp_log_files_reopen(const struct qp_config *config)
{
    reopen(config->log.file, file_fd);
    reopen(config->log.access, access_fd);
    qp_log_info("run", "log files opened anew");
}
