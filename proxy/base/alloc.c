#include "base/alloc.h"
#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    return memory;
}

void *qp_try_alloc(size_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

void *qp_try_realloc(void *memory, size_t bytes)
{
    return realloc(memory, bytes ? bytes : 1);
}

void qp_free(void *memory)
{
    free(memory);
}

char *qp_strndup(const char *at, size_t len)
{
    qp_require(len < SIZE_MAX);
    char *text = qp_alloc(len + 1);
    if (len)
        memcpy(text, at, len);
    return text;
}
