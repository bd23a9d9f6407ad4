#include "told.h"

static char *printed_sample(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    qp_config_sample(out);
    fclose(out);
    return text;
}

static char *printed(const struct qp_config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    qp_config_print(config, out);
    fclose(out);
    return text;
}

static void the_committed_sample_is_the_tables(void **state)
{
    char *sample = printed_sample();
    static char committed[64 * 1024];
    FILE *file = fopen(QP_TEST_DIR "/../../../conf/qproxy.json", "r");
    assert_non_null(file);
    size_t len = fread(committed, 1, sizeof(committed) - 1, file);
    committed[len] = '\0';
    fclose(file);
    assert_string_equal(committed, sample); /* else: build/dev/qproxy check --sample > conf/qproxy.json */
    free(sample);
}

static void the_sample_is_loadable(void **state)
{
    setenv("QUALTRICS_CLIENT_ID", "id", 1);
    setenv("QUALTRICS_CLIENT_SECRET", "secret", 1);
    char *sample = printed_sample();
    struct qp_config *config = parse(sample);
    assert_string_equal(config->accounts[0].client_id, "id");
    qp_config_free(&config);
    free(sample);
}

static void P1_the_effective_configuration_masks_secrets_and_says_where_from(void **state)
{
    struct qp_config *config = parse("{\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"client_"
                                     "credentials\",\"client_id\":\"my \\\"id\",\"client_secret\":"
                                     "\"hunter2\"}],\"workers\":2}");
    char *text = printed(config);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\"client_secret\": \"********\", // set, from the configuration file\n"));
    assert_non_null(strstr(text, "// \"api_token\": not used by this grant\n"));
    assert_non_null(strstr(text, "\"client_id\": \"my \\\"id\",\n"));
    assert_non_null(strstr(text, "\"workers\": 2,\n"));
    assert_non_null(strstr(text, "\"client_head\": \"10s\", // default\n"));
    assert_non_null(strstr(text, "\"token_url\": \"https://iad1.qualtrics.com/oauth2/token\",\n"));
    assert_non_null(strstr(text, "// \"offline_scope\": not used by this grant\n"));
    assert_non_null(strstr(text, "// \"path\": not set\n"));
    free(text);
    qp_config_free(&config);
    setenv("QP_TEST_SECRET", "hunter2", 1);
    config = parse(
        "{\"admin\":{\"token\":\"hunter2\"},\"vault\":{\"path\":\"/v\",\"key\":\"passphrase:env:QP_TEST_"
        "SECRET\",\"old_key\":\"env:QP_TEST_SECRET\"},\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":"
        "\"authorization_code\",\"client_id\":\"i\"}]}");
    text = printed(config);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\"token\": \"********\", // set, from the configuration file\n"));
    assert_non_null(strstr(text, "\"key\": \"********\", // set, a passphrase from env:QP_TEST_SECRET\n"));
    assert_non_null(strstr(text, "\"old_key\": \"********\", // set, from env:QP_TEST_SECRET\n"));
    assert_non_null(strstr(text, "\"auth_url\": \"https://iad1.qualtrics.com/oauth2/auth\",\n"));
    assert_non_null(strstr(text, "\"issuer\": \"https://iad1.qualtrics.com\",\n"));
    assert_non_null(strstr(text, "\"offline_scope\": \"offline\", // default\n"));
    free(text);
    qp_config_free(&config);
}

/* All but the secrets: their masks are refused as such, not taken for odd secrets. */
static void the_effective_configuration_can_be_loaded_again(void **state)
{
#define MASKED(place)                                                                                       \
    place                                                                                                   \
        ": found a text that is no reference, but the mask that `qproxy check` shows instead of a secret; " \
        "allowed: \"env:NAME\", \"file:PATH\" or \"cred:NAME\""
    setenv("QP_TEST_VAULT_KEY", "k", 1);
    struct qp_config *config =
        parse("{\"listen\":[\"127.0.0.1:1\",\"127.0.0.1:2\"],\"admin\":{\"listen\":\"off\",\"host\":\"a.b:"
              "1\"}," VAULT ",\"accounts\":["
              "{\"name\":\"a\",\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"x\",\"host\":["
              "\"b\",\"c\"]},"
              "{\"name\":\"b\",\"origin\":\"https://a.b\",\"grant\":\"refresh_token\",\"client_id\":\"i\","
              "\"refresh_token\":\"r\",\"scope\":\"x\",\"listen\":\"127.0.0.1:3\"},"
              "{\"name\":\"d\",\"datacenter\":\"fra1\",\"grant\":\"authorization_code\",\"client_id\":\"i\","
              "\"redirect_uri\":\"http://[::1]:1/oauth/"
              "callback\",\"offline_scope\":\"off\",\"listen\":\"127.0.0.1:4\"}]}");
    char *first = printed(config);
    qp_config_free(&config);
    assert_told(first, MASKED("vault.key") ", or \"passphrase:\" before one of these\n" MASKED(
                           "accounts[0].api_token") "\n" MASKED("accounts[1].refresh_token") "\n");
    free(first);
    config = parse(
        "{\"listen\":\"unix:/run/q\",\"admin\":{\"listen\":[\"unix:/run/r\",\"127.0.0.1:1\"]},\"accounts\":["
        "{\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"x\"}]}");
    first = printed(config);
    qp_config_free(&config);
    char *mask = strstr(first, "********");
    memcpy(mask, "literal!", 8);
    config = parse(first);
    assert_int_equal(config->admin.listen.count, 2);
    qp_config_free(&config);
    free(first);
}

static void the_markdown_table_has_every_setting(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    qp_config_table(out);
    fclose(out);
    assert_non_null(strstr(text, "| `timeouts.drain` | `\"30s\"` | a duration"));
    assert_non_null(strstr(text, "| `via` | `\"qproxy\"` | letters, digits and !#$%&'*+-.^_`\\|~ |"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_sample_is_the_tables),
        cmocka_unit_test(the_sample_is_loadable),
        cmocka_unit_test(P1_the_effective_configuration_masks_secrets_and_says_where_from),
        cmocka_unit_test(the_effective_configuration_can_be_loaded_again),
        cmocka_unit_test(the_markdown_table_has_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
