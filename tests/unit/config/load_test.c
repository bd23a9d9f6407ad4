#include "base/buf.h"
#include "told.h"

static const char *with(const char *settings)
{
    static char text[4096];
    snprintf(text, sizeof(text), "{%s," ACCOUNT "}", settings);
    return text;
}

static void defaults_fill_what_is_not_said(void **state)
{
    struct qp_config *config = parse("{" ACCOUNT "}");
    assert_string_equal(config->source, "test.json");
    assert_int_equal(config->listen.count, 1);
    assert_string_equal(config->listen.at[0], "127.0.0.1:8080");
    assert_string_equal(config->admin.listen.at[0], "127.0.0.1:8081");
    assert_true(config->admin.is_by_default);
    assert_int_equal(config->admin.listen.count, 1);
    assert_int_equal(config->admin.host.count, 0);
    assert_null(config->admin.token.value);
    assert_null(config->vault.path);
    assert_null(config->vault.key.value);
    assert_true(config->vault.cache_tokens);
    assert_int_equal(config->workers, 0);
    assert_int_equal(config->timeouts.client_head_ms, 10000);
    assert_int_equal(config->timeouts.origin_response_ms, 120000);
    assert_int_equal(config->limits.head_bytes, 32768);
    assert_int_equal(config->limits.body_bytes, 0);
    assert_int_equal(config->limits.waiting, 4096);
    assert_int_equal(config->limits.memory_bytes, 1024 * 1024 * 1024);
    assert_int_equal(config->replay.memory_bytes, 2 * 1024 * 1024);
    assert_int_equal(config->replay.body_bytes, 512 * 1024 * 1024);
    assert_non_null(config->replay.dir);
    assert_int_equal(config->log.level, QP_LOG_INFO);
    assert_int_equal(config->log.form, QP_LOG_TEXT);
    assert_string_equal(config->log.access, "stderr");
    assert_string_equal(config->via, "qproxy");
    assert_true(config->accounts[0].rewrite_next_page);
    assert_true(qp_slice_is(qp_secret_reveal(config->accounts[0].api_token.value), QP_SLICE("t")));
    assert_string_equal(config->accounts[0].api_token.from, "the configuration file");
    qp_config_free(&config);
    assert_int_equal(qp_secret_live_count(), 0);
}

static void what_is_said_is_taken(void **state)
{
    struct qp_config *config =
        parse(with("\"listen\":[\"unix:/run/q\",\"[::1]:80\"],\"admin\":{\"listen\":\"off\"},\"workers\":3,"
                   "\"timeouts\":{\"client_head\":\"250ms\",\"drain\":\"0s\"},\"limits\":{\"body\":\"2GiB\","
                   "\"waiting\":7,"
                   "\"body_rate\":\"off\",\"connections_per_address\":0},\"replay\":{\"dir\":\"/x\"},"
                   "\"log\":{\"level\":\"debug\",\"form\":\"json\",\"access\":\"off\"}"));
    assert_int_equal(config->listen.count, 2);
    assert_string_equal(config->listen.at[1], "[::1]:80");
    assert_int_equal(config->admin.listen.count, 0);
    assert_false(config->admin.is_by_default);
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->timeouts.client_head_ms, 250);
    assert_int_equal(config->timeouts.drain_ms, 0);
    assert_true(config->limits.body_bytes == (uint64_t)2 << 30);
    assert_int_equal(config->limits.body_rate_bytes, 0);
    assert_int_equal(config->limits.connections_per_address, 0);
    assert_string_equal(config->replay.dir, "/x");
    assert_int_equal(config->log.level, QP_LOG_DEBUG);
    assert_int_equal(config->log.form, QP_LOG_JSON);
    assert_null(config->log.access);
    qp_config_free(&config);
}

static void a_wrong_value_is_told_with_what_was_found_and_what_is_allowed(void **state)
{
    static const char *const wrong[][2] = {
        {"\"workers\":1.5",
         "workers: found the number 1.5; allowed: a whole number from 1 to 512, or \"auto\"\n"},
        {"\"workers\":513",
         "workers: found the number 513; allowed: a whole number from 1 to 512, or \"auto\"\n"},
        {"\"workers\":-1",
         "workers: found the number -1; allowed: a whole number from 1 to 512, or \"auto\"\n"},
        {"\"workers\":1e300",
         "workers: found the number 1e+300; allowed: a whole number from 1 to 512, or \"auto\"\n"},
        {"\"workers\":null", "workers: found null; allowed: a whole number from 1 to 512, or \"auto\"\n"},
        {"\"timeouts\":{\"drain\":10}",
         "timeouts.drain: found the number 10 without a unit; allowed: a duration with its "
         "unit, such as \"10s\" (ms, s, m, h, d), from 0ms to 1d\n"},
        {"\"timeouts\":{\"token_call\":\"99ms\"}", "timeouts.token_call: found \"99ms\"; allowed: a duration "
                                                   "with its unit, such as \"10s\" (ms, s, m, h, d), from "
                                                   "100ms to 1h\n"},
        {"\"limits\":{\"head\":65536}",
         "limits.head: found the number 65536 without a unit; allowed: a size with its unit, "
         "such as \"64KiB\" (B, KiB, MiB, GiB), from 1KiB to 1MiB\n"},
        {"\"limits\":{\"body\":\"64KB\"}", "limits.body: found \"64KB\"; allowed: a size with its unit, such "
                                           "as \"64KiB\" (B, KiB, MiB, GiB), from 1B to "
                                           "1024GiB, or \"off\"\n"},
        {"\"log\":{\"level\":\"loud\"}",
         "log.level: found \"loud\"; allowed: \"error\", \"warn\", \"info\", \"debug\"\n"},
        {"\"log\":{\"file\":true}", "log.file: found true; allowed: a text of 1 to 4095 characters\n"},
        {"\"workers\":\"3\"", "workers: found \"3\"; allowed: a whole number from 1 to 512, or \"auto\"\n"},
        {"\"log\":[]", "log: found no object; allowed: an object: { ... }\n"},
        {"\"listen\":[]", "listen: found an empty list; allowed: at least one text\n"},
        {"\"listen\":{}",
         "listen: found an object; allowed: a text of 1 to 256 characters, or a list of such\n"},
        {"\"listen\":[\"127.0.0.1:1\",7]",
         "listen[1]: found the number 7; allowed: a text of 1 to 256 characters, or a list of such\n"},
        {"\"via\":\"a\\r\\nb\"", "via: found \"a??b\"; allowed: letters, digits and !#$%&'*+-.^_`|~\n"},
        {"\"limits\":{\"head\":\"1KiB\"}",
         "limits.target: larger than limits.head, which holds the target; raise "
         "limits.head\n"},
        {"\"replay\":{\"memory\":\"1GiB\"}",
         "replay.memory: larger than replay.memory_total; raise that or lower this\n"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_told(with(wrong[i][0]), wrong[i][1]);
}

static void the_admin_pages_have_several_addresses_names_and_a_token(void **state)
{
    struct qp_config *config =
        parse(with("\"admin\":{\"listen\":[\"unix:/run/q\",\"127.0.0.1:1\"],\"token\":\"t\","
                   "\"host\":[\"Q.Internal\",\"[::A]:8081\"]}"));
    assert_int_equal(config->admin.listen.count, 2);
    assert_string_equal(config->admin.listen.at[0], "unix:/run/q");
    assert_false(config->admin.is_by_default);
    assert_true(qp_slice_is(qp_secret_reveal(config->admin.token.value), QP_SLICE("t")));
    assert_string_equal(config->admin.host.at[0], "q.internal");
    assert_string_equal(config->admin.host.at[1], "[::a]:8081");
    qp_config_free(&config);
    config = parse(with("\"admin\":{\"host\":\"a.b:1\"}"));
    assert_true(config->admin.is_by_default);
    assert_string_equal(config->admin.listen.at[0], "127.0.0.1:8081");
    qp_config_free(&config);
    assert_told(
        with("\"admin\":{\"host\":\"http://a.b\"}"),
        "admin.host: found \"http://a.b\"; allowed: a host name or an address (IPv6 in brackets), with or "
        "without a port\n");
}

static void off_is_a_list_of_nothing_and_stands_alone(void **state)
{
    static const char *const off[] = {"\"off\"", "[\"off\"]"};
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "\"admin\":{\"listen\":%s}", off[i]);
        struct qp_config *config = parse(with(text));
        assert_int_equal(config->admin.listen.count, 0);
        assert_false(config->admin.is_by_default);
        qp_config_free(&config);
    }
    assert_told(with("\"admin\":{\"listen\":[\"127.0.0.1:1\",\"off\"]}"),
                "admin.listen[1]: found \"off\" beside others; remove it, or all the others\n");
    assert_told(
        with("\"admin\":{\"listen\":[\"off\",7]}"),
        "admin.listen[0]: found \"off\" beside others; remove it, or all the others\n"
        "admin.listen[1]: found the number 7; allowed: a text of 1 to 256 characters, or a list of such, "
        "or \"off\"\n");
}

static void a_vault_has_a_path_and_a_key(void **state)
{
    setenv("QP_TEST_VAULT_KEY", "k", 1);
    struct qp_config *config = parse(with("\"vault\":{\"cache_tokens\":false}"));
    assert_null(config->vault.path);
    assert_false(config->vault.cache_tokens);
    qp_config_free(&config);
    config = parse(with(VAULT));
    assert_string_equal(config->vault.path, "/nonexistent/vault");
    assert_string_equal(config->vault.key.from, "env:QP_TEST_VAULT_KEY");
    assert_false(config->vault.key.is_passphrase);
    assert_null(config->vault.old_key.value);
    qp_config_free(&config);
    assert_told(
        with("\"vault\":{\"key\":\"env:QP_TEST_VAULT_KEY\"}"),
        "vault.path: missing, so the key has nothing to open; write \"path\": \"/var/lib/qproxy/vault\" "
        "beside it, or remove it\n");
    assert_told(with("\"vault\":{\"path\":\"/v\",\"old_key\":\"env:QP_TEST_VAULT_KEY\"}"),
                "vault.key: missing, and a vault is sealed with one; run `qproxy key new FILE`, then write "
                "\"key\": \"file:FILE\" beside \"path\"\n");
    assert_told(
        with("\"vault\":{\"old_key\":\"env:QP_TEST_VAULT_KEY\"}"),
        "vault.path: missing, so the key has nothing to open; write \"path\": \"/var/lib/qproxy/vault\" "
        "beside it, or remove it\n"
        "vault.key: missing, and a vault is sealed with one; run `qproxy key new FILE`, then write "
        "\"key\": \"file:FILE\" beside \"old_key\"\n");
    /* A key that is there but cannot be read is not missing, too. */
    assert_told(with("\"vault\":{\"path\":\"/v\",\"key\":\"file:/nonexistent/key\"}"),
                "vault.key: the file /nonexistent/key cannot be opened: No such file or directory\n");
}

static void a_vaults_key_may_be_a_passphrase_but_never_a_literal(void **state)
{
#define NO_LITERAL(place)                                                                                   \
    place                                                                                                   \
        ": found a text that is no reference, but a key that stands in plain text beside its vault's path " \
        "protects nothing: whoever has this file or a copy of it needs only the vault; allowed: "           \
        "\"env:NAME\", "                                                                                    \
        "\"file:PATH\" or \"cred:NAME\", or \"passphrase:\" before one of these\n"
    setenv("QP_TEST_VAULT_KEY", "correct horse battery", 1);
    struct qp_config *config =
        parse(with("\"vault\":{\"path\":\"/v\",\"key\":\"passphrase:env:QP_TEST_VAULT_KEY\","
                   "\"old_key\":\"env:QP_TEST_VAULT_KEY\"}"));
    assert_true(config->vault.key.is_passphrase);
    assert_string_equal(config->vault.key.from, "env:QP_TEST_VAULT_KEY");
    assert_true(qp_slice_is(qp_secret_reveal(config->vault.key.value), QP_SLICE("correct horse battery")));
    assert_false(config->vault.old_key.is_passphrase);
    qp_config_free(&config);
    assert_told(with("\"vault\":{\"path\":\"/v\",\"key\":\"hunter2\",\"old_key\":\"passphrase:hunter2\"}"),
                NO_LITERAL("vault.key") NO_LITERAL("vault.old_key"));
    assert_told(with("\"vault\":{\"path\":\"/v\",\"key\":7}"),
                "vault.key: found the number 7; allowed: \"env:NAME\", \"file:PATH\" or \"cred:NAME\", or "
                "\"passphrase:\" before one of these\n");
    assert_told(with("\"admin\":{\"token\":\"passphrase:env:QP_TEST_VAULT_KEY\"}"),
                "admin.token: found a text that is no reference, but only a vault's key may be a passphrase; "
                "allowed: \"env:NAME\", \"file:PATH\" or \"cred:NAME\"\n");
    assert_tells(with("\"vault\":{\"path\":\"/v\",\"key\":\"passphrase:env:QP_TEST_NONE\"}"),
                 "vault.key: the environment variable QP_TEST_NONE is not set");
    assert_int_equal(qp_secret_live_count(), 0);
}

static void the_mask_of_a_secret_is_no_secret(void **state)
{
    assert_told(
        "{\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"********\"}]}",
        "accounts[0].api_token: found a text that is no reference, but the mask that `qproxy check` shows "
        "instead of a secret; allowed: \"env:NAME\", \"file:PATH\" or \"cred:NAME\"\n");
    assert_tells(with("\"vault\":{\"path\":\"/v\",\"key\":\"********\"}"),
                 "vault.key: found a text that is no "
                 "reference, but the mask");
    struct qp_config *config = parse("{\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"api_token\","
                                     "\"api_token\":\"*********\"}]}");
    qp_config_free(&config);
}

static void unknown_keys_get_a_guess(void **state)
{
    assert_told(with("\"lisen\":1"), "lisen: unknown key; did you mean \"listen\"?\n");
    assert_told(with("\"timeout\":{}"), "timeout: unknown key; did you mean \"timeouts\"?\n");
    assert_told(with("\"timeouts\":{\"clinet_head\":1}"),
                "timeouts.clinet_head: unknown key; did you mean \"client_head\"?\n");
    assert_told(with("\"drain\":1"), "drain: unknown key; did you mean \"timeouts.drain\"?\n");
    assert_told(with("\"xyzzy\":1"),
                "xyzzy: unknown key; conf/qproxy.json and `qproxy check --sample` show all\n");
    assert_told(with("\"accounts[]\":1"), "accounts[]: unknown key; did you mean \"accounts\"?\n");
    assert_tells("{\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"t\","
                 "\"client-id\":\"x\"}]}",
                 "accounts[0].client-id: unknown key; did you mean \"client_id\"?\n");
}

static void a_key_that_stands_twice_is_an_error(void **state)
{
    assert_told(with("\"workers\":1,\"workers\":2"), "workers: stands here twice; only one can be meant\n");
    assert_told(with("\"log\":{},\"log\":{}"), "log: stands here twice; only one can be meant\n");
    assert_told(with(ACCOUNT), "accounts: stands here twice; only one can be meant\n");
}

static void all_problems_are_told_at_once(void **state)
{
    assert_told("{\"workers\":0.5,\"log\":{\"level\":1},\"foo_bar_baz\":2,\"accounts\":[]}",
                "workers: found the number 0.5; allowed: a whole number from 1 to 512, or \"auto\"\n"
                "log.level: found the number 1; allowed: \"error\", \"warn\", \"info\", \"debug\"\n"
                "foo_bar_baz: unknown key; conf/qproxy.json and `qproxy check --sample` show all\n"
                "accounts: found an empty list; allowed: a list of 1 to 64 objects\n");
    assert_told(
        "{\"admin\":{\"listen\":\"off\",\"host\":\"a b\"},\"vault\":{\"cache_tokens\":1},\"accounts\":[{"
        "\"datacenter\":\"iad1\",\"grant\":\"authorization_code\",\"auth_url\":\"http://a.b/c\"}]}",
        "admin.host: found \"a b\"; allowed: a host name or an address (IPv6 in brackets), with or without "
        "a port\n"
        "vault.cache_tokens: found the number 1; allowed: true or false\n"
        "accounts[0].auth_url: found \"http://a.b/c\"; allowed: an https:// URL: over plain http the "
        "credentials and tokens could be read on the way\n"
        "accounts[0].client_id: missing; the grant authorization_code needs it\n"
        "accounts[0].grant: authorization_code needs a vault, or its refresh token would be lost at a "
        "restart; run `qproxy key new FILE`, then write \"vault\": {\"path\": "
        "\"/var/lib/qproxy/vault\", \"key\": \"file:FILE\"} beside \"accounts\"\n"
        "accounts[0].redirect_uri: missing, and none follows from admin.listen, which is off; give "
        "admin.listen an address such as \"127.0.0.1:8081\", or write the redirect URI that is "
        "registered with the OAuth client\n");
    assert_told("{}", "accounts: missing; allowed: a list of at least one account\n");
    assert_tells("{\"accounts\":[7]}", "accounts[0]: found no object");
}

static void P1_a_secret_is_never_shown(void **state)
{
    struct qp_problems problems = {0};
    static const char text[] =
        "{\"accounts\":[{\"origin\":\"https://user:hunter2@a.b\",\"grant\":\"api_token\",\"api_token\":"
        "\"hunter2\",\"client_secret\":[\"hunter2\"],\"refresh_token\":\"hunter2\\n\"}]}";
    assert_null(qp_config_parse(qp_slice_str(text), "x", "literals are not allowed here", NULL, &problems));
    told_of(&problems);
    qp_problems_deinit(&problems);
    assert_null(strstr(told_text, "hunter2"));
    assert_non_null(strstr(told_text,
                           "accounts[0].api_token: found a text that is no reference, but literals are not "
                           "allowed here; allowed: \"env:NAME\", \"file:PATH\" or \"cred:NAME\"\n"));
    assert_null(strstr(told("{\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":"
                            "\"hunter\\r2\"}]}"),
                       "hunter"));
    assert_non_null(strstr(told_text, "control or non-ASCII byte at position 7"));
}

static void told_also(const struct qp_config *config, struct qp_problems *problems)
{
    qp_problems_add(problems, "listen", "%s is not to the caller's taste", config->listen.at[0]);
}

static void the_callers_check_tells_in_the_same_list(void **state)
{
    struct qp_problems problems = {0};
    const char *text = with("\"workers\":true");
    assert_null(qp_config_parse(qp_slice_str(text), "x", NULL, told_also, &problems));
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.at[1].text, "127.0.0.1:8080 is not to the caller's taste");
    qp_problems_deinit(&problems);
}

static void a_file_full_of_nonsense_ends_soon_and_tells_the_first_hundred(void **state)
{
    struct qp_buf text = {0};
    struct qp_problems problems = {0};
    qp_buf_append_str(&text, "{\"x\":1");
    for (int i = 0; i < 50000; i++)
        qp_buf_append_fmt(&text, ",\"lisen%d\":1", i);
    qp_buf_append_str(&text, "}");
    assert_null(qp_config_parse(qp_buf_slice(&text), "x", NULL, NULL, &problems));
    assert_int_equal(problems.count, 100);
    assert_true(problems.not_kept > 49000);
    qp_problems_deinit(&problems);
    qp_buf_deinit(&text);
}

#define OWN_LISTENER(more)                                                                           \
    "\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"t\",\"listen\":" \
    "\"127.0.0.1:9\"" more "}]"

static void the_default_listener_is_left_out_where_it_would_serve_nobody(void **state)
{
    static const struct {
        const char *text;
        size_t listeners;
    } rows[] = {
        {"{" OWN_LISTENER("") "}", 0},
        {"{" OWN_LISTENER(",\"path_prefix\":\"/a\"") "}", 1},
        {"{\"listen\":\"127.0.0.1:8080\"," OWN_LISTENER("") "}", 1},
        {"{" ACCOUNT "}", 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qp_config *config = parse(rows[i].text);
        assert_int_equal(config->listen.count, rows[i].listeners);
        qp_config_free(&config);
    }
}

#define UNREADABLE                                                                                        \
    "{\"admin\":{\"token\":\"cred:not_ours\"},\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":"          \
    "\"client_credentials\",\"client_id\":\"env:QP_TEST_NO_SUCH\",\"client_secret\":\"file:/nonexistent/" \
    "s\"}%s]}"

/* For who only wants to know where the daemon is: it has the secrets, and we may not. */
static void what_cannot_be_read_may_be_missing_where_the_caller_says_so(void **state)
{
    char text[1024];
    struct qp_problems unread = {0};
    struct qp_problems problems = {.unread = &unread};
    snprintf(text, sizeof(text), UNREADABLE, "");
    assert_tells(text, "accounts[0].client_secret: the file /nonexistent/s");
    struct qp_config *config = qp_config_parse(qp_slice_str(text), "test.json", NULL, NULL, &problems);
    assert_non_null(config);
    assert_int_equal(problems.count, 0);
    assert_int_equal(unread.count, 3);
    assert_null(config->admin.token.value);
    assert_string_equal(config->admin.token.from, "cred:not_ours");
    assert_null(config->accounts[0].client_secret.value);
    assert_null(config->accounts[0].client_id);
    qp_config_free(&config);
    qp_problems_deinit(&unread);
}

static void other_mistakes_are_told_all_the_same(void **state)
{
    char text[1024];
    struct qp_problems unread = {0};
    struct qp_problems problems = {.unread = &unread};
    snprintf(text, sizeof(text), UNREADABLE,
             ",{\"datacenter\":\"iad1\",\"grant\":\"client_credentials\",\"client_id\":1}");
    assert_null(qp_config_parse(qp_slice_str(text), "test.json", NULL, NULL, &problems));
    assert_non_null(strstr(told_of(&problems), "accounts[1].client_id: found "));
    assert_non_null(strstr(told_of(&problems), "accounts[1].client_secret: missing"));
    assert_null(strstr(told_of(&problems), "accounts[0].client_secret"));
    qp_problems_deinit(&problems);
    qp_problems_deinit(&unread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_what_is_not_said),
        cmocka_unit_test(what_is_said_is_taken),
        cmocka_unit_test(a_wrong_value_is_told_with_what_was_found_and_what_is_allowed),
        cmocka_unit_test(the_admin_pages_have_several_addresses_names_and_a_token),
        cmocka_unit_test(off_is_a_list_of_nothing_and_stands_alone),
        cmocka_unit_test(a_vault_has_a_path_and_a_key),
        cmocka_unit_test(a_vaults_key_may_be_a_passphrase_but_never_a_literal),
        cmocka_unit_test(the_mask_of_a_secret_is_no_secret),
        cmocka_unit_test(unknown_keys_get_a_guess),
        cmocka_unit_test(a_key_that_stands_twice_is_an_error),
        cmocka_unit_test(all_problems_are_told_at_once),
        cmocka_unit_test(P1_a_secret_is_never_shown),
        cmocka_unit_test(the_default_listener_is_left_out_where_it_would_serve_nobody),
        cmocka_unit_test(what_cannot_be_read_may_be_missing_where_the_caller_says_so),
        cmocka_unit_test(other_mistakes_are_told_all_the_same),
        cmocka_unit_test(the_callers_check_tells_in_the_same_list),
        cmocka_unit_test(a_file_full_of_nonsense_ends_soon_and_tells_the_first_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
