#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static FILE *file;
static char text[4 * 1024 * 1024];

static int start(void **state)
{
    file = tmpfile();
    return 0;
}

static int end(void **state)
{
    fclose(file);
    return 0;
}

static void setup(enum qp_log_level level, enum qp_log_form form)
{
    int fd = fileno(file);
    qp_log_setup(&(struct qp_log_opts){.level = level, .form = form, .fd = fd, .access_fd = fd});
}

static size_t read_log(void)
{
    size_t len = 0;
    for (ssize_t got; (got = pread(fileno(file), text + len, sizeof(text) - 1 - len, (off_t)len)) > 0;)
        len += (size_t)got;
    text[len] = '\0';
    return len;
}

/* Behind the time stamp, whose form is checked here. */
static const char *after_time(const char *line)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; form[i]; i++) {
        if (form[i] == 'd')
            assert_true(line[i] >= '0' && line[i] <= '9');
        else
            assert_int_equal(line[i], form[i]);
    }
    return line + strlen(form);
}

static void a_text_line_names_level_ids_room_and_message(void **state)
{
    setup(QP_LOG_INFO, QP_LOG_TEXT);
    qp_log_line(QP_LOG_WARN, "token", 12, 3, "origin '%s' said %d", "iad1", 503);
    read_log();
    assert_string_equal(after_time(text), " warn  c12 r3 token: origin 'iad1' said 503\n");
}

static void ids_that_are_zero_are_left_out(void **state)
{
    setup(QP_LOG_INFO, QP_LOG_TEXT);
    qp_log_error("net", "x");
    read_log();
    assert_string_equal(after_time(text), " error net: x\n");
}

static void a_json_line_is_json(void **state)
{
    setup(QP_LOG_INFO, QP_LOG_JSON);
    qp_log_line(QP_LOG_WARN, "token", 12, 3, "said \"no\" \\ %s", "\n");
    qp_log_info("net", "plain");
    read_log();
    static const char start_of_line[] = "{\"time\":\"";
    assert_memory_equal(text, start_of_line, strlen(start_of_line));
    const char *rest = after_time(text + strlen(start_of_line));
    static const char first[] = "\",\"level\":\"warn\",\"conn\":12,\"request\":3,\"room\":\"token\","
                                "\"message\":\"said \\\"no\\\" \\\\ ?\"}\n";
    assert_memory_equal(rest, first, strlen(first));
    rest = after_time(rest + strlen(first) + strlen(start_of_line));
    assert_string_equal(rest, "\",\"level\":\"info\",\"room\":\"net\",\"message\":\"plain\"}\n");
}

static void what_a_client_sends_cannot_forge_lines_or_steer_a_terminal(void **state)
{
    setup(QP_LOG_INFO, QP_LOG_TEXT);
    qp_log_info("http", "%s",
                "a\r\nb\x1b[31m\x7f\t\xc2\x9b\xc3\xa9\xff\xe2\x82\xac\xed\xa0\x80\xf0\x9f\x98\x80\xc3");
    read_log();
    assert_string_equal(after_time(text),
                        " info  http: a??b?[31m????\xc3\xa9?\xe2\x82\xac???\xf0\x9f\x98\x80?\n");
}

static void a_long_message_is_cut_and_the_line_still_ends(void **state)
{
    char *longer = malloc(20000);
    memset(longer, '"', 19999);
    longer[19999] = '\0';
    for (int form = QP_LOG_TEXT; form <= QP_LOG_JSON; form++) {
        setup(QP_LOG_INFO, (enum qp_log_form)form);
        qp_log_info("http", "%s", longer);
    }
    size_t len = read_log();
    free(longer);
    char *second = strchr(text, '\n') + 1;
    assert_in_range(second - text, 4000, 4096);
    assert_in_range(strlen(second), 4000, 4096);
    assert_string_equal(text + len - 3, "\"}\n");
}

static void levels_below_the_wanted_are_silent(void **state)
{
    setup(QP_LOG_WARN, QP_LOG_TEXT);
    assert_true(qp_log_wants(QP_LOG_ERROR));
    assert_false(qp_log_wants(QP_LOG_INFO));
    qp_log_info("net", "x");
    qp_log_debug("net", "x");
    assert_int_equal(read_log(), 0);
    qp_log_set_level(QP_LOG_DEBUG);
    qp_log_debug("net", "now");
    assert_true(read_log() > 0);
}

static void logging_keeps_errno(void **state)
{
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = -1, .access_fd = -1});
    errno = EXDEV;
    qp_log_info("net", "goes nowhere");
    assert_int_equal(errno, EXDEV);
    setup(QP_LOG_INFO, QP_LOG_TEXT);
    qp_log_info("net", "back");
    assert_int_equal(errno, EXDEV);
    read_log();
    assert_non_null(strstr(text, "net: back\n"));
}

static void access_lines_are_gathered_and_kept_in_order(void **state)
{
    setup(QP_LOG_INFO, QP_LOG_TEXT);
    qp_log_access(QP_SLICE("one\n"));
    qp_log_access(QP_SLICE("two\n"));
    assert_int_equal(read_log(), 0);
    qp_log_access_flush();
    qp_log_access_flush();
    read_log();
    assert_string_equal(text, "one\ntwo\n");
    static char big[20000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\n'; /* every line ends */
    qp_log_access(QP_SLICE("three\n"));
    qp_log_access(qp_slice(big, sizeof(big)));
    assert_int_equal(read_log(), 14 + sizeof(big));
    assert_memory_equal(text, "one\ntwo\nthree\nxxx", 17);
    for (int i = 0; i < 16384 / 8; i++)
        qp_log_access(QP_SLICE("1234567\n"));
    assert_int_equal(read_log(), 14 + sizeof(big));
    qp_log_access(QP_SLICE("1234567\n"));
    assert_int_equal(read_log(), 14 + sizeof(big) + 16384);
    qp_log_access_flush();
}

enum { THREADS = 8, LINES = 2000 };

static void *write_lines(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    for (uint64_t i = 1; i <= LINES; i++) {
        char line[64];
        int len = snprintf(line, sizeof(line), "access %" PRIu64 " %" PRIu64 " end\n", thread, i);
        qp_log_access(qp_slice(line, (size_t)len));
        qp_log_line(QP_LOG_INFO, "test", thread, i, "a line of thread %" PRIu64, thread);
    }
    qp_log_access_flush();
    return NULL;
}

static void lines_of_several_threads_never_mix_nor_lose_their_order(void **state)
{
    setup(QP_LOG_INFO, QP_LOG_TEXT);
    fcntl(fileno(file), F_SETFL, O_APPEND);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    size_t len = read_log();
    uint64_t last_message[THREADS + 1] = {0};
    uint64_t last_access[THREADS + 1] = {0};
    for (char *at = text, *next; (next = memchr(at, '\n', (size_t)(text + len - at))); at = next + 1) {
        /* A copy: under ASan sscanf() measures the string, and the whole log is long. */
        char line[256] = "";
        assert_true((size_t)(next - at) < sizeof(line));
        memcpy(line, at, (size_t)(next - at));
        uint64_t thread = 0;
        uint64_t number = 0;
        int ended = 0;
        if (sscanf(line, "access %" SCNu64 " %" SCNu64 " end%n", &thread, &number, &ended) == 2) {
            assert_in_range(thread, 1, THREADS);
            assert_int_equal(number, ++last_access[thread]);
        } else {
            uint64_t told = 0;
            assert_int_equal(sscanf(after_time(line),
                                    " info c%" SCNu64 " r%" SCNu64 " test: a line of thread %" SCNu64 "%n",
                                    &thread, &number, &told, &ended),
                             3);
            assert_in_range(thread, 1, THREADS);
            assert_int_equal(thread, told);
            assert_int_equal(number, ++last_message[thread]);
        }
        assert_true(ended > 0);
    }
    for (int i = 1; i <= THREADS; i++) {
        assert_int_equal(last_message[i], LINES);
        assert_int_equal(last_access[i], LINES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_line_names_level_ids_room_and_message, start, end),
        cmocka_unit_test_setup_teardown(ids_that_are_zero_are_left_out, start, end),
        cmocka_unit_test_setup_teardown(a_json_line_is_json, start, end),
        cmocka_unit_test_setup_teardown(what_a_client_sends_cannot_forge_lines_or_steer_a_terminal, start,
                                        end),
        cmocka_unit_test_setup_teardown(a_long_message_is_cut_and_the_line_still_ends, start, end),
        cmocka_unit_test_setup_teardown(levels_below_the_wanted_are_silent, start, end),
        cmocka_unit_test_setup_teardown(logging_keeps_errno, start, end),
        cmocka_unit_test_setup_teardown(access_lines_are_gathered_and_kept_in_order, start, end),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_never_mix_nor_lose_their_order, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
