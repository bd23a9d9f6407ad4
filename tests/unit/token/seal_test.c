#include "token/seal.h"

#include "cmocka_all.h"

enum { PLAIN_BYTES = 1000, SEALED_BYTES = PLAIN_BYTES + QP_SEAL_TAG_BYTES };

static char plain[PLAIN_BYTES];
static char sealed[SEALED_BYTES];
static char opened[PLAIN_BYTES];

static struct qp_seal *seal_one(uint64_t index)
{
    struct qp_seal *seal = qp_seal_new();
    for (unsigned i = 0; i < PLAIN_BYTES; i++)
        plain[i] = (char)(i * 7);
    assert_int_equal(qp_seal_close_block(seal, index, qp_slice(plain, PLAIN_BYTES), sealed), QP_OK);
    return seal;
}

static enum qp_result open_one(struct qp_seal *seal, uint64_t index, size_t bytes)
{
    return qp_seal_open_block(seal, index, qp_slice(sealed, bytes), opened);
}

static void a_block_opens_as_it_was_sealed(void **state)
{
    struct qp_seal *seal = seal_one(UINT64_MAX);
    assert_int_equal(open_one(seal, UINT64_MAX, SEALED_BYTES), QP_OK);
    assert_memory_equal(opened, plain, PLAIN_BYTES);
    assert_null(memmem(sealed, SEALED_BYTES, plain, 16));
    qp_seal_free(&seal);
    assert_null(seal);
    qp_seal_free(&seal);
}

static void an_empty_block_is_one_too(void **state)
{
    struct qp_seal *seal = qp_seal_new();
    assert_int_equal(qp_seal_close_block(seal, 0, QP_SLICE(""), sealed), QP_OK);
    assert_int_equal(open_one(seal, 0, QP_SEAL_TAG_BYTES), QP_OK);
    qp_seal_free(&seal);
}

static void any_changed_bit_is_found(void **state)
{
    struct qp_seal *seal = seal_one(3);
    for (unsigned i = 0; i < SEALED_BYTES; i++) {
        sealed[i] ^= (char)(1 << i % 8);
        assert_int_equal(open_one(seal, 3, SEALED_BYTES), QP_SELF_IO);
        sealed[i] ^= (char)(1 << i % 8);
    }
    assert_int_equal(open_one(seal, 3, SEALED_BYTES), QP_OK);
    qp_seal_free(&seal);
}

static void a_cut_block_another_index_or_another_key_does_not_open_it(void **state)
{
    struct qp_seal *seal = seal_one(3);
    for (unsigned len = 0; len < SEALED_BYTES; len++)
        assert_int_equal(open_one(seal, 3, len), QP_SELF_IO);
    assert_int_equal(open_one(seal, 2, SEALED_BYTES), QP_SELF_IO);
    assert_int_equal(open_one(seal, 3 + (1ull << 32), SEALED_BYTES), QP_SELF_IO);
    struct qp_seal *other = qp_seal_new();
    assert_int_equal(open_one(other, 3, SEALED_BYTES), QP_SELF_IO);
    qp_seal_free(&other);
    qp_seal_free(&seal);
}

static void the_same_bytes_are_sealed_differently_each_time(void **state)
{
    static char first[SEALED_BYTES];
    struct qp_seal *seal = seal_one(0);
    memcpy(first, sealed, SEALED_BYTES);
    assert_int_equal(qp_seal_close_block(seal, 1, qp_slice(plain, PLAIN_BYTES), sealed), QP_OK);
    assert_memory_not_equal(first, sealed, 16);
    qp_seal_free(&seal);
    seal = seal_one(0); /* a key of its own */
    assert_memory_not_equal(first, sealed, 16);
    qp_seal_free(&seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_opens_as_it_was_sealed),
        cmocka_unit_test(an_empty_block_is_one_too),
        cmocka_unit_test(any_changed_bit_is_found),
        cmocka_unit_test(a_cut_block_another_index_or_another_key_does_not_open_it),
        cmocka_unit_test(the_same_bytes_are_sealed_differently_each_time),
    };
    return cmocka_run_group_tests_name("token.seal", tests, NULL, NULL);
}
