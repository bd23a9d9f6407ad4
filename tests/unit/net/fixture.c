#include "fixture.h"

#include "base/check.h"
#include "net/timer.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT_MS = 10 * 1000 };

struct qp_loop *test_loop;

static bool (*awaited)(void *context);
static void *awaited_context;
static bool out_of_time;

static void on_data(void *owner, struct qp_slice bytes)
{
    struct end *end = owner;

    assert_false(end->inside);
    assert_true(bytes.len > 0);
    assert_int_equal(end->failed_count, 0);
    end->data_count++;
    end->got_bytes += bytes.len;
    if (bytes.len > end->largest_event)
        end->largest_event = bytes.len;
    if (end->keep)
        qp_buf_append(&end->got, bytes);
    if (end->on_data)
        end->on_data(end, bytes);
    if (end->close_in == IN_DATA)
        qp_stream_close(&end->stream, end->close_hard);
}

static void on_end(void *owner)
{
    struct end *end = owner;

    assert_false(end->inside);
    end->end_count++;
    if (end->close_in == IN_END)
        qp_stream_close(&end->stream, end->close_hard);
}

static void on_drained(void *owner)
{
    struct end *end = owner;

    assert_false(end->inside);
    assert_false(qp_stream_is_full(end->stream));
    end->drained_count++;
    if (end->close_in == IN_DRAINED)
        qp_stream_close(&end->stream, end->close_hard);
}

static void on_failed(void *owner, enum qp_result why)
{
    struct end *end = owner;

    assert_false(end->inside);
    end->failed_count++;
    end->why = why;
    if (end->close_in == IN_FAILED)
        qp_stream_close(&end->stream, end->close_hard);
}

const struct qp_stream_events end_events = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

int make_loop(void **state)
{
    (void)state;
    test_loop = qp_loop_new();
    return 0;
}

int free_loop(void **state)
{
    (void)state;
    qp_loop_free(&test_loop);
    return 0;
}

static void non_blocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

void connected_pair(int family, int fds[2])
{
    if (family == AF_UNIX) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(address);
        int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
        assert_int_equal(listen(listening, 1), 0);
        assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
        fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[0], (struct sockaddr *)&address, len), 0);
        fds[1] = accept(listening, NULL, NULL);
        assert_true(fds[1] >= 0);
        close(listening);
    }
    non_blocking(fds[0]);
    non_blocking(fds[1]);
}

void own(struct end *end, struct qp_stream *stream)
{
    assert_non_null(stream);
    end->stream = stream;
    qp_stream_set_owner(stream, &end_events, end);
}

void open_pair(int family, struct end *a, struct end *b)
{
    int fds[2];

    connected_pair(family, fds);
    own(a, qp_stream_adopt(test_loop, fds[0], family));
    own(b, qp_stream_adopt(test_loop, fds[1], family));
}

void send_text(struct end *end, const char *text)
{
    struct qp_slice piece = qp_slice_str(text);

    end->inside = true;
    qp_stream_write(end->stream, &piece, 1);
    end->inside = false;
}

void close_end(struct end *end)
{
    qp_stream_close(&end->stream, false);
    qp_buf_deinit(&end->got);
}

static void on_idle(void *context)
{
    (void)context;
    if (awaited && awaited(awaited_context))
        qp_loop_stop(test_loop);
}

static void on_limit(struct qp_timer *timer)
{
    (void)timer;
    out_of_time = true;
    qp_loop_stop(test_loop);
}

static bool run(unsigned limit_ms)
{
    struct qp_timer limit;

    out_of_time = false;
    qp_timer_init(&limit, on_limit);
    uv_update_time(&test_loop->uv);
    qp_timer_arm(test_loop, &limit, limit_ms);
    qp_loop_on_idle(test_loop, on_idle, NULL);
    qp_loop_run(test_loop);
    qp_loop_on_idle(test_loop, NULL, NULL);
    qp_timer_deinit(&limit);
    return !out_of_time;
}

void run_until(bool (*condition)(void *context), void *context)
{
    awaited = condition;
    awaited_context = context;
    if (!run(LIMIT_MS))
        fail_msg("what the test waited for did not come");
}

void run_for_ms(unsigned ms)
{
    awaited = NULL;
    assert_false(run(ms));
}

bool has_end(void *end)
{
    return ((struct end *)end)->end_count > 0;
}

bool has_failed(void *end)
{
    return ((struct end *)end)->failed_count > 0;
}

bool has_drained(void *end)
{
    return ((struct end *)end)->drained_count > 0;
}

bool has_data(void *end)
{
    return ((struct end *)end)->data_count > 0;
}

bool no_streams(void *unused)
{
    (void)unused;
    return qp_stream_count(test_loop) == 0;
}

bool has_bytes(void *context)
{
    struct got_at_least *want = context;

    return want->end->got_bytes >= want->bytes;
}

void read_all(int fd, struct qp_buf *into)
{
    ssize_t n;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    do {
        char *room = qp_buf_reserve(into, 4096);
        n = read(fd, room, 4096);
        if (n > 0)
            qp_buf_commit(into, (size_t)n);
    } while (n > 0);
}
