/* loop.c - turns, jobs, timers, and the clocks.
 *
 *   turn: dials -> accepted connections -> mail -> input -> timers -> [ jobs, flushes ] x 8
 */
#include "fuzz/memnet/memnet_impl.h"

#include "base/clock.h"

enum { JOB_ROUNDS = 8, SLOT_MS = 8, TURNS_MOST = 20000, BIRTH_MS = 1000 * 1000 };

#define BIRTH_UNIX_MS INT64_C(1790000000000)

struct qp_loop *mem_loop;

/* ---- the clocks ---- */

static uint64_t now_ms(void)
{
    return mem_loop ? mem_loop->now_ms : BIRTH_MS;
}

uint64_t __wrap_qp_clock_monotonic_ms(void);
uint64_t __wrap_qp_clock_monotonic_us(void);
int64_t __wrap_qp_clock_unix_ms(void);

uint64_t __wrap_qp_clock_monotonic_ms(void)
{
    return now_ms();
}

uint64_t __wrap_qp_clock_monotonic_us(void)
{
    return now_ms() * 1000;
}

int64_t __wrap_qp_clock_unix_ms(void)
{
    return BIRTH_UNIX_MS + (int64_t)now_ms();
}

/* ---- life ---- */

struct qp_loop *qp_loop_new(void)
{
    struct qp_loop *loop = qp_alloc(sizeof(*loop));

    qp_require(!mem_loop);
    mem_loop = loop;
    loop->now_ms = BIRTH_MS;
    loop->next_fd = MEM_FD_FIRST;
    struct qp_list *const lists[] = {&loop->jobs,  &loop->attention, &loop->timers,    &loop->ends,
                                     &loop->dials, &loop->dialers,   &loop->listeners, &loop->mailboxes};
    for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        qp_list_init(lists[i]);
    return loop;
}

void qp_loop_free(struct qp_loop **slot)
{
    struct qp_loop *loop = *slot;

    *slot = NULL;
    mem_end_lingering(loop);
    qp_require(loop->stream_count == 0);
    qp_require(qp_list_is_empty(&loop->dials) && qp_list_is_empty(&loop->dialers));
    qp_require(qp_list_is_empty(&loop->listeners) && qp_list_is_empty(&loop->mailboxes));
    qp_require(qp_list_is_empty(&loop->jobs));
    while (!qp_list_is_empty(&loop->ends))
        mem_end_free(QP_CONTAINER_OF(loop->ends.next, struct mem_end, link));
    mem_loop = NULL;
    qp_free(loop);
}

uint64_t qp_loop_now_ms(const struct qp_loop *loop)
{
    return loop->now_ms;
}

/* Nothing is kept for streams to come. */
void qp_loop_give_back(struct qp_loop *loop)
{
    (void)loop;
}

void qp_loop_check(const struct qp_loop *loop)
{
    qp_require(loop == mem_loop);
}

/* ---- jobs ---- */

void qp_job_init(struct qp_job *job, void (*run)(struct qp_job *job))
{
    qp_list_init(&job->link);
    job->run = run;
}

void qp_later(struct qp_loop *loop, struct qp_job *job)
{
    if (!qp_list_is_linked(&job->link))
        qp_list_append(&loop->jobs, &job->link);
}

void qp_later_cancel(struct qp_job *job)
{
    qp_list_remove(&job->link);
}

static bool run_jobs(struct qp_loop *loop)
{
    struct qp_list round;
    bool did = false;

    qp_list_init(&round);
    qp_list_move_all(&round, &loop->jobs);
    for (struct qp_list *link; (link = qp_list_shift(&round)) != NULL; did = true) {
        struct qp_job *job = QP_CONTAINER_OF(link, struct qp_job, link);
        job->run(job);
    }
    return did;
}

/* ---- timers ---- */

void qp_timer_init(struct qp_timer *timer, void (*fire)(struct qp_timer *timer))
{
    qp_list_init(&timer->link);
    timer->due_ms = timer->slot_ms = 0;
    timer->fire = fire;
}

/* A disarmed timer stays linked, as it may in the wheel: its owner must call qp_timer_deinit(). */
void qp_timer_arm(struct qp_loop *loop, struct qp_timer *timer, uint64_t after_ms)
{
    uint64_t most_ms = UINT64_MAX / 2 - loop->now_ms;

    timer->due_ms = loop->now_ms + (after_ms < most_ms ? after_ms : most_ms);
    timer->slot_ms = (timer->due_ms + SLOT_MS - 1) / SLOT_MS * SLOT_MS;
    if (timer->slot_ms <= loop->now_ms)
        timer->slot_ms = (loop->now_ms / SLOT_MS + 1) * SLOT_MS;
    if (!qp_list_is_linked(&timer->link))
        qp_list_append(&loop->timers, &timer->link);
}

void qp_timer_disarm(struct qp_timer *timer)
{
    timer->due_ms = 0;
}

void qp_timer_deinit(struct qp_timer *timer)
{
    timer->due_ms = 0;
    qp_list_remove(&timer->link);
}

static struct qp_timer *next_timer(const struct qp_loop *loop)
{
    struct qp_timer *next = NULL;

    QP_LIST_FOR_EACH (link, &loop->timers) {
        struct qp_timer *timer = QP_CONTAINER_OF(link, struct qp_timer, link);
        if (timer->due_ms != 0 && (!next || timer->slot_ms < next->slot_ms))
            next = timer;
    }
    return next;
}

static bool fire_timers(struct qp_loop *loop)
{
    bool did = false;

    for (struct qp_timer *timer; (timer = next_timer(loop)) && timer->slot_ms <= loop->now_ms; did = true) {
        qp_list_remove(&timer->link);
        timer->due_ms = 0;
        timer->fire(timer);
    }
    return did;
}

uint64_t mem_next_due_ms(const struct qp_loop *loop)
{
    const struct qp_timer *timer = next_timer(loop);

    return timer ? timer->slot_ms : 0;
}

/* ---- turns ---- */

bool mem_turn(struct qp_loop *loop)
{
    bool did = mem_deliver_dials(loop);

    did |= mem_deliver_accepted(loop);
    did |= mem_deliver_mail(loop);
    did |= mem_deliver_input(loop);
    did |= fire_timers(loop);
    for (int round = 0; round < JOB_ROUNDS; round++) {
        if (qp_list_is_empty(&loop->jobs) && qp_list_is_empty(&loop->attention))
            break;
        did = true;
        run_jobs(loop);
        mem_attend(loop);
    }
    return did;
}

void mem_settle(struct qp_loop *loop)
{
    for (int turns = 0; mem_turn(loop); turns++)
        qp_require(turns < TURNS_MOST); /* it spins */
}

void mem_advance(struct qp_loop *loop, uint64_t ms)
{
    const uint64_t until_ms = loop->now_ms + ms;

    for (;;) {
        mem_settle(loop);
        const struct qp_timer *timer = next_timer(loop);
        if (!timer || timer->slot_ms > until_ms)
            break;
        loop->now_ms = timer->slot_ms;
    }
    loop->now_ms = until_ms;
    mem_settle(loop);
}

void mem_set_eager_ends(struct qp_loop *loop, bool eager)
{
    loop->eager_ends = eager;
}
