/* damping.h - paths whose 401 a fresh token did not cure: no refresh storm from a lost permission.
 *
 * A bounded table of one worker. A path is remembered for 1 s at first, twice as long each time that it happens again, up to 5 min; it is forgotten
 * when the origin accepts a request on it. Pure but for the time that it is told.
 */
#ifndef QP_RELAY_DAMPING_H
#define QP_RELAY_DAMPING_H

#include "base/slice.h"

enum { QP_DAMPING_ENTRIES = 1024 };

struct qp_damping_entry {
    uint64_t path_hash; /* of account, method-free path without the query; 0: free */
    uint64_t until_ms;
    uint32_t hold_ms;
};

struct qp_damping {
    unsigned used;
    struct qp_damping_entry entries[QP_DAMPING_ENTRIES];
};

uint64_t qp_damping_hash(unsigned account, struct qp_slice target);
/* True while 401s of that path pass on without a mint. */
bool qp_damping_holds(const struct qp_damping *damping, uint64_t path_hash, uint64_t now_ms);
/* A replay with a fresh token was rejected too. */
void qp_damping_rejected(struct qp_damping *damping, uint64_t path_hash, uint64_t now_ms);
/* The origin accepted a request on the path. */
void qp_damping_accepted(struct qp_damping *damping, uint64_t path_hash);

#endif
