/* Bytes into the parser, both directions.
 *
 * Input: one byte of options (bit 0: response, 1: tight limits, 2: answers HEAD, 3: the stream ends), one
 * byte N, N lengths of pieces, then the stream. What must hold: cut or whole, the transcript is the same;
 * what the writer makes of a parsed message parses again to the same message.
 */
#include "base/check.h"
#include "http/write.h"
#include "unit/http/transcript.h"

static const struct qp_parse_limits tight = {
    .head_bytes = 256, .target_bytes = 256, .fields = 8, .chunk_extension_bytes = 16};

/* Pulls one message of the whole input; false when there is none. The body is appended, the arena is the
 * message's. */
static bool pull(struct qp_parser *parser, struct qp_slice *input, struct qp_buf *body)
{
    struct qp_slice piece;
    for (;;) {
        switch (qp_parser_next(parser, input, &piece)) {
        case QP_PARSE_HEAD:
            break;
        case QP_PARSE_BODY:
            qp_require(piece.len > 0);
            qp_buf_append(body, piece);
            break;
        case QP_PARSE_END:
            return true;
        case QP_PARSE_MORE:
        case QP_PARSE_REFUSED:
            return false;
        }
    }
}

static void write_message(struct qp_buf *out, const struct qp_message *message, struct qp_slice body)
{
    if (message->direction == QP_REQUEST)
        qp_write_request_line(out, message->method, message->target);
    else
        qp_write_status_line(out, message->status, message->reason);
    qp_write_field(out, QP_SLICE("Host"), QP_SLICE("origin"));
    for (unsigned i = 0; i < message->fields.count; i++) {
        qp_require(qp_is_token(message->fields.at[i].name) && qp_is_field_value(message->fields.at[i].value));
        if (qp_field_passes(&message->fields.at[i]))
            qp_write_field(out, message->fields.at[i].name, message->fields.at[i].value);
    }
    qp_write_framing(out, message->body_kind, message->body_length);
    qp_write_head_end(out);
    if (message->body_kind == QP_BODY_CHUNKED && body.len > 0) {
        char head[QP_CHUNK_HEAD_BYTES];
        qp_buf_append(out, qp_slice(head, qp_write_chunk_head(head, body.len)));
        qp_buf_append(out, body);
        qp_buf_append_str(out, "\r\n");
    } else {
        qp_buf_append(out, body);
    }
    if (message->body_kind == QP_BODY_CHUNKED)
        qp_write_last_chunk(out, &message->trailers);
}

/* Those that pass, in order, and nothing else that passes. */
static void require_same_fields(const struct qp_fields *a, const struct qp_fields *b,
                                bool (*passes)(const struct qp_field *))
{
    unsigned j = 0;
    for (unsigned i = 0; i < a->count; i++) {
        if (!passes(&a->at[i]))
            continue;
        while (j < b->count && !passes(&b->at[j]))
            j++;
        qp_require(j < b->count && qp_slice_is(a->at[i].name, b->at[j].name) &&
                   qp_slice_is(a->at[i].value, b->at[j].value));
        j++;
    }
    while (j < b->count)
        qp_require(!passes(&b->at[j++]));
}

static void require_written_reads_the_same(const struct qp_message *message, struct qp_slice body,
                                           bool no_body)
{
    struct qp_buf bytes = {0}, body_again = {0};
    struct qp_arena arena;
    struct qp_parser parser;
    const struct qp_parse_limits roomy = {
        .head_bytes = 1 << 20, .target_bytes = 1 << 20, .fields = 10000, .chunk_extension_bytes = 0};
    write_message(&bytes, message, body);
    struct qp_slice input = qp_buf_slice(&bytes);
    qp_arena_init(&arena, 4096, qp_parser_arena_bytes(&roomy));
    qp_parser_init(&parser, message->direction, &roomy, &arena);
    if (no_body)
        qp_parser_expect_no_body(&parser);
    bool whole = pull(&parser, &input, &body_again);
    if (!whole && message->body_kind == QP_BODY_UNTIL_CLOSE)
        whole = qp_parser_end_of_input(&parser) == QP_PARSE_END;
    qp_require(whole && input.len == 0);
    qp_require(parser.message.body_kind == message->body_kind && parser.message.status == message->status);
    qp_require(parser.message.body_length == message->body_length);
    qp_require(qp_slice_is(parser.message.method, message->method));
    qp_require(qp_slice_is(parser.message.target, message->target));
    qp_require(qp_slice_is(parser.message.reason, message->reason));
    qp_require(qp_slice_is(qp_buf_slice(&body_again), body));
    require_same_fields(&message->fields, &parser.message.fields, qp_field_passes);
    require_same_fields(&message->trailers, &parser.message.trailers, qp_field_passes_as_trailer);
    qp_arena_deinit(&arena);
    qp_buf_deinit(&bytes);
    qp_buf_deinit(&body_again);
}

static void check_writer(const struct transcript_opts *opts, struct qp_slice input)
{
    struct qp_arena arena;
    struct qp_parser parser;
    struct qp_buf body = {0};
    qp_arena_init(&arena, 4096, qp_parser_arena_bytes(opts->limits));
    qp_parser_init(&parser, opts->direction, opts->limits, &arena);
    if (opts->no_body)
        qp_parser_expect_no_body(&parser);
    while (pull(&parser, &input, &body)) {
        require_written_reads_the_same(&parser.message, qp_buf_slice(&body), opts->no_body);
        qp_buf_clear(&body);
        qp_arena_reset(&arena);
        qp_parser_reset(&parser);
        if (opts->no_body)
            qp_parser_expect_no_body(&parser);
    }
    qp_buf_deinit(&body);
    qp_arena_deinit(&arena);
}

/* The transcript up to the reason of a refusal: of a start line with two faults, which one is met first
 * depends on the cuts, because llhttp gives a span out when it ends or the input does. That it is refused,
 * and where, does not. */
static struct qp_slice without_reason(const struct qp_buf *transcript_text)
{
    struct qp_slice text = qp_buf_slice(transcript_text);
    size_t line = text.len > 0 ? text.len - 1 : 0;
    while (line > 0 && text.at[line - 1] != '\n')
        line--;
    const struct qp_slice refused = QP_SLICE("REFUSED ");
    if (text.len - line >= refused.len && memcmp(text.at + line, refused.at, refused.len) == 0)
        text.len = line + refused.len;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size - 2 < data[1])
        return 0;
    const struct transcript_opts opts = {
        .direction = data[0] & 1 ? QP_RESPONSE : QP_REQUEST,
        .limits = data[0] & 2 ? &tight : &transcript_roomy_limits,
        .no_body = data[0] & 4,
        .end_of_input = data[0] & 8,
    };
    const size_t count = data[1];
    const struct qp_slice stream = qp_slice((const char *)data + 2 + count, size - 2 - count);
    struct qp_buf whole = {0}, cut = {0};
    transcript(&whole, &opts, stream, (struct transcript_cuts){0});
    transcript(&cut, &opts, stream, (struct transcript_cuts){.lengths = data + 2, .count = count, .step = 1});
    qp_require(qp_slice_is(without_reason(&whole), without_reason(&cut)));
    qp_buf_deinit(&whole);
    qp_buf_deinit(&cut);
    check_writer(&opts, stream);
    return 0;
}
