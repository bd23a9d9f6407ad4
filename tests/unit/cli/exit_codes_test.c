#include "cli/exit_codes.h"
#include "cmocka_all.h"
#include "token/keeper.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static void the_four_faults_of_a_vault_are_four_codes(void **state)
{
    (void)state;
    static const struct {
        enum qp_vault_outcome outcome;
        int code;
    } rows[] = {
        {QP_VAULT_OPEN, EX_OK},          {QP_VAULT_ABSENT, EX_NOINPUT},       {QP_VAULT_CORRUPT, EX_DATAERR},
        {QP_VAULT_WRONG_KEY, EX_NOPERM}, {QP_VAULT_TOO_NEW, EX_SOFTWARE},     {QP_VAULT_LOCKED, EX_TEMPFAIL},
        {QP_VAULT_BAD_KEY, EX_NOPERM},   {QP_VAULT_UNREADABLE, EX_CANTCREAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(qp_exit_of_vault(rows[i].outcome), rows[i].code);
}

static void orders_end_by_class(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        int exit_code;
    } rows[] = {
        {"failed", EX_UNAVAILABLE},   {"network", EX_UNAVAILABLE},   {"resolve", EX_UNAVAILABLE},
        {"certificate", EX_PROTOCOL}, {"unexpected", EX_PROTOCOL},   {"sign_in_needed", EX_NOPERM},
        {"refused", EX_NOPERM},       {"rejected", EX_NOPERM},       {"forbidden", EX_NOPERM},
        {"access_denied", EX_NOPERM}, {"vault", EX_IOERR},           {"bad_answer", EX_DATAERR},
        {"static", EX_USAGE},         {"something", EX_UNAVAILABLE}, {"not_rotatable", EX_USAGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(qp_exit_of_order(rows[i].code), rows[i].exit_code);
}

/* No state but those of the map, and none that is not usable without a code. */
static void accounts_end_by_class(void **state)
{
    (void)state;
#define STATE_WORD(name, word, text) word,
    static const char *const words[] = {QP_TOKEN_STATE_MAP(STATE_WORD)};
#undef STATE_WORD
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        bool is_for_people = strcmp(words[i], "sign-in-needed") == 0 || strcmp(words[i], "refused") == 0;
        assert_int_equal(qp_exit_of_account(true, words[i]), EX_OK);
        assert_int_equal(qp_exit_of_account(false, words[i]), is_for_people ? EX_NOPERM : EX_UNAVAILABLE);
    }
}

static void the_highest_code_is_the_one(void **state)
{
    (void)state;
    assert_int_equal(qp_exit_worse(EX_OK, EX_UNAVAILABLE), EX_UNAVAILABLE);
    assert_int_equal(qp_exit_worse(EX_NOPERM, EX_UNAVAILABLE), EX_NOPERM);
    assert_int_equal(qp_exit_worse(EX_PROTOCOL, EX_NOPERM), EX_NOPERM);
}

/* What a code can be is in the table that --help shows. */
static void every_code_is_explained(void **state)
{
    (void)state;
    static const int codes[] = {EX_OK,       EX_USAGE,  EX_DATAERR,   EX_NOINPUT, EX_UNAVAILABLE,
                                EX_SOFTWARE, EX_OSERR,  EX_CANTCREAT, EX_IOERR,   EX_TEMPFAIL,
                                EX_PROTOCOL, EX_NOPERM, EX_CONFIG};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    qp_exit_print(out);
    fclose(out);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char line[16];
        snprintf(line, sizeof line, "\n  %3d  ", codes[i]);
        assert_non_null(strstr(text, line));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_four_faults_of_a_vault_are_four_codes),
        cmocka_unit_test(orders_end_by_class),
        cmocka_unit_test(accounts_end_by_class),
        cmocka_unit_test(the_highest_code_is_the_one),
        cmocka_unit_test(every_code_is_explained),
    };
    return cmocka_run_group_tests_name("cli.exit_codes", tests, NULL, NULL);
}
