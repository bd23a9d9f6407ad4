/* rig.h - one loop with a keeper, a view and a scripted endpoint; with a vault in a folder of its own, where the test wants one. */
#ifndef QP_TEST_RIG_H
#define QP_TEST_RIG_H

#include "cmocka_all.h"
#include "endpoint.h"
#include "net/loop.h"
#include "net/timer.h"
#include "token/keeper.h"
#include "token/sign_in.h"
#include "token/vault.h"

#define STEPS(...)                               \
    (const struct endpoint_step[]){__VA_ARGS__}, \
        sizeof((struct endpoint_step[]){__VA_ARGS__}) / sizeof(struct endpoint_step)

struct rig {
    struct endpoint *endpoint; /* NULL: nobody listens */
    struct qp_loop *loop;
    struct qp_keeper_opts opts; /* of the keeper, but for accounts and vault */
    struct qp_keeper *keeper;
    struct qp_view *view;
    struct qp_account_opts account;
    struct qp_secret *client_secret;
    struct qp_secret *refresh_token;
    char url[64];
    char origin[64];
    char revoke_url[64];
    char folder[64]; /* of the vault; empty: there is none */
    bool is_beside;  /* the folder is another rig's */
    char vault_path[96];
    struct qp_secret *vault_key;
    struct qp_vault *vault;
    struct qp_timer look;
    bool (*until)(struct rig *rig);
    uint64_t limit_ms;
    bool came;
    uint64_t wanted; /* for the conditions below */
    size_t secrets;  /* that lived before */
};

/* A rig with short limits, not started. refresh_token NULL: client_credentials. */
void rig_open(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps, unsigned count);
/* One whose account is signed in to, by a public client. */
void rig_open_sign_in(struct rig *rig, const struct endpoint_step *steps, unsigned count);
/* The same of one that was opened without a refresh token. */
void rig_sign_in_instead(struct rig *rig);
/* In another process: with the endpoint and the vault's folder of a rig there. */
void rig_open_beside(struct rig *rig, const char *refresh_token, unsigned port, const char *folder);
/* Before the start: with a vault. */
void rig_use_vault(struct rig *rig);
/* rig_open() and rig_use_vault(). */
void rig_open_with_vault(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps,
                         unsigned count);
void rig_start(struct rig *rig);
/* What rig_start() made is gone; the rig may be started again. */
void rig_stop(struct rig *rig);
/* rig_stop() and rig_start(). */
void rig_restart(struct rig *rig);
void rig_close(struct rig *rig);

/* Runs the loop until the condition holds; fails the test after limit_ms. */
void rig_run_until(struct rig *rig, bool (*until)(struct rig *rig), uint64_t limit_ms);
void rig_run_for(struct rig *rig, uint64_t ms);

struct qp_token_status rig_status(const struct rig *rig);
/* Runs until the account is in the state, or has the generation. */
void rig_run_to_state(struct rig *rig, enum qp_token_state state, uint64_t limit_ms);
void rig_run_to_generation(struct rig *rig, uint64_t generation, uint64_t limit_ms);
/* Runs until so many calls have come in. */
void rig_run_to_calls(struct rig *rig, enum endpoint_lane lane, unsigned calls, uint64_t limit_ms);

/* A need that remembers its answer. */
struct answered {
    struct qp_need need;
    struct rig *rig;
    unsigned times;
    enum qp_need_outcome outcome;
    uint32_t retry_after_s;
    char text[400];
};
void rig_need(struct rig *rig, uint64_t min_generation, struct answered *answered);
/* Queues a need, runs until it is answered, and gives the outcome. */
struct answered rig_ask(struct rig *rig, uint64_t min_generation);
void rig_assert_token(struct rig *rig, uint64_t min_generation, const char *value);

/* An order that remembers how it ended. */
struct ordered {
    unsigned times;
    bool ok;
    char code[32];
    char text[960];
};
/* For the keeper's orders, whose owner is a struct ordered that starts zeroed. */
void rig_take_end(void *owner, const struct qp_order_end *end);
/* Runs until it has ended, and is sure that this is its end. */
void rig_run_to_end(struct rig *rig, const struct ordered *ordered, const char *code);
void rig_assert_words(const char *text, const char *words);

/* Token answers. */
const char *rig_grant(const char *token, unsigned life_s);
/* With a refresh token, for an hour. */
const char *rig_rotation(const char *token, const char *refresh_token);
const char *rig_error(const char *status, const char *code);
/* A whoami answer. */
const char *rig_who(const char *user);

/* A sign-in that is begun, and the query that answers it. */
struct begun {
    struct qp_sign_in_begun begun;
    char url[2048];
    char state[QP_DIGEST_TEXT_BYTES];
    char query[512]; /* "code=CODE&state=..." */
};
void rig_begin(struct rig *rig, const char *binding, const char *code, struct begun *begun);
void rig_finish(struct rig *rig, const char *query, const char *binding, const char *id,
                struct ordered *ordered);
/* By hand, in any browser; runs until it has ended so. */
void rig_answer(struct rig *rig, const char *query, const char *code);
const char *rig_progress(struct rig *rig, const struct begun *begun);
/* Begins, answers, and runs until the account is signed in. */
void rig_sign_in(struct rig *rig, const char *code);

/* What a copy of the vault's file says of the account. */
struct kept {
    char refresh_token[64];
    char access_token[64];
    bool redeeming;
    int64_t signed_in_unix_s;
    char user[64];
};
/* name: of a file in the folder; "vault" is the vault's own. */
void rig_copy_vault(const struct rig *rig, const char *from, const char *to);
struct kept rig_kept(const struct rig *rig, const char *name);
void rig_assert_kept(const struct rig *rig, const char *name, const char *refresh_token,
                     const char *access_token, bool redeeming);

#endif
