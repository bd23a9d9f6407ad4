/* The server room's side of the border: requests as a handler sees them. */
#include "world.h"

#include "base/alloc.h"

#include <stdio.h>

/* ---- what the relay asks ---- */

const struct qp_message *qp_request_message(const struct qp_request *request)
{
    return &request->message;
}
struct qp_arena *qp_request_arena(struct qp_request *request)
{
    return &request->arena;
}
void qp_request_set_context(struct qp_request *request, void *context)
{
    request->context = context;
}
void *qp_request_context(const struct qp_request *request)
{
    return request->context;
}
unsigned qp_request_listener_id(const struct qp_request *request)
{
    return request->listener_id;
}
struct qp_slice qp_request_authority(struct qp_request *request)
{
    return QP_SLICE("127.0.0.1:8080");
}
bool qp_request_is_tls(const struct qp_request *request)
{
    return false;
}
struct qp_slice qp_request_target(const struct qp_request *request)
{
    return request->message.target;
}
uint64_t qp_request_conn_id(const struct qp_request *request)
{
    return 1;
}
uint64_t qp_request_number(const struct qp_request *request)
{
    return 1;
}
struct qp_slice qp_request_client(struct qp_request *request)
{
    return QP_SLICE("127.0.0.1:5312");
}
bool qp_request_has_ended(const struct qp_request *request)
{
    return request->has_ended;
}
uint64_t qp_request_body_received(const struct qp_request *request)
{
    return request->given;
}
uint64_t qp_request_answer_sent(const struct qp_request *request)
{
    return qp_buf_len(&request->answer);
}
uint16_t qp_request_answer_status(const struct qp_request *request)
{
    return request->status;
}
const struct qp_refusal *qp_request_refusal(const struct qp_request *request)
{
    return NULL;
}
uint64_t qp_request_age_ms(const struct qp_request *request)
{
    return 0;
}
bool qp_request_is_full(const struct qp_request *request)
{
    return request->is_full;
}

void qp_request_pause(struct qp_request *request)
{
    WANT(request->is_owned);
    request->is_paused = true;
}
void qp_request_resume(struct qp_request *request)
{
    WANT(request->is_owned);
    request->is_paused = false;
}

/* ---- the answer ---- */

void qp_request_inform(struct qp_request *request, unsigned status, struct qp_slice reason,
                       const struct qp_fields *fields)
{
    WANT(request->is_owned && request->status == 0);
    WANT(status != 100 || request->message.expect_continue);
    request->got_continue |= status == 100;
}

/* The origin's answer has its fields; ours has none. */
static void note_origin(struct qp_request *request, const struct qp_answer *answer)
{
    const struct qp_exchange *exchange = ((struct relayed *)request->context)->attempt.exchange;
    request->is_origins = answer->fields != NULL;
    WANT(!request->is_origins || !qp_slice_find(answer->extra, QP_SLICE("X-Qproxy-Error")));
    WANT(request->is_origins || answer->status != 401);
    if (!request->is_origins)
        return;
    WANT(exchange && exchange->response_begun && exchange->message.status == answer->status);
    WANT(answer->fields->count == exchange->message.fields.count);
    qp_buf_append(&request->wanted, qp_buf_slice(&exchange->wanted));
}

static void report_head(struct client_end *report, const struct qp_answer *answer)
{
    const struct qp_field *location =
        answer->fields ? qp_fields_find(answer->fields, QP_FIELD_LOCATION) : NULL;
    snprintf(report->extra, sizeof(report->extra), "%.*s", QP_SLICE_FMT(answer->extra));
    report->announced = answer->length;
    if (location)
        snprintf(report->location, sizeof(report->location), "%.*s", QP_SLICE_FMT(location->value));
}

void qp_request_respond(struct qp_request *request, const struct qp_answer *answer)
{
    WANT(request->is_owned && request->status == 0);
    WANT(answer->status >= 200 && answer->status <= 599);
    world_note("  -> %u to the client", answer->status);
    note_origin(request, answer);
    request->status = answer->status;
    request->announced = answer->length;
    if (request->report)
        report_head(request->report, answer);
}

void qp_request_send(struct qp_request *request, struct qp_slice piece)
{
    WANT(request->is_owned && request->status != 0);
    if (qp_slice_is(request->message.method, QP_SLICE("HEAD")))
        return;
    qp_buf_append(&request->answer, piece);
    WANT(request->announced == QP_LENGTH_UNKNOWN || qp_buf_len(&request->answer) <= request->announced);
    struct qp_slice got = qp_buf_slice(&request->answer), wanted = qp_buf_slice(&request->wanted);
    if (request->is_origins)
        WANT(got.len <= wanted.len && memcmp(got.at, wanted.at, got.len) == 0);
}

static void end(struct qp_request *request)
{
    WANT(request->is_owned);
    request->is_owned = false;
    request->ends++;
    world->ended++;
    if (request->report) {
        request->report->ended = true;
        request->report->finished = request->finished;
        request->report->is_origins = request->is_origins;
        request->report->status = request->status;
        request->report->attempts = request->attempts;
        request->report->minted = request->minted != 0;
        request->report->answer_bytes = qp_buf_len(&request->answer);
    }
}

void qp_request_finish(struct qp_request *request, const struct qp_fields *trailers)
{
    bool no_body = qp_slice_is(request->message.method, QP_SLICE("HEAD")) || request->status == 304;
    WANT(request->status != 0);
    WANT(no_body || request->announced == QP_LENGTH_UNKNOWN ||
         qp_buf_len(&request->answer) == request->announced);
    WANT(no_body || !request->is_origins || qp_buf_len(&request->answer) == qp_buf_len(&request->wanted));
    request->finished = true;
    if (request->report)
        request->report->has_trailers = trailers != NULL;
    end(request);
}

void qp_request_abort(struct qp_request *request)
{
    end(request);
}

/* ---- what a test does ---- */

struct relayed *client_relayed(const struct qp_request *client)
{
    return client->context;
}

static void add_field(struct qp_request *client, enum qp_field_id id, const char *name, const char *value)
{
    WANT(qp_fields_add(&client->message.fields, &client->arena, qp_slice_str(name), qp_slice_str(value)));
    client->message.fields.at[client->message.fields.count - 1].id = id;
}

struct qp_request *client_begin(const struct client_spec *spec)
{
    struct qp_request *client = qp_alloc(sizeof(*client));
    world_note("client: %s %s, %zu bytes%s", spec->method, spec->target ? spec->target : "/x",
               spec->body_bytes, spec->expects ? ", expects 100" : "");
    qp_arena_init(&client->arena, 4096, 1 << 20);
    qp_list_append(&world->clients, &client->link);
    client->message = (struct qp_message){
        .direction = QP_REQUEST,
        .major = 1,
        .minor = 1,
        .method = qp_slice_str(spec->method),
        .target = qp_slice_str(spec->target ? spec->target : "/x"),
        .keep_alive = true,
        .expect_continue = spec->expects,
    };
    if (spec->body_bytes > 0 || spec->chunked)
        client->message.body_kind = spec->chunked ? QP_BODY_CHUNKED : QP_BODY_LENGTH;
    client->message.body_length = spec->chunked ? 0 : spec->body_bytes;
    add_field(client, QP_FIELD_HOST, "Host", "127.0.0.1:8080");
    if (spec->takes_trailers)
        add_field(client, QP_FIELD_TE, "TE", "trailers");
    if (spec->fields[0])
        add_field(client, qp_field_lookup(qp_slice_str(spec->fields[0])), spec->fields[0], spec->fields[1]);
    char *body = qp_buf_reserve(&client->body, spec->body_bytes + 1);
    for (size_t i = 0; i < spec->body_bytes; i++)
        body[i] = (char)world_random(256);
    qp_buf_commit(&client->body, spec->body_bytes);
    client->listener_id = spec->account;
    client->report = spec->report;
    client->is_owned = true;
    qp_relay_on_head(world->relay, client);
    if (client->message.body_kind == QP_BODY_NONE)
        client_end(client);
    world_check();
    return client;
}

bool client_can_send(const struct qp_request *client)
{
    bool waits = client->message.expect_continue && client->given == 0 && !client->got_continue;
    return client->is_owned && !client->has_ended && !client->is_paused && !waits;
}

void client_piece(struct qp_request *client, size_t bytes)
{
    struct qp_slice body = qp_buf_slice(&client->body);
    bytes = bytes < body.len - client->given ? bytes : body.len - client->given;
    WANT(client->is_owned && !client->has_ended);
    if (bytes == 0)
        return;
    /* In memory of its own: who keeps the piece is found out. */
    char *piece = qp_alloc(bytes);
    memcpy(piece, body.at + client->given, bytes);
    world_note("client gives %zu", bytes);
    client->given += bytes;
    qp_relay_on_body(client, qp_slice(piece, bytes));
    qp_free(piece);
}

void client_end(struct qp_request *client)
{
    if (!client->is_owned || client->has_ended)
        return;
    WANT(client->given == qp_buf_len(&client->body));
    world_note("client's body ends");
    client->has_ended = true;
    qp_relay_on_end(client);
}

void client_gone(struct qp_request *client, enum qp_result why)
{
    world_note("client gone");
    end(client);
    qp_relay_on_gone(client, why);
    world_check();
}

void client_fill(struct qp_request *client)
{
    client->is_full = true;
}

void client_drain(struct qp_request *client)
{
    world_note("client drained");
    client->is_full = false;
    qp_relay_on_drained(client);
    world_check();
}

void client_free(struct qp_request *client)
{
    qp_list_remove(&client->link);
    qp_arena_deinit(&client->arena);
    qp_buf_deinit(&client->body);
    qp_buf_deinit(&client->answer);
    qp_buf_deinit(&client->wanted);
    qp_free(client);
}
