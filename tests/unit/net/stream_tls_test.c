/* TLS streams: both ends on one loop, 1.2 and 1.3. */
#include "fixture.h"

#include "net/tls_impl.h"
#include <sys/socket.h>
#include <unistd.h>

enum { BIG_BYTES = 5 * 1024 * 1024 };

static size_t try_write_limit; /* the most that one try may take; 0: no limit */
static bool memory_is_gone;
static const uv_stream_t *broken; /* its writes meet a reset */

int __real_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count)
{
    if (stream == broken)
        return UV_EPIPE;
    if (try_write_limit > 0 && bufs[0].len > try_write_limit) {
        uv_buf_t part = uv_buf_init(bufs[0].base, (unsigned)try_write_limit);
        return __real_uv_try_write(stream, &part, 1);
    }
    return __real_uv_try_write(stream, bufs, count);
}

void *__real_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes);
void *__wrap_qp_try_alloc(size_t bytes)
{
    return memory_is_gone ? NULL : __real_qp_try_alloc(bytes);
}

static struct qp_trust *trust;
static struct qp_tls *client_tls;
static struct qp_tls *server_tls;
static bool client_ready;
static bool only_12;

static int set_up(void **state)
{
    char error[256];

    make_loop(state);
    try_write_limit = 0;
    memory_is_gone = false;
    broken = NULL;
    only_12 = *state != NULL;
    assert_int_equal(qp_trust_load(QP_TEST_CERTS "/ca.pem", &trust, error, sizeof(error)), QP_OK);
    client_tls = qp_tls_client_new(test_loop, trust, QP_SLICE("localhost"));
    assert_int_equal(qp_tls_server_new(test_loop, QP_TEST_CERTS "/localhost.pem",
                                       QP_TEST_CERTS "/localhost.key", &server_tls, error, sizeof(error)),
                     QP_OK);
    if (only_12)
        qp_tls_limit_to_12(server_tls);
    return 0;
}

static int tear_down(void **state)
{
    qp_tls_free(&client_tls);
    qp_tls_free(&server_tls);
    qp_trust_free(&trust);
    return free_loop(state);
}

static void on_ready(void *owner)
{
    (void)owner;
    client_ready = true;
}

static bool is_ready(void *unused)
{
    (void)unused;
    return client_ready;
}

static void open_tls(int family, struct end *client, struct end *server)
{
    client_ready = false;
    open_pair(family, client, server);
    qp_stream_serve_tls(server->stream, server_tls);
    qp_stream_start_tls(client->stream, client_tls, on_ready);
}

static void echo(struct end *end, struct qp_slice bytes)
{
    qp_stream_write(end->stream, &bytes, 1);
}

static void say(struct end *client, struct end *server, const char *text)
{
    struct got_at_least want = {client, client->got_bytes + strlen(text)};

    run_until(is_ready, NULL);
    qp_stream_resume(client->stream);
    qp_stream_resume(server->stream);
    send_text(client, text);
    run_until(has_bytes, &want);
}

static void bytes_are_echoed_and_the_second_time_the_session_is_resumed(void **state)
{
    for (unsigned round = 0; round < 4; round++) {
        struct end client = {.keep = true};
        struct end server = {.on_data = echo};
        open_tls(AF_INET, &client, &server);
        say(&client, &server, "hello");
        assert_memory_equal(qp_buf_slice(&client.got).at, "hello", 5);
        assert_int_equal(mbedtls_ssl_get_version_number((const mbedtls_ssl_context *)client.stream->tls),
                         only_12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3);
        close_end(&client);
        run_until(has_end, &server); /* our close_notify */
        close_end(&server);
        run_until(no_streams, NULL);
        assert_int_equal(qp_tls_counters(client_tls).full_handshakes, 1);
        assert_int_equal(qp_tls_counters(client_tls).resumed_handshakes, round);
        assert_int_equal(qp_tls_counters(server_tls).full_handshakes, 1);
        assert_int_equal(qp_tls_counters(server_tls).resumed_handshakes, round);
        assert_int_equal(server.failed_count, 0);
    }
    assert_int_equal(qp_tls_counters(client_tls).failed_handshakes, 0);
}

static char byte_at(size_t place)
{
    return (char)(place * 2654435761u >> 13);
}

struct pour {
    struct end *end;
    size_t sent;
    size_t most_pending;
    uint32_t seed;
};

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
        struct qp_slice pieces[2] = {qp_slice(piece_bytes, len / 3),
                                     qp_slice(piece_bytes + len / 3, len - len / 3)};
        qp_stream_write(pour->end->stream, pieces, 2);
        pour->sent += len;
        if (qp_stream_pending_bytes(pour->end->stream) > pour->most_pending)
            pour->most_pending = qp_stream_pending_bytes(pour->end->stream);
    }
}

static void slow_check(struct end *end, struct qp_slice bytes)
{
    size_t start = end->got_bytes - bytes.len;

    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.at[i] != byte_at(start + i))
            fail_msg("byte %zu is wrong", start + i);
    }
    qp_stream_pause(end->stream);
}

struct transfer {
    struct pour there;
    struct pour back;
    unsigned turns;
};

static bool transfer_over(void *context)
{
    struct transfer *transfer = context;
    struct end *client = transfer->there.end;
    struct end *server = transfer->back.end;

    pour_on(&transfer->there);
    pour_on(&transfer->back);
    if (transfer->turns++ % 2 == 0)
        qp_stream_resume(client->stream);
    else
        qp_stream_resume(server->stream);
    return client->got_bytes == BIG_BYTES && server->got_bytes == BIG_BYTES;
}

static void on_nudge(struct qp_timer *timer)
{
    qp_timer_arm(test_loop, timer, 1);
}

static void slow_readers_on_both_sides_get_all_and_pending_output_is_bounded(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct end client = {.on_data = slow_check};
        struct end server = {.on_data = slow_check};
        struct transfer transfer = {.there = {.end = &client, .seed = 1},
                                    .back = {.end = &server, .seed = 2}};
        struct qp_timer nudge;
        try_write_limit = i == 1 ? 7777 : 0;
        open_tls(i == 0 ? AF_INET : AF_UNIX, &client, &server);
        run_until(is_ready, NULL);
        send_text(&client, ""); /* nothing is nothing */
        qp_timer_init(&nudge, on_nudge);
        qp_timer_arm(test_loop, &nudge, 1);
        run_for_ms(20); /* the server's side of the handshake */
        run_until(transfer_over, &transfer);
        assert_true(client.drained_count > 0);
        /* Records add 22 or 29 bytes to each 16 KiB. */
        assert_true(transfer.there.most_pending <= QP_STREAM_HIGH_BYTES + 72000);
        assert_true(transfer.back.most_pending <= QP_STREAM_HIGH_BYTES + 72000);
        assert_true(client.largest_event <= QP_STREAM_READ_BYTES);
        qp_timer_deinit(&nudge);
        close_end(&client);
        close_end(&server);
        run_until(no_streams, NULL);
    }
}

static void what_came_during_a_pause_is_delivered_after_it(void **state)
{
    struct end client = {.keep = true};
    struct end server = {0};
    struct got_at_least want = {&client, 4};

    open_tls(AF_INET, &client, &server);
    run_until(is_ready, NULL);
    run_for_ms(20);
    send_text(&server, "ab");
    run_for_ms(20); /* the tickets and this come while the client has never resumed */
    assert_int_equal(client.got_bytes, 0);
    qp_stream_resume(client.stream);
    client.inside = true;
    qp_stream_resume(client.stream); /* no event from inside */
    client.inside = false;
    send_text(&server, "cd");
    run_until(has_bytes, &want);
    assert_memory_equal(qp_buf_slice(&client.got).at, "abcd", 4);
    close_end(&client);
    close_end(&server);
}

static void what_was_decrypted_is_forgotten_behind_its_event(void **state)
{
    static const char none[14];
    struct end client = {0};
    struct end server = {.on_data = echo};

    open_tls(AF_INET, &client, &server);
    say(&client, &server, "access_token=t");
    assert_memory_equal(test_loop->plain_bytes, none, sizeof(none));
    close_end(&client);
    close_end(&server);
}

static void a_cut_without_close_notify_is_truncation(void **state)
{
    struct end client = {0};
    struct end server = {.on_data = echo};

    open_tls(AF_INET, &client, &server);
    say(&client, &server, "x");
    shutdown(qp_stream_fd(server.stream), SHUT_WR);
    run_until(has_failed, &client);
    assert_int_equal(client.why, QP_NET_TRUNCATED);
    assert_int_equal(client.end_count, 0);
    close_end(&client);
    close_end(&server);
}

static void a_reset_met_in_writing_is_told_behind_a_close_notify(void **state)
{
    struct end client = {0};
    struct end server = {.on_data = echo};

    open_tls(AF_INET, &client, &server);
    say(&client, &server, "x");
    send_text(&server, "413");
    qp_stream_flush(server.stream);
    close_end(&server);
    broken = &client.stream->uv.stream;
    send_text(&client, "more of the request");
    qp_stream_flush(client.stream);
    run_until(has_failed, &client);
    assert_int_equal(client.got_bytes, 4);
    assert_int_equal(client.end_count, 1);
    assert_int_equal(client.why, QP_NET_RESET);
    close_end(&client);
}

/* Of mbedTLS's inside: no public call makes a server ask for a renegotiation that was compiled out. */
int mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush);

static void request_hello(struct end *server)
{
    mbedtls_ssl_context *ssl = (mbedtls_ssl_context *)server->stream->tls;

    memset(ssl->MBEDTLS_PRIVATE(out_msg), 0, 4);
    ssl->MBEDTLS_PRIVATE(out_msgtype) = MBEDTLS_SSL_MSG_HANDSHAKE;
    ssl->MBEDTLS_PRIVATE(out_msglen) = 4;
    assert_int_equal(mbedtls_ssl_write_record(ssl, 1), 0);
    qp_stream_tls_push(server->stream);
}

static void what_a_read_makes_us_say_goes_to_that_stream_only(void **state)
{
    struct end client = {0};
    struct end server = {.on_data = echo};
    struct end other = {0};
    struct end other_server = {.on_data = echo};

    open_tls(AF_INET, &client, &server);
    say(&client, &server, "x");
    request_hello(&server); /* which the client answers with an alert */
    send_text(&server, "data");
    qp_stream_flush(server.stream);
    client.close_in = IN_DATA;
    client.close_hard = true;
    run_until(has_failed, &server);
    close_end(&server);
    assert_int_equal(test_loop->cipher_len, 0);
    open_tls(AF_INET, &other, &other_server);
    say(&other, &other_server, "y");
    close_end(&other);
    close_end(&other_server);
}

static void damaged_records_are_a_tls_failure(void **state)
{
    struct end client = {0};
    struct end server = {.on_data = echo};
    static const char junk[] = "\x17\x03\x03\x00\x20 this is not a record of this one";

    open_tls(AF_INET, &client, &server);
    say(&client, &server, "x");
    assert_int_equal(write(qp_stream_fd(server.stream), junk, sizeof(junk)), sizeof(junk));
    run_until(has_failed, &client);
    assert_int_equal(client.why, QP_NET_TLS);
    run_until(has_failed, &server); /* by our alert */
    assert_int_equal(server.why, QP_NET_TLS);
    close_end(&client);
    close_end(&server);
}

static void a_client_without_tls_is_a_failed_handshake(void **state)
{
    struct end server = {0};
    int fds[2];

    connected_pair(AF_INET, fds);
    own(&server, qp_stream_adopt(test_loop, fds[0], AF_INET));
    qp_stream_serve_tls(server.stream, server_tls);
    assert_int_equal(write(fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
    run_until(has_failed, &server);
    assert_int_equal(server.why, QP_NET_TLS);
    close_end(&server);
    assert_int_equal(qp_tls_counters(server_tls).failed_handshakes, 1);
    close(fds[1]);
}

static void a_tls_stream_may_be_closed_in_data_end_and_failed(void **state)
{
    struct end closer[3] = {{.close_in = IN_DATA}, {.close_in = IN_END}, {.close_in = IN_FAILED}};

    for (unsigned i = 0; i < 3; i++) {
        struct end server = {0};
        open_tls(AF_INET, &closer[i], &server);
        run_until(is_ready, NULL);
        run_for_ms(20);
        qp_stream_resume(closer[i].stream);
        if (i == 0) {
            for (unsigned piece = 0; piece < 10; piece++) {
                send_text(&server, "data");
                qp_stream_flush(server.stream);
            }
        }
        qp_stream_close(&server.stream, i == 2);
        run_until(no_streams, NULL);
        assert_null(closer[i].stream);
    }
    assert_int_equal(closer[0].data_count, 1);
    assert_int_equal(closer[1].end_count, 1);
    assert_int_equal(closer[2].failed_count, 1);
}

static void lingering_delivers_the_last_bytes_and_a_proper_end(void **state)
{
    struct end client = {.keep = true, .close_in = IN_END};
    struct end server = {0};
    char *answer = qp_alloc(200000);
    struct qp_slice piece = qp_slice(answer, 200000);

    open_tls(AF_INET, &client, &server);
    run_until(is_ready, NULL);
    run_for_ms(20);
    send_text(&client, "the server never reads this");
    qp_stream_write(server.stream, &piece, 1);
    send_text(&server, "end");
    qp_stream_linger(&server.stream, 5000, 0);
    qp_stream_resume(client.stream);
    run_until(no_streams, NULL);
    assert_int_equal(client.got_bytes, 200003);
    assert_int_equal(client.end_count, 1);
    assert_int_equal(client.failed_count, 0);
    qp_buf_deinit(&client.got);
    qp_free(answer);
}

/* The server's side as a byte pump that cuts the client's and its own records at odd places. */
struct cutter {
    struct qp_stream *from;
    struct qp_stream *to;
    unsigned cut;
    struct cutter *back;
};

static void cut_data(void *owner, struct qp_slice bytes)
{
    struct cutter *cutter = owner;

    for (size_t at = 0; at < bytes.len; at += cutter->cut) {
        size_t left = bytes.len - at;
        struct qp_slice piece = qp_slice(bytes.at + at, left < cutter->cut ? left : cutter->cut);
        qp_stream_write(cutter->to, &piece, 1);
        qp_stream_flush(cutter->to);
    }
}

static void ignore(void *owner)
{
    (void)owner;
}

static void ignore_fault(void *owner, enum qp_result why)
{
    (void)owner;
    (void)why;
}

static const struct qp_stream_events cut_events = {cut_data, ignore, ignore, ignore_fault};

static void records_may_come_in_any_portions(void **state)
{
    static const unsigned cuts[] = {1, 2, 3, 5, 7, 64, 1000};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct end client = {.keep = true};
        struct end server = {.on_data = echo};
        int near[2];
        int far[2];
        connected_pair(AF_INET, near);
        connected_pair(AF_INET, far);
        own(&client, qp_stream_adopt(test_loop, near[0], AF_INET));
        own(&server, qp_stream_adopt(test_loop, far[0], AF_INET));
        struct cutter there = {.from = qp_stream_adopt(test_loop, near[1], AF_INET), .cut = cuts[i]};
        struct cutter back = {.from = qp_stream_adopt(test_loop, far[1], AF_INET), .cut = cuts[i]};
        there.to = back.from;
        back.to = there.from;
        qp_stream_set_owner(there.from, &cut_events, &there);
        qp_stream_set_owner(back.from, &cut_events, &back);
        qp_stream_resume(there.from);
        qp_stream_resume(back.from);
        client_ready = false;
        qp_stream_serve_tls(server.stream, server_tls);
        qp_stream_start_tls(client.stream, client_tls, on_ready);
        say(&client, &server, "in portions");
        assert_memory_equal(qp_buf_slice(&client.got).at, "in portions", 11);
        close_end(&client);
        close_end(&server);
        qp_stream_close(&there.from, false);
        qp_stream_close(&back.from, false);
        run_until(no_streams, NULL);
    }
}

static void without_memory_for_output_a_tls_stream_fails(void **state)
{
    struct end client = {0};
    struct end server = {.on_data = echo};

    open_tls(AF_INET, &client, &server);
    say(&client, &server, "x");
    memory_is_gone = true;
    while (test_loop->spare_blocks) { /* the loop must not help out */
        struct qp_block *block = test_loop->spare_blocks;
        test_loop->spare_blocks = block->next;
        test_loop->spare_block_count--;
        qp_free(block);
    }
    send_text(&client, "y");
    run_until(has_failed, &client);
    assert_int_equal(client.why, QP_SELF_MEMORY);
    close_end(&client);
    close_end(&server);
}

#define BOTH_VERSIONS(test)                               \
    {#test " (1.3)", test, set_up, tear_down, NULL},      \
    {                                                     \
#test " (1.2)", test, set_up, tear_down, &only_12 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_VERSIONS(bytes_are_echoed_and_the_second_time_the_session_is_resumed),
        BOTH_VERSIONS(slow_readers_on_both_sides_get_all_and_pending_output_is_bounded),
        BOTH_VERSIONS(what_came_during_a_pause_is_delivered_after_it),
        BOTH_VERSIONS(what_was_decrypted_is_forgotten_behind_its_event),
        BOTH_VERSIONS(a_cut_without_close_notify_is_truncation),
        BOTH_VERSIONS(a_reset_met_in_writing_is_told_behind_a_close_notify),
        cmocka_unit_test_prestate_setup_teardown(what_a_read_makes_us_say_goes_to_that_stream_only, set_up,
                                                 tear_down, &only_12),
        BOTH_VERSIONS(damaged_records_are_a_tls_failure),
        BOTH_VERSIONS(a_client_without_tls_is_a_failed_handshake),
        BOTH_VERSIONS(a_tls_stream_may_be_closed_in_data_end_and_failed),
        BOTH_VERSIONS(lingering_delivers_the_last_bytes_and_a_proper_end),
        BOTH_VERSIONS(records_may_come_in_any_portions),
        BOTH_VERSIONS(without_memory_for_output_a_tls_stream_fails),
    };
    if (qp_tls_init() != QP_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
