/* login.c - `qproxy login [ACCOUNT]`: begins a sign-in, shows where, and waits for whichever comes first: the browser's return to the admin
 * listener, or the address that it ended at, pasted here. */
#include "base/clock.h"
#include "cli/browser.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "cli/talk.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sysexits.h>
#include <unistd.h>

enum { ASK_AGAIN_MS = 300, LAST_PAGE_MS = 1000, LINE_BYTES = 16 * 1024, TARGET_BYTES = 256, LIFE_S = 600 };

struct login {
    struct qp_talk *talk;
    const char *account;
    struct qp_reply begun;
    const char *id;
    uint64_t until_ms;
    bool reads_input; /* somebody may paste something yet */
    bool skips_line;  /* what is coming is the rest of a line that was too long */
    size_t line_bytes;
    char line[LINE_BYTES]; /* it may hold a code */
    bool is_over;
    int code; /* is_over: the exit code */
};

static int end(struct login *login, int code)
{
    login->is_over = true;
    login->code = code;
    return code;
}

/* ---- beginning ---- */

/* It goes to a program as its argument, and what answers need not be qproxy. */
static bool is_web_address(const char *url)
{
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

/* Gives the exit code: who cannot see the address cannot go there. */
static int show(const struct login *login, bool no_browser)
{
    char program[PATH_MAX];
    const struct qp_browser_world world = qp_browser_world();
    const char *url = qp_member_text(login->begun.json, "url");
    const char *redirect_uri = qp_member_text(login->begun.json, "redirect_uri");
    bool comes_back = !login->talk->is_own || login->talk->own.takes_browsers;
    printf("To sign in the account '%s', open this address in a browser:\n\n", login->account);
    qp_say(stdout, "    ", url);
    if (comes_back) {
        qp_say(stdout, "\nA browser on this machine comes back by itself, to ", redirect_uri);
        puts("In a browser elsewhere, that page will not open: copy its address and paste it here.");
    } else {
        qp_say(stdout, "\nAt the end the browser is sent to a page that will not open: ", redirect_uri);
        puts("Copy its whole address from the address bar and paste it here.");
    }
    if (!no_browser && qp_browser_choose(&world, program, sizeof program) && qp_browser_open(program, url))
        puts("A browser is being opened.");
    puts("Waiting (10 minutes at most; Ctrl-C ends it) ...");
    return qp_cli_finish_output();
}

/* A process in the background would be stopped by reading from its terminal. */
static bool may_read_input(void)
{
    pid_t group = tcgetpgrp(STDIN_FILENO);
    return group < 0 || group == getpgrp();
}

static int begin(struct login *login, const char *account)
{
    const struct qp_order order = {.path = "/api/sign-in/", .account = account};
    int code = qp_talk_order(login->talk, &order, &login->begun);
    if (code != EX_OK)
        return code;
    login->account = account;
    login->id = qp_member_text(login->begun.json, "id");
    if (!login->begun.ok) {
        qp_say(stderr, "qproxy: ", login->begun.text);
        return login->begun.exit_code;
    }
    if (!*login->id || !is_web_address(qp_member_text(login->begun.json, "url"))) {
        fprintf(stderr, "qproxy: %s begins no sign-in: is it another version?\n", login->talk->where);
        return EX_PROTOCOL;
    }
    int64_t life_s = qp_member_number(login->begun.json, "expires_in_s");
    login->until_ms =
        qp_clock_monotonic_ms() + (uint64_t)(life_s > 0 && life_s < LIFE_S ? life_s : LIFE_S) * 1000;
    login->reads_input = may_read_input();
    return EX_OK;
}

/* ---- the end ---- */

/* The sign-in stands whatever this says. */
static void say_who(struct login *login)
{
    struct qp_reply reply = {0};
    const struct qp_order order = {.path = "/api/check/", .account = login->account};
    if (qp_talk_order(login->talk, &order, &reply) != EX_OK)
        return;
    const char *user = qp_member_text(reply.json, "user");
    if (*user) {
        qp_say(stdout, "user:       ", user);
        qp_say(stdout, "brand:      ", qp_member_text(reply.json, "brand"));
        qp_say(stdout, "datacenter: ", qp_member_text(reply.json, "datacenter"));
    }
    const char *warning = qp_member_text(reply.json, "warning");
    if (*warning)
        qp_say(stderr, "warning: ", warning);
    else if (!reply.ok)
        qp_say(stderr, "warning: signed in, but ", reply.text);
    qp_reply_deinit(&reply);
}

static int end_signed_in(struct login *login)
{
    printf("The account '%s' is signed in.\n", login->account);
    say_who(login);
    return end(login, qp_cli_finish_output());
}

/* ---- the browser's return ---- */

/* The browser still fetches the page that says so, and our own listener ends with us. */
static void let_page_load(const struct login *login)
{
    struct pollfd stop = {.fd = login->talk->client.stop_fd, .events = POLLIN};
    if (login->talk->is_own)
        poll(&stop, 1, LAST_PAGE_MS);
}

static int look(struct login *login)
{
    char target[TARGET_BYTES];
    struct qp_reply reply = {0};
    snprintf(target, sizeof target, "/api/sign-in?id=%.128s", login->id);
    int code = qp_talk_ask(login->talk, target, &reply);
    if (code != EX_OK)
        return end(login, code);
    const char *state = qp_member_text(reply.json, "state");
    if (strcmp(state, "done") == 0) {
        end_signed_in(login);
        let_page_load(login);
    } else if (strcmp(state, "failed") == 0) {
        qp_say(stderr, "qproxy: nobody was signed in: ", reply.text);
        end(login, qp_exit_of_order(reply.code));
    } else if (strcmp(state, "unknown") == 0) {
        fprintf(stderr, "qproxy: this sign-in is over: %s no longer knows it; begin again\n",
                login->talk->where);
        end(login, EX_UNAVAILABLE);
    }
    qp_reply_deinit(&reply);
    return login->code;
}

/* ---- the pasted address ---- */

static void paste(struct login *login, struct qp_slice address)
{
    struct qp_buf form = {0};
    struct qp_reply reply = {0};
    qp_buf_append_str(&form, "id=");
    qp_client_put_escaped(&form, qp_slice_str(login->id));
    qp_buf_append_str(&form, "&address=");
    qp_client_put_escaped(&form, address);
    const struct qp_order order = {.path = "/api/sign-in", .form = qp_buf_slice(&form)};
    int code = qp_talk_order(login->talk, &order, &reply);
    qp_buf_wipe(&form);
    if (code != EX_OK) {
        end(login, code);
        return;
    }
    if (reply.ok)
        end_signed_in(login);
    else
        look(login); /* says why, if that was the attempt's end */
    if (!login->is_over) {
        qp_say(stderr, "qproxy: ", reply.text);
        fputs("Paste the right address, or end this with Ctrl-C:\n", stderr);
    }
    qp_reply_deinit(&reply);
}

static void take_line(struct login *login, struct qp_slice line)
{
    struct qp_slice address = qp_slice_trim(line);
    while (address.len && isspace((unsigned char)address.at[address.len - 1]))
        address.len--;
    if (login->skips_line)
        fputs("qproxy: this line is too long for an address; paste it again:\n", stderr);
    else if (address.len)
        paste(login, address);
    login->skips_line = false;
}

static void take_lines(struct login *login)
{
    struct qp_slice rest = qp_slice(login->line, login->line_bytes);
    const char *newline;
    while (!login->is_over && rest.len && (newline = memchr(rest.at, '\n', rest.len))) {
        take_line(login, qp_slice(rest.at, (size_t)(newline - rest.at)));
        rest = qp_slice(newline + 1, rest.len - (size_t)(newline + 1 - rest.at));
    }
    if (rest.len == sizeof login->line) {
        login->skips_line = true;
        rest.len = 0;
    }
    memmove(login->line, rest.at, rest.len);
    qp_wipe(login->line + rest.len, sizeof login->line - rest.len);
    login->line_bytes = rest.len;
}

/* Nobody can paste any more. If no browser can come back either, there is nothing to wait for. */
static void end_input(struct login *login)
{
    login->reads_input = false;
    if (login->line_bytes || login->skips_line)
        take_line(login, qp_slice(login->line, login->line_bytes));
    qp_wipe(login->line, sizeof login->line);
    login->line_bytes = 0;
    if (login->is_over || !login->talk->is_own || login->talk->own.takes_browsers)
        return;
    fputs("qproxy: the input has ended, and no browser can come back to this command: nobody was signed in\n",
          stderr);
    end(login, EX_DATAERR);
}

static void read_input(struct login *login)
{
    ssize_t got = read(STDIN_FILENO, login->line + login->line_bytes, sizeof login->line - login->line_bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        end_input(login);
        return;
    }
    login->line_bytes += (size_t)got;
    take_lines(login);
}

/* ---- waiting ---- */

static void wait_once(struct login *login)
{
    struct pollfd fds[] = {{.fd = login->talk->client.stop_fd, .events = POLLIN},
                           {.fd = login->reads_input ? STDIN_FILENO : -1, .events = POLLIN}};
    int ready = poll(fds, 2, ASK_AGAIN_MS);
    if (ready > 0 && fds[0].revents) {
        fputs("qproxy: stopped; nobody was signed in\n", stderr);
        end(login, qp_interrupt_exit_code(login->talk->client.stop_fd));
    } else if (ready > 0 && fds[1].revents) {
        read_input(login);
    } else {
        look(login);
    }
}

static int wait_for_sign_in(struct login *login)
{
    while (!login->is_over && qp_clock_monotonic_ms() < login->until_ms)
        wait_once(login);
    if (login->is_over)
        return login->code;
    fputs("qproxy: nobody signed in within 10 minutes; run the command again\n", stderr);
    return EX_UNAVAILABLE;
}

static int speak(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    struct login login = {.talk = talk};
    int code = begin(&login, talk->config->accounts[account].name);
    if (code == EX_OK)
        code = show(&login, options->no_browser);
    if (code == EX_OK)
        code = wait_for_sign_in(&login);
    qp_wipe(login.line, sizeof login.line);
    qp_reply_deinit(&login.begun);
    return code;
}

static bool can_be_signed_in(const struct qp_config_account *account)
{
    return account->grant == QP_CONFIG_GRANT_AUTHORIZATION_CODE;
}

int qp_cli_login(const struct qp_cli_options *options)
{
    static const struct qp_talk_verb verb = {.fits = can_be_signed_in,
                                             .what = "can be signed in (grant authorization_code)",
                                             .for_sign_in = true,
                                             .without_vault = "sign in to",
                                             .speak = speak};
    return qp_talk_carry_out(options, &verb);
}
