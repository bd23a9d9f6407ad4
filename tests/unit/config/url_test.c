#include "config/url.h"
#include "told.h"

static void an_url_is_cut_into_its_parts(void **state)
{
    static const struct {
        const char *text, *host, *authority, *path;
        uint16_t port;
    } urls[] = {
        {"https://a.b", "a.b", "a.b", "", 443},
        {"HTTPS://A.b:443/x?y=1", "a.b", "a.b", "/x?y=1", 443},
        {"https://127.0.0.1:8443/oauth2/token", "127.0.0.1", "127.0.0.1:8443", "/oauth2/token", 8443},
        {"https://[2001:DB8::1]/", "2001:db8::1", "[2001:db8::1]", "/", 443},
        {"https://localhost:1", "localhost", "localhost:1", "", 1},
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct qp_config_url url = {.text = strdup(urls[i].text)};
        assert_null(qp_config_url_parse(&url, true));
        assert_string_equal(url.host, urls[i].host);
        assert_string_equal(url.authority, urls[i].authority);
        assert_string_equal(url.path, urls[i].path);
        assert_int_equal(url.port, urls[i].port);
        qp_url_deinit(&url);
    }
}

static void what_is_no_https_origin_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "a.b",
        "http://a.b",
        "ftp://a.b",
        "https:/a.b",
        "https://",
        "https://:443",
        "https://a.b:",
        "https://a.b:0",
        "https://a.b:65536",
        "https://a.b:4x",
        "https://u@a.b",
        "https://u:p@a.b",
        "https://a.b/x",
        "https://a.b?x",
        "https://a.b#x",
        "https://a b",
        "https://a.b\\c",
        "https://-a.b",
        "https://a..b",
        "https://[::1",
        "https://[::1]x",
        "https://[fe80::1%25eth0]",
        "https://::1",
        "https://1.2.3",
        "https://1.2.3.4.5",
        "https://a_b.c",
        "https://\xc3\xa4.b",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (!qp_refuse_origin(wrong[i]))
            fail_msg("'%s' was accepted", wrong[i]);
    assert_null(qp_refuse_origin("https://a.b/"));
    assert_non_null(qp_refuse_token_url("https://a.b/x#y"));
    assert_non_null(qp_refuse_token_url("https://a.b/x y"));
    assert_non_null(qp_refuse_token_url("https://a.b?x"));
    assert_non_null(strstr(qp_refuse_token_url("http://a.b/t"), "over plain http"));
}

static void a_redirect_uri_is_https_or_this_machine(void **state)
{
    static const char *const fine[] = {
        "https://q.internal/oauth/callback",    "https://q.internal", "https://q.internal:8443/a?b=c",
        "http://localhost:8081/oauth/callback", "http://LOCALHOST/",  "http://127.0.0.1:8081/oauth/callback",
        "http://[::1]:8081/oauth/callback",
    };
    static const char *const wrong[] = {
        "",
        "/oauth/callback",
        "q.internal/oauth/callback",
        "qproxy:/callback",
        "urn:ietf:wg:oauth:2.0:oob",
        "javascript:alert(1)",
        "http://q.internal/oauth/callback",
        "http://localhost.evil.org/",
        "http://127.0.0.2/",
        "http://127.0.0.1.evil.org/",
        "http://[::2]/",
        "http://",
        "https://",
        "https://q.internal/#x",
        "https://q.internal#x",
        "http://localhost/#",
        "https://u@q.internal/",
        "http://u:p@localhost/",
        "http://localhost@q.internal/",
        "http://localhost:0/",
        "http://localhost:/",
        "https://q.internal/a b",
        "https://q.internal/a\"b",
        "https://q.internal/\xc3\xa4",
    };
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        if (qp_refuse_redirect_uri(fine[i]))
            fail_msg("'%s': %s", fine[i], qp_refuse_redirect_uri(fine[i]));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (!qp_refuse_redirect_uri(wrong[i]))
            fail_msg("'%s' was accepted", wrong[i]);
    assert_non_null(strstr(qp_refuse_redirect_uri("http://a.b/"), "only, because the code"));
}

static void an_authority_is_a_host_with_or_without_a_port(void **state)
{
    static const char *const fine[] = {"a.b",   "A.b:1",         "localhost", "10.0.0.1:65535",
                                       "[::1]", "[fe80::1]:8080"};
    static const char *const wrong[] = {"",       ":1",      "a.b:",       "a.b:0",    "a.b:65536", "a.b:1:2",
                                        "::1",    "[::1",    "[::1]x",     "[a.b]:1x", "a b",       "a.b/",
                                        "u@a.b",  "a.b:+1",  "http://a.b", "*",        "[]",        "a.b.",
                                        "a.b:80", "a.b:443", "[::1]:443"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        if (qp_refuse_authority(fine[i]))
            fail_msg("'%s': %s", fine[i], qp_refuse_authority(fine[i]));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (!qp_refuse_authority(wrong[i]))
            fail_msg("'%s' was accepted", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_url_is_cut_into_its_parts),
        cmocka_unit_test(what_is_no_https_origin_is_refused),
        cmocka_unit_test(a_redirect_uri_is_https_or_this_machine),
        cmocka_unit_test(an_authority_is_a_host_with_or_without_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
