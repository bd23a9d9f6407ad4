/* What RFC 9110 wants of a relayed request, and what a limit does to it, one story each, against the fakes of world.h. */
#include "world.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static int open_world(void **state)
{
    world_open(1, "/tmp");
    token_mint(ACCOUNT_OAUTH);
    return 0;
}

static int close_world(void **state)
{
    world_close();
    return 0;
}

static struct qp_relay_counters *counters(void)
{
    return &world->relay->counters;
}

/* Drives it to its next exchange: token and stream as soon as they are asked for. */
static struct qp_exchange *next_exchange(struct qp_request *client)
{
    if (token_first_need())
        token_answer(token_first_need(), QP_NEED_MET);
    if (origin_first_waiter(client->listener_id))
        origin_give_stream(origin_first_waiter(client->listener_id), false);
    struct qp_exchange *exchange = origin_of(client);
    assert_non_null(exchange);
    return exchange;
}

static struct qp_request *get(struct client_end *end)
{
    return client_begin(&(struct client_spec){.method = "GET", .report = end});
}

static void give_and_drain(struct qp_request *client, struct qp_exchange *exchange)
{
    while (client->given < qp_buf_len(&client->body)) {
        if (exchange->is_full)
            origin_drain(exchange);
        client_piece(client, 16 * 1024);
    }
    client_end(client);
    while (!exchange->request_done)
        origin_drain(exchange);
}

static bool head_has(const struct qp_exchange *exchange, const char *text)
{
    return qp_slice_find(qp_buf_slice(&exchange->head), qp_slice_str(text)) != NULL;
}

static void assert_reply(const struct client_end *end, uint16_t status, const char *code)
{
    char line[64];
    snprintf(line, sizeof line, "X-Qproxy-Error: %s\r\n", code);
    assert_true(end->ended && end->finished && !end->is_origins);
    assert_int_equal(end->status, status);
    assert_non_null(strstr(end->extra, line));
}

static void assert_cut(const struct client_end *end)
{
    assert_true(end->ended && end->is_origins);
    assert_false(end->finished);
}

/* ---- Via and Max-Forwards ---- */

static void a_request_that_comes_back_is_a_508(void **state)
{
    struct client_end end = {0};
    client_begin(&(struct client_spec){.method = "POST",
                                       .body_bytes = 10,
                                       .fields = {"Via", "1.1 edge, 1.1 qproxy (0a1b2c3d)"},
                                       .report = &end});
    assert_reply(&end, 508, "loop_detected");
    assert_int_equal(end.attempts, 0);
}

static void another_qproxy_in_front_is_none(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = client_begin(
        &(struct client_spec){.method = "GET", .fields = {"Via", "1.1 qproxy (ffffffff)"}, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    assert_true(head_has(exchange, "Via: 1.1 qproxy (ffffffff)\r\n"));
    assert_true(head_has(exchange, "Via: 1.1 qproxy (0a1b2c3d)\r\n"));
    origin_answer(exchange, 200, 10);
    assert_int_equal(end.status, 200);
    assert_non_null(strstr(end.extra, "Via: 1.1 qproxy\r\n"));
}

static void an_options_that_may_go_no_further_is_answered_here(void **state)
{
    struct client_end end = {0};
    client_begin(&(struct client_spec){.method = "OPTIONS", .fields = {"Max-Forwards", "0"}, .report = &end});
    assert_true(end.ended && end.finished && !end.is_origins);
    assert_int_equal(end.status, 200);
    assert_int_equal(end.announced, 0);
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "GET", .fields = {"Max-Forwards", "0"}, .report = &end});
    origin_answer(next_exchange(client), 204, 0);
    assert_int_equal(end.status, 204);
}

/* ---- Location, lengths and trailers ---- */

static void a_location_leads_back_to_where_the_client_came_from(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        bool is_led_back;
    } rows[] = {
        {"Location", "https://iad1.qualtrics.com/API/v3/x", true},
        {"Location", "https://fra1.qualtrics.com/API/v3/x", false},
        {"Link", "https://iad1.qualtrics.com/API/v3/x", false},
    };
    for (unsigned i = 0; i < 3; i++) {
        struct client_end end = {0};
        struct origin_spec spec = {
            .status = 302, .kind = QP_BODY_LENGTH, .fields = {rows[i].name, rows[i].value}};
        struct qp_exchange *exchange = next_exchange(get(&end));
        origin_head(exchange, &spec);
        origin_end(exchange);
        const char *location = rows[i].is_led_back ? "http://127.0.0.1:8080/API/v3/x" : rows[i].value;
        assert_string_equal(end.location, rows[i].name[1] == 'i' ? "" : location);
        assert_int_equal(end.status, 302);
    }
    assert_int_equal(qp_count_of(&counters()->locations_rewritten), 1);
}

static void an_account_that_rewrites_nothing_passes_a_location(void **state)
{
    struct client_end end = {0};
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "GET", .account = ACCOUNT_STATIC, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange,
                &(struct origin_spec){.status = 201,
                                      .kind = QP_BODY_LENGTH,
                                      .fields = {"Location", "https://fra1.qualtrics.com/API/v3/x"}});
    origin_end(exchange);
    assert_string_equal(end.location, "https://fra1.qualtrics.com/API/v3/x");
}

/* What a GET would be answered with has another length, or none that is known. */
static void a_head_answer_repeats_no_length_that_a_get_would_not_have(void **state)
{
    static const struct {
        const char *method;
        uint16_t status;
        bool links;
        unsigned account;
        uint64_t announced;
    } rows[] = {
        {"HEAD", 200, true, ACCOUNT_OAUTH, QP_LENGTH_UNKNOWN},
        {"GET", 304, true, ACCOUNT_OAUTH, QP_LENGTH_UNKNOWN},
        {"HEAD", 200, false, ACCOUNT_OAUTH, 500},
        {"GET", 304, false, ACCOUNT_OAUTH, 500},
        {"HEAD", 206, true, ACCOUNT_OAUTH, 500},
        {"HEAD", 200, true, ACCOUNT_STATIC, 500},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_end end = {0};
        struct qp_request *client = client_begin(
            &(struct client_spec){.method = rows[i].method, .account = rows[i].account, .report = &end});
        struct qp_exchange *exchange = next_exchange(client);
        origin_head(exchange, &(struct origin_spec){.status = rows[i].status,
                                                    .kind = QP_BODY_NONE,
                                                    .links = rows[i].links,
                                                    .fields = {"Content-Length", "500"}});
        origin_end(exchange);
        assert_true(end.announced == rows[i].announced);
    }
}

static void trailers_go_to_who_takes_them(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct client_end end = {0};
        struct qp_request *client =
            client_begin(&(struct client_spec){.method = "GET", .takes_trailers = i == 1, .report = &end});
        struct qp_exchange *exchange = next_exchange(client);
        origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_CHUNKED, .bytes = 5});
        origin_body(exchange, 5);
        origin_end(exchange);
        assert_true(end.finished);
        assert_int_equal(end.has_trailers, i == 1);
    }
}

/* ---- Expect ---- */

enum { PAST_REPLAY = 400 * 1024 };

/* The expectation was ours, so that the refusal is not the client's: it is asked for again without. */
static void a_417_for_our_own_expectation_is_not_the_clients(void **state)
{
    struct client_end end = {0};
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "POST", .body_bytes = PAST_REPLAY, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    assert_true(head_has(exchange, "Expect: 100-continue"));
    origin_head(exchange, &(struct origin_spec){.status = 417, .kind = QP_BODY_LENGTH, .bytes = 10});
    exchange = next_exchange(client);
    assert_false(head_has(exchange, "Expect"));
    give_and_drain(client, exchange);
    origin_answer(exchange, 200, 10);
    assert_true(end.finished);
    assert_int_equal(end.status, 200);
    assert_int_equal(end.attempts, 2);
}

static void a_417_is_the_clients_where_it_asked_or_the_body_went_out(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct client_end end = {0};
        struct qp_request *client = client_begin(&(struct client_spec){
            .method = "POST", .body_bytes = PAST_REPLAY, .expects = i == 0, .report = &end});
        struct qp_exchange *exchange = next_exchange(client);
        if (i == 1) {
            origin_inform(exchange, 100);
            client_piece(client, 1000);
        }
        origin_answer(exchange, 417, 10);
        assert_int_equal(end.status, 417);
        assert_int_equal(end.attempts, 1);
    }
}

/* No 100 can follow the answer's head: who waits for one and who waits for the body would wait for ever. */
static void an_answer_that_begins_instead_of_a_100_must_go_on_by_itself(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = client_begin(
        &(struct client_spec){.method = "POST", .body_bytes = 10, .expects = true, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_CHUNKED, .bytes = 10});
    origin_body(exchange, 5);
    assert_false(client_can_send(client));
    time_fire(&client_relayed(client)->deadline);
    assert_true(end.ended && end.is_origins);
    assert_false(end.finished);
}

/* ---- the whole request's time ---- */

static struct qp_timer *deadline_of(const struct qp_request *client)
{
    return &client_relayed(client)->deadline;
}

static void overtake(const struct qp_request *client)
{
    time_pass(world->opts.request_ms);
    time_fire(deadline_of(client));
}

static void a_request_that_takes_too_long_is_a_504_in_every_state_before_its_answer(void **state)
{
    struct client_end end = {0};
    token_expire(ACCOUNT_OAUTH);
    struct qp_request *client = get(&end);
    assert_int_equal(client_relayed(client)->state, STATE_TOKEN);
    overtake(client);
    assert_reply(&end, 504, "request_timeout");

    token_mint(ACCOUNT_OAUTH);
    client = get(&end);
    assert_int_equal(client_relayed(client)->state, STATE_STREAM);
    overtake(client);
    assert_reply(&end, 504, "request_timeout");

    client = client_begin(&(struct client_spec){.method = "POST", .body_bytes = 10, .report = &end});
    next_exchange(client);
    assert_int_equal(client_relayed(client)->state, STATE_SEND);
    overtake(client);
    assert_reply(&end, 504, "request_timeout");

    client = get(&end);
    next_exchange(client);
    assert_int_equal(client_relayed(client)->state, STATE_WAIT_HEAD);
    overtake(client);
    assert_reply(&end, 504, "request_timeout");

    client = get(&end); /* its 401 is held while a token is awaited */
    origin_answer(next_exchange(client), 401, 10);
    assert_int_equal(client_relayed(client)->state, STATE_TOKEN);
    overtake(client);
    assert_reply(&end, 504, "request_timeout");
}

static void and_is_cut_in_its_answer_unless_nothing_of_it_went_out(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 1000});
    origin_body(exchange, 10);
    overtake(client);
    assert_cut(&end);
    assert_int_equal(end.answer_bytes, 10);

    end = (struct client_end){0};
    client = get(&end);
    exchange = next_exchange(client);
    struct origin_spec json = {.status = 200, .kind = QP_BODY_LENGTH, .bytes = 100, .links = true};
    origin_head(exchange, &json);
    origin_body(exchange, 10); /* collected, to see its links */
    overtake(client);
    assert_reply(&end, 504, "request_timeout");
}

/* Progress moves the other deadlines, not this one. */
static void progress_does_not_move_the_whole_requests_time(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    const uint64_t due_ms = world->loop.now_ms + world->opts.request_ms;
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 1 << 20});
    while (world->loop.now_ms + 50000 < due_ms) {
        assert_true(qp_timer_is_armed(deadline_of(client)) && deadline_of(client)->due_ms <= due_ms);
        time_pass(50000);
        origin_body(exchange, 10000);
        assert_false(end.ended);
    }
    time_fire(deadline_of(client));
    assert_cut(&end);
    assert_int_equal(world->loop.now_ms, due_ms);
}

static void without_that_limit_a_request_may_take_for_ever(void **state)
{
    struct client_end end = {0};
    world->relay->opts.request_ms = 0;
    token_expire(ACCOUNT_OAUTH);
    struct qp_request *client = get(&end);
    assert_false(qp_timer_is_armed(deadline_of(client))); /* it is the need that has one */
    origin_answer(next_exchange(client), 200, 10);
    assert_int_equal(end.status, 200);
}

/* ---- the least rate ---- */

static void an_answer_that_drips_is_cut(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_CHUNKED, .bytes = 10000});
    for (unsigned i = 0; i < 6; i++) {
        origin_body(exchange, 10);
        assert_false(end.ended);
        time_pass(10000);
    }
    origin_body(exchange, 10);
    assert_cut(&end);
    assert_int_equal(end.answer_bytes, 70); /* what came goes out all the same */
}

static void the_last_piece_of_a_slow_answer_completes_it(void **state)
{
    struct client_end end = {0};
    struct qp_exchange *exchange = next_exchange(get(&end));
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 20});
    origin_body(exchange, 10);
    time_pass(60000);
    origin_body(exchange, 10);
    assert_false(end.ended);
    origin_end(exchange);
    assert_true(end.finished);
}

/* While the client does not take the answer the origin cannot give it. */
static void a_slow_client_is_not_a_slow_origin(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 10000});
    for (unsigned i = 0; i < 20; i++) {
        client_fill(client);
        origin_body(exchange, 10);
        time_pass(50000);
        client_drain(client);
        origin_body(exchange, 10);
        assert_false(end.ended);
        if (i == 10) /* the whole request's time is another matter */
            client_relayed(client)->due_ms = 0;
    }
    origin_body(exchange, 10000);
    origin_end(exchange);
    assert_true(end.finished);
}

static void an_origin_that_hardly_takes_the_body_is_a_504(void **state)
{
    struct client_end end = {0};
    world->relay->opts.request_ms = 0;
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "PUT", .body_bytes = 100000, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    for (unsigned i = 0; !end.ended; i++) {
        assert_true(i < 8);
        origin_fill(exchange);
        client_piece(client, 100);
        time_pass(30000);
        if (exchange->is_full)
            origin_drain(exchange);
    }
    assert_reply(&end, 504, "origin_slow");
}

static void a_slow_uploader_is_not_a_slow_origin(void **state)
{
    struct client_end end = {0};
    world->relay->opts.request_ms = 0;
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "PUT", .body_bytes = 2000, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    for (unsigned i = 0; i < 10; i++) {
        client_piece(client, 100);
        if (exchange->is_full)
            origin_drain(exchange);
        time_pass(50000);
    }
    give_and_drain(client, exchange);
    origin_answer(exchange, 200, 10);
    assert_true(end.finished);
}

/* ---- retries ---- */

static void a_spent_budget_gives_the_failure_to_the_client(void **state)
{
    struct client_end end;
    for (unsigned i = 0; i < QP_BUDGET_SECONDS * QP_BUDGET_FLOOR_A_SECOND; i++)
        assert_true(qp_budget_take_retry(&world->relay->budget, 1, world->loop.now_ms));
    world->relay->opts.retry_per_cent = 1;
    for (unsigned i = 0; i < 2; i++) {
        end = (struct client_end){0};
        world->pools[ACCOUNT_OAUTH]->idle = 1;
        struct qp_request *client = get(&end);
        origin_fail(origin_of(client), QP_NET_RESET);
        if (i == 1)
            origin_answer(next_exchange(client), 200, 10);
        time_pass(10000); /* then there is some again */
        if (i == 0)
            assert_reply(&end, 502, "origin_closed");
    }
    assert_int_equal(end.status, 200);
    assert_int_equal(qp_count_of(&counters()->retries_denied), 1);
    assert_int_equal(qp_count_of(&counters()->stale_retries), 1);
}

static void what_must_not_be_retried_costs_no_budget(void **state)
{
    struct client_end end = {0};
    world->pools[ACCOUNT_OAUTH]->idle = 1;
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "POST", .body_bytes = 10, .report = &end});
    origin_fail(origin_of(client), QP_NET_RESET);
    assert_reply(&end, 502, "origin_closed");
    assert_int_equal(qp_count_of(&counters()->retries_denied), 0);
    for (unsigned i = 0; i < QP_BUDGET_SECONDS; i++)
        assert_int_equal(world->relay->budget.seconds[i].retries, 0);
}

/* A 401 is no failure of the origin's: its replay is bounded elsewhere. */
static void a_replay_costs_no_budget(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    origin_answer(next_exchange(client), 401, 10);
    origin_answer(next_exchange(client), 200, 10);
    assert_int_equal(end.status, 200);
    for (unsigned i = 0; i < QP_BUDGET_SECONDS; i++)
        assert_int_equal(world->relay->budget.seconds[i].retries, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    const struct CMUnitTest tests[] = {
        STORY(a_request_that_comes_back_is_a_508),
        STORY(another_qproxy_in_front_is_none),
        STORY(an_options_that_may_go_no_further_is_answered_here),
        STORY(a_location_leads_back_to_where_the_client_came_from),
        STORY(an_account_that_rewrites_nothing_passes_a_location),
        STORY(a_head_answer_repeats_no_length_that_a_get_would_not_have),
        STORY(trailers_go_to_who_takes_them),
        STORY(a_417_for_our_own_expectation_is_not_the_clients),
        STORY(a_417_is_the_clients_where_it_asked_or_the_body_went_out),
        STORY(an_answer_that_begins_instead_of_a_100_must_go_on_by_itself),
        STORY(a_request_that_takes_too_long_is_a_504_in_every_state_before_its_answer),
        STORY(and_is_cut_in_its_answer_unless_nothing_of_it_went_out),
        STORY(progress_does_not_move_the_whole_requests_time),
        STORY(without_that_limit_a_request_may_take_for_ever),
        STORY(an_answer_that_drips_is_cut),
        STORY(the_last_piece_of_a_slow_answer_completes_it),
        STORY(a_slow_client_is_not_a_slow_origin),
        STORY(an_origin_that_hardly_takes_the_body_is_a_504),
        STORY(a_slow_uploader_is_not_a_slow_origin),
        STORY(a_spent_budget_gives_the_failure_to_the_client),
        STORY(what_must_not_be_retried_costs_no_budget),
        STORY(a_replay_costs_no_budget),
    };
    return cmocka_run_group_tests_name("relay.semantics", tests, NULL, NULL);
}
