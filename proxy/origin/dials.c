/* dials.c - who waits for a stream, the dials that are made for them, and an outage, in which there is but one. */
#include "base/alloc.h"
#include "base/log.h"
#include "origin/pool_impl.h"
#include "origin/socket.h"

enum {
    PROBE_MS = 1000, /* so long a dial in an outage is waited for */
    ANSWERING_MS =
        1000, /* an origin that has answered within that time is not down, whatever became of a dial */
    TOLD_FAILURES = 3 /* from so many failed dials on the log hears of the outage and of its end */
};

/* One dial that is running. */
struct attempt {
    struct qp_list link;
    struct qp_pool *pool;
    struct qp_dial *dial;
    uint64_t number;
};

static void on_dialled(void *owner, struct qp_stream *stream, enum qp_result result, const char *detail);

static const struct qp_dial_events dial_events = {.done = on_dialled};

/* ---- waiters ---- */

static struct qp_pool_waiter *waiter_at(struct qp_list *link)
{
    return QP_CONTAINER_OF(link, struct qp_pool_waiter, link);
}

void qp_pool_unqueue(struct qp_pool *pool, struct qp_pool_waiter *waiter)
{
    qp_list_remove(&waiter->link);
    waiter->pool = NULL;
    pool->waiting_count--;
    pool->fresh_count -= waiter->fresh;
    qp_pool_show_levels(pool);
}

struct qp_pool_waiter *qp_pool_first_waiter(struct qp_pool *pool, bool is_fresh)
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
    qp_pool_show_levels(pool);
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
        qp_pool_evict_oldest(pool);
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

void qp_pool_start_dials(struct qp_pool *pool)
{
    if (pool->outage.is_on) {
        dial_in_outage(pool);
        return;
    }
    while (pool->dial_count < unserved(pool) && pool->dial_count < pool->opts.dials && make_room(pool))
        start_dial(pool);
}

unsigned qp_pool_fail_waiters(struct qp_pool *pool, uint64_t before, bool one, enum qp_result result,
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
        qp_pool_unqueue(pool, waiter);
        qp_list_append(&failed, &waiter->link);
        count++;
    }
    qp_pool_start_dials(pool); /* for those who are left */
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
                  qp_pool_fail_waiters(pool, UINT64_MAX, false, pool->outage.why, pool->outage.detail));
}

/* ---- the end of a dial ---- */

static void on_dial_failed(struct qp_pool *pool, uint64_t number, enum qp_result result, const char *detail)
{
    struct qp_outage *outage = &pool->outage;
    const bool was_on = outage->is_on;

    qp_count(&pool->counters.dial_failures);
    qp_pool_show_levels(pool);
    qp_outage_note_failure(outage, qp_loop_now_ms(pool->loop), result, detail);
    if (outage->is_on && !was_on)
        qp_count(&pool->counters.outages);
    if (outage->is_on && outage->failures == TOLD_FAILURES)
        qp_log_warn("origin", "no connection to '%.*s' after %u tries (%s: %s): they go on, one at a time",
                    QP_SLICE_FMT(pool->opts.dial.host), TOLD_FAILURES, qp_result_text(result), detail);
    /* In an outage nobody has another dial to hope for. */
    if (outage->is_on && pool->dial_count == 0)
        (void)qp_pool_fail_waiters(pool, UINT64_MAX, false, result, detail);
    else
        (void)qp_pool_fail_waiters(pool, number, qp_outage_is_of_one_connection(result), result, detail);
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
    qp_pool_show_levels(pool);
    if (pool->opts.lost_ms > 0)
        qp_socket_keep_alive(qp_stream_fd(stream), pool->opts.lost_ms);
    struct qp_exchange *exchange = qp_exchange_new(pool, pool->loop, stream, &pool->opts.limits);
    struct qp_pool_waiter *waiter = qp_pool_first_waiter(pool, true);
    if (!waiter) {
        qp_pool_take_back(exchange, true, true);
        return;
    }
    qp_pool_unqueue(pool, waiter);
    qp_pool_start_dials(pool);
    qp_pool_give_out(exchange);
    waiter->done(waiter, exchange, QP_OK, NULL);
}

/* ---- begin and end ---- */

void qp_pool_init_dials(struct qp_pool *pool)
{
    qp_list_init(&pool->waiting);
    qp_list_init(&pool->dialling);
    qp_timer_init(&pool->outage_timer, on_outage_due);
    qp_job_init(&pool->refuse, on_refuse);
}

void qp_pool_end_dials(struct qp_pool *pool)
{
    for (struct qp_list *link; (link = qp_list_shift(&pool->dialling)) != NULL;) {
        struct attempt *attempt = QP_CONTAINER_OF(link, struct attempt, link);
        qp_dial_cancel(&attempt->dial);
        qp_free(attempt);
    }
    pool->dial_count = 0;
    qp_later_cancel(&pool->refuse);
    qp_timer_deinit(&pool->outage_timer);
}
