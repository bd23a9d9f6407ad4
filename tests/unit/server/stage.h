/* stage.h - a server with a handler that does what the target says, and a diary of its events. */
#ifndef QP_TESTS_STAGE_H
#define QP_TESTS_STAGE_H

#include "server/server.h"
#include "unit/server/wire.h"

/* What the handler does by target:
 *   /now    replies in `head`              /end    replies in `end` with the length of the body
 *   /echo   sends each piece back          /hold   does nothing: the test answers stage.held
 *   /abort  aborts in `head`               /body   replies in the first `body`
 */
struct stage {
    struct qp_loop *loop;
    struct qp_server *server;
    struct qp_server_opts opts;
    uint16_t port;
    struct qp_tls *tls;      /* of the clients of stage_connect(); NULL: plain */
    struct qp_request *held; /* the latest request that is still ours */
    struct qp_buf diary;
    struct qp_buf body; /* of all requests, one after the other */
    bool echo_stops;    /* /echo pauses the request while its output is full */
};

extern struct stage stage;

/* Options for the next stage_begin(); reset by stage_end(). */
struct qp_server_opts *stage_opts(void);
int stage_begin(void **state);
int stage_end(void **state);
/* A client's wire. */
struct wire *stage_connect(void);
/* By a Unix socket; a test's clients all come by the same way. */
struct wire *stage_connect_local(void);
/* The same to a second server, which counts its connections in the same stage_opts()->census (freed by stage_end()). */
struct wire *stage_connect_other(void);
/* The clock goes ahead by so much in no time, and what is then due happens. */
void stage_pass_ms(uint64_t ms);
/* One line an event: "head GET /x", "body 5", "end", "drained", "gone QP_NET_RESET", and behind it "told 408 body_timeout" where the
 * server ended it; "refused 400 bad_request 'GET' '/x'" of what no handler had. */
bool stage_saw(const char *event);
const char *stage_diary(void);

#endif
