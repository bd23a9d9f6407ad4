/* What is refused, with the status that a client is told: where two readers could differ, there is no
 * leniency. */
#include "http/refusal.h"
#include "unit/http/check.h"

#define GET     "GET / HTTP/1.1\r\n"
#define HOST    "Host: a\r\n"
#define POST    "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define OK_     "HTTP/1.1 200 OK\r\n"

struct refused {
    unsigned status;
    const char *code; /* NULL: does not matter */
    struct qp_slice bytes;
};

static const struct refused requests[] = {
    /* start line */
    {501, "not_implemented_method",
     QP_SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB / HTTP/1.1\r\n" HOST
              "\r\n")},
    {400, "bad_request", QP_SLICE(" / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("G(T / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET\t/ HTTP/1.1\r\n" HOST "\r\n")},
    {505, NULL, QP_SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {400, "bad_request", QP_SLICE("SOURCE / ICE/1.0\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("FLUSH / RTSP/1.0\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("SETUP rtsp://a/ RTSP/1.0\r\n\r\n")},
    {405, "method_not_allowed", QP_SLICE("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")},
    {400, "bad_request", QP_SLICE("OPTIONS * RTSP/1.0\r\n\r\n")},
    {400, "bad_request", QP_SLICE("\x16\x03\x01\x02\x00\x01")},
    {400, "bad_request", QP_SLICE(" GET / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET\t/ HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET  / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET /  HTTP/1.1\r\n" HOST "\r\n")},
    {400, NULL, QP_SLICE("GET /\tHTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / HTTP/1.1 \r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / HTTP/1.10\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / http/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / HTTP/1.x\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / HTTP/11\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / FOO HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("GET / HTTP/1.1\n" HOST "\r\n")},
    {400, NULL, QP_SLICE("GET / HTTP/1.1\r" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("\nGET / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("\rGET / HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_request", QP_SLICE("\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n")},
    {505, "version_not_supported", QP_SLICE("GET /\r\n\r\n")},
    {505, "version_not_supported", QP_SLICE("GET / HTTP/0.9\r\n" HOST "\r\n")},
    {505, "version_not_supported", QP_SLICE("GET / HTTP/1.2\r\n" HOST "\r\n")},
    {505, "version_not_supported", QP_SLICE("GET / HTTP/2.0\r\n" HOST "\r\n")},
    {505, "version_not_supported", QP_SLICE("GET / HTTP/3.0\r\n" HOST "\r\n")},
    /* target */
    {400, "bad_target", QP_SLICE("GET /a#b HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET /\x7f HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET /\0 HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET a HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET * HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET http://u:p@a/ HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET http:///x HTTP/1.1\r\n" HOST "\r\n")},
    {400, "bad_target", QP_SLICE("GET a:443 HTTP/1.1\r\n" HOST "\r\n")},
    /* fields */
    {400, "bad_field", QP_SLICE(GET HOST "X: a\x01\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "X: a\0b\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "X: a\x7f\r\n\r\n")},
    {400, NULL, QP_SLICE(GET HOST "X: a\rb\r\n\r\n")},
    {400, NULL, QP_SLICE(GET HOST "X: a\nY: b\r\n\r\n")},
    {400, NULL, QP_SLICE(GET HOST "X:\nY: b\r\n\r\n")},
    {400, NULL, QP_SLICE(GET HOST "X:\rY: b\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "X: a\r\n b\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "X:\r\n\tb\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET " " HOST "\r\n")},
    {400, "bad_field", QP_SLICE(GET "\t" HOST "\r\n")},
    {400, "bad_field", QP_SLICE(GET "Host : a\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET "Content-Length : 1\r\n" HOST "\r\na")},
    {400, "bad_field", QP_SLICE(GET "Content-Length\t: 1\r\n" HOST "\r\na")},
    {400, "bad_field", QP_SLICE(GET HOST ": a\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "no colon\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "nocolon\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "X(y): a\r\n\r\n")},
    {400, "bad_field", QP_SLICE(GET HOST "X\x80: a\r\n\r\n")},
    {400, NULL, QP_SLICE(GET HOST "\n")},
    {400, NULL, QP_SLICE(GET HOST "\rX")},
    /* Host */
    {400, "bad_host", QP_SLICE(GET "\r\n")},
    {400, "bad_host", QP_SLICE(GET HOST HOST "\r\n")},
    {400, "bad_host", QP_SLICE("GET / HTTP/1.0\r\n" HOST "host: b\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host:\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: a/b\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: u@a\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: a b\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: a:b\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: a:99999\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: [::1\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: [:::1]\r\n\r\n")},
    {400, "bad_host", QP_SLICE(GET "Host: [1:2:3:4:5:6:7:8:9]\r\n\r\n")},
    {417, "expectation_failed", QP_SLICE(POST "Expect: magic\r\n\r\n")},
    {417, "expectation_failed", QP_SLICE(POST "Expect: 100-continue, magic\r\n\r\n")},
    {417, "expectation_failed", QP_SLICE(POST "Expect: 100-continue\r\nExpect: 101-continue\r\n\r\n")},
    /* framing */
    {400, "bad_framing", QP_SLICE(POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_framing", QP_SLICE(POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\naa")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 1, 1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: +1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: -1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 0x1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 1 1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 1.0\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length:\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: \"1\"\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 9223372036854775808\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(POST "Content-Length: 18446744073709551616\r\n\r\na")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding",
     QP_SLICE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: identity\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(POST "Transfer-Encoding:\r\n\r\n")},
    {400, "bad_field",
     QP_SLICE(POST "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n0\r\n\r\n")},
    {501, "not_implemented_coding", QP_SLICE(POST "Transfer-Encoding: gzip\r\n\r\n")},
    {501, "not_implemented_coding", QP_SLICE(POST "Transfer-Encoding: GZip, Chunked\r\n\r\n0\r\n\r\n")},
    {501, "not_implemented_coding",
     QP_SLICE(POST "Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {501, "not_implemented_coding", QP_SLICE(POST "Transfer-Encoding: compress\r\n\r\n")},
    {400, "bad_framing", QP_SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
    /* chunks: a HEAD comes first */
    {400, "bad_chunk", QP_SLICE(CHUNKED "g\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "-1\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "0x1\r\na\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1 \r\na\r\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1\na\r\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1\r\nab\r\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1\r\na\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1\r\na0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "10000000000000000\r\na\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1;\x01\r\na\r\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "1;a=\"\x7f\"\r\na\r\n0\r\n\r\n")},
    {400, "bad_field", QP_SLICE(CHUNKED "0\r\nX : a\r\n\r\n")},
    {400, "bad_field", QP_SLICE(CHUNKED "0\r\nX: a\r\n b\r\n\r\n")},
    {400, NULL, QP_SLICE(CHUNKED "0\r\n\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "8000000000000000\r\na\r\n0\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(CHUNKED "ffffffffffffffff\r\na\r\n0\r\n\r\n")},
    /* trailers that would frame, route or authenticate */
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nContent-Length: 1\r\n\r\n")},
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nX: a\r\ntransfer-encoding: gzip\r\n\r\n")},
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nHost: a\r\n\r\n")},
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nAuthorization: a\r\n\r\n")},
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nX-Api-Token: a\r\n\r\n")},
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nTrailer: a\r\n\r\n")},
    {400, "bad_trailer", QP_SLICE(CHUNKED "0\r\nConnection: close\r\n\r\n")},
};

static const struct refused responses[] = {
    {400, "bad_framing", QP_SLICE(OK_ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_framing", QP_SLICE(OK_ "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n")},
    {400, "bad_framing", QP_SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_content_length", QP_SLICE(OK_ "Content-Length: 1\r\nContent-Length: 1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(OK_ "Content-Length: 1,1\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE(OK_ "Content-Length: 9223372036854775808\r\n\r\na")},
    {400, "bad_content_length", QP_SLICE("HTTP/1.1 304 N\r\nContent-Length: x\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(OK_ "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(OK_ "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")},
    {400, "bad_transfer_encoding", QP_SLICE(OK_ "Transfer-Encoding: identity\r\n\r\n")},
    {501, "not_implemented_coding", QP_SLICE(OK_ "Transfer-Encoding: gzip\r\n\r\n")},
    {501, "not_implemented_coding", QP_SLICE(OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
    {505, "version_not_supported", QP_SLICE("HTTP/2.0 200 OK\r\n\r\n")},
    {505, "version_not_supported", QP_SLICE("HTTP/1.2 200 OK\r\n\r\n")},
    {400, "bad_request", QP_SLICE("RTSP/1.0 200 OK\r\n\r\n")},
    {400, "bad_request", QP_SLICE("ICE/1.0 200 OK\r\n\r\n")},
    {400, "bad_request", QP_SLICE("hello\r\n\r\n")},
    {400, "bad_request", QP_SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n")},
    {400, "bad_request", QP_SLICE("\nHTTP/1.1 200 OK\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 099 Low\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 000 Low\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 600 High\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 999 High\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 20 OK\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 2000 OK\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1  200 OK\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 200 O\0K\r\n\r\n")},
    {400, "bad_status", QP_SLICE("HTTP/1.1 200 O\x1bK\r\n\r\n")},
    {400, NULL, QP_SLICE("HTTP/1.1 200 OK\n\r\n")},
    {400, NULL, QP_SLICE("HTTP/1.1 200 O\rK\r\n\r\n")},
    {400, "bad_request", QP_SLICE("HTTP/1.1 200 OK\r\rX: a\r\n\r\n")},
    {400, "bad_request", QP_SLICE("HTTP/1.1 200 OK\r\r\r\n")},
    {400, "bad_request", QP_SLICE("HTTP/1.1 200\r\r\n\r\n")},
    {400, "bad_field", QP_SLICE(OK_ "X: a\r\n folded\r\n\r\n")},
    {400, "bad_field", QP_SLICE(OK_ "X: a\0\r\n\r\n")},
    {400, "bad_field", QP_SLICE(OK_ "X : a\r\n\r\n")},
    {400, NULL, QP_SLICE(OK_ "X: a\nY: b\r\n\r\n")},
    {400, "bad_chunk", QP_SLICE(OK_ "Transfer-Encoding: chunked\r\n\r\nzz\r\n")},
    {400, "bad_trailer", QP_SLICE(OK_ "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n")},
};

static void check_refused(enum qp_direction direction, const struct refused *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct transcript_opts opts = {.direction = direction};
        struct qp_buf out = {0}, expected = {0};
        transcript_every_way(&out, &opts, cases[i].bytes);
        qp_buf_append_fmt(&expected, cases[i].code ? "REFUSED %u %s\n" : "REFUSED %u ", cases[i].status,
                          cases[i].code);
        const bool as_expected = qp_slice_find(qp_buf_slice(&out), qp_buf_slice(&expected)) != NULL;
        if (!as_expected)
            print_error("%.*s\ngave\n%.*sinstead of %.*s\n", QP_SLICE_FMT(cases[i].bytes),
                        QP_SLICE_FMT(qp_buf_slice(&out)), QP_SLICE_FMT(qp_buf_slice(&expected)));
        assert_true(as_expected);
        assert_null(qp_slice_find(qp_buf_slice(&out), QP_SLICE("END\n")));
        qp_buf_deinit(&out);
        qp_buf_deinit(&expected);
    }
}

static void malformed_requests_are_refused(void **state)
{
    check_refused(QP_REQUEST, requests, sizeof requests / sizeof requests[0]);
}

static void malformed_responses_are_refused(void **state)
{
    check_refused(QP_RESPONSE, responses, sizeof responses / sizeof responses[0]);
}

/* Hard requirement 2: bytes behind a refused request are never a next one. */
static void a_refused_parser_takes_nothing_more(void **state)
{
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_slice body;
    struct qp_slice bad = QP_SLICE(GET "\r\n" GET HOST "\r\n");
    struct qp_slice good = QP_SLICE(GET HOST "\r\n");
    qp_arena_init(&arena, 4096, 65536);
    qp_parser_init(&parser, QP_REQUEST, &transcript_roomy_limits, &arena);
    assert_int_equal(qp_parser_next(&parser, &bad, &body), QP_PARSE_REFUSED);
    assert_int_equal(qp_parser_next(&parser, &bad, &body), QP_PARSE_REFUSED);
    assert_int_equal(qp_parser_next(&parser, &good, &body), QP_PARSE_REFUSED);
    assert_int_equal(good.len, strlen(GET HOST "\r\n"));
    assert_int_equal(qp_parser_end_of_input(&parser), QP_PARSE_REFUSED);
    assert_string_equal(parser.refusal.code, "bad_host");
    qp_arena_deinit(&arena);
}

static void every_refusal_is_a_sentence_with_a_status_and_a_code(void **state)
{
    for (enum qp_refusal_id id = 1; id < QP_REFUSAL_COUNT; id++) {
        const struct qp_refusal *refusal = qp_refusal_get(id);
        assert_true(refusal->status >= 400 && refusal->status <= 505);
        assert_true(strlen(refusal->code) > 0 && strcspn(refusal->code, " -") == strlen(refusal->code));
        assert_true(strlen(refusal->text) > 20 && refusal->text[strlen(refusal->text) - 1] == '.');
        assert_true(refusal->text[0] >= 'A' && refusal->text[0] <= 'Z');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(a_refused_parser_takes_nothing_more),
        cmocka_unit_test(every_refusal_is_a_sentence_with_a_status_and_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
