#include "relay/route.h"

#include "cmocka_all.h"

enum { MAIN, BRAND, BY_HOST, BOTH, OWN };

static const char *const HOSTS[] = {"eu.proxy", "::1"};
static const char *const BOTH_HOSTS[] = {"both.proxy"};
static const struct qp_relay_account ACCOUNTS[] = {
    [MAIN] = {.name = "main"},
    [BRAND] = {.name = "brand", .path_prefix = "/brand"},
    [BY_HOST] = {.name = "host", .hosts = HOSTS, .host_count = 2},
    [BOTH] = {.name = "both", .path_prefix = "/b", .hosts = BOTH_HOSTS, .host_count = 1},
    [OWN] = {.name = "own", .path_prefix = "/own"},
};
static const int LISTENERS[] = {QP_LISTENER_ANY, OWN};
static const struct qp_relay_opts OPTS = {
    .accounts = ACCOUNTS, .account_count = 5, .listener_accounts = LISTENERS, .listener_count = 2};

struct row {
    unsigned listener;
    const char *authority; /* NULL: none */
    const char *target;
    int account;
    const char *at_origin;
};

static const struct row ROWS[] = {
    {0, "127.0.0.1:8080", "/API/v3/x?q", MAIN, "/API/v3/x?q"},
    {0, NULL, "/x", MAIN, "/x"},
    {0, "", "/x", MAIN, "/x"},
    {0, "a", "*", MAIN, "*"},
    {0, "a", "/brand/API/v3/x?a=/brand", BRAND, "/API/v3/x?a=/brand"},
    {0, "a", "/brand", BRAND, "/"},
    {0, "a", "/brand/", BRAND, "/"},
    {0, "a", "/brand//x", BRAND, "//x"},
    {0, "a", "/brandy/x", MAIN, "/brandy/x"},
    {0, "a", "/Brand/x", MAIN, "/Brand/x"},
    {0, "a", "/brand?x", MAIN, "/brand?x"},
    {0, "a", "/%62rand/x", MAIN, "/%62rand/x"},
    {0, "eu.proxy", "/x", BY_HOST, "/x"},
    {0, "EU.Proxy:8080", "/x", BY_HOST, "/x"},
    {0, "eu.proxy.evil", "/x", MAIN, "/x"},
    {0, "[::1]:8080", "/x", BY_HOST, "/x"},
    {0, "[::1]", "/x", BY_HOST, "/x"},
    {0, "[::1", "/x", MAIN, "/x"},
    {0, "both.proxy", "/b/x", BOTH, "/x"},
    {0, "both.proxy", "/x", MAIN, "/x"},
    {0, "other.proxy", "/b/x", MAIN, "/b/x"},
    {1, "eu.proxy", "/x", OWN, "/x"},
    {1, "a", "/own/x", OWN, "/x"},
    {1, "a", "/brand/x", OWN, "/brand/x"},
    {9, "a", "/x", MAIN, "/x"}, /* a listener that is not in the list is anybody's */
};

static void each_request_finds_its_account(void **state)
{
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const struct row *row = &ROWS[i];
        struct qp_slice target = qp_slice_str(row->target);
        int account = qp_route(&OPTS, row->listener, qp_slice_str(row->authority), &target);
        if (account != row->account || !qp_slice_is(target, qp_slice_str(row->at_origin)))
            fail_msg("row %u: account %d, target '%.*s'", i, account, QP_SLICE_FMT(target));
    }
}

static void without_an_account_for_all_there_may_be_none(void **state)
{
    struct qp_relay_opts opts = OPTS;
    struct qp_slice target = QP_SLICE("/x");
    opts.accounts = &ACCOUNTS[BRAND];
    opts.account_count = 3;
    opts.listener_count = 0;
    assert_int_equal(qp_route(&opts, 0, QP_SLICE("a"), &target), -1);
    assert_true(qp_slice_is(target, QP_SLICE("/x")));
}

static void an_account_with_its_own_listener_is_not_for_all(void **state)
{
    static const int own[] = {0, QP_LISTENER_ANY};
    const struct qp_relay_opts opts = {
        .accounts = &ACCOUNTS[MAIN], .account_count = 1, .listener_accounts = own, .listener_count = 2};
    struct qp_slice target = QP_SLICE("/x");
    assert_int_equal(qp_route(&opts, 0, QP_SLICE("a"), &target), 0);
    assert_int_equal(qp_route(&opts, 1, QP_SLICE("a"), &target), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_finds_its_account),
        cmocka_unit_test(without_an_account_for_all_there_may_be_none),
        cmocka_unit_test(an_account_with_its_own_listener_is_not_for_all),
    };
    return cmocka_run_group_tests_name("relay.route", tests, NULL, NULL);
}
