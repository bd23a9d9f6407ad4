/* stale_test.c - kept streams that are dead, one or all of them, and what says so. */
#include "unit/origin/caller.h"

#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define ASK "GET / HTTP/1.1\r\nHost: o\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

enum { STREAMS = 4 };

static struct owner owners[STREAMS];
static struct wire *origins[STREAMS];

static void complete(struct owner *owner, struct wire *origin)
{
    owner_ask(owner, ASK, false);
    wire_send(origin, OK);
    assert_true(owner_run_until(owner, "end\n"));
    qp_exchange_release(&owner->exchange);
    qp_buf_clear(&owner->diary);
    wire_forget(origin);
}

static void open_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        owners[i] = (struct owner){0};
        owner_want(&owners[i], true);
        origins[i] = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owners[i]));
    }
}

/* That many kept streams; the last one is the first to be taken. */
static void keep_streams(void)
{
    open_streams();
    for (unsigned i = 0; i < STREAMS; i++)
        complete(&owners[i], origins[i]);
    wire_run_ms(5);
}

/* The most recent one is in use. */
static void use_one(void)
{
    owner_want(&owners[0], false);
    assert_true(qp_exchange_is_reused(owners[0].exchange));
    owner_ask(&owners[0], ASK, false);
    assert_true(wire_run_until(origins[STREAMS - 1], "GET"));
}

static void end_owners(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        owner_end(&owners[i]);
}

static void lets_go_of_all_when_one_is_reset(void **state)
{
    keep_streams();
    use_one();
    wire_reset(origins[STREAMS - 1]);
    assert_true(owner_run_until(&owners[0], "failed QP_NET_RESET"));
    assert_int_equal(qp_pool_counters(caller.pool).stale, 1);
    assert_int_equal(qp_pool_counters(caller.pool).suspected, STREAMS - 1);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 0);
    assert_true(wire_run_until_end(origins[0]));
    end_owners();
}

static void keeps_the_others_when_one_was_ended_in_order(void **state)
{
    keep_streams();
    use_one();
    wire_close(origins[STREAMS - 1]);
    assert_true(owner_run_until(&owners[0], "failed QP_NET_"));
    assert_int_equal(qp_pool_counters(caller.pool).suspected, 0);
    assert_int_equal(qp_pool_counters(caller.pool).idle, STREAMS - 1);
    end_owners();
}

static void keeps_those_that_have_worked_since(void **state)
{
    open_streams();
    for (unsigned i = 0; i < STREAMS - 1; i++)
        complete(&owners[i], origins[i]);
    wire_run_ms(5);
    owner_want(&owners[0], false); /* on the last one that came back */
    owner_ask(&owners[0], ASK, false);
    wire_run_ms(5);
    complete(&owners[STREAMS - 1], origins[STREAMS - 1]);
    wire_reset(origins[STREAMS - 2]);
    assert_true(owner_run_until(&owners[0], "failed QP_NET_RESET"));
    assert_int_equal(qp_pool_counters(caller.pool).suspected, STREAMS - 2);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 1);
    end_owners();
}

static void keeps_all_when_an_answer_was_cut(void **state)
{
    keep_streams();
    use_one();
    wire_send(origins[STREAMS - 1], "HTTP/1.1 200 OK\r\n");
    wire_run_ms(5);
    wire_reset(origins[STREAMS - 1]);
    assert_true(owner_run_until(&owners[0], "failed QP_NET_RESET"));
    assert_int_equal(qp_pool_counters(caller.pool).stale, 0);
    assert_int_equal(qp_pool_counters(caller.pool).idle, STREAMS - 1);
    end_owners();
}

static void lets_go_of_all_when_the_owner_has_waited_in_vain(void **state)
{
    keep_streams();
    use_one();
    qp_exchange_give_up(owners[0].exchange);
    qp_exchange_release(&owners[0].exchange);
    assert_int_equal(qp_pool_counters(caller.pool).suspected, STREAMS - 1);
    assert_int_equal(qp_pool_counters(caller.pool).streams, 0);
    end_owners();
}

static void notices_a_host_that_acknowledges_nothing(void **state)
{
    caller.opts.lost_ms = 200;
    keep_streams();
    for (unsigned i = 0; i < STREAMS; i++)
        caller_deafen(origins[i]->fd);
    owner_want(&owners[0], false);
    owner_ask(&owners[0], ASK, false);
    assert_true(owner_run_until(&owners[0], "failed QP_NET_TIMEOUT"));
    assert_int_equal(qp_pool_counters(caller.pool).stale, 1);
    assert_int_equal(qp_pool_counters(caller.pool).suspected, STREAMS - 1);
    end_owners();
}

/* It is slow, and its host is well. */
static void bears_with_an_origin_that_does_not_read_or_answer(void **state)
{
    static char block[65536];

    caller.opts.lost_ms = 200;
    open_streams();
    origins[0]->paused = true;
    qp_exchange_begin(owners[0].exchange, &owner_events, &owners[0], false);
    qp_exchange_send_head(owners[0].exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_LENGTH);
    while (!qp_exchange_is_full(owners[0].exchange))
        qp_exchange_send_body(owners[0].exchange, qp_slice(block, sizeof(block)));
    owner_ask(&owners[1], ASK, false);
    wire_run_ms(1200);
    assert_false(owner_saw(&owners[0], "failed"));
    assert_false(owner_saw(&owners[1], "failed"));
    assert_int_equal(qp_pool_counters(caller.pool).stale, 0);
    end_owners();
}

/* The end lies behind the answer when the stream is given to who waits. */
static void looks_at_a_stream_before_a_waiter_gets_it(void **state)
{
    struct owner first = {.release_at = "end"};
    struct owner second = {0};

    caller.opts.streams = 1;
    owner_want(&first, false);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&first));
    owner_want(&second, false);
    owner_ask(&first, ASK, false);
    wire_send(origin, OK);
    wire_end_output(origin);
    assert_true(owner_run_until_given(&second));
    assert_false(qp_exchange_is_reused(second.exchange));
    owner_end(&first);
    owner_end(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_begin, caller_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lets_go_of_all_when_one_is_reset),
        TEST(keeps_the_others_when_one_was_ended_in_order),
        TEST(keeps_those_that_have_worked_since),
        TEST(keeps_all_when_an_answer_was_cut),
        TEST(lets_go_of_all_when_the_owner_has_waited_in_vain),
        TEST(notices_a_host_that_acknowledges_nothing),
        TEST(bears_with_an_origin_that_does_not_read_or_answer),
        TEST(looks_at_a_stream_before_a_waiter_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
