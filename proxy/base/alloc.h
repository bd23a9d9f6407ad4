/* alloc.h - the one allocator. Any thread.
 *
 * Small fixed allocations abort when memory is gone: there is nothing sensible left to do, and no caller would test
 * its handling. What a client, an origin or a file sizes is capped by its room first and taken with qp_try_alloc().
 */
#ifndef QP_BASE_ALLOC_H
#define QP_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory; never NULL: aborts instead. */
void *qp_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));

/* Uninitialised memory, or NULL. */
void *qp_try_alloc(size_t bytes) __attribute__((malloc));

/* Zeroed memory for `count` pieces, or NULL; as calloc(3). */
void *qp_try_calloc(size_t count, size_t bytes) __attribute__((malloc));

/* As realloc(3) on memory of this allocator; NULL leaves the old block as it was. */
void *qp_try_realloc(void *memory, size_t bytes);

void qp_free(void *memory);

/* ---- the ceiling ----
 *
 * All that is held through this allocator is counted, in the blocks' true sizes (an atomic addition at each taking and giving back: who is
 * warm does neither). Past the ceiling nothing fails: who is asked for something new looks whether memory is short, and declines, spills, or
 * gives back what is only kept for later. So what is under way goes on.
 */

/* Before threads start. 0: there is none. */
void qp_alloc_set_ceiling(uint64_t bytes);
uint64_t qp_alloc_ceiling_bytes(void);
uint64_t qp_alloc_held_bytes(void);
/* True from when more than the ceiling is held until less than nine tenths of it are. Cheap enough for each request; logs the change, at most once in
 * ten seconds each way. */
bool qp_alloc_is_short(void);
/* How often it became so. */
uint64_t qp_alloc_shortages(void);

/* A copy of `len` bytes with a NUL behind them; aborts when memory is gone. */
char *qp_strndup(const char *at, size_t len) __attribute__((malloc, returns_nonnull));

#endif
