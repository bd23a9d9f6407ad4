/* seal.h - authenticated encryption of blocks that leave the process's memory (AES-256-GCM). One owner, one thread.
 *
 * The key is random, made with the object, never leaves it and is wiped with it. Each block index may be sealed once: the index is the nonce, so
 * the same object must never seal two different blocks under one index.
 */
#ifndef QP_TOKEN_SEAL_H
#define QP_TOKEN_SEAL_H

#include "base/result.h"
#include "base/slice.h"

enum { QP_SEAL_TAG_BYTES = 16 };

struct qp_seal;

struct qp_seal *qp_seal_new(void);
void qp_seal_free(struct qp_seal **seal);
/* out: plain.len + QP_SEAL_TAG_BYTES bytes. */
QP_MUST_USE enum qp_result qp_seal_close_block(struct qp_seal *seal, uint64_t index, struct qp_slice plain,
                                               char *out);
/* out: sealed.len - QP_SEAL_TAG_BYTES bytes. QP_SELF_IO: the block is not what was sealed under this index. */
QP_MUST_USE enum qp_result qp_seal_open_block(struct qp_seal *seal, uint64_t index, struct qp_slice sealed,
                                              char *out);

#endif
