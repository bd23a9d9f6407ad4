/* answer_test.c - framing of answers by method, status and version; lengths; 1xx; back-pressure. */
#include "unit/server/stage.h"

#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct wire *hold(const char *method, const char *version)
{
    struct wire *client = stage_connect();

    wire_send(client, method);
    wire_send(client, " /hold HTTP/");
    wire_send(client, version);
    wire_send(client, "\r\nHost: a\r\n\r\n");
    wire_run_ms(20);
    assert_non_null(stage.held);
    return client;
}

static void answer(unsigned status, uint64_t length, const char *body)
{
    const struct qp_answer head = {.status = (uint16_t)status, .length = length};
    struct qp_request *request = stage.held;

    stage.held = NULL;
    qp_request_respond(request, &head);
    qp_request_send(request, qp_slice_str(body));
    qp_request_finish(request, NULL);
}

static void frames_by_method_and_status(void **state)
{
    static const struct {
        const char *method;
        unsigned status;
        uint64_t length;
        const char *line; /* of the framing, or NULL: none */
        bool has_body;
    } rows[] = {
        {"GET", 200, 4, "Content-Length: 4\r\n", true},
        {"GET", 200, QP_LENGTH_UNKNOWN, "Transfer-Encoding: chunked\r\n", true},
        {"HEAD", 200, 4, "Content-Length: 4\r\n", false},
        {"HEAD", 200, QP_LENGTH_UNKNOWN, NULL, false},
        {"HEAD", 204, 4, NULL, false},
        {"GET", 204, 4, NULL, false},
        {"GET", 204, QP_LENGTH_UNKNOWN, NULL, false},
        {"GET", 205, 4, "Content-Length: 0\r\n", false},
        {"GET", 304, 4, "Content-Length: 4\r\n", false},
        {"GET", 304, QP_LENGTH_UNKNOWN, NULL, false},
        {"GET", 500, 4, "Content-Length: 4\r\n", true},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *client = hold(rows[i].method, "1.1");
        answer(rows[i].status, rows[i].length, "body");
        wire_send(client, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(wire_run_until(client, "now"));
        assert_int_equal(wire_has(client, "body"), rows[i].has_body);
        assert_true(wire_has(client, rows[i].has_body ? "\r\nHTTP/1.1 200 OK\r\n" : "HTTP/1.1 200 OK\r\n") ||
                    wire_has(client, "bodyHTTP/1.1 200 OK\r\n"));
        const unsigned framed =
            wire_count(client, "Content-Length: ") + wire_count(client, "Transfer-Encoding: ");
        assert_int_equal(framed, rows[i].line ? 2 : 1);
        if (rows[i].line)
            assert_true(wire_has(client, rows[i].line));
        wire_close(client);
    }
}

static void cuts_an_answer_that_is_shorter_than_announced(void **state)
{
    struct wire *client = hold("GET", "1.1");

    answer(200, 10, "body");
    assert_true(wire_run_until_end(client));
    assert_true(client->reset);
}

static void cuts_an_answer_that_is_longer_than_announced(void **state)
{
    struct wire *client = hold("GET", "1.1");

    answer(200, 3, "body");
    assert_true(wire_run_until_end(client));
    assert_true(client->reset);
    assert_false(wire_has(client, "body"));
}

/* The handler does not know yet, and would go on with a request that is no more. */
static void tells_the_handler_of_a_cut_that_it_did_not_ask_for(void **state)
{
    struct wire *client = hold("GET", "1.1");
    const struct qp_answer head = {.status = 200, .length = 3};

    qp_request_respond(stage.held, &head);
    qp_request_send(stage.held, QP_SLICE("body"));
    assert_true(wire_run_until_end(client));
    assert_true(stage_saw("gone"));
}

static void takes_exactly_what_was_announced(void **state)
{
    struct wire *client = hold("GET", "1.1");
    const struct qp_answer head = {.status = 200, .length = 4};

    qp_request_respond(stage.held, &head);
    for (unsigned i = 0; i < 4; i++)
        qp_request_send(stage.held, QP_SLICE("x"));
    assert_int_equal(qp_request_answer_sent(stage.held), 4);
    assert_int_equal(qp_request_answer_status(stage.held), 200);
    qp_request_finish(stage.held, NULL);
    assert_true(wire_run_until(client, "\r\n\r\nxxxx"));
    assert_false(client->ended);
}

static void shows_an_aborted_answer(void **state)
{
    static const char *const versions[] = {"1.1", "1.0"};

    for (unsigned i = 0; i < 2; i++) {
        struct wire *client = hold("GET", versions[i]);
        const struct qp_answer head = {.status = 200, .length = QP_LENGTH_UNKNOWN};
        qp_request_respond(stage.held, &head);
        qp_request_send(stage.held, QP_SLICE("part"));
        assert_true(wire_run_until(client, "part"));
        qp_request_abort(stage.held);
        stage.held = NULL;
        assert_true(wire_run_until_end(client));
        assert_true(client->reset);
        assert_false(wire_has(client, "\r\n0\r\n"));
    }
}

static void closes_without_an_answer_when_aborted_before_it(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "GET /abort HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(wire_run_until_end(client));
    assert_int_equal(qp_buf_len(&client->in), 0);
    assert_false(stage_saw("/now"));
}

static void informs_one_by_one(void **state)
{
    struct wire *client = stage_connect();
    struct qp_field fields[] = {
        {.name = QP_SLICE("Link"), .value = QP_SLICE("</a>"), .id = QP_FIELD_OTHER},
        {.name = QP_SLICE("Connection"), .value = QP_SLICE("x"), .id = QP_FIELD_CONNECTION},
    };
    const struct qp_fields list = {.at = fields, .count = 2, .capacity = 2};

    wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    wire_run_ms(20);
    qp_request_inform(stage.held, 103, QP_SLICE("Early Hints"), &list);
    qp_request_inform(stage.held, 100, QP_SLICE_NONE, NULL);
    qp_request_inform(stage.held, 100, QP_SLICE_NONE, NULL);
    assert_true(wire_run_until(
        client, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"));
    wire_send(client, "ok");
    wire_run_ms(20);
    assert_true(stage_saw("body 2\nend\n"));
    answer(200, 4, "done");
    assert_true(wire_run_until(client, "done"));
    assert_int_equal(wire_count(client, " 100 "), 1);
    assert_false(wire_has(client, "Connection:"));
}

static void informs_no_1_0_client(void **state)
{
    struct wire *client = hold("GET", "1.0");

    qp_request_inform(stage.held, 103, QP_SLICE_NONE, NULL);
    answer(200, 4, "done");
    assert_true(wire_run_until_end(client));
    assert_false(wire_has(client, " 103 "));
}

static void writes_the_fields_that_pass(void **state)
{
    struct wire *client = hold("GET", "1.1");
    struct qp_field fields[] = {
        {.name = QP_SLICE("X-a"), .value = QP_SLICE("1"), .id = QP_FIELD_OTHER},
        {.name = QP_SLICE("x-A"), .value = QP_SLICE("2"), .id = QP_FIELD_OTHER},
        {.name = QP_SLICE("Hop"), .value = QP_SLICE("3"), .id = QP_FIELD_OTHER, .nominated = true},
        {.name = QP_SLICE("Content-Length"), .value = QP_SLICE("99"), .id = QP_FIELD_CONTENT_LENGTH},
        {.name = QP_SLICE("Transfer-Encoding"), .value = QP_SLICE("x"), .id = QP_FIELD_TRANSFER_ENCODING},
        {.name = QP_SLICE("Date"), .value = QP_SLICE("then"), .id = QP_FIELD_DATE},
    };
    const struct qp_fields list = {.at = fields, .count = 6, .capacity = 6};
    const struct qp_answer head = {.status = 299,
                                   .reason = QP_SLICE("So So"),
                                   .fields = &list,
                                   .extra = QP_SLICE("Via: 1.1 qproxy\r\n"),
                                   .close = true};

    qp_request_respond(stage.held, &head);
    qp_request_finish(stage.held, NULL);
    assert_true(wire_run_until_end(client));
    assert_string_equal(wire_text(client),
                        "HTTP/1.1 299 So So\r\nX-a: 1\r\nx-A: 2\r\nDate: then\r\nVia: 1.1 qproxy\r\n"
                        "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

/* 64 MiB to a client that does not read for a while. */
static void holds_little_for_a_client_that_does_not_read(void **state)
{
    static char block[65536];
    const uint64_t total = 64 * 1024 * 1024;
    const struct qp_answer head = {.status = 200, .length = total};
    struct wire *client = hold("GET", "1.1");
    uint64_t received = 0;

    memset(block, 'x', sizeof(block));
    client->paused = true;
    qp_request_respond(stage.held, &head);
    while (qp_request_answer_sent(stage.held) < total) {
        while (!qp_request_is_full(stage.held) && qp_request_answer_sent(stage.held) < total)
            qp_request_send(stage.held, qp_slice(block, sizeof(block)));
        const uint64_t sent = qp_request_answer_sent(stage.held);
        if (client->paused) {
            wire_run_ms(30);
            assert_true(qp_request_is_full(stage.held));
            assert_int_equal(qp_request_answer_sent(stage.held), sent);
            assert_false(stage_saw("drained"));
        }
        client->paused = false;
        wire_run_ms(1);
        received += qp_buf_len(&client->in);
        wire_forget(client);
    }
    assert_true(stage_saw("drained"));
    qp_request_finish(stage.held, NULL);
    for (unsigned i = 0; i < 1000 && received < total; i++) {
        wire_run_ms(1);
        received += qp_buf_len(&client->in);
        wire_forget(client);
    }
    assert_true(received > total && received < total + 1024);
}

/* An echo to a client that sends and does not read: the request's body stops, and nothing is lost. */
static void stops_the_body_when_the_answer_is_stuck(void **state)
{
    static char block[65536];
    const unsigned blocks = 512;
    struct wire *client = stage_connect();
    const int small = 65536;
    char head[128];

    memset(block, 'y', sizeof(block));
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    stage.echo_stops = true;
    client->paused = true;
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             blocks * sizeof(block));
    wire_send(client, head);
    for (unsigned i = 0; i < blocks; i++)
        wire_send_bytes(client, block, sizeof(block));
    wire_run_ms(200);
    const size_t stuck = qp_buf_len(&stage.body);
    wire_run_ms(50);
    assert_int_equal(qp_buf_len(&stage.body), stuck);
    assert_true(stuck < blocks * sizeof(block) / 2);
    client->paused = false;
    for (unsigned i = 0; i < 100 && qp_buf_len(&stage.body) < blocks * sizeof(block); i++)
        wire_run_ms(20);
    assert_int_equal(qp_buf_len(&stage.body), blocks * sizeof(block));
    assert_true(wire_run_until(client, "\r\n0\r\n\r\n"));
    assert_true(qp_buf_len(&client->in) > blocks * sizeof(block));
}

static void stops_reading_a_pipeliner_that_does_not_read(void **state)
{
    struct wire *client = stage_connect();

    client->paused = true;
    for (unsigned i = 0; i < 100000; i++)
        wire_send(client, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_ms(300);
    const uint64_t handled = qp_server_counters(stage.server).requests;
    wire_run_ms(50);
    assert_int_equal(qp_server_counters(stage.server).requests, handled);
    assert_true(handled < 100000);
    client->paused = false;
    for (unsigned i = 0; i < 100 && qp_server_counters(stage.server).requests < 100000; i++)
        wire_run_ms(50);
    wire_run_ms(100);
    assert_int_equal(wire_count(client, "\r\n\r\nnow"), 100000);
}

/* Without memory for what the socket does not take, at once or with the answer's end behind it. */
static void shows_that_the_memory_for_an_answer_was_not_there(void **state)
{
    const struct qp_answer answer = {.status = 200, .length = QP_LENGTH_UNKNOWN};
    static char large[8 << 20];

    for (unsigned is_finished = 0; is_finished < 2; is_finished++) {
        struct wire *client = stage_connect();
        client->paused = true;
        wire_send(client, "GET /hold HTTP/1.0\r\n\r\n");
        wire_run_ms(10);
        qp_request_respond(stage.held, &answer);
        assert_int_equal(setenv("QP_FAULT", "alloc.try=ENOMEM", 1), 0);
        qp_request_send(stage.held, qp_slice(large, sizeof(large)));
        if (is_finished)
            qp_request_finish(stage.held, NULL);
        wire_run_ms(10);
        unsetenv("QP_FAULT");
        client->paused = false;
        assert_true(wire_run_until_end(client));
        assert_true(client->reset);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_by_method_and_status),
        TEST(cuts_an_answer_that_is_shorter_than_announced),
        TEST(cuts_an_answer_that_is_longer_than_announced),
        TEST(tells_the_handler_of_a_cut_that_it_did_not_ask_for),
        TEST(takes_exactly_what_was_announced),
        TEST(shows_an_aborted_answer),
        TEST(closes_without_an_answer_when_aborted_before_it),
        TEST(informs_one_by_one),
        TEST(informs_no_1_0_client),
        TEST(writes_the_fields_that_pass),
        TEST(holds_little_for_a_client_that_does_not_read),
        TEST(stops_the_body_when_the_answer_is_stuck),
        TEST(stops_reading_a_pipeliner_that_does_not_read),
        TEST(shows_that_the_memory_for_an_answer_was_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
