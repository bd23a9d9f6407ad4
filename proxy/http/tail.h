/* tail.h - the last bytes before an input that came in pieces. Private to http/. Pure.
 *
 * llhttp swallows what stands between the spans of a start line: more than one space, and "RTSP/" or "ICE/" where "HTTP/"
 * belongs. Whoever is given a span looks back from it, also into an earlier piece.
 */
#ifndef QP_HTTP_TAIL_H
#define QP_HTTP_TAIL_H

#include "base/slice.h"

enum { QP_TAIL_BYTES = 7 };

struct qp_tail {
    const char *window;        /* start of the piece that is looked at; the owner sets it */
    char bytes[QP_TAIL_BYTES]; /* what came before it, at most so much; the last `count` of these */
    uint8_t count;
};

/* The piece has been used up: its end is kept. */
void qp_tail_keep(struct qp_tail *tail, struct qp_slice piece);

/* True if `what` stands right before `at`, which lies in the window, and no space before that. */
bool qp_tail_stands_before(const struct qp_tail *tail, const char *at, struct qp_slice what);

#endif
