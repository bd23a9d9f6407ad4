#include "capture.h"
#include "cli/talk.h"
#include "cmocka_all.h"
#include "scripted.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define SESSION OK_HEAD "Set-Cookie: s=1; HttpOnly\r\n\r\n{\"csrf\":\"c5rf\"}"
#define ENVELOPE(status, code, text)                                    \
    "HTTP/1.1 " status " No\r\n\r\n{\"meta\":{\"httpStatus\":\"" status \
    "\",\"error\":{\"errorMessage\":\"" text "\",\"errorCode\":\"" code "\"}}}"

enum { SPOKEN = 42 };

static char config_file[] = "/tmp/qp-talk-XXXXXX";
static const char *secret; /* a reference */

/* Account one has a secret, account two has none that has to be read. */
static void write_config(const struct scripted *scripted, const char *token)
{
    char address[160];
    FILE *out = fopen(config_file, "w");
    fprintf(out,
            "{\"admin\":{\"listen\":\"%s\"%s%s%s},\"accounts\":["
            "{\"name\":\"one\",\"datacenter\":\"iad1\",\"grant\":\"client_credentials\",\"client_id\":\"i\","
            "\"client_secret\":\"%s\",\"path_prefix\":\"/one\"},"
            "{\"name\":\"two\",\"datacenter\":\"iad1\",\"grant\":\"api_token\",\"api_token\":\"t\","
            "\"path_prefix\":\"/two\"}]}",
            scripted ? qp_address_format(&scripted->address, address, sizeof address) : "off",
            token ? ",\"token\":\"" : "", token ? token : "", token ? "\"" : "", secret);
    fclose(out);
}

static int begin_all(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    int fd = mkstemp(config_file);
    return fd < 0 ? -1 : close(fd);
}

static int end_all(void **state)
{
    (void)state;
    return unlink(config_file);
}

static int begin(void **state)
{
    (void)state;
    secret = "env:QP_TALK_SECRET";
    return setenv("QP_TALK_SECRET", "s3cret", 1);
}

/* ---- verbs ---- */

static int spoken_account;
static struct qp_reply spoken_reply;
static char spoken_text[256];

static int speak(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    (void)options;
    assert_false(talk->is_own);
    assert_string_equal(talk->csrf, "c5rf");
    assert_string_equal(talk->cookie, "s=1");
    spoken_account = account;
    return SPOKEN;
}

static int give_order(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    (void)options, (void)account;
    int code = qp_talk_order(
        talk, &(struct qp_order){.path = "/refresh/", .account = "a b", .form = QP_SLICE("x=1")},
        &spoken_reply);
    if (code != EX_OK)
        return code;
    snprintf(spoken_text, sizeof spoken_text, "%d %s %s", spoken_reply.ok, spoken_reply.code,
             spoken_reply.text);
    code = spoken_reply.exit_code;
    qp_reply_deinit(&spoken_reply);
    return code;
}

static bool is_any(const struct qp_config_account *account)
{
    (void)account;
    return true;
}

static bool is_token(const struct qp_config_account *account)
{
    return account->grant == QP_CONFIG_GRANT_API_TOKEN;
}

static const struct qp_talk_verb plain = {.without_vault = "talk of", .speak = speak};

static int talk(const struct qp_talk_verb *verb, const char *word)
{
    const struct qp_cli_options options = {.config_file = config_file, .word = word};
    capture_begin();
    int code = qp_talk_carry_out(&options, verb);
    capture_end();
    return code;
}

/* One answer at a Unix socket, and what is made of it. */
static int talk_to(const struct scripted_line *lines, unsigned count, const struct qp_talk_verb *verb)
{
    struct scripted *scripted = scripted_begin(true, lines, count);
    write_config(scripted, NULL);
    int code = talk(verb, NULL);
    scripted_end(scripted);
    scripted_free(&scripted);
    return code;
}

static int talk_to_one(const char *answer)
{
    return talk_to(&(struct scripted_line){.answer = answer}, 1, &plain);
}

static const char *request_at(const struct scripted *scripted, unsigned i)
{
    return scripted ? scripted->requests[i] : "";
}

/* ---- finding the daemon ---- */

static void a_daemon_is_talked_to(void **state)
{
    (void)state;
    assert_int_equal(talk_to_one(SESSION), SPOKEN);
    assert_string_equal(captured_err(), "");
    assert_int_equal(spoken_account, QP_TALK_ANY);
}

static void what_answers_may_be_something_else(void **state)
{
    (void)state;
    static const char *const others[] = {
        OK_HEAD "\r\n<html>",
        OK_HEAD "\r\n{}",
        OK_HEAD "\r\n{\"csrf\":\"c\"}", /* without a cookie */
        OK_HEAD "Set-Cookie: s=1\r\n\r\n{\"csrf\":1}",
        OK_HEAD "Set-Cookie: s=1\r\n\r\n{\"csrf\":\"a\\r\\nX: y\"}",
        OK_HEAD "Set-Cookie: s=1\r\n\r\n[\"csrf\"]",
        "HTTP/1.1 404 Not Found\r\n\r\nnothing here",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(talk_to_one(others[i]), EX_UNAVAILABLE);
        assert_non_null(strstr(captured_err(), "something that is not qproxy answers"));
        assert_non_null(strstr(captured_err(), "without a vault there is nothing to talk of"));
    }
    assert_int_equal(talk_to_one("SSH-2.0-x\r\n"), EX_UNAVAILABLE);
    assert_non_null(strstr(captured_err(), "malformed message"));
}

static void a_daemon_that_refuses_is_not_gone_round(void **state)
{
    (void)state;
    assert_int_equal(talk_to_one(ENVELOPE("403", "qproxy_wrong_host", "qproxy: not for \\u001b[31m you")),
                     EX_CONFIG);
    assert_non_null(strstr(captured_err(), "answers: not for ?[31m you\n"));
    assert_int_equal(talk_to_one(ENVELOPE("401", "qproxy_admin_token_needed", "qproxy: needs it")),
                     EX_NOPERM);
    assert_non_null(strstr(captured_err(), "wants an admin.token, and this configuration has none"));
}

static void the_token_goes_to_tcp_only(void **state)
{
    (void)state;
    static const struct scripted_line lines[] = {{.answer = SESSION}};
    for (int is_local = 0; is_local < 2; is_local++) {
        struct scripted *scripted = scripted_begin(is_local, lines, 1);
        write_config(scripted, "t0ken-of-the-admin-pages");
        assert_int_equal(talk(&plain, NULL), SPOKEN);
        scripted_end(scripted);
        assert_int_equal(
            strstr(request_at(scripted, 0), "Authorization: Bearer t0ken-of-the-admin-pages\r\n") != NULL,
            !is_local);
        scripted_free(&scripted);
    }
}

/* Secrets are the daemon's: who asks it need not have them. Who has to do without it does. */
static void secrets_that_cannot_be_read_are_missed_without_a_daemon_only(void **state)
{
    (void)state;
    secret = "env:QP_TALK_NOT_SET";
    assert_int_equal(talk_to_one(SESSION), SPOKEN);
    assert_string_equal(captured_err(), "");
    write_config(NULL, NULL);
    const struct qp_talk_verb verb = {.speak = speak};
    assert_int_equal(talk(&verb, NULL), EX_CONFIG);
    assert_non_null(strstr(captured_err(), "admin.listen names no address"));
    assert_non_null(
        strstr(captured_err(), "accounts[0].client_secret: the environment variable QP_TALK_NOT_SET"));
}

static void a_signal_ends_the_looking(void **state)
{
    (void)state;
    static const struct scripted_line quiet = {.is_silent = true};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL); /* it waits until somebody looks */
    kill(getpid(), SIGTERM);
    assert_int_equal(talk_to(&quiet, 1, &plain), 128 + SIGTERM);
}

/* ---- orders ---- */

static void an_order_is_posted_with_the_session(void **state)
{
    (void)state;
    static const struct qp_talk_verb verb = {.speak = give_order};
    static const struct scripted_line lines[] = {
        {.answer = SESSION},
        {.answer = OK_HEAD "\r\n{\"ok\":true,\"code\":\"refreshed\",\"text\":\"there is a token\"}"}};
    struct scripted *scripted = scripted_begin(true, lines, 2);
    write_config(scripted, NULL);
    assert_int_equal(talk(&verb, NULL), EX_OK);
    scripted_end(scripted);
    assert_string_equal(spoken_text, "1 refreshed there is a token");
    const char *post = request_at(scripted, 1);
    assert_int_equal(strncmp(post, "POST /refresh/a%20b HTTP/1.1\r\nHost: localhost\r\n", 47), 0);
    assert_non_null(strstr(post, "\r\nCookie: s=1\r\nOrigin: http://localhost\r\nX-Csrf-Token: c5rf\r\n"));
    assert_non_null(strstr(post, "\r\n\r\nx=1"));
    scripted_free(&scripted);
}

static void each_end_of_an_order_has_its_code(void **state)
{
    (void)state;
    static const struct qp_talk_verb verb = {.speak = give_order};
    static const struct {
        const char *answer;
        const char *text; /* NULL: there is no reply */
        int code;
    } rows[] = {
        {OK_HEAD "\r\n{\"ok\":false,\"code\":\"sign_in_needed\",\"text\":\"sign in\"}",
         "0 sign_in_needed sign in", EX_NOPERM},
        {"HTTP/1.1 502 X\r\n\r\n{\"ok\":false,\"code\":\"failed\",\"text\":\"no\"}", "0 failed no",
         EX_UNAVAILABLE},
        {OK_HEAD "\r\n{\"ok\":false}", "0  ", EX_UNAVAILABLE},
        {ENVELOPE("404", "qproxy_no_account", "qproxy: no such"), "0 no_account no such", EX_USAGE},
        {ENVELOPE("200", "x", "y"), "0 x y", EX_UNAVAILABLE},
        {"HTTP/1.1 500 X\r\n\r\n{}", NULL, EX_PROTOCOL},
        {OK_HEAD "\r\nnot json", NULL, EX_PROTOCOL},
        {OK_HEAD "\r\n{\"ok\":true} and more", NULL, EX_PROTOCOL},
        {OK_HEAD "Content-Length: 99\r\n\r\n{", NULL, EX_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct scripted_line lines[] = {{.answer = SESSION}, {.answer = rows[i].answer}};
        *spoken_text = '\0';
        assert_int_equal(talk_to(lines, 2, &verb), rows[i].code);
        assert_string_equal(spoken_text, rows[i].text ? rows[i].text : "");
    }
}

static void members_of_the_wrong_kind_are_none(void **state)
{
    (void)state;
    cJSON *json = cJSON_Parse("{\"t\":\"x\",\"n\":7,\"b\":true,\"l\":[1],\"z\":null,\"m\":-3,\"h\":1e300}");
    assert_string_equal(qp_member_text(json, "t"), "x");
    assert_string_equal(qp_member_text(json, "n"), "");
    assert_string_equal(qp_member_text(NULL, "n"), "");
    assert_int_equal(qp_member_number(json, "n"), 7);
    assert_int_equal(qp_member_number(json, "t"), -1);
    assert_int_equal(qp_member_number(json, "z"), -1);
    assert_int_equal(qp_member_number(json, "m"), -1);
    assert_int_equal(qp_member_number(json, "h"), -1);
    assert_true(qp_member_bool(json, "b"));
    assert_false(qp_member_bool(json, "n"));
    assert_non_null(qp_member_first(json, "l"));
    assert_null(qp_member_first(json, "t"));
    cJSON_Delete(json);
}

/* ---- accounts ---- */

static void the_account_may_be_left_out_where_one_fits(void **state)
{
    (void)state;
    static const struct qp_talk_verb one = {.fits = is_token, .what = "are static", .speak = speak};
    assert_int_equal(talk_to(&(struct scripted_line){.answer = SESSION}, 1, &one), SPOKEN);
    assert_int_equal(spoken_account, 1);
    static const struct qp_talk_verb all = {
        .fits = is_any, .what = "exist", .may_be_all = true, .speak = speak};
    assert_int_equal(talk_to(&(struct scripted_line){.answer = SESSION}, 1, &all), SPOKEN);
    assert_int_equal(spoken_account, QP_TALK_ANY);
}

/* Before anybody is asked anything. */
static void an_account_that_does_not_fit_is_refused_with_those_that_do(void **state)
{
    (void)state;
    static const struct qp_talk_verb two = {.fits = is_any, .what = "exist", .speak = speak};
    static const struct qp_talk_verb one = {.fits = is_token, .what = "are static", .speak = speak};
    write_config(NULL, NULL);
    assert_int_equal(talk(&two, NULL), EX_USAGE);
    assert_string_equal(captured_err(), "qproxy: say which account; accounts that exist: one, two\n");
    assert_int_equal(talk(&two, "three"), EX_USAGE);
    assert_string_equal(
        captured_err(),
        "qproxy: 'three' is no account of this configuration; accounts that exist: one, two\n");
    assert_int_equal(talk(&one, "one"), EX_USAGE);
    assert_string_equal(captured_err(), "qproxy: 'one' is not one for this; accounts that are static: two\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_daemon_is_talked_to, begin),
        cmocka_unit_test_setup(what_answers_may_be_something_else, begin),
        cmocka_unit_test_setup(a_daemon_that_refuses_is_not_gone_round, begin),
        cmocka_unit_test_setup(the_token_goes_to_tcp_only, begin),
        cmocka_unit_test_setup(secrets_that_cannot_be_read_are_missed_without_a_daemon_only, begin),
        cmocka_unit_test_setup(a_signal_ends_the_looking, begin),
        cmocka_unit_test_setup(an_order_is_posted_with_the_session, begin),
        cmocka_unit_test_setup(each_end_of_an_order_has_its_code, begin),
        cmocka_unit_test_setup(members_of_the_wrong_kind_are_none, begin),
        cmocka_unit_test_setup(the_account_may_be_left_out_where_one_fits, begin),
        cmocka_unit_test_setup(an_account_that_does_not_fit_is_refused_with_those_that_do, begin),
    };
    return cmocka_run_group_tests_name("cli.talk", tests, begin_all, end_all);
}
