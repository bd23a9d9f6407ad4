/* Three workers on threads of their own: one token call for five hundred needs, and views that close while news comes. */
#include "rig.h"
#include <pthread.h>
#include <stdlib.h>

enum { WORKERS = 3, NEEDS = 500 };

struct worker {
    struct qp_loop *loop;
    struct qp_view *view;
    pthread_t thread;
    unsigned need_count;
    unsigned rounds;
    unsigned answered;
    unsigned met;
    uint64_t wanted;
    bool leaves_early; /* closes while the keeper's news may be on its way */
    struct qp_timer leave;
    struct qp_need needs[NEEDS / WORKERS + 1];
};

static void stop(struct worker *worker)
{
    for (unsigned i = 0; i < worker->need_count; ++i)
        qp_view_cancel(&worker->needs[i]);
    qp_timer_deinit(&worker->leave);
    qp_view_close(&worker->view);
    qp_loop_stop(worker->loop);
}

static struct worker *worker_of(struct qp_need *need);

static void queue_all(struct worker *worker);

static void take_answer(struct qp_need *need, enum qp_need_outcome outcome, uint32_t retry_after_s,
                        const char *text)
{
    struct worker *worker = worker_of(need);
    struct qp_token token;
    worker->met += outcome == QP_NEED_MET && qp_view_token(worker->view, 0, worker->wanted, &token) &&
                   token.generation == worker->wanted;
    qp_view_report(worker->view, 0, worker->wanted, true);
    if (++worker->answered % worker->need_count != 0)
        return;
    ++worker->wanted;
    if (--worker->rounds)
        queue_all(worker);
    else
        qp_timer_arm(worker->loop, &worker->leave, 20); /* a view does not close inside an answer */
}

static struct worker workers[WORKERS];

static struct worker *worker_of(struct qp_need *need)
{
    for (int i = 0; i < WORKERS; ++i) {
        if (need >= workers[i].needs && need < workers[i].needs + NEEDS / WORKERS + 1)
            return &workers[i];
    }
    abort();
}

static void queue_all(struct worker *worker)
{
    for (unsigned i = 0; i < worker->need_count; ++i) {
        worker->needs[i].answered = take_answer;
        qp_view_need(worker->view, 0, worker->wanted, &worker->needs[i]);
    }
}

static void leave(struct qp_timer *timer)
{
    stop(QP_CONTAINER_OF(timer, struct worker, leave));
}

static void *work(void *context)
{
    struct worker *worker = context;
    queue_all(worker);
    if (worker->leaves_early)
        qp_timer_arm(worker->loop, &worker->leave, 40);
    qp_loop_run(worker->loop);
    return NULL;
}

static void open_workers(struct rig *rig, unsigned rounds)
{
    memset(workers, 0, sizeof(workers));
    for (int i = 0; i < WORKERS; ++i) {
        struct worker *worker = &workers[i];
        worker->need_count = i == 0 ? NEEDS - (WORKERS - 1) * (NEEDS / WORKERS) - 1 : NEEDS / WORKERS;
        worker->rounds = rounds;
        worker->wanted = 1;
        worker->loop = qp_loop_new();
        qp_timer_init(&worker->leave, leave);
        worker->view =
            qp_view_new(worker->loop, rig->keeper,
                        &(struct qp_view_opts){.account_count = 1, .token_wait_ms = 10000, .waiting = NEEDS});
        qp_keeper_add_view(rig->keeper, worker->view);
    }
}

static void start_workers(void)
{
    for (int i = 0; i < WORKERS; ++i)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
}

static void join_workers(void)
{
    for (int i = 0; i < WORKERS; ++i) {
        pthread_join(workers[i].thread, NULL);
        qp_loop_free(&workers[i].loop);
    }
}

static const char granted[] = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"access_token\":\"t1\"}";

static void test_single_flight_over_threads(void **state)
{
    static const struct endpoint_step steps[] = {{granted, .delay_ms = 200}};
    enum { ROUNDS = 4 };
    struct rig rig;
    rig_open(&rig, NULL, steps, 1);
    rig_start(&rig);
    open_workers(&rig, ROUNDS);
    start_workers();
    rig_run_to_generation(&rig, ROUNDS, 10000);
    rig_run_for(&rig, 200);
    join_workers();
    unsigned met = 0;
    for (int i = 0; i < WORKERS; ++i)
        met += workers[i].met;
    assert_int_equal(met, ROUNDS * (NEEDS - 1));
    assert_int_equal(endpoint_calls(rig.endpoint), ROUNDS);
    rig_close(&rig);
}

/* The keeper mints as fast as it can while the workers leave one by one. */
static void test_views_close_under_news(void **state)
{
    static const struct endpoint_step steps[] = {{granted}};
    struct rig rig;
    for (int round = 0; round < 5; ++round) {
        rig_open(&rig, NULL, steps, 1);
        rig_start(&rig);
        open_workers(&rig, 1000);
        for (int i = 0; i < WORKERS; ++i)
            workers[i].leaves_early = true;
        start_workers();
        rig_run_for(&rig, 60);
        join_workers();
        rig_run_for(&rig, 20);
        rig_close(&rig);
    }
}

/* A view made for a worker that never ran closes on the control thread; its loop may outlive the keeper. */
static void test_worker_that_never_ran(void **state)
{
    static const struct endpoint_step steps[] = {{granted}};
    struct rig rig;
    rig_open(&rig, NULL, steps, 1);
    rig_start(&rig);
    struct qp_loop *loop = qp_loop_new();
    struct qp_view *view = qp_view_new(
        loop, rig.keeper, &(struct qp_view_opts){.account_count = 1, .token_wait_ms = 10, .waiting = 1});
    qp_keeper_add_view(rig.keeper, view);
    rig_run_to_generation(&rig, 1, 1000);
    qp_view_close(&view);
    rig_close(&rig);
    qp_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_flight_over_threads),
        cmocka_unit_test(test_views_close_under_news),
        cmocka_unit_test(test_worker_that_never_ran),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
