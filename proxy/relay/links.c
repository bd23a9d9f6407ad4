#include "relay/links.h"

enum phase { PHASE_BETWEEN, PHASE_STRING, PHASE_HELD_STRING };
enum key { KEY_OTHER, KEY_RESULT, KEY_LINK };

/* No link is longer; a longer string passes as it is, and what is held stays bounded. */
enum { HELD_BYTES = 16 * 1024 };

static const struct qp_slice KEY_TEXT_RESULT = {"\"result\"", 8};
static const struct qp_slice KEY_TEXT_NEXT_PAGE = {"\"nextPage\"", 10};
static const struct qp_slice KEY_TEXT_FILE = {"\"file\"", 6};

void qp_links_begin(struct qp_links *links, const struct qp_links_rules *rules)
{
    struct qp_buf held = links->held;
    qp_buf_clear(&held);
    *links = (struct qp_links){.rules = rules, .held = held};
}

void qp_links_deinit(struct qp_links *links)
{
    qp_buf_deinit(&links->held);
}

bool qp_links_may_occur(struct qp_slice whole)
{
    return qp_slice_find(whole, KEY_TEXT_NEXT_PAGE) || qp_slice_find(whole, KEY_TEXT_FILE);
}

/* Takes one expected character off a JSON string's inside; a slash may be written "/" or "\/" (RFC 8259 section 7). */
static bool take_char(struct qp_slice *text, char expected)
{
    size_t width = 1;
    if (expected == '/' && text->len >= 2 && text->at[0] == '\\')
        width = 2;
    if (text->len < width || text->at[width - 1] != expected)
        return false;
    *text = qp_slice(text->at + width, text->len - width);
    return true;
}

static bool take_text(struct qp_slice *text, const char *expected)
{
    for (; *expected; expected++)
        if (!take_char(text, *expected))
            return false;
    return true;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == ':' || c == '[' || c == ']';
}

static struct qp_slice take_authority(struct qp_slice *text)
{
    size_t len = 0;
    while (len < text->len && is_host_char(text->at[len]))
        len++;
    struct qp_slice authority = qp_slice(text->at, len);
    *text = qp_slice(text->at + len, text->len - len);
    return authority;
}

/* Leaves what stands behind the colon in *authority, unset without one. Unset: brackets that do not pair, or something behind them. */
static struct qp_slice take_host(struct qp_slice *authority)
{
    if (authority->len == 0 || authority->at[0] != '[')
        return qp_slice_cut(authority, ':');
    struct qp_slice host = qp_slice_cut(authority, ']');
    if (!authority->at || qp_slice_cut(authority, ':').len > 0)
        return QP_SLICE_NONE;
    return qp_slice(host.at + 1, host.len - 1);
}

/* host[:port] of the account's origin, or any name below qualtrics.com at the default port. */
static bool is_ours(const struct qp_links_rules *rules, struct qp_slice authority)
{
    uint64_t port = 443;
    struct qp_slice host = take_host(&authority);
    if (!host.at || (authority.at && !qp_slice_to_u64(authority, &port)))
        return false;
    if (port == rules->origin_port && qp_slice_is_nocase(host, rules->origin_host))
        return true;
    return port == 443 && host.len > strlen(".qualtrics.com") &&
           qp_slice_ends_nocase(host, QP_SLICE(".qualtrics.com"));
}

/* held: a JSON string with its quotes. */
static void give_held_value(struct qp_links *links, qp_links_sink sink, void *context)
{
    struct qp_slice held = qp_buf_slice(&links->held);
    struct qp_slice text = qp_slice(held.at + 1, held.len - 2);
    bool link = take_text(&text, "https://") && is_ours(links->rules, take_authority(&text));
    struct qp_slice rest = text; /* from "/API/v3/" on, as it was written */
    if (link && take_text(&text, "/API/v3/")) {
        links->rewritten++;
        sink(context, QP_SLICE("\""));
        sink(context, links->rules->base);
        sink(context, qp_slice(rest.at, (size_t)(held.at + held.len - rest.at)));
    } else {
        sink(context, held);
    }
}

static enum key classify_key(const struct qp_links *links)
{
    struct qp_slice name = qp_buf_slice(&links->held);
    if (!name.at) /* never: it has its quotes at least */
        return KEY_OTHER;
    if (links->depth == 1)
        return qp_slice_is(name, KEY_TEXT_RESULT) ? KEY_RESULT : KEY_OTHER;
    return links->in_result && (qp_slice_is(name, KEY_TEXT_NEXT_PAGE) || qp_slice_is(name, KEY_TEXT_FILE))
               ? KEY_LINK
               : KEY_OTHER;
}

static void held_string_ends(struct qp_links *links, qp_links_sink sink, void *context)
{
    links->phase = PHASE_BETWEEN;
    if (links->expects_key) {
        links->key = (uint8_t)classify_key(links);
        links->expects_key = false;
        sink(context, qp_buf_slice(&links->held));
    } else {
        give_held_value(links, sink, context);
    }
    qp_buf_clear(&links->held);
}

static void open_container(struct qp_links *links, bool object)
{
    if (links->depth == 1)
        links->in_result = object && links->key == KEY_RESULT;
    if (links->depth < 2)
        links->is_object[links->depth] = object;
    links->depth++;
    links->expects_key = object && links->depth <= 2;
    links->key = KEY_OTHER;
}

static void close_container(struct qp_links *links)
{
    if (links->depth > 0)
        links->depth--;
    if (links->depth < 2)
        links->in_result = false;
    links->expects_key = false;
    links->key = KEY_OTHER;
}

/* One byte outside strings. */
static void between(struct qp_links *links, char c)
{
    switch (c) {
    case '{':
    case '[':
        open_container(links, c == '{');
        break;
    case '}':
    case ']':
        close_container(links);
        break;
    case ',':
        links->key = KEY_OTHER;
        links->expects_key = links->depth >= 1 && links->depth <= 2 && links->is_object[links->depth - 1];
        break;
    default:
        break;
    }
}

/* Bytes of a string up to and including its closing quote, or all. `ended` tells which. */
static size_t string_run(struct qp_links *links, struct qp_slice text, bool *ended)
{
    for (size_t i = 0; i < text.len; i++) {
        if (links->escaped)
            links->escaped = false;
        else if (text.at[i] == '\\')
            links->escaped = true;
        else if (text.at[i] == '"') {
            *ended = true;
            return i + 1;
        }
    }
    *ended = false;
    return text.len;
}

/* The part of a held string in this piece; gives how many bytes it took. */
static size_t feed_held(struct qp_links *links, struct qp_slice text, qp_links_sink sink, void *context)
{
    bool ended;
    size_t run = string_run(links, text, &ended);
    if (qp_buf_len(&links->held) + run > HELD_BYTES) {
        sink(context, qp_buf_slice(&links->held));
        sink(context, qp_slice(text.at, run));
        qp_buf_clear(&links->held);
        links->expects_key = false;
        links->phase = ended ? PHASE_BETWEEN : PHASE_STRING;
        return run;
    }
    qp_buf_append(&links->held, qp_slice(text.at, run));
    if (ended)
        held_string_ends(links, sink, context);
    return run;
}

void qp_links_feed(struct qp_links *links, struct qp_slice piece, qp_links_sink sink, void *context)
{
    size_t given = 0; /* bytes of the piece that are given out or held */
    size_t at = 0;
    while (at < piece.len) {
        struct qp_slice rest = qp_slice(piece.at + at, piece.len - at);
        bool ended;
        switch ((enum phase)links->phase) {
        case PHASE_HELD_STRING:
            at += feed_held(links, rest, sink, context);
            given = at;
            break;
        case PHASE_STRING:
            at += string_run(links, rest, &ended);
            links->phase = ended ? PHASE_BETWEEN : PHASE_STRING;
            break;
        case PHASE_BETWEEN:
            if (rest.at[0] != '"') {
                between(links, rest.at[0]);
                at++;
            } else if (links->expects_key || links->key == KEY_LINK) {
                if (at > given)
                    sink(context, qp_slice(piece.at + given, at - given));
                qp_buf_append_char(&links->held, '"');
                links->phase = PHASE_HELD_STRING;
                given = ++at;
            } else {
                links->phase = PHASE_STRING;
                at++;
            }
            break;
        }
    }
    if (piece.len > given)
        sink(context, qp_slice(piece.at + given, piece.len - given));
}

void qp_links_end(struct qp_links *links, qp_links_sink sink, void *context)
{
    if (qp_buf_len(&links->held))
        sink(context, qp_buf_slice(&links->held));
    qp_buf_clear(&links->held);
}
