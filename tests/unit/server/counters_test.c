/* counters_test.c - connections and requests are counted once each, by what became of them. */
#include "unit/server/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct qp_server_counters now(void)
{
    return qp_server_counters(stage.server);
}

/* What counters.h promises. */
static void assert_sums(void)
{
    const struct qp_server_counters c = now();
    uint64_t closed = 0;

    for (unsigned i = 0; i < QP_CLOSED_COUNT; i++)
        closed += c.closed[i];
    assert_int_equal(c.connections_accepted, closed + c.connections_open);
    assert_int_equal(c.heads, c.requests + c.refused + c.unfinished + c.heads_open);
}

static void a_request_counts_from_its_first_byte(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "\r\n");
    wire_run_ms(20);
    assert_int_equal(now().heads, 0);
    wire_send(client, "G");
    wire_run_ms(20);
    assert_int_equal(now().heads_open, 1);
    wire_send(client, "ET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_ms(20);
    assert_int_equal(now().heads_open, 0);
    assert_int_equal(now().requests_open, 1);
    assert_sums();
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("x"));
    wire_run_ms(20);
    assert_int_equal(now().heads, 1);
    assert_int_equal(now().requests, 1);
    assert_int_equal(now().requests_open, 0);
    assert_sums();
}

static void a_client_that_leaves_within_the_head_is_counted(void **state)
{
    struct wire *ending = stage_connect();
    struct wire *breaking = stage_connect();
    struct wire *silent = stage_connect();

    wire_send(ending, "GET /now HTTP/1.1\r\nHo");
    wire_send(breaking, "GET /n");
    wire_run_ms(20);
    wire_close(ending);
    wire_reset(breaking);
    wire_close(silent);
    wire_run_ms(20);
    assert_int_equal(now().heads, 2);
    assert_int_equal(now().refused, 1); /* who ends his side can still be told */
    assert_int_equal(now().unfinished, 1);
    assert_int_equal(now().closed[QP_CLOSED_CLIENT], 3);
    assert_sums();
}

/* The refusal of a request that the handler has already is an answer, but no further request. */
static void a_refusal_is_counted_by_its_status_and_the_request_once(void **state)
{
    static const struct {
        const char *bytes;
        uint64_t refused;
        uint64_t requests;
    } rows[] = {
        {"GET /now HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 1, 0},
        {"TRACE /now HTTP/1.1\r\nHost: a\r\n\r\n", 2, 0},
        {"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET", 3, 0},
        {"POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 3, 1},
        {GET("/now") "GET /now HTTP/1.1\r\nHost : a\r\n\r\n", 4, 2},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = stage_connect();
        wire_send(client, rows[i].bytes);
        assert_true(wire_run_until_end(client));
        assert_int_equal(now().refused, rows[i].refused);
        assert_int_equal(now().requests, rows[i].requests);
        wire_close(client);
        assert_sums();
    }
    const struct qp_server_counters c = now();
    assert_int_equal(c.refusals, 5);
    assert_int_equal(c.refusals_by_status[0], 4); /* 400 */
    assert_int_equal(c.refusals_by_status[1], 1); /* 405 */
    assert_int_equal(c.gone, 1);
    assert_int_equal(c.closed[QP_CLOSED_ANSWERED], 5);
}

static void a_closed_connection_has_one_reason(void **state)
{
    stage_opts()->client_idle_ms = 50;
    struct wire *idle = stage_connect();
    struct wire *last = stage_connect();
    struct wire *cut = stage_connect();
    struct wire *busy = stage_connect();

    wire_send(idle, GET("/now"));
    wire_send(last, "GET /now HTTP/1.0\r\n\r\n");
    wire_send(cut, GET("/abort"));
    wire_send(busy, GET("/hold"));
    assert_true(wire_run_until_end(idle));
    assert_true(wire_run_until_end(last));
    assert_true(wire_run_until_end(cut));
    assert_int_equal(now().closed[QP_CLOSED_IDLE], 1);
    assert_int_equal(now().closed[QP_CLOSED_ANSWERED], 1);
    assert_int_equal(now().closed[QP_CLOSED_CUT], 1);
    assert_int_equal(now().connections_open, 1);
    assert_sums();
    qp_server_drain(stage.server, 20, NULL, NULL);
    assert_true(wire_run_until_end(busy));
    assert_int_equal(now().closed[QP_CLOSED_STOP], 1);
    assert_int_equal(now().gone, 1);
    assert_sums();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_counts_from_its_first_byte, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_within_the_head_is_counted, stage_begin,
                                        stage_end),
        cmocka_unit_test_setup_teardown(a_refusal_is_counted_by_its_status_and_the_request_once, stage_begin,
                                        stage_end),
        cmocka_unit_test_setup_teardown(a_closed_connection_has_one_reason, stage_begin, stage_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
