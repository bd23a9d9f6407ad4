#include "cli/table.h"
#include "cmocka_all.h"
#include <stdlib.h>

static char *printed(const struct qp_table *table, bool has_colours)
{
    static char text[1024];
    FILE *out = fmemopen(text, sizeof text, "w");
    qp_table_print(table, has_colours, out);
    fclose(out);
    return text;
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    (void)state;
    struct qp_table table = {.columns = 3};
    static const char *const cells[] = {
        "A", "LONG HEAD", "C", "longer", "b", "", "\xc3\xa4\xc3\xb6", NULL, "the last is not padded"};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        qp_table_put(&table, QP_TONE_PLAIN, cells[i]);
    assert_string_equal(printed(&table, true), "A       LONG HEAD  C\n"
                                               "longer  b          -\n"
                                               "\xc3\xa4\xc3\xb6      -          the last is not padded\n");
    qp_table_deinit(&table);
}

static void colours_change_no_width(void **state)
{
    (void)state;
    struct qp_table table = {.columns = 2};
    qp_table_put(&table, QP_TONE_GOOD, "ok");
    qp_table_put(&table, QP_TONE_PLAIN, "x");
    qp_table_put(&table, QP_TONE_BAD, "failed");
    qp_table_put(&table, QP_TONE_HEAD, "y");
    assert_string_equal(printed(&table, true),
                        "\033[32mok\033[0m      x\n\033[31mfailed\033[0m  \033[1my\033[0m\n");
    assert_string_equal(printed(&table, false), "ok      x\nfailed  y\n");
    qp_table_deinit(&table);
}

static void many_rows_are_kept(void **state)
{
    (void)state;
    struct qp_table table = {.columns = 1};
    for (int i = 0; i < 1000; i++)
        qp_table_put(&table, QP_TONE_PLAIN, i % 2 ? "odd" : "even");
    assert_int_equal(table.count, 1000);
    assert_string_equal(table.cells[0].text, "even");
    assert_string_equal(table.cells[999].text, "odd");
    qp_table_deinit(&table);
}

/* A user name may hold anything, and a terminal obeys much of that. */
static void a_terminal_gets_no_orders(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82", "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82"},
        {"\033]0;title\007", "?]0;title?"},
        {"a\r\nb\tc\x7f", "a??b?c?"},
        {"\xc2\x9b"
         "31m",
         "??31m"},                         /* C1: control sequence introducer */
        {"\xc0\xaf\xe0\x80\xaf", "?????"}, /* overlong */
        {"\xed\xa0\x80", "???"},           /* half of a pair */
        {"cut \xe2\x82", "cut ??"},
        {"\xff\xfe", "??"},
        {"\xf4\x90\x80\x80", "????"}, /* behind the last one */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct qp_buf out = {0};
        qp_put_printable(&out, pairs[i][0]);
        qp_buf_append_char(&out, '\0');
        assert_string_equal(qp_buf_slice(&out).at, pairs[i][1]);
        qp_buf_deinit(&out);
    }
}

static void spans_are_short(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {{-1, "-"},
                {0, "0 s"},
                {119, "119 s"},
                {120, "2 min"},
                {7199, "119 min"},
                {7200, "2 h 0 min"},
                {11400, "3 h 10 min"},
                {172799, "47 h 59 min"},
                {172800, "2 d"},
                {INT64_MAX, "106751991167300 d"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char span[QP_SPAN_BYTES];
        assert_string_equal(qp_span(rows[i].seconds, span), rows[i].text);
    }
}

static void a_pipe_gets_no_colours(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_false(qp_has_colours(file));
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(colours_change_no_width),
        cmocka_unit_test(many_rows_are_kept),
        cmocka_unit_test(a_terminal_gets_no_orders),
        cmocka_unit_test(spans_are_short),
        cmocka_unit_test(a_pipe_gets_no_colours),
    };
    return cmocka_run_group_tests_name("cli.table", tests, NULL, NULL);
}
