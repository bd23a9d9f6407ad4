#include "config/values.h"
#include "told.h"

static void durations_and_sizes_need_digits_and_one_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } durations[] = {{"0ms", 0},    {"250ms", 250},  {"10s", 10000},
                     {"1m", 60000}, {"2h", 7200000}, {"1d", 86400000}},
      sizes[] = {{"0B", 0}, {"512B", 512}, {"64KiB", 65536}, {"2MiB", 2097152}, {"1GiB", 1073741824}};
    static const char *const wrong[] = {"",
                                        "10",
                                        "s",
                                        "10 s",
                                        " 10s",
                                        "10s ",
                                        "-1s",
                                        "+1s",
                                        "1.5s",
                                        "1S",
                                        "10sec",
                                        "1m30s",
                                        "1KB",
                                        "1kib",
                                        "18446744073709551616ms",
                                        "18446744073709551615d",
                                        "18446744073709551615GiB",
                                        "0x10s"};
    char text[QP_VALUE_BYTES];
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        assert_true(qp_duration_parse(durations[i].text, &value));
        assert_true(value == durations[i].value);
        assert_string_equal(qp_duration_format(value, text), durations[i].text);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_true(qp_size_parse(sizes[i].text, &value));
        assert_true(value == sizes[i].value);
        assert_string_equal(qp_size_format(value, text), sizes[i].text);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(qp_duration_parse(wrong[i], &value));
        assert_false(qp_size_parse(wrong[i], &value));
    }
    assert_string_equal(qp_duration_format(90000, text), "90s");
    assert_string_equal(qp_size_format(1536, text), "1536B");
}

static void the_distance_of_texts_counts_slips_of_the_keyboard(void **state)
{
    assert_int_equal(qp_text_distance("listen", "listen", 9), 0);
    assert_int_equal(qp_text_distance("lisetn", "listen", 9), 1);
    assert_int_equal(qp_text_distance("lsten", "listen", 9), 1);
    assert_int_equal(qp_text_distance("listenx", "listen", 9), 1);
    assert_int_equal(qp_text_distance("", "abc", 9), 3);
    assert_int_equal(qp_text_distance("abc", "xyz", 2), 2);
    char longer[100];
    memset(longer, 'x', sizeof(longer));
    longer[99] = '\0';
    assert_int_equal(qp_text_distance(longer, longer, 5), 5);
}

static void names_hosts_and_prefixes(void **state)
{
    static const char *const good_prefixes[] = {"/a", "/a/b", "/a-b_c~d.e", "/..."};
    static const char *const bad_prefixes[] = {"",        "/",    "a",    "/a/",   "//a", "/a//b",
                                               "/a/../b", "/./a", "/a?b", "/a%20", "/a b"};
    static const char *const good_datacenters[] = {"iad1", "eu", "iad1.qualtrics.com", "x.y.QUALTRICS.com"};
    static const char *const bad_datacenters[] = {"",
                                                  ".",
                                                  "-a",
                                                  "a.b",
                                                  "qualtrics.com",
                                                  "x.qualtrics.com.",
                                                  "a_b.qualtrics.com",
                                                  "evilqualtrics.com",
                                                  "iad1:443",
                                                  "iad1.qualtrics.com/x"};
    for (size_t i = 0; i < sizeof(good_prefixes) / sizeof(good_prefixes[0]); i++)
        assert_null(qp_refuse_path_prefix(good_prefixes[i]));
    for (size_t i = 0; i < sizeof(bad_prefixes) / sizeof(bad_prefixes[0]); i++)
        assert_non_null(qp_refuse_path_prefix(bad_prefixes[i]));
    for (size_t i = 0; i < sizeof(good_datacenters) / sizeof(good_datacenters[0]); i++)
        assert_null(qp_refuse_datacenter(good_datacenters[i]));
    for (size_t i = 0; i < sizeof(bad_datacenters) / sizeof(bad_datacenters[0]); i++)
        assert_non_null(qp_refuse_datacenter(bad_datacenters[i]));
    assert_null(qp_refuse_name("a-b_9"));
    assert_non_null(qp_refuse_name("A"));
    assert_non_null(qp_refuse_name(""));
    assert_null(qp_refuse_scope("manage:all read:x"));
    assert_non_null(qp_refuse_scope("a\"b"));
    assert_null(qp_refuse_via("qproxy-1"));
    assert_non_null(qp_refuse_via("a b"));
    assert_non_null(qp_refuse_unprintable("a\nb"));
    assert_true(qp_is_host("localhost") && qp_is_host("::1") && qp_is_host("10.0.0.1"));
    assert_false(qp_is_host("256.0.0.1") || qp_is_host("a.") || qp_is_host("") || qp_is_host("a:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_and_sizes_need_digits_and_one_unit),
        cmocka_unit_test(the_distance_of_texts_counts_slips_of_the_keyboard),
        cmocka_unit_test(names_hosts_and_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
