/* count.h - numbers that one loop writes and any thread may read: each is exact, a set of them is not a snapshot.
 *
 * One writer, so a relaxed load and store do: no locked instruction on the hot path.
 */
#ifndef QP_BASE_COUNT_H
#define QP_BASE_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* Any thread. */
static inline uint64_t qp_count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The writer only. */
static inline void qp_count_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline void qp_count_more(_Atomic uint64_t *counter, uint64_t by)
{
    qp_count_set(counter, qp_count_of(counter) + by);
}

static inline void qp_count_less(_Atomic uint64_t *level)
{
    qp_count_set(level, qp_count_of(level) - 1);
}

static inline void qp_count(_Atomic uint64_t *counter)
{
    qp_count_more(counter, 1);
}

#endif
