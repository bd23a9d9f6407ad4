/* parse.h - bytes to messages, for both directions: the only user of llhttp.
 *
 * Pull style: the caller offers input and takes one event at a time, so nothing of the caller's runs inside the library and
 * an object can die between two events. Input may be cut anywhere, at every byte: heads are collected in the arena, fields are
 * finished only when whole. llhttp's lenient flags stay off; what it lets through is checked here and in framing.c.
 *
 *   while ((event = qp_parser_next(&parser, &input, &body)) != QP_PARSE_MORE) switch (event) ...
 *
 * One parser serves one message at a time: after QP_PARSE_END, qp_parser_reset() prepares for the next one on the same stream.
 * Bytes behind the message stay in *input.
 */
#ifndef QP_HTTP_PARSE_H
#define QP_HTTP_PARSE_H

#include "http/message.h"

enum qp_parse_event {
    QP_PARSE_MORE,  /* all input taken; more needed */
    QP_PARSE_HEAD,  /* parser->message is complete but for the trailers. A 1xx response gives HEAD, then END */
    QP_PARSE_BODY,  /* *body: a piece of the body without its framing, pointing into the input */
    QP_PARSE_END,   /* the message is complete; trailers are in the message */
    QP_PARSE_REFUSED /* parser->refusal says why; the parser stays in this state */
};

struct qp_parse_limits {
    uint32_t head_bytes;    /* start line and fields, as they came; trailers likewise */
    uint32_t target_bytes;  /* request target; 414 */
    uint32_t fields;        /* number of fields */
    uint32_t chunk_extension_bytes; /* in all chunks of a message together */
};

/* Why a message was refused: status is the answer for a client's request (an origin's response becomes 502), `text` a constant
 * sentence that says what was wrong and what is allowed. */
struct qp_refusal {
    uint16_t status;
    const char *code; /* short, stable, for X-Qproxy-Error and logs: "bad_request", "head_too_large", … */
    const char *text;
};

struct qp_parser; /* the body is in parse_state.h only for embedding */

#include "http/parse_state.h"

/* Borrows the limits and the arena for its life. */
void qp_parser_init(struct qp_parser *parser, enum qp_direction direction, const struct qp_parse_limits *limits, struct qp_arena *arena);
/* For the next message; the arena is the caller's to reset. */
void qp_parser_reset(struct qp_parser *parser);
/* Response: the request was HEAD, so no body follows whatever the fields say. Before the first byte. */
void qp_parser_expect_no_body(struct qp_parser *parser);

enum qp_parse_event qp_parser_next(struct qp_parser *parser, struct qp_slice *input, struct qp_slice *body);

/* The stream has ended properly. QP_PARSE_END: that completed the message (read until close). QP_PARSE_MORE: nothing had begun.
 * QP_PARSE_REFUSED: the message was cut short. */
enum qp_parse_event qp_parser_end_of_input(struct qp_parser *parser);

/* True once a byte of the message has been taken. */
bool qp_parser_has_begun(const struct qp_parser *parser);

#endif
