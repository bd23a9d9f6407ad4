/* admin_test.c - what is looked at, over real sockets: paths, types, and the fields of every answer. */
#include "unit/admin/bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *ask(const char *method, const char *target)
{
    char request[256];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, method, target);
    return bench_ask(request);
}

#define POLICY                                                                                      \
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " \
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

static void assert_guarded(const char *answer)
{
    assert_string_equal(field_of(answer, "Cache-Control"), "no-store");
    assert_string_equal(field_of(answer, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(field_of(answer, "X-Frame-Options"), "DENY");
    assert_string_equal(field_of(answer, "Cross-Origin-Resource-Policy"), "same-origin");
    assert_string_equal(field_of(answer, "Content-Security-Policy"), POLICY);
    assert_lacks(answer, "Access-Control-");
}

static void each_page_is_given(void **state)
{
    static const struct {
        const char *target;
        const char *type;
        const char *body;
        const char *referrer;
    } rows[] = {
        /* The page's forms would have "Origin: null" under no-referrer. */
        {"/", "text/html; charset=utf-8", "<!DOCTYPE html>", "same-origin"},
        {"/?x", "text/html; charset=utf-8", "<!DOCTYPE html>", "same-origin"},
        {"/page.css", "text/css; charset=utf-8", "prefers-color-scheme", "no-referrer"},
        {"/page.js", "text/javascript; charset=utf-8", "\"use strict\"", "no-referrer"},
        {"/icon.svg", "image/svg+xml", "<svg ", "no-referrer"},
        {"/healthz", "text/plain; charset=utf-8", "\r\n\r\nok\n", "no-referrer"},
        {"/readyz", "application/json", "\"ready\":true", "no-referrer"},
        {"/readyz?account=main", "application/json", "\"name\":\"main\"", "no-referrer"},
        {"/api/status", "application/json", "\"relay\":{\"requests\":1,", "no-referrer"},
        {"/api/session", "application/json", "{\"csrf\":\"", "no-referrer"},
        {"/signed-in/main", "text/html; charset=utf-8", "main is signed in", "no-referrer"},
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8",
         "qproxy_relay_requests_total{worker=\"1\"} 1\n", "no-referrer"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = ask("GET", rows[i].target);
        assert_status(answer, "200");
        assert_string_equal(field_of(answer, "Content-Type"), rows[i].type);
        assert_string_equal(field_of(answer, "Referrer-Policy"), rows[i].referrer);
        assert_has(answer, rows[i].body);
        assert_guarded(answer);

        const char *head = ask("HEAD", rows[i].target);
        assert_status(head, "200");
        assert_string_not_equal(field_of(head, "Content-Length"), "0");
        assert_string_equal(body_of(head), "");
    }
}

static void every_answer_is_guarded(void **state)
{
    bench_visit();
    assert_guarded(ask("GET", "/nothing"));
    assert_guarded(ask("POST", "/"));
    assert_guarded(ask("GET", "/login/main"));
    assert_guarded(ask("GET", "/oauth/callback"));
    assert_guarded(ask("POST", "/refresh/main"));
    assert_guarded(bench_post("/refresh/main", "", "csrf=$CSRF"));
    assert_guarded(bench_post("/api/check/main", "", "csrf=$CSRF"));
    assert_guarded(bench_ask("GET / HTTP/1.1\r\nHost: evil.example\r\n" CLOSE));
}

static void the_parts_are_the_files(void **state)
{
    static const char *const names[] = {"page.css", "page.js", "icon.svg"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        char text[32768];
        snprintf(path, sizeof path, "%s/../../../proxy/admin/%s", QP_TEST_DIR, names[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        size_t len = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        assert_true(len > 0 && len < sizeof text - 1);
        text[len] = '\0';
        snprintf(path, sizeof path, "/%s", names[i]);
        assert_string_equal(body_of(ask("GET", path)), text);
    }
}

static void an_account_without_a_token_is_503_with_a_reason(void **state)
{
    fake.status[0].usable = false;
    fake.status[0].state = QP_TOKEN_SIGN_IN_NEEDED;
    const char *answer = ask("GET", "/readyz?account=main");
    assert_status(answer, "503");
    assert_has(answer, "\"ready\":false,\"status\":\"not-ready\"");
    assert_has(answer, "\"state\":\"sign-in-needed\",\"reason\":\"somebody has to sign in\"");
    assert_status(ask("GET", "/readyz"), "200");
    assert_has(ask("GET", "/readyz"), "\"status\":\"degraded\"");
    assert_status(ask("GET", "/healthz"), "200");
    assert_status(ask("GET", "/"), "200");
    assert_has(ask("GET", "/readyz?account=nobody"), "\r\nX-Qproxy-Error: no_account\r\n");
    assert_has(ask("GET", "/readyz?account=main&account=other"), "\r\nX-Qproxy-Error: bad_form\r\n");
    qp_admin_set_stopping(bench.admin);
    answer = ask("GET", "/readyz");
    assert_status(answer, "503");
    assert_has(answer, "\"status\":\"stopping\"");
}

static void a_vault_that_cannot_be_written_is_degraded_and_ready(void **state)
{
    fake.vault.is_writable = false;
    fake.vault.error = "no space left on device";
    const char *answer = ask("GET", "/readyz");
    assert_status(answer, "200");
    assert_has(
        answer,
        "\"ready\":true,\"status\":\"degraded\",\"reason\":\"every account can be used, but the vault");
    assert_has(answer,
               "\"vault\":{\"configured\":true,\"writable\":false,\"error\":\"no space left on device\"}");
    assert_has(ask("GET", "/metrics"), "\nqproxy_vault_writable 0\n");
    assert_has(ask("GET", "/"), "No space left on device.");
    fake.vault = (struct qp_vault_status){0};
    assert_has(ask("GET", "/readyz"), "\"status\":\"ready\"");
    assert_lacks(ask("GET", "/metrics"), "qproxy_vault_writable");
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
        {"GET", "/page.css/", "404", "not_found"},
        {"GET", "/login/", "404", "not_found"},
        {"GET", "/login/nobody", "404", "no_account"},
        {"GET", "/login/main/", "404", "no_account"},
        {"GET", "/login/mai", "404", "no_account"},
        {"GET", "/login/%6dain", "404", "no_account"},
        {"POST", "/refresh/nobody", "404", "no_account"},
        {"GET", "/api/nothing", "404", "not_found"},
        {"GET", "/API/v3/whoami", "404", "not_found"},
        {"POST", "/API/v3/whoami", "404", "not_found"},
        {"OPTIONS", "*", "404", "not_found"},
        {"POST", "/", "405", "method_not_allowed"},
        {"DELETE", "/api/status", "405", "method_not_allowed"},
        {"OPTIONS", "/metrics", "405", "method_not_allowed"},
        {"get", "/", "405", "method_not_allowed"},
        {"GET", "http://iad1.qualtrics.com/API/v3/whoami", "403", "wrong_host"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = ask(rows[i].method, rows[i].target);
        char text[96];
        assert_status(answer, rows[i].status);
        assert_string_equal(field_of(answer, "X-Qproxy-Error"), rows[i].code);
        assert_string_equal(field_of(answer, "Content-Type"), "application/json");
        snprintf(text, sizeof text, "{\"meta\":{\"httpStatus\":\"%s - ", rows[i].status);
        assert_int_equal(strncmp(body_of(answer), text, strlen(text)), 0);
        assert_lacks(answer, "Set-Cookie");
    }
}

static void who_would_like_a_page_gets_the_error_as_one(void **state)
{
    const char *answer =
        bench_ask(GET("/nothing") "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n" CLOSE);
    assert_status(answer, "404");
    assert_string_equal(field_of(answer, "Content-Type"), "text/html; charset=utf-8");
    assert_string_equal(field_of(answer, "X-Qproxy-Error"), "not_found");
    assert_has(answer, "<h1>There is no such page</h1>");
    answer = bench_ask(GET("/api/nothing") "Accept: text/html\r\n" CLOSE);
    assert_string_equal(field_of(answer, "Content-Type"), "application/json");
    answer = bench_ask(GET("/nothing") "Accept: */*\r\n" CLOSE);
    assert_string_equal(field_of(answer, "Content-Type"), "application/json");
}

static void a_cookie_is_given_once(void **state)
{
    bench_visit();
    const char *answer = bench_ask(GET("/") CLOSE);
    assert_has(field_of(answer, "Set-Cookie"), "; Path=/; HttpOnly; SameSite=Lax");
    assert_lacks(bench_ask(GET("/") "Cookie: qproxy_session=$COOKIE\r\n" CLOSE), "Set-Cookie");
    assert_has(bench_ask(GET("/") "Cookie: qproxy_session=forged\r\n" CLOSE), "Set-Cookie");
    assert_lacks(bench_ask(GET("/metrics") CLOSE), "Set-Cookie");
    answer = bench_ask(GET("/api/session") "Cookie: qproxy_session=$COOKIE\r\n" CLOSE);
    assert_lacks(answer, "Set-Cookie");
    assert_has(answer, bench.csrf);
    assert_lacks(answer, bench.cookie); /* a page's script must not learn it */
    assert_lacks(body_of(bench_ask(GET("/") "Cookie: qproxy_session=$COOKIE\r\n" CLOSE)), bench.cookie);
}

static void the_hours_history_follows_the_counters(void **state)
{
    const char *answer = ask("GET", "/api/status");
    assert_has(answer, "\"history\":{\"bucket_s\":60,\"requests\":[0,0,0,");
    assert_has(answer, ",0,0,1],\"token_calls\":[");
    bench.count = 20;
    fake.status[0].token_calls = 3;
    fake.status[1].token_call_failures = 2;
    answer = ask("GET", "/api/status");
    assert_has(answer, ",0,0,41],\"token_calls\":[0,");
    assert_has(answer, ",0,3],\"errors\":[0,");
    assert_has(answer, ",0,2]}");
}

static void what_is_no_http_is_refused_in_the_same_form(void **state)
{
    struct wire *client = wire_connect(bench.port);
    wire_send(client, "GET nonsense\r\n\r\n");
    assert_true(wire_run_until(client, "{\"meta\":{\"httpStatus\":\"400 - "));
    assert_status(ask("TRACE", "/"), "405");
    assert_status(bench_ask("GET / HTTP/1.1\r\nHost:\r\n" CLOSE), "400");
}

static void a_body_is_not_waited_for(void **state)
{
    struct wire *client =
        bench_send("POST / HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 5\r\n\r\nhelloGET /healthz "
                   "HTTP/1.1\r\nHost: $HOST\r\n\r\n");
    assert_true(wire_run_until(client, "\r\n\r\nok\n"));
    assert_true(wire_has(client, "HTTP/1.1 405 "));
}

static bool drained;

static void on_drained(void *context)
{
    drained = true;
}

static void a_drain_ends_idle_connections(void **state)
{
    struct wire *client = bench_send(GET("/healthz") "\r\n");
    drained = false;
    assert_true(wire_run_until(client, "\r\n\r\nok\n"));
    qp_admin_drain(bench.admin, 1000, on_drained, NULL);
    assert_true(wire_run_until_end(client));
    wire_run_ms(20);
    assert_true(drained);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_page_is_given),
        TEST(every_answer_is_guarded),
        TEST(the_parts_are_the_files),
        TEST(an_account_without_a_token_is_503_with_a_reason),
        TEST(a_vault_that_cannot_be_written_is_degraded_and_ready),
        TEST(everything_else_is_an_error_in_the_usual_envelope),
        TEST(who_would_like_a_page_gets_the_error_as_one),
        TEST(a_cookie_is_given_once),
        TEST(the_hours_history_follows_the_counters),
        TEST(what_is_no_http_is_refused_in_the_same_form),
        TEST(a_body_is_not_waited_for),
        TEST(a_drain_ends_idle_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
