/* guards_test.c - each guard over real sockets: what gets past, and what does not and why (hard requirement 29). */
#include "unit/admin/bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *request;
    const char *status;
    const char *code; /* X-Qproxy-Error; NULL: none */
};

static void check_answer(const struct row *row, const char *answer)
{
    char line[64];
    char status[24];
    snprintf(status, sizeof status, "HTTP/1.1 %s ", row->status);
    snprintf(line, sizeof line, "\r\nX-Qproxy-Error: %s\r\n", row->code ? row->code : "");
    bool has_code = row->code ? strstr(answer, line) != NULL : !strstr(answer, "X-Qproxy-Error");
    bool is_right = has_code && strncmp(answer, status, strlen(status)) == 0;
    if (!is_right)
        fail_msg("not %s %s for\n%s\nbut\n%s", row->status, row->code ? row->code : "", row->request, answer);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_answer(&rows[i], bench_ask(rows[i].request));
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

/* ---- 1. Host ---- */

static void another_host_is_403_before_anything_else(void **state)
{
    static const struct row rows[] = {
        {GET("/healthz") CLOSE, "200", NULL},
        {"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "403", "wrong_host"},
        {"GET /nothing HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "403", "wrong_host"},
        {"GET /page.js HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "403", "wrong_host"},
        {"DELETE / HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "403", "wrong_host"},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" CLOSE, "403", "wrong_host"},
        {"GET /healthz HTTP/1.1\r\nHost: localhost:1\r\n" CLOSE, "403", "wrong_host"},
        {"GET http://evil.example/healthz HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, "403", "wrong_host"},
        {"GET http://$HOST/healthz HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, "200", NULL},
        {"GET http://$HOST/healthz HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "403", "wrong_host"},
        {"GET https://iad1.qualtrics.com/API/v3/whoami HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, "403",
         "wrong_host"},
        {"GET /healthz HTTP/1.1\r\nHost: admin.example:8443\r\n" CLOSE, "200", NULL},
        {"GET /healthz HTTP/1.1\r\nHost: Admin.Example:8443\r\n" CLOSE, "200", NULL},
        {"GET /healthz HTTP/1.1\r\nHost: admin.example\r\n" CLOSE, "403", "wrong_host"},
        {"GET http://admin.example:8443/healthz HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, "200", NULL},
        {"POST /refresh/main HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nCookie: "
         "qproxy_session=$COOKIE\r\nX-Csrf-Token: $CSRF\r\n" CLOSE,
         "403", "wrong_host"},
    };
    const struct bench_opts opts = {.host = "admin.example:8443"};
    bench_begin_with(&opts);
    bench_visit();
    CHECK(rows);
    assert_int_equal(fake.order_count, 0);
    bench_end(state);
}

static void each_listener_has_its_own_names(void **state)
{
    static const struct row rows[] = {
        {"GET / HTTP/1.1\r\nHost: localhost\r\n" CLOSE, "200", NULL},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" CLOSE, "200", NULL},
        {"GET / HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, "403", "wrong_host"},
        {"GET / HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "403", "wrong_host"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_answer(&rows[i], bench_ask_local(rows[i].request));
}

/* ---- 2. the token ---- */

#define TOKEN     "the-admin-token/of=this:test"
/* base64 of ":TOKEN", "qproxy:TOKEN" and "TOKEN:" */
#define NO_USER   "OnRoZS1hZG1pbi10b2tlbi9vZj10aGlzOnRlc3Q="
#define SOME_USER "cXByb3h5OnRoZS1hZG1pbi10b2tlbi9vZj10aGlzOnRlc3Q="
#define AS_USER   "dGhlLWFkbWluLXRva2VuL29mPXRoaXM6dGVzdDo="

static void begin_with_token(void)
{
    const struct bench_opts opts = {.token = TOKEN};
    bench_begin_with(&opts);
}

static void without_the_token_there_is_nothing_but_health(void **state)
{
    static const char *const paths[] = {"/",
                                        "/page.css",
                                        "/page.js",
                                        "/icon.svg",
                                        "/readyz",
                                        "/metrics",
                                        "/login",
                                        "/login/main",
                                        "/oauth/callback?code=x&state=y",
                                        "/signed-in/main",
                                        "/api/status",
                                        "/api/session",
                                        "/api/sign-in?id=x",
                                        "/nothing",
                                        "/healthz/"};
    static const char *const posts[] = {"/refresh/main",     "/logout/main",    "/api/sign-in",
                                        "/api/sign-in/main", "/api/check/main", "/api/key/rotate"};
    char request[128];
    begin_with_token();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0] + sizeof posts / sizeof posts[0]; i++) {
        size_t gets = sizeof paths / sizeof paths[0];
        snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: $HOST\r\n" CLOSE,
                 i < gets ? "GET" : "POST", i < gets ? paths[i] : posts[i - gets]);
        const char *answer = bench_ask(request);
        const struct row row = {request, "401", "admin_token_needed"};
        check_answer(&row, answer);
        assert_string_equal(field_of(answer, "WWW-Authenticate"),
                            "Basic realm=\"qproxy\", charset=\"UTF-8\"");
        assert_lacks(answer, "main");
        assert_lacks(answer, "Set-Cookie");
        assert_lacks(answer, "1.2.3");
    }
    assert_status(bench_ask(GET("/healthz") CLOSE), "200");
    assert_int_equal(fake.order_count + fake.begun_count, 0);
    bench_end(state);
}

static void the_token_opens_as_bearer_or_as_a_password(void **state)
{
#define WITH(value) GET("/api/status") "Authorization: " value "\r\n" CLOSE
    static const struct row rows[] = {
        {WITH("Bearer " TOKEN), "200", NULL},
        {WITH("bearer  " TOKEN), "200", NULL},
        {WITH("Basic " NO_USER), "200", NULL},
        {WITH("basic " SOME_USER), "200", NULL},
        {WITH("Basic " AS_USER), "401", "admin_token_needed"},
        {WITH("Bearer"), "401", "admin_token_needed"},
        {WITH("Bearer "), "401", "admin_token_needed"},
        {WITH("Bearer " TOKEN "x"), "401", "admin_token_needed"},
        {WITH("Bearer " TOKEN " x"), "401", "admin_token_needed"},
        {WITH("Bearer the-admin-token/of=this:tesT"), "401", "admin_token_needed"},
        {WITH("Bearer the-admin-token"), "401", "admin_token_needed"},
        {WITH("Basic " TOKEN), "401", "admin_token_needed"},
        {WITH("Basic "), "401", "admin_token_needed"},
        {WITH("Basic Og=="), "401", "admin_token_needed"},
        {WITH("Basic !!!!"), "401", "admin_token_needed"},
        {WITH("Digest " TOKEN), "401", "admin_token_needed"},
        {WITH(TOKEN), "401", "admin_token_needed"},
        {GET("/") "Authorization: Bearer " TOKEN "\r\nAuthorization: Bearer " TOKEN "\r\n" CLOSE, "401",
         "admin_token_needed"},
        {GET("/") "X-API-TOKEN: " TOKEN "\r\n" CLOSE, "401", "admin_token_needed"},
        {GET("/?token=" TOKEN) CLOSE, "401", "admin_token_needed"},
    };
#undef WITH
    begin_with_token();
    CHECK(rows);
    bench_end(state);
}

static void the_host_comes_before_the_token(void **state)
{
    begin_with_token();
    const char *answer =
        bench_ask("GET / HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer " TOKEN "\r\n" CLOSE);
    assert_status(answer, "403");
    assert_lacks(answer, "WWW-Authenticate");
    bench_end(state);
}

static void a_unix_socket_is_its_own_guard(void **state)
{
    begin_with_token();
    assert_status(bench_ask_local("GET /api/status HTTP/1.1\r\nHost: localhost\r\n" CLOSE), "200");
    assert_status(bench_ask_local("GET / HTTP/1.1\r\nHost: localhost\r\n" CLOSE), "200");
    bench_end(state);
}

/* ---- 3. what changes something ---- */

#define TO     "POST /refresh/main HTTP/1.1\r\nHost: $HOST\r\n"
#define FROM   "Origin: http://$HOST\r\n"
#define WHO    "Cookie: qproxy_session=$COOKIE\r\n"
#define SHOW   "X-Csrf-Token: $CSRF\r\n"
#define NOBODY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void a_post_needs_origin_cookie_and_csrf(void **state)
{
    static const struct row rows[] = {
        {TO FROM WHO SHOW CLOSE, "303", NULL},
        {TO "Origin: HTTP://$HOST\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: null\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: \r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: http://evil.example\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: https://$HOST\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: http://$HOST.evil.example\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: http://$HOST/\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: http://localhost\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Origin: http://evil.example http://$HOST\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO FROM FROM WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO FROM "Origin: http://evil.example\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO "Referer: http://$HOST/\r\n" WHO SHOW CLOSE, "403", "wrong_origin"},
        {TO FROM SHOW CLOSE, "403", "no_session"},
        {TO FROM "Cookie: other=$COOKIE\r\n" SHOW CLOSE, "403", "no_session"},
        {TO FROM "Cookie: qproxy_session=x\r\n" SHOW CLOSE, "403", "no_session"},
        {TO FROM "Cookie: qproxy_session=" NOBODY "\r\n" SHOW CLOSE, "403", "reload"},
        {TO FROM WHO CLOSE, "403", "reload"},
        {TO FROM WHO "X-Csrf-Token: \r\n" CLOSE, "403", "reload"},
        {TO FROM WHO "X-Csrf-Token: $COOKIE\r\n" CLOSE, "403", "reload"},
        {TO FROM WHO "X-Csrf-Token: $CSRF$CSRF\r\n" CLOSE, "403", "reload"},
        {TO FROM WHO SHOW SHOW CLOSE, "403", "reload"},
        {TO FROM WHO "X-Csrf-Token: " NOBODY "\r\n" CLOSE, "403", "reload"},
        {"POST /refresh/main?csrf=$CSRF HTTP/1.1\r\nHost: $HOST\r\n" FROM WHO CLOSE, "403", "reload"},
    };
    bench_visit();
    CHECK(rows);
    assert_int_equal(fake.order_count, 1);
}

static void every_post_is_guarded(void **state)
{
    static const char *const paths[] = {"/refresh/main",     "/logout/main",    "/api/sign-in",
                                        "/api/sign-in/main", "/api/check/main", "/api/key/rotate"};
    bench_visit();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char request[256];
        snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: $HOST\r\n" WHO SHOW CLOSE, paths[i]);
        const struct row without_origin = {request, "403", "wrong_origin"};
        check_answer(&without_origin, bench_ask(request));
        snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: $HOST\r\n" FROM WHO CLOSE, paths[i]);
        const struct row without_csrf = {request, "403", "reload"};
        check_answer(&without_csrf, bench_ask(request));
    }
    assert_int_equal(fake.order_count + fake.begun_count, 0);
}

static void the_token_may_stand_in_the_form(void **state)
{
    bench_visit();
    assert_status(bench_post("/refresh/main", "", "csrf=$CSRF"), "303");
    assert_status(bench_post("/refresh/main", "", "other=1&csrf=$CSRF"), "303");
    assert_int_equal(fake.order_count, 2);
    assert_has(bench_post("/refresh/main", "", "csrf=" NOBODY), "X-Qproxy-Error: reload\r\n");
    assert_has(bench_post("/refresh/main", "", ""), "X-Qproxy-Error: reload\r\n");
    assert_has(bench_post("/refresh/main", "", "csrf=$CSRF&csrf=$CSRF"), "X-Qproxy-Error: bad_form\r\n");
    assert_has(bench_post("/refresh/main", "", "csrf=$CSRF&csr%66=x"), "X-Qproxy-Error: bad_form\r\n");
    assert_has(bench_post("/refresh/main", "", "csrf=$CSRF&x=%zz"), "X-Qproxy-Error: bad_form\r\n");
    /* Two places that differ: the field counts, which no form of another page can set. */
    assert_has(bench_post("/refresh/main", "X-Csrf-Token: x\r\n", "csrf=$CSRF"),
               "X-Qproxy-Error: reload\r\n");
    assert_int_equal(fake.order_count, 2);
}

static void a_listed_host_may_stand_behind_tls(void **state)
{
#define LISTED "POST /refresh/main HTTP/1.1\r\nHost: admin.example\r\n" WHO SHOW
    static const struct row rows[] = {
        {LISTED "Origin: https://admin.example\r\n" CLOSE, "303", NULL},
        {LISTED "Origin: http://admin.example\r\n" CLOSE, "303", NULL},
        {LISTED "Origin: https://$HOST\r\n" CLOSE, "403", "wrong_origin"},
        {LISTED "Origin: http://$HOST\r\n" CLOSE, "403", "wrong_origin"},
        {TO WHO SHOW "Origin: https://admin.example\r\n" CLOSE, "403", "wrong_origin"},
    };
#undef LISTED
    const struct bench_opts opts = {.host = "admin.example"};
    bench_begin_with(&opts);
    bench_visit();
    CHECK(rows);
    bench_end(state);
}

static void the_command_line_comes_by_the_unix_socket(void **state)
{
    bench_visit();
    assert_status(
        bench_ask_local(
            "POST /refresh/main HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n" WHO SHOW CLOSE),
        "303");
    assert_status(bench_ask_local("POST /refresh/main HTTP/1.1\r\nHost: localhost\r\n" WHO SHOW CLOSE),
                  "403");
    assert_status(
        bench_ask_local("POST /refresh/main HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n" WHO SHOW CLOSE),
        "403");
    assert_int_equal(fake.order_count, 1);
}

static void only_forms_and_only_small_ones(void **state)
{
#define SENT TO FROM WHO SHOW
    static const struct row rows[] = {
        {SENT "Content-Length: 3\r\n" FORM CLOSE "a=1", "303", NULL},
        {SENT "Content-Length: 3\r\nContent-Type: Application/X-WWW-Form-Urlencoded; charset=UTF-8\r\n" CLOSE
              "a=1",
         "303", NULL},
        {SENT "Content-Length: 0\r\n" CLOSE, "303", NULL},
        {SENT "Content-Length: 3\r\n" CLOSE "a=1", "415", "form_needed"},
        {SENT "Content-Length: 3\r\nContent-Type: text/plain\r\n" CLOSE "a=1", "415", "form_needed"},
        {SENT "Content-Length: 2\r\nContent-Type: application/json\r\n" CLOSE "{}", "415", "form_needed"},
        {SENT "Content-Length: 3\r\nContent-Type: multipart/form-data; boundary=x\r\n" CLOSE "a=1", "415",
         "form_needed"},
        {SENT "Content-Length: 3\r\n" FORM "Content-Type: text/plain\r\n" CLOSE "a=1", "415", "form_needed"},
        {SENT "Transfer-Encoding: chunked\r\n" CLOSE "3\r\na=1\r\n0\r\n\r\n", "415", "form_needed"},
        {SENT "Transfer-Encoding: chunked\r\n" FORM CLOSE "3\r\na=1\r\n0\r\n\r\n", "303", NULL},
        {SENT FORM "Content-Length: 65537\r\n" CLOSE, "413", "body_too_large"},
    };
#undef SENT
    bench_visit();
    CHECK(rows);
    assert_int_equal(fake.order_count, 4);
}

static void a_chunked_body_ends_at_64_kib(void **state)
{
    struct qp_buf text = {0};
    bench_visit();
    qp_buf_append_str(&text, TO FROM WHO SHOW FORM "Transfer-Encoding: chunked\r\n" CLOSE);
    for (unsigned i = 0; i < 17; i++) {
        qp_buf_append_str(&text, "1000\r\n");
        for (unsigned k = 0; k < 4096; k++)
            qp_buf_append_char(&text, 'x');
        qp_buf_append_str(&text, "\r\n");
    }
    qp_buf_append_str(&text, "0\r\n\r\n");
    qp_buf_append_char(&text, '\0');
    const struct row row = {"a long body", "413", "body_too_large"};
    check_answer(&row, bench_ask(qp_buf_slice(&text).at));
    qp_buf_deinit(&text);
    assert_int_equal(fake.order_count, 0);
}

static void a_client_that_asks_first_is_told_to_go_on(void **state)
{
    bench_visit();
    struct wire *client =
        bench_send(TO FROM WHO SHOW FORM "Content-Length: 3\r\nExpect: 100-continue\r\n" CLOSE);
    assert_true(wire_run_until(client, "HTTP/1.1 100 Continue\r\n\r\n"));
    wire_send(client, "a=1");
    assert_true(wire_run_until(client, "HTTP/1.1 303 "));
}

static void a_page_says_what_to_do_when_it_is_out_of_date(void **state)
{
    bench_visit();
    const char *answer = bench_ask(TO FROM WHO "X-Csrf-Token: x\r\nAccept: text/html,*/*\r\n" CLOSE);
    assert_status(answer, "403");
    assert_string_equal(field_of(answer, "Content-Type"), "text/html; charset=utf-8");
    assert_has(answer, "reload it and try again");
    assert_has(answer, "X-Qproxy-Error: reload\r\n");
}

/* ---- methods ---- */

static void each_path_has_its_methods(void **state)
{
    static const struct {
        const char *path;
        const char *allow;
    } rows[] = {
        {"/", "GET, HEAD"},
        {"/page.css", "GET, HEAD"},
        {"/page.js", "GET, HEAD"},
        {"/icon.svg", "GET, HEAD"},
        {"/healthz", "GET, HEAD"},
        {"/readyz", "GET, HEAD"},
        {"/metrics", "GET, HEAD"},
        {"/api/status", "GET, HEAD"},
        {"/api/session", "GET, HEAD"},
        {"/signed-in/main", "GET, HEAD"},
        {"/login", "GET"},
        {"/login/main", "GET"},
        {"/oauth/callback", "GET"},
        {"/refresh/main", "POST"},
        {"/logout/main", "POST"},
        {"/api/sign-in", "GET, HEAD, POST"},
        {"/api/sign-in/main", "POST"},
        {"/api/check/main", "POST"},
        {"/api/key/rotate", "POST"},
    };
    static const char *const methods[] = {"GET", "HEAD", "POST"};
    bench_visit();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[160];
        snprintf(request, sizeof request, "DELETE %s HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, rows[i].path);
        const char *answer = bench_ask(request);
        assert_status(answer, "405");
        assert_string_equal(field_of(answer, "Allow"), rows[i].allow);
        for (size_t k = 0; k < 3; k++) {
            if (strstr(rows[i].allow, methods[k]))
                continue;
            snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: $HOST\r\n" FROM WHO SHOW CLOSE,
                     methods[k], rows[i].path);
            assert_status(bench_ask(request), "405");
        }
    }
    assert_int_equal(fake.order_count + fake.begun_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_host_is_403_before_anything_else),
        TEST(each_listener_has_its_own_names),
        cmocka_unit_test(without_the_token_there_is_nothing_but_health),
        cmocka_unit_test(the_token_opens_as_bearer_or_as_a_password),
        cmocka_unit_test(the_host_comes_before_the_token),
        cmocka_unit_test(a_unix_socket_is_its_own_guard),
        TEST(a_post_needs_origin_cookie_and_csrf),
        TEST(every_post_is_guarded),
        TEST(the_token_may_stand_in_the_form),
        cmocka_unit_test(a_listed_host_may_stand_behind_tls),
        TEST(the_command_line_comes_by_the_unix_socket),
        TEST(only_forms_and_only_small_ones),
        TEST(a_chunked_body_ends_at_64_kib),
        TEST(a_client_that_asks_first_is_told_to_go_on),
        TEST(a_page_says_what_to_do_when_it_is_out_of_date),
        TEST(each_path_has_its_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
