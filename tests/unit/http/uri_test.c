#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void check_slice(struct qp_slice slice, const char *expected)
{
    if (!expected)
        assert_null(slice.at);
    else
        assert_true(slice.at && qp_slice_is(slice, qp_slice_str(expected)));
}

static void targets_are_split_byte_for_byte(void **state)
{
    static const struct {
        const char *method, *target;
        enum qp_target_form form;
        const char *authority, *path, *query;
    } cases[] = {
        {"GET", "/", QP_TARGET_ORIGIN, NULL, "/", NULL},
        {"GET", "/?", QP_TARGET_ORIGIN, NULL, "/?", NULL},
        {"GET", "//a//b/../c/./%2e%2E%00?x=%zz&{|}^`\"<>\\", QP_TARGET_ORIGIN, NULL,
         "//a//b/../c/./%2e%2E%00?x=%zz&{|}^`\"<>\\", NULL},
        {"GET", "/http://a/", QP_TARGET_ORIGIN, NULL, "/http://a/", NULL},
        {"OPTIONS", "*", QP_TARGET_ASTERISK, NULL, NULL, NULL},
        {"GET", "http://a", QP_TARGET_ABSOLUTE, "a", "/", NULL},
        {"GET", "http://a/", QP_TARGET_ABSOLUTE, "a", "/", NULL},
        {"GET", "hTTps://A:8443//x?y", QP_TARGET_ABSOLUTE, "A:8443", "//x?y", NULL},
        {"GET", "http://a?y=/", QP_TARGET_ABSOLUTE, "a", "", "?y=/"},
        {"GET", "http://[::1]:80/x", QP_TARGET_ABSOLUTE, "[::1]:80", "/x", NULL},
        {"GET", "http://a/@", QP_TARGET_ABSOLUTE, "a", "/@", NULL},
        {"CONNECT", "a:443", QP_TARGET_AUTHORITY, "a:443", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qp_target target;
        assert_true(qp_target_parse(qp_slice_str(cases[i].method), qp_slice_str(cases[i].target), &target));
        assert_int_equal(target.form, cases[i].form);
        check_slice(target.authority, cases[i].authority);
        check_slice(target.path, cases[i].path);
        check_slice(target.query, cases[i].query);
    }
}

static void other_targets_are_not_accepted(void **state)
{
    static const char *const targets[] = {
        "",
        "*",
        "a",
        "a/b",
        "a:443",
        "?x",
        "#",
        "/#",
        "/a b",
        "/a\tb",
        "/\x7f",
        "/\x80",
        "/a\r\nb",
        "**",
        "http:",
        "http:/",
        "http://",
        "http:///",
        "http://?",
        "http:/a",
        "http:a",
        "httpx://a/",
        "ftp://a/",
        "ws://a/",
        "file:///etc",
        "http://u@a/",
        "http://u:p@a/",
        "http://a:b/",
        "http://a:80:80/",
        "http://a#b",
        "http://[::1/",
        "http://[x]/",
        "http://[::1]x/",
        "http://a%/",
        "http://a%4/",
        "http://a^b/",
        "//",
    };
    struct qp_target target = {.form = QP_TARGET_ORIGIN, .path = QP_SLICE("untouched")};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        const bool is_path = strcmp(targets[i], "//") == 0;
        assert_int_equal(qp_target_parse(QP_SLICE("GET"), qp_slice_str(targets[i]), &target), is_path);
        check_slice(target.path, is_path ? "//" : "untouched");
    }
    assert_false(qp_target_parse(QP_SLICE("CONNECT"), QP_SLICE("/"), &target));
    assert_false(qp_target_parse(QP_SLICE("CONNECT"), QP_SLICE("a"), &target));
    assert_false(qp_target_parse(QP_SLICE("CONNECT"), QP_SLICE("a:"), &target));
    assert_false(qp_target_parse(QP_SLICE("GET"), QP_SLICE("/a\0b"), &target));
}

static void authorities(void **state)
{
    static const char *const good[] = {
        "a",         "a.b-c_d~e",  "A:1",         "a:65535",          "a:",   "127.0.0.1:80",
        "[::1]",     "[::1]:8080", "[fe80::1:2]", "[::ffff:1.2.3.4]", "%41b", "a!$&'()*+,;=b",
        "localhost",
    };
    static const char *const bad[] = {
        "",       ":80",   "a:65536", "a:000080", "a:1x",
        "a:-1",   "a b",   "a/b",     "a?b",      "a#b",
        "u@a",    "a\x01", "a\x80",   "[]",       "[:]",
        "[::1",   "::1",   "[::1]a",  "[::g]",    "[::1%25eth0]",
        "[v1.a]", "%4",    "%zz",     "a:1:2",    "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0]",
        "\"a\"",  "<a>",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(qp_is_authority(qp_slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (qp_is_authority(qp_slice_str(bad[i])))
            print_error("accepted: %s\n", bad[i]);
        assert_false(qp_is_authority(qp_slice_str(bad[i])));
    }
    assert_false(qp_is_authority(QP_SLICE_NONE));
}

static void urls(void **state)
{
    static const struct {
        const char *text;
        bool https;
        const char *host;
        uint16_t port;
        bool has_port;
        const char *rest;
    } cases[] = {
        {"https://iad1.qualtrics.com", true, "iad1.qualtrics.com", 443, false, ""},
        {"https://iad1.qualtrics.com/oauth2/token?x=1", true, "iad1.qualtrics.com", 443, false,
         "/oauth2/token?x=1"},
        {"HTTP://A:8080/", false, "A", 8080, true, "/"},
        {"http://[::1]:1", false, "::1", 1, true, ""},
        {"http://a:", false, "a", 80, false, ""},
    };
    static const char *const bad[] = {
        "",
        "a",
        "https:",
        "https://",
        "https:///x",
        "ftp://a",
        "https://u@a",
        "https://a/#f",
        "https://a#f",
        "https://a:0",
        "https://a:70000",
        "https://a?x=1",
        "https://a b/",
        "https://a/\n",
        "//a",
        "/a",
    };
    struct qp_url url;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(qp_url_parse(qp_slice_str(cases[i].text), &url));
        assert_int_equal(url.https, cases[i].https);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.has_port, cases[i].has_port);
        check_slice(url.host, cases[i].host);
        check_slice(url.rest, cases[i].rest);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(qp_url_parse(qp_slice_str(bad[i]), &url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_split_byte_for_byte),
        cmocka_unit_test(other_targets_are_not_accepted),
        cmocka_unit_test(authorities),
        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
