#include "http/fields.h"

#include "base/check.h"
#include "http/chars.h"

static const uint8_t rules_of[QP_FIELD_ID_COUNT] = {
#define QP_FIELD_ROW(id, name, rules) [id] = (rules),
#include "http/field_rules.def"
#undef QP_FIELD_ROW
};

/* A chain that the table generates: each row is a comparison with a constant, and only a row of equal length
 * and first letter looks further. No two rows share both, so at most one name is ever compared in full. */
enum qp_field_id qp_field_lookup(struct qp_slice name)
{
    if (name.len == 0)
        return QP_FIELD_OTHER;
    const char first = (char)(name.at[0] | 0x20);
#define QP_FIELD_ROW(id, text, rules)                                \
    if (name.len == sizeof(text) - 1 && first == ((text)[0] | 0x20)) \
        return qp_slice_is_nocase(name, QP_SLICE(text)) ? (id) : QP_FIELD_OTHER;
#include "http/field_rules.def"
#undef QP_FIELD_ROW
    return QP_FIELD_OTHER;
}

unsigned qp_field_rules(enum qp_field_id id)
{
    qp_require(id < QP_FIELD_ID_COUNT);
    return rules_of[id];
}

/* Takes and copies rather than grows: the names and values that came in between make the array never the
 * arena's last run. */
static bool make_room(struct qp_fields *fields, struct qp_arena *arena)
{
    const unsigned capacity = fields->capacity > 0 ? fields->capacity * 2 : QP_FIELDS_FIRST_CAPACITY;
    struct qp_field *at = qp_arena_take(arena, capacity * sizeof(*at));
    if (!at)
        return false;
    if (fields->count > 0)
        memcpy(at, fields->at, fields->count * sizeof(*at));
    fields->at = at;
    fields->capacity = capacity;
    return true;
}

bool qp_fields_add(struct qp_fields *fields, struct qp_arena *arena, struct qp_slice name,
                   struct qp_slice value)
{
    if (fields->count == fields->capacity && !make_room(fields, arena))
        return false;
    fields->at[fields->count++] =
        (struct qp_field){.name = name, .value = value, .id = qp_field_lookup(name)};
    return true;
}

const struct qp_field *qp_fields_find(const struct qp_fields *fields, enum qp_field_id id)
{
    qp_require(id != QP_FIELD_OTHER);
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->at[i].id == id)
            return &fields->at[i];
    return NULL;
}

unsigned qp_fields_count(const struct qp_fields *fields, enum qp_field_id id)
{
    unsigned count = 0;
    for (unsigned i = 0; i < fields->count; i++)
        count += fields->at[i].id == id;
    return count;
}

const struct qp_field *qp_fields_find_name(const struct qp_fields *fields, struct qp_slice name)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (qp_slice_is_nocase(fields->at[i].name, name))
            return &fields->at[i];
    return NULL;
}

bool qp_list_next(struct qp_slice *list, struct qp_slice *element)
{
    while (list->at) {
        *element = qp_slice_trim(qp_slice_cut(list, ','));
        if (element->len > 0)
            return true;
    }
    return false;
}

static bool list_has(struct qp_slice list, struct qp_slice token)
{
    struct qp_slice element;
    while (qp_list_next(&list, &element))
        if (qp_slice_is_nocase(element, token))
            return true;
    return false;
}

bool qp_fields_has_token(const struct qp_fields *fields, enum qp_field_id id, struct qp_slice token)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->at[i].id == id && list_has(fields->at[i].value, token))
            return true;
    return false;
}

static void nominate(struct qp_fields *fields, struct qp_slice name)
{
    const enum qp_field_id id = qp_field_lookup(name);
    if (rules_of[id] & (QP_RULE_OURS | QP_RULE_CREDENTIAL))
        return;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->at[i].id == id && (id != QP_FIELD_OTHER || qp_slice_is_nocase(fields->at[i].name, name)))
            fields->at[i].nominated = true;
}

void qp_fields_mark_nominated(const struct qp_fields *head, struct qp_fields *fields)
{
    struct qp_slice element;
    for (unsigned i = 0; i < head->count && fields->count > 0; i++) {
        if (head->at[i].id != QP_FIELD_CONNECTION)
            continue;
        struct qp_slice list = head->at[i].value;
        while (qp_list_next(&list, &element))
            nominate(fields, element);
    }
}

bool qp_field_passes(const struct qp_field *field)
{
    const unsigned kept_back = QP_RULE_HOP | QP_RULE_OURS | QP_RULE_CREDENTIAL;
    return !field->nominated && (rules_of[field->id] & kept_back) == 0;
}

bool qp_field_passes_as_trailer(const struct qp_field *field)
{
    return qp_field_passes(field) && (rules_of[field->id] & QP_RULE_NO_TRAILER) == 0;
}

bool qp_is_token(struct qp_slice text)
{
    return text.len > 0 && qp_chars_are(text, QP_CHAR_TOKEN);
}

bool qp_is_field_value(struct qp_slice text)
{
    return qp_chars_are(text, QP_CHAR_VALUE);
}
