/* parse.h - bytes to messages, for both directions: the only user of llhttp.
 *
 * Pull style: the caller offers input and takes one event at a time, so nothing of the caller's runs inside
 * the library and an object can die between two events. Input may be cut anywhere, at every byte: heads are
 * collected in the arena, fields are finished only when whole. llhttp's lenient flags stay off; what it lets
 * through is checked here and in framing.c.
 *
 *   while ((event = qp_parser_next(&parser, &input, &body)) != QP_PARSE_MORE) switch (event) ...
 *
 * A message gives HEAD, any number of BODY, END. One parser serves one message at a time: after QP_PARSE_END
 * it takes nothing and says MORE until qp_parser_reset() prepares for the next one on the same stream, so
 * bytes behind the message stay in *input. Up to two empty lines before a request line are skipped (RFC 9112
 * section 2.2), none before a status line.
 *
 * What the caller need not check again: the version is 1.0 or 1.1; the method is a token of HTTP and not
 * CONNECT (refused with 405 before its odd target is read); the target is one of the forms of
 * qp_target_parse(); Host is there once and sound (HTTP/1.1); a status is within 100 and 599; field names are
 * tokens and values clean; the framing is decided and unambiguous; `nominated` is set. An Upgrade field
 * changes nothing (RFC 9110 section 7.8). What the caller still has to do: refuse TRACE and an unasked 101.
 */
#ifndef QP_HTTP_PARSE_H
#define QP_HTTP_PARSE_H

#include "http/message.h"

enum qp_parse_event {
    QP_PARSE_MORE, /* all input taken; more needed */
    QP_PARSE_HEAD, /* parser->message is complete but for the trailers. A 1xx response gives HEAD, then END */
    QP_PARSE_BODY, /* *body: a piece of the body without its framing, pointing into the input */
    QP_PARSE_END,  /* the message is complete; trailers are in the message */
    QP_PARSE_REFUSED /* parser->refusal says why; the parser stays in this state */
};

struct qp_parse_limits {
    uint32_t head_bytes;            /* start line and fields, as they came; trailers likewise */
    uint32_t target_bytes;          /* request target; 414 */
    uint32_t fields;                /* number of fields */
    uint32_t chunk_extension_bytes; /* what chunk size lines hold beyond 16 digits each, in all chunks of a
                                       message together */
};

#include "http/parse_state.h"

/* Borrows the limits and the arena for its life. */
void qp_parser_init(struct qp_parser *parser, enum qp_direction direction,
                    const struct qp_parse_limits *limits, struct qp_arena *arena);
/* What the arena's cap must at least be, so that the limits are met before the cap is. */
size_t qp_parser_arena_bytes(const struct qp_parse_limits *limits);
/* For the next message; the arena is the caller's to reset (before or after, but the old message is gone with
 * it). After a 1xx response a no-body expectation stays in force, since the final response is still the
 * answer to the same request. */
void qp_parser_reset(struct qp_parser *parser);
/* Response: the request was HEAD, so no body follows whatever the fields say. Before the first byte. */
void qp_parser_expect_no_body(struct qp_parser *parser);

enum qp_parse_event qp_parser_next(struct qp_parser *parser, struct qp_slice *input, struct qp_slice *body);

/* The stream has ended properly. QP_PARSE_END: that completed the message (read until close). QP_PARSE_MORE:
 * nothing had begun. QP_PARSE_REFUSED: the message was cut short. */
enum qp_parse_event qp_parser_end_of_input(struct qp_parser *parser);

/* True once a byte of the message has been taken. */
bool qp_parser_has_begun(const struct qp_parser *parser);

#endif
