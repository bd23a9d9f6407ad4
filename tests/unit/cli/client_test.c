#include "base/clock.h"
#include "cli/client.h"
#include "cmocka_all.h"
#include "scripted.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER                                                                                     \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: s=abc; Path=/; HttpOnly\r\n" \
    "Content-Length: 13\r\n\r\n{\"csrf\":\"x\"}\n"

enum { LIMIT_MS = 10000 };

static const struct qp_client_request GET = {.method = "GET", .target = "/api/session", .limit_ms = LIMIT_MS};

/* One connection of a server that says `line`. */
static enum qp_result ask(const struct scripted_line *line, const struct qp_client_request *request,
                          struct qp_client_answer *answer)
{
    struct scripted *scripted = scripted_begin(true, line, 1);
    const struct qp_client client = {.address = scripted->address, .stop_fd = -1};
    enum qp_result result = qp_client_ask(&client, request, answer);
    scripted_end(scripted);
    scripted_free(&scripted);
    return result;
}

static void assert_refused(const char *answer, enum qp_result expected)
{
    struct qp_client_answer taken;
    assert_int_equal(ask(&(struct scripted_line){.answer = answer}, &GET, &taken), expected);
}

static void assert_body(const struct qp_client_answer *answer, const char *expected)
{
    struct qp_slice body = qp_buf_slice(&answer->body);
    assert_int_equal(body.len, strlen(expected));
    assert_memory_equal(body.at, expected, body.len);
}

static void an_answer_is_taken_however_it_is_cut(void **state)
{
    (void)state;
    static const char *const chunked =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n";
    for (size_t piece = 1; piece <= 64; piece *= 4) {
        struct qp_client_answer answer;
        assert_int_equal(ask(&(struct scripted_line){.answer = ANSWER, .piece = piece}, &GET, &answer),
                         QP_OK);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.cookie, "s=abc");
        assert_body(&answer, "{\"csrf\":\"x\"}\n");
        qp_client_answer_deinit(&answer);
        assert_int_equal(ask(&(struct scripted_line){.answer = chunked, .piece = piece}, &GET, &answer),
                         QP_OK);
        assert_int_equal(answer.status, 404);
        assert_string_equal(answer.cookie, "");
        assert_body(&answer, "abcde");
        qp_client_answer_deinit(&answer);
    }
}

/* The end of the stream at each byte: never taken for the whole. */
static void an_answer_that_is_cut_short_is_no_answer(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < sizeof ANSWER - 1; bytes++) {
        struct qp_client_answer answer;
        enum qp_result result = ask(&(struct scripted_line){.answer = ANSWER, .bytes = bytes}, &GET, &answer);
        assert_int_equal(result, QP_HTTP_TRUNCATED);
    }
    assert_refused("", QP_NET_END);
}

static void an_answer_until_the_end_of_the_stream_is_one(void **state)
{
    (void)state;
    struct qp_client_answer answer;
    assert_int_equal(
        ask(&(struct scripted_line){.answer = "HTTP/1.0 200 OK\r\n\r\nall of it"}, &GET, &answer), QP_OK);
    assert_body(&answer, "all of it");
    qp_client_answer_deinit(&answer);
}

static void what_is_no_http_is_refused(void **state)
{
    (void)state;
    assert_refused("SSH-2.0-OpenSSH_9.2\r\n", QP_HTTP_MALFORMED);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", QP_HTTP_MALFORMED);
    assert_refused("\x16\x03\x01 TLS", QP_HTTP_MALFORMED);
}

/* head: of a body that never ends. */
static void flood(const char *head, enum qp_result expected)
{
    size_t bytes = QP_CLIENT_MOST_BODY_BYTES + 1024 * 1024;
    char *answer = malloc(bytes);
    memset(answer, 'a', bytes);
    memcpy(answer, head, strlen(head));
    struct qp_client_answer taken;
    assert_int_equal(ask(&(struct scripted_line){.answer = answer, .bytes = bytes}, &GET, &taken), expected);
    free(answer);
}

static void an_answer_without_end_is_refused(void **state)
{
    (void)state;
    flood("HTTP/1.0 200 OK\r\n\r\n", QP_HTTP_TOO_LARGE);
    flood("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", QP_HTTP_TOO_LARGE);
    flood("HTTP/1.1 200 OK\r\nX: ", QP_HTTP_MALFORMED);
}

static void a_cookie_that_is_too_long_is_none(void **state)
{
    (void)state;
    struct qp_client_answer answer;
    char text[2 * QP_CLIENT_COOKIE_BYTES];
    snprintf(text, sizeof text, "HTTP/1.1 204 No Content\r\nSet-Cookie: a=%0*d\r\n\r\n",
             QP_CLIENT_COOKIE_BYTES, 0);
    assert_int_equal(ask(&(struct scripted_line){.answer = text}, &GET, &answer), QP_OK);
    assert_int_equal(answer.status, 204);
    assert_string_equal(answer.cookie, "");
    qp_client_answer_deinit(&answer);
}

static void silence_has_a_limit(void **state)
{
    (void)state;
    static const struct scripted_line quiet[] = {{.is_silent = true},
                                                 {.answer = "HTTP/1.1 200 OK\r\nX", .is_silent = true}};
    for (size_t i = 0; i < 2; i++) {
        struct qp_client_request request = GET;
        struct qp_client_answer answer;
        request.limit_ms = 150;
        uint64_t before_ms = qp_clock_monotonic_ms();
        assert_int_equal(ask(&quiet[i], &request, &answer), QP_NET_TIMEOUT);
        assert_true(qp_clock_monotonic_ms() - before_ms >= 150);
    }
}

/* The limit is for all of it, not for each byte. */
static void drops_that_keep_coming_have_the_same_limit(void **state)
{
    (void)state;
    char *answer = malloc(1024 * 1024);
    struct qp_client_request request = GET;
    struct qp_client_answer taken;
    memset(answer, 'a', 1024 * 1024);
    memcpy(answer, "HTTP/1.0 200 OK\r\n\r\n", 19);
    request.limit_ms = 200;
    const struct scripted_line drops = {.answer = answer, .bytes = 1024 * 1024, .piece = 1};
    assert_int_equal(ask(&drops, &request, &taken), QP_NET_TIMEOUT);
    free(answer);
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    int stop[2];
    static const struct scripted_line quiet = {.is_silent = true};
    struct scripted *scripted = scripted_begin(true, &quiet, 1);
    struct qp_client_answer answer;
    assert_int_equal(pipe(stop), 0);
    assert_int_equal(write(stop[1], "x", 1), 1);
    const struct qp_client client = {.address = scripted->address, .stop_fd = stop[0]};
    assert_int_equal(qp_client_ask(&client, &GET, &answer), QP_SELF_CANCELED);
    scripted_end(scripted);
    scripted_free(&scripted);
    close(stop[0]);
    close(stop[1]);
}

/* A listener whose user is none of them gets not a byte; he may have taken the place of a daemon that does not run. */
static void a_stranger_is_told_nothing(void **state)
{
    (void)state;
    static const struct scripted_line line = {.answer = ANSWER};
    const struct qp_client_trusted us = {.users = {geteuid() + 1, geteuid()}, .count = 2};
    const struct qp_client_trusted others = {.users = {geteuid() + 1}, .count = 1};
    for (int is_local = 0; is_local < 2; is_local++) {
        struct scripted *scripted = scripted_begin(is_local, &line, 1);
        struct qp_client client = {.address = scripted->address, .stop_fd = -1, .trusted = &others};
        struct qp_client_answer answer;
        assert_int_equal(qp_client_ask(&client, &GET, &answer), QP_NET_STRANGER);
        scripted_end(scripted);
        assert_string_equal(scripted->requests[0], "");
        scripted_free(&scripted);
        scripted = scripted_begin(is_local, &line, 1);
        client = (struct qp_client){.address = scripted->address, .stop_fd = -1, .trusted = &us};
        assert_int_equal(qp_client_ask(&client, &GET, &answer), QP_OK);
        qp_client_answer_deinit(&answer);
        scripted_end(scripted);
        scripted_free(&scripted);
    }
}

static void nobody_there_is_told_at_once(void **state)
{
    (void)state;
    const char *why = NULL;
    struct qp_client client = {.stop_fd = -1};
    struct qp_client_answer answer;
    assert_int_equal(qp_address_parse(QP_SLICE("unix:/tmp/qp-nobody-is-here"), &client.address, &why), QP_OK);
    assert_int_equal(qp_client_ask(&client, &GET, &answer), QP_NET_REFUSED);
    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:1"), &client.address, &why), QP_OK);
    assert_int_equal(qp_client_ask(&client, &GET, &answer), QP_NET_REFUSED);
}

/* ---- what it sends ---- */

static void a_request_names_the_listener_and_carries_what_it_is_given(void **state)
{
    (void)state;
    static const struct scripted_line lines[] = {{.answer = ANSWER}};
    struct scripted *scripted = scripted_begin(false, lines, 1);
    struct qp_secret *token = qp_secret_new(QP_SLICE("t0ken"));
    const struct qp_client client = {.address = scripted->address, .token = token, .stop_fd = -1};
    const struct qp_client_request post = {.method = "POST",
                                           .target = "/api/sign-in",
                                           .form = QP_SLICE("id=1&address=a%3Fb"),
                                           .cookie = "s=1",
                                           .csrf = "c5rf",
                                           .limit_ms = LIMIT_MS};
    struct qp_client_answer answer;
    char expected[512];
    assert_int_equal(qp_client_ask(&client, &post, &answer), QP_OK);
    qp_client_answer_deinit(&answer);
    scripted_end(scripted);
    unsigned port = ntohs(scripted->address.u.v4.sin_port);
    snprintf(
        expected, sizeof expected,
        "POST /api/sign-in HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: application/json\r\n"
        "Connection: close\r\nAuthorization: Bearer t0ken\r\nCookie: s=1\r\n"
        "Origin: http://127.0.0.1:%u\r\nX-Csrf-Token: c5rf\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\nid=1&address=a%%3Fb",
        port, port);
    assert_string_equal(scripted->requests[0], expected);
    scripted_free(&scripted);
    qp_secret_free(&token);
}

static void a_unix_socket_is_localhost_and_gets_no_token(void **state)
{
    (void)state;
    static const struct scripted_line lines[] = {{.answer = ANSWER}};
    struct scripted *scripted = scripted_begin(true, lines, 1);
    const struct qp_client client = {.address = scripted->address, .stop_fd = -1};
    struct qp_client_answer answer;
    assert_int_equal(qp_client_ask(&client, &GET, &answer), QP_OK);
    qp_client_answer_deinit(&answer);
    scripted_end(scripted);
    assert_string_equal(scripted->requests[0], "GET /api/session HTTP/1.1\r\nHost: localhost\r\n"
                                               "Accept: application/json\r\nConnection: close\r\n\r\n");
    scripted_free(&scripted);
}

/* Refused before it was read, as when there are too many connections: the answer counts. */
static void an_answer_may_come_before_the_request_is_read(void **state)
{
    (void)state;
    static char form[8 * 1024 * 1024];
    struct qp_client_request post = GET;
    struct qp_client_answer answer;
    memset(form, 'a', sizeof form);
    post.method = "POST";
    post.form = qp_slice(form, sizeof form);
    const struct scripted_line line = {.answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
                                       .is_rude = true};
    enum qp_result result = ask(&line, &post, &answer);
    /* The reset may overtake what was said. */
    assert_true(result == QP_OK || result == QP_NET_RESET);
    if (result != QP_OK)
        return;
    assert_int_equal(answer.status, 503);
    qp_client_answer_deinit(&answer);
}

static void wildcards_are_dialled_at_loopback(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"0.0.0.0:80", "127.0.0.1:80"},
                                           {"[::]:80", "[::1]:80"},
                                           {"10.1.2.3:80", "10.1.2.3:80"},
                                           {"unix:/a", "unix:/a"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct qp_address address;
        char text[128];
        const char *why = NULL;
        assert_int_equal(qp_address_parse(qp_slice_str(pairs[i][0]), &address, &why), QP_OK);
        address = qp_address_dialled(&address);
        assert_string_equal(qp_address_format(&address, text, sizeof text), pairs[i][1]);
    }
}

static void what_goes_into_a_form_is_escaped(void **state)
{
    (void)state;
    struct qp_buf out = {0};
    qp_client_put_escaped(&out, qp_slice("a-._~Z9 &=+%?/\xc3\xa4\0", 17));
    qp_buf_append_char(&out, '\0');
    assert_string_equal(qp_buf_slice(&out).at, "a-._~Z9%20%26%3D%2B%25%3F%2F%C3%A4%00");
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_taken_however_it_is_cut),
        cmocka_unit_test(an_answer_that_is_cut_short_is_no_answer),
        cmocka_unit_test(an_answer_until_the_end_of_the_stream_is_one),
        cmocka_unit_test(what_is_no_http_is_refused),
        cmocka_unit_test(an_answer_without_end_is_refused),
        cmocka_unit_test(a_cookie_that_is_too_long_is_none),
        cmocka_unit_test(silence_has_a_limit),
        cmocka_unit_test(drops_that_keep_coming_have_the_same_limit),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(a_stranger_is_told_nothing),
        cmocka_unit_test(nobody_there_is_told_at_once),
        cmocka_unit_test(a_request_names_the_listener_and_carries_what_it_is_given),
        cmocka_unit_test(a_unix_socket_is_localhost_and_gets_no_token),
        cmocka_unit_test(an_answer_may_come_before_the_request_is_read),
        cmocka_unit_test(wildcards_are_dialled_at_loopback),
        cmocka_unit_test(what_goes_into_a_form_is_escaped),
    };
    return cmocka_run_group_tests_name("cli.client", tests, NULL, NULL);
}
