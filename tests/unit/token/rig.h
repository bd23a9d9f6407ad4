/* rig.h - one loop with a keeper, a view and a scripted endpoint. */
#ifndef QP_TEST_RIG_H
#define QP_TEST_RIG_H

#include "cmocka_all.h"
#include "endpoint.h"
#include "net/loop.h"
#include "net/timer.h"
#include "token/keeper.h"

#define STEPS(...)                               \
    (const struct endpoint_step[]){__VA_ARGS__}, \
        sizeof((struct endpoint_step[]){__VA_ARGS__}) / sizeof(struct endpoint_step)

struct rig {
    struct endpoint *endpoint; /* NULL: nobody listens */
    struct qp_loop *loop;
    struct qp_keeper *keeper;
    struct qp_view *view;
    struct qp_account_opts account;
    struct qp_secret *client_secret;
    struct qp_secret *refresh_token;
    char url[64];
    struct qp_timer look;
    bool (*until)(struct rig *rig);
    uint64_t limit_ms;
    bool came;
    uint64_t wanted; /* for the conditions below */
};

/* A rig with short limits, not started. refresh_token NULL: client_credentials. */
void rig_open(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps, unsigned count);
void rig_start(struct rig *rig);
void rig_close(struct rig *rig);

/* Runs the loop until the condition holds; fails the test after limit_ms. */
void rig_run_until(struct rig *rig, bool (*until)(struct rig *rig), uint64_t limit_ms);
void rig_run_for(struct rig *rig, uint64_t ms);

struct qp_token_status rig_status(const struct rig *rig);
/* Runs until the account is in the state, or has the generation. */
void rig_run_to_state(struct rig *rig, enum qp_token_state state, uint64_t limit_ms);
void rig_run_to_generation(struct rig *rig, uint64_t generation, uint64_t limit_ms);

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

#endif
