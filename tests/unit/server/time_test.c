/* time_test.c - deadlines and rates, by a clock that the test moves. */
#include "unit/server/stage.h"

#include "base/alloc.h"
#include "net/tls.h"
#include "server/session.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

/* A byte each 100 ms; gives the bytes that it took until the client was told something. */
static unsigned trickle(struct wire *client, unsigned most)
{
    unsigned count = 0;

    while (count < most && qp_buf_len(&client->in) == 0 && !client->ended) {
        wire_send(client, "x");
        stage_pass_ms(100);
        count++;
    }
    return count;
}

static void a_trickled_head_has_its_whole_time_and_no_more(void **state)
{
    for (unsigned second = 0; second < 2; second++) {
        struct wire *client = stage_connect();

        if (second) {
            wire_send(client, GET("/now"));
            assert_true(wire_run_until(client, "now"));
            wire_forget(client);
            stage_pass_ms(8000); /* of the rest before it nothing is counted */
        }
        wire_send(client, "GET /now HTTP/1.1\r\nHost: a\r\nX: ");
        const unsigned count = trickle(client, 200);
        assert_in_range(count, 80, 101);
        assert_true(wire_run_until_end(client));
        assert_true(wire_has(client, "HTTP/1.1 408 "));
        assert_true(stage_saw("refused 408 head_timeout 'GET' '/now'\n"));
    }
}

static void a_rest_ends_in_silence(void **state)
{
    struct wire *client = stage_connect();

    stage_opts()->client_idle_ms = 75000;
    wire_send(client, GET("/now"));
    wire_run_ms(10);
    assert_true(wire_has(client, "now"));
    wire_forget(client);
    stage_pass_ms(9000);
    assert_false(client->ended);
    stage_pass_ms(1500);
    assert_true(wire_run_until_end(client));
    assert_int_equal(qp_buf_len(&client->in), 0);
    assert_false(stage_saw("refused"));
}

static void a_silent_body_is_told_408(void **state)
{
    struct wire *client = stage_connect();

    wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    for (unsigned i = 0; i < 4; i++) {
        stage_pass_ms(9000);
        assert_non_null(stage.held);
        wire_send(client, "c");
        wire_run_ms(5);
    }
    stage_pass_ms(13000);
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "HTTP/1.1 408 "));
    assert_true(stage_saw("gone QP_NET_TIMEOUT\ntold 408 body_timeout\n"));
}

static void a_body_below_the_rate_is_told_408(void **state)
{
    static const struct {
        size_t bytes; /* each second */
        bool is_fine;
    } rows[] = {{900, false}, {1200, true}};
    char piece[1200];

    memset(piece, 'x', sizeof(piece));
    stage_opts()->body_rate_bytes = 1024;
    for (unsigned i = 0; i < 2; i++) {
        struct wire *client = stage_connect();
        wire_send(client, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        wire_run_ms(5);
        for (unsigned second = 0; second < 40 && !client->ended; second++) {
            wire_send_bytes(client, piece, rows[i].bytes);
            stage_pass_ms(1000);
        }
        assert_int_equal(!client->ended, rows[i].is_fine);
        assert_int_equal(stage_saw("told 408 body_timeout\n"), !rows[i].is_fine);
        if (stage.held)
            qp_request_abort(stage.held);
        stage.held = NULL;
        qp_buf_clear(&stage.diary);
    }
}

/* ---- slow readers ---- */

enum { ANSWER_BYTES = 4 << 20, SMALL = 4096 };

struct reader {
    struct wire *client;
    size_t got;
};

/* A client that has asked for /hold and reads only in take(). By a Unix socket, whose kernel has neither timers nor windows of its own,
 * and takes a few kilobytes at a time. */
static struct reader open_reader(void)
{
    struct reader reader = {.client = stage_connect_local()};
    const int small = SMALL;

    reader.client->paused = true;
    wire_send(reader.client, GET("/hold"));
    wire_run_ms(10);
    const struct qp_session *session = QP_CONTAINER_OF(stage.server->sessions.next, struct qp_session, link);
    setsockopt(qp_stream_fd(session->stream), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    return reader;
}

/* False: the connection is over. */
static bool take(struct reader *reader, size_t bytes)
{
    static char room[65536];

    while (bytes > 0) {
        const ssize_t part =
            recv(reader->client->fd, room, bytes < sizeof(room) ? bytes : sizeof(room), MSG_DONTWAIT);
        if (part == 0 || (part < 0 && errno != EAGAIN))
            return false;
        if (part < 0)
            return true;
        reader->got += (size_t)part;
        bytes -= (size_t)part;
    }
    return true;
}

static void begin_answer(char *body, uint64_t length)
{
    const struct qp_answer head = {.status = 200, .length = length};

    qp_request_respond(stage.held, &head);
    for (size_t sent = 0; sent < ANSWER_BYTES && !qp_request_is_full(stage.held); sent += 65536)
        qp_request_send(stage.held, qp_slice(body + sent, 65536));
    assert_true(qp_request_is_full(stage.held));
}

static void a_reader_below_the_rate_is_cut(void **state)
{
    char *body = qp_alloc(ANSWER_BYTES);

    stage_opts()->body_rate_bytes = 1024;
    struct reader reader = open_reader();
    begin_answer(body, ANSWER_BYTES);
    unsigned seconds = 0;
    while (seconds < 120 && stage.held) { /* it never stands still for ten seconds */
        take(&reader, 700);
        stage_pass_ms(1000);
        seconds++;
    }
    assert_in_range(seconds, 9, 60);
    assert_true(stage_saw("gone QP_NET_TIMEOUT\ntold 200 slow_reader\n"));
    reader.client->paused = false;
    assert_true(wire_run_until_end(reader.client));
    assert_true(reader.got + qp_buf_len(&reader.client->in) < ANSWER_BYTES);
    qp_free(body);
}

static void a_reader_above_the_rate_is_served(void **state)
{
    char *body = qp_alloc(ANSWER_BYTES);

    stage_opts()->body_rate_bytes = 1024;
    struct reader reader = open_reader();
    begin_answer(body, ANSWER_BYTES);
    for (unsigned second = 0; second < 120; second++) {
        take(&reader, 8192);
        stage_pass_ms(1000);
        assert_non_null(stage.held);
        if (!qp_request_is_full(stage.held))
            qp_request_send(stage.held, qp_slice(body, 16384));
    }
    qp_request_abort(stage.held);
    qp_free(body);
}

static void a_reader_is_not_blamed_for_a_slow_handler(void **state)
{
    const struct qp_answer head = {.status = 200, .length = QP_LENGTH_UNKNOWN};

    stage_opts()->body_rate_bytes = 1024;
    struct wire *client = stage_connect();
    wire_send(client, GET("/hold"));
    wire_run_ms(10);
    qp_request_respond(stage.held, &head);
    for (unsigned i = 0; i < 20; i++) {
        qp_request_send(stage.held, QP_SLICE("x"));
        stage_pass_ms(15000);
        assert_non_null(stage.held);
    }
    qp_request_finish(stage.held, NULL);
    assert_true(wire_run_until(client, "0\r\n\r\n"));
    assert_int_equal(wire_count(client, "1\r\nx\r\n"), 20);
}

/* The answer is written and its request over, but the client has most of it still to read. */
static void the_end_of_an_answer_waits_for_a_reader_above_the_rate(void **state)
{
    const size_t bytes = 400000;
    char *body = qp_alloc(bytes);

    for (unsigned is_fast = 0; is_fast < 2; is_fast++) {
        struct reader reader = open_reader();
        const struct qp_answer head = {.status = 200, .length = bytes, .close = true};
        bool is_open = true;

        qp_request_respond(stage.held, &head);
        qp_request_send(stage.held, qp_slice(body, bytes));
        qp_request_finish(stage.held, NULL);
        stage.held = NULL;
        for (unsigned second = 0; second < 200 && is_open; second++) {
            is_open = take(&reader, is_fast ? 8192 : 0);
            stage_pass_ms(1000);
        }
        assert_false(is_fast && is_open);
        reader.client->paused = false;
        assert_true(wire_run_until_end(reader.client));
        assert_int_equal(reader.got + qp_buf_len(&reader.client->in) > bytes, is_fast);
        wire_close(reader.client);
    }
    qp_free(body);
}

static unsigned drained_count;

static void on_done(void *context)
{
    drained_count++;
}

/* A server that has drained may be freed with its loop: until then what is written must be gone. */
static void a_drain_ends_when_the_last_answer_is_taken_and_not_before(void **state)
{
    const size_t bytes = 400000;
    char *body = qp_alloc(bytes);

    for (unsigned is_patient = 0; is_patient < 2; is_patient++) {
        struct reader reader = open_reader();
        drained_count = 0;
        qp_server_drain(stage.server, is_patient ? 600000 : 3000, on_done, NULL);
        qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, qp_slice(body, bytes));
        stage.held = NULL;
        stage_pass_ms(2000);
        assert_int_equal(qp_server_counters(stage.server).connections_open, 0);
        assert_int_equal(drained_count, 0);
        for (unsigned second = 0; is_patient && second < 60; second++) {
            take(&reader, 16384);
            stage_pass_ms(1000);
        }
        stage_pass_ms(2000);
        assert_int_equal(drained_count, 1);
        reader.client->paused = false;
        if (is_patient)
            wire_run_until_end(reader.client);
        assert_true(!is_patient || reader.got + qp_buf_len(&reader.client->in) > bytes);
        stage_end(state);
        stage_begin(state);
    }
    qp_free(body);
}

static void a_tls_handshake_is_part_of_the_first_head(void **state)
{
    char error[256];

    if (qp_tls_init() != QP_OK ||
        qp_tls_server_new(stage.loop, QP_TEST_CERTS "/localhost.pem", QP_TEST_CERTS "/localhost.key",
                          &stage.tls, error, sizeof(error)) != QP_OK)
        fail_msg("%s", error);
    struct wire *client = stage_connect();
    struct wire *mute = stage_connect();
    wire_send_bytes(client, "\x16\x03\x01\x02\x00\x01",
                    6); /* the beginning of a ClientHello, then a byte a second */
    for (unsigned second = 0; second < 9; second++) {
        wire_send_bytes(client, "", 1);
        stage_pass_ms(1000);
        assert_false(client->ended || mute->ended);
    }
    stage_pass_ms(1500);
    assert_int_equal(qp_server_counters(stage.server).connections_open, 0);
    assert_int_equal(qp_buf_len(&client->in), 0);
    qp_server_close(&stage.server);
    qp_tls_free(&stage.tls);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_trickled_head_has_its_whole_time_and_no_more),
        TEST(a_rest_ends_in_silence),
        TEST(a_silent_body_is_told_408),
        TEST(a_body_below_the_rate_is_told_408),
        TEST(a_reader_below_the_rate_is_cut),
        TEST(a_reader_above_the_rate_is_served),
        TEST(a_reader_is_not_blamed_for_a_slow_handler),
        TEST(the_end_of_an_answer_waits_for_a_reader_above_the_rate),
        TEST(a_drain_ends_when_the_last_answer_is_taken_and_not_before),
        TEST(a_tls_handshake_is_part_of_the_first_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
