#include "relay/kept.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmocka_all.h"

enum { KIB = 1024, BLOCK = 64 * KIB, TAG = 16 };

static struct qp_kept_budget budget;
static struct qp_kept kept;

static int begin(void **state)
{
    budget = (struct qp_kept_budget){.memory_bytes = 100 * KIB,
                                     .memory_total_bytes = 1024 * KIB,
                                     .body_bytes = 400 * KIB,
                                     .folder = "/tmp"};
    kept = (struct qp_kept){0};
    qp_kept_begin(&kept, &budget);
    return 0;
}

static int end(void **state)
{
    qp_kept_deinit(&kept);
    assert_int_equal(budget.used_bytes, 0);
    return 0;
}

/* Byte number i of every body; each 8 bytes are unlike any others. */
static char byte_at(uint64_t i)
{
    uint64_t word = (i / 8 + 1) * 0x9E3779B97F4A7C15u;
    return (char)(word >> (i % 8 * 8));
}

/* Appends so many bytes; `sent` went out before. */
static bool append(size_t bytes, uint64_t sent)
{
    struct qp_buf piece = {0};
    uint64_t from = kept.total;
    char *room = qp_buf_reserve(&piece, bytes);
    for (size_t i = 0; i < bytes; i++)
        room[i] = byte_at(from + i);
    qp_buf_commit(&piece, bytes);
    bool whole = qp_kept_append(&kept, qp_buf_slice(&piece), sent);
    qp_buf_deinit(&piece);
    return whole;
}

static void check_read(uint64_t offset)
{
    struct qp_slice bytes;
    assert_int_equal(qp_kept_read(&kept, offset, &bytes), QP_OK);
    assert_true(bytes.len > 0 && offset + bytes.len <= kept.total);
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.at[i] != byte_at(offset + i))
            fail_msg("byte %zu behind %llu", i, (unsigned long long)offset);
}

/* From the start to the end, as a replay reads. */
static void check_all(uint64_t from)
{
    while (from < kept.total) {
        struct qp_slice bytes;
        check_read(from);
        assert_int_equal(qp_kept_read(&kept, from, &bytes), QP_OK);
        from += bytes.len;
    }
    assert_int_equal(from, kept.total);
}

static void a_small_body_stays_in_memory(void **state)
{
    for (unsigned i = 0; i < 100; i++)
        assert_true(append(KIB, 0));
    assert_int_equal(kept.fd, -1);
    assert_false(kept.spilled);
    assert_int_equal(budget.used_bytes, 100 * KIB);
    check_all(0);
    check_read(kept.total - 1);
}

static void a_larger_one_goes_to_a_file_and_reads_back_at_every_border(void **state)
{
    static const int64_t around[] = {-2, -1, 0, 1};
    while (kept.total < 390 * KIB)
        assert_true(append(7 * KIB + 13, 0));
    assert_true(kept.fd >= 0 && kept.spilled && kept.whole);
    assert_true(budget.used_bytes < BLOCK);
    check_all(0);
    for (uint64_t border = BLOCK; border < kept.total; border += BLOCK)
        for (unsigned i = 0; i < 4; i++)
            check_read((uint64_t)((int64_t)border + around[i]));
    check_read(kept.total - 1);
    check_read(0);
}

static void pieces_of_exactly_a_block_leave_nothing_in_memory(void **state)
{
    for (unsigned i = 0; i < 6; i++)
        assert_true(append(BLOCK, 0));
    assert_int_equal(qp_buf_len(&kept.memory), 0);
    assert_int_equal(kept.file_bytes, 6 * BLOCK);
    check_all(0);
    assert_true(append(1, 0));
    check_read(6 * BLOCK);
}

static void the_total_of_all_bodies_counts_too(void **state)
{
    budget.used_bytes = budget.memory_total_bytes; /* the others' */
    assert_true(append(BLOCK - 1, 0));             /* less than a block is not worth a file */
    assert_int_equal(kept.fd, -1);
    assert_true(append(1, 0));
    assert_true(kept.fd >= 0);
    check_all(0);
    budget.used_bytes -= budget.memory_total_bytes;
}

static void past_the_budget_only_what_is_to_go_is_kept(void **state)
{
    while (kept.total + 30 * KIB <= budget.body_bytes)
        assert_true(append(30 * KIB, 0));
    assert_false(append(30 * KIB, 200 * KIB)); /* has just stopped being whole */
    assert_false(kept.whole);
    assert_int_equal(kept.base, 200 * KIB);
    check_all(200 * KIB);
    assert_true(append(KIB, 300 * KIB)); /* it is told once */
    check_all(300 * KIB);
    qp_kept_release(&kept, kept.total - 10);
    assert_int_equal(kept.fd, -1); /* nothing of the file is needed any more */
    assert_int_equal(budget.used_bytes, 10);
    check_read(kept.total - 10);
    qp_kept_release(&kept, kept.total);
    assert_int_equal(budget.used_bytes, 0);
    append(5, kept.total);
    check_read(kept.total - 5);
}

static void a_release_keeps_what_is_still_to_be_sent(void **state)
{
    append(50 * KIB, 0);
    qp_kept_release(&kept, 20 * KIB);
    assert_false(kept.whole);
    assert_int_equal(budget.used_bytes, 30 * KIB);
    check_all(20 * KIB);
    for (unsigned i = 0; i < 100; i++) { /* and never goes to a file */
        append(10 * KIB, kept.total - 5 * KIB);
        check_all(kept.base);
    }
    assert_int_equal(kept.fd, -1);
    assert_true(budget.used_bytes <= 15 * KIB);
}

static void a_folder_that_cannot_be_written_costs_the_replay_not_the_request(void **state)
{
    budget.folder = "/nonexistent/folder";
    assert_true(append(100 * KIB, 0));
    assert_false(append(KIB, 60 * KIB));
    assert_false(kept.whole || kept.spilled);
    check_all(60 * KIB);
}

/* Each request has the same trouble with it; the log says so once a second. */
static void of_such_a_folder_the_log_says_little(void **state)
{
    static char text[4096];
    FILE *log = tmpfile();
    size_t lines = 0;
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_WARN, .fd = fileno(log), .access_fd = -1});
    budget.folder = "/nonexistent/folder";
    for (unsigned i = 0; i < 50; i++) {
        append(101 * KIB, 0);
        qp_kept_reset(&kept);
        qp_kept_begin(&kept, &budget);
    }
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    ssize_t len = pread(fileno(log), text, sizeof text - 1, 0);
    fclose(log);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, "'/nonexistent/folder'"));
    assert_non_null(strstr(text, "replay.dir"));
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_in_range(lines, 1, 5); /* on a busy machine the fifty take more than a second */
}

/* All that the file holds. */
static size_t read_file(char *bytes, size_t most)
{
    ssize_t got = pread(kept.fd, bytes, most, 0);
    assert_true(got > 0);
    return (size_t)got;
}

static void the_file_has_no_name_and_no_plain_bytes(void **state)
{
    static char bytes[512 * KIB];
    char path[64], name[256];
    while (kept.total < 300 * KIB)
        append(10 * KIB, 0);
    size_t len = read_file(bytes, sizeof bytes);
    assert_int_equal(len % (BLOCK + TAG), 0);
    for (uint64_t i = 0; i < kept.file_bytes; i += 4096) {
        char plain[16];
        for (unsigned j = 0; j < sizeof plain; j++)
            plain[j] = byte_at(i + j);
        assert_null(memmem(bytes, len, plain, sizeof plain));
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", kept.fd);
    ssize_t name_len = readlink(path, name, sizeof name - 1);
    assert_true(name_len > 0);
    name[name_len] = '\0';
    assert_non_null(strstr(name, "(deleted)"));
}

static void a_tampered_file_is_detected(void **state)
{
    struct qp_slice bytes;
    while (kept.total < 300 * KIB)
        append(10 * KIB, 0);
    char byte;
    assert_int_equal(pread(kept.fd, &byte, 1, BLOCK + TAG + 100), 1);
    byte ^= 1;
    assert_int_equal(pwrite(kept.fd, &byte, 1, BLOCK + TAG + 100), 1);
    check_read(0);
    assert_int_equal(qp_kept_read(&kept, BLOCK, &bytes), QP_SELF_IO);
    assert_int_equal(qp_kept_read(&kept, BLOCK + 200, &bytes), QP_SELF_IO);
    check_read(2 * BLOCK);
    /* A block in another's place is not that block. */
    static char other[BLOCK + TAG];
    assert_int_equal(pread(kept.fd, other, sizeof other, 0), sizeof other);
    assert_int_equal(pwrite(kept.fd, other, sizeof other, 2 * sizeof other), sizeof other);
    check_read(0);
    assert_int_equal(qp_kept_read(&kept, 2 * BLOCK, &bytes), QP_SELF_IO);
    assert_int_equal(ftruncate(kept.fd, 10), 0);
    assert_int_equal(qp_kept_read(&kept, BLOCK, &bytes), QP_SELF_IO);
}

static void a_used_one_begins_afresh(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        while (kept.total < 200 * KIB)
            append(10 * KIB, 0);
        check_all(0);
        qp_kept_reset(&kept);
        assert_int_equal(budget.used_bytes, 0);
        assert_int_equal(kept.fd, -1);
        qp_kept_begin(&kept, &budget);
        assert_true(kept.whole && !kept.spilled);
    }
    qp_kept_reset(&kept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    qp_log_setup(&(struct qp_log_opts){.level = QP_LOG_ERROR, .fd = 2, .access_fd = -1});
    const struct CMUnitTest tests[] = {
        TEST(a_small_body_stays_in_memory),
        TEST(a_larger_one_goes_to_a_file_and_reads_back_at_every_border),
        TEST(pieces_of_exactly_a_block_leave_nothing_in_memory),
        TEST(the_total_of_all_bodies_counts_too),
        TEST(past_the_budget_only_what_is_to_go_is_kept),
        TEST(a_release_keeps_what_is_still_to_be_sent),
        TEST(a_folder_that_cannot_be_written_costs_the_replay_not_the_request),
        TEST(of_such_a_folder_the_log_says_little),
        TEST(the_file_has_no_name_and_no_plain_bytes),
        TEST(a_tampered_file_is_detected),
        TEST(a_used_one_begins_afresh),
    };
    return cmocka_run_group_tests_name("relay.kept", tests, NULL, NULL);
}
