/* Several addresses: who is tried when (RFC 8305), and what a failure at one of them means. */
#include "dialling.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOLES = 10, REFUSING = 60 };

static void families_take_turns(void **state)
{
    static const char *const order[] = {"::1", "127.0.0.9", "::2", "127.0.0.8", "::3", "127.0.0.7"};
    struct outcome outcome = {0};

    (void)state;
    port = 443;
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("::1", "::2", "::3", "127.0.0.9", "127.0.0.8", "127.0.0.9", "127.0.0.7");
    connect_error = UV_ENETUNREACH;
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_UNREACHABLE);
    assert_int_equal(connect_count, 6); /* the doubled one counts once */
    for (unsigned i = 0; i < 6; i++)
        assert_string_equal(connected_to[i], order[i]);
    assert_non_null(strstr(outcome.detail, "127.0.0.7"));
    assert_non_null(strstr(outcome.detail, "5 other attempts failed before"));
}

/* Sixty times a quarter of a second would be three times the time limit. */
static void addresses_that_refuse_are_passed_at_once(void **state)
{
    char text[32];

    (void)state;
    serve("localhost");
    make_dialer("localhost", "ca", 5000);
    for (unsigned i = 0; i < REFUSING; i++) {
        snprintf(text, sizeof(text), "127.0.1.%u", i + 1);
        also_resolves_to(text);
    }
    also_resolves_to("127.0.0.1");
    dial_well();
    assert_int_equal(connect_count, REFUSING + 1);
}

static void a_silent_address_is_overtaken_and_then_avoided(void **state)
{
    struct black_hole hole;

    (void)state;
    serve(NULL);
    open_black_hole(&hole, "127.0.0.2");
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.2", "127.0.0.1");
    dial_well();
    assert_int_equal(connect_count, 2);
    dial_well();
    assert_int_equal(connect_count, 3);
    assert_string_equal(connected_to[2], "127.0.0.1");
    skew_ms += 31 * 1000; /* the next answer says nothing of who works */
    dial_well();
    run_for_ms(20);
    dial_well();
    assert_string_equal(connected_to[4], "127.0.0.2");
    close_black_hole(&hole);
}

static unsigned most_streams;

static void count_streams(struct qp_timer *timer)
{
    if (qp_stream_count(test_loop) > most_streams)
        most_streams = qp_stream_count(test_loop);
    qp_timer_arm(test_loop, timer, 100);
}

static void many_silent_addresses_are_tried_side_by_side_up_to_a_bound(void **state)
{
    struct black_hole holes[HOLES];
    struct qp_timer timer;
    char text[32];

    (void)state;
    serve(NULL);
    make_dialer("localhost", NULL, 9000);
    for (unsigned i = 0; i < HOLES; i++) {
        snprintf(text, sizeof(text), "127.0.0.%u", i + 2);
        open_black_hole(&holes[i], text);
        also_resolves_to(text);
    }
    also_resolves_to("127.0.0.1");
    most_streams = 0;
    qp_timer_init(&timer, count_streams);
    qp_timer_arm(test_loop, &timer, 100);
    dial_well();
    qp_timer_deinit(&timer);
    assert_int_equal(connect_count, HOLES + 1);
    assert_in_range(most_streams, 7, 9); /* one more is closing */
    for (unsigned i = 0; i < HOLES; i++)
        close_black_hole(&holes[i]);
}

/* A listening socket that nobody serves: the kernel accepts, and then nothing. */
static int listen_silently(const char *text)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, text, &at.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void a_half_open_address_costs_the_handshakes_time_only(void **state)
{
    (void)state;
    serve("localhost");
    int fd = listen_silently("127.0.0.2");
    make_dialer_with("localhost", "ca", 9000, 100, 0);
    RESOLVES_TO("127.0.0.2", "127.0.0.1");
    dial_well();
    assert_int_equal(connect_count, 2);
    close(fd);
}

static void a_handshake_that_never_ends_is_told_as_such(void **state)
{
    struct outcome outcome = {0};

    (void)state;
    claim_port();
    int fd = listen_silently("127.0.0.2");
    make_dialer_with("localhost", "ca", 9000, 100, 0);
    RESOLVES_TO("127.0.0.2");
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_TLS_TIMEOUT);
    assert_non_null(strstr(outcome.detail, "no TLS handshake in time"));
    close(fd);
}

/* The listener resets each connection. */
static bool is_cut;

static void cut(void *owner, struct qp_stream *stream, const struct qp_address *from)
{
    (void)owner;
    (void)from;
    is_cut = true;
    qp_stream_close(&stream, true);
}

static void an_address_that_cuts_the_handshake_is_followed_by_the_next(void **state)
{
    static const struct qp_listener_events events = {.accepted = cut};
    struct outcome outcome = {0};

    (void)state;
    serve("localhost");
    int fd = listen_silently("127.0.0.2");
    struct qp_listener *listener = qp_listener_new(test_loop, fd, &events, NULL);
    make_dialer("localhost", "ca", 5000);
    RESOLVES_TO("127.0.0.2", "127.0.0.1");
    is_cut = false;
    dial_well();
    assert_true(is_cut);
    assert_int_equal(connect_count, 2);
    skew_ms += 31 * 1000;
    RESOLVES_TO("127.0.0.2");
    dial_well(); /* and has the host resolved anew */
    run_for_ms(20);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_RESET);
    qp_listener_close(&listener);
}

static void a_wrong_certificate_is_not_looked_for_elsewhere(void **state)
{
    struct outcome outcome = {0};

    (void)state;
    serve("expired");
    make_dialer("localhost", "ca", 5000);
    RESOLVES_TO("127.0.0.1", "127.0.0.2");
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_TLS_VERIFY);
    assert_int_equal(connect_count, 1);
}

static void without_descriptors_one_attempt_is_enough(void **state)
{
    struct outcome outcome = {0};

    (void)state;
    port = 443;
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.2", "127.0.0.3");
    connect_error = UV_EMFILE;
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_DESCRIPTORS);
    assert_int_equal(connect_count, 1);
}

static void what_lingers_gives_its_descriptor_to_who_dials(void **state)
{
    struct outcome outcome = {0};
    struct end told = {0};
    int fds[2];

    (void)state;
    connected_pair(AF_INET, fds);
    own(&told, qp_stream_adopt(test_loop, fds[0], AF_INET));
    qp_stream_linger(&told.stream, 60000, 0);
    run_for_ms(10);
    port = 443;
    make_dialer("127.0.0.2", NULL, 5000);
    connect_error = UV_EMFILE;
    dial(&outcome);
    assert_int_equal(connect_count, 2); /* once more with the descriptor that was given back */
    assert_int_equal(outcome.result, QP_NET_DESCRIPTORS);
    run_until(no_streams, NULL);
    close(fds[1]);
}

static void a_race_can_be_canceled(void **state)
{
    struct black_hole holes[2];
    struct outcome outcome = {0};

    (void)state;
    claim_port();
    open_black_hole(&holes[0], "127.0.0.2");
    open_black_hole(&holes[1], "127.0.0.3");
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.2", "127.0.0.3");
    start(&outcome);
    while (connect_count < 2)
        run_for_ms(20);
    assert_int_equal(qp_stream_count(test_loop), 2);
    qp_dial_cancel(&outcome.dial);
    run_until(no_streams, NULL);
    assert_int_equal(outcome.count, 0);
    close_black_hole(&holes[0]);
    close_black_hole(&holes[1]);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(families_take_turns),
        TEST(addresses_that_refuse_are_passed_at_once),
        TEST(a_silent_address_is_overtaken_and_then_avoided),
        TEST(many_silent_addresses_are_tried_side_by_side_up_to_a_bound),
        TEST(a_half_open_address_costs_the_handshakes_time_only),
        TEST(a_handshake_that_never_ends_is_told_as_such),
        TEST(an_address_that_cuts_the_handshake_is_followed_by_the_next),
        TEST(a_wrong_certificate_is_not_looked_for_elsewhere),
        TEST(without_descriptors_one_attempt_is_enough),
        TEST(what_lingers_gives_its_descriptor_to_who_dials),
        TEST(a_race_can_be_canceled),
    };
    if (qp_tls_init() != QP_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
