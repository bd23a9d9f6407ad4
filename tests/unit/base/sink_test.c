/* Where log lines go when they cannot: nobody waits, and nothing is lost silently. */
#include "base/log.h"
#include "base/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char text[1024 * 1024];

/* All that lies in a pipe or socket whose writing end stays open. */
static size_t drain(int fd)
{
    size_t len = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t got; (got = read(fd, text + len, sizeof(text) - 1 - len)) > 0;)
        len += (size_t)got;
    text[len] = '\0';
    return len;
}

static unsigned count_of(const char *words)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at += strlen(words))
        count++;
    return count;
}

/* Each line is whole: it begins with a year and ends with the words that all have. */
static void assert_whole_lines(void)
{
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (strncmp(line, "20", 2) != 0 || (!strstr(line, " end") && !strstr(line, "were lost")))
            fail_msg("'%s' is not a whole line", line);
        *end = '\n';
    }
}

/* Would hang for ever if a write waited: the alarm ends the test then. */
static void assert_loses_and_tells(int writer, int reader)
{
    uint64_t before = qp_log_lost_lines();
    alarm(60);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = writer, .access_fd = -1});
    unsigned written = 0;
    for (; qp_log_lost_lines() == before; written++)
        qp_log_info("net", "line %06u of many, and of some length, for a pipe is large end", written);
    for (int i = 0; i < 99; i++)
        qp_log_info("net", "lost end");
    assert_int_equal(qp_log_lost_lines() - before, 100);
    drain(reader);
    assert_int_equal(count_of("\n"), written - 1);
    qp_log_info("net", "back end");
    drain(reader);
    assert_int_equal(count_of("\n"), 2 + (*text != '2')); /* a socket may have taken half a line */
    assert_non_null(strstr(text, "warn  log: 100 lines were lost: nobody took them in time\n"));
    qp_log_info("net", "once only end");
    drain(reader);
    assert_int_equal(count_of("\n"), 1);
    alarm(0);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = 2, .access_fd = -1});
}

static void a_pipe_that_nobody_reads_holds_nobody_up(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_loses_and_tells(ends[1], ends[0]);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* it may be others' too */
    close(ends[0]);
    close(ends[1]);
}

static void nor_does_a_socket(void **state)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, types[i], 0, ends), 0);
        assert_loses_and_tells(ends[1], ends[0]);
        close(ends[0]);
        close(ends[1]);
    }
}

static void a_block_of_access_lines_is_lost_by_whole_lines(void **state)
{
    enum { LINES = 200, LINE_BYTES = 80 };
    int ends[2];
    int log_ends[2];
    char line[LINE_BYTES + 1];
    uint64_t before = qp_log_lost_lines();
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(log_ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 8192), 8192);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = log_ends[1], .access_fd = ends[1]});
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < LINES; i++) {
            snprintf(line, sizeof(line), "2%06u%*s\n", i, LINE_BYTES - 8, " end");
            qp_log_access(qp_slice(line, LINE_BYTES));
        }
        qp_log_access_flush();
    }
    drain(ends[0]);
    unsigned came = count_of("\n");
    assert_in_range(came, 8192 / LINE_BYTES - 4, 8192 / LINE_BYTES);
    assert_int_equal(qp_log_lost_lines() - before, 3 * LINES - came);
    assert_int_equal(text[strlen(text) - 1], '\n');
    drain(log_ends[0]);
    assert_int_equal(count_of("access lines cannot be written and are lost until they can: nobody"), 1);
    assert_int_equal(count_of("were lost"), 0);
    qp_log_access(QP_SLICE("2 back end\n"));
    qp_log_access_flush();
    drain(ends[0]);
    assert_string_equal(text, "2 back end\n");
    drain(log_ends[0]);
    snprintf(line, sizeof(line), " log: %u access lines were lost: nobody", 3 * LINES - came);
    assert_int_equal(count_of(line), 1);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = 2, .access_fd = -1});
    for (int i = 0; i < 2; i++)
        close(ends[i]), close(log_ends[i]);
}

static void after_a_full_disk_the_next_line_begins_anew(void **state)
{
    char path[] = "/tmp/qp-sink-XXXXXX";
    int fd = mkstemp(path);
    struct rlimit before;
    uint64_t lost = qp_log_lost_lines();
    assert_int_equal(unlink(path), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){5000, before.rlim_max}), 0);
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = fd, .access_fd = -1});
    for (unsigned i = 0; i < 200; i++)
        qp_log_info("net", "line %u end", i);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    qp_log_info("net", "back end");
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_INFO, .fd = 2, .access_fd = -1});
    lseek(fd, 0, SEEK_SET);
    ssize_t len = read(fd, text, sizeof(text) - 1);
    assert_true(len > 5000);
    text[len] = '\0';
    close(fd);
    assert_true(text[4999] != '\n'); /* else there is nothing to see here */
    assert_int_equal(text[5000], '\n');
    memmove(text, text + 5001, (size_t)len - 5000);
    assert_whole_lines();
    assert_non_null(strstr(text, "net: back end\n"));
    char words[64];
    lost = qp_log_lost_lines() - lost;
    snprintf(words, sizeof(words), "log: %llu lines were lost: File too large\n", (unsigned long long)lost);
    assert_non_null(strstr(text, words));
    assert_in_range(lost, 50, 199);
}

/* Longer than what a pipe takes at once: a line can end after a piece that was written in full. */
static void a_line_of_several_pieces_that_is_cut_between_them_is_ended(void **state)
{
    enum { PIECE_BYTES = 4096 };
    static char line[3 * PIECE_BYTES];
    int ends[2];
    struct qp_sink sink = {0};
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 2 * PIECE_BYTES), 2 * PIECE_BYTES);
    sink.fd = ends[1];
    assert_false(qp_sink_write(&sink, qp_slice(line, sizeof(line))));
    assert_int_equal(qp_sink_losses(&sink), 1);
    assert_int_equal(drain(ends[0]), 2 * PIECE_BYTES);
    assert_true(qp_sink_write(&sink, QP_SLICE("next\n")));
    drain(ends[0]);
    assert_string_equal(text, "\nnext\n");
    close(ends[0]);
    close(ends[1]);
}

static void a_full_device_and_a_closed_descriptor_are_reasons_too(void **state)
{
    int full = open("/dev/full", O_WRONLY);
    struct qp_sink sink = {.fd = full};
    assert_false(qp_sink_write(&sink, QP_SLICE("a\nb\n")));
    assert_int_equal(qp_sink_losses(&sink), 2);
    assert_string_equal(qp_sink_why(&sink), "No space left on device");
    close(full);
    assert_false(qp_sink_write(&sink, QP_SLICE("c\n")));
    assert_string_equal(qp_sink_why(&sink), "Bad file descriptor");
    assert_int_equal(qp_sink_take_losses(&sink, 7), 3);
    qp_sink_return_losses(&sink, 3);
    assert_int_equal(qp_sink_take_losses(&sink, 7), 0); /* not twice in a second */
    assert_int_equal(qp_sink_take_losses(&sink, 8), 3);
    assert_int_equal(qp_sink_losses(&sink), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_that_nobody_reads_holds_nobody_up),
        cmocka_unit_test(nor_does_a_socket),
        cmocka_unit_test(a_block_of_access_lines_is_lost_by_whole_lines),
        cmocka_unit_test(after_a_full_disk_the_next_line_begins_anew),
        cmocka_unit_test(a_line_of_several_pieces_that_is_cut_between_them_is_ended),
        cmocka_unit_test(a_full_device_and_a_closed_descriptor_are_reasons_too),
    };
    return cmocka_run_group_tests_name("base.sink", tests, NULL, NULL);
}
