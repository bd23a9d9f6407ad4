/* isolation_test.c - callers and an origin that do what they like, in any order: each answer is its own request's, and a stream on which
 * anything was amiss carries nothing more.
 *
 * Every request has a number, which its target, its body, its answer's field and its answer's body repeat. The origin's scripted ends
 * check what comes, the callers what they are told. QP_SEED chooses the walk.
 */
#include "unit/origin/caller.h"

#include "base/alloc.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 60, STEPS = 600, USERS = 8, STREAMS = 4, WIRES = 60, TAG_BYTES = 8 };

/* ---- chance ---- */

static uint64_t chance_state;

static unsigned chance(unsigned below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (unsigned)(chance_state % below);
}

static unsigned total_answers;
static unsigned total_reused;
static unsigned last_number;

/* "0000042." */
static struct qp_slice tag(unsigned number)
{
    static char text[TAG_BYTES + 1];

    snprintf(text, sizeof(text), "%07u.", number);
    return qp_slice(text, TAG_BYTES);
}

/* ---- callers ---- */

enum framing { NO_BODY, SIZED, CHUNKED, FRAMINGS };

struct user {
    struct qp_pool_waiter waiter;
    struct qp_exchange *exchange;
    unsigned number; /* of its request; 0: none is under way */
    enum framing framing;
    unsigned tags_left; /* of its body */
    uint64_t got_bytes; /* of the answer's body */
    bool is_waiting;
    bool has_sent; /* the whole request */
    bool has_ended;
    bool is_paused;
};

static struct user users[USERS];

static void leave(struct user *user)
{
    qp_pool_cancel(&user->waiter);
    qp_exchange_release(&user->exchange);
    *user = (struct user){0};
}

static void on_head(void *context, const struct qp_message *head)
{
    struct user *user = context;
    const struct qp_field *field = qp_fields_find_name(&head->fields, QP_SLICE("X-Tag"));

    assert_non_null(field);
    assert_true(qp_slice_is(field->value, tag(user->number)));
}

static void on_body(void *context, struct qp_slice piece)
{
    struct user *user = context;
    const struct qp_slice own = tag(user->number);

    for (size_t i = 0; i < piece.len; i++)
        assert_int_equal(piece.at[i], own.at[(user->got_bytes + i) % TAG_BYTES]);
    user->got_bytes += piece.len;
    if (chance(20) == 0)
        leave(user);
}

static void on_end(void *context)
{
    struct user *user = context;

    total_answers++;
    user->has_ended = true;
    if (user->has_sent || chance(2))
        leave(user);
}

static void on_drained(void *context)
{
    (void)context;
}

static void on_failed(void *context, enum qp_result why, const char *detail)
{
    leave(context);
}

static const struct qp_exchange_events EVENTS = {
    .informed = on_head,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

static void begin(struct user *user)
{
    static const enum qp_body_kind kinds[] = {QP_BODY_NONE, QP_BODY_LENGTH, QP_BODY_CHUNKED};
    const bool is_head = chance(6) == 0;
    char head[128];

    user->number = ++last_number;
    user->framing = is_head ? NO_BODY : (enum framing)chance(FRAMINGS);
    user->tags_left = user->framing == NO_BODY ? 0 : 1 + chance(40);
    total_reused += qp_exchange_is_reused(user->exchange);
    int len = snprintf(head, sizeof(head), "%s /%u HTTP/1.1\r\n",
                       is_head                    ? "HEAD"
                       : user->framing == NO_BODY ? "GET"
                                                  : "POST",
                       user->number);
    if (user->framing == SIZED)
        len += snprintf(head + len, sizeof(head) - (size_t)len, "Content-Length: %u\r\n",
                        user->tags_left * TAG_BYTES);
    if (user->framing == CHUNKED)
        len += snprintf(head + len, sizeof(head) - (size_t)len, "Transfer-Encoding: chunked\r\n");
    len += snprintf(head + len, sizeof(head) - (size_t)len, "\r\n");
    user->has_sent = user->framing == NO_BODY;
    qp_exchange_begin(user->exchange, &EVENTS, user, is_head);
    qp_exchange_send_head(user->exchange, qp_slice(head, (size_t)len), kinds[user->framing]);
}

static void on_given(struct qp_pool_waiter *waiter, struct qp_exchange *exchange, enum qp_result result,
                     const char *detail)
{
    struct user *user = QP_CONTAINER_OF(waiter, struct user, waiter);

    user->is_waiting = false;
    user->exchange = exchange;
    if (exchange && chance(8))
        begin(user);
    else
        leave(user);
}

static void want(struct user *user)
{
    const bool fresh = chance(6) == 0;

    user->waiter.done = on_given;
    user->exchange = fresh ? NULL : qp_pool_try_take(caller_pool());
    if (user->exchange)
        begin(user);
    else
        user->is_waiting = qp_pool_wait(caller_pool(), &user->waiter, fresh) == QP_OK;
}

static void send_more(struct user *user)
{
    for (unsigned some = 1 + chance(10); some > 0 && user->tags_left > 0; some--, user->tags_left--)
        qp_exchange_send_body(user->exchange, tag(user->number));
    if (user->tags_left > 0)
        return;
    qp_exchange_finish_request(user->exchange, NULL);
    user->has_sent = true;
    if (user->has_ended)
        leave(user);
}

static void act(struct user *user)
{
    const unsigned what = chance(12);

    if (user->is_waiting) {
        if (what == 0)
            leave(user);
    } else if (!user->exchange) {
        want(user);
    } else if (what == 0) {
        leave(user);
    } else if (what == 1) {
        user->is_paused ? qp_exchange_resume(user->exchange) : qp_exchange_pause(user->exchange);
        user->is_paused = !user->is_paused;
    } else if (!user->has_sent) {
        send_more(user);
    }
}

/* ---- the origin ---- */

/* One end of a stream there. */
struct end {
    struct wire *wire;
    unsigned number; /* of the request that is being answered; 0: none */
    enum framing framing;
    unsigned body_left; /* bytes of a sized request */
    uint64_t body_seen;
    bool is_head;
    bool has_request; /* whole */
    bool is_answered; /* nothing of the answer is left to send */
    bool is_spent;    /* no further request may come */
    bool cuts;        /* ends when the answer has gone out */
    bool is_over;     /* has ended: what still comes crossed with the end */
    struct qp_buf answer;
};

static struct end ends[WIRES];
static unsigned end_count;

static struct qp_slice unread(const struct end *end)
{
    return qp_buf_slice(&end->wire->in);
}

static void put_tags(struct qp_buf *out, unsigned number, unsigned count)
{
    while (count-- > 0)
        qp_buf_append(out, tag(number));
}

static void put_head(struct end *end, const char *version, const char *status)
{
    qp_buf_append_fmt(&end->answer, "HTTP/%s %s\r\nX-Tag: %.*s\r\n", version, status,
                      QP_SLICE_FMT(tag(end->number)));
}

static void put_chunked(struct end *end, unsigned tags)
{
    qp_buf_append_str(&end->answer, "Transfer-Encoding: chunked\r\n\r\n");
    if (!end->is_head) {
        for (; tags > 0; tags--)
            qp_buf_append_fmt(&end->answer, "%x\r\n%.*s\r\n", TAG_BYTES, QP_SLICE_FMT(tag(end->number)));
        qp_buf_append_str(&end->answer, chance(2) ? "0\r\n\r\n" : "0\r\nX-Trailer: t\r\n\r\n");
    }
}

static void put_sized(struct end *end, unsigned tags)
{
    qp_buf_append_fmt(&end->answer, "Content-Length: %u\r\n\r\n", tags * TAG_BYTES);
    if (!end->is_head)
        put_tags(&end->answer, end->number, tags);
}

/* What comes behind a complete answer, in the same write. */
static void put_stray(struct end *end)
{
    static const char *const strays[] = {
        "HTTP/1.1 200 OK\r\nX-Tag: poison\r\nContent-Length: 6\r\n\r\npoison", "H", "\r\n",
        "HTTP/1.1 408 Late\r\nConnection: close\r\n\r\n", "HTTP/1.1 103 Late\r\n\r\n"};

    end->is_spent = true;
    qp_buf_append_str(&end->answer, strays[chance(sizeof(strays) / sizeof(strays[0]))]);
}

static void compose(struct end *end)
{
    const unsigned tags = chance(30);

    for (unsigned informed = chance(4) == 0 ? 1 + chance(3) : 0; informed > 0; informed--) {
        put_head(end, "1.1", "103 Early Hints");
        qp_buf_append_str(&end->answer, "\r\n");
    }
    switch (chance(10)) {
    case 0:
        put_head(end, "1.1", chance(2) ? "204 No Content" : "304 Not Modified");
        qp_buf_append_str(&end->answer, "\r\n");
        break;
    case 1: /* bytes where none may be */
        put_head(end, "1.1", "204 No Content");
        qp_buf_append_fmt(&end->answer, "Content-Length: %u\r\n\r\n", TAG_BYTES);
        put_tags(&end->answer, end->number, 1);
        end->is_spent = true;
        break;
    case 2:
        put_head(end, "1.0", "200 OK");
        put_sized(end, tags);
        end->is_spent = true;
        break;
    case 3:
        put_head(end, "1.1", "401 No");
        qp_buf_append_str(&end->answer, "Connection: x, close\r\n");
        put_sized(end, tags);
        end->is_spent = true;
        break;
    case 4:
        put_head(end, "1.1", "200 OK");
        qp_buf_append_str(&end->answer, "\r\n");
        put_tags(&end->answer, end->number, end->is_head ? 0 : tags);
        end->is_spent = end->cuts = !end->is_head;
        break;
    case 5:
    case 6:
    case 7:
        put_head(end, "1.1", "200 OK");
        put_chunked(end, tags);
        break;
    default:
        put_head(end, "1.1", "503 Busy");
        put_sized(end, tags);
        break;
    }
    if (!end->cuts && chance(8) == 0)
        put_stray(end);
}

/* The next request's head, if it is there. */
static void read_head(struct end *end)
{
    const struct qp_slice in = unread(end);
    char text[256];
    char *stop;

    if (in.len == 0)
        return;
    assert_false(end->is_spent);
    assert_true(in.len < sizeof(text) || end->number == 0);
    snprintf(text, sizeof(text), "%.*s", QP_SLICE_FMT(in));
    const char *blank = strstr(text, "\r\n\r\n");
    if (!blank)
        return;
    assert_true(text[0] == 'G' || text[0] == 'H' || text[0] == 'P');
    const char *length = strstr(text, "Content-Length: ");
    end->is_head = text[0] == 'H';
    end->number = (unsigned)strtoul(strchr(text, '/') + 1, &stop, 10);
    end->framing = text[0] != 'P' ? NO_BODY : length && length < blank ? SIZED : CHUNKED;
    end->body_left = end->framing == SIZED ? (unsigned)strtoul(length + 16, &stop, 10) : 0;
    end->body_seen = 0;
    end->has_request = end->framing == NO_BODY;
    end->is_answered = false;
    qp_buf_consume(&end->wire->in, (size_t)(blank + 4 - text));
    compose(end);
}

static void check_tags(struct end *end, struct qp_slice bytes)
{
    const struct qp_slice own = tag(end->number);

    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(bytes.at[i], own.at[(end->body_seen + i) % TAG_BYTES]);
    end->body_seen += bytes.len;
    qp_buf_consume(&end->wire->in, bytes.len);
}

/* A caller sends a tag at a time, so a chunk is one. */
static bool read_chunk(struct end *end)
{
    const struct qp_slice in = unread(end);
    const size_t whole = 3 + TAG_BYTES + 2;

    if (in.len >= 5 && memcmp(in.at, "0\r\n\r\n", 5) == 0) {
        qp_buf_consume(&end->wire->in, 5);
        end->has_request = true;
    } else if (in.len >= whole && in.at[0] != '0') {
        assert_memory_equal(in.at, "8\r\n", 3);
        qp_buf_consume(&end->wire->in, 3);
        check_tags(end, qp_slice(in.at + 3, TAG_BYTES));
        qp_buf_consume(&end->wire->in, 2);
        return true;
    }
    return false;
}

static void read_body(struct end *end)
{
    struct qp_slice in = unread(end);

    if (end->framing == CHUNKED) {
        while (read_chunk(end))
            continue;
        return;
    }
    in.len = in.len < end->body_left ? in.len : end->body_left;
    end->body_left -= (unsigned)in.len;
    check_tags(end, in);
    end->has_request = end->body_left == 0;
}

/* The last bytes go out with what lies behind them: what comes later, nobody can tell from an answer. */
static void answer_some(struct end *end)
{
    const struct qp_slice rest = qp_buf_slice(&end->answer);
    const size_t few = rest.len > 150 ? chance(100) : 0;
    const size_t some = few > 0 ? few : rest.len;

    wire_send_bytes(end->wire, rest.at, some);
    qp_buf_consume(&end->answer, some);
    if (qp_buf_len(&end->answer) > 0)
        return;
    end->is_answered = true;
    end->is_over = end->cuts || chance(25) == 0;
    if (end->is_over)
        wire_end_output(end->wire);
}

static void serve(struct end *end)
{
    if (end->wire->fd < 0 || (end->is_over && !end->is_spent))
        return;
    if (end->number == 0) {
        read_head(end);
        return;
    }
    if (!end->has_request)
        read_body(end);
    if (!end->is_answered && (end->has_request || chance(20) == 0) && chance(2))
        answer_some(end);
    if (chance(150) == 0)
        wire_reset(end->wire);
    if (end->has_request && end->is_answered)
        end->number = 0;
}

static void accept_some(void)
{
    struct pollfd listening = {.fd = caller.listening, .events = POLLIN};

    while (end_count < WIRES && poll(&listening, 1, 0) == 1)
        ends[end_count++] = (struct end){.wire = wire_accept(caller.listening)};
}

/* ---- the walk ---- */

static bool at_once(void *context)
{
    (void)context;
    return false;
}

/* A few turns of the loop that wait for nothing; now and then long enough for streams to rest. */
static void run_some(void)
{
    for (unsigned turns = 1 + chance(4); turns > 0; turns--)
        wire_run_while(at_once, NULL);
    if (chance(100) == 0)
        wire_run_ms(15);
}

static void walk_a_round(void)
{
    end_count = 0;
    caller.opts.streams = STREAMS;
    caller.opts.idle_ms = 50 + chance(100);
    for (unsigned i = 0; i < STEPS && end_count < WIRES - STREAMS - 1; i++) {
        for (unsigned k = 0; k < USERS; k++)
            act(&users[k]);
        run_some();
        accept_some();
        for (unsigned k = 0; k < end_count; k++)
            serve(&ends[k]);
    }
    for (unsigned k = 0; k < USERS; k++)
        leave(&users[k]);
    for (unsigned k = 0; k < end_count; k++)
        qp_buf_deinit(&ends[k].answer);
}

static void no_answer_reaches_another_request(void **state)
{
    const char *seed = getenv("QP_SEED");

    chance_state = seed ? strtoull(seed, NULL, 10) : 20261124;
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_int_equal(caller_begin(state), 0);
        walk_a_round();
        assert_int_equal(caller_end(state), 0);
    }
    /* The walk has been where it was to go. */
    assert_true(total_answers > ROUNDS * 10);
    assert_true(total_reused > ROUNDS * 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_answer_reaches_another_request)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
