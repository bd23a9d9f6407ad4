/* refusal_test.c - what is refused: what the client is told, and what a log may know of it. */
#include "unit/server/stage.h"

#include "base/alloc.h"
#include "server/session.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void a_refused_head_is_told_as_far_as_it_is_clean(void **state)
{
    static const struct {
        const char *request;
        const char *seen;
    } rows[] = {
        {"GET /a?b HTTP/1.1\r\n\r\n", "refused 400 bad_host 'GET' '/a?b'\n"},
        {"GET http://u:secret@h/a HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400 bad_target 'GET' ''\n"},
        {"GET http://h/a HTTP/1.1\r\nA : b\r\n\r\n", "refused 400 bad_field 'GET' '/a'\n"},
        {"TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n", "refused 405 method_not_allowed 'TRACE' '/a'\n"},
        {"CONNECT u:secret@h:1 HTTP/1.1\r\n\r\n", "refused 405 method_not_allowed 'CONNECT' ''\n"},
        {"Authorization: Bearer secret\r\n\r\n", "refused 400 bad_request '' ''\n"},
        {"secret secret HTTP/1.1\r\n\r\n", "refused 400 bad_"},
        {"secret", "refused 408 head_timeout '' ''\n"},
        {"GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n",
         "refused 408 head_timeout 'GET' '/a'\n"},
        {"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400 bad_target 'GET' ''\n"},
        {"\x1b[31m", "refused 400 bad_request '' ''\n"},
        {"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
         "refused 413 body_too_large 'PUT' '/a'\n"},
    };
    stage_opts()->body_bytes = 8;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = stage_connect();
        wire_send(client, rows[i].request);
        wire_run_ms(5);
        stage_pass_ms(11000);
        assert_true(wire_run_until_end(client));
        if (!stage_saw(rows[i].seen))
            fail_msg("%s", stage_diary());
        assert_false(stage_saw("secret"));
        assert_false(stage_saw("head "));
        wire_close(client);
        qp_buf_clear(&stage.diary);
    }
}

static void a_refusal_has_the_numbers_of_its_connection_and_request(void **state)
{
    stage_opts()->first_conn_id = 5;
    struct wire *client = stage_connect();

    wire_send(client, GET("/now") GET("/now") "rubbish\r\n\r\n");
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "\"id\":\"5-3\""));
}

static void who_has_it_is_told_what_the_client_was_told(void **state)
{
    struct wire *client = stage_connect();

    stage_opts()->body_bytes = 8;
    wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX");
    assert_true(wire_run_until_end(client));
    assert_true(stage_saw("gone QP_HTTP_MALFORMED\ntold 400 bad_chunk\n"));
    assert_false(stage_saw("refused"));
}

static void an_answer_that_has_begun_keeps_its_status(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nXX");
    assert_true(wire_run_until_end(client));
    assert_true(client->reset);
    assert_true(stage_saw("told 200 bad_chunk\n"));
}

static void a_client_that_ends_inside_its_message_is_told_so(void **state)
{
    static const struct {
        const char *request;
        const char *seen;
    } rows[] = {
        {"GET /hold HTTP/1.1\r\nHos", "refused 400 truncated 'GET' '/hold'\n"},
        {"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
         "gone QP_HTTP_TRUNCATED\ntold 400 truncated\n"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = stage_connect();
        wire_send(client, GET("/now"));
        wire_send(client, rows[i].request);
        wire_end_output(client);
        assert_true(wire_run_until_end(client));
        assert_false(client->reset);
        assert_true(wire_has(client, "nowHTTP/1.1 400 "));
        assert_true(wire_has(client, "X-Qproxy-Error: truncated\r\n"));
        assert_true(stage_saw(rows[i].seen));
    }
}

static void nothing_is_said_to_who_ends_between_requests(void **state)
{
    static const char *const rows[] = {"", "\r\n"};

    for (unsigned i = 0; i < 2; i++) {
        struct wire *client = stage_connect();
        wire_send(client, rows[i]);
        wire_run_ms(5);
        wire_end_output(client);
        assert_true(wire_run_until_end(client));
        assert_int_equal(qp_buf_len(&client->in), 0);
        assert_false(client->reset);
    }
    assert_string_equal(stage_diary(), "");
}

static void an_address_with_too_many_is_told_in_stages(void **state)
{
    stage_opts()->connections_per_address = 1;
    struct wire *first = stage_connect();
    wire_run_ms(10);
    struct wire *second = stage_connect();

    wire_send(second, GET("/now"));
    assert_true(wire_run_until_end(second));
    assert_false(second->reset);
    assert_true(wire_has(second, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_true(wire_has(second, "X-Qproxy-Error: too_many_connections\r\n"));
    assert_true(wire_has(second, "\r\nRetry-After: 1\r\n"));
    assert_true(wire_has(second, "\r\nConnection: close\r\n"));
    assert_true(wire_has(second, "\"id\":\"2-1\""));
    assert_true(stage_saw("refused 503 too_many_connections '' ''\n"));
    assert_false(stage_saw("head"));
    assert_int_equal(qp_server_counters(stage.server).connections_open, 1);
    assert_int_equal(qp_server_counters(stage.server).connections_refused, 1);
    wire_send(first, GET("/now"));
    assert_true(wire_run_until(first, "now"));
}

static void a_refusal_survives_a_megabyte_that_nobody_reads(void **state)
{
    const size_t bytes = (size_t)1 << 20;
    char *rest = qp_alloc(bytes);

    memset(rest, 'x', bytes);
    stage_opts()->body_bytes = 1000;
    for (unsigned i = 0; i < 3; i++) {
        struct wire *client = stage_connect();
        wire_send(client,
                  i == 0   ? "POST /end HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"
                  : i == 1 ? "POST /end HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n"
                           : "GET /end HTTP/1.1\r\nHost: a\r\nX: ");
        wire_send_bytes(client, rest, bytes);
        assert_true(wire_run_until_end(client));
        assert_false(client->reset);
        assert_true(wire_has(client, i < 2 ? "HTTP/1.1 413 " : "HTTP/1.1 431 "));
        wire_close(client);
    }
    qp_free(rest);
}

static void what_is_pipelined_behind_a_held_request_is_bounded(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/hold"));
    for (unsigned i = 0; i < 100000; i++)
        wire_send(client, GET("/now"));
    wire_run_ms(100);
    const struct qp_session *session = QP_CONTAINER_OF(stage.server->sessions.next, struct qp_session, link);
    assert_true(session->is_paused);
    assert_true(qp_buf_len(&session->request->backlog) <= QP_BACKLOG_BYTES + QP_STREAM_READ_BYTES);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("held"));
    wire_run_ms(300);
    assert_true(wire_count(client, "HTTP/1.1 200 OK") > 1000);
}

static void answers_owed_come_before_the_refusal_behind_them(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, GET("/hold") GET("/now") "BAD\r\n\r\n" GET("/hold"));
    wire_run_ms(20);
    assert_int_equal(qp_buf_len(&client->in), 0);
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("held"));
    assert_true(wire_run_until_end(client));
    assert_false(client->reset);
    const char *text = wire_text(client);
    assert_true(strstr(text, "held") < strstr(text, "now") && strstr(text, "now") < strstr(text, " 400 "));
    assert_int_equal(wire_count(client, "HTTP/1.1 "), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_refused_head_is_told_as_far_as_it_is_clean),
        TEST(a_refusal_has_the_numbers_of_its_connection_and_request),
        TEST(who_has_it_is_told_what_the_client_was_told),
        TEST(an_answer_that_has_begun_keeps_its_status),
        TEST(a_client_that_ends_inside_its_message_is_told_so),
        TEST(nothing_is_said_to_who_ends_between_requests),
        TEST(an_address_with_too_many_is_told_in_stages),
        TEST(a_refusal_survives_a_megabyte_that_nobody_reads),
        TEST(what_is_pipelined_behind_a_held_request_is_bounded),
        TEST(answers_owed_come_before_the_refusal_behind_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
