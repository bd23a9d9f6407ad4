/* parse_state.h - the parser's body, for those who embed it. Only `message` and `refusal` are for them to
 * read. */
#ifndef QP_HTTP_PARSE_STATE_H
#define QP_HTTP_PARSE_STATE_H

#include "base/arena.h"
#include "http/message.h"
#include "http/refusal.h"
#include "http/tail.h"
#include <llhttp.h>

struct qp_parse_limits;

enum qp_parse_state {
    QP_PARSE_AT_START,    /* nothing of the message yet, perhaps empty lines */
    QP_PARSE_IN_HEAD,     /* to the empty line */
    QP_PARSE_IN_BODY,     /* the head was given out */
    QP_PARSE_IN_TRAILERS, /* behind the last chunk's size line */
    QP_PARSE_AT_END,      /* END was given out: nothing is taken before a reset */
    QP_PARSE_IN_REFUSAL   /* for good, or until a reset */
};

/* Why the engine was made to pause. */
enum qp_parse_stop { QP_STOP_NONE, QP_STOP_HEAD, QP_STOP_CHUNK, QP_STOP_BODY, QP_STOP_END };

struct qp_parser {
    llhttp_t engine;
    struct qp_message message;
    struct qp_refusal refusal;

    const struct qp_parse_limits *limits; /* borrowed */
    struct qp_arena *arena;               /* borrowed */
    char *text; /* the element being collected, in the arena; NULL before its first piece */
    size_t text_bytes;
    struct qp_slice name;     /* of the field whose value is being collected */
    struct qp_slice body;     /* the piece that the engine stopped for */
    uint64_t left_bytes;      /* QP_BODY_LENGTH: still to come */
    uint32_t section_bytes;   /* of the head, or of the trailers, as they came */
    uint32_t extension_bytes; /* chunked: what size lines had beyond their digits, in all */
    size_t line_bytes;        /* chunked: framing since the last body byte */
    enum qp_parse_state state;
    enum qp_parse_stop stop;
    uint8_t empty_line_bytes;
    struct qp_tail tail;       /* of the start line */
    bool method_is_whole;      /* and was given to the engine; true for a response */
    bool has_cr;               /* in the status line */
    bool status_line_is_whole; /* true for a request */
    bool first_chunk;
    uint8_t version_bytes;
    bool version_is_whole;
    bool no_body;
};

#endif
