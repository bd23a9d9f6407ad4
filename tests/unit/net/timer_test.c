#include "fixture.h"

#include "net/timer.h"
#include <unistd.h>

struct probe {
    struct qp_timer timer;
    uint64_t due_ms;
    uint64_t fired_ms;
    unsigned order;
    unsigned fired_count;
};

/* How long a loaded machine may hold the test up; a timer that the wheel forgot comes a turn (8 s) later at least. */
enum { STALL_MS = 2000 };

static unsigned fired_total;
static unsigned awaited_total;

static void on_fire(struct qp_timer *timer)
{
    struct probe *probe = QP_CONTAINER_OF(timer, struct probe, timer);

    probe->fired_ms = qp_loop_now_ms(test_loop);
    probe->fired_count++;
    probe->order = fired_total++;
}

static void arm(struct probe *probe, uint64_t after_ms)
{
    probe->due_ms = qp_loop_now_ms(test_loop) + after_ms;
    qp_timer_arm(test_loop, &probe->timer, after_ms);
}

static bool enough_fired(void *unused)
{
    return fired_total >= awaited_total;
}

static void wait_for(unsigned count)
{
    awaited_total = count;
    run_until(enough_fired, NULL);
}

static int reset(void **state)
{
    fired_total = 0;
    return make_loop(state);
}

static unsigned fired_before_data;

static void note_data(struct end *end, struct qp_slice bytes)
{
    fired_before_data = fired_total;
}

static int late_writer;

/* The process stands still past the deadline, behind the poll, and bytes come meanwhile. */
static void stand_still(struct end *end, struct qp_slice bytes)
{
    assert_int_equal(write(late_writer, "hello", 5), 5);
    usleep(2200 * 1000);
}

static void after_a_standstill_what_came_is_read_before_timers_fire(void **state)
{
    struct probe probe = {0};
    struct end a = {.keep = true};
    struct end b = {.keep = true, .on_data = note_data};
    struct end c = {.keep = true};
    struct end d = {.keep = true, .on_data = stand_still};
    struct got_at_least want = {&b, 5};
    open_pair(AF_INET, &a, &b);
    open_pair(AF_INET, &c, &d);
    qp_stream_resume(b.stream);
    qp_stream_resume(d.stream);
    late_writer = qp_stream_fd(a.stream);
    qp_timer_init(&probe.timer, on_fire);
    arm(&probe, 1500); /* a busy machine has so long to get to the poll */
    fired_before_data = 99;
    send_text(&c, "go");
    wait_for(1);
    run_until(has_bytes, &want);
    assert_int_equal(fired_before_data, 0);
    close_end(&a);
    close_end(&b);
    close_end(&c);
    close_end(&d);
    run_until(no_streams, NULL);
}

static void a_timer_fires_at_its_time_or_up_to_16_ms_later(void **state)
{
    static const unsigned times[] = {0, 1, 7, 8, 9, 15, 16, 17, 40, 63, 64, 65, 100};
    enum { COUNT = sizeof(times) / sizeof(times[0]) };
    struct probe probes[COUNT] = {0};

    for (unsigned i = 0; i < COUNT; i++) {
        qp_timer_init(&probes[i].timer, on_fire);
        arm(&probes[i], times[i]);
        assert_true(qp_timer_is_armed(&probes[i].timer));
    }
    wait_for(COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(probes[i].fired_ms >= probes[i].due_ms);
        /* The wheel's own part is at most 16. */
        assert_true(probes[i].fired_ms <= probes[i].due_ms + 16 + STALL_MS);
        assert_int_equal(probes[i].fired_count, 1);
        assert_false(qp_timer_is_armed(&probes[i].timer));
    }
}

static void timers_fire_in_the_order_of_their_slots(void **state)
{
    struct probe probes[4] = {0};
    static const unsigned times[] = {90, 10, 60, 30};

    for (unsigned i = 0; i < 4; i++) {
        qp_timer_init(&probes[i].timer, on_fire);
        arm(&probes[i], times[i]);
    }
    wait_for(4);
    assert_int_equal(probes[1].order, 0);
    assert_int_equal(probes[3].order, 1);
    assert_int_equal(probes[2].order, 2);
    assert_int_equal(probes[0].order, 3);
}

static void arming_again_moves_a_timer_in_both_directions(void **state)
{
    struct probe later = {0};
    struct probe sooner = {0};

    qp_timer_init(&later.timer, on_fire);
    qp_timer_init(&sooner.timer, on_fire);
    arm(&later, 10);
    arm(&later, 80);
    arm(&sooner, 5000);
    arm(&sooner, 20);
    wait_for(2);
    assert_int_equal(sooner.order, 0);
    assert_true(sooner.fired_ms >= sooner.due_ms);
    assert_true(sooner.fired_ms < sooner.due_ms + 1000);
    assert_true(later.fired_ms >= later.due_ms);
    assert_int_equal(later.fired_count, 1);
}

static void a_disarmed_timer_does_not_fire_and_can_be_armed_again(void **state)
{
    struct probe probe = {0};

    qp_timer_init(&probe.timer, on_fire);
    arm(&probe, 10);
    qp_timer_disarm(&probe.timer);
    assert_false(qp_timer_is_armed(&probe.timer));
    run_for_ms(60);
    assert_int_equal(probe.fired_count, 0);
    arm(&probe, 10);
    qp_timer_disarm(&probe.timer);
    arm(&probe, 20);
    wait_for(1);
    assert_int_equal(probe.fired_count, 1);
    qp_timer_deinit(&probe.timer);
}

static void a_time_beyond_the_wheel_is_kept(void **state)
{
    struct probe far = {0};

    qp_timer_init(&far.timer, on_fire);
    arm(&far, 9000); /* the wheel is 8192 ms round */
    run_for_ms(100);
    assert_true(qp_timer_is_armed(&far.timer));
    assert_int_equal(far.fired_count, 0);
    wait_for(1);
    assert_true(far.fired_ms >= far.due_ms);
    assert_true(far.fired_ms <= far.due_ms + 16 + STALL_MS);
    /* And a delay that would overflow means "never", not "now". */
    qp_timer_arm(test_loop, &far.timer, UINT64_MAX);
    run_for_ms(30);
    assert_int_equal(far.fired_count, 1);
    qp_timer_deinit(&far.timer);
}

struct owner {
    struct qp_timer timer;
    struct owner *other;
};

static void free_both(struct qp_timer *timer)
{
    struct owner *owner = QP_CONTAINER_OF(timer, struct owner, timer);

    qp_timer_deinit(&owner->other->timer);
    qp_timer_deinit(&owner->timer);
    qp_free(owner->other);
    qp_free(owner);
    fired_total++;
}

static void fire_may_free_its_owner_and_others_that_are_due(void **state)
{
    struct owner *a = qp_alloc(sizeof(*a));
    struct owner *b = qp_alloc(sizeof(*b));

    a->other = b;
    b->other = a;
    qp_timer_init(&a->timer, free_both);
    qp_timer_init(&b->timer, free_both);
    qp_timer_arm(test_loop, &a->timer, 10);
    qp_timer_arm(test_loop, &b->timer, 10);
    wait_for(1);
    run_for_ms(30);
    assert_int_equal(fired_total, 1);
}

static void fire_again_soon(struct qp_timer *timer)
{
    on_fire(timer);
    if (fired_total < 5)
        qp_timer_arm(test_loop, timer, 0);
}

static void fire_may_arm_its_own_timer_without_starving_the_loop(void **state)
{
    struct probe probe = {0};

    qp_timer_init(&probe.timer, fire_again_soon);
    qp_timer_arm(test_loop, &probe.timer, 0);
    wait_for(5);
    assert_int_equal(probe.fired_count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_timer_fires_at_its_time_or_up_to_16_ms_later, reset, free_loop),
        cmocka_unit_test_setup_teardown(after_a_standstill_what_came_is_read_before_timers_fire, reset,
                                        free_loop),
        cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_slots, reset, free_loop),
        cmocka_unit_test_setup_teardown(arming_again_moves_a_timer_in_both_directions, reset, free_loop),
        cmocka_unit_test_setup_teardown(a_disarmed_timer_does_not_fire_and_can_be_armed_again, reset,
                                        free_loop),
        cmocka_unit_test_setup_teardown(a_time_beyond_the_wheel_is_kept, reset, free_loop),
        cmocka_unit_test_setup_teardown(fire_may_free_its_owner_and_others_that_are_due, reset, free_loop),
        cmocka_unit_test_setup_teardown(fire_may_arm_its_own_timer_without_starving_the_loop, reset,
                                        free_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
