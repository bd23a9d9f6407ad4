/* A random walk through everything that can happen to relayed requests, in every order that the rooms around the relay allow. What must
 * hold is checked in the fakes (world.h); here is who may do what next, and that all requests come to their end once the world is kind. */
#include "world.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS_MOST = 4, STEPS = 400, KIND_ROUNDS = 4000 };

static bool chance(unsigned in)
{
    return world_random(in) == 0;
}

static struct qp_list *pick(struct qp_list *list)
{
    unsigned count = 0;
    QP_LIST_FOR_EACH (link, list)
        count++;
    if (count == 0)
        return NULL;
    struct qp_list *link = list->next;
    for (uint64_t skip = world_random(count); skip > 0; skip--)
        link = link->next;
    return link;
}

static size_t some_size(void)
{
    static const size_t most[] = {1, 16, 4096, 70 * 1024, 200 * 1024, 500 * 1024};
    return world_random(most[world_random(sizeof most / sizeof most[0])]);
}

/* ---- clients ---- */

static void begin_client(void)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
    static const char *const targets[] = {"/a", "/b?q", "/c"};
    unsigned count = 0;
    QP_LIST_FOR_EACH (link, &world->clients)
        count++;
    if (count >= CLIENTS_MOST)
        return;
    struct client_spec spec = {.method = methods[world_random(5)], .target = targets[world_random(3)]};
    spec.account = chance(6) ? ACCOUNT_STATIC : ACCOUNT_OAUTH;
    bool has_body = spec.method[0] == 'P';
    spec.body_bytes = has_body ? some_size() : 0;
    spec.chunked = has_body && chance(3);
    spec.takes_trailers = chance(2);
    spec.expects = has_body && spec.body_bytes > 0 && chance(3);
    client_begin(&spec);
}

/* One read of the server's: what it holds is delivered whatever the relay says meanwhile. */
static void read_burst(struct qp_request *client)
{
    size_t left = qp_buf_len(&client->body) - client->given;
    size_t burst = 1 + world_random(64 * 1024);
    burst = burst < left ? burst : left;
    while (client->is_owned && burst > 0) {
        size_t piece = 1 + world_random(burst);
        client_piece(client, piece);
        burst -= piece;
    }
    if (client->is_owned && client->given == qp_buf_len(&client->body) && chance(2))
        client_end(client);
    world_check();
}

static void step_client(void)
{
    struct qp_list *link = pick(&world->clients);
    if (!link)
        return;
    struct qp_request *client = QP_CONTAINER_OF(link, struct qp_request, link);
    switch (world_random(8)) {
    case 0:
        if (chance(8))
            client_gone(client, chance(2) ? QP_NET_RESET : QP_NET_TIMEOUT);
        break;
    case 1:
        client_fill(client);
        break;
    case 2:
        if (client->is_full)
            client_drain(client);
        break;
    default:
        if (client_can_send(client))
            read_burst(client);
        break;
    }
}

/* ---- tokens ---- */

static void step_token(void)
{
    struct qp_need *need = token_first_need();
    switch (world_random(8)) {
    case 0:
        if (chance(4))
            token_mint(ACCOUNT_OAUTH);
        break;
    case 1:
        if (chance(4))
            token_expire(ACCOUNT_OAUTH);
        break;
    case 2:
        if (chance(8))
            world->view.accounts[ACCOUNT_OAUTH].damped ^= true;
        world->view.accounts[ACCOUNT_OAUTH].expires_at_ms =
            chance(2) ? 0 : world->loop.now_ms + world_random(90000);
        break;
    case 3:
        if (need)
            token_answer(need, (enum qp_need_outcome)(QP_NEED_COOLING_DOWN + world_random(QP_NEED_BUSY)));
        break;
    default:
        if (need)
            token_answer(need, QP_NEED_MET);
        break;
    }
}

/* ---- origins ---- */

static void step_pool(void)
{
    unsigned account = chance(4) ? ACCOUNT_STATIC : ACCOUNT_OAUTH;
    struct qp_pool *pool = world->pools[account];
    struct qp_pool_waiter *waiter = origin_first_waiter(account);
    pool->idle = (unsigned)world_random(3);
    pool->idle_are_dead = chance(4);
    pool->busy = chance(30);
    if (waiter && chance(12))
        origin_refuse_stream(waiter, chance(2) ? QP_NET_REFUSED : QP_NET_TLS_VERIFY);
    else if (waiter)
        origin_give_stream(waiter, !waiter->fresh && chance(2));
}

static void give_head(struct qp_exchange *exchange)
{
    static const uint16_t statuses[] = {200, 200, 401, 401, 401, 403, 417, 204, 500, 304};
    static const enum qp_body_kind kinds[] = {QP_BODY_LENGTH, QP_BODY_LENGTH, QP_BODY_CHUNKED,
                                              QP_BODY_UNTIL_CLOSE};
    struct origin_spec spec = {.status = statuses[world_random(10)], .kind = kinds[world_random(4)]};
    spec.bytes = some_size();
    if (chance(4)) {
        spec.fields[0] = chance(2) ? "Location" : "content-location";
        spec.fields[1] = chance(2) ? "https://iad1.qualtrics.com/API/v3/x" : "/API/v3/x";
    }
    spec.links = spec.status == 200 && exchange->pool->account == ACCOUNT_OAUTH && chance(2);
    if (spec.status == 204 || spec.status == 304)
        spec.kind = QP_BODY_NONE;
    if (spec.kind == QP_BODY_NONE)
        spec.bytes = 0;
    origin_head(exchange, &spec);
}

static void step_response(struct qp_exchange *exchange)
{
    if (!exchange->response_begun && chance(6))
        origin_inform(exchange, chance(2) ? 100 : 103);
    else if (!exchange->response_begun && (exchange->request_done || chance(6)))
        give_head(exchange);
    else if (exchange->response_begun && !exchange->is_paused &&
             exchange->answer_given < qp_buf_len(&exchange->answer))
        origin_body(exchange, 1 + world_random(64 * 1024));
    else if (exchange->response_begun && exchange->answer_given == qp_buf_len(&exchange->answer))
        origin_end(exchange);
}

static void step_origin(void)
{
    struct qp_list *link = pick(&world->exchanges);
    if (!link)
        return;
    struct qp_exchange *exchange = QP_CONTAINER_OF(link, struct qp_exchange, link);
    if (exchange->response_done) /* held: nothing more comes */
        return;
    if (chance(24))
        origin_fail(exchange, chance(2) ? QP_NET_RESET : QP_HTTP_MALFORMED);
    else if (exchange->is_full && chance(2))
        origin_drain(exchange);
    else
        step_response(exchange);
}

static void step_time(void)
{
    struct qp_list *link = pick(&world->timers);
    time_pass(world_random(500));
    if (link && chance(12))
        time_fire(QP_CONTAINER_OF(link, struct qp_timer, link));
}

static void step(void)
{
    switch (world_random(12)) {
    case 0:
        begin_client();
        break;
    case 1:
        step_time();
        break;
    case 2:
    case 3:
        step_token();
        break;
    case 4:
    case 5:
        step_pool();
        break;
    case 6:
    case 7:
    case 8:
        step_client();
        break;
    default:
        step_origin();
        break;
    }
}

/* ---- a kind world: everybody does what is awaited of him; nobody leaves, nothing fails ---- */

static void be_kind_to(struct qp_request *client)
{
    struct qp_exchange *exchange = origin_of(client);
    if (client->is_full)
        client_drain(client);
    else if (client_can_send(client))
        read_burst(client);
    else if (!exchange || exchange->response_done)
        return;
    else if (exchange->is_full)
        origin_drain(exchange);
    else if (!exchange->response_begun && exchange->request_done)
        origin_head(exchange, &(struct origin_spec){.status = 200, .kind = QP_BODY_LENGTH, .bytes = 10});
    else if (exchange->response_begun)
        step_response(exchange);
}

static void come_to_an_end(void)
{
    for (unsigned round = 0; !qp_list_is_empty(&world->clients); round++) {
        /* With a client or an exchange that is paused for ever nothing of this ends it. */
        WANT(round < KIND_ROUNDS);
        struct qp_list *client = pick(&world->clients);
        be_kind_to(QP_CONTAINER_OF(client, struct qp_request, link));
        if (token_first_need())
            token_answer(token_first_need(), QP_NEED_MET);
        for (unsigned i = 0; i < WORLD_ACCOUNTS; i++)
            if (origin_first_waiter(i))
                origin_give_stream(origin_first_waiter(i), false);
        struct qp_list *timer = pick(&world->timers);
        if (timer && round % 64 == 63) /* they stand still: then time passes */
            time_fire(QP_CONTAINER_OF(timer, struct qp_timer, link));
    }
}

static uint64_t walk(uint64_t seed, const char *folder)
{
    world_open(seed, folder);
    for (unsigned i = 0; i < STEPS; i++)
        step();
    for (unsigned i = 0; i < WORLD_ACCOUNTS; i++)
        world->pools[i]->busy = world->pools[i]->idle_are_dead = false;
    come_to_an_end();
    uint64_t ended = world->ended;
    world_close();
    return ended;
}

static void walks(uint64_t from, uint64_t count, const char *folder)
{
    uint64_t ended = 0;
    for (uint64_t seed = from; seed < from + count; seed++)
        ended += walk(seed, folder);
    assert_true(ended > count);
}

static uint64_t how_many(uint64_t otherwise)
{
    const char *text = getenv("QP_WALKS");
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void requests_end_once_whatever_comes_in_whatever_order(void **state)
{
    walks(1, how_many(400), "/tmp");
}

static void also_where_no_body_can_be_written_to_a_file(void **state)
{
    walks(1000000, how_many(400) / 4, "/nonexistent");
}

int main(void)
{
    /* Warnings are part of the walk. */
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_end_once_whatever_comes_in_whatever_order),
        cmocka_unit_test(also_where_no_body_can_be_written_to_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
