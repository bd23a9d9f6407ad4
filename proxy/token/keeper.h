/* keeper.h - the life of every account's token. Control thread.
 *
 *   EMPTY -> REFRESHING -> FRESH -> STALE -> REFRESHING ...      STALE: usable, its refresh is due
 *              |   ^
 *              |   +---- COOLING_DOWN       the call failed in passing; the next one waits
 *              +-------> REFUSED            client_credentials: tried again every 5 minutes; else until reload
 *              +-------> SIGN_IN_NEEDED     until reload
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

struct qp_keeper;
struct qp_loop;

#define QP_TOKEN_STATE_MAP(X)                                                                  \
    X(QP_TOKEN_EMPTY, "empty", "no token yet")                                                 \
    X(QP_TOKEN_REFRESHING, "refreshing", "a token call is running")                            \
    X(QP_TOKEN_FRESH, "fresh", "the token is good")                                            \
    X(QP_TOKEN_STALE, "stale", "the token is usable and its refresh is due")                   \
    X(QP_TOKEN_COOLING_DOWN, "cooling-down", "the last token call failed; the next one waits") \
    X(QP_TOKEN_SIGN_IN_NEEDED, "sign-in-needed", "the refresh token is no longer accepted")    \
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
    bool allow_plain_http; /* unit tests only: takes a token_url of http. Everywhere else such an account
                              fails the start */
};

struct qp_keeper *qp_keeper_new(struct qp_loop *loop, const struct qp_keeper_opts *opts);
/* Registers a worker's view; before that worker's thread runs, and before the view closes. The view gets
 * every account's current token, if there is one. */
void qp_keeper_add_view(struct qp_keeper *keeper, struct qp_view *view);
/* Starts the first token call of each account (not of api_token, whose token is published at once). */
void qp_keeper_start(struct qp_keeper *keeper);
/* After all views are closed. Cancels running token calls. *keeper becomes NULL. */
void qp_keeper_close(struct qp_keeper **keeper);

struct qp_token_status {
    enum qp_token_state state;
    uint64_t generation;  /* 0: none */
    bool usable;          /* a token that has not expired is there */
    int64_t age_s;        /* of the token; -1: none */
    int64_t expires_in_s; /* -1: does not expire, or none */
    int64_t next_call_s;  /* until the next token call that is planned; -1: none */
    bool never_accepted;  /* the last two tokens were never accepted by the origin */
    uint64_t token_calls;
    uint64_t token_call_failures;
    const char *last_error; /* in words; NULL: none. Valid until the next turn */
};
struct qp_token_status qp_keeper_status(const struct qp_keeper *keeper, unsigned account_index);

#endif
