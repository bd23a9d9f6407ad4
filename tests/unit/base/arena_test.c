#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static int allocations_until_failure = -1;
static int allocations;

void *__real_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes)
{
    if (allocations_until_failure == 0)
        return NULL;
    if (allocations_until_failure > 0)
        allocations_until_failure--;
    allocations++;
    return __real_qp_try_alloc(bytes);
}

static void a_warm_arena_serves_without_the_allocator(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 1024, 100000);
    assert_non_null(qp_arena_take(&arena, 100));
    qp_arena_reset(&arena);
    allocations = 0;
    for (int round = 0; round < 100; round++) {
        assert_non_null(qp_arena_take(&arena, 500));
        assert_non_null(qp_arena_take(&arena, 400));
        qp_arena_reset(&arena);
    }
    assert_int_equal(allocations, 0);
    qp_arena_deinit(&arena);
}

static void taken_memory_is_aligned_apart_and_writable(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 256, 1 << 20);
    char *taken[200];
    for (size_t i = 0; i < 200; i++) {
        taken[i] = qp_arena_take(&arena, i);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % _Alignof(max_align_t), 0);
        memset(taken[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal((unsigned char)taken[i][k], i);
    assert_ptr_not_equal(taken[0], taken[1]);
    qp_arena_deinit(&arena);
}

static void the_cap_holds_to_the_byte_and_a_reset_lifts_it(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 64, 1000);
    assert_non_null(qp_arena_take(&arena, 600));
    assert_null(qp_arena_take(&arena, 401));
    assert_non_null(qp_arena_take(&arena, 400));
    assert_null(qp_arena_take(&arena, 1));
    assert_null(qp_arena_take(&arena, SIZE_MAX));
    assert_null(qp_arena_copy(&arena, QP_SLICE("x")).at);
    qp_arena_reset(&arena);
    assert_non_null(qp_arena_take(&arena, 1000));
    qp_arena_deinit(&arena);
    assert_non_null(qp_arena_take(&arena, 10));
    qp_arena_deinit(&arena);
}

static void the_odd_size_of_one_request_is_not_kept(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 64, 1 << 20);
    assert_non_null(qp_arena_take(&arena, 100000));
    qp_arena_reset(&arena);
    allocations = 0;
    assert_non_null(qp_arena_take(&arena, 65));
    assert_int_equal(allocations, 1);
    qp_arena_deinit(&arena);
}

static void growing_byte_by_byte_keeps_content_and_copies_rarely(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 64, 20000);
    char *run = NULL;
    allocations = 0;
    for (size_t len = 0; len < 20000; len++) {
        run = qp_arena_grow(&arena, run, len, len + 1);
        assert_non_null(run);
        run[len] = (char)(len % 251);
    }
    assert_null(qp_arena_grow(&arena, run, 20000, 20001));
    assert_true(allocations < 16);
    for (size_t i = 0; i < 20000; i++)
        assert_int_equal((unsigned char)run[i], i % 251);
    qp_arena_deinit(&arena);
}

static void growing_what_is_not_last_counts_the_copy(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 64, 1000);
    char *run = qp_arena_take(&arena, 4);
    memcpy(run, "abc", 4);
    char *other = qp_arena_take(&arena, 4);
    memcpy(other, "xyz", 4);
    char *moved = qp_arena_grow(&arena, run, 4, 200);
    assert_non_null(moved);
    assert_string_equal(moved, "abc");
    assert_string_equal(other, "xyz");
    int grown = 0;
    for (size_t len = 200; (other = qp_arena_take(&arena, 1)); len++, grown++)
        if (!(moved = qp_arena_grow(&arena, moved, len, len + 1)))
            break;
    assert_true(grown < 8);
    qp_arena_deinit(&arena);
}

static void each_failing_allocation_gives_null_and_leaves_the_arena_usable(void **state)
{
    for (int failing = 0; failing < 6; failing++) {
        struct qp_arena arena;
        qp_arena_init(&arena, 64, 1 << 20);
        allocations_until_failure = failing;
        int served = 0;
        char *run = NULL;
        for (size_t len = 0; (run = qp_arena_grow(&arena, run, len, len + 100)) && served < 100; len += 100)
            served++;
        assert_true(served < 100);
        allocations_until_failure = -1;
        assert_non_null(qp_arena_take(&arena, 100));
        qp_arena_deinit(&arena);
    }
}

#ifdef QP_DEBUG
static void reset_memory_is_poisoned_in_debug_builds(void **state)
{
    struct qp_arena arena;
    qp_arena_init(&arena, 64, 1000);
    char *taken = qp_arena_take(&arena, 16);
    memcpy(taken, "a secret of old", 16);
    qp_arena_reset(&arena);
    char *again = qp_arena_take(&arena, 16);
    assert_ptr_equal(taken, again);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal((unsigned char)again[i], 0xA5);
    qp_arena_deinit(&arena);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_warm_arena_serves_without_the_allocator),
        cmocka_unit_test(taken_memory_is_aligned_apart_and_writable),
        cmocka_unit_test(the_cap_holds_to_the_byte_and_a_reset_lifts_it),
        cmocka_unit_test(the_odd_size_of_one_request_is_not_kept),
        cmocka_unit_test(growing_byte_by_byte_keeps_content_and_copies_rarely),
        cmocka_unit_test(growing_what_is_not_last_counts_the_copy),
        cmocka_unit_test(each_failing_allocation_gives_null_and_leaves_the_arena_usable),
#ifdef QP_DEBUG
        cmocka_unit_test(reset_memory_is_poisoned_in_debug_builds),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
