/* server.h - the client side of HTTP: listeners, sessions, and requests handed to a handler.
 *
 * A server belongs to one loop. A session is one client connection: it reads a request, hands it to the handler, writes the answer, and
 * goes on with the next one (keep-alive) or ends. Answers leave in the order of the requests; the next pipelined request is
 * parsed when the answer before it is complete. A session that waits for a request holds no buffer, parser or arena: those belong to
 * the request and are lent by the server while it lives.
 *
 * The handler is the relay, the admin pages or the tests' stand-in. It sees a request as a head, body pieces and an end, and
 * answers through the calls below, at once or later, before or after the request's end. Framing is the server's: the
 * handler says how long the body is, or that it does not know; the server chooses Content-Length, chunked or close by the
 * client's version, writes Connection, drops what the status forbids (RFC 9110 sections 6.4.1, 15).
 *
 * Life of a request, from the handler's side:
 *     head -> (body)* -> end          while, at any time after head:
 *     qp_request_inform()* -> qp_request_respond() -> qp_request_send()* -> qp_request_finish()
 * It ends exactly once: by qp_request_finish(), qp_request_reply() or qp_request_abort() (the handler's decision; the request must
 * not be touched after the call), or by `gone` (the client's; not after `gone` has returned). The handler's own data hangs at
 * qp_request_context and lies in the request's arena or is freed in both of these ends.
 */
#ifndef QP_SERVER_SERVER_H
#define QP_SERVER_SERVER_H

#include "base/buf.h"
#include "base/result.h"
#include "http/parse.h"
#include "net/address.h"
#include "server/counters.h"

struct qp_census;
struct qp_loop;
struct qp_request;
struct qp_server;
struct qp_tls;

/* All of them are required but the last three. */
struct qp_handler {
    /* A whole head. Framing, Host, method token and target form are valid already; CONNECT and TRACE were refused. */
    void (*head)(void *handler_context, struct qp_request *request);
    /* A piece of the request's body, borrowed. Comes also after the answer has begun. */
    void (*body)(struct qp_request *request, struct qp_slice piece);
    /* The request has wholly arrived; trailers are in the head's message. Follows `head` at once when there is no body. */
    void (*end)(struct qp_request *request);
    /* The answer's output was full (qp_request_is_full) and no longer is. */
    void (*drained)(struct qp_request *request);
    /* The client is gone, broke the framing of its body, or was too slow; nothing can be sent any more. qp_request_refusal: where the
     * server has ended it, why, and the answer's status is then the one that the client was told. */
    void (*gone)(struct qp_request *request, enum qp_result why);
    /* The server itself refuses (malformed request, limits): writes a body for this refusal and gives its content type. */
    const char *(*refusal_body)(void *handler_context, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body);
    /* It has refused a request that no handler had. For the log: the request is only looked at, until the return. Of its head there is
     * what is whole and well-formed; method and target may be unset. */
    void (*refused)(void *handler_context, struct qp_request *request);
    /* Memory is short, and stays so: called again and again. To give back what is only kept for later. */
    void (*scarce)(void *handler_context);
};

struct qp_server_opts {
    uint32_t
        client_head_ms; /* for a whole head, from its first byte (first head: from the connection); never re-armed by bytes */
    uint32_t
        client_body_ms; /* the longest silence inside a request body; also for a client that does not take its answer */
    uint32_t client_idle_ms; /* between requests */
    uint32_t
        body_rate_bytes; /* the least average bytes a second of a request body and of an answer's taking, after client_body_ms; 0: off */
    struct qp_parse_limits limits;
    uint64_t body_bytes; /* largest request body; 0: no limit. 413 */
    struct qp_census *
        census; /* counts the connections of several servers together; NULL: of this one alone, by the next two */
    uint32_t connections;             /* 0: off; above, resting connections are ended and accepting pauses */
    uint32_t connections_per_address; /* 0: off; above, 503 */
    uint32_t requests_per_connection; /* 0: off */
    bool sheds; /* while memory is short (base/alloc.h) accepting pauses, and requests are answered 503 */
    uint64_t first_conn_id;  /* and then every conn_id_step-th: ids are unique over the workers */
    uint64_t conn_id_step;   /* 0: every one */
    const char *error_field; /* field name that carries a refusal's code: "X-Qproxy-Error" */
};

/* Copies the options; borrows the handler and its context. */
struct qp_server *qp_server_new(struct qp_loop *loop, const struct qp_server_opts *opts,
                                const struct qp_handler *handler, void *handler_context);

/* Accepts on `fd` (taken; from qp_listen_fd). `listener_id` comes back in qp_request_listener_id: which listener a request came by. tls: NULL for plain;
 * borrowed. */
void qp_server_listen(struct qp_server *server, int fd, unsigned listener_id, struct qp_tls *tls);

/* Stops accepting, closes idle sessions now (but where a request has come that was not read yet) and the others after their current
 * answer, which says Connection: close. `done` is called when the last one has gone, at the latest after limit_ms, when what is left is
 * cut. */
void qp_server_drain(struct qp_server *server, uint64_t limit_ms, void (*done)(void *context), void *context);
/* Cuts what is left (each request's `gone` is called) and frees. *server becomes NULL. */
void qp_server_close(struct qp_server **server);

/* Any thread, as long as the server lives. */
struct qp_server_counters qp_server_counters(const struct qp_server *server);

/* ---- the request, seen by a handler ---- */

const struct qp_message *qp_request_message(const struct qp_request *request);
/* Lives until the request's end; its cap is limits.head_bytes and some. */
struct qp_arena *qp_request_arena(struct qp_request *request);
void qp_request_set_context(struct qp_request *request, void *context);
void *qp_request_context(const struct qp_request *request);

unsigned qp_request_listener_id(const struct qp_request *request);
/* What the client connected to (for building links back): the Host field, or the local address for an HTTP/1.0 request without one. */
struct qp_slice qp_request_authority(struct qp_request *request);
bool qp_request_is_tls(const struct qp_request *request);
/* The target in origin form ("/path?query" or "*"), byte for byte; absolute-form was reduced (RFC 9112 section 3.2.2). Unset where it was
 * refused: it may hold anything, among it user:password@. */
struct qp_slice qp_request_target(const struct qp_request *request);
uint64_t qp_request_conn_id(const struct qp_request *request);
/* Number of the request on its connection, from 1. */
uint64_t qp_request_number(const struct qp_request *request);
/* The client's address as text for logs: "127.0.0.1:5312", "unix:". */
struct qp_slice qp_request_client(struct qp_request *request);

bool qp_request_has_ended(const struct qp_request *request); /* `end` was called */
uint64_t qp_request_body_received(const struct qp_request *request);
uint64_t qp_request_answer_sent(const struct qp_request *request);   /* body bytes, without framing */
uint16_t qp_request_answer_status(const struct qp_request *request); /* 0 before the head was sent */
/* Why the server ended it, by a 4xx or 503 or in silence; NULL: it did not. Lives as long as the request. */
const struct qp_refusal *qp_request_refusal(const struct qp_request *request);
/* Since its head's first byte; 0 for a head that came in one piece and was refused. */
uint64_t qp_request_age_ms(const struct qp_request *request);

/* Stops and resumes body pieces; what was already read may still come (one read buffer at most). */
void qp_request_pause(struct qp_request *request);
void qp_request_resume(struct qp_request *request);

/* ---- the answer ---- */

/* A 1xx head, at once (RFC 9110 section 15.2). Dropped for HTTP/1.0 clients. `fields`: those that pass are written; may be NULL. 100 is written at most once. */
void qp_request_inform(struct qp_request *request, unsigned status, struct qp_slice reason,
                       const struct qp_fields *fields);

#define QP_LENGTH_UNKNOWN UINT64_MAX

struct qp_answer {
    uint16_t status;                /* 200-599 */
    struct qp_slice reason;         /* at == NULL: the standard phrase */
    const struct qp_fields *fields; /* those that qp_field_passes() are written, in order; NULL: none */
    struct qp_slice extra;          /* further complete field lines, each with CRLF; may be unset */
    uint64_t
        length; /* of the body, or QP_LENGTH_UNKNOWN. For HEAD and 304: what a GET would have had, written as it is, or QP_LENGTH_UNKNOWN: nothing is written */
    bool close; /* ends the session after this answer */
};

/* The final head. Once. Borrows everything for the call. */
void qp_request_respond(struct qp_request *request, const struct qp_answer *answer);
/* A piece of the body, borrowed for the call; dropped where the answer has none (HEAD). More than the announced length is a contract breach:
 * qp_broken, and the session is cut. */
void qp_request_send(struct qp_request *request, struct qp_slice piece);
bool qp_request_is_full(const struct qp_request *request);
/* The answer is complete; trailers (those that pass as such) go out where the framing is chunked, NULL for none. Fewer bytes than announced: the session is cut visibly. If the request has not
 * wholly arrived, what is left of it is discarded within limits (the session then ends in stages, RFC 9112 section 9.6). */
void qp_request_finish(struct qp_request *request, const struct qp_fields *trailers);
/* Cuts the answer so that the client sees it: no last chunk, a reset where the end of the connection would look like the end of the body. Before the
 * head: the connection is closed without an answer. */
void qp_request_abort(struct qp_request *request);

/* A whole answer in one call: respond, send, finish. extra: complete field lines or unset. */
void qp_request_reply(struct qp_request *request, unsigned status, const char *content_type,
                      struct qp_slice extra, struct qp_slice body);

#endif
