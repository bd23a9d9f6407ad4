#include "relay/via.h"

#include "base/arena.h"

#include "cmocka_all.h"

static void the_mark_is_written_as_rfc_9110_has_it(void **state)
{
    struct qp_buf out = {0};
    qp_via_write(1, 0, QP_SLICE("qproxy"), QP_SLICE("0a1b2c3d"), &out);
    qp_via_write(1, 1, QP_SLICE("qproxy"), QP_SLICE_NONE, &out);
    assert_true(
        qp_slice_is(qp_buf_slice(&out), QP_SLICE("Via: 1.0 qproxy (0a1b2c3d)\r\nVia: 1.1 qproxy\r\n")));
    qp_buf_deinit(&out);
}

struct row {
    const char *via[3];
    bool is_loop;
};

static const struct row ROWS[] = {
    {{NULL}, false},
    {{"1.1 qproxy (me)"}, true},
    {{"1.0 fred, 1.1 QProxy (me), 1.1 nginx"}, true},
    {{"1.0 fred", "HTTP/1.1 qproxy (me)"}, true},
    {{"1.1\tqproxy\t(me)"}, true},
    {{",, 1.1 qproxy (me) ,"}, true},
    /* another process of our name, or a name that only looks like ours */
    {{"1.1 qproxy (you)"}, false},
    {{"1.1 qproxy (me too)"}, false},
    {{"1.1 qproxy (Me)"}, false},
    {{"1.1 qproxy"}, false},
    {{"1.1 qproxy:8080 (me)"}, false},
    {{"1.1 qproxy2 (me)"}, false},
    {{"1.1 edge (me)"}, false},
    {{"qproxy (me)"}, false},
    {{"1.1 edge qproxy (me)"}, false},
    /* what stands in a comment is no element */
    {{"1.1 edge (says, 1.1 qproxy (me), or not)"}, false},
    {{"1.1 edge (a \\) , 1.1 qproxy (me)"}, false},
    {{"1.1 edge (never closed, 1.1 qproxy (me)"}, false},
    {{"1.1 edge ), 1.1 qproxy (me)"}, true},
    {{"1.1 edge (ends with \\"}, false},
    /* comments were removed on the way: some of one name in a row are legal, for ever is not */
    {{"1.1 qproxy, 1.1 qproxy, 1.1 qproxy"}, false},
    {{"1.1 qproxy, 1.1 qproxy, 1.1 qproxy, 1.1 qproxy"}, true},
    {{"1.1 qproxy, 1.1 edge", "1.1 qproxy (you), 1.1 qproxy", "1.1 QPROXY"}, true},
    {{"", ",", "1.1"}, false},
};

static void a_request_that_comes_back_is_known(void **state)
{
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct qp_arena arena;
        struct qp_fields fields = {0};
        qp_arena_init(&arena, 4096, 1 << 16);
        assert_true(qp_fields_add(&fields, &arena, QP_SLICE("X-Via"), QP_SLICE("1.1 qproxy (me)")));
        for (unsigned k = 0; k < 3 && ROWS[i].via[k]; k++)
            assert_true(qp_fields_add(&fields, &arena, QP_SLICE("VIA"), qp_slice_str(ROWS[i].via[k])));
        if (qp_via_is_loop(&fields, QP_SLICE("qproxy"), QP_SLICE("me")) != ROWS[i].is_loop)
            fail_msg("row %u: %s", i, ROWS[i].via[0] ? ROWS[i].via[0] : "no Via");
        qp_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mark_is_written_as_rfc_9110_has_it),
        cmocka_unit_test(a_request_that_comes_back_is_known),
    };
    return cmocka_run_group_tests_name("relay.via", tests, NULL, NULL);
}
