/* wire.h - a reader of HTTP/1.1 that knows one spelling only: what qproxy writes must have exactly one reading.
 *
 * Independent of proxy/http on purpose, and stricter: anything that it does not expect ends the run.
 */
#ifndef QP_TEST_PROXY_WIRE_H
#define QP_TEST_PROXY_WIRE_H

#include "base/buf.h"

enum { WIRE_FIELDS_MOST = 128 };

/* A promise is broken: says so and ends the run. */
__attribute__((noreturn)) void breach(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For people who look at one input: only if QP_STORY is set. */
void story(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct wire_field {
    struct qp_slice name;
    struct qp_slice value;
};

/* Borrowed from the text that it was read from. */
struct wire_head {
    struct qp_slice text;
    struct qp_slice start[3]; /* method, target, version; or version, status, reason */
    struct wire_field fields[WIRE_FIELDS_MOST];
    unsigned count;
};

/* The length of the head that the text begins with; 0: it is not whole yet. */
size_t wire_read_head(struct qp_slice text, struct wire_head *head);
unsigned wire_count(const struct wire_head *head, const char *name);
/* Of the only field of that name; unset when there is none. */
struct qp_slice wire_value(const struct wire_head *head, const char *name);

enum wire_framing { WIRE_NONE, WIRE_LENGTH, WIRE_CHUNKED, WIRE_UNTIL_CLOSE };

struct wire_body {
    enum wire_framing framing;
    uint64_t left; /* of the body, or of the chunk */
    enum { WIRE_SIZE, WIRE_DATA, WIRE_TRAILERS, WIRE_DONE } where;
    struct qp_buf trailers; /* their lines */
};

/* By the head's own fields; otherwise: where there are none. */
void wire_begin_body(struct wire_body *body, const struct wire_head *head, enum wire_framing otherwise);
/* Takes what it can off the text and appends the body's bytes; true: the message is complete. */
bool wire_take_body(struct wire_body *body, struct qp_slice *text, struct qp_buf *bytes);

#endif
