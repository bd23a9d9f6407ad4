/* run.c - `qproxy run`: builds the parts, runs the control loop, stops in order.
 *
 * Start: configuration, addresses claimed, vault, keeper, workers (each with its listeners), then the first token calls. The daemon listens before
 * it has a token: requests wait for it or are told why there is none.
 * Stop (SIGTERM, SIGINT): each worker drains and stops, then the keeper ends what it must not drop midway, then the admin listeners, vault and claims.
 * A second signal ends at once.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/control.h"
#include "cli/exit_codes.h"
#include "cli/log_files.h"
#include "cli/worker.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/memory.h"
#include "version.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    ERROR_BYTES = 512,
    ADDRESS_BYTES = 160,
    SOCKET_MODE = 0660,
    OWN_DESCRIPTORS = 16 /* of the control thread, and of each worker: loop, logs, vault, reserve */
};

struct daemon {
    struct qp_config *config;
    struct qp_control control;
    struct qp_mailbox *mailbox;
    struct qp_listen_claim **claims; /* by listener id */
    struct qp_address *addresses;    /* by listener id */
    struct qp_worker_opts worker_opts;
    struct qp_worker **workers;
    unsigned running;
    bool stopping;
};

/* Every connection costs a descriptor: the soft limit's usual 1024 is for programs that use select(). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What runs into the limit fails politely, but nobody should find out only then. */
static void judge_descriptor_limit(const struct daemon *daemon)
{
    const struct qp_daemon_opts *opts = &daemon->control.opts;
    const uint64_t own = OWN_DESCRIPTORS + (uint64_t)opts->workers * (OWN_DESCRIPTORS + opts->listener_count);
    const uint64_t clients = daemon->config->limits.connections;
    const uint64_t origins = daemon->config->limits.origin_connections * opts->workers * opts->account_count;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= own + clients + origins)
        return;
    qp_log_warn("run",
                "%llu file descriptors may be used, and up to %llu be needed (limits.connections, and "
                "limits.origin_connections for each of %u workers and %u accounts): raise LimitNOFILE or the "
                "hard limit of ulimit -n, or lower these",
                (unsigned long long)limit.rlim_cur, (unsigned long long)(own + clients + origins),
                opts->workers, opts->account_count);
}

/* What is held before the first request stays: a ceiling that it comes near would turn all requests away for ever. */
static int judge_memory_limit(const struct daemon *daemon)
{
    const unsigned long long rest_kib = qp_alloc_held_bytes() / 1024;
    const unsigned long long limit_kib = qp_alloc_ceiling_bytes() / 1024;
    if (limit_kib == 0 || rest_kib <= limit_kib / 2)
        return EX_OK;
    qp_log_error("run",
                 "limits.memory is %llu KiB, and %llu KiB are held without any request (%u workers, %u "
                 "accounts): set it to %llu KiB at least, or workers to fewer",
                 limit_kib, rest_kib, daemon->control.opts.workers, daemon->control.opts.account_count,
                 rest_kib * 2 + 2);
    return EX_CONFIG;
}

static int claim_listener(struct daemon *daemon, unsigned i)
{
    char error[ERROR_BYTES];
    const char *why = NULL;
    enum qp_result result =
        qp_address_parse(qp_slice_str(daemon->control.opts.listen[i]), &daemon->addresses[i], &why);
    if (result == QP_OK)
        result = qp_listen_claim(&daemon->addresses[i], SOCKET_MODE, &daemon->claims[i], error, sizeof error);
    if (result == QP_OK)
        return EX_OK;
    qp_log_error("run", "%s", why ? why : error);
    return qp_exit_of_claim(result);
}

/* Nobody asked for the default address, so that it is taken is no reason not to serve. */
static void warn_of_missed_address(const char *line)
{
    qp_log_warn("run", "no admin pages: %s; name another address in admin.listen, or \"off\"", line);
}

static int claim_admin(struct daemon *daemon)
{
    const struct qp_config_list *list = &daemon->config->admin.listen;
    struct qp_cli_admin_address *addresses = qp_alloc((list->count + 1) * sizeof *addresses);
    for (size_t i = 0; i < list->count; i++)
        addresses[i] = (struct qp_cli_admin_address){list->at[i], daemon->config->admin.is_by_default};
    int code =
        qp_control_claim(&daemon->control, &(struct qp_cli_admin_opts){.addresses = addresses,
                                                                       .address_count = (unsigned)list->count,
                                                                       .missed = warn_of_missed_address});
    qp_free(addresses);
    return code;
}

static int claim_addresses(struct daemon *daemon)
{
    unsigned count = daemon->control.opts.listener_count;
    daemon->claims = qp_alloc((count + 1) * sizeof(struct qp_listen_claim *));
    daemon->addresses = qp_alloc((count + 1) * sizeof *daemon->addresses);
    for (unsigned i = 0; i < count; i++) {
        int code = claim_listener(daemon, i);
        if (code != EX_OK)
            return code;
    }
    return claim_admin(daemon);
}

static void on_worker_stopped(void *receiver, struct qp_worker *worker)
{
    struct daemon *daemon = receiver;
    for (unsigned i = 0; i < daemon->control.opts.workers; i++) {
        if (daemon->workers[i] != worker)
            continue;
        qp_cli_admin_keep(daemon->control.admin, i);
        qp_worker_free(&daemon->workers[i]);
    }
    if (--daemon->running == 0)
        qp_control_drain(&daemon->control);
}

static int make_workers(struct daemon *daemon)
{
    char error[ERROR_BYTES];
    daemon->worker_opts = (struct qp_worker_opts){
        .relay = &daemon->control.opts.relay,
        .server = &daemon->control.opts.server,
        .view = &daemon->control.opts.view,
        .claims = daemon->claims,
        .claim_count = daemon->control.opts.listener_count,
        .worker_count = daemon->control.opts.workers,
        .keeper = daemon->control.keeper,
        .control = daemon->mailbox,
        .stopped = on_worker_stopped,
    };
    daemon->workers = qp_alloc(daemon->control.opts.workers * sizeof(struct qp_worker *));
    for (unsigned i = 0; i < daemon->control.opts.workers; i++) {
        if (qp_worker_new(&daemon->worker_opts, i + 1, &daemon->workers[i], error, sizeof error) != QP_OK) {
            qp_log_error("run", "%s", error);
            return EX_OSERR;
        }
    }
    return EX_OK;
}

static int start_workers(struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->control.opts.workers; i++) {
        if (qp_worker_start(daemon->workers[i]) != QP_OK) {
            qp_log_error("run", "worker %u cannot be started: no thread could be made", i);
            return EX_OSERR;
        }
        daemon->running++;
    }
    return EX_OK;
}

static void begin_stop(struct daemon *daemon)
{
    daemon->stopping = true;
    qp_cli_admin_set_stopping(daemon->control.admin);
    for (unsigned i = 0; i < daemon->running; i++)
        qp_worker_drain(daemon->workers[i], daemon->config->timeouts.drain_ms);
}

static void on_signal(void *context, int signum)
{
    struct daemon *daemon = context;
    if (signum == SIGUSR1) {
        qp_log_files_reopen(daemon->config);
        return;
    }
    if (signum == SIGHUP) {
        qp_log_warn("run", "this version does not reload its configuration: restart it to apply changes "
                           "(SIGUSR1 opens the log files anew)");
        return;
    }
    if (daemon->stopping) {
        qp_log_warn("run", "second signal: ending at once, requests in flight are cut");
        _exit(EX_TEMPFAIL);
    }
    qp_log_info("run", "stopping: requests in flight may finish for %llu ms",
                (unsigned long long)daemon->config->timeouts.drain_ms);
    begin_stop(daemon);
}

/* For people and scripts: the addresses as they are, with the port that the kernel chose where 0 was asked for. */
static void announce(const struct daemon *daemon)
{
    char address[ADDRESS_BYTES];
    for (unsigned i = 0; i < daemon->control.opts.listener_count; i++)
        printf("listening on %s\n", qp_address_format(&daemon->addresses[i], address, sizeof address));
    qp_cli_admin_announce(daemon->control.admin);
    fflush(stdout);
    qp_log_info("run", "qproxy %s ready: %u account%s, %u worker%s", QP_VERSION,
                daemon->control.opts.account_count, daemon->control.opts.account_count == 1 ? "" : "s",
                daemon->control.opts.workers, daemon->control.opts.workers == 1 ? "" : "s");
}

/* The control half has said why in `error`, unless the step was our own. */
static int build(struct daemon *daemon)
{
    struct qp_control *control = &daemon->control;
    int code = qp_log_files_open(daemon->config);
    if (code == EX_OK)
        code = qp_control_init(control, daemon->config);
    if (code != EX_OK)
        return code;
    judge_descriptor_limit(daemon);
    qp_dial_expect(control->opts.account_count * (control->opts.workers + 1));
    daemon->mailbox = qp_mailbox_new(control->loop, daemon);
    code = claim_addresses(daemon);
    if (code == EX_OK)
        code = qp_control_load(control, false);
    if (code == EX_OK)
        code = make_workers(daemon);
    return code == EX_OK ? judge_memory_limit(daemon) : code;
}

static int serve(struct daemon *daemon)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    struct qp_control *control = &daemon->control;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        qp_loop_on_signal(control->loop, signals[i], on_signal, daemon);
    qp_keeper_start(control->keeper);
    int code = start_workers(daemon);
    if (code == EX_OK)
        code = qp_control_answer(control, daemon->workers);
    if (code == EX_OK)
        announce(daemon);
    else
        begin_stop(daemon);
    if (daemon->running > 0)
        qp_loop_run(control->loop);
    return code;
}

static void tear_down(struct daemon *daemon)
{
    unsigned listener_count = daemon->control.opts.listener_count;
    for (unsigned i = 0; daemon->workers && i < daemon->control.opts.workers; i++)
        qp_worker_free(&daemon->workers[i]);
    if (daemon->mailbox)
        qp_mailbox_close(&daemon->mailbox);
    qp_control_deinit(&daemon->control);
    for (unsigned i = 0; daemon->claims && i < listener_count; i++)
        qp_listen_release(&daemon->claims[i]);
    qp_free(daemon->workers);
    qp_free(daemon->claims);
    qp_free(daemon->addresses);
    qp_config_free(&daemon->config);
}

int qp_cli_run(const struct qp_cli_options *options)
{
    struct daemon daemon = {0};
    qp_net_count_memory();
    int code = qp_cli_load(options, &daemon.config);
    if (code != EX_OK)
        return code;
    qp_alloc_set_ceiling(daemon.config->limits.memory_bytes);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error like a full disk */
    raise_descriptor_limit();
    qp_config_forget_environment();
    code = build(&daemon);
    if (code == EX_OK)
        code = serve(&daemon);
    if (code == EX_OK)
        qp_log_info("run", "stopped");
    else if (*daemon.control.error)
        qp_log_error("run", "%s", daemon.control.error);
    tear_down(&daemon);
    return code;
}
