/* card.c - one account's card: how it is, what to do about it, and the buttons to do it with. */
#include "admin/html.h"
#include "admin/text.h"
#include <inttypes.h>

static const char *const LEVELS[] = {
    [QP_LEVEL_GOOD] = "good", [QP_LEVEL_CARE] = "care", [QP_LEVEL_BAD] = "bad"};

static const char *const PILLS[] = {
    [QP_TOKEN_EMPTY] = "Not connected",
    [QP_TOKEN_REFRESHING] = "Refreshing",
    [QP_TOKEN_FRESH] = "Connected",
    [QP_TOKEN_STALE] = "Connected",
    [QP_TOKEN_COOLING_DOWN] = "Waiting to retry",
    [QP_TOKEN_SIGN_IN_NEEDED] = "Sign-in needed",
    [QP_TOKEN_REFUSED] = "Refused",
};

/* What somebody should do, by state and grant; the first that fits. */
#define ANY_GRANT (-1)
static const struct {
    enum qp_token_state state;
    int grant;
    const char *text;
} ADVICE[] = {
    {QP_TOKEN_EMPTY, QP_GRANT_AUTHORIZATION_CODE, "Nobody is signed in: connect this account to use it."},
    {QP_TOKEN_SIGN_IN_NEEDED, QP_GRANT_REFRESH_TOKEN,
     "Put a new refresh token where the configuration says, and restart qproxy."},
    {QP_TOKEN_COOLING_DOWN, ANY_GRANT,
     "qproxy tries again by itself. If this lasts, the error says what to look at."},
    {QP_TOKEN_REFUSED, QP_GRANT_CLIENT_CREDENTIALS,
     "Correct client_id, client_secret or scope in the configuration and restart; as it is, qproxy tries "
     "again every 5 minutes."},
    {QP_TOKEN_REFUSED, ANY_GRANT,
     "Correct client_id, client_secret or scope in the configuration, and restart qproxy."},
};

static const char *advice_for(const struct qp_token_status *token)
{
    for (size_t i = 0; i < sizeof ADVICE / sizeof ADVICE[0]; i++)
        if (ADVICE[i].state == token->state &&
            (ADVICE[i].grant == ANY_GRANT || ADVICE[i].grant == (int)token->grant))
            return ADVICE[i].text;
    return NULL;
}

/* ---- how it is ---- */

static void put_note(struct qp_buf *out, const char *class, const char *text)
{
    qp_buf_append_fmt(out, "<p class=\"note %s\">", class);
    qp_html_sentence(out, text);
    qp_buf_append_str(out, "</p>\n");
}

/* As it came: it may begin with an error code. */
static void put_error(struct qp_buf *out, const struct qp_token_status *token)
{
    qp_buf_append_fmt(out, "<p class=\"note plain\"><strong>%s</strong> ",
                      token->state == QP_TOKEN_SIGN_IN_NEEDED ? "Why:" : "Last error:");
    qp_put_html(out, token->last_error);
    qp_buf_append_str(out, "</p>\n");
}

static void put_head(struct qp_buf *out, const struct qp_admin_account *account)
{
    qp_buf_append_fmt(out, "<article class=\"card %s\" data-state=\"%s\" id=\"",
                      LEVELS[qp_admin_account_level(account)], qp_token_state_word(account->token.state));
    qp_put_html(out, account->name);
    qp_buf_append_str(out, "\">\n<div class=\"say\"><header><h3>");
    qp_put_html(out, account->name);
    qp_buf_append_fmt(out, "</h3><span class=\"pill\">%s</span></header>\n<p class=\"grant\">%s</p>\n",
                      PILLS[account->token.state], qp_admin_grant_text(account->token.grant));
}

static void put_state(struct qp_buf *out, const struct qp_admin_account *account)
{
    struct qp_buf state = {0};
    qp_admin_put_state(&state, account);
    qp_buf_append_char(&state, '\0');
    qp_buf_append_str(out, "<p class=\"state\">");
    qp_html_sentence(out, qp_buf_slice(&state).at);
    qp_buf_append_str(out, "</p>\n");
    qp_buf_deinit(&state);
}

static void put_notes(struct qp_buf *out, const struct qp_admin_account *account,
                      const struct qp_flash *flash)
{
    const struct qp_token_status *token = &account->token;
    const char *advice = advice_for(token);
    bool is_told_already = flash && token->last_error && strcmp(flash->text, token->last_error) == 0;
    if (flash)
        put_note(out, flash->ok ? "good told" : "bad told", flash->text);
    if (advice)
        put_note(out, "care", advice);
    if (token->never_accepted)
        put_note(out, "bad",
                 "The origin accepted none of the last two tokens: check the account's datacenter and its "
                 "permissions.");
    if (token->identity->warning[0])
        put_note(out, "care", token->identity->warning);
    if (token->refresh_token_is_old && token->state != QP_TOKEN_SIGN_IN_NEEDED)
        put_note(out, "care",
                 "The refresh token is old: sign in again before the authorization server lets it expire.");
    if (token->last_error && !is_told_already)
        put_error(out, token);
}

static void put_who(struct qp_buf *out, const struct qp_identity *identity)
{
    const struct {
        const char *what;
        const char *text;
    } parts[] = {{"User", identity->user}, {"Brand", identity->brand}, {"Datacenter", identity->datacenter}};
    if (!identity->user[0] && !identity->brand[0] && !identity->datacenter[0])
        return;
    qp_buf_append_str(out, "<ul class=\"facts\">");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].text[0])
            continue;
        qp_buf_append_fmt(out, "<li>%s <b>", parts[i].what);
        qp_put_html(out, parts[i].text);
        qp_buf_append_str(out, "</b></li>");
    }
    qp_buf_append_str(out, "</ul>\n");
}

/* ---- the facts ---- */

static void put_term(struct qp_buf *out, const char *term)
{
    qp_buf_append_fmt(out, "<div><dt>%s</dt><dd>", term);
}

static void end_term(struct qp_buf *out)
{
    qp_buf_append_str(out, "</dd></div>\n");
}

static void put_time(struct qp_buf *out, const char *term, int64_t seconds, const char *behind,
                     const char *otherwise)
{
    put_term(out, term);
    qp_html_duration(out, seconds, otherwise);
    if (seconds >= 0)
        qp_buf_append_str(out, behind);
    end_term(out);
}

static void put_calls(struct qp_buf *out, const struct qp_token_status *token)
{
    put_term(out, "Token calls");
    qp_html_count(out, token->token_calls);
    if (token->token_call_failures > 0) {
        qp_buf_append_str(out, ", of which failed ");
        qp_html_count(out, token->token_call_failures);
    }
    end_term(out);
}

static void put_token(struct qp_buf *out, const struct qp_token_status *token)
{
    if (token->age_s < 0 || token->grant == QP_GRANT_API_TOKEN) {
        put_term(out, "Token");
        qp_buf_append_str(out, token->age_s < 0 ? "none" : "does not expire");
        end_term(out);
        return;
    }
    put_time(out, "Token got", token->age_s, " ago", "");
    put_time(out, "Expires in", token->expires_in_s, "", "does not expire");
}

static void put_facts(struct qp_buf *out, const struct qp_token_status *token)
{
    qp_buf_append_str(out, "<dl>\n");
    put_token(out, token);
    if (token->grant != QP_GRANT_API_TOKEN) {
        put_time(out, "Next refresh in", token->next_call_s, "", "none planned");
        put_calls(out, token);
    }
    if (token->can_sign_in)
        put_time(out, "Signed in", token->signed_in_s, " ago", "nobody is");
    if (token->refresh_token_age_s >= 0)
        put_time(out, "Refresh token", token->refresh_token_age_s, " old", "");
    qp_buf_append_str(out, "</dl>\n");
}

static void put_origin(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned account)
{
    if (snapshot->worker_count == 0)
        return;
    qp_buf_append_str(out, "<details id=\"");
    qp_put_html(out, snapshot->accounts[account].name);
    qp_buf_append_str(out, ".origin\"><summary>Connections to the origin</summary><table><tbody>\n");
    for (unsigned row = 0; row < snapshot->pool.count; row++) {
        qp_buf_append_str(out, "<tr><th scope=\"row\">");
        qp_put_html(out, snapshot->pool.rows[row].help);
        qp_buf_append_str(out, "</th><td class=\"n\">");
        qp_html_count(out, qp_snapshot_pool_total(snapshot, account, row));
        qp_buf_append_str(out, "</td></tr>\n");
    }
    qp_buf_append_str(out, "</tbody></table></details>\n");
}

/* ---- the buttons ---- */

static void put_form(struct qp_buf *out, const char *what, const char *name, const char *csrf,
                     const char *class, const char *label, const char *while_it_runs)
{
    qp_buf_append_fmt(out, "<form method=\"post\" action=\"/%s/", what);
    qp_put_html(out, name);
    qp_buf_append_str(out, "\"><input type=\"hidden\" name=\"csrf\" value=\"");
    qp_put_html(out, csrf);
    qp_buf_append_fmt(out, "\"><button class=\"button %s\" data-busy=\"%s\" id=\"", class, while_it_runs);
    qp_put_html(out, name);
    qp_buf_append_fmt(out, ".%s\">%s</button></form>\n", what, label);
}

static void put_connect(struct qp_buf *out, const struct qp_admin_account *account)
{
    const struct qp_token_status *token = &account->token;
    bool is_wanted =
        token->signed_in_s < 0 || token->state == QP_TOKEN_SIGN_IN_NEEDED || token->refresh_token_is_old;
    qp_buf_append_fmt(out, "<a class=\"button %s\" href=\"/login/", is_wanted ? "primary" : "quiet");
    qp_put_html(out, account->name);
    qp_buf_append_fmt(out, "\">%s</a>\n", token->signed_in_s < 0 ? "Connect" : "Sign in again");
}

/* The second button is the question, so that it needs no script. */
static void put_sign_out(struct qp_buf *out, const struct qp_admin_account *account, const char *csrf)
{
    bool has_sign_in = account->token.can_sign_in;
    qp_buf_append_str(out, "<details class=\"ask\" id=\"");
    qp_put_html(out, account->name);
    qp_buf_append_str(out, ".ask\"><summary class=\"button quiet\">Sign out</summary><div><p>");
    qp_buf_append_str(
        out, has_sign_in ? "Forgets this account's tokens, and revokes them where the authorization server "
                           "can. Services that use it get errors until somebody signs in again."
                         : "Forgets this account's tokens, and revokes them where the authorization server "
                           "can.");
    qp_buf_append_str(out, "</p>");
    put_form(out, "logout", account->name, csrf, "danger", "Yes, sign out", "Signing out…");
    qp_buf_append_str(out, "</div></details>\n");
}

static void put_actions(struct qp_buf *out, const struct qp_admin_account *account, const char *csrf)
{
    const struct qp_token_status *token = &account->token;
    if (!token->can_sign_in && !token->can_refresh && !token->can_sign_out)
        return;
    qp_buf_append_str(out, "<div class=\"actions\">\n");
    if (token->can_sign_in)
        put_connect(out, account);
    if (token->can_refresh)
        put_form(out, "refresh", account->name, csrf, "quiet", "Refresh now", "Refreshing…");
    if (token->can_sign_out)
        put_sign_out(out, account, csrf);
    qp_buf_append_str(out, "</div>\n");
}

void qp_html_card(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned account,
                  const struct qp_page_viewer *viewer)
{
    const struct qp_admin_account *shown = &snapshot->accounts[account];
    put_head(out, shown);
    put_who(out, shown->token.identity);
    put_state(out, shown);
    put_notes(out, shown, qp_session_flash_of(viewer->sessions, viewer->now_ms, viewer->session, account));
    put_actions(out, shown, viewer->csrf);
    qp_buf_append_str(out, "</div>\n<div class=\"know\">\n");
    put_facts(out, &shown->token);
    put_origin(out, snapshot, account);
    qp_buf_append_str(out, "</div></article>\n");
}
