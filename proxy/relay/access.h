/* access.h - one line a request: who asked what, what came of it, and which side ended it in which phase. */
#ifndef QP_RELAY_ACCESS_H
#define QP_RELAY_ACCESS_H

#include "base/buf.h"

struct qp_access {
    uint64_t conn;
    uint64_t request;
    struct qp_slice client;
    struct qp_slice method;
    struct qp_slice target; /* the query is not logged: it may name people */
    const char *account;    /* NULL: none matched */
    unsigned status;        /* 0: no answer */
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t duration_us;
    unsigned attempts;
    unsigned replays;
    /* Two letters. Who ended it: '-' nobody (whole answer), P proxy's own answer, C client, O origin, T time limit. When: '-' done, or the state's
     * letter: H head, T token, S stream, U upload, W waiting for the head, B body. */
    char ended_by;
    char ended_in;
    const char *error; /* code of our own answer; NULL: none */
};

/* Appends the line with its newline. */
void qp_access_line(const struct qp_access *access, bool json, struct qp_buf *line);

#endif
