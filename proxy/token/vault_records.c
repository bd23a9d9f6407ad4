/* vault_records.c - the records as a JSON document, and back.
 *
 *   {"accounts":[{"name":"main","binding":"...","refresh_token":"<base64>", ...}]}
 *
 * Secrets are in base64, so that any byte of theirs comes back; a secret that is not there is null. What the document holds is authenticated, yet it
 * is read as if anybody had written it.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "token/json.h"
#include "token/vault_impl.h"
#include <cJSON.h>
#include <inttypes.h>
#include <mbedtls/base64.h>

enum { SECRET_MOST_BYTES = 1024 * 1024 }; /* what a qp_secret takes */

/* What a double, which JSON's numbers are to cJSON, holds without loss. */
static const int64_t time_most = INT64_C(1) << 53;

struct entry {
    struct qp_list link;
    struct qp_vault_record record;
};

enum field_kind { FIELD_TEXT, FIELD_SECRET, FIELD_TIME, FIELD_FLAG };

/* THE table of what is kept of an account, beside its name. */
static const struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    size_t size; /* FIELD_TEXT: with its NUL */
} fields[] = {
#define FIELD(kind, member, name)                               \
    {                                                           \
        name, kind, offsetof(struct qp_vault_record, member), 0 \
    }
#define TEXT(member, name)                                          \
    {                                                               \
        name, FIELD_TEXT, offsetof(struct qp_vault_record, member), \
            sizeof(((struct qp_vault_record *)0)->member)           \
    }
    TEXT(binding, "binding"),
    TEXT(seed, "seed"),
    FIELD(FIELD_SECRET, refresh_token, "refresh_token"),
    FIELD(FIELD_TIME, refresh_token_unix_s, "refresh_token_unix_s"),
    FIELD(FIELD_TIME, signed_in_unix_s, "signed_in_unix_s"),
    FIELD(FIELD_FLAG, redeeming, "redeeming"),
    FIELD(FIELD_SECRET, access_token, "access_token"),
    FIELD(FIELD_TIME, access_token_unix_s, "access_token_unix_s"),
    FIELD(FIELD_TIME, access_token_until_unix_s, "access_token_until_unix_s"),
    TEXT(identity.brand, "brand"),
    TEXT(identity.user, "user"),
    TEXT(identity.datacenter, "datacenter"),
    TEXT(identity.warning, "warning"),
#undef TEXT
#undef FIELD
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* ---- the list ---- */

static struct entry *entry_of(struct qp_list *link)
{
    return QP_CONTAINER_OF(link, struct entry, link);
}

static void free_entry(struct entry *entry)
{
    qp_list_remove(&entry->link);
    qp_secret_free(&entry->record.refresh_token);
    qp_secret_free(&entry->record.access_token);
    qp_free(entry->record.name);
    qp_wipe_and_free(entry);
}

void qp_vault_records_free(struct qp_list *records)
{
    QP_LIST_FOR_EACH_SAFE (link, records)
        free_entry(entry_of(link));
}

struct qp_vault_record *qp_vault_records_find(const struct qp_list *records, const char *name)
{
    QP_LIST_FOR_EACH (link, records)
        if (strcmp(entry_of(link)->record.name, name) == 0)
            return &entry_of(link)->record;
    return NULL;
}

struct qp_vault_record *qp_vault_records_add(struct qp_list *records, const char *name)
{
    struct entry *entry = qp_alloc(sizeof(*entry));
    entry->record.name = qp_strndup(name, strlen(name));
    qp_list_append(records, &entry->link);
    return &entry->record;
}

void qp_vault_record_move(struct qp_vault_record *to, struct qp_vault_record *from)
{
    char *name = to->name;
    qp_secret_free(&to->refresh_token);
    qp_secret_free(&to->access_token);
    *to = *from;
    to->name = name;
    from->refresh_token = NULL;
    from->access_token = NULL;
}

/* ---- writing ---- */

static void write_text(struct qp_slice value, struct qp_buf *text)
{
    qp_buf_append_char(text, '"');
    qp_buf_append_json(text, value);
    qp_buf_append_char(text, '"');
}

static void write_secret(const struct qp_secret *secret, struct qp_buf *text)
{
    if (!secret) {
        qp_buf_append_str(text, "null");
        return;
    }
    struct qp_slice bytes = qp_secret_reveal(secret);
    size_t room = (bytes.len + 2) / 3 * 4 + 1;
    size_t len = 0;
    qp_buf_append_char(text, '"');
    qp_require(mbedtls_base64_encode((unsigned char *)qp_buf_reserve(text, room), room, &len,
                                     (const unsigned char *)bytes.at, bytes.len) == 0);
    qp_buf_commit(text, len);
    qp_buf_append_char(text, '"');
}

static void write_time(int64_t time, struct qp_buf *text)
{
    if (time > time_most)
        time = time_most;
    else if (time < -time_most)
        time = -time_most;
    qp_buf_append_fmt(text, "%" PRId64, time);
}

static void write_field(const struct qp_vault_record *record, const struct field *field, struct qp_buf *text)
{
    const void *member = (const char *)record + field->offset;
    qp_buf_append_fmt(text, ",\"%s\":", field->name);
    switch (field->kind) {
    case FIELD_TEXT:
        write_text(qp_slice(member, strnlen(member, field->size - 1)), text);
        break;
    case FIELD_SECRET:
        write_secret(*(struct qp_secret *const *)member, text);
        break;
    case FIELD_TIME:
        write_time(*(const int64_t *)member, text);
        break;
    case FIELD_FLAG:
        qp_buf_append_str(text, *(const bool *)member ? "true" : "false");
        break;
    }
}

void qp_vault_records_write(const struct qp_list *records, struct qp_buf *text)
{
    const char *between = "";
    qp_buf_append_str(text, "{\"accounts\":[");
    QP_LIST_FOR_EACH (link, records) {
        const struct qp_vault_record *record = &entry_of(link)->record;
        qp_buf_append_str(text, between);
        qp_buf_append_str(text, "{\"name\":");
        write_text(qp_slice_str(record->name), text);
        for (size_t i = 0; i < FIELDS; i++)
            write_field(record, &fields[i], text);
        qp_buf_append_char(text, '}');
        between = ",";
    }
    qp_buf_append_str(text, "]}");
}

/* ---- reading ---- */

static bool read_text(const cJSON *item, const struct field *field, char *member)
{
    const char *value = cJSON_GetStringValue(item);
    size_t len = value ? strlen(value) : 0;
    if (!value || len >= field->size)
        return false;
    memcpy(member, value, len + 1);
    return true;
}

static bool read_secret(const cJSON *item, struct qp_secret **member)
{
    const char *value = cJSON_GetStringValue(item);
    struct qp_buf bytes = {0};
    size_t len = value ? strlen(value) : 0;
    if (!value)
        return cJSON_IsNull(item);
    bool is_good = mbedtls_base64_decode((unsigned char *)qp_buf_reserve(&bytes, len + 1), len + 1, &len,
                                         (const unsigned char *)value, len) == 0 &&
                   len <= SECRET_MOST_BYTES;
    if (is_good)
        *member = qp_secret_new(qp_slice(bytes.data, len));
    qp_buf_wipe(&bytes);
    return is_good;
}

static bool read_time(const cJSON *item, int64_t *member)
{
    double value = cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : 0.5;
    if (!(value >= (double)-time_most && value <= (double)time_most))
        return false;
    *member = (int64_t)value;
    return (double)*member == value;
}

static bool read_flag(const cJSON *item, bool *member)
{
    *member = cJSON_IsTrue(item);
    return cJSON_IsBool(item);
}

static bool read_field(const cJSON *object, const struct field *field, struct qp_vault_record *record)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field->name);
    void *member = (char *)record + field->offset;
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(item, field, member);
    case FIELD_SECRET:
        return read_secret(item, member);
    case FIELD_TIME:
        return read_time(item, member);
    case FIELD_FLAG:
        return read_flag(item, member);
    }
    return false;
}

static bool read_record(const cJSON *object, struct qp_list *records)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "name"));
    if (!name || !*name || qp_vault_records_find(records, name))
        return false;
    struct qp_vault_record *record = qp_vault_records_add(records, name);
    for (size_t i = 0; i < FIELDS; i++)
        if (!read_field(object, &fields[i], record))
            return false;
    return true;
}

static bool read_accounts(const cJSON *accounts, struct qp_list *records)
{
    if (!cJSON_IsArray(accounts))
        return false;
    for (const cJSON *object = accounts->child; object; object = object->next)
        if (!read_record(object, records))
            return false;
    return true;
}

bool qp_vault_records_read(struct qp_slice text, struct qp_list *records)
{
    cJSON *root = qp_json_parse_object(text);
    bool is_good = root && read_accounts(cJSON_GetObjectItemCaseSensitive(root, "accounts"), records);
    cJSON_Delete(root);
    if (!is_good)
        qp_vault_records_free(records);
    return is_good;
}
