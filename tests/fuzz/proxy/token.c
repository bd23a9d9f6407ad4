/* token.c - the scripted token endpoint. */
#include "fuzz/proxy/stage.h"

static void arrived(struct mem_end *end)
{
    struct token_conn *conn = end->owner;
    const struct qp_slice text = qp_buf_slice(&end->output);
    struct wire_head head;
    uint64_t length;
    const size_t count = text.len > 0 && !conn->asks ? wire_read_head(text, &head) : 0;

    if (count == 0)
        return;
    if (!qp_slice_is(head.start[0], QP_SLICE("POST")) ||
        !qp_slice_is(head.start[1], QP_SLICE("/oauth2/token")))
        breach("not a token call: %.*s", QP_SLICE_FMT(head.text));
    if (!qp_slice_starts(wire_value(&head, "Authorization"), QP_SLICE("Basic ")))
        breach("a token call without credentials: %.*s", QP_SLICE_FMT(head.text));
    if (!qp_slice_to_u64(wire_value(&head, "Content-Length"), &length))
        breach("a token call without a length: %.*s", QP_SLICE_FMT(head.text));
    conn->asks = text.len == count + length;
}

bool token_accept(void)
{
    struct qp_dial *dial = mem_dial_to(stage.loop, QP_SLICE("token.example"));

    if (!dial)
        return false;
    struct token_conn *conn = NULL;
    for (unsigned i = 0; i < TOKEN_CONNS; i++)
        if (!stage.token_conns[i].end || !stage.token_conns[i].end->stream)
            conn = &stage.token_conns[i];
    if (!conn) {
        mem_dial_fail(dial, QP_NET_REFUSED);
        return true;
    }
    *conn = (struct token_conn){.end = mem_dial_accept(dial)};
    conn->end->arrived = arrived;
    conn->end->owner = conn;
    story("the token endpoint is called");
    return true;
}

static struct token_conn *asking(void)
{
    for (unsigned i = 0; i < TOKEN_CONNS; i++) {
        struct token_conn *conn = &stage.token_conns[i];
        if (conn->asks && conn->end->stream && !conn->end->input_over)
            return conn;
    }
    return NULL;
}

static void say(struct token_conn *conn, const char *status, struct qp_slice body)
{
    struct qp_buf text = {0};

    qp_buf_append_fmt(&text, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                      status, body.len);
    qp_buf_append(&text, body);
    mem_say(conn->end, qp_buf_slice(&text));
    qp_buf_deinit(&text);
    conn->asks = false;
}

static void grant(struct token_conn *conn, unsigned life_s)
{
    struct qp_buf body = {0};

    stage.issued++;
    qp_buf_append_fmt(&body, "{\"access_token\":\"tk~~%04u~~\",\"token_type\":\"bearer\",\"expires_in\":%u}",
                      stage.issued, life_s);
    say(conn, "200 OK", qp_buf_slice(&body));
    story("token %u for %u s", stage.issued, life_s);
    qp_buf_deinit(&body);
}

void token_answer(unsigned how, struct qp_slice raw)
{
    static const struct {
        const char *status;
        const char *body;
    } refusals[] = {
        {"400 Bad Request", "{\"error\":\"invalid_client\"}"},
        {"503 Busy\r\nRetry-After: 2", "{}"},
        {"200 OK", "not JSON"},
        {"200 OK", "{\"access_token\":\"tk ~~\",\"expires_in\":60}"},
        {"401 No", "{\"error\":\"invalid_client\",\"error_description\":\"no\"}"},
        {"429 Slow", ""},
    };
    struct token_conn *conn = asking();

    if (!conn)
        return;
    switch (how % 12) {
    case 0:
        grant(conn, stage.life_s);
        break;
    case 1:
        grant(conn, 1);
        break;
    case 2:
        grant(conn, 6);
        break;
    case 3:
        mem_cut(conn->end);
        break;
    case 4:
        mem_finish(conn->end);
        break;
    case 5:
        stage_say_raw(conn->end, raw);
        break;
    default:
        story("a token call is refused: %s", refusals[how % 12 - 6].status);
        say(conn, refusals[how % 12 - 6].status, qp_slice_str(refusals[how % 12 - 6].body));
        break;
    }
}

bool token_go_on(void)
{
    struct token_conn *conn = asking();

    if (!conn)
        return false;
    grant(conn, stage.life_s);
    return true;
}
