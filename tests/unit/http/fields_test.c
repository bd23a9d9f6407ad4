#include "base/arena.h"
#include "http/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    enum qp_field_id id;
    const char *name;
    unsigned rules;
} table[] = {
#define QP_FIELD_ROW(id, name, rules) {id, name, (unsigned)(rules)},
#include "http/field_rules.def"
#undef QP_FIELD_ROW
};

static void add(struct qp_fields *fields, struct qp_arena *arena, const char *name, const char *value)
{
    assert_true(qp_fields_add(fields, arena, qp_slice_str(name), qp_slice_str(value)));
}

static void every_name_of_the_table_is_found_in_any_case(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char upper[64], lower[64];
        const size_t length = strlen(table[i].name);
        for (size_t c = 0; c < length; c++) {
            const char letter = table[i].name[c];
            upper[c] = letter >= 'a' && letter <= 'z' ? (char)(letter - 32) : letter;
            lower[c] = letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter;
        }
        assert_int_equal(qp_field_lookup(qp_slice(table[i].name, length)), table[i].id);
        assert_int_equal(qp_field_lookup(qp_slice(upper, length)), table[i].id);
        assert_int_equal(qp_field_lookup(qp_slice(lower, length)), table[i].id);
        assert_int_equal(qp_field_lookup(qp_slice(upper, length - 1)), QP_FIELD_OTHER);
        upper[length] = 'X';
        assert_int_equal(qp_field_lookup(qp_slice(upper, length + 1)), QP_FIELD_OTHER);
        assert_int_equal(qp_field_rules(table[i].id), table[i].rules);
    }
    assert_int_equal(sizeof table / sizeof table[0] + 1, QP_FIELD_ID_COUNT);
    assert_int_equal(qp_field_lookup(QP_SLICE("")), QP_FIELD_OTHER);
    assert_int_equal(qp_field_lookup(QP_SLICE("X-Other")), QP_FIELD_OTHER);
    assert_int_equal(qp_field_lookup(QP_SLICE("Hoss")), QP_FIELD_OTHER);
    assert_int_equal(qp_field_rules(QP_FIELD_OTHER), QP_RULE_PASS);
}

/* The lookup stops at the first row that agrees in length and first letter. */
static void no_two_rows_share_length_and_first_letter(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(strlen(table[i].name) == strlen(table[j].name) &&
                         (table[i].name[0] | 0x20) == (table[j].name[0] | 0x20));
}

static void order_and_repetition_are_kept_while_the_list_grows(void **state)
{
    struct qp_arena arena;
    struct qp_fields fields = {0};
    qp_arena_init(&arena, 1024, 1 << 20);
    for (unsigned i = 0; i < 300; i++)
        add(&fields, &arena, i % 2 ? "Cookie" : "X-Odd", i == 1 ? "first" : "");
    assert_int_equal(fields.count, 300);
    assert_int_equal(qp_fields_count(&fields, QP_FIELD_COOKIE), 150);
    assert_int_equal(qp_fields_count(&fields, QP_FIELD_HOST), 0);
    assert_ptr_equal(qp_fields_find(&fields, QP_FIELD_COOKIE), &fields.at[1]);
    assert_true(qp_slice_is(fields.at[1].value, QP_SLICE("first")));
    assert_null(qp_fields_find(&fields, QP_FIELD_HOST));
    assert_ptr_equal(qp_fields_find_name(&fields, QP_SLICE("x-ODD")), &fields.at[0]);
    assert_null(qp_fields_find_name(&fields, QP_SLICE("x-od")));
    qp_arena_deinit(&arena);
}

static void a_full_arena_is_no_crash(void **state)
{
    struct qp_arena arena;
    struct qp_fields fields = {0};
    qp_arena_init(&arena, 1024, QP_FIELDS_FIRST_CAPACITY * sizeof(struct qp_field));
    for (unsigned i = 0; i < QP_FIELDS_FIRST_CAPACITY; i++)
        add(&fields, &arena, "A", "b");
    assert_false(qp_fields_add(&fields, &arena, QP_SLICE("A"), QP_SLICE("b")));
    assert_int_equal(fields.count, QP_FIELDS_FIRST_CAPACITY);
    qp_arena_deinit(&arena);
}

static void tokens_are_found_over_lines_blanks_and_empty_elements(void **state)
{
    struct qp_arena arena;
    struct qp_fields fields = {0};
    qp_arena_init(&arena, 1024, 65536);
    add(&fields, &arena, "Connection", ", ,keep-alive ,");
    add(&fields, &arena, "connection", "x-y\t,\tCLOSE");
    add(&fields, &arena, "Connection", "");
    add(&fields, &arena, "X-Connection", "other");
    assert_true(qp_fields_has_token(&fields, QP_FIELD_CONNECTION, QP_SLICE("Keep-Alive")));
    assert_true(qp_fields_has_token(&fields, QP_FIELD_CONNECTION, QP_SLICE("close")));
    assert_false(qp_fields_has_token(&fields, QP_FIELD_CONNECTION, QP_SLICE("clos")));
    assert_false(qp_fields_has_token(&fields, QP_FIELD_CONNECTION, QP_SLICE("other")));
    assert_false(qp_fields_has_token(&fields, QP_FIELD_CONNECTION, QP_SLICE("")));
    qp_arena_deinit(&arena);
}

static void what_passes_follows_rules_and_nomination(void **state)
{
    static const struct {
        const char *name;
        bool passes, passes_as_trailer;
    } cases[] = {
        {"Accept", true, true},
        {"X-Nominated", false, false},
        {"Content-Type", true, false},
        {"Set-Cookie", true, false},
        {"Location", true, false},
        {"Authorization", false, false},
        {"X-API-TOKEN", false, false},
        {"Proxy-Authorization", false, false},
        {"Host", false, false},
        {"Content-Length", false, false},
        {"Transfer-Encoding", false, false},
        {"Expect", false, false},
        {"Connection", false, false},
        {"Keep-Alive", false, false},
        {"Proxy-Connection", false, false},
        {"TE", false, false},
        {"Trailer", false, false},
        {"Upgrade", false, false},
        {"HTTP2-Settings", false, false},
    };
    struct qp_arena arena;
    struct qp_fields fields = {0};
    qp_arena_init(&arena, 4096, 65536);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        add(&fields, &arena, cases[i].name, "close, x-nominated");
    qp_fields_mark_nominated(&fields, &fields);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(qp_field_passes(&fields.at[i]), cases[i].passes);
        assert_int_equal(qp_field_passes_as_trailer(&fields.at[i]), cases[i].passes_as_trailer);
    }
    qp_arena_deinit(&arena);
}

static void tokens_and_values_are_told_byte_by_byte(void **state)
{
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        const bool token = letter || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
        assert_int_equal(qp_is_token(qp_slice(&byte, 1)), token);
        assert_int_equal(qp_is_field_value(qp_slice(&byte, 1)), c == '\t' || (c >= ' ' && c != 0x7f));
    }
    assert_false(qp_is_token(QP_SLICE("")));
    assert_true(qp_is_field_value(QP_SLICE("")));
    assert_false(qp_is_token(QP_SLICE("a b")));
    assert_false(qp_is_field_value(QP_SLICE("a\r\nb")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_of_the_table_is_found_in_any_case),
        cmocka_unit_test(no_two_rows_share_length_and_first_letter),
        cmocka_unit_test(order_and_repetition_are_kept_while_the_list_grows),
        cmocka_unit_test(a_full_arena_is_no_crash),
        cmocka_unit_test(tokens_are_found_over_lines_blanks_and_empty_elements),
        cmocka_unit_test(what_passes_follows_rules_and_nomination),
        cmocka_unit_test(tokens_and_values_are_told_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
