/* utf8_test.c - which bytes are a character that may be shown: every code point, and every way to write none. */
#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static size_t encode(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t bytes = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(leads[bytes] | point);
    return bytes;
}

static void every_character_but_controls_is_shown(void **state)
{
    (void)state;
    char text[4];
    for (uint32_t point = 0; point < 0x120000; point++) {
        size_t bytes = encode(point, text);
        bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
        bool is_none = (point >= 0xd800 && point < 0xe000) || point > 0x10ffff;
        assert_int_equal(qp_utf8_shown_bytes(qp_slice(text, bytes)), is_control || is_none ? 0 : bytes);
        if (bytes > 1)
            assert_int_equal(qp_utf8_shown_bytes(qp_slice(text, bytes - 1)), 0); /* cut */
    }
}

static void what_is_no_character_is_not_shown(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "\x80",
        "\xbf",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3<",
        "\xe2\x82<",
        "\xf0\x9f\x98<",
        "\xc3\xc3",
        "\xe2\xe2\x82\xac",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_int_equal(qp_utf8_shown_bytes(qp_slice_str(broken[i])), 0);
}

static void what_follows_does_not_matter(void **state)
{
    (void)state;
    assert_int_equal(qp_utf8_shown_bytes(QP_SLICE("a\xff")), 1);
    assert_int_equal(qp_utf8_shown_bytes(QP_SLICE("\xe2\x82\xac\x1b[2J")), 3);
}

static void what_is_not_ascii_or_not_shown_becomes_a_question_mark(void **state)
{
    (void)state;
    char text[] = "a ~\x1b[2J\r\n\x7f\xc3\xa4";
    qp_ascii_only(text);
    assert_string_equal(text, "a ~?[2J?????");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_but_controls_is_shown),
        cmocka_unit_test(what_is_no_character_is_not_shown),
        cmocka_unit_test(what_follows_does_not_matter),
        cmocka_unit_test(what_is_not_ascii_or_not_shown_becomes_a_question_mark),
    };
    return cmocka_run_group_tests_name("base.utf8", tests, NULL, NULL);
}
