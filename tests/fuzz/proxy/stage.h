/* stage.h - the whole proxy between scripted clients, origins and a token endpoint, and what they know of each other.
 *
 * Real are http, origin, server, relay and token (a view and its keeper); net is memnet. Bytes that tell where they come from can come
 * from nowhere else, because what the script says raw is stripped of their signs:
 *     m!0012!    an ask: a well-formed request of a client, in its target and in X-Marker
 *     a!0012.1!  the origin's answer to attempt 1 of it, in X-Answer and in its body
 *     tk~~0003~~ a managed token
 *     cred`0012  a client's own credential
 */
#ifndef QP_TEST_PROXY_STAGE_H
#define QP_TEST_PROXY_STAGE_H

#include "fuzz/memnet/memnet.h"
#include "fuzz/proxy/wire.h"
#include "relay/relay.h"
#include "server/server.h"
#include "token/keeper.h"

enum {
    CLIENTS = 4,
    CONNS = 8, /* the origins' connections that the script can name */
    TOKEN_CONNS = 2,
    ASKS_MOST = 48,
    ATTEMPTS_MOST = 3,
    ACCOUNTS = 2, /* 0: client_credentials; 1: an API token, under /b */
    REPLAY_BYTES = 128 * 1024
};

struct conn;

/* One sending of an ask to an origin, and what that said to it. */
struct attempt {
    struct conn *conn;
    struct qp_buf head;  /* as it came, without what may differ between two */
    uint64_t took_bytes; /* of the body */
    struct qp_buf give;  /* the scripted answer, as bytes */
    size_t given;
    struct qp_buf want; /* its body, as the client must get it */
    struct qp_buf body; /* and as the origin sends it */
    unsigned status;
    bool until_close;
    bool has_answer;
    bool expects;         /* it asks for a 100 */
    bool spoke;           /* any byte was said */
    uint64_t said_before; /* on its connection */
    bool whole;           /* all of the answer was said, and its end too where it needs one */
};

/* A well-formed request. */
struct ask {
    unsigned id;
    unsigned client;
    unsigned serial; /* of the client's connection */
    unsigned account;
    const char *method;
    unsigned minor;
    bool chunked;
    bool has_body;
    bool trailers;
    bool is_tainted; /* raw bytes stood before or in it */
    bool is_raw;     /* so for its answer */
    bool sent_all;
    size_t length;
    size_t sent;
    char target[96];    /* at the origin */
    struct qp_buf link; /* what a link in its answer begins with */
    unsigned attempt_count;
    struct attempt attempts[ATTEMPTS_MOST];
};

struct client {
    struct mem_end *end;
    unsigned index;
    unsigned serial;
    bool is_tainted;
    bool is_last;                 /* an answer has said Connection: close */
    bool is_over;                 /* the connection's end was looked at */
    struct ask *queue[ASKS_MOST]; /* unanswered, oldest first */
    unsigned queued;
    struct ask *sending; /* its body is not out */
    size_t scanned;
    /* The answer that is being read. */
    bool in_body;
    bool is_own;
    bool no_body;
    unsigned informed;
    struct attempt *answer;
    struct wire_body body;
    struct qp_buf bytes;
};

struct conn {
    struct mem_end *end;
    unsigned number;
    unsigned account;
    unsigned served;
    bool in_body;
    bool has_request; /* a head has come whose answer is not over */
    bool request_done;
    bool is_raw;
    bool is_closing; /* it was said, or done, that no request may follow */
    struct ask *ask;
    struct attempt *attempt;
    struct wire_body body;
    struct qp_buf bytes;
    uint64_t said;
    uint64_t legit; /* so far it is answers */
    bool answers_head;
};

struct token_conn {
    struct mem_end *end;
    bool asks; /* a request is there whole */
};

enum stage_auto { AUTO_DIAL = 1, AUTO_TOKEN = 2, AUTO_ANSWER = 4, AUTO_BODY = 8 };

struct stage {
    struct qp_loop *loop;
    struct qp_keeper *keeper;
    struct qp_view *view;
    struct qp_relay *relay;
    struct qp_server *server;
    struct qp_listener *listener;
    unsigned options;
    unsigned automatic; /* enum stage_auto */
    unsigned issued;    /* tokens */
    uint64_t access_lines;
    uint64_t held_bytes; /* when it was opened */
    unsigned life_s;
    bool drained;
    struct client clients[CLIENTS];
    struct conn conns[CONNS];
    unsigned conn_count;
    struct token_conn token_conns[TOKEN_CONNS];
    unsigned token_count;
    struct ask asks[ASKS_MOST];
    unsigned ask_count;
};

extern struct stage stage;

extern const char *const stage_hosts[ACCOUNTS];

/* ---- stage.c ---- */
void stage_open(unsigned options);
/* All peers go quiet; in bounded time everything must be over. */
void stage_close(void);
/* What must hold between any two steps. */
void stage_check(void);
/* Signs that bytes of the script's own must not show. */
void stage_say_raw(struct mem_end *end, struct qp_slice bytes);
/* Refuses bytes on this side of the proxy that may not be there. */
void stage_require_no_secret(struct qp_slice bytes, bool has_token, const char *where);
/* Links to the origin become links to the proxy. */
bool stage_leads_back(void);
size_t stage_length(unsigned byte);
/* The bytes from `from` on of the endless body that the seed names. */
void stage_put_body(struct qp_buf *out, unsigned seed, size_t from, size_t count);
bool stage_is_body(struct qp_slice bytes, unsigned seed, size_t from);

/* ---- client.c ---- */
void client_ask(struct client *client, unsigned how, unsigned more, unsigned length);
void client_send_more(struct client *client, size_t bytes);
void client_say_raw(struct client *client, struct qp_slice bytes);
void client_connect(struct client *client);
void client_leave(struct client *client);
bool client_go_on(struct client *client);

/* ---- conn.c: the origins ---- */
struct conn *conn_accept(unsigned account);
void conn_answer(struct conn *conn, unsigned status, unsigned how, unsigned length);
void conn_say_more(struct conn *conn, size_t bytes);
void conn_inform(struct conn *conn, unsigned which);
void conn_say_raw(struct conn *conn, struct qp_slice bytes);
void conn_stray(struct conn *conn);
void conn_end(struct conn *conn, unsigned how);
/* A connection has said more than answers: this request may be, or have been, on its way there, unseen as yet. */
bool conn_may_have_misled(const struct ask *ask);
bool conn_go_on(struct conn *conn);
void conn_free(struct conn *conn);
void ask_free(struct ask *ask);

/* ---- answer.c ---- */
/* Makes the bytes of the attempt's answer. */
void answer_make(struct attempt *attempt, const struct ask *ask, unsigned status, unsigned how,
                 size_t length);

/* ---- token.c ---- */
bool token_accept(void);
void token_answer(unsigned how, struct qp_slice raw);
bool token_go_on(void);

#endif
