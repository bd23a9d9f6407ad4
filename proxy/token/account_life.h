/* account_life.h - the state machine of one account, and the keeper it lives in. Private to token/; control
 * thread. */
#ifndef QP_TOKEN_ACCOUNT_LIFE_H
#define QP_TOKEN_ACCOUNT_LIFE_H

#include "net/timer.h"
#include "token/keeper.h"
#include "token/pace.h"
#include "token/token_call.h"
#include "token/wire.h"

struct qp_account {
    struct qp_keeper *keeper;
    const struct qp_account_opts *opts;
    unsigned index;
    struct qp_token_endpoint *endpoint; /* NULL: api_token */
    struct qp_token_call *call;         /* the only one */

    enum qp_token_state state;
    struct qp_timer timer;  /* of the state; enter() arms it */
    struct qp_timer spaced; /* a mint on a rejection that has to wait: see qp_account_damping_gap_ms() */
    uint64_t next_call_ms;  /* when the timer starts a call; 0: not planned */

    struct qp_secret *token;
    uint64_t generation; /* of the token; 0: none */
    uint64_t issued_ms;
    uint64_t expires_ms;             /* 0: never */
    struct qp_secret *refresh_token; /* the current one */

    unsigned failures;         /* calls in a row */
    unsigned open_redemptions; /* calls with this refresh token whose outcome nobody knows */
    struct qp_account_damping damping;
    uint64_t token_calls;
    uint64_t token_call_failures;
    char last_error[384]; /* empty: none */
};

struct qp_keeper {
    struct qp_loop *loop;
    struct qp_mailbox *mailbox;
    struct qp_list seats;
    uint64_t random;
    bool is_closing;
    unsigned account_count;
    struct qp_account accounts[];
};

/* A view's place at the keeper. */
struct qp_seat {
    struct qp_list link;
    struct qp_view_line *line;
    uint64_t asked[]; /* by account: the highest generation that waits for an outcome; 0: none */
};

void qp_account_init(struct qp_account *account, struct qp_keeper *keeper, const struct qp_account_opts *opts,
                     unsigned index, bool allow_plain);
void qp_account_deinit(struct qp_account *account);
/* The first token call; an api_token is there at once. */
void qp_account_start(struct qp_account *account);

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

/* Given by the keeper. */
void qp_keeper_publish_token(struct qp_account *account);
void qp_keeper_publish_damping(struct qp_account *account);
/* Answers every ask about the account that can be answered now. */
void qp_keeper_settle(struct qp_account *account);
uint64_t qp_keeper_random(struct qp_keeper *keeper);

#endif
