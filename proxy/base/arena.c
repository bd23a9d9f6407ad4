#include "base/arena.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/poison.h"

struct qp_arena_block {
    struct qp_arena_block *next;
    size_t size; /* of data */
    _Alignas(max_align_t) char data[];
};

static size_t aligned(size_t bytes)
{
    return (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

void qp_arena_init(struct qp_arena *arena, size_t block_bytes, size_t cap_bytes)
{
    qp_require(block_bytes > 0 && cap_bytes <= SIZE_MAX / 4);
    *arena = (struct qp_arena){.block_bytes = aligned(block_bytes), .cap_bytes = cap_bytes};
}

static void free_newest_block(struct qp_arena *arena)
{
    struct qp_arena_block *block = arena->blocks;
    arena->blocks = block->next;
    qp_unpoison(block->data, block->size);
    qp_free(block);
}

void qp_arena_deinit(struct qp_arena *arena)
{
    while (arena->blocks)
        free_newest_block(arena);
    qp_arena_init(arena, arena->block_bytes, arena->cap_bytes);
}

void qp_arena_reset(struct qp_arena *arena)
{
    while (arena->blocks && arena->blocks->next)
        free_newest_block(arena);
    arena->used_bytes = arena->total_bytes = 0;
    if (!arena->blocks)
        return;
    qp_poison_fill(arena->blocks->data, arena->blocks->size);
    qp_poison(arena->blocks->data, arena->blocks->size);
}

static bool add_block(struct qp_arena *arena, size_t size)
{
    struct qp_arena_block *block = qp_try_alloc(sizeof(*block) + size);
    if (!block)
        return false;
    block->next = arena->blocks;
    block->size = size;
    qp_poison(block->data, size);
    arena->blocks = block;
    arena->used_bytes = 0;
    return true;
}

/* The first block is always an ordinary one: it is kept over resets, and must not keep one request's odd
 * size. */
static bool add_block_for(struct qp_arena *arena, size_t bytes)
{
    if (!arena->blocks && !add_block(arena, arena->block_bytes))
        return false;
    if (arena->blocks->size - arena->used_bytes >= bytes)
        return true;
    return add_block(arena, bytes > arena->block_bytes ? bytes : arena->block_bytes);
}

static char *bump(struct qp_arena *arena, size_t bytes)
{
    char *taken = arena->blocks->data + arena->used_bytes;
    arena->used_bytes += aligned(bytes);
    qp_unpoison(taken, bytes);
    return taken;
}

void *qp_arena_take(struct qp_arena *arena, size_t bytes)
{
    if (bytes > arena->cap_bytes - arena->total_bytes)
        return NULL;
    /* An empty run has a place of its own too: no two taken pointers are equal. */
    size_t place = aligned(bytes ? bytes : 1);
    if (!add_block_for(arena, place))
        return NULL;
    arena->total_bytes += bytes;
    return bump(arena, bytes ? bytes : 1);
}

struct qp_slice qp_arena_copy(struct qp_arena *arena, struct qp_slice bytes)
{
    char *copy = qp_arena_take(arena, bytes.len);
    if (!copy)
        return QP_SLICE_NONE;
    if (bytes.len)
        memcpy(copy, bytes.at, bytes.len);
    return qp_slice(copy, bytes.len);
}

static bool is_last_taken(const struct qp_arena *arena, const char *last, size_t bytes)
{
    return arena->blocks && last + aligned(bytes ? bytes : 1) == arena->blocks->data + arena->used_bytes;
}

/* Copies the run into a block with as much room again behind it, so that many small pieces cost one copy each
 * time the length doubles. A run that had its block to itself gives it back, and so only its growth counts
 * for the cap. */
static char *grow_elsewhere(struct qp_arena *arena, char *last, size_t old_bytes, size_t new_bytes)
{
    struct qp_arena_block *old_block = arena->blocks;
    bool alone = is_last_taken(arena, last, old_bytes) && last == old_block->data;
    size_t counted = alone ? new_bytes - old_bytes : new_bytes;
    if (counted > arena->cap_bytes - arena->total_bytes)
        return NULL;
    size_t block_bytes = aligned(new_bytes) * 2;
    if (!add_block(arena, block_bytes > arena->block_bytes ? block_bytes : arena->block_bytes))
        return NULL;
    arena->total_bytes += counted;
    char *moved = bump(arena, new_bytes);
    memcpy(moved, last, old_bytes);
    if (alone && old_block->next) {
        arena->blocks->next = old_block->next;
        qp_unpoison(old_block->data, old_block->size);
        qp_free(old_block);
    }
    return moved;
}

char *qp_arena_grow(struct qp_arena *arena, char *last, size_t old_bytes, size_t new_bytes)
{
    qp_require(new_bytes >= old_bytes && (last || old_bytes == 0));
    if (!last)
        return qp_arena_take(arena, new_bytes);
    if (new_bytes - old_bytes > arena->cap_bytes - arena->total_bytes)
        return NULL;
    if (!is_last_taken(arena, last, old_bytes))
        return grow_elsewhere(arena, last, old_bytes, new_bytes);
    size_t start = (size_t)(last - arena->blocks->data);
    size_t place = aligned(new_bytes ? new_bytes : 1);
    if (place > arena->blocks->size - start)
        return grow_elsewhere(arena, last, old_bytes, new_bytes);
    arena->used_bytes = start + place;
    arena->total_bytes += new_bytes - old_bytes;
    qp_unpoison(last, new_bytes);
    return last;
}
