#include "config/jsonc.h"
#include "told.h"

#include <cJSON.h>
#include <malloc.h>

static int allocations_until_failure = -1;

void *__real_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes)
{
    if (allocations_until_failure == 0)
        return NULL;
    if (allocations_until_failure > 0)
        allocations_until_failure--;
    return __real_qp_try_alloc(bytes);
}

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

static const char *wrong(struct qp_slice text)
{
    struct qp_problems problems = {0};
    assert_null(qp_jsonc_parse(text, &problems));
    assert_int_equal(problems.count, 1);
    told_of(&problems);
    qp_problems_deinit(&problems);
    return told_text;
}

static void comments_are_blanks_and_texts_are_left_alone(void **state)
{
    struct qp_problems problems = {0};
    cJSON *json = qp_jsonc_parse(
        QP_SLICE("\xEF\xBB\xBF// head\n{ /* a, \n * b */ \"a\" /**/ : \"http://x /* y */ \\\" // z\" // end"
                 "\n} // {"),
        &problems);
    assert_non_null(json);
    assert_string_equal(cJSON_GetObjectItem(json, "a")->valuestring, "http://x /* y */ \" // z");
    qp_jsonc_free(json);
}

static void each_error_is_told_with_its_line_and_column(void **state)
{
    static const char *const errors[][2] = {
        {"{\"a\":1,\n }", "2:2: the comma before this is one too many\n"},
        {"{\"a\":[1,]}", "1:9: the comma before this is one too many\n"},
        {"{\"a\":1}}", "1:8: there is more text behind the end of the object\n"},
        {"{}\n\n// c\n x", "4:2: there is more text behind the end of the object\n"},
        {"{\"a\":1\n \"b\":2}", "2:2: a comma (or, behind a key, a colon) is missing before this\n"},
        {"{a:1}", "1:2: a key in double quotes, or a value, is expected here\n"},
        {"{\"\xc3\xa4\xe2\x82\xac\":}", "1:7: a value is missing before this\n"},
        {"{\"a\":1", "1:7: the text ends here, but a brace, a bracket or a value is missing\n"},
        {"", "1:1: there is nothing in it; it must hold one object: { ... }\n"},
        {"// only this", "1:13: there is nothing in it; it must hold one object: { ... }\n"},
        {"[1]", "1:1: the configuration must be one object: { ... }\n"},
        {"\n{ /* x", "2:3: this comment is never closed\n"},
        {"{'a':1}", "1:2: texts stand in double quotes\n"},
        {"{\"a\":\"b\nc\"}", "1:6: this quote is not closed in its line\n"},
        {"{\"a\":\"b", "1:6: this quote is never closed\n"},
        {"{\"a\":\"b\tc\"}", "1:8: a control byte within a text; write it as \\u00XX\n"},
        {"{\"a\":\"b\\u0000c\"}", "1:8: \\u0000 cannot be part of a text\n"},
        {"[[[[[[[[[[[[[[[[[", "1:17: nested too deeply: nothing here needs more than 16 levels\n"},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        assert_string_equal(wrong(qp_slice_str(errors[i][0])), errors[i][1]);
    assert_string_equal(wrong(QP_SLICE("{\n\0}")), "2:1: a NUL byte: this is not a text file\n");
}

static void a_text_cut_anywhere_is_refused_with_a_place(void **state)
{
    struct qp_slice whole =
        QP_SLICE("{ // c\n \"a\\n\": [1, true, \"x\\u00e9\", null], /* d */ \"b\": {\"c\": -1.5e3} }");
    for (size_t len = 0; len < whole.len; len++)
        assert_non_null(strstr(wrong(qp_slice(whole.at, len)), ": "));
}

static void a_huge_file_is_refused(void **state)
{
    size_t size = QP_JSONC_MOST_BYTES + 1;
    char *text = malloc(size);
    memset(text, ' ', size);
    assert_string_equal(wrong(qp_slice(text, size)),
                        ": it is larger than 1MiB; that cannot be a configuration\n");
    free(text);
}

static void failing_allocations_are_told_and_nothing_leaks(void **state)
{
    struct qp_slice text = QP_SLICE("{\"a\": [1, \"text\", {\"b\": null}]}");
    bool parsed = false;
    for (int failing = 0; !parsed; failing++) {
        struct qp_problems problems = {0};
        allocations_until_failure = failing;
        cJSON *json = qp_jsonc_parse(text, &problems);
        allocations_until_failure = -1;
        parsed = json != NULL;
        if (!parsed)
            assert_string_equal(told_of(&problems), ": out of memory while reading this\n");
        qp_jsonc_free(json);
        qp_problems_deinit(&problems);
        assert_true(failing < 100);
    }
}

static void P1_no_text_stays_behind_in_freed_memory(void **state)
{
    static const char *const texts[] = {"{\"secret\":\"hunter2-hunter2\"}",
                                        "{\"secret\":\"hunter2-hunter2\",\"b\":]}",
                                        "{\"hunter2-hunter2\":1,}", "{\"secret\":\"hunter2-hunter2\"}}"};
    sought = "hunter2";
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct qp_problems problems = {0};
        cJSON *json = qp_jsonc_parse(qp_slice_str(texts[i]), &problems);
        qp_jsonc_free(json);
        qp_problems_deinit(&problems);
    }
    sought = NULL;
    assert_int_equal(found_in_freed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_are_blanks_and_texts_are_left_alone),
        cmocka_unit_test(each_error_is_told_with_its_line_and_column),
        cmocka_unit_test(a_text_cut_anywhere_is_refused_with_a_place),
        cmocka_unit_test(a_huge_file_is_refused),
        cmocka_unit_test(failing_allocations_are_told_and_nothing_leaks),
        cmocka_unit_test(P1_no_text_stays_behind_in_freed_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
