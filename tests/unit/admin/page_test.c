/* page_test.c - the page for people: what each account's card says and offers, that hostile texts stay texts, and the chart's arithmetic. */
#include "admin/html.h"
#include "unit/admin/fake_keeper.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct qp_admin_counter COUNTERS[] = {
    {"requests", "requests taken", false, "relay", NULL, NULL},
    {"own_replies", "answers of our own", false, "relay", NULL, NULL}};
static const struct qp_admin_counter POOL[] = {{"dials", "dials begun", false, NULL, NULL, NULL},
                                               {"idle", "idle ones", true, NULL, NULL, NULL}};
static const uint64_t WORKER_VALUES[] = {10, 7, 100000, 70};
static const uint64_t POOL_VALUES[] = {1, 2, 10, 20};

#define MINE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct {
    struct qp_identity identity;
    struct qp_admin_account account;
    struct qp_history history;
    struct qp_sessions sessions;
    struct qp_admin_snapshot snapshot;
    struct qp_page_viewer viewer;
    struct qp_buf out;
} bench;

static int begin(void **state)
{
    memset(&bench, 0, sizeof bench);
    qp_sessions_init(&bench.sessions);
    qp_history_begin(&bench.history, 0);
    bench.account = (struct qp_admin_account){
        .name = "main",
        .token = {.grant = QP_GRANT_AUTHORIZATION_CODE,
                  .state = QP_TOKEN_FRESH,
                  .generation = 3,
                  .usable = true,
                  .age_s = 61,
                  .expires_in_s = 3539,
                  .next_call_s = 3479,
                  .token_calls = 1005,
                  .can_sign_in = true,
                  .can_refresh = true,
                  .can_sign_out = true,
                  .signed_in_s = 2 * 86400 + 3 * 3600,
                  .refresh_token_age_s = 3600 * 5,
                  .identity = &bench.identity},
    };
    bench.snapshot = (struct qp_admin_snapshot){
        .version = "1.2.3",
        .uptime_s = 90061,
        .accounts = &bench.account,
        .account_count = 1,
        .vault = {.is_configured = true, .is_writable = true},
        .history = &bench.history,
        .worker_count = 2,
        .counters = {COUNTERS, 2},
        .pool = {POOL, 2},
        .worker_values = WORKER_VALUES,
        .pool_values = POOL_VALUES,
    };
    bench.viewer = (struct qp_page_viewer){
        .csrf = "the-csrf-token", .session = MINE, .sessions = &bench.sessions, .now_ms = 1000};
    return 0;
}

static int end(void **state)
{
    qp_buf_deinit(&bench.out);
    return 0;
}

static const char *page(void)
{
    qp_buf_clear(&bench.out);
    qp_put_page(&bench.out, &bench.snapshot, &bench.viewer);
    qp_buf_append_char(&bench.out, '\0');
    return qp_buf_slice(&bench.out).at;
}

static void expect(const char *what)
{
    if (!strstr(page(), what))
        fail_msg("no '%s' in:\n%s", what, page());
}

static void expect_not(const char *what)
{
    if (strstr(page(), what))
        fail_msg("'%s' in:\n%s", what, page());
}

/* ---- what it is made of ---- */

static void the_page_runs_and_fetches_nothing_but_its_own(void **state)
{
    expect("<html lang=\"en\">");
    expect("<title>qproxy: ready</title>");
    expect("<h1>qproxy</h1>");
    expect("<link rel=\"stylesheet\" href=\"/page.css\">");
    expect("<script src=\"/page.js\" defer></script>");
    expect_not("://");
    expect_not("style=");
    expect_not("<style");
    expect_not("onclick");
    expect_not("onload");
    expect_not("onerror");
    expect_not("javascript:");
    const char *script = strstr(page(), "<script");
    assert_null(strstr(script + 1, "<script"));
}

/* An account may have any name that the configuration allows: none is an id of ours. */
static void ids_of_ours_have_a_dot_or_are_names(void **state)
{
    const char *rest = page();
    unsigned count = 0;
    while ((rest = strstr(rest, " id=\"")) != NULL) {
        char id[64];
        rest += strlen(" id=\"");
        snprintf(id, sizeof id, "%.*s", (int)strcspn(rest, "\""), rest);
        if (!strchr(id, '.'))
            assert_string_equal(id, "main");
        char again[80];
        snprintf(again, sizeof again, " id=\"%s\"", id);
        assert_null(strstr(rest, again));
        count++;
    }
    assert_true(count > 8);
}

static void the_top_says_how_it_is(void **state)
{
    expect("<strong>Ready</strong> <span>Every account can be used.</span>");
    expect("<li>version 1.2.3</li><li>up for 25 h 1 min</li><li>2 workers</li><li>vault: writable</li>");
    bench.snapshot.vault = (struct qp_vault_status){.is_configured = true, .error = "disk <full>"};
    expect(
        "<strong>Degraded</strong> <span>Every account can be used, but the vault cannot be written.</span>");
    expect("<li class=\"bad\">vault: cannot be written</li>");
    expect("Disk &lt;full&gt;.");
    bench.snapshot.vault = (struct qp_vault_status){0};
    expect("<li>no vault: nothing survives a restart</li>");
    bench.account.token.usable = false;
    bench.account.token.state = QP_TOKEN_EMPTY;
    expect("<title>qproxy: not ready</title>");
    expect("<strong>Not ready</strong> <span>No account can be used.</span>");
    bench.snapshot.is_stopping = true;
    expect("<strong>Stopping</strong> <span>qproxy is stopping.</span>");
}

/* ---- the card ---- */

static void a_good_account_is_described(void **state)
{
    snprintf(bench.identity.user, sizeof bench.identity.user, "anna@example.org");
    snprintf(bench.identity.datacenter, sizeof bench.identity.datacenter, "fra1");
    expect("<article class=\"card good\" data-state=\"fresh\" id=\"main\">");
    expect("<h3>main</h3><span class=\"pill\">Connected</span>");
    expect("<p class=\"grant\">Sign-in with a browser</p>");
    expect("<p class=\"state\">The token is good.</p>");
    expect("<li>User <b>anna@example.org</b></li><li>Datacenter <b>fra1</b></li>");
    expect_not("<li>Brand");
    expect("<dt>Token got</dt><dd>61 s ago</dd>");
    expect("<dt>Expires in</dt><dd>58 min</dd>");
    expect("<dt>Next refresh in</dt><dd>57 min</dd>");
    expect("<dt>Token calls</dt><dd>1,005</dd>");
    expect("<dt>Signed in</dt><dd>2 d 3 h ago</dd>");
    expect("<dt>Refresh token</dt><dd>5 h 0 min old</dd>");
    expect(">dials begun</th><td class=\"n\">11</td>");
    expect_not("class=\"note");
}

static void an_account_that_needs_somebody_says_what_to_do(void **state)
{
    static const struct {
        enum qp_token_state state;
        enum qp_grant grant;
        bool usable;
        const char *level;
        const char *pill;
        const char *advice;
    } rows[] = {
        {QP_TOKEN_EMPTY, QP_GRANT_AUTHORIZATION_CODE, false, "bad", "Not connected", "connect this account"},
        {QP_TOKEN_EMPTY, QP_GRANT_CLIENT_CREDENTIALS, false, "bad", "Not connected", NULL},
        {QP_TOKEN_REFRESHING, QP_GRANT_AUTHORIZATION_CODE, true, "good", "Refreshing", NULL},
        {QP_TOKEN_STALE, QP_GRANT_AUTHORIZATION_CODE, true, "good", "Connected", NULL},
        {QP_TOKEN_SIGN_IN_NEEDED, QP_GRANT_AUTHORIZATION_CODE, false, "bad", "Sign-in needed", NULL},
        {QP_TOKEN_SIGN_IN_NEEDED, QP_GRANT_AUTHORIZATION_CODE, true, "care", "Sign-in needed", NULL},
        {QP_TOKEN_SIGN_IN_NEEDED, QP_GRANT_REFRESH_TOKEN, false, "bad", "Sign-in needed",
         "Put a new refresh token"},
        {QP_TOKEN_COOLING_DOWN, QP_GRANT_CLIENT_CREDENTIALS, true, "care", "Waiting to retry",
         "tries again by itself"},
        {QP_TOKEN_COOLING_DOWN, QP_GRANT_CLIENT_CREDENTIALS, false, "bad", "Waiting to retry",
         "tries again by itself"},
        {QP_TOKEN_REFUSED, QP_GRANT_CLIENT_CREDENTIALS, false, "bad", "Refused", "every 5 minutes"},
        {QP_TOKEN_REFUSED, QP_GRANT_REFRESH_TOKEN, false, "bad", "Refused", "and restart qproxy."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[96];
        bench.account.token.state = rows[i].state;
        bench.account.token.grant = rows[i].grant;
        bench.account.token.usable = rows[i].usable;
        snprintf(text, sizeof text, "<article class=\"card %s\"", rows[i].level);
        expect(text);
        snprintf(text, sizeof text, "<span class=\"pill\">%s</span>", rows[i].pill);
        expect(text);
        if (rows[i].advice)
            expect(rows[i].advice);
        else
            expect_not("class=\"note");
    }
}

static void warnings_are_shown(void **state)
{
    bench.account.token.never_accepted = true;
    bench.account.token.refresh_token_is_old = true;
    bench.account.token.last_error = "the endpoint said no";
    snprintf(bench.identity.warning, sizeof bench.identity.warning, "this account lives at iad1");
    expect("<article class=\"card care\"");
    expect("accepted none of the last two tokens");
    expect("The refresh token is old");
    expect("<p class=\"note plain\"><strong>Last error:</strong> the endpoint said no</p>");
    bench.account.token.state = QP_TOKEN_SIGN_IN_NEEDED;
    expect("<strong>Why:</strong> the endpoint said no</p>");
    expect_not("The refresh token is old"); /* it is of no use any more */
    expect("This account lives at iad1.</p>");
}

static void only_what_can_be_done_is_offered(void **state)
{
    expect("<a class=\"button quiet\" href=\"/login/main\">Sign in again</a>");
    expect("<form method=\"post\" action=\"/refresh/main\"><input type=\"hidden\" name=\"csrf\" "
           "value=\"the-csrf-token\">");
    expect("<details class=\"ask\" id=\"main.ask\"><summary class=\"button quiet\">Sign out</summary>");
    expect("<form method=\"post\" action=\"/logout/main\"><input type=\"hidden\" name=\"csrf\" "
           "value=\"the-csrf-token\">");
    bench.account.token.signed_in_s = -1;
    bench.account.token.can_refresh = bench.account.token.can_sign_out = false;
    expect("<a class=\"button primary\" href=\"/login/main\">Connect</a>");
    expect("<dt>Signed in</dt><dd>nobody is</dd>");
    expect_not("<form");
    expect_not("Sign out");
    bench.account.token.grant = QP_GRANT_API_TOKEN;
    bench.account.token.can_sign_in = false;
    expect("<p class=\"grant\">API token</p>");
    expect("<dt>Token</dt><dd>does not expire</dd>");
    expect_not("class=\"actions\"");
    expect_not("/login/");
    expect_not("Next refresh");
}

static void an_account_without_a_token_says_none(void **state)
{
    bench.account.token.age_s = bench.account.token.expires_in_s = bench.account.token.next_call_s = -1;
    bench.account.token.refresh_token_age_s = -1;
    expect("<dt>Token</dt><dd>none</dd>");
    expect("<dt>Next refresh in</dt><dd>none planned</dd>");
    expect_not("Expires in");
    expect_not("<dt>Refresh token");
}

static void what_was_done_is_told_on_its_card(void **state)
{
    qp_session_flash(&bench.sessions, 1000, MINE, 0, true, "there is a new <token>");
    expect("<p class=\"note good told\">There is a new &lt;token&gt;.</p>");
    bench.viewer.now_ms += QP_FLASH_MS;
    expect_not(" told\"");
}

/* ---- hostile texts ---- */

#define HOSTILE "</dd><script>alert(\"1\")</script><img src=x onerror='alert(2)'>&lt; \xff\x01\xc0\xbc\n-->"
#define HARMLESS                                                                                           \
    "&lt;/dd&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&lt;img src=x onerror=&#39;alert(2)&#39;" \
    "&gt;&amp;lt; \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd --&gt;"

static void hostile_texts_stay_texts(void **state)
{
    bench.account.token.last_error = HOSTILE;
    bench.snapshot.vault = (struct qp_vault_status){.is_configured = true, .error = HOSTILE};
    snprintf(bench.identity.user, sizeof bench.identity.user, "%s", HOSTILE);
    snprintf(bench.identity.brand, sizeof bench.identity.brand, "%s", HOSTILE);
    snprintf(bench.identity.warning, sizeof bench.identity.warning, "%s", HOSTILE);
    qp_session_flash(&bench.sessions, 1000, MINE, 0, false, HOSTILE);
    bench.account.name = HOSTILE; /* which the configuration would not take */
    const char *rest = page();
    unsigned count = 0;
    while ((rest = strstr(rest, HARMLESS)) != NULL) {
        rest++;
        count++;
    }
    assert_true(count > 12);
    expect_not("<script>");
    expect_not("<img src=x");
    expect_not("onerror='");
    expect_not("\x01");
}

static void a_long_text_is_a_long_text(void **state)
{
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    memcpy(text + sizeof text - 2, "<", 2);
    bench.account.token.last_error = text;
    expect("xxxx&lt;</p>");
    expect("</html>");
}

static void a_message_is_escaped(void **state)
{
    qp_put_message(&bench.out, "a <title>", HOSTILE, "/\"><script>", "<link>");
    qp_buf_append_char(&bench.out, '\0');
    const char *text = qp_buf_slice(&bench.out).at;
    assert_non_null(strstr(text, "<title>a &lt;title&gt;</title>"));
    assert_non_null(strstr(text, "<h1>a &lt;title&gt;</h1><p>" HARMLESS ".</p>"));
    assert_non_null(strstr(text, "href=\"/&quot;&gt;&lt;script&gt;\">&lt;link&gt;</a>"));
}

/* ---- numbers ---- */

static void the_chart_draws_each_minute_in_proportion(void **state)
{
    const uint64_t first[QP_SERIES_COUNT] = {1000, 1, 0};
    const uint64_t second[QP_SERIES_COUNT] = {1500, 2, 0};
    const uint64_t third[QP_SERIES_COUNT] = {1501, 2, 0};
    qp_history_look(&bench.history, 60000, first);
    qp_history_look(&bench.history, 120000, second);
    qp_history_look(&bench.history, 120001, third);
    expect(
        "<rect x=\"571\" y=\"0\" width=\"8\" height=\"100\"><title>1,000 requests, 2 min ago</title></rect>"
        "<rect x=\"581\" y=\"50\" width=\"8\" height=\"50\"><title>500 requests, 1 min ago</title></rect>"
        "<rect x=\"591\" y=\"97\" width=\"8\" height=\"3\"><title>1 request in this "
        "minute</title></rect></svg>");
    expect("<title>1 refresh, 2 min ago</title></rect><rect x=\"581\" y=\"0\" ");
    expect("<span class=\"lane-name\">Requests</span> <span class=\"lane-sum\">1,501</span> <span "
           "class=\"lane-peak\">at most 1,000 a minute</span>");
    expect("<span class=\"lane-name\">Errors</span> <span class=\"lane-sum\">0</span> <span "
           "class=\"lane-peak\"></span>");
    expect("<desc id=\"chart.requests.text\">1,501 requests in all, at most 1,000 in one minute.");
    expect("<desc id=\"chart.errors.text\">0 errors in all, at most 0 in one minute.");
    expect("role=\"img\" aria-labelledby=\"chart.token_calls.title chart.token_calls.text\"");
}

static void the_largest_numbers_fit(void **state)
{
    const uint64_t totals[QP_SERIES_COUNT] = {UINT64_MAX, UINT64_MAX / 2, 1};
    qp_history_look(&bench.history, 1, totals);
    expect("<rect x=\"591\" y=\"0\" width=\"8\" height=\"100\"><title>18,446,744,073,709,551,615 requests in "
           "this minute");
}

static void without_workers_there_is_no_chart(void **state)
{
    bench.snapshot.worker_count = 0;
    expect_not("<svg");
    expect_not("worker");
    expect_not("Connections to the origin");
    expect("/login/main");
}

static void counters_are_in_a_table_by_worker(void **state)
{
    expect(">requests taken</th><td class=\"n\">100,010</td><td class=\"n\">10</td><td "
           "class=\"n\">100,000</td>");
}

static void durations_are_as_fine_as_people_want_them(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {-1, "never"},         {0, "0 s"},
        {119, "119 s"},        {120, "2 min 0 s"},
        {599, "9 min 59 s"},   {600, "10 min"},
        {7199, "119 min"},     {7200, "2 h 0 min"},
        {90061, "25 h 1 min"}, {172799, "47 h 59 min"},
        {172800, "2 d 0 h"},   {1209599, "13 d 23 h"},
        {1209600, "14 d"},     {INT64_MAX, "106751991167300 d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        qp_buf_clear(&bench.out);
        qp_html_duration(&bench.out, rows[i].seconds, "never");
        qp_buf_append_char(&bench.out, '\0');
        assert_string_equal(qp_buf_slice(&bench.out).at, rows[i].text);
    }
}

static void sentences_begin_large_and_end(void **state)
{
    static const struct {
        const char *text;
        const char *sentence;
    } rows[] = {
        {"", ""},
        {"a", "A."},
        {"the token is good", "The token is good."},
        {"Already.", "Already."},
        {"really?", "Really?"},
        {"qproxy is stopping", "qproxy is stopping."},
        {"\xc3\xa4rger", "\xc3\xa4rger."},
        {"<b", "&lt;b."},
        {"503 came", "503 came."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        qp_buf_clear(&bench.out);
        qp_html_sentence(&bench.out, rows[i].text);
        qp_buf_append_char(&bench.out, '\0');
        assert_string_equal(qp_buf_slice(&bench.out).at, rows[i].sentence);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_runs_and_fetches_nothing_but_its_own),
        TEST(ids_of_ours_have_a_dot_or_are_names),
        TEST(the_top_says_how_it_is),
        TEST(a_good_account_is_described),
        TEST(an_account_that_needs_somebody_says_what_to_do),
        TEST(warnings_are_shown),
        TEST(only_what_can_be_done_is_offered),
        TEST(an_account_without_a_token_says_none),
        TEST(what_was_done_is_told_on_its_card),
        TEST(hostile_texts_stay_texts),
        TEST(a_long_text_is_a_long_text),
        TEST(a_message_is_escaped),
        TEST(the_chart_draws_each_minute_in_proportion),
        TEST(the_largest_numbers_fit),
        TEST(without_workers_there_is_no_chart),
        TEST(counters_are_in_a_table_by_worker),
        TEST(durations_are_as_fine_as_people_want_them),
        TEST(sentences_begin_large_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
