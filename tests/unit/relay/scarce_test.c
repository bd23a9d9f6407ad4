/* A request's whole life through server, relay and origin, with an allocation that fails at the first, the second, the third ... place where what a
 * peer sizes is taken: each ends in an answer or a cut that both sides can see, and all memory comes back. */
#include "base/alloc.h"
#include "base/log.h"
#include "relay/relay.h"
#include "token/keeper.h"
#include "unit/server/wire.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { POINTS = 60, BODY_BYTES = 300 * 1024, TURNS = 600, REPLAY_MEMORY_BYTES = 128 * 1024 };

struct parts {
    struct qp_loop *loop;
    struct qp_keeper *keeper;
    struct qp_view *view;
    struct qp_relay *relay;
    struct qp_server *server;
    int origin_fd;
    struct wire *client;
    struct wire *origin;
    bool is_answered;
};

static struct qp_secret *token;
static struct qp_account_opts account;
static struct qp_relay_account relayed_account;

static void begin(struct parts *parts)
{
    static const int any = QP_LISTENER_ANY;
    uint16_t port = 0;
    *parts = (struct parts){.loop = wire_begin()};
    parts->origin_fd = wire_listen(&port);
    account = (struct qp_account_opts){
        .name = "main", .grant = QP_GRANT_API_TOKEN, .api_token = token, .origin = "https://127.0.0.1"};
    relayed_account = (struct qp_relay_account){.name = "main",
                                                .origin_host = "127.0.0.1",
                                                .origin_port = port,
                                                .static_token = true,
                                                .rewrite_links = true};
    parts->keeper =
        qp_keeper_new(parts->loop, &(struct qp_keeper_opts){.accounts = &account, .account_count = 1});
    parts->view =
        qp_view_new(parts->loop, parts->keeper,
                    &(struct qp_view_opts){.account_count = 1, .token_wait_ms = 1000, .waiting = 4});
    qp_keeper_add_view(parts->keeper, parts->view);
    qp_keeper_start(parts->keeper);
    const struct qp_parse_limits limits = {
        .head_bytes = 32768, .target_bytes = 16384, .fields = 100, .chunk_extension_bytes = 1024};
    const struct qp_relay_opts relay = {.accounts = &relayed_account,
                                        .account_count = 1,
                                        .listener_accounts = &any,
                                        .listener_count = 1,
                                        .origin_connect_ms = 2000,
                                        .origin_handshake_ms = 2000,
                                        .origin_resolve_ms = 2000,
                                        .origin_response_ms = 2000,
                                        .origin_idle_ms = 2000,
                                        .stream_wait_ms = 2000,
                                        .origin_streams = 4,
                                        .waiting = 4,
                                        .response_limits = limits,
                                        .replay_memory_bytes = REPLAY_MEMORY_BYTES,
                                        .replay_memory_total_bytes = 1 << 20,
                                        .replay_body_bytes = 1 << 20,
                                        .replay_folder = "/tmp",
                                        .via = "qproxy"};
    parts->relay = qp_relay_new(parts->loop, &relay, parts->view);
    const struct qp_server_opts server = {.client_head_ms = 2000,
                                          .client_body_ms = 2000,
                                          .client_idle_ms = 2000,
                                          .limits = limits,
                                          .error_field = "X-Qproxy-Error"};
    parts->server = qp_server_new(parts->loop, &server, qp_relay_handler(), parts->relay);
    qp_server_listen(parts->server, wire_listen(&port), 0, NULL);
    parts->client = wire_connect(port);
    wire_run_ms(5); /* accepted, and the view has its token */
}

static void end(struct parts *parts)
{
    qp_server_close(&parts->server);
    qp_relay_close(&parts->relay);
    qp_view_close(&parts->view);
    qp_keeper_close(&parts->keeper);
    close(parts->origin_fd);
    wire_end();
}

static void send_request(struct parts *parts)
{
    static char body[BODY_BYTES];
    char head[256];
    snprintf(head, sizeof head,
             "POST /API/v3/surveys?limit=100 HTTP/1.1\r\nHost: localhost\r\nX-A: %064d\r\nContent-Length: "
             "%d\r\n\r\n",
             7, BODY_BYTES);
    memset(body, 'b', sizeof body);
    wire_send(parts->client, head);
    wire_send_bytes(parts->client, body, sizeof body);
}

/* Chunked JSON, with a link that is rewritten. */
static void answer(struct parts *parts)
{
    static const char json[] =
        "{\"result\":{\"nextPage\":\"https://fra1.qualtrics.com/API/v3/surveys?offset=100\"}}";
    char text[512];
    snprintf(text, sizeof text,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
             "%zx\r\n%s\r\n0\r\n\r\n",
             sizeof json - 1, json);
    wire_send(parts->origin, text);
    parts->is_answered = true;
}

static void turn(struct parts *parts)
{
    wire_run_ms(2);
    if (!parts->origin && poll(&(struct pollfd){.fd = parts->origin_fd, .events = POLLIN}, 1, 0) > 0)
        parts->origin = wire_accept(parts->origin_fd);
    if (parts->origin && !parts->is_answered && qp_buf_len(&parts->origin->in) > BODY_BYTES)
        answer(parts);
}

enum outcome { WHOLE, OWN_ERROR, CUT };

static enum outcome run(struct parts *parts)
{
    const struct wire *client = parts->client;
    for (unsigned i = 0; i < TURNS; i++) {
        turn(parts);
        if (wire_has(client, "HTTP/1.1 200 ") && wire_has(client, "0\r\n\r\n"))
            return WHOLE;
        if (wire_has(client, "X-Qproxy-Error: "))
            return OWN_ERROR;
        if (client->ended || client->reset)
            return CUT;
    }
    fail_msg("the client waits for ever; it has: %s", wire_text(parts->client));
    return CUT;
}

/* only: this passing alone; else this one and all behind it. */
static void fail_at_each_point(bool only)
{
    unsigned outcomes[3] = {0};
    unsigned whole_in_a_row = 0;
    for (unsigned point = 1; point <= POINTS; point++) {
        struct parts parts;
        char fault[64];
        uint64_t held = qp_alloc_held_bytes();
        begin(&parts);
        send_request(&parts);
        snprintf(fault, sizeof fault, only ? "alloc.try=ENOMEM@%u" : "alloc.try@%u=ENOMEM", point);
        setenv("QP_FAULT", fault, 1);
        enum outcome outcome = run(&parts);
        unsetenv("QP_FAULT");
        outcomes[outcome]++;
        whole_in_a_row = outcome == WHOLE ? whole_in_a_row + 1 : 0;
        if (outcome == WHOLE)
            assert_true(wire_has(parts.client, "http://localhost"));
        end(&parts);
        assert_int_equal(qp_alloc_held_bytes(), held);
    }
    print_message("%u whole, %u own errors, %u cuts\n", outcomes[WHOLE], outcomes[OWN_ERROR], outcomes[CUT]);
    assert_true(outcomes[OWN_ERROR] + outcomes[CUT] > 0);
    assert_true(whole_in_a_row >= 3); /* else there are points behind those that were tried */
}

static void P7_an_allocation_that_fails_ends_in_an_answer_or_a_cut(void **state)
{
    fail_at_each_point(true);
}

static void P7_so_do_all_from_one_on(void **state)
{
    fail_at_each_point(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P7_an_allocation_that_fails_ends_in_an_answer_or_a_cut),
        cmocka_unit_test(P7_so_do_all_from_one_on),
    };
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    token = qp_secret_new(QP_SLICE("a-token-of-the-api"));
    int failed = cmocka_run_group_tests_name("relay.scarce", tests, NULL, NULL);
    qp_secret_free(&token);
    return failed;
}
