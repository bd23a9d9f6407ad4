/* pages_test.c - each format of a snapshot: valid, complete, the same numbers, and hostile texts harmless. */
#include "admin/pages.h"
#include <cJSON.h>
#include <ctype.h>
#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define HOSTILE "</td><script>alert(\"1\")</script>\\ \xff\n# TYPE x counter"

static const struct qp_admin_counter RELAY[] = {{"requests", "requests taken", false},
                                                {"answered", "passed on", false}};
static const struct qp_admin_counter POOL[] = {{"dials", "dials begun", false}, {"idle", "idle ones", true}};
/* Two workers; two accounts. */
static const uint64_t RELAY_VALUES[] = {10, 7, 100, 70};
static const uint64_t POOL_VALUES[] = {1, 2, 3, 4, 10, 20, 30, 40};

static struct qp_admin_account accounts[2];

static struct qp_admin_snapshot a_snapshot(void)
{
    accounts[0] = (struct qp_admin_account){
        .name = "main",
        .token = {.state = QP_TOKEN_FRESH,
                  .generation = 3,
                  .usable = true,
                  .age_s = 61,
                  .expires_in_s = 3539,
                  .next_call_s = 3479,
                  .token_calls = 5,
                  .token_call_failures = 2},
    };
    accounts[1] = (struct qp_admin_account){
        .name = HOSTILE, /* the configuration would not take it */
        .token = {.state = QP_TOKEN_COOLING_DOWN,
                  .age_s = -1,
                  .expires_in_s = -1,
                  .next_call_s = 9,
                  .token_calls = 4,
                  .token_call_failures = 4,
                  .last_error = HOSTILE},
    };
    return (struct qp_admin_snapshot){
        .version = "1.2.3",
        .uptime_s = 90061,
        .started_unix_s = 1700000000,
        .accounts = accounts,
        .account_count = 2,
        .worker_count = 2,
        .relay = {RELAY, 2},
        .pool = {POOL, 2},
        .relay_values = RELAY_VALUES,
        .pool_values = POOL_VALUES,
    };
}

typedef void put_function(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);

/* Of a snapshot, as a string. */
static const char *put(put_function *function, const struct qp_admin_snapshot *snapshot, struct qp_buf *out)
{
    qp_buf_clear(out);
    function(out, snapshot);
    qp_buf_append_char(out, '\0');
    return qp_buf_slice(out).at;
}

/* ---- readiness ---- */

struct ready_row {
    enum qp_token_state state;
    bool usable;
    uint64_t generation;
    const char *last_error;
    bool is_ready;
};

static void readiness_is_a_token_now_or_on_need(void **state)
{
    static const struct ready_row rows[] = {
        {QP_TOKEN_EMPTY, false, 0, NULL, false},
        {QP_TOKEN_REFRESHING, false, 0, NULL, false},
        {QP_TOKEN_REFRESHING, true, 1, NULL, true},
        {QP_TOKEN_REFRESHING, false, 1, NULL, true},
        {QP_TOKEN_REFRESHING, false, 1, "refused", false},
        {QP_TOKEN_FRESH, true, 1, NULL, true},
        {QP_TOKEN_STALE, true, 1, NULL, true},
        {QP_TOKEN_STALE, false, 1, NULL, true},
        {QP_TOKEN_COOLING_DOWN, true, 1, "refused", true},
        {QP_TOKEN_COOLING_DOWN, false, 1, "refused", false},
        {QP_TOKEN_SIGN_IN_NEEDED, true, 1, "invalid_grant", true},
        {QP_TOKEN_SIGN_IN_NEEDED, false, 1, "invalid_grant", false},
        {QP_TOKEN_REFUSED, false, 0, "invalid_client", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct qp_admin_account account = {.name = "a",
                                           .token = {.state = rows[i].state,
                                                     .usable = rows[i].usable,
                                                     .generation = rows[i].generation,
                                                     .last_error = rows[i].last_error}};
        if (qp_admin_account_is_ready(&account) != rows[i].is_ready)
            fail_msg("row %zu", i);
    }
}

static void one_accounts_failure_leaves_the_rest_ready(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    assert_int_equal(qp_snapshot_readiness(&snapshot), QP_READINESS_DEGRADED);
    assert_true(qp_readiness_is_ready(QP_READINESS_DEGRADED));
    accounts[1].token.usable = true;
    assert_int_equal(qp_snapshot_readiness(&snapshot), QP_READINESS_READY);
    accounts[0].token.usable = accounts[1].token.usable = false;
    assert_int_equal(qp_snapshot_readiness(&snapshot), QP_READINESS_NOT_READY);
    assert_false(qp_readiness_is_ready(QP_READINESS_NOT_READY));
    accounts[0].token.usable = true;
    snapshot.is_stopping = true;
    assert_int_equal(qp_snapshot_readiness(&snapshot), QP_READINESS_STOPPING);
    assert_false(qp_readiness_is_ready(QP_READINESS_STOPPING));
}

/* ---- JSON ---- */

static int number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsNumber(item));
    return item->valueint;
}

static const char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    assert_non_null(value);
    return value;
}

static const cJSON *child(const cJSON *json, const char *name, int index)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    assert_non_null(item);
    return index < 0 ? item : cJSON_GetArrayItem(item, index);
}

static void status_is_json_with_all_numbers(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    cJSON *json = cJSON_ParseWithOpts(put(qp_put_status_json, &snapshot, &out), NULL, true);
    assert_non_null(json);
    assert_string_equal(text(json, "version"), "1.2.3");
    assert_string_equal(text(json, "status"), "degraded");
    assert_int_equal(number(json, "uptime_s"), 90061);
    const cJSON *main_account = child(json, "accounts", 0);
    assert_string_equal(text(main_account, "state"), "fresh");
    assert_int_equal(number(main_account, "generation"), 3);
    assert_int_equal(number(main_account, "age_s"), 61);
    assert_int_equal(number(main_account, "expires_in_s"), 3539);
    assert_int_equal(number(main_account, "next_call_s"), 3479);
    assert_int_equal(number(main_account, "token_calls"), 5);
    assert_int_equal(number(main_account, "token_call_failures"), 2);
    assert_true(cJSON_IsFalse(child(main_account, "never_accepted", -1)));
    assert_true(cJSON_IsNull(child(main_account, "last_error", -1)));
    assert_int_equal(number(child(main_account, "origin", -1), "dials"), 11);
    assert_int_equal(number(child(child(json, "accounts", 1), "origin", -1), "idle"), 44);
    assert_true(cJSON_IsNull(child(child(json, "accounts", 1), "age_s", -1)));
    assert_int_equal(number(child(json, "relay", -1), "requests"), 110);
    assert_int_equal(number(child(json, "relay", -1), "answered"), 77);
    assert_int_equal(number(child(child(json, "workers", 1), "relay", -1), "answered"), 70);
    assert_non_null(strstr(text(child(json, "accounts", 1), "reason"), "<script>")); /* a text, not markup */
    cJSON_Delete(json);
    qp_buf_deinit(&out);
}

static void readyz_is_json_with_a_reason(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    accounts[0].token.never_accepted = true;
    cJSON *json = cJSON_ParseWithOpts(put(qp_put_ready_json, &snapshot, &out), NULL, true);
    assert_non_null(json);
    assert_true(cJSON_IsTrue(child(json, "ready", -1)));
    assert_non_null(strstr(text(child(json, "accounts", 0), "reason"), "the token is good"));
    assert_non_null(strstr(text(child(json, "accounts", 0), "reason"), "none of the last two"));
    assert_true(cJSON_IsFalse(child(child(json, "accounts", 1), "usable_token", -1)));
    assert_string_equal(text(child(json, "accounts", 1), "state"), "cooling-down");
    cJSON_Delete(json);
    qp_buf_deinit(&out);
}

/* ---- metrics ---- */

static bool is_name(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!islower(at[i]) && at[i] != '_')
            return false;
    return len > 7 && strncmp(at, "qproxy_", 7) == 0;
}

/* name{label="value",...} number; gives the name's length. */
static size_t check_sample(const char *line)
{
    size_t len = strcspn(line, "{ ");
    const char *at = line + len;
    assert_true(is_name(line, len));
    if (*at == '{') {
        bool is_quoted = false;
        for (at++; *at && (is_quoted || *at != '}'); at++) {
            if (is_quoted && *at == '\\') {
                at++;
                assert_true(*at == '\\' || *at == '"' || *at == 'n');
            } else if (*at == '"') {
                is_quoted = !is_quoted;
            }
        }
        assert_true(*at == '}' && at[-1] == '"');
        at++;
    }
    assert_int_equal(*at, ' ');
    assert_true(at[1] != '\0' && strspn(at + 1, "0123456789") == strlen(at + 1));
    return len;
}

static void metrics_have_the_form_of_version_0_0_4(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    char kind[16] = "";
    char family[128] = "";
    struct qp_slice rest = qp_slice_str(put(qp_put_metrics, &snapshot, &out));
    assert_true(rest.at[rest.len - 1] == '\n');
    while (rest.len > 0) {
        struct qp_slice cut = qp_slice_cut(&rest, '\n');
        char line[512];
        snprintf(line, sizeof line, "%.*s", QP_SLICE_FMT(cut));
        char named[128];
        if (sscanf(line, "# HELP %127s ", named) == 1) {
            assert_true(is_name(named, strlen(named)) && strlen(line) > strlen(named) + 8);
            snprintf(family, sizeof family, "%s", named);
            kind[0] = '\0';
        } else if (sscanf(line, "# TYPE %127s %15s", named, kind) == 2) {
            assert_string_equal(named, family);
            bool is_total = qp_slice_ends_nocase(qp_slice_str(family), QP_SLICE("_total"));
            assert_string_equal(kind, is_total ? "counter" : "gauge");
        } else {
            size_t len = check_sample(line);
            assert_true(kind[0] && len == strlen(family) && strncmp(line, family, len) == 0);
        }
    }
    qp_buf_deinit(&out);
}

static void metrics_say_what_status_says(void **state)
{
    static const char *const lines[] = {
        "\nqproxy_build_info{version=\"1.2.3\"} 1\n",
        "\nqproxy_ready 1\n",
        "\nqproxy_token_usable{account=\"main\"} 1\n",
        "\nqproxy_token_expires_in_seconds{account=\"main\"} 3539\n",
        "\nqproxy_token_calls_total{account=\"main\"} 5\n",
        "\nqproxy_account_state{account=\"main\",state=\"fresh\"} 1\n",
        "\nqproxy_account_state{account=\"main\",state=\"stale\"} 0\n",
        "\n# HELP qproxy_relay_requests_total requests taken\n# TYPE qproxy_relay_requests_total counter\n",
        "\nqproxy_relay_requests_total{worker=\"0\"} 10\nqproxy_relay_requests_total{worker=\"1\"} 100\n",
        "\n# TYPE qproxy_origin_idle gauge\nqproxy_origin_idle{account=\"main\",worker=\"0\"} 2\n",
        "\nqproxy_origin_dials_total{account=\"main\",worker=\"1\"} 10\n",
    };
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    const char *metrics = put(qp_put_metrics, &snapshot, &out);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(metrics, lines[i]))
            fail_msg("not there: %s", lines[i]);
    assert_null(strstr(metrics, "token_age_seconds{account=\"</td>"));
    qp_buf_deinit(&out);
}

/* ---- the page ---- */

static void the_page_shows_texts_and_runs_nothing(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    const char *page = put(qp_put_page, &snapshot, &out);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "://")); /* nothing from elsewhere */
    assert_non_null(strstr(page, "&lt;/td&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
    assert_non_null(strstr(
        page, ">requests taken</th><td class=\"n\">110</td><td class=\"n\">10</td><td class=\"n\">100</td>"));
    assert_non_null(strstr(page, ">61 s<"));
    assert_non_null(strstr(page, ">58 min 59 s<"));
    assert_non_null(strstr(page, "up for 25 h 1 min"));
    qp_buf_deinit(&out);
}

static void the_policy_allows_the_pages_style(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    const char *page = put(qp_put_page, &snapshot, &out);
    const char *begin = strstr(page, "<style>") + strlen("<style>");
    const char *end = strstr(begin, "</style>");
    unsigned char hash[32];
    unsigned char coded[64];
    size_t len = 0;
    char wanted[80];
    assert_int_equal(mbedtls_sha256((const unsigned char *)begin, (size_t)(end - begin), hash, 0), 0);
    assert_int_equal(mbedtls_base64_encode(coded, sizeof coded, &len, hash, sizeof hash), 0);
    snprintf(wanted, sizeof wanted, "sha256-%.*s", (int)len, (const char *)coded);
    assert_string_equal(QP_PAGE_STYLE_HASH, wanted);
    assert_null(strstr(end + 1, "<style")); /* and there is no other */
    assert_null(strstr(page, "style=\""));
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readiness_is_a_token_now_or_on_need),
        cmocka_unit_test(one_accounts_failure_leaves_the_rest_ready),
        cmocka_unit_test(status_is_json_with_all_numbers),
        cmocka_unit_test(readyz_is_json_with_a_reason),
        cmocka_unit_test(metrics_have_the_form_of_version_0_0_4),
        cmocka_unit_test(metrics_say_what_status_says),
        cmocka_unit_test(the_page_shows_texts_and_runs_nothing),
        cmocka_unit_test(the_policy_allows_the_pages_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
