/* orders.c - `qproxy logout [ACCOUNT]`, `qproxy refresh [ACCOUNT]` and `qproxy key rotate`: one order each, and what became of it. */
#include "cli/table.h"
#include "cli/talk.h"
#include <sysexits.h>

/* Prints what became of it. */
static int carry_out(struct qp_talk *talk, const struct qp_order *order)
{
    struct qp_reply reply = {0};
    int code = qp_talk_order(talk, order, &reply);
    if (code != EX_OK)
        return code;
    code = reply.exit_code;
    if (reply.ok)
        qp_say(stdout, "", reply.text);
    else
        qp_say(stderr, "qproxy: ", reply.text);
    qp_reply_deinit(&reply);
    return code == EX_OK ? qp_cli_finish_output() : code;
}

static bool can_be_refreshed(const struct qp_config_account *account)
{
    return account->grant != QP_CONFIG_GRANT_API_TOKEN;
}

static bool can_be_signed_out(const struct qp_config_account *account)
{
    return account->grant == QP_CONFIG_GRANT_AUTHORIZATION_CODE ||
           account->grant == QP_CONFIG_GRANT_REFRESH_TOKEN;
}

static int speak_logout(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    (void)options;
    return carry_out(talk,
                     &(struct qp_order){.path = "/logout/", .account = talk->config->accounts[account].name});
}

static int speak_refresh(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    (void)options;
    return carry_out(
        talk, &(struct qp_order){.path = "/refresh/", .account = talk->config->accounts[account].name});
}

static int speak_key_rotate(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    (void)options, (void)account;
    return carry_out(talk, &(struct qp_order){.path = "/api/key/rotate"});
}

int qp_cli_logout(const struct qp_cli_options *options)
{
    static const struct qp_talk_verb verb = {
        .fits = can_be_signed_out,
        .what = "can be signed out (grants authorization_code, refresh_token)",
        .without_vault = "sign out of",
        .speak = speak_logout};
    return qp_talk_carry_out(options, &verb);
}

int qp_cli_refresh(const struct qp_cli_options *options)
{
    static const struct qp_talk_verb verb = {.fits = can_be_refreshed,
                                             .what = "can be refreshed",
                                             .without_vault = "refresh",
                                             .speak = speak_refresh};
    return qp_talk_carry_out(options, &verb);
}

int qp_cli_key_rotate(const struct qp_cli_options *options)
{
    static const struct qp_talk_verb verb = {.without_vault = "rotate the key of", .speak = speak_key_rotate};
    return qp_talk_carry_out(options, &verb);
}
