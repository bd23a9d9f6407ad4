/* fake_keeper.h - the keeper and its sign-ins as the admin room sees them, played by the test: what they say is set here, and what was asked of
 * them can be read.
 */
#ifndef QP_TESTS_FAKE_KEEPER_H
#define QP_TESTS_FAKE_KEEPER_H

#include "net/loop.h"
#include "token/sign_in.h"

enum { FAKE_ACCOUNTS = 4, FAKE_ORDERS = 16, FAKE_TEXT_BYTES = 512 };

struct fake_order {
    struct qp_job job;
    qp_order_done *done; /* NULL: ended, or abandoned */
    void *owner;
    char what[16]; /* "refresh", "sign_out", "check", "finish" */
    unsigned account;
    bool spend;
};

extern struct fake {
    struct qp_loop *loop;
    struct qp_token_status status[FAKE_ACCOUNTS]; /* identity is set by fake_begin() */
    struct qp_identity identity[FAKE_ACCOUNTS];
    struct qp_vault_status vault;

    /* orders: each ends so in the next turn, or, while they are held, by fake_release() */
    struct qp_order_end end;
    bool is_held;
    struct fake_order orders[FAKE_ORDERS];
    unsigned order_count;
    unsigned abandoned;
    enum qp_result rotated;

    /* sign-ins */
    const char *refusal; /* NULL: they begin */
    unsigned begun_count;
    unsigned begun_account;
    char begun_binding[64];
    char begun_uri[256];
    char begun_state[64];
    char begun_url[1024];
    char finished_query[FAKE_TEXT_BYTES];
    char finished_binding[64];
    char finished_id[64]; /* "-": a browser's */
    const char *progress;
    char progress_id[64];
} fake;

/* The keeper that the room is given. Everything is good and nothing is asked. */
struct qp_keeper *fake_begin(struct qp_loop *loop);
void fake_end(void);
/* Ends what is held, in the next turn. */
void fake_release(void);
/* The last order; fails the test if there is none. */
const struct fake_order *fake_last(void);

#endif
