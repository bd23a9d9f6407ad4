/* told.h - what a configuration is told to be wrong, as one text to compare with: "place: text\n" for each.
 */
#ifndef QP_TESTS_CONFIG_TOLD_H
#define QP_TESTS_CONFIG_TOLD_H

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

/* All of an account that the other settings of a test need around them. */
#define ACCOUNT "\"accounts\":[{\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"t\"}]"

/* Before it, setenv("QP_TEST_VAULT_KEY", ...). */
#define VAULT "\"vault\":{\"path\":\"/nonexistent/vault\",\"key\":\"env:QP_TEST_VAULT_KEY\"}"

static char told_text[64 * 1024];

static inline const char *told_of(const struct qp_problems *problems)
{
    FILE *out = fmemopen(told_text, sizeof(told_text), "w");
    for (size_t i = 0; i < problems->count; i++)
        fprintf(out, "%s: %s\n", problems->at[i].place ? problems->at[i].place : "", problems->at[i].text);
    fclose(out);
    return told_text;
}

static inline struct qp_config *parse(const char *text)
{
    struct qp_problems problems = {0};
    struct qp_config *config = qp_config_parse(qp_slice_str(text), "test.json", NULL, NULL, &problems);
    if (!config)
        fail_msg("refused: %s", told_of(&problems));
    assert_int_equal(problems.count, 0);
    return config;
}

static inline const char *told(const char *text)
{
    struct qp_problems problems = {0};
    size_t secrets = qp_secret_live_count();
    struct qp_config *config = qp_config_parse(qp_slice_str(text), "test.json", NULL, NULL, &problems);
    told_text[0] = '\0';
    assert_null(config);
    assert_true(problems.count > 0);
    told_of(&problems);
    qp_problems_deinit(&problems);
    assert_int_equal(qp_secret_live_count(), secrets);
    return told_text;
}

#define assert_told(text, expected) assert_string_equal(told(text), expected)
#define assert_tells(text, part)                                  \
    do {                                                          \
        if (!strstr(told(text), part))                            \
            fail_msg("'%s' does not tell '%s'", told_text, part); \
    } while (0)

#endif
