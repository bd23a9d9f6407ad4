/* What the vault's file is owed and what it is not, and a file that somebody else put in its place. */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>

static void set_fault(const char *text)
{
    assert_int_equal(setenv("QP_FAULT", text, 1), 0);
}

static int forget_faults(void **state)
{
    return unsetenv("QP_FAULT");
}

static bool has_drained;

static void note_drain(void *context)
{
    has_drained = true;
}

static bool is_drained(struct rig *rig)
{
    return has_drained;
}

static void drain(struct rig *rig)
{
    has_drained = false;
    qp_keeper_drain(rig->keeper, 20 * 1000, note_drain, NULL);
    rig_run_until(rig, is_drained, 5000);
}

/* ---- what is not owed ---- */

/* Another one can be asked for at any time. */
static void test_no_stop_waits_for_a_cached_token(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, NULL, STEPS({rig_grant("t1", 3600)}));
    rig.opts.cache_tokens = true;
    set_fault("vault.cache.write=ENOSPC,vault.record.write=ENOSPC");
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    rig_run_for(&rig, 400);
    assert_false(qp_keeper_vault_status(rig.keeper).is_writable);
    drain(&rig);
    rig_close(&rig);
}

static void test_no_stop_waits_for_a_mark(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r1", STEPS({rig_rotation("t1", "r2")}));
    set_fault("vault.mark.write=EROFS,vault.record.write=EROFS");
    rig_start(&rig);
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_COOLING_DOWN);
    drain(&rig);
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_close(&rig);
}

/* The mark took the space that was set aside, and there is no more: nothing was presented, and the next life must not doubt it. */
static void test_a_stop_takes_a_mark_back(void **state)
{
    struct rig rig;
    rig_open_with_vault(&rig, "r1", STEPS({rig_rotation("t1", "r2")}));
    set_fault("vault.reserve=ENOSPC@2");
    rig_start(&rig);
    assert_int_equal(rig_status(&rig).state, QP_TOKEN_COOLING_DOWN);
    assert_true(rig_kept(&rig, "vault").redeeming);
    drain(&rig);
    assert_false(rig_kept(&rig, "vault").redeeming);
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_close(&rig);
}

static void test_an_api_token_is_none_of_the_vaults_business(void **state)
{
    struct rig rig;
    struct ordered ordered = {0};
    rig_open_with_vault(&rig, NULL, STEPS({rig_who("anna"), .lane = LANE_WHOAMI}));
    rig.account.grant = QP_GRANT_API_TOKEN;
    rig.account.api_token = rig.client_secret;
    rig.account.client_id = rig.account.token_url = NULL;
    set_fault("vault.cache.write=ENOSPC");
    rig_start(&rig);
    qp_keeper_check(rig.keeper, 0, false, rig_take_end, &ordered);
    rig_run_to_end(&rig, &ordered, "ok");
    rig_run_for(&rig, 400);
    assert_true(qp_keeper_vault_status(rig.keeper).is_writable);
    drain(&rig);
    rig_close(&rig);
}

/* ---- what is ---- */

static void test_a_sign_out_that_is_not_on_disk_says_so(void **state)
{
    struct rig rig;
    struct ordered ordered = {0};
    rig_open_with_vault(&rig, "r1", STEPS({rig_rotation("t1", "r2")}));
    rig_start(&rig);
    rig_run_to_generation(&rig, 1, 2000);
    set_fault("vault.record.write=EROFS");
    qp_keeper_sign_out(rig.keeper, 0, rig_take_end, &ordered);
    rig_run_to_end(&rig, &ordered, "not_revoked");
    rig_assert_words(ordered.text, "the vault cannot be written");
    unsetenv("QP_FAULT");
    rig_close(&rig);
}

/* ---- somebody else's file ---- */

/* A copy of our vault with another refresh token, perhaps of another client. */
static void make_other_vault(struct rig *rig, const char *binding)
{
    char path[128], error[400] = "";
    struct qp_vault *vault = NULL;
    rig_copy_vault(rig, "vault", "other");
    snprintf(path, sizeof(path), "%s/other", rig->folder);
    const struct qp_vault_opts opts = {.path = path, .key.text = rig->vault_key};
    assert_int_equal(qp_vault_open(&opts, &vault, error, sizeof(error)), QP_VAULT_OPEN);
    struct qp_vault_record *record = qp_vault_record(vault, "main");
    qp_secret_free(&record->refresh_token);
    record->refresh_token = qp_secret_new(QP_SLICE("r9"));
    if (binding)
        snprintf(record->binding, sizeof(record->binding), "%s", binding);
    assert_int_equal(qp_vault_write(vault, "record", error, sizeof(error)), QP_OK);
    qp_vault_close(&vault);
}

static void put_other_vault(void *context, enum endpoint_lane lane, unsigned call, const char *request)
{
    if (lane == LANE_TOKEN && call == 1)
        rig_copy_vault(context, "other", "vault");
}

enum when { BEFORE_THE_CALL, DURING_THE_CALL };

static void refresh_with_other_vault(struct rig *rig, const char *binding, enum when when,
                                     struct ordered *ordered)
{
    rig_open_with_vault(rig, "r1",
                        STEPS({rig_rotation("t1", "r2")}, {rig_error("400 Bad Request", "invalid_grant")},
                              {rig_rotation("t2", "r10")}));
    rig_start(rig);
    rig_run_to_generation(rig, 1, 2000);
    make_other_vault(rig, binding);
    if (when == BEFORE_THE_CALL)
        rig_copy_vault(rig, "other", "vault");
    else
        endpoint_watch(rig->endpoint, put_other_vault, rig);
    *ordered = (struct ordered){0};
    qp_keeper_refresh(rig->keeper, 0, rig_take_end, ordered);
}

/* Ours is dead, theirs is tried. */
static void test_a_vault_that_was_put_there(void **state)
{
    for (enum when when = BEFORE_THE_CALL; when <= DURING_THE_CALL; ++when) {
        struct rig rig;
        struct ordered ordered;
        refresh_with_other_vault(&rig, NULL, when, &ordered);
        rig_run_to_end(&rig, &ordered, "refreshed");
        assert_int_equal(endpoint_calls(rig.endpoint), 3);
        rig_assert_words(endpoint_request(rig.endpoint, 1), "&refresh_token=r2");
        rig_assert_words(endpoint_request(rig.endpoint, 2), "&refresh_token=r9");
        assert_string_equal(rig_kept(&rig, "vault").refresh_token, "r10");
        rig_close(&rig);
    }
}

/* What was made for another client or token endpoint is not sent to ours. */
static void test_a_vault_of_another_client_that_was_put_there(void **state)
{
    for (enum when when = BEFORE_THE_CALL; when <= DURING_THE_CALL; ++when) {
        struct rig rig;
        struct ordered ordered;
        refresh_with_other_vault(&rig, "another", when, &ordered);
        rig_run_to_end(&rig, &ordered, "sign_in_needed");
        assert_int_equal(endpoint_calls(rig.endpoint), 2);
        assert_string_equal(rig_kept(&rig, "vault").refresh_token, "");
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_no_stop_waits_for_a_cached_token, forget_faults),
        cmocka_unit_test_teardown(test_no_stop_waits_for_a_mark, forget_faults),
        cmocka_unit_test_teardown(test_a_stop_takes_a_mark_back, forget_faults),
        cmocka_unit_test_teardown(test_an_api_token_is_none_of_the_vaults_business, forget_faults),
        cmocka_unit_test_teardown(test_a_sign_out_that_is_not_on_disk_says_so, forget_faults),
        cmocka_unit_test(test_a_vault_that_was_put_there),
        cmocka_unit_test(test_a_vault_of_another_client_that_was_put_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
