/* secret.h - bytes that are never printed and are wiped on free. Any thread, one owner.
 *
 * Their memory is excluded from core files (MADV_DONTDUMP) and, where the limit allows, from swap (mlock). There is
 * no formatter: who needs the bytes calls qp_secret_reveal(), which is easy to find in a review. A secret goes to
 * another thread only as a copy of its own.
 */
#ifndef QP_BASE_SECRET_H
#define QP_BASE_SECRET_H

#include "base/result.h"
#include "base/slice.h"

struct qp_secret;

/* A secret with a copy of the bytes; aborts when memory is gone. Requires len <= 1 MiB. */
struct qp_secret *qp_secret_new(struct qp_slice bytes);
/* NULL of NULL. */
struct qp_secret *qp_secret_dup(const struct qp_secret *secret);
/* Wipes and frees; *secret becomes NULL. NULL inside is fine. */
void qp_secret_free(struct qp_secret **secret);

/* The bytes, valid until the secret is freed. */
struct qp_slice qp_secret_reveal(const struct qp_secret *secret);
/* In constant time for equal lengths. NULL equals NULL only. */
bool qp_secret_equal(const struct qp_secret *a, const struct qp_secret *b);

/* Secrets made and not yet freed: they live outside the heap, so a leak checker does not see them. For tests. */
size_t qp_secret_live_count(void);

/* Overwrites memory in a way that the compiler does not remove. */
void qp_wipe(void *memory, size_t bytes);
/* For a block of qp_alloc's family whose size is not known here, as a library's parts are; NULL is fine. */
void qp_wipe_and_free(void *memory);

/* Process-wide, before any secret is read: no core file, no ptrace by the same user (PR_SET_DUMPABLE 0). Debug builds
 * leave ptrace alone so that debuggers and leak checkers work. */
void qp_secret_guard_process(void);

#endif
