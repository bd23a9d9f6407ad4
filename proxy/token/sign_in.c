#include "token/sign_in.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "http/form.h"
#include "token/account_life.h"
#include <stdio.h>

enum stage { FREE, WAITING, WORKING, DONE, FAILED };

struct qp_attempt {
    enum stage stage;
    struct qp_account *account;
    uint64_t number;   /* in the order of beginning */
    uint64_t until_ms; /* of its life */
    char id[QP_DIGEST_TEXT_BYTES];
    char state[QP_DIGEST_TEXT_BYTES];
    char binding[QP_DIGEST_TEXT_BYTES]; /* digest; empty: not bound to a browser */
    struct qp_secret *verifier;
    struct qp_secret *code;
    char *redirect_uri;
    struct qp_order *order; /* while WORKING */
    const char *end_code;   /* DONE, FAILED */
    char end_text[512];
};

/* ---- the desk ---- */

static void clear(struct qp_attempt *attempt)
{
    qp_secret_free(&attempt->verifier);
    qp_secret_free(&attempt->code);
    qp_free(attempt->redirect_uri);
    qp_wipe(attempt, sizeof(*attempt));
}

static bool is_over(const struct qp_keeper *keeper, const struct qp_attempt *attempt)
{
    return attempt->stage != WORKING && qp_loop_now_ms(keeper->loop) >= attempt->until_ms;
}

/* A free place, or that of the oldest that nobody is working on; NULL if all are worked on. */
static struct qp_attempt *make_place(struct qp_keeper *keeper)
{
    struct qp_attempt *place = NULL;
    for (unsigned i = 0; i < QP_SIGN_IN_ATTEMPTS; ++i) {
        struct qp_attempt *attempt = &keeper->attempts[i];
        if (attempt->stage == WORKING)
            continue;
        if (attempt->stage == FREE || is_over(keeper, attempt))
            attempt->number = 0;
        if (!place || attempt->number < place->number)
            place = attempt;
    }
    if (place)
        clear(place);
    return place;
}

void qp_sign_in_free(struct qp_keeper *keeper)
{
    for (unsigned i = 0; keeper->attempts && i < QP_SIGN_IN_ATTEMPTS; ++i)
        clear(&keeper->attempts[i]);
    qp_free(keeper->attempts);
    keeper->attempts = NULL;
}

/* ---- beginning ---- */

static bool has_word(const char *words, const char *word)
{
    struct qp_slice rest = qp_slice_str(words);
    while (rest.at) {
        if (qp_slice_is(qp_slice_cut(&rest, ' '), qp_slice_str(word)))
            return true;
    }
    return false;
}

static void put_scope(const struct qp_account_opts *opts, struct qp_buf *scope)
{
    qp_buf_append_str(scope, opts->scope ? opts->scope : "");
    if (opts->offline_scope && !has_word(opts->scope, opts->offline_scope))
        qp_buf_append_fmt(scope, "%s%s", qp_buf_len(scope) ? " " : "", opts->offline_scope);
}

static void put_url(const struct qp_attempt *attempt, struct qp_buf *url)
{
    const struct qp_account_opts *opts = attempt->account->opts;
    struct qp_buf scope = {0};
    char challenge[QP_DIGEST_TEXT_BYTES];
    qp_sha256_text(qp_secret_reveal(attempt->verifier), challenge);
    put_scope(opts, &scope);
    qp_buf_clear(url);
    qp_buf_append_str(url, opts->auth_url);
    if (!strchr(opts->auth_url, '?'))
        qp_buf_append_char(url, '?');
    qp_form_append_pair(url, "response_type", QP_SLICE("code"));
    qp_form_append_pair(url, "client_id", qp_slice_str(opts->client_id));
    qp_form_append_pair(url, "redirect_uri", qp_slice_str(attempt->redirect_uri));
    if (qp_buf_len(&scope))
        qp_form_append_pair(url, "scope", qp_buf_slice(&scope));
    qp_form_append_pair(url, "state", qp_slice_str(attempt->state));
    qp_form_append_pair(url, "code_challenge", qp_slice_str(challenge));
    qp_form_append_pair(url, "code_challenge_method", QP_SLICE("S256"));
    qp_buf_append_char(url, '\0');
    qp_buf_deinit(&scope);
}

static const char *why_not(const struct qp_account *account, const char *redirect_uri)
{
    if (account->opts->grant != QP_GRANT_AUTHORIZATION_CODE)
        return "this account's grant needs no sign-in";
    if (account->keeper->is_draining)
        return "qproxy is stopping";
    if (!redirect_uri || !*redirect_uri)
        return "there is no address that a sign-in could come back to: set redirect_uri, or a TCP address in "
               "admin.listen";
    return NULL;
}

bool qp_sign_in_begin(struct qp_keeper *keeper, unsigned account_index, const char *redirect_uri,
                      struct qp_slice binding, struct qp_sign_in_begun *begun, const char **why)
{
    qp_require(account_index < keeper->account_count);
    struct qp_account *account = &keeper->accounts[account_index];
    if (account->opts->redirect_uri)
        redirect_uri = account->opts->redirect_uri;
    *why = why_not(account, redirect_uri);
    if (*why)
        return false;
    if (!keeper->attempts)
        keeper->attempts = qp_alloc(QP_SIGN_IN_ATTEMPTS * sizeof(*keeper->attempts));
    struct qp_attempt *attempt = make_place(keeper);
    if (!attempt) {
        *why = "too many sign-ins are being finished: try again in a moment";
        return false;
    }
    char verifier[QP_DIGEST_TEXT_BYTES];
    qp_random_text(verifier);
    attempt->stage = WAITING;
    attempt->account = account;
    attempt->number = ++keeper->attempt_count;
    attempt->until_ms = qp_loop_now_ms(keeper->loop) + (uint64_t)QP_SIGN_IN_LIFE_S * 1000;
    qp_random_text(attempt->id);
    qp_random_text(attempt->state);
    if (binding.len)
        qp_sha256_text(binding, attempt->binding);
    attempt->verifier = qp_secret_new(qp_slice_str(verifier));
    attempt->redirect_uri = qp_strndup(redirect_uri, strlen(redirect_uri));
    qp_wipe(verifier, sizeof(verifier));
    put_url(attempt, &keeper->sign_in_url);
    memcpy(begun->id, attempt->id, sizeof(begun->id));
    begun->url = qp_buf_slice(&keeper->sign_in_url).at;
    qp_log_info("token", "account '%s': a sign-in was begun", account->opts->name);
    return true;
}

/* ---- what came back ---- */

struct answer {
    char state[128];
    char code[2048];
    char iss[1024];
    char error[64];
    char description[2048]; /* some say what they mean at length; what is shown is cut */
};

static bool read_answer(struct qp_slice query, struct answer *answer)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } rows[] = {
        {"state", answer->state, sizeof(answer->state)},
        {"code", answer->code, sizeof(answer->code)},
        {"iss", answer->iss, sizeof(answer->iss)},
        {"error", answer->error, sizeof(answer->error)},
        {"error_description", answer->description, sizeof(answer->description)},
    };
    bool is_good = query.len > 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i)
        is_good = qp_form_find(query, rows[i].name, rows[i].out, rows[i].size) <= 1 && is_good;
    return is_good;
}

/* Every place is looked at, and each in constant time. */
static struct qp_attempt *find_by_state(struct qp_keeper *keeper, const char *state)
{
    struct qp_attempt *found = NULL;
    for (unsigned i = 0; keeper->attempts && i < QP_SIGN_IN_ATTEMPTS; ++i) {
        struct qp_attempt *attempt = &keeper->attempts[i];
        bool is_open = attempt->stage == WAITING && !is_over(keeper, attempt);
        if (is_open && qp_text_is_equal_secretly(qp_slice_str(attempt->state), qp_slice_str(state)))
            found = attempt;
    }
    return found;
}

/* RFC 6749 section 4.1.2.1, and OpenID Connect's three that authorization servers send too. */
static const struct {
    const char *code;
    const char *text;
} error_rows[] = {
    {"access_denied", "the sign-in was refused by whoever signed in, or by the brand's rules: sign in again "
                      "and choose to allow it"},
    {"invalid_scope", "the authorization server does not grant these scopes: check scope and offline_scope"},
    {"unauthorized_client", "this client may not use the authorization code grant: check its grant type in "
                            "the OAuth Client Manager"},
    {"unsupported_response_type", "the authorization server does not offer the code flow: check auth_url"},
    {"invalid_request",
     "the authorization server does not understand the request: check client_id, redirect_uri and auth_url"},
    {"server_error", "the authorization server has failed: try again later"},
    {"temporarily_unavailable", "the authorization server is overloaded: try again later"},
    {"login_required", "nobody is signed in at Qualtrics in this browser: sign in there"},
    {"consent_required", "the consent is missing: sign in again and choose to allow it"},
    {"interaction_required", "the authorization server wants to ask something: sign in with a browser"},
};

static void end_attempt(struct qp_attempt *attempt, bool ok, const char *code, const char *text)
{
    attempt->stage = ok ? DONE : FAILED;
    attempt->end_code = code;
    /* Whoever waits for it has not seen the end yet. */
    attempt->until_ms = qp_loop_now_ms(attempt->account->keeper->loop) + (uint64_t)QP_SIGN_IN_LIFE_S * 1000;
    snprintf(attempt->end_text, sizeof(attempt->end_text), "%s", text);
    qp_secret_free(&attempt->verifier);
    qp_secret_free(&attempt->code);
    qp_wipe(attempt->state, sizeof(attempt->state));
    qp_log_line(ok ? QP_LOG_INFO : QP_LOG_WARN, "token", 0, 0, "account '%s': sign-in: %s",
                attempt->account->opts->name, text);
    if (attempt->order)
        qp_order_end(attempt->order, ok, code, text);
    attempt->order = NULL;
}

/* What they may send is ASCII (RFC 6749 section 4.1.2.1); the rest may be meant for a terminal. */
static void end_by_error(struct qp_attempt *attempt, struct answer *answer)
{
    char text[sizeof(attempt->end_text)];
    const char *code = "refused";
    const char *words =
        "the authorization server refuses: see what it says, and check client_id, scope and redirect_uri";
    for (size_t i = 0; i < sizeof(error_rows) / sizeof(error_rows[0]); ++i) {
        if (strcmp(answer->error, error_rows[i].code) != 0)
            continue;
        code = error_rows[i].code;
        words = error_rows[i].text;
    }
    qp_ascii_only(answer->description);
    snprintf(text, sizeof(text), "%s%s%.255s%s", words, *answer->description ? " (it says: \"" : "",
             answer->description, *answer->description ? "\")" : "");
    end_attempt(attempt, false, code, text);
}

static void end_by_issuer(struct qp_attempt *attempt, struct answer *answer)
{
    char text[sizeof(attempt->end_text)];
    qp_ascii_only(answer->iss);
    snprintf(text, sizeof(text),
             "the answer says that it comes from '%.160s' and not from '%.160s': somebody may have mixed up "
             "two servers; if the first one is right, put it into the setting issuer",
             answer->iss, attempt->account->opts->issuer);
    end_attempt(attempt, false, "wrong_issuer", text);
}

/* ---- the exchange ---- */

static void take_exchange(void *owner, struct qp_token_call_result *result);

void qp_sign_in_go_on(struct qp_account *account)
{
    struct qp_attempt *attempt = account->exchanging;
    if (!attempt || account->call || account->exchange)
        return;
    if (account->keeper->is_draining) {
        account->exchanging = NULL;
        end_attempt(attempt, false, "stopping",
                    "qproxy is stopping, and nothing was redeemed: sign in again later");
        return;
    }
    struct qp_grant_request request = {.kind = QP_GRANT_BY_CODE,
                                       .code = attempt->code,
                                       .verifier = attempt->verifier,
                                       .redirect_uri = attempt->redirect_uri};
    ++account->token_calls;
    account->exchange =
        qp_token_call_start(account->endpoint, account->opts, &request, take_exchange, account);
}

/* All at once, so that the first save has the whole of it: the sign-in before this one is history. */
static void take_sign_in(struct qp_account *account, struct qp_grant_answer *answer)
{
    qp_secret_free(&account->refresh_token);
    account->refresh_token = answer->refresh_token;
    answer->refresh_token = NULL;
    account->signed_in_unix_s = qp_clock_unix_ms() / 1000;
    account->refresh_token_unix_s = account->refresh_token ? account->signed_in_unix_s : 0;
    account->open_redemptions = 0;
    account->was_interrupted = false;
    account->damping = (struct qp_account_damping){0};
    qp_keeper_publish_damping(account);
    qp_identity_forget(account);
    qp_account_take_token(account, &answer->access_token, answer->expires_in_s);
}

static void take_exchange(void *owner, struct qp_token_call_result *result)
{
    struct qp_account *account = owner;
    struct qp_attempt *attempt = account->exchanging;
    struct qp_grant_answer *answer = &result->answer;
    char text[sizeof(attempt->end_text)];
    bool is_granted = answer->outcome == QP_GRANT_GRANTED;
    bool is_call_due = account->is_call_due && !is_granted;
    account->exchange = NULL;
    account->exchanging = NULL;
    account->is_call_due = false;
    if (is_granted) {
        take_sign_in(account, answer);
        end_attempt(attempt, true, "signed_in",
                    account->refresh_token ? "signed in"
                                           : "signed in, but the authorization server gave no refresh token, "
                                             "so this lasts only as long as the token: check "
                                             "offline_scope");
    } else {
        ++account->token_call_failures;
        snprintf(text, sizeof(text), "the code could not be exchanged: %s: %s", answer->error,
                 answer->outcome == QP_GRANT_SIGN_IN ? "the code has expired or was used already, or "
                                                       "redirect_uri is not the registered one: sign in again"
                                                     : answer->text);
        end_attempt(attempt, false, "failed", text);
    }
    qp_grant_answer_deinit(answer);
    if (is_call_due)
        (void)qp_account_call(account);
    qp_orders_hear_of_call(account);
    qp_keeper_settle(account);
    qp_keeper_look_at_drain(account->keeper);
}

static void redeem(struct qp_attempt *attempt, const char *code)
{
    struct qp_account *account = attempt->account;
    if (account->exchanging) {
        end_attempt(attempt, false, "failed",
                    "another sign-in of this account is just being finished: look how that ended");
        return;
    }
    if (!qp_account_reserve(account)) {
        char text[sizeof(attempt->end_text)];
        snprintf(text, sizeof(text), "the vault cannot be written, so nothing was redeemed: %s",
                 account->keeper->vault_error);
        end_attempt(attempt, false, "vault", text);
        return;
    }
    attempt->stage = WORKING;
    attempt->code = qp_secret_new(qp_slice_str(code));
    account->exchanging = attempt;
    qp_sign_in_go_on(account);
}

static void judge(struct qp_attempt *attempt, const struct qp_sign_in_answer *came, struct answer *answer)
{
    const char *issuer = attempt->account->opts->issuer;
    char binding[QP_DIGEST_TEXT_BYTES] = "";
    if (came->binding.len)
        qp_sha256_text(came->binding, binding);
    bool is_own_browser = !*attempt->binding ||
                          qp_text_is_equal_secretly(qp_slice_str(attempt->binding), qp_slice_str(binding));
    if (!is_own_browser)
        end_attempt(attempt, false, "other_browser",
                    "this sign-in was begun in another browser: begin and end it in the same one");
    else if (*answer->iss && issuer && strcmp(answer->iss, issuer) != 0)
        end_by_issuer(attempt, answer);
    else if (*answer->error)
        end_by_error(attempt, answer);
    else if (!*answer->code)
        end_attempt(attempt, false, "no_code", "the answer has neither a code nor an error: sign in again");
    else
        redeem(attempt, answer->code);
}

void qp_sign_in_finish(struct qp_keeper *keeper, const struct qp_sign_in_answer *came, qp_order_done *done,
                       void *owner)
{
    struct answer answer;
    struct qp_order *order = qp_order_new(keeper, NULL, QP_ORDER_SIGN_IN, done, owner);
    bool is_readable = read_answer(came->query, &answer);
    struct qp_attempt *attempt = is_readable ? find_by_state(keeper, answer.state) : NULL;
    if (keeper->is_draining) {
        qp_order_end(order, false, "stopping", "qproxy is stopping");
    } else if (!is_readable) {
        qp_order_end(order, false, "bad_answer",
                     "this is not what an authorization server sends back: a query with state and code is "
                     "expected, each once");
    } else if (!attempt) {
        qp_order_end(
            order, false, "state_unknown",
            "this sign-in was not begun here, is over 10 minutes old, or was ended already: begin again");
    } else if (came->id && strcmp(came->id, attempt->id) != 0) {
        qp_order_end(order, false, "other_attempt",
                     "this is the answer to another sign-in than the one that is waited for here");
    } else {
        attempt->order = order;
        judge(attempt, came, &answer);
    }
    qp_wipe(&answer, sizeof(answer));
}

const char *qp_sign_in_progress(struct qp_keeper *keeper, const char *id, struct qp_order_end *end,
                                unsigned *account_index)
{
    static const char *const words[] = {[FREE] = "unknown",
                                        [WAITING] = "waiting",
                                        [WORKING] = "working",
                                        [DONE] = "done",
                                        [FAILED] = "failed"};
    for (unsigned i = 0; keeper->attempts && i < QP_SIGN_IN_ATTEMPTS; ++i) {
        struct qp_attempt *attempt = &keeper->attempts[i];
        if (attempt->stage == FREE || is_over(keeper, attempt) || strcmp(attempt->id, id) != 0)
            continue;
        if (end && (attempt->stage == DONE || attempt->stage == FAILED))
            *end = (struct qp_order_end){
                .ok = attempt->stage == DONE, .code = attempt->end_code, .text = attempt->end_text};
        if (account_index)
            *account_index = attempt->account->index;
        return words[attempt->stage];
    }
    return words[FREE];
}
