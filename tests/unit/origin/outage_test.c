/* outage_test.c - an origin that takes no connections: who is told what, how often it is tried, and how soon it is found again. */
#include "unit/origin/caller.h"

#include "base/alloc.h"
#include "base/check.h"
#include "origin/outage.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ASK "GET / HTTP/1.1\r\nHost: o\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct qp_pool_counters counters(void)
{
    return qp_pool_counters(caller.pool);
}

static void close_origin(void)
{
    close(caller.listening);
    caller.listening = -1;
}

/* At the address where it was. */
static void open_origin(void)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(caller.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;

    caller.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(caller.listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    qp_require(bind(caller.listening, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
               listen(caller.listening, 64) == 0);
}

static void is_refused(struct owner *owner)
{
    owner_want(owner, false);
    assert_true(owner_run_until(owner, "given QP_NET_REFUSED"));
    qp_buf_clear(&owner->diary);
}

static void dials_again_after_a_pause_and_no_earlier(void **state)
{
    struct owner owner = {0};

    close_origin();
    is_refused(&owner);
    assert_int_equal(counters().outages, 1);
    const uint64_t begun_ms = qp_loop_now_ms(caller.loop);
    for (unsigned i = 0; i < 4; i++)
        is_refused(&owner);
    assert_int_equal(counters().dials, 5);
    assert_true(qp_loop_now_ms(caller.loop) - begun_ms >= QP_OUTAGE_FIRST_PAUSE_MS * (1 + 2 + 4 + 8));
    owner_end(&owner);
}

static void dials_once_for_all_who_wait(void **state)
{
    struct owner owners[6] = {0};

    close_origin();
    is_refused(&owners[0]);
    for (unsigned i = 0; i < 6; i++)
        owner_want(&owners[i], i % 2 == 1);
    assert_int_equal(counters().dials, 1);
    for (unsigned i = 0; i < 6; i++)
        assert_true(owner_run_until(&owners[i], "given QP_NET_REFUSED"));
    assert_int_equal(counters().dials, 2);
    assert_int_equal(counters().waiting, 0);
    for (unsigned i = 0; i < 6; i++)
        owner_end(&owners[i]);
}

static void is_over_with_the_first_connection(void **state)
{
    struct owner owners[6] = {0};

    close_origin();
    for (unsigned i = 0; i < 6; i++)
        is_refused(&owners[i]);
    open_origin();
    for (unsigned i = 0; i < 6; i++)
        owner_want(&owners[i], false);
    for (unsigned i = 0; i < 6; i++)
        assert_true(owner_run_until_given(&owners[i]));
    assert_int_equal(counters().streams, 6);
    for (unsigned i = 0; i < 6; i++)
        owner_end(&owners[i]);
}

/* Its listener's queue takes nobody, and nobody is refused. */
static void does_not_wait_long_for_a_dial_that_was_expected_to_fail(void **state)
{
    struct owner first = {0};
    struct owner second = {0};
    struct owner third = {0};

    caller.opts.dial.timeout_ms = 1800;
    caller_deafen(caller.listening);
    owner_want(&first, false);
    assert_true(owner_run_until(&first, "given QP_NET_TIMEOUT"));
    owner_want(&second, false);
    assert_true(owner_run_until(&second, "given QP_NET_TIMEOUT"));
    assert_int_equal(counters().dial_failures, 1);
    owner_want(&third, false);
    wire_run_ms(20);
    assert_true(owner_saw(&third, "given QP_NET_TIMEOUT"));
    assert_int_equal(counters().dials, 2);
    assert_int_equal(counters().outage_answers, 2);
    owner_end(&first);
    owner_end(&second);
    owner_end(&third);
}

/* An origin may take no more connections, and still serve those that it has. */
static void waits_for_other_streams_that_get_answers(void **state)
{
    struct owner users[2] = {0};
    struct owner waiter = {0};
    struct owner fresh = {0};
    struct wire *origins[2];

    for (unsigned i = 0; i < 2; i++) {
        owner_want(&users[i], true);
        origins[i] = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&users[i]));
    }
    owner_ask(&users[0], ASK, false);
    owner_ask(&users[1], ASK, false);
    wire_send(origins[1], OK "x"); /* and is closed for the stray byte */
    assert_true(owner_run_until(&users[1], "end\n"));
    qp_exchange_release(&users[1].exchange);
    close_origin();
    owner_want(&waiter, false);
    owner_want(&fresh, true);
    assert_true(owner_run_until(&fresh, "given QP_NET_REFUSED"));
    wire_run_ms(20);
    assert_false(owner_saw(&waiter, "given"));
    wire_send(origins[0], OK);
    assert_true(owner_run_until(&users[0], "end\n"));
    qp_exchange_release(&users[0].exchange);
    assert_true(owner_run_until_given(&waiter));
    owner_end(&users[0]);
    owner_end(&users[1]);
    owner_end(&waiter);
    owner_end(&fresh);
}

/* They were answered once, and no longer are. */
static void does_not_wait_for_streams_without_end(void **state)
{
    struct owner user = {0};
    struct owner waiter = {0};

    owner_want(&user, true);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&user));
    owner_ask(&user, ASK, false);
    wire_send(origin, OK);
    assert_true(owner_run_until(&user, "end\n"));
    qp_exchange_release(&user.exchange);
    owner_want(&user, false);
    owner_ask(&user, ASK, false);
    close_origin();
    owner_want(&waiter, false);
    wire_run_ms(20);
    assert_false(owner_saw(&waiter, "given"));
    assert_true(owner_run_until(&waiter, "given QP_NET_REFUSED"));
    owner_end(&user);
    owner_end(&waiter);
}

static void doubles_its_pauses_up_to_a_limit(void **state)
{
    struct qp_outage outage = {0};
    uint64_t now_ms = 1000;

    for (unsigned i = 0; i < 10; i++) {
        qp_outage_note_failure(&outage, now_ms, QP_NET_REFUSED, "why");
        assert_true(outage.is_on);
        assert_int_equal(outage.due_ms - now_ms,
                         i < 4 ? QP_OUTAGE_FIRST_PAUSE_MS << i : QP_OUTAGE_LONGEST_PAUSE_MS);
        const uint64_t due_ms = outage.due_ms;
        qp_outage_note_failure(&outage, now_ms, QP_NET_REFUSED, "a dial that was under way");
        assert_int_equal(outage.due_ms, due_ms);
        now_ms = due_ms;
    }
    assert_int_equal(qp_outage_end(&outage), 20);
    assert_false(outage.is_on);
    qp_outage_note_failure(&outage, now_ms, QP_NET_REFUSED, NULL);
    assert_int_equal(outage.due_ms - now_ms, QP_OUTAGE_FIRST_PAUSE_MS);
}

static void takes_some_cuts_for_single_misfortunes(void **state)
{
    struct qp_outage outage = {0};

    for (unsigned i = 0; i < QP_OUTAGE_CUTS; i++) {
        assert_false(outage.is_on);
        qp_outage_note_failure(&outage, 1000, QP_NET_RESET, "cut");
    }
    assert_true(outage.is_on);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_begin, caller_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dials_again_after_a_pause_and_no_earlier),
        TEST(dials_once_for_all_who_wait),
        TEST(is_over_with_the_first_connection),
        TEST(does_not_wait_long_for_a_dial_that_was_expected_to_fail),
        TEST(waits_for_other_streams_that_get_answers),
        TEST(does_not_wait_for_streams_without_end),
        cmocka_unit_test(doubles_its_pauses_up_to_a_limit),
        cmocka_unit_test(takes_some_cuts_for_single_misfortunes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
