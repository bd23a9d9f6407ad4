/* check.h - one assertion for transcripts; cmocka's string comparison with the whole text when it fails. */
#ifndef QP_TESTS_HTTP_CHECK_H
#define QP_TESTS_HTTP_CHECK_H

#include "unit/http/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The bytes give that transcript, however they are cut. */
static inline void check_bytes(const struct transcript_opts *opts, struct qp_slice bytes,
                               const char *expected)
{
    struct qp_buf out = {0};
    transcript_every_way(&out, opts, bytes);
    qp_buf_append_char(&out, '\0');
    if (!qp_slice_is(qp_buf_slice(&out), qp_slice(expected, strlen(expected) + 1)))
        print_error("input:\n%.*s\n", QP_SLICE_FMT(bytes));
    assert_string_equal(qp_buf_slice(&out).at, expected);
    qp_buf_deinit(&out);
}

static inline void check_request(const char *bytes, const char *expected)
{
    check_bytes(&(struct transcript_opts){.direction = QP_REQUEST}, qp_slice_str(bytes), expected);
}

static inline void check_response(const char *bytes, const char *expected)
{
    const struct transcript_opts opts = {.direction = QP_RESPONSE, .one_message = true, .end_of_input = true};
    check_bytes(&opts, qp_slice_str(bytes), expected);
}

#endif
