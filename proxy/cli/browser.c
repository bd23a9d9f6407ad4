#include "cli/browser.h"
#include "base/slice.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct qp_browser_world qp_browser_world(void)
{
    return (struct qp_browser_world){
        .is_root = geteuid() == 0 || getuid() == 0,
        .browser = getenv("BROWSER"),
        .display = getenv("DISPLAY"),
        .wayland_display = getenv("WAYLAND_DISPLAY"),
        .path = getenv("PATH"),
    };
}

static bool is_set(const char *text)
{
    return text && *text;
}

/* In the folders of PATH, those that are relative left out: they name another program in each folder. */
static bool find_program(const char *path, struct qp_slice name, char *program, size_t size)
{
    if (name.len && name.at[0] == '/') {
        snprintf(program, size, "%.*s", QP_SLICE_FMT(name));
        return name.len < size && access(program, X_OK) == 0;
    }
    struct qp_slice rest = qp_slice_str(path);
    while (rest.at && name.len && !memchr(name.at, '/', name.len)) {
        struct qp_slice folder = qp_slice_cut(&rest, ':');
        if (!folder.len || folder.at[0] != '/' || folder.len + 1 + name.len >= size)
            continue;
        snprintf(program, size, "%.*s/%.*s", QP_SLICE_FMT(folder), QP_SLICE_FMT(name));
        if (access(program, X_OK) == 0)
            return true;
    }
    return false;
}

bool qp_browser_choose(const struct qp_browser_world *world, char *program, size_t size)
{
    struct qp_slice rest = qp_slice_str(world->browser);
    if (world->is_root)
        return false;
    while (rest.at)
        if (find_program(world->path, qp_slice_cut(&rest, ':'), program, size))
            return true;
    return (is_set(world->display) || is_set(world->wayland_display)) &&
           find_program(world->path, QP_SLICE("xdg-open"), program, size);
}

static _Noreturn void become(const char *program, const char *url)
{
    sigset_t none;
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && nothing >= 0; fd++)
        dup2(nothing, fd);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    execl(program, program, url, (char *)NULL);
    _exit(127);
}

/* Through a process between, so that it is nobody's child here. */
bool qp_browser_open(const char *program, const char *url)
{
    int status = 0;
    pid_t between = fork();
    if (between == 0) {
        pid_t browser = fork();
        if (browser == 0)
            become(program, url);
        _exit(browser < 0);
    }
    return between > 0 && waitpid(between, &status, 0) == between && status == 0;
}
