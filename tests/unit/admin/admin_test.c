/* admin_test.c - the handler over real sockets: paths, methods, hosts, and the fields of every answer. */
#include "admin/admin.h"
#include "net/listen.h"
#include "token/keeper.h"
#include "unit/server/wire.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define SECRET "the-api-token-of-this-test"

static struct {
    struct qp_loop *loop;
    struct qp_secret *token;
    struct qp_account_opts account;
    struct qp_keeper *keeper;
    struct qp_listen_claim *claim;
    struct qp_admin *admin;
    uint16_t port;
    uint64_t count;
    bool drained;
} bench;

static void read_numbers(void *context, unsigned worker, uint64_t *relay, uint64_t *pool)
{
    assert_ptr_equal(context, &bench);
    relay[0] = bench.count + worker;
    pool[0] = 1;
}

static int begin(void **state)
{
    static const struct qp_admin_counter relay = {"requests", "requests taken", false};
    static const struct qp_admin_counter pool = {"idle", "idle ones", true};
    static const char *const names[] = {"main"};
    struct qp_admin_opts opts = {
        .version = "1.2.3",
        .account_names = names,
        .account_count = 1,
        .worker_count = 2,
        .relay = {&relay, 1},
        .pool = {&pool, 1},
        .read = read_numbers,
        .context = &bench,
    };
    const char *why = NULL;
    char error[256];
    memset(&bench, 0, sizeof bench);
    bench.loop = wire_begin();
    bench.token = qp_secret_new(QP_SLICE(SECRET));
    bench.account =
        (struct qp_account_opts){.name = "main", .grant = QP_GRANT_API_TOKEN, .api_token = bench.token};
    struct qp_keeper_opts keeper = {.accounts = &bench.account, .account_count = 1};
    bench.keeper = qp_keeper_new(bench.loop, &keeper);
    opts.keeper = bench.keeper;
    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:0"), &opts.address, &why), QP_OK);
    assert_int_equal(qp_listen_claim(&opts.address, 0600, &bench.claim, error, sizeof error), QP_OK);
    bench.port = ntohs(opts.address.u.v4.sin_port);
    bench.admin = qp_admin_new(bench.loop, &opts);
    qp_admin_listen(bench.admin, qp_listen_fd(bench.claim));
    return 0;
}

static int end(void **state)
{
    qp_admin_close(&bench.admin);
    qp_listen_release(&bench.claim);
    qp_keeper_close(&bench.keeper);
    qp_secret_free(&bench.token);
    wire_end();
    return 0;
}

/* One request on a connection of its own, and all that comes back. host NULL: the right one. */
static const char *ask(const char *method, const char *target, const char *host)
{
    struct wire *client = wire_connect(bench.port);
    char text[512];
    char own[64];
    snprintf(own, sizeof own, "127.0.0.1:%u", (unsigned)bench.port);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, target,
             host ? host : own);
    wire_send(client, text);
    assert_true(wire_run_until_end(client));
    assert_false(wire_has(client, SECRET));
    return wire_text(client);
}

static void assert_has(const char *answer, const char *what)
{
    if (!strstr(answer, what))
        fail_msg("no '%s' in:\n%s", what, answer);
}

static void each_page_is_given(void **state)
{
    static const struct {
        const char *target;
        const char *type;
        const char *body;
    } rows[] = {
        {"/", "text/html; charset=utf-8", "<!DOCTYPE html>"},
        {"/?x", "text/html; charset=utf-8", "<!DOCTYPE html>"},
        {"/healthz", "text/plain; charset=utf-8", "\r\n\r\nok\n"},
        {"/readyz", "application/json", "\"ready\":true"},
        {"/readyz?account=main", "application/json", "\"name\":\"main\""},
        {"/api/status", "application/json", "\"relay\":{\"requests\":1}"},
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8",
         "qproxy_relay_requests_total{worker=\"1\"} 1\n"},
    };
    qp_keeper_start(bench.keeper);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = ask("GET", rows[i].target, NULL);
        char type[96];
        snprintf(type, sizeof type, "\r\nContent-Type: %s\r\n", rows[i].type);
        assert_has(answer, "HTTP/1.1 200 OK\r\n");
        assert_has(answer, type);
        assert_has(answer, rows[i].body);
        assert_has(answer, "\r\nCache-Control: no-store\r\n");
        assert_has(answer, "\r\nX-Content-Type-Options: nosniff\r\n");
        assert_has(answer, "\r\nContent-Security-Policy: default-src 'none'; ");
        assert_has(answer, "frame-ancestors 'none'");

        const char *head = ask("HEAD", rows[i].target, NULL);
        assert_has(head, "HTTP/1.1 200 OK\r\n");
        assert_has(head, "\r\nContent-Length: ");
        assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    }
}

static void an_account_without_a_token_is_503_with_a_reason(void **state)
{
    const char *answer = ask("GET", "/readyz", NULL);
    assert_has(answer, "HTTP/1.1 503 ");
    assert_has(answer, "\"ready\":false,\"status\":\"not-ready\"");
    assert_has(answer, "\"state\":\"empty\",\"reason\":\"no token yet\"");
    assert_has(ask("GET", "/healthz", NULL), "HTTP/1.1 200 OK\r\n");
    assert_has(ask("GET", "/", NULL), "HTTP/1.1 200 OK\r\n");
    qp_keeper_start(bench.keeper);
    assert_has(ask("GET", "/readyz", NULL), "HTTP/1.1 200 OK\r\n");
    assert_has(ask("GET", "/readyz?account=other", NULL), "\r\nX-Qproxy-Error: no_account\r\n");
    qp_admin_set_stopping(bench.admin);
    answer = ask("GET", "/readyz", NULL);
    assert_has(answer, "HTTP/1.1 503 ");
    assert_has(answer, "\"status\":\"stopping\"");
}

static void everything_else_is_an_error_in_the_usual_envelope(void **state)
{
    static const struct {
        const char *method;
        const char *target;
        const char *status;
        const char *code;
    } rows[] = {
        {"GET", "/nothing", "404", "not_found"},
        {"GET", "/healthz/", "404", "not_found"},
        {"GET", "//healthz", "404", "not_found"},
        {"GET", "/HEALTHZ", "404", "not_found"},
        {"GET", "/API/v3/whoami", "404", "not_found"},
        {"POST", "/API/v3/whoami", "404", "not_found"},
        {"OPTIONS", "*", "404", "not_found"},
        {"POST", "/", "405", "method_not_allowed"},
        {"DELETE", "/api/status", "405", "method_not_allowed"},
        {"OPTIONS", "/metrics", "405", "method_not_allowed"},
        {"GET", "http://iad1.qualtrics.com/API/v3/whoami", "403", "wrong_host"},
        {"GET", "http://iad1.qualtrics.com/", "403", "wrong_host"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = ask(rows[i].method, rows[i].target, NULL);
        char text[96];
        snprintf(text, sizeof text, "HTTP/1.1 %s ", rows[i].status);
        assert_has(answer, text);
        snprintf(text, sizeof text, "\r\nX-Qproxy-Error: %s\r\n", rows[i].code);
        assert_has(answer, text);
        snprintf(text, sizeof text, "\r\n\r\n{\"meta\":{\"httpStatus\":\"%s - ", rows[i].status);
        assert_has(answer, text);
        assert_has(answer, "\r\nContent-Type: application/json\r\n");
        assert_has(answer, "\r\nX-Content-Type-Options: nosniff\r\n");
        assert_int_equal(strstr(answer, "\r\nAllow: GET, HEAD\r\n") != NULL, rows[i].status[2] == '5');
    }
}

static void a_request_for_another_host_is_403(void **state)
{
    static const char *const foreign[] = {"evil.example", "localhost", "127.0.0.1", "localhost:1",
                                          "iad1.qualtrics.com"};
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_has(ask("GET", "/healthz", foreign[i]), "HTTP/1.1 403 ");
        assert_has(ask("GET", "/nothing", foreign[i]), "HTTP/1.1 403 ");
        assert_has(ask("POST", "/", foreign[i]), "\r\nX-Qproxy-Error: wrong_host\r\n");
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        char host[64];
        snprintf(host, sizeof host, "%s:%u", own[i], (unsigned)bench.port);
        assert_has(ask("GET", "/healthz", host), "HTTP/1.1 200 ");
    }
}

static void what_is_no_http_is_refused_in_the_same_form(void **state)
{
    struct wire *client = wire_connect(bench.port);
    wire_send(client, "GET nonsense\r\n\r\n");
    assert_true(wire_run_until(client, "{\"meta\":{\"httpStatus\":\"400 - "));
    assert_has(ask("TRACE", "/", NULL), "HTTP/1.1 405 ");
    assert_has(ask("GET", "/", ""), "HTTP/1.1 400 ");
}

static void a_body_is_not_waited_for(void **state)
{
    struct wire *client = wire_connect(bench.port);
    char text[256];
    snprintf(text, sizeof text,
             "POST / HTTP/1.1\r\nHost: localhost:%u\r\nContent-Length: 5\r\n\r\nhelloGET /healthz "
             "HTTP/1.1\r\nHost: "
             "localhost:%u\r\n\r\n",
             (unsigned)bench.port, (unsigned)bench.port);
    wire_send(client, text);
    assert_true(wire_run_until(client, "\r\n\r\nok\n"));
    assert_true(wire_has(client, "HTTP/1.1 405 "));
}

static void on_drained(void *context)
{
    bench.drained = true;
}

static void a_drain_ends_idle_connections(void **state)
{
    struct wire *client = wire_connect(bench.port);
    char text[128];
    snprintf(text, sizeof text, "GET /healthz HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", (unsigned)bench.port);
    wire_send(client, text);
    assert_true(wire_run_until(client, "\r\n\r\nok\n"));
    qp_admin_drain(bench.admin, 1000, on_drained, NULL);
    assert_true(wire_run_until_end(client));
    wire_run_ms(20);
    assert_true(bench.drained);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_page_is_given),
        TEST(an_account_without_a_token_is_503_with_a_reason),
        TEST(everything_else_is_an_error_in_the_usual_envelope),
        TEST(a_request_for_another_host_is_403),
        TEST(what_is_no_http_is_refused_in_the_same_form),
        TEST(a_body_is_not_waited_for),
        TEST(a_drain_ends_idle_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
