/* session.h - what the files of server/ share; private to the room.
 *
 *   server   one loop's listeners, sessions and lent requests           server.c
 *   session  one client connection: small, for most of them are idle    session.c
 *   request  all that a connection needs while it is not idle           request.c (seen by a handler), answer.c
 *
 * Two small states say where a request is, one a direction; the session goes on when both are at their DONE.
 *
 *   input:   HEAD -> BODY -> DONE           answer:  NONE -> BEGUN -> DONE
 *                                                      \______\____-> CUT
 *
 * Who may free: only what the loop calls from its top (stream events, the timer, the request's job). A handler's call, from
 * wherever, changes the states and leaves a job; so nothing dies under a handler, nor under the parser's loop.
 */
#ifndef QP_SERVER_SESSION_H
#define QP_SERVER_SESSION_H

#include "base/list.h"
#include "net/listen.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"
#include "server/census.h"
#include "server/server.h"

enum {
    QP_BACKLOG_BYTES = 16 * 1024, /* pipelined bytes above which a session stops reading */
    QP_DISCARD_BYTES =
        64 * 1024,       /* what may be left of an answered request's body for its session to go on */
    QP_LINGER_MS = 5000, /* for a client to notice our end and to end its own */
    QP_REST_MS = 1000,   /* a connection that has rested for less is not ended for others */
    QP_PIPELINED_AT_ONCE = 16,
    QP_REFUSALS_LOGGED = 10, /* a second, beside their access lines */
    QP_REQUESTS_WARM = 64,   /* requests kept for the next ones */
    QP_CLIENT_TEXT_BYTES = 64
};

struct qp_session {
    struct qp_list link; /* in the server's list of the resting or of the others */
    struct qp_server *server;
    struct qp_stream *stream;
    struct qp_request *request; /* NULL: between requests */
    struct qp_timer timer;      /* idle, head or pace: by the state */
    uint64_t conn_id;
    struct qp_client_address client;
    uint32_t request_count;
    uint32_t listener_id;
    bool is_tls;
    bool has_ended; /* the client has ended its direction */
    bool is_paused;
    bool is_counted; /* by its address */
};

/* Where the request is in the server's counters. */
enum qp_head_count { QP_HEAD_UNCOUNTED, QP_HEAD_OPEN, QP_HEAD_COUNTED };

enum qp_input_state { QP_INPUT_HEAD, QP_INPUT_BODY, QP_INPUT_DONE };
enum qp_answer_state { QP_ANSWER_NONE, QP_ANSWER_BEGUN, QP_ANSWER_DONE, QP_ANSWER_CUT };

/* How fast bytes move in one direction. */
struct qp_pace {
    uint64_t moved_ms; /* when bytes were last seen to have moved */
    uint64_t bytes;
    uint64_t window_ms; /* start of the window over which the rate is averaged */
    uint64_t window_bytes;
};

/* All that belongs to one request alone: cleared by one assignment before the next. */
struct qp_request_life {
    void *context;
    struct qp_slice target;
    uint64_t received_bytes; /* of the request's body */
    uint64_t sent_bytes;     /* of the answer's body */
    uint64_t length;         /* of the answer's body, where the framing is LENGTH */
    uint64_t out_bytes;      /* handed to the stream in all */
    struct qp_pace in;
    struct qp_pace out;
    const struct qp_refusal *refusal; /* why the server ended it; NULL: it did not */
    uint64_t begun_ms;                /* when its head's first byte came, if not all at once; else 0 */
    enum qp_input_state input;
    enum qp_answer_state answer;
    enum qp_head_count head;
    enum qp_body_kind framing; /* of the answer */
    uint16_t status;
    bool is_owned;  /* the handler has it: `head` was called, neither end has come */
    bool no_body;   /* the answer's, by method or status */
    bool keep;      /* the session goes on behind it */
    bool continued; /* a 100 was written */
    bool is_paused; /* by the handler */
};

struct qp_request {
    struct qp_list link; /* while it waits in the server's warm list */
    struct qp_server *server;
    struct qp_session *session;
    struct qp_job settle;
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_buf backlog; /* bytes behind this request; outlives it */
    struct qp_buf out;     /* heads and last chunks while they are put together */
    struct qp_request_life life;
    char client[QP_CLIENT_TEXT_BYTES];
};

struct qp_server {
    struct qp_loop *loop;
    struct qp_server_opts opts;
    const struct qp_handler *handler;
    void *handler_context;
    struct qp_list ports;
    struct qp_list resting;  /* sessions that wait for a request, the longest first */
    struct qp_list sessions; /* and the others */
    struct qp_list warm;
    unsigned warm_count;
    struct qp_census *census;
    struct qp_census *own_census;
    struct qp_census_member member;
    struct {
#define QP_SERVER_COUNTED(name, text) _Atomic uint64_t name;
        QP_SERVER_COUNTER_MAP(QP_SERVER_COUNTED, QP_SERVER_COUNTED)
#undef QP_SERVER_COUNTED
        _Atomic uint64_t closed[QP_CLOSED_COUNT];
        _Atomic uint64_t refusals_by_status[QP_REFUSAL_STATUSES];
    } counters;
    uint64_t next_conn_id;

    uint64_t date_until_ms; /* the text is right until then */
    char date[32];

    bool is_draining;
    bool is_full;             /* listeners are paused for the limit on connections */
    bool is_short;            /* and for want of memory */
    struct qp_timer shortage; /* to look at that again */
    /* When the longest resting session has rested long enough; draining: to look at what is owed. */
    struct qp_timer room;
    uint64_t full_log_ms;      /* not said again before */
    uint64_t turned_log_ms;    /* not said again before */
    uint64_t turned_log_count; /* turned away since it was said */
    uint64_t refusal_log_s;    /* the second in which so many refusals were logged: */
    unsigned refusal_log_count;
    struct qp_timer drain_timer;
    struct qp_job drained;
    void (*drain_done)(void *context);
    void *drain_context;
};

/* STAGED: what is pending goes out, then both directions end in turn. QUIET: nothing is owed. CUT: with a reset, so that nobody
 * takes it for an end. */
enum qp_session_end { QP_SESSION_STAGED, QP_SESSION_QUIET, QP_SESSION_CUT };

/* session.c */
struct qp_session *qp_session_open(struct qp_server *server, struct qp_stream *stream,
                                   const struct qp_client_address *client, unsigned listener_id,
                                   struct qp_tls *tls);
/* A session that was just opened ends with a 503: its address has too many. */
void qp_session_turn_away(struct qp_session *session);
/* How long it has waited for a request. */
uint64_t qp_session_rest_ms(const struct qp_session *session);
void qp_session_close(struct qp_session *session, enum qp_session_end how, enum qp_server_closed why);
/* Nothing is asked and nothing owed. */
bool qp_session_is_idle(const struct qp_session *session);
/* Tells the handler, if it has a request, and cuts. */
void qp_session_cancel(struct qp_session *session, enum qp_server_closed why);
/* Makes reading follow the states. */
void qp_session_adjust_reading(struct qp_session *session);

/* scarcity.c */
/* Nothing new may be taken on. */
bool qp_server_is_short(struct qp_server *server);
void qp_server_look_at_shortage(struct qp_timer *timer);

/* server.c */
/* Accepting pauses while either is true: there is no place for a connection, memory is short. */
void qp_server_hold(struct qp_server *server, bool is_full, bool is_short);
/* With the session already out of the lists. */
void qp_server_session_closed(struct qp_server *server, enum qp_server_closed why);
/* A session has begun to rest. */
void qp_server_session_rests(struct qp_server *server);
void qp_server_count_refusal(struct qp_server *server, unsigned status);
struct qp_slice qp_server_date(struct qp_server *server);

/* request.c */
struct qp_request *qp_request_take(struct qp_server *server);
/* Back to the server; the session forgets it. */
void qp_request_give(struct qp_request *request);
/* Ready for the next head. */
void qp_request_clear(struct qp_request *request);
/* Gives the request's memory back for good. */
void qp_request_free(struct qp_request *request);
/* Looks at a whole head and sets the target; NULL or the reason to refuse it. */
const struct qp_refusal *qp_request_examine(struct qp_request *request);
/* Leaves of a head that no handler will see what a log may tell. */
void qp_request_expose(struct qp_request *request);
void qp_pace_restart(struct qp_pace *pace, uint64_t now_ms, uint64_t bytes);
/* True if the bytes have stood still for limit_ms, or moved slower than rate_bytes a second for as long. */
bool qp_pace_is_slow(struct qp_pace *pace, uint64_t now_ms, uint64_t bytes, uint32_t limit_ms,
                     uint32_t rate_bytes);

/* answer.c */
extern const struct qp_refusal qp_refusal_memory;
extern const struct qp_refusal qp_refusal_method;
extern const struct qp_refusal qp_refusal_body_size;
extern const struct qp_refusal qp_refusal_head_time;
extern const struct qp_refusal qp_refusal_body_time;
extern const struct qp_refusal qp_refusal_taking_time; /* is never answered: the client reads nothing */
extern const struct qp_refusal qp_refusal_connections;
/* The server's own answer, which ends the session. Requires that no answer has begun. A handler that has the request is not told. */
void qp_answer_refuse(struct qp_request *request, const struct qp_refusal *refusal);
/* The handler has it no longer. */
void qp_request_disown(struct qp_request *request);

#endif
