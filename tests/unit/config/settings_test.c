#include "config/load.h"
#include "told.h"

static void each_row_is_complete_and_its_default_lies_within_its_bounds(void **state)
{
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        union {
            struct qp_config config;
            struct qp_config_account account;
        } scratch = {0};
        assert_non_null(setting->help);
        assert_int_equal(setting->help[strlen(setting->help) - 1], '.');
        assert_true(setting->fallback || setting->example);
        assert_ptr_equal(qp_setting_find(setting->path), setting);
        assert_true(setting->type != QP_SETTING_CHOICE || setting->choices);
        const char *text = setting->fallback ? setting->fallback : setting->example;
        if (setting->type == QP_SETTING_SECRET || setting->reference)
            continue;
        if (!qp_setting_set_text(setting, &scratch, text))
            fail_msg("%s does not allow '%s'", setting->path, text);
        if (setting->type == QP_SETTING_TEXT)
            free(*(char **)(void *)((char *)&scratch + setting->offset));
        if (setting->type == QP_SETTING_LIST)
            qp_list_deinit_texts((void *)((char *)&scratch + setting->offset));
    }
}

static void a_grant_uses_what_it_needs(void **state)
{
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        assert_true((setting->needed_by & setting->used_by) == setting->needed_by);
        assert_true(qp_setting_is_of_account(setting) || !setting->used_by);
        assert_true(setting->type == QP_SETTING_SECRET || (!setting->passphrase && !setting->never_literal));
    }
}

/* The issue announced these names: they stay. */
static void the_announced_names_are_there(void **state)
{
    static const char *const names[] = {
        "listen",
        "admin.listen",
        "accounts[].name",
        "accounts[].datacenter",
        "accounts[].origin",
        "accounts[].grant",
        "accounts[].client_id",
        "accounts[].client_secret",
        "accounts[].refresh_token",
        "accounts[].api_token",
        "accounts[].client_auth",
        "accounts[].scope",
        "accounts[].token_url",
        "accounts[].ca_file",
        "accounts[].path_prefix",
        "accounts[].listen",
        "accounts[].auth_url",
        "accounts[].redirect_uri",
        "accounts[].offline_scope",
        "vault.path",
        "vault.key",
        "workers",
        "timeouts.client_head",
        "timeouts.client_body",
        "timeouts.client_idle",
        "timeouts.origin_connect",
        "timeouts.origin_handshake",
        "timeouts.origin_resolve",
        "timeouts.origin_response",
        "timeouts.origin_idle",
        "timeouts.origin_lost",
        "timeouts.request",
        "timeouts.stream_wait",
        "timeouts.token_wait",
        "timeouts.token_call",
        "timeouts.drain",
        "limits.head",
        "limits.target",
        "limits.body",
        "limits.body_rate",
        "limits.connections",
        "limits.connections_per_address",
        "limits.waiting",
        "limits.origin_rate",
        "limits.retry_budget",
        "limits.memory",
        "replay.memory",
        "replay.body",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!qp_setting_find(names[i]))
            fail_msg("%s is gone", names[i]);
}

static void each_numbers_bounds_hold_to_the_unit(void **state)
{
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        union {
            struct qp_config config;
            struct qp_config_account account;
        } scratch = {0};
        char text[64];
        if (setting->type != QP_SETTING_COUNT && setting->type != QP_SETTING_DURATION &&
            setting->type != QP_SETTING_SIZE)
            continue;
        const char *unit = setting->type == QP_SETTING_COUNT  ? ""
                           : setting->type == QP_SETTING_SIZE ? "B"
                                                              : "ms";
        const uint64_t values[] = {setting->min, setting->max, setting->max + 1, setting->min - 1};
        for (size_t k = 0; k < 4; k++) {
            bool is_off = values[k] == 0 && setting->zero_word;
            if (k == 3 && setting->min == 0)
                continue;
            snprintf(text, sizeof(text), "%llu%s", (unsigned long long)values[k], unit);
            assert_int_equal(qp_setting_set_text(setting, &scratch, text), k < 2 || is_off);
        }
    }
}

static void guesses_are_close(void **state)
{
    assert_string_equal(qp_setting_guess("timeouts.drian"), "timeouts.drain");
    assert_string_equal(qp_setting_guess("limit"), "limits");
    assert_string_equal(qp_setting_guess("client_secret"), "accounts[].client_secret");
    assert_string_equal(qp_setting_guess("vualt"), "vault");
    assert_string_equal(qp_setting_guess("vault_key"), "vault.key");
    assert_string_equal(qp_setting_guess("accounts[].redirect_url"), "accounts[].redirect_uri");
    assert_null(qp_setting_guess("completely_else"));
    assert_null(qp_setting_guess(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_complete_and_its_default_lies_within_its_bounds),
        cmocka_unit_test(a_grant_uses_what_it_needs),
        cmocka_unit_test(the_announced_names_are_there),
        cmocka_unit_test(each_numbers_bounds_hold_to_the_unit),
        cmocka_unit_test(guesses_are_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
