#include "base/log.h"
#include "http/uri.h"
#include "token/account_life.h"
#include "token/whoami.h"
#include <stdio.h>

static void write_request(void *owner, struct qp_slice authority, struct qp_slice path, struct qp_buf *head,
                          struct qp_buf *body)
{
    struct qp_account *account = owner;
    (void)body;
    account->asked_generation = qp_account_has_usable_token(account) ? account->generation : 0;
    qp_whoami_head(account->opts, account->asked_generation ? account->token : NULL, authority, path, head);
}

static void keep(struct qp_account *account, const struct qp_identity *identity)
{
    bool is_news = memcmp(&account->identity, identity, sizeof(*identity)) != 0;
    account->identity = *identity;
    if (!is_news)
        return;
    if (*identity->warning)
        qp_log_warn("token", "account '%s' is '%s' of brand '%s'; %s", account->opts->name, identity->user,
                    identity->brand, identity->warning);
    else
        qp_log_info("token", "account '%s' is '%s' of brand '%s'", account->opts->name, identity->user,
                    identity->brand);
    qp_account_save_lazily(account);
}

static void take_answer(void *owner, const struct qp_shot_result *shot)
{
    struct qp_account *account = owner;
    struct qp_whoami_verdict verdict;
    struct qp_identity identity = {0};
    struct qp_url url;
    account->whoami = NULL;
    (void)qp_url_parse(qp_slice_str(account->opts->origin), &url); /* it was asked there */
    qp_whoami_judge(shot, account->asked_generation > 0, url.host, &identity, &verdict);
    bool has_newer_token =
        qp_account_has_usable_token(account) && account->asked_generation != account->generation;
    if (!*identity.user && has_newer_token) {
        qp_identity_ask(account); /* what was said of the one before says nothing of this one */
        return;
    }
    if (*identity.user)
        keep(account, &identity);
    else
        qp_log_debug("token", "account '%s': whoami: %s", account->opts->name, verdict.text);
    qp_orders_hear_of_whoami(account, verdict.code, verdict.text);
}

void qp_identity_ask(struct qp_account *account)
{
    struct qp_keeper *keeper = account->keeper;
    if (account->whoami || !account->opts->origin)
        return;
    account->asked_generation = qp_account_has_usable_token(account) ? account->generation : 0;
    if (!account->origin) {
        qp_buf_append_fmt(&account->whoami_url, "%s/API/v3/whoami", account->opts->origin);
        qp_buf_append_char(&account->whoami_url, '\0');
        account->origin = qp_shot_range_new(keeper->loop, account->opts,
                                            qp_buf_slice(&account->whoami_url).at, keeper->allow_plain);
    }
    account->whoami =
        qp_shot_start(account->origin,
                      &(struct qp_shot_opts){.write = write_request, .done = take_answer, .owner = account});
}

void qp_identity_forget(struct qp_account *account)
{
    qp_shot_cancel(&account->whoami);
    account->identity = (struct qp_identity){0};
}
