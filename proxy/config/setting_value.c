/* A row's value: from text, to text. */
#include "base/alloc.h"
#include "base/buf.h"
#include "config/load.h"
#include "config/values.h"

#include <inttypes.h>

bool qp_setting_is_zero_word(const struct qp_setting *setting, const char *text)
{
    return setting->zero_word && strcmp(text, setting->zero_word) == 0;
}

static bool parse_number(const struct qp_setting *setting, const char *text, uint64_t *value)
{
    if (qp_setting_is_zero_word(setting, text)) {
        *value = 0;
        return true;
    }
    bool parsed = false;
    if (setting->type == QP_SETTING_DURATION)
        parsed = qp_duration_parse(text, value);
    else if (setting->type == QP_SETTING_SIZE)
        parsed = qp_size_parse(text, value);
    else
        parsed = qp_slice_to_u64(qp_slice_str(text), value);
    bool means_zero_word = setting->zero_word && *value == 0;
    return parsed && (means_zero_word || (*value >= setting->min && *value <= setting->max));
}

static bool set_number(const struct qp_setting *setting, uint64_t *member, const char *text)
{
    uint64_t value = 0;
    if (!parse_number(setting, text, &value))
        return false;
    *member = value;
    return true;
}

static bool is_allowed_text(const struct qp_setting *setting, const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return false;
    return *text && strlen(text) <= setting->max && !(setting->refuse && setting->refuse(text));
}

static bool set_text(const struct qp_setting *setting, char **member, const char *text)
{
    bool off = qp_setting_is_zero_word(setting, text);
    if (!off && !is_allowed_text(setting, text))
        return false;
    qp_free(*member);
    *member = off ? NULL : qp_strndup(text, strlen(text));
    return true;
}

/* Lists have room for all members they may ever have, from the first on. */
static bool append(const struct qp_setting *setting, struct qp_config_list *list, const char *text)
{
    if (qp_setting_is_zero_word(setting, text))
        return true;
    if (list->count == QP_CONFIG_MOST_LIST_MEMBERS || !is_allowed_text(setting, text))
        return false;
    if (!list->at)
        list->at = qp_alloc(QP_CONFIG_MOST_LIST_MEMBERS * sizeof(*list->at));
    list->at[list->count++] = qp_strndup(text, strlen(text));
    return true;
}

static bool set_choice(const struct qp_setting *setting, void *member, const char *text)
{
    for (const struct qp_choice *choice = setting->choices; choice->name; choice++) {
        if (strcmp(choice->name, text) != 0)
            continue;
        memcpy(member, &choice->value, sizeof(choice->value));
        return true;
    }
    return false;
}

static bool set_bool(bool *member, const char *text)
{
    *member = strcmp(text, "true") == 0;
    return *member || strcmp(text, "false") == 0;
}

bool qp_setting_set_text(const struct qp_setting *setting, void *base, const char *text)
{
    void *member = (char *)base + setting->offset;
    switch (setting->type) {
    case QP_SETTING_BOOL:
        return set_bool(member, text);
    case QP_SETTING_COUNT:
    case QP_SETTING_DURATION:
    case QP_SETTING_SIZE:
        return set_number(setting, member, text);
    case QP_SETTING_TEXT:
        return set_text(setting, member, text);
    case QP_SETTING_LIST:
        return append(setting, member, text);
    case QP_SETTING_CHOICE:
        return set_choice(setting, member, text);
    case QP_SETTING_SECRET:
        break; /* needs to know where it came from: load.c */
    }
    return false;
}

static void describe_choices(const struct qp_setting *setting, char *out, size_t size)
{
    size_t len = 0;
    for (const struct qp_choice *choice = setting->choices; choice->name && len < size; choice++) {
        int put = snprintf(out + len, size - len, "%s\"%s\"", len ? ", " : "", choice->name);
        len += put > 0 ? (size_t)put : 0;
    }
}

static void describe_text(const struct qp_setting *setting, char *out, size_t size)
{
    /* Every refusing function says for the empty text what it allows. */
    const char *allowed = setting->refuse ? setting->refuse("") : NULL;
    const char *list = setting->type == QP_SETTING_LIST ? ", or a list of such" : "";
    if (allowed)
        snprintf(out, size, "%s%s", allowed, list);
    else
        snprintf(out, size, "a text of 1 to %" PRIu64 " characters%s", setting->max, list);
}

static void describe_range(const struct qp_setting *setting, char *out, size_t size)
{
    char min[QP_VALUE_BYTES];
    char max[QP_VALUE_BYTES];
    if (setting->type == QP_SETTING_DURATION)
        snprintf(out, size, "a duration with its unit, such as \"10s\" (ms, s, m, h, d), from %s to %s",
                 qp_duration_format(setting->min, min), qp_duration_format(setting->max, max));
    else if (setting->type == QP_SETTING_SIZE)
        snprintf(out, size, "a size with its unit, such as \"64KiB\" (B, KiB, MiB, GiB), from %s to %s",
                 qp_size_format(setting->min, min), qp_size_format(setting->max, max));
    else
        snprintf(out, size, "a whole number from %" PRIu64 " to %" PRIu64, setting->min, setting->max);
}

void qp_setting_describe(const struct qp_setting *setting, char *out, size_t size)
{
    switch (setting->type) {
    case QP_SETTING_BOOL:
        snprintf(out, size, "true or false");
        break;
    case QP_SETTING_COUNT:
    case QP_SETTING_DURATION:
    case QP_SETTING_SIZE:
        describe_range(setting, out, size);
        break;
    case QP_SETTING_TEXT:
    case QP_SETTING_LIST:
        describe_text(setting, out, size);
        break;
    case QP_SETTING_CHOICE:
        describe_choices(setting, out, size);
        break;
    case QP_SETTING_SECRET:
        snprintf(out, size, "\"env:NAME\", \"file:PATH\" or \"cred:NAME\"%s",
                 setting->passphrase ? ", or \"passphrase:\" before one of these" : "");
        break;
    }
    size_t len = strlen(out);
    if (setting->zero_word)
        snprintf(out + len, size - len, ", or \"%s\"", setting->zero_word);
}

static void put_text(struct qp_buf *out, const char *text)
{
    qp_buf_append_char(out, '"');
    qp_buf_append_json(out, qp_slice_str(text));
    qp_buf_append_char(out, '"');
}

static void put_list(struct qp_buf *out, const struct qp_config_list *list)
{
    if (list->count != 1)
        qp_buf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        qp_buf_append_str(out, i ? ", " : "");
        put_text(out, list->at[i]);
    }
    if (list->count != 1)
        qp_buf_append_char(out, ']');
}

static void put_number(const struct qp_setting *setting, uint64_t value, struct qp_buf *out)
{
    char text[QP_VALUE_BYTES];
    if (setting->zero_word && value == 0)
        qp_buf_append_fmt(out, "\"%s\"", setting->zero_word);
    else if (setting->type == QP_SETTING_DURATION)
        qp_buf_append_fmt(out, "\"%s\"", qp_duration_format(value, text));
    else if (setting->type == QP_SETTING_SIZE)
        qp_buf_append_fmt(out, "\"%s\"", qp_size_format(value, text));
    else
        qp_buf_append_fmt(out, "%" PRIu64, value);
}

static void put_choice(const struct qp_setting *setting, const void *member, struct qp_buf *out)
{
    unsigned value = 0;
    memcpy(&value, member, sizeof(value));
    const struct qp_choice *choice = setting->choices;
    while (choice->name && choice->value != value)
        choice++;
    put_text(out, choice->name ? choice->name : "");
}

static bool format_text(const struct qp_setting *setting, const char *text, struct qp_buf *out)
{
    if (!text && !setting->zero_word)
        return false;
    put_text(out, text ? text : setting->zero_word);
    return true;
}

static bool format_list(const struct qp_setting *setting, const struct qp_config_list *list,
                        struct qp_buf *out)
{
    if (!list->count)
        return format_text(setting, NULL, out);
    put_list(out, list);
    return true;
}

bool qp_setting_format(const struct qp_setting *setting, const void *base, struct qp_buf *out)
{
    const void *member = (const char *)base + setting->offset;
    const struct qp_config_list *list = member;
    const struct qp_config_secret *secret = member;
    switch (setting->type) {
    case QP_SETTING_BOOL:
        qp_buf_append_str(out, *(const bool *)member ? "true" : "false");
        return true;
    case QP_SETTING_COUNT:
    case QP_SETTING_DURATION:
    case QP_SETTING_SIZE:
        put_number(setting, *(const uint64_t *)member, out);
        return true;
    case QP_SETTING_TEXT:
        return format_text(setting, *(char *const *)member, out);
    case QP_SETTING_LIST:
        return format_list(setting, list, out);
    case QP_SETTING_CHOICE:
        put_choice(setting, member, out);
        return true;
    case QP_SETTING_SECRET:
        if (secret->value)
            qp_buf_append_str(out, "\"" QP_CONFIG_SECRET_MASK "\"");
        return secret->value != NULL;
    }
    return false;
}

void qp_list_deinit_texts(struct qp_config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        qp_free(list->at[i]);
    qp_free(list->at);
    *list = (struct qp_config_list){0};
}
