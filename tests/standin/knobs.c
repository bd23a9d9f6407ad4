#include "knobs.h"
#include <cJSON.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum kind { KIND_BOOL, KIND_INT, KIND_TEXT };

struct row {
    const char *name; /* "a.b" stands in the object a */
    enum kind kind;
    size_t offset;
    size_t size;
    int64_t least;
    int64_t most;
    const char *one_of; /* KIND_TEXT: " a b c ", NULL: any */
};

#define MEMBER(m) offsetof(struct si_knobs, m), sizeof(((struct si_knobs *)0)->m)
#define BOOL(name, m)                          \
    {                                          \
        name, KIND_BOOL, MEMBER(m), 0, 1, NULL \
    }
#define INT(name, m, least, most)                    \
    {                                                \
        name, KIND_INT, MEMBER(m), least, most, NULL \
    }
#define TEXT(name, m, one_of)                    \
    {                                            \
        name, KIND_TEXT, MEMBER(m), 0, 0, one_of \
    }

#define FAIL_KINDS                                                                                           \
    " invalid_grant invalid_client invalid_scope http_408 http_429 http_500 http_502 http_503 hang garbage " \
    "huge "                                                                                                  \
    "redirect no_expires bad_token wrong_type envelope close lost "
#define GIB ((int64_t)1 << 30)

static const struct row rows[] = {
    INT("token_life_s", token_life_s, 0, 100000000),
    INT("token_fail.count", token_fail_count, SI_FOR_EVER, 1000000),
    TEXT("token_fail.kind", token_fail_kind, FAIL_KINDS),
    INT("token_delay_ms", token_delay_ms, 0, 600000),
    BOOL("rotate", rotate),
    INT("grace_s", grace_s, 0, 1000000),
    INT("code_life_s", code_life_s, 0, 1000000),
    BOOL("require_pkce", require_pkce),
    TEXT("offline_word", offline_word, NULL),
    BOOL("auto_consent", auto_consent),
    TEXT("auth_error", auth_error, NULL),
    TEXT("iss", iss, NULL),
    INT("revoke_status", revoke_status, 0, 599),
    BOOL("always_401", always_401),
    BOOL("forbid_403", forbid_403),
    INT("rate_429.count", rate_429_count, SI_FOR_EVER, 1000000000),
    INT("rate_429.retry_after", rate_429_retry_after, SI_NONE, 1000000),
    INT("status_503", status_503, SI_FOR_EVER, 1000000000),
    BOOL("reject_both_headers", reject_both_headers),
    TEXT("datacenter", datacenter, NULL),
    TEXT("notice", notice, NULL),
    TEXT("next_page_host", next_page_host, NULL),
    BOOL("gzip", gzip),
    BOOL("chunked", chunked),
    TEXT("reject_when", reject_when, " head half end "),
    BOOL("reject_close", reject_close),
    BOOL("reject_chunked", reject_chunked),
    INT("reject_bytes", reject_bytes, 0, (int64_t)64 << 20),
    INT("export_polls", export_polls, 0, 1000000),
    INT("export_bytes", export_bytes, 0, 3 * GIB),
    BOOL("origin_keepalive", origin_keepalive),
    INT("delay_ms", delay_ms, 0, 600000),
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

void si_knobs_default(struct si_knobs *knobs, uint64_t token_life_s, const char *datacenter)
{
    *knobs = (struct si_knobs){
        .token_life_s = (int64_t)token_life_s,
        .token_fail_kind = "http_500",
        .rotate = true,
        .code_life_s = 60,
        .require_pkce = true,
        .offline_word = "offline",
        .iss = SI_ISS_SELF,
        .rate_429_retry_after = SI_NONE,
        .reject_when = "end",
        .export_polls = 2,
        .export_bytes = (int64_t)256 << 10,
        .origin_keepalive = true,
    };
    snprintf(knobs->datacenter, sizeof(knobs->datacenter), "%s", datacenter);
}

static void *member(struct si_knobs *knobs, const struct row *row)
{
    return (char *)knobs + row->offset;
}

static bool set_int(int64_t *place, const struct row *row, const cJSON *value)
{
    double number = value->valuedouble;
    if (cJSON_IsBool(value) && row->least == SI_FOR_EVER)
        number = cJSON_IsTrue(value) ? SI_FOR_EVER : 0; /* "status_503": true */
    else if (!cJSON_IsNumber(value))
        return false;
    if (number < (double)row->least || number > (double)row->most)
        return false;
    *place = (int64_t)number;
    return true;
}

static bool set_text(char *place, const struct row *row, const cJSON *value)
{
    if (!cJSON_IsString(value) || strlen(value->valuestring) >= row->size)
        return false;
    char wanted[64];
    snprintf(wanted, sizeof(wanted), " %s ", value->valuestring);
    if (row->one_of && !strstr(row->one_of, wanted))
        return false;
    snprintf(place, row->size, "%s", value->valuestring);
    return true;
}

static bool set(struct si_knobs *knobs, const struct si_knobs *defaults, const char *name, const cJSON *value)
{
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        if (strcmp(row->name, name) != 0)
            continue;
        void *place = member(knobs, row);
        if (cJSON_IsNull(value)) {
            memcpy(place, (const char *)defaults + row->offset, row->size);
            return true;
        }
        if (row->kind == KIND_INT)
            return set_int(place, row, value);
        if (row->kind == KIND_TEXT)
            return set_text(place, row, value);
        *(bool *)place = cJSON_IsTrue(value);
        return cJSON_IsBool(value);
    }
    return false;
}

/* One member of the object, which may hold several knobs of a group. */
static bool apply(struct si_knobs *knobs, const struct si_knobs *defaults, const cJSON *item, char *name,
                  size_t size)
{
    snprintf(name, size, "%s", item->string);
    if (!cJSON_IsObject(item))
        return set(knobs, defaults, name, item);
    const cJSON *inner;
    cJSON_ArrayForEach(inner, item)
    {
        snprintf(name, size, "%s.%s", item->string, inner->string);
        if (!set(knobs, defaults, name, inner))
            return false;
    }
    return true;
}

bool si_knobs_apply(struct si_knobs *knobs, const struct si_knobs *defaults, struct qp_slice json, char *why,
                    size_t why_size)
{
    cJSON *root = cJSON_ParseWithLength(json.at ? json.at : "", json.len);
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        snprintf(why, why_size, "a JSON object with knobs is wanted");
        return false;
    }
    struct si_knobs changed = *knobs;
    bool good = true;
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        char name[64];
        if (apply(&changed, defaults, item, name, sizeof(name)))
            continue;
        snprintf(why, why_size, "%s: no such knob, or a value that it does not take", name);
        good = false;
        break;
    }
    cJSON_Delete(root);
    if (good)
        *knobs = changed;
    return good;
}

static void write_value(const struct si_knobs *knobs, const struct row *row, struct qp_buf *out)
{
    const void *place = (const char *)knobs + row->offset;
    if (row->kind == KIND_BOOL) {
        qp_buf_append_str(out, *(const bool *)place ? "true" : "false");
        return;
    }
    if (row->kind == KIND_INT) {
        qp_buf_append_fmt(out, "%lld", (long long)*(const int64_t *)place);
        return;
    }
    qp_buf_append_char(out, '"');
    qp_buf_append_json(out, qp_slice_str(place));
    qp_buf_append_char(out, '"');
}

void si_knobs_write(const struct si_knobs *knobs, struct qp_buf *out)
{
    const char *open = NULL; /* the object that stands open: a row's name */
    qp_buf_append_char(out, '{');
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        const char *dot = strchr(row->name, '.');
        size_t group = dot ? (size_t)(dot - row->name) : 0;
        if (open && (!dot || strncmp(open, row->name, group + 1) != 0)) {
            qp_buf_append_char(out, '}');
            open = NULL;
        }
        if (row != rows)
            qp_buf_append_char(out, ',');
        if (dot && !open) {
            qp_buf_append_fmt(out, "\"%.*s\":{", (int)group, row->name);
            open = row->name;
        }
        qp_buf_append_fmt(out, "\"%s\":", dot ? dot + 1 : row->name);
        write_value(knobs, row, out);
    }
    qp_buf_append_char(out, '}');
}

bool si_knob_take(int64_t *count)
{
    if (*count == 0)
        return false;
    if (*count > 0)
        (*count)--;
    return true;
}
