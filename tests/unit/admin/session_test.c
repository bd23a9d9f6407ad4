/* session_test.c - cookies as browsers send them, the token that belongs to one, and what is kept to be told. */
#include "admin/session.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define A43 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B43 "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-0123456789bbbbb"

static struct qp_sessions sessions;

static int begin(void **state)
{
    qp_sessions_init(&sessions);
    return 0;
}

/* ---- the cookie ---- */

struct row {
    const char *first;  /* Cookie fields */
    const char *second; /* NULL: one only */
    const char *found;  /* NULL: nothing */
};

static const struct row ROWS[] = {
    {"qproxy_session=" A43, NULL, A43},
    {"qproxy_session=" B43, NULL, B43},
    {"a=b; qproxy_session=" A43 "; c=d", NULL, A43},
    {"a=b;qproxy_session=" A43, NULL, A43},
    {" qproxy_session=" A43 " ", NULL, A43},
    {"a=b", "qproxy_session=" A43, A43},
    {"qproxy_session=short; qproxy_session=" A43, NULL, A43},
    {"qproxy_session=" A43 "; qproxy_session=" B43, NULL, A43},
    {"", NULL, NULL},
    {"qproxy_session", NULL, NULL},
    {"qproxy_session=", NULL, NULL},
    {"qproxy_session=short", NULL, NULL},
    {"qproxy_session=" A43 "a", NULL, NULL},
    {"qproxy_session=\"" A43 "\"", NULL, NULL},
    {"Qproxy_session=" A43, NULL, NULL},
    {"xqproxy_session=" A43, NULL, NULL},
    {"x=qproxy_session=" A43, NULL, NULL},
    {"qproxy_session=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%0", NULL, NULL},
    {"qproxy_session=aaaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaaa", NULL, NULL},
};

static void only_what_has_the_form_of_ours_is_taken(void **state)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct qp_field fields[] = {
            {.name = QP_SLICE("cookie"), .value = qp_slice_str(ROWS[i].first), .id = QP_FIELD_COOKIE},
            {.name = QP_SLICE("Cookie"), .value = qp_slice_str(ROWS[i].second), .id = QP_FIELD_COOKIE}};
        struct qp_message head = {.fields = {.at = fields, .count = ROWS[i].second ? 2 : 1}};
        struct qp_slice found = qp_session_find(&head);
        if ((found.at != NULL) != (ROWS[i].found != NULL) ||
            (found.at && !qp_slice_is(found, qp_slice_str(ROWS[i].found))))
            fail_msg("'%s' gave '%.*s'", ROWS[i].first, QP_SLICE_FMT(found));
    }
}

static void the_cookie_is_out_of_reach_of_scripts_and_other_sites(void **state)
{
    struct qp_buf out = {0};
    qp_session_put_cookie(&out, A43);
    assert_true(qp_slice_is(qp_buf_slice(&out), QP_SLICE("Set-Cookie: qproxy_session=" A43
                                                         "; Path=/; HttpOnly; SameSite=Lax\r\n")));
    qp_buf_deinit(&out);
}

static void each_cookie_has_its_own_token_and_so_has_each_process(void **state)
{
    char a[QP_DIGEST_TEXT_BYTES];
    char b[QP_DIGEST_TEXT_BYTES];
    char again[QP_DIGEST_TEXT_BYTES];
    qp_session_csrf(&sessions, A43, a);
    qp_session_csrf(&sessions, B43, b);
    qp_session_csrf(&sessions, A43, again);
    assert_string_equal(a, again);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, A43);
    qp_sessions_init(&sessions);
    qp_session_csrf(&sessions, A43, again);
    assert_string_not_equal(a, again);
}

/* ---- what is to be told ---- */

static void it_is_told_to_that_browser_of_that_account_for_a_minute(void **state)
{
    assert_null(qp_session_flash_of(&sessions, 1000, A43, 0));
    qp_session_flash(&sessions, 1000, A43, 0, true, "done");
    const struct qp_flash *flash = qp_session_flash_of(&sessions, 1000 + QP_FLASH_MS - 1, A43, 0);
    assert_non_null(flash);
    assert_true(flash->ok);
    assert_string_equal(flash->text, "done");
    assert_null(qp_session_flash_of(&sessions, 1000, B43, 0));
    assert_null(qp_session_flash_of(&sessions, 1000, A43, 1));
    assert_null(qp_session_flash_of(&sessions, 1000 + QP_FLASH_MS, A43, 0));
}

static void the_newer_word_replaces_the_older(void **state)
{
    qp_session_flash(&sessions, 1000, A43, 0, true, "done");
    qp_session_flash(&sessions, 2000, A43, 0, false, "failed");
    assert_string_equal(qp_session_flash_of(&sessions, 2000, A43, 0)->text, "failed");
    assert_false(qp_session_flash_of(&sessions, 2000, A43, 0)->ok);
    assert_null(qp_session_flash_of(&sessions, 2000 + QP_FLASH_MS, A43, 0));
}

static void many_browsers_take_only_so_many_places(void **state)
{
    char session[QP_DIGEST_TEXT_BYTES];
    for (unsigned i = 0; i < QP_FLASHES * 3; i++) {
        snprintf(session, sizeof session, "browser-%u", i);
        qp_session_flash(&sessions, 1000 + i, session, 0, true, session);
    }
    for (unsigned i = 0; i < QP_FLASHES * 3; i++) {
        snprintf(session, sizeof session, "browser-%u", i);
        const struct qp_flash *flash = qp_session_flash_of(&sessions, 2000, session, 0);
        assert_int_equal(flash != NULL, i >= QP_FLASHES * 2); /* the oldest went */
    }
}

static void a_long_text_is_cut(void **state)
{
    char text[2 * QP_FLASH_TEXT_BYTES];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    qp_session_flash(&sessions, 1000, A43, 0, true, text);
    assert_int_equal(strlen(qp_session_flash_of(&sessions, 1000, A43, 0)->text), QP_FLASH_TEXT_BYTES - 1);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_has_the_form_of_ours_is_taken),
        TEST(the_cookie_is_out_of_reach_of_scripts_and_other_sites),
        TEST(each_cookie_has_its_own_token_and_so_has_each_process),
        TEST(it_is_told_to_that_browser_of_that_account_for_a_minute),
        TEST(the_newer_word_replaces_the_older),
        TEST(many_browsers_take_only_so_many_places),
        TEST(a_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
