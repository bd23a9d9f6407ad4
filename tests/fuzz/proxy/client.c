/* client.c - scripted clients: what they ask, and what they must be answered. */
#include "base/check.h"
#include "fuzz/proxy/stage.h"

#include <stdio.h>

enum {
    HOW_METHOD = 7,
    HOW_BODY = 1 << 3,
    HOW_CHUNKED = 1 << 4,
    HOW_OLD = 1 << 5,
    HOW_EXPECT = 1 << 6,
    HOW_OTHER_ACCOUNT = 1 << 7,
};

enum {
    MORE_CREDENTIALS = 1 << 0,
    MORE_NOMINATED = 1 << 1,
    MORE_TE = 1 << 2,
    MORE_TRAILERS = 1 << 3,
    MORE_CONNECTION = 1 << 4,
    MORE_ABSOLUTE = 1 << 5,
    MORE_HELD = 1 << 6, /* the body comes later */
    MORE_FIELDS = 1 << 7,
};

static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "REPORT"};

/* ---- asking ---- */

static void arrived(struct mem_end *end);

void client_connect(struct client *client)
{
    const unsigned index = client->index, serial = client->serial;

    if (client->end && !client->is_over && !client->end->input_over)
        return;
    if (stage.drained)
        return;
    if (client->end)
        client->end->owner = NULL;
    qp_buf_deinit(&client->bytes);
    qp_buf_deinit(&client->body.trailers);
    *client = (struct client){.index = index, .serial = serial + 1};
    client->end = mem_connect(stage.listener);
    client->end->arrived = arrived;
    client->end->owner = client;
}

static bool is_ready(const struct client *client)
{
    return client->end && !client->is_over && !client->end->input_over;
}

static void put_fields(struct qp_buf *text, const struct ask *ask, unsigned how, unsigned more)
{
    qp_buf_append_fmt(text, "X-Marker: m!%04u!\r\n", ask->id);
    if (more & MORE_CREDENTIALS)
        qp_buf_append_fmt(text,
                          "Authorization: Bearer cred`%u\r\nproxy-authorization: Basic cred`%u\r\n"
                          "x-api-TOKEN: cred`%u\r\n",
                          ask->id, ask->id, ask->id);
    if (more & MORE_NOMINATED)
        qp_buf_append_str(text, "Connection: x-nom,, Authorization , Host\r\nX-Nom: 1\r\n"
                                "connection: X-API-TOKEN, Content-Length\r\nKeep-Alive: timeout=5\r\n");
    if (more & MORE_TE)
        qp_buf_append_str(text, "TE: trailers, gzip\r\nConnection: TE\r\n");
    if (more & MORE_CONNECTION)
        qp_buf_append_str(text, how & HOW_OLD ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
    if (more & MORE_FIELDS)
        qp_buf_append_str(text, "Accept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\nUpgrade: h2c\r\n"
                                "X-Empty:\r\nx-odd: \"a\\\"b\" \t; \x80\r\n");
    if (how & HOW_EXPECT)
        qp_buf_append_str(text, "Expect: 100-continue\r\n");
    if (ask->chunked)
        qp_buf_append_str(text, "Transfer-Encoding: chunked\r\n");
    else if (ask->has_body)
        qp_buf_append_fmt(text, "Content-Length: %zu\r\n", ask->length);
}

/* What a link in the answer begins with when it leads back to where the client came from. */
static void set_link(struct ask *ask, bool has_host)
{
    qp_buf_append_fmt(&ask->link, "http://%s%s", has_host ? "proxy.example:8080" : "127.0.0.1:8080",
                      ask->account == 1 ? "/b" : "");
}

static struct ask *new_ask(const struct client *client, unsigned how, unsigned more, unsigned length)
{
    struct ask *ask = &stage.asks[stage.ask_count];

    ask->id = stage.ask_count++;
    ask->client = client->index;
    ask->serial = client->serial;
    ask->account = how & HOW_OTHER_ACCOUNT ? 1 : 0;
    ask->method = methods[how & HOW_METHOD];
    ask->minor = how & HOW_OLD ? 0 : 1;
    ask->has_body = (how & HOW_BODY) != 0;
    ask->chunked = ask->has_body && (how & HOW_CHUNKED) && ask->minor == 1;
    ask->trailers = ask->chunked && (more & MORE_TRAILERS);
    ask->length = ask->has_body ? stage_length(length) : 0;
    ask->is_tainted = client->is_tainted;
    ask->sent_all = ask->length == 0 && !ask->chunked;
    snprintf(ask->target, sizeof(ask->target), "/API/v3/m!%04u!/%%7e//..?q=%%zz&&", ask->id);
    return ask;
}

void client_ask(struct client *client, unsigned how, unsigned more, unsigned length)
{
    struct qp_buf text = {0};

    client_connect(client);
    if (!is_ready(client) || client->sending || stage.ask_count == ASKS_MOST)
        return;
    struct ask *ask = new_ask(client, how, more, length);
    const bool has_host = ask->minor == 1 || !(more & MORE_FIELDS);
    set_link(ask, has_host);
    qp_buf_append_fmt(&text, "%s %s%s%s HTTP/1.%u\r\n", ask->method,
                      more & MORE_ABSOLUTE ? "http://other.example" : "", ask->account == 1 ? "/b" : "",
                      ask->target, ask->minor);
    if (has_host)
        qp_buf_append_str(&text, "Host: proxy.example:8080\r\n");
    put_fields(&text, ask, how, more);
    qp_buf_append_str(&text, "\r\n");
    mem_say(client->end, qp_buf_slice(&text));
    story("client %u asks %u: %s%s, body %zu%s", client->index, ask->id, ask->method,
          ask->minor ? "" : " of HTTP/1.0", ask->length, ask->chunked ? " chunked" : "");
    qp_buf_deinit(&text);
    client->queue[client->queued++] = ask;
    if (ask->sent_all)
        return;
    client->sending = ask;
    if (!(more & MORE_HELD))
        client_send_more(client, MEM_ALL);
}

static void end_body(struct client *client, struct ask *ask)
{
    if (ask->chunked)
        mem_say(client->end, QP_SLICE("0\r\n"));
    if (ask->trailers)
        mem_say(client->end, QP_SLICE("X-Trail: 1\r\nAuthorization: Bearer cred`t\r\nContent-Length: 3\r\n"));
    if (ask->chunked)
        mem_say(client->end, QP_SLICE("\r\n"));
    ask->sent_all = true;
    client->sending = NULL;
}

void client_send_more(struct client *client, size_t bytes)
{
    struct ask *ask = client->sending;
    struct qp_buf text = {0};

    if (!ask || !is_ready(client))
        return;
    const size_t left = ask->length - ask->sent;
    const size_t count = bytes < left ? bytes : left;
    if (ask->chunked && count > 0)
        qp_buf_append_fmt(&text, "%zX;x=\"y\"\r\n", count);
    stage_put_body(&text, ask->id, ask->sent, count);
    if (ask->chunked && count > 0)
        qp_buf_append_str(&text, "\r\n");
    ask->sent += count;
    mem_say(client->end, qp_buf_slice(&text));
    qp_buf_deinit(&text);
    if (ask->sent == ask->length)
        end_body(client, ask);
}

/* From here on nobody can say what is a request. */
void client_say_raw(struct client *client, struct qp_slice bytes)
{
    client_connect(client);
    if (!is_ready(client) || bytes.len == 0)
        return;
    client->is_tainted = true;
    for (unsigned i = 0; i < client->queued; i++)
        client->queue[i]->is_tainted = true;
    story("client %u says %zu raw bytes: %.*s", client->index, bytes.len, QP_SLICE_FMT(bytes));
    stage_say_raw(client->end, bytes);
}

bool client_go_on(struct client *client)
{
    if (!client->sending || !is_ready(client))
        return false;
    client_send_more(client, MEM_ALL);
    return true;
}

/* ---- being answered ---- */

static void require_own(const struct client *client, unsigned ask, unsigned attempt)
{
    if (ask >= stage.ask_count || attempt >= ATTEMPTS_MOST)
        breach("client %u gets an answer that nobody gave", client->index);
    if (stage.asks[ask].client != client->index || stage.asks[ask].serial != client->serial)
        breach("client %u gets the answer to ask %u, which is another's", client->index, ask);
}

/* The sign of an answer; false: there is none. */
static bool read_sign(struct qp_slice text, unsigned *ask, unsigned *attempt)
{
    char sign[10] = {0};

    if (text.len < 9)
        return false;
    memcpy(sign, text.at, 9);
    return sscanf(sign, "a!%4u.%1u!", ask, attempt) == 2;
}

/* Whatever the framing may be: no secret, and no sign of another's answer. */
static void scan(struct client *client)
{
    const struct qp_slice all = qp_buf_slice(&client->end->output);
    const size_t from = client->scanned < all.len ? client->scanned : all.len;
    struct qp_slice rest = qp_slice(all.at ? all.at + from : "", all.len - from);
    unsigned ask, attempt;

    stage_require_no_secret(rest, false, "to a client");
    for (const char *at; (at = qp_slice_find(rest, QP_SLICE("a!"))) != NULL;) {
        rest = qp_slice(at + 1, rest.len - (size_t)(at - rest.at) - 1);
        if (read_sign(qp_slice(at, rest.len + 1), &ask, &attempt))
            require_own(client, ask, attempt);
    }
    client->scanned = all.len > 16 ? all.len - 16 : 0;
}

static void check_fields(const struct wire_head *head)
{
    static const char *const never[] = {
        "X-Nom", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Upgrade", "Trailer", "TE"};

    for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (wire_count(head, never[i]) > 0)
            breach("%s reaches a client: %.*s", never[i], QP_SLICE_FMT(head->text));
    if (wire_count(head, "Date") != 1)
        breach("not one Date: %.*s", QP_SLICE_FMT(head->text));
}

static uint64_t status_of(const struct wire_head *head)
{
    uint64_t status;

    if (!qp_slice_is(head->start[0], QP_SLICE("HTTP/1.1")) || head->start[1].len != 3 ||
        !qp_slice_to_u64(head->start[1], &status) || status < 100 || status > 599)
        breach("a status line that is none: %.*s", QP_SLICE_FMT(head->text));
    return status;
}

static void take_interim(struct client *client, const struct ask *ask, const struct wire_head *head,
                         uint64_t status)
{
    if (ask->minor == 0 || status == 101 || ++client->informed > 16 * ATTEMPTS_MOST + 1)
        breach("a %u for client %u: %.*s", (unsigned)status, client->index, QP_SLICE_FMT(head->text));
    if (wire_count(head, "Content-Length") || wire_count(head, "Transfer-Encoding"))
        breach("a body of a 1xx: %.*s", QP_SLICE_FMT(head->text));
    stage_require_no_secret(head->text, false, "in a 1xx");
}

/* Towards the origin's own API it is led back as the links in bodies are. */
static void check_location(const struct ask *ask, struct qp_slice location)
{
    struct qp_buf want = {0};

    if (stage_leads_back())
        qp_buf_append(&want, qp_buf_slice(&ask->link));
    else
        qp_buf_append_fmt(&want, "https://%s", stage_hosts[ask->account]);
    qp_buf_append_str(&want, "/API/v3/x");
    if (!qp_slice_is(location, qp_buf_slice(&want)))
        breach("ask %u: Location %.*s", ask->id, QP_SLICE_FMT(location));
    qp_buf_deinit(&want);
}

/* Whose answer it is: ours, or that of an attempt of the oldest ask. */
static void find_answer(struct client *client, const struct wire_head *head, uint64_t status)
{
    struct ask *ask = client->queue[0];
    unsigned id, attempt;

    client->answer = NULL;
    client->is_own = wire_count(head, "X-Qproxy-Error") > 0;
    if (client->is_own)
        return;
    if (wire_count(head, "Via") == 0)
        breach("no Via: %.*s", QP_SLICE_FMT(head->text));
    if (ask->is_raw)
        return;
    if (wire_count(head, "X-Answer") == 0 && conn_may_have_misled(ask)) {
        ask->is_raw = true;
        return;
    }
    if (!read_sign(wire_value(head, "X-Answer"), &id, &attempt))
        breach("client %u, ask %u: an answer from nowhere: %.*s", client->index, ask->id,
               QP_SLICE_FMT(head->text));
    require_own(client, id, attempt);
    if (id != ask->id)
        breach("client %u gets the answer to ask %u instead of %u", client->index, id, ask->id);
    client->answer = &ask->attempts[attempt];
    if (client->answer->status != status)
        breach("ask %u: status %u became %u", id, client->answer->status, (unsigned)status);
    if (status == 302)
        check_location(ask, wire_value(head, "Location"));
}

static void begin_answer(struct client *client, const struct wire_head *head, uint64_t status)
{
    const struct ask *ask = client->queue[0];
    struct wire_body *body = &client->body;
    const struct qp_slice connection = wire_value(head, "Connection");

    check_fields(head);
    find_answer(client, head, status);
    client->no_body = strcmp(ask->method, "HEAD") == 0 || status == 204 || status == 304;
    wire_begin_body(body, head, WIRE_UNTIL_CLOSE);
    if (status == 204 && body->framing != WIRE_UNTIL_CLOSE)
        breach("a framing of a 204: %.*s", QP_SLICE_FMT(head->text));
    if (client->no_body) {
        body->framing = WIRE_NONE;
        body->where = WIRE_DONE;
    }
    if (ask->minor == 0 && body->framing == WIRE_CHUNKED)
        breach("chunks for HTTP/1.0: %.*s", QP_SLICE_FMT(head->text));
    if (ask->minor == 1 && body->framing == WIRE_UNTIL_CLOSE)
        breach("a body until the close for HTTP/1.1: %.*s", QP_SLICE_FMT(head->text));
    client->is_last = qp_slice_is_nocase(connection, QP_SLICE("close")) ||
                      (ask->minor == 0 && !qp_slice_is_nocase(connection, QP_SLICE("keep-alive")));
    if (body->framing == WIRE_UNTIL_CLOSE && !client->is_last)
        breach("a body until a close that is not said: %.*s", QP_SLICE_FMT(head->text));
    client->in_body = true;
    story("client %u gets %u for ask %u%s", client->index, (unsigned)status, ask->id,
          client->is_own ? " from us" : "");
}

static bool is_prefix(struct qp_slice part, struct qp_slice whole)
{
    return part.len <= whole.len && (part.len == 0 || memcmp(part.at, whole.at, part.len) == 0);
}

/* Of what a cut answer has brought: a part of the right one, or of what the origin said: a 401 that was held goes on as it came, and so does
 * JSON that was collected and never became whole. */
static void check_part(const struct client *client)
{
    const struct qp_slice got = qp_buf_slice(&client->bytes);
    const struct attempt *answer = client->answer;

    if (!answer || client->queue[0]->is_raw || client->no_body || is_prefix(got, qp_buf_slice(&answer->want)))
        return;
    if (!is_prefix(got, qp_buf_slice(&answer->body)))
        breach("client %u, ask %u: %zu bytes that are not the answer's", client->index, client->queue[0]->id,
               got.len);
}

static void check_whole(const struct client *client)
{
    const size_t got = qp_buf_len(&client->bytes);
    const struct attempt *answer = client->answer;

    check_part(client);
    if (!answer || client->queue[0]->is_raw)
        return;
    if (!answer->whole && !(client->no_body && answer->given > 0))
        breach("client %u, ask %u: a cut answer looks whole", client->index, client->queue[0]->id);
    if (client->no_body)
        return;
    if (got != qp_buf_len(&answer->want) && (answer->status != 401 || got != qp_buf_len(&answer->body)))
        breach("client %u, ask %u: %zu bytes of %zu look whole", client->index, client->queue[0]->id, got,
               qp_buf_len(&answer->want));
}

static void end_answer(struct client *client)
{
    check_whole(client);
    stage_require_no_secret(qp_buf_slice(&client->body.trailers), false, "in trailers");
    if (qp_slice_find(qp_buf_slice(&client->body.trailers), QP_SLICE("x-nom")))
        breach("a nominated trailer reaches a client");
    client->in_body = false;
    client->answer = NULL;
    qp_buf_clear(&client->bytes);
    client->queued--;
    memmove(client->queue, client->queue + 1, client->queued * sizeof(client->queue[0]));
    client->informed = 0;
}

/* Without a request only a connection that is not wanted is answered, and it ends with that. */
static void turn_away(struct client *client, const struct wire_head *head)
{
    static struct ask nothing = {.method = "GET", .minor = 1};

    if (!qp_slice_is(head->start[1], QP_SLICE("503")) || wire_count(head, "X-Qproxy-Error") != 1 ||
        !qp_slice_is(wire_value(head, "Connection"), QP_SLICE("close")))
        breach("client %u: an answer that nobody asked for: %.*s", client->index, QP_SLICE_FMT(head->text));
    client->queue[client->queued++] = &nothing;
}

/* One message's part; false: no more can be read. */
static bool read_some(struct client *client, struct qp_slice *text)
{
    struct wire_head head;

    if (client->in_body) {
        if (!wire_take_body(&client->body, text, &client->bytes))
            return false;
        end_answer(client);
        return true;
    }
    if (text->len == 0)
        return false;
    if (client->is_last)
        breach("client %u: bytes behind the last answer: %.*s", client->index, QP_SLICE_FMT(*text));
    const size_t count = wire_read_head(*text, &head);
    if (count == 0)
        return false;
    if (client->queued == 0)
        turn_away(client, &head);
    const uint64_t status = status_of(&head);
    if (status < 200)
        take_interim(client, client->queue[0], &head, status);
    else
        begin_answer(client, &head, status);
    *text = qp_slice(text->at + count, text->len - count);
    return true;
}

/* A body until the close is whole if the close is clean. */
static void look_at_end(struct client *client)
{
    if (client->is_over || !(client->end->fin || client->end->reset))
        return;
    client->is_over = true;
    story("client %u: its connection %s", client->index, client->end->reset ? "is cut" : "ends");
    if (!client->in_body || client->is_tainted)
        return;
    if (client->body.framing == WIRE_UNTIL_CLOSE && !client->end->reset)
        end_answer(client);
    else
        check_part(client);
}

static void arrived(struct mem_end *end)
{
    struct client *client = end->owner;

    if (!client)
        return;
    struct qp_slice text = qp_buf_slice(&end->output);
    const size_t before = text.len;
    scan(client);
    if (!client->is_tainted) {
        while (read_some(client, &text))
            continue;
        qp_buf_consume(&end->output, before - text.len);
        client->scanned -= client->scanned < before - text.len ? client->scanned : before - text.len;
    }
    look_at_end(client);
}

void client_leave(struct client *client)
{
    if (client->end)
        client->end->owner = NULL;
    qp_buf_deinit(&client->bytes);
    qp_buf_deinit(&client->body.trailers);
}
