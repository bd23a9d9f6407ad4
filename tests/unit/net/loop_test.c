#include "fixture.h"

#include "net/timer.h"
#include <signal.h>
#include <unistd.h>

struct work {
    struct qp_job job;
    struct work *next; /* what its run() schedules */
    unsigned ran_count;
};

static void on_run(struct qp_job *job)
{
    struct work *work = QP_CONTAINER_OF(job, struct work, job);

    work->ran_count++;
    if (work->next)
        qp_later(test_loop, &work->next->job);
}

static bool has_run(void *work)
{
    return ((struct work *)work)->ran_count > 0;
}

static void a_job_runs_once_however_often_it_is_scheduled(void **state)
{
    struct work work = {0};

    qp_job_init(&work.job, on_run);
    qp_later(test_loop, &work.job);
    qp_later(test_loop, &work.job);
    assert_int_equal(work.ran_count, 0);
    run_until(has_run, &work);
    run_for_ms(20);
    assert_int_equal(work.ran_count, 1);
}

static void a_canceled_job_does_not_run(void **state)
{
    struct work work = {0};

    qp_job_init(&work.job, on_run);
    qp_later(test_loop, &work.job);
    qp_later_cancel(&work.job);
    run_for_ms(20);
    assert_int_equal(work.ran_count, 0);
}

static void a_job_from_a_job_runs_before_the_loop_waits(void **state)
{
    struct work last = {0};
    struct work first = {.next = &last};

    qp_job_init(&first.job, on_run);
    qp_job_init(&last.job, on_run);
    qp_later(test_loop, &first.job);
    run_until(has_run, &last);
    assert_int_equal(first.ran_count, 1);
}

static void a_job_that_schedules_itself_does_not_starve_the_loop(void **state)
{
    struct work endless = {0};

    endless.next = &endless;
    qp_job_init(&endless.job, on_run);
    qp_later(test_loop, &endless.job);
    run_for_ms(30); /* a timer ends this: it would not come through a loop that never polls */
    assert_true(endless.ran_count > 8);
    qp_later_cancel(&endless.job);
}

static int signal_got;

static void on_signal(void *context, int signum)
{
    signal_got = signum;
    (void)context;
}

static bool signal_came(void *unused)
{
    (void)unused;
    return signal_got != 0;
}

static void a_signal_is_delivered_on_the_loop(void **state)
{
    qp_loop_on_signal(test_loop, SIGUSR1, on_signal, NULL);
    kill(getpid(), SIGUSR1);
    run_until(signal_came, NULL);
    assert_int_equal(signal_got, SIGUSR1);
}

static void an_output_block_forgets_what_it_held(void **state)
{
    static const char none[8];
    struct qp_block *block = qp_block_take(test_loop);

    memcpy(block->bytes, "Bearer t", 8);
    block->start = 3; /* a part of it was written */
    block->end = 8;
    qp_block_give(test_loop, block);
    assert_ptr_equal(block, qp_block_take(test_loop));
    assert_memory_equal(block->bytes, none, 8);
    qp_block_give(test_loop, block);
}

static void libuvs_errors_have_results(void **state)
{
    static const struct {
        int error;
        enum qp_result result;
    } cases[] = {
        {0, QP_OK},
        {UV_ECONNRESET, QP_NET_RESET},
        {UV_EPIPE, QP_NET_RESET},
        {UV_ETIMEDOUT, QP_NET_TIMEOUT},
        {UV_ECONNREFUSED, QP_NET_REFUSED},
        {UV_EHOSTUNREACH, QP_NET_UNREACHABLE},
        {UV_EADDRINUSE, QP_NET_IN_USE},
        {UV_EACCES, QP_NET_DENIED},
        {UV_EMFILE, QP_NET_DESCRIPTORS},
        {UV_ENOMEM, QP_SELF_MEMORY},
        {UV_EIO, QP_NET_FAILED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(qp_net_result(cases[i].error), cases[i].result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_runs_once_however_often_it_is_scheduled, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_canceled_job_does_not_run, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_job_from_a_job_runs_before_the_loop_waits, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_job_that_schedules_itself_does_not_starve_the_loop, make_loop,
                                        free_loop),
        cmocka_unit_test_setup_teardown(a_signal_is_delivered_on_the_loop, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(an_output_block_forgets_what_it_held, make_loop, free_loop),
        cmocka_unit_test(libuvs_errors_have_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
