#include "base/alloc.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool memory_is_gone;

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes)
{
    return memory_is_gone ? NULL : __real_calloc(count, bytes);
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
    return memory_is_gone ? NULL : __real_malloc(bytes);
}

void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes)
{
    return memory_is_gone ? NULL : __real_realloc(memory, bytes);
}

static void a_small_allocation_is_zeroed_and_never_null(void **state)
{
    char *memory = qp_alloc(64);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(memory[i], 0);
    qp_free(memory);
    qp_free(qp_alloc(0));
    qp_free(NULL);
}

static void a_copied_string_ends_with_nul_where_the_source_did_not(void **state)
{
    char *text = qp_strndup("abcdef", 3);
    assert_string_equal(text, "abc");
    qp_free(text);
    text = qp_strndup(NULL, 0);
    assert_string_equal(text, "");
    qp_free(text);
}

static void without_memory_try_gives_null_and_keeps_the_old_block(void **state)
{
    char *memory = qp_try_alloc(4);
    memcpy(memory, "abc", 4);
    memory_is_gone = true;
    assert_null(qp_try_alloc(4));
    assert_null(qp_try_realloc(memory, 1000));
    memory_is_gone = false;
    assert_string_equal(memory, "abc");
    memory = qp_try_realloc(memory, 1000);
    assert_string_equal(memory, "abc");
    qp_free(memory);
}

static void a_small_allocation_without_memory_aborts_with_a_word(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        memory_is_gone = true;
        qp_free(qp_alloc(4));
        _exit(0);
    }
    close(ends[1]);
    char words[4096] = "";
    size_t len = 0;
    for (ssize_t got; (got = read(ends[0], words + len, sizeof(words) - 1 - len)) > 0;)
        len += (size_t)got;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(words, "out of memory"));
}

static void what_is_held_is_counted_and_what_is_given_back_is_not(void **state)
{
    uint64_t before = qp_alloc_held_bytes();
    char *one = qp_alloc(1000);
    char *two = qp_try_alloc(2000);
    char *three = qp_try_calloc(30, 100);
    assert_in_range(qp_alloc_held_bytes() - before, 6000, 6200);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(three[i], 0);
    two = qp_try_realloc(two, 100000);
    assert_in_range(qp_alloc_held_bytes() - before, 104000, 110000);
    two = qp_try_realloc(two, 10);
    assert_in_range(qp_alloc_held_bytes() - before, 4010, 4400);
    memory_is_gone = true;
    assert_null(qp_try_alloc(4));
    assert_null(qp_try_calloc(4, 4));
    assert_null(qp_try_realloc(two, 1000));
    memory_is_gone = false;
    qp_free(one);
    qp_free(two);
    qp_free(three);
    qp_free(NULL);
    assert_int_equal(qp_alloc_held_bytes(), before);
}

static void memory_is_short_past_the_ceiling_and_until_nine_tenths_of_it(void **state)
{
    int ends[2];
    char words[4096] = "";
    uint64_t shortages = qp_alloc_shortages();
    assert_int_equal(pipe(ends), 0);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = ends[1], .access_fd = -1});
    void *large = qp_try_alloc(1 << 20);
    assert_false(qp_alloc_is_short()); /* there is no ceiling */
    qp_alloc_set_ceiling(qp_alloc_held_bytes() + 100);
    assert_false(qp_alloc_is_short());
    void *more = qp_try_alloc(200);
    assert_non_null(more); /* nothing fails for it */
    for (int i = 0; i < 3; i++) {
        assert_true(qp_alloc_is_short());
        qp_free(more);
        assert_true(qp_alloc_is_short()); /* below, but not by a tenth */
        large = qp_try_realloc(large, 1 << 19);
        assert_false(qp_alloc_is_short());
        large = qp_try_realloc(large, 1 << 20);
        assert_false(qp_alloc_is_short());
        more = qp_try_alloc(200);
    }
    assert_int_equal(qp_alloc_shortages() - shortages, 3);
    qp_free(large);
    qp_free(more);
    qp_alloc_set_ceiling(0);
    assert_false(qp_alloc_is_short());
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = 2, .access_fd = -1});
    close(ends[1]);
    assert_true(read(ends[0], words, sizeof(words) - 1) > 0);
    close(ends[0]);
    const char *begins = strstr(words, "nothing new is taken on");
    const char *ends_again = strstr(words, "are taken on again");
    assert_true(begins && ends_again && begins < ends_again);
    assert_null(strstr(begins + 1, "nothing new is taken on")); /* once in ten seconds */
    assert_null(strstr(ends_again + 1, "are taken on again"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_allocation_is_zeroed_and_never_null),
        cmocka_unit_test(a_copied_string_ends_with_nul_where_the_source_did_not),
        cmocka_unit_test(without_memory_try_gives_null_and_keeps_the_old_block),
        cmocka_unit_test(a_small_allocation_without_memory_aborts_with_a_word),
        cmocka_unit_test(what_is_held_is_counted_and_what_is_given_back_is_not),
        cmocka_unit_test(memory_is_short_past_the_ceiling_and_until_nine_tenths_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
