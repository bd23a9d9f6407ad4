#include "world.h"

#include "base/alloc.h"
#include "relay/relay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct world *world;

void world_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(world->notes[world->note_count++ % WORLD_NOTES], sizeof(world->notes[0]), format, args);
    va_end(args);
}

void world_fail(const char *condition, const char *file, int line)
{
    unsigned from = world->note_count > WORLD_NOTES ? world->note_count - WORLD_NOTES : 0;
    for (unsigned i = from; i < world->note_count; i++)
        fprintf(stderr, "  %s\n", world->notes[i % WORLD_NOTES]);
    fprintf(stderr, "%s:%d: not so: %s (seed %llu)\n", file, line, condition,
            (unsigned long long)world->seed);
    abort();
}

/* xorshift64* */
uint64_t world_random(uint64_t below)
{
    world->random ^= world->random >> 12;
    world->random ^= world->random << 25;
    world->random ^= world->random >> 27;
    return (world->random * 2685821657736338717u >> 16) % below;
}

static const int LISTENERS[] = {ACCOUNT_OAUTH, ACCOUNT_STATIC};

void world_open(uint64_t seed, const char *folder)
{
    world = qp_alloc(sizeof(*world));
    world->seed = seed;
    world->random = seed * 2 + 1;
    world->loop.now_ms = 1000;
    qp_list_init(&world->clients);
    qp_list_init(&world->exchanges);
    qp_list_init(&world->timers);
    qp_list_init(&world->view.needs);
    world->view.token = qp_secret_new(QP_SLICE("SECRET-TOKEN"));
    world->view.accounts[ACCOUNT_STATIC] = (struct fake_account){.generation = 1, .valid = true};
    world->accounts[ACCOUNT_OAUTH] = (struct qp_relay_account){
        .name = "main", .origin_host = "iad1.qualtrics.com", .origin_port = 443, .rewrite_links = true};
    world->accounts[ACCOUNT_STATIC] = (struct qp_relay_account){
        .name = "fixed", .origin_host = "fra1.qualtrics.com", .origin_port = 443, .static_token = true};
    world->opts = (struct qp_relay_opts){
        .accounts = world->accounts,
        .account_count = WORLD_ACCOUNTS,
        .listener_accounts = LISTENERS,
        .listener_count = WORLD_ACCOUNTS,
        .origin_connect_ms = 5000,
        .origin_response_ms = 60000,
        .origin_idle_ms = 30000,
        .origin_lost_ms = 10000,
        .stream_wait_ms = 10000,
        .request_ms = 600000,
        .origin_streams = 8,
        .waiting = 8,
        .origin_rate_bytes = 64,
        .retry_per_cent = 20,
        .replay_memory_bytes = 96 * 1024,
        .replay_memory_total_bytes = 192 * 1024,
        .replay_body_bytes = 320 * 1024,
        .replay_folder = folder,
        .via = "qproxy",
        .instance = "0a1b2c3d",
        .access_log = true,
    };
    world->relay = qp_relay_new(&world->loop, &world->opts, &world->view);
}

static void free_ended(void)
{
    QP_LIST_FOR_EACH_SAFE (link, &world->clients) {
        struct qp_request *client = QP_CONTAINER_OF(link, struct qp_request, link);
        if (client->ends > 0)
            client_free(client);
    }
    QP_LIST_FOR_EACH_SAFE (link, &world->exchanges) {
        struct qp_exchange *exchange = QP_CONTAINER_OF(link, struct qp_exchange, link);
        if (exchange->is_released)
            origin_free(exchange);
    }
}

/* Whoever waits for something belongs to a request that is still there. */
static void check_waits(void)
{
    QP_LIST_FOR_EACH (link, &world->view.needs) {
        struct relayed *r =
            QP_CONTAINER_OF(QP_CONTAINER_OF(link, struct qp_need, link), struct relayed, need);
        WANT(r->request && r->request->is_owned && r->state == STATE_TOKEN);
    }
    for (unsigned i = 0; i < WORLD_ACCOUNTS; i++)
        QP_LIST_FOR_EACH (link, &world->pools[i]->waiters) {
            struct qp_pool_waiter *waiter = QP_CONTAINER_OF(link, struct qp_pool_waiter, link);
            struct relayed *r = QP_CONTAINER_OF(waiter, struct relayed, waiter);
            WANT(r->request && r->request->is_owned && r->state == STATE_STREAM);
        }
}

static void check_clients(void)
{
    QP_LIST_FOR_EACH (link, &world->clients) {
        struct qp_request *client = QP_CONTAINER_OF(link, struct qp_request, link);
        const struct relayed *r = client->context;
        WANT(client->ends <= 1 && client->is_owned == (client->ends == 0));
        WANT(!client->is_owned || (r && r->request == client && r->state != STATE_DONE));
        WANT(client->attempts <= 3);
        if (!client->is_owned)
            continue;
        WANT(qp_buf_len(&r->kept.memory) <= world->opts.replay_memory_bytes + 64 * 1024);
        WANT(qp_buf_len(&r->body) <= 128 * 1024);
        /* Something will happen to it, whatever the others do. */
        WANT(r->state == STATE_TOKEN ? qp_list_is_linked(&r->need.link) : qp_timer_is_armed(&r->deadline));
        WANT(r->state != STATE_STREAM || r->waiter.pool);
    }
}

static void check_exchanges(void)
{
    QP_LIST_FOR_EACH (link, &world->exchanges) {
        struct qp_exchange *exchange = QP_CONTAINER_OF(link, struct qp_exchange, link);
        WANT(exchange->owner && exchange->owner->attempt.exchange == exchange);
        WANT(!exchange->failed); /* it is the owner's duty to release it */
    }
}

/* What relay/counters.h promises. */
static void check_counters(void)
{
    const struct qp_relay_counters *counters = &world->relay->counters;
    uint64_t open = 0;
    uint64_t replied = 0;
    QP_LIST_FOR_EACH (link, &world->clients)
        open++;
    for (unsigned i = 0; i < QP_REPLY_COUNT; i++)
        replied += counters->replied[i];
    WANT(counters->requests ==
         counters->answered + counters->cut + counters->own_replies + counters->client_gone + open);
    WANT(counters->own_replies == replied + counters->options_answered);
    WANT(counters->attempts ==
         counters->forwarded + counters->replays + counters->stale_retries + counters->expect_retries);
}

void world_check(void)
{
    check_clients();
    free_ended();
    check_waits();
    check_exchanges();
    check_counters();
}

void world_close(void)
{
    world_check();
    WANT(qp_list_is_empty(&world->clients));
    WANT(qp_list_is_empty(&world->exchanges));
    WANT(qp_list_is_empty(&world->timers));
    WANT(qp_list_is_empty(&world->view.needs));
    WANT(world->relay->kept_budget.used_bytes == 0);
    qp_relay_close(&world->relay);
    WANT(world->pool_count == 0);
    qp_secret_free(&world->view.token);
    qp_free(world);
    world = NULL;
}
