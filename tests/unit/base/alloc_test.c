#include "base/alloc.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_allocation_is_zeroed_and_never_null),
        cmocka_unit_test(a_copied_string_ends_with_nul_where_the_source_did_not),
        cmocka_unit_test(without_memory_try_gives_null_and_keeps_the_old_block),
        cmocka_unit_test(a_small_allocation_without_memory_aborts_with_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
