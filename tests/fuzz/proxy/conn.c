/* conn.c - scripted origins: what reaches them, and what they say. */
#include "base/check.h"
#include "fuzz/proxy/stage.h"
#include "net/loop.h"

#include <stdio.h>

enum {
    RESTED_MS = 20 /* an origin's word to an idle stream that is younger than this may cross with a request */
};

/* ---- what reaches an origin ---- */

static void arrived(struct mem_end *end);

struct conn *conn_accept(unsigned account)
{
    struct qp_dial *dial = mem_dial_to(stage.loop, qp_slice_str(stage_hosts[account]));

    if (!dial)
        return NULL;
    if (stage.conn_count == CONNS) {
        mem_dial_fail(dial, QP_NET_REFUSED);
        return NULL;
    }
    struct conn *conn = &stage.conns[stage.conn_count];
    conn->number = stage.conn_count++;
    conn->account = account;
    conn->end = mem_dial_accept(dial);
    conn->end->arrived = arrived;
    conn->end->owner = conn;
    story("origin %u: connection %u", account, conn->number);
    return conn;
}

static void check_credentials(const struct conn *conn, const struct wire_head *head)
{
    const struct qp_slice bearer = wire_value(head, "Authorization");
    const struct qp_slice fixed = wire_value(head, "X-API-TOKEN");
    char text[32] = {0};
    unsigned number = 0;

    if (conn->account == 1) {
        if (bearer.at || !qp_slice_is(fixed, QP_SLICE("tk~~9999~~")))
            breach("not the API token: %.*s", QP_SLICE_FMT(head->text));
        return;
    }
    if (fixed.at || bearer.len != strlen("Bearer tk~~0000~~"))
        breach("not the managed token: %.*s", QP_SLICE_FMT(head->text));
    memcpy(text, bearer.at, bearer.len);
    if (sscanf(text, "Bearer tk~~%4u~~", &number) != 1 || number < 1 || number > stage.issued)
        breach("not a token that was issued: %.*s", QP_SLICE_FMT(head->text));
}

static void check_head(const struct conn *conn, const struct wire_head *head)
{
    static const char *const never[] = {"Proxy-Authorization", "Keep-Alive", "Proxy-Connection", "Upgrade",
                                        "HTTP2-Settings",      "X-Nom"};
    const struct qp_slice te = wire_value(head, "TE");
    const struct qp_slice connection = wire_value(head, "Connection");

    if (!qp_slice_is(head->start[2], QP_SLICE("HTTP/1.1")))
        breach("a request line that is none: %.*s", QP_SLICE_FMT(head->text));
    if (!qp_slice_is(wire_value(head, "Host"), qp_slice_str(stage_hosts[conn->account])))
        breach("not the origin's Host: %.*s", QP_SLICE_FMT(head->text));
    for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (wire_count(head, never[i]) > 0)
            breach("%s reaches an origin: %.*s", never[i], QP_SLICE_FMT(head->text));
    if ((te.at && !qp_slice_is(te, QP_SLICE("trailers"))) || (connection.at && !te.at) ||
        (te.at && !qp_slice_is(connection, QP_SLICE("TE"))))
        breach("TE and Connection: %.*s", QP_SLICE_FMT(head->text));
    if (wire_count(head, "Via") == 0)
        breach("no Via: %.*s", QP_SLICE_FMT(head->text));
    check_credentials(conn, head);
    stage_require_no_secret(head->text, true, "in a head");
}

/* The ask that this is; NULL: nobody knows, for raw bytes had their part in it. */
static struct ask *find_ask(const struct wire_head *head)
{
    const struct qp_slice marker = wire_value(head, "X-Marker");
    char text[16] = {0};
    unsigned id;

    if (!marker.at || marker.len != strlen("m!0000!"))
        return NULL;
    memcpy(text, marker.at, marker.len);
    return sscanf(text, "m!%4u!", &id) == 1 && id < stage.ask_count ? &stage.asks[id] : NULL;
}

/* What two sendings of one request may differ in is left out. */
static void keep_head(struct attempt *attempt, const struct wire_head *head)
{
    static const char *const free_to_differ[] = {"Authorization", "X-API-TOKEN", "Expect"};

    for (unsigned i = 0; i < head->count; i++) {
        bool differs = false;
        for (unsigned k = 0; k < sizeof(free_to_differ) / sizeof(free_to_differ[0]); k++)
            differs |= qp_slice_is_nocase(head->fields[i].name, qp_slice_str(free_to_differ[k]));
        if (differs)
            continue;
        qp_buf_append(&attempt->head, head->fields[i].name);
        qp_buf_append_char(&attempt->head, ':');
        qp_buf_append(&attempt->head, head->fields[i].value);
        qp_buf_append_char(&attempt->head, '\n');
    }
}

static bool is_idempotent(const char *method)
{
    return !strcmp(method, "GET") || !strcmp(method, "HEAD") || !strcmp(method, "PUT") ||
           !strcmp(method, "DELETE") || !strcmp(method, "OPTIONS");
}

/* It has been sent before: after a 401, after a 417 without its Expect, or where nothing was answered and twice is as good as once. */
static void check_resend(const struct ask *ask)
{
    if (ask->attempt_count == ATTEMPTS_MOST)
        breach("ask %u is sent more than %d times", ask->id, ATTEMPTS_MOST);
    if (ask->attempt_count == 0 || ask->is_raw || ask->is_tainted)
        return;
    const struct attempt *before = &ask->attempts[ask->attempt_count - 1];
    if (before->has_answer && before->given > 0 &&
        (before->status == 401 || (before->status == 417 && before->expects)))
        return;
    /* What a reset has destroyed was not heard. */
    if (before->spoke && before->conn->end->delivered > before->said_before)
        breach("ask %u is sent again though it was answered", ask->id);
    if (!is_idempotent(ask->method))
        breach("ask %u, a %s, is sent twice", ask->id, ask->method);
    if (before->conn->end->stream)
        breach("ask %u is sent again while the first is under way", ask->id);
}

static void begin_attempt(struct conn *conn, struct ask *ask, const struct wire_head *head)
{
    check_resend(ask);
    struct attempt *attempt = &ask->attempts[ask->attempt_count++];
    conn->ask = ask;
    conn->attempt = attempt;
    attempt->conn = conn;
    attempt->said_before = conn->said;
    attempt->expects = wire_count(head, "Expect") > 0;
    keep_head(attempt, head);
    story("connection %u gets ask %u, attempt %u", conn->number, ask->id, ask->attempt_count);
    if (ask->is_tainted)
        return;
    if (ask->account != conn->account)
        breach("ask %u goes to the wrong account", ask->id);
    if (!qp_slice_is(head->start[0], qp_slice_str(ask->method)) ||
        !qp_slice_is(head->start[1], qp_slice_str(ask->target)))
        breach("ask %u: another request line: %.*s", ask->id, QP_SLICE_FMT(head->text));
    if (conn->body.framing == WIRE_CHUNKED ? !ask->chunked : ask->chunked || conn->body.left != ask->length)
        breach("ask %u: another framing: %.*s", ask->id, QP_SLICE_FMT(head->text));
    if (attempt > ask->attempts &&
        !qp_slice_is(qp_buf_slice(&attempt->head), qp_buf_slice(&attempt[-1].head)))
        breach("ask %u: the replay differs:\n%.*s", ask->id, QP_SLICE_FMT(qp_buf_slice(&attempt->head)));
}

/* A request may only come where the exchange before it left no doubt. */
static void check_reuse(struct conn *conn, const struct ask *ask)
{
    const bool is_young = qp_loop_now_ms(stage.loop) - conn->end->delivered_ms < RESTED_MS;
    const bool was_visible = conn->end->input_over || conn->said > conn->end->delivered;

    if (conn->served == 0)
        return;
    if (conn->has_request && !conn->is_raw)
        breach("connection %u: a request before the answer to the last is over", conn->number);
    if ((conn->is_closing && !conn->is_raw) || conn->end->end_delivered)
        breach("connection %u: a request behind the end", conn->number);
    if (conn->end->delivered > conn->legit && !conn->is_raw)
        breach("connection %u: a request behind stray bytes", conn->number);
    if (ask && was_visible && (!is_young || !is_idempotent(ask->method)))
        breach("connection %u: a request on a stream that had spoken", conn->number);
}

static void begin_request(struct conn *conn, const struct wire_head *head)
{
    struct ask *ask = find_ask(head);

    check_head(conn, head);
    check_reuse(conn, ask);
    conn->served++;
    conn->is_raw |= conn->said > conn->legit; /* what was said ahead may become the answer */
    conn->ask = NULL;
    conn->attempt = NULL;
    wire_begin_body(&conn->body, head, WIRE_NONE);
    conn->in_body = conn->has_request = true;
    conn->request_done = false;
    conn->answers_head = qp_slice_is(head->start[0], QP_SLICE("HEAD"));
    if (!ask) {
        story("connection %u gets a request of raw bytes: %.*s", conn->number, QP_SLICE_FMT(head->text));
        return;
    }
    ask->is_raw |= conn->is_raw;
    begin_attempt(conn, ask, head);
}

static void check_body(struct conn *conn)
{
    const struct qp_slice got = qp_buf_slice(&conn->bytes);
    struct attempt *attempt = conn->attempt;

    stage_require_no_secret(got, false, "in a body to an origin");
    if (attempt && !conn->ask->is_tainted) {
        if (attempt->took_bytes + got.len > conn->ask->sent)
            breach("ask %u: more body than was sent", conn->ask->id);
        if (!stage_is_body(got, conn->ask->id, attempt->took_bytes))
            breach("ask %u: another body than was sent", conn->ask->id);
    }
    if (attempt)
        attempt->took_bytes += got.len;
    qp_buf_clear(&conn->bytes);
}

static void check_trailers(const struct conn *conn)
{
    const struct qp_slice lines = qp_buf_slice(&conn->body.trailers);

    stage_require_no_secret(lines, false, "in trailers to an origin");
    if (lines.len > 0 && conn->ask && !conn->ask->is_tainted && !qp_slice_is(lines, QP_SLICE("X-Trail: 1\n")))
        breach("ask %u: trailers %.*s", conn->ask->id, QP_SLICE_FMT(lines));
}

/* Both halves are over: the next request may come. */
static void settle(struct conn *conn)
{
    const bool answered = conn->attempt ? conn->attempt->whole : conn->said > conn->legit;

    if (!conn->has_request || !conn->request_done || !answered)
        return;
    conn->has_request = false;
    conn->legit = conn->said;
}

static void end_request(struct conn *conn)
{
    const struct ask *ask = conn->ask;

    conn->in_body = false;
    conn->request_done = true;
    check_trailers(conn);
    if (ask && !ask->is_tainted && (!ask->sent_all || conn->attempt->took_bytes != ask->length))
        breach("ask %u looks whole and is not", ask->id);
    settle(conn);
}

static bool read_some(struct conn *conn, struct qp_slice *text)
{
    struct wire_head head;

    if (conn->in_body) {
        const bool is_done = wire_take_body(&conn->body, text, &conn->bytes);
        check_body(conn);
        if (is_done)
            end_request(conn);
        return is_done;
    }
    const size_t count = text->len > 0 ? wire_read_head(*text, &head) : 0;
    if (count == 0)
        return false;
    begin_request(conn, &head);
    *text = qp_slice(text->at + count, text->len - count);
    return true;
}

static void arrived(struct mem_end *end)
{
    struct conn *conn = end->owner;
    struct qp_slice text = qp_buf_slice(&end->output);
    const size_t before = text.len;

    while (read_some(conn, &text))
        continue;
    qp_buf_consume(&end->output, before - text.len);
}

/* ---- what an origin says ---- */

static void say(struct conn *conn, struct qp_slice bytes)
{
    if (conn->end->input_over || !conn->end->stream)
        return;
    if (conn->attempt && conn->has_request)
        conn->attempt->spoke = true;
    conn->said += bytes.len;
    mem_say(conn->end, bytes);
}

static void end_saying(struct conn *conn)
{
    struct attempt *attempt = conn->attempt;

    if (attempt->until_close) {
        conn->is_closing = true;
        mem_finish(conn->end);
    }
    attempt->whole = true;
    settle(conn);
}

void conn_say_more(struct conn *conn, size_t bytes)
{
    struct attempt *attempt = conn->attempt;

    if (!conn->has_request || !attempt || !attempt->has_answer || attempt->whole || conn->end->input_over ||
        !conn->end->stream)
        return;
    const struct qp_slice give = qp_buf_slice(&attempt->give);
    const size_t left = give.len - attempt->given;
    const size_t count = bytes < left ? bytes : left;
    say(conn, qp_slice(give.at + attempt->given, count));
    attempt->given += count;
    if (attempt->given == give.len)
        end_saying(conn);
}

/* To a request of raw bytes: nobody knows whose it is. */
static void answer_raw_request(struct conn *conn)
{
    conn->is_raw = true;
    say(conn, conn->answers_head ? QP_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
                                 : QP_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    settle(conn);
}

void conn_answer(struct conn *conn, unsigned status, unsigned how, unsigned length)
{
    static const unsigned statuses[] = {200, 201, 204, 205, 206, 302, 304, 400,
                                        401, 403, 404, 429, 500, 503, 417, 200};
    struct attempt *attempt = conn->attempt;

    if (!conn->has_request || !conn->end->stream)
        return;
    if (!attempt) {
        if (conn->said == conn->legit)
            answer_raw_request(conn);
        return;
    }
    /* Raw bytes may have been its answer, and behind a window another request may be under way. */
    if (attempt->has_answer || (conn->is_raw && conn->end->window != MEM_ALL))
        return;
    status = statuses[status % (sizeof(statuses) / sizeof(statuses[0]))];
    story("connection %u answers ask %u with %u, framing %u, %zu bytes%s", conn->number, conn->ask->id,
          status, how & 7, stage_length(length), how & 32 ? ", in parts" : "");
    answer_make(attempt, conn->ask, status, how, stage_length(length));
    conn->is_closing |= (how & 8) != 0;
    if (how & 32)
        conn_say_more(conn, qp_buf_len(&attempt->give) / 2);
    else if (how & 64)
        conn_say_more(conn, qp_buf_len(&attempt->give) - 1);
    else
        conn_say_more(conn, MEM_ALL);
}

void conn_inform(struct conn *conn, unsigned which)
{
    static const struct qp_slice heads[] = {
        QP_SLICE("HTTP/1.1 100 Continue\r\n\r\n"),
        QP_SLICE("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x-nom\r\nX-Nom: 1\r\n\r\n"),
        QP_SLICE("HTTP/1.1 102 \r\n\r\n"),
        QP_SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    };

    if (!conn->has_request || (conn->attempt && conn->attempt->given > 0))
        return;
    story("connection %u: 1xx", conn->number);
    if (which % 4 == 3)
        conn->is_closing = true;
    say(conn, heads[which % 4]);
}

static void mark_raw(struct conn *conn)
{
    conn->is_raw = true;
    if (conn->attempt && conn->has_request)
        conn->ask->is_raw = true;
}

void conn_say_raw(struct conn *conn, struct qp_slice bytes)
{
    if (conn->end->input_over || !conn->end->stream || bytes.len == 0)
        return;
    story("connection %u says %zu raw bytes: %.*s", conn->number, bytes.len, QP_SLICE_FMT(bytes));
    mark_raw(conn);
    if (conn->attempt && conn->has_request)
        conn->attempt->spoke = true;
    conn->said += bytes.len;
    stage_say_raw(conn->end, bytes);
}

/* A whole answer that nobody asked for, and that anybody would take for his. */
void conn_stray(struct conn *conn)
{
    const struct qp_slice stray = QP_SLICE("HTTP/1.1 200 Stray\r\nContent-Length: 1\r\n\r\n?");

    /* With a window a request may be under way that was not seen yet. */
    if (conn->end->input_over || !conn->end->stream || conn->end->window != MEM_ALL)
        return;
    if (conn->has_request && !(conn->attempt && conn->attempt->whole)) { /* then it is somebody's */
        conn_say_raw(conn, stray);
        return;
    }
    story("connection %u says what nobody asked for", conn->number);
    conn->said += stray.len;
    mem_say(conn->end, stray);
}

/* On a new connection there was nothing to look at before the request went out. */
static bool may_mislead(const struct conn *conn, const struct ask *ask)
{
    const bool is_unseen = conn->end->input_over || !conn->has_request;

    return conn->account == ask->account && conn->said > conn->legit && is_unseen &&
           (conn->served == 0 || is_idempotent(ask->method));
}

bool conn_may_have_misled(const struct ask *ask)
{
    bool may = false;

    for (unsigned i = 0; i < stage.conn_count; i++) {
        if (!may_mislead(&stage.conns[i], ask))
            continue;
        stage.conns[i].is_raw = true; /* whichever it was: what it says is nobody's from here on */
        may = true;
    }
    return may;
}

void conn_end(struct conn *conn, unsigned how)
{
    static void (*const ends[])(struct mem_end *) = {mem_finish, mem_cut, mem_vanish};
    const struct attempt *attempt = conn->attempt;

    if (conn->end->input_over || !conn->end->stream)
        return;
    story("connection %u %s", conn->number, how % 3 == 0 ? "ends" : how % 3 == 1 ? "is reset" : "vanishes");
    /* Up to here it was a body until the close, if a shorter one. */
    if (conn->has_request && attempt && attempt->until_close && attempt->given > 0)
        conn->ask->is_raw = true;
    if (!conn->has_request || attempt)
        ends[how % 3](conn->end);
    else
        mem_finish(conn->end);
}

/* By itself: 200, or 401 where the token is one that was revoked. */
bool conn_go_on(struct conn *conn)
{
    const struct attempt *attempt = conn->attempt;

    if (!conn->end->stream || conn->end->input_over || !conn->has_request || !conn->request_done)
        return false;
    if (attempt && attempt->has_answer) {
        conn_say_more(conn, MEM_ALL);
        return attempt->whole;
    }
    if (attempt && attempt->spoke && conn->is_raw)
        return false;
    if (!attempt && conn->said > conn->legit)
        return false;
    conn_answer(conn, conn->served % 2 ? 0 : 5, conn->served, 9);
    return true;
}

void conn_free(struct conn *conn)
{
    qp_buf_deinit(&conn->bytes);
    qp_buf_deinit(&conn->body.trailers);
}

void ask_free(struct ask *ask)
{
    qp_buf_deinit(&ask->link);
    for (unsigned i = 0; i < ask->attempt_count; i++) {
        qp_buf_deinit(&ask->attempts[i].head);
        qp_buf_deinit(&ask->attempts[i].give);
        qp_buf_deinit(&ask->attempts[i].want);
        qp_buf_deinit(&ask->attempts[i].body);
    }
}
