#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void a_secret_is_a_copy_that_can_be_revealed_and_freed(void **state)
{
    char source[] = "hunter2";
    struct qp_secret *secret = qp_secret_new(qp_slice_str(source));
    memset(source, 'x', sizeof(source));
    assert_true(qp_slice_is(qp_secret_reveal(secret), QP_SLICE("hunter2")));
    struct qp_secret *copy = qp_secret_dup(secret);
    assert_int_equal(qp_secret_live_count(), 2);
    qp_secret_free(&secret);
    assert_null(secret);
    qp_secret_free(&secret);
    assert_true(qp_slice_is(qp_secret_reveal(copy), QP_SLICE("hunter2")));
    qp_secret_free(&copy);
    assert_int_equal(qp_secret_live_count(), 0);
    assert_null(qp_secret_dup(NULL));
}

static void every_size_up_to_a_mebibyte_is_kept_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 95, 96, 97, 480, 512, 2048, 8192, 32000, 40000, 1 << 20};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    char *bytes = malloc(1 << 20);
    struct qp_secret *secrets[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        memset(bytes, (int)i + 1, sizes[i]);
        secrets[i] = qp_secret_new(qp_slice(bytes, sizes[i]));
    }
    for (size_t i = 0; i < COUNT; i++) {
        memset(bytes, (int)i + 1, sizes[i]);
        assert_true(qp_slice_is(qp_secret_reveal(secrets[i]), qp_slice(bytes, sizes[i])));
        qp_secret_free(&secrets[i]);
    }
    free(bytes);
    assert_int_equal(qp_secret_live_count(), 0);
}

static void equality_looks_at_all_bytes_and_null_equals_null_only(void **state)
{
    struct qp_secret *a = qp_secret_new(QP_SLICE("token"));
    struct qp_secret *same = qp_secret_new(QP_SLICE("token"));
    struct qp_secret *other_end = qp_secret_new(QP_SLICE("tokem"));
    struct qp_secret *longer = qp_secret_new(QP_SLICE("token1"));
    struct qp_secret *empty = qp_secret_new(QP_SLICE(""));
    assert_true(qp_secret_equal(a, same));
    assert_false(qp_secret_equal(a, other_end));
    assert_false(qp_secret_equal(a, longer));
    assert_false(qp_secret_equal(a, NULL));
    assert_false(qp_secret_equal(NULL, empty));
    assert_true(qp_secret_equal(NULL, NULL));
    qp_secret_free(&a);
    qp_secret_free(&same);
    qp_secret_free(&other_end);
    qp_secret_free(&longer);
    qp_secret_free(&empty);
}

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
static void freed_bytes_are_gone_from_memory(void **state)
{
    struct qp_secret *secret = qp_secret_new(QP_SLICE("not to be found again"));
    const volatile char *where = qp_secret_reveal(secret).at;
    qp_secret_free(&secret);
    for (size_t i = 0; i < sizeof("not to be found again") - 1; i++)
        assert_int_equal(where[i], 0);
}
#endif

/* VmFlags in smaps: dd is "do not include in a core dump". */
static bool lies_in_memory_without_dump(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    char line[512];
    bool inside = false;
    bool found = false;
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from = 0;
        unsigned long to = 0;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (uintptr_t)address >= from && (uintptr_t)address < to;
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    return found;
}

static void P1_secrets_are_left_out_of_core_files(void **state)
{
    struct qp_secret *small = qp_secret_new(QP_SLICE("small"));
    char *bytes = calloc(1, 100000);
    struct qp_secret *large = qp_secret_new(qp_slice(bytes, 100000));
    assert_false(lies_in_memory_without_dump(bytes));
    assert_true(lies_in_memory_without_dump(qp_secret_reveal(small).at));
    assert_true(lies_in_memory_without_dump(qp_secret_reveal(large).at));
    free(bytes);
    qp_secret_free(&small);
    qp_secret_free(&large);
}

static void P1_a_guarded_process_leaves_no_core_file(void **state)
{
    qp_secret_guard_process();
    struct rlimit limit = {.rlim_cur = 1, .rlim_max = 1};
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    assert_int_equal(limit.rlim_max, 0);
}

static void *churn(void *argument)
{
    char mark = (char)(uintptr_t)argument;
    char bytes[600];
    memset(bytes, mark, sizeof(bytes));
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)(i * 7 % 600);
        struct qp_secret *secret = qp_secret_new(qp_slice(bytes, len));
        struct qp_secret *copy = qp_secret_dup(secret);
        if (!qp_secret_equal(secret, copy) || (len && qp_secret_reveal(copy).at[len - 1] != mark))
            abort();
        qp_secret_free(&secret);
        qp_secret_free(&copy);
    }
    return NULL;
}

static void threads_make_and_free_secrets_side_by_side(void **state)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)('a' + i)), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(qp_secret_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_a_copy_that_can_be_revealed_and_freed),
        cmocka_unit_test(every_size_up_to_a_mebibyte_is_kept_whole),
        cmocka_unit_test(equality_looks_at_all_bytes_and_null_equals_null_only),
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
        cmocka_unit_test(freed_bytes_are_gone_from_memory),
#endif
        cmocka_unit_test(P1_secrets_are_left_out_of_core_files),
        cmocka_unit_test(P1_a_guarded_process_leaves_no_core_file),
        cmocka_unit_test(threads_make_and_free_secrets_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
