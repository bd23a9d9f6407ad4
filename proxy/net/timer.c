/* timer.c - a hashed wheel of 8 ms slots behind one uv_timer_t.
 *
 * A timer lies in the slot of the deadline that it had when it was linked, or, if that is farther than the wheel is round, in
 * the last slot. When the slot comes round, the timer's due_ms says what is to be done: fire it, link it anew, or forget it.
 * So moving a deadline away and disarming are one store each, and the alarm is set to the next filled slot only.
 */
#include "net/loop_impl.h"

enum { SLOT_MASK = QP_WHEEL_SLOTS - 1, STANDSTILL_MS = 500 };

static void mark(struct qp_wheel *wheel, uint64_t tick)
{
    wheel->filled[(tick & SLOT_MASK) / 64] |= UINT64_C(1) << (tick % 64);
}

static void unmark(struct qp_wheel *wheel, uint64_t tick)
{
    wheel->filled[(tick & SLOT_MASK) / 64] &= ~(UINT64_C(1) << (tick % 64));
}

/* The time, in slots, of the first slot behind wheel->tick that may hold timers; 0: none. */
static uint64_t next_filled(const struct qp_wheel *wheel)
{
    uint64_t tick = wheel->tick + 1;
    uint64_t end = tick + QP_WHEEL_SLOTS;

    while (tick < end) {
        uint64_t rest = wheel->filled[(tick & SLOT_MASK) / 64] >> (tick % 64);
        if (rest != 0)
            return tick + (unsigned)__builtin_ctzll(rest);
        tick += 64 - tick % 64;
    }
    return 0;
}

static void on_alarm(uv_timer_t *alarm);

static void set_alarm(struct qp_loop *loop, uint64_t tick)
{
    struct qp_wheel *wheel = &loop->wheel;
    uint64_t at_ms = tick * QP_WHEEL_SLOT_MS;
    uint64_t now_ms = uv_now(&loop->uv);

    wheel->alarm_tick = tick;
    qp_require(uv_timer_start(&wheel->alarm, on_alarm, at_ms > now_ms ? at_ms - now_ms : 0, 0) == 0);
}

static void link_timer(struct qp_loop *loop, struct qp_timer *timer)
{
    struct qp_wheel *wheel = &loop->wheel;
    uint64_t tick = (timer->due_ms + QP_WHEEL_SLOT_MS - 1) / QP_WHEEL_SLOT_MS;

    if (wheel->alarm_tick == 0) /* nobody has turned the wheel while it was empty */
        wheel->tick = uv_now(&loop->uv) / QP_WHEEL_SLOT_MS;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    if (tick > wheel->tick + QP_WHEEL_SLOTS - 1)
        tick = wheel->tick + QP_WHEEL_SLOTS - 1;
    timer->slot_ms = tick * QP_WHEEL_SLOT_MS;
    qp_list_append(&wheel->slots[tick & SLOT_MASK], &timer->link);
    mark(wheel, tick);
    if (wheel->alarm_tick == 0 || tick < wheel->alarm_tick)
        set_alarm(loop, tick);
}

/* Moves what lies in the slots up to now to `due`, in the order of the slots. */
static void collect(struct qp_wheel *wheel, uint64_t now_tick, struct qp_list *due)
{
    uint64_t tick = wheel->tick;

    if (now_tick - tick > QP_WHEEL_SLOTS) /* the loop was stuck for longer than the wheel is round */
        tick = now_tick - QP_WHEEL_SLOTS;
    while (tick < now_tick) {
        tick++;
        struct qp_list *slot = &wheel->slots[tick & SLOT_MASK];
        for (struct qp_list *link; (link = qp_list_shift(slot)) != NULL;)
            qp_list_append(due, link);
        unmark(wheel, tick);
    }
    wheel->tick = now_tick;
}

/* After a standstill (the process was stopped, the machine too busy) what came meanwhile is read before anybody is told that it did not come: the sockets
 * are looked at once more before timers fire. */
static bool puts_off(struct qp_wheel *wheel, uint64_t now_ms)
{
    bool is_late = now_ms > wheel->alarm_tick * QP_WHEEL_SLOT_MS + STANDSTILL_MS;

    wheel->has_polled = is_late && !wheel->has_polled;
    if (wheel->has_polled)
        qp_require(uv_timer_start(&wheel->alarm, on_alarm, 1, 0) == 0); /* at 0 older libuv does not poll */
    return wheel->has_polled;
}

static void on_alarm(uv_timer_t *alarm)
{
    struct qp_loop *loop = qp_loop_of((uv_handle_t *)alarm);
    struct qp_wheel *wheel = &loop->wheel;
    uint64_t now_ms = uv_now(&loop->uv);
    struct qp_list due;

    if (puts_off(wheel, now_ms))
        return;
    qp_list_init(&due);
    wheel->alarm_tick = 0;
    collect(wheel, now_ms / QP_WHEEL_SLOT_MS, &due);
    for (struct qp_list *link; (link = qp_list_shift(&due)) != NULL;) {
        struct qp_timer *timer = QP_CONTAINER_OF(link, struct qp_timer, link);
        if (timer->due_ms == 0)
            continue;
        if (timer->due_ms > now_ms) {
            link_timer(loop, timer);
            continue;
        }
        timer->due_ms = 0;
        timer->fire(timer);
    }
    uint64_t next = next_filled(wheel);
    if (next != 0 && (wheel->alarm_tick == 0 || next < wheel->alarm_tick))
        set_alarm(loop, next);
}

void qp_wheel_init(struct qp_loop *loop)
{
    struct qp_wheel *wheel = &loop->wheel;

    for (unsigned i = 0; i < QP_WHEEL_SLOTS; i++)
        qp_list_init(&wheel->slots[i]);
    wheel->tick = uv_now(&loop->uv) / QP_WHEEL_SLOT_MS;
    qp_require(uv_timer_init(&loop->uv, &wheel->alarm) == 0);
}

void qp_timer_init(struct qp_timer *timer, void (*fire)(struct qp_timer *timer))
{
    qp_list_init(&timer->link);
    timer->due_ms = 0;
    timer->slot_ms = 0;
    timer->fire = fire;
}

void qp_timer_arm(struct qp_loop *loop, struct qp_timer *timer, uint64_t after_ms)
{
    uint64_t now_ms = uv_now(&loop->uv);

    qp_loop_check(loop);
    timer->due_ms = after_ms < UINT64_MAX / 2 - now_ms ? now_ms + after_ms : UINT64_MAX / 2;
    if (qp_list_is_linked(&timer->link)) {
        if (timer->due_ms >= timer->slot_ms)
            return;
        qp_list_remove(&timer->link);
    }
    link_timer(loop, timer);
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
