#include "cli/own.h"
#include "base/alloc.h"
#include "base/log.h"
#include "cli/control.h"
#include "cli/exit_codes.h"
#include "net/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { SOCKET_TEXT_BYTES = QP_OWN_FOLDER_BYTES + 16 };

/* The control half's process. */
struct seat {
    struct qp_control control;
    const struct qp_own *own;
    const struct qp_own_opts *opts;
    char socket[SOCKET_TEXT_BYTES];
    pid_t client;
    int client_code; /* of its end */
    bool is_ending;
};

/* ---- the folder ---- */

static int fail_with_errno(const char *what)
{
    fprintf(stderr, "qproxy: %s: %s\n", what, strerror(errno));
    return EX_OSERR;
}

/* A socket's path is at most 107 bytes, so a long TMPDIR will not do. */
static int make_folder(struct qp_own *own)
{
    static const char name[] = "/qproxy-XXXXXX";
    const char *parent = getenv("TMPDIR");
    if (!parent || *parent != '/' || strlen(parent) + sizeof name > sizeof own->folder)
        parent = "/tmp";
    snprintf(own->folder, sizeof own->folder, "%s%s", parent, name);
    if (mkdtemp(own->folder))
        return EX_OK;
    int code = fail_with_errno("no temporary folder could be made");
    *own->folder = '\0';
    return code;
}

/* By both processes, since either may be killed. */
static void remove_folder(const struct qp_own *own)
{
    static const char *const names[] = {"socket", "socket.lock"};
    char path[SOCKET_TEXT_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", own->folder, names[i]);
        unlink(path);
    }
    rmdir(own->folder);
}

/* ---- the control half ---- */

static void say_missed_address(const char *line)
{
    fprintf(
        stderr,
        "qproxy: the sign-in cannot come back by itself: %s; paste the address that the browser ends at\n",
        line);
}

static int claim(struct seat *seat)
{
    const struct qp_config_list *list = &seat->opts->config->admin.listen;
    struct qp_cli_admin_address *addresses = qp_alloc((list->count + 1) * sizeof *addresses);
    unsigned count = 0;
    addresses[count++] = (struct qp_cli_admin_address){seat->socket, false};
    for (size_t i = 0; seat->opts->for_sign_in && i < list->count; i++)
        if (strncmp(list->at[i], "unix:", strlen("unix:")) != 0)
            addresses[count++] = (struct qp_cli_admin_address){list->at[i], true};
    int code = qp_control_claim(&seat->control, &(struct qp_cli_admin_opts){.addresses = addresses,
                                                                            .address_count = count,
                                                                            .missed = say_missed_address});
    qp_free(addresses);
    return code;
}

static int build(struct seat *seat)
{
    struct qp_control *control = &seat->control;
    int code = qp_control_init(control, seat->opts->config);
    if (code == EX_OK)
        code = claim(seat);
    if (code == EX_OK)
        code = qp_control_load(control, true);
    return code == EX_OK ? qp_control_answer(control, NULL)
                         : code; /* the keeper is not started: nobody asked for a token */
}

static void explain(const struct seat *seat, int code)
{
    fprintf(stderr, "qproxy: %s\n", seat->control.error);
    if (code == EX_TEMPFAIL)
        fprintf(
            stderr,
            "qproxy: no daemon answers here (%s): the one that has the vault runs with admin.listen off, or "
            "with another configuration\n",
            seat->opts->no_daemon);
}

/* NULL: the vault is paid, or there is none. */
static const char *why_vault_is_owed(const struct seat *seat)
{
    struct qp_vault_status vault = qp_keeper_vault_status(seat->control.keeper);
    if (!vault.is_configured || vault.is_writable)
        return NULL;
    return vault.error ? vault.error : "its last write failed";
}

static void reap(struct seat *seat)
{
    int status = 0;
    if (seat->is_ending || waitpid(seat->client, &status, WNOHANG) != seat->client)
        return;
    seat->client_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    seat->is_ending = true;
    const char *why = why_vault_is_owed(seat);
    if (why && seat->client_code != EX_IOERR)
        fprintf(stderr, "qproxy: %s; trying again for %llu s\n", why,
                (unsigned long long)seat->opts->config->timeouts.drain_ms / 1000);
    qp_control_drain(&seat->control);
}

/* The client decides when it is over. Only when it is gone, a signal is about what we still wait for. */
static void on_signal(void *context, int signum)
{
    struct seat *seat = context;
    if (signum == SIGCHLD) {
        reap(seat);
        return;
    }
    if (!seat->is_ending) {
        kill(seat->client, signum);
        return;
    }
    remove_folder(seat->own);
    _exit(EX_TEMPFAIL);
}

static const int SIGNALS[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
enum { SIGNAL_COUNT = sizeof SIGNALS / sizeof SIGNALS[0] };

static void serve(struct seat *seat, int ready_fd)
{
    char ready = qp_cli_admin_takes_browsers(seat->control.admin) ? 'b' : 'n';
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        qp_loop_on_signal(seat->control.loop, SIGNALS[i], on_signal, seat);
        sigaddset(&set, SIGNALS[i]);
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (write(ready_fd, &ready, 1) < 0)
        kill(seat->client, SIGTERM); /* it is gone, or it will go */
    qp_loop_run(seat->control.loop);
}

/* What was answered may be kept nowhere: a sign-in, or a refresh token that came in exchange for another. */
static int judge_vault(const struct seat *seat)
{
    const char *why = why_vault_is_owed(seat);
    if (!why || seat->client_code == EX_IOERR) /* then it was told, and nothing was begun */
        return EX_OK;
    fprintf(stderr, "qproxy: what was done is lost: %s\n", why);
    return EX_IOERR;
}

static _Noreturn void run_control(struct seat *seat, int ready_fd)
{
    int code = build(seat);
    if (code == EX_OK) {
        serve(seat, ready_fd);
        close(ready_fd);
        code = qp_exit_worse(seat->client_code, judge_vault(seat));
    } else {
        explain(seat, code);
        close(ready_fd);
        waitpid(seat->client, NULL, 0);
    }
    qp_control_deinit(&seat->control);
    remove_folder(seat->own);
    exit(code);
}

/* ---- the client ---- */

static int become_client(struct qp_own *own, int ready_fd)
{
    char ready = 0;
    ssize_t got;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    do {
        got = read(ready_fd, &ready, 1);
    } while (got < 0 && errno == EINTR);
    close(ready_fd);
    own->takes_browsers = ready == 'b';
    return got == 1 && getppid() == own->control_pid ? EX_OK : EX_OSERR;
}

/* Whether or not the control half is there to do it: of one that dies the connections end before anybody can see that it is dead. */
void qp_own_end(struct qp_own *own)
{
    if (*own->folder)
        remove_folder(own);
    *own->folder = '\0';
}

/* ---- the parting ---- */

static int part(const struct qp_own_opts *opts, struct qp_own *own, struct seat *seat)
{
    int ready[2];
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (pipe2(ready, O_CLOEXEC) != 0)
        return fail_with_errno("no pipe could be made");
    sigprocmask(SIG_BLOCK, &child, &before);
    fflush(NULL);
    own->control_pid = getpid();
    seat->client = fork();
    if (seat->client > 0) {
        close(ready[0]);
        seat->own = own;
        seat->opts = opts;
        run_control(seat, ready[1]);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ready[1]);
    if (seat->client == 0)
        return become_client(own, ready[0]);
    close(ready[0]);
    errno = error;
    return fail_with_errno("no second process could be started");
}

/* What the rooms log is said in the answers, too: it is for who looks for a fault. */
static void set_up_log(const struct qp_config *config)
{
    bool is_wanted = config->log.level == QP_LOG_DEBUG;
    int nothing = is_wanted ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    qp_log_setup(&(struct qp_log_opts){.level = is_wanted ? QP_LOG_DEBUG : QP_LOG_ERROR,
                                       .fd = nothing < 0 ? STDERR_FILENO : nothing,
                                       .access_fd = -1});
}

int qp_own_begin(const struct qp_own_opts *opts, struct qp_own *own)
{
    struct seat seat = {0};
    const char *why = NULL;
    int code = make_folder(own);
    if (code != EX_OK)
        return code;
    set_up_log(opts->config);
    snprintf(seat.socket, sizeof seat.socket, "unix:%s/socket", own->folder);
    if (qp_address_parse(qp_slice_str(seat.socket), &own->address, &why) == QP_OK)
        return part(opts, own, &seat);
    remove_folder(own);
    fprintf(stderr, "qproxy: %s: %s\n", seat.socket, why);
    return EX_OSERR;
}
