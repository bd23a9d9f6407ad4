/* The sealed document: what is authenticated may still have been written by anybody's program. */
#include "vault_rig.h"
#include <stdio.h>

#define BEFORE "{\"accounts\":[{\"name\":\"a\",\"binding\":\"\",\"seed\":\"\",\"refresh_token\":"
#define BEHIND                                                                                      \
    ",\"refresh_token_unix_s\":1,\"signed_in_unix_s\":2,\"redeeming\":false,\"access_token\":null," \
    "\"access_token_unix_s\":3,\"access_token_until_unix_s\":4,\"brand\":\"b\",\"user\":\"u\","     \
    "\"datacenter\":\"d\",\"warning\":\"w\"}]}"
#define WITH_TOKEN(token) BEFORE token BEHIND

static bool reads(struct qp_slice text)
{
    struct qp_list records;
    qp_list_init(&records);
    bool is_good = qp_vault_records_read(text, &records);
    assert_true(is_good || qp_list_is_empty(&records));
    qp_vault_records_free(&records);
    assert_int_equal(qp_secret_live_count(), 0);
    return is_good;
}

/* The good document with `part`, which stands there once, replaced. */
static bool reads_with(const char *part, const char *instead)
{
    static const char good[] = WITH_TOKEN("\"dG9r\"");
    char text[1024];
    const char *at = strstr(good, part);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, instead, at + strlen(part));
    return reads(qp_slice_str(text));
}

static void what_is_written_is_read(void **state)
{
    struct qp_list records;
    qp_list_init(&records);
    struct qp_buf text = {0};
    qp_vault_records_write(&records, &text);
    assert_true(qp_slice_is(qp_buf_slice(&text), QP_SLICE("{\"accounts\":[]}")));
    assert_true(reads(qp_buf_slice(&text)));
    qp_buf_clear(&text);
    assert_true(qp_vault_records_read(QP_SLICE(WITH_TOKEN("\"dG9r\"")), &records));
    struct qp_vault_record *record = qp_vault_records_find(&records, "a");
    assert_true(qp_slice_is(qp_secret_reveal(record->refresh_token), QP_SLICE("tok")));
    assert_null(qp_vault_records_find(&records, "A"));
    qp_vault_records_write(&records, &text);
    assert_true(qp_slice_is(qp_buf_slice(&text), QP_SLICE(WITH_TOKEN("\"dG9r\""))));
    qp_vault_records_free(&records);
    qp_buf_wipe(&text);
}

static void what_is_cut_short_is_refused(void **state)
{
    static const char good[] = WITH_TOKEN("\"dG9r\"");
    for (size_t len = 0; len < sizeof(good) - 1; len++)
        assert_false(reads(qp_slice(good, len)));
    assert_true(reads(qp_slice(good, sizeof(good) - 1)));
    assert_false(reads(qp_slice(good, sizeof(good)))); /* a NUL behind it */
}

static void every_member_is_needed(void **state)
{
    static const char *const members[] = {"\"name\"",
                                          "\"binding\"",
                                          "\"seed\"",
                                          "\"refresh_token\"",
                                          "\"refresh_token_unix_s\"",
                                          "\"signed_in_unix_s\"",
                                          "\"redeeming\"",
                                          "\"access_token\"",
                                          "\"access_token_unix_s\"",
                                          "\"access_token_until_unix_s\"",
                                          "\"brand\"",
                                          "\"user\"",
                                          "\"datacenter\"",
                                          "\"warning\"",
                                          "\"accounts\""};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        assert_false(reads_with(members[i], "\"another\""));
}

static void each_member_is_of_its_type(void **state)
{
    static const struct {
        const char *part;
        const char *instead;
        bool is_good;
    } rows[] = {
        {"\"d\"", "\"d\",\"unknown\":{\"deep\":[1]}", true},
        {"\"name\":\"a\"", "\"name\":\"\"", false},
        {"\"name\":\"a\"", "\"name\":null", false},
        {"\"name\":\"a\"", "\"name\":1", false},
        {"\"b\"", "1", false},
        {"\"b\"", "null", false},
        {"\"binding\":\"\"", "\"binding\":\"01234567890123456789012345678901234567890123456\"", true},
        {"\"binding\":\"\"", "\"binding\":\"012345678901234567890123456789012345678901234567\"", false},
        {"\"dG9r\"", "null", true},
        {"\"dG9r\"", "\"\"", true},
        {"\"dG9r\"", "\"dG9\"", false},
        {"\"dG9r\"", "\"dG9*\"", false},
        {"\"dG9r\"", "true", false},
        {"\"dG9r\"", "[\"dG9r\"]", false},
        {"false", "true", true},
        {"false", "0", false},
        {"false", "\"false\"", false},
        {":2", ":-2", true},
        {":2", ":9007199254740992", true},
        {":2", ":9007199254740994", false},
        {":2", ":2.5", false},
        {":2", ":1e300", false},
        {":2", ":1e999", false},
        {":2", ":\"2\"", false},
        {":2", ":null", false},
        {"\"accounts\":[", "\"accounts\":[1,", false},
        {"\"accounts\":[", "\"accounts\":[{},", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(reads_with(rows[i].part, rows[i].instead), rows[i].is_good);
    assert_false(reads(QP_SLICE("[]")));
    assert_false(reads(QP_SLICE("{\"accounts\":{}}")));
    assert_false(reads(QP_SLICE("{\"accounts\":[]} {}")));
    assert_true(reads(QP_SLICE("{\"accounts\":[]} \n")));
}

static void a_name_stands_once(void **state)
{
    static const char good[] = WITH_TOKEN("null");
    char text[2048];
    const char *record = strchr(good, '[') + 1;
    int len = (int)(strlen(record) - strlen("]}"));
    snprintf(text, sizeof(text), "{\"accounts\":[%.*s,%.*s]}", len, record, len, record);
    assert_false(reads(qp_slice_str(text)));
    *strstr(text, "\"a\"") = ' ';
    assert_false(reads(qp_slice_str(text)));
    snprintf(text, sizeof(text), "{\"accounts\":[%.*s,{\"name\":\"b\"%.*s]}", len, record,
             len - (int)strlen("{\"name\":\"a\""), record + strlen("{\"name\":\"a\""));
    assert_true(reads(qp_slice_str(text)));
}

/* Sealed, it is the vault that is damaged, not the caller. */
static void a_vault_with_such_a_document_is_damaged(void **state)
{
    struct rig *rig = *state;
    static const char *const documents[] = {"", "{}", "{\"accounts\":[{\"name\":\"a\"}]}", "not JSON"};
    struct qp_vault_key key = {0};
    qp_vault_key_make(&rig->opts.key, &key);
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        unsigned char nonce[QP_VAULT_NONCE_BYTES];
        struct qp_buf file = {0};
        qp_vault_seal(&key, qp_slice_str(documents[i]), &file, nonce);
        rig_put(rig->path, qp_buf_slice(&file));
        rig_refused(rig, QP_VAULT_CORRUPT);
        assert_non_null(strstr(rig->error, "makes no sense"));
        qp_buf_deinit(&file);
    }
    qp_vault_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_is_cut_short_is_refused),
        cmocka_unit_test(every_member_is_needed),
        cmocka_unit_test(each_member_is_of_its_type),
        cmocka_unit_test(a_name_stands_once),
        cmocka_unit_test_setup_teardown(a_vault_with_such_a_document_is_damaged, rig_start, rig_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
