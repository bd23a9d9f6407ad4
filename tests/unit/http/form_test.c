/* application/x-www-form-urlencoded: RFC 6749 appendix B, the URL standard section 5. */
#include "http/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void values_are_decoded_or_refused(void **state)
{
    static const struct {
        const char *text;
        const char *value; /* NULL: it is refused */
    } rows[] = {
        {"", ""},
        {"abc", "abc"},
        {"a+b", "a b"},
        {"a%2Bb%2fc", "a+b/c"},
        {"%c3%A4", "\xc3\xa4"},
        {"\xc3\xa4\xff", "\xc3\xa4\xff"},
        {"a=b?/~", "a=b?/~"},
        {"%0d%0A", "\r\n"},
        {"%25%2525", "%%25"},
        {"%", NULL},
        {"%4", NULL},
        {"abc%", NULL},
        {"abc%4", NULL},
        {"%4g", NULL},
        {"%g4", NULL},
        {"%+4", NULL},
        {"%%41", NULL},
        {"% 1", NULL},
        {"%-1", NULL},
        {"%00", NULL},
        {"a%00b", NULL},
        {"%u0041", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        size_t len = strlen(rows[i].text);
        char *exact = malloc(len ? len : 1); /* so that ASan sees a read behind the end */
        char out[32];
        memcpy(exact, rows[i].text, len);
        bool is_good = qp_form_decode(qp_slice(exact, len), out, sizeof(out));
        if (is_good != (rows[i].value != NULL))
            fail_msg("'%s': %d", rows[i].text, is_good);
        assert_string_equal(out, is_good ? rows[i].value : "");
        free(exact);
    }
}

static void a_value_that_does_not_fit_is_refused(void **state)
{
    char out[4];
    assert_true(qp_form_decode(QP_SLICE("abc"), out, sizeof(out)));
    assert_true(qp_form_decode(QP_SLICE("%61%62%63"), out, sizeof(out)));
    assert_false(qp_form_decode(QP_SLICE("abcd"), out, sizeof(out)));
    assert_false(qp_form_decode(QP_SLICE("a\0b"), out, sizeof(out)));
}

static void a_parameter_is_found_once(void **state)
{
    static const struct {
        const char *pairs;
        unsigned times;
        const char *value;
    } rows[] = {
        {"", 0, ""},
        {"&&&", 0, ""},
        {"x=1", 0, ""},
        {"code=1", 1, "1"},
        {"code=", 1, ""},
        {"code", 1, ""},
        {"&code", 1, ""},
        {"a=b&code=c%3Dd+e&f", 1, "c=d e"},
        {"code=a=b", 1, "a=b"},
        {"acode=1&codea=2&Code=3&=code&1=code", 0, ""},
        {"code=1&code=1", 2, "1"},
        {"code=1&code=2&code=3", 3, "1"},
        {"code&code=2", 2, ""},
        {"code=1;x=2", 1, "1;x=2"},
        /* A name may be encoded as well as a value: what stands twice in disguise stands twice. */
        {"c%6Fde=1", 1, "1"},
        {"code=1&%63ode=2", 2, "1"},
        {"c%6de=1&%=2&%00code=3&code%00=4", 0, ""},
        /* What cannot be read is as bad as what stands twice. */
        {"code=%", 2, ""},
        {"code=%00", 2, ""},
        {"code=12345678", 2, ""},
        {"code=1234567", 1, "1234567"},
        {"code=%&code=1", 3, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char out[8] = "before";
        unsigned times = qp_form_find(qp_slice_str(rows[i].pairs), "code", out, sizeof(out));
        if (times != rows[i].times)
            fail_msg("'%s': %u times", rows[i].pairs, times);
        assert_string_equal(out, rows[i].value);
    }
    char out[8] = "before";
    assert_int_equal(qp_form_find(QP_SLICE_NONE, "code", out, sizeof(out)), 0);
    assert_string_equal(out, "");
    assert_int_equal(qp_form_find(QP_SLICE("code=a\0b"), "code", out, sizeof(out)), 2);
}

static void assert_encoded(struct qp_slice text, const char *expected)
{
    struct qp_buf out = {0};
    qp_form_append_encoded(&out, text);
    qp_buf_append_char(&out, '\0');
    assert_string_equal(qp_buf_slice(&out).at, expected);
    qp_buf_deinit(&out);
}

static void what_is_not_plain_is_encoded(void **state)
{
    assert_encoded(QP_SLICE_NONE, "");
    assert_encoded(QP_SLICE("azAZ09*-._"), "azAZ09*-._");
    assert_encoded(QP_SLICE(" %&+\xc2\xa3\xe2\x82\xac"),
                   "+%25%26%2B%C2%A3%E2%82%AC"); /* RFC 6749 appendix B */
    assert_encoded(QP_SLICE("~/:?#[]@!$'(),;=\"<>\\^`{|}"),
                   "%7E%2F%3A%3F%23%5B%5D%40%21%24%27%28%29%2C%3B%3D%22%3C%3E%5C%5E%60%7B%7C%7D");
    assert_encoded(QP_SLICE("\r\n\0\x7f\xff"), "%0D%0A%00%7F%FF");
}

static void all_bytes_but_nul_come_back(void **state)
{
    char text[256], back[256];
    struct qp_buf out = {0};
    for (int i = 0; i < 255; ++i)
        text[i] = (char)(i + 1);
    qp_form_append_encoded(&out, qp_slice(text, 255));
    assert_true(qp_buf_len(&out) <= 3u * 255);
    assert_true(qp_form_decode(qp_buf_slice(&out), back, sizeof(back)));
    assert_memory_equal(back, text, 255);
    qp_buf_deinit(&out);
}

static void pairs_are_joined(void **state)
{
    struct qp_buf out = {0};
    qp_form_append_pair(&out, "a", QP_SLICE("1&2"));
    qp_form_append_pair(&out, "b", QP_SLICE(""));
    qp_form_append_pair(&out, "c", QP_SLICE("?"));
    qp_form_append_pair(&out, "d", QP_SLICE("4"));
    assert_true(qp_slice_is(qp_buf_slice(&out), QP_SLICE("a=1%262&b=&c=%3F&d=4")));
    qp_buf_clear(&out);
    qp_buf_append_str(&out, "https://x/auth?");
    qp_form_append_pair(&out, "a", QP_SLICE("1"));
    qp_form_append_pair(&out, "b", QP_SLICE("2"));
    assert_true(qp_slice_is(qp_buf_slice(&out), QP_SLICE("https://x/auth?a=1&b=2")));
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded_or_refused),
        cmocka_unit_test(a_value_that_does_not_fit_is_refused),
        cmocka_unit_test(a_parameter_is_found_once),
        cmocka_unit_test(what_is_not_plain_is_encoded),
        cmocka_unit_test(all_bytes_but_nul_come_back),
        cmocka_unit_test(pairs_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
