/* transcript.h - what a parser makes of some bytes, as text, with the bytes cut in any way.
 *
 *   HEAD GET /x 1.1 chunked keep-alive
 *   | Host: a
 *   BODY 5 hello
 *   END
 *   | Trailer-Name: value
 *   REFUSED 400 bad_request            or  CUT 400 truncated, when the end of the input was the trouble
 *   REST 3                             bytes that were not taken
 *
 * Pieces of a body are joined, so that the text is the same however the input was cut: if the parser keeps
 * its promise. Each piece lies in memory of its own that is freed behind it, so that AddressSanitizer sees a
 * slice of the input that was kept.
 */
#ifndef QP_TESTS_HTTP_TRANSCRIPT_H
#define QP_TESTS_HTTP_TRANSCRIPT_H

#include "base/buf.h"
#include "http/parse.h"

struct transcript_opts {
    enum qp_direction direction;
    const struct qp_parse_limits *limits; /* NULL: roomy ones */
    bool no_body;                         /* every message answers HEAD */
    bool end_of_input;                    /* behind the bytes the stream ends */
    bool one_message;                     /* stop at the first END of a message that is no 1xx */
};

/* The lengths of the pieces: the first ones as listed, then `step` each; step 0: all that is left. */
struct transcript_cuts {
    const uint8_t *lengths;
    size_t count;
    size_t step;
};

extern const struct qp_parse_limits transcript_roomy_limits;

void transcript(struct qp_buf *out, const struct transcript_opts *opts, struct qp_slice bytes,
                struct transcript_cuts cuts);

/* Whole, byte by byte, and cut in two at every place; aborts with both texts when any differs. The caller
 * frees the text. */
void transcript_every_way(struct qp_buf *out, const struct transcript_opts *opts, struct qp_slice bytes);

#endif
