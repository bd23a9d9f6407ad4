/* refusal.h - why a message is not accepted: one table for the parser and for framing.
 *
 * Status, code and text stand once, in refusals.def. The texts are constants on purpose: nothing that a peer
 * sent can get into an error body or a log through them.
 */
#ifndef QP_HTTP_REFUSAL_H
#define QP_HTTP_REFUSAL_H

#include <stdint.h>

/* status: the answer for a client's request (an origin's response becomes 502). code: short and stable, for
 * X-Qproxy-Error and logs. text: a sentence that says what was wrong and what is allowed. */
struct qp_refusal {
    uint16_t status;
    const char *code;
    const char *text;
};

enum qp_refusal_id {
    QP_REFUSAL_NONE = 0,
#define QP_REFUSAL_ROW(id, status, code, text) id,
#include "http/refusals.def"
#undef QP_REFUSAL_ROW
    QP_REFUSAL_COUNT
};

/* The row. Requires an id of the table; QP_REFUSAL_NONE gives status 0. */
const struct qp_refusal *qp_refusal_get(enum qp_refusal_id id);

#endif
