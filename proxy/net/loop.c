/* loop.c - libuv's loop with jobs, flushing before each wait, and the memory that streams share.
 *
 *   poll -> read callbacks -> close callbacks -> timers -> [ jobs, flushes, idle hook ] -> poll
 *
 * libuv computes how long the poll may wait after the prepare callbacks, so whatever was queued since the last poll needs no
 * wake-up of its own.
 */
#include "net/loop_impl.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/secret.h"
#include "net/stream_impl.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum { QUESTION_ROUNDS = 20, QUESTION_ROUND_MS = 5 }; /* how long the end of a loop waits for the resolver */

static atomic_bool left_behind;

static void on_no_wait(uv_idle_t *idle)
{
    uv_idle_stop(idle);
}

static void run_jobs(struct qp_loop *loop)
{
    struct qp_list round;

    qp_list_init(&round);
    qp_list_move_all(&round, &loop->jobs);
    for (struct qp_list *link; (link = qp_list_shift(&round)) != NULL;) {
        struct qp_job *job = QP_CONTAINER_OF(link, struct qp_job, link);
        job->run(job);
    }
}

static bool has_work(const struct qp_loop *loop)
{
    return !qp_list_is_empty(&loop->jobs) || !qp_list_is_empty(&loop->attention);
}

static void on_before_poll(uv_prepare_t *prepare)
{
    struct qp_loop *loop = qp_loop_of((uv_handle_t *)prepare);

    for (int round = 0; round < QP_LOOP_JOB_ROUNDS && has_work(loop); round++) {
        run_jobs(loop);
        qp_loop_settle(loop);
    }
    if (!has_work(loop) && loop->idle_hook)
        loop->idle_hook(loop->idle_context);
    if (has_work(loop))
        qp_require(uv_idle_start(&loop->no_wait, on_no_wait) == 0);
}

void qp_loop_settle(struct qp_loop *loop)
{
    struct qp_list round;

    if (qp_list_is_empty(&loop->attention))
        return;
    qp_list_init(&round);
    qp_list_move_all(&round, &loop->attention);
    for (struct qp_list *link; (link = qp_list_shift(&round)) != NULL;)
        qp_stream_attend(QP_CONTAINER_OF(link, struct qp_stream, attention));
}

/* There is nothing to run on: better a line that says why than a contract that breaks. */
static void require_from_system(int error)
{
    if (error == 0)
        return;
    qp_log_error("net",
                 "an event loop cannot be made: %s; raise LimitNOFILE (ulimit -n) or have fewer workers",
                 uv_strerror(error));
    exit(EX_OSERR);
}

struct qp_loop *qp_loop_new(void)
{
    struct qp_loop *loop = qp_alloc(sizeof(*loop));

    /* A socket that the other side has closed is an error of write(), not a signal. */
    signal(SIGPIPE, SIG_IGN);
    require_from_system(uv_loop_init(&loop->uv));
    loop->uv.data = loop;
    qp_list_init(&loop->jobs);
    qp_list_init(&loop->attention);
    qp_list_init(&loop->lingering);
    loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    qp_require(uv_prepare_init(&loop->uv, &loop->before_poll) == 0);
    qp_require(uv_prepare_start(&loop->before_poll, on_before_poll) == 0);
    qp_require(uv_idle_init(&loop->uv, &loop->no_wait) == 0);
    qp_wheel_init(loop);
    return loop;
}

void qp_loop_run(struct qp_loop *loop)
{
    loop->thread = uv_thread_self();
    loop->running = true;
    /* The prepare handle counts as alive, so that only qp_loop_stop() ends this. */
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->running = false;
}

void qp_loop_stop(struct qp_loop *loop)
{
    qp_loop_check(loop);
    uv_stop(&loop->uv);
}

static bool is_own_handle(const struct qp_loop *loop, const uv_handle_t *handle)
{
    const char *at = (const char *)handle;

    return at >= (const char *)loop && at < (const char *)(loop + 1);
}

static void find_left_open(uv_handle_t *handle, void *count)
{
    if (uv_is_closing(handle) || is_own_handle(qp_loop_of(handle), handle))
        return;
    qp_log_error("net", "a %s handle was left open", uv_handle_type_name(handle->type));
    ++*(unsigned *)count;
}

void qp_loop_give_back(struct qp_loop *loop)
{
    while (loop->spare_blocks) {
        struct qp_block *block = loop->spare_blocks;
        loop->spare_blocks = block->next;
        qp_free(block);
    }
    loop->spare_block_count = 0;
}

/* A thread that is inside getaddrinfo() cannot be called back: it may stay there for as long as the resolver's own limits say. */
static void end_requests(struct qp_loop *loop)
{
    for (int round = 0; loop->question_count > 0 && round < QUESTION_ROUNDS; round++) {
        if (uv_run(&loop->uv, UV_RUN_NOWAIT) == 0)
            return;
        uv_sleep(QUESTION_ROUND_MS);
    }
    if (loop->question_count > 0) {
        atomic_store(&left_behind, true);
        return;
    }
    /* A stop that was asked for after the last run would end this one early. */
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0)
        continue;
}

bool qp_loop_has_left_threads(void)
{
    return atomic_load(&left_behind);
}

void qp_loop_free(struct qp_loop **slot)
{
    struct qp_loop *loop = *slot;
    unsigned left_open = 0;

    *slot = NULL;
    if (!loop)
        return;
    qp_stream_end_lingering(loop);
    uv_walk(&loop->uv, find_left_open, &left_open);
    qp_debug_require(left_open == 0);
    for (unsigned i = 0; i < loop->signal_count; i++)
        uv_close((uv_handle_t *)&loop->signals[i].uv, NULL);
    uv_close((uv_handle_t *)&loop->wheel.alarm, NULL);
    uv_close((uv_handle_t *)&loop->no_wait, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    if (left_open == 0)
        end_requests(loop);
    qp_loop_give_back(loop);
    if (loop->reserve_fd >= 0)
        close(loop->reserve_fd);
    /* With handles left open or a question under way the memory is still in libuv's hands; losing it is better than a use after free. */
    if (uv_loop_close(&loop->uv) == 0)
        qp_free(loop);
}

uint64_t qp_loop_now_ms(const struct qp_loop *loop)
{
    return uv_now(&loop->uv);
}

void qp_job_init(struct qp_job *job, void (*run)(struct qp_job *job))
{
    qp_list_init(&job->link);
    job->run = run;
}

void qp_later(struct qp_loop *loop, struct qp_job *job)
{
    qp_loop_check(loop);
    if (!qp_list_is_linked(&job->link))
        qp_list_append(&loop->jobs, &job->link);
}

void qp_later_cancel(struct qp_job *job)
{
    qp_list_remove(&job->link);
}

void qp_loop_on_idle(struct qp_loop *loop, void (*hook)(void *context), void *context)
{
    loop->idle_hook = hook;
    loop->idle_context = context;
}

void qp_loop_check(const struct qp_loop *loop)
{
#ifdef QP_DEBUG
    uv_thread_t self = uv_thread_self();
    qp_require(!loop->running || uv_thread_equal(&loop->thread, &self));
#else
    (void)loop;
#endif
}

static void on_signal(uv_signal_t *uv, int signum)
{
    struct qp_signal_watch *watch = QP_CONTAINER_OF(uv, struct qp_signal_watch, uv);

    watch->handler(watch->context, signum);
}

void qp_loop_on_signal(struct qp_loop *loop, int signum, void (*handler)(void *context, int signum),
                       void *context)
{
    qp_require(loop->signal_count < QP_LOOP_SIGNALS);
    struct qp_signal_watch *watch = &loop->signals[loop->signal_count++];

    watch->handler = handler;
    watch->context = context;
    require_from_system(uv_signal_init(&loop->uv, &watch->uv));
    require_from_system(uv_signal_start(&watch->uv, on_signal, signum));
}

struct qp_block *qp_block_take(struct qp_loop *loop)
{
    struct qp_block *block = loop->spare_blocks;

    if (block) {
        loop->spare_blocks = block->next;
        loop->spare_block_count--;
    } else {
        block = qp_try_alloc(sizeof(*block));
        if (!block)
            return NULL;
    }
    block->next = NULL;
    block->stream = NULL;
    block->start = block->end = 0;
    return block;
}

void qp_block_give(struct qp_loop *loop, struct qp_block *block)
{
    qp_wipe(block->bytes, block->end); /* a request's head carries the token */
    if (loop->spare_block_count >= QP_LOOP_SPARE_BLOCKS) {
        qp_free(block);
        return;
    }
    block->next = loop->spare_blocks;
    loop->spare_blocks = block;
    loop->spare_block_count++;
}

enum qp_result qp_net_result(int uv_error)
{
    static const struct {
        int error;
        enum qp_result result;
    } map[] = {
        {0, QP_OK},
        {UV_EOF, QP_NET_END},
        {UV_ECONNRESET, QP_NET_RESET},
        {UV_EPIPE, QP_NET_RESET},
        {UV_ECONNABORTED, QP_NET_RESET},
        {UV_ETIMEDOUT, QP_NET_TIMEOUT},
        {UV_ECONNREFUSED, QP_NET_REFUSED},
        {UV_ENOENT, QP_NET_REFUSED}, /* a Unix socket's file that is not there */
        {UV_EHOSTUNREACH, QP_NET_UNREACHABLE},
        {UV_ENETUNREACH, QP_NET_UNREACHABLE},
        {UV_ENETDOWN, QP_NET_UNREACHABLE},
        {UV_EADDRNOTAVAIL, QP_NET_UNREACHABLE},
        {UV_EADDRINUSE, QP_NET_IN_USE},
        {UV_EACCES, QP_NET_DENIED},
        {UV_EPERM, QP_NET_DENIED},
        {UV_EMFILE, QP_NET_DESCRIPTORS},
        {UV_ENFILE, QP_NET_DESCRIPTORS},
        {UV_ENOMEM, QP_SELF_MEMORY},
        {UV_ENOBUFS, QP_SELF_MEMORY},
        {UV_ECANCELED, QP_SELF_CANCELED},
    };

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].error == uv_error)
            return map[i].result;
    }
    return QP_NET_FAILED;
}
