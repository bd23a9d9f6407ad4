/* Attempts to sign in: what is sent out, and what may come back. */
#include "http/form.h"
#include "rig.h"
#include <stdio.h>

/* Ten minutes are long. */
static uint64_t later_ms;

uint64_t __real_qp_loop_now_ms(const struct qp_loop *loop);
uint64_t __wrap_qp_loop_now_ms(const struct qp_loop *loop);
uint64_t __wrap_qp_loop_now_ms(const struct qp_loop *loop)
{
    return __real_qp_loop_now_ms(loop) + later_ms;
}

static int come_back(void **state)
{
    later_ms = 0;
    return 0;
}

static void open_without_tokens(struct rig *rig)
{
    rig_open_sign_in(rig, STEPS({endpoint_answer("500 X", "")}));
}

static void open_idle(struct rig *rig)
{
    open_without_tokens(rig);
    rig_start(rig);
}

/* ---- the URL ---- */

static void put_parameter(const struct begun *begun, const char *name, char out[QP_DIGEST_TEXT_BYTES])
{
    struct qp_slice query = qp_slice_str(begun->url);
    (void)qp_slice_cut(&query, '?');
    assert_int_equal(qp_form_find(query, name, out, QP_DIGEST_TEXT_BYTES), 1);
    assert_int_equal(strlen(out), QP_DIGEST_TEXT_BYTES - 1);
    assert_int_equal(strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     QP_DIGEST_TEXT_BYTES - 1);
}

static void assert_url(struct rig *rig, const char *start)
{
    struct begun begun;
    char challenge[QP_DIGEST_TEXT_BYTES], expected[2048];
    rig_begin(rig, "cookie", "c", &begun);
    put_parameter(&begun, "code_challenge", challenge);
    snprintf(expected, sizeof(expected), "%s&state=%s&code_challenge=%s&code_challenge_method=S256", start,
             begun.state, challenge);
    assert_string_equal(begun.url, expected);
    assert_string_not_equal(begun.begun.id, begun.state);
    assert_string_not_equal(challenge, begun.state);
}

#define CALLBACK "&redirect_uri=http%3A%2F%2F127.0.0.1%3A8081%2Foauth%2Fcallback"
#define QUESTION "?response_type=code&client_id=id" CALLBACK

static void test_url(void **state)
{
    static const struct {
        const char *auth_url, *scope, *offline_scope, *url;
    } rows[] = {
        {"https://h/auth", "manage:all", "offline", "https://h/auth" QUESTION "&scope=manage%3Aall+offline"},
        {"https://h/auth", "a b", NULL, "https://h/auth" QUESTION "&scope=a+b"},
        {"https://h/auth", NULL, "offline", "https://h/auth" QUESTION "&scope=offline"},
        {"https://h/auth", NULL, NULL, "https://h/auth" QUESTION},
        /* Who asks for it in so many words need not get it twice. */
        {"https://h/auth", "a offline b", "offline", "https://h/auth" QUESTION "&scope=a+offline+b"},
        {"https://h/auth", "a offline_access", "offline",
         "https://h/auth" QUESTION "&scope=a+offline_access+offline"},
        {"https://h/auth?", "a", NULL, "https://h/auth" QUESTION "&scope=a"},
        {"https://h/auth?tenant=1", "a", NULL,
         "https://h/auth?tenant=1&response_type=code&client_id=id" CALLBACK "&scope=a"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct rig rig;
        open_without_tokens(&rig);
        rig.account.auth_url = rows[i].auth_url;
        rig.account.scope = rows[i].scope;
        rig.account.offline_scope = rows[i].offline_scope;
        rig_start(&rig);
        assert_url(&rig, rows[i].url);
        assert_url(&rig, rows[i].url);
        assert_int_equal(endpoint_calls(rig.endpoint), 0);
        rig_close(&rig);
    }
}

static void test_redirect_uri_of_who_begins(void **state)
{
    struct rig rig;
    struct qp_sign_in_begun begun;
    const char *why;
    open_without_tokens(&rig);
    rig.account.redirect_uri = NULL;
    rig.account.client_id = "a&b|c";
    rig_start(&rig);
    assert_true(qp_sign_in_begin(rig.keeper, 0, "http://[::1]:9/cb?x=1", QP_SLICE("b"), &begun, &why));
    rig_assert_words(begun.url,
                     "client_id=a%26b%7Cc&redirect_uri=http%3A%2F%2F%5B%3A%3A1%5D%3A9%2Fcb%3Fx%3D1&");
    assert_false(qp_sign_in_begin(rig.keeper, 0, NULL, QP_SLICE("b"), &begun, &why));
    rig_assert_words(why, "redirect_uri");
    assert_false(qp_sign_in_begin(rig.keeper, 0, "", QP_SLICE("b"), &begun, &why));
    rig_close(&rig);
}

static void test_grants_that_need_none(void **state)
{
    static const enum qp_grant grants[] = {QP_GRANT_CLIENT_CREDENTIALS, QP_GRANT_REFRESH_TOKEN,
                                           QP_GRANT_API_TOKEN};
    for (size_t i = 0; i < 3; ++i) {
        struct rig rig;
        struct qp_sign_in_begun begun;
        const char *why = NULL;
        rig_open(&rig, "r0", NULL, 0);
        rig.account.grant = grants[i];
        rig.account.api_token = rig.client_secret;
        rig_start(&rig);
        assert_false(qp_sign_in_begin(rig.keeper, 0, "http://h/cb", QP_SLICE("b"), &begun, &why));
        rig_assert_words(why, "needs no sign-in");
        rig_close(&rig);
    }
}

/* ---- what comes back ---- */

static void test_state_is_for_one_use(void **state)
{
    struct rig rig;
    struct begun begun;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1")}, {rig_rotation("t2", "r2")},
                                 {rig_who("u"), .lane = LANE_WHOAMI}));
    rig_start(&rig);
    rig_begin(&rig, "", "c1", &begun);
    rig_answer(&rig, begun.query, "signed_in");
    rig_answer(&rig, begun.query, "state_unknown");
    rig_begin(&rig, "", "c1", &begun);
    begun.query[strlen(begun.query) - 1] ^= 1;
    rig_answer(&rig, begun.query, "state_unknown");
    rig_answer(&rig, "code=c&state=", "state_unknown");
    rig_answer(&rig, "code=c", "state_unknown");
    rig_answer(&rig, "error=access_denied", "state_unknown");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_assert_token(&rig, 1, "t1");
    rig_close(&rig);
}

static void test_state_lasts_ten_minutes(void **state)
{
    struct rig rig;
    struct begun first, second;
    open_idle(&rig);
    rig_begin(&rig, "", "c", &first);
    rig_begin(&rig, "", "c", &second);
    later_ms = 595 * 1000;
    assert_string_equal(rig_progress(&rig, &first), "waiting");
    rig_answer(&rig, second.query, "failed");
    assert_string_equal(rig_progress(&rig, &second), "failed");
    later_ms = 601 * 1000;
    rig_answer(&rig, first.query, "state_unknown");
    assert_string_equal(rig_progress(&rig, &first), "unknown");
    /* Who waits for it hears how it ended, though it was begun long ago. */
    assert_string_equal(rig_progress(&rig, &second), "failed");
    later_ms = 1300 * 1000;
    assert_string_equal(rig_progress(&rig, &second), "unknown");
    rig_close(&rig);
}

static void test_the_oldest_of_too_many_ends(void **state)
{
    static struct begun begun[QP_SIGN_IN_ATTEMPTS + 1];
    struct rig rig;
    open_idle(&rig);
    for (int i = 0; i <= QP_SIGN_IN_ATTEMPTS; ++i)
        rig_begin(&rig, "", "c", &begun[i]);
    assert_string_equal(rig_progress(&rig, &begun[0]), "unknown");
    for (int i = 1; i <= QP_SIGN_IN_ATTEMPTS; ++i)
        assert_string_equal(rig_progress(&rig, &begun[i]), "waiting");
    rig_answer(&rig, begun[0].query, "state_unknown");
    rig_answer(&rig, begun[1].query, "failed");
    rig_close(&rig);
}

static void test_one_that_is_worked_on_is_never_ended(void **state)
{
    static struct begun begun[QP_SIGN_IN_ATTEMPTS + 1];
    struct rig rig;
    struct ordered ordered;
    rig_open_sign_in(&rig, STEPS({rig_rotation("t1", "r1"), .is_held = true}));
    rig_start(&rig);
    for (int i = 0; i <= QP_SIGN_IN_ATTEMPTS; ++i) {
        rig_begin(&rig, "", "c", &begun[i]);
        if (i == 0)
            rig_finish(&rig, begun[0].query, "", NULL, &ordered);
    }
    assert_string_equal(rig_progress(&rig, &begun[0]), "working");
    assert_string_equal(rig_progress(&rig, &begun[1]), "unknown");
    assert_string_equal(rig_progress(&rig, &begun[2]), "waiting");
    later_ms = 700 * 1000; /* and it takes its time */
    assert_string_equal(rig_progress(&rig, &begun[0]), "working");
    later_ms = 0;
    rig_run_to_calls(&rig, LANE_TOKEN, 1, 2000);
    endpoint_release(rig.endpoint);
    rig_run_to_end(&rig, &ordered, "signed_in");
    assert_string_equal(rig_progress(&rig, &begun[0]), "done");
    rig_close(&rig);
}

/* As many accounts as there may be, all of them in the middle of it. */
static void test_no_place_left(void **state)
{
    static struct qp_account_opts accounts[QP_SIGN_IN_ATTEMPTS];
    static struct ordered ordered[QP_SIGN_IN_ATTEMPTS];
    static char names[QP_SIGN_IN_ATTEMPTS][8];
    struct rig rig;
    struct qp_sign_in_begun begun;
    const char *why = NULL;
    rig_open_sign_in(&rig, STEPS({NULL}));
    for (int i = 0; i < QP_SIGN_IN_ATTEMPTS; ++i) {
        snprintf(names[i], sizeof(names[i]), "a%d", i);
        accounts[i] = rig.account;
        accounts[i].name = names[i];
    }
    struct qp_keeper *keeper = qp_keeper_new(
        rig.loop, &(struct qp_keeper_opts){
                      .accounts = accounts, .account_count = QP_SIGN_IN_ATTEMPTS, .allow_plain_http = true});
    for (unsigned i = 0; i < QP_SIGN_IN_ATTEMPTS; ++i) {
        char query[512], attempt_state[QP_DIGEST_TEXT_BYTES];
        assert_true(qp_sign_in_begin(keeper, i, NULL, QP_SLICE_NONE, &begun, &why));
        struct qp_slice url = qp_slice_str(begun.url);
        (void)qp_slice_cut(&url, '?');
        (void)qp_form_find(url, "state", attempt_state, sizeof(attempt_state));
        snprintf(query, sizeof(query), "code=c&state=%s", attempt_state);
        qp_sign_in_finish(keeper, &(struct qp_sign_in_answer){.query = qp_slice_str(query)}, rig_take_end,
                          &ordered[i]);
    }
    assert_false(qp_sign_in_begin(keeper, 0, NULL, QP_SLICE_NONE, &begun, &why));
    rig_assert_words(why, "again");
    qp_keeper_close(&keeper);
    rig_close(&rig);
}

static void test_binding(void **state)
{
    static const struct {
        const char *began, *ended, *code;
    } rows[] = {
        {"cookie-1", "cookie-1", "failed"}, /* the endpoint's 500: all else was well */
        {"cookie-1", "cookie-2", "other_browser"},
        {"cookie-1", "cookie-1 ", "other_browser"},
        {"cookie-1", "", "other_browser"},
        {"", "cookie-2", "failed"}, /* carried by hand into any browser */
        {"", "", "failed"},
    };
    struct rig rig;
    open_idle(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct begun begun;
        struct ordered ordered;
        rig_begin(&rig, rows[i].began, "c", &begun);
        rig_finish(&rig, begun.query, rows[i].ended, NULL, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        assert_string_equal(rig_progress(&rig, &begun), "failed");
        rig_answer(&rig, begun.query, "state_unknown");
    }
    assert_int_equal(endpoint_calls(rig.endpoint), 3);
    rig_close(&rig);
}

/* A pasted answer of another attempt is a slip, not an attack: its own attempt can still take it. */
static void test_another_attempts_answer(void **state)
{
    struct rig rig;
    struct begun first, second;
    struct ordered ordered;
    open_idle(&rig);
    rig_begin(&rig, "", "c", &first);
    rig_begin(&rig, "", "c", &second);
    rig_finish(&rig, second.query, "", first.begun.id, &ordered);
    rig_run_to_end(&rig, &ordered, "other_attempt");
    assert_string_equal(rig_progress(&rig, &first), "waiting");
    assert_string_equal(rig_progress(&rig, &second), "waiting");
    rig_finish(&rig, second.query, "", "", &ordered);
    rig_run_to_end(&rig, &ordered, "other_attempt");
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_finish(&rig, second.query, "", second.begun.id, &ordered);
    rig_run_to_end(&rig, &ordered, "failed");
    assert_int_equal(endpoint_calls(rig.endpoint), 1);
    rig_close(&rig);
}

/* RFC 9207. */
static void test_issuer(void **state)
{
    static const struct {
        const char *configured, *sent, *code;
    } rows[] = {
        {"https://login.example", "&iss=https%3A%2F%2Flogin.example", "failed"},
        {"https://login.example", "", "failed"},
        {"https://login.example", "&iss=", "failed"},
        {"https://login.example", "&iss=https%3A%2F%2Flogin.example%2F", "wrong_issuer"},
        {"https://login.example", "&iss=https%3A%2F%2Fevil.example%0d%0a", "wrong_issuer"},
        {"https://login.example", "&iss=https%3A%2F%2Fevil.example&error=access_denied", "wrong_issuer"},
        {NULL, "&iss=https%3A%2F%2Fevil.example", "failed"},
    };
    struct rig rig;
    open_idle(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct begun begun;
        struct ordered ordered;
        char query[1024];
        rig.account.issuer = rows[i].configured; /* borrowed by the keeper */
        rig_begin(&rig, "", "c", &begun);
        snprintf(query, sizeof(query), "%s%s", begun.query, rows[i].sent);
        rig_finish(&rig, query, "", NULL, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        assert_string_equal(rig_progress(&rig, &begun), "failed");
        assert_null(strchr(ordered.text, '\r'));
    }
    assert_int_equal(endpoint_calls(rig.endpoint), 4);
    rig_close(&rig);
}

static void test_errors_in_words(void **state)
{
    static const struct {
        const char *query, *code, *words;
    } rows[] = {
        {"error=access_denied", "access_denied", "refused by whoever signed in"},
        {"error=invalid_scope", "invalid_scope", "check scope and offline_scope"},
        {"error=unauthorized_client", "unauthorized_client", "OAuth Client Manager"},
        {"error=unsupported_response_type", "unsupported_response_type", "check auth_url"},
        {"error=invalid_request", "invalid_request", "redirect_uri"},
        {"error=server_error", "server_error", "try again later"},
        {"error=temporarily_unavailable", "temporarily_unavailable", "try again later"},
        {"error=login_required", "login_required", "sign in there"},
        {"error=consent_required", "consent_required", "choose to allow it"},
        {"error=interaction_required", "interaction_required", "with a browser"},
        {"error=invalid_client", "refused", "check client_id, scope and redirect_uri"},
        {"error=ACCESS_DENIED", "refused", "check client_id"},
        {"error=a%1b%5b2J&error_description=x%1b%5b2J%0d%0a%00", "bad_answer", "each once"},
        {"error=a%1b&error_description=x%1b%5b2J%0d%0a%7f%c2%9b%3cb%3e", "refused", "\"x?[2J????\?<b>\""},
        {"error=access_denied&code=c", "access_denied", "refused by"},
        {"error=access_denied&error_description=no+way%21", "access_denied", "(it says: \"no way!\")"},
        {"error=access_denied&error_description=", "access_denied", "choose to allow it"},
    };
    struct rig rig;
    open_idle(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct begun begun;
        struct ordered ordered;
        char query[1024];
        rig_begin(&rig, "", "c", &begun);
        snprintf(query, sizeof(query), "%s&state=%s", rows[i].query, begun.state);
        rig_finish(&rig, query, "", NULL, &ordered);
        rig_run_to_end(&rig, &ordered, rows[i].code);
        assert_false(ordered.ok);
        rig_assert_words(ordered.text, rows[i].words);
    }
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_close(&rig);
}

/* Ory's servers say what they mean at length. */
static void test_a_long_description_is_cut(void **state)
{
    struct rig rig;
    struct begun begun;
    struct ordered ordered;
    char query[1600];
    open_idle(&rig);
    rig_begin(&rig, "", "c", &begun);
    snprintf(query, sizeof(query), "error=invalid_scope&error_description=%0*d&state=%s", 1400, 0,
             begun.state);
    rig_finish(&rig, query, "", NULL, &ordered);
    rig_run_to_end(&rig, &ordered, "invalid_scope");
    rig_assert_words(ordered.text, "check scope");
    rig_assert_words(ordered.text, "00000000");
    rig_close(&rig);
}

/* Nothing is known of who sent it, so nothing is ended by it. */
static void test_what_is_no_answer(void **state)
{
    static const char *const more[] = {"&code=c",      "&state=x",
                                       "&iss=a&iss=a", "&error=x&error=x",
                                       "&%63ode=d",    "&error_description=a&error_description=b",
                                       "&code=%",      "&iss=%zz",
                                       "&error=%00",   "&error_description=%1"};
    static char longest[8000];
    struct rig rig;
    struct begun begun;
    open_idle(&rig);
    rig_begin(&rig, "", "c", &begun);
    rig_answer(&rig, "", "bad_answer");
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); ++i) {
        char query[1024];
        snprintf(query, sizeof(query), "%s%s", begun.query, more[i]);
        rig_answer(&rig, query, "bad_answer");
    }
    snprintf(longest, sizeof(longest), "code=%0*d&state=%s", 7000, 0, begun.state);
    rig_answer(&rig, longest, "bad_answer");
    snprintf(longest, sizeof(longest), "code=c&state=%s%0*d", begun.state, 7000, 0);
    rig_answer(&rig, longest, "bad_answer");
    struct ordered ordered = {0};
    qp_sign_in_finish(rig.keeper, &(struct qp_sign_in_answer){.query = QP_SLICE_NONE}, rig_take_end,
                      &ordered);
    rig_run_to_end(&rig, &ordered, "bad_answer");
    assert_string_equal(rig_progress(&rig, &begun), "waiting");
    rig_answer(&rig, begun.query, "failed");
    rig_close(&rig);
}

static void test_no_code(void **state)
{
    static const char *const starts[] = {"state=", "code=&state=", "code&state=", "Code=c&state="};
    struct rig rig;
    open_idle(&rig);
    for (size_t i = 0; i < 4; ++i) {
        struct begun begun;
        char query[256];
        rig_begin(&rig, "", "c", &begun);
        snprintf(query, sizeof(query), "%s%s", starts[i], begun.state);
        rig_answer(&rig, query, "no_code");
        assert_string_equal(rig_progress(&rig, &begun), "failed");
    }
    assert_int_equal(endpoint_calls(rig.endpoint), 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_redirect_uri_of_who_begins),
        cmocka_unit_test(test_grants_that_need_none),
        cmocka_unit_test(test_state_is_for_one_use),
        cmocka_unit_test_teardown(test_state_lasts_ten_minutes, come_back),
        cmocka_unit_test(test_the_oldest_of_too_many_ends),
        cmocka_unit_test_teardown(test_one_that_is_worked_on_is_never_ended, come_back),
        cmocka_unit_test(test_no_place_left),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_another_attempts_answer),
        cmocka_unit_test(test_issuer),
        cmocka_unit_test(test_errors_in_words),
        cmocka_unit_test(test_a_long_description_is_cut),
        cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_no_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
