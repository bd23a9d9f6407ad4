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
    assert_non_null(strstr(text, "// \"api_token\": not set\n"));
    assert_non_null(strstr(text, "\"client_id\": \"my \\\"id\",\n"));
    assert_non_null(strstr(text, "\"workers\": 2,\n"));
    assert_non_null(strstr(text, "\"client_head\": \"10s\", // default\n"));
    assert_non_null(strstr(text, "\"token_url\": \"https://iad1.qualtrics.com/oauth2/token\",\n"));
    free(text);
    qp_config_free(&config);
}

/* With literals allowed the masked secrets are just odd secrets. */
static void the_effective_configuration_can_be_loaded_again(void **state)
{
    struct qp_config *config =
        parse("{\"listen\":[\"127.0.0.1:1\",\"127.0.0.1:2\"],\"admin\":{\"listen\":\"off\"},\"accounts\":["
              "{\"name\":\"a\",\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"x\",\"host\":["
              "\"b\",\"c\"]},"
              "{\"name\":\"b\",\"origin\":\"https://a.b\",\"grant\":\"refresh_token\",\"client_id\":\"i\","
              "\"refresh_token\":\"r\",\"scope\":\"x\",\"listen\":\"127.0.0.1:3\"}]}");
    char *first = printed(config);
    qp_config_free(&config);
    struct qp_problems problems = {0};
    config = qp_config_parse(qp_slice_str(first), "test.json", NULL, NULL, &problems);
    told_of(&problems);
    qp_problems_deinit(&problems);
    /* The derived token_url and client_auth are shown for api_token, too, which would not use them. */
    assert_string_equal(
        told_text, "accounts[0].token_url: the grant api_token does not use it; remove it or choose another "
                   "grant\naccounts[0].client_auth: the grant api_token does not use it; remove it or choose "
                   "another grant\n");
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
