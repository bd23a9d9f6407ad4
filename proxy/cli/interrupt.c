#include "cli/interrupt.h"
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void fill(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

int qp_interrupt_open(void)
{
    sigset_t set;
    fill(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int qp_interrupt_exit_code(int fd)
{
    struct signalfd_siginfo came;
    bool is_told = read(fd, &came, sizeof came) == (ssize_t)sizeof came;
    return 128 + (is_told ? (int)came.ssi_signo : SIGTERM);
}

void qp_interrupt_close(int *fd)
{
    sigset_t set;
    if (*fd < 0)
        return;
    close(*fd);
    *fd = -1;
    fill(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
