/* main.c - qproxy-standin: a Qualtrics datacenter for tests and the demo, on qproxy's own server. */
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "control.h"
#include "net/listen.h"
#include "net/mailbox.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_THREADS = 64, DRAIN_MS = 2000 };

/* A thread that serves the origin, and what it and the main thread tell each other. */
struct runner {
    struct si_worker worker;
    pthread_t thread;
    int fd;
    bool ready; /* guarded by the process's lock, as all below */
    bool failed;
    bool told;
    struct si_loops loops;
};

static struct {
    struct si_world *world;
    struct si_control control;
    struct qp_loop *loop;
    struct qp_server *server;
    struct runner *runners;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t stdin_thread;
    int stdin_wake;
} self;

static const struct qp_server_opts server_opts = {
    .client_head_ms = 60000,
    .client_body_ms = 120000,
    .client_idle_ms = 600000,
    .limits = {.head_bytes = 128 * 1024,
               .target_bytes = 64 * 1024,
               .fields = 512,
               .chunk_extension_bytes = 16 * 1024},
    .connections = 60000,
    .error_field = "X-Standin-Error",
};

/* ---- workers ---- */

static void tell(struct runner *runner, bool *what)
{
    pthread_mutex_lock(&self.lock);
    *what = true;
    pthread_cond_broadcast(&self.changed);
    pthread_mutex_unlock(&self.lock);
}

static void deliver_ask(struct qp_mail *mail, void *receiver)
{
    struct runner *runner = receiver;
    pthread_mutex_lock(&self.lock);
    runner->loops.server = qp_server_counters(runner->worker.server);
    runner->loops.tls = qp_tls_counters(runner->worker.tls);
    runner->loops.streams = qp_stream_count(runner->worker.loop);
    pthread_mutex_unlock(&self.lock);
    qp_free(mail);
    tell(runner, &runner->told);
}

static void deliver_stop(struct qp_mail *mail, void *receiver)
{
    struct runner *runner = receiver;
    qp_free(mail);
    qp_server_close(&runner->worker.server);
    qp_mailbox_close(&runner->worker.mailbox);
    qp_loop_stop(runner->worker.loop);
}

static void post(struct runner *runner, void (*deliver)(struct qp_mail *mail, void *receiver))
{
    struct qp_mail *mail = qp_alloc(sizeof(*mail));
    mail->deliver = deliver;
    qp_mailbox_post(runner->worker.mailbox, mail);
}

static void *worker_run(void *argument)
{
    struct runner *runner = argument;
    struct si_worker *worker = &runner->worker;
    char error[256];
    worker->loop = qp_loop_new();
    enum qp_result result =
        qp_tls_server_new(worker->loop, worker->world->opts.cert_file, worker->world->opts.key_file,
                          &worker->tls, error, sizeof(error));
    if (result != QP_OK) {
        fprintf(stderr, "qproxy-standin: %s\n", error);
        qp_loop_free(&worker->loop);
        close(runner->fd);
        tell(runner, &runner->failed);
        return NULL;
    }
    worker->mailbox = qp_mailbox_new(worker->loop, runner);
    worker->server = qp_server_new(worker->loop, &server_opts, &si_handler, worker);
    qp_server_listen(worker->server, runner->fd, 0, worker->tls);
    tell(runner, &runner->ready);
    qp_loop_run(worker->loop);
    qp_tls_free(&worker->tls);
    qp_loop_free(&worker->loop);
    return NULL;
}

static void ask_loops(void *context, struct si_loops *loops)
{
    for (unsigned i = 0; i < self.world->opts.threads; i++) {
        struct runner *runner = &self.runners[i];
        runner->told = false; /* nobody else looks at it before the mail is posted */
        post(runner, deliver_ask);
        pthread_mutex_lock(&self.lock);
        while (!runner->told)
            pthread_cond_wait(&self.changed, &self.lock);
        loops->server.connections_open += runner->loops.server.connections_open;
        loops->server.connections_accepted += runner->loops.server.connections_accepted;
        loops->server.requests += runner->loops.server.requests;
        loops->server.refusals += runner->loops.server.refusals;
        loops->server.gone += runner->loops.server.gone;
        loops->tls.full_handshakes += runner->loops.tls.full_handshakes;
        loops->tls.resumed_handshakes += runner->loops.tls.resumed_handshakes;
        loops->tls.failed_handshakes += runner->loops.tls.failed_handshakes;
        loops->streams += runner->loops.streams;
        pthread_mutex_unlock(&self.lock);
    }
}

/* ---- start and end ---- */

static void die(const char *text)
{
    fprintf(stderr, "qproxy-standin: %s\n", text);
    exit(70);
}

static struct qp_listen_claim *claim(const char *text, uint16_t *port)
{
    struct qp_address address;
    struct qp_listen_claim *made = NULL;
    const char *why = "";
    char error[256];
    if (qp_address_parse(qp_slice_str(text), &address, &why) != QP_OK)
        die(why);
    if (qp_listen_claim(&address, 0600, &made, error, sizeof(error)) != QP_OK)
        die(error);
    *port = ntohs(address.u.any.sa_family == AF_INET6 ? address.u.v6.sin6_port : address.u.v4.sin_port);
    return made;
}

static int listen_fd(struct qp_listen_claim *from)
{
    int fd = qp_listen_fd(from);
    if (fd < 0)
        die(strerror(errno));
    return fd;
}

static void start_workers(struct qp_listen_claim *from)
{
    unsigned threads = self.world->opts.threads;
    self.runners = qp_alloc(threads * sizeof(*self.runners));
    for (unsigned i = 0; i < threads; i++) {
        struct runner *runner = &self.runners[i];
        runner->worker.world = self.world;
        runner->worker.index = i;
        runner->fd = listen_fd(from);
    }
    for (unsigned i = 0; i < threads; i++) {
        struct runner *runner = &self.runners[i];
        if (pthread_create(&runner->thread, NULL, worker_run, runner) != 0)
            die("no thread to be had");
        pthread_mutex_lock(&self.lock);
        while (!runner->ready && !runner->failed)
            pthread_cond_wait(&self.changed, &self.lock);
        if (runner->failed)
            exit(66);
        pthread_mutex_unlock(&self.lock);
    }
}

static void on_signal(void *context, int signum)
{
    qp_loop_stop(self.loop);
}

/* Waits for the end of standard input, or for stdin_wake. */
static void *stdin_run(void *argument)
{
    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = self.stdin_wake, .events = POLLIN}};
    char bytes[512];
    while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
        if (fds[1].revents)
            return NULL;
        if (fds[0].revents && read(0, bytes, sizeof(bytes)) <= 0)
            break;
    }
    kill(getpid(), SIGTERM);
    return NULL;
}

static void stop_all(void)
{
    for (unsigned i = 0; i < self.world->opts.threads; i++) {
        post(&self.runners[i], deliver_stop);
        pthread_join(self.runners[i].thread, NULL);
    }
    qp_free(self.runners);
    if (self.world->opts.exit_with_stdin) {
        if (eventfd_write(self.stdin_wake, 1) == 0)
            pthread_join(self.stdin_thread, NULL);
        close(self.stdin_wake);
    }
    qp_server_close(&self.server);
    qp_loop_free(&self.loop);
    si_world_free(&self.world);
}

static void serve(const struct si_opts *opts)
{
    uint16_t port = 0;
    uint16_t control_port = 0;
    self.world = si_world_new(opts);
    self.control = (struct si_control){.world = self.world, .ask_loops = ask_loops};
    struct qp_listen_claim *origin_claim = claim(opts->listen, &port);
    struct qp_listen_claim *control_claim = claim(opts->control, &control_port);
    self.loop = qp_loop_new();
    self.server = qp_server_new(self.loop, &server_opts, &si_control_handler, &self.control);
    qp_server_listen(self.server, listen_fd(control_claim), 0, NULL);
    start_workers(origin_claim);
    qp_loop_on_signal(self.loop, SIGTERM, on_signal, NULL);
    qp_loop_on_signal(self.loop, SIGINT, on_signal, NULL);
    if (opts->exit_with_stdin) {
        self.stdin_wake = eventfd(0, EFD_CLOEXEC);
        if (pthread_create(&self.stdin_thread, NULL, stdin_run, NULL) != 0)
            die("no thread to be had");
    }
    printf("origin https://localhost:%u\ncontrol http://127.0.0.1:%u\n", port, control_port);
    fflush(stdout);
    qp_loop_run(self.loop);
    stop_all();
    qp_listen_release(&origin_claim);
    qp_listen_release(&control_claim);
}

/* ---- the command line ---- */

static const struct option options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"control", required_argument, NULL, 'c'},
    {"cert", required_argument, NULL, 'e'},
    {"key", required_argument, NULL, 'k'},
    {"threads", required_argument, NULL, 't'},
    {"token-life", required_argument, NULL, 'f'},
    {"client-id", required_argument, NULL, 'i'},
    {"client-secret", required_argument, NULL, 's'},
    {"api-token", required_argument, NULL, 'a'},
    {"refresh-token", required_argument, NULL, 'r'},
    {"redirect-uri", required_argument, NULL, 'R'},
    {"user", required_argument, NULL, 'u'},
    {"public-client", no_argument, NULL, 'p'},
    {"datacenter", required_argument, NULL, 'd'},
    {"seed", required_argument, NULL, 'n'},
    {"exit-with-stdin", no_argument, NULL, 'x'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *to)
{
    fputs("usage: qproxy-standin --cert FILE --key FILE [--listen 127.0.0.1:0] [--control 127.0.0.1:0]\n"
          "           [--threads 1] [--token-life SECONDS] [--client-id ID] [--client-secret S]\n"
          "           [--api-token T] [--refresh-token T] [--redirect-uri URI]... [--user NAME:PASSWORD]...\n"
          "           [--public-client] [--datacenter ID] [--seed N] [--exit-with-stdin]\n",
          to);
}

static uint64_t number(const char *text, uint64_t most)
{
    uint64_t value = 0;
    if (!qp_slice_to_u64(qp_slice_str(text), &value) || value > most) {
        fprintf(stderr, "qproxy-standin: '%s': a number up to %llu is wanted\n", text,
                (unsigned long long)most);
        exit(64);
    }
    return value;
}

/* Options that are one text. */
static const struct {
    int option;
    size_t member; /* of struct si_opts: a const char * */
} texts[] = {
    {'l', offsetof(struct si_opts, listen)},     {'c', offsetof(struct si_opts, control)},
    {'e', offsetof(struct si_opts, cert_file)},  {'k', offsetof(struct si_opts, key_file)},
    {'i', offsetof(struct si_opts, client_id)},  {'s', offsetof(struct si_opts, client_secret)},
    {'a', offsetof(struct si_opts, api_token)},  {'r', offsetof(struct si_opts, refresh_token)},
    {'d', offsetof(struct si_opts, datacenter)},
};

static bool take_text(struct si_opts *opts, int option)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].option != option)
            continue;
        *(const char **)((char *)opts + texts[i].member) = optarg;
        return true;
    }
    return false;
}

static void add_user(struct si_opts *opts, const char *text)
{
    struct qp_slice rest = qp_slice_str(text);
    struct qp_slice name = qp_slice_cut(&rest, ':');
    if (name.len == 0 || rest.len == 0 || opts->user_count == SI_USERS)
        die("--user: NAME:PASSWORD is wanted, not too often");
    opts->users[opts->user_count++] = (struct si_user){.name = name, .password = rest.at};
}

static void add_redirect_uri(struct si_opts *opts, const char *text)
{
    if (opts->redirect_uri_count == SI_REDIRECT_URIS)
        die("--redirect-uri: too many");
    opts->redirect_uris[opts->redirect_uri_count++] = text;
}

static void take_option(struct si_opts *opts, int option)
{
    if (take_text(opts, option))
        return;
    switch (option) {
    case 't':
        opts->threads = (unsigned)number(optarg, MOST_THREADS);
        break;
    case 'f':
        opts->token_life_s = number(optarg, 100000000);
        break;
    case 'n':
        opts->seed = number(optarg, UINT64_MAX);
        break;
    case 'u':
        add_user(opts, optarg);
        break;
    case 'R':
        add_redirect_uri(opts, optarg);
        break;
    case 'p':
        opts->is_public = true;
        break;
    case 'x':
        opts->exit_with_stdin = true;
        break;
    case 'h':
        usage(stdout);
        exit(0);
    default:
        usage(stderr);
        exit(64);
    }
}

int main(int argc, char **argv)
{
    struct si_opts opts = {
        .listen = "127.0.0.1:0",
        .control = "127.0.0.1:0",
        .client_id = "standin-client",
        .client_secret = "standin-secret",
        .datacenter = "az1",
        .token_life_s = 3600,
        .seed = 1,
        .threads = 1,
    };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        take_option(&opts, option);
    if (opts.user_count == 0)
        add_user(&opts, "researcher:correct horse");
    if (!opts.cert_file || !opts.key_file || optind != argc || opts.threads == 0) {
        usage(stderr);
        return 64;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_WARN, .form = QP_LOG_TEXT, .fd = 2, .access_fd = -1});
    if (qp_tls_init() != QP_OK)
        die("TLS does not start");
    pthread_mutex_init(&self.lock, NULL);
    pthread_cond_init(&self.changed, NULL);
    serve(&opts);
    return 0;
}
