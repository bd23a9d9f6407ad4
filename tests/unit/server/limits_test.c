/* limits_test.c - time, sizes, numbers of connections, and the drain. */
#include "unit/server/stage.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "server/session.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void answers_a_slow_head_with_408(void **state)
{
    stage_opts()->client_head_ms = 100;
    struct wire *client = stage_connect();
    const uint64_t start_ms = qp_clock_monotonic_ms();

    for (unsigned i = 0; i < 100 && !client->ended; i++) {
        wire_send(client, i == 0 ? "GET /now HTTP/1.1\r\nHost: a\r\nX: " : "x");
        wire_run_ms(10);
    }
    assert_true(wire_run_until_end(client));
    assert_true(qp_clock_monotonic_ms() - start_ms < 400);
    assert_true(wire_has(client, "HTTP/1.1 408 "));
    assert_true(wire_has(client, "X-Qproxy-Error: head_timeout\r\n"));
}

static void limits_the_second_head_too(void **state)
{
    stage_opts()->client_head_ms = 100;
    struct wire *client = stage_connect();

    wire_send(client, GET("/now"));
    assert_true(wire_run_until(client, "now"));
    wire_run_ms(150);
    assert_false(client->ended);
    wire_send(client, "GET /now HT");
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "nowHTTP/1.1 408 "));
}

/* ---- memory ---- */

/* More is held than may be, until the next call; the other way round for `is_short` false. */
static void make_memory(bool is_short)
{
    qp_alloc_set_ceiling(is_short ? 1 : 1ULL << 40);
}

static void while_memory_is_short_nothing_new_is_taken_on(void **state)
{
    stage_opts()->sheds = true;
    struct wire *quiet = stage_connect();
    struct wire *slow = stage_connect();
    struct wire *busy = stage_connect();
    wire_send(quiet, GET("/now"));
    assert_true(wire_run_until(quiet, "now"));
    wire_send(slow, "GET /now HTTP/1.1\r\nHost: a\r\n");
    wire_send(busy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nfour");
    assert_true(wire_run_until(busy, "four"));

    make_memory(true);
    wire_send(quiet, GET("/now"));
    assert_true(wire_run_until_end(quiet));
    assert_true(wire_has(quiet, "HTTP/1.1 503 "));
    assert_true(wire_has(quiet, "X-Qproxy-Error: memory_full\r\n"));
    assert_true(wire_has(quiet, "Retry-After: 1\r\n"));
    wire_send(slow, "X: y\r\n"); /* a head that goes on growing */
    assert_true(wire_run_until_end(slow));
    assert_true(wire_has(slow, "X-Qproxy-Error: memory_full\r\n"));
    struct wire *late = stage_connect();
    wire_send(late, GET("/now"));
    wire_run_ms(250);
    assert_int_equal(qp_buf_len(&late->in), 0); /* nobody has accepted it */
    assert_int_equal(stage.server->warm_count, 0);
    wire_send(busy, "more"); /* what is under way goes on */
    assert_true(wire_run_until(busy, "more"));

    make_memory(false);
    assert_true(wire_run_until(late, "now"));
    qp_alloc_set_ceiling(0);
}

static void a_server_that_does_not_shed_goes_on_without_memory(void **state)
{
    struct wire *client = stage_connect();
    make_memory(true);
    wire_send(client, GET("/now"));
    assert_true(wire_run_until(client, "now"));
    qp_alloc_set_ceiling(0);
}

static void closes_silently_what_never_speaks(void **state)
{
    stage_opts()->client_head_ms = 60;
    struct wire *client = stage_connect();

    assert_true(wire_run_until_end(client));
    assert_int_equal(qp_buf_len(&client->in), 0);
}

static void lets_no_empty_line_move_a_deadline(void **state)
{
    stage_opts()->client_head_ms = 100;
    stage_opts()->client_idle_ms = 100;
    for (unsigned asked = 0; asked < 2; asked++) {
        struct wire *client = stage_connect();
        const uint64_t start_ms = qp_clock_monotonic_ms();

        if (asked) {
            wire_send(client, GET("/now"));
            assert_true(wire_run_until(client, "now"));
        }
        wire_run_ms(70);
        wire_send(client, "\r\n");
        wire_run_ms(20);
        wire_send(client, "\r\n");
        assert_true(wire_run_until_end(client));
        assert_true(qp_clock_monotonic_ms() - start_ms < 160);
        assert_int_equal(wire_count(client, "HTTP/"), asked);
    }
}

static void gives_a_slow_reader_the_end_of_an_answer_though_the_connection_is_idle(void **state)
{
    stage_opts()->client_idle_ms = 40;
    struct wire *client = stage_connect();
    const size_t bytes = (size_t)8 << 20;
    const int small = 4096; /* for the kernel, so that what is pending shrinks in small steps */
    char *body = qp_alloc(bytes);
    char *room = qp_alloc(32768);
    size_t got = 0;

    client->paused = true;
    wire_send(client, GET("/hold"));
    wire_run_ms(10);
    const struct qp_session *session = QP_CONTAINER_OF(stage.server->sessions.next, struct qp_session, link);
    setsockopt(qp_stream_fd(session->stream), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, qp_slice(body, bytes));
    wire_run_ms(10);
    while (session->request) { /* it rests when its stream is no longer full */
        const ssize_t part = recv(client->fd, room, 32768, MSG_DONTWAIT);
        got += part > 0 ? (size_t)part : 0;
        wire_run_ms(1);
    }
    assert_true(qp_stream_pending_bytes(session->stream) > 0);
    wire_run_ms(80);
    client->paused = false;
    assert_true(wire_run_until_end(client));
    assert_false(client->reset);
    assert_true(got + qp_buf_len(&client->in) > bytes);
    qp_free(room);
    qp_free(body);
}

static void closes_idle_connections_silently(void **state)
{
    stage_opts()->client_idle_ms = 60;
    struct wire *client = stage_connect();

    wire_send(client, GET("/now"));
    assert_true(wire_run_until(client, "now"));
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "\r\n\r\nnow") && wire_count(client, "HTTP/") == 1);
    assert_int_equal(qp_server_counters(stage.server).connections_open, 0);
}

static void drops_a_body_that_stands_still(void **state)
{
    stage_opts()->client_body_ms = 500; /* ten times a step: a busy machine makes a step longer */
    struct wire *client = stage_connect();

    wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
    for (unsigned i = 0; i < 12; i++) {
        wire_send(client, "x");
        wire_run_ms(50);
    }
    assert_non_null(stage.held);
    assert_true(wire_run_until_end(client));
    assert_true(stage_saw("gone QP_NET_TIMEOUT"));
    assert_true(wire_has(client, "HTTP/1.1 408 "));
}

static void drops_a_body_that_drips(void **state)
{
    stage_opts()->client_body_ms = 80;
    stage_opts()->body_rate_bytes = 1000;
    struct wire *client = stage_connect();

    wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    for (unsigned i = 0; i < 50 && !client->ended; i++) {
        wire_send(client, "x");
        wire_run_ms(10);
    }
    assert_true(stage_saw("gone QP_NET_TIMEOUT"));
}

/* A handler may resume with every piece: that makes a dripping body no faster. */
static void drops_a_body_that_drips_into_an_eager_handler(void **state)
{
    stage_opts()->client_body_ms = 80;
    stage_opts()->body_rate_bytes = 1000;
    struct wire *client = stage_connect();

    wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    for (unsigned i = 0; i < 50 && !client->ended; i++) {
        wire_send(client, "x");
        wire_run_ms(10);
        if (stage.held)
            qp_request_resume(stage.held);
    }
    assert_true(stage_saw("gone QP_NET_TIMEOUT"));
}

static void waits_for_a_body_that_was_told_to_wait(void **state)
{
    stage_opts()->client_body_ms = 60;
    struct wire *client = stage_connect();

    wire_send(client, "POST /end HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    wire_run_ms(200);
    assert_false(stage_saw("gone"));
    qp_request_inform(stage.held, 100, QP_SLICE_NONE, NULL);
    assert_true(wire_run_until(client, " 100 "));
    qp_request_pause(stage.held);
    wire_run_ms(200);
    assert_false(stage_saw("gone"));
    qp_request_resume(stage.held);
    wire_send(client, "ab");
    assert_true(wire_run_until(client, "2 bytes"));
}

static void drops_a_client_that_does_not_take_its_answer(void **state)
{
    static char block[65536];
    const struct qp_answer head = {.status = 200, .length = QP_LENGTH_UNKNOWN};

    stage_opts()->client_body_ms = 100;
    struct wire *client = stage_connect();
    client->paused = true;
    wire_send(client, GET("/hold"));
    wire_run_ms(20);
    qp_request_respond(stage.held, &head);
    for (unsigned i = 0; i < 1000 && !qp_request_is_full(stage.held); i++)
        qp_request_send(stage.held, qp_slice(block, sizeof(block)));
    wire_run_ms(400);
    assert_true(stage_saw("gone QP_NET_TIMEOUT"));
    assert_int_equal(qp_server_counters(stage.server).connections_open, 0);
    client->paused = false;
    assert_true(wire_run_until_end(client));
    assert_true(client->reset);
}

static void limits_a_body_at_the_byte(void **state)
{
    static const struct {
        const char *rest;
        bool is_fine;
    } rows[] = {
        {"Content-Length: 8\r\n\r\n12345678", true},
        {"Content-Length: 9\r\n\r\n123456789", false},
        {"Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n0\r\n\r\n", true},
        {"Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n", false},
    };
    stage_opts()->body_bytes = 8;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = stage_connect();
        wire_send(client, "POST /end HTTP/1.1\r\nHost: a\r\n");
        wire_send(client, rows[i].rest);
        assert_true(wire_run_until(client, rows[i].is_fine ? "8 bytes" : "HTTP/1.1 413 "));
        if (!rows[i].is_fine)
            assert_true(wire_run_until_end(client));
        wire_close(client);
    }
    assert_true(stage_saw("gone QP_HTTP_TOO_LARGE"));
}

static void limits_connections(void **state)
{
    stage_opts()->connections = 2;
    struct wire *first = stage_connect();
    struct wire *second = stage_connect();
    wire_run_ms(20);
    struct wire *third = stage_connect();

    wire_send(third, GET("/now"));
    wire_run_ms(50);
    assert_int_equal(qp_server_counters(stage.server).connections_open, 2);
    assert_false(wire_has(third, "now"));
    wire_close(first);
    assert_true(wire_run_until(third, "now"));
    wire_send(second, GET("/now"));
    assert_true(wire_run_until(second, "now"));
}

static void limits_connections_per_address(void **state)
{
    stage_opts()->connections_per_address = 2;
    struct wire *first = stage_connect();
    struct wire *second = stage_connect();
    struct wire *third = stage_connect();

    assert_true(wire_run_until_end(third));
    assert_int_equal(qp_server_counters(stage.server).connections_refused, 1);
    wire_close(first);
    wire_run_ms(20);
    third = stage_connect();
    wire_send(third, GET("/now"));
    assert_true(wire_run_until(third, "now"));
    wire_close(second);
}

static void limits_requests_per_connection(void **state)
{
    stage_opts()->requests_per_connection = 2;
    struct wire *client = stage_connect();

    wire_send(client, GET("/now") GET("/now") GET("/now"));
    assert_true(wire_run_until_end(client));
    assert_int_equal(wire_count(client, "\r\n\r\nnow"), 2);
    assert_int_equal(wire_count(client, "Connection: close\r\n"), 1);
    assert_false(client->reset);
}

static unsigned drained_count;

static void on_done(void *context)
{
    assert_ptr_equal(context, &drained_count);
    drained_count++;
}

static void drains(void **state)
{
    struct wire *idle = stage_connect();
    struct wire *busy = stage_connect();

    drained_count = 0;
    wire_send(idle, GET("/now"));
    wire_send(busy, GET("/hold") GET("/now"));
    wire_run_ms(20);
    qp_server_drain(stage.server, 5000, on_done, &drained_count);
    assert_int_equal(drained_count, 0);
    assert_true(wire_run_until_end(idle));
    assert_false(idle->reset);
    assert_false(busy->ended);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("last"));
    assert_true(wire_run_until_end(busy));
    assert_true(wire_has(busy, "\r\n\r\nlast"));
    assert_true(wire_has(busy, "Connection: close\r\n"));
    assert_false(wire_has(busy, "now"));
    wire_run_ms(10);
    assert_int_equal(drained_count, 1);
}

static void cuts_what_does_not_drain(void **state)
{
    struct wire *busy = stage_connect();

    drained_count = 0;
    wire_send(busy, GET("/hold"));
    wire_run_ms(20);
    qp_server_drain(stage.server, 50, on_done, &drained_count);
    assert_true(wire_run_until_end(busy));
    wire_run_ms(10);
    assert_true(stage_saw("gone QP_SELF_CANCELED"));
    assert_int_equal(drained_count, 1);
}

static void drains_at_once_when_nobody_is_there(void **state)
{
    struct wire *client = stage_connect();

    drained_count = 0;
    wire_run_ms(20);
    wire_close(client);
    wire_run_ms(20);
    qp_server_drain(stage.server, 5000, on_done, &drained_count);
    wire_run_ms(20);
    assert_int_equal(drained_count, 1);
}

static void tells_of_requests_when_it_closes(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/hold"));
    wire_run_ms(20);
    qp_server_close(&stage.server);
    assert_true(stage_saw("gone QP_SELF_CANCELED"));
    assert_true(wire_run_until_end(client));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(while_memory_is_short_nothing_new_is_taken_on),
        TEST(a_server_that_does_not_shed_goes_on_without_memory),
        TEST(answers_a_slow_head_with_408),
        TEST(limits_the_second_head_too),
        TEST(closes_silently_what_never_speaks),
        TEST(lets_no_empty_line_move_a_deadline),
        TEST(gives_a_slow_reader_the_end_of_an_answer_though_the_connection_is_idle),
        TEST(closes_idle_connections_silently),
        TEST(drops_a_body_that_stands_still),
        TEST(drops_a_body_that_drips),
        TEST(drops_a_body_that_drips_into_an_eager_handler),
        TEST(waits_for_a_body_that_was_told_to_wait),
        TEST(drops_a_client_that_does_not_take_its_answer),
        TEST(limits_a_body_at_the_byte),
        TEST(limits_connections),
        TEST(limits_connections_per_address),
        TEST(limits_requests_per_connection),
        TEST(drains),
        TEST(cuts_what_does_not_drain),
        TEST(drains_at_once_when_nobody_is_there),
        TEST(tells_of_requests_when_it_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
