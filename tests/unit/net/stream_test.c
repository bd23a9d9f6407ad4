/* Plain streams. */
#include "fixture.h"
#include "net/loop_impl.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG_BYTES = 5 * 1024 * 1024 };

static unsigned try_write_count;
static int try_write_error; /* what uv_try_write() answers instead of trying; 0: the truth */
static int write_error;
static bool memory_is_gone;
static size_t try_write_limit; /* the most that one try may take; 0: no limit */

int __real_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count)
{
    try_write_count++;
    if (try_write_error != 0)
        return try_write_error;
    if (try_write_limit > 0 && bufs[0].len > try_write_limit) {
        uv_buf_t part = uv_buf_init(bufs[0].base, (unsigned)try_write_limit);
        return __real_uv_try_write(stream, &part, 1);
    }
    return __real_uv_try_write(stream, bufs, count);
}

int __real_uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t bufs[], unsigned count,
                    uv_write_cb cb);
int __wrap_uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t bufs[], unsigned count,
                    uv_write_cb cb);
int __wrap_uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t bufs[], unsigned count,
                    uv_write_cb cb)
{
    return write_error != 0 ? write_error : __real_uv_write(request, stream, bufs, count, cb);
}

void *__real_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes)
{
    return memory_is_gone ? NULL : __real_qp_try_alloc(bytes);
}

static int set_up(void **state)
{
    try_write_count = 0;
    try_write_error = 0;
    try_write_limit = 0;
    write_error = 0;
    memory_is_gone = false;
    return make_loop(state);
}

static void echo(struct end *end, struct qp_slice bytes)
{
    end->inside = true;
    qp_stream_write(end->stream, &bytes, 1);
    end->inside = false;
}

/* A client may send a credential though it need not. */
static void what_was_read_does_not_stay_in_the_loop(void **state)
{
    static const char zeros[64];
    struct end a = {.keep = true};
    struct end b = {.keep = true};
    struct got_at_least want = {&b, 64};
    open_pair(AF_INET, &a, &b);
    qp_stream_resume(b.stream);
    send_text(&a, "Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789");
    run_until(has_bytes, &want);
    assert_memory_equal(test_loop->read_bytes, zeros, sizeof(zeros));
    close_end(&a);
    close_end(&b);
    run_until(no_streams, NULL);
}

static void bytes_are_echoed(void **state)
{
    static const int families[] = {AF_INET, AF_UNIX};

    for (unsigned i = 0; i < 2; i++) {
        struct end a = {.keep = true};
        struct end b = {.on_data = echo};
        struct got_at_least want = {&a, 5};
        open_pair(families[i], &a, &b);
        qp_stream_resume(a.stream);
        qp_stream_resume(b.stream);
        assert_int_equal(qp_stream_count(test_loop), 2);
        assert_true(qp_stream_fd(a.stream) >= 0);
        assert_ptr_equal(qp_stream_loop(a.stream), test_loop);
        send_text(&a, "hello");
        run_until(has_bytes, &want);
        assert_memory_equal(qp_buf_slice(&a.got).at, "hello", 5);
        close_end(&a);
        close_end(&b);
        run_until(no_streams, NULL);
    }
}

static void small_pieces_go_out_in_one_call(void **state)
{
    struct end a = {0};
    struct end b = {.keep = true};
    struct got_at_least want = {&b, 300};

    open_pair(AF_INET, &a, &b);
    qp_stream_resume(b.stream);
    for (unsigned i = 0; i < 100; i++)
        send_text(&a, "abc");
    assert_int_equal(try_write_count, 0);
    assert_int_equal(qp_stream_pending_bytes(a.stream), 300);
    run_until(has_bytes, &want);
    assert_int_equal(try_write_count, 1);
    assert_int_equal(qp_stream_pending_bytes(a.stream), 0);
    send_text(&a, "now");
    qp_stream_flush(a.stream);
    assert_int_equal(qp_stream_pending_bytes(a.stream), 0);
    assert_int_equal(try_write_count, 2);
    close_end(&a);
    close_end(&b);
}

static void a_large_piece_takes_what_was_joined_with_it(void **state)
{
    struct end a = {0};
    struct end b = {.keep = true};
    char *large = qp_alloc(20000);
    struct qp_slice piece = qp_slice(large, 20000);
    struct got_at_least want = {&b, 20003};

    memset(large, 'x', 20000);
    open_pair(AF_INET, &a, &b);
    qp_stream_resume(b.stream);
    send_text(&a, "abc");
    qp_stream_write(a.stream, &piece, 1);
    assert_int_equal(try_write_count, 1);
    memset(large, 'y', 20000); /* it was borrowed for the call only */
    run_until(has_bytes, &want);
    assert_memory_equal(qp_buf_slice(&b.got).at, "abcxxx", 6);
    assert_int_equal(qp_buf_slice(&b.got).at[20002], 'x');
    close_end(&a);
    close_end(&b);
    qp_free(large);
}

/* Writes a known sequence in pieces of odd sizes and keeps to the marks. */
struct pour {
    struct end *end;
    size_t sent;
    size_t most_pending;
    uint32_t seed;
};

static char byte_at(size_t place)
{
    return (char)(place * 2654435761u >> 13);
}

static void pour_on(struct pour *pour)
{
    static char piece_bytes[70000];

    while (pour->sent < BIG_BYTES && !qp_stream_is_full(pour->end->stream)) {
        pour->seed = pour->seed * 1664525u + 1013904223u;
        size_t len = (pour->seed >> 8) % (pour->seed & 64 ? sizeof(piece_bytes) : 200) + 1;
        if (len > BIG_BYTES - pour->sent)
            len = BIG_BYTES - pour->sent;
        for (size_t i = 0; i < len; i++)
            piece_bytes[i] = byte_at(pour->sent + i);
        struct qp_slice pieces[3] = {qp_slice(piece_bytes, len / 3), QP_SLICE(""),
                                     qp_slice(piece_bytes + len / 3, len - len / 3)};
        qp_stream_write(pour->end->stream, pieces, 3);
        pour->sent += len;
        if (qp_stream_pending_bytes(pour->end->stream) > pour->most_pending)
            pour->most_pending = qp_stream_pending_bytes(pour->end->stream);
    }
}

static void check_sequence(struct end *end, struct qp_slice bytes)
{
    size_t start = end->got_bytes - bytes.len;

    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.at[i] != byte_at(start + i))
            fail_msg("byte %zu is wrong", start + i);
    }
}

static void slow_check(struct end *end, struct qp_slice bytes)
{
    check_sequence(end, bytes);
    qp_stream_pause(end->stream);
}

struct transfer {
    struct pour pour;
    struct end *reader;
    unsigned turns;
};

static bool transfer_over(void *context)
{
    struct transfer *transfer = context;

    pour_on(&transfer->pour);
    if (transfer->turns++ % 3 == 0)
        qp_stream_resume(transfer->reader->stream);
    return transfer->reader->got_bytes == BIG_BYTES;
}

static void on_nudge(struct qp_timer *timer)
{
    qp_timer_arm(test_loop, timer, 1);
}

static void a_slow_reader_gets_all_and_pending_output_is_bounded(void **state)
{
    static const int families[] = {AF_INET, AF_UNIX};

    for (unsigned i = 0; i < 2; i++) {
        struct end a = {0};
        struct end b = {.on_data = slow_check};
        struct transfer transfer = {.pour = {.end = &a, .seed = i}, .reader = &b};
        struct qp_timer nudge; /* the loop must turn for the reader to be resumed */
        try_write_limit = i == 1 ? 7777 : 0;
        qp_timer_init(&nudge, on_nudge);
        qp_timer_arm(test_loop, &nudge, 1);
        open_pair(families[i], &a, &b);
        run_until(transfer_over, &transfer);
        assert_true(a.drained_count > 0);
        assert_true(transfer.pour.most_pending <= QP_STREAM_HIGH_BYTES + 70000);
        assert_true(b.largest_event <= QP_STREAM_READ_BYTES);
        qp_timer_deinit(&nudge);
        close_end(&a);
        close_end(&b);
    }
}

static void after_a_pause_nothing_is_lost_and_nothing_comes(void **state)
{
    struct end a = {0};
    struct end b = {.keep = true};
    struct got_at_least want = {&b, 2};

    open_pair(AF_INET, &a, &b);
    qp_stream_resume(b.stream);
    send_text(&a, "1");
    run_until(has_data, &b);
    qp_stream_pause(b.stream);
    send_text(&a, "2");
    run_for_ms(30);
    assert_int_equal(b.got_bytes, 1);
    qp_stream_resume(b.stream);
    run_until(has_bytes, &want);
    assert_memory_equal(qp_buf_slice(&b.got).at, "12", 2);
    close_end(&a);
    close_end(&b);
}

static void the_other_sides_end_leaves_our_direction_open(void **state)
{
    struct end a = {.keep = true};
    int fds[2];
    struct qp_buf got = {0};

    connected_pair(AF_INET, fds);
    own(&a, qp_stream_adopt(test_loop, fds[0], AF_INET));
    qp_stream_resume(a.stream);
    assert_int_equal(write(fds[1], "bye", 3), 3);
    shutdown(fds[1], SHUT_WR);
    run_until(has_end, &a);
    assert_int_equal(a.got_bytes, 3);
    send_text(&a, "still here");
    run_for_ms(20);
    assert_int_equal(a.end_count, 1);
    assert_int_equal(a.failed_count, 0);
    close_end(&a);
    run_until(no_streams, NULL);
    read_all(fds[1], &got);
    assert_int_equal(qp_buf_len(&got), 10);
    qp_buf_deinit(&got);
    close(fds[1]);
}

static void a_stream_may_be_closed_in_data_end_and_failed(void **state)
{
    struct end closer[3] = {{.close_in = IN_DATA}, {.close_in = IN_END}, {.close_in = IN_FAILED}};

    for (unsigned i = 0; i < 3; i++) {
        struct end other = {0};
        open_pair(AF_INET, &closer[i], &other);
        qp_stream_resume(closer[i].stream);
        if (i == 0)
            send_text(&other, "data");
        qp_stream_flush(other.stream);
        qp_stream_close(&other.stream, i == 2);
        run_until(no_streams, NULL);
        assert_null(closer[i].stream);
    }
    assert_int_equal(closer[0].data_count, 1);
    assert_int_equal(closer[0].end_count, 0);
    assert_int_equal(closer[1].end_count, 1);
    assert_int_equal(closer[2].why, QP_NET_RESET);
}

static void a_stream_may_be_closed_in_drained(void **state)
{
    struct end a = {.close_in = IN_DRAINED};
    struct end b = {0};
    struct pour pour = {.end = &a};

    open_pair(AF_INET, &a, &b);
    pour_on(&pour);
    assert_true(qp_stream_is_full(a.stream));
    qp_stream_resume(b.stream);
    run_until(has_drained, &a);
    assert_null(a.stream);
    close_end(&b);
}

static void a_hard_close_is_a_reset_and_a_soft_one_an_end(void **state)
{
    for (unsigned hard = 0; hard < 2; hard++) {
        struct end a = {0};
        struct end b = {0};
        open_pair(AF_INET, &a, &b);
        qp_stream_resume(b.stream);
        qp_stream_close(&a.stream, hard);
        run_until(hard ? has_failed : has_end, &b);
        close_end(&b);
    }
    struct qp_stream *none = NULL;
    qp_stream_close(&none, false);
    qp_stream_linger(&none, 10, 0);
}

static void lingering_delivers_the_last_bytes_to_one_who_still_sends(void **state)
{
    struct end a = {0};
    int fds[2];
    char *answer = qp_alloc(100000);
    struct qp_slice piece = qp_slice(answer, 100000);
    struct qp_buf got = {0};

    connected_pair(AF_INET, fds);
    own(&a, qp_stream_adopt(test_loop, fds[0], AF_INET));
    assert_int_equal(write(fds[1], "unread", 6), 6); /* alone it would make close() a reset */
    qp_stream_write(a.stream, &piece, 1);
    qp_stream_linger(&a.stream, 5000, 0);
    assert_null(a.stream);
    assert_int_equal(qp_stream_count(test_loop), 1);
    run_for_ms(30);
    assert_int_equal(qp_stream_count(test_loop), 1);
    read_all(fds[1], &got);
    assert_int_equal(qp_buf_len(&got), 100000);
    close(fds[1]);
    run_until(no_streams, NULL);
    qp_buf_deinit(&got);
    qp_free(answer);
}

static void lingering_ends_at_its_limit(void **state)
{
    struct end a = {0};
    struct end b = {0};

    open_pair(AF_INET, &a, &b); /* b never reads and never ends */
    send_text(&a, "last words");
    qp_stream_linger(&a.stream, 30, 0);
    run_for_ms(100);
    assert_int_equal(qp_stream_count(test_loop), 1);
    close_end(&b);
}

/* The first one owes, so the second is the oldest of those that do not. */
static void no_more_than_so_many_linger_and_the_oldest_that_owes_nothing_goes_first(void **state)
{
    enum { MANY = QP_LOOP_LINGERING + 8 };
    static int peers[MANY];
    static char bytes[1 << 20];
    const struct qp_slice large = qp_slice(bytes, sizeof(bytes));
    struct rlimit limit;
    char byte;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 2 * MANY + 64)
        skip();
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned i = 0; i < MANY; i++) {
        struct end a = {0};
        int fds[2];
        connected_pair(AF_UNIX, fds);
        own(&a, qp_stream_adopt(test_loop, fds[0], AF_UNIX));
        if (i == 0)
            qp_stream_write(a.stream, &large, 1);
        qp_stream_linger(&a.stream, 60000, 0);
        peers[i] = fds[1];
    }
    run_for_ms(20);
    assert_true(qp_stream_some_linger_owing(test_loop));
    assert_int_equal(qp_stream_count(test_loop), QP_LOOP_LINGERING);
    assert_int_equal(send(peers[0], "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(send(peers[1], "x", 1, MSG_NOSIGNAL), -1); /* closed */
    assert_int_equal(send(peers[MANY - 1], "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(read(peers[MANY - 1], &byte, 1), 0);
    for (unsigned i = 0; i < MANY; i++)
        close(peers[i]);
    run_until(no_streams, NULL);
}

static void lingering_streams_end_with_the_loop(void **state)
{
    struct end a = {0};
    struct end b = {0};

    open_pair(AF_INET, &a, &b);
    qp_stream_linger(&a.stream, 60000, 0);
    close_end(&b);
}

/* A body that the end of the connection delimits would look whole. */
static void what_is_owed_when_the_loop_ends_is_cut_visibly(void **state)
{
    static char bytes[BIG_BYTES];
    const struct qp_slice large = qp_slice(bytes, sizeof(bytes));
    struct end a = {0};
    int fds[2];
    ssize_t got;

    connected_pair(AF_INET, fds);
    own(&a, qp_stream_adopt(test_loop, fds[0], AF_INET));
    qp_stream_write(a.stream, &large, 1);
    qp_stream_linger(&a.stream, 60000, 0);
    run_for_ms(20);
    assert_true(qp_stream_some_linger_owing(test_loop));
    qp_loop_free(&test_loop);
    while ((got = read(fds[1], bytes, sizeof(bytes))) > 0)
        continue;
    assert_int_equal(got, -1);
    assert_int_equal(errno, ECONNRESET);
    close(fds[1]);
}

static void a_failed_write_is_reported_later_and_once(void **state)
{
    static const struct {
        int try_error;
        int write_error;
        enum qp_result why;
    } cases[] = {
        {UV_EPIPE, 0, QP_NET_RESET},
        {UV_ETIMEDOUT, 0, QP_NET_TIMEOUT},
        {UV_EIO, 0, QP_NET_FAILED},
        {UV_EAGAIN, UV_ENOMEM, QP_SELF_MEMORY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned large = 0; large < 2; large++) {
            struct end a = {0};
            struct end b = {0};
            char *bytes = qp_alloc(40000);
            struct qp_slice piece = qp_slice(bytes, large ? 40000 : 10);
            try_write_error = cases[i].try_error;
            write_error = cases[i].write_error;
            open_pair(AF_INET, &a, &b);
            a.inside = true;
            qp_stream_write(a.stream, &piece, 1);
            qp_stream_write(a.stream, &piece, 1);
            a.inside = false;
            assert_int_equal(a.failed_count, 0);
            run_until(has_failed, &a);
            run_for_ms(20);
            assert_int_equal(a.failed_count, 1);
            assert_int_equal(a.why, cases[i].why);
            qp_stream_write(a.stream, &piece, 1);
            assert_int_equal(qp_stream_pending_bytes(a.stream), 0);
            close_end(&a);
            close_end(&b);
            qp_free(bytes);
        }
    }
}

static void without_memory_for_output_the_stream_fails(void **state)
{
    struct end a = {0};
    struct end b = {0};

    open_pair(AF_INET, &a, &b);
    memory_is_gone = true;
    send_text(&a, "abc");
    run_until(has_failed, &a);
    assert_int_equal(a.why, QP_SELF_MEMORY);
    close_end(&a);
    close_end(&b);
}

static void what_arrived_before_a_reset_met_in_writing_is_delivered(void **state)
{
    struct end a = {.keep = true};
    int fds[2];

    connected_pair(AF_INET, fds);
    own(&a, qp_stream_adopt(test_loop, fds[0], AF_INET));
    qp_stream_resume(a.stream);
    assert_int_equal(write(fds[1], "413", 3), 3);
    try_write_error = UV_EPIPE; /* as if the reset had come just now */
    send_text(&a, "more of the request");
    qp_stream_flush(a.stream);
    close(fds[1]);
    run_until(has_failed, &a);
    assert_int_equal(a.got_bytes, 3);
    assert_int_equal(a.why, QP_NET_RESET);
    close_end(&a);
}

static void a_new_owner_gets_the_events(void **state)
{
    struct end a = {0};
    struct end b = {0};
    struct end heir = {.keep = true};

    open_pair(AF_INET, &a, &b);
    own(&heir, b.stream);
    qp_stream_resume(heir.stream);
    send_text(&a, "x");
    run_until(has_data, &heir);
    assert_int_equal(b.data_count, 0);
    close_end(&a);
    close_end(&heir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_are_echoed, set_up, free_loop),
        cmocka_unit_test_setup_teardown(what_was_read_does_not_stay_in_the_loop, set_up, free_loop),
        cmocka_unit_test_setup_teardown(small_pieces_go_out_in_one_call, set_up, free_loop),
        cmocka_unit_test_setup_teardown(a_large_piece_takes_what_was_joined_with_it, set_up, free_loop),
        cmocka_unit_test_setup_teardown(a_slow_reader_gets_all_and_pending_output_is_bounded, set_up,
                                        free_loop),
        cmocka_unit_test_setup_teardown(after_a_pause_nothing_is_lost_and_nothing_comes, set_up, free_loop),
        cmocka_unit_test_setup_teardown(the_other_sides_end_leaves_our_direction_open, set_up, free_loop),
        cmocka_unit_test_setup_teardown(a_stream_may_be_closed_in_data_end_and_failed, set_up, free_loop),
        cmocka_unit_test_setup_teardown(a_stream_may_be_closed_in_drained, set_up, free_loop),
        cmocka_unit_test_setup_teardown(a_hard_close_is_a_reset_and_a_soft_one_an_end, set_up, free_loop),
        cmocka_unit_test_setup_teardown(lingering_delivers_the_last_bytes_to_one_who_still_sends, set_up,
                                        free_loop),
        cmocka_unit_test_setup_teardown(lingering_ends_at_its_limit, set_up, free_loop),
        cmocka_unit_test_setup_teardown(
            no_more_than_so_many_linger_and_the_oldest_that_owes_nothing_goes_first, set_up, free_loop),
        cmocka_unit_test_setup_teardown(lingering_streams_end_with_the_loop, set_up, free_loop),
        cmocka_unit_test_setup_teardown(what_is_owed_when_the_loop_ends_is_cut_visibly, set_up, free_loop),
        cmocka_unit_test_setup_teardown(a_failed_write_is_reported_later_and_once, set_up, free_loop),
        cmocka_unit_test_setup_teardown(without_memory_for_output_the_stream_fails, set_up, free_loop),
        cmocka_unit_test_setup_teardown(what_arrived_before_a_reset_met_in_writing_is_delivered, set_up,
                                        free_loop),
        cmocka_unit_test_setup_teardown(a_new_owner_gets_the_events, set_up, free_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
