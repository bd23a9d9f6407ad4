/* dial.c - from a host name to a ready stream.
 *
 *   start -> RESOLVE -> RACE -> HANDSHAKE -> done
 *               ^        ^          |
 *               |        +----------+-- cut or too slow: the other addresses
 *               +-- every address has failed: once more, if it was not asked a moment ago (perhaps the host has moved)
 *
 * The race (RFC 8305 section 5): attempts start STAGGER_MS apart, or at once when one fails, and run beside each other; who is
 * connected first wins, the others are closed. getaddrinfo() gives both families together, so there is no resolution delay.
 *
 * libuv's connect requests outlive a canceled dial, so each attempt lives in memory of its own.
 */
#include "net/dial.h"

#include "base/alloc.h"
#include "net/resolve.h"
#include "net/stream_impl.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    STAGGER_MS = 250, /* RFC 8305 section 8: the recommended connection attempt delay */
    SIDE_BY_SIDE = 8, /* attempts at a time; the oldest, then two seconds old, makes room for more */
    RESOLVE_MS = 30 * 1000,
    LEAST_THREADS = 4, /* libuv's own default */
    MOST_THREADS = 32  /* some 10 KiB each, once a name is looked up */
};

struct qp_dialer {
    struct qp_loop *loop;
    uint32_t timeout_ms;
    uint32_t handshake_ms;
    struct qp_tls *tls; /* NULL: plain */
    struct qp_resolver *resolver;
    unsigned dial_count;
};

/* One address that is being connected to. */
struct attempt {
    struct qp_list link; /* in the dial's list */
    uv_connect_t request;
    struct qp_dial *dial; /* NULL: given up */
    struct qp_stream *stream;
    unsigned index; /* of the address */
};

/* What a dial knows of an address. */
enum { UNTRIED, UNDER_WAY, FAILED };

struct qp_dial {
    struct qp_dialer *dialer;
    const struct qp_dial_events *events;
    void *owner;
    struct qp_job begin;
    struct qp_resolver_waiter waiter;
    struct qp_timer limit;   /* for all */
    struct qp_timer stagger; /* to the next attempt */
    struct qp_timer handshake;
    struct qp_answer *answer; /* NULL: not resolved yet */
    uint8_t *marks;           /* what is known of each of its addresses */
    struct qp_list attempts;  /* oldest first */
    unsigned attempt_count;
    struct qp_stream *stream; /* connected, in its handshake */
    unsigned index;           /* of its address */
    unsigned fault_count;
    bool has_renewed;   /* the resolver was asked a second time */
    bool is_out_of_fds; /* no more attempts: each would need one */
    enum qp_result last_fault;
    char detail[224];
};

static void go_on(struct qp_dial *dial);

/* --- dialers --- */

void qp_dial_expect(unsigned dialers)
{
    char size[16];
    /* libuv gives half of them to the resolver. */
    unsigned threads = dialers < MOST_THREADS / 2 ? 2 * dialers : MOST_THREADS;

    snprintf(size, sizeof(size), "%u", threads < LEAST_THREADS ? LEAST_THREADS : threads);
    setenv("UV_THREADPOOL_SIZE", size, 0);
}

struct qp_dialer *qp_dialer_new(struct qp_loop *loop, const struct qp_dialer_opts *opts)
{
    struct qp_dialer *dialer = qp_alloc(sizeof(*dialer));

    dialer->loop = loop;
    dialer->timeout_ms = opts->timeout_ms;
    dialer->handshake_ms = opts->handshake_ms;
    dialer->resolver =
        qp_resolver_new(loop, opts->host, opts->port, opts->resolve_ms > 0 ? opts->resolve_ms : RESOLVE_MS);
    if (opts->trust)
        dialer->tls = qp_tls_client_new(loop, opts->trust, opts->host);
    return dialer;
}

void qp_dialer_free(struct qp_dialer **slot)
{
    struct qp_dialer *dialer = *slot;

    *slot = NULL;
    if (!dialer)
        return;
    qp_require(dialer->dial_count == 0);
    qp_resolver_free(&dialer->resolver);
    qp_tls_free(&dialer->tls);
    qp_free(dialer);
}

struct qp_tls_counters qp_dialer_tls_counters(const struct qp_dialer *dialer)
{
    return dialer->tls ? qp_tls_counters(dialer->tls) : (struct qp_tls_counters){0};
}

bool qp_dialer_is_current(struct qp_dialer *dialer, const struct qp_stream *stream, uint32_t *mark)
{
    const struct qp_answer *answer = qp_resolver_peek(dialer->resolver);
    const uint32_t epoch = qp_resolver_epoch(dialer->resolver);
    struct qp_address at = {.len = sizeof(at.u)};

    if (*mark == epoch || !answer)
        return true;
    if (getpeername(qp_stream_fd(stream), &at.u.any, &at.len) == 0 && !qp_answer_has(answer, &at))
        return false;
    *mark = epoch; /* a stream that has died meanwhile is not for us to find */
    return true;
}

/* --- the end of a dial --- */

/* Closes its stream, and lets libuv end its request. */
static void drop_attempt(struct attempt *attempt)
{
    attempt->dial->attempt_count--;
    qp_list_remove(&attempt->link);
    attempt->dial = NULL;
    qp_stream_close(&attempt->stream, false);
}

static void drop_attempts(struct qp_dial *dial, uint8_t mark)
{
    while (dial->attempt_count > 0) {
        struct attempt *attempt = QP_CONTAINER_OF(dial->attempts.next, struct attempt, link);
        dial->marks[attempt->index] = mark;
        drop_attempt(attempt);
    }
}

/* Everything but a stream that is handed out. */
static void free_dial(struct qp_dial *dial)
{
    dial->dialer->dial_count--;
    qp_later_cancel(&dial->begin);
    qp_resolver_cancel(&dial->waiter);
    qp_timer_deinit(&dial->limit);
    qp_timer_deinit(&dial->stagger);
    qp_timer_deinit(&dial->handshake);
    drop_attempts(dial, FAILED);
    qp_stream_close(&dial->stream, false);
    qp_answer_drop(&dial->answer);
    qp_free(dial->marks);
    qp_free(dial);
}

static void succeed(struct qp_dial *dial)
{
    const struct qp_dial_events *events = dial->events;
    struct qp_stream *stream = dial->stream;
    void *owner = dial->owner;

    dial->stream = NULL;
    qp_stream_set_owner(stream, NULL, NULL);
    free_dial(dial);
    events->done(owner, stream, QP_OK, "");
}

static void give_up(struct qp_dial *dial, enum qp_result why)
{
    const struct qp_dial_events *events = dial->events;
    void *owner = dial->owner;
    char detail[sizeof(dial->detail) + 48];
    char others[48] = "";

    if (dial->fault_count > 1)
        snprintf(others, sizeof(others), "; %u other attempts failed before", dial->fault_count - 1);
    snprintf(detail, sizeof(detail), "%s%s", dial->detail, others);
    free_dial(dial);
    events->done(owner, NULL, why, detail);
}

void qp_dial_cancel(struct qp_dial **slot)
{
    struct qp_dial *dial = *slot;

    *slot = NULL;
    if (dial)
        free_dial(dial);
}

/* The attempt at this address failed. */
static void note_fault(struct qp_dial *dial, unsigned index, enum qp_result why, const char *words)
{
    char where[80];

    dial->marks[index] = FAILED;
    dial->fault_count++;
    dial->last_fault = why;
    qp_address_format(&dial->answer->at[index], where, sizeof(where));
    snprintf(dial->detail, sizeof(dial->detail), "%s (%s): %s", qp_resolver_host(dial->dialer->resolver),
             where, words);
}

/* --- the handshake --- */

static void never_data(void *owner, struct qp_slice bytes)
{
    (void)owner;
    (void)bytes;
}

static void never_end(void *owner)
{
    (void)owner; /* a close_notify in a handshake is a fault */
}

static void never_drained(void *owner)
{
    (void)owner;
}

/* The stream at hand is of no use; words may lie in it. */
static void fail_handshake(struct qp_dial *dial, enum qp_result why, const char *words)
{
    note_fault(dial, dial->index, why, words);
    qp_timer_disarm(&dial->handshake);
    qp_stream_close(&dial->stream, false);
    if (dial->answer->preferred == dial->index)
        dial->answer->preferred = 0;
    if (why == QP_NET_TLS || why == QP_NET_TLS_VERIFY)
        give_up(dial, why); /* another address may be in better health, but it would show the same */
    else
        go_on(dial);
}

static void on_failed(void *owner, enum qp_result why)
{
    struct qp_dial *dial = owner;
    const char *words = qp_stream_tls_detail(dial->stream);

    if (why == QP_NET_TRUNCATED || why == QP_NET_RESET) {
        why = QP_NET_RESET;
        words = "closed during the TLS handshake";
    }
    fail_handshake(dial, why, *words ? words : qp_result_text(why));
}

static const struct qp_stream_events handshake_events = {
    .data = never_data,
    .end = never_end,
    .drained = never_drained,
    .failed = on_failed,
};

static void on_handshake_limit(struct qp_timer *timer)
{
    fail_handshake(QP_CONTAINER_OF(timer, struct qp_dial, handshake), QP_NET_TLS_TIMEOUT,
                   "no TLS handshake in time");
}

static void on_ready(void *owner)
{
    succeed(owner);
}

/* --- the race --- */

/* The next address to try, or the number of addresses. */
static unsigned next_address(const struct qp_dial *dial)
{
    const unsigned count = dial->answer->count;
    unsigned index = dial->answer->preferred;

    if (dial->is_out_of_fds)
        return count;
    if (dial->marks[index] == UNTRIED)
        return index;
    for (index = 0; index < count && dial->marks[index] != UNTRIED;)
        index++;
    return index;
}

/* What an attempt leaves when it has won. */
static void on_won(struct qp_dial *dial, struct qp_stream *stream, unsigned index)
{
    const struct qp_dialer *dialer = dial->dialer;

    dial->stream = stream;
    dial->index = index;
    /* Those before it did not answer at once; until the next answer they are spared that question. */
    dial->answer->preferred = index;
    drop_attempts(dial, UNTRIED);
    qp_timer_disarm(&dial->stagger);
    if (!dialer->tls) {
        succeed(dial);
        return;
    }
    if (dialer->handshake_ms > 0)
        qp_timer_arm(dialer->loop, &dial->handshake, dialer->handshake_ms);
    qp_stream_set_owner(stream, &handshake_events, dial);
    qp_stream_start_tls(stream, dialer->tls, on_ready);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct attempt *attempt = QP_CONTAINER_OF(request, struct attempt, request);
    struct qp_dial *dial = attempt->dial;
    struct qp_stream *stream = attempt->stream;
    const unsigned index = attempt->index;

    if (dial) {
        dial->attempt_count--;
        qp_list_remove(&attempt->link);
    }
    qp_free(attempt);
    if (!dial)
        return;
    if (status == 0) {
        on_won(dial, stream, index);
        return;
    }
    qp_stream_close(&stream, false);
    note_fault(dial, index, qp_net_result(status), uv_strerror(status));
    go_on(dial);
}

static int start_attempt(struct qp_dial *dial, unsigned index)
{
    struct attempt *attempt = qp_alloc(sizeof(*attempt));

    attempt->stream = qp_stream_new_tcp(dial->dialer->loop);
    attempt->index = index;
    int error = uv_tcp_connect(&attempt->request, &attempt->stream->uv.tcp, &dial->answer->at[index].u.any,
                               on_connected);
    if (error != 0) {
        qp_stream_close(&attempt->stream, false);
        qp_free(attempt);
        return error;
    }
    dial->marks[index] = UNDER_WAY;
    attempt->dial = dial;
    qp_list_append(&dial->attempts, &attempt->link);
    dial->attempt_count++;
    return 0;
}

static void make_room(struct qp_dial *dial)
{
    struct attempt *oldest = QP_CONTAINER_OF(dial->attempts.next, struct attempt, link);

    if (dial->attempt_count < SIDE_BY_SIDE)
        return;
    note_fault(dial, oldest->index, QP_NET_TIMEOUT, "no answer in time");
    drop_attempt(oldest);
}

/* Every address has failed. */
static void on_exhausted(struct qp_dial *dial)
{
    if (!dial->has_renewed && !dial->is_out_of_fds &&
        qp_resolver_renew(dial->dialer->resolver, &dial->waiter)) {
        dial->has_renewed = true;
        return;
    }
    give_up(dial, dial->last_fault);
}

/* Starts the next attempt. From the top of the loop only: it may end the dial. */
static void go_on(struct qp_dial *dial)
{
    unsigned index;

    qp_timer_disarm(&dial->stagger);
    while ((index = next_address(dial)) < dial->answer->count) {
        make_room(dial);
        int error = start_attempt(dial, index);
        if (error == 0) {
            if (next_address(dial) < dial->answer->count)
                qp_timer_arm(dial->dialer->loop, &dial->stagger, STAGGER_MS);
            return;
        }
        const bool is_out_of_fds = qp_net_result(error) == QP_NET_DESCRIPTORS;
        if (is_out_of_fds && qp_stream_end_settled(dial->dialer->loop))
            continue;
        note_fault(dial, index, qp_net_result(error), uv_strerror(error));
        dial->is_out_of_fds = is_out_of_fds;
    }
    if (dial->attempt_count == 0)
        on_exhausted(dial);
}

static void on_stagger(struct qp_timer *timer)
{
    go_on(QP_CONTAINER_OF(timer, struct qp_dial, stagger));
}

/* --- from the start to the race --- */

/* Those that have failed already are not tried again. */
static void race(struct qp_dial *dial, struct qp_answer *answer)
{
    uint8_t *marks = qp_alloc(answer->count);

    for (unsigned i = 0; i < answer->count; i++)
        marks[i] = dial->answer && qp_answer_has(dial->answer, &answer->at[i]) ? FAILED : UNTRIED;
    qp_answer_hold(answer);
    qp_answer_drop(&dial->answer);
    qp_free(dial->marks);
    dial->answer = answer;
    dial->marks = marks;
    go_on(dial);
}

static void on_unresolved(struct qp_dial *dial, enum qp_result why, const char *detail)
{
    if (dial->answer) { /* what the addresses said is more to the point */
        give_up(dial, dial->last_fault);
        return;
    }
    snprintf(dial->detail, sizeof(dial->detail), "%s", detail);
    give_up(dial, why);
}

static void on_resolved(struct qp_resolver_waiter *waiter, struct qp_answer *answer, enum qp_result result,
                        const char *detail)
{
    struct qp_dial *dial = QP_CONTAINER_OF(waiter, struct qp_dial, waiter);

    if (result == QP_OK)
        race(dial, answer);
    else
        on_unresolved(dial, result, detail);
}

static void on_begin(struct qp_job *job)
{
    struct qp_dial *dial = QP_CONTAINER_OF(job, struct qp_dial, begin);
    struct qp_answer *answer;
    const char *detail;
    enum qp_result result = qp_resolver_get(dial->dialer->resolver, &dial->waiter, &answer, &detail);

    if (result == QP_OK)
        race(dial, answer);
    else if (result != QP_AGAIN)
        on_unresolved(dial, result, detail);
}

static void on_limit(struct qp_timer *timer)
{
    struct qp_dial *dial = QP_CONTAINER_OF(timer, struct qp_dial, limit);

    if (!dial->answer) {
        snprintf(dial->detail, sizeof(dial->detail), "%s: no answer from the resolver in time",
                 qp_resolver_host(dial->dialer->resolver));
        give_up(dial, QP_NET_RESOLVE);
        return;
    }
    if (dial->stream)
        note_fault(dial, dial->index, QP_NET_TIMEOUT, "no TLS handshake in time");
    else if (dial->attempt_count > 0)
        note_fault(dial, QP_CONTAINER_OF(dial->attempts.next, struct attempt, link)->index, QP_NET_TIMEOUT,
                   "no answer in time");
    give_up(dial, dial->last_fault);
}

struct qp_dial *qp_dial_start(struct qp_dialer *dialer, const struct qp_dial_events *events, void *owner)
{
    struct qp_dial *dial = qp_alloc(sizeof(*dial));

    qp_loop_check(dialer->loop);
    dialer->dial_count++;
    dial->dialer = dialer;
    dial->events = events;
    dial->owner = owner;
    qp_list_init(&dial->waiter.link);
    dial->waiter.done = on_resolved;
    qp_list_init(&dial->attempts);
    qp_timer_init(&dial->stagger, on_stagger);
    qp_timer_init(&dial->handshake, on_handshake_limit);
    qp_timer_init(&dial->limit, on_limit);
    qp_timer_arm(dialer->loop, &dial->limit, dialer->timeout_ms);
    qp_job_init(&dial->begin, on_begin);
    qp_later(dialer->loop, &dial->begin);
    return dial;
}
