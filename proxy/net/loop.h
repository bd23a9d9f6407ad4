/* loop.h - one event loop for one thread: the cached time, jobs for the next turn, lent read memory.
 *
 * Every object of net/, server/ and origin/ belongs to the loop that it was made on and is touched from its thread only
 * (debug builds check with qp_loop_check()). A completion never runs inside the call that started it; who has something to
 * report at once uses qp_later().
 */
#ifndef QP_NET_LOOP_H
#define QP_NET_LOOP_H

#include "base/list.h"
#include "base/result.h"
#include <stdbool.h>
#include <stdint.h>

struct qp_loop;

/* Work for the next turn of the loop. Embedded by its owner, who removes it with qp_later_cancel() before it dies. */
struct qp_job {
    struct qp_list link;
    void (*run)(struct qp_job *job);
};

/* For the start: ends the process with a message where the system has no descriptors for it. */
struct qp_loop *qp_loop_new(void);
/* Runs until qp_loop_stop(). Binds the loop to the calling thread. */
void qp_loop_run(struct qp_loop *loop);
/* Loop thread only (other threads post a mail). */
void qp_loop_stop(struct qp_loop *loop);
/* Requires that all objects on it are closed; runs their close callbacks to the end. In debug builds a handle that is left open is
 * named and fails. A resolver that hangs is waited for for 100 ms only: then its thread, and this loop's memory, are left behind.
 * *slot becomes NULL. */
void qp_loop_free(struct qp_loop **slot);
/* True: a loop has left a thread behind, and libuv would wait for it in exit(); so the process is to end by _exit(). Any thread. */
bool qp_loop_has_left_threads(void);

/* Monotonic milliseconds as of the start of this turn. */
uint64_t qp_loop_now_ms(const struct qp_loop *loop);

/* The memory that is kept for streams to come. */
void qp_loop_give_back(struct qp_loop *loop);

void qp_job_init(struct qp_job *job, void (*run)(struct qp_job *job));
/* Runs the job once, before the loop next waits. Scheduling a scheduled job changes nothing. */
void qp_later(struct qp_loop *loop, struct qp_job *job);
void qp_later_cancel(struct qp_job *job);

/* Called each time the loop is about to wait, after all jobs and flushes; for work that should be off the path (the
 * buffered access log). One hook a loop. */
void qp_loop_on_idle(struct qp_loop *loop, void (*hook)(void *context), void *context);

/* Debug builds: requires that the caller is on the loop's thread. */
void qp_loop_check(const struct qp_loop *loop);

/* Signals for the control thread's loop: each delivery calls the handler with the signal's number. */
void qp_loop_on_signal(struct qp_loop *loop, int signum, void (*handler)(void *context, int signum),
                       void *context);

#endif
