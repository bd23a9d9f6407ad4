/* pool_test.c - streams kept, dialled, queued for, and thrown out. */
#include "unit/origin/caller.h"

#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ASK "GET / HTTP/1.1\r\nHost: o\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void complete(struct owner *owner, struct wire *origin)
{
    owner_ask(owner, ASK, false);
    wire_send(origin, OK);
    assert_true(owner_run_until(owner, "end\n"));
    qp_exchange_release(&owner->exchange);
}

static void gives_the_most_recent_stream(void **state)
{
    struct owner owners[3] = {0};
    struct wire *origins[3];

    for (unsigned i = 0; i < 3; i++) {
        owner_want(&owners[i], false);
        origins[i] = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owners[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        complete(&owners[i], origins[i]);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 3);
    owner_want(&owners[0], false);
    assert_true(owner_saw(&owners[0], "taken"));
    wire_forget(origins[2]);
    owner_ask(&owners[0], ASK, false);
    assert_true(wire_run_until(origins[2], "GET"));
    assert_int_equal(qp_pool_counters(caller.pool).taken_warm, 1);
    for (unsigned i = 0; i < 3; i++)
        owner_end(&owners[i]);
}

static void throws_out_idle_streams_that_speak_or_die(void **state)
{
    for (unsigned way = 0; way < 3; way++) {
        struct owner owner = {0};
        owner_want(&owner, false);
        struct wire *origin = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owner));
        complete(&owner, origin);
        if (way == 0)
            wire_send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        else if (way == 1)
            wire_end_output(origin);
        else
            wire_reset(origin);
        wire_run_ms(10);
        assert_int_equal(qp_pool_counters(caller.pool).evicted, way + 1);
        assert_int_equal(qp_pool_counters(caller.pool).streams, 0);
        owner_end(&owner);
    }
}

/* What came since the loop last looked. */
static void sees_a_close_before_sending(void **state)
{
    struct owner owner = {0};

    owner_want(&owner, false);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&owner));
    complete(&owner, origin);
    owner_want(&owner, false);
    assert_true(qp_exchange_probe(owner.exchange));
    wire_close(origin);
    assert_false(qp_exchange_probe(owner.exchange));
    owner_end(&owner);
}

static void throws_out_old_idle_streams(void **state)
{
    struct owner owners[2] = {0};
    struct wire *origins[2];

    caller.opts.idle_ms = 100;
    for (unsigned i = 0; i < 2; i++) {
        owner_want(&owners[i], true);
        origins[i] = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owners[i]));
    }
    complete(&owners[0], origins[0]);
    wire_run_ms(60);
    complete(&owners[1], origins[1]);
    assert_true(wire_run_until_end(origins[0]));
    assert_false(origins[1]->ended);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 1);
    assert_true(wire_run_until_end(origins[1]));
    assert_false(origins[1]->reset);
    for (unsigned i = 0; i < 2; i++)
        owner_end(&owners[i]);
}

static void keeps_only_so_many_idle(void **state)
{
    struct owner owners[3] = {0};
    struct wire *origins[3];

    caller.opts.idle_streams = 2;
    for (unsigned i = 0; i < 3; i++) {
        owner_want(&owners[i], true);
        origins[i] = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owners[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        complete(&owners[i], origins[i]);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 2);
    assert_true(wire_run_until_end(origins[0]));
    for (unsigned i = 0; i < 3; i++)
        owner_end(&owners[i]);
}

static void gives_back_what_is_idle(void **state)
{
    struct owner owners[3] = {0};
    struct wire *origins[3];

    for (unsigned i = 0; i < 3; i++) {
        owner_want(&owners[i], true);
        origins[i] = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owners[i]));
    }
    for (unsigned i = 0; i < 2; i++)
        complete(&owners[i], origins[i]);
    qp_pool_give_back(caller.pool);
    qp_pool_give_back(caller.pool);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 0);
    assert_int_equal(qp_pool_counters(caller.pool).streams, 1); /* what is under way goes on */
    assert_true(wire_run_until_end(origins[0]) && wire_run_until_end(origins[1]));
    complete(&owners[2], origins[2]);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 1);
    for (unsigned i = 0; i < 3; i++)
        owner_end(&owners[i]);
}

static void serves_waiters_in_order(void **state)
{
    struct owner owners[4] = {0};

    caller.opts.streams = 1;
    for (unsigned i = 0; i < 4; i++)
        owner_want(&owners[i], false);
    struct wire *origin = wire_accept(caller.listening);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(owner_run_until_given(&owners[i]));
        assert_int_equal(owners[i].order, i + 1);
        assert_int_equal(qp_pool_counters(caller.pool).waiting, 3 - i);
        complete(&owners[i], origin);
        assert_null(i < 3 ? qp_pool_try_take(caller.pool) : NULL);
    }
    assert_int_equal(qp_pool_counters(caller.pool).dials, 1);
    for (unsigned i = 0; i < 4; i++)
        owner_end(&owners[i]);
}

static void limits_the_queue(void **state)
{
    struct owner owners[3] = {0};

    caller.opts.waiting = 2;
    for (unsigned i = 0; i < 3; i++)
        owner_want(&owners[i], false);
    assert_true(owner_saw(&owners[2], "given QP_SELF_BUSY"));
    qp_pool_cancel(&owners[0].waiter);
    qp_pool_cancel(&owners[0].waiter);
    assert_int_equal(qp_pool_wait(caller.pool, &owners[2].waiter, false), QP_OK);
    assert_true(owner_run_until_given(&owners[1]));
    assert_false(owner_saw(&owners[0], "given"));
    for (unsigned i = 0; i < 3; i++)
        owner_end(&owners[i]);
}

static void limits_dials(void **state)
{
    struct owner owners[6] = {0};

    caller.opts.dials = 2;
    for (unsigned i = 0; i < 6; i++)
        owner_want(&owners[i], false);
    assert_int_equal(qp_pool_counters(caller_pool()).dials, 2);
    for (unsigned i = 0; i < 6; i++)
        assert_non_null(wire_accept(caller.listening));
    for (unsigned i = 0; i < 6; i++)
        assert_true(owner_run_until_given(&owners[i]));
    for (unsigned i = 0; i < 6; i++)
        owner_end(&owners[i]);
}

static void gives_a_fresh_stream_to_who_wants_one(void **state)
{
    struct owner first = {0};
    struct owner fresh = {0};
    struct owner plain = {0};

    caller.opts.streams = 2;
    owner_want(&first, false);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&first));
    owner_want(&fresh, true);
    owner_want(&plain, false);
    complete(&first, origin);
    assert_true(owner_run_until_given(&fresh));
    assert_true(owner_run_until_given(&plain));
    assert_false(qp_exchange_is_reused(fresh.exchange));
    assert_true(qp_exchange_is_reused(plain.exchange));
    assert_int_equal(qp_pool_counters(caller.pool).dials, 2);
    owner_end(&first);
    owner_end(&fresh);
    owner_end(&plain);
}

static void makes_room_for_a_fresh_stream(void **state)
{
    struct owner owner = {0};

    caller.opts.streams = 1;
    owner_want(&owner, false);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&owner));
    complete(&owner, origin);
    qp_buf_clear(&owner.diary);
    owner_want(&owner, true);
    assert_non_null(wire_accept(caller.listening));
    assert_true(owner_run_until_given(&owner));
    assert_false(qp_exchange_is_reused(owner.exchange));
    assert_true(wire_run_until_end(origin));
    owner_end(&owner);
}

static void dials_again_when_a_stream_was_not_fit(void **state)
{
    struct owner first = {0};
    struct owner second = {0};

    caller.opts.streams = 1;
    owner_want(&first, false);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&first));
    owner_want(&second, false);
    owner_ask(&first, ASK, false);
    wire_send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_true(owner_run_until(&first, "end\n"));
    qp_exchange_release(&first.exchange);
    assert_non_null(wire_accept(caller.listening));
    assert_true(owner_run_until_given(&second));
    owner_end(&first);
    owner_end(&second);
}

static void answers_all_waiters_when_the_origin_is_down(void **state)
{
    struct owner owners[5] = {0};

    close(caller.listening);
    caller.listening = -1;
    caller.opts.dials = 1;
    for (unsigned i = 0; i < 5; i++)
        owner_want(&owners[i], i % 2 == 1);
    for (unsigned i = 0; i < 5; i++)
        assert_true(owner_run_until(&owners[i], "given QP_NET_REFUSED"));
    assert_int_equal(qp_pool_counters(caller.pool).dial_failures, 1);
    assert_int_equal(qp_pool_counters(caller.pool).waiting, 0);
    for (unsigned i = 0; i < 5; i++)
        owner_end(&owners[i]);
}

static void keeps_a_stream_that_nobody_waits_for_any_more(void **state)
{
    struct owner owner = {0};

    owner_want(&owner, false);
    qp_pool_cancel(&owner.waiter);
    assert_non_null(wire_accept(caller.listening));
    wire_run_ms(50);
    assert_int_equal(qp_pool_counters(caller.pool).idle, 1);
    owner_want(&owner, false);
    assert_true(owner_saw(&owner, "taken"));
    /* Nothing was sent on it, and yet it may have gone stale. */
    assert_true(qp_exchange_is_reused(owner.exchange));
    owner_end(&owner);
}

static void cancels_waiters_and_dials_when_it_closes(void **state)
{
    struct owner owners[2] = {0};

    for (unsigned i = 0; i < 2; i++)
        owner_want(&owners[i], false);
    qp_pool_close(&caller.pool);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(owner_saw(&owners[i], "given QP_SELF_CANCELED"));
        owner_end(&owners[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_begin, caller_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_the_most_recent_stream),
        TEST(throws_out_idle_streams_that_speak_or_die),
        TEST(sees_a_close_before_sending),
        TEST(throws_out_old_idle_streams),
        TEST(gives_back_what_is_idle),
        TEST(keeps_only_so_many_idle),
        TEST(serves_waiters_in_order),
        TEST(limits_the_queue),
        TEST(limits_dials),
        TEST(gives_a_fresh_stream_to_who_wants_one),
        TEST(makes_room_for_a_fresh_stream),
        TEST(dials_again_when_a_stream_was_not_fit),
        TEST(answers_all_waiters_when_the_origin_is_down),
        TEST(keeps_a_stream_that_nobody_waits_for_any_more),
        TEST(cancels_waiters_and_dials_when_it_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
