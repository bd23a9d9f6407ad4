/* pool.c - the streams to one origin, and who waits for one.
 *
 *   dial -> taken <-> idle          waiter -> first stream that is dialled or given back
 *             \        \-> evicted: spoke, died, too old, too many
 *              \-> closed: not fit for another exchange
 *
 * Waiters are called from a dial's end or from the pool's job, never from inside a call; an exchange given back meanwhile lies in
 * the idle list like any other, watched, and try_take() leaves it to those who were queued before.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "origin/pool_impl.h"
#include "origin/socket.h"

/* Long against the time that a stream rests between two requests of a busy worker, short for an origin. */
enum { RESTED_MS = 10 };

static void on_serve(struct qp_job *job);
static void on_idle_limit(struct qp_timer *timer);
static void on_watch(struct qp_timer *timer);

struct qp_pool *qp_pool_new(struct qp_loop *loop, const struct qp_pool_opts *opts)
{
    struct qp_pool *pool = qp_alloc(sizeof(*pool));

    qp_require(opts->streams > 0 && opts->dials > 0);
    pool->loop = loop;
    pool->opts = *opts;
    pool->dialer = qp_dialer_new(loop, &opts->dial);
    qp_list_init(&pool->idle);
    qp_list_init(&pool->taken);
    qp_timer_init(&pool->idle_timer, on_idle_limit);
    qp_timer_init(&pool->watch_timer, on_watch);
    qp_job_init(&pool->serve, on_serve);
    qp_pool_init_dials(pool);
    return pool;
}

void qp_pool_show_levels(struct qp_pool *pool)
{
    qp_count_set(&pool->counters.dialling, pool->dial_count);
    qp_count_set(&pool->counters.streams, pool->stream_count);
    qp_count_set(&pool->counters.idle, pool->idle_count);
    qp_count_set(&pool->counters.waiting, pool->waiting_count);
}

/* ---- idle streams ---- */

static void take_idle(struct qp_exchange *exchange)
{
    qp_list_remove(&exchange->link);
    exchange->is_idle = false;
    exchange->pool->idle_count--;
    qp_pool_show_levels(exchange->pool);
}

/* What the origin says to an idle stream (a 408, an end) may lie in the socket while the loop is still busy with the
 * client's request of the same turn; it must not become that request's answer. Under load no stream rests, and none is
 * looked at. */
static bool has_rested(const struct qp_exchange *exchange)
{
    return qp_loop_now_ms(exchange->loop) - exchange->idle_since_ms >= RESTED_MS;
}

void qp_pool_give_out(struct qp_exchange *exchange)
{
    struct qp_pool *pool = exchange->pool;

    if (exchange->is_idle) {
        exchange->is_reused |= has_rested(exchange);
        take_idle(exchange);
    }
    exchange->taken_ms = qp_loop_now_ms(pool->loop);
    qp_list_append(&pool->taken, &exchange->link);
    if (pool->opts.lost_ms > 0 && !qp_timer_is_armed(&pool->watch_timer))
        qp_timer_arm(pool->loop, &pool->watch_timer, pool->opts.lost_ms / 2);
}

/* Owners may release theirs, and take others, when they hear of a loss. */
static void on_watch(struct qp_timer *timer)
{
    struct qp_pool *pool = QP_CONTAINER_OF(timer, struct qp_pool, watch_timer);
    struct qp_list round;

    qp_list_init(&round);
    qp_list_move_all(&round, &pool->taken);
    for (struct qp_list *link; (link = qp_list_shift(&round)) != NULL;) {
        qp_list_append(&pool->taken, link);
        qp_exchange_look(QP_CONTAINER_OF(link, struct qp_exchange, link), pool->opts.lost_ms / 2);
    }
    if (!qp_list_is_empty(&pool->taken))
        qp_timer_arm(pool->loop, &pool->watch_timer, pool->opts.lost_ms / 2);
}

static void discard(struct qp_exchange *exchange, bool polite)
{
    exchange->pool->stream_count--;
    qp_count(&exchange->pool->counters.closed);
    qp_pool_show_levels(exchange->pool);
    qp_exchange_free(exchange, polite);
}

void qp_pool_evict_oldest(struct qp_pool *pool)
{
    struct qp_exchange *exchange = QP_CONTAINER_OF(pool->idle.prev, struct qp_exchange, link);

    take_idle(exchange);
    discard(exchange, true);
}

/* Its address is not the origin's any more: a new request goes to where the origin is now. */
static bool retire_if_moved(struct qp_exchange *exchange)
{
    struct qp_pool *pool = exchange->pool;

    if (qp_dialer_is_current(pool->dialer, exchange->stream, &exchange->address_mark))
        return false;
    qp_count(&pool->counters.moved);
    take_idle(exchange);
    discard(exchange, true);
    return true;
}

void qp_pool_evict(struct qp_exchange *exchange)
{
    struct qp_pool *pool = exchange->pool;

    qp_count(&pool->counters.evicted);
    take_idle(exchange);
    discard(exchange, false);
    /* It may have been meant for somebody who waits. */
    if (pool->waiting_count > 0)
        qp_later(pool->loop, &pool->serve);
}

/* An orderly end of one stream would have left its trace at the others too, if they had been ended with it. A reset or a silence
 * would not. */
static bool is_suspect(const struct qp_exchange *exchange, const struct qp_exchange *dead, enum qp_result why)
{
    if (exchange->worked_ms > dead->taken_ms)
        return false;
    return why == QP_NET_RESET || why == QP_NET_TIMEOUT ||
           !qp_socket_is_silent(qp_stream_fd(exchange->stream));
}

void qp_pool_suspect(struct qp_exchange *dead, enum qp_result why)
{
    struct qp_pool *pool = dead->pool;

    qp_count(&pool->counters.stale);
    QP_LIST_FOR_EACH_SAFE (link, &pool->idle) {
        struct qp_exchange *exchange = QP_CONTAINER_OF(link, struct qp_exchange, link);
        if (!is_suspect(exchange, dead, why))
            continue;
        qp_count(&pool->counters.suspected);
        take_idle(exchange);
        discard(exchange, false);
    }
    if (pool->waiting_count > 0)
        qp_later(pool->loop, &pool->serve);
}

void qp_pool_take_back(struct qp_exchange *exchange, bool can_live, bool polite)
{
    struct qp_pool *pool = exchange->pool;
    const bool is_wanted = qp_pool_first_waiter(pool, !exchange->is_reused) != NULL;

    qp_list_remove(&exchange->link);
    if (polite)
        pool->answered_ms = exchange->worked_ms = qp_loop_now_ms(pool->loop);
    if (pool->waiting_count > 0)
        qp_later(pool->loop, &pool->serve);
    if (!can_live || (pool->opts.idle_streams == 0 && !is_wanted)) {
        discard(exchange, polite);
        return;
    }
    exchange->is_idle = true;
    exchange->idle_since_ms = qp_loop_now_ms(pool->loop);
    qp_list_prepend(&pool->idle, &exchange->link);
    pool->idle_count++;
    qp_pool_show_levels(pool);
    if (pool->idle_count > pool->opts.idle_streams && !is_wanted)
        qp_pool_evict_oldest(pool);
    if (!qp_timer_is_armed(&pool->idle_timer))
        qp_timer_arm(pool->loop, &pool->idle_timer, pool->opts.idle_ms);
}

static void on_idle_limit(struct qp_timer *timer)
{
    struct qp_pool *pool = QP_CONTAINER_OF(timer, struct qp_pool, idle_timer);
    const uint64_t now_ms = qp_loop_now_ms(pool->loop);

    while (!qp_list_is_empty(&pool->idle)) {
        const struct qp_exchange *oldest = QP_CONTAINER_OF(pool->idle.prev, struct qp_exchange, link);
        const uint64_t age_ms = now_ms - oldest->idle_since_ms;
        if (age_ms < pool->opts.idle_ms) {
            qp_timer_arm(pool->loop, &pool->idle_timer, pool->opts.idle_ms - age_ms);
            return;
        }
        qp_pool_evict_oldest(pool);
    }
}

/* Only those who wait now are served: one that comes back in its own `done` must not keep the loop here. The origin may have ended the
 * stream right behind its answer, so each is looked at. */
static void on_serve(struct qp_job *job)
{
    struct qp_pool *pool = QP_CONTAINER_OF(job, struct qp_pool, serve);
    const uint64_t until = pool->last_number;
    struct qp_pool_waiter *waiter;

    qp_pool_start_dials(pool);
    while (pool->idle_count > 0 && (waiter = qp_pool_first_waiter(pool, false)) != NULL &&
           waiter->number <= until) {
        struct qp_exchange *exchange = QP_CONTAINER_OF(pool->idle.next, struct qp_exchange, link);
        if (retire_if_moved(exchange))
            continue;
        if (!qp_exchange_probe(exchange)) {
            qp_pool_evict(exchange);
            continue;
        }
        qp_pool_unqueue(pool, waiter);
        qp_pool_give_out(exchange);
        waiter->done(waiter, exchange, QP_OK, NULL);
    }
    qp_pool_start_dials(pool); /* for those whose stream was retired */
}

/* ---- what a caller asks ---- */

struct qp_exchange *qp_pool_try_take(struct qp_pool *pool)
{
    while (pool->idle_count > 0 && pool->waiting_count <= pool->fresh_count) {
        struct qp_exchange *exchange = QP_CONTAINER_OF(pool->idle.next, struct qp_exchange, link);
        if (retire_if_moved(exchange))
            continue;
        if (qp_stream_holds_input(exchange->stream) ||
            (has_rested(exchange) && !qp_exchange_probe(exchange))) {
            qp_pool_evict(exchange);
            continue;
        }
        qp_pool_give_out(exchange);
        qp_count(&pool->counters.taken_warm);
        return exchange;
    }
    return NULL;
}

enum qp_result qp_pool_wait(struct qp_pool *pool, struct qp_pool_waiter *waiter, bool fresh)
{
    qp_require(waiter->pool == NULL && waiter->done);
    if (pool->waiting_count >= pool->opts.waiting)
        return QP_SELF_BUSY;
    waiter->pool = pool;
    waiter->fresh = fresh;
    waiter->number = ++pool->last_number;
    qp_list_append(&pool->waiting, &waiter->link);
    pool->waiting_count++;
    pool->fresh_count += fresh;
    qp_pool_show_levels(pool);
    if (pool->idle_count > 0)
        qp_later(pool->loop, &pool->serve);
    qp_pool_start_dials(pool);
    return QP_OK;
}

void qp_pool_cancel(struct qp_pool_waiter *waiter)
{
    if (waiter->pool)
        qp_pool_unqueue(waiter->pool, waiter);
    else if (waiter->link.next) /* set aside with others to be failed, and not yet called */
        qp_list_remove(&waiter->link);
}

void qp_pool_give_back(struct qp_pool *pool)
{
    while (pool->idle_count > 0)
        qp_pool_evict_oldest(pool);
}

static void end(struct qp_pool *pool)
{
    qp_require(pool->stream_count == pool->idle_count);
    pool->opts.waiting = 0;
    (void)qp_pool_fail_waiters(pool, UINT64_MAX, false, QP_SELF_CANCELED, "the pool is closing");
    qp_pool_end_dials(pool);
    qp_pool_give_back(pool);
    qp_later_cancel(&pool->serve);
    qp_timer_deinit(&pool->idle_timer);
    qp_timer_deinit(&pool->watch_timer);
    qp_dialer_free(&pool->dialer);
    qp_free(pool);
}

void qp_pool_close(struct qp_pool **pool)
{
    struct qp_pool *closed = *pool;

    *pool = NULL;
    if (closed)
        end(closed);
}

struct qp_pool_counters qp_pool_counters(const struct qp_pool *pool)
{
    return (struct qp_pool_counters){
#define READ(name, text) .name = qp_count_of(&pool->counters.name),
        QP_POOL_COUNTER_MAP(READ, READ)
#undef READ
            .tls = qp_dialer_tls_counters(pool->dialer),
    };
}
