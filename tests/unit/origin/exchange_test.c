/* exchange_test.c - one request, one response, and whether the stream survives them. */
#include "unit/origin/caller.h"

#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define ASK "GET / HTTP/1.1\r\nHost: o\r\n\r\n"

static struct wire *origin;

/* An exchange on a fresh stream, and the origin's end of it. */
static void connect_to_origin(struct owner *owner)
{
    owner_want(owner, true);
    origin = wire_accept(caller.listening);
    assert_non_null(origin);
    assert_true(owner_run_until_given(owner));
}

static void ask(struct owner *owner)
{
    connect_to_origin(owner);
    owner_ask(owner, ASK, false);
    assert_true(wire_run_until(origin, "\r\n\r\n"));
}

static void assert_idle_after_release(struct owner *owner, unsigned idle)
{
    qp_exchange_release(&owner->exchange);
    assert_int_equal(qp_pool_counters(caller.pool).idle, idle);
    assert_int_equal(qp_pool_counters(caller.pool).streams, idle);
}

static void delivers_a_response_cut_at_every_byte(void **state)
{
    static const char response[] = "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
    for (size_t cut = 1; cut < sizeof(response) - 1; cut++) {
        struct owner owner = {.is_quiet = true};
        owner_want(&owner, false);
        if (cut == 1)
            origin = wire_accept(caller.listening);
        assert_true(owner_run_until_given(&owner));
        assert_int_equal(qp_exchange_is_reused(owner.exchange), cut > 1);
        qp_buf_clear(&owner.diary);
        owner_ask(&owner, ASK, false);
        assert_true(wire_run_until(origin, "\r\n\r\n"));
        wire_forget(origin);
        wire_send_bytes(origin, response, cut);
        wire_run_ms(1);
        wire_send_bytes(origin, response + cut, sizeof(response) - 1 - cut);
        assert_true(owner_run_until(&owner, "end\n"));
        assert_string_equal(owner_diary(&owner), "informed 103\nhead 200\nend\n");
        assert_int_equal(owner.body_bytes, 3);
        owner_end(&owner);
    }
    assert_int_equal(qp_pool_counters(caller.pool).dials, 1);
}

static void decides_whether_the_stream_lives(void **state)
{
    static const struct {
        const char *response;
        const char *seen;
        bool lives;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "head 200\nbody ok\nend\n", true},
        {"HTTP/1.1 204 No\r\n\r\n", "head 204\nend\n", true},
        {"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", "head 304\nend\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "head 200\nbody ok\nend\n",
         false},
        {"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", "head 204\nend\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "head 200\nbody ok\nend\n",
         false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "head 200\nbody ok\nend\n", false},
        {"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "failed QP_HTTP_UNEXPECTED\n",
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "failed QP_HTTP_MALFORMED\n", false},
        {"rubbish\r\n", "failed QP_HTTP_MALFORMED\n", false},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct owner owner = {0};
        ask(&owner);
        qp_buf_clear(&owner.diary);
        wire_send(origin, rows[i].response);
        wire_run_ms(10);
        assert_string_equal(owner_diary(&owner), rows[i].seen);
        assert_true(qp_exchange_has_response(owner.exchange));
        assert_idle_after_release(&owner, rows[i].lives);
        wire_close(origin);
        wire_run_ms(5);
        assert_int_equal(qp_pool_counters(caller.pool).streams, 0);
        owner_end(&owner);
    }
}

static void knows_that_an_answer_to_head_has_no_body(void **state)
{
    struct owner owner = {0};

    connect_to_origin(&owner);
    owner_ask(&owner, "HEAD / HTTP/1.1\r\nHost: o\r\n\r\n", true);
    wire_send(origin, "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    assert_true(owner_run_until(&owner, "informed 100\nhead 200\nend\n"));
    assert_idle_after_release(&owner, 1);
    owner_end(&owner);
}

static void sees_where_a_response_was_cut(void **state)
{
    static const struct {
        const char *response;
        const char *seen;
        bool hard;
    } rows[] = {
        {"", "failed QP_NET_END\n", false},
        {"", "failed QP_NET_RESET\n", true},
        {"HTTP/1.1 200", "failed QP_HTTP_TRUNCATED\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "head 200\nbody ab\nfailed QP_HTTP_TRUNCATED\n",
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "head 200\nbody ab\nfailed QP_NET_RESET\n", true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
         "head 200\nbody ab\nfailed QP_HTTP_TRUNCATED\n", false},
        {"HTTP/1.1 200 OK\r\n\r\nab", "head 200\nbody ab\nend\n", false},
        {"HTTP/1.1 200 OK\r\n\r\nab", "head 200\nbody ab\nfailed QP_NET_RESET\n", true},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct owner owner = {0};
        ask(&owner);
        qp_buf_clear(&owner.diary);
        wire_send(origin, rows[i].response);
        wire_run_ms(5);
        rows[i].hard ? wire_reset(origin) : wire_end_output(origin);
        wire_run_ms(10);
        assert_string_equal(owner_diary(&owner), rows[i].seen);
        assert_idle_after_release(&owner, 0);
        wire_close(origin);
        owner_end(&owner);
    }
}

static void bounds_the_number_of_1xx(void **state)
{
    for (unsigned count = 16; count <= 17; count++) {
        struct owner owner = {0};
        ask(&owner);
        for (unsigned i = 0; i < count; i++)
            wire_send(origin, "HTTP/1.1 102 Still\r\n\r\n");
        wire_send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_true(owner_run_until(&owner, count == 16 ? "end\n" : "failed QP_HTTP_MALFORMED\n"));
        owner_end(&owner);
    }
}

static void fails_when_the_origin_speaks_first(void **state)
{
    struct owner owner = {0};

    connect_to_origin(&owner);
    qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
    wire_send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(owner_run_until(&owner, "failed QP_HTTP_UNEXPECTED\n"));
    owner_end(&owner);

    struct owner late = {0};
    connect_to_origin(&late);
    wire_send(origin, "x");
    wire_run_ms(5);
    qp_exchange_begin(late.exchange, &owner_events, &late, false);
    assert_false(owner_saw(&late, "failed"));
    qp_exchange_send_head(late.exchange, QP_SLICE(ASK), QP_BODY_NONE);
    assert_true(owner_run_until(&late, "failed QP_HTTP_UNEXPECTED\n"));
    owner_end(&late);
}

static void may_be_released_in_any_event(void **state)
{
    static const char *const events[] = {"informed", "head", "body", "end"};

    for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct owner owner = {.release_at = events[i]};
        ask(&owner);
        wire_send(origin, "HTTP/1.1 103 Hi\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_true(owner_run_until(&owner, events[i]));
        wire_run_ms(5);
        assert_null(owner.exchange);
        assert_int_equal(qp_pool_counters(caller.pool).idle, strcmp(events[i], "end") == 0);
        owner_end(&owner);
    }
    struct owner owner = {.release_at = "failed"};
    ask(&owner);
    wire_reset(origin);
    assert_true(owner_run_until(&owner, "failed"));
    assert_null(owner.exchange);
    owner_end(&owner);
}

static void sends_a_body_as_it_is_framed(void **state)
{
    struct owner owner = {0};
    struct qp_field trailer = {.name = QP_SLICE("X-T"), .value = QP_SLICE("1"), .id = QP_FIELD_OTHER};
    const struct qp_fields trailers = {.at = &trailer, .count = 1, .capacity = 1};

    connect_to_origin(&owner);
    qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
    assert_false(qp_exchange_has_sent(owner.exchange));
    qp_exchange_send_head(owner.exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_CHUNKED);
    assert_true(qp_exchange_has_sent(owner.exchange));
    qp_exchange_send_body(owner.exchange, QP_SLICE("hello"));
    qp_exchange_send_body(owner.exchange, QP_SLICE(""));
    qp_exchange_send_body(owner.exchange, QP_SLICE("0123456789abcdef"));
    qp_exchange_finish_request(owner.exchange, &trailers);
    assert_true(
        wire_run_until(origin, "\r\n\r\n5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: 1\r\n\r\n"));
    wire_send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(owner_run_until(&owner, "end\n"));
    assert_idle_after_release(&owner, 1);
    owner_end(&owner);

    struct owner plain = {0};
    owner_want(&plain, false);
    wire_forget(origin);
    qp_exchange_begin(plain.exchange, &owner_events, &plain, false);
    qp_exchange_send_head(plain.exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_LENGTH);
    qp_exchange_send_body(plain.exchange, QP_SLICE("hello"));
    qp_exchange_finish_request(plain.exchange, NULL);
    assert_true(wire_run_until(origin, "POST / HTTP/1.1\r\n\r\nhello"));
    owner_end(&plain);
}

static void outlives_an_early_answer_only_if_the_request_is_finished(void **state)
{
    for (int finishes = 0; finishes < 2; finishes++) {
        struct owner owner = {0};
        connect_to_origin(&owner);
        qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
        qp_exchange_send_head(owner.exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_LENGTH);
        wire_send(origin, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
        assert_true(owner_run_until(&owner, "head 401\nbody no\nend\n"));
        if (finishes) {
            qp_exchange_send_body(owner.exchange, QP_SLICE("hello"));
            qp_exchange_finish_request(owner.exchange, NULL);
        }
        assert_idle_after_release(&owner, (unsigned)finishes);
        owner_end(&owner);
    }
}

/* An origin that answers before it has read all often resets behind it, while the owner holds the answer. */
static void does_not_fail_behind_a_whole_answer(void **state)
{
    struct owner owner = {0};
    connect_to_origin(&owner);
    qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
    qp_exchange_send_head(owner.exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_LENGTH);
    wire_send(origin, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
    assert_true(owner_run_until(&owner, "end\n"));
    wire_reset(origin);
    wire_run_ms(50);
    qp_exchange_send_body(owner.exchange, QP_SLICE("nobody reads this"));
    wire_run_ms(50);
    assert_false(owner_saw(&owner, "failed"));
    assert_idle_after_release(&owner, 0);
    owner_end(&owner);
}

static void lives_on_unused(void **state)
{
    struct owner owner = {0};

    connect_to_origin(&owner);
    qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
    assert_idle_after_release(&owner, 1);
    owner_want(&owner, false);
    assert_non_null(owner.exchange);
    assert_false(qp_exchange_is_reused(owner.exchange));
    owner_end(&owner);
}

static void presses_back_on_the_request(void **state)
{
    static char block[65536];
    struct owner owner = {0};
    uint64_t sent = 0;

    connect_to_origin(&owner);
    origin->paused = true;
    qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
    qp_exchange_send_head(owner.exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_LENGTH);
    for (unsigned i = 0; i < 20; i++) {
        while (!qp_exchange_is_full(owner.exchange) && sent < 64 * 1024 * 1024) {
            qp_exchange_send_body(owner.exchange, qp_slice(block, sizeof(block)));
            sent += sizeof(block);
        }
        wire_run_ms(2);
    }
    assert_true(sent < 32 * 1024 * 1024);
    assert_false(owner_saw(&owner, "drained"));
    origin->paused = false;
    assert_true(owner_run_until(&owner, "drained"));
    owner_end(&owner);
}

static void presses_back_on_the_response(void **state)
{
    static char block[65536];
    const unsigned blocks = 512;
    struct owner owner = {.is_quiet = true};
    char head[128];

    ask(&owner);
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", blocks * sizeof(block));
    wire_send(origin, head);
    assert_true(owner_run_until(&owner, "head 200"));
    qp_exchange_pause(owner.exchange);
    for (unsigned i = 0; i < blocks; i++)
        wire_send_bytes(origin, block, sizeof(block));
    wire_run_ms(50);
    assert_true(owner.body_bytes <= sizeof(block));
    qp_exchange_resume(owner.exchange);
    assert_true(owner_run_until(&owner, "end\n"));
    assert_int_equal(owner.body_bytes, blocks * sizeof(block));
    qp_exchange_pause(owner.exchange);
    assert_idle_after_release(&owner, 1);
    wire_close(origin);
    wire_run_ms(20);
    assert_int_equal(qp_pool_counters(caller.pool).evicted, 1);
    owner_end(&owner);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_begin, caller_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(delivers_a_response_cut_at_every_byte),
        TEST(decides_whether_the_stream_lives),
        TEST(knows_that_an_answer_to_head_has_no_body),
        TEST(sees_where_a_response_was_cut),
        TEST(bounds_the_number_of_1xx),
        TEST(fails_when_the_origin_speaks_first),
        TEST(may_be_released_in_any_event),
        TEST(sends_a_body_as_it_is_framed),
        TEST(outlives_an_early_answer_only_if_the_request_is_finished),
        TEST(does_not_fail_behind_a_whole_answer),
        TEST(lives_on_unused),
        TEST(presses_back_on_the_request),
        TEST(presses_back_on_the_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
