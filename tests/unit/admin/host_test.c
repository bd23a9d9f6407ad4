/* host_test.c - which names are ours (hard requirement 29). */
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
};

static void only_exact_names_with_the_exact_port_are_ours(void **state)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct qp_address address;
        const char *why = NULL;
        assert_int_equal(qp_address_parse(qp_slice_str(ROWS[i].listen), &address, &why), QP_OK);
        if (qp_admin_is_own_host(&address, qp_slice_str(ROWS[i].authority)) != ROWS[i].is_own)
            fail_msg("'%s' at %s should be %s", ROWS[i].authority, ROWS[i].listen,
                     ROWS[i].is_own ? "ours" : "foreign");
    }
}

static void a_host_that_is_not_set_is_foreign(void **state)
{
    struct qp_address address;
    const char *why = NULL;
    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:80"), &address, &why), QP_OK);
    assert_false(qp_admin_is_own_host(&address, QP_SLICE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_exact_names_with_the_exact_port_are_ours),
        cmocka_unit_test(a_host_that_is_not_set_is_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
