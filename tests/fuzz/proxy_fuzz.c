/* The whole proxy: scripted clients, origins and a token endpoint around the real rooms, over memory, in virtual time.
 *
 * Input: two bytes of options (see stage.c), then steps: a byte whose low five bits say what and whose high three bits say who, and the
 * step's own bytes. tests/fuzz/proxy_story.py writes such inputs from readable text. What must hold stands in proxy/client.c, conn.c and
 * stage.c: every promise that can be seen from outside is checked while bytes arrive, and at the end all must be over and freed.
 */
#include "base/check.h"
#include "fuzz/proxy/stage.h"
#include "net/loop.h"

enum { STEPS_MOST = 400, ROUNDS_MOST = 100 };

struct script {
    const uint8_t *at;
    size_t left;
    bool held; /* the loop does not turn between steps */
};

static unsigned next(struct script *script)
{
    if (script->left == 0)
        return 0;
    script->left--;
    return *script->at++;
}

static struct qp_slice next_run(struct script *script)
{
    size_t count = next(script);

    if (count > script->left)
        count = script->left;
    const struct qp_slice run = qp_slice((const char *)script->at, count);
    script->at += count;
    script->left -= count;
    return run;
}

/* ---- what happens by itself ---- */

static bool accept_dials(void)
{
    bool did = token_accept();

    for (unsigned i = 0; i < ACCOUNTS; i++)
        while (conn_accept(i))
            did = true;
    return did;
}

static bool go_on(void)
{
    bool did = false;

    if (stage.automatic & AUTO_DIAL)
        did |= accept_dials();
    if (stage.automatic & AUTO_TOKEN)
        did |= token_go_on();
    for (unsigned i = 0; (stage.automatic & AUTO_BODY) && i < CLIENTS; i++)
        did |= client_go_on(&stage.clients[i]);
    for (unsigned i = 0; (stage.automatic & AUTO_ANSWER) && i < stage.conn_count; i++)
        did |= conn_go_on(&stage.conns[i]);
    return did;
}

static void settle(void)
{
    for (int round = 0; round < ROUNDS_MOST; round++) {
        mem_settle(stage.loop);
        stage_check();
        if (!go_on())
            return;
    }
}

/* ---- steps ---- */

static struct client *client_of(unsigned who)
{
    return &stage.clients[who % CLIENTS];
}

/* Counted from the newest, so that the last one made is always at hand. */
static struct conn *conn_of(unsigned who)
{
    return stage.conn_count == 0 ? NULL : &stage.conns[stage.conn_count - 1 - who % stage.conn_count];
}

static size_t window_of(unsigned byte)
{
    return byte == 255 ? MEM_ALL : byte * 256U;
}

static void set_window(struct mem_end *end, unsigned byte)
{
    if (end)
        mem_open_window(end, window_of(byte));
}

static void set_piece(struct mem_end *end, unsigned byte)
{
    if (end)
        mem_set_piece(end, 1 + byte);
}

enum step {
    STEP_CONNECT,
    STEP_ASK,
    STEP_SEND_MORE,
    STEP_CLIENT_RAW,
    STEP_CLIENT_END,
    STEP_CLIENT_CUT,
    STEP_CLIENT_WINDOW,
    STEP_CLIENT_PIECE,
    STEP_ANSWER,
    STEP_SAY_MORE,
    STEP_INFORM,
    STEP_ORIGIN_RAW,
    STEP_ORIGIN_END,
    STEP_ORIGIN_WINDOW,
    STEP_ORIGIN_PIECE,
    STEP_STRAY,
    STEP_ACCEPT,
    STEP_REFUSE,
    STEP_TOKEN_ANSWER,
    STEP_TOKEN_REFUSE,
    STEP_WAIT,
    STEP_WAIT_LONG,
    STEP_WAIT_NEXT,
    STEP_AUTOMATIC,
    STEP_HOLD,
    STEP_TURN,
    STEP_DRAIN,
    STEP_CLIENT_VANISH,
    STEP_MOVE,
};

static void client_step(struct script *script, enum step step, struct client *client)
{
    if (step == STEP_CONNECT)
        client_connect(client);
    else if (step == STEP_CLIENT_RAW)
        client_say_raw(client, next_run(script));
    else if (step == STEP_SEND_MORE)
        client_send_more(client, stage_length(next(script)));
    else if (step == STEP_CLIENT_WINDOW)
        set_window(client->end, next(script));
    else if (step == STEP_CLIENT_PIECE)
        set_piece(client->end, next(script));
    else if (client->end && step == STEP_CLIENT_END)
        mem_finish(client->end);
    else if (client->end && step == STEP_CLIENT_CUT)
        mem_cut(client->end);
    else if (client->end && step == STEP_CLIENT_VANISH)
        mem_vanish(client->end);
}

static void ask(struct script *script, unsigned who)
{
    const unsigned how = next(script), more = next(script), length = next(script);

    client_ask(client_of(who), how, more, length);
}

static void origin_step(struct script *script, enum step step, unsigned who)
{
    struct conn *conn = conn_of(who);
    const unsigned a = step == STEP_STRAY || step == STEP_ORIGIN_RAW ? 0 : next(script);
    const unsigned how = step == STEP_ANSWER ? next(script) : 0;
    const unsigned length = step == STEP_ANSWER ? next(script) : 0;
    const struct qp_slice raw = step == STEP_ORIGIN_RAW ? next_run(script) : QP_SLICE_NONE;

    if (!conn)
        return;
    if (step == STEP_ANSWER)
        conn_answer(conn, a, how, length);
    else if (step == STEP_SAY_MORE)
        conn_say_more(conn, stage_length(a));
    else if (step == STEP_INFORM)
        conn_inform(conn, a);
    else if (step == STEP_ORIGIN_RAW)
        conn_say_raw(conn, raw);
    else if (step == STEP_ORIGIN_END)
        conn_end(conn, a);
    else if (step == STEP_ORIGIN_WINDOW)
        set_window(conn->end, a);
    else if (step == STEP_ORIGIN_PIECE)
        set_piece(conn->end, a);
    else if (step == STEP_STRAY)
        conn_stray(conn);
}

static void refuse_dial(struct qp_slice host, unsigned how)
{
    static const enum qp_result reasons[] = {QP_NET_REFUSED,   QP_NET_RESOLVE,    QP_NET_TLS_VERIFY,
                                             QP_NET_RESET,     QP_NET_TIMEOUT,    QP_NET_TLS,
                                             QP_NET_TRUNCATED, QP_NET_UNREACHABLE};
    struct qp_dial *dial = mem_dial_to(stage.loop, host);

    if (dial)
        mem_dial_fail(dial, reasons[how % (sizeof(reasons) / sizeof(reasons[0]))]);
}

static void on_drained(void *context)
{
    (void)context;
}

static void drain(void)
{
    if (stage.drained)
        return;
    stage.drained = true;
    stage.listener = NULL;
    story("the server drains");
    qp_server_drain(stage.server, 5000, on_drained, NULL);
}

static void wait(uint64_t ms)
{
    story("%llu ms pass", (unsigned long long)ms);
    mem_advance(stage.loop, ms);
}

static void wait_for_next(void)
{
    const uint64_t due_ms = mem_next_due_ms(stage.loop);

    if (due_ms > 0)
        wait(due_ms - qp_loop_now_ms(stage.loop));
}

static void common_step(struct script *script, enum step step, unsigned who)
{
    if (step == STEP_ACCEPT)
        (void)(who == 2 ? token_accept() : conn_accept(who % ACCOUNTS) != NULL);
    else if (step == STEP_REFUSE)
        refuse_dial(qp_slice_str(stage_hosts[who % ACCOUNTS]), next(script));
    else if (step == STEP_TOKEN_REFUSE)
        refuse_dial(QP_SLICE("token.example"), who);
    else if (step == STEP_WAIT)
        wait(next(script));
    else if (step == STEP_WAIT_LONG)
        wait(next(script) * 500U);
    else if (step == STEP_WAIT_NEXT)
        wait_for_next();
    else if (step == STEP_AUTOMATIC)
        stage.automatic = next(script);
    else if (step == STEP_HOLD)
        script->held = who % 2 == 0;
    else if (step == STEP_TURN)
        mem_turn(stage.loop);
    else if (step == STEP_DRAIN)
        drain();
    else if (step == STEP_MOVE)
        mem_move_hosts(stage.loop);
}

static void token_step(struct script *script)
{
    const unsigned how = next(script);

    token_answer(how, how % 12 == 5 ? next_run(script) : QP_SLICE_NONE);
}

static void take_step(struct script *script)
{
    const unsigned byte = next(script);
    const enum step step = (enum step)(byte & 31);
    const unsigned who = byte >> 5;

    if (step == STEP_ASK)
        ask(script, who);
    else if (step <= STEP_CLIENT_PIECE || step == STEP_CLIENT_VANISH)
        client_step(script, step, client_of(who));
    else if (step <= STEP_STRAY)
        origin_step(script, step, who);
    else if (step == STEP_TOKEN_ANSWER)
        token_step(script);
    else
        common_step(script, step, who);
    if (!script->held)
        settle();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {.at = data, .left = size};

    const unsigned low = next(&script);
    stage_open(low | next(&script) << 8);
    settle();
    for (int i = 0; i < STEPS_MOST && script.left > 0; i++)
        take_step(&script);
    settle();
    stage_close();
    return 0;
}
