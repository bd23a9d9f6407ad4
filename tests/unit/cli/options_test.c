#include "capture.h"
#include "cli/cli.h"
#include "cmocka_all.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { CARRIED_OUT = 42 };

/* What was carried out, and with which options. */
static const char *carried_out;
static struct qp_cli_options given;

#define SUBCOMMAND(name)                                            \
    int __wrap_qp_cli_##name(const struct qp_cli_options *options); \
    int __wrap_qp_cli_##name(const struct qp_cli_options *options)  \
    {                                                               \
        carried_out = #name;                                        \
        given = *options;                                           \
        return CARRIED_OUT;                                         \
    }
SUBCOMMAND(run)
SUBCOMMAND(check)
SUBCOMMAND(login)
SUBCOMMAND(logout)
SUBCOMMAND(refresh)
SUBCOMMAND(status)
SUBCOMMAND(key_new)
SUBCOMMAND(key_rotate)
#undef SUBCOMMAND

/* The words of a command line, parted by blanks. */
static int call(const char *line)
{
    static char text[256];
    static char name[] = "qproxy";
    char *argv[16] = {name};
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    carried_out = "";
    optind = 0; /* all that getopt() remembers of the line before */
    capture_begin();
    int code = qp_cli_main(argc, argv);
    capture_end();
    return code;
}

static void assert_carried_out(const char *line, const char *what, const char *word)
{
    assert_int_equal(call(line), CARRIED_OUT);
    assert_string_equal(carried_out, what);
    if (word)
        assert_string_equal(given.word, word);
    else
        assert_null(given.word);
}

static void each_subcommand_is_found(void **state)
{
    (void)state;
    assert_carried_out("", "run", NULL);
    assert_carried_out("run", "run", NULL);
    assert_carried_out("check", "check", NULL);
    assert_carried_out("check --online", "check", NULL);
    assert_carried_out("check --online main", "check", "main");
    assert_carried_out("login", "login", NULL);
    assert_carried_out("login research", "login", "research");
    assert_carried_out("logout research", "logout", "research");
    assert_carried_out("refresh research", "refresh", "research");
    assert_carried_out("status", "status", NULL);
    assert_carried_out("key new /tmp/key", "key_new", "/tmp/key");
    assert_carried_out("key rotate", "key_rotate", NULL);
}

static void options_may_stand_before_and_behind_the_account(void **state)
{
    (void)state;
    assert_carried_out("login -c a.json research --no-browser", "login", "research");
    assert_string_equal(given.config_file, "a.json");
    assert_true(given.no_browser);
    assert_carried_out("login research -ca.json", "login", "research");
    assert_string_equal(given.config_file, "a.json");
    assert_false(given.no_browser);
    assert_carried_out("check --online --spend", "check", NULL);
    assert_true(given.online && given.spend && !given.json && !given.sample && !given.table);
    assert_carried_out("status --json", "status", NULL);
    assert_true(given.json && !given.online);
    assert_carried_out("check --sample", "check", NULL);
    assert_true(given.sample);
    assert_carried_out("check --table", "check", NULL);
    assert_true(given.table);
    assert_carried_out("-c a.json", "run", NULL);
    assert_string_equal(given.config_file, "a.json");
}

static void what_is_wrong_is_named_with_where_to_read_on(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"fly",
         "unknown subcommand 'fly'; there are run, check, login, status, logout, refresh, key new, key "
         "rotate; see `qproxy --help`"},
        {"key", "unknown subcommand 'key'; there are"},
        {"key fly", "unknown subcommand 'key'; there are"},
        {"key new", "key new needs a FILE; see `qproxy key new --help`"},
        {"key new a b", "unexpected 'b'; see `qproxy key new --help`"},
        {"key new -c a.json b", "unknown option '-c'; see `qproxy key new --help`"},
        {"key rotate a", "unexpected 'a'; see `qproxy key rotate --help`"},
        {"login a b", "unexpected 'b'; see `qproxy login --help`"},
        {"status a", "unexpected 'a'; see `qproxy status --help`"},
        {"run a", "unexpected 'a'; see `qproxy run --help`"},
        {"status --online", "unknown option '--online'; see `qproxy status --help`"},
        {"login --json", "unknown option '--json'; see `qproxy login --help`"},
        {"status --json=1", "option '--json=1' takes no value; see `qproxy status --help`"},
        {"login -c", "option '-c' needs a file name behind it; see `qproxy login --help`"},
        {"login --config", "option '--config' needs a file name behind it"},
        {"-c a.json status", "the subcommand 'status' comes before all options"},
        {"-c a.json key rotate", "the subcommand 'key' comes before all options"},
        {"-c a.json fly", "unknown subcommand 'fly'"},
        {"--fly", "unknown option '--fly'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(call(wrong[i][0]), EX_USAGE);
        assert_string_equal(carried_out, "");
        assert_string_equal(captured_out(), "");
        if (!strstr(captured_err(), wrong[i][1]))
            fail_msg("qproxy %s: %s", wrong[i][0], captured_err());
    }
}

static void help_names_what_there_is(void **state)
{
    (void)state;
    static const char *const all[] = {"run",    "check",   "login [ACCOUNT]", "status",
                                      "logout", "refresh", "key new FILE",    "key rotate"};
    assert_int_equal(call("--help"), EX_OK);
    assert_string_equal(captured_err(), "");
    assert_non_null(strstr(captured_out(), "Exit codes"));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char line[64];
        char usage[64];
        int name_bytes = (int)strcspn(all[i], "[F");
        snprintf(line, sizeof line, "%.*s --help", name_bytes, all[i]);
        snprintf(usage, sizeof usage, "Usage: qproxy %s", all[i]);
        assert_int_equal(call(line), EX_OK);
        assert_non_null(strstr(captured_out(), usage));
        assert_non_null(strstr(captured_out(), "Exit codes"));
        assert_string_equal(carried_out, "");
    }
    assert_int_equal(call("login -h"), EX_OK);
    assert_non_null(strstr(captured_out(), "--no-browser"));
    assert_null(strstr(captured_out(), "--spend"));
}

static void the_version_is_one_line(void **state)
{
    (void)state;
    static const char *const lines[] = {"--version", "-V", "key rotate --version"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(call(lines[i]), EX_OK);
        assert_int_equal(strncmp(captured_out(), "qproxy ", 7), 0);
        assert_ptr_equal(strchr(captured_out(), '\n'), captured_out() + strlen(captured_out()) - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_subcommand_is_found),
        cmocka_unit_test(options_may_stand_before_and_behind_the_account),
        cmocka_unit_test(what_is_wrong_is_named_with_where_to_read_on),
        cmocka_unit_test(help_names_what_there_is),
        cmocka_unit_test(the_version_is_one_line),
    };
    return cmocka_run_group_tests_name("cli.options", tests, NULL, NULL);
}
