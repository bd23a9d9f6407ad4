#include "cmocka_all.h"
#include "token/grant.h"
#include <cJSON.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* Whether what is given back still holds this; for texts that are secrets. */
static const char *sought;
static int found_in_freed;

void __real_qp_free(void *memory);
void __wrap_qp_free(void *memory);
void __wrap_qp_free(void *memory)
{
    if (memory && sought && memmem(memory, malloc_usable_size(memory), sought, strlen(sought)))
        found_in_freed++;
    __real_qp_free(memory);
}

static void judge(unsigned status, const char *body, struct qp_grant_answer *answer)
{
    qp_grant_judge(status, qp_slice_str(body), answer);
    if (answer->outcome == QP_GRANT_GRANTED)
        return;
    assert_null(answer->access_token);
    assert_null(answer->refresh_token);
    assert_true(answer->error[0] && answer->text[0]);
}

struct row {
    unsigned status;
    const char *body;
    enum qp_grant_outcome outcome;
    const char *error; /* NULL: granted */
};

static const struct row rows[] = {
    {200, "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":3600}", QP_GRANT_GRANTED, NULL},
    {200, "\xef\xbb\xbf {\"access_token\":\"t\"} \r\n", QP_GRANT_GRANTED, NULL},
    {201, "{\"access_token\":\"t\",\"token_type\":\"BEARER\"}", QP_GRANT_GRANTED, NULL},
    {200, "{\"access_token\":\"t\",\"token_type\":null,\"error\":\"odd\"}", QP_GRANT_GRANTED, NULL},
    {200, "{\"access_token\":\"t\",\"token_type\":\"mac\"}", QP_GRANT_PASSING, "bad_token_type"},
    {200, "{\"access_token\":\"t\",\"token_type\":1}", QP_GRANT_PASSING, "bad_token_type"},
    {200, "{\"access_token\":\"\"}", QP_GRANT_PASSING, "no_token"},
    {200, "{\"access_token\":1}", QP_GRANT_PASSING, "no_token"},
    {200, "{\"Access_Token\":\"t\"}", QP_GRANT_PASSING, "no_token"},
    {200, "{}", QP_GRANT_PASSING, "no_token"},
    {200, "", QP_GRANT_PASSING, "not_json"},
    {200, "null", QP_GRANT_PASSING, "not_json"},
    {200, "[{\"access_token\":\"t\"}]", QP_GRANT_PASSING, "not_json"},
    {200, "\"t\"", QP_GRANT_PASSING, "not_json"},
    {200, "{\"access_token\":\"t\"}x", QP_GRANT_PASSING, "not_json"},
    {200, "{\"access_token\":\"t\"}{}", QP_GRANT_PASSING, "not_json"},
    {200, "<html>access_token</html>", QP_GRANT_PASSING, "not_json"},
    /* What would split or smuggle a header. */
    {200, "{\"access_token\":\"a\\r\\nX: y\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"a\\nb\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"a b\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"a\\tb\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"a\\u0001\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"a\\u007f\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"\xc3\xa4\"}", QP_GRANT_PASSING, "bad_token"},
    {200, "{\"access_token\":\"a\\u0000b\"}", QP_GRANT_PASSING, "not_json"},
    /* RFC 6749 section 5.2. */
    {400, "{\"error\":\"invalid_grant\"}", QP_GRANT_SIGN_IN, "invalid_grant"},
    {401, "{\"error\":\"invalid_client\"}", QP_GRANT_REFUSED, "invalid_client"},
    {400, "{\"error\":\"unauthorized_client\"}", QP_GRANT_REFUSED, "unauthorized_client"},
    {400, "{\"error\":\"invalid_scope\"}", QP_GRANT_REFUSED, "invalid_scope"},
    {400, "{\"error\":\"unsupported_grant_type\"}", QP_GRANT_REFUSED, "unsupported_grant_type"},
    {400, "{\"error\":\"invalid_request\"}", QP_GRANT_REFUSED, "invalid_request"},
    {200, "{\"error\":\"invalid_grant\"}", QP_GRANT_SIGN_IN, "invalid_grant"},
    {400, "{\"meta\":{\"error\":{\"errorCode\":\"invalid_client\"}}}", QP_GRANT_REFUSED, "invalid_client"},
    {401, "{\"meta\":{\"error\":{\"errorCode\":\"AUTH_6.0\"}}}", QP_GRANT_PASSING, "AUTH_6.0"},
    {400, "{\"meta\":{\"error\":\"x\"}}", QP_GRANT_PASSING, "http_400"},
    {400, "{\"meta\":[{\"error\":{}}]}", QP_GRANT_PASSING, "http_400"},
    {400, "{\"error\":{\"code\":1}}", QP_GRANT_PASSING, "http_400"},
    {400, "{\"error\":\"temporarily_unavailable\"}", QP_GRANT_PASSING, "temporarily_unavailable"},
    {400, "{\"error\":\"a b\\u001b[2J<\xff\"}", QP_GRANT_PASSING, "a?b??2J??"},
    {400, "{\"error\":\"invalid_grant\\r\\n\"}", QP_GRANT_PASSING, "invalid_grant??"},
    /* The status has the last word where it says "later". */
    {503, "{\"error\":\"invalid_grant\"}", QP_GRANT_PASSING, "invalid_grant"},
    {429, "{\"error\":\"invalid_client\"}", QP_GRANT_PASSING, "invalid_client"},
    {408, "", QP_GRANT_PASSING, "http_408"},
    {500, "{\"access_token\":\"t\"}", QP_GRANT_PASSING, "http_500"},
    {400, "{\"access_token\":\"t\"}", QP_GRANT_PASSING, "http_400"},
    {302, "{\"access_token\":\"t\"}", QP_GRANT_PASSING, "http_302"},
    {404, "<html>", QP_GRANT_PASSING, "http_404"},
};

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct qp_grant_answer answer;
        judge(rows[i].status, rows[i].body, &answer);
        if (answer.outcome != rows[i].outcome)
            fail_msg("row %zu (%s): outcome %d", i, rows[i].body, (int)answer.outcome);
        if (rows[i].error)
            assert_string_equal(answer.error, rows[i].error);
        else
            assert_true(qp_slice_is(qp_secret_reveal(answer.access_token), QP_SLICE("t")));
        qp_grant_answer_deinit(&answer);
    }
}

static void test_life(void **state)
{
    static const struct {
        const char *json;
        uint32_t seconds;
    } lives[] = {
        {"3599", 3599},
        {"\"3600\"", 3600},
        {"6", 6},
        {"6.9", 6},
        {"0.5", 1},
        {"0", 3600},
        {"-1", 3600},
        {"-1e308", 3600},
        {"1e18", 31536000},
        {"1e999", 31536000},
        {"null", 3600},
        {"true", 3600},
        {"[]", 3600},
        {"\"\"", 3600},
        {"\"1h\"", 3600},
        {"\"-5\"", 3600},
        {"\"7.5\"", 3600},
        {"\"0\"", 3600},
        {"31536001", 31536000},
        {"\"99999999999999999999999\"", 3600},
        {"\"9999999999\"", 31536000},
    };
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); ++i) {
        char body[200];
        struct qp_grant_answer answer;
        snprintf(body, sizeof(body), "{\"expires_in\":%s,\"access_token\":\"t\"}", lives[i].json);
        judge(200, body, &answer);
        assert_int_equal(answer.outcome, QP_GRANT_GRANTED);
        if (answer.expires_in_s != lives[i].seconds)
            fail_msg("expires_in %s: %u", lives[i].json, answer.expires_in_s);
        qp_grant_answer_deinit(&answer);
    }
}

static void test_refresh_token(void **state)
{
    struct qp_grant_answer answer;
    judge(200, "{\"access_token\":\"t\",\"refresh_token\":\"r \\u00e4\"}", &answer);
    assert_true(qp_slice_is(qp_secret_reveal(answer.refresh_token), QP_SLICE("r \xc3\xa4")));
    qp_grant_answer_deinit(&answer);
    static const char *const none[] = {"null", "\"\"", "1", "{}"};
    for (size_t i = 0; i < 4; ++i) {
        char body[100];
        snprintf(body, sizeof(body), "{\"access_token\":\"t\",\"refresh_token\":%s}", none[i]);
        judge(200, body, &answer);
        assert_int_equal(answer.outcome, QP_GRANT_GRANTED);
        assert_null(answer.refresh_token);
        qp_grant_answer_deinit(&answer);
    }
    qp_grant_judge(200, QP_SLICE("{\"access_token\":\"t\",\"token_type\":\"mac\",\"refresh_token\":\"r\"}"),
                   &answer);
    assert_int_equal(answer.outcome, QP_GRANT_PASSING);
    assert_true(qp_slice_is(qp_secret_reveal(answer.refresh_token), QP_SLICE("r")));
    qp_grant_answer_deinit(&answer);
    qp_grant_judge(400, QP_SLICE("{\"error\":\"invalid_grant\",\"refresh_token\":\"r\"}"), &answer);
    assert_null(answer.refresh_token);
}

static void test_cut_at_every_byte(void **state)
{
    static const char whole[] = "{\"access_token\":\"abc\\u0041\",\"refresh_token\":\"r\",\"expires_in\":"
                                "3600,\"x\":[1,{\"y\":null}]}";
    struct qp_grant_answer answer;
    for (size_t len = 0; len < sizeof(whole) - 1; ++len) {
        char *exact = malloc(len ? len : 1); /* so that ASan sees a read behind the end */
        memcpy(exact, whole, len);
        qp_grant_judge(200, qp_slice(exact, len), &answer);
        assert_string_equal(answer.error, "not_json");
        qp_grant_answer_deinit(&answer);
        free(exact);
    }
    judge(200, whole, &answer);
    assert_true(qp_slice_is(qp_secret_reveal(answer.access_token), QP_SLICE("abcA")));
    qp_grant_answer_deinit(&answer);
}

static void test_nul_in_the_body(void **state)
{
    struct qp_grant_answer answer;
    qp_grant_judge(200, QP_SLICE("{\"access_token\":\"a\0b\"}"), &answer);
    assert_string_equal(answer.error, "not_json");
}

static void test_deep(void **state)
{
    static char body[QP_GRANT_ANSWER_BYTES];
    struct qp_grant_answer answer;
    memset(body, '[', sizeof(body));
    qp_grant_judge(200, qp_slice(body, sizeof(body)), &answer);
    assert_string_equal(answer.error, "not_json");
    for (size_t i = 0; i + 5 <= sizeof(body); i += 5)
        memcpy(body + i, "{\"a\":", 5);
    qp_grant_judge(400, qp_slice(body, sizeof(body)), &answer);
    assert_string_equal(answer.error, "http_400");
}

static void test_sizes(void **state)
{
    static char body[QP_GRANT_ANSWER_BYTES + 1];
    struct qp_grant_answer answer;
    for (size_t len = 8191; len <= 8193; ++len) {
        int at = snprintf(body, sizeof(body), "{\"access_token\":\"");
        memset(body + at, 'a', len);
        memcpy(body + at + len, "\"}", 3);
        judge(200, body, &answer);
        assert_int_equal(answer.outcome, len <= 8192 ? QP_GRANT_GRANTED : QP_GRANT_PASSING);
        qp_grant_answer_deinit(&answer);
    }
    memset(body, ' ', sizeof(body));
    memcpy(body, "{\"access_token\":\"t\"}", 20);
    qp_grant_judge(200, qp_slice(body, sizeof(body) - 1), &answer);
    assert_int_equal(answer.outcome, QP_GRANT_GRANTED);
    qp_grant_answer_deinit(&answer);
    qp_grant_judge(200, qp_slice(body, sizeof(body)), &answer);
    assert_string_equal(answer.error, "too_large");
}

static void test_long_code_is_no_code(void **state)
{
    char body[300];
    struct qp_grant_answer answer;
    for (int len = 31; len <= 64; ++len) {
        snprintf(body, sizeof(body), "{\"error\":\"%0*d\"}", len, 0);
        judge(400, body, &answer);
        if (len <= 32)
            assert_int_equal(strlen(answer.error), len);
        else
            assert_string_equal(answer.error, "http_400");
    }
}

/* config uses the same library, and a reload comes between two answers. */
static void test_P1_no_token_stays_behind_in_freed_memory(void **state)
{
    static const char *const bodies[] = {"{\"access_token\":\"hunter2-hunter2\"}",
                                         "{\"access_token\":\"hunter2-hunter2\",\"x"};
    struct qp_grant_answer answer;
    sought = "hunter2";
    for (size_t i = 0; i < 4; ++i) {
        qp_grant_judge(200, qp_slice_str(bodies[i % 2]), &answer);
        qp_grant_answer_deinit(&answer);
        cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = malloc, .free_fn = __wrap_qp_free});
    }
    sought = NULL;
    assert_int_equal(found_in_freed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_refresh_token),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_nul_in_the_body),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_long_code_is_no_code),
        cmocka_unit_test(test_P1_no_token_stays_behind_in_freed_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
