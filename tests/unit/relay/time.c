#include "world.h"

uint64_t qp_loop_now_ms(const struct qp_loop *loop)
{
    return loop->now_ms;
}

void qp_timer_init(struct qp_timer *timer, void (*fire)(struct qp_timer *timer))
{
    *timer = (struct qp_timer){.fire = fire};
    qp_list_init(&timer->link);
}

void qp_timer_arm(struct qp_loop *loop, struct qp_timer *timer, uint64_t after_ms)
{
    WANT(timer->fire);
    timer->due_ms = loop->now_ms + after_ms;
    if (!qp_list_is_linked(&timer->link))
        qp_list_append(&world->timers, &timer->link);
}

void qp_timer_disarm(struct qp_timer *timer)
{
    timer->due_ms = 0;
    qp_list_remove(&timer->link);
}

void qp_timer_deinit(struct qp_timer *timer)
{
    qp_timer_disarm(timer);
}

void time_pass(uint64_t ms)
{
    world->loop.now_ms += ms;
}

void time_fire(struct qp_timer *timer)
{
    world_note("deadline");
    if (timer->due_ms > world->loop.now_ms)
        world->loop.now_ms = timer->due_ms;
    qp_timer_disarm(timer);
    timer->fire(timer);
    world_check();
}
