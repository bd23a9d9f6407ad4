#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void not_set_is_not_empty_but_equal_in_content(void **state)
{
    assert_null(qp_slice_str(NULL).at);
    assert_non_null(QP_SLICE("").at);
    assert_true(qp_slice_is(QP_SLICE_NONE, QP_SLICE("")));
    assert_false(qp_slice_is(QP_SLICE("a"), QP_SLICE("b")));
}

static void case_is_folded_for_ascii_letters_only(void **state)
{
    assert_true(qp_slice_is_nocase(QP_SLICE("Content-LENGTH"), QP_SLICE("content-length")));
    assert_false(qp_slice_is_nocase(QP_SLICE("@"), QP_SLICE("`")));
    assert_false(qp_slice_is_nocase(QP_SLICE("["), QP_SLICE("{")));
    assert_false(qp_slice_is_nocase(QP_SLICE("\xc4"), QP_SLICE("\xe4")));
    assert_false(qp_slice_is_nocase(QP_SLICE("ab"), QP_SLICE("abc")));
    assert_true(qp_slice_is_nocase(QP_SLICE_NONE, QP_SLICE("")));
}

static void prefixes_and_suffixes(void **state)
{
    assert_true(qp_slice_starts(QP_SLICE("/API/v3"), QP_SLICE("/API/")));
    assert_false(qp_slice_starts(QP_SLICE("/API"), QP_SLICE("/API/")));
    assert_true(qp_slice_starts(QP_SLICE("x"), QP_SLICE("")));
    assert_true(qp_slice_ends_nocase(QP_SLICE("iad1.Qualtrics.COM"), QP_SLICE(".qualtrics.com")));
    assert_false(qp_slice_ends_nocase(QP_SLICE("com"), QP_SLICE(".com")));
    assert_true(qp_slice_ends_nocase(QP_SLICE_NONE, QP_SLICE("")));
}

static void trimming_takes_blanks_of_both_ends_only(void **state)
{
    assert_true(qp_slice_is(qp_slice_trim(QP_SLICE(" \ta b\t ")), QP_SLICE("a b")));
    assert_int_equal(qp_slice_trim(QP_SLICE(" \t ")).len, 0);
    assert_true(qp_slice_is(qp_slice_trim(QP_SLICE("\ra\n")), QP_SLICE("\ra\n")));
    assert_null(qp_slice_trim(QP_SLICE_NONE).at);
}

static void cutting_walks_through_a_list(void **state)
{
    struct qp_slice rest = QP_SLICE("a,,b");
    assert_true(qp_slice_is(qp_slice_cut(&rest, ','), QP_SLICE("a")));
    assert_int_equal(qp_slice_cut(&rest, ',').len, 0);
    assert_non_null(rest.at);
    assert_true(qp_slice_is(qp_slice_cut(&rest, ','), QP_SLICE("b")));
    assert_null(rest.at);
    rest = QP_SLICE("a,");
    qp_slice_cut(&rest, ',');
    assert_non_null(rest.at);
    assert_int_equal(rest.len, 0);
}

static void finding(void **state)
{
    struct qp_slice text = QP_SLICE("abcabc");
    assert_ptr_equal(qp_slice_find(text, QP_SLICE("ca")), text.at + 2);
    assert_null(qp_slice_find(text, QP_SLICE("cc")));
    assert_null(qp_slice_find(QP_SLICE_NONE, QP_SLICE("a")));
    assert_ptr_equal(qp_slice_find(text, QP_SLICE("")), text.at);
}

static void numbers_are_digits_without_overflow(void **state)
{
    uint64_t value = 7;
    assert_true(qp_slice_to_u64(QP_SLICE("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    assert_true(qp_slice_to_u64(QP_SLICE("0007"), &value));
    assert_int_equal(value, 7);
    static const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "99999999999999999999999", "1\xb2"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(qp_slice_to_u64(qp_slice_str(wrong[i]), &value));
        assert_int_equal(value, 7);
    }
    assert_false(qp_slice_to_u64(QP_SLICE_NONE, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_set_is_not_empty_but_equal_in_content),
        cmocka_unit_test(case_is_folded_for_ascii_letters_only),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(trimming_takes_blanks_of_both_ends_only),
        cmocka_unit_test(cutting_walks_through_a_list),
        cmocka_unit_test(finding),
        cmocka_unit_test(numbers_are_digits_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
