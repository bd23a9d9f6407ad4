#include "told.h"

static void problems_are_printed_with_source_and_place(void **state)
{
    struct qp_problems problems = {0};
    qp_problems_add(&problems, "a.b", "found %d\x1b[31m", 7);
    qp_problems_add(&problems, NULL, "the whole");
    char text[256] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");
    qp_problems_print(&problems, "file", out);
    fclose(out);
    assert_string_equal(text, "file: a.b: found 7?[31m\nfile: the whole\n");
    qp_problems_deinit(&problems);
    assert_int_equal(problems.count, 0);
}

static void the_list_is_bounded_and_says_so(void **state)
{
    struct qp_problems problems = {0};
    for (int i = 0; i < 150; i++)
        qp_problems_add(&problems, NULL, "x");
    assert_int_equal(problems.count, 100);
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");
    qp_problems_print(&problems, "f", out);
    fclose(out);
    assert_non_null(strstr(text, "f: and 50 more\n"));
    qp_problems_deinit(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_are_printed_with_source_and_place),
        cmocka_unit_test(the_list_is_bounded_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
