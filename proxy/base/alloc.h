/* alloc.h - the one allocator. Any thread.
 *
 * Small fixed allocations abort when memory is gone: there is nothing sensible left to do, and no caller would test
 * its handling. What a client, an origin or a file sizes is capped by its room first and taken with qp_try_alloc().
 */
#ifndef QP_BASE_ALLOC_H
#define QP_BASE_ALLOC_H

#include <stddef.h>

/* Zeroed memory; never NULL: aborts instead. */
void *qp_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));

/* Uninitialised memory, or NULL. */
void *qp_try_alloc(size_t bytes) __attribute__((malloc));

/* As realloc(3) on memory of this allocator; NULL leaves the old block as it was. */
void *qp_try_realloc(void *memory, size_t bytes);

void qp_free(void *memory);

/* A copy of `len` bytes with a NUL behind them; aborts when memory is gone. */
char *qp_strndup(const char *at, size_t len) __attribute__((malloc, returns_nonnull));

#endif
