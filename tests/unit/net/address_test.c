#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/address.h"

/* text -> what qp_address_format() makes of it; NULL: refused. */
static const struct {
    const char *text;
    const char *formatted;
    bool loopback;
} cases[] = {
    {"127.0.0.1:8080", "127.0.0.1:8080", true},
    {"127.9.9.9:1", "127.9.9.9:1", true},
    {"0.0.0.0:0", "0.0.0.0:0", false},
    {"10.0.0.1:65535", "10.0.0.1:65535", false},
    {"[::1]:8080", "[::1]:8080", true},
    {"[::]:80", "[::]:80", false},
    {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", false},
    {"unix:/run/qproxy.sock", "unix:/run/qproxy.sock", true},
    {"unix:/a:b", "unix:/a:b", true},
    {"", NULL, false},
    {":", NULL, false},
    {":8080", NULL, false},
    {"8080", NULL, false},
    {"127.0.0.1", NULL, false},
    {"127.0.0.1:", NULL, false},
    {"127.0.0.1:65536", NULL, false},
    {"127.0.0.1:-1", NULL, false},
    {"127.0.0.1:+1", NULL, false},
    {"127.0.0.1: 1", NULL, false},
    {"127.0.0.1:00000080", NULL, false},
    {"127.0.0.1:80x", NULL, false},
    {"127.0.1:80", NULL, false},
    {"127.0.0.256:80", NULL, false},
    {"localhost:80", NULL, false},
    {"::1:80", NULL, false},
    {"[::1]", NULL, false},
    {"[::1]80", NULL, false},
    {"[::1:80", NULL, false},
    {"[]:80", NULL, false},
    {"[127.0.0.1]:80", NULL, false},
    {"[1111:1111:1111:1111:1111:1111:1111:1111:1111]:80", NULL, false},
    {"unix:", NULL, false},
    {"unix:relative", NULL, false},
};

static void each_text_is_read_or_refused_with_a_reason(void **state)
{
    char text[160];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct qp_address address = {0};
        struct qp_address again = {0};
        const char *why = NULL;
        enum qp_result result = qp_address_parse(qp_slice_str(cases[i].text), &address, &why);
        if (!cases[i].formatted) {
            assert_int_not_equal(result, QP_OK);
            assert_non_null(why);
            assert_int_equal(address.len, 0);
            continue;
        }
        assert_int_equal(result, QP_OK);
        assert_string_equal(qp_address_format(&address, text, sizeof(text)), cases[i].formatted);
        assert_int_equal(qp_address_is_loopback(&address), cases[i].loopback);
        assert_int_equal(qp_address_parse(qp_slice_str(text), &again, &why), QP_OK);
        assert_true(qp_address_equal(&address, &again));
    }
}

static void different_addresses_are_not_equal(void **state)
{
    static const char *const texts[] = {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1",
                                        "[::1]:2",     "[::2]:1",     "unix:/a",     "unix:/ab"};
    enum { COUNT = sizeof(texts) / sizeof(texts[0]) };
    struct qp_address addresses[COUNT];
    const char *why;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(qp_address_parse(qp_slice_str(texts[i]), &addresses[i], &why), QP_OK);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < COUNT; j++)
            assert_int_equal(qp_address_equal(&addresses[i], &addresses[j]), i == j);
    }
}

static void a_unix_path_has_at_most_107_bytes(void **state)
{
    char text[5 + 108];
    struct qp_address address;
    const char *why;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "unix:/", 6);
    assert_int_equal(qp_address_parse(qp_slice(text, 5 + 107), &address, &why), QP_OK);
    assert_int_not_equal(qp_address_parse(qp_slice(text, 5 + 108), &address, &why), QP_OK);
    text[50] = 0;
    assert_int_not_equal(qp_address_parse(qp_slice(text, 5 + 100), &address, &why), QP_OK);
}

static void formatting_is_cut_at_the_size_and_an_unnamed_socket_has_a_form(void **state)
{
    struct qp_address address;
    struct qp_address unnamed = {.u.any.sa_family = AF_UNIX, .len = sizeof(sa_family_t)};
    const char *why;
    char small[6];
    char text[32];

    (void)state;
    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:80"), &address, &why), QP_OK);
    assert_string_equal(qp_address_format(&address, small, sizeof(small)), "127.0");
    assert_string_equal(qp_address_format(&unnamed, text, sizeof(text)), "unix:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_text_is_read_or_refused_with_a_reason),
        cmocka_unit_test(different_addresses_are_not_equal),
        cmocka_unit_test(a_unix_path_has_at_most_107_bytes),
        cmocka_unit_test(formatting_is_cut_at_the_size_and_an_unnamed_socket_has_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
