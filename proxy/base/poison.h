/* poison.h - memory that was given back but not freed, made to hurt who still uses it.
 *
 * Debug builds fill it with 0xA5, a pattern that is no pointer, no small number and no text; ASan builds make
 * any access to it a report. Release builds do nothing. For allocators only.
 */
#ifndef QP_BASE_POISON_H
#define QP_BASE_POISON_H

#include <stddef.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define QP_HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QP_HAVE_ASAN 1
#endif
#endif

#ifdef QP_HAVE_ASAN
#include <sanitizer/asan_interface.h>
#endif

static inline void qp_unpoison(void *memory, size_t bytes)
{
#ifdef QP_HAVE_ASAN
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

static inline void qp_poison(void *memory, size_t bytes)
{
#ifdef QP_HAVE_ASAN
    ASAN_POISON_MEMORY_REGION(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

/* The memory may be used after this: it is unpoisoned, only its content is gone. */
static inline void qp_poison_fill(void *memory, size_t bytes)
{
    qp_unpoison(memory, bytes);
#ifdef QP_DEBUG
    memset(memory, 0xA5, bytes);
#endif
}

#endif
