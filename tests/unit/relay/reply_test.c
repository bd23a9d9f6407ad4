#include "relay/reply.h"

#include <cJSON.h>
#include <stdio.h>

#include "cmocka_all.h"

enum { REPLIES = QP_REPLY_BROKEN + 1 };

static const char *string_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

static void check_body(const struct qp_reply_row *row, const char *detail, const char *message)
{
    char text[64];
    struct qp_buf body = {0};
    qp_reply_body(&body, row->status, row->code, row->text, detail, 12, 3);
    cJSON *json = cJSON_ParseWithLength(qp_buf_slice(&body).at, qp_buf_len(&body));
    assert_non_null(json);
    const cJSON *meta = cJSON_GetObjectItemCaseSensitive(json, "meta");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(meta, "error");
    snprintf(text, sizeof text, "%u - ", row->status);
    assert_memory_equal(string_at(meta, "httpStatus"), text, strlen(text));
    assert_true(strlen(string_at(meta, "httpStatus")) > strlen(text)); /* a reason phrase */
    assert_string_equal(string_at(meta, "requestId"), "qproxy-12-3");
    snprintf(text, sizeof text, "qproxy_%s", row->code);
    assert_string_equal(string_at(error, "errorCode"), text);
    assert_string_equal(string_at(error, "errorMessage"), message);
    cJSON_Delete(json);
    qp_buf_deinit(&body);
}

static void every_reply_is_qualtrics_envelope_and_no_401(void **state)
{
    for (unsigned i = 0; i < REPLIES; i++) {
        const struct qp_reply_row *row = qp_reply_row((enum qp_reply)i);
        char message[512];
        assert_true(row->status == 404 || row->status == 508 || (row->status >= 502 && row->status <= 504));
        assert_true(strlen(row->code) > 3 &&
                    strspn(row->code, "abcdefghijklmnopqrstuvwxyz_") == strlen(row->code));
        assert_true(strlen(row->text) > 20 && row->text[strlen(row->text) - 1] != '.');
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(row->code, qp_reply_row((enum qp_reply)j)->code);
        snprintf(message, sizeof message, "qproxy: %s", row->text);
        check_body(row, NULL, message);
        check_body(row, "", message);
        snprintf(message, sizeof message, "qproxy: %s (he said \"no\\\"\r\n\x01)", row->text);
        check_body(row, "he said \"no\\\"\r\n\x01", message);
    }
}

static void the_fields_are_whole_lines(void **state)
{
    struct qp_buf lines = {0};
    qp_reply_extra(&lines, "queue_full", 0);
    assert_true(qp_slice_is(qp_buf_slice(&lines),
                            QP_SLICE("Content-Type: application/json\r\nX-Qproxy-Error: queue_full\r\n")));
    qp_buf_clear(&lines);
    qp_reply_extra(&lines, "x", 4294967295u);
    assert_non_null(qp_slice_find(qp_buf_slice(&lines), QP_SLICE("\r\nRetry-After: 4294967295\r\n")));
    qp_buf_deinit(&lines);
}

static void every_failure_has_its_reply(void **state)
{
    assert_int_equal(qp_reply_for_dial(QP_NET_RESOLVE), QP_REPLY_ORIGIN_RESOLVE);
    assert_int_equal(qp_reply_for_dial(QP_NET_REFUSED), QP_REPLY_ORIGIN_REFUSED);
    assert_int_equal(qp_reply_for_dial(QP_NET_TLS_VERIFY), QP_REPLY_ORIGIN_CERTIFICATE);
    assert_int_equal(qp_reply_for_dial(QP_NET_TIMEOUT), QP_REPLY_ORIGIN_CONNECT_TIMEOUT);
    assert_int_equal(qp_reply_for_dial(QP_SELF_BUSY), QP_REPLY_QUEUE_FULL);
    assert_int_equal(qp_reply_for_dial(QP_NET_TLS_TIMEOUT), QP_REPLY_ORIGIN_HANDSHAKE_TIMEOUT);
    assert_int_equal(qp_reply_for_dial(QP_NET_RESET), QP_REPLY_ORIGIN_TLS);
    assert_int_equal(qp_reply_for_dial(QP_NET_DESCRIPTORS), QP_REPLY_NO_DESCRIPTORS);
    assert_int_equal(qp_reply_for_dial(QP_NET_FAILED), QP_REPLY_ORIGIN_UNREACHABLE);
    assert_int_equal(qp_reply_for_exchange(QP_NET_END), QP_REPLY_ORIGIN_CLOSED);
    assert_int_equal(qp_reply_for_exchange(QP_NET_TIMEOUT), QP_REPLY_ORIGIN_TIMEOUT);
    assert_int_equal(qp_reply_for_exchange(QP_HTTP_MALFORMED), QP_REPLY_ORIGIN_MALFORMED);
    assert_int_equal(qp_reply_for_exchange(QP_SELF_MEMORY), QP_REPLY_ORIGIN_CLOSED);
    assert_int_equal(qp_reply_for_need(QP_NEED_COOLING_DOWN), QP_REPLY_TOKEN_COOLING_DOWN);
    assert_int_equal(qp_reply_for_need(QP_NEED_SIGN_IN), QP_REPLY_TOKEN_SIGN_IN);
    assert_int_equal(qp_reply_for_need(QP_NEED_REFUSED), QP_REPLY_TOKEN_REFUSED);
    assert_int_equal(qp_reply_for_need(QP_NEED_TIMEOUT), QP_REPLY_TOKEN_TIMEOUT);
    assert_int_equal(qp_reply_for_need(QP_NEED_REJECTED), QP_REPLY_TOKEN_REJECTED);
    assert_int_equal(qp_reply_for_need(QP_NEED_BUSY), QP_REPLY_QUEUE_FULL);
    assert_int_equal(qp_reply_for_need(QP_NEED_MET),
                     QP_REPLY_BROKEN); /* no failure: it should not have been asked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reply_is_qualtrics_envelope_and_no_401),
        cmocka_unit_test(the_fields_are_whole_lines),
        cmocka_unit_test(every_failure_has_its_reply),
    };
    return cmocka_run_group_tests_name("relay.reply", tests, NULL, NULL);
}
