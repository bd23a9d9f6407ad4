/* Sound messages, whole and in pieces. */
#include "unit/http/check.h"

#define HOST "Host: a\r\n"

static void a_request_without_body_is_head_and_end(void **state)
{
    check_request(
        "GET /API/v3/surveys?offset=0 HTTP/1.1\r\nHost: a:8080\r\nAccept: */*\r\n\r\n",
        "HEAD GET /API/v3/surveys?offset=0 1.1 none keep-alive\n| Host: a:8080\n| Accept: */*\nEND\n");
}

static void pipelined_requests_follow_each_other(void **state)
{
    check_request(
        "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
        "PUT /b HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\n\r\n"
        "GET /c HTTP/1.0\r\n\r\n",
        "HEAD POST /a 1.1 length 5 keep-alive\n| Host: a\n| Content-Length: 5\nBODY 5 hello\nEND\n"
        "HEAD PUT /b 1.1 chunked keep-alive\n| Host: a\n| Transfer-Encoding: chunked\nBODY 5 abcde\nEND\n"
        "HEAD GET /c 1.0 none close\nEND\n");
}

static void bytes_behind_a_message_stay_in_the_input(void **state)
{
    const struct transcript_opts opts = {.direction = QP_REQUEST, .one_message = true};
    check_bytes(&opts, QP_SLICE("GET / HTTP/1.1\r\n" HOST "\r\nGET"),
                "HEAD GET / 1.1 none keep-alive\n| Host: a\nEND\nREST 3\n");
    check_bytes(
        &opts, QP_SLICE("GET / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nokGET"),
        "HEAD GET / 1.1 length 2 keep-alive\n| Host: a\n| Content-Length: 2\nBODY 2 ok\nEND\nREST 3\n");
    check_bytes(&opts, QP_SLICE("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\nGET"),
                "HEAD GET / 1.1 chunked keep-alive\n| Host: a\n| Transfer-Encoding: CHUNKED\nEND\nREST 3\n");
}

static void values_are_trimmed_and_may_be_empty(void **state)
{
    check_request(
        "GET / HTTP/1.1\r\n" HOST
        "Empty:\r\nBlank:  \t \r\nPadded: \t a  b \t\r\nTight:x\r\nLatin: \xe9\r\n\r\n",
        "HEAD GET / 1.1 none keep-alive\n| Host: a\n| Empty: \n| Blank: \n| Padded: a  b\n| Tight: x\n"
        "| Latin: \xe9\nEND\n");
}

static void a_few_empty_lines_may_precede_a_request(void **state)
{
    check_request("\r\n\r\nGET / HTTP/1.0\r\n\r\n\r\nGET /b HTTP/1.0\r\n\r\n\r\n\r",
                  "HEAD GET / 1.0 none close\nEND\nHEAD GET /b 1.0 none close\nEND\n");
}

/* RFC 9112 section 9.3. */
static void persistence_follows_version_and_connection(void **state)
{
    static const struct {
        const char *version, *connection;
        bool keep_alive;
    } cases[] = {
        {"1.1", "", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "Connection: CLOSE\r\n", false},
        {"1.1", "Connection: keep-alive\r\n", true},
        {"1.1", "Connection: keep-alive, close\r\n", false},
        {"1.1", "Connection: close, keep-alive\r\n", false},
        {"1.1", "Connection: keep-alive\r\nConnection: ,x ,, close\r\n", false},
        {"1.1", "Connection: closed\r\n", true},
        {"1.1", "Connection: upgrade\r\n", true},
        {"1.0", "", false},
        {"1.0", "Connection: keep-alive\r\n", true},
        {"1.0", "Connection: foo,Keep-Alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
        {"1.0", "Connection: close\r\n", false},
        {"1.0", "Proxy-Connection: keep-alive\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qp_buf bytes = {0}, out = {0};
        qp_buf_append_fmt(&bytes, "GET / HTTP/%s\r\nHost: a\r\n%s\r\n", cases[i].version,
                          cases[i].connection);
        transcript_every_way(&out, &(struct transcript_opts){.direction = QP_REQUEST}, qp_buf_slice(&bytes));
        assert_int_equal(qp_slice_find(qp_buf_slice(&out), QP_SLICE(" none keep-alive\n")) != NULL,
                         cases[i].keep_alive);
        qp_buf_deinit(&bytes);
        qp_buf_deinit(&out);
    }
}

static void expect_is_understood_from_1_1_only(void **state)
{
    check_request("POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
                  "HEAD POST / 1.1 length 1 keep-alive expect\n| Host: a\n| Expect: 100-Continue\n"
                  "| Content-Length: 1\nBODY 1 x\nEND\n");
    check_request(
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        "HEAD POST / 1.0 length 1 close\n| Expect: 100-continue\n| Content-Length: 1\nBODY 1 x\nEND\n");
}

/* RFC 9110 section 7.8: a server may ignore Upgrade; what follows is HTTP/1.1 as before. */
static void an_upgrade_field_changes_nothing(void **state)
{
    check_request(
        "GET /chat HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        "POST / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"
        "POST / HTTP/1.1\r\n" HOST
        "Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nk\r\n0\r\n\r\n"
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "HEAD GET /chat 1.1 none keep-alive\n| Host: a\n| Connection: Upgrade\n- Upgrade: websocket\nEND\n"
        "HEAD POST / 1.1 length 2 keep-alive\n| Host: a\n| Connection: upgrade\n- Upgrade: h2c\n"
        "| Content-Length: 2\nBODY 2 ok\nEND\n"
        "HEAD POST / 1.1 chunked keep-alive\n| Host: a\n| Connection: upgrade\n- Upgrade: h2c\n"
        "| Transfer-Encoding: chunked\nBODY 1 k\nEND\n"
        "HEAD GET / 1.1 none keep-alive\n| Host: a\nEND\n");
}

/* Names in Connection count over several lines, in any case; but the proxy's own fields and credentials stay
 * what they are. */
static void connection_nominates_fields(void **state)
{
    check_request(
        "GET / HTTP/1.1\r\nX-a: 1\r\n" HOST "Connection: x-A,, close ,Host\r\nx-B: 2\r\nX-A: 3\r\n"
        "connection: X-b, authorization,content-length, Content-Type\r\nAuthorization: t\r\n"
        "Content-Type: c\r\nX-C: 4\r\n\r\n",
        "HEAD GET / 1.1 none close\n- X-a: 1\n| Host: a\n| Connection: x-A,, close ,Host\n- x-B: 2\n"
        "- X-A: 3\n| connection: X-b, authorization,content-length, Content-Type\n| Authorization: t\n"
        "- Content-Type: c\n| X-C: 4\nEND\n");
}

static void responses_are_framed_by_status_and_fields(void **state)
{
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                   "HEAD 200 OK 1.1 length 3 keep-alive\n| Content-Length: 3\nBODY 3 abc\nEND\n");
    check_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
                   "HEAD 200  1.1 length 0 keep-alive\n| Content-Length: 0\nEND\n");
    check_response(
        "HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n0A\r\n0123456789\r\n0\r\nT: v\r\n\r\nrest",
        "HEAD 200  1.1 chunked keep-alive\n| Transfer-Encoding: Chunked\nBODY 10 0123456789\nEND\n| T: v\n"
        "REST 4\n");
    check_response("HTTP/1.0 200 Fine by me\r\n\r\nuntil\r\nthe end",
                   "HEAD 200 Fine by me 1.0 until-close close\nBODY 14 until\r\nthe end\nEND\n");
    check_response("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
                   "HEAD 200 OK 1.1 until-close close\n| Connection: keep-alive\nEND\n");
    check_response("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
                   "HEAD 204 No Content 1.1 none keep-alive\n| Content-Length: 3\nEND\nREST 3\n");
    check_response("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   "HEAD 304 Not Modified 1.1 none keep-alive\n| Transfer-Encoding: chunked\nEND\nREST 5\n");
    check_response(
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
        "HEAD 101 Switching 1.1 none keep-alive\n| Connection: upgrade\n- Upgrade: x\nEND\n"
        "HEAD 204 N 1.1 none keep-alive\nEND\n");
}

static void interim_responses_come_one_by_one_before_the_final_one(void **state)
{
    check_response(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n"
        "HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n!",
        "HEAD 100 Continue 1.1 none keep-alive\nEND\n"
        "HEAD 103 Early Hints 1.1 none keep-alive\n| Link: </a>\n| Content-Length: 9\nEND\n"
        "HEAD 199 Odd 1.1 none keep-alive\nEND\n"
        "HEAD 201 Created 1.1 length 1 keep-alive\n| Content-Length: 1\nBODY 1 !\nEND\n");
}

static void an_answer_to_head_has_no_body(void **state)
{
    const struct transcript_opts opts = {.direction = QP_RESPONSE, .no_body = true, .one_message = true};
    check_bytes(&opts, QP_SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
                "HEAD 200 OK 1.1 none keep-alive\n| Content-Length: 3\nEND\nREST 3\n");
    check_bytes(&opts, QP_SLICE("HTTP/1.1 200 OK\r\n\r\n"), "HEAD 200 OK 1.1 none keep-alive\nEND\n");
    check_bytes(&opts, QP_SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                "HEAD 200 OK 1.1 none keep-alive\n| Transfer-Encoding: chunked\nEND\n");
}

/* The final answer to a HEAD request comes behind interim ones: the expectation outlives their resets, and
 * not more. */
static void the_no_body_expectation_lasts_to_the_final_response(void **state)
{
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_slice body;
    struct qp_slice input = QP_SLICE("HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 O\r\n\r\nHTTP/1.1 200 P\r\n\r\n");
    qp_arena_init(&arena, 4096, 65536);
    qp_parser_init(&parser, QP_RESPONSE, &transcript_roomy_limits, &arena);
    qp_parser_expect_no_body(&parser);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(qp_parser_next(&parser, &input, &body), QP_PARSE_HEAD);
        assert_int_equal(parser.message.body_kind, QP_BODY_NONE);
        assert_int_equal(qp_parser_next(&parser, &input, &body), QP_PARSE_END);
        qp_parser_reset(&parser);
    }
    assert_int_equal(qp_parser_next(&parser, &input, &body), QP_PARSE_HEAD);
    assert_int_equal(parser.message.body_kind, QP_BODY_UNTIL_CLOSE);
    qp_arena_deinit(&arena);
}

/* What describes the content or the client may stand among trailers; nothing honours it, nothing sends it on. */
static void trailers_are_kept_apart_and_change_nothing(void **state)
{
    check_request(
        "POST / HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Type: x\r\n"
        "Cookie: a\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
        "HEAD POST / 1.1 chunked keep-alive\n| Host: a\n| Transfer-Encoding: chunked\nBODY 1 a\nEND\n"
        "| X-Sum: 1\n| Content-Type: x\n| Cookie: a\n"
        "HEAD GET / 1.1 none keep-alive\n| Host: a\nEND\n");
}

/* RFC 9110 section 7.6.1: "remove any header or trailer field(s) from the message with the same name". */
static void connection_nominates_trailers_too(void **state)
{
    check_request("POST / HTTP/1.1\r\n" HOST
                  "Transfer-Encoding: chunked\r\nConnection: x-a\r\n\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
                  "HEAD POST / 1.1 chunked keep-alive\n| Host: a\n| Transfer-Encoding: chunked\n"
                  "| Connection: x-a\nEND\n- X-A: 1\n| X-B: 2\n");
}

static void targets_go_through_byte_for_byte(void **state)
{
    check_request(
        "GET //a/../b/%2f%2F;x?? HTTP/1.0\r\n\r\nGET http://h:1/x HTTP/1.0\r\n\r\nOPTIONS * HTTP/1.0\r\n\r\n"
        "GET HTTPS://h HTTP/1.0\r\n\r\nGET http://h?q HTTP/1.0\r\n\r\nGET /? HTTP/1.0\r\n\r\n",
        "HEAD GET //a/../b/%2f%2F;x?? 1.0 none close\nEND\nHEAD GET http://h:1/x 1.0 none close\nEND\n"
        "HEAD OPTIONS * 1.0 none close\nEND\nHEAD GET HTTPS://h 1.0 none close\nEND\n"
        "HEAD GET http://h?q 1.0 none close\nEND\nHEAD GET /? 1.0 none close\nEND\n");
}

/* llhttp of its own would take no tab behind a length. */
static void blanks_around_a_framing_field_are_not_its_value(void **state)
{
    check_request("POST / HTTP/1.1\r\n" HOST "Content-Length: \t 1 \t\r\n\r\na"
                  "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\t chunked \t\r\n\r\n0\r\n\r\n",
                  "HEAD POST / 1.1 length 1 keep-alive\n| Host: a\n| Content-Length: 1\nBODY 1 a\nEND\n"
                  "HEAD POST / 1.1 chunked keep-alive\n| Host: a\n| Transfer-Encoding: chunked\nEND\n");
}

static void the_largest_length_is_taken(void **state)
{
    const struct transcript_opts opts = {.direction = QP_RESPONSE, .end_of_input = true};
    check_bytes(
        &opts, QP_SLICE("HTTP/1.1 200 O\r\nContent-Length: 9223372036854775807\r\n\r\nx"),
        "HEAD 200 O 1.1 length 9223372036854775807 keep-alive\n| Content-Length: 9223372036854775807\n"
        "BODY 1 x\nCUT 400 truncated\n");
}

/* P6: what was cut short must be visible as such. */
static void an_end_of_input_inside_a_message_is_a_cut(void **state)
{
    static const char *const cut[] = {
        "H",
        "HTTP/1.1 200 O\r\n\r",
        "HTTP/1.1 200 O\r\nContent-Length: 2\r\n\r\n1",
        "HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        "HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        "HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r",
    };
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        struct qp_buf out = {0};
        const struct transcript_opts opts = {.direction = QP_RESPONSE, .end_of_input = true};
        transcript_every_way(&out, &opts, qp_slice_str(cut[i]));
        assert_non_null(qp_slice_find(qp_buf_slice(&out), QP_SLICE("CUT 400 truncated\n")));
        assert_null(qp_slice_find(qp_buf_slice(&out), QP_SLICE("END\n")));
        qp_buf_deinit(&out);
    }
    check_response("", "");
}

static void begun_is_true_from_the_first_byte_of_the_message(void **state)
{
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_slice body;
    struct qp_slice empty_line = QP_SLICE("\r\n");
    struct qp_slice first = QP_SLICE("G");
    qp_arena_init(&arena, 4096, 65536);
    qp_parser_init(&parser, QP_REQUEST, &transcript_roomy_limits, &arena);
    assert_false(qp_parser_has_begun(&parser));
    assert_int_equal(qp_parser_next(&parser, &empty_line, &body), QP_PARSE_MORE);
    assert_false(qp_parser_has_begun(&parser));
    assert_int_equal(qp_parser_end_of_input(&parser), QP_PARSE_MORE);
    assert_int_equal(qp_parser_next(&parser, &first, &body), QP_PARSE_MORE);
    assert_true(qp_parser_has_begun(&parser));
    assert_int_equal(qp_parser_end_of_input(&parser), QP_PARSE_REFUSED);
    assert_int_equal(qp_parser_next(&parser, &first, &body), QP_PARSE_REFUSED);
    assert_string_equal(parser.refusal.code, "truncated");
    qp_parser_reset(&parser);
    assert_false(qp_parser_has_begun(&parser));
    qp_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_body_is_head_and_end),
        cmocka_unit_test(pipelined_requests_follow_each_other),
        cmocka_unit_test(bytes_behind_a_message_stay_in_the_input),
        cmocka_unit_test(values_are_trimmed_and_may_be_empty),
        cmocka_unit_test(a_few_empty_lines_may_precede_a_request),
        cmocka_unit_test(persistence_follows_version_and_connection),
        cmocka_unit_test(expect_is_understood_from_1_1_only),
        cmocka_unit_test(an_upgrade_field_changes_nothing),
        cmocka_unit_test(connection_nominates_fields),
        cmocka_unit_test(responses_are_framed_by_status_and_fields),
        cmocka_unit_test(interim_responses_come_one_by_one_before_the_final_one),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(the_no_body_expectation_lasts_to_the_final_response),
        cmocka_unit_test(trailers_are_kept_apart_and_change_nothing),
        cmocka_unit_test(connection_nominates_trailers_too),
        cmocka_unit_test(targets_go_through_byte_for_byte),
        cmocka_unit_test(blanks_around_a_framing_field_are_not_its_value),
        cmocka_unit_test(the_largest_length_is_taken),
        cmocka_unit_test(an_end_of_input_inside_a_message_is_a_cut),
        cmocka_unit_test(begun_is_true_from_the_first_byte_of_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
