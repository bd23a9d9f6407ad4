#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOLD_AGAIN_MS = 10000 };

static _Atomic uint64_t held_bytes;
static uint64_t ceiling_bytes; /* 0: none */
static _Atomic bool is_short;
static _Atomic uint64_t shortages;
static _Atomic uint64_t untold_until_ms[2]; /* by is_short */

static void *count_in(void *memory)
{
    if (memory)
        atomic_fetch_add_explicit(&held_bytes, malloc_usable_size(memory), memory_order_relaxed);
    return memory;
}

static void count_out(size_t bytes)
{
    atomic_fetch_sub_explicit(&held_bytes, bytes, memory_order_relaxed);
}

/* The log would need memory of its own in places: the last words go out without it. */
__attribute__((noreturn)) static void memory_is_gone(void)
{
    static const char words[] = "qproxy: out of memory\n";
    ssize_t ignored = write(2, words, sizeof(words) - 1);
    (void)ignored;
    abort();
}

void *qp_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory)
        memory_is_gone();
    return count_in(memory);
}

void *qp_try_alloc(size_t bytes)
{
    if (qp_fault("alloc.try"))
        return NULL;
    return count_in(malloc(bytes ? bytes : 1));
}

void *qp_try_calloc(size_t count, size_t bytes)
{
    if (qp_fault("alloc.try"))
        return NULL;
    return count_in(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *qp_try_realloc(void *memory, size_t bytes)
{
    if (qp_fault("alloc.try"))
        return NULL;
    size_t before = malloc_usable_size(memory);
    void *moved = realloc(memory, bytes ? bytes : 1);
    if (moved)
        count_out(before);
    return count_in(moved);
}

void qp_free(void *memory)
{
    count_out(malloc_usable_size(memory));
    free(memory);
}

/* ---- the ceiling ---- */

void qp_alloc_set_ceiling(uint64_t bytes)
{
    ceiling_bytes = bytes;
}

uint64_t qp_alloc_ceiling_bytes(void)
{
    return ceiling_bytes;
}

uint64_t qp_alloc_held_bytes(void)
{
    return atomic_load_explicit(&held_bytes, memory_order_relaxed);
}

uint64_t qp_alloc_shortages(void)
{
    return atomic_load_explicit(&shortages, memory_order_relaxed);
}

static void tell(bool now_short, uint64_t held)
{
    uint64_t now_ms = qp_clock_monotonic_ms();
    uint64_t until_ms = atomic_load_explicit(&untold_until_ms[now_short], memory_order_relaxed);
    if (now_ms < until_ms ||
        !atomic_compare_exchange_strong(&untold_until_ms[now_short], &until_ms, now_ms + TOLD_AGAIN_MS))
        return;
    unsigned long long held_kib = held / 1024, ceiling_kib = ceiling_bytes / 1024;
    if (now_short)
        qp_log_warn(
            "memory",
            "%llu KiB are held and limits.memory is %llu KiB: nothing new is taken on, what is under way "
            "goes on",
            held_kib, ceiling_kib);
    else
        qp_log_warn("memory", "%llu KiB of %llu KiB are held: new requests are taken on again", held_kib,
                    ceiling_kib);
}

/* Both sides of the change are judged here and not where memory is taken or given back, so that these stay a single addition. */
bool qp_alloc_is_short(void)
{
    if (ceiling_bytes == 0)
        return false;
    bool was_short = atomic_load_explicit(&is_short, memory_order_relaxed);
    uint64_t held = qp_alloc_held_bytes();
    bool now_short = held > (was_short ? ceiling_bytes / 10 * 9 : ceiling_bytes);
    if (now_short != was_short && atomic_compare_exchange_strong(&is_short, &was_short, now_short)) {
        if (now_short)
            atomic_fetch_add_explicit(&shortages, 1, memory_order_relaxed);
        tell(now_short, held);
    }
    return now_short;
}

char *qp_strndup(const char *at, size_t len)
{
    qp_require(len < SIZE_MAX);
    char *text = qp_alloc(len + 1);
    if (len)
        memcpy(text, at, len);
    return text;
}
