#include "relay/rewrite.h"

#include "base/arena.h"
#include "http/parse.h"

#include <stdio.h>

#include "cmocka_all.h"

static const struct qp_parse_limits LIMITS = {
    .head_bytes = 65536, .target_bytes = 8192, .fields = 100, .chunk_extension_bytes = 4096};

struct parsed {
    struct qp_arena arena;
    struct qp_parser parser;
};

static const struct qp_message *parse(struct parsed *parsed, enum qp_direction direction, const char *head)
{
    struct qp_slice input = qp_slice_str(head), piece;
    qp_arena_init(&parsed->arena, 4096, 1 << 20);
    qp_parser_init(&parsed->parser, direction, &LIMITS, &parsed->arena);
    assert_int_equal(qp_parser_next(&parsed->parser, &input, &piece), QP_PARSE_HEAD);
    return &parsed->parser.message;
}

/* The head that goes to the origin, byte for byte. opts: what is not the message's. */
static void check(const struct qp_rewrite *opts, const char *head, const char *wanted)
{
    struct parsed parsed;
    struct qp_rewrite rewrite = *opts;
    struct qp_secret *token = qp_secret_new(QP_SLICE("T0K-en"));
    struct qp_buf out = {0};
    rewrite.message = parse(&parsed, QP_REQUEST, head);
    rewrite.target = rewrite.message->target;
    rewrite.authority = QP_SLICE("iad1.qualtrics.com");
    rewrite.via = QP_SLICE("qproxy");
    rewrite.token = token;
    qp_rewrite_request(&rewrite, &out);
    qp_buf_append_char(&out, '\0');
    assert_string_equal(qp_buf_slice(&out).at, wanted);
    qp_buf_deinit(&out);
    qp_secret_free(&token);
    qp_arena_deinit(&parsed.arena);
}

static const struct qp_rewrite PLAIN = {0};

#define VIA   "Via: 1.1 qproxy\r\n"
#define TOKEN "Authorization: Bearer T0K-en\r\n\r\n"

static void a_plain_request_byte_for_byte(void **state)
{
    check(&PLAIN, "GET /API//v3/%2e./x?a=%2f&b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
          "GET /API//v3/%2e./x?a=%2f&b HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA TOKEN);
}

static void fields_keep_their_order_case_and_number(void **state)
{
    check(&PLAIN,
          "GET / HTTP/1.1\r\nx-B: 2\r\nX-a:  1 \t\r\nHOST: a\r\nX-A: 3\r\nx-Empty:\r\nCookie: c\r\nVia: 1.0 "
          "other\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nx-B: 2\r\nX-a: 1\r\nX-A: 3\r\nx-Empty: \r\nCookie: "
          "c\r\n"
          "Via: 1.0 other\r\n" VIA TOKEN);
}

static void no_credential_of_the_clients_goes_on(void **state)
{
    check(&PLAIN,
          "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer theirs\r\nAUTHORIZATION: Basic "
          "eA==\r\naUthOrization: x\r\n"
          "X-API-TOKEN: theirs\r\nx-api-token: again\r\nProxy-Authorization: Basic eA==\r\nX-Api-Token2: "
          "stays\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nX-Api-Token2: stays\r\n" VIA TOKEN);
}

static void what_connection_names_stays_behind_but_nothing_of_ours(void **state)
{
    check(&PLAIN,
          "POST / HTTP/1.1\r\nHost: a\r\nConnection: x-one, ,Authorization\r\nX-One: 1\r\nX-Two: "
          "2\r\nConnection:HOST,X-TWO,Content-Length, Via\r\n"
          "Keep-Alive: 5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nTrailer: X\r\nX-Three: "
          "3\r\nContent-Length: 2\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nX-Three: 3\r\n" VIA "Content-Length: 2\r\n" TOKEN);
}

static void framing_is_written_anew(void **state)
{
    check(&PLAIN, "PUT / HTTP/1.1\r\nContent-Length: 0005\r\nHost: a\r\n\r\n",
          "PUT / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA "Content-Length: 5\r\n" TOKEN);
    check(&PLAIN, "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: a\r\n\r\n",
          "PUT / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA "Transfer-Encoding: chunked\r\n" TOKEN);
}

/* The API answers 411 otherwise. */
static void a_post_without_a_body_says_so(void **state)
{
    static const char *const with[] = {"POST", "PUT", "PATCH"};
    static const char *const without[] = {"GET", "HEAD", "DELETE", "OPTIONS"};
    char in[64], out[160];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(in, sizeof in, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", with[i]);
        snprintf(out, sizeof out,
                 "%s / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA "Content-Length: 0\r\n" TOKEN, with[i]);
        check(&PLAIN, in, out);
    }
    for (unsigned i = 0; i < 4; i++) {
        snprintf(in, sizeof in, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", without[i]);
        snprintf(out, sizeof out, "%s / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA TOKEN, without[i]);
        check(&PLAIN, in, out);
    }
}

static void te_goes_on_only_as_trailers(void **state)
{
    check(&PLAIN, "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\nConnection: TE\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nTE: trailers\r\nConnection: TE\r\n" VIA TOKEN);
    check(&PLAIN, "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nConnection: TE\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA TOKEN);
}

static void expect_is_ours_to_say(void **state)
{
    const struct qp_rewrite expects = {.expect_continue = true};
    const char *head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    check(&PLAIN, head, "POST / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA "Content-Length: 1\r\n" TOKEN);
    check(&expects, head,
          "POST / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nExpect: 100-continue\r\n" VIA
          "Content-Length: 1\r\n" TOKEN);
}

static void an_answer_to_be_read_is_asked_for_uncoded(void **state)
{
    const struct qp_rewrite plain_answer = {.plain_answer = true};
    const char *head = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nAccept-encoding: br\r\n\r\n";
    check(&plain_answer, head,
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nAccept-Encoding: identity\r\n" VIA TOKEN);
    check(&PLAIN, head,
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nAccept-Encoding: gzip\r\nAccept-encoding: br\r\n" VIA
              TOKEN);
}

static void an_api_token_has_its_own_field(void **state)
{
    const struct qp_rewrite is_static = {.static_token = true};
    check(&is_static, "GET / HTTP/1.1\r\nHost: a\r\nX-API-TOKEN: theirs\r\nAuthorization: theirs\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\n" VIA "X-API-TOKEN: T0K-en\r\n\r\n");
}

static void an_old_client_is_named_in_via_and_spoken_for_in_1_1(void **state)
{
    check(&PLAIN, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nVia: 1.0 qproxy\r\n" TOKEN);
}

static void via_tells_which_process_it_was(void **state)
{
    const struct qp_rewrite opts = {.instance = QP_SLICE("0a1b2c3d")};
    check(&opts, "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nVia: 1.1 edge\r\nVia: 1.1 qproxy "
          "(0a1b2c3d)\r\n" TOKEN);
}

static void max_forwards_is_counted_where_it_counts(void **state)
{
    check(&PLAIN, "OPTIONS * HTTP/1.1\r\nHost: a\r\nmax-forwards: 010\r\nX: y\r\n\r\n",
          "OPTIONS * HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nX: y\r\nMax-Forwards: 9\r\n" VIA TOKEN);
    check(&PLAIN, "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nMax-Forwards: 1\r\n" VIA TOKEN);
    check(&PLAIN, "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: few\r\n\r\n",
          "OPTIONS / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nMax-Forwards: few\r\n" VIA TOKEN);
    check(
        &PLAIN, "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nMax-Forwards: 2\r\n\r\n",
        "OPTIONS / HTTP/1.1\r\nHost: iad1.qualtrics.com\r\nMax-Forwards: 1\r\nMax-Forwards: 2\r\n" VIA TOKEN);
}

static void only_uncoded_json_is_read(void **state)
{
    static const struct {
        const char *fields;
        bool plain;
    } rows[] = {
        {"Content-Type: application/json", true},
        {"content-type: Application/JSON ; charset=utf-8", true},
        {"Content-Type: application/problem+json", true},
        {"Content-Type: application/json\r\nContent-Encoding: identity", true},
        {"Content-Type: application/json\r\nContent-Encoding: gzip", false},
        {"Content-Type: application/jsonx", false},
        {"Content-Type: application/x-ndjson", false},
        {"Content-Type: text/html", false},
        {"Content-Type:", false},
        {"X: application/json", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct parsed parsed;
        char head[160];
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n", rows[i].fields);
        assert_int_equal(qp_rewrite_is_plain_json(parse(&parsed, QP_RESPONSE, head)), rows[i].plain);
        qp_arena_deinit(&parsed.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_byte_for_byte),
        cmocka_unit_test(fields_keep_their_order_case_and_number),
        cmocka_unit_test(no_credential_of_the_clients_goes_on),
        cmocka_unit_test(what_connection_names_stays_behind_but_nothing_of_ours),
        cmocka_unit_test(framing_is_written_anew),
        cmocka_unit_test(a_post_without_a_body_says_so),
        cmocka_unit_test(te_goes_on_only_as_trailers),
        cmocka_unit_test(expect_is_ours_to_say),
        cmocka_unit_test(an_answer_to_be_read_is_asked_for_uncoded),
        cmocka_unit_test(an_api_token_has_its_own_field),
        cmocka_unit_test(an_old_client_is_named_in_via_and_spoken_for_in_1_1),
        cmocka_unit_test(via_tells_which_process_it_was),
        cmocka_unit_test(max_forwards_is_counted_where_it_counts),
        cmocka_unit_test(only_uncoded_json_is_read),
    };
    return cmocka_run_group_tests_name("relay.rewrite", tests, NULL, NULL);
}
