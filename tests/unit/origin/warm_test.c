/* warm_test.c - exchanges on warm streams ask the allocator for nothing. */
#include "unit/origin/caller.h"

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

static void takes_exchanges_without_allocating(void **state)
{
    struct owner owner = {.is_quiet = true};

    owner_want(&owner, false);
    struct wire *origin = wire_accept(caller.listening);
    assert_true(owner_run_until_given(&owner));
    for (unsigned round = 0; round < 20; round++) {
        /* The first rounds warm the pool, and the test's own buffers. */
        if (round == 10)
            allocation_count = 0;
        wire_forget(origin);
        qp_buf_clear(&owner.diary);
        qp_exchange_begin(owner.exchange, &owner_events, &owner, false);
        qp_exchange_send_head(owner.exchange, QP_SLICE("POST / HTTP/1.1\r\n\r\n"), QP_BODY_CHUNKED);
        qp_exchange_send_body(owner.exchange, QP_SLICE("abc"));
        qp_exchange_finish_request(owner.exchange, NULL);
        assert_true(wire_run_until(origin, "\r\n0\r\n\r\n"));
        wire_send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Some: thing\r\n\r\nabc");
        while (owner.body_bytes < 3 * (round + 1))
            wire_run_ms(1);
        qp_exchange_release(&owner.exchange);
        owner.exchange = qp_pool_try_take(caller.pool);
        assert_non_null(owner.exchange);
    }
    assert_int_equal(allocation_count, 0);
    owner_end(&owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_exchanges_without_allocating, caller_begin, caller_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
