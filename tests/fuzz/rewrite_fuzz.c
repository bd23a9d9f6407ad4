/* A client's head, as the parser accepts it, towards the origin.
 *
 * Input: one byte of options (bit 0: an API token, 1: the answer may be rewritten, 2: expects a 100), then the head as bytes. What must
 * hold: the token stands in the head once and last, no credential of the client's stands there, Host and framing are ours and single; and
 * when what was sent comes back it is known as a loop. The fields' values are also taken for a Location: only what begins with the origin's
 * URL or path changes, and only there.
 */
#include "base/check.h"
#include "http/parse.h"
#include "relay/location.h"
#include "relay/rewrite.h"
#include "relay/via.h"

static unsigned count_lines(struct qp_slice head, struct qp_slice name)
{
    unsigned count = 0;
    while (head.at) {
        struct qp_slice line = qp_slice_cut(&head, '\n');
        count += line.len > name.len && line.at[name.len] == ':' &&
                 qp_slice_is_nocase(qp_slice(line.at, name.len), name);
    }
    return count;
}

static bool ends(struct qp_slice text, struct qp_slice end)
{
    return text.len >= end.len && memcmp(text.at + text.len - end.len, end.at, end.len) == 0;
}

static void check(const struct qp_rewrite *rewrite, struct qp_slice head)
{
    const struct qp_message *message = rewrite->message;
    bool is_static = rewrite->static_token;
    qp_require(ends(head, is_static ? QP_SLICE("\r\nX-API-TOKEN: TOKEN\r\n\r\n")
                                    : QP_SLICE("\r\nAuthorization: Bearer TOKEN\r\n\r\n")));
    qp_require(count_lines(head, QP_SLICE("Authorization")) == !is_static);
    qp_require(count_lines(head, QP_SLICE("X-API-TOKEN")) == is_static);
    qp_require(count_lines(head, QP_SLICE("Proxy-Authorization")) == 0);
    qp_require(count_lines(head, QP_SLICE("Host")) == 1);
    qp_require(count_lines(head, QP_SLICE("Upgrade")) == 0);
    unsigned lengths = count_lines(head, QP_SLICE("Content-Length"));
    unsigned codings = count_lines(head, QP_SLICE("Transfer-Encoding"));
    enum qp_body_kind kind = qp_rewrite_body_kind(message);
    qp_require(lengths == (kind == QP_BODY_LENGTH) && codings == (kind == QP_BODY_CHUNKED));
    qp_require(count_lines(head, QP_SLICE("Connection")) <= 1);
    /* One empty line, and it is the last. */
    const char *end = qp_slice_find(head, QP_SLICE("\r\n\r\n"));
    qp_require(end == head.at + head.len - 4);
}

static bool parse(struct qp_parser *parser, struct qp_slice input)
{
    struct qp_slice piece;
    return qp_parser_next(parser, &input, &piece) == QP_PARSE_HEAD;
}

static const struct qp_parse_limits LIMITS = {
    .target_bytes = 8192, .head_bytes = 65536, .fields = 100, .chunk_extension_bytes = 4096};
static const struct qp_parse_limits WIDER = {
    .target_bytes = 8192, .head_bytes = 1 << 17, .fields = 200, .chunk_extension_bytes = 4096};

static void check_loop(const struct qp_rewrite *rewrite, struct qp_slice head)
{
    struct qp_arena arena;
    struct qp_parser parser;
    qp_arena_init(&arena, 4096, 1 << 24);
    qp_parser_init(&parser, QP_REQUEST, &WIDER, &arena);
    qp_require(parse(&parser, head)); /* strictly: it has one reading */
    qp_require(qp_via_is_loop(&parser.message.fields, rewrite->via, rewrite->instance));
    qp_arena_deinit(&arena);
}

static void check_location(struct qp_slice value)
{
    static const struct qp_links_rules rules = {
        .origin_host = {"h", 1}, .origin_port = 443, .base = {"http://c/p", 10}};
    struct qp_buf out = {0};
    if (qp_location_lead_back(&rules, QP_SLICE("/p"), value, &out)) {
        struct qp_slice led = qp_buf_slice(&out);
        bool is_reference = value.at[0] == '/';
        size_t front = is_reference ? 2 : rules.base.len;
        struct qp_slice rest = qp_slice(led.at + front, led.len - front);
        qp_require(qp_slice_starts(led, is_reference ? QP_SLICE("/p/API/") : QP_SLICE("http://c/p/API/")));
        qp_require(ends(value, rest));
        qp_require(is_reference || qp_slice_is_nocase(qp_slice(value.at, 9), QP_SLICE("https://h")));
        qp_require(value.len - rest.len == (is_reference ? 0u : 9u) || value.at[9] == ':');
    }
    qp_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct qp_arena arena;
    struct qp_parser parser;
    qp_arena_init(&arena, 4096, 1 << 24);
    qp_parser_init(&parser, QP_REQUEST, &LIMITS, &arena);
    if (parse(&parser, qp_slice((const char *)data + 1, size - 1))) {
        struct qp_secret *token = qp_secret_new(QP_SLICE("TOKEN"));
        struct qp_buf head = {0};
        const struct qp_rewrite rewrite = {
            .message = &parser.message,
            .target = QP_SLICE("/x"),
            .authority = QP_SLICE("iad1.qualtrics.com"),
            .via = QP_SLICE("qproxy"),
            .instance = QP_SLICE("0a1b2c3d"),
            .token = token,
            .static_token = data[0] & 1,
            .plain_answer = data[0] & 2,
            .expect_continue = data[0] & 4,
        };
        qp_rewrite_request(&rewrite, &head);
        check(&rewrite, qp_buf_slice(&head));
        check_loop(&rewrite, qp_buf_slice(&head));
        for (unsigned i = 0; i < parser.message.fields.count; i++)
            check_location(parser.message.fields.at[i].value);
        qp_buf_deinit(&head);
        qp_secret_free(&token);
    }
    qp_arena_deinit(&arena);
    return 0;
}
