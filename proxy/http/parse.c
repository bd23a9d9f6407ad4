/* parse.c - llhttp made to pull.
 *
 *              skip empty lines      HEAD            size line: CHUNK
 *   AT_START -------------------> IN_HEAD --> IN_BODY ------------> IN_TRAILERS --> AT_END
 *                                               |  ^ BODY (chunked)                   ^
 *                                               +-- BODY (length, until close) -------+
 *
 * llhttp reads heads, chunk size lines and trailers: what is intricate. It pauses at each stop and is resumed
 * by the next call. A body by length or until close needs no parser and is counted here; so llhttp's own idea
 * of how a message is framed, of upgrades and of body-less answers is never asked: it does not even get to see
 * which field is which, framing.c decides once, and of llhttp's flags only F_CHUNKED is left. Its lenient flags
 * are off, and a lint check keeps them off.
 */
#include "http/parse.h"

#include "base/check.h"
#include "base/list.h"
#include "http/chars.h"
#include "http/framing.h"

enum { MAX_EMPTY_LINE_BYTES = 4, MAX_METHOD_BYTES = 64, VERSION_BYTES = 3, CHUNK_SIZE_DIGITS = 16 };

static struct qp_parser *parser_of(llhttp_t *engine)
{
    return QP_CONTAINER_OF(engine, struct qp_parser, engine);
}

/* ---- refusing ---- */

static enum qp_parse_event refuse(struct qp_parser *parser, enum qp_refusal_id id)
{
    if (parser->state != QP_PARSE_IN_REFUSAL)
        parser->refusal = *qp_refusal_get(id);
    parser->state = QP_PARSE_IN_REFUSAL;
    return QP_PARSE_REFUSED;
}

/* From inside a callback: any value but 0 and HPE_PAUSED stops the engine. */
static int refuse_in_callback(struct qp_parser *parser, enum qp_refusal_id id)
{
    refuse(parser, id);
    return HPE_USER;
}

/* What llhttp's error means to a reader. What is not listed cannot be caused by bytes, or is a broken rule
 * like any other. */
static const uint8_t refusal_of_error[] = {
    [HPE_STRICT] = QP_REFUSAL_LINE_END,
    [HPE_CR_EXPECTED] = QP_REFUSAL_LINE_END,
    [HPE_LF_EXPECTED] = QP_REFUSAL_LINE_END,
    [HPE_UNEXPECTED_SPACE] = QP_REFUSAL_FIELD,
    [HPE_INVALID_HEADER_TOKEN] = QP_REFUSAL_FIELD,
    [HPE_INVALID_METHOD] = QP_REFUSAL_START_LINE,
    [HPE_INVALID_URL] = QP_REFUSAL_TARGET,
    [HPE_INVALID_CONSTANT] = QP_REFUSAL_START_LINE,
    [HPE_INVALID_VERSION] = QP_REFUSAL_START_LINE,
    [HPE_INVALID_STATUS] = QP_REFUSAL_STATUS,
    [HPE_INVALID_CHUNK_SIZE] = QP_REFUSAL_CHUNK,
};

static enum qp_refusal_id explain(const struct qp_parser *parser, llhttp_errno_t error)
{
    if (parser->state == QP_PARSE_IN_BODY)
        return QP_REFUSAL_CHUNK;
    /* "2.0" and "1.7" are versions, "1.x" and what is wrong behind the version is not. */
    if (error == HPE_INVALID_VERSION && parser->version_bytes == VERSION_BYTES && !parser->version_is_whole)
        return QP_REFUSAL_VERSION;
    const size_t known = sizeof(refusal_of_error) / sizeof(refusal_of_error[0]);
    const enum qp_refusal_id id = error < known ? refusal_of_error[error] : QP_REFUSAL_NONE;
    return id != QP_REFUSAL_NONE ? id : QP_REFUSAL_OTHER;
}

/* ---- collecting, in llhttp's callbacks: they record and never call out ---- */

static int stop_for(struct qp_parser *parser, enum qp_parse_stop stop)
{
    parser->stop = stop;
    return HPE_PAUSED;
}

/* An element may come in any number of pieces; it usually comes in one, and is copied once. */
static int collect(struct qp_parser *parser, const char *at, size_t bytes)
{
    if (bytes == 0)
        return 0;
    char *grown = qp_arena_grow(parser->arena, parser->text, parser->text_bytes, parser->text_bytes + bytes);
    if (!grown)
        return refuse_in_callback(parser, QP_REFUSAL_HEAD_TOO_LARGE);
    memcpy(grown + parser->text_bytes, at, bytes);
    parser->text = grown;
    parser->text_bytes += bytes;
    return 0;
}

static struct qp_slice collected(struct qp_parser *parser)
{
    const struct qp_slice text = qp_slice(parser->text ? parser->text : "", parser->text_bytes);
    parser->text = NULL;
    parser->text_bytes = 0;
    return text;
}

static int on_piece(llhttp_t *engine, const char *at, size_t bytes)
{
    return collect(parser_of(engine), at, bytes);
}

static int on_url(llhttp_t *engine, const char *at, size_t bytes)
{
    struct qp_parser *parser = parser_of(engine);
    if (parser->text_bytes == 0 && bytes > 0 && !qp_tail_stands_before(&parser->tail, at, QP_SLICE(" ")))
        return refuse_in_callback(parser, QP_REFUSAL_START_LINE);
    if (parser->text_bytes + bytes > parser->limits->target_bytes)
        return refuse_in_callback(parser, QP_REFUSAL_TARGET_TOO_LONG);
    return collect(parser, at, bytes);
}

static int on_url_complete(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    parser->message.target = collected(parser);
    /* A line without a version is HTTP/0.9 to llhttp. */
    const bool without_version = engine->http_major == 0 && engine->http_minor == 9;
    return without_version ? refuse_in_callback(parser, QP_REFUSAL_VERSION) : 0;
}

static int on_version(llhttp_t *engine, const char *at, size_t bytes)
{
    struct qp_parser *parser = parser_of(engine);
    const struct qp_slice before = engine->type == HTTP_REQUEST ? QP_SLICE(" HTTP/") : QP_SLICE("HTTP/");
    if (parser->version_bytes == 0 && bytes > 0 && !qp_tail_stands_before(&parser->tail, at, before))
        return refuse_in_callback(parser, QP_REFUSAL_START_LINE);
    parser->version_bytes = (uint8_t)(parser->version_bytes + bytes);
    return 0;
}

static int on_version_complete(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    parser->version_is_whole = true;
    parser->message.major = engine->http_major;
    parser->message.minor = engine->http_minor;
    if (engine->http_major != 1 || engine->http_minor > 1)
        return refuse_in_callback(parser, QP_REFUSAL_VERSION);
    return 0;
}

static int on_status_complete(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    parser->message.status = engine->status_code;
    parser->message.reason = collected(parser);
    if (engine->status_code < 100 || engine->status_code > 599)
        return refuse_in_callback(parser, QP_REFUSAL_STATUS);
    /* llhttp takes any byte but CR and LF here. */
    return qp_is_field_value(parser->message.reason) ? 0 : refuse_in_callback(parser, QP_REFUSAL_REASON);
}

static int on_header_field_complete(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    parser->name = collected(parser);
    /* Every value is read as any other: llhttp would judge lengths, codings and connection options by rules of its own,
     * which are framing.c's to judge. */
    engine->header_state = 0;
    return 0;
}

static int on_header_value_complete(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    const bool in_trailers = parser->state == QP_PARSE_IN_TRAILERS;
    struct qp_fields *fields = in_trailers ? &parser->message.trailers : &parser->message.fields;
    if (fields->count == parser->limits->fields)
        return refuse_in_callback(parser, QP_REFUSAL_TOO_MANY_FIELDS);
    if (!qp_fields_add(fields, parser->arena, parser->name, qp_slice_trim(collected(parser))))
        return refuse_in_callback(parser, QP_REFUSAL_HEAD_TOO_LARGE);
    return 0;
}

static int on_headers_complete(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    const enum qp_refusal_id refusal = qp_framing_decide(&parser->message, parser->no_body);
    if (refusal != QP_REFUSAL_NONE)
        return refuse_in_callback(parser, refusal);
    qp_fields_mark_nominated(&parser->message.fields, &parser->message.fields);
    parser->left_bytes = parser->message.body_length;
    /* Only a chunked body is read on by the engine, and it is to know nothing else about this message. */
    engine->flags = F_CHUNKED;
    engine->upgrade = 0;
    return stop_for(parser, QP_STOP_HEAD);
}

/* Stops at each chunk, so that the length of its size line is known whatever the input's cuts. */
static int on_chunk_header(llhttp_t *engine)
{
    struct qp_parser *parser = parser_of(engine);
    /* As for Content-Length: a reader with signed numbers would read another size. */
    if (engine->content_length > INT64_MAX)
        return refuse_in_callback(parser, QP_REFUSAL_CHUNK);
    if (engine->content_length == 0) {
        parser->state = QP_PARSE_IN_TRAILERS;
        parser->section_bytes = 0;
    }
    return stop_for(parser, QP_STOP_CHUNK);
}

/* llhttp takes a DEL in a quoted value. What an extension says is nobody's concern, and goes nowhere. */
static int on_extension(llhttp_t *engine, const char *at, size_t bytes)
{
    return qp_is_field_value(qp_slice(at, bytes)) ? 0
                                                  : refuse_in_callback(parser_of(engine), QP_REFUSAL_CHUNK);
}

static int on_body(llhttp_t *engine, const char *at, size_t bytes)
{
    if (bytes == 0) /* resumed without input */
        return 0;
    struct qp_parser *parser = parser_of(engine);
    parser->body = qp_slice(at, bytes);
    return stop_for(parser, QP_STOP_BODY);
}

static int on_message_complete(llhttp_t *engine)
{
    return stop_for(parser_of(engine), QP_STOP_END);
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_version = on_version,
    .on_version_complete = on_version_complete,
    .on_status = on_piece,
    .on_status_complete = on_status_complete,
    .on_header_field = on_piece,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_piece,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- pulling ---- */

/* Runs the engine over at most `room` bytes of the input, up to the next stop, and gives how many it took.
 * False: refused. */
static bool run(struct qp_parser *parser, struct qp_slice *input, size_t room, size_t *taken)
{
    const struct qp_slice offered =
        qp_slice(input->at ? input->at : "", input->len < room ? input->len : room);
    *taken = 0;
    parser->stop = QP_STOP_NONE;
    if (llhttp_get_errno(&parser->engine) == HPE_PAUSED)
        llhttp_resume(&parser->engine);
    else if (offered.len == 0)
        return true;
    parser->tail.window = offered.at;
    const llhttp_errno_t error = llhttp_execute(&parser->engine, offered.at, offered.len);
    if (error != HPE_OK && error != HPE_PAUSED) {
        refuse(parser, explain(parser, error)); /* keeps the reason of a callback */
        return false;
    }
    *taken = error == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&parser->engine) - offered.at) : offered.len;
    if (!parser->version_is_whole && *taken > 0)
        qp_tail_keep(&parser->tail, qp_slice(offered.at, *taken));
    if (*taken > 0)
        *input = qp_slice(input->at + *taken, input->len - *taken);
    return true;
}

/* Runs within a section whose bytes are limited, and stops at the limit: where an input is cut changes
 * nothing. False: refused. */
static bool run_section(struct qp_parser *parser, struct qp_slice *input, enum qp_refusal_id over_limit)
{
    size_t taken;
    if (!run(parser, input, parser->limits->head_bytes - parser->section_bytes, &taken))
        return false;
    parser->section_bytes += (uint32_t)taken;
    if (parser->stop == QP_STOP_NONE && parser->section_bytes == parser->limits->head_bytes) {
        refuse(parser, over_limit);
        return false;
    }
    return true;
}

/* Whole CR LF pairs only, and few: llhttp would skip any number of either byte. False: refused. */
static bool skip_empty_lines(struct qp_parser *parser, struct qp_slice *input)
{
    while (input->len > 0) {
        const bool inside = parser->empty_line_bytes % 2 == 1;
        const char c = input->at[0];
        if (!inside && c != '\r' && c != '\n')
            return true;
        if (c != (inside ? '\n' : '\r') || parser->empty_line_bytes == MAX_EMPTY_LINE_BYTES ||
            parser->message.direction == QP_RESPONSE) {
            refuse(parser, QP_REFUSAL_EMPTY_LINES);
            return false;
        }
        parser->empty_line_bytes++;
        *input = qp_slice(input->at + 1, input->len - 1);
    }
    return true;
}

/* Why the method's bytes so far and the one behind them are not the start of a request; NONE: they are. */
static enum qp_refusal_id judge_method(const struct qp_parser *parser, const struct qp_slice *rest)
{
    if (parser->text_bytes > MAX_METHOD_BYTES)
        return QP_REFUSAL_METHOD;
    if (parser->section_bytes >= parser->limits->head_bytes)
        return QP_REFUSAL_HEAD_TOO_LARGE;
    return rest->len > 0 && (rest->at[0] != ' ' || parser->text_bytes == 0) ? QP_REFUSAL_START_LINE
                                                                            : QP_REFUSAL_NONE;
}

/* llhttp knows a fixed list of methods, where RFC 9110 section 9.1 has any token: the method is read here, and the
 * engine is told that it was one of those that it treats like any other. False: refused. */
static bool take_method(struct qp_parser *parser, struct qp_slice *input)
{
    size_t bytes = 0;
    while (bytes < input->len && bytes <= MAX_METHOD_BYTES && qp_char_is(input->at[bytes], QP_CHAR_TOKEN))
        bytes++;
    if (collect(parser, input->at, bytes) != 0)
        return false;
    parser->section_bytes += (uint32_t)bytes;
    *input = qp_slice(input->at + bytes, input->len - bytes);
    const enum qp_refusal_id refusal = judge_method(parser, input);
    if (refusal != QP_REFUSAL_NONE) {
        refuse(parser, refusal);
        return false;
    }
    if (input->len == 0)
        return true;
    parser->message.method = collected(parser);
    parser->method_is_whole = true;
    if (qp_slice_is(parser->message.method, QP_SLICE("CONNECT"))) {
        refuse(parser, QP_REFUSAL_CONNECT);
        return false;
    }
    qp_require(llhttp_execute(&parser->engine, "GET", 3) == HPE_OK);
    return true;
}

/* How much of the input may be run: less than all when a CR in a status line has no LF behind it, which llhttp would take for
 * a line's end if it is another CR. */
static size_t sound_bytes(struct qp_parser *parser, struct qp_slice input)
{
    if (parser->status_line_is_whole)
        return input.len;
    const char *cr = parser->has_cr ? NULL : memchr(input.at, '\r', input.len);
    const size_t behind = cr ? (size_t)(cr - input.at) + 1 : 0;
    parser->has_cr |= cr != NULL;
    if (!parser->has_cr || behind == input.len)
        return input.len;
    parser->status_line_is_whole = true;
    return input.at[behind] == '\n' ? input.len : behind;
}

static bool run_head(struct qp_parser *parser, struct qp_slice *input)
{
    const size_t sound = sound_bytes(parser, *input);
    struct qp_slice part = qp_slice(input->at, sound);
    if (!run_section(parser, &part, QP_REFUSAL_HEAD_TOO_LARGE))
        return false;
    if (sound < input->len) {
        refuse(parser, QP_REFUSAL_LINE_END);
        return false;
    }
    *input = part;
    return true;
}

static enum qp_parse_event next_of_head(struct qp_parser *parser, struct qp_slice *input)
{
    if (parser->state == QP_PARSE_AT_START && !skip_empty_lines(parser, input))
        return QP_PARSE_REFUSED;
    if (input->len == 0)
        return QP_PARSE_MORE;
    parser->state = QP_PARSE_IN_HEAD;
    if (!parser->method_is_whole && !take_method(parser, input))
        return QP_PARSE_REFUSED;
    if (!parser->method_is_whole)
        return QP_PARSE_MORE;
    if (!run_head(parser, input))
        return QP_PARSE_REFUSED;
    if (parser->stop != QP_STOP_HEAD)
        return QP_PARSE_MORE;
    parser->state = QP_PARSE_IN_BODY;
    return QP_PARSE_HEAD;
}

static enum qp_parse_event end(struct qp_parser *parser)
{
    parser->state = QP_PARSE_AT_END;
    return QP_PARSE_END;
}

static enum qp_parse_event next_of_trailers(struct qp_parser *parser, struct qp_slice *input)
{
    if (!run_section(parser, input, QP_REFUSAL_TRAILERS_TOO_LARGE))
        return QP_PARSE_REFUSED;
    if (parser->stop != QP_STOP_END)
        return QP_PARSE_MORE;
    const enum qp_refusal_id refusal = qp_framing_check_trailers(&parser->message.trailers);
    if (refusal != QP_REFUSAL_NONE)
        return refuse(parser, refusal);
    qp_fields_mark_nominated(&parser->message.fields, &parser->message.trailers);
    return end(parser);
}

/* What this size line holds beyond its digits, the CR LF at its end and the one at the previous chunk's. */
static size_t extension_of_line(const struct qp_parser *parser)
{
    const size_t framing = CHUNK_SIZE_DIGITS + (parser->first_chunk ? 2 : 4);
    return parser->line_bytes > framing ? parser->line_bytes - framing : 0;
}

/* Extensions, but leading zeros too: a size line without end must not be a way to keep a connection for
 * nothing. */
static bool line_is_within_limit(const struct qp_parser *parser)
{
    return extension_of_line(parser) <= parser->limits->chunk_extension_bytes - parser->extension_bytes;
}

static enum qp_parse_event next_of_chunks(struct qp_parser *parser, struct qp_slice *input,
                                          struct qp_slice *body)
{
    size_t taken;
    for (;;) {
        if (!run(parser, input, SIZE_MAX, &taken))
            return QP_PARSE_REFUSED;
        if (parser->stop == QP_STOP_BODY) {
            parser->line_bytes = 0;
            *body = parser->body;
            return QP_PARSE_BODY;
        }
        parser->line_bytes += taken;
        if (!line_is_within_limit(parser))
            return refuse(parser, QP_REFUSAL_CHUNK_EXTENSIONS);
        if (parser->stop != QP_STOP_CHUNK)
            return QP_PARSE_MORE;
        parser->extension_bytes += (uint32_t)extension_of_line(parser);
        parser->line_bytes = 0;
        parser->first_chunk = false;
        if (parser->state == QP_PARSE_IN_TRAILERS)
            return next_of_trailers(parser, input);
    }
}

/* At most `room` bytes of the input as they are. */
static enum qp_parse_event next_piece(struct qp_slice *input, uint64_t room, struct qp_slice *body)
{
    if (input->len == 0)
        return QP_PARSE_MORE;
    *body = qp_slice(input->at, input->len < room ? input->len : (size_t)room);
    *input = qp_slice(input->at + body->len, input->len - body->len);
    return QP_PARSE_BODY;
}

static enum qp_parse_event next_of_length(struct qp_parser *parser, struct qp_slice *input,
                                          struct qp_slice *body)
{
    if (parser->left_bytes == 0)
        return end(parser);
    const enum qp_parse_event event = next_piece(input, parser->left_bytes, body);
    if (event == QP_PARSE_BODY)
        parser->left_bytes -= body->len;
    return event;
}

static enum qp_parse_event next_of_body(struct qp_parser *parser, struct qp_slice *input,
                                        struct qp_slice *body)
{
    switch (parser->message.body_kind) {
    case QP_BODY_CHUNKED:
        return next_of_chunks(parser, input, body);
    case QP_BODY_LENGTH:
        return next_of_length(parser, input, body);
    case QP_BODY_UNTIL_CLOSE:
        return next_piece(input, UINT64_MAX, body);
    case QP_BODY_NONE:
        break;
    }
    return end(parser);
}

enum qp_parse_event qp_parser_next(struct qp_parser *parser, struct qp_slice *input, struct qp_slice *body)
{
    switch (parser->state) {
    case QP_PARSE_AT_START:
    case QP_PARSE_IN_HEAD:
        return next_of_head(parser, input);
    case QP_PARSE_IN_BODY:
        return next_of_body(parser, input, body);
    case QP_PARSE_IN_TRAILERS:
        return next_of_trailers(parser, input);
    case QP_PARSE_AT_END:
        return QP_PARSE_MORE;
    case QP_PARSE_IN_REFUSAL:
        break;
    }
    return QP_PARSE_REFUSED;
}

enum qp_parse_event qp_parser_end_of_input(struct qp_parser *parser)
{
    const enum qp_body_kind kind = parser->message.body_kind;
    switch (parser->state) {
    case QP_PARSE_AT_START:
    case QP_PARSE_AT_END:
        return QP_PARSE_MORE;
    case QP_PARSE_IN_BODY:
        /* A body of a known end whose END was not fetched yet is complete as well. */
        if (kind == QP_BODY_CHUNKED || (kind == QP_BODY_LENGTH && parser->left_bytes > 0))
            return refuse(parser, QP_REFUSAL_CUT);
        return end(parser);
    case QP_PARSE_IN_HEAD:
    case QP_PARSE_IN_TRAILERS:
    case QP_PARSE_IN_REFUSAL:
        break;
    }
    return refuse(parser, QP_REFUSAL_CUT);
}

bool qp_parser_has_begun(const struct qp_parser *parser)
{
    return parser->state != QP_PARSE_AT_START;
}

void qp_parser_init(struct qp_parser *parser, enum qp_direction direction,
                    const struct qp_parse_limits *limits, struct qp_arena *arena)
{
    *parser = (struct qp_parser){
        .message.direction = direction,
        .limits = limits,
        .arena = arena,
        .first_chunk = true,
        .method_is_whole = direction == QP_RESPONSE,
        .status_line_is_whole = direction == QP_REQUEST,
    };
    llhttp_init(&parser->engine, direction == QP_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
}

void qp_parser_reset(struct qp_parser *parser)
{
    const bool answer_is_still_due =
        parser->message.direction == QP_RESPONSE && parser->message.status / 100 == 1;
    const bool no_body = parser->no_body && answer_is_still_due;
    qp_parser_init(parser, parser->message.direction, parser->limits, parser->arena);
    parser->no_body = no_body;
}

void qp_parser_expect_no_body(struct qp_parser *parser)
{
    qp_require(!qp_parser_has_begun(parser));
    parser->no_body = true;
}

size_t qp_parser_arena_bytes(const struct qp_parse_limits *limits)
{
    /* An element that comes in pieces may be moved once. The array doubles: all of them together are less
     * than four times what is in use, or one of the first size. The trailers may be as large again. */
    const size_t text = (size_t)limits->head_bytes * 2;
    const size_t array = ((size_t)limits->fields + QP_FIELDS_FIRST_CAPACITY) * 4 * sizeof(struct qp_field);
    return (text + array) * 2;
}
