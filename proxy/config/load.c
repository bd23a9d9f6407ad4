/* The walk over the JSON: each key is looked up in the table, each value goes through its row's type. Nothing
 * stops at the first problem. */
#include "config/load.h"
#include "base/alloc.h"
#include "config/jsonc.h"
#include "config/reference.h"
#include "config/url.h"
#include "config/values.h"

#include <cJSON.h>

struct loader {
    struct qp_config *config;
    struct qp_problems *problems;
    const char *literals_refused;
    bool is_unread; /* what was just refused is a reference that could not be read */
    struct qp_seen top;
    struct qp_seen accounts[QP_CONFIG_MOST_ACCOUNTS];
};

/* One object of the JSON. place is what the user sees ("accounts[0]"), path what the table has
 * ("accounts[]"). */
struct object {
    const char *place;
    const char *path;
    void *base;
    struct qp_seen *seen;
};

static void *member_of(const struct qp_setting *setting, void *base)
{
    return (char *)base + setting->offset;
}

bool qp_seen_has(const struct qp_seen *seen, const char *path)
{
    return seen->settings[qp_setting_find(path) - qp_settings];
}

static void describe_found(const struct qp_setting *setting, const cJSON *value, char *out, size_t size)
{
    if (cJSON_IsString(value)) {
        /* A URL with user:password@ is a secret, too. */
        bool show = setting && setting->type != QP_SETTING_SECRET && !strchr(value->valuestring, '@');
        size_t shown = strnlen(value->valuestring, 61);
        if (show)
            snprintf(out, size, "\"%.60s%s\"", value->valuestring, shown > 60 ? "..." : "");
        else
            snprintf(out, size, "a text");
    } else if (cJSON_IsNumber(value)) {
        snprintf(out, size, "the number %.15g", value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        snprintf(out, size, cJSON_IsTrue(value) ? "true" : "false");
    } else {
        snprintf(out, size, cJSON_IsNull(value) ? "null" : cJSON_IsArray(value) ? "a list" : "an object");
    }
}

static void refuse_value(struct loader *loader, const struct qp_setting *setting, const char *place,
                         const cJSON *value)
{
    char found[128];
    char allowed[512];
    describe_found(setting, value, found, sizeof(found));
    qp_setting_describe(setting, allowed, sizeof(allowed));
    const char *reason =
        cJSON_IsString(value) && setting->refuse ? setting->refuse(value->valuestring) : NULL;
    if (reason)
        snprintf(allowed, sizeof(allowed), "%s", reason);
    bool needs_unit = setting->type == QP_SETTING_DURATION || setting->type == QP_SETTING_SIZE;
    bool bare = cJSON_IsNumber(value) && needs_unit;
    qp_problems_add(loader->problems, place, "found %s%s; allowed: %s", found, bare ? " without a unit" : "",
                    allowed);
}

/* Why a text that is no reference is not taken for the secret itself, or NULL. */
static const char *why_no_literal(const struct loader *loader, const struct qp_setting *setting,
                                  const char *text)
{
    if (strcmp(text, QP_CONFIG_SECRET_MASK) == 0)
        return "the mask that `qproxy check` shows instead of a secret";
    return setting->never_literal ? setting->never_literal : loader->literals_refused;
}

/* Gives the reference, or whatever else stands there. */
static const char *behind_passphrase(const char *text, bool *is_passphrase)
{
    static const char prefix[] = "passphrase:";
    *is_passphrase = strncmp(text, prefix, strlen(prefix)) == 0;
    return *is_passphrase ? text + strlen(prefix) : text;
}

static bool set_secret(struct loader *loader, const struct qp_setting *setting, const char *text,
                       struct qp_config_secret *secret, char *why)
{
    bool is_passphrase = false;
    const char *reference = behind_passphrase(text, &is_passphrase);
    bool is_reference = qp_reference_is(reference);
    const char *refused = NULL;
    if (is_reference && is_passphrase && !setting->passphrase)
        refused = "only a vault's key may be a passphrase";
    if (!is_reference)
        refused = why_no_literal(loader, setting, text);
    if (refused) {
        char allowed[128];
        qp_setting_describe(setting, allowed, sizeof(allowed));
        snprintf(why, QP_REFERENCE_WHY_BYTES, "found a text that is no reference, but %s; allowed: %s",
                 refused, allowed);
        return false;
    }
    secret->value = is_reference ? qp_reference_read(reference, why)
                                 : qp_reference_check(qp_slice_str(text), "the text", why);
    const char *from = is_reference ? reference : "the configuration file";
    secret->from = qp_strndup(from, strlen(from));
    secret->is_passphrase = is_reference && is_passphrase;
    loader->is_unread = is_reference && !secret->value;
    return secret->value;
}

static bool set_referenced_text(struct loader *loader, const struct qp_setting *setting, void *base,
                                const char *reference, char *why)
{
    struct qp_secret *value = qp_reference_read(reference, why);
    loader->is_unread = !value;
    if (!value)
        return false;
    struct qp_slice bytes = qp_secret_reveal(value);
    char *text = qp_strndup(bytes.at, bytes.len);
    qp_secret_free(&value);
    bool fits = qp_setting_set_text(setting, base, text);
    if (!fits)
        snprintf(why, QP_REFERENCE_WHY_BYTES, "what %.200s refers to is not allowed here", reference);
    qp_free(text);
    return fits;
}

static void load_text(struct loader *loader, const struct qp_setting *setting, const struct object *object,
                      const char *place, const cJSON *value)
{
    char why[QP_REFERENCE_WHY_BYTES] = "";
    const char *text = value->valuestring;
    bool set = false;
    loader->is_unread = false;
    if (setting->type == QP_SETTING_SECRET)
        set = set_secret(loader, setting, text, member_of(setting, object->base), why);
    else if (setting->reference && qp_reference_is(text))
        set = set_referenced_text(loader, setting, object->base, text, why);
    else
        set = qp_setting_set_text(setting, object->base, text);
    if (set)
        return;
    if (*why)
        qp_problems_add(loader->is_unread && loader->problems->unread ? loader->problems->unread
                                                                      : loader->problems,
                        place, "%s", why);
    else
        refuse_value(loader, setting, place, value);
}

static void load_list(struct loader *loader, const struct qp_setting *setting, const struct object *object,
                      const char *place, const cJSON *values)
{
    const struct qp_config_list *list = member_of(setting, object->base);
    int count = cJSON_GetArraySize(values);
    int index = 0;
    if (count == 0)
        qp_problems_add(loader->problems, place, "found an empty list; allowed: at least one text");
    for (const cJSON *value = values->child; value; value = value->next, index++) {
        char member_place[QP_CONFIG_PLACE_BYTES];
        snprintf(member_place, sizeof(member_place), "%.100s[%d]", place, index);
        if (list->count == QP_CONFIG_MOST_LIST_MEMBERS) {
            qp_problems_add(loader->problems, member_place, "too many; allowed: %d",
                            QP_CONFIG_MOST_LIST_MEMBERS);
            return;
        }
        const char *text = cJSON_GetStringValue(value);
        if (text && count > 1 && qp_setting_is_zero_word(setting, text))
            qp_problems_add(loader->problems, member_place,
                            "found \"%s\" beside others; remove it, or all the others", text);
        else if (!text || !qp_setting_set_text(setting, object->base, text))
            refuse_value(loader, setting, member_place, value);
    }
}

static bool takes_text(const struct qp_setting *setting, const char *text)
{
    if (setting->type == QP_SETTING_COUNT)
        return qp_setting_is_zero_word(setting, text);
    return setting->type != QP_SETTING_BOOL;
}

static void load_value(struct loader *loader, const struct qp_setting *setting, const struct object *object,
                       const char *place, const cJSON *value)
{
    char number[32];
    bool set = false;
    if (cJSON_IsString(value) && takes_text(setting, value->valuestring)) {
        load_text(loader, setting, object, place, value);
        return;
    }
    if (cJSON_IsArray(value) && setting->type == QP_SETTING_LIST) {
        load_list(loader, setting, object, place, value);
        return;
    }
    if (cJSON_IsBool(value) && setting->type == QP_SETTING_BOOL) {
        set = qp_setting_set_text(setting, object->base, cJSON_IsTrue(value) ? "true" : "false");
    } else if (cJSON_IsNumber(value) && setting->type == QP_SETTING_COUNT) {
        /* A fraction or a huge number does not come out as digits, and is refused like any other text. */
        snprintf(number, sizeof(number), "%.15g", value->valuedouble);
        set = qp_setting_set_text(setting, object->base, number);
    }
    if (!set)
        refuse_value(loader, setting, place, value);
}

static void refuse_key(struct loader *loader, const struct object *object, const char *place,
                       const char *path)
{
    const char *guess = qp_setting_guess(path);
    size_t around = object->path[0] ? strlen(object->path) + 1 : 0;
    bool same_object = guess && strncmp(guess, path, around) == 0;
    if (guess)
        qp_problems_add(loader->problems, place, "unknown key; did you mean \"%s\"?",
                        same_object ? guess + around : guess);
    else
        qp_problems_add(loader->problems, place,
                        "unknown key; conf/qproxy.json and `qproxy check --sample` show all");
}

static void load_object(struct loader *loader, const struct object *object, const cJSON *json);

static void load_accounts(struct loader *loader, const char *place, const cJSON *list)
{
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 1 || count > QP_CONFIG_MOST_ACCOUNTS) {
        qp_problems_add(loader->problems, place, "found %s; allowed: a list of 1 to %d objects",
                        !cJSON_IsArray(list) ? "no list"
                        : count              ? "too many"
                                             : "an empty list",
                        QP_CONFIG_MOST_ACCOUNTS);
        return;
    }
    loader->config->accounts = qp_alloc((size_t)count * sizeof(*loader->config->accounts));
    for (const cJSON *json = list->child; json; json = json->next) {
        size_t index = loader->config->account_count++;
        char account_place[QP_CONFIG_PLACE_BYTES];
        snprintf(account_place, sizeof(account_place), "%.60s[%zu]", place, index);
        struct object account = {account_place, "accounts[]", &loader->config->accounts[index],
                                 &loader->accounts[index]};
        if (cJSON_IsObject(json))
            load_object(loader, &account, json);
        else
            qp_problems_add(loader->problems, account_place, "found no object; allowed: an object: { ... }");
    }
}

static bool is_repeated(const cJSON *key)
{
    for (const cJSON *earlier = key->prev; earlier && earlier->next; earlier = earlier->prev)
        if (strcmp(earlier->string, key->string) == 0)
            return true;
    return false;
}

static void load_key(struct loader *loader, const struct object *object, const cJSON *value)
{
    char place[QP_CONFIG_PLACE_BYTES];
    char path[QP_CONFIG_PLACE_BYTES];
    const char *dot = object->path[0] ? "." : "";
    snprintf(place, sizeof(place), "%.60s%s%.60s", object->place, dot, value->string);
    snprintf(path, sizeof(path), "%.60s%s%.60s", object->path, dot, value->string);
    /* Only known keys can be many times known; this also keeps the search for twins short. */
    const struct qp_setting *setting = qp_setting_find(path);
    bool is_accounts = strcmp(path, "accounts") == 0;
    bool is_group = !setting && !is_accounts && qp_setting_is_group(path) && !strchr(value->string, '[');
    if (!setting && !is_accounts && !is_group) {
        refuse_key(loader, object, place, path);
    } else if (is_repeated(value)) {
        qp_problems_add(loader->problems, place, "stands here twice; only one can be meant");
    } else if (is_accounts) {
        load_accounts(loader, place, value);
    } else if (is_group && cJSON_IsObject(value)) {
        struct object group = {place, path, object->base, object->seen};
        load_object(loader, &group, value);
    } else if (is_group) {
        qp_problems_add(loader->problems, place, "found no object; allowed: an object: { ... }");
    } else {
        size_t problems_before = loader->problems->count + loader->problems->not_kept;
        load_value(loader, setting, object, place, value);
        size_t problems_now = loader->problems->count + loader->problems->not_kept;
        object->seen->settings[setting - qp_settings] = true;
        object->seen->wrong[setting - qp_settings] = problems_now > problems_before;
    }
}

static void load_object(struct loader *loader, const struct object *object, const cJSON *json)
{
    for (const cJSON *value = json->child; value; value = value->next)
        load_key(loader, object, value);
}

/* A setting that was given wrongly gets its default, too: the checks that follow then see something sensible.
 */
static void set_defaults(void *base, const struct qp_seen *seen, bool of_account)
{
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        if (qp_setting_is_of_account(setting) != of_account || !setting->fallback)
            continue;
        const struct qp_config_list *list = member_of(setting, base);
        bool has_members = setting->type == QP_SETTING_LIST && list->count;
        if (!has_members && (!seen->settings[i] || seen->wrong[i]))
            (void)qp_setting_set_text(setting, base, setting->fallback);
    }
}

struct qp_config *qp_config_parse(struct qp_slice text, const char *source, const char *literals_refused,
                                  qp_config_check *also, struct qp_problems *problems)
{
    size_t problems_before = problems->count;
    cJSON *json = qp_jsonc_parse(text, problems);
    if (!json)
        return NULL;
    struct loader *loader = qp_alloc(sizeof(*loader));
    struct qp_config *config = qp_alloc(sizeof(*config));
    *loader = (struct loader){.config = config, .problems = problems, .literals_refused = literals_refused};
    config->source = qp_strndup(source, strlen(source));
    load_object(loader, &(struct object){"", "", config, &loader->top}, json);
    qp_jsonc_free(json);
    set_defaults(config, &loader->top, false);
    for (size_t i = 0; i < config->account_count; i++)
        set_defaults(&config->accounts[i], &loader->accounts[i], true);
    qp_top_finish(config, &loader->top, problems);
    qp_accounts_finish(config, &loader->top, loader->accounts, problems);
    if (!qp_seen_has(&loader->top, "listen") && !qp_accounts_use_common_listeners(config))
        qp_list_deinit_texts(&config->listen); /* nobody asked for it, and nobody would be served there */
    if (also)
        also(config, problems);
    qp_free(loader);
    if (problems->count > problems_before || problems->not_kept)
        qp_config_free(&config);
    return config;
}

static void deinit_object(void *base, bool of_account)
{
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        if (qp_setting_is_of_account(setting) != of_account)
            continue;
        void *member = member_of(setting, base);
        if (setting->type == QP_SETTING_TEXT) {
            qp_free(*(char **)member);
            *(char **)member = NULL;
        } else if (setting->type == QP_SETTING_LIST) {
            qp_list_deinit_texts(member);
        } else if (setting->type == QP_SETTING_SECRET) {
            struct qp_config_secret *secret = member;
            qp_secret_free(&secret->value);
            qp_free(secret->from);
        }
    }
}

void qp_config_free(struct qp_config **config)
{
    struct qp_config *old = *config;
    *config = NULL;
    if (!old)
        return;
    for (size_t i = 0; i < old->account_count; i++) {
        deinit_object(&old->accounts[i], true);
        qp_url_deinit(&old->accounts[i].origin);
        qp_url_deinit(&old->accounts[i].token_url);
        qp_url_deinit(&old->accounts[i].auth_url);
        qp_url_deinit(&old->accounts[i].revoke_url);
    }
    deinit_object(old, false);
    qp_free(old->accounts);
    qp_free(old->source);
    qp_free(old);
}
