/* pages_test.c - a snapshot for programs: valid, complete, the same numbers, and hostile texts harmless. */
#include "admin/pages.h"
#include <cJSON.h>
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define HOSTILE "</td><script>alert(\"1\")</script>\\ \xff\n# TYPE x counter"

static const struct qp_admin_counter COUNTERS[] = {
    {"requests", "requests taken", false, "relay", NULL, NULL},
    {"answered", "answers passed on", false, "relay", NULL, NULL},
    {"connections_open", "open ones", true, "client", NULL, NULL},
    {"connections_closed", "closed ones", false, "client", "reason", "idle"},
    {"connections_closed", "closed ones", false, "client", "reason", "cut"},
};
static const struct qp_admin_counter POOL[] = {{"dials", "dials begun", false, NULL, NULL, NULL},
                                               {"idle", "idle ones", true, NULL, NULL, NULL}};
/* Two workers; two accounts. */
static const uint64_t WORKER_VALUES[] = {10, 7, 1, 2, 3, 100, 70, 4, 5, 6};
static const uint64_t POOL_VALUES[] = {1, 2, 3, 4, 10, 20, 30, 40};

static const struct qp_identity NOBODY;
static const struct qp_identity SOMEBODY = {
    .brand = "a brand", .user = "anna@example.org", .datacenter = "fra1", .warning = HOSTILE};

static struct qp_admin_account accounts[2];
static struct qp_history history;

static struct qp_admin_snapshot a_snapshot(void)
{
    const uint64_t totals[QP_SERIES_COUNT] = {110, 9, 6};
    qp_history_begin(&history, 0);
    qp_history_look(&history, 30000, totals);
    accounts[0] = (struct qp_admin_account){
        .name = "main",
        .token = {.grant = QP_GRANT_AUTHORIZATION_CODE,
                  .identity = &SOMEBODY,
                  .can_sign_in = true,
                  .can_refresh = true,
                  .can_sign_out = true,
                  .signed_in_s = 86400,
                  .refresh_token_age_s = 3600,
                  .refresh_token_is_old = true,
                  .state = QP_TOKEN_FRESH,
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
                  .identity = &NOBODY,
                  .signed_in_s = -1,
                  .refresh_token_age_s = -1,
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
        .vault = {.is_configured = true, .is_writable = true},
        .memory = {.held_bytes = 5000, .limit_bytes = 100000, .shortages = 3},
        .log_lost_lines = 7,
        .history = &history,
        .worker_count = 2,
        .counters = {COUNTERS, 5},
        .pool = {POOL, 2},
        .worker_values = WORKER_VALUES,
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
    snapshot.vault.is_writable = false;
    assert_int_equal(qp_snapshot_readiness(&snapshot), QP_READINESS_FORGETFUL);
    assert_true(qp_readiness_is_ready(QP_READINESS_FORGETFUL));
    assert_string_equal(qp_readiness_word(QP_READINESS_FORGETFUL), "degraded");
    snapshot.vault.is_configured = false;
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
    assert_int_equal(number(child(json, "client", -1), "connections_open"), 5);
    const cJSON *closed = child(child(json, "client", -1), "connections_closed", -1);
    assert_int_equal(number(closed, "idle"), 7);
    assert_int_equal(number(closed, "cut"), 9);
    assert_non_null(strstr(text(child(json, "accounts", 1), "reason"), "<script>")); /* a text, not markup */
    cJSON_Delete(json);
    qp_buf_deinit(&out);
}

static void status_says_what_people_can_do(void **state)
{
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    cJSON *json = cJSON_ParseWithOpts(put(qp_put_status_json, &snapshot, &out), NULL, true);
    assert_non_null(json);
    const cJSON *main_account = child(json, "accounts", 0);
    const cJSON *other = child(json, "accounts", 1);
    assert_string_equal(text(main_account, "grant"), "authorization_code");
    assert_string_equal(text(other, "grant"), "client_credentials");
    assert_true(cJSON_IsTrue(child(main_account, "can_sign_in", -1)));
    assert_true(cJSON_IsTrue(child(main_account, "can_refresh", -1)));
    assert_true(cJSON_IsTrue(child(main_account, "can_sign_out", -1)));
    assert_true(cJSON_IsFalse(child(other, "can_sign_in", -1)));
    assert_int_equal(number(main_account, "signed_in_s"), 86400);
    assert_int_equal(number(main_account, "refresh_token_age_s"), 3600);
    assert_true(cJSON_IsTrue(child(main_account, "refresh_token_is_old", -1)));
    assert_true(cJSON_IsNull(child(other, "signed_in_s", -1)));
    assert_true(cJSON_IsNull(child(other, "refresh_token_age_s", -1)));
    const cJSON *identity = child(main_account, "identity", -1);
    assert_string_equal(text(identity, "brand"), "a brand");
    assert_string_equal(text(identity, "user"), "anna@example.org");
    assert_string_equal(text(identity, "datacenter"), "fra1");
    assert_non_null(strstr(text(identity, "warning"), "<script>"));
    assert_true(cJSON_IsNull(child(child(other, "identity", -1), "user", -1)));
    cJSON_Delete(json);
    qp_buf_deinit(&out);
}

static void status_has_the_vault_and_the_hour(void **state)
{
    static const char *const series[] = {"requests", "token_calls", "errors"};
    static const int last[] = {110, 9, 6};
    struct qp_admin_snapshot snapshot = a_snapshot();
    struct qp_buf out = {0};
    snapshot.vault = (struct qp_vault_status){.is_configured = true, .error = "disk full"};
    cJSON *json = cJSON_ParseWithOpts(put(qp_put_status_json, &snapshot, &out), NULL, true);
    assert_non_null(json);
    assert_true(cJSON_IsTrue(child(child(json, "vault", -1), "configured", -1)));
    assert_true(cJSON_IsFalse(child(child(json, "vault", -1), "writable", -1)));
    assert_string_equal(text(child(json, "vault", -1), "error"), "disk full");
    assert_int_equal(number(child(json, "memory", -1), "bytes"), 5000);
    assert_int_equal(number(child(json, "memory", -1), "limit_bytes"), 100000);
    assert_int_equal(number(child(json, "memory", -1), "shortages"), 3);
    assert_int_equal(number(json, "log_lost_lines"), 7);
    const cJSON *hour = child(json, "history", -1);
    assert_int_equal(number(hour, "bucket_s"), 60);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cJSON_GetArraySize(child(hour, series[i], -1)), QP_HISTORY_MINUTES);
        assert_int_equal(child(hour, series[i], QP_HISTORY_MINUTES - 1)->valueint, last[i]);
        assert_int_equal(child(hour, series[i], 0)->valueint, 0);
    }
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
        "\nqproxy_vault_writable 1\n",
        "\nqproxy_memory_bytes 5000\n",
        "\nqproxy_memory_limit_bytes 100000\n",
        "\nqproxy_memory_shortages_total 3\n",
        "\nqproxy_log_lost_lines_total 7\n",
        "\nqproxy_account_signed_in{account=\"main\"} 1\n",
        "\nqproxy_refresh_token_age_seconds{account=\"main\"} 3600\n",
        "\nqproxy_account_state{account=\"main\",state=\"fresh\"} 1\n",
        "\nqproxy_account_state{account=\"main\",state=\"stale\"} 0\n",
        "\n# HELP qproxy_relay_requests_total requests taken\n# TYPE qproxy_relay_requests_total counter\n",
        "\nqproxy_relay_requests_total{worker=\"0\"} 10\nqproxy_relay_requests_total{worker=\"1\"} 100\n",
        "\n# TYPE qproxy_client_connections_open gauge\nqproxy_client_connections_open{worker=\"0\"} 1\n",
        "\n# HELP qproxy_client_connections_closed_total closed ones\n# TYPE "
        "qproxy_client_connections_closed_total counter\n"
        "qproxy_client_connections_closed_total{worker=\"0\",reason=\"idle\"} 2\n"
        "qproxy_client_connections_closed_total{worker=\"1\",reason=\"idle\"} 5\n"
        "qproxy_client_connections_closed_total{worker=\"0\",reason=\"cut\"} 3\n",
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
    assert_null(strstr(metrics, "signed_in{account=\"</td>"));
    assert_null(strstr(metrics, "anna")); /* who it is stays out of what is stored for years */
    assert_null(strstr(metrics, "a brand"));
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readiness_is_a_token_now_or_on_need),
        cmocka_unit_test(one_accounts_failure_leaves_the_rest_ready),
        cmocka_unit_test(status_is_json_with_all_numbers),
        cmocka_unit_test(status_says_what_people_can_do),
        cmocka_unit_test(status_has_the_vault_and_the_hour),
        cmocka_unit_test(readyz_is_json_with_a_reason),
        cmocka_unit_test(metrics_have_the_form_of_version_0_0_4),
        cmocka_unit_test(metrics_say_what_status_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
