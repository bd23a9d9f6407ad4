/* What a person meets at `qproxy login`, the daemon's part played by the test. */
#include "capture.h"
#include "cli/talk.h"
#include "cmocka_all.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define BEGUN(url)                                                                                       \
    "{\"id\":\"attempt\",\"url\":\"" url "\",\"redirect_uri\":\"http://127.0.0.1:8081/oauth/callback\"," \
    "\"expires_in_s\":600}"
#define URL     "https://h.example/auth?state=s"
#define WAITING "{\"state\":\"waiting\"}"
#define DONE    "{\"state\":\"done\",\"ok\":true,\"code\":\"signed_in\",\"text\":\"signed in\"}"
#define FAILED  "{\"state\":\"failed\",\"ok\":false,\"code\":\"access_denied\",\"text\":\"it was refused\"}"
#define WRONG   "{\"ok\":false,\"code\":\"bad_answer\",\"text\":\"this is no answer\"}"
#define RIGHT   "{\"ok\":true,\"code\":\"signed_in\",\"text\":\"signed in\"}"
#define WHO                                                                                          \
    "{\"ok\":true,\"code\":\"ok\",\"text\":\"\",\"user\":\"Ann\",\"brand\":\"acme\",\"datacenter\":" \
    "\"iad1\"}"

enum { PASTES = 8, PASTE_BYTES = 32768 };

/* The daemon: what it says, and what it was told. */
static struct {
    const char *begun;
    const char *progress[8]; /* one by one; the last one stays */
    unsigned progress_at;
    const char *pasted[PASTES]; /* answers, one by one */
    unsigned paste_count;
    char pastes[PASTES][PASTE_BYTES];
    const char *who;
    bool is_own;
    bool takes_browsers;
} world;
static int stop[2];

static void take_reply(const char *text, struct qp_reply *reply)
{
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    const cJSON *ok = cJSON_GetObjectItemCaseSensitive(json, "ok");
    *reply = (struct qp_reply){.json = json,
                               .ok = !cJSON_IsFalse(ok),
                               .code = qp_member_text(json, "code"),
                               .text = qp_member_text(json, "text")};
    reply->exit_code = reply->ok ? EX_OK : EX_NOPERM;
}

int __wrap_qp_talk_order(struct qp_talk *talk, const struct qp_order *order, struct qp_reply *reply);
int __wrap_qp_talk_order(struct qp_talk *talk, const struct qp_order *order, struct qp_reply *reply)
{
    (void)talk;
    if (strcmp(order->path, "/api/sign-in/") == 0) {
        assert_string_equal(order->account, "main");
        take_reply(world.begun, reply);
    } else if (strcmp(order->path, "/api/check/") == 0) {
        take_reply(world.who, reply);
    } else {
        assert_string_equal(order->path, "/api/sign-in");
        assert_true(world.paste_count < PASTES && world.pasted[world.paste_count]);
        snprintf(world.pastes[world.paste_count], PASTE_BYTES, "%.*s", QP_SLICE_FMT(order->form));
        take_reply(world.pasted[world.paste_count++], reply);
    }
    return EX_OK;
}

int __wrap_qp_talk_ask(struct qp_talk *talk, const char *target, struct qp_reply *reply);
int __wrap_qp_talk_ask(struct qp_talk *talk, const char *target, struct qp_reply *reply)
{
    (void)talk;
    assert_string_equal(target, "/api/sign-in?id=attempt");
    take_reply(world.progress[world.progress_at], reply);
    if (world.progress[world.progress_at + 1])
        world.progress_at++;
    return EX_OK;
}

int __wrap_qp_talk_carry_out(const struct qp_cli_options *options, const struct qp_talk_verb *verb);
int __wrap_qp_talk_carry_out(const struct qp_cli_options *options, const struct qp_talk_verb *verb)
{
    char name[] = "main";
    struct qp_config_account account = {.name = name, .grant = QP_CONFIG_GRANT_AUTHORIZATION_CODE};
    const struct qp_config config = {.accounts = &account, .account_count = 1};
    struct qp_talk talk = {.config = &config, .where = "the daemon", .is_own = world.is_own};
    talk.client.stop_fd = stop[0];
    talk.own.takes_browsers = world.takes_browsers;
    assert_true(verb->for_sign_in && verb->fits(&account));
    return verb->speak(&talk, options, 0);
}

/* input: NULL: it stays open without a word. */
static int login(const char *input, size_t input_bytes)
{
    int ends[2];
    int saved = dup(STDIN_FILENO);
    const struct qp_cli_options options = {.no_browser = true};
    assert_int_equal(pipe(ends), 0);
    if (input)
        assert_int_equal(write(ends[1], input, input_bytes), (ssize_t)input_bytes);
    if (input)
        close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    capture_begin();
    int code = qp_cli_login(&options);
    capture_end();
    dup2(saved, STDIN_FILENO);
    close(saved);
    if (!input)
        close(ends[1]);
    return code;
}

static int type(const char *input)
{
    return login(input, input ? strlen(input) : 0);
}

static int begin(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.begun = BEGUN(URL);
    world.progress[0] = WAITING;
    world.who = WHO;
    return pipe(stop);
}

static int end(void **state)
{
    (void)state;
    close(stop[0]);
    close(stop[1]);
    return 0;
}

static bool says(const char *what)
{
    return strstr(captured_out(), what) || strstr(captured_err(), what);
}

/* ---- the browser comes back ---- */

static void the_browsers_return_ends_the_waiting(void **state)
{
    (void)state;
    world.progress[1] = "{\"state\":\"working\"}";
    world.progress[2] = DONE;
    assert_int_equal(type(NULL), EX_OK);
    assert_true(says("    " URL "\n"));
    assert_true(says("http://127.0.0.1:8081/oauth/callback"));
    assert_true(
        says("The account 'main' is signed in.\nuser:       Ann\nbrand:      acme\ndatacenter: iad1\n"));
    assert_int_equal(world.paste_count, 0);
}

static void it_ends_without_input_too(void **state)
{
    (void)state;
    world.progress[1] = DONE;
    assert_int_equal(type(""), EX_OK);
    assert_true(says("is signed in"));
}

static void a_refusal_is_told(void **state)
{
    (void)state;
    world.progress[0] = FAILED;
    assert_int_equal(type(NULL), EX_NOPERM);
    assert_true(says("nobody was signed in: it was refused"));
}

static void an_attempt_that_is_no_longer_known_is_over(void **state)
{
    (void)state;
    world.progress[0] = "{\"state\":\"unknown\"}";
    assert_int_equal(type(NULL), EX_UNAVAILABLE);
    assert_true(says("this sign-in is over"));
}

/* ---- the address is pasted ---- */

static void a_pasted_address_is_handed_over_and_not_shown(void **state)
{
    (void)state;
    world.pasted[0] = RIGHT;
    assert_int_equal(type("  http://127.0.0.1:8081/oauth/callback?code=c0de&state=s \r\n"), EX_OK);
    assert_int_equal(world.paste_count, 1);
    assert_string_equal(world.pastes[0],
                        "id=attempt&address=http%3A%2F%2F127.0.0.1%3A8081%2Foauth%2Fcallback%3Fcode"
                        "%3Dc0de%26state%3Ds");
    assert_false(says("c0de"));
    assert_true(says("is signed in"));
}

static void a_wrong_paste_is_asked_for_again(void **state)
{
    (void)state;
    world.pasted[0] = WRONG;
    world.pasted[1] = WRONG;
    world.pasted[2] = RIGHT;
    assert_int_equal(type("\n\nhello\ncode=wr0ng\n\ncode=right&state=s\n"), EX_OK);
    assert_int_equal(world.paste_count, 3);
    assert_true(says("qproxy: this is no answer\nPaste the right address"));
    assert_false(says("wr0ng"));
}

static void a_paste_that_ends_the_attempt_ends_the_waiting(void **state)
{
    (void)state;
    world.pasted[0] = WRONG;
    world.progress[0] = FAILED;
    assert_int_equal(type("error=access_denied&state=s\ncode=more\n"), EX_NOPERM);
    assert_int_equal(world.paste_count, 1);
    assert_true(says("nobody was signed in: it was refused"));
    assert_false(says("Paste the right address"));
}

static void a_last_line_needs_no_newline(void **state)
{
    (void)state;
    world.pasted[0] = RIGHT;
    assert_int_equal(type("code=c&state=s"), EX_OK);
    assert_string_equal(world.pastes[0], "id=attempt&address=code%3Dc%26state%3Ds");
}

static void a_line_that_is_too_long_is_skipped(void **state)
{
    (void)state;
    char *text = malloc(60000);
    memset(text, 'x', 40000);
    memcpy(text + 40000, "\ncode=c\n", 8);
    world.pasted[0] = RIGHT;
    assert_int_equal(login(text, 40008), EX_OK);
    assert_int_equal(world.paste_count, 1);
    assert_string_equal(world.pastes[0], "id=attempt&address=code%3Dc");
    assert_true(says("too long for an address"));
    free(text);
}

/* ---- the end ---- */

static void the_end_of_the_input_ends_it_where_nothing_else_can_come(void **state)
{
    (void)state;
    world.is_own = true;
    assert_int_equal(type(""), EX_DATAERR);
    assert_true(says("a page that will not open"));
    assert_true(says("the input has ended, and no browser can come back"));
    assert_int_equal(end(NULL) + begin(NULL), 0);
    world.is_own = true;
    world.takes_browsers = true;
    world.progress[1] = DONE;
    assert_int_equal(type(""), EX_OK);
}

static void time_runs_out(void **state)
{
    (void)state;
    world.begun = "{\"id\":\"attempt\",\"url\":\"" URL "\",\"redirect_uri\":\"http://x\",\"expires_in_s\":1}";
    assert_int_equal(type(NULL), EX_UNAVAILABLE);
    assert_true(says("nobody signed in within"));
}

static void a_signal_ends_it(void **state)
{
    (void)state;
    assert_int_equal(write(stop[1], "x", 1), 1);
    assert_int_equal(type(NULL), 128 + SIGTERM); /* what a pipe, which is no signalfd, is taken for */
    assert_true(says("stopped; nobody was signed in"));
}

static void a_sign_in_that_does_not_begin_is_told(void **state)
{
    (void)state;
    world.begun = "{\"ok\":false,\"code\":\"static\",\"text\":\"not for this grant\"}";
    assert_int_equal(type(NULL), EX_NOPERM);
    assert_true(says("qproxy: not for this grant"));
    static const char *const nonsense[] = {"{}",
                                           BEGUN("file:///etc/passwd"),
                                           BEGUN("--help"),
                                           BEGUN(""),
                                           BEGUN("https://h.example/ --incognito"),
                                           BEGUN("https://h.example/\\u001b[2J")};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        world.begun = nonsense[i];
        assert_int_equal(type(NULL), EX_PROTOCOL);
        assert_true(says("begins no sign-in"));
    }
}

static void a_doubtful_identity_is_a_warning(void **state)
{
    (void)state;
    world.progress[0] = DONE;
    world.who =
        "{\"ok\":false,\"code\":\"wrong_host\",\"text\":\"t\",\"user\":\"A\\u001b[2J\",\"brand\":\"b\","
        "\"datacenter\":\"fra1\",\"warning\":\"lives at fra1\"}";
    assert_int_equal(type(NULL), EX_OK);
    assert_true(says("warning: lives at fra1"));
    assert_true(says("user:       A?[2J\n"));
    assert_int_equal(end(NULL) + begin(NULL), 0);
    world.progress[0] = DONE;
    world.who = "{\"ok\":false,\"code\":\"network\",\"text\":\"the origin is gone\"}";
    assert_int_equal(type(NULL), EX_OK);
    assert_true(says("warning: signed in, but the origin is gone"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_browsers_return_ends_the_waiting),
        TEST(it_ends_without_input_too),
        TEST(a_refusal_is_told),
        TEST(an_attempt_that_is_no_longer_known_is_over),
        TEST(a_pasted_address_is_handed_over_and_not_shown),
        TEST(a_wrong_paste_is_asked_for_again),
        TEST(a_paste_that_ends_the_attempt_ends_the_waiting),
        TEST(a_last_line_needs_no_newline),
        TEST(a_line_that_is_too_long_is_skipped),
        TEST(the_end_of_the_input_ends_it_where_nothing_else_can_come),
        TEST(time_runs_out),
        TEST(a_signal_ends_it),
        TEST(a_sign_in_that_does_not_begin_is_told),
        TEST(a_doubtful_identity_is_a_warning),
    };
    return cmocka_run_group_tests_name("cli.login", tests, NULL, NULL);
}
