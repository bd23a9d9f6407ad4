/* world.h - all that surrounds a relay, as fakes that a test drives: clients, origins, streams, tokens, time.
 *
 * The fakes take the place of server/, origin/, net/ and of the token room's view at the linker. Each checks the contract of the
 * header that it stands for, with memory of its own and freed when it may be, so that AddressSanitizer sees a late touch. Events
 * come from the test only, one at a time; world_check() looks at what must hold between any two of them.
 */
#ifndef QP_TEST_RELAY_WORLD_H
#define QP_TEST_RELAY_WORLD_H

#include "relay/relayed.h"

enum { WORLD_ACCOUNTS = 2, ACCOUNT_OAUTH = 0, ACCOUNT_STATIC = 1, WORLD_NOTES = 64 };

struct qp_loop {
    uint64_t now_ms;
};

struct fake_account {
    uint64_t generation; /* 0: none yet */
    uint64_t expires_at_ms;
    bool valid;
    bool damped;
};

struct qp_view {
    struct qp_list needs;
    struct fake_account accounts[WORLD_ACCOUNTS];
    struct qp_secret *token;
};

struct qp_pool {
    struct qp_list waiters;
    unsigned account;
    unsigned idle; /* streams that try_take() can give */
    bool idle_are_dead;
    bool busy; /* the queue is full */
};

/* A client's request. */
struct qp_request {
    struct qp_list link;
    struct qp_message message;
    struct qp_arena arena;
    void *context;
    unsigned listener_id;
    struct qp_buf body; /* that it will send */
    size_t given;       /* of it, to the handler */
    bool has_ended;
    bool is_owned;
    bool is_paused;
    bool is_full;
    bool got_continue;
    uint16_t status;
    uint64_t announced;
    struct qp_buf answer;
    struct qp_buf wanted; /* what the answer's body must be, when the origin's is passed on */
    bool is_origins;      /* the answer is the origin's */
    bool finished;        /* whole; otherwise cut, or the client left */
    unsigned ends;
    unsigned attempts;
    uint64_t minted; /* generation that was asked for although an older one was valid; 0: none */
    struct client_end *report;
};

/* What became of a request, for tests that ask after its end. */
struct client_end {
    bool ended;
    bool finished;
    bool is_origins;
    uint16_t status;
    unsigned attempts;
    bool minted;
    size_t answer_bytes;
    char extra[256]; /* the answer's own field lines */
    char location[128];
    bool has_trailers;
    uint64_t announced;
};

/* One request and response on a stream. */
struct qp_exchange {
    struct qp_list link;
    struct qp_pool *pool;
    const struct qp_exchange_events *events;
    struct relayed *owner;
    struct qp_buf head;
    size_t sent_bytes;
    size_t untaken_bytes; /* of these */
    enum qp_body_kind kind;
    bool head_sent;
    bool request_done;
    bool is_reused;
    bool is_dead; /* the probe finds it out */
    bool is_full;
    bool is_paused;
    bool has_response;
    bool response_begun;
    bool response_done;
    bool failed;
    bool in_event;
    bool is_released;
    struct qp_message message;
    struct qp_arena arena;
    struct qp_buf answer; /* the body that it will send */
    struct qp_buf wanted; /* the same, as it must arrive */
    size_t answer_given;
};

struct world {
    struct qp_relay_account accounts[WORLD_ACCOUNTS];
    struct qp_relay_opts opts;
    struct qp_loop loop;
    struct qp_view view;
    struct qp_pool *pools[WORLD_ACCOUNTS];
    struct qp_relay *relay;
    struct qp_list clients;
    struct qp_list exchanges;
    struct qp_list timers;
    unsigned pool_count;
    uint64_t seed; /* for the message when something fails */
    uint64_t random;
    uint64_t ended; /* requests */
    char notes[WORLD_NOTES][64];
    unsigned note_count;
};

extern struct world *world;

#define WANT(condition)                                 \
    do {                                                \
        if (!(condition))                               \
            world_fail(#condition, __FILE__, __LINE__); \
    } while (0)
__attribute__((noreturn)) void world_fail(const char *condition, const char *file, int line);
/* For the story that is told when something fails. */
void world_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* world.c. `folder` is where bodies spill to. */
void world_open(uint64_t seed, const char *folder);
void world_close(void);
uint64_t world_random(uint64_t below);
/* What must hold between two events; frees what has ended. */
void world_check(void);

/* time.c: fires the deadline; moves the clock to it. */
void time_fire(struct qp_timer *timer);
void time_pass(uint64_t ms);

/* client.c */
struct client_spec {
    const char *method;
    const char *target;
    unsigned account; /* chosen by the listener */
    size_t body_bytes;
    bool chunked;
    bool expects;
    bool takes_trailers;
    const char *fields[2]; /* one more: name and value */
    struct client_end *report;
};
struct qp_request *client_begin(const struct client_spec *spec);
/* Gives so many bytes of its body, or what is left. */
void client_piece(struct qp_request *client, size_t bytes);
void client_end(struct qp_request *client);
void client_gone(struct qp_request *client, enum qp_result why);
void client_fill(struct qp_request *client);
void client_drain(struct qp_request *client);
/* It may send now: neither paused nor waiting for a 100. */
bool client_can_send(const struct qp_request *client);
void client_free(struct qp_request *client);
struct relayed *client_relayed(const struct qp_request *client);

/* token.c */
struct qp_need *token_first_need(void);
/* A new token for the account, without an answer to anybody. */
void token_mint(unsigned account);
void token_expire(unsigned account);
void token_answer(struct qp_need *need, enum qp_need_outcome outcome);

/* origin.c */
struct qp_pool_waiter *origin_first_waiter(unsigned account);
void origin_give_stream(struct qp_pool_waiter *waiter, bool reused);
void origin_refuse_stream(struct qp_pool_waiter *waiter, enum qp_result why);
/* The exchange that has the request now, or NULL. */
struct qp_exchange *origin_of(const struct qp_request *client);
void origin_inform(struct qp_exchange *exchange, uint16_t status);
struct origin_spec {
    uint16_t status;
    enum qp_body_kind kind;
    size_t bytes;
    bool links;            /* JSON with a link to lead back; a 401's is never changed */
    const char *fields[2]; /* one more: name and value */
};
void origin_head(struct qp_exchange *exchange, const struct origin_spec *spec);
void origin_body(struct qp_exchange *exchange, size_t bytes);
void origin_end(struct qp_exchange *exchange);
void origin_fail(struct qp_exchange *exchange, enum qp_result why);
void origin_fill(struct qp_exchange *exchange);
void origin_drain(struct qp_exchange *exchange);
/* Head, body and end of an answer. */
void origin_answer(struct qp_exchange *exchange, uint16_t status, size_t bytes);
void origin_free(struct qp_exchange *exchange);

#endif
