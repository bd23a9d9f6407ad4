/* sign_in_test.c - a browser's way out and back, and the command line's, with the keeper played (hard requirement 28). */
#include "unit/admin/bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MINE "Cookie: qproxy_session=$COOKIE\r\n"
#define PAGE "Accept: text/html\r\n"
#define SHOW "X-Csrf-Token: $CSRF\r\n"

/* ---- out ---- */

static void a_login_binds_the_attempt_to_the_browser(void **state)
{
    const char *answer = bench_ask(GET("/login/other") CLOSE);
    char uri[96];
    assert_status(answer, "302");
    assert_string_equal(field_of(answer, "Location"), fake.begun_url);
    assert_has(field_of(answer, "Set-Cookie"), "; HttpOnly; SameSite=Lax");
    assert_int_equal(strlen(fake.begun_binding), 43);
    assert_has(field_of(answer, "Set-Cookie"), fake.begun_binding);
    assert_int_equal(fake.begun_account, 1);
    snprintf(uri, sizeof uri, "http://%s/oauth/callback", bench.own);
    assert_string_equal(fake.begun_uri, uri);
    assert_string_equal(body_of(answer), ""); /* the URL holds the state: nowhere else */
}

static void a_browser_that_has_a_cookie_keeps_it(void **state)
{
    bench_visit();
    const char *answer = bench_ask(GET("/login/main") MINE CLOSE);
    assert_status(answer, "302");
    assert_lacks(answer, "Set-Cookie");
    assert_string_equal(fake.begun_binding, bench.cookie);
}

static void login_alone_is_for_the_only_account(void **state)
{
    const char *answer = bench_ask(GET("/login") PAGE CLOSE);
    assert_status(answer, "404");
    assert_string_equal(field_of(answer, "X-Qproxy-Error"), "which_account");
    assert_int_equal(fake.begun_count, 0);
    for (unsigned i = 0; i < FAKE_ACCOUNTS; i++)
        fake.status[i].can_sign_in = i == 2;
    answer = bench_ask(GET("/login") CLOSE);
    assert_status(answer, "302");
    assert_int_equal(fake.begun_account, 2);
    fake.status[2].can_sign_in = false;
    assert_status(bench_ask(GET("/login") CLOSE), "404");
}

static void what_cannot_begin_says_why(void **state)
{
    fake.refusal = "this account's grant is <client_credentials>, which needs no sign-in";
    const char *answer = bench_ask(GET("/login/main") PAGE CLOSE);
    assert_status(answer, "409");
    assert_string_equal(field_of(answer, "X-Qproxy-Error"), "no_sign_in");
    assert_has(answer, "is &lt;client_credentials&gt;, which needs no sign-in.");
    bench_visit();
    answer = bench_post("/api/sign-in/main", "", "csrf=$CSRF");
    assert_status(answer, "409");
    assert_has(answer, "\"errorCode\":\"qproxy_no_sign_in\"");
}

static void another_page_cannot_begin_one_unseen(void **state)
{
    static const struct {
        const char *fields;
        const char *status;
    } rows[] = {
        {"", "302"},
        {"Sec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\n", "302"},
        {"Sec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\n", "302"},
        /* Who is signed in at the authorization server would take the account over without a question. */
        {"Sec-Fetch-Dest: document\r\nSec-Fetch-Site: cross-site\r\n", "403"},
        {"Sec-Fetch-Dest: document\r\nSec-Fetch-Site: same-site\r\n", "403"},
        {"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: none\r\n", "403"},
        {"Sec-Fetch-Site: \r\n", "403"},
        {"Sec-Fetch-Dest: image\r\n", "403"},
        {"Sec-Fetch-Dest: iframe\r\n", "403"},
        {"Sec-Fetch-Dest: empty\r\n", "403"},
        {"Sec-Fetch-Dest: document\r\nSec-Fetch-Dest: image\r\n", "403"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[256];
        snprintf(request, sizeof request, GET("/login/main") "%s" CLOSE, rows[i].fields);
        assert_status(bench_ask(request), rows[i].status);
    }
    assert_int_equal(fake.begun_count, 3);
}

/* ---- under which name ---- */

#define UNSEEN "Sec-Fetch-Dest: document\r\nSec-Fetch-Site: cross-site\r\n"

/* Where /login/main leads by that name, cut to what stands behind "FRONT/login/main?here=". */
static void hop(const char *front, char proof[64])
{
    char request[128];
    char start[128];
    snprintf(request, sizeof request, "GET /login/main HTTP/1.1\r\nHost: localhost:%u\r\n" CLOSE, bench.port);
    snprintf(start, sizeof start, "%s/login/main?here=", front);
    const char *answer = bench_ask(request);
    assert_status(answer, "302");
    const char *location = field_of(answer, "Location");
    assert_int_equal(strncmp(location, start, strlen(start)), 0);
    snprintf(proof, 64, "%s", location + strlen(start));
    assert_int_equal(strlen(proof), 43);
}

static void who_came_by_another_name_is_sent_to_the_one_that_it_comes_back_to(void **state)
{
    char request[256];
    char front[96];
    char proof[64];
    snprintf(front, sizeof front, "http://%s", bench.own);
    hop(front, proof);
    assert_int_equal(fake.begun_count, 0); /* there it begins */
    /* A browser says of this step that it comes from elsewhere, which it does: from us. */
    snprintf(request, sizeof request, GET("/login/main?here=%s") UNSEEN CLOSE, proof);
    assert_string_equal(field_of(bench_ask(request), "Location"), fake.begun_url);
    assert_int_equal(fake.begun_count, 1);
}

static void that_step_cannot_be_made_up(void **state)
{
    static const char *const targets[] = {"/login/main?here", "/login/main?here=", "/login/main?here=$CSRF",
                                          "/login/main?here=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    char request[256];
    char front[96];
    char proof[64];
    bench_visit();
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: $HOST\r\n" MINE UNSEEN CLOSE, targets[i]);
        assert_status(bench_ask(request), "403");
    }
    snprintf(front, sizeof front, "http://%s", bench.own);
    hop(front, proof);
    snprintf(request, sizeof request, GET("/login/other?here=%s") UNSEEN CLOSE,
             proof); /* another account's */
    assert_status(bench_ask(request), "403");
    snprintf(request, sizeof request, GET("/login/main?here=%s") "Sec-Fetch-Dest: iframe\r\n" CLOSE, proof);
    assert_status(bench_ask(request), "403");
    assert_int_equal(fake.begun_count, 0);
}

static void the_accounts_own_redirect_uri_says_the_name(void **state)
{
    static const struct {
        const char *uri;
        const char *front; /* NULL: it begins where it is */
    } rows[] = {
        {"https://admin.example/oauth/callback", "https://admin.example"},
        {"https://front.example/q/oauth/callback", "https://front.example/q"},
        {"https://elsewhere.example/back", NULL},
        {"urn:ietf:wg:oauth:2.0:oob", NULL},
        {"/oauth/callback", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[256];
        char proof[64];
        bench.redirect_uris[0] = rows[i].uri;
        if (rows[i].front) {
            hop(rows[i].front, proof);
            snprintf(request, sizeof request, GET("/login/main?here=%s") CLOSE, proof);
        } else {
            snprintf(request, sizeof request, "%s", GET("/login/main") CLOSE);
        }
        assert_string_equal(field_of(bench_ask(request), "Location"), fake.begun_url);
        assert_string_equal(fake.begun_uri, rows[i].uri);
    }
}

static void a_name_that_a_client_gives_leads_nowhere(void **state)
{
    const char *answer =
        bench_ask(GET("/login/main?redirect_uri=http://evil.example/&next=//evil.example") CLOSE);
    assert_string_equal(field_of(answer, "Location"), fake.begun_url);
    assert_lacks(answer, "evil");
    answer = bench_ask(GET("/login/main?x") "X-Forwarded-Host: evil.example\r\n" CLOSE);
    assert_lacks(answer, "evil");
}

/* ---- back ---- */

static void a_sign_in_that_went_well_ends_on_a_plain_page(void **state)
{
    char request[256];
    bench_visit();
    bench_ask(GET("/login/other") MINE CLOSE);
    fake.end = (struct qp_order_end){.ok = true, .code = "signed_in", .text = "other is signed in"};
    snprintf(request, sizeof request, GET("/oauth/callback?code=the-code&state=%s&iss=x") MINE PAGE CLOSE,
             fake.begun_state);
    const char *answer = bench_ask(request);
    assert_status(answer, "303");
    assert_string_equal(field_of(answer, "Location"), "/signed-in/other");
    assert_string_equal(field_of(answer, "Referrer-Policy"), "no-referrer");
    assert_lacks(answer, "the-code");
    assert_lacks(answer, fake.begun_state);
    snprintf(request, sizeof request, "code=the-code&state=%s&iss=x", fake.begun_state);
    assert_string_equal(fake.finished_query, request);
    assert_string_equal(fake.finished_binding, bench.cookie);
    assert_string_equal(fake.finished_id, "-");
    assert_has(bench_ask(GET("/signed-in/other") CLOSE), "<h1>other is signed in</h1>");
    fake.status[1].signed_in_s = -1;
    assert_has(bench_ask(GET("/signed-in/other") CLOSE), "<h1>other is not signed in</h1>");
}

static void a_sign_in_that_failed_says_what_to_do(void **state)
{
    static const struct {
        const char *code;
        const char *status;
        const char *title;
    } rows[] = {
        {"access_denied", "400", "The sign-in was not allowed"},
        {"state_unknown", "400", "This sign-in is over"},
        {"other_browser", "400", "This sign-in was begun elsewhere"},
        {"invalid_scope", "400", "The sign-in did not work"},
        {"bad_answer", "400", "The sign-in did not work"},
        {"wrong_issuer", "400", "The sign-in did not work"},
        {"failed", "502", "The sign-in could not be completed"},
        {"vault", "503", "The sign-in could not be kept"},
        {"stopping", "503", "qproxy is stopping"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char title[96];
        bench_ask(GET("/login/main") CLOSE);
        fake.end = (struct qp_order_end){
            .ok = false, .code = rows[i].code, .text = "the server says <script>alert('x')</script>\x01"};
        char request[160];
        snprintf(request, sizeof request, GET("/oauth/callback?code=the-code&state=%s") CLOSE,
                 fake.begun_state);
        const char *answer = bench_ask(request);
        assert_status(answer, rows[i].status);
        assert_string_equal(field_of(answer, "Content-Type"), "text/html; charset=utf-8");
        snprintf(title, sizeof title, "<h1>%s</h1>", rows[i].title);
        assert_has(answer, title);
        assert_has(answer,
                   "<p>The server says &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\xef\xbf\xbd.</p>");
        assert_has(answer, "href=\"/login/main\">Try again</a>");
        assert_lacks(answer, "the-code");
        assert_lacks(answer, fake.begun_state);
        assert_lacks(answer, "<script>");
    }
}

static void an_answer_of_an_unknown_sign_in_leads_to_the_status_page(void **state)
{
    fake.end = (struct qp_order_end){.ok = false, .code = "state_unknown", .text = "begin again"};
    static const char *const targets[] = {"/oauth/callback",
                                          "/oauth/callback?",
                                          "/oauth/callback?code=x",
                                          "/oauth/callback?code=x&state=",
                                          "/oauth/callback?code=x&state=guess",
                                          "/oauth/callback?state=a&state=b",
                                          "/oauth/callback?%zz"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        char request[160];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, targets[i]);
        const char *answer = bench_ask(request);
        assert_status(answer, "400");
        assert_has(answer, "href=\"/\">To the status page</a>");
        assert_string_equal(fake.finished_query, strchr(targets[i], '?') ? strchr(targets[i], '?') + 1 : "");
        assert_string_equal(fake.finished_binding, "");
    }
}

static void only_get_ends_a_sign_in(void **state)
{
    bench_visit();
    assert_status(bench_ask("HEAD /oauth/callback?code=x&state=y HTTP/1.1\r\nHost: $HOST\r\n" CLOSE), "405");
    const char *answer = bench_post("/oauth/callback?code=x&state=y", "", "csrf=$CSRF&code=x&state=y");
    assert_status(answer, "405");
    assert_string_equal(field_of(answer, "Allow"), "GET");
    assert_int_equal(fake.order_count, 0);
}

static void the_last_sign_ins_are_known_by_their_account(void **state)
{
    char first[64];
    char request[160];
    bench_ask(GET("/login/third") CLOSE);
    snprintf(first, sizeof first, "%s", fake.begun_state);
    struct wire *client = wire_connect(bench.port);
    for (unsigned i = 1; i < QP_SIGN_IN_ATTEMPTS; i++) {
        wire_forget(client);
        char text[128];
        snprintf(text, sizeof text, "GET /login/main HTTP/1.1\r\nHost: %s\r\n\r\n", bench.own);
        wire_send(client, text);
        assert_true(wire_run_until(client, "\r\n\r\n"));
    }
    snprintf(request, sizeof request, GET("/oauth/callback?state=%s") CLOSE, first);
    assert_string_equal(field_of(bench_ask(request), "Location"), "/signed-in/third");
    bench_ask(GET("/login/main") CLOSE);
    assert_string_equal(field_of(bench_ask(request), "Location"),
                        "/"); /* one more than the keeper has open */
}

/* ---- the command line ---- */

static void the_command_line_begins_without_a_browser(void **state)
{
    char wanted[1400];
    bench_visit();
    const char *answer = bench_post("/api/sign-in/third", "", "csrf=$CSRF");
    assert_status(answer, "200");
    snprintf(wanted, sizeof wanted,
             "{\"id\":\"id-number-1\",\"url\":\"%s\",\"redirect_uri\":\"http://%s/oauth/"
             "callback\",\"expires_in_s\":600}\n",
             fake.begun_url, bench.own);
    assert_string_equal(body_of(answer), wanted);
    assert_string_equal(fake.begun_binding, "");
    assert_int_equal(fake.begun_account, 2);
    bench.redirect_uris[2] = "https://admin.example/oauth/callback";
    assert_has(bench_post("/api/sign-in/third", "", "csrf=$CSRF"),
               "\"redirect_uri\":\"https://admin.example/oauth/callback\"");
}

static void its_browser_ends_on_the_accounts_page_too(void **state)
{
    char request[160];
    bench_visit();
    bench_post("/api/sign-in/third", "", "csrf=$CSRF");
    snprintf(request, sizeof request, GET("/oauth/callback?code=x&state=%s") CLOSE, fake.begun_state);
    assert_string_equal(field_of(bench_ask(request), "Location"), "/signed-in/third");
    assert_string_equal(fake.finished_binding, "");
}

static void progress_is_asked_by_id(void **state)
{
    static const struct {
        const char *target;
        const char *progress;
        const char *id;
        const char *body;
    } rows[] = {
        {"/api/sign-in?id=abc", "waiting", "abc", "{\"state\":\"waiting\",\"code\":null,\"text\":null}\n"},
        {"/api/sign-in?id=abc", "working", "abc", "{\"state\":\"working\",\"code\":null,\"text\":null}\n"},
        {"/api/sign-in?id=abc", "done", "abc",
         "{\"state\":\"done\",\"code\":\"signed_in\",\"text\":\"well\"}\n"},
        {"/api/sign-in?id=abc", "failed", "abc",
         "{\"state\":\"failed\",\"code\":\"signed_in\",\"text\":\"well\"}\n"},
        {"/api/sign-in", "unknown", "", "{\"state\":\"unknown\",\"code\":null,\"text\":null}\n"},
        {"/api/sign-in?id=a&id=b", "unknown", "", "{\"state\":\"unknown\",\"code\":null,\"text\":null}\n"},
        {"/api/sign-in?id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "unknown", "", "{\"state\":\"unknown\",\"code\":null,\"text\":null}\n"},
    };
    fake.end = (struct qp_order_end){.ok = true, .code = "signed_in", .text = "well"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[160];
        fake.progress = rows[i].progress;
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: $HOST\r\n" CLOSE, rows[i].target);
        const char *answer = bench_ask(request);
        assert_status(answer, "200");
        assert_string_equal(body_of(answer), rows[i].body);
        assert_string_equal(fake.progress_id, rows[i].id);
    }
}

static void a_pasted_address_is_read_however_it_was_copied(void **state)
{
    static const struct {
        const char *coded; /* as the form has it */
        const char *query;
    } rows[] = {
        {"http%3A%2F%2F127.0.0.1%2Foauth%2Fcallback%3Fcode%3Da%2Bb%26state%3Dc", "code=a+b&state=c"},
        {"%20%09http%3A%2F%2Fx%2Fy%3Fcode%3Da%26state%3Dc%0D%0A", "code=a&state=c"},
        {"http%3A%2F%2Fx%2Fy%3Fcode%3Da%26state%3Dc%23_%3D_", "code=a&state=c"},
        {"%3Fcode%3Da%26state%3Dc", "code=a&state=c"},
        {"code%3Da%26state%3Dc", "code=a&state=c"},
        {"http%3A%2F%2Fx%2Fy%3Fcode%3D%2525%26state%3D%253F", "code=%25&state=%3F"},
        {"http%3A%2F%2Fx%2Fy", "http://x/y"},
        {"", ""},
        {"%0A", ""},
    };
    bench_visit();
    fake.end = (struct qp_order_end){.ok = true, .code = "signed_in", .text = "well"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char form[256];
        snprintf(form, sizeof form, "csrf=$CSRF&id=the-id&address=%s", rows[i].coded);
        const char *answer = bench_post("/api/sign-in", "", form);
        assert_string_equal(body_of(answer), "{\"ok\":true,\"code\":\"signed_in\",\"text\":\"well\"}\n");
        assert_string_equal(fake.finished_query, rows[i].query);
        assert_string_equal(fake.finished_id, "the-id");
        assert_string_equal(fake.finished_binding, "");
    }
    assert_status(bench_post("/api/sign-in", "", "csrf=$CSRF"), "200");
    assert_string_equal(fake.finished_query, "");
    assert_string_equal(fake.finished_id, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_login_binds_the_attempt_to_the_browser),
        TEST(a_browser_that_has_a_cookie_keeps_it),
        TEST(login_alone_is_for_the_only_account),
        TEST(what_cannot_begin_says_why),
        TEST(another_page_cannot_begin_one_unseen),
        TEST(who_came_by_another_name_is_sent_to_the_one_that_it_comes_back_to),
        TEST(that_step_cannot_be_made_up),
        TEST(the_accounts_own_redirect_uri_says_the_name),
        TEST(a_name_that_a_client_gives_leads_nowhere),
        TEST(a_sign_in_that_went_well_ends_on_a_plain_page),
        TEST(a_sign_in_that_failed_says_what_to_do),
        TEST(an_answer_of_an_unknown_sign_in_leads_to_the_status_page),
        TEST(only_get_ends_a_sign_in),
        TEST(the_last_sign_ins_are_known_by_their_account),
        TEST(the_command_line_begins_without_a_browser),
        TEST(its_browser_ends_on_the_accounts_page_too),
        TEST(progress_is_asked_by_id),
        TEST(a_pasted_address_is_read_however_it_was_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
