/* warm_test.c - a warm server takes requests without asking the allocator for anything. */
#include "unit/server/stage.h"

#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static unsigned allocation_count;

void *__real_qp_alloc(size_t bytes);
void *__real_qp_try_alloc(size_t bytes);
void *__real_qp_try_realloc(void *memory, size_t bytes);
void *__wrap_qp_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_realloc(void *memory, size_t bytes);

void *__wrap_qp_alloc(size_t bytes)
{
    allocation_count++;
    return __real_qp_alloc(bytes);
}

void *__wrap_qp_try_alloc(size_t bytes)
{
    allocation_count++;
    return __real_qp_try_alloc(bytes);
}

void *__wrap_qp_try_realloc(void *memory, size_t bytes)
{
    allocation_count++;
    return __real_qp_try_realloc(memory, bytes);
}

static void takes_requests_without_allocating(void **state)
{
    static const char requests[] = "GET /now HTTP/1.1\r\nHost: a\r\nX-Some: thing\r\n\r\n"
                                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    struct wire *client = stage_connect();

    for (unsigned round = 0; round < 20; round++) {
        /* The first rounds warm the server, and the test's own buffers and diary. */
        if (round == 10)
            allocation_count = 0;
        qp_buf_clear(&stage.diary);
        qp_buf_clear(&stage.body);
        wire_forget(client);
        wire_send_bytes(client, requests, sizeof(requests) - 1);
        assert_true(wire_run_until(client, "\r\n0\r\n\r\n"));
    }
    assert_int_equal(allocation_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_requests_without_allocating, stage_begin, stage_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
