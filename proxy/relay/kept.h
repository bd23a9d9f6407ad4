/* kept.h - the request's body, kept until the origin's status is known, so that the request can be sent again.
 *
 * Bytes [base, total) are held: all of them (base == 0) while the body is whole, and only what is still to be sent once it is
 * not. In memory up to a limit and while memory is not short, then in an unlinked file, sealed block by block with a key that lives only in this struct.
 * Owned by one request of one loop. File work is done in place: it is the page cache's memory copy, not the disk's wait.
 */
#ifndef QP_RELAY_KEPT_H
#define QP_RELAY_KEPT_H

#include "base/buf.h"
#include "base/log.h"
#include "base/result.h"

struct qp_seal;

/* What all bodies of a worker hold together. */
struct qp_kept_budget {
    uint64_t memory_bytes; /* one request */
    uint64_t memory_total_bytes;
    uint64_t body_bytes; /* one request, memory and file */
    uint64_t used_bytes; /* of memory_total_bytes */
    const char *folder;
    struct qp_log_pace warnings;
};

struct qp_kept {
    struct qp_kept_budget *budget;
    struct qp_buf memory; /* bytes [file_end or base, total) */
    struct qp_buf opened; /* one block of the file, readable */
    struct qp_seal *seal;
    uint64_t opened_block; /* index + 1 of the block in `opened`; 0: none */
    uint64_t base;
    uint64_t file_bytes; /* sealed bytes [0, file_bytes) */
    uint64_t total;
    uint64_t counted_bytes; /* of this body in budget->used_bytes */
    int fd;
    bool whole;
    bool spilled; /* has been in a file; for the counter */
};

void qp_kept_begin(struct qp_kept *kept, struct qp_kept_budget *budget);
/* Frees everything but a small buffer for the next use. */
void qp_kept_reset(struct qp_kept *kept);
void qp_kept_deinit(struct qp_kept *kept);

/* Adds a piece; `sent` tells how far the body has gone out. While the body is whole and fits the budget all is kept; when it no longer
 * fits, or the file cannot be written, it stops being whole and what was sent is dropped. False: the body has just stopped being whole. */
bool qp_kept_append(struct qp_kept *kept, struct qp_slice piece, uint64_t sent);
/* The body need not be sent again: drops what was sent, keeps only what is still to go. */
void qp_kept_release(struct qp_kept *kept, uint64_t sent);

/* The bytes from `offset` on, as many as lie together; valid until the next call. Requires base <= offset < total. SELF_IO when the file
 * cannot be read back. */
QP_MUST_USE enum qp_result qp_kept_read(struct qp_kept *kept, uint64_t offset, struct qp_slice *bytes);

#endif
