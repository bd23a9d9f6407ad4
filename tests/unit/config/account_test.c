#include "told.h"

static const char *with_accounts(const char *accounts)
{
    static char text[4096];
    snprintf(text, sizeof(text), "{\"accounts\":[%s]}", accounts);
    return text;
}

#define TOKEN "\"grant\":\"api_token\",\"api_token\":\"t\""

static void a_datacenter_becomes_an_origin_and_a_token_url(void **state)
{
    struct qp_config *config = parse(with_accounts("{\"datacenter\":\"iad1\"," TOKEN "}"));
    const struct qp_config_account *account = &config->accounts[0];
    assert_string_equal(account->name, "main");
    assert_string_equal(account->origin.host, "iad1.qualtrics.com");
    assert_string_equal(account->origin.authority, "iad1.qualtrics.com");
    assert_int_equal(account->origin.port, 443);
    assert_string_equal(account->token_url.path, "/oauth2/token");
    assert_string_equal(account->token_url.host, "iad1.qualtrics.com");
    qp_config_free(&config);
    assert_null(config);
    config = parse(with_accounts("{\"datacenter\":\"Brand.iad1.Qualtrics.com\"," TOKEN "}"));
    assert_string_equal(config->accounts[0].origin.host, "brand.iad1.qualtrics.com");
    qp_config_free(&config);
}

static void an_origin_has_its_own_port_and_the_token_endpoint_follows(void **state)
{
    struct qp_config *config = parse(with_accounts("{\"origin\":\"https://[::1]:8443\"," TOKEN "}"));
    const struct qp_config_account *account = &config->accounts[0];
    assert_string_equal(account->origin.host, "::1");
    assert_string_equal(account->origin.authority, "[::1]:8443");
    assert_int_equal(account->origin.port, 8443);
    assert_string_equal(account->token_url.text, "https://[::1]:8443/oauth2/token");
    qp_config_free(&config);
}

static void P2_an_origin_is_https_and_in_the_right_domain_or_explicit(void **state)
{
    assert_told(with_accounts("{\"origin\":\"http://a.b\"," TOKEN "}"),
                "accounts[0].origin: found \"http://a.b\"; allowed: an https:// URL: over plain http the "
                "credentials and "
                "tokens could be read on the way\n");
    assert_tells(with_accounts("{\"datacenter\":\"iad1.qualtrics.com.evil.org\"," TOKEN "}"),
                 "for other hosts use origin");
    assert_tells(with_accounts("{\"datacenter\":\"iad1/x\"," TOKEN "}"),
                 "accounts[0].datacenter: found \"iad1/x\"");
    assert_told(with_accounts("{" TOKEN "}"),
                "accounts[0]: neither datacenter nor origin is given; allowed: either "
                "datacenter (such as \"iad1\") or origin (https://host:port)\n");
    assert_tells(with_accounts("{\"datacenter\":\"iad1\",\"origin\":\"https://a.b\"," TOKEN "}"),
                 "accounts[0]: both datacenter and origin are given");
}

static void each_grant_has_what_it_needs_and_nothing_else(void **state)
{
    static const char *const fine[] = {
        "\"grant\":\"client_credentials\",\"client_id\":\"i\",\"client_secret\":\"s\",\"scope\":\"a b\"",
        "\"grant\":\"refresh_token\",\"client_id\":\"i\",\"refresh_token\":\"r\"",
        "\"grant\":\"refresh_token\",\"client_id\":\"i\",\"refresh_token\":\"r\",\"client_secret\":\"s\"",
        "\"grant\":\"api_token\",\"api_token\":\"t\"",
    };
    static const char *const wrong[][2] = {
        {"\"grant\":\"client_credentials\",\"client_id\":\"i\"",
         "accounts[0].client_secret: missing; the grant client_credentials needs it\n"},
        {"\"grant\":\"client_credentials\",\"client_id\":\"i\",\"client_secret\":\"s\",\"api_token\":\"t\"",
         "accounts[0].api_token: the grant client_credentials does not use it; remove it or choose another "
         "grant\n"},
        {"\"grant\":\"refresh_token\",\"client_id\":\"i\"",
         "accounts[0].refresh_token: missing; the grant refresh_token needs it\n"},
        {"\"grant\":\"api_token\"", "accounts[0].api_token: missing; the grant api_token needs it\n"},
        {"\"client_id\":\"i\"",
         "accounts[0].grant: missing; allowed: \"client_credentials\", \"refresh_token\", \"api_token\"\n"},
        {"\"grant\":\"password\",\"api_token\":\"t\"",
         "accounts[0].grant: found \"password\"; allowed: \"client_credentials\", \"refresh_token\", "
         "\"api_token\"\n"},
        {"\"grant\":\"authorization_code\",\"client_id\":\"i\"",
         "accounts[0].grant: found \"authorization_code\": not available in this version; use "
         "client_credentials, "
         "refresh_token or api_token\n"},
    };
    char account[512];
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        snprintf(account, sizeof(account), "{\"datacenter\":\"iad1\",%s}", fine[i]);
        struct qp_config *config = parse(with_accounts(account));
        qp_config_free(&config);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(account, sizeof(account), "{\"datacenter\":\"iad1\",%s}", wrong[i][0]);
        assert_told(with_accounts(account), wrong[i][1]);
    }
    assert_int_equal(qp_secret_live_count(), 0);
}

#define A(name, rest) "{\"name\":\"" name "\",\"datacenter\":\"iad1\"," TOKEN rest "}"

static void accounts_that_no_request_could_confuse_are_fine(void **state)
{
    static const char *const fine[] = {
        A("a", "") "," A("b", ",\"path_prefix\":\"/b\""),
        A("a", ",\"path_prefix\":\"/a\"") "," A("b", ",\"path_prefix\":\"/ab\""),
        A("a", ",\"host\":\"a.x\"") "," A("b", ",\"host\":[\"b.x\",\"c.x\"]"),
        A("a", ",\"host\":\"a.x\",\"path_prefix\":\"/p\"") "," A("b",
                                                                 ",\"host\":\"b.x\",\"path_prefix\":\"/p\""),
        A("a", "") "," A("b", ",\"listen\":\"127.0.0.1:9001\""),
        A("a", ",\"listen\":\"127.0.0.1:9002\"") "," A("b", ",\"listen\":\"127.0.0.1:9001\""),
        A("a", ",\"listen\":\"127.0.0.1:9002\"") "," A("b", ",\"path_prefix\":\"/p\""),
        A("a", ",\"listen\":\"127.0.0.1:9002\",\"path_prefix\":\"/a\"") "," A("b", ",\"path_prefix\":\"/p\""),
    };
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        struct qp_config *config = parse(with_accounts(fine[i]));
        assert_int_equal(config->account_count, 2);
        qp_config_free(&config);
    }
}

static void ambiguous_accounts_are_refused_by_name(void **state)
{
    static const char *const wrong[][2] = {
        {A("a", "") "," A("a", ",\"path_prefix\":\"/b\""),
         "accounts[1].name: accounts[0] and accounts[1] are both called 'a'\n"},
        {A("a", "") "," A("b", ""),
         "accounts[1]: accounts 'a' and 'b' both have neither path_prefix, host nor listen, "
         "so nothing tells which one a request is for\n"},
        {A("a", ",\"path_prefix\":\"/p\"") "," A("b", ",\"path_prefix\":\"/p\""),
         "accounts[1].path_prefix: accounts 'a' and 'b' have the same path_prefix /p\n"},
        {A("a", ",\"path_prefix\":\"/p/q\"") "," A("b", ",\"path_prefix\":\"/p\""),
         "accounts[1].path_prefix: accounts 'a' (/p/q) and 'b' (/p): one path_prefix lies within the other, "
         "so a request "
         "could belong to both\n"},
        {A("a", ",\"path_prefix\":\"/p\"") "," A("b", ",\"host\":\"b.x\""),
         "accounts[1]: a request could belong to both accounts 'a' and 'b': give both a host of their own, "
         "or both a "
         "path_prefix\n"},
        {A("a", ",\"host\":\"B.x\"") "," A("b", ",\"host\":\"b.X\""),
         "accounts[1]: a request could belong to both accounts 'a' and 'b': give both a host of their own, "
         "or both a "
         "path_prefix\n"},
        /* An own listener takes nothing away from what an account is chosen by at the common ones. */
        {A("a", ",\"listen\":\"127.0.0.1:9001\",\"path_prefix\":\"/p\"") "," A("b",
                                                                               ",\"path_prefix\":\"/p\""),
         "accounts[1].path_prefix: accounts 'a' and 'b' have the same path_prefix /p\n"},
        {A("a", ",\"host\":\"a.x\"") "," A("b", ",\"listen\":\"127.0.0.1:9001\",\"host\":\"a.x\""),
         "accounts[1]: a request could belong to both accounts 'a' and 'b': give both a host of their own, "
         "or both a path_prefix\n"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_told(with_accounts(wrong[i][0]), wrong[i][1]);
}

static void a_missing_ca_file_is_told(void **state)
{
    assert_told(with_accounts(A("a", ",\"ca_file\":\"/nonexistent/ca.pem\"")),
                "accounts[0].ca_file: /nonexistent/ca.pem cannot be read: No such file or directory\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datacenter_becomes_an_origin_and_a_token_url),
        cmocka_unit_test(an_origin_has_its_own_port_and_the_token_endpoint_follows),
        cmocka_unit_test(P2_an_origin_is_https_and_in_the_right_domain_or_explicit),
        cmocka_unit_test(each_grant_has_what_it_needs_and_nothing_else),
        cmocka_unit_test(accounts_that_no_request_could_confuse_are_fine),
        cmocka_unit_test(ambiguous_accounts_are_refused_by_name),
        cmocka_unit_test(a_missing_ca_file_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
