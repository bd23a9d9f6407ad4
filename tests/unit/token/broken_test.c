/* Answers of the token endpoint that break off at every byte, never end, or come a byte at a time: each costs one call, is told of in words, and holds
 * no memory. */
#include "base/alloc.h"
#include "base/log.h"
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>

enum { LARGE_BYTES = 10 * 1024 * 1024, HELD_BYTES = 512 * 1024 };

static const char by_length[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"
    "{\"access_token\":\"t1\",\"expires_in\":3600}";
static const char by_chunks[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "8\r\n{\"access\r\n1f\r\n_token\":\"t1\",\"expires_in\":3600}\r\n0\r\n\r\n";

static void assert_no_token(const struct endpoint_step *step, const char *what)
{
    struct rig rig;
    uint64_t held = qp_alloc_held_bytes();
    rig_open(&rig, NULL, step, 1);
    rig_start(&rig);
    struct answered answered = rig_ask(&rig, 0);
    if (answered.outcome != QP_NEED_COOLING_DOWN)
        fail_msg("%s: outcome %d", what, (int)answered.outcome);
    assert_true(strlen(answered.text) > 10 && rig_status(&rig).last_error);
    assert_false(rig_status(&rig).usable);
    if (qp_alloc_held_bytes() > held + HELD_BYTES)
        fail_msg("%s: %llu bytes are held", what, (unsigned long long)(qp_alloc_held_bytes() - held));
    rig_close(&rig);
}

/* A reset may overtake the bytes before it, so that all of them is no token either. */
static void break_off_everywhere(const char *answer, bool is_reset)
{
    size_t whole = strlen(answer);
    char *part = malloc(whole + 1);
    for (size_t len = 0; len < whole; ++len) {
        char what[48];
        memcpy(part, answer, len);
        part[len] = 0;
        snprintf(what, sizeof(what), "%s behind byte %zu", is_reset ? "reset" : "end", len);
        assert_no_token(&(struct endpoint_step){.answer = part, .is_reset = is_reset}, what);
    }
    free(part);
}

static void test_P4_an_answer_that_ends_anywhere_is_none(void **state)
{
    break_off_everywhere(by_length, false);
    break_off_everywhere(by_chunks, false);
}

static void test_P4_nor_is_one_that_is_reset(void **state)
{
    break_off_everywhere(by_length, true);
    break_off_everywhere(by_chunks, true);
}

static void test_a_byte_at_a_time_is_fine(void **state)
{
    static const char *const answers[] = {by_length, by_chunks};
    for (size_t i = 0; i < 2; ++i) {
        struct rig rig;
        rig_open(&rig, NULL, STEPS({answers[i], .is_slow = true}));
        rig_start(&rig);
        assert_int_equal(rig_ask(&rig, 0).outcome, QP_NEED_MET);
        rig_assert_token(&rig, 1, "t1");
        rig_close(&rig);
    }
}

/* `start`, then `piece` again and again. */
static char *endless(const char *start, const char *piece)
{
    size_t start_len = strlen(start), len = strlen(piece);
    char *text = malloc(start_len + LARGE_BYTES + len + 1);
    size_t at = start_len;
    memcpy(text, start, start_len);
    for (; at < start_len + LARGE_BYTES; at += len)
        memcpy(text + at, piece, len);
    text[at] = 0;
    return text;
}

static void test_P7_what_never_ends_is_cut_off(void **state)
{
#define OK "HTTP/1.1 200 OK\r\n"
    static const struct {
        const char *start, *piece;
    } rows[] = {
        {"", "x"},
        {"", "\r\n"},
        {"HTTP/1.1 200 ", "y"},
        {OK, "X-A: b\r\n"},
        {OK "X: ", "y"},
        {"", "HTTP/1.1 100 Continue\r\n\r\n"},
        {"", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"},
        {OK "Content-Length: 10485760\r\n\r\n", " "},
        {OK "\r\n", "{\"a\":"},
        {OK "Transfer-Encoding: chunked\r\n\r\n", "5\r\nabcde\r\n"},
        {OK "Transfer-Encoding: chunked\r\n\r\n", "0"},
        {OK "Transfer-Encoding: chunked\r\n\r\n1;", "ext"},
        {OK "Transfer-Encoding: chunked\r\n\r\n", "1;abcdefghijklmnop\r\na\r\n"},
        {OK "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X-T: y\r\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char what[32];
        char *text = endless(rows[i].start, rows[i].piece);
        snprintf(what, sizeof(what), "row %zu", i);
        assert_no_token(&(struct endpoint_step){.answer = text}, what);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P4_an_answer_that_ends_anywhere_is_none),
        cmocka_unit_test(test_P4_nor_is_one_that_is_reset),
        cmocka_unit_test(test_a_byte_at_a_time_is_fine),
        cmocka_unit_test(test_P7_what_never_ends_is_cut_off),
    };
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    return cmocka_run_group_tests_name("token.broken", tests, NULL, NULL);
}
