/* The table as JSON: the effective configuration, the sample; and as Markdown. */
#include "base/alloc.h"
#include "config/load.h"

struct printer {
    FILE *out;
    const struct qp_config *config; /* NULL for the sample */
};

/* "timeouts" of "timeouts.drain", "" of "via". */
static struct qp_slice group_of(const struct qp_setting *setting)
{
    const char *dot = strrchr(setting->path, '.');
    return qp_slice(setting->path, dot ? (size_t)(dot - setting->path) : 0);
}

static bool is_same_group(const struct qp_setting *a, const struct qp_setting *b)
{
    return qp_slice_is(group_of(a), group_of(b));
}

static bool is_last_of_group(size_t i)
{
    return i + 1 == qp_setting_count || !is_same_group(&qp_settings[i], &qp_settings[i + 1]);
}

static void put_indent(FILE *out, unsigned depth)
{
    fprintf(out, "%*s", (int)depth * 4, "");
}

/* The sample's lines are for people: help in lines of its own above the setting. */
static void put_help(FILE *out, const char *help, unsigned depth)
{
    enum { WIDTH = 116 };
    struct qp_slice rest = qp_slice_str(help);
    size_t column = WIDTH;
    bool first = true;
    while (rest.at) {
        struct qp_slice word = qp_slice_cut(&rest, ' ');
        if (column + 1 + word.len > WIDTH) {
            fputs(first ? "" : "\n", out);
            put_indent(out, depth);
            fputs("//", out);
            column = depth * 4 + 2;
        }
        fprintf(out, " %.*s", QP_SLICE_FMT(word));
        column += 1 + word.len;
        first = false;
    }
    fputc('\n', out);
}

/* An object with nothing but defaults, so that defaults are shown in the form that a loaded value has. */
static bool put_default(const struct qp_setting *setting, struct qp_buf *out)
{
    union {
        struct qp_config config;
        struct qp_config_account account;
    } *scratch = qp_alloc(sizeof(*scratch));
    bool set = qp_setting_set_text(setting, scratch, setting->fallback);
    if (set)
        qp_setting_format(setting, scratch, out);
    void *member = (char *)scratch + setting->offset;
    if (setting->type == QP_SETTING_TEXT)
        qp_free(*(char **)member);
    if (setting->type == QP_SETTING_LIST)
        qp_list_deinit_texts(member);
    qp_free(scratch);
    return set;
}

/* base: the object that has the setting; NULL for the default. NULL if there is none. */
static char *text_of(const struct qp_setting *setting, const void *base)
{
    struct qp_buf out = {0};
    bool set =
        base ? qp_setting_format(setting, base, &out) : setting->fallback && put_default(setting, &out);
    char *text = set ? qp_strndup(qp_buf_slice(&out).at, qp_buf_len(&out)) : NULL;
    qp_buf_deinit(&out);
    return text;
}

static void put_sample_row(const struct printer *printer, size_t i, unsigned depth)
{
    const struct qp_setting *setting = &qp_settings[i];
    char *fallback = text_of(setting, NULL);
    /* The sample's own grant. */
    bool used = qp_setting_is_used_by(setting, QP_CONFIG_GRANT_CLIENT_CREDENTIALS);
    bool active = setting->in_sample || (fallback && used);
    put_help(printer->out, setting->help, depth);
    put_indent(printer->out, depth);
    fprintf(printer->out, "%s\"%s\": ", active ? "" : "// ", qp_setting_key(setting));
    if (fallback)
        fputs(fallback, printer->out);
    else
        fprintf(printer->out, "\"%s\"", setting->example);
    fputs(is_last_of_group(i) && depth > 1 ? "\n" : ",\n", printer->out);
    qp_free(fallback);
}

/* Why a setting's value is not shown, or NULL: the loader would not take it back beside the others. */
static const char *why_not_shown(const struct qp_setting *setting, const void *base)
{
    const struct qp_config_account *account = base;
    if (!qp_setting_is_of_account(setting))
        return NULL;
    if (strcmp(setting->path, "accounts[].origin") == 0 && account->datacenter)
        return "not set";
    return qp_setting_is_used_by(setting, account->grant) ? NULL : "not used by this grant";
}

static void put_config_row(const struct printer *printer, size_t i, const void *base, unsigned depth)
{
    const struct qp_setting *setting = &qp_settings[i];
    const char *hidden = why_not_shown(setting, base);
    char *value = hidden ? NULL : text_of(setting, base);
    char *fallback = text_of(setting, NULL);
    if (!value && !hidden)
        hidden = "not set";
    const struct qp_config_secret *secret = (const void *)((const char *)base + setting->offset);
    put_indent(printer->out, depth);
    fprintf(printer->out, "%s\"%s\": %s", value ? "" : "// ", qp_setting_key(setting),
            value ? value : hidden);
    fputs(!value || (is_last_of_group(i) && depth > 1) ? "" : ",", printer->out);
    if (value && setting->type == QP_SETTING_SECRET)
        fprintf(printer->out, " // set, %sfrom %s", secret->is_passphrase ? "a passphrase " : "",
                secret->from);
    else if (value && fallback && strcmp(value, fallback) == 0)
        fputs(" // default", printer->out);
    fputc('\n', printer->out);
    qp_free(value);
    qp_free(fallback);
}

static void put_row(const struct printer *printer, size_t i, const void *base, unsigned depth)
{
    if (printer->config)
        put_config_row(printer, i, base, depth);
    else
        put_sample_row(printer, i, depth);
}

/* Gives the index behind the group. */
static size_t put_group(const struct printer *printer, size_t first, const void *base, unsigned depth)
{
    size_t i = first;
    do
        put_row(printer, i, base, depth);
    while (!is_last_of_group(i++));
    return i;
}

static size_t put_accounts(const struct printer *printer, size_t first)
{
    size_t behind = first;
    size_t count = printer->config ? printer->config->account_count : 1;
    fputs("    \"accounts\": [\n", printer->out);
    for (size_t i = 0; i < count; i++) {
        fputs("        {\n", printer->out);
        behind = put_group(printer, first, printer->config ? &printer->config->accounts[i] : NULL, 3);
        fprintf(printer->out, "        }%s\n", i + 1 < count ? "," : "");
    }
    fputs("    ],\n", printer->out);
    return behind;
}

/* The very last setting stands at the top level and so has no comma behind it. */
static void put_all(const struct printer *printer)
{
    size_t i = 0;
    fputs("{\n", printer->out);
    while (i + 1 < qp_setting_count) {
        struct qp_slice group = group_of(&qp_settings[i]);
        if (i > 0 && (group.len || !printer->config))
            fputc('\n', printer->out);
        if (qp_setting_is_of_account(&qp_settings[i])) {
            i = put_accounts(printer, i);
        } else if (group.len) {
            fprintf(printer->out, "    \"%.*s\": {\n", QP_SLICE_FMT(group));
            i = put_group(printer, i, printer->config, 2);
            fputs("    },\n", printer->out);
        } else {
            put_row(printer, i++, printer->config, 1);
        }
    }
}

static void put_last(const struct printer *printer)
{
    const struct qp_setting *last = &qp_settings[qp_setting_count - 1];
    char *value = text_of(last, printer->config);
    fputs("\n", printer->out);
    if (!printer->config)
        put_help(printer->out, last->help, 1);
    fprintf(printer->out, "    \"%s\": %s\n}\n", last->path, value);
    qp_free(value);
}

void qp_config_print(const struct qp_config *config, FILE *out)
{
    struct printer printer = {.out = out, .config = config};
    fprintf(out, "// The effective configuration, from %s. Secrets are masked.\n", config->source);
    put_all(&printer);
    put_last(&printer);
}

void qp_config_sample(FILE *out)
{
    struct printer printer = {.out = out};
    fputs("// qproxy's configuration: JSON with comments. All settings are here; whatever has a default may "
          "be left out.\n"
          "// Durations and sizes have a unit: \"250ms\", \"10s\", \"1m\", \"1h\", \"1d\"; \"512B\", "
          "\"64KiB\", \"2MiB\", \"1GiB\".\n"
          "// `qproxy check` validates a file and shows what it comes to. Made by `qproxy check --sample`.\n",
          out);
    put_all(&printer);
    put_last(&printer);
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

void qp_config_table(FILE *out)
{
    fputs("| setting | default | allowed | what it does |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < qp_setting_count; i++) {
        const struct qp_setting *setting = &qp_settings[i];
        char allowed[512];
        char *fallback = text_of(setting, NULL);
        qp_setting_describe(setting, allowed, sizeof(allowed));
        fprintf(out, "| `%s` | %s%s%s | ", setting->path, fallback ? "`" : "", fallback ? fallback : "",
                fallback ? "`" : "");
        put_escaped(out, allowed);
        fputs(" | ", out);
        put_escaped(out, setting->help);
        fprintf(out, "%s |\n", setting->restart ? " *(needs a restart)*" : "");
        qp_free(fallback);
    }
}
