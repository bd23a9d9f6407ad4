/* What `status` and `check --online` print of what a daemon says, and how they end. */
#include "base/alloc.h"
#include "capture.h"
#include "cli/talk.h"
#include "cmocka_all.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define FRESH                                                                                             \
    "{\"name\":\"ann\",\"grant\":\"authorization_code\",\"state\":\"fresh\",\"usable_token\":true,\"age_" \
    "s\":60,"                                                                                             \
    "\"expires_in_s\":3540,\"next_call_s\":3200,\"refresh_token_age_s\":777777,\"generation\":4,\"last_"  \
    "error\":null,"                                                                                       \
    "\"identity\":{\"user\":\"Ann\",\"brand\":\"acme\",\"warning\":null}}"
#define NEEDED                                                                                           \
    "{\"name\":\"bob\",\"grant\":\"refresh_token\",\"state\":\"sign-in-needed\",\"usable_token\":false," \
    "\"age_s\":null,"                                                                                    \
    "\"last_error\":\"the \\u001brefresh token\",\"identity\":{}}"
#define COOLING \
    "{\"name\":\"eve\",\"grant\":\"client_credentials\",\"state\":\"cooling-down\",\"usable_token\":false}"
#define STATUS(accounts, vault) "{\"uptime_s\":90,\"accounts\":[" accounts "],\"vault\":" vault "}\n"
#define WELL                    "{\"configured\":true,\"writable\":true,\"error\":null}"
#define ILL                     "{\"configured\":true,\"writable\":false,\"error\":\"no space\"}"
#define NONE                    "{\"configured\":false,\"writable\":false,\"error\":null}"

static struct {
    const char *status[8]; /* one by one; the last one stays */
    unsigned status_at;
    const char *checked[4]; /* account by account */
    unsigned check_count;
    const char *form;
    bool is_own;
} world;

int __wrap_qp_talk_get(struct qp_talk *talk, const char *target, struct qp_buf *body);
int __wrap_qp_talk_get(struct qp_talk *talk, const char *target, struct qp_buf *body)
{
    (void)talk;
    assert_string_equal(target, "/api/status");
    qp_buf_append_str(body, world.status[world.status_at]);
    if (world.status[world.status_at + 1])
        world.status_at++;
    return EX_OK;
}

int __wrap_qp_talk_order(struct qp_talk *talk, const struct qp_order *order, struct qp_reply *reply);
int __wrap_qp_talk_order(struct qp_talk *talk, const struct qp_order *order, struct qp_reply *reply)
{
    cJSON *json = cJSON_Parse(world.checked[world.check_count]);
    assert_string_equal(order->path, "/api/check/");
    assert_string_equal(order->account, talk->config->accounts[world.check_count++].name);
    world.form = order->form.len ? "spend" : "";
    *reply = (struct qp_reply){.json = json,
                               .ok = qp_member_bool(json, "ok"),
                               .code = qp_member_text(json, "code"),
                               .text = qp_member_text(json, "text")};
    reply->exit_code = (int)qp_member_number(json, "exit");
    return EX_OK;
}

int __wrap_qp_talk_carry_out(const struct qp_cli_options *options, const struct qp_talk_verb *verb);
int __wrap_qp_talk_carry_out(const struct qp_cli_options *options, const struct qp_talk_verb *verb)
{
    char names[][4] = {"ann", "bob"};
    char origins[][16] = {"iad1.example", "b.example:8443"};
    struct qp_config_account accounts[2] = {{.name = names[0], .origin = {.authority = origins[0]}},
                                            {.name = names[1], .origin = {.authority = origins[1]}}};
    const struct qp_config config = {.accounts = accounts, .account_count = 2};
    struct qp_talk talk = {.config = &config, .where = "the daemon at X", .is_own = world.is_own};
    qp_buf_append(&talk.no_daemon, qp_slice("X: refused", sizeof "X: refused"));
    int code = verb->speak(&talk, options, QP_TALK_ANY);
    qp_buf_deinit(&talk.no_daemon);
    return code;
}

static int begin(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    return 0;
}

static int show(const char *status)
{
    const struct qp_cli_options options = {0};
    world.status[0] = status;
    capture_begin();
    int code = qp_cli_status(&options);
    capture_end();
    return code;
}

/* ---- status ---- */

static void accounts_are_a_table(void **state)
{
    (void)state;
    assert_int_equal(show(STATUS(FRESH "," NEEDED, WELL)), EX_NOPERM);
    assert_string_equal(
        captured_out(),
        "the daemon at X has been running for 90 s\n\n"
        "ACCOUNT  GRANT               STATE           USER/BRAND  TOKEN AGE  EXPIRES IN  NEXT REFRESH  "
        "REFRESH TOKEN AGE\n"
        "ann      authorization_code  fresh           Ann/acme    60 s       59 min      53 min        9 d\n"
        "bob      refresh_token       sign-in-needed  -           -          -           -             -\n"
        "\n"
        "bob: last error: the ?refresh token\n"
        "vault: in order\n");
    assert_string_equal(captured_err(), "");
}

static void status_ends_by_the_worst_account(void **state)
{
    (void)state;
    assert_int_equal(show(STATUS(FRESH, WELL)), EX_OK);
    assert_int_equal(show(STATUS(FRESH, NONE)), EX_OK);
    assert_non_null(strstr(captured_out(), "vault: none is configured"));
    assert_int_equal(show(STATUS(FRESH "," COOLING, WELL)), EX_UNAVAILABLE);
    assert_int_equal(show(STATUS(COOLING "," NEEDED "," FRESH, WELL)), EX_NOPERM);
    assert_int_equal(show(STATUS(FRESH, ILL)), EX_IOERR);
    assert_non_null(strstr(captured_out(), "vault: cannot be written: no space\n"));
    assert_int_equal(show(STATUS(NEEDED, ILL)), EX_NOPERM);
}

static void without_a_daemon_that_is_said(void **state)
{
    (void)state;
    world.is_own = true;
    assert_int_equal(show(STATUS(FRESH, WELL)), EX_UNAVAILABLE);
    assert_int_equal(strncmp(captured_out(), "no daemon runs", 14), 0);
    assert_string_equal(captured_err(), "qproxy: no daemon answers (X: refused)\n");
}

static void json_goes_out_as_it_came(void **state)
{
    (void)state;
    static const char *const status = STATUS(FRESH "," COOLING, WELL);
    const struct qp_cli_options options = {.json = true};
    world.status[0] = status;
    capture_begin();
    int code = qp_cli_status(&options);
    capture_end();
    assert_int_equal(code, EX_UNAVAILABLE);
    assert_string_equal(captured_out(), status);
}

static void no_answer_can_steer_the_terminal(void **state)
{
    (void)state;
    const struct qp_cli_options options = {.json = true};
    show("{\"accounts\":[{\"name\":\"\033[2J\",\"last_error\":\"\033]0;x\"}]}\n");
    assert_null(strchr(captured_out(), '\033'));
    world.status[0] = "{\"accounts\":[{\"name\":\"\033[2J\xc2\x9b\"}],\n \"x\":\"\xc3\xa9\"}\n";
    capture_begin();
    qp_cli_status(&options);
    capture_end();
    assert_string_equal(captured_out(), "{\"accounts\":[{\"name\":\"?[2J??\"}],\n \"x\":\"\xc3\xa9\"}\n");
}

static void nonsense_is_no_status(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"", "[]", "{", "{} x"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        assert_int_equal(show(nonsense[i]), EX_PROTOCOL);
        assert_string_equal(captured_out(), "");
    }
    assert_int_equal(show("{\"accounts\":{\"a\":1},\"vault\":7}"), EX_OK); /* of nobody */
}

/* ---- check --online ---- */

static int check(bool spend)
{
    const struct qp_cli_options options = {.online = true, .spend = spend};
    capture_begin();
    int code = qp_cli_check_online(&options);
    capture_end();
    return code;
}

static void checks_are_a_table(void **state)
{
    (void)state;
    world.status[0] = STATUS(FRESH "," NEEDED, WELL);
    world.checked[0] =
        "{\"ok\":true,\"code\":\"ok\",\"text\":\"known as Ann\",\"user\":\"Ann\",\"brand\":\"acme\","
        "\"datacenter\":\"iad1\",\"exit\":0}";
    world.checked[1] = "{\"ok\":false,\"code\":\"certificate\",\"text\":\"not accepted\",\"exit\":76}";
    assert_int_equal(check(false), EX_PROTOCOL);
    assert_string_equal(
        captured_out(),
        "ACCOUNT  ORIGIN          REACHED              TOKEN    USER  BRAND  DATACENTER  RESULT\n"
        "ann      iad1.example    verified             at hand  Ann   acme   iad1        ok\n"
        "bob      b.example:8443  certificate refused  none     -     -      -           certificate\n"
        "\n"
        "ann: known as Ann\n"
        "bob: not accepted\n");
    assert_string_equal(world.form, "");
}

static void a_new_token_is_seen_by_its_generation(void **state)
{
    (void)state;
    world.status[0] = STATUS("", WELL);
    world.status[1] = STATUS(FRESH, WELL);
    world.checked[0] = world.checked[1] =
        "{\"ok\":true,\"code\":\"ok\",\"text\":\"t\",\"warning\":\"the other host\",\"exit\":0}";
    assert_int_equal(check(true), EX_OK);
    assert_string_equal(world.form, "spend");
    assert_non_null(strstr(captured_out(), "verified  minted"));
    assert_non_null(strstr(captured_out(), "ann: warning: the other host\n"));
}

/* An origin that is well is no use without a sign-in. */
static void a_missing_sign_in_is_no_success(void **state)
{
    (void)state;
    world.status[0] = STATUS(NEEDED, WELL);
    world.checked[0] = world.checked[1] =
        "{\"ok\":true,\"code\":\"ok_without_token\",\"text\":\"t\",\"exit\":0}";
    assert_int_equal(check(false), EX_NOPERM);
    assert_non_null(strstr(captured_out(), "skipped"));
    assert_non_null(strstr(captured_out(), "sign in first"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(accounts_are_a_table, begin),
        cmocka_unit_test_setup(status_ends_by_the_worst_account, begin),
        cmocka_unit_test_setup(without_a_daemon_that_is_said, begin),
        cmocka_unit_test_setup(json_goes_out_as_it_came, begin),
        cmocka_unit_test_setup(no_answer_can_steer_the_terminal, begin),
        cmocka_unit_test_setup(nonsense_is_no_status, begin),
        cmocka_unit_test_setup(checks_are_a_table, begin),
        cmocka_unit_test_setup(a_new_token_is_seen_by_its_generation, begin),
        cmocka_unit_test_setup(a_missing_sign_in_is_no_success, begin),
    };
    return cmocka_run_group_tests_name("cli.status", tests, NULL, NULL);
}
