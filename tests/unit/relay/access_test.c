#include "relay/access.h"

#include <cJSON.h>

#include "cmocka_all.h"

static const struct qp_access WHOLE = {
    .conn = 12,
    .request = 3,
    .client = {"127.0.0.1:5312", 14},
    .method = {"GET", 3},
    .target = {"/API/v3/surveys?name=Jane", 25},
    .account = "main",
    .status = 200,
    .received_bytes = 1,
    .sent_bytes = UINT64_MAX,
    .duration_us = 4242,
    .attempts = 2,
    .replays = 1,
    .ended_by = '-',
    .ended_in = '-',
};

static void the_text_form_is_one_line(void **state)
{
    struct qp_buf line = {0};
    qp_access_line(&WHOLE, false, &line);
    qp_buf_append_char(&line, '\0');
    const char *text = qp_buf_slice(&line).at;
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[23], 'Z');
    assert_string_equal(text + 24,
                        " access c12 r3 127.0.0.1:5312 \"GET /API/v3/surveys\" 200 account=main in=1 "
                        "out=18446744073709551615 us=4242 attempts=2 replays=1 end=-- error=-\n");
    qp_buf_deinit(&line);
}

static cJSON *parse(const struct qp_access *access)
{
    struct qp_buf line = {0};
    qp_access_line(access, true, &line);
    struct qp_slice text = qp_buf_slice(&line);
    assert_int_equal(text.at[text.len - 1], '\n');
    assert_ptr_equal(memchr(text.at, '\n', text.len), text.at + text.len - 1);
    cJSON *json = cJSON_ParseWithLength(text.at, text.len);
    assert_non_null(json);
    qp_buf_deinit(&line);
    return json;
}

static void the_json_form_is_one_object_on_one_line(void **state)
{
    cJSON *json = parse(&WHOLE);
    assert_int_equal(cJSON_GetObjectItem(json, "conn")->valueint, 12);
    assert_int_equal(cJSON_GetObjectItem(json, "status")->valueint, 200);
    assert_int_equal(cJSON_GetObjectItem(json, "us")->valueint, 4242);
    assert_string_equal(cJSON_GetObjectItem(json, "path")->valuestring, "/API/v3/surveys");
    assert_string_equal(cJSON_GetObjectItem(json, "account")->valuestring, "main");
    assert_string_equal(cJSON_GetObjectItem(json, "end")->valuestring, "--");
    assert_string_equal(cJSON_GetObjectItem(json, "error")->valuestring, "-");
    assert_int_equal(strlen(cJSON_GetObjectItem(json, "time")->valuestring), 24);
    assert_int_equal(cJSON_GetArraySize(json), 15);
    cJSON_Delete(json);
}

static void what_is_missing_has_its_sign(void **state)
{
    const struct qp_access none = {.ended_by = 'C', .ended_in = 'H', .error = "no_account"};
    cJSON *json = parse(&none);
    assert_string_equal(cJSON_GetObjectItem(json, "account")->valuestring, "-");
    assert_string_equal(cJSON_GetObjectItem(json, "path")->valuestring, "");
    assert_string_equal(cJSON_GetObjectItem(json, "error")->valuestring, "no_account");
    assert_string_equal(cJSON_GetObjectItem(json, "end")->valuestring, "CH");
    cJSON_Delete(json);
}

/* Nothing of a peer's can end the line or its quotes. */
static void control_bytes_and_quotes_are_escaped(void **state)
{
    struct qp_access access = WHOLE;
    access.target = QP_SLICE("/a\"b\\c\r\n\t\x01\x7f\x1b[31m?secret");
    struct qp_buf line = {0};
    qp_access_line(&access, false, &line);
    struct qp_slice text = qp_buf_slice(&line);
    assert_null(qp_slice_find(text, QP_SLICE("secret")));
    assert_non_null(qp_slice_find(text, QP_SLICE("/a\\\"b\\\\c\\r\\n\\t\\u0001\\u007f\\u001b[31m\" 200")));
    for (size_t i = 0; i + 1 < text.len; i++)
        assert_true((unsigned char)text.at[i] >= 0x20);
    qp_buf_deinit(&line);
    cJSON *json = parse(&access);
    assert_string_equal(cJSON_GetObjectItem(json, "path")->valuestring, "/a\"b\\c\r\n\t\x01\x7f\x1b[31m");
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_form_is_one_line),
        cmocka_unit_test(the_json_form_is_one_object_on_one_line),
        cmocka_unit_test(what_is_missing_has_its_sign),
        cmocka_unit_test(control_bytes_and_quotes_are_escaped),
    };
    return cmocka_run_group_tests_name("relay.access", tests, NULL, NULL);
}
