/* session_test.c - requests in, in order, until the connection ends. */
#include "unit/server/stage.h"

#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void keeps_the_connection_for_the_next_request(void **state)
{
    struct wire *client = stage_connect();

    for (unsigned i = 1; i <= 3; i++) {
        wire_forget(client);
        wire_send(client, GET("/now"));
        assert_true(wire_run_until(client, "\r\n\r\nnow"));
        assert_true(wire_has(client, "HTTP/1.1 200 OK\r\n"));
        assert_true(wire_has(client, "Content-Length: 3\r\n"));
        assert_true(wire_has(client, "\r\nDate: "));
        assert_false(wire_has(client, "Connection:"));
    }
    assert_int_equal(qp_server_counters(stage.server).requests, 3);
    assert_int_equal(qp_server_counters(stage.server).connections_accepted, 1);
    assert_int_equal(qp_server_counters(stage.server).requests_open, 0);
}

static void hands_over_what_the_client_said(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "GET http://evil.example/a%2Fb//../c?x=1 HTTP/1.1\r\nHost: good:1\r\n\r\n");
    wire_send(client, GET("/now"));
    wire_run_ms(30);
    assert_true(stage_saw("head GET /a%2Fb//../c?x=1\nend\n"));
    assert_true(qp_slice_is(qp_request_authority(stage.held), QP_SLICE("good:1")));
    assert_true(qp_slice_starts(qp_request_client(stage.held), QP_SLICE("127.0.0.1:")));
    assert_int_equal(qp_request_listener_id(stage.held), 7);
    assert_int_equal(qp_request_number(stage.held), 1);
    assert_true(qp_request_has_ended(stage.held));
    assert_false(stage_saw("/now"));
    qp_request_reply(stage.held, 200, "text/plain", QP_SLICE_NONE, QP_SLICE("first"));
    assert_true(wire_run_until(client, "now"));
}

static void reduces_every_form_of_target(void **state)
{
    static const struct {
        const char *line;
        const char *seen;
    } rows[] = {
        {"GET http://a HTTP/1.1", "head GET /\n"},          {"GET http://a?q HTTP/1.1", "head GET /?q\n"},
        {"OPTIONS * HTTP/1.1", "head OPTIONS *\n"},         {"OPTIONS http://a HTTP/1.1", "head OPTIONS *\n"},
        {"OPTIONS http://a/ HTTP/1.1", "head OPTIONS /\n"}, {"GET /? HTTP/1.1", "head GET /?\n"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = stage_connect();
        wire_send(client, rows[i].line);
        wire_send(client, "\r\nHost: a\r\n\r\n");
        wire_run_ms(20);
        assert_true(stage_saw(rows[i].seen));
        wire_reset(client);
        wire_run_ms(10);
        qp_buf_clear(&stage.diary);
    }
}

static void answers_pipelined_requests_in_order(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/hold") GET("/now") GET("/hold") GET("/now"));
    wire_run_ms(20);
    assert_string_equal(stage_diary(), "head GET /hold\nend\n");
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("one"));
    wire_run_ms(20);
    assert_true(wire_has(client, "one"));
    assert_int_equal(wire_count(client, "now"), 1);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("three"));
    wire_run_ms(20);
    assert_int_equal(wire_count(client, "now"), 2);
    assert_true(strstr(wire_text(client), "one") < strstr(wire_text(client), "now"));
    assert_true(strstr(wire_text(client), "now") < strstr(wire_text(client), "three"));
}

static void takes_a_thousand_pipelined_requests(void **state)
{
    struct wire *client = stage_connect();

    for (unsigned i = 0; i < 1000; i++)
        wire_send(client,
                  i % 2 ? GET("/now") : "POST /end HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    wire_send(client, "GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(wire_run_until_end(client));
    assert_int_equal(wire_count(client, "now"), 501);
    assert_int_equal(wire_count(client, "4 bytes"), 500);
}

static void takes_a_request_cut_at_every_byte(void **state)
{
    static const char request[] = "POST /end HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n";
    struct wire *client = stage_connect();

    for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
        wire_forget(client);
        qp_buf_clear(&stage.body);
        wire_send_bytes(client, request, cut);
        wire_run_ms(1);
        wire_send_bytes(client, request + cut, sizeof(request) - 1 - cut);
        assert_true(wire_run_until(client, "\r\n\r\n5 bytes"));
        assert_true(qp_slice_is(qp_buf_slice(&stage.body), QP_SLICE("abcde")));
    }
}

static void refuses_and_parses_nothing_behind(void **state)
{
    static const struct {
        const char *request;
        const char *status;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", " 400 "},
        {"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", " 400 "},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", " 400 "},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", " 405 "},
        {"Trace / HTTP/1.1\r\nHost: a\r\n\r\n", " 405 "},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", " 405 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", " 400 "},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", " 505 "},
        {"rubbish\r\n\r\n", " "},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = stage_connect();
        wire_send(client, GET("/now"));
        wire_send(client, rows[i].request);
        wire_send(client, GET("/hold"));
        assert_true(wire_run_until_end(client));
        assert_false(client->reset);
        assert_int_equal(wire_count(client, "HTTP/1.1 "), 2);
        assert_true(wire_has(client, "nowHTTP/1.1 "));
        assert_true(wire_has(client, rows[i].status));
        assert_true(wire_has(client, "\r\nX-Qproxy-Error: "));
        assert_true(wire_has(client, "{\"code\":\""));
        assert_true(wire_has(client, "\r\nConnection: close\r\n"));
        assert_true(!wire_has(client, " 405 ") || wire_has(client, "\r\nAllow: GET, HEAD"));
        assert_false(stage_saw("/hold"));
        wire_close(client);
    }
    assert_int_equal(qp_server_counters(stage.server).refusals, sizeof(rows) / sizeof(rows[0]));
}

static void answers_a_broken_chunk_and_tells_the_handler(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client,
              "POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX" GET("/now"));
    assert_true(wire_run_until_end(client));
    assert_true(stage_saw("gone QP_HTTP_MALFORMED\n"));
    assert_true(wire_has(client, "HTTP/1.1 400 "));
    assert_false(stage_saw("/now"));
}

static void cuts_an_answer_that_a_broken_chunk_meets(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nXX");
    assert_true(wire_run_until_end(client));
    assert_true(client->reset);
    assert_false(wire_has(client, "\r\n0\r\n"));
    assert_true(stage_saw("gone QP_HTTP_MALFORMED\n"));
}

static void speaks_1_0_to_1_0_clients(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(wire_run_until(client, "\r\n\r\nnow"));
    assert_true(wire_has(client, "Connection: keep-alive\r\n"));
    wire_forget(client);
    wire_send(client, "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(wire_run_until_end(client));
    assert_false(client->reset);
    assert_true(wire_has(client, "\r\n\r\nhello"));
    assert_true(wire_has(client, "Connection: close\r\n"));
    assert_false(wire_has(client, "Transfer-Encoding"));

    client = stage_connect();
    wire_send(client, "GET /now HTTP/1.0\r\n\r\n");
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "\r\n\r\nnow"));
    assert_true(wire_has(client, "Connection: close\r\n"));
}

static void knows_where_a_1_0_client_connected_to(void **state)
{
    struct wire *client = stage_connect();
    char expected[32];

    wire_send(client, "GET /hold HTTP/1.0\r\n\r\n");
    wire_run_ms(20);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", stage.port);
    assert_true(qp_slice_is(qp_request_authority(stage.held), qp_slice_str(expected)));
    qp_request_abort(stage.held);
    assert_true(wire_run_until_end(client));
}

static void echoes_chunks_and_trailers(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\nContent-Type: x\r\n\r\n");
    assert_true(wire_run_until(client, "\r\n0\r\nX-Sum: 1\r\n\r\n"));
    assert_true(wire_has(client, "Transfer-Encoding: chunked\r\n"));
    assert_true(wire_has(client, "5\r\nhello\r\n10\r\n0123456789abcdef\r\n"));
    assert_false(wire_has(client, "Content-Type: x"));
}

static void discards_a_small_rest_and_goes_on(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_true(wire_run_until(client, "now"));
    assert_false(wire_has(client, "Connection: close"));
    wire_send(client, "0123456789" GET("/end"));
    assert_true(wire_run_until(client, "0 bytes"));
    assert_false(stage_saw("body"));
}

static void ends_in_stages_behind_an_early_answer(void **state)
{
    static char rest[300 * 1024];
    struct wire *client = stage_connect();

    memset(rest, 'x', sizeof(rest));
    wire_send(client, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    wire_send_bytes(client, rest, sizeof(rest));
    assert_true(wire_run_until_end(client));
    assert_false(client->reset);
    assert_true(wire_has(client, "Connection: close\r\n"));
    assert_true(wire_has(client, "\r\n\r\nnow"));
}

static void closes_behind_a_final_answer_to_an_expectation(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "Connection: close\r\n"));
    assert_false(wire_has(client, " 100 "));
}

static void answers_from_inside_a_body_piece(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcd");
    assert_true(wire_run_until(client, "seen"));
    wire_send(client, "efgh" GET("/now"));
    assert_true(wire_run_until(client, "now"));
    assert_false(stage_saw("end\nhead GET /now\nend"));
}

static void answers_a_client_that_has_ended_its_direction(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/now") GET("/hold"));
    wire_end_output(client);
    wire_run_ms(30);
    assert_non_null(stage.held);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("late"));
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "Connection: close\r\n"));
    assert_true(wire_has(client, "\r\n\r\nlate"));
    assert_false(client->reset);
}

static void tells_of_a_client_that_goes_at_each_stage(void **state)
{
    static const char request[] = "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

    for (size_t cut = 1; cut < sizeof(request); cut++) {
        for (int hard = 0; hard < 2; hard++) {
            struct wire *client = stage_connect();
            qp_buf_clear(&stage.diary);
            wire_send_bytes(client, request, cut);
            wire_run_ms(2);
            hard ? wire_reset(client) : wire_end_output(client);
            wire_run_ms(4);
            const bool is_whole = cut == sizeof(request) - 1;
            if (hard && stage_saw("head"))
                assert_true(stage_saw("gone QP_NET_RESET\n"));
            else if (!hard && stage_saw("head") && !is_whole)
                assert_true(stage_saw("gone QP_HTTP_TRUNCATED\n"));
            else
                assert_false(stage_saw("gone"));
            if (stage.held)
                qp_request_abort(stage.held);
            stage.held = NULL;
            wire_run_ms(2);
            assert_int_equal(qp_server_counters(stage.server).connections_open, 0);
            wire_close(client);
            stage_end(state);
            stage_begin(state);
        }
    }
}

static void skips_empty_lines_between_requests(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/now"));
    assert_true(wire_run_until(client, "now"));
    wire_send(client, "\r\n");
    wire_run_ms(10);
    wire_forget(client);
    wire_send(client, GET("/now"));
    assert_true(wire_run_until(client, "now"));
}

static void takes_an_empty_line_that_comes_in_halves(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "\r");
    wire_run_ms(10);
    wire_send(client, "\n" GET("/now"));
    assert_true(wire_run_until(client, "now"));
    assert_true(wire_has(client, "HTTP/1.1 200 OK\r\n"));
}

static void counts_empty_lines_however_they_come(void **state)
{
    struct wire *client = stage_connect();

    for (unsigned i = 0; i < 3; i++) {
        wire_send(client, "\r\n");
        wire_run_ms(10);
    }
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "HTTP/1.1 400 "));
}

static void answers_all_that_was_asked_before_the_client_ended_its_direction(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/hold") GET("/now") GET("/hold") "GET /cut HT");
    wire_end_output(client);
    wire_run_ms(20);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("one"));
    wire_run_ms(20);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("three"));
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "one") && wire_has(client, "now") && wire_has(client, "three"));
    assert_int_equal(wire_count(client, "HTTP/1.1 200 OK"), 3);
    assert_false(client->reset);
    assert_false(stage_saw("head GET /cut"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_the_connection_for_the_next_request),
        TEST(hands_over_what_the_client_said),
        TEST(reduces_every_form_of_target),
        TEST(answers_pipelined_requests_in_order),
        TEST(takes_a_thousand_pipelined_requests),
        TEST(takes_a_request_cut_at_every_byte),
        TEST(refuses_and_parses_nothing_behind),
        TEST(answers_a_broken_chunk_and_tells_the_handler),
        TEST(cuts_an_answer_that_a_broken_chunk_meets),
        TEST(speaks_1_0_to_1_0_clients),
        TEST(knows_where_a_1_0_client_connected_to),
        TEST(echoes_chunks_and_trailers),
        TEST(discards_a_small_rest_and_goes_on),
        TEST(ends_in_stages_behind_an_early_answer),
        TEST(closes_behind_a_final_answer_to_an_expectation),
        TEST(answers_from_inside_a_body_piece),
        TEST(answers_a_client_that_has_ended_its_direction),
        TEST(tells_of_a_client_that_goes_at_each_stage),
        TEST(skips_empty_lines_between_requests),
        TEST(takes_an_empty_line_that_comes_in_halves),
        TEST(counts_empty_lines_however_they_come),
        TEST(answers_all_that_was_asked_before_the_client_ended_its_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
