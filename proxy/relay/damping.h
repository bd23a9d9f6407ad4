/* damping.h - paths whose 401 a fresh token did not cure: no refresh storm from a lost permission.
 *
 * A bounded table of one worker. What makes it hard is that a token that was revoked twice looks the same, and that
 * must go on being cured. So a rejection of a fresh token is weighed by what else is known of that token:
 *   - it was accepted on this path before: revoked since; nothing is held against the path;
 *   - it was accepted on other paths only: a permission that this path lacks; the path is held at once, or, where the
 *     path itself worked lately, the second time in a row;
 *   - nobody accepted it yet: no evidence. Where the path worked lately nothing is held against it (the token room paces
 *     the account's mints); else the first time is only noted, the second time in a row holds.
 * A hold lasts 1 s at first and twice as long for each further rejected token, up to 5 min; an acceptance on the
 * path ends it. Pure but for the time that it is told.
 */
#ifndef QP_RELAY_DAMPING_H
#define QP_RELAY_DAMPING_H

#include "base/slice.h"

enum { QP_DAMPING_ENTRIES = 1024 };

/* Revocations come in moments, permissions are lost for long: a path or an account that worked a moment ago gets the
 * benefit of the doubt. */
enum { QP_DAMPING_WORKED_LATELY_MS = 5000 };

struct qp_damping_entry {
    uint64_t path_hash; /* of account and path without the query; 0: free */
    uint64_t
        generation; /* the newest token that was rejected; one token counts once, however many requests carried it */
    uint64_t until_ms;
    uint32_t hold_ms; /* 0: only noted */
};

/* The newest token that was accepted on a path, and when. */
struct qp_damping_accepted {
    uint64_t path_hash;
    uint64_t generation;
    uint64_t at_ms;
};

struct qp_damping {
    unsigned used;
    struct qp_damping_entry entries[QP_DAMPING_ENTRIES];
    struct qp_damping_accepted
        accepted[QP_DAMPING_ENTRIES]; /* by hash: a later path takes the place of an earlier one */
};

uint64_t qp_damping_hash(unsigned account, struct qp_slice target);
/* True while 401s of that path pass on without a mint. */
bool qp_damping_holds(const struct qp_damping *damping, uint64_t path_hash, uint64_t now_ms);
/* A token that was asked for because of a 401 was rejected too. accepted_elsewhere: some path has accepted it. */
void qp_damping_rejected(struct qp_damping *damping, uint64_t path_hash, uint64_t generation,
                         bool accepted_elsewhere, uint64_t now_ms);
/* The origin accepted a request on the path. */
void qp_damping_accepted(struct qp_damping *damping, uint64_t path_hash, uint64_t generation,
                         uint64_t now_ms);

#endif
