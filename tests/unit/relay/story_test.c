/* Single stories of a relayed request, each against the fakes of world.h: what the brief of request.c promises, and what was once wrong. */
#include "world.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LARGE = 400 * 1024 }; /* more than the world's replay.body */

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

static struct qp_request *post(size_t bytes, struct client_end *end)
{
    return client_begin(&(struct client_spec){.method = "POST", .body_bytes = bytes, .report = end});
}

static void give_all(struct qp_request *client)
{
    while (client->given < qp_buf_len(&client->body)) {
        struct qp_exchange *exchange = origin_of(client);
        if (exchange && exchange->is_full)
            origin_drain(exchange);
        assert_false(client->is_paused);
        client_piece(client, 16 * 1024);
    }
    client_end(client);
}

static void assert_end(const struct client_end *end, uint16_t status, bool is_origins, unsigned attempts)
{
    assert_true(end->ended);
    assert_true(end->finished);
    assert_int_equal(end->status, status);
    assert_int_equal(end->is_origins, is_origins);
    assert_int_equal(end->attempts, attempts);
}

static uint64_t counter(const _Atomic uint64_t *value)
{
    return atomic_load(value);
}

/* ---- tokens and rejections ---- */

static void an_answer_is_passed_on(void **state)
{
    struct client_end end = {0};
    origin_answer(next_exchange(get(&end)), 200, 5000);
    assert_end(&end, 200, true, 1);
    assert_int_equal(end.answer_bytes, 5000);
}

static void a_401_is_replayed_with_a_new_token_and_never_seen(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(3000, &end);
    struct qp_exchange *first = next_exchange(client);
    give_all(client);
    origin_answer(first, 401, 200);
    assert_false(end.ended);
    origin_answer(next_exchange(client), 200, 10);
    assert_end(&end, 200, true, 2);
    assert_true(end.minted);
    assert_int_equal(counter(&world->relay->counters.replays), 1);
}

static void the_second_401_is_the_origins_own(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    origin_answer(next_exchange(client), 401, 10);
    origin_answer(next_exchange(client), 401, 77);
    assert_end(&end, 401, true, 2);
    assert_int_equal(end.answer_bytes, 77);
}

static void a_token_replaced_meanwhile_costs_no_mint(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    token_mint(ACCOUNT_OAUTH);
    origin_answer(exchange, 401, 10);
    origin_answer(next_exchange(client), 200, 10);
    assert_end(&end, 200, true, 2);
    assert_false(end.minted);
}

static void a_static_tokens_401_passes(void **state)
{
    struct client_end end = {0};
    struct qp_request *client =
        client_begin(&(struct client_spec){.method = "GET", .account = ACCOUNT_STATIC, .report = &end});
    origin_answer(next_exchange(client), 401, 10);
    assert_end(&end, 401, true, 1);
}

static void a_held_401_goes_out_when_no_newer_token_will_come(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    origin_answer(next_exchange(client), 401, 300);
    token_answer(token_first_need(), QP_NEED_REJECTED);
    assert_end(&end, 401, true, 1);
    assert_int_equal(end.answer_bytes, 300);
}

static void a_large_held_401_goes_out_whole(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 401, .kind = QP_BODY_LENGTH, .bytes = 200 * 1024});
    origin_body(exchange, 60 * 1024);
    assert_false(exchange->is_paused);
    origin_body(exchange, 20 * 1024);
    assert_true(exchange->is_paused); /* what is held is bounded */
    token_answer(token_first_need(), QP_NEED_REJECTED);
    assert_false(exchange->is_paused);
    origin_body(exchange, 200 * 1024);
    origin_end(exchange);
    assert_end(&end, 401, true, 1);
    assert_int_equal(end.answer_bytes, 200 * 1024);
}

static void other_troubles_with_tokens_are_never_a_401(void **state)
{
    for (enum qp_need_outcome outcome = QP_NEED_COOLING_DOWN; outcome <= QP_NEED_BUSY; outcome++) {
        if (outcome == QP_NEED_REJECTED || outcome == QP_NEED_STATIC)
            continue;
        struct client_end end = {0};
        origin_answer(next_exchange(get(&end)), 401, 300);
        token_answer(token_first_need(), outcome);
        assert_end(&end, outcome == QP_NEED_REFUSED ? 502 : 503, false, 1);
    }
}

static void waiting_helps_where_retry_after_says_so(void **state)
{
    struct client_end end = {0};
    token_expire(ACCOUNT_OAUTH);
    get(&end);
    token_answer(token_first_need(), QP_NEED_COOLING_DOWN);
    assert_non_null(strstr(end.extra, "Retry-After: 1\r\n"));
    get(&end);
    token_answer(token_first_need(),
                 QP_NEED_SIGN_IN); /* somebody must sign in: a second later is no better */
    assert_null(strstr(end.extra, "Retry-After"));
}

/* The stream with the held answer fails: there is nothing to pass on any more, but the token may still come. */
static void a_held_answer_may_break_off(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 401, .kind = QP_BODY_LENGTH, .bytes = 10});
    origin_fail(exchange, QP_NET_RESET);
    assert_int_equal(counter(&world->relay->counters.replays), 0); /* it is not sent again yet */
    origin_answer(next_exchange(client), 200, 10);
    assert_end(&end, 200, true, 2);
    assert_int_equal(counter(&world->relay->counters.replays), 1);
}

static void tokens_that_expire_at_once_do_not_make_a_circle(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    for (unsigned i = 0; !end.ended; i++) {
        assert_true(i < 10);
        if (token_first_need())
            token_answer(token_first_need(), QP_NEED_MET);
        token_expire(ACCOUNT_OAUTH);
        origin_give_stream(origin_first_waiter(client->listener_id), false);
    }
    assert_end(&end, 503, false, 0);
}

/* ---- attempts ---- */

static void a_dead_kept_stream_costs_a_retry(void **state)
{
    struct client_end end = {0};
    world->pools[ACCOUNT_OAUTH]->idle = 1;
    struct qp_request *client = get(&end);
    origin_fail(origin_of(client), QP_NET_RESET);
    assert_true(origin_first_waiter(ACCOUNT_OAUTH)->fresh);
    origin_answer(next_exchange(client), 200, 10);
    assert_end(&end, 200, true, 2);
}

static void a_post_is_not_sent_twice(void **state)
{
    struct client_end end = {0};
    world->pools[ACCOUNT_OAUTH]->idle = 1;
    struct qp_request *client = post(10, &end);
    give_all(client);
    origin_fail(origin_of(client), QP_NET_RESET);
    assert_end(&end, 502, false, 1);
}

static void there_is_no_fourth_attempt(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    token_mint(ACCOUNT_OAUTH); /* somebody else's */
    origin_answer(exchange, 401, 10);
    origin_answer(next_exchange(client), 401, 10);
    world->pools[ACCOUNT_OAUTH]->idle = 1;
    token_answer(token_first_need(), QP_NEED_MET);
    origin_fail(origin_of(client), QP_NET_RESET); /* a kept stream that had died */
    assert_end(&end, 502, false, 3);
}

/* ---- uploads ---- */

static void a_401_in_the_middle_of_an_upload(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(200 * 1024, &end);
    struct qp_exchange *exchange = next_exchange(client);
    client_piece(client, 100 * 1024);
    origin_answer(exchange, 401, 10);
    client_piece(client, 10 * 1024); /* what was read already */
    assert_true(client->is_paused);
    exchange = next_exchange(client);
    if (exchange->is_full)
        origin_drain(exchange);
    give_all(client);
    while (!exchange->request_done)
        origin_drain(exchange);
    origin_answer(exchange, 200, 10);
    assert_end(&end, 200, true, 2);
}

/* A body that outgrows its budget while its replay is due must stay whole for that replay: this once ended the process. */
static void a_body_that_cannot_be_kept_any_more_is_still_replayed(void **state)
{
    struct client_end end = {0};
    world->relay->kept_budget.folder = "/nonexistent";
    struct qp_request *client = post(200 * 1024, &end);
    struct qp_exchange *exchange = next_exchange(client);
    client_piece(client, 90 * 1024);
    origin_answer(exchange, 401, 10);
    client_piece(client, 60 * 1024);
    exchange = next_exchange(client);
    if (exchange->is_full)
        origin_drain(exchange);
    give_all(client);
    while (!exchange->request_done)
        origin_drain(exchange);
    origin_answer(exchange, 200, 10);
    assert_end(&end, 200, true, 2);
}

static void the_client_goes_on_when_a_held_401_is_passed_on(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(200 * 1024, &end);
    struct qp_exchange *exchange = next_exchange(client);
    client_piece(client, 10 * 1024);
    origin_head(exchange, &(struct origin_spec){.status = 401, .kind = QP_BODY_LENGTH, .bytes = 10});
    client_piece(client, 10 * 1024);
    assert_true(client->is_paused);
    token_answer(token_first_need(), QP_NEED_REJECTED);
    for (unsigned i = 0; i < 8 && exchange->is_full; i++)
        origin_drain(exchange);
    assert_false(client->is_paused); /* the origin may want to see it all before it goes on */
    give_all(client);
    while (!exchange->request_done)
        origin_drain(exchange);
    origin_body(exchange, 10);
    origin_end(exchange);
    assert_end(&end, 401, true, 1);
}

static void a_100_comes_also_when_the_first_attempt_was_rejected_before_the_body(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = client_begin(
        &(struct client_spec){.method = "POST", .body_bytes = 100, .expects = true, .report = &end});
    origin_answer(next_exchange(client), 401, 10);
    struct qp_exchange *exchange = next_exchange(client);
    assert_non_null(qp_slice_find(qp_buf_slice(&exchange->head), QP_SLICE("Expect: 100-continue")));
    origin_inform(exchange, 100);
    assert_true(client_can_send(client));
    give_all(client);
    origin_answer(exchange, 200, 10);
    assert_end(&end, 200, true, 2);
}

static void an_origin_without_100_does_not_hold_the_body_up(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = client_begin(
        &(struct client_spec){.method = "POST", .body_bytes = 100, .expects = true, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    uint64_t began_ms = world->loop.now_ms;
    time_fire(&client_relayed(client)->deadline);
    assert_in_range(world->loop.now_ms - began_ms, 500, 2000);
    assert_true(client_can_send(client));
    give_all(client);
    origin_answer(exchange, 200, 10);
    assert_end(&end, 200, true, 1);
}

static void an_empty_body_waits_for_no_100(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = client_begin(
        &(struct client_spec){.method = "POST", .chunked = true, .expects = true, .report = &end});
    struct qp_exchange *exchange = next_exchange(client);
    client_end(client);
    assert_true(exchange->request_done);
    origin_answer(exchange, 200, 10);
    assert_end(&end, 200, true, 1);
}

static void an_early_answer_reaches_the_client(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(LARGE, &end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_answer(exchange, 413, 10);
    assert_end(&end, 413, true, 1);
}

/* A client that is slow with its upload is the server room's to watch, whether the answer has begun or not. */
static void a_slow_upload_does_not_cut_an_early_answer(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(1000, &end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_CHUNKED, .bytes = 10});
    client_piece(client, 500);
    origin_drain(exchange);
    time_fire(&client_relayed(client)->deadline);
    assert_false(end.ended);
    origin_drain(exchange);
    give_all(client);
    origin_drain(exchange);
    origin_body(exchange, 10);
    origin_end(exchange);
    assert_end(&end, 200, true, 1);
}

static void a_silent_origin_is_cut_off(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    next_exchange(client);
    time_fire(&client_relayed(client)->deadline);
    assert_end(&end, 504, false, 1);
    client = get(&end);
    origin_head(next_exchange(client),
                &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 10});
    time_fire(&client_relayed(client)->deadline);
    assert_true(end.ended);
    assert_false(end.finished); /* the client sees the cut */
}

/* Before the request's end and behind it. */
static void an_origin_that_takes_the_upload_slowly_is_waited_for(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(200 * 1024, &end);
    struct qp_exchange *exchange = next_exchange(client);
    client_piece(client, 150 * 1024);
    origin_fill(exchange); /* after a while: its time begins anew */
    exchange->untaken_bytes = 100 * 1024;
    time_fire(&client_relayed(client)->deadline);
    client_piece(client, 50 * 1024);
    while (exchange->sent_bytes < 200 * 1024)
        origin_drain(exchange);
    exchange->untaken_bytes = 10 * 1024;
    client_end(client);
    for (exchange->untaken_bytes = 5 * 1024; exchange->untaken_bytes > 0; exchange->untaken_bytes = 0)
        time_fire(&client_relayed(client)->deadline);
    time_fire(&client_relayed(client)->deadline);
    time_fire(&client_relayed(client)->deadline);
    assert_end(&end, 504, false, 1);
}

static void an_origin_that_takes_next_to_nothing_of_the_upload_is_cut_off(void **state)
{
    for (unsigned taken = 0; taken < 2; taken++) {
        struct client_end end = {0};
        struct qp_request *client = post(200 * 1024, &end);
        struct qp_exchange *exchange = next_exchange(client);
        client_piece(client, 150 * 1024);
        origin_fill(exchange);
        client_piece(client, 1);
        exchange->untaken_bytes = exchange->sent_bytes - taken;
        time_fire(&client_relayed(client)->deadline);
        assert_end(&end, 504, false, 1);
        assert_non_null(strstr(end.extra, taken ? "origin_slow" : "origin_timeout"));
    }
}

static void a_client_that_takes_no_answer_does_not_make_the_origins_taking_slow(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(200 * 1024, &end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 20});
    client_fill(client);
    origin_body(exchange, 10);
    origin_fill(exchange);
    client_piece(client, 1000);
    time_pass(10 * (uint64_t)world->opts.origin_response_ms);
    origin_drain(exchange);
    assert_false(end.ended);
    client_gone(client, QP_NET_RESET);
}

/* The last piece of the request may come at any time: then the origin has its whole time for the rest of an answer that has begun. */
static void the_end_of_an_upload_begins_the_origins_time_anew(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = post(1000, &end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_CHUNKED, .bytes = 10});
    const uint64_t due_ms = client_relayed(client)->deadline.due_ms;
    time_pass(1);
    give_all(client);
    assert_int_equal(client_relayed(client)->deadline.due_ms, due_ms + 1);
    client_gone(client, QP_NET_RESET);
}

/* An upload that can be sent only once starts with a token that has some life left, */
static void a_large_upload_asks_for_a_token_with_life(void **state)
{
    struct client_end end = {0};
    world->view.accounts[ACCOUNT_OAUTH].expires_at_ms = world->loop.now_ms + 5000;
    struct qp_request *client = post(LARGE, &end);
    assert_non_null(token_first_need());
    assert_int_equal(token_first_need()->min_generation, 2);
    client_gone(client, QP_NET_RESET);
}

/* but the life is a wish: the one that there is still is valid. */
static void a_large_upload_goes_with_the_token_that_there_is(void **state)
{
    struct client_end end = {0};
    world->view.accounts[ACCOUNT_OAUTH].expires_at_ms = world->loop.now_ms + 5000;
    struct qp_request *client = post(LARGE, &end);
    token_answer(token_first_need(), QP_NEED_COOLING_DOWN);
    assert_false(end.ended);
    struct qp_exchange *exchange = next_exchange(client);
    time_fire(&client_relayed(client)->deadline); /* the origin sends no 100 */
    give_all(client);
    while (!exchange->request_done)
        origin_drain(exchange);
    origin_answer(exchange, 200, 10);
    assert_end(&end, 200, true, 1);
}

/* ---- answers ---- */

static void links_are_counted_one_by_one(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct client_end end = {0};
        struct qp_request *client = get(&end);
        struct qp_exchange *exchange = next_exchange(client);
        size_t bytes = i == 0 ? 100 : 100 * 1024; /* as a whole; as it streams by */
        origin_head(exchange, &(struct origin_spec){
                                  .status = 200, .kind = QP_BODY_LENGTH, .bytes = bytes, .links = true});
        origin_body(exchange, 200 * 1024);
        origin_end(exchange);
        assert_end(&end, 200, true, 1);
        assert_int_equal(counter(&world->relay->counters.links_rewritten), 2 * (i + 1)); /* two in each */
    }
}

static void a_part_of_a_body_is_not_rewritten(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange,
                &(struct origin_spec){.status = 206, .kind = QP_BODY_LENGTH, .bytes = 10, .links = true});
    /* Content-Range counts the bytes of what the origin has. */
    qp_buf_clear(&client->wanted);
    qp_buf_append(&client->wanted, qp_buf_slice(&exchange->answer));
    origin_body(exchange, 1000);
    origin_end(exchange);
    assert_end(&end, 206, true, 1);
}

static void a_slow_client_stops_the_origin(void **state)
{
    struct client_end end = {0};
    struct qp_request *client = get(&end);
    struct qp_exchange *exchange = next_exchange(client);
    origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 1000});
    client_fill(client);
    origin_body(exchange, 10);
    assert_true(exchange->is_paused);
    time_fire(&client_relayed(client)->deadline); /* not the origin's fault */
    assert_false(end.ended);
    client_drain(client);
    assert_false(exchange->is_paused);
    origin_body(exchange, 1000);
    origin_end(exchange);
    assert_end(&end, 200, true, 1);
}

static void an_answer_that_breaks_off_is_cut(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct client_end end = {0};
        struct qp_exchange *exchange = next_exchange(get(&end));
        origin_head(exchange, &(struct origin_spec){
                                  .status = 200, .kind = QP_BODY_LENGTH, .bytes = 1000, .links = i == 1});
        origin_body(exchange, 10);
        origin_fail(exchange, QP_HTTP_TRUNCATED);
        assert_true(end.ended);
        assert_false(end.finished);
        assert_int_equal(end.status, 200);
        assert_int_equal(end.answer_bytes, 10);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    const struct CMUnitTest tests[] = {
        STORY(an_answer_is_passed_on),
        STORY(a_401_is_replayed_with_a_new_token_and_never_seen),
        STORY(the_second_401_is_the_origins_own),
        STORY(a_token_replaced_meanwhile_costs_no_mint),
        STORY(a_static_tokens_401_passes),
        STORY(a_held_401_goes_out_when_no_newer_token_will_come),
        STORY(a_large_held_401_goes_out_whole),
        STORY(other_troubles_with_tokens_are_never_a_401),
        STORY(waiting_helps_where_retry_after_says_so),
        STORY(a_held_answer_may_break_off),
        STORY(tokens_that_expire_at_once_do_not_make_a_circle),
        STORY(a_dead_kept_stream_costs_a_retry),
        STORY(a_post_is_not_sent_twice),
        STORY(there_is_no_fourth_attempt),
        STORY(a_401_in_the_middle_of_an_upload),
        STORY(a_body_that_cannot_be_kept_any_more_is_still_replayed),
        STORY(the_client_goes_on_when_a_held_401_is_passed_on),
        STORY(a_100_comes_also_when_the_first_attempt_was_rejected_before_the_body),
        STORY(an_origin_without_100_does_not_hold_the_body_up),
        STORY(an_empty_body_waits_for_no_100),
        STORY(an_early_answer_reaches_the_client),
        STORY(a_slow_upload_does_not_cut_an_early_answer),
        STORY(a_silent_origin_is_cut_off),
        STORY(an_origin_that_takes_the_upload_slowly_is_waited_for),
        STORY(an_origin_that_takes_next_to_nothing_of_the_upload_is_cut_off),
        STORY(a_client_that_takes_no_answer_does_not_make_the_origins_taking_slow),
        STORY(the_end_of_an_upload_begins_the_origins_time_anew),
        STORY(a_large_upload_asks_for_a_token_with_life),
        STORY(a_large_upload_goes_with_the_token_that_there_is),
        STORY(links_are_counted_one_by_one),
        STORY(a_part_of_a_body_is_not_rewritten),
        STORY(a_slow_client_stops_the_origin),
        STORY(an_answer_that_breaks_off_is_cut),
    };
    return cmocka_run_group_tests_name("relay.story", tests, NULL, NULL);
}
