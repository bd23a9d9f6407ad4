/* bench.h - the admin room with a played keeper, over real sockets.
 *
 * Accounts: main, other, third, key. Requests are written out; in them $HOST, $COOKIE and $CSRF stand for what is right. One connection a request.
 */
#ifndef QP_TESTS_BENCH_H
#define QP_TESTS_BENCH_H

#include "admin/admin.h"
#include "unit/admin/fake_keeper.h"
#include "unit/server/wire.h"

#define CLOSE "Connection: close\r\n\r\n"
/* A POST as the page's own forms are, up to the body's fields. */
#define POST(target) \
    "POST " target " HTTP/1.1\r\nHost: $HOST\r\nOrigin: http://$HOST\r\nCookie: qproxy_session=$COOKIE\r\n"
#define GET(target) "GET " target " HTTP/1.1\r\nHost: $HOST\r\n"
#define FORM        "Content-Type: application/x-www-form-urlencoded\r\n"

struct bench_opts {
    const char *token;
    const char *host; /* one more name */
};

extern struct bench {
    struct qp_loop *loop;
    struct qp_admin *admin;
    struct qp_secret *token;
    struct qp_address addresses[2]; /* TCP, and a Unix socket */
    struct qp_listen_claim *claims[2];
    uint16_t port;
    char own[64]; /* the TCP one, as a Host field has it */
    char path[96];
    char cookie[64];
    char csrf[64];
    uint64_t count; /* what the counters begin from */
    const char *host;
    const char *redirect_uris[FAKE_ACCOUNTS]; /* the accounts' own */
} bench;

void bench_begin_with(const struct bench_opts *opts);
/* For cmocka: without a token. */
int bench_begin(void **state);
int bench_end(void **state);

/* Gets a cookie and its csrf token, as a browser without one. */
void bench_visit(void);
/* Sends the request and closes behind it with CLOSE or a body of its own; all that comes back. */
const char *bench_ask(const char *request);
const char *bench_ask_local(const char *request);
struct wire *bench_send(const char *request);
/* POST with that form as the body; FORM and the length are added. extra: whole field lines. */
const char *bench_post(const char *target, const char *extra, const char *form);

void assert_has(const char *answer, const char *what);
void assert_lacks(const char *answer, const char *what);
/* "303" and so on. */
void assert_status(const char *answer, const char *status);
/* The value of a field, without its line end; fails if it is not there. */
const char *field_of(const char *answer, const char *name);
const char *body_of(const char *answer);

#endif
