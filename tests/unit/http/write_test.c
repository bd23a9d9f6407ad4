#include "http/write.h"
#include "unit/http/check.h"

static void check_written(struct qp_buf *out, const char *expected)
{
    assert_true(qp_slice_is(qp_buf_slice(out), qp_slice_str(expected)));
    qp_buf_deinit(out);
}

static void a_request_is_written(void **state)
{
    struct qp_buf out = {0};
    qp_write_request_line(&out, QP_SLICE("GET"), QP_SLICE("/a?b"));
    qp_write_field(&out, QP_SLICE("Host"), QP_SLICE("a"));
    qp_write_field(&out, QP_SLICE("Empty"), QP_SLICE_NONE);
    qp_write_framing(&out, QP_BODY_NONE, 0);
    qp_write_head_end(&out);
    check_written(&out, "GET /a?b HTTP/1.1\r\nHost: a\r\nEmpty: \r\n\r\n");
}

static void a_response_is_written(void **state)
{
    struct qp_buf out = {0};
    qp_write_status_line(&out, 200, QP_SLICE("OK"));
    qp_write_status_line(&out, 599, QP_SLICE(""));
    check_written(&out, "HTTP/1.1 200 OK\r\nHTTP/1.1 599 \r\n");
}

static void framing_is_made_from_the_decision(void **state)
{
    static const struct {
        enum qp_body_kind kind;
        uint64_t length;
        const char *expected;
    } cases[] = {
        {QP_BODY_NONE, 7, ""},
        {QP_BODY_UNTIL_CLOSE, 7, ""},
        {QP_BODY_CHUNKED, 7, "Transfer-Encoding: chunked\r\n"},
        {QP_BODY_LENGTH, 0, "Content-Length: 0\r\n"},
        {QP_BODY_LENGTH, 10, "Content-Length: 10\r\n"},
        {QP_BODY_LENGTH, INT64_MAX, "Content-Length: 9223372036854775807\r\n"},
        {QP_BODY_LENGTH, UINT64_MAX, "Content-Length: 18446744073709551615\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qp_buf out = {0};
        qp_write_framing(&out, cases[i].kind, cases[i].length);
        check_written(&out, cases[i].expected);
    }
}

static void chunk_heads(void **state)
{
    static const struct {
        size_t bytes;
        const char *expected;
    } cases[] = {
        {1, "1\r\n"},
        {9, "9\r\n"},
        {10, "a\r\n"},
        {16, "10\r\n"},
        {0x1f4, "1f4\r\n"},
        {65536, "10000\r\n"},
        {SIZE_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[QP_CHUNK_HEAD_BYTES];
        const size_t length = qp_write_chunk_head(out, cases[i].bytes);
        assert_true(qp_slice_is(qp_slice(out, length), qp_slice_str(cases[i].expected)));
    }
}

static void the_last_chunk_carries_only_trailers_that_may_pass(void **state)
{
    struct qp_buf out = {0};
    struct qp_arena arena;
    struct qp_fields trailers = {0};
    static const char *const names[] = {"X-Sum", "Authorization", "Content-Length",
                                        "Host",  "Set-Cookie",    "X-Two"};
    qp_arena_init(&arena, 4096, 65536);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(qp_fields_add(&trailers, &arena, qp_slice_str(names[i]), QP_SLICE("v")));
    qp_write_last_chunk(&out, &trailers);
    check_written(&out, "0\r\nX-Sum: v\r\nX-Two: v\r\n\r\n");
    qp_write_last_chunk(&out, NULL);
    check_written(&out, "0\r\n\r\n");
    qp_arena_deinit(&arena);
}

static void reasons(void **state)
{
    assert_true(qp_slice_is(qp_status_reason(200), QP_SLICE("OK")));
    assert_true(qp_slice_is(qp_status_reason(431), QP_SLICE("Request Header Fields Too Large")));
    assert_true(qp_slice_is(qp_status_reason(599), QP_SLICE("")));
    for (unsigned status = 0; status < 1000; status++)
        assert_true(qp_is_field_value(qp_status_reason(status)));
}

static void what_is_written_is_read_again(void **state)
{
    struct qp_buf out = {0};
    char head[QP_CHUNK_HEAD_BYTES];
    qp_write_request_line(&out, QP_SLICE("POST"), QP_SLICE("//x?"));
    qp_write_field(&out, QP_SLICE("Host"), QP_SLICE("a"));
    qp_write_framing(&out, QP_BODY_CHUNKED, 0);
    qp_write_head_end(&out);
    qp_buf_append(&out, qp_slice(head, qp_write_chunk_head(head, 11)));
    qp_buf_append_str(&out, "hello world\r\n");
    qp_write_last_chunk(&out, NULL);
    check_bytes(&(struct transcript_opts){.direction = QP_REQUEST}, qp_buf_slice(&out),
                "HEAD POST //x? 1.1 chunked keep-alive\n| Host: a\n| Transfer-Encoding: chunked\n"
                "BODY 11 hello world\nEND\n");
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written),
        cmocka_unit_test(a_response_is_written),
        cmocka_unit_test(framing_is_made_from_the_decision),
        cmocka_unit_test(chunk_heads),
        cmocka_unit_test(the_last_chunk_carries_only_trailers_that_may_pass),
        cmocka_unit_test(reasons),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
