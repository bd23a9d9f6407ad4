/* call.h - one request at the stand-in, and the ways to answer it.
 *
 * Life: head (route, gate) -> body pieces -> end -> route's answer(), later by delay_ms -> head and body of the answer with
 * back-pressure -> done. A call ends in exactly one place: si_call_end() or gone. An answer function fills call->out and calls one
 * si_reply_*(), or starts a stream; it must not touch the call after that.
 */
#ifndef STANDIN_CALL_H
#define STANDIN_CALL_H

#include "feed.h"
#include "net/loop.h"
#include "net/timer.h"
#include "server/server.h"
#include "world.h"

struct si_call;

struct si_worker {
    struct si_world *world;
    unsigned index;
    struct qp_loop *loop;
    struct qp_tls *tls;
    struct qp_server *server;
    struct qp_mailbox *mailbox;
    char scratch[SI_FEED_ROOM];
};

enum si_route_flag {
    SI_OPEN = 1 << 0,    /* no gate before it */
    SI_COLLECT = 1 << 1, /* wants the request's body in call->body */
    SI_POST = 1 << 2,    /* counts as a POST carried out */
    SI_AT_HEAD = 1 << 3, /* answers at the head; the body is not asked for */
    SI_PLAIN = 1 << 4    /* the knobs for failures and delay leave it alone */
};

struct si_route {
    enum si_route_id id;
    const char *method; /* "*": any */
    const char *path;   /* "{}" stands for one segment */
    unsigned flags;
    void (*answer)(struct si_call *call);
};

enum { SI_SEGMENTS = 10, SI_COLLECT_BYTES = 6 * 1024 * 1024 };

struct si_call {
    struct si_worker *worker;
    struct si_world *world;
    struct qp_request *request;
    const struct si_route *route;
    struct si_knobs knobs; /* as they were when the head came */
    uint64_t began_ms;
    struct qp_slice path;
    struct qp_slice query; /* unset: none */
    struct qp_slice segment[SI_SEGMENTS];
    unsigned segments;
    char request_id[SI_UUID_BYTES];

    uint64_t serial; /* of the token that it came with */
    enum si_verdict verdict;
    bool rejecting;   /* a 401 is on its way */
    bool answering;   /* the answer was begun, or waits for its time */
    bool body_asked;  /* 100 was sent, or was not wanted */
    bool answer_done; /* all of it was sent; waits for the request's end */
    bool finish_at_end;
    struct qp_buf body;
    uint64_t body_bytes;
    mbedtls_sha256_context body_hash;

    struct qp_buf head; /* field lines of the answer */
    struct qp_buf out;  /* the answer's body while it is built, then what the feed reads */
    struct si_feed feed;
    bool has_feed;
    bool feed_trailer; /* the hash goes out as a trailer */
    unsigned status;
    bool gzip; /* of this answer; by the knob or by the route */
    bool chunked;
    bool close;
    uint64_t cut_after; /* the answer is cut after so many bytes; UINT64_MAX: never */
    uint64_t pace_ms;   /* pause between pieces of pace_bytes */
    size_t pace_bytes;
    uint64_t sent;

    struct qp_timer timer;
    void (*timer_then)(struct si_call *call);
    struct qp_job job;
    void (*job_then)(struct si_call *call);
    bool token_call_open;
};

extern const struct qp_handler si_handler;

/* ---- what an answer function reads ---- */

struct qp_slice si_field(const struct si_call *call, const char *name);
/* The value as it stands, not decoded; unset when absent. */
struct qp_slice si_param(const struct si_call *call, const char *name);
uint64_t si_param_u64(const struct si_call *call, const char *name, uint64_t otherwise);
bool si_param_on(const struct si_call *call, const char *name);

/* ---- what it answers with ---- */

void si_head_line(struct si_call *call, const char *name, const char *value);
/* `{"result":` is in call->out; the route appends the result and calls si_reply_result(). */
void si_result_begin(struct si_call *call);
void si_reply_result(struct si_call *call);
/* An envelope with meta alone. */
void si_reply_meta(struct si_call *call, unsigned status);
/* code NULL: none. */
void si_reply_error(struct si_call *call, unsigned status, const char *code, const char *message);
/* call->out as it is. */
void si_reply_out(struct si_call *call, unsigned status, const char *content_type);
/* Ends the call by cutting the connection. */
void si_reply_cut(struct si_call *call);
/* The call's feed, which is set up; hash: its SHA-256 goes along, as a field or (chunked) as a trailer. */
void si_reply_feed(struct si_call *call, const char *content_type, bool hash);
/* Nothing, until the client gives up. */
void si_reply_never(struct si_call *call);

/* Runs `then` after so many milliseconds, if the client is still there. */
void si_call_after(struct si_call *call, uint64_t ms, void (*then)(struct si_call *call));
void si_call_later(struct si_call *call, void (*then)(struct si_call *call));

/* Starts reading the body if the client waits to be asked (Expect: 100-continue). */
void si_call_ask_body(struct si_call *call);

/* ---- between the files ---- */

void si_gate_head(struct si_call *call); /* gate.c: decides, answers or lets the body come */
void si_gate_body(struct si_call *call); /* after each piece, while rejecting */
void si_gate_end(struct si_call *call);  /* at the end, while rejecting */
const struct si_route *si_route_find(struct si_call *call); /* routes.c */
/* The request's body has come to its end, or the answer goes out before it does: the record for the tests (probe.c). */
void si_echo_record(struct si_call *call, unsigned status);

#endif
