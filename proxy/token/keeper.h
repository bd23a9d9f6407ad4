/* keeper.h - the life of every account's token. Control thread.
 *
 *   EMPTY -> REFRESHING -> FRESH -> STALE -> REFRESHING ...      STALE: usable, its refresh is due
 *              |   ^
 *              |   +---- COOLING_DOWN       the call failed in passing; the next one waits
 *              +-------> REFUSED            client_credentials: tried again every 5 minutes; else until restart
 *              +-------> SIGN_IN_NEEDED     until somebody signs in
 *
 * The keeper owns the only token call of an account that may run (single flight): requests never start one,
 * they state a need ("at least generation g") through their worker's view, and each need is answered exactly
 * once, by its own deadline at the latest. A new token is published to all views with its generation before
 * any need is answered with it. In every state a token that has not expired goes on being served.
 *
 * Start: qp_keeper_new, a qp_view_new and qp_keeper_add_view for each worker, qp_keeper_start, then the
 * worker threads. Stop: each worker closes its view on its own thread at any time (the keeper's news may race
 * with that); when the threads are joined, qp_keeper_close. A worker's loop may be freed before or after
 * that.
 */
#ifndef QP_TOKEN_KEEPER_H
#define QP_TOKEN_KEEPER_H

#include "token/account.h"
#include "token/view.h"

struct qp_buf;
struct qp_keeper;
struct qp_loop;
struct qp_vault;

#define QP_TOKEN_STATE_MAP(X)                                                                  \
    X(QP_TOKEN_EMPTY, "empty", "no token yet")                                                 \
    X(QP_TOKEN_REFRESHING, "refreshing", "a token call is running")                            \
    X(QP_TOKEN_FRESH, "fresh", "the token is good")                                            \
    X(QP_TOKEN_STALE, "stale", "the token is usable and its refresh is due")                   \
    X(QP_TOKEN_COOLING_DOWN, "cooling-down", "the last token call failed; the next one waits") \
    X(QP_TOKEN_SIGN_IN_NEEDED, "sign-in-needed", "somebody has to sign in")                    \
    X(QP_TOKEN_REFUSED, "refused", "the token endpoint does not accept this client's configuration")

enum qp_token_state {
#define QP_TOKEN_STATE_ENUM(name, word, text) name,
    QP_TOKEN_STATE_MAP(QP_TOKEN_STATE_ENUM)
#undef QP_TOKEN_STATE_ENUM
};
const char *qp_token_state_word(enum qp_token_state state);
/* In words, without a period. */
const char *qp_token_state_text(enum qp_token_state state);

struct qp_keeper_opts {
    const struct qp_account_opts *accounts; /* borrowed */
    unsigned account_count;
    struct qp_vault
        *vault; /* borrowed; NULL: nothing survives, and only client_credentials and api_token are possible */
    bool cache_tokens;     /* access tokens of client_credentials go into the vault too */
    bool passive;          /* for the command line: no call is made but those that are asked for below */
    bool allow_plain_http; /* unit tests only: takes a token_url of http. Everywhere else such an account
                               fails the start */
};

/* What the vault knows of an account is there at once: a token that has not expired needs no call. */
struct qp_keeper *qp_keeper_new(struct qp_loop *loop, const struct qp_keeper_opts *opts);
/* Registers a worker's view; before that worker's thread runs, and before the view closes. The view gets
 * every account's current token, if there is one. */
void qp_keeper_add_view(struct qp_keeper *keeper, struct qp_view *view);
/* Starts the first token call of each account that has no usable token (never of api_token, whose token is
 * published at once). */
void qp_keeper_start(struct qp_keeper *keeper);
/* No new call is begun. A refresh token that is being redeemed is waited for (a lost answer is a lost sign-in), and what the vault owes the disk is
 * tried again until limit_ms have passed; `done` is called once, from the loop's top. What is still owed then is said as an error. */
void qp_keeper_drain(struct qp_keeper *keeper, uint64_t limit_ms, void (*done)(void *context), void *context);
/* After all views are closed. Cancels running token calls. *keeper becomes NULL. */
void qp_keeper_close(struct qp_keeper **keeper);

/* ---- what people ask for: the admin pages and, through them, the command line ---- */

/* How an order ended. `code` is one word for programs, `text` one sentence for people, without a secret, with what to do where
 * something is to be done; both are valid within the call. */
struct qp_order_end {
    bool ok;
    const char *code;
    const char *text;
};
/* Called once, never from inside, unless the order is abandoned before. */
typedef void qp_order_done(void *owner, const struct qp_order_end *end);

/* "Refresh now": begins a token call, or joins the one that is running; `done` with its outcome. Codes: refreshed, sign_in_needed, refused,
 * failed (the old token stays in use), static (api_token), stopping. */
void qp_keeper_refresh(struct qp_keeper *keeper, unsigned account_index, qp_order_done *done, void *owner);
/* Takes the account's tokens back from all workers, out of the vault, and, where the account has a revoke_url, revokes them there (RFC 7009). The
 * account is signed out whatever becomes of the revocation; the text says that. Codes: signed_out, not_revoked (ok is true for both), static,
 * stopping (nothing was done). */
void qp_keeper_sign_out(struct qp_keeper *keeper, unsigned account_index, qp_order_done *done, void *owner);
/* Asks the origin who we are (GET /API/v3/whoami), with the account's token: gets one first if there is none, unless that would redeem a refresh
 * token and `spend` is false; then without one, which shows at least whether the origin can be reached. The identity is kept. Codes: ok, stopping,
 * ok_without_token, sign_in_needed, refused, token_failed, resolve, network, certificate, rejected (401), forbidden (403), wrong_host (Qualtrics names another one: see the identity's warning),
 * unexpected. */
void qp_keeper_check(struct qp_keeper *keeper, unsigned account_index, bool spend, qp_order_done *done,
                     void *owner);
/* No `done` follows for any order of this owner; what was begun goes on. */
void qp_keeper_abandon(struct qp_keeper *keeper, void *owner);

/* ---- state, for those who look ---- */

/* What the origin said of us; empty texts: not known. */
struct qp_identity {
    char brand[128];
    char user[256];
    char datacenter[64];
    char warning
        [384]; /* what Qualtrics has to say of the account's host or of the account; a sentence, with what to do where that is known */
};

struct qp_token_status {
    enum qp_grant grant;
    enum qp_token_state state;
    uint64_t generation;  /* 0: none */
    bool usable;          /* a token that has not expired is there, and it is not known to be dead */
    int64_t age_s;        /* of the token; -1: none */
    int64_t expires_in_s; /* -1: does not expire, or none */
    int64_t next_call_s;  /* until the next token call that is planned; -1: none */
    bool never_accepted;  /* the last two tokens were never accepted by the origin */
    uint64_t token_calls;
    uint64_t token_call_failures;
    const char *last_error;      /* in words; NULL: none. Valid until the next turn */
    bool can_sign_in;            /* authorization_code */
    bool can_refresh;            /* all but api_token, and not where a sign-in is needed first */
    bool can_sign_out;           /* there is something to forget */
    int64_t signed_in_s;         /* how long ago somebody signed in; -1: nobody did, or no grant for that */
    int64_t refresh_token_age_s; /* -1: none */
    bool refresh_token_is_old;   /* older than sign_in_warn_ms */
    const struct qp_identity *identity; /* never NULL. Valid until the next turn */
};
struct qp_token_status qp_keeper_status(const struct qp_keeper *keeper, unsigned account_index);

struct qp_vault_status {
    bool is_configured;
    bool is_writable;  /* the last write went well, or none was needed yet */
    const char *error; /* of the last write; NULL: none. Valid until the next turn */
};
struct qp_vault_status qp_keeper_vault_status(const struct qp_keeper *keeper);
/* qp_vault_rotate() for the keeper's vault; `text` holds one line either way. */
QP_MUST_USE enum qp_result qp_keeper_rotate_key(struct qp_keeper *keeper, char *text, size_t text_size);

#endif
