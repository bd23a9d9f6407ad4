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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_url_is_cut_into_its_parts),
        cmocka_unit_test(what_is_no_https_origin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
