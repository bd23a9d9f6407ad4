/* host_test.c - which names are ours (hard requirement 29). */
#include "admin/admin.h"
#include "admin/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *listen;
    const char *authority;
    bool is_own;
};

static const struct row ROWS[] = {
    {"127.0.0.1:8081", "127.0.0.1:8081", true},
    {"127.0.0.1:8081", "localhost:8081", true},
    {"127.0.0.1:8081", "LocalHost:8081", true},
    {"127.0.0.1:8081", "[::1]:8081", true},
    {"127.0.0.1:8081", "", false},
    {"127.0.0.1:8081", "127.0.0.1", false},
    {"127.0.0.1:8081", "localhost", false},
    {"127.0.0.1:8081", "localhost:", false},
    {"127.0.0.1:8081", "localhost:80", false},
    {"127.0.0.1:8081", "localhost:8080", false},
    {"127.0.0.1:8081", "localhost:08081", false},
    {"127.0.0.1:8081", "localhost:80811", false},
    {"127.0.0.1:8081", "localhost.:8081", false},
    {"127.0.0.1:8081", "localhost.evil.example:8081", false},
    {"127.0.0.1:8081", "evil.example:8081", false},
    {"127.0.0.1:8081", "evil.localhost:8081", false},
    {"127.0.0.1:8081", "127.0.0.1.evil.example:8081", false},
    {"127.0.0.1:8081", "127.0.0.2:8081", false},
    {"127.0.0.1:8081", "127.1:8081", false},
    {"127.0.0.1:8081", "2130706433:8081", false},
    {"127.0.0.1:8081", "0.0.0.0:8081", false},
    {"127.0.0.1:8081", "::1:8081", false},
    {"127.0.0.1:8081", "[::1%lo]:8081", false},
    {"127.0.0.1:8081", "user@localhost:8081", false},
    {"127.0.0.1:8081", "localhost:8081,evil.example", false},
    {"127.0.0.5:9", "127.0.0.5:9", true},
    {"127.0.0.5:9", "localhost:9", true},
    {"127.0.0.5:9", "127.0.0.6:9", false},
    {"[::1]:8081", "[::1]:8081", true},
    {"[::1]:8081", "localhost:8081", true},
    {"[::1]:8081", "[::1]", false},
    {"127.0.0.1:80", "localhost", true},
    {"127.0.0.1:80", "localhost:80", true},
    {"127.0.0.2:80", "127.0.0.2", true},
    {"[::1]:80", "[::1]", true},
    {"127.0.0.1:80", "localhost:8081", false},
    {"127.0.0.1:80", "evil.example", false},
    {"unix:/run/q.sock", "localhost", true},
    {"unix:/run/q.sock", "127.0.0.1", true},
    {"unix:/run/q.sock", "[::1]", true},
    {"unix:/run/q.sock", "localhost:8081", false},
    {"unix:/run/q.sock", "evil.example", false},
    {"unix:/run/q.sock", "unix:/run/q.sock", false},
    {"unix:/run/q.sock", "", false},
    {"127.0.0.1:8081", "admin.example:8443", true},
    {"127.0.0.1:8081", "ADMIN.example:8443", true},
    {"127.0.0.1:8081", "admin.example", false},
    {"127.0.0.1:8081", "admin.example:8081", false},
    {"127.0.0.1:8081", "proxy.example", true},
    {"127.0.0.1:8081", "proxy.example:80", false},
    {"127.0.0.1:8081", "x.proxy.example", false},
    {"127.0.0.1:8081", "proxy.example.", false},
    {"unix:/run/q.sock", "proxy.example", true},
};

static struct qp_admin_names names_of(struct qp_address *address, const char *listen)
{
    static const char *const hosts[] = {"admin.example:8443", "Proxy.Example", ""};
    const char *why = NULL;
    assert_int_equal(qp_address_parse(qp_slice_str(listen), address, &why), QP_OK);
    return (struct qp_admin_names){.address = address, .hosts = hosts, .host_count = 3};
}

static void only_exact_names_with_the_exact_port_are_ours(void **state)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct qp_address address;
        struct qp_admin_names names = names_of(&address, ROWS[i].listen);
        if (qp_admin_is_own_host(&names, qp_slice_str(ROWS[i].authority)) != ROWS[i].is_own)
            fail_msg("'%s' at %s should be %s", ROWS[i].authority, ROWS[i].listen,
                     ROWS[i].is_own ? "ours" : "foreign");
    }
}

static void a_host_that_is_not_set_is_foreign(void **state)
{
    struct qp_address address;
    struct qp_admin_names names = names_of(&address, "127.0.0.1:80");
    assert_false(qp_admin_is_own_host(&names, QP_SLICE_NONE));
}

static void a_long_listed_name_is_compared_whole(void **state)
{
    char listed[254];
    char other[254];
    const char *const hosts[] = {listed};
    struct qp_address address;
    struct qp_admin_names names = names_of(&address, "127.0.0.1:80");
    names.hosts = hosts;
    names.host_count = 1;
    memset(listed, 'a', sizeof listed - 1);
    listed[sizeof listed - 1] = '\0';
    memcpy(other, listed, sizeof other);
    assert_true(qp_admin_is_own_host(&names, qp_slice_str(other)));
    other[200] = 'b';
    assert_false(qp_admin_is_own_host(&names, qp_slice_str(other)));
    other[200] = '\0';
    assert_false(qp_admin_is_own_host(&names, qp_slice_str(other)));
}

/* ---- Origin ---- */

static void an_origin_is_the_authority_that_was_asked(void **state)
{
    static const struct {
        const char *listen;
        const char *authority;
        const char *origin;
        bool is_own;
    } rows[] = {
        {"127.0.0.1:8081", "127.0.0.1:8081", "http://127.0.0.1:8081", true},
        {"127.0.0.1:8081", "localhost:8081", "http://localhost:8081", true},
        {"127.0.0.1:8081", "LOCALHOST:8081", "http://localhost:8081", true},
        {"127.0.0.1:8081", "localhost:8081", "http://127.0.0.1:8081", false},
        {"127.0.0.1:8081", "localhost:8081", "https://localhost:8081", false},
        {"127.0.0.1:8081", "localhost:8081", "http://localhost", false},
        {"127.0.0.1:8081", "localhost:8081", "http://localhost:80811", false},
        {"127.0.0.1:8081", "localhost:8081", "localhost:8081", false},
        {"127.0.0.1:8081", "localhost:8081", "http://", false},
        {"127.0.0.1:8081", "localhost:8081", "null", false},
        {"127.0.0.1:8081", "localhost:8081", "", false},
        {"127.0.0.1:80", "localhost", "http://localhost", true},
        {"127.0.0.1:8081", "proxy.example", "https://proxy.example", true},
        {"127.0.0.1:8081", "proxy.example", "http://proxy.example", true},
        {"127.0.0.1:8081", "admin.example:8443", "https://admin.example:8443", true},
        {"127.0.0.1:8081", "admin.example:8443", "https://admin.example", false},
        {"127.0.0.1:8081", "admin.example:8443", "https://proxy.example", false},
        {"unix:/run/q.sock", "localhost", "http://localhost", true},
        {"unix:/run/q.sock", "127.0.0.1", "http://localhost", true},
        {"unix:/run/q.sock", "localhost", "https://localhost", false},
        {"unix:/run/q.sock", "localhost", "http://evil.example", false},
        {"unix:/run/q.sock", "proxy.example", "https://proxy.example", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct qp_address address;
        struct qp_admin_names names = names_of(&address, rows[i].listen);
        if (qp_admin_is_own_origin(&names, qp_slice_str(rows[i].authority), qp_slice_str(rows[i].origin)) !=
            rows[i].is_own)
            fail_msg("'%s' at '%s' should be %s", rows[i].origin, rows[i].authority,
                     rows[i].is_own ? "ours" : "foreign");
    }
}

/* ---- where sign-ins come back to ---- */

static void sign_ins_come_back_to_the_first_address_that_a_browser_can_go_to(void **state)
{
    static const struct {
        const char *listen[3];
        const char *uri;
    } rows[] = {
        {{"127.0.0.1:8081"}, "http://127.0.0.1:8081/oauth/callback"},
        {{"[::1]:8081"}, "http://[::1]:8081/oauth/callback"},
        {{"unix:/run/a", "127.0.0.5:9", "127.0.0.1:8081"}, "http://127.0.0.5:9/oauth/callback"},
        {{"0.0.0.0:8081"}, "http://127.0.0.1:8081/oauth/callback"},
        {{"[::]:8081"}, "http://[::1]:8081/oauth/callback"},
        {{"192.0.2.7:80"}, "http://192.0.2.7:80/oauth/callback"},
        {{"unix:/run/a", "unix:/run/b"}, ""},
        {{NULL}, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct qp_address addresses[3];
        char uri[160];
        const char *why = NULL;
        unsigned count = 0;
        for (; count < 3 && rows[i].listen[count]; count++)
            assert_int_equal(qp_address_parse(qp_slice_str(rows[i].listen[count]), &addresses[count], &why),
                             QP_OK);
        qp_admin_redirect_uri(addresses, count, uri);
        assert_string_equal(uri, rows[i].uri);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_exact_names_with_the_exact_port_are_ours),
        cmocka_unit_test(a_host_that_is_not_set_is_foreign),
        cmocka_unit_test(a_long_listed_name_is_compared_whole),
        cmocka_unit_test(an_origin_is_the_authority_that_was_asked),
        cmocka_unit_test(sign_ins_come_back_to_the_first_address_that_a_browser_can_go_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
