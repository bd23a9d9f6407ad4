#include "unit/http/transcript.h"

#include <stdio.h>
#include <stdlib.h>

const struct qp_parse_limits transcript_roomy_limits = {
    .head_bytes = 65536, .target_bytes = 16384, .fields = 200, .chunk_extension_bytes = 4096};

struct run {
    const struct transcript_opts *opts;
    struct qp_parser parser;
    struct qp_arena arena;
    struct qp_buf body;
    struct qp_buf *out;
    bool over;
};

static void write_fields(struct qp_buf *out, const struct qp_fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        const struct qp_field *field = &fields->at[i];
        qp_buf_append_str(out, field->nominated ? "- " : "| ");
        qp_buf_append(out, field->name);
        qp_buf_append_str(out, ": ");
        qp_buf_append(out, field->value);
        qp_buf_append_char(out, '\n');
    }
}

static void write_framing(struct qp_buf *out, const struct qp_message *message)
{
    static const char *const kinds[] = {" none", " length ", " chunked", " until-close"};
    qp_buf_append_str(out, kinds[message->body_kind]);
    if (message->body_kind == QP_BODY_LENGTH)
        qp_buf_append_u64(out, message->body_length);
    qp_buf_append_str(out, message->keep_alive ? " keep-alive" : " close");
    qp_buf_append_str(out, message->expect_continue ? " expect\n" : "\n");
}

static void write_head(struct qp_buf *out, const struct qp_message *message)
{
    qp_buf_append_str(out, "HEAD ");
    if (message->direction == QP_REQUEST) {
        qp_buf_append(out, message->method);
        qp_buf_append_char(out, ' ');
        qp_buf_append(out, message->target);
    } else {
        qp_buf_append_u64(out, message->status);
        qp_buf_append_char(out, ' ');
        qp_buf_append(out, message->reason);
    }
    qp_buf_append_fmt(out, " %u.%u", message->major, message->minor);
    write_framing(out, message);
    write_fields(out, &message->fields);
}

static void flush_body(struct run *run)
{
    if (qp_buf_len(&run->body) == 0)
        return;
    qp_buf_append_fmt(run->out, "BODY %zu ", qp_buf_len(&run->body));
    qp_buf_append(run->out, qp_buf_slice(&run->body));
    qp_buf_append_char(run->out, '\n');
    qp_buf_clear(&run->body);
}

static void on_refused(struct run *run, const char *word)
{
    flush_body(run);
    qp_buf_append_fmt(run->out, "%s %u %s\n", word, run->parser.refusal.status, run->parser.refusal.code);
    run->over = true;
}

static void on_end(struct run *run)
{
    const struct qp_message *message = &run->parser.message;
    const bool final = message->direction == QP_REQUEST || message->status >= 200;
    flush_body(run);
    qp_buf_append_str(run->out, "END\n");
    write_fields(run->out, &message->trailers);
    run->over = run->opts->one_message && final;
    if (run->over)
        return;
    qp_arena_reset(&run->arena);
    qp_parser_reset(&run->parser);
    if (run->opts->no_body)
        qp_parser_expect_no_body(&run->parser);
}

/* Pulls until the piece is used up; true when the bytes behind it are of no more use. */
static bool pull(struct run *run, struct qp_slice *input)
{
    struct qp_slice body;
    while (!run->over) {
        switch (qp_parser_next(&run->parser, input, &body)) {
        case QP_PARSE_MORE:
            return false;
        case QP_PARSE_HEAD:
            write_head(run->out, &run->parser.message);
            break;
        case QP_PARSE_BODY:
            qp_buf_append(&run->body, body);
            break;
        case QP_PARSE_END:
            on_end(run);
            break;
        case QP_PARSE_REFUSED:
            on_refused(run, "REFUSED");
            break;
        }
    }
    return true;
}

static void finish(struct run *run, size_t rest_bytes)
{
    const bool refused = run->over && run->parser.refusal.status != 0;
    if (!run->over && run->opts->end_of_input) {
        const enum qp_parse_event event = qp_parser_end_of_input(&run->parser);
        if (event == QP_PARSE_END)
            on_end(run);
        else if (event == QP_PARSE_REFUSED)
            on_refused(run, "CUT");
    }
    flush_body(run);
    if (rest_bytes > 0 && !refused)
        qp_buf_append_fmt(run->out, "REST %zu\n", rest_bytes);
}

static size_t piece_length(const struct transcript_cuts *cuts, size_t index, size_t left)
{
    const size_t wanted = index < cuts->count ? cuts->lengths[index] : cuts->step;
    return index >= cuts->count && wanted == 0 ? left : wanted < left ? wanted : left;
}

void transcript(struct qp_buf *out, const struct transcript_opts *opts, struct qp_slice bytes,
                struct transcript_cuts cuts)
{
    struct run run = {.opts = opts, .out = out};
    const struct qp_parse_limits *limits = opts->limits ? opts->limits : &transcript_roomy_limits;
    qp_arena_init(&run.arena, 4096, qp_parser_arena_bytes(limits));
    qp_parser_init(&run.parser, opts->direction, limits, &run.arena);
    if (opts->no_body)
        qp_parser_expect_no_body(&run.parser);
    size_t at = 0;
    for (size_t index = 0; at < bytes.len && !run.over; index++) {
        const size_t length = piece_length(&cuts, index, bytes.len - at);
        char *copy = malloc(length ? length : 1);
        if (!copy)
            abort();
        memcpy(copy, bytes.at + at, length);
        struct qp_slice input = qp_slice(copy, length);
        pull(&run, &input);
        at += length - input.len;
        free(copy);
    }
    finish(&run, bytes.len - at);
    qp_buf_deinit(&run.body);
    qp_arena_deinit(&run.arena);
}

static void require_same(const struct qp_buf *whole, const struct transcript_opts *opts,
                         struct qp_slice bytes, struct transcript_cuts cuts)
{
    struct qp_buf cut = {0};
    transcript(&cut, opts, bytes, cuts);
    if (!qp_slice_is(qp_buf_slice(whole), qp_buf_slice(&cut))) {
        fprintf(stderr, "whole:\n%.*s\ncut (first piece %u, step %zu):\n%.*s\nof:\n%.*s\n",
                QP_SLICE_FMT(qp_buf_slice(whole)), cuts.count ? cuts.lengths[0] : 0, cuts.step,
                QP_SLICE_FMT(qp_buf_slice(&cut)), QP_SLICE_FMT(bytes));
        abort();
    }
    qp_buf_deinit(&cut);
}

void transcript_every_way(struct qp_buf *out, const struct transcript_opts *opts, struct qp_slice bytes)
{
    transcript(out, opts, bytes, (struct transcript_cuts){0});
    require_same(out, opts, bytes, (struct transcript_cuts){.step = 1});
    require_same(out, opts, bytes, (struct transcript_cuts){.step = 7});
    uint8_t lengths[64];
    memset(lengths, 255, sizeof lengths);
    for (size_t place = 1; place < bytes.len && place < sizeof(lengths) * 255; place++) {
        const size_t full = place / 255;
        lengths[full] = (uint8_t)(place % 255);
        require_same(out, opts, bytes, (struct transcript_cuts){.lengths = lengths, .count = full + 1});
        lengths[full] = 255;
    }
}
