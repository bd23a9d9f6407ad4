#include "base/log.h"
#include "token/account_life.h"
#include <stdio.h>

static void end(struct qp_account *account, const char *code, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof(whole), "%s%s", text,
             qp_keeper_owes_disk(account->keeper)
                 ? "; the vault cannot be written, so a restart before that is mended brings the sign-in back"
                 : "");
    qp_secret_free(&account->revoked);
    qp_log_info("token", "account '%s': %s", account->opts->name, whole);
    qp_orders_hear_of_sign_out(account, code, whole);
}

static void take_answer(void *owner, const struct qp_shot_result *shot)
{
    struct qp_account *account = owner;
    char text[320];
    account->revoking = NULL;
    if (shot->why == QP_OK && shot->status >= 200 && shot->status < 300) {
        end(account, "signed_out", "signed out; the origin has revoked the tokens");
        return;
    }
    if (shot->why == QP_OK)
        snprintf(text, sizeof(text),
                 "signed out here; revoke_url answers with status %u, so the grant lives on at the origin: "
                 "revoke it there",
                 shot->status);
    else
        snprintf(text, sizeof(text),
                 "signed out here; revoke_url cannot be reached (%s%s%s), so the grant lives on at the "
                 "origin: revoke it there",
                 qp_result_text(shot->why), *shot->detail ? ": " : "", shot->detail);
    end(account, "not_revoked", text);
}

static void write_request(void *owner, struct qp_slice authority, struct qp_slice path, struct qp_buf *head,
                          struct qp_buf *body)
{
    struct qp_account *account = owner;
    struct qp_grant_request request = {.kind = QP_GRANT_REVOKE, .token = account->revoked};
    qp_grant_body(account->opts, &request, body);
    qp_grant_head(account->opts, authority, path, qp_buf_len(body), head);
}

static void revoke(struct qp_account *account)
{
    struct qp_keeper *keeper = account->keeper;
    if (!account->revocation)
        account->revocation =
            qp_shot_range_new(keeper->loop, account->opts, account->opts->revoke_url, keeper->allow_plain);
    account->revoking =
        qp_shot_start(account->revocation,
                      &(struct qp_shot_opts){.write = write_request, .done = take_answer, .owner = account});
}

/* The refresh token stands for the whole grant (RFC 7009 section 2.1); the access token alone where there is none. */
static void take_back(struct qp_account *account)
{
    struct qp_secret **lasting = account->refresh_token ? &account->refresh_token : &account->token;
    qp_secret_free(&account->revoked);
    account->revoked = *lasting;
    *lasting = NULL;
    qp_secret_free(&account->token);
    qp_secret_free(&account->refresh_token);
    qp_secret_free(&account->found.refresh_token);
    account->expires_ms = 1; /* long ago */
    account->refresh_token_unix_s = 0;
    account->signed_in_unix_s = 0;
    account->open_redemptions = 0;
    account->was_interrupted = false;
    qp_identity_forget(account);
}

void qp_sign_out_now(struct qp_account *account)
{
    bool is_signed_in_again = account->revoking && (account->token || account->refresh_token);
    if (is_signed_in_again)
        return;
    qp_orders_join_sign_out(account);
    if (account->revoking)
        return;
    take_back(account);
    qp_account_save(account);
    if (account->generation)
        qp_keeper_publish_token(account);
    qp_orders_hear_of_whoami(account, "sign_in_needed", "the account was signed out meanwhile");
    qp_account_need_sign_in(account, QP_LOG_INFO, "signed out: sign in again");
    qp_keeper_settle(account);
    if (account->revoked && account->opts->revoke_url)
        revoke(account);
    else if (account->revoked)
        end(account, "not_revoked",
            "signed out here; no revoke_url is configured, so the grant lives on at the origin until it "
            "expires or is revoked there");
    else
        end(account, "signed_out", "signed out; there was nothing to revoke");
}
