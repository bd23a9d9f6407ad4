/* outage.h - when the next dial is due after dials have failed. Pure: knows no dial and no waiter. Private to the room.
 *
 * While an outage lasts there is one dial at a time, each a pause behind the failure of the one before. The pauses double and stay so
 * short that who comes meanwhile can wait for the next dial: it may find the origin back.
 */
#ifndef QP_ORIGIN_OUTAGE_H
#define QP_ORIGIN_OUTAGE_H

#include "base/result.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    QP_OUTAGE_FIRST_PAUSE_MS = 20,
    QP_OUTAGE_LONGEST_PAUSE_MS = 200,
    /* So many connections that were accepted and then cut are an outage too. */
    QP_OUTAGE_CUTS = 3
};

struct qp_outage {
    bool is_on;
    unsigned failures; /* since the last success */
    uint32_t pause_ms;
    uint64_t due_ms; /* of the next dial */
    enum qp_result why;
    char detail[192];
};

/* A reset, unlike a refusal or a time limit, says something of one connection only. */
bool qp_outage_is_of_one_connection(enum qp_result why);

void qp_outage_note_failure(struct qp_outage *outage, uint64_t now_ms, enum qp_result why,
                            const char *detail);
/* A dial has succeeded. Gives the failures that came before it. */
unsigned qp_outage_end(struct qp_outage *outage);

#endif
