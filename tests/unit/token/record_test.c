/* What of an account is on disk, and when; and what the next life makes of it. */
#include "rig.h"
#include "token/account_life.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- the wall clock may be set, and the moment of publication looked at ---- */

static int64_t set_by_ms;
static struct rig *watched;
static unsigned published;

int64_t __real_qp_clock_unix_ms(void);
int64_t __wrap_qp_clock_unix_ms(void);
int64_t __wrap_qp_clock_unix_ms(void)
{
    return __real_qp_clock_unix_ms() + set_by_ms;
}

void __real_qp_keeper_publish_token(struct qp_account *account);
void __wrap_qp_keeper_publish_token(struct qp_account *account);
void __wrap_qp_keeper_publish_token(struct qp_account *account)
{
    char name[32];
    snprintf(name, sizeof(name), "published.%u", published++);
    if (watched)
        rig_copy_vault(watched, "vault", name);
    __real_qp_keeper_publish_token(account);
}

static void copy_when_seen(void *context, enum endpoint_lane lane, unsigned call, const char *request)
{
    char name[32];
    snprintf(name, sizeof(name), "seen.%u", call);
    if (lane == LANE_TOKEN)
        rig_copy_vault(context, "vault", name);
}

static int come_back(void **state)
{
    set_by_ms = 0;
    watched = NULL;
    published = 0;
    return 0;
}

/* ---- the order of things ---- */

static void test_P4_order(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r0",
                        STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}, {rig_grant("t3", 3600)},
                              {rig_grant("t4", 3600)}));
    endpoint_watch(rig.endpoint, copy_when_seen, &rig);
    watched = &rig;
    rig_start(&rig);
    for (uint64_t generation = 1; generation <= 4; ++generation)
        assert_int_equal(rig_ask(&rig, generation).outcome, QP_NEED_MET);
    watched = NULL;
    rig_assert_kept(&rig, "seen.0", "r0", "", true);
    rig_assert_kept(&rig, "published.0", "r1", "t1", false);
    rig_assert_kept(&rig, "seen.1", "r1", "t1", true);
    rig_assert_kept(&rig, "published.1", "r2", "t2", false);
    rig_assert_kept(&rig, "seen.2", "r2", "t2", true);
    /* An answer without a refresh token keeps the old one. */
    rig_assert_kept(&rig, "published.2", "r2", "t3", false);
    rig_assert_kept(&rig, "seen.3", "r2", "t3", true);
    rig_close(&rig);
}

static void test_P4_order_of_a_sign_in(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
    rig_use_vault(&rig);
    rig_start(&rig);
    watched = &rig;
    rig_sign_in(&rig, "c1");
    endpoint_watch(rig.endpoint, copy_when_seen, &rig);
    rig_sign_in(&rig, "c2");
    watched = NULL;
    rig_assert_kept(&rig, "published.0", "r1", "t1", false);
    rig_assert_kept(&rig, "seen.1", "r1", "t1", false); /* a code does not touch what there is */
    rig_assert_kept(&rig, "published.1", "r2", "t2", false);
    rig_close(&rig);
}

/* A call that is under way stays marked, whoever writes the vault meanwhile. */
static void test_P4_the_mark_stays_until_the_answer(void **state)
{
    struct rig rig;
    struct ordered refreshed = {0};
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true},
                                 {rig_who("anna"), .lane = LANE_WHOAMI, .is_held = true}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    endpoint_release(rig.endpoint); /* the identity is saved in a quarter of a second */
    rig_run_for(&rig, 60);
    assert_string_equal(rig_status(&rig).identity->user, "anna");
    qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_run_for(&rig, 400);
    rig_assert_kept(&rig, "vault", "r1", "t1", true);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &refreshed, "refreshed");
    rig_assert_kept(&rig, "vault", "r2", "t2", false);
    rig_close(&rig);
}

/* The same, and the news comes while the call is under way. */
static void test_P4_an_identity_does_not_wipe_the_mark(void **state)
{
    struct rig rig;
    struct ordered refreshed = {0}, checked = {0};
    rig_open_sign_in(&rig,
                     STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2"), .is_held = true},
                           {rig_who("anna"), .lane = LANE_WHOAMI}, {rig_who("berta"), .lane = LANE_WHOAMI}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_run_to_calls(&rig, LANE_WHOAMI, 1, 2000);
    rig_run_for(&rig, 400);
    qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    qp_keeper_check(rig.keeper, 0, false, rig_take_end, &checked);
    rig_run_to_end(&rig, &checked, "ok");
    rig_run_for(&rig, 400);
    assert_string_equal(rig_kept(&rig, "vault").user, "berta");
    rig_assert_kept(&rig, "vault", "r1", "t1", true);
    rig_close(&rig);
}

/* ---- the next life ---- */

static void test_a_kept_token_needs_no_call(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r0", STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_restart(&rig);
    rig_run_for(&rig, 50);
    rig_assert_token(&rig, 1, "t1");
    struct qp_token_status status = rig_status(&rig);
    assert_int_equal(status.state, QP_TOKEN_FRESH);
    assert_true(status.usable && status.token_calls == 0 && status.expires_in_s > 3590 &&
                status.next_call_s > 3500);
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    rig_assert_words(endpoint_request(rig.endpoint, 1), "&refresh_token=r1");
    assert_int_equal(endpoint_count(rig.endpoint, "&refresh_token=r0"), 1);
    rig_close(&rig);
}

static void test_a_kept_token_that_is_due(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r0", STEPS({rig_grant("t1", 80)}, {rig_grant("t2", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_stop(&rig);
    set_by_ms = 74 * 1000; /* within the last tenth, also by a second's rounding */
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_run_to_generation(&rig, 2, 4000);
    rig_close(&rig);
}

static void test_signed_in_survives(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_who("anna"), .lane = LANE_WHOAMI}));
    rig_use_vault(&rig);
    rig.account.sign_in_warn_ms = 100 * 1000;
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_run_for(&rig, 60);
    rig_stop(&rig); /* what may be written lazily is written at the end */
    set_by_ms = 200 * 1000;
    rig_start(&rig);
    struct qp_token_status status = rig_status(&rig);
    assert_in_range(status.signed_in_s, 199, 210);
    assert_in_range(status.refresh_token_age_s, 199, 210);
    assert_true(status.refresh_token_is_old && status.can_sign_out && status.usable);
    assert_string_equal(status.identity->user, "anna");
    assert_string_equal(status.identity->brand, "brand");
    rig_close(&rig);
}

static void test_after_a_sign_out(void **state)
{
    struct rig rig;
    struct ordered out = {0};
    rig_open_with_vault(&rig, "r0", STEPS({rig_rotation("t1", "r1")}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    qp_keeper_sign_out(rig.keeper, 0, rig_take_end, &out);
    rig_run_to_end(&rig, &out, "not_revoked");
    rig_restart(&rig);
    rig_run_for(&rig, 50);
    /* The seed was replaced by what was signed out. */
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    rig_assert_words(rig_status(&rig).last_error, "configure a new one");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

static void test_another_seed_is_a_new_beginning(void **state)
{
    struct rig rig;
    struct qp_secret *other = qp_secret_new(QP_SLICE("s0"));
    rig_open_with_vault(
        &rig, "r0",
        STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "s1")}, {rig_rotation("t3", "s2")}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_stop(&rig);
    rig.account.refresh_token = other;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_assert_token(&rig, 1, "t2");
    rig_assert_words(endpoint_request(rig.endpoint, 1), "&refresh_token=s0");
    rig_restart(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    assert_int_equal(rig_ask(&rig, 2).outcome, QP_NEED_MET);
    rig_assert_words(endpoint_request(rig.endpoint, 2), "&refresh_token=s1");
    rig_close(&rig);
    qp_secret_free(&other);
}

/* What belongs to another client is not used, and not thrown away before there is something better. */
static void test_another_client(void **state)
{
    struct rig rig;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
    rig_use_vault(&rig);
    rig_start(&rig);
    rig_sign_in(&rig, "c1");
    rig_stop(&rig);
    rig.account.client_id = "another";
    rig_start(&rig);
    rig_run_for(&rig, 50);
    struct qp_token_status status = rig_status(&rig);
    assert_int_equal(status.state, QP_TOKEN_SIGN_IN_NEEDED);
    assert_true(!status.usable && !status.can_refresh && status.signed_in_s == -1);
    assert_int_equal(rig_ask(&rig, 1).outcome, QP_NEED_SIGN_IN);
    rig_assert_kept(&rig, "vault", "r1", "t1", false);
    rig_stop(&rig);
    rig.account.client_id = "id";
    rig_start(&rig);
    rig_run_for(&rig, 50);
    rig_assert_token(&rig, 1, "t1");
    rig_stop(&rig);
    rig.account.client_id = "another";
    rig_start(&rig);
    rig_sign_in(&rig, "c2");
    rig_assert_kept(&rig, "vault", "r2", "t2", false);
    assert_int_equal(endpoint_calls(rig.endpoint), 2);
    rig_close(&rig);
}

static void test_another_endpoint_or_grant(void **state)
{
    struct rig rig;
    char url[80];
    rig_open_with_vault(&rig, "r0", STEPS({rig_rotation("t1", "r1")}));
    const char *right_url = rig.account.token_url;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_stop(&rig);
    snprintf(url, sizeof(url), "%s?tenant=1", rig.url);
    rig.account.token_url = url;
    rig_start(&rig);
    rig_run_for(&rig, 50);
    /* P4: the configured one is spent. */
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    rig_assert_words(rig_status(&rig).last_error, "configure a new one");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_assert_kept(&rig, "vault", "r1", "t1", false);
    rig_stop(&rig);
    rig.account.token_url = right_url;
    rig_start(&rig);
    rig_run_for(&rig, 50);
    rig_assert_token(&rig, 1, "t1");
    rig_stop(&rig);
    rig_sign_in_instead(&rig);
    rig_start(&rig);
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_SIGN_IN_NEEDED);
    rig_close(&rig);
}

/* The first endpoint did not take it. */
static void test_a_seed_that_is_not_spent_goes_to_another_endpoint(void **state)
{
    struct rig rig;
    char url[80];
    rig_open_with_vault(&rig, "r0", STEPS({endpoint_answer("503 X", "")}, {rig_rotation("t1", "r1")}));
    rig_start(&rig);
    rig_run_to_state(&rig, QP_TOKEN_COOLING_DOWN, 2000);
    rig_stop(&rig);
    snprintf(url, sizeof(url), "%s?tenant=1", rig.url);
    rig.account.token_url = url;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_assert_words(endpoint_request(rig.endpoint, 1), "&refresh_token=r0");
    rig_assert_kept(&rig, "vault", "r1", "t1", false);
    rig_close(&rig);
}

/* ---- tokens of client_credentials ---- */

static void test_client_credentials_are_cached_if_wanted(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, NULL,
                        STEPS({rig_grant("t1", 3600)}, {rig_grant("t2", 3600)}, {rig_grant("t3", 3600)}));
    rig.opts.cache_tokens = true;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_run_for(&rig, 400);
    rig_assert_kept(&rig, "vault", "", "t1", false);
    rig_restart(&rig);
    rig_run_for(&rig, 50);
    rig_assert_token(&rig, 1, "t1");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    /* Another scope is another token. */
    rig_stop(&rig);
    rig.account.scope = "read:surveys";
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_assert_token(&rig, 1, "t2");
    rig_stop(&rig); /* the last one is written at the end */
    rig_assert_kept(&rig, "vault", "", "t2", false);
    rig.opts.cache_tokens = false;
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_assert_token(&rig, 1, "t3");
    rig_close(&rig);
}

static void test_client_credentials_are_not_kept_unasked(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_run_for(&rig, 400);
    rig_restart(&rig);
    rig_run_to_calls(&rig, LANE_TOKEN, 2, 2000);
    rig_run_to_generation(&rig, 1, 2000);
    rig_stop(&rig);
    rig_assert_kept(&rig, "vault", "", "", false);
    rig_close(&rig);
}

/* ---- clocks ---- */

static void test_the_wall_clock_was_set(void **state)
{
    static const struct {
        int64_t by_s;
        bool is_used;
        int64_t least_s, most_s;
    } rows[] = {
        {0, true, 3590, 3600}, {600, true, 2990, 3000},     {3500, true, 90, 100}, {3601, false, 0, 0},
        {86400, false, 0, 0},  {-120, true, 3590, 3600}, /* no longer than it was given for */
        {-1800, false, 0, 0},  {-365 * 86400, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        rig_open_with_vault(&rig, "r0", STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")}));
        rig_start(&rig);
        rig_run_to_generation(&rig, 1, 2000);
        rig_stop(&rig);
        set_by_ms = rows[i].by_s * 1000;
        rig_start(&rig);
        struct qp_token_status status = rig_status(&rig);
        assert_int_equal(status.usable, rows[i].is_used);
        if (rows[i].is_used &&
            (status.expires_in_s < rows[i].least_s || status.expires_in_s > rows[i].most_s))
            fail_msg("row %zu: expires in %lld s", i, (long long)status.expires_in_s);
        rig_run_to_generation(&rig, 1, 2000);
        rig_assert_token(&rig, 1, rows[i].is_used ? "t1" : "t2");
        assert_true(status.refresh_token_age_s >= 0);
        rig_close(&rig);
        set_by_ms = 0;
    }
}

/* ---- the command line's own keeper ---- */

static void test_a_passive_keeper_makes_no_call(void **state)
{
    static const char *const seeds[] = {NULL, "r0"};
    for (size_t i = 0; i < 2; ++i) {
        struct rig rig;
        struct ordered refreshed = {0};
        rig_open_with_vault(&rig, seeds[i],
                            STEPS({rig_rotation("t1", "r1")}, {endpoint_answer("503 X", "")}));
        rig.opts.passive = true;
        rig_start(&rig);
        rig_run_for(&rig, 100);
        assert_int_equal(endpoint_calls(rig.endpoint), 0);
        qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
        rig_run_to_end(&rig, &refreshed, "refreshed");
        assert_int_equal(rig_status(&rig).next_call_s, -1);
        qp_keeper_refresh(rig.keeper, 0, rig_take_end, &refreshed);
        rig_run_to_state(&rig, QP_TOKEN_COOLING_DOWN, 2000);
        assert_int_equal(rig_status(&rig).next_call_s, -1);
        rig_run_for(&rig, 700);
        assert_int_equal(endpoint_calls(rig.endpoint), 2);
        rig_close(&rig);
    }
}

static void test_no_vault(void **state)
{
    struct rig rig;
    char text[100] = "";
    rig_open(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    struct qp_vault_status status = qp_keeper_vault_status(rig.keeper);
    assert_false(status.is_configured);
    assert_null(status.error);
    assert_int_equal(qp_keeper_rotate_key(rig.keeper, text, sizeof(text)), QP_NET_DENIED);
    rig_assert_words(text, "set vault.path and vault.key");
    rig_close(&rig);
    rig_open_with_vault(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig_start(&rig);
    status = qp_keeper_vault_status(rig.keeper);
    assert_true(status.is_configured && status.is_writable);
    assert_null(status.error);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_P4_order, come_back),
        cmocka_unit_test_teardown(test_P4_order_of_a_sign_in, come_back),
        cmocka_unit_test(test_P4_the_mark_stays_until_the_answer),
        cmocka_unit_test(test_P4_an_identity_does_not_wipe_the_mark),
        cmocka_unit_test(test_a_kept_token_needs_no_call),
        cmocka_unit_test_teardown(test_a_kept_token_that_is_due, come_back),
        cmocka_unit_test_teardown(test_signed_in_survives, come_back),
        cmocka_unit_test(test_after_a_sign_out),
        cmocka_unit_test(test_another_seed_is_a_new_beginning),
        cmocka_unit_test(test_another_client),
        cmocka_unit_test(test_another_endpoint_or_grant),
        cmocka_unit_test(test_a_seed_that_is_not_spent_goes_to_another_endpoint),
        cmocka_unit_test(test_client_credentials_are_cached_if_wanted),
        cmocka_unit_test(test_client_credentials_are_not_kept_unasked),
        cmocka_unit_test_teardown(test_the_wall_clock_was_set, come_back),
        cmocka_unit_test(test_a_passive_keeper_makes_no_call),
        cmocka_unit_test(test_no_vault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
