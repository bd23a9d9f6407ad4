/* form_test.c - forms and queries are read in one way or not at all. */
#include "admin/form.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *text;
    const char *all; /* "name=value;" each, decoded; NULL: refused */
};

static const struct row ROWS[] = {
    {"", ""},
    {"a=1", "a=1;"},
    {"a=1&b=2", "a=1;b=2;"},
    {"a", "a=;"},
    {"a=", "a=;"},
    {"a=b=c", "a=b=c;"},
    {"a+b=c+d", "a b=c d;"},
    {"a=%2B%26%3d%41", "a=+&=A;"},
    {"%61=1", "a=1;"},
    {"a=%E2%82%ac", "a=\xe2\x82\xac;"},
    {"a=1&", "a=1;"},
    {"A=1&a=2", "A=1;a=2;"},
    {"a=1&a=1", NULL},
    {"a=1&%61=2", NULL},
    {"csrf=x&spend=1&csrf=y", NULL},
    {"&a=1", NULL},
    {"a=1&&b=2", NULL},
    {"=1", NULL},
    {"a=%", NULL},
    {"a=%4", NULL},
    {"a=%4g", NULL},
    {"a=%00", NULL},
    {"%00=a", NULL},
    {"a%=1", NULL},
    {"a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p", "a=;b=;c=;d=;e=;f=;g=;h=;i=;j=;k=;l=;m=;n=;o=;p=;"},
    {"a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", NULL},
};

static void what_is_ambiguous_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct qp_form form = {0};
        char all[256] = "";
        size_t len = 0;
        bool ok = qp_form_parse(qp_slice_str(ROWS[i].text), &form);
        for (unsigned k = 0; k < form.count; k++)
            len += (size_t)snprintf(all + len, sizeof all - len, "%.*s=%.*s;",
                                    QP_SLICE_FMT(form.members[k].name), QP_SLICE_FMT(form.members[k].value));
        if (ok != (ROWS[i].all != NULL) || (ok && strcmp(all, ROWS[i].all) != 0) || (!ok && form.count != 0))
            fail_msg("'%s' gave '%s'", ROWS[i].text, all);
        qp_form_deinit(&form);
    }
}

static void members_are_found_by_name(void **state)
{
    struct qp_form form = {0};
    assert_true(qp_form_parse(QP_SLICE("id=7&empty=&csrf=x"), &form));
    assert_true(qp_slice_is(qp_form_get(&form, "id"), QP_SLICE("7")));
    assert_true(qp_slice_is(qp_form_get(&form, "csrf"), QP_SLICE("x")));
    assert_non_null(qp_form_get(&form, "empty").at);
    assert_int_equal(qp_form_get(&form, "empty").len, 0);
    assert_null(qp_form_get(&form, "i").at);
    assert_null(qp_form_get(&form, "ID").at);
    qp_form_deinit(&form);
    assert_null(qp_form_get(&form, "id").at);
}

static void a_nul_in_the_bytes_is_refused(void **state)
{
    struct qp_form form = {0};
    assert_false(qp_form_parse(qp_slice("a=\0b", 4), &form));
}

static void a_long_form_stays_in_place(void **state)
{
    struct qp_form form = {0};
    struct qp_buf text = {0};
    qp_buf_append_str(&text, "first=1&long=");
    for (unsigned i = 0; i < 60000; i++)
        qp_buf_append_char(&text, 'x');
    qp_buf_append_str(&text, "&last=2");
    assert_true(qp_form_parse(qp_buf_slice(&text), &form));
    assert_true(qp_slice_is(qp_form_get(&form, "first"), QP_SLICE("1")));
    assert_true(qp_slice_is(qp_form_get(&form, "last"), QP_SLICE("2")));
    assert_int_equal(qp_form_get(&form, "long").len, 60000);
    qp_form_deinit(&form);
    qp_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ambiguous_is_refused),
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(a_nul_in_the_bytes_is_refused),
        cmocka_unit_test(a_long_form_stays_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
