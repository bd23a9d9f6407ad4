#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define ACCOUNT(name, listen)                                                                                \
    "{\"name\":\"" name "\",\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"t\",\"listen\":" \
    "\"" listen "\"}"
#define ALL(listen, admin, accounts) \
    "{\"listen\":\"" listen "\",\"admin\":{\"listen\":\"" admin "\"},\"accounts\":[" accounts "]}"

/* What is told of the addresses, as "place: text\n" for each; empty: all is well. */
static const char *told(const char *text)
{
    static char all[4096];
    struct qp_problems problems = {0};
    struct qp_config *config =
        qp_config_parse(qp_slice_str(text), "test.json", NULL, qp_cli_check_addresses, &problems);
    FILE *out = fmemopen(all, sizeof(all), "w");
    for (size_t i = 0; i < problems.count; i++)
        fprintf(out, "%s: %s\n", problems.at[i].place ? problems.at[i].place : "", problems.at[i].text);
    fputc('\0', out);
    fclose(out);
    qp_problems_deinit(&problems);
    qp_config_free(&config);
    return all;
}

static void different_addresses_are_fine(void **state)
{
    assert_string_equal(told(ALL("127.0.0.1:1", "127.0.0.1:2", ACCOUNT("a", "[::1]:1"))), "");
    assert_string_equal(told(ALL("127.0.0.1:1", "unix:/tmp/x", ACCOUNT("a", "127.0.0.2:1"))), "");
    assert_string_equal(told(ALL("127.0.0.1:1", "off", ACCOUNT("a", "127.0.0.1:2"))), "");
}

static void port_0_is_another_one_each_time(void **state)
{
    assert_string_equal(
        told(ALL("127.0.0.1:0", "127.0.0.1:0", ACCOUNT("a", "127.0.0.1:0") "," ACCOUNT("b", "127.0.0.1:0"))),
        "");
}

static void the_same_address_in_two_places_is_told_once_and_in_any_spelling(void **state)
{
    static const char remedy[] = "; give one of them another address\n";
    char expected[256];
    static const char *const wrong[][2] = {
        {ALL("127.0.0.1:1", "127.0.0.1:1", ACCOUNT("a", "127.0.0.1:2")),
         "admin.listen: found \"127.0.0.1:1\", which is the same address as listen"},
        {ALL("127.0.0.1:1", "off", ACCOUNT("a", "127.0.0.1:1")),
         "accounts[0].listen: found \"127.0.0.1:1\", which is the same address as listen"},
        {ALL("127.0.0.1:1", "[::1]:5", ACCOUNT("a", "[0:0::0:1]:5")),
         "accounts[0].listen: found \"[0:0::0:1]:5\", which is the same address as admin.listen"},
        {ALL("127.0.0.1:1", "off", ACCOUNT("a", "127.0.0.1:2") "," ACCOUNT("b", "127.0.0.1:2")),
         "accounts[1].listen: found \"127.0.0.1:2\", which is the same address as accounts[0].listen"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(expected, sizeof(expected), "%s%s", wrong[i][1], remedy);
        assert_string_equal(told(wrong[i][0]), expected);
    }
}

static void admin_pages_beyond_this_machine_need_a_token(void **state)
{
    static const char *const open[] = {"0.0.0.0:5", "[::]:5", "10.1.2.3:5"};
    char text[512];
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        snprintf(text, sizeof(text), "{\"admin\":{\"listen\":[\"127.0.0.1:4\",\"%s\"]%s},\"accounts\":[%s]}",
                 open[i], "", ACCOUNT("a", "127.0.0.1:2"));
        assert_non_null(strstr(told(text), "admin.listen: found \""));
        assert_non_null(strstr(told(text), open[i]));
        assert_null(strstr(told(text), "127.0.0.1:4"));
        snprintf(text, sizeof(text), "{\"admin\":{\"listen\":[\"127.0.0.1:4\",\"%s\"]%s},\"accounts\":[%s]}",
                 open[i], ",\"token\":\"a-token-of-some-length\"", ACCOUNT("a", "127.0.0.1:2"));
        assert_string_equal(told(text), "");
    }
}

/* A listener that nobody asked for and where nobody is served is not opened, so it is in nobody's way. */
static void the_default_address_is_free_where_each_account_has_its_own(void **state)
{
    assert_string_equal(told("{\"accounts\":[" ACCOUNT("a", "127.0.0.1:8080") "]}"), "");
    assert_non_null(
        strstr(told("{\"listen\":\"127.0.0.1:8080\",\"accounts\":[" ACCOUNT("a", "127.0.0.1:8080") "]}"),
               "the same address as listen"));
}

static void what_is_no_address_is_told(void **state)
{
    assert_non_null(strstr(told(ALL("localhost:1", "off", ACCOUNT("a", "127.0.0.1:3"))),
                           "listen: found \"localhost:1\": "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(different_addresses_are_fine),
        cmocka_unit_test(port_0_is_another_one_each_time),
        cmocka_unit_test(the_same_address_in_two_places_is_told_once_and_in_any_spelling),
        cmocka_unit_test(admin_pages_beyond_this_machine_need_a_token),
        cmocka_unit_test(the_default_address_is_free_where_each_account_has_its_own),
        cmocka_unit_test(what_is_no_address_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
