/* Every byte of some messages replaced by every other one, and bytes and odd pairs put in everywhere: whatever the parser takes, a second
 * reader that knows only the grammar must take too, and find the same body at the same place. Most of what comes out is
 * refused; the point is what is not. */
#include "unit/http/check.h"

#include <stdlib.h>
#include <strings.h>

#define HOST "Host: a\r\n"

static const struct qp_slice requests[] = {
    QP_SLICE("GET /a?b HTTP/1.1\r\n" HOST "X: y z\r\nConnection: close, x\r\n\r\n"),
    QP_SLICE("GET / HTTP/1.0\r\nHost: [::1]:80\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    QP_SLICE("POST / HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\nhello, world"
             "GET"),
    QP_SLICE("PUT / HTTP/1.1\r\n" HOST
             "Transfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    QP_SLICE("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\nA\r\n0123456789\r\n00\r\n\r\nGET"),
};

static const struct qp_slice responses[] = {
    QP_SLICE("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
             "HTTP"),
    QP_SLICE("HTTP/1.1 206 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0;z\r\nX: y\r\n\r\n"),
    QP_SLICE("HTTP/1.0 404 Not here\r\nContent-Length: 00\r\nProxy-Connection: x\r\n\r\n"),
};

/* ---- the second reader ---- */

struct reading {
    struct qp_slice left;
    char body[64];
    size_t body_bytes;
    unsigned lengths, codings, hosts;
    struct qp_slice length, coding;
    bool is_request, has_no_body;
    char minor;
};

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static bool take_line(struct reading *r, struct qp_slice *line)
{
    for (size_t i = 0; i + 1 < r->left.len; i++) {
        if (r->left.at[i] == '\r' && r->left.at[i + 1] == '\n') {
            *line = qp_slice(r->left.at, i);
            r->left = qp_slice(r->left.at + i + 2, r->left.len - i - 2);
            return true;
        }
        if (is_control(r->left.at[i]) && r->left.at[i] != '\t')
            return false;
    }
    return false;
}

static bool is_token(struct qp_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return text.len > 0;
}

static bool is_version(struct reading *r, struct qp_slice text)
{
    r->minor = text.len == 8 ? text.at[7] : 0;
    return text.len == 8 && memcmp(text.at, "HTTP/1.", 7) == 0 && (r->minor == '0' || r->minor == '1');
}

static bool read_request_line(struct reading *r, struct qp_slice line)
{
    const struct qp_slice method = qp_slice_cut(&line, ' ');
    const struct qp_slice target = qp_slice_cut(&line, ' ');
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.at[i] <= ' ' || (unsigned char)target.at[i] >= 0x7f || target.at[i] == '#')
            return false;
    return is_token(method) && target.len > 0 && line.at && is_version(r, line);
}

static bool read_status_line(struct reading *r, struct qp_slice line)
{
    const struct qp_slice version = qp_slice_cut(&line, ' ');
    const struct qp_slice status = qp_slice_cut(&line, ' ');
    r->has_no_body = qp_slice_is(status, QP_SLICE("204")) || qp_slice_is(status, QP_SLICE("304"));
    return is_version(r, version) && status.len == 3 && status.at[0] >= '2' && status.at[0] <= '5' &&
           strchr("0123456789", status.at[1]) && strchr("0123456789", status.at[2]);
}

static bool is_name(struct qp_slice name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp(name.at, wanted, name.len) == 0;
}

static bool read_fields(struct reading *r, bool trailers)
{
    struct qp_slice line;
    while (take_line(r, &line)) {
        if (line.len == 0)
            return true;
        const struct qp_slice name = qp_slice_cut(&line, ':');
        if (!line.at || !is_token(name))
            return false;
        const bool is_length = is_name(name, "Content-Length"),
                   is_coding = is_name(name, "Transfer-Encoding");
        if (trailers && (is_length || is_coding || is_name(name, "Host")))
            return false;
        r->lengths += is_length;
        r->codings += is_coding;
        r->hosts += is_name(name, "Host");
        if (is_length)
            r->length = qp_slice_trim(line);
        if (is_coding)
            r->coding = qp_slice_trim(line);
    }
    return false;
}

static bool take_body(struct reading *r, size_t bytes)
{
    if (bytes > r->left.len || bytes > sizeof(r->body) - r->body_bytes)
        return false;
    memcpy(r->body + r->body_bytes, r->left.at, bytes);
    r->body_bytes += bytes;
    r->left = qp_slice(r->left.at + bytes, r->left.len - bytes);
    return true;
}

/* The number that a text consists of, nothing else; false for what cannot be the size of anything here. */
static bool number(struct qp_slice text, int base, size_t *value)
{
    static const char digits[] = "0123456789abcdef";
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits, text.at[i] | 0x20, (size_t)base);
        if (!digit || (base == 10 && text.at[i] != *digit) || *value > 1000000)
            return false;
        *value = *value * (size_t)base + (size_t)(digit - digits);
    }
    return text.len > 0;
}

static bool read_chunks(struct reading *r)
{
    struct qp_slice line, nothing;
    for (;;) {
        size_t size;
        if (!take_line(r, &line) || !number(qp_slice_cut(&line, ';'), 16, &size))
            return false;
        if (size == 0)
            return read_fields(r, true);
        if (!take_body(r, size) || !take_line(r, &nothing) || nothing.len > 0)
            return false;
    }
}

static bool read_message(struct reading *r)
{
    struct qp_slice line;
    size_t length = 0;
    for (int empty = 0; empty <= 2; empty++)
        if (!take_line(r, &line) || line.len > 0 || !r->is_request)
            break;
    if (!(r->is_request ? read_request_line(r, line) : read_status_line(r, line)) || !read_fields(r, false))
        return false;
    if (r->lengths + r->codings > 1 || (r->is_request && r->hosts != 1 && (r->hosts > 1 || r->minor == '1')))
        return false;
    if (r->codings && (!is_name(r->coding, "chunked") || r->minor == '0'))
        return false;
    if (r->lengths && !number(r->length, 10, &length))
        return false;
    if (r->has_no_body)
        return true;
    if (r->codings)
        return read_chunks(r);
    if (r->lengths)
        return take_body(r, length);
    return r->is_request || take_body(r, r->left.len);
}

/* ---- both of them ---- */

static void check_agreement(enum qp_direction direction, struct qp_slice bytes)
{
    const struct transcript_opts opts = {.direction = direction, .one_message = true, .end_of_input = true};
    struct qp_buf out = {0}, expected = {0};
    struct reading r = {.left = bytes, .is_request = direction == QP_REQUEST};
    transcript(&out, &opts, bytes, (struct transcript_cuts){0});
    const struct qp_slice text = qp_buf_slice(&out);
    const bool is_taken = qp_slice_find(text, QP_SLICE("END\n")) != NULL;
    if (!is_taken || qp_slice_find(text, QP_SLICE("HEAD 1"))) { /* of a 1xx there is no more to say */
        qp_buf_deinit(&out);
        return;
    }
    const bool is_read = read_message(&r);
    if (r.body_bytes > 0) {
        qp_buf_append_fmt(&expected, "BODY %zu ", r.body_bytes);
        qp_buf_append(&expected, qp_slice(r.body, r.body_bytes));
        qp_buf_append_char(&expected, '\n');
    }
    qp_buf_append_str(&expected, "END\n");
    const bool agrees = is_read && qp_slice_find(text, qp_buf_slice(&expected)) &&
                        (r.body_bytes > 0 || !qp_slice_find(text, QP_SLICE("BODY ")));
    if (!agrees)
        print_error("taken, but not by the second reader (%s):\n%.*s\n----\n%.*s\n",
                    is_read ? "another body" : "malformed", QP_SLICE_FMT(bytes), QP_SLICE_FMT(text));
    assert_true(agrees);
    qp_buf_deinit(&out);
    qp_buf_deinit(&expected);
}

/* `what` instead of the bytes at the place, or between them. In memory exactly as large as the message, so that AddressSanitizer
 * sees a look beyond it. */
static void check_change(enum qp_direction direction, struct qp_slice seed, size_t place,
                         struct qp_slice what, bool insert)
{
    const size_t behind = insert ? place : place + what.len;
    if (behind > seed.len)
        return;
    char *copy = malloc(place + what.len + seed.len - behind);
    assert_non_null(copy);
    memcpy(copy, seed.at, place);
    memcpy(copy + place, what.at, what.len);
    memcpy(copy + place + what.len, seed.at + behind, seed.len - behind);
    check_agreement(direction, qp_slice(copy, place + what.len + seed.len - behind));
    free(copy);
}

static void check_place(enum qp_direction direction, struct qp_slice seed, size_t place)
{
    static const char odd[] = "\0\t\n\r \",:;0aX\x7f";
    for (int byte = 0; byte < 256; byte++) {
        const char c = (char)byte;
        check_change(direction, seed, place, qp_slice(&c, 1), false);
        check_change(direction, seed, place, qp_slice(&c, 1), true);
    }
    for (size_t i = 0; i + 1 < sizeof(odd); i++) {
        for (size_t k = 0; k + 1 < sizeof(odd); k++) {
            const char pair[] = {odd[i], odd[k]};
            check_change(direction, seed, place, qp_slice(pair, 2), false);
            check_change(direction, seed, place, qp_slice(pair, 2), true);
        }
    }
}

static void check_every_place(enum qp_direction direction, const struct qp_slice *seeds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t place = 0; place < seeds[i].len; place++)
            check_place(direction, seeds[i], place);
}

static void a_request_that_is_taken_has_one_reading(void **state)
{
    check_every_place(QP_REQUEST, requests, sizeof requests / sizeof requests[0]);
}

static void a_response_that_is_taken_has_one_reading(void **state)
{
    check_every_place(QP_RESPONSE, responses, sizeof responses / sizeof responses[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_is_taken_has_one_reading),
        cmocka_unit_test(a_response_that_is_taken_has_one_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
