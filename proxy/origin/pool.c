/* pool.c - the streams to one origin, and who waits for one.
 *
 *   dial -> taken <-> idle          waiter -> first stream that is dialled or given back
 *             \        \-> evicted: spoke, died, too old, too many
 *              \-> closed: not fit for another exchange
 *
 * Waiters are called from a dial's end or from the pool's job, never from inside a call; an exchange given back meanwhile lies in
 * the idle list like any other, watched, and try_take() leaves it to those who were queued before.
 */
#include "origin/pool.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/count.h"
#include "base/log.h"
#include "origin/exchange_impl.h"
#include "origin/outage.h"
#include "origin/socket.h"

enum {
    RESTED_MS =
        10, /* long against the time that a stream rests between two requests of a busy worker, short for an origin */
    PROBE_MS = 1000, /* so long a dial in an outage is waited for */
    ANSWERING_MS =
        1000, /* an origin that has answered within that time is not down, whatever became of a dial */
    TOLD_FAILURES = 3 /* from so many failed dials on the log hears of the outage and of its end */
};

struct qp_pool {
    struct qp_loop *loop;
    struct qp_pool_opts opts;
    struct qp_dialer *dialer;
    struct qp_list idle;    /* most recently used first */
    struct qp_list waiting; /* in order of their numbers */
    struct qp_list dialling;
    struct qp_list taken;
    struct qp_timer idle_timer;   /* for the oldest idle stream */
    struct qp_timer watch_timer;  /* for the taken ones */
    struct qp_timer outage_timer; /* the next dial is due, or the running one is no longer waited for */
    struct qp_job serve;
    struct qp_job refuse;
    struct qp_outage outage;
    uint64_t dialled_ms;  /* when the last dial began */
    uint64_t answered_ms; /* when the last exchange was completed; 0: never */
    uint64_t last_number;
    unsigned stream_count; /* idle and taken */
    unsigned idle_count;
    unsigned dial_count;
    unsigned waiting_count;
    unsigned fresh_count; /* of the waiting */
    struct {
#define COUNTED(name, text) _Atomic uint64_t name;
        QP_POOL_COUNTER_MAP(COUNTED, COUNTED)
#undef COUNTED
    } counters; /* for other threads; the loop goes by its own numbers above */
};

/* One dial that is running. */
struct attempt {
    struct qp_list link;
    struct qp_pool *pool;
    struct qp_dial *dial;
    uint64_t number;
};

static void on_dialled(void *owner, struct qp_stream *stream, enum qp_result result, const char *detail);
static void on_serve(struct qp_job *job);
static void on_refuse(struct qp_job *job);
static void on_idle_limit(struct qp_timer *timer);
static void on_watch(struct qp_timer *timer);
static void on_outage_due(struct qp_timer *timer);
static void give_out(struct qp_exchange *exchange);
static void evict_oldest(struct qp_pool *pool);

static const struct qp_dial_events dial_events = {.done = on_dialled};

struct qp_pool *qp_pool_new(struct qp_loop *loop, const struct qp_pool_opts *opts)
{
    struct qp_pool *pool = qp_alloc(sizeof(*pool));

    qp_require(opts->streams > 0 && opts->dials > 0);
    pool->loop = loop;
    pool->opts = *opts;
    pool->dialer = qp_dialer_new(loop, &opts->dial);
    qp_list_init(&pool->idle);
    qp_list_init(&pool->waiting);
    qp_list_init(&pool->dialling);
    qp_list_init(&pool->taken);
    qp_timer_init(&pool->idle_timer, on_idle_limit);
    qp_timer_init(&pool->watch_timer, on_watch);
    qp_timer_init(&pool->outage_timer, on_outage_due);
    qp_job_init(&pool->serve, on_serve);
    qp_job_init(&pool->refuse, on_refuse);
    return pool;
}

/* After each change of a level. */
static void show_levels(struct qp_pool *pool)
{
    qp_count_set(&pool->counters.dialling, pool->dial_count);
    qp_count_set(&pool->counters.streams, pool->stream_count);
    qp_count_set(&pool->counters.idle, pool->idle_count);
    qp_count_set(&pool->counters.waiting, pool->waiting_count);
}

/* ---- waiters ---- */

static struct qp_pool_waiter *waiter_at(struct qp_list *link)
{
    return QP_CONTAINER_OF(link, struct qp_pool_waiter, link);
}

static void unqueue(struct qp_pool *pool, struct qp_pool_waiter *waiter)
{
    qp_list_remove(&waiter->link);
    waiter->pool = NULL;
    pool->waiting_count--;
    pool->fresh_count -= waiter->fresh;
    show_levels(pool);
}

/* The first one whom this stream suits, or NULL. */
static struct qp_pool_waiter *first_waiter(struct qp_pool *pool, bool is_fresh)
{
    QP_LIST_FOR_EACH (link, &pool->waiting) {
        if (is_fresh || !waiter_at(link)->fresh)
            return waiter_at(link);
    }
    return NULL;
}

/* ---- dials ---- */

static void start_dial(struct qp_pool *pool)
{
    struct attempt *attempt = qp_alloc(sizeof(*attempt));

    attempt->pool = pool;
    attempt->number = ++pool->last_number;
    qp_list_append(&pool->dialling, &attempt->link);
    pool->dial_count++;
    pool->dialled_ms = qp_loop_now_ms(pool->loop);
    qp_count(&pool->counters.dials);
    show_levels(pool);
    attempt->dial = qp_dial_start(pool->dialer, &dial_events, attempt);
}

/* Waiters whom no idle stream suits. */
static unsigned unserved(const struct qp_pool *pool)
{
    const unsigned plain = pool->waiting_count - pool->fresh_count;

    return pool->fresh_count + (plain > pool->idle_count ? plain - pool->idle_count : 0);
}

/* Room for one more stream. Where all are idle ones and somebody wants a fresh one, the oldest gives way. */
static bool make_room(struct qp_pool *pool)
{
    if (pool->stream_count + pool->dial_count >= pool->opts.streams &&
        pool->idle_count > pool->waiting_count - pool->fresh_count)
        evict_oldest(pool);
    return pool->stream_count + pool->dial_count < pool->opts.streams;
}

/* ---- an outage ---- */

/* Other streams get answers: dials may fail because the origin takes no more connections, and one of these will be given back. */
static bool is_answering(const struct qp_pool *pool)
{
    return pool->stream_count > pool->idle_count && pool->answered_ms > 0 &&
           qp_loop_now_ms(pool->loop) - pool->answered_ms < ANSWERING_MS;
}

static bool is_hopeless(const struct qp_pool_waiter *waiter, bool others_answer)
{
    return waiter->fresh || !others_answer;
}

static bool has_hopeless(const struct qp_pool *pool)
{
    return pool->fresh_count > 0 || (unserved(pool) > 0 && !is_answering(pool));
}

/* The dial that runs has been waited for long enough. */
static bool is_slow(const struct qp_pool *pool)
{
    return pool->dial_count > 0 && qp_loop_now_ms(pool->loop) - pool->dialled_ms >= PROBE_MS;
}

static void dial_in_outage(struct qp_pool *pool)
{
    const uint64_t now_ms = qp_loop_now_ms(pool->loop);

    if (unserved(pool) == 0)
        return;
    if (is_slow(pool) && has_hopeless(pool))
        qp_later(pool->loop, &pool->refuse);
    if (pool->dial_count > 0)
        return;
    if (now_ms < pool->outage.due_ms) {
        qp_timer_arm(pool->loop, &pool->outage_timer, pool->outage.due_ms - now_ms);
    } else if (make_room(pool)) {
        start_dial(pool);
        qp_timer_arm(pool->loop, &pool->outage_timer, PROBE_MS);
    }
}

static void on_outage_due(struct qp_timer *timer)
{
    struct qp_pool *pool = QP_CONTAINER_OF(timer, struct qp_pool, outage_timer);

    if (pool->outage.is_on)
        dial_in_outage(pool);
}

/* As many dials as there are waiters that no idle stream is for, within the limits. */
static void start_dials(struct qp_pool *pool)
{
    if (pool->outage.is_on) {
        dial_in_outage(pool);
        return;
    }
    while (pool->dial_count < unserved(pool) && pool->dial_count < pool->opts.dials && make_room(pool))
        start_dial(pool);
}

/* Gives how many. Those before this number; with `one` only the first of them. */
static unsigned fail_waiters(struct qp_pool *pool, uint64_t before, bool one, enum qp_result result,
                             const char *detail)
{
    const bool others_answer = is_answering(pool);
    struct qp_list failed;
    unsigned count = 0;

    qp_list_init(&failed);
    QP_LIST_FOR_EACH_SAFE (link, &pool->waiting) {
        struct qp_pool_waiter *waiter = waiter_at(link);
        if (waiter->number >= before || (one && count > 0))
            break;
        if (!is_hopeless(waiter, others_answer))
            continue;
        unqueue(pool, waiter);
        qp_list_append(&failed, &waiter->link);
        count++;
    }
    start_dials(pool); /* for those who are left */
    for (struct qp_list *link; (link = qp_list_shift(&failed)) != NULL;)
        waiter_at(link)->done(waiter_at(link), NULL, result, detail);
    return count;
}

static void on_refuse(struct qp_job *job)
{
    struct qp_pool *pool = QP_CONTAINER_OF(job, struct qp_pool, refuse);

    if (!pool->outage.is_on || !is_slow(pool))
        return;
    qp_count_more(&pool->counters.outage_answers,
                  fail_waiters(pool, UINT64_MAX, false, pool->outage.why, pool->outage.detail));
}

/* ---- the end of a dial ---- */

static void on_dial_failed(struct qp_pool *pool, uint64_t number, enum qp_result result, const char *detail)
{
    struct qp_outage *outage = &pool->outage;
    const bool was_on = outage->is_on;

    qp_count(&pool->counters.dial_failures);
    show_levels(pool);
    qp_outage_note_failure(outage, qp_loop_now_ms(pool->loop), result, detail);
    if (outage->is_on && !was_on)
        qp_count(&pool->counters.outages);
    if (outage->is_on && outage->failures == TOLD_FAILURES)
        qp_log_warn("origin", "no connection to '%.*s' after %u tries (%s: %s): they go on, one at a time",
                    QP_SLICE_FMT(pool->opts.dial.host), TOLD_FAILURES, qp_result_text(result), detail);
    /* In an outage nobody has another dial to hope for. */
    if (outage->is_on && pool->dial_count == 0)
        (void)fail_waiters(pool, UINT64_MAX, false, result, detail);
    else
        (void)fail_waiters(pool, number, qp_outage_is_of_one_connection(result), result, detail);
}

static void end_outage(struct qp_pool *pool)
{
    const unsigned failures = qp_outage_end(&pool->outage);

    qp_timer_disarm(&pool->outage_timer);
    if (failures >= TOLD_FAILURES)
        qp_log_info("origin", "connected to '%.*s' again, after %u failed tries",
                    QP_SLICE_FMT(pool->opts.dial.host), failures);
}

static void on_dialled(void *owner, struct qp_stream *stream, enum qp_result result, const char *detail)
{
    struct attempt *attempt = owner;
    struct qp_pool *pool = attempt->pool;
    const uint64_t number = attempt->number;

    qp_list_remove(&attempt->link);
    qp_free(attempt);
    pool->dial_count--;
    if (!stream) {
        on_dial_failed(pool, number, result, detail);
        return;
    }
    end_outage(pool);
    pool->stream_count++;
    show_levels(pool);
    if (pool->opts.lost_ms > 0)
        qp_socket_keep_alive(qp_stream_fd(stream), pool->opts.lost_ms);
    struct qp_exchange *exchange = qp_exchange_new(pool, pool->loop, stream, &pool->opts.limits);
    struct qp_pool_waiter *waiter = first_waiter(pool, true);
    if (!waiter) {
        qp_pool_take_back(exchange, true, true);
        return;
    }
    unqueue(pool, waiter);
    start_dials(pool);
    give_out(exchange);
    waiter->done(waiter, exchange, QP_OK, NULL);
}

/* ---- idle streams ---- */

static void take_idle(struct qp_exchange *exchange)
{
    qp_list_remove(&exchange->link);
    exchange->is_idle = false;
    exchange->pool->idle_count--;
    show_levels(exchange->pool);
}

/* What the origin says to an idle stream (a 408, an end) may lie in the socket while the loop is still busy with the
 * client's request of the same turn; it must not become that request's answer. Under load no stream rests, and none is
 * looked at. */
static bool has_rested(const struct qp_exchange *exchange)
{
    return qp_loop_now_ms(exchange->loop) - exchange->idle_since_ms >= RESTED_MS;
}

/* To an owner: it is among the taken ones from now on. */
static void give_out(struct qp_exchange *exchange)
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
    show_levels(exchange->pool);
    qp_exchange_free(exchange, polite);
}

static void evict_oldest(struct qp_pool *pool)
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
    const bool is_wanted = first_waiter(pool, !exchange->is_reused) != NULL;

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
    show_levels(pool);
    if (pool->idle_count > pool->opts.idle_streams && !is_wanted)
        evict_oldest(pool);
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
        evict_oldest(pool);
    }
}

/* Only those who wait now are served: one that comes back in its own `done` must not keep the loop here. The origin may have ended the
 * stream right behind its answer, so each is looked at. */
static void on_serve(struct qp_job *job)
{
    struct qp_pool *pool = QP_CONTAINER_OF(job, struct qp_pool, serve);
    const uint64_t until = pool->last_number;
    struct qp_pool_waiter *waiter;

    start_dials(pool);
    while (pool->idle_count > 0 && (waiter = first_waiter(pool, false)) != NULL && waiter->number <= until) {
        struct qp_exchange *exchange = QP_CONTAINER_OF(pool->idle.next, struct qp_exchange, link);
        if (retire_if_moved(exchange))
            continue;
        if (!qp_exchange_probe(exchange)) {
            qp_pool_evict(exchange);
            continue;
        }
        unqueue(pool, waiter);
        give_out(exchange);
        waiter->done(waiter, exchange, QP_OK, NULL);
    }
    start_dials(pool); /* for those whose stream was retired */
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
        give_out(exchange);
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
    show_levels(pool);
    if (pool->idle_count > 0)
        qp_later(pool->loop, &pool->serve);
    start_dials(pool);
    return QP_OK;
}

void qp_pool_cancel(struct qp_pool_waiter *waiter)
{
    if (waiter->pool)
        unqueue(waiter->pool, waiter);
    else if (waiter->link.next) /* set aside with others to be failed, and not yet called */
        qp_list_remove(&waiter->link);
}

void qp_pool_give_back(struct qp_pool *pool)
{
    while (pool->idle_count > 0)
        evict_oldest(pool);
}

static void cancel_dials(struct qp_pool *pool)
{
    for (struct qp_list *link; (link = qp_list_shift(&pool->dialling)) != NULL;) {
        struct attempt *attempt = QP_CONTAINER_OF(link, struct attempt, link);
        qp_dial_cancel(&attempt->dial);
        qp_free(attempt);
    }
    pool->dial_count = 0;
}

static void end(struct qp_pool *pool)
{
    qp_require(pool->stream_count == pool->idle_count);
    pool->opts.waiting = 0;
    (void)fail_waiters(pool, UINT64_MAX, false, QP_SELF_CANCELED, "the pool is closing");
    cancel_dials(pool);
    qp_pool_give_back(pool);
    qp_later_cancel(&pool->serve);
    qp_later_cancel(&pool->refuse);
    qp_timer_deinit(&pool->idle_timer);
    qp_timer_deinit(&pool->watch_timer);
    qp_timer_deinit(&pool->outage_timer);
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
