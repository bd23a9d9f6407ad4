/* caller.h - a pool to a scripted origin, and an owner of exchanges that keeps a diary of what it was told. */
#ifndef QP_TESTS_CALLER_H
#define QP_TESTS_CALLER_H

#include "origin/pool.h"
#include "unit/server/wire.h"

struct caller {
    struct qp_loop *loop;
    struct qp_pool *pool;
    struct qp_pool_opts opts; /* to be changed before the first use of the pool */
    uint16_t port;
    int listening;
};

/* Who waits for an exchange, and then has it. */
struct owner {
    struct qp_pool_waiter waiter;
    struct qp_exchange *exchange;
    struct qp_buf
        diary; /* "head 200\n", "body abc\n", "informed 103\n", "end\n", "drained\n", "failed QP_…\n", "given\n" */
    const char *release_at; /* releases inside the first event that begins so */
    uint64_t body_bytes;
    bool is_quiet;  /* counts body bytes instead of writing them down */
    unsigned order; /* in which it was given its exchange */
};

extern struct caller caller;
extern const struct qp_exchange_events owner_events;

int caller_begin(void **state);
int caller_end(void **state);
struct qp_pool *caller_pool(void);

/* Takes a warm exchange, or waits for one. */
void owner_want(struct owner *owner, bool fresh);
/* Runs until the owner has an exchange or was refused. */
bool owner_run_until_given(struct owner *owner);
/* Begins, and sends a whole request without a body. */
void owner_ask(struct owner *owner, const char *head, bool is_head);
bool owner_saw(struct owner *owner, const char *event);
const char *owner_diary(struct owner *owner);
/* Runs until the diary has it. */
bool owner_run_until(struct owner *owner, const char *event);
void owner_end(struct owner *owner);

/* The host behind this socket is gone: what is sent to it is neither taken nor acknowledged nor refused. */
void caller_deafen(int fd);

#endif
