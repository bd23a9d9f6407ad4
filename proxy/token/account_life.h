/* account_life.h - the state machine of one account, and the keeper it lives in. Private to token/; control
 * thread.
 *
 *   account_life.c    when a token call runs, and what its end means
 *   account_record.c  what of it is in the vault
 *   orders.c          what people asked for, and when they are told
 *   sign_in.c         attempts, and the exchange of a code
 *   sign_out.c        taking everything back
 *   identity.c        who the origin says we are
 */
#ifndef QP_TOKEN_ACCOUNT_LIFE_H
#define QP_TOKEN_ACCOUNT_LIFE_H

#include "base/log.h"
#include "net/loop.h"
#include "net/timer.h"
#include "token/keeper.h"
#include "token/pace.h"
#include "token/token_call.h"
#include "token/vault.h"
#include "token/wire.h"

struct qp_attempt;

/* What the vault's file held of an account when it was not as we had written it. */
struct qp_found {
    struct qp_secret *refresh_token; /* NULL: nothing */
    int64_t unix_s;
    bool redeeming;
};

struct qp_account {
    struct qp_keeper *keeper;
    const struct qp_account_opts *opts;
    unsigned index;
    struct qp_shot_range *endpoint; /* of the token calls; NULL: api_token */
    struct qp_token_call *call;     /* the only one that renews */

    enum qp_token_state state;
    struct qp_timer timer;  /* of the state; enter() arms it */
    struct qp_timer spaced; /* a mint on a rejection that has to wait: see qp_account_damping_gap_ms() */
    uint64_t next_call_ms;  /* when the timer starts a call; 0: not planned */

    struct qp_secret *token;
    uint64_t generation; /* of the token; 0: none */
    uint64_t issued_ms;
    uint64_t expires_ms;             /* 0: never */
    struct qp_secret *refresh_token; /* the current one */
    int64_t refresh_token_unix_s;
    int64_t signed_in_unix_s; /* 0: never */

    unsigned failures;         /* calls in a row */
    unsigned open_redemptions; /* calls with this refresh token whose outcome nobody knows */
    bool was_interrupted;      /* the first of them in a life before this one */
    struct qp_found found;     /* before the present redemption, or the last one */
    struct qp_account_damping damping;
    uint64_t token_calls;
    uint64_t token_call_failures;
    char last_error[384]; /* empty: none */

    struct qp_attempt *exchanging;  /* whose code is being redeemed, or will be when `call` has ended */
    struct qp_token_call *exchange; /* NULL while `call` runs */
    bool is_call_due;               /* a call was wanted while the exchange ran */

    struct qp_shot_range *revocation;
    struct qp_shot *revoking;
    struct qp_secret *revoked; /* the token that is being revoked */

    struct qp_buf whoami_url;
    struct qp_shot_range *origin;
    struct qp_shot *whoami;
    uint64_t asked_generation; /* of the token that whoami is asked with; 0: without one */
    struct qp_identity identity;
};

struct qp_keeper {
    struct qp_loop *loop;
    struct qp_mailbox *mailbox;
    struct qp_list seats;
    uint64_t random;
    bool is_closing;
    bool is_passive;
    bool is_draining;
    bool allow_plain;

    struct qp_vault *vault; /* NULL: none */
    bool cache_tokens;
    char vault_error[384];        /* of the last write; empty: it went well */
    unsigned vault_failures;      /* in a row */
    bool owes_disk;               /* what is in memory only cannot be had again */
    struct qp_timer vault_retry;  /* of what could not be written */
    struct qp_timer vault_lazily; /* what may as well be lost */

    struct qp_list orders; /* not ended yet */
    struct qp_list ended;  /* to be told */
    struct qp_job tell;
    struct qp_attempt *attempts; /* QP_SIGN_IN_ATTEMPTS of them */
    uint64_t attempt_count;      /* so far */
    struct qp_buf sign_in_url;   /* of the newest */

    struct qp_timer drain_limit;
    struct qp_job look_at_drain;
    void (*drained)(void *context);
    void *drained_context;

    unsigned account_count;
    struct qp_account accounts[];
};

/* A view's place at the keeper. */
struct qp_seat {
    struct qp_list link;
    struct qp_view_line *line;
    uint64_t asked[]; /* by account: the highest generation that waits for an outcome; 0: none */
};

/* ---- account_life.c ---- */

/* With what the vault knows. */
void qp_account_init(struct qp_account *account, struct qp_keeper *keeper, const struct qp_account_opts *opts,
                     unsigned index);
void qp_account_deinit(struct qp_account *account);
/* The first token call, or the timer of the token that is there. */
void qp_account_start(struct qp_account *account);
/* Its refresh token is single-use: what is done with it must be on disk. */
bool qp_account_redeems(const struct qp_account *account);
/* Why no call can be made in this state at all, or NULL: a qp_keeper_refresh() code. */
const char *qp_account_forbids_call(const struct qp_account *account);
/* True if a call runs now (or will, when an exchange has ended); false if it could not be begun, which changed the state. */
bool qp_account_call(struct qp_account *account);
/* Saved first, then published; the state becomes FRESH. *token becomes NULL. */
void qp_account_take_token(struct qp_account *account, struct qp_secret **token, uint32_t life_s);
void qp_account_need_sign_in(struct qp_account *account, enum qp_log_level level, const char *why);

struct qp_verdict {
    enum qp_need_outcome outcome;
    uint32_t retry_after_s;
    const char *text;
};
/* True with the verdict if the need can be answered now; false if it waits for a call, which is started if
 * need be. */
bool qp_account_consider(struct qp_account *account, uint64_t generation, struct qp_verdict *verdict);
void qp_account_report(struct qp_account *account, uint64_t generation, bool accepted);
bool qp_account_has_usable_token(const struct qp_account *account);

/* ---- account_record.c: all of them do nothing, and well, without a vault ---- */

/* Into the account, whose members are still empty. */
void qp_account_load(struct qp_account *account);
/* Says on disk that the refresh token is about to be presented, and sets space aside for what comes of it. False: it must not be presented; the keeper's
 * vault_error says why. */
bool qp_account_mark(struct qp_account *account);
/* The presented refresh token had no effect. */
void qp_account_unmark(struct qp_account *account);
/* The account's tokens and identity. What fails is tried again until it is done. */
void qp_account_save(struct qp_account *account);
/* The same some time soon: what nobody misses. */
void qp_account_save_lazily(struct qp_account *account);
/* The vault's file held another refresh token than we do, before the call or now: now we do too. */
bool qp_account_reread(struct qp_account *account);
/* Room for one more record, before a code is redeemed. */
bool qp_account_reserve(struct qp_account *account);
/* Something that cannot be had again is in memory only. */
bool qp_keeper_owes_disk(const struct qp_keeper *keeper);
/* Writes now whatever is not on disk, and again later if that fails; true if nothing is owed any more. */
bool qp_keeper_pay_disk(struct qp_keeper *keeper);
void qp_keeper_init_vault(struct qp_keeper *keeper, struct qp_vault *vault, bool cache_tokens);
void qp_keeper_deinit_vault(struct qp_keeper *keeper);

/* ---- orders.c ---- */

enum qp_order_kind { QP_ORDER_REFRESH, QP_ORDER_SIGN_OUT, QP_ORDER_CHECK, QP_ORDER_SIGN_IN };

struct qp_order {
    struct qp_list link;
    struct qp_keeper *keeper;
    struct qp_account *account; /* NULL: of none */
    enum qp_order_kind kind;
    bool may_spend; /* CHECK */
    bool is_asking; /* CHECK: whoami is under way for it; SIGN_OUT: the revocation is */
    bool has_minted;
    qp_order_done *done; /* NULL: abandoned */
    void *owner;
    bool ok;
    const char *code;
    char text[960];
};

struct qp_order *qp_order_new(struct qp_keeper *keeper, struct qp_account *account, enum qp_order_kind kind,
                              qp_order_done *done, void *owner);
/* code: constant. The order is told from the loop's top and gone then. */
void qp_order_end(struct qp_order *order, bool ok, const char *code, const char *text);
/* A token call of the account has ended, or could not be begun. */
void qp_orders_hear_of_call(struct qp_account *account);
void qp_orders_hear_of_whoami(struct qp_account *account, const char *code, const char *text);
/* All sign-outs that wait are part of the one that begins now, or of the one whose revocation runs. */
void qp_orders_join_sign_out(struct qp_account *account);
/* It has ended; one that came for a later sign-in begins. */
void qp_orders_hear_of_sign_out(struct qp_account *account, const char *code, const char *text);
/* All that still wait end with "stopping", but for sign-ins (a code that is being redeemed is waited for) and sign-outs that only the revocation
 * is missing of, which end with "not_revoked". */
void qp_orders_stop(struct qp_keeper *keeper);
void qp_orders_init(struct qp_keeper *keeper);
void qp_orders_deinit(struct qp_keeper *keeper);

/* ---- sign_in.c, sign_out.c, identity.c ---- */

/* Begins the exchange that had to wait; nothing if there is none. */
void qp_sign_in_go_on(struct qp_account *account);
void qp_sign_in_free(struct qp_keeper *keeper);
/* For the orders that wait; those that it cannot be for, because an earlier revocation runs, wait on. Requires that no call is under way. */
void qp_sign_out_now(struct qp_account *account);
/* Asks, if nobody is asking already. */
void qp_identity_ask(struct qp_account *account);
/* Somebody else is signed in now, or nobody: an answer that is under way is about the one before. */
void qp_identity_forget(struct qp_account *account);

/* ---- keeper.c ---- */

void qp_keeper_publish_token(struct qp_account *account);
void qp_keeper_publish_damping(struct qp_account *account);
/* Answers every ask about the account that can be answered now. */
void qp_keeper_settle(struct qp_account *account);
uint64_t qp_keeper_random(struct qp_keeper *keeper);
/* Something that a drain may have waited for has ended. */
void qp_keeper_look_at_drain(struct qp_keeper *keeper);

#endif
