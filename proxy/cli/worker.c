#include "cli/worker.h"
#include "base/alloc.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/timer.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

enum { ACCESS_FLUSH_MS = 1000 };

struct qp_worker {
    const struct qp_worker_opts *opts;
    struct qp_loop *loop;
    struct qp_mailbox *mailbox;
    struct qp_view *view;
    pthread_mutex_t counters_lock; /* held to read the counters, and to end that */
    bool is_over;                  /* then the last counters are these: */
    uint64_t *last_values;
    uint64_t *last_pool;
    struct qp_relay *relay;
    struct qp_server *server;
    struct qp_job ending;
    struct qp_timer access_flush;
    pthread_t thread;
    bool started;
};

struct drain_mail {
    struct qp_mail mail;
    uint64_t limit_ms;
};

struct stopped_mail {
    struct qp_mail mail;
    struct qp_worker *worker;
};

static void flush_access_log(struct qp_timer *timer)
{
    (void)timer;
    qp_log_access_flush();
}

/* Each time that the loop is about to wait: lines that were written since the last look go out within a second, many in one call. */
static void watch_access_log(void *context)
{
    struct qp_worker *worker = context;
    if (qp_log_access_is_pending() && !qp_timer_is_armed(&worker->access_flush))
        qp_timer_arm(worker->loop, &worker->access_flush, ACCESS_FLUSH_MS);
}

static enum qp_result open_listeners(struct qp_worker *worker, char *error, size_t error_size)
{
    for (unsigned i = 0; i < worker->opts->claim_count; i++) {
        int fd = qp_listen_fd(worker->opts->claims[i]);
        if (fd < 0) {
            snprintf(error, error_size, "listener %u cannot be opened: %s", i, strerror(errno));
            return QP_NET_FAILED;
        }
        qp_server_listen(worker->server, fd, i, NULL);
    }
    return QP_OK;
}

/* ---- what it has done ---- */

#define COUNTER(name, text) {#name, text, false, GROUP, NULL, NULL},
#define LEVEL(name, text)   {#name, text, true, GROUP, NULL, NULL},
#define GROUP               "relay"
#define REPLY(name, status, code, text) \
    {"replies", "answers of our own, by X-Qproxy-Error", false, GROUP, "code", code},
static const struct qp_admin_counter WORKER_ROWS[] = {
    QP_RELAY_COUNTER_MAP(COUNTER) QP_REPLY_MAP(REPLY)
#undef GROUP
#define GROUP "client"
#define CLOSED(name, word) \
    {"connections_closed", "client connections closed, by what ended them", false, GROUP, "reason", word},
#define REFUSAL(status)                                                                     \
    {"refusals", "answers to requests that break HTTP or a limit, by status; 0: any other", \
     false,      GROUP,                                                                     \
     "status",   #status},
        QP_SERVER_COUNTER_MAP(COUNTER, LEVEL) QP_SERVER_CLOSED_MAP(CLOSED) QP_SERVER_REFUSAL_MAP(REFUSAL)};
#undef GROUP
#define GROUP NULL
static const struct qp_admin_counter POOL_ROWS[] = {
    QP_POOL_COUNTER_MAP(COUNTER, LEVEL) /* */
    COUNTER(full_handshakes, "TLS handshakes with the origin in full")
        COUNTER(resumed_handshakes, "TLS handshakes with the origin that resumed a session")
            COUNTER(failed_handshakes, "TLS handshakes with the origin that failed")};
#undef GROUP
#undef COUNTER
#undef LEVEL
#undef REPLY
#undef CLOSED
#undef REFUSAL
enum {
    WORKER_COUNT = sizeof WORKER_ROWS / sizeof WORKER_ROWS[0],
    POOL_COUNT = sizeof POOL_ROWS / sizeof POOL_ROWS[0]
};
const struct qp_admin_table qp_worker_counters = {WORKER_ROWS, WORKER_COUNT};
const struct qp_admin_table qp_worker_pool_counters = {POOL_ROWS, POOL_COUNT};

static uint64_t *read_relay(const struct qp_relay_counters *counters, uint64_t *values)
{
#define READ(name, text) *values++ = qp_count_of(&counters->name);
    QP_RELAY_COUNTER_MAP(READ)
#undef READ
    for (unsigned i = 0; i < QP_REPLY_COUNT; i++)
        *values++ = qp_count_of(&counters->replied[i]);
    return values;
}

static void read_server(const struct qp_server *server, uint64_t *values)
{
    const struct qp_server_counters counters = qp_server_counters(server);
#define READ(name, text) *values++ = counters.name;
    QP_SERVER_COUNTER_MAP(READ, READ)
#undef READ
    memcpy(values, counters.closed, sizeof counters.closed);
    memcpy(values + QP_CLOSED_COUNT, counters.refusals_by_status, sizeof counters.refusals_by_status);
}

static void read_pools(const struct qp_relay *relay, unsigned account_count, uint64_t *values)
{
    for (unsigned i = 0; i < account_count; i++) {
        const struct qp_pool_counters counters = qp_relay_pool_counters(relay, i);
#define READ(name, text) *values++ = counters.name;
        QP_POOL_COUNTER_MAP(READ, READ)
#undef READ
        *values++ = counters.tls.full_handshakes;
        *values++ = counters.tls.resumed_handshakes;
        *values++ = counters.tls.failed_handshakes;
    }
}

/* In the order of the rows. */
static void read_all(const struct qp_worker *worker, uint64_t *values, uint64_t *pool)
{
    read_server(worker->server, read_relay(qp_relay_counters(worker->relay), values));
    read_pools(worker->relay, worker->opts->relay->account_count, pool);
}

void qp_worker_read(struct qp_worker *worker, uint64_t *values, uint64_t *pool)
{
    unsigned account_count = worker->opts->relay->account_count;
    pthread_mutex_lock(&worker->counters_lock);
    if (!worker->is_over) {
        read_all(worker, values, pool);
    } else {
        memcpy(values, worker->last_values, WORKER_COUNT * sizeof *values);
        memcpy(pool, worker->last_pool, (size_t)account_count * POOL_COUNT * sizeof *pool);
    }
    pthread_mutex_unlock(&worker->counters_lock);
}

/* The levels are 0 from then on: what was open is closed. */
static void keep_counters(struct qp_worker *worker)
{
    unsigned account_count = worker->opts->relay->account_count;
    pthread_mutex_lock(&worker->counters_lock);
    read_all(worker, worker->last_values, worker->last_pool);
    for (unsigned i = 0; i < WORKER_COUNT; i++)
        if (WORKER_ROWS[i].is_level)
            worker->last_values[i] = 0;
    for (unsigned i = 0; i < account_count * POOL_COUNT; i++)
        if (POOL_ROWS[i % POOL_COUNT].is_level)
            worker->last_pool[i] = 0;
    worker->is_over = true;
    pthread_mutex_unlock(&worker->counters_lock);
}

/* What the worker has done, for whoever reads the log after a stop. */
static void log_counters(const struct qp_worker *worker)
{
    const struct qp_relay_counters *counters = qp_relay_counters(worker->relay);
    struct qp_buf text = {0};
#define APPEND_COUNTER(name, meaning) \
    qp_buf_append_fmt(&text, " " #name "=%llu", (unsigned long long)counters->name);
    QP_RELAY_COUNTER_MAP(APPEND_COUNTER)
#undef APPEND_COUNTER
    qp_log_info("run", "worker's totals:%.*s", QP_SLICE_FMT(qp_buf_slice(&text)));
    qp_buf_deinit(&text);
}

static void close_parts(struct qp_worker *worker)
{
    keep_counters(worker);
    qp_server_close(&worker->server);
    qp_relay_close(&worker->relay);
    qp_view_close(&worker->view);
    qp_mailbox_close(&worker->mailbox);
    qp_timer_deinit(&worker->access_flush);
}

enum qp_result qp_worker_new(const struct qp_worker_opts *opts, unsigned number, struct qp_worker **out,
                             char *error, size_t error_size)
{
    struct qp_worker *worker = qp_alloc(sizeof *worker);
    worker->opts = opts;
    worker->loop = qp_loop_new();
    worker->mailbox = qp_mailbox_new(worker->loop, worker);
    worker->view = qp_view_new(worker->loop, opts->keeper, opts->view);
    qp_keeper_add_view(opts->keeper, worker->view);
    pthread_mutex_init(&worker->counters_lock, NULL);
    worker->last_values = qp_alloc(WORKER_COUNT * sizeof(uint64_t));
    worker->last_pool = qp_alloc((size_t)opts->relay->account_count * POOL_COUNT * sizeof(uint64_t));
    worker->relay = qp_relay_new(worker->loop, opts->relay, worker->view);
    struct qp_server_opts server = *opts->server;
    server.first_conn_id = number;
    server.conn_id_step = opts->worker_count;
    worker->server = qp_server_new(worker->loop, &server, qp_relay_handler(), worker->relay);
    qp_timer_init(&worker->access_flush, flush_access_log);
    qp_loop_on_idle(worker->loop, watch_access_log, worker);
    enum qp_result result = open_listeners(worker, error, error_size);
    if (result == QP_OK)
        *out = worker;
    else
        qp_worker_free(&worker);
    return result;
}

static void deliver_stopped(struct qp_mail *mail, void *receiver)
{
    struct qp_worker *worker = ((struct stopped_mail *)mail)->worker;
    qp_free(mail);
    worker->opts->stopped(receiver, worker);
}

static void *run(void *context)
{
    struct qp_worker *worker = context;
    qp_loop_run(worker->loop);
    qp_log_access_flush();
    qp_loop_free(&worker->loop);
    struct stopped_mail *mail = qp_alloc(sizeof *mail);
    *mail = (struct stopped_mail){.mail = {.deliver = deliver_stopped}, .worker = worker};
    qp_mailbox_post(worker->opts->control, &mail->mail);
    return NULL;
}

enum qp_result qp_worker_start(struct qp_worker *worker)
{
    /* Signals are the control thread's. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    worker->started = pthread_create(&worker->thread, NULL, run, worker) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return worker->started ? QP_OK : QP_SELF_MEMORY;
}

static void end(struct qp_job *job)
{
    struct qp_worker *worker = QP_CONTAINER_OF(job, struct qp_worker, ending);
    log_counters(worker);
    close_parts(worker);
    qp_loop_stop(worker->loop);
}

static void on_drained(void *context)
{
    struct qp_worker *worker = context;
    qp_job_init(&worker->ending, end);
    qp_later(worker->loop, &worker->ending);
}

static void deliver_drain(struct qp_mail *mail, void *receiver)
{
    struct qp_worker *worker = receiver;
    uint64_t limit_ms = ((struct drain_mail *)mail)->limit_ms;
    qp_free(mail);
    qp_server_drain(worker->server, limit_ms, on_drained, worker);
}

void qp_worker_drain(struct qp_worker *worker, uint64_t limit_ms)
{
    struct drain_mail *mail = qp_alloc(sizeof *mail);
    *mail = (struct drain_mail){.mail = {.deliver = deliver_drain}, .limit_ms = limit_ms};
    qp_mailbox_post(worker->mailbox, &mail->mail);
}

void qp_worker_free(struct qp_worker **slot)
{
    struct qp_worker *worker = *slot;
    *slot = NULL;
    if (!worker)
        return;
    if (worker->started) {
        pthread_join(worker->thread, NULL);
    } else {
        close_parts(worker);
        qp_loop_free(&worker->loop);
    }
    pthread_mutex_destroy(&worker->counters_lock);
    qp_free(worker->last_values);
    qp_free(worker->last_pool);
    qp_free(worker);
}
