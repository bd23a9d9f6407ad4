/* The origin room's side of the border: streams and exchanges. */
#include "world.h"

#include "base/alloc.h"
#include "http/write.h"

/* ---- pool ---- */

struct qp_pool *qp_pool_new(struct qp_loop *loop, const struct qp_pool_opts *opts)
{
    struct qp_pool *pool = qp_alloc(sizeof(*pool));
    pool->account = world->pool_count;
    qp_list_init(&pool->waiters);
    world->pools[world->pool_count++] = pool;
    return pool;
}

void qp_pool_close(struct qp_pool **pool)
{
    WANT(qp_list_is_empty(&(*pool)->waiters));
    world->pool_count--;
    qp_free(*pool);
    *pool = NULL;
}

struct qp_pool_counters qp_pool_counters(const struct qp_pool *pool)
{
    return (struct qp_pool_counters){0};
}

static struct qp_exchange *make(struct qp_pool *pool, bool reused)
{
    struct qp_exchange *exchange = qp_alloc(sizeof(*exchange));
    exchange->pool = pool;
    exchange->is_reused = reused;
    exchange->is_dead = pool->idle_are_dead && reused;
    qp_arena_init(&exchange->arena, 4096, 1 << 20);
    qp_list_append(&world->exchanges, &exchange->link);
    return exchange;
}

struct qp_exchange *qp_pool_try_take(struct qp_pool *pool)
{
    if (pool->idle == 0)
        return NULL;
    pool->idle--;
    return make(pool, true);
}

void qp_pool_give_back(struct qp_pool *pool)
{
    pool->idle = 0;
}

enum qp_result qp_pool_wait(struct qp_pool *pool, struct qp_pool_waiter *waiter, bool fresh)
{
    WANT(!waiter->pool && waiter->done);
    if (pool->busy)
        return QP_SELF_BUSY;
    waiter->pool = pool;
    waiter->fresh = fresh;
    qp_list_append(&pool->waiters, &waiter->link);
    return QP_OK;
}

void qp_pool_cancel(struct qp_pool_waiter *waiter)
{
    if (waiter->pool)
        qp_list_remove(&waiter->link);
    waiter->pool = NULL;
}

/* ---- exchange ---- */

static struct qp_request *client_of(const struct qp_exchange *exchange)
{
    return exchange->owner->request;
}

void qp_exchange_begin(struct qp_exchange *exchange, const struct qp_exchange_events *events, void *owner,
                       bool head_request)
{
    WANT(!exchange->events && !exchange->is_released);
    exchange->events = events;
    exchange->owner = owner;
    client_of(exchange)->attempts++;
}

/* The token stands in it once, and at its end. */
void qp_exchange_send_head(struct qp_exchange *exchange, struct qp_slice head, enum qp_body_kind kind)
{
    static const char *const last[] = {"\r\nAuthorization: Bearer SECRET-TOKEN\r\n\r\n",
                                       "\r\nX-API-TOKEN: SECRET-TOKEN\r\n\r\n"};
    struct qp_slice tail = qp_slice_str(last[exchange->pool->account]);
    WANT(exchange->events && !exchange->head_sent && !exchange->is_released);
    WANT(head.len > tail.len && memcmp(head.at + head.len - tail.len, tail.at, tail.len) == 0);
    exchange->head_sent = true;
    exchange->kind = kind;
    qp_buf_append(&exchange->head, head);
}

void qp_exchange_send_body(struct qp_exchange *exchange, struct qp_slice piece)
{
    struct qp_slice body = qp_buf_slice(&client_of(exchange)->body);
    WANT(exchange->head_sent && !exchange->request_done && !exchange->is_released && piece.len > 0);
    WANT(exchange->sent_bytes + piece.len <= client_of(exchange)->given);
    WANT(memcmp(piece.at, body.at + exchange->sent_bytes, piece.len) == 0);
    exchange->sent_bytes += piece.len;
    if (world_random(4) == 0) {
        exchange->is_full = true;
        exchange->untaken_bytes = world_random(exchange->sent_bytes + 1);
    }
}

void qp_exchange_finish_request(struct qp_exchange *exchange, const struct qp_fields *trailers)
{
    WANT(exchange->head_sent && !exchange->request_done && !exchange->is_released);
    WANT(client_of(exchange)->has_ended && exchange->sent_bytes == qp_buf_len(&client_of(exchange)->body));
    exchange->request_done = true;
}

bool qp_exchange_is_full(const struct qp_exchange *exchange)
{
    WANT(!exchange->is_released);
    return exchange->is_full;
}
size_t qp_exchange_untaken_bytes(const struct qp_exchange *exchange)
{
    WANT(exchange->head_sent && !exchange->is_released);
    return exchange->untaken_bytes;
}
void qp_exchange_pause(struct qp_exchange *exchange)
{
    WANT(!exchange->is_released);
    exchange->is_paused = true;
}
void qp_exchange_resume(struct qp_exchange *exchange)
{
    WANT(!exchange->is_released);
    exchange->is_paused = false;
}
bool qp_exchange_is_reused(const struct qp_exchange *exchange)
{
    return exchange->is_reused;
}
bool qp_exchange_has_response(const struct qp_exchange *exchange)
{
    return exchange->has_response;
}
bool qp_exchange_has_sent(const struct qp_exchange *exchange)
{
    return exchange->head_sent;
}
bool qp_exchange_probe(struct qp_exchange *exchange)
{
    WANT(!exchange->events);
    return !exchange->is_dead;
}

void qp_exchange_give_up(struct qp_exchange *exchange)
{
    WANT(exchange->head_sent && !exchange->is_released);
}

void qp_exchange_release(struct qp_exchange **slot)
{
    struct qp_exchange *exchange = *slot;
    *slot = NULL;
    if (!exchange)
        return;
    WANT(!exchange->is_released);
    exchange->is_released = true;
    if (!exchange->in_event)
        origin_free(exchange);
}

void origin_free(struct qp_exchange *exchange)
{
    qp_list_remove(&exchange->link);
    qp_arena_deinit(&exchange->arena);
    qp_buf_deinit(&exchange->head);
    qp_buf_deinit(&exchange->answer);
    qp_buf_deinit(&exchange->wanted);
    qp_free(exchange);
}

/* ---- what a test does ---- */

struct qp_pool_waiter *origin_first_waiter(unsigned account)
{
    struct qp_list *waiters = &world->pools[account]->waiters;
    return qp_list_is_empty(waiters) ? NULL : QP_CONTAINER_OF(waiters->next, struct qp_pool_waiter, link);
}

static struct qp_pool *unqueue(struct qp_pool_waiter *waiter)
{
    struct qp_pool *pool = waiter->pool;
    qp_pool_cancel(waiter);
    return pool;
}

void origin_give_stream(struct qp_pool_waiter *waiter, bool reused)
{
    world_note("stream given");
    WANT(!reused || !waiter->fresh);
    struct qp_pool *pool = unqueue(waiter);
    waiter->done(waiter, make(pool, reused), QP_OK, NULL);
    world_check();
}

void origin_refuse_stream(struct qp_pool_waiter *waiter, enum qp_result why)
{
    world_note("stream refused");
    unqueue(waiter);
    waiter->done(waiter, NULL, why, "a reason");
    world_check();
}

struct qp_exchange *origin_of(const struct qp_request *client)
{
    return client->is_owned ? client_relayed(client)->attempt.exchange : NULL;
}

static void leave_event(struct qp_exchange *exchange)
{
    exchange->in_event = false;
    world_check();
}

void origin_inform(struct qp_exchange *exchange, uint16_t status)
{
    WANT(!exchange->response_begun);
    world_note("origin informs %u", status);
    exchange->message =
        (struct qp_message){.direction = QP_RESPONSE, .status = status, .major = 1, .minor = 1};
    exchange->has_response = exchange->in_event = true;
    exchange->events->informed(exchange->owner, &exchange->message);
    leave_event(exchange);
}

static void make_links(struct qp_exchange *exchange, size_t bytes)
{
    static const char *const hosts[] = {"https://iad1.qualtrics.com", "http://127.0.0.1:8080"};
    struct qp_buf *const out[] = {&exchange->answer, &exchange->wanted};
    for (unsigned i = 0; i < 2; i++) {
        qp_buf_append_str(out[i], "{\"result\":{\"elements\":[\"");
        for (size_t at = 0; at < bytes; at++)
            qp_buf_append_char(out[i], (char)('a' + at % 26));
        qp_buf_append_fmt(out[i], "\"],\"nextPage\":\"%s/API/v3/a?offset=100\",\"file\":\"%s/API/v3/b\"}}",
                          hosts[i], hosts[i]);
    }
}

static void make_octets(struct qp_exchange *exchange, size_t bytes)
{
    char *room = qp_buf_reserve(&exchange->answer, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        room[i] = (char)world_random(256);
    qp_buf_commit(&exchange->answer, bytes);
    qp_buf_append(&exchange->wanted, qp_buf_slice(&exchange->answer));
}

void origin_head(struct qp_exchange *exchange, const struct origin_spec *spec)
{
    struct qp_message *message = &exchange->message;
    bool no_body =
        spec->kind == QP_BODY_NONE || qp_slice_is(client_of(exchange)->message.method, QP_SLICE("HEAD"));
    const char *type = spec->links ? "application/json" : "application/octet-stream";
    WANT(!exchange->response_begun);
    world_note("origin answers %u, %zu bytes", spec->status, spec->bytes);
    *message = (struct qp_message){.direction = QP_RESPONSE,
                                   .status = spec->status,
                                   .major = 1,
                                   .minor = 1,
                                   .reason = QP_SLICE("Reason")};
    WANT(qp_fields_add(&message->fields, &exchange->arena, QP_SLICE("Content-Type"), qp_slice_str(type)));
    message->fields.at[0].id = QP_FIELD_CONTENT_TYPE;
    if (spec->fields[0])
        WANT(qp_fields_add(&message->fields, &exchange->arena, qp_slice_str(spec->fields[0]),
                           qp_slice_str(spec->fields[1])));
    if (no_body)
        message->body_kind = QP_BODY_NONE;
    else if (spec->links)
        make_links(exchange, spec->bytes);
    else
        make_octets(exchange, spec->bytes);
    if (!no_body)
        message->body_kind = spec->kind;
    message->body_length = spec->kind == QP_BODY_LENGTH ? qp_buf_len(&exchange->answer) : 0;
    exchange->has_response = exchange->response_begun = exchange->in_event = true;
    exchange->events->head(exchange->owner, message);
    leave_event(exchange);
}

void origin_body(struct qp_exchange *exchange, size_t bytes)
{
    size_t left = qp_buf_len(&exchange->answer) - exchange->answer_given;
    bytes = bytes < left ? bytes : left;
    if (bytes == 0)
        return;
    char *piece = qp_alloc(bytes);
    memcpy(piece, qp_buf_slice(&exchange->answer).at + exchange->answer_given, bytes);
    world_note("origin gives %zu", bytes);
    exchange->answer_given += bytes;
    exchange->in_event = true;
    exchange->events->body(exchange->owner, qp_slice(piece, bytes));
    qp_free(piece);
    leave_event(exchange);
}

void origin_end(struct qp_exchange *exchange)
{
    WANT(exchange->answer_given == qp_buf_len(&exchange->answer) && !exchange->response_done);
    world_note("origin's answer ends");
    exchange->response_done = exchange->in_event = true;
    exchange->events->end(exchange->owner);
    leave_event(exchange);
}

void origin_fail(struct qp_exchange *exchange, enum qp_result why)
{
    world_note("origin fails: %s", qp_result_text(why));
    exchange->failed = exchange->in_event = true;
    exchange->events->failed(exchange->owner, why, "a reason");
    leave_event(exchange);
}

void origin_fill(struct qp_exchange *exchange)
{
    exchange->is_full = true;
}

void origin_drain(struct qp_exchange *exchange)
{
    world_note("origin drained");
    exchange->is_full = false;
    exchange->untaken_bytes = 0;
    exchange->in_event = true;
    exchange->events->drained(exchange->owner);
    leave_event(exchange);
}

void origin_answer(struct qp_exchange *exchange, uint16_t status, size_t bytes)
{
    origin_head(exchange, &(struct origin_spec){.status = status, .kind = QP_BODY_LENGTH, .bytes = bytes});
    /* A rejected answer may have been dropped. */
    struct qp_list *last = world->exchanges.prev;
    if (last != &world->exchanges && QP_CONTAINER_OF(last, struct qp_exchange, link) == exchange) {
        origin_body(exchange, bytes);
        origin_end(exchange);
    }
}
