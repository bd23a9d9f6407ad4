#include "told.h"

static const char *with_accounts(const char *accounts)
{
    static char text[4096];
    snprintf(text, sizeof(text), "{\"accounts\":[%s]}", accounts);
    return text;
}

static const char *with_vault(const char *accounts)
{
    static char text[4096];
    setenv("QP_TEST_VAULT_KEY", "k", 1);
    snprintf(text, sizeof(text), "{" VAULT ",\"accounts\":[%s]}", accounts);
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
        "\"grant\":\"refresh_token\",\"client_id\":\"i\",\"refresh_token\":\"r\",\"sign_in_warn\":\"30d\","
        "\"revoke_url\":\"https://a.b/revoke\"",
        "\"grant\":\"api_token\",\"api_token\":\"t\"",
        "\"grant\":\"authorization_code\",\"client_id\":\"i\"",
        "\"grant\":\"authorization_code\",\"client_id\":\"i\",\"client_secret\":\"s\",\"client_auth\":"
        "\"body\","
        "\"scope\":\"a "
        "b\",\"token_url\":\"https://a.b/t\",\"auth_url\":\"https://a.b/a\",\"issuer\":\"https://a.b\","
        "\"offline_scope\":\"off\",\"redirect_uri\":\"https://a.b/c\",\"revoke_url\":\"https://a.b/r\","
        "\"sign_in_warn\":\"off\"",
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
         "accounts[0].grant: missing; allowed: \"client_credentials\", \"refresh_token\", \"api_token\", "
         "\"authorization_code\"\n"},
        {"\"grant\":\"password\",\"api_token\":\"t\"",
         "accounts[0].grant: found \"password\"; allowed: \"client_credentials\", \"refresh_token\", "
         "\"api_token\", \"authorization_code\"\n"},
        {"\"grant\":\"authorization_code\",\"refresh_token\":\"r\",\"api_token\":\"t\"",
         "accounts[0].client_id: missing; the grant authorization_code needs it\n"
         "accounts[0].refresh_token: the grant authorization_code does not use it; remove it or choose "
         "another "
         "grant\n"
         "accounts[0].api_token: the grant authorization_code does not use it; remove it or choose another "
         "grant\n"},
    };
    char account[512];
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        snprintf(account, sizeof(account), "{\"datacenter\":\"iad1\",%s}", fine[i]);
        struct qp_config *config = parse(with_vault(account));
        qp_config_free(&config);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(account, sizeof(account), "{\"datacenter\":\"iad1\",%s}", wrong[i][0]);
        assert_told(with_vault(account), wrong[i][1]);
    }
    assert_int_equal(qp_secret_live_count(), 0);
}

static void what_only_some_grants_use_is_refused_for_the_others(void **state)
{
    static const char *const grants[] = {
        "\"grant\":\"client_credentials\",\"client_id\":\"i\",\"client_secret\":\"s\"",
        "\"grant\":\"refresh_token\",\"client_id\":\"i\",\"refresh_token\":\"r\"",
        "\"grant\":\"api_token\",\"api_token\":\"t\"",
    };
    static const struct {
        const char *key, *value;
        bool used[3];
    } keys[] = {
        {"auth_url", "https://a.b/c", {false, false, false}},
        {"redirect_uri", "https://a.b/c", {false, false, false}},
        {"issuer", "https://a.b", {false, false, false}},
        {"offline_scope", "offline", {false, false, false}},
        {"revoke_url", "https://a.b/c", {true, true, false}},
        {"sign_in_warn", "30d", {false, true, false}},
        {"token_url", "https://a.b/c", {true, true, false}},
        {"scope", "x", {true, true, false}},
        {"client_auth", "body", {true, true, false}},
    };
    char account[512];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (size_t k = 0; k < sizeof(grants) / sizeof(grants[0]); k++) {
            snprintf(account, sizeof(account), "{\"datacenter\":\"iad1\",%s,\"%s\":\"%s\"}", grants[k],
                     keys[i].key, keys[i].value);
            if (!keys[i].used[k]) {
                assert_tells(with_vault(account), "does not use it; remove it or choose another grant\n");
                assert_non_null(strstr(told_text, keys[i].key));
                continue;
            }
            struct qp_config *config = parse(with_vault(account));
            qp_config_free(&config);
        }
    }
}

#define SIGN_IN(rest) "{\"datacenter\":\"iad1\",\"grant\":\"authorization_code\",\"client_id\":\"i\"" rest "}"

static void a_sign_in_has_its_endpoints_and_issuer_by_default(void **state)
{
    struct qp_config *config = parse(with_vault(SIGN_IN("")));
    const struct qp_config_account *account = &config->accounts[0];
    assert_int_equal(account->grant, QP_CONFIG_GRANT_AUTHORIZATION_CODE);
    assert_string_equal(account->auth_url.text, "https://iad1.qualtrics.com/oauth2/auth");
    assert_string_equal(account->auth_url.host, "iad1.qualtrics.com");
    assert_string_equal(account->auth_url.path, "/oauth2/auth");
    assert_string_equal(account->token_url.path, "/oauth2/token");
    assert_string_equal(account->issuer, "https://iad1.qualtrics.com");
    assert_string_equal(account->offline_scope, "offline");
    assert_null(account->client_secret.value);
    assert_null(account->redirect_uri);
    assert_null(account->revoke_url.text);
    assert_int_equal(account->sign_in_warn_ms, 0);
    qp_config_free(&config);
    config = parse(with_vault(SIGN_IN(
        ",\"auth_url\":\"https://Login.B:8443/go?x=1\",\"offline_scope\":\"off\",\"sign_in_warn\":\"30d\","
        "\"revoke_url\":\"https://r.b/revoke\",\"redirect_uri\":\"https://q.b/oauth/callback\"")));
    account = &config->accounts[0];
    assert_string_equal(account->auth_url.path, "/go?x=1");
    assert_string_equal(account->issuer, "https://login.b:8443");
    assert_null(account->offline_scope);
    assert_string_equal(account->revoke_url.host, "r.b");
    assert_string_equal(account->redirect_uri, "https://q.b/oauth/callback");
    assert_true(account->sign_in_warn_ms == (uint64_t)30 * 86400000);
    qp_config_free(&config);
    config = parse(with_vault(SIGN_IN(",\"issuer\":\"https://x.y/z\"")));
    assert_string_equal(config->accounts[0].issuer, "https://x.y/z");
    qp_config_free(&config);
    config = parse(with_accounts("{\"datacenter\":\"iad1\"," TOKEN "}"));
    assert_null(config->accounts[0].auth_url.text);
    assert_null(config->accounts[0].issuer);
    qp_config_free(&config);
}

static void P4_a_grant_with_refresh_tokens_needs_a_vault_and_says_how_to_make_it(void **state)
{
    assert_told(
        with_accounts(SIGN_IN("")),
        "accounts[0].grant: authorization_code needs a vault, or its refresh token would be lost at a "
        "restart; run `qproxy key new FILE`, then write \"vault\": {\"path\": "
        "\"/var/lib/qproxy/vault\", \"key\": \"file:FILE\"} beside \"accounts\"\n");
    assert_tells(with_accounts("{\"datacenter\":\"iad1\",\"grant\":\"refresh_token\",\"client_id\":\"i\","
                               "\"refresh_token\":\"r\"}"),
                 "accounts[0].grant: refresh_token needs a vault");
    /* What is wrong with a vault is told at the vault, and only there. */
    assert_told("{\"vault\":{\"path\":\"/v\"},\"accounts\":[" SIGN_IN("") "]}",
                "vault.key: missing, and a vault is sealed with one; run `qproxy key new FILE`, then write "
                "\"key\": \"file:FILE\" beside \"path\"\n");
    assert_tells("{\"vault\":{\"cache_tokens\":true},\"accounts\":[" SIGN_IN("") "]}",
                 "accounts[0].grant: authorization_code needs a vault");
}

static void a_sign_in_needs_somewhere_to_come_back_to(void **state)
{
    static const char *const without[][2] = {{"\"off\"", "is off"},
                                             {"\"unix:/run/q\"", "has Unix sockets only"},
                                             {"[\"unix:/run/q\",\"unix:/run/r\"]", "has Unix sockets only"}};
    static const char *const with[] = {"\"127.0.0.1:1\"", "[\"unix:/run/q\",\"[::1]:1\"]"};
    char text[1024];
    char expected[512];
    setenv("QP_TEST_VAULT_KEY", "k", 1);
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        snprintf(text, sizeof(text), "{" VAULT ",\"admin\":{\"listen\":%s},\"accounts\":[%s]}", without[i][0],
                 SIGN_IN(""));
        snprintf(expected, sizeof(expected),
                 "accounts[0].redirect_uri: missing, and none follows from admin.listen, which %s; give "
                 "admin.listen an address such as \"127.0.0.1:8081\", or write the redirect URI that is "
                 "registered with the OAuth client\n",
                 without[i][1]);
        assert_told(text, expected);
        snprintf(text, sizeof(text), "{" VAULT ",\"admin\":{\"listen\":%s},\"accounts\":[%s]}", without[i][0],
                 SIGN_IN(",\"redirect_uri\":\"http://localhost:1/oauth/callback\""));
        struct qp_config *config = parse(text);
        qp_config_free(&config);
    }
    for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
        snprintf(text, sizeof(text), "{" VAULT ",\"admin\":{\"listen\":%s},\"accounts\":[%s]}", with[i],
                 SIGN_IN(""));
        struct qp_config *config = parse(text);
        qp_config_free(&config);
    }
    assert_tells(
        with_vault(SIGN_IN(",\"redirect_uri\":\"http://q.internal/oauth/callback\"")),
        "accounts[0].redirect_uri: found \"http://q.internal/oauth/callback\"; allowed: an https:// URI");
    assert_tells(with_vault(SIGN_IN(",\"redirect_uri\":\"https://u:hunter2@q.internal/\"")),
                 "accounts[0].redirect_uri: found a text; allowed: a URL without user name");
    assert_null(strstr(told_text, "hunter2"));
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
        cmocka_unit_test(what_only_some_grants_use_is_refused_for_the_others),
        cmocka_unit_test(a_sign_in_has_its_endpoints_and_issuer_by_default),
        cmocka_unit_test(P4_a_grant_with_refresh_tokens_needs_a_vault_and_says_how_to_make_it),
        cmocka_unit_test(a_sign_in_needs_somewhere_to_come_back_to),
        cmocka_unit_test(accounts_that_no_request_could_confuse_are_fine),
        cmocka_unit_test(ambiguous_accounts_are_refused_by_name),
        cmocka_unit_test(a_missing_ca_file_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
