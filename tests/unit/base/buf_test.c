#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_content(const struct qp_buf *buf, const char *text)
{
    assert_true(qp_slice_is(qp_buf_slice(buf), qp_slice_str(text)));
}

static void a_zeroed_struct_is_an_empty_buffer(void **state)
{
    struct qp_buf buf = {0};
    assert_int_equal(qp_buf_len(&buf), 0);
    assert_null(qp_buf_slice(&buf).at);
    qp_buf_append(&buf, QP_SLICE_NONE);
    assert_null(buf.data);
    assert_non_null(qp_buf_reserve(&buf, 0));
    qp_buf_deinit(&buf);
    qp_buf_wipe(&buf);
}

static void all_appenders_write_what_they_say(void **state)
{
    struct qp_buf buf = {0};
    qp_buf_append(&buf, QP_SLICE("one "));
    qp_buf_append_str(&buf, "two ");
    qp_buf_append_char(&buf, '3');
    qp_buf_append_u64(&buf, 0);
    qp_buf_append_u64(&buf, UINT64_MAX);
    qp_buf_append_fmt(&buf, " %d-%s", -5, "x");
    assert_content(&buf, "one two 3018446744073709551615 -5-x");
    qp_buf_clear(&buf);
    assert_content(&buf, "");
    qp_buf_deinit(&buf);
}

static void json_text_is_escaped_and_eight_bit_bytes_pass(void **state)
{
    struct qp_buf buf = {0};
    qp_buf_append_json(&buf, QP_SLICE("a\"b\\c\n\r\t\b\f\0\x01\x1f\x7f/\xc3\xa9"));
    assert_content(&buf, "a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0000\\u0001\\u001f\\u007f/\xc3\xa9");
    qp_buf_clear(&buf);
    qp_buf_append_json(&buf, QP_SLICE_NONE);
    qp_buf_append_json(&buf, QP_SLICE("plain"));
    assert_content(&buf, "plain");
    qp_buf_deinit(&buf);
}

static void consuming_and_appending_keeps_order_over_any_sizes(void **state)
{
    struct qp_buf buf = {0};
    unsigned char next_in = 0;
    unsigned char next_out = 0;
    uint32_t random = 12345;
    for (int round = 0; round < 5000; round++) {
        random = random * 1103515245u + 12345u;
        size_t in = (random >> 16) % 200;
        char *room = qp_buf_reserve(&buf, in);
        for (size_t i = 0; i < in; i++)
            room[i] = (char)next_in++;
        qp_buf_commit(&buf, in);
        size_t len = qp_buf_len(&buf);
        size_t out = len ? (random >> 8) % (len + 1) : 0;
        for (size_t i = 0; i < out; i++)
            assert_int_equal((unsigned char)qp_buf_slice(&buf).at[i], (unsigned char)(next_out + i));
        next_out = (unsigned char)(next_out + out);
        qp_buf_consume(&buf, out);
    }
    assert_true(buf.capacity < 100000);
    qp_buf_deinit(&buf);
}

static void a_buffer_that_is_emptied_each_time_stays_small(void **state)
{
    struct qp_buf buf = {0};
    for (int round = 0; round < 10000; round++) {
        qp_buf_append(&buf, QP_SLICE("0123456789"));
        qp_buf_consume(&buf, 4);
        qp_buf_consume(&buf, 6);
    }
    assert_int_equal(buf.capacity, 64);
    qp_buf_deinit(&buf);
}

static bool memory_is_gone;

void *__real_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes)
{
    return memory_is_gone ? NULL : __real_qp_try_alloc(bytes);
}

static void without_memory_a_try_changes_nothing(void **state)
{
    struct qp_buf buf = {0};
    assert_true(qp_buf_try_append(&buf, QP_SLICE("abc")));
    assert_true(qp_buf_try_append(&buf, QP_SLICE("")));
    static char large[1000];
    memory_is_gone = true;
    assert_false(qp_buf_try_append(&buf, qp_slice(large, sizeof(large))));
    memory_is_gone = false;
    assert_int_equal(qp_buf_len(&buf), 3);
    assert_memory_equal(qp_buf_slice(&buf).at, "abc", 3);
    assert_true(qp_buf_try_append(&buf, QP_SLICE("d")));
    assert_memory_equal(qp_buf_slice(&buf).at, "abcd", 4);
    qp_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_struct_is_an_empty_buffer),
        cmocka_unit_test(all_appenders_write_what_they_say),
        cmocka_unit_test(json_text_is_escaped_and_eight_bit_bytes_pass),
        cmocka_unit_test(consuming_and_appending_keeps_order_over_any_sizes),
        cmocka_unit_test(a_buffer_that_is_emptied_each_time_stays_small),
        cmocka_unit_test(without_memory_a_try_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
