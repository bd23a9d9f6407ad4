/* What the origin's answer to whoami is taken for, and what of it may be shown. */
#include "cmocka_all.h"
#include "token/whoami.h"
#include <stdio.h>
#include <stdlib.h>

struct judged {
    struct qp_identity identity;
    struct qp_whoami_verdict verdict;
};

static void judge_shot(const struct qp_shot_result *shot, bool had_token, const char *host,
                       struct judged *out)
{
    *out = (struct judged){.identity.user = "before", .verdict.text = "before"};
    qp_whoami_judge(shot, had_token, qp_slice_str(host), &out->identity, &out->verdict);
    assert_non_null(out->verdict.code);
    assert_true(out->verdict.text[0] && strnlen(out->verdict.text, sizeof(out->verdict.text)) < 832);
    bool is_identity = strcmp(out->verdict.code, "ok") == 0 || strcmp(out->verdict.code, "wrong_host") == 0;
    assert_int_equal(is_identity, strcmp(out->identity.user, "before") != 0);
}

static void judge(unsigned status, const char *body, const char *host, struct judged *out)
{
    size_t len = strlen(body);
    char *exact = malloc(len ? len : 1); /* so that ASan sees a read behind the end */
    memcpy(exact, body, len);
    struct qp_shot_result shot = {.why = QP_OK, .detail = "", .status = status, .body = qp_slice(exact, len)};
    judge_shot(&shot, true, host, out);
    free(exact);
}

/* ---- the question ---- */

static void assert_head(const struct qp_account_opts *account, const struct qp_secret *token,
                        const char *expected)
{
    struct qp_buf head = {0};
    qp_whoami_head(account, token, QP_SLICE("iad1.qualtrics.com"), QP_SLICE("/API/v3/whoami"), &head);
    qp_buf_append_char(&head, '\0');
    assert_string_equal(qp_buf_slice(&head).at, expected);
    qp_buf_wipe(&head);
}

#define START "GET /API/v3/whoami HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n"
#define END   "User-Agent: qproxy\r\nAccept: application/json\r\nConnection: close\r\n\r\n"

static void test_head(void **state)
{
    struct qp_secret *token = qp_secret_new(QP_SLICE("t-1"));
    struct qp_account_opts account = {.grant = QP_GRANT_AUTHORIZATION_CODE};
    assert_head(&account, token, START "Authorization: Bearer t-1\r\n" END);
    assert_head(&account, NULL, START END);
    account.grant = QP_GRANT_API_TOKEN;
    assert_head(&account, token, START "X-API-TOKEN: t-1\r\n" END);
    assert_head(&account, NULL, START END);
    qp_secret_free(&token);
}

/* What grows is copied, and the old copy is not wiped. */
static void test_P1_head_does_not_grow(void **state)
{
    static char worst[8193];
    memset(worst, 'a', sizeof(worst) - 1);
    struct qp_secret *token = qp_secret_new(qp_slice_str(worst));
    struct qp_account_opts account = {.grant = QP_GRANT_API_TOKEN};
    struct qp_buf head = {0};
    qp_buf_reserve(&head, 1);
    qp_whoami_head(&account, token, qp_slice_str(worst), qp_slice_str(worst), &head);
    assert_true(qp_buf_len(&head) < 512 + 3 * 8192);
    qp_buf_wipe(&head);
    qp_secret_free(&token);
}

/* ---- the verdict ---- */

static void test_table(void **state)
{
    static const struct {
        enum qp_result why;
        unsigned status;
        bool had_token;
        const char *code;
        const char *words;
    } rows[] = {
        {QP_NET_RESOLVE, 0, true, "resolve", "check datacenter and DNS"},
        {QP_NET_RESOLVE, 0, false, "resolve", "check datacenter and DNS"},
        {QP_NET_TLS_VERIFY, 0, true, "certificate", "ca_file"},
        {QP_NET_TLS, 0, true, "certificate", "ca_file"},
        {QP_NET_REFUSED, 0, true, "network", "refuses the connection"},
        {QP_NET_TIMEOUT, 0, false, "network", "in time"},
        {QP_NET_RESET, 0, true, "network", "connection reset"},
        {QP_NET_UNREACHABLE, 0, true, "network", "host unreachable"},
        {QP_HTTP_MALFORMED, 0, true, "network", "malformed message"},
        {QP_HTTP_TOO_LARGE, 0, true, "network", "over its limit"},
        {QP_OK, 400, false, "ok_without_token", "its certificate is good"},
        {QP_OK, 401, false, "ok_without_token", "its certificate is good"},
        {QP_OK, 400, true, "unexpected", "status 400"},
        {QP_OK, 401, true, "rejected", "own datacenter"},
        {QP_OK, 403, true, "forbidden", "permission or a scope"},
        /* Nobody was named, so nobody is known: a gateway may say so to everybody. */
        {QP_OK, 403, false, "unexpected", "status 403"},
        {QP_OK, 200, true, "unexpected", "status 200"},
        {QP_OK, 200, false, "unexpected", "status 200"},
        {QP_OK, 204, true, "unexpected", "status 204"},
        {QP_OK, 302, true, "unexpected", "status 302"},
        {QP_OK, 404, true, "unexpected", "status 404"},
        {QP_OK, 429, true, "unexpected", "status 429"},
        {QP_OK, 500, false, "unexpected", "status 500"},
        {QP_OK, 503, true, "unexpected", "status 503"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct judged judged;
        bool is_answer = rows[i].why == QP_OK;
        struct qp_shot_result shot = {
            .why = rows[i].why, .detail = is_answer ? "" : "details", .status = rows[i].status};
        judge_shot(&shot, rows[i].had_token, "iad1.qualtrics.com", &judged);
        if (strcmp(judged.verdict.code, rows[i].code) != 0 || !strstr(judged.verdict.text, rows[i].words))
            fail_msg("row %zu: %s: %s", i, judged.verdict.code, judged.verdict.text);
        assert_int_equal(!is_answer, strstr(judged.verdict.text, "(details)") != NULL);
    }
}

static void test_identity(void **state)
{
    struct judged judged;
    judge(200,
          "{\"meta\":{\"httpStatus\":\"200 - OK\",\"requestId\":\"1\"},\"result\":{\"brandId\":\"umiami\","
          "\"userId\":\"UR_1\",\"userName\":\"anna@umiami#umiami\",\"accountType\":\"UT_BRANDADMIN\","
          "\"firstName\":\"A\","
          "\"lastName\":\"B\",\"email\":\"a@b\",\"datacenter\":\"iad1\"}}",
          "iad1.qualtrics.com", &judged);
    assert_string_equal(judged.verdict.code, "ok");
    assert_string_equal(judged.identity.brand, "umiami");
    assert_string_equal(judged.identity.user, "anna@umiami#umiami");
    assert_string_equal(judged.identity.datacenter, "iad1");
    assert_string_equal(judged.identity.warning, "");
    assert_string_equal(judged.verdict.text,
                        "the origin knows the account as 'anna@umiami#umiami' of brand 'umiami'");
}

/* ---- the right place ---- */

#define WHO(datacenter) "\"result\":{\"userName\":\"u\",\"brandId\":\"b\",\"datacenter\":\"" datacenter "\"}"
#define PROXIED         "Request proxied. For faster response times, use this host instead: "

static void test_places(void **state)
{
    static const struct {
        const char *host;
        const char *body;
        const char *code;
        const char *warning; /* a part of it; NULL: none */
    } rows[] = {
        /* qualtrics.md 4.4.4: whoami's own datacenter may be another id of the same place. */
        {"sjc1.qualtrics.com", "{" WHO("az1") "}", "ok", "names the datacenter 'az1'"},
        {"brand.sjc1.qualtrics.com", "{" WHO("az1") "}", "ok", "brand.sjc1.qualtrics.com"},
        {"az1.qualtrics.com", "{" WHO("AZ1") "}", "ok", NULL},
        {"brand.az1.qualtrics.com", "{" WHO("az1") "}", "ok", NULL},
        {"az1.brand.iad1.qualtrics.com", "{" WHO("az1") "}", "ok", "names the datacenter"},
        /* A brand's own host says nothing of where it is. */
        {"umiami.qualtrics.com", "{" WHO("iad1") "}", "ok", NULL},
        {"127.0.0.1", "{" WHO("iad1") "}", "ok", NULL},
        {"iad1.qualtrics.com.example", "{" WHO("az1") "}", "ok", NULL},
        {"iad1.qualtrics.com", "{" WHO("") "}", "ok", NULL},
        /* 4.4.1: a notice names the right host. */
        {"az1.qualtrics.com", "{" WHO("az1") ",\"meta\":{\"notice\":\"" PROXIED "sjc1.qualtrics.com\"}}",
         "wrong_host", "set datacenter to sjc1.qualtrics.com"},
        {"az1.qualtrics.com", "{" WHO("az1") ",\"meta\":{\"notice\":\"" PROXIED "b.az1.qualtrics.com.\"}}",
         "wrong_host", "set datacenter to b.az1.qualtrics.com"},
        {"a1.qualtrics.com", "{" WHO("a1") ",\"meta\":{\"notice\":\"" PROXIED "ca1.qualtrics.com\"}}",
         "wrong_host", "set datacenter to ca1.qualtrics.com"},
        {"sjc1.qualtrics.com", "{" WHO("az1") ",\"meta\":{\"notice\":\"" PROXIED "SJC1.qualtrics.com\"}}",
         "ok", "Qualtrics says"},
        {"az1.qualtrics.com", "{" WHO("az1") ",\"meta\":{\"notice\":\"Your certificate ends in 9 days\"}}",
         "ok", "Qualtrics says \"Your certificate ends in 9 days\""},
        {"az1.qualtrics.com", "{" WHO("az1") ",\"meta\":{\"notice\":\"see .qualtrics.com\"}}", "ok",
         "Qualtrics says"},
        {"az1.qualtrics.com", "{" WHO("az1") ",\"meta\":{\"notice\":7}}", "ok", NULL},
        {"az1.qualtrics.com", "{" WHO("az1") ",\"meta\":[]}", "ok", NULL},
        {"az1.qualtrics.com", "{" WHO("az1") ",\"notice\":\"x\"}", "ok", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct judged judged;
        judge(200, rows[i].body, rows[i].host, &judged);
        bool fits = rows[i].warning ? strstr(judged.identity.warning, rows[i].warning) != NULL
                                    : !judged.identity.warning[0];
        if (!fits || strcmp(judged.verdict.code, rows[i].code) != 0)
            fail_msg("row %zu: %s: '%s'", i, judged.verdict.code, judged.identity.warning);
        assert_int_equal(rows[i].warning != NULL, strstr(judged.verdict.text, "; ") != NULL);
    }
}

/* ---- hostile answers ---- */

static void test_P7_what_is_no_whoami(void **state)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "\"u\"",
        "{}",
        "<html>",
        "{\"result\":null}",
        "{\"result\":\"u\"}",
        "{\"result\":[]}",
        "{\"result\":{}}",
        "{\"result\":{\"userName\":1,\"brandId\":\"b\"}}",
        "{\"result\":{\"userName\":null}}",
        "{\"result\":{\"userName\":\"\"}}",
        "{\"result\":{\"userName\":{\"a\":\"b\"}}}",
        "{\"Result\":{\"userName\":\"u\"}}",
        "{\"userName\":\"u\"}",
        "{\"result\":{\"userName\":\"u\\u0000\"}}",
        "{\"result\":{\"userName\":\"u\"}}x",
        "{\"result\":{\"userName\":\"u\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); ++i) {
        struct judged judged;
        judge(200, bodies[i], "iad1.qualtrics.com", &judged);
        if (strcmp(judged.verdict.code, "unexpected") != 0)
            fail_msg("'%s': %s: %s", bodies[i], judged.verdict.code, judged.verdict.text);
    }
}

static void test_P7_cut_at_every_byte(void **state)
{
    static const char whole[] =
        "{\"meta\":{\"notice\":\"n\"},\"result\":{\"userName\":\"u\",\"brandId\":\"b\"}}";
    char cut[sizeof(whole)];
    struct judged judged;
    for (size_t len = 0; len < sizeof(whole) - 1; ++len) {
        snprintf(cut, sizeof(cut), "%.*s", (int)len, whole);
        judge(200, cut, "h", &judged);
        assert_string_equal(judged.verdict.code, "unexpected");
    }
    judge(200, whole, "h", &judged);
    assert_string_equal(judged.verdict.code, "ok");
}

static void test_P7_texts_are_cut_and_printable(void **state)
{
    static char body[QP_SHOT_ANSWER_BYTES + 1];
    static char many[6001];
    struct judged judged;
    memset(many, 'x', sizeof(many) - 1);
    snprintf(body, sizeof(body),
             "{\"result\":{\"userName\":\"%s\",\"brandId\":\"%s\",\"datacenter\":\"%s\"},\"meta\":{"
             "\"notice\":\"%s "
             "a.qualtrics.com\"}}",
             many, many, many, many);
    judge(200, body, "iad1.qualtrics.com", &judged);
    assert_int_equal(strlen(judged.identity.user), 255);
    assert_int_equal(strlen(judged.identity.brand), 127);
    assert_int_equal(strlen(judged.identity.datacenter), 63);
    assert_in_range(strlen(judged.identity.warning), 150, 383);
    snprintf(body, sizeof(body),
             "{\"result\":{\"userName\":\"a\\u001b[2J\\r\\nb\\u007f\xc3\xa4\",\"brandId\":\"\\u0001\\t\"},"
             "\"meta\":{\"notice\":\"\\u001b]0;x\\u0007\"}}");
    judge(200, body, "iad1.qualtrics.com", &judged);
    assert_string_equal(judged.identity.user, "a?[2J??b?\xc3\xa4");
    assert_string_equal(judged.identity.brand, "??");
    assert_string_equal(judged.identity.warning, "Qualtrics says \"?]0;x?\"");
}

static void test_P7_deep_and_huge(void **state)
{
    static char body[QP_SHOT_ANSWER_BYTES + 1];
    struct judged judged;
    memset(body, '[', sizeof(body) - 1);
    judge(200, body, "h", &judged);
    assert_string_equal(judged.verdict.code, "unexpected");
    for (size_t i = 0; i + 10 < sizeof(body); i += 10)
        memcpy(body + i, "{\"result\":", 10);
    judge(200, body, "h", &judged);
    assert_string_equal(judged.verdict.code, "unexpected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_P1_head_does_not_grow),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_P7_what_is_no_whoami),
        cmocka_unit_test(test_P7_cut_at_every_byte),
        cmocka_unit_test(test_P7_texts_are_cut_and_printable),
        cmocka_unit_test(test_P7_deep_and_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
