/* text_test.c - nothing that is put into a page can leave its place. */
#include "admin/text.h"
#include <cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define UNKNOWN "\xef\xbf\xbd"

struct row {
    const char *text;
    const char *html;
    const char *label;
};

static const struct row ROWS[] = {
    {"", "", ""},
    {"plain", "plain", "plain"},
    {"<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;",
     "<script>alert('x')</script>"},
    {"\" onload=\"a&b", "&quot; onload=&quot;a&amp;b", "\\\" onload=\\\"a&b"},
    {"back\\slash", "back\\slash", "back\\\\slash"},
    {"a\nb\tc", "a b c", "a\\nb" UNKNOWN "c"},
    {"a\rb\x01\x7f", "a" UNKNOWN "b" UNKNOWN UNKNOWN, "a" UNKNOWN "b" UNKNOWN UNKNOWN},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"cut \xe2\x82", "cut " UNKNOWN UNKNOWN, "cut " UNKNOWN UNKNOWN},
    {"\xff<", UNKNOWN "&lt;", UNKNOWN "<"},
    {"\xc0\xbc", UNKNOWN UNKNOWN, UNKNOWN UNKNOWN},                     /* overlong < */
    {"\xe0\x80\xbc", UNKNOWN UNKNOWN UNKNOWN, UNKNOWN UNKNOWN UNKNOWN}, /* the same in three */
    {"\xed\xa0\x80", UNKNOWN UNKNOWN UNKNOWN, UNKNOWN UNKNOWN UNKNOWN}, /* a surrogate */
    {"\xf4\x90\x80\x80", UNKNOWN UNKNOWN UNKNOWN UNKNOWN, UNKNOWN UNKNOWN UNKNOWN UNKNOWN},
    {"\xc3<b>", UNKNOWN "&lt;b&gt;", UNKNOWN "<b>"},               /* a lead byte swallows nothing */
    {"\xc2\x9b[2J", UNKNOWN UNKNOWN "[2J", UNKNOWN UNKNOWN "[2J"}, /* C1: an order to a terminal */
};

static void assert_put(void (*put)(struct qp_buf *out, const char *text), const char *text,
                       const char *wanted)
{
    struct qp_buf out = {0};
    put(&out, text);
    qp_buf_append_char(&out, '\0');
    assert_string_equal(qp_buf_slice(&out).at, wanted);
    qp_buf_deinit(&out);
}

static void texts_stay_in_their_place(void **state)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        assert_put(qp_put_html, ROWS[i].text, ROWS[i].html);
        assert_put(qp_put_label, ROWS[i].text, ROWS[i].label);
    }
}

static void json_reads_back_what_was_written(void **state)
{
    struct qp_buf out = {0};
    qp_json_open(&out, NULL, '{');
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        qp_json_text(&out, ROWS[i].text, ROWS[i].text);
    qp_json_open(&out, "list", '[');
    qp_json_u64(&out, NULL, 7);
    qp_json_seconds(&out, NULL, -1);
    qp_json_bool(&out, NULL, true);
    qp_json_text(&out, NULL, NULL);
    qp_json_close(&out, ']');
    qp_json_close(&out, '}');
    qp_buf_append_char(&out, '\0');

    cJSON *json = cJSON_ParseWithOpts(qp_buf_slice(&out).at, NULL, true);
    assert_non_null(json);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(json, 2)), ROWS[2].text);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(json, 5)), ROWS[5].text);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(json, 6)), "a\rb" UNKNOWN UNKNOWN);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(json, 8)), "cut " UNKNOWN UNKNOWN);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "list");
    assert_int_equal(cJSON_GetArraySize(list), 4);
    assert_int_equal(cJSON_GetArrayItem(list, 0)->valueint, 7);
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(list, 1)) && cJSON_IsTrue(cJSON_GetArrayItem(list, 2)));
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(list, 3)));
    cJSON_Delete(json);
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_stay_in_their_place),
        cmocka_unit_test(json_reads_back_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
