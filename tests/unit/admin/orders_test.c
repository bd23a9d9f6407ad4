/* orders_test.c - refresh, sign-out, check, key: asked of the keeper, answered when it answers, in the form that was wanted. */
#include "unit/admin/bench.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define JSON "Accept: application/json\r\n"
#define PAGE "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
#define SHOW "X-Csrf-Token: $CSRF\r\n"
#define MINE "Cookie: qproxy_session=$COOKIE\r\n"

static void a_button_leads_back_to_its_card(void **state)
{
    bench_visit();
    const char *answer = bench_post("/refresh/other", PAGE, "csrf=$CSRF");
    assert_status(answer, "303");
    assert_string_equal(field_of(answer, "Location"), "/#other");
    assert_string_equal(body_of(answer), "");
    assert_string_equal(fake_last()->what, "refresh");
    assert_int_equal(fake_last()->account, 1);
    answer = bench_ask(GET("/") MINE CLOSE);
    assert_has(answer, "<p class=\"note good told\">There is a new token.</p>");

    fake.end = (struct qp_order_end){.ok = false, .code = "failed", .text = "no <b>route</b> to the host"};
    assert_status(bench_post("/logout/main", PAGE, "csrf=$CSRF"), "303");
    assert_string_equal(fake_last()->what, "sign_out");
    assert_int_equal(fake_last()->account, 0);
    answer = bench_ask(GET("/") MINE CLOSE);
    assert_has(answer, "<p class=\"note bad told\">No &lt;b&gt;route&lt;/b&gt; to the host.</p>");
    assert_has(answer, "There is a new token.");         /* the other card's is still told */
    assert_lacks(bench_ask(GET("/") CLOSE), " told\">"); /* but to that browser only */
}

static void a_program_gets_json(void **state)
{
    static const struct {
        const char *accept;
        bool is_json;
    } rows[] = {
        {"Accept: application/json\r\n", true},
        {"Accept: application/json;q=1, */*;q=0.1\r\n", true},
        {"Accept: text/plain\r\nAccept: application/json\r\n", true},
        {"", false},
        {"Accept: */*\r\n", false},
        {"Accept: text/html, application/json\r\n", false},
        {"Accept: text/html\r\n", false},
        {"Accept: application/json2\r\n", false},
    };
    bench_visit();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = bench_post("/refresh/main", rows[i].accept, "csrf=$CSRF");
        assert_status(answer, rows[i].is_json ? "200" : "303");
        if (rows[i].is_json)
            assert_string_equal(body_of(answer),
                                "{\"ok\":true,\"code\":\"refreshed\",\"text\":\"there is a new token\"}\n");
    }
    fake.end = (struct qp_order_end){.ok = false, .code = "failed", .text = "said \"no\"\x01\xff"};
    assert_string_equal(
        body_of(bench_post("/logout/main", JSON, "csrf=$CSRF")),
        "{\"ok\":false,\"code\":\"failed\",\"text\":\"said \\\"no\\\"\xef\xbf\xbd\xef\xbf\xbd\"}\n");
}

static bool is_unasked(void *context)
{
    return fake.order_count == 0;
}

static void an_order_is_answered_when_it_ends(void **state)
{
    bench_visit();
    fake.is_held = true;
    struct wire *client = bench_send(POST("/refresh/main") SHOW JSON CLOSE);
    assert_true(wire_run_while(is_unasked, NULL));
    wire_run_ms(50);
    assert_false(wire_has(client, "HTTP/1.1"));
    assert_status(bench_ask(GET("/healthz") CLOSE), "200"); /* others are served meanwhile */
    fake_release();
    assert_true(wire_run_until(client, "\"code\":\"refreshed\""));
    assert_int_equal(fake.abandoned, 0);
}

static bool is_waited_for(void *context)
{
    return fake.abandoned == 0;
}

static void who_leaves_leaves_the_order_to_itself(void **state)
{
    static const char *const requests[] = {
        POST("/refresh/main") SHOW "\r\n",
        POST("/logout/main") SHOW "\r\n",
        POST("/api/check/main") SHOW "\r\n",
        GET("/oauth/callback?code=x&state=y") "\r\n",
    };
    bench_visit();
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        fake.order_count = fake.abandoned = 0;
        fake.is_held = true;
        struct wire *client = bench_send(requests[i]);
        assert_true(wire_run_while(is_unasked, NULL));
        wire_reset(client);
        assert_true(wire_run_while(is_waited_for, NULL));
        fake_release(); /* ends without anybody to tell */
        wire_run_ms(10);
        assert_int_equal(fake.abandoned, 1);
    }
    assert_status(bench_ask(GET("/healthz") CLOSE), "200");
}

static void a_close_abandons_what_is_under_way(void **state)
{
    bench_visit();
    fake.is_held = true;
    bench_send(POST("/refresh/main") SHOW "\r\n");
    assert_true(wire_run_while(is_unasked, NULL));
    qp_admin_close(&bench.admin);
    assert_int_equal(fake.abandoned, 1);
}

static bool drained;

static void on_drained(void *context)
{
    drained = true;
}

static void a_drain_waits_for_the_answer(void **state)
{
    bench_visit();
    fake.is_held = true;
    drained = false;
    struct wire *client = bench_send(POST("/refresh/main") SHOW JSON "\r\n");
    assert_true(wire_run_while(is_unasked, NULL));
    qp_admin_drain(bench.admin, 5000, on_drained, NULL);
    wire_run_ms(30);
    assert_false(drained);
    fake_release();
    assert_true(wire_run_until_end(client));
    assert_true(wire_has(client, "\"code\":\"refreshed\""));
    wire_run_ms(20);
    assert_true(drained);
}

static void a_check_tells_who_we_are(void **state)
{
    bench_visit();
    fake.end = (struct qp_order_end){.ok = true, .code = "ok", .text = "it works"};
    snprintf(fake.identity[2].brand, sizeof fake.identity[2].brand, "a \"brand\"");
    snprintf(fake.identity[2].user, sizeof fake.identity[2].user, "anna@example.org");
    const char *answer = bench_post("/api/check/third", "", "csrf=$CSRF");
    assert_status(answer, "200");
    assert_string_equal(
        body_of(answer),
        "{\"ok\":true,\"code\":\"ok\",\"text\":\"it works\",\"brand\":\"a \\\"brand\\\"\",\"user\":"
        "\"anna@example.org\",\"datacenter\":null,\"warning\":null}\n");
    assert_string_equal(fake_last()->what, "check");
    assert_int_equal(fake_last()->account, 2);
    assert_false(fake_last()->spend);
}

static void only_who_says_so_spends_a_refresh_token(void **state)
{
    static const struct {
        const char *form;
        bool spend;
    } rows[] = {{"csrf=$CSRF&spend=1", true},     {"csrf=$CSRF&spend=0", false}, {"csrf=$CSRF&spend=", false},
                {"csrf=$CSRF&spend=true", false}, {"csrf=$CSRF&spend", false},   {"csrf=$CSRF", false}};
    bench_visit();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_status(bench_post("/api/check/main", "", rows[i].form), "200");
        assert_int_equal(fake_last()->spend, rows[i].spend);
    }
}

static void a_new_vault_key_is_one_call(void **state)
{
    bench_visit();
    assert_string_equal(body_of(bench_post("/api/key/rotate", "", "csrf=$CSRF")),
                        "{\"ok\":true,\"code\":\"rotated\",\"text\":\"the vault has a new key\"}\n");
    fake.rotated = QP_SELF_IO;
    assert_string_equal(body_of(bench_post("/api/key/rotate", PAGE, "csrf=$CSRF")),
                        "{\"ok\":false,\"code\":\"vault\",\"text\":\"no space left\"}\n");
    fake.rotated = QP_NET_DENIED;
    assert_non_null(strstr(body_of(bench_post("/api/key/rotate", "", "csrf=$CSRF")),
                           "\"ok\":false,\"code\":\"not_rotatable\""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_button_leads_back_to_its_card),    TEST(a_program_gets_json),
        TEST(an_order_is_answered_when_it_ends),  TEST(who_leaves_leaves_the_order_to_itself),
        TEST(a_close_abandons_what_is_under_way), TEST(a_drain_waits_for_the_answer),
        TEST(a_check_tells_who_we_are),           TEST(only_who_says_so_spends_a_refresh_token),
        TEST(a_new_vault_key_is_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
