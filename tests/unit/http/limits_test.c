/* Each limit at its edge: exactly there is fine, one more is refused, however the bytes are cut. */
#include "unit/http/check.h"

static void repeat(struct qp_buf *out, char c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        qp_buf_append_char(out, c);
}

/* expected: NULL for "nothing is refused". */
static void check_limit(enum qp_direction direction, const struct qp_parse_limits *limits,
                        struct qp_buf *bytes, const char *expected)
{
    struct qp_buf out = {0};
    const struct transcript_opts opts = {.direction = direction, .limits = limits};
    transcript_every_way(&out, &opts, qp_buf_slice(bytes));
    if (expected)
        assert_non_null(qp_slice_find(qp_buf_slice(&out), qp_slice_str(expected)));
    else
        assert_non_null(qp_slice_find(qp_buf_slice(&out), QP_SLICE("END\n")));
    assert_int_equal(qp_slice_find(qp_buf_slice(&out), QP_SLICE("REFUSED")) != NULL, expected != NULL);
    qp_buf_deinit(&out);
    qp_buf_deinit(bytes);
}

static const struct qp_parse_limits tight = {
    .head_bytes = 200, .target_bytes = 50, .fields = 5, .chunk_extension_bytes = 20};

static void head_of_bytes(struct qp_buf *bytes, const char *start, size_t head_bytes)
{
    qp_buf_append_str(bytes, start);
    repeat(bytes, 'v', head_bytes - strlen(start) - 4);
    qp_buf_append_str(bytes, "\r\n\r\n");
}

static void heads(void **state)
{
    static const char *const starts[] = {"GET / HTTP/1.0\r\nX: ", "HTTP/1.1 204 "};
    for (unsigned i = 0; i < 2; i++) {
        const enum qp_direction direction = i == 0 ? QP_REQUEST : QP_RESPONSE;
        struct qp_buf bytes = {0};
        head_of_bytes(&bytes, starts[i], tight.head_bytes);
        check_limit(direction, &tight, &bytes, NULL);
        head_of_bytes(&bytes, starts[i], tight.head_bytes + 1);
        check_limit(direction, &tight, &bytes, "REFUSED 431 head_too_large\n");
        head_of_bytes(&bytes, starts[i], tight.head_bytes * 3);
        check_limit(direction, &tight, &bytes, "REFUSED 431 head_too_large\n");
    }
}

/* The limit is one message's: the next one begins anew. */
static void a_second_head_has_its_own_limit(void **state)
{
    struct qp_buf bytes = {0};
    head_of_bytes(&bytes, "GET / HTTP/1.0\r\nX: ", tight.head_bytes);
    head_of_bytes(&bytes, "GET / HTTP/1.0\r\nX: ", tight.head_bytes);
    check_limit(QP_REQUEST, &tight, &bytes, NULL);
    head_of_bytes(&bytes, "GET / HTTP/1.0\r\nX: ", tight.head_bytes);
    head_of_bytes(&bytes, "GET / HTTP/1.0\r\nX: ", tight.head_bytes + 1);
    check_limit(QP_REQUEST, &tight, &bytes, "REFUSED 431 head_too_large\n");
}

static void targets(void **state)
{
    for (unsigned over = 0; over < 2; over++) {
        struct qp_buf bytes = {0};
        qp_buf_append_str(&bytes, "GET /");
        repeat(&bytes, 'a', tight.target_bytes - 1 + over);
        qp_buf_append_str(&bytes, " HTTP/1.0\r\n\r\n");
        check_limit(QP_REQUEST, &tight, &bytes, over ? "REFUSED 414 target_too_long\n" : NULL);
    }
    struct qp_buf bytes = {0};
    qp_buf_append_str(&bytes, "GET /");
    repeat(&bytes, 'a', tight.head_bytes * 2); /* over both limits: the more useful answer wins */
    check_limit(QP_REQUEST, &tight, &bytes, "REFUSED 414 target_too_long\n");
}

static void field_counts(void **state)
{
    for (unsigned over = 0; over < 2; over++) {
        struct qp_buf bytes = {0};
        qp_buf_append_str(&bytes, "GET / HTTP/1.0\r\n");
        for (unsigned i = 0; i < tight.fields + over; i++)
            qp_buf_append_str(&bytes, "a:\r\n");
        qp_buf_append_str(&bytes, "\r\n");
        check_limit(QP_REQUEST, &tight, &bytes, over ? "REFUSED 431 too_many_fields\n" : NULL);
    }
}

#define CHUNKED "HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n"

static void trailers(void **state)
{
    for (unsigned over = 0; over < 2; over++) {
        struct qp_buf bytes = {0};
        qp_buf_append_str(&bytes, CHUNKED "1\r\na\r\n0\r\n");
        head_of_bytes(&bytes, "X: ", tight.head_bytes + over);
        check_limit(QP_RESPONSE, &tight, &bytes, over ? "REFUSED 431 trailers_too_large\n" : NULL);
        qp_buf_append_str(&bytes, CHUNKED "0\r\n");
        for (unsigned i = 0; i < tight.fields + over; i++)
            qp_buf_append_str(&bytes, "a:\r\n");
        qp_buf_append_str(&bytes, "\r\n");
        check_limit(QP_RESPONSE, &tight, &bytes, over ? "REFUSED 431 too_many_fields\n" : NULL);
    }
}

/* Two chunks share the allowance; what counts is what a size line has beyond 16 digits. */
static void chunk_extensions(void **state)
{
    for (unsigned over = 0; over < 2; over++) {
        struct qp_buf bytes = {0};
        qp_buf_append_str(&bytes, CHUNKED "0000000000000001;");
        repeat(&bytes, 'e', 9);
        qp_buf_append_str(&bytes, "\r\na\r\n1;");
        repeat(&bytes, 'e', 14 + 10 + over);
        qp_buf_append_str(&bytes, "\r\nb\r\n2\r\ncd\r\n0\r\n\r\n");
        check_limit(QP_RESPONSE, &tight, &bytes, over ? "REFUSED 400 chunk_extensions_too_large\n" : NULL);
    }
}

static void endless_zeros_are_no_chunk_size(void **state)
{
    struct qp_buf bytes = {0};
    qp_buf_append_str(&bytes, CHUNKED);
    repeat(&bytes, '0', 100);
    check_limit(QP_RESPONSE, &tight, &bytes, "REFUSED 400 chunk_extensions_too_large\n");
}

/* qp_parser_arena_bytes() promises that the limits are met before the arena's cap, byte by byte too. */
static void the_arena_suffices_for_what_the_limits_allow(void **state)
{
    const struct qp_parse_limits limits = {
        .head_bytes = 6000, .target_bytes = 5000, .fields = 400, .chunk_extension_bytes = 10};
    struct qp_buf bytes = {0};
    qp_buf_append_str(&bytes, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n");
    for (unsigned i = 0; i < limits.fields - 2; i++)
        qp_buf_append_str(&bytes, "abc:defghi\r\n");
    qp_buf_append_str(&bytes, "\r\n0\r\n");
    for (unsigned i = 0; i < limits.fields; i++)
        qp_buf_append_str(&bytes, "abc:defghi\r\n");
    qp_buf_append_str(&bytes, "\r\n");
    check_limit(QP_REQUEST, &limits, &bytes, NULL);
    qp_buf_append_str(&bytes, "POST / HTTP/1.1\r\nHost: a\r\nX: ");
    repeat(&bytes, 'x', 5900);
    qp_buf_append_str(&bytes, "\r\n\r\n");
    check_limit(QP_REQUEST, &limits, &bytes, NULL);
}

static void a_full_arena_is_refused_politely(void **state)
{
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_slice body;
    struct qp_slice input = QP_SLICE("GET /0123456789 HTTP/1.0\r\nX: y\r\n\r\n");
    for (size_t cap = 0; cap < 200; cap++) {
        struct qp_slice copy = input;
        qp_arena_init(&arena, 4096, cap);
        qp_parser_init(&parser, QP_REQUEST, &transcript_roomy_limits, &arena);
        assert_int_equal(qp_parser_next(&parser, &copy, &body), QP_PARSE_REFUSED);
        assert_int_equal(parser.refusal.status, 431);
        qp_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(a_second_head_has_its_own_limit),
        cmocka_unit_test(targets),
        cmocka_unit_test(field_counts),
        cmocka_unit_test(trailers),
        cmocka_unit_test(chunk_extensions),
        cmocka_unit_test(endless_zeros_are_no_chunk_size),
        cmocka_unit_test(the_arena_suffices_for_what_the_limits_allow),
        cmocka_unit_test(a_full_arena_is_refused_politely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
