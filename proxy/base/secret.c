#include "base/secret.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/poison.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Secrets are carved from slabs of their own, in four sizes that grow fourfold; larger ones get a mapping
 * each. A freed piece is wiped and goes to its size's free list; slabs stay, bounded by the most secrets
 * there ever were. */
enum { SIZES = 4, SMALLEST_BYTES = 128, SLAB_BYTES = 64 * 1024, ALONE = SIZES, MOST_BYTES = 1024 * 1024 };

struct qp_secret {
    struct qp_secret *next_free;
    size_t len;
    size_t mapped_bytes; /* 0 unless it has a mapping of its own */
    unsigned size;       /* index of its size, or ALONE */
    char bytes[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct qp_secret *free_pieces[SIZES];
static size_t live_count;

static size_t piece_bytes(unsigned size)
{
    return (size_t)SMALLEST_BYTES << (2 * size);
}

/* DONTDUMP and the lock are best effort: old kernels and small RLIMIT_MEMLOCKs are no reason to refuse
 * service. */
static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    (void)madvise(memory, bytes, MADV_DONTDUMP);
    (void)mlock(memory, bytes);
    return memory;
}

/* A freed piece keeps its first field readable for the list; the rest of it hurts. */
static void put_piece(struct qp_secret *piece, unsigned size)
{
    piece->next_free = free_pieces[size];
    free_pieces[size] = piece;
    qp_poison(&piece->len, piece_bytes(size) - offsetof(struct qp_secret, len));
}

static void add_slab(unsigned size)
{
    char *slab = map(SLAB_BYTES);
    for (size_t at = 0; at < SLAB_BYTES; at += piece_bytes(size))
        put_piece((struct qp_secret *)(void *)(slab + at), size);
}

static struct qp_secret *take_piece(size_t bytes)
{
    unsigned size = 0;
    while (size < SIZES && piece_bytes(size) < bytes)
        size++;
    if (size == ALONE) {
        struct qp_secret *alone = map(bytes);
        alone->mapped_bytes = bytes;
        alone->size = ALONE;
        return alone;
    }
    if (!free_pieces[size])
        add_slab(size);
    struct qp_secret *piece = free_pieces[size];
    free_pieces[size] = piece->next_free;
    qp_unpoison(piece, piece_bytes(size));
    piece->mapped_bytes = 0;
    piece->size = size;
    return piece;
}

struct qp_secret *qp_secret_new(struct qp_slice bytes)
{
    qp_require(bytes.len <= MOST_BYTES);
    pthread_mutex_lock(&lock);
    struct qp_secret *secret = take_piece(sizeof(*secret) + bytes.len);
    live_count++;
    pthread_mutex_unlock(&lock);
    secret->next_free = NULL;
    secret->len = bytes.len;
    if (bytes.len)
        memcpy(secret->bytes, bytes.at, bytes.len);
    return secret;
}

struct qp_secret *qp_secret_dup(const struct qp_secret *secret)
{
    return secret ? qp_secret_new(qp_secret_reveal(secret)) : NULL;
}

void qp_secret_free(struct qp_secret **secret)
{
    struct qp_secret *old = *secret;
    *secret = NULL;
    if (!old)
        return;
    qp_wipe(old->bytes, old->len);
    pthread_mutex_lock(&lock);
    live_count--;
    if (old->size == ALONE)
        munmap(old, old->mapped_bytes);
    else
        put_piece(old, old->size);
    pthread_mutex_unlock(&lock);
}

size_t qp_secret_live_count(void)
{
    pthread_mutex_lock(&lock);
    size_t count = live_count;
    pthread_mutex_unlock(&lock);
    return count;
}

struct qp_slice qp_secret_reveal(const struct qp_secret *secret)
{
    qp_require(secret);
    return qp_slice(secret->bytes, secret->len);
}

bool qp_secret_equal(const struct qp_secret *a, const struct qp_secret *b)
{
    if (!a || !b)
        return a == b;
    if (a->len != b->len)
        return false;
    /* volatile keeps the compiler from leaving the loop at the first difference. */
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a->len; i++)
        difference = (unsigned char)(difference | (a->bytes[i] ^ b->bytes[i]));
    return difference == 0;
}

void qp_wipe(void *memory, size_t bytes)
{
    if (bytes)
        explicit_bzero(memory, bytes);
}

void qp_wipe_and_free(void *memory)
{
    if (memory)
        qp_wipe(memory, malloc_usable_size(memory));
    qp_free(memory);
}

void qp_secret_guard_process(void)
{
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0});
#ifndef QP_DEBUG
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
