/* exchange.h - one request and its response on one origin stream.
 *
 * Comes from the pool; ends by qp_exchange_release(), which gives the stream back if both messages are complete and sent, the framing lets it live
 * on and nothing has come behind the response, and closes it otherwise. The request is written by the caller as bytes (head) and body pieces; the response comes as events. An
 * answer that comes before the upload is finished is delivered as it comes (the caller decides).
 *
 * Thread: the loop's. Events come from the top of the loop, never from inside a call; the owner may release the exchange in any event.
 */
#ifndef QP_ORIGIN_EXCHANGE_H
#define QP_ORIGIN_EXCHANGE_H

#include "base/result.h"
#include "http/parse.h"

struct qp_exchange;

struct qp_exchange_events {
    /* A 1xx other than 101. At most 16 in a row; more are malformed. The message is valid until the next event. */
    void (*informed)(void *owner, const struct qp_message *head);
    /* The final head; valid until release. */
    void (*head)(void *owner, const struct qp_message *head);
    void (*body)(void *owner, struct qp_slice piece);
    /* The response is complete; trailers are in the head's message. The caller releases now or when its request is sent. */
    void (*end)(void *owner);
    /* The request's output was full and no longer is. */
    void (*drained)(void *owner);
    /* Before `end` only. No event follows; the owner releases. `detail`: constant text for the log or NULL. */
    void (*failed)(void *owner, enum qp_result why, const char *detail);
};

/* Before anything is sent. head_request: the response will have no body whatever it says. */
void qp_exchange_begin(struct qp_exchange *exchange, const struct qp_exchange_events *events, void *owner,
                       bool head_request);

/* Writes the head (whole, with its empty line). What follows is framed as `kind` says: LENGTH pieces as they are, CHUNKED each
 * piece as a chunk. NONE: the request is complete with this. */
void qp_exchange_send_head(struct qp_exchange *exchange, struct qp_slice head, enum qp_body_kind kind);
void qp_exchange_send_body(struct qp_exchange *exchange, struct qp_slice piece);
/* The request is complete: writes the last chunk where there are chunks. trailers may be NULL. */
void qp_exchange_finish_request(struct qp_exchange *exchange, const struct qp_fields *trailers);
bool qp_exchange_is_full(const struct qp_exchange *exchange);
/* Of what was sent, head and framing included: what the origin's host has not taken yet (qp_stream_untaken_bytes). A system call. */
size_t qp_exchange_untaken_bytes(const struct qp_exchange *exchange);

/* Stops and resumes the response's pieces. */
void qp_exchange_pause(struct qp_exchange *exchange);
void qp_exchange_resume(struct qp_exchange *exchange);

/* True if the stream carried another exchange before, or lay unused for long: a failure with no response byte may then be a stale
 * stream. */
bool qp_exchange_is_reused(const struct qp_exchange *exchange);
/* True once a byte of the response has come. */
bool qp_exchange_has_response(const struct qp_exchange *exchange);
/* True once bytes of the request were handed to the stream. */
bool qp_exchange_has_sent(const struct qp_exchange *exchange);

/* Looks at a taken stream that has not begun (one recv with MSG_PEEK): false if the origin has closed it or
 * said something unasked, and then its release closes it. For requests that must not be sent twice (RFC 9112
 * section 9.3.1). */
bool qp_exchange_probe(struct qp_exchange *exchange);

/* The owner has waited in vain for an answer, and is about to release: kept streams that have not worked since this one was taken are
 * let go too. */
void qp_exchange_give_up(struct qp_exchange *exchange);

/* *exchange becomes NULL; NULL inside is fine. */
void qp_exchange_release(struct qp_exchange **exchange);

#endif
