/* A client's head, as the parser accepts it, towards the origin.
 *
 * Input: one byte of options (bit 0: an API token, 1: the answer may be rewritten, 2: expects a 100), then the head as bytes. What must
 * hold: the token stands in the head once and last, no credential of the client's stands there, Host and framing are ours and single.
 */
#include "base/check.h"
#include "http/parse.h"
#include "relay/rewrite.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct qp_parse_limits limits = {
        .target_bytes = 8192, .head_bytes = 65536, .fields = 100, .chunk_extension_bytes = 4096};
    if (size < 2)
        return 0;
    struct qp_arena arena;
    struct qp_parser parser;
    qp_arena_init(&arena, 4096, 1 << 24);
    qp_parser_init(&parser, QP_REQUEST, &limits, &arena);
    if (parse(&parser, qp_slice((const char *)data + 1, size - 1))) {
        struct qp_secret *token = qp_secret_new(QP_SLICE("TOKEN"));
        struct qp_buf head = {0};
        const struct qp_rewrite rewrite = {
            .message = &parser.message,
            .target = QP_SLICE("/x"),
            .authority = QP_SLICE("iad1.qualtrics.com"),
            .via = QP_SLICE("qproxy"),
            .token = token,
            .static_token = data[0] & 1,
            .plain_answer = data[0] & 2,
            .expect_continue = data[0] & 4,
        };
        qp_rewrite_request(&rewrite, &head);
        check(&rewrite, qp_buf_slice(&head));
        qp_buf_deinit(&head);
        qp_secret_free(&token);
    }
    qp_arena_deinit(&arena);
    return 0;
}
