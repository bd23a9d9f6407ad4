/* arena.h - bump memory with one lifetime: everything is given back together. One owner, one thread.
 *
 * The first block stays with the arena over resets, so that a warm arena serves small requests without touching the
 * allocator. The cap bounds what a peer can make it hold.
 */
#ifndef QP_BASE_ARENA_H
#define QP_BASE_ARENA_H

#include "base/slice.h"

struct qp_arena_block;

struct qp_arena {
    struct qp_arena_block *blocks; /* newest first; the last one is kept over resets */
    size_t used_bytes;             /* in the newest block */
    size_t total_bytes;            /* asked for since the last reset */
    size_t cap_bytes;
    size_t block_bytes;
};

/* block_bytes: size of an ordinary block; cap_bytes: what all qp_arena_take() calls between two resets may sum to. */
void qp_arena_init(struct qp_arena *arena, size_t block_bytes, size_t cap_bytes);
void qp_arena_deinit(struct qp_arena *arena);
/* Forgets everything that was taken; in debug builds the memory is poisoned first. */
void qp_arena_reset(struct qp_arena *arena);

/* Memory aligned for any type, not zeroed; NULL when the cap is reached. */
void *qp_arena_take(struct qp_arena *arena, size_t bytes) __attribute__((warn_unused_result));
/* A copy of the bytes; at == NULL when the cap is reached. */
struct qp_slice qp_arena_copy(struct qp_arena *arena, struct qp_slice bytes);
/* Makes the last taken run longer in place if it is the last and there is room, else copies it to a new place; NULL when the cap
 * is reached. For pieces that arrive one after another. */
char *qp_arena_grow(struct qp_arena *arena, char *last, size_t old_bytes, size_t new_bytes);

#endif
