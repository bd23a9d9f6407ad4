/* Calls of libuv that fail: each ends in a result for the owner, and leaves nothing open. */
#include "fixture.h"

#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the next calls answer instead of doing anything; 0: they are done. */
static int read_error;
static int open_error;
static int shutdown_error;
static int reset_error;

#define WRAPPED(call, error, parameters, arguments)              \
    int __real_##call parameters;                                \
    int __wrap_##call parameters;                                \
    int __wrap_##call parameters                                 \
    {                                                            \
        return (error) != 0 ? (error) : __real_##call arguments; \
    }

WRAPPED(uv_read_start, read_error, (uv_stream_t * stream, uv_alloc_cb on_alloc, uv_read_cb on_read),
        (stream, on_alloc, on_read))
WRAPPED(uv_tcp_open, open_error, (uv_tcp_t * tcp, uv_os_sock_t sock), (tcp, sock))
WRAPPED(uv_pipe_open, open_error, (uv_pipe_t * pipe, uv_file fd), (pipe, fd))
WRAPPED(uv_shutdown, shutdown_error, (uv_shutdown_t * request, uv_stream_t *stream, uv_shutdown_cb on_shut),
        (request, stream, on_shut))
WRAPPED(uv_tcp_close_reset, reset_error, (uv_tcp_t * tcp, uv_close_cb on_close), (tcp, on_close))

static int set_up(void **state)
{
    read_error = open_error = shutdown_error = reset_error = 0;
    return make_loop(state);
}

static void a_stream_that_cannot_be_read_has_failed(void **state)
{
    struct end a = {0};
    struct end b = {0};

    (void)state;
    open_pair(AF_INET, &a, &b);
    read_error = UV_EBADF;
    a.inside = true; /* not from inside the call */
    qp_stream_resume(a.stream);
    a.inside = false;
    run_until(has_failed, &a);
    assert_int_equal(a.why, QP_NET_FAILED);
    read_error = 0;
    close_end(&a);
    close_end(&b);
    run_until(no_streams, NULL);
}

static void a_descriptor_that_cannot_be_adopted_is_closed(void **state)
{
    static const int families[] = {AF_INET, AF_UNIX};
    int fds[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        connected_pair(families[i], fds);
        open_error = UV_ENOMEM;
        assert_null(qp_stream_adopt(test_loop, fds[0], families[i]));
        open_error = 0;
        assert_int_equal(fcntl(fds[0], F_GETFD), -1);
        assert_int_equal(errno, EBADF);
        close(fds[1]);
        run_until(no_streams, NULL);
    }
}

static unsigned accepted_count;

static void on_accepted(void *owner, struct qp_stream *stream, const struct qp_address *from)
{
    (void)owner;
    (void)from;
    accepted_count++;
    qp_stream_close(&stream, false);
}

static bool has_accepted(void *unused)
{
    (void)unused;
    return accepted_count > 0;
}

static int connect_to(const struct qp_address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, &address->u.any, address->len), 0);
    return fd;
}

static void a_listener_survives_connections_that_cannot_be_adopted(void **state)
{
    static const struct qp_listener_events events = {.accepted = on_accepted};
    struct qp_listen_claim *claim = NULL;
    struct qp_address address;
    char error[256];
    char byte;
    const char *why;

    (void)state;
    accepted_count = 0;
    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:0"), &address, &why), QP_OK);
    assert_int_equal(qp_listen_claim(&address, 0, &claim, error, sizeof(error)), QP_OK);
    struct qp_listener *listener = qp_listener_new(test_loop, qp_listen_fd(claim), &events, NULL);
    open_error = UV_ENOMEM;
    int lost = connect_to(&address);
    run_for_ms(30);
    assert_int_equal(accepted_count, 0);
    assert_int_equal(recv(lost, &byte, 1, 0), 0); /* the client hears of it */
    open_error = 0;
    int served = connect_to(&address);
    run_until(has_accepted, NULL);
    close(lost);
    close(served);
    qp_listener_close(&listener);
    qp_listen_release(&claim);
    run_until(no_streams, NULL);
}

static void an_end_that_cannot_be_announced_is_an_end_all_the_same(void **state)
{
    struct end a = {0};
    struct end b = {0};

    (void)state;
    open_pair(AF_INET, &a, &b);
    qp_stream_resume(b.stream);
    shutdown_error = UV_ENOTCONN;
    qp_stream_linger(&a.stream, 10000, 0);
    assert_null(a.stream);
    run_until(has_end, &b);
    close_end(&b);
    run_until(no_streams, NULL);
}

static void a_cut_is_a_reset_even_where_libuv_refuses_it(void **state)
{
    struct end a = {0};
    struct end b = {0};

    (void)state;
    open_pair(AF_INET, &a, &b);
    qp_stream_resume(b.stream);
    reset_error = UV_EINVAL;
    qp_stream_close(&a.stream, true);
    run_until(has_failed, &b);
    assert_int_equal(b.why, QP_NET_RESET);
    close_end(&b);
    run_until(no_streams, NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_that_cannot_be_read_has_failed),
        TEST(a_descriptor_that_cannot_be_adopted_is_closed),
        TEST(a_listener_survives_connections_that_cannot_be_adopted),
        TEST(an_end_that_cannot_be_announced_is_an_end_all_the_same),
        TEST(a_cut_is_a_reset_even_where_libuv_refuses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
