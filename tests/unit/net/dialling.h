/* dialling.h - a scripted resolver, a server on 127.0.0.1, a dialer, and what became of each dial. For the tests of dialling.
 *
 * Needs WRAP uv_getaddrinfo uv_freeaddrinfo uv_tcp_connect qp_loop_now_ms. */
#ifndef QP_TEST_NET_DIALLING_H
#define QP_TEST_NET_DIALLING_H

#include "fixture.h"

#include "net/dial.h"
#include "net/listen.h"
#include "net/tls_impl.h"
#include <netdb.h>

/* Answers with these addresses or this fault, from the loop, or when the test says so. */
struct scripted_resolver {
    bool scripted;
    bool silent;
    int start_error; /* of the call itself */
    int status;
    unsigned count; /* of questions */
    unsigned address_count;
    struct addrinfo infos[200];
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addresses[200];
    uv_getaddrinfo_t *request;
    uv_getaddrinfo_cb cb;
    struct qp_job job;
};
extern struct scripted_resolver resolver;
void answer_now(struct qp_job *job);
/* From now on it answers with these, in this order. */
void resolves_to(const char *const *texts);
void also_resolves_to(const char *text);
#define RESOLVES_TO(...) resolves_to((const char *const[]){__VA_ARGS__, NULL})

/* Added to the loop's clock as the resolver's cache sees it; timers do not see it. */
extern uint64_t skew_ms;

extern int connect_error;          /* not 0: no connection can be started */
extern unsigned connect_count;     /* how many were tried */
extern char connected_to[256][48]; /* their addresses, without the port */

/* The server. */
extern struct qp_tls *server_tls;
extern struct qp_stream *served[4];
extern unsigned served_count;
extern uint16_t port;
extern bool cut_served; /* who connects is closed at once */
void claim_port(void);
/* name: of the certificate; NULL: plain. */
void serve(const char *name);
void close_served(void);

/* An address on 127.0.0.0/8 and the server's port whose queue is full: the kernel does not answer. */
struct black_hole {
    int fds[4];
};
void open_black_hole(struct black_hole *hole, const char *text);
void close_black_hole(struct black_hole *hole);

/* The client. */
extern struct qp_dialer *dialer;

struct outcome {
    struct qp_stream *stream;
    struct qp_dial *dial;
    unsigned count;
    enum qp_result result;
    char detail[320];
    struct outcome *cancel; /* another dial to cancel when this one is done */
};
bool is_done(void *outcome);
void make_dialer(const char *host, const char *ca, uint32_t timeout_ms);
void make_dialer_with(const char *host, const char *ca, uint32_t timeout_ms, uint32_t handshake_ms,
                      uint32_t resolve_ms);
void start(struct outcome *outcome);
void dial(struct outcome *outcome);
/* One that must succeed; its stream is closed again. */
void dial_well(void);

int set_up(void **state);
int tear_down(void **state);

#endif
