#include "told.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static const char *const variables[] = {"QUALTRICS_DATACENTER", "QUALTRICS_BASE_URL",
                                        "QUALTRICS_CLIENT_ID",  "QUALTRICS_CLIENT_SECRET",
                                        "QUALTRICS_API_KEY",    "QUALTRICS_SCOPE"};

static int start(void **state)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    snprintf(folder, sizeof(folder), "/tmp/qproxy-source-XXXXXX");
    return mkdtemp(folder) ? chdir(folder) : -1;
}

static int end(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return chdir("/") || system(command);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(name, mode), 0);
}

static struct qp_config *load(const char *file)
{
    struct qp_problems problems = {0};
    struct qp_config *config = NULL;
    if (qp_config_load(file, NULL, &config, &problems) != QP_CONFIG_LOADED)
        fail_msg("%s", told_of(&problems));
    return config;
}

static const char *told_by_load(const char *file, enum qp_config_outcome expected)
{
    struct qp_problems problems = {0};
    struct qp_config *config = NULL;
    assert_int_equal(qp_config_load(file, NULL, &config, &problems), expected);
    assert_null(config);
    told_of(&problems);
    qp_problems_deinit(&problems);
    return told_text;
}

static void the_file_in_the_working_folder_is_found(void **state)
{
    write_file("qproxy.json", "{" ACCOUNT "}", 0600);
    struct qp_config *config = load(NULL);
    assert_string_equal(config->source, "qproxy.json");
    qp_config_free(&config);
    write_file("other.json", "{" ACCOUNT "}", 0600);
    config = load("other.json");
    assert_string_equal(config->source, "other.json");
    qp_config_free(&config);
}

static void a_file_that_is_not_there_is_no_input(void **state)
{
    assert_string_equal(told_by_load("none.json", QP_CONFIG_NO_INPUT),
                        ": cannot be opened: No such file or directory\n");
    assert_string_equal(told_by_load("/", QP_CONFIG_NO_INPUT), ": cannot be read: Is a directory\n");
}

static void a_literal_secret_needs_a_file_for_its_owner_alone(void **state)
{
    write_file("qproxy.json", "{" ACCOUNT "}", 0640);
    assert_non_null(
        strstr(told_by_load(NULL, QP_CONFIG_INVALID),
               "accounts[0].api_token: found a text that is no reference, but a literal secret needs a "
               "configuration file that only its owner can read (chmod 600)"));
    write_file("qproxy.json", "{" ACCOUNT "}", 0400);
    struct qp_config *config = load(NULL);
    qp_config_free(&config);
}

static void a_huge_file_is_refused_and_not_read_to_its_end(void **state)
{
    assert_non_null(strstr(told_by_load("/dev/zero", QP_CONFIG_INVALID), "larger than 1MiB"));
    assert_non_null(strstr(told_by_load("/dev/null", QP_CONFIG_INVALID), "there is nothing in it"));
}

static void the_environment_alone_is_enough_for_a_client(void **state)
{
    setenv("QUALTRICS_DATACENTER", "iad1", 1);
    setenv("QUALTRICS_CLIENT_ID", "id", 1);
    setenv("QUALTRICS_CLIENT_SECRET", "secret", 1);
    setenv("QUALTRICS_SCOPE", "manage:all", 1);
    struct qp_config *config = load(NULL);
    assert_string_equal(config->source, "the environment");
    assert_string_equal(config->accounts[0].origin.host, "iad1.qualtrics.com");
    assert_string_equal(config->accounts[0].client_id, "id");
    assert_string_equal(config->accounts[0].client_secret.from, "env:QUALTRICS_CLIENT_SECRET");
    assert_string_equal(config->accounts[0].scope, "manage:all");
    qp_config_free(&config);
    /* A reload, after the secret is gone from the environment. */
    qp_config_forget_environment();
    assert_null(getenv("QUALTRICS_CLIENT_SECRET"));
    config = load(NULL);
    assert_true(qp_slice_is(qp_secret_reveal(config->accounts[0].client_secret.value), QP_SLICE("secret")));
    qp_config_free(&config);
}

static void base_urls_of_other_programs_are_understood(void **state)
{
    static const char *const urls[] = {"https://a.qualtrics.com", "a.qualtrics.com/",
                                       "https://a.qualtrics.com/API/v3", "https://A.qualtrics.com/API/v3/"};
    setenv("QUALTRICS_API_KEY", "key", 1);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        setenv("QUALTRICS_BASE_URL", urls[i], 1);
        struct qp_config *config = load(NULL);
        assert_int_equal(config->accounts[0].grant, QP_CONFIG_GRANT_API_TOKEN);
        assert_string_equal(config->accounts[0].origin.host, "a.qualtrics.com");
        qp_config_free(&config);
    }
    setenv("QUALTRICS_BASE_URL", "http://127.0.0.1:1\",\"x\":\"", 1);
    assert_non_null(
        strstr(told_by_load(NULL, QP_CONFIG_INVALID), "QUALTRICS_BASE_URL: found \"http://127.0.0.1:1\",\""));
}

static void what_the_environment_lacks_is_told_by_its_own_names(void **state)
{
    setenv("QUALTRICS_CLIENT_ID", "id", 1);
    assert_string_equal(told_by_load(NULL, QP_CONFIG_INVALID),
                        "QUALTRICS_DATACENTER: not set; set it (such as iad1), or QUALTRICS_BASE_URL\n");
    setenv("QUALTRICS_DATACENTER", "iad1.evil.org", 1);
    assert_non_null(
        strstr(told_by_load(NULL, QP_CONFIG_INVALID), "QUALTRICS_DATACENTER: found \"iad1.evil.org\""));
    setenv("QUALTRICS_BASE_URL", "https://a.b", 1);
    setenv("QUALTRICS_API_KEY", "key", 1);
    told_by_load(NULL, QP_CONFIG_INVALID);
    assert_non_null(strstr(told_text, "QUALTRICS_API_KEY: set beside QUALTRICS_CLIENT_ID"));
    assert_non_null(strstr(told_text, "QUALTRICS_DATACENTER: set beside QUALTRICS_BASE_URL"));
}

static void an_empty_variable_is_not_set(void **state)
{
    setenv("QUALTRICS_DATACENTER", "iad1", 1);
    setenv("QUALTRICS_BASE_URL", "", 1);
    setenv("QUALTRICS_CLIENT_ID", "", 1);
    setenv("QUALTRICS_CLIENT_SECRET", "", 1);
    setenv("QUALTRICS_API_KEY", "key", 1);
    struct qp_config *config = load(NULL);
    assert_int_equal(config->accounts[0].grant, QP_CONFIG_GRANT_API_TOKEN);
    qp_config_free(&config);
}

static void nothing_at_all_is_one_message_that_says_what_to_do(void **state)
{
    if (access("/etc/qproxy/qproxy.json", F_OK) == 0)
        skip();
    assert_non_null(strstr(told_by_load(NULL, QP_CONFIG_INVALID), "there is no configuration"));
    assert_non_null(strstr(told_text, "name one with -c FILE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_file_in_the_working_folder_is_found, start, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_no_input, start, end),
        cmocka_unit_test_setup_teardown(a_literal_secret_needs_a_file_for_its_owner_alone, start, end),
        cmocka_unit_test_setup_teardown(a_huge_file_is_refused_and_not_read_to_its_end, start, end),
        cmocka_unit_test_setup_teardown(base_urls_of_other_programs_are_understood, start, end),
        cmocka_unit_test_setup_teardown(what_the_environment_lacks_is_told_by_its_own_names, start, end),
        cmocka_unit_test_setup_teardown(an_empty_variable_is_not_set, start, end),
        cmocka_unit_test_setup_teardown(nothing_at_all_is_one_message_that_says_what_to_do, start, end),
        /* The last: what it forgets stays known to the process. */
        cmocka_unit_test_setup_teardown(the_environment_alone_is_enough_for_a_client, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
