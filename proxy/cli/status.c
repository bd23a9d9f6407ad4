/* status.c - `qproxy status [--json]`: what /api/status says, as a table for people or as it came. */
#include "cli/exit_codes.h"
#include "cli/table.h"
#include "cli/talk.h"
#include "token/json.h"
#include <sysexits.h>

struct column {
    const char *head;
    void (*put)(struct qp_table *table, const cJSON *account);
};

static enum qp_tone tone_of(const cJSON *account)
{
    if (!qp_member_bool(account, "usable_token"))
        return QP_TONE_BAD;
    return qp_member_bool(account, "never_accepted") ? QP_TONE_WARN : QP_TONE_GOOD;
}

static void put_span(struct qp_table *table, enum qp_tone tone, const cJSON *account, const char *name)
{
    char span[QP_SPAN_BYTES];
    qp_table_put(table, tone, qp_span(qp_member_number(account, name), span));
}

static void put_name(struct qp_table *table, const cJSON *account)
{
    qp_table_put(table, QP_TONE_PLAIN, qp_member_text(account, "name"));
}

static void put_grant(struct qp_table *table, const cJSON *account)
{
    qp_table_put(table, QP_TONE_PLAIN, qp_member_text(account, "grant"));
}

static void put_state(struct qp_table *table, const cJSON *account)
{
    qp_table_put(table, tone_of(account), qp_member_text(account, "state"));
}

static void put_user(struct qp_table *table, const cJSON *account)
{
    const cJSON *identity = cJSON_GetObjectItemCaseSensitive(account, "identity");
    const char *user = qp_member_text(identity, "user");
    const char *brand = qp_member_text(identity, "brand");
    struct qp_buf text = {0};
    if (*user || *brand)
        qp_buf_append_fmt(&text, "%s/%s", user, brand);
    qp_buf_append_char(&text, '\0');
    qp_table_put(table, QP_TONE_PLAIN, qp_buf_slice(&text).at);
    qp_buf_deinit(&text);
}

static void put_age(struct qp_table *table, const cJSON *account)
{
    put_span(table, QP_TONE_PLAIN, account, "age_s");
}

static void put_life(struct qp_table *table, const cJSON *account)
{
    put_span(table, QP_TONE_PLAIN, account, "expires_in_s");
}

static void put_next(struct qp_table *table, const cJSON *account)
{
    put_span(table, QP_TONE_PLAIN, account, "next_call_s");
}

static void put_refresh_token_age(struct qp_table *table, const cJSON *account)
{
    bool is_old = qp_member_bool(account, "refresh_token_is_old");
    put_span(table, is_old ? QP_TONE_WARN : QP_TONE_PLAIN, account, "refresh_token_age_s");
}

static const struct column COLUMNS[] = {
    {"ACCOUNT", put_name},      {"GRANT", put_grant},
    {"STATE", put_state},       {"USER/BRAND", put_user},
    {"TOKEN AGE", put_age},     {"EXPIRES IN", put_life},
    {"NEXT REFRESH", put_next}, {"REFRESH TOKEN AGE", put_refresh_token_age},
};
enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0] };

static void print_table(const cJSON *first)
{
    struct qp_table table = {.columns = COLUMN_COUNT};
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        qp_table_put(&table, QP_TONE_HEAD, COLUMNS[i].head);
    for (const cJSON *account = first; account; account = account->next)
        for (size_t i = 0; i < COLUMN_COUNT; i++)
            COLUMNS[i].put(&table, account);
    qp_table_print(&table, qp_has_colours(stdout), stdout);
    qp_table_deinit(&table);
}

static void print_remark(const cJSON *account, const char *kind, const char *text)
{
    struct qp_buf remark = {0};
    if (!*text)
        return;
    qp_buf_append_fmt(&remark, "%s: %s%s", qp_member_text(account, "name"), kind, text);
    qp_buf_append_char(&remark, '\0');
    qp_say(stdout, "", qp_buf_slice(&remark).at);
    qp_buf_deinit(&remark);
}

/* Sentences, which no column would hold. */
static void print_remarks(const cJSON *account)
{
    const cJSON *identity = cJSON_GetObjectItemCaseSensitive(account, "identity");
    print_remark(account, "last error: ", qp_member_text(account, "last_error"));
    print_remark(account, "warning: ", qp_member_text(identity, "warning"));
    if (qp_member_bool(account, "never_accepted"))
        print_remark(account, "warning: ",
                     "the origin has accepted none of the last two tokens: check datacenter and permissions");
    if (qp_member_bool(account, "refresh_token_is_old"))
        print_remark(account, "warning: ", "the refresh token is old: sign in again before it ends");
}

static bool print_vault(const cJSON *vault)
{
    bool is_configured = qp_member_bool(vault, "configured");
    bool is_writable = !is_configured || qp_member_bool(vault, "writable");
    const char *text = !is_configured ? "none is configured: nothing is kept over a restart"
                       : is_writable  ? "in order"
                                      : "cannot be written";
    printf("vault: %s", text);
    const char *error = qp_member_text(vault, "error");
    qp_say(stdout, *error ? ": " : "", error);
    return is_writable;
}

static int judge(const cJSON *status)
{
    int code = EX_OK;
    for (const cJSON *account = qp_member_first(status, "accounts"); account; account = account->next)
        code = qp_exit_worse(code, qp_exit_of_account(qp_member_bool(account, "usable_token"),
                                                      qp_member_text(account, "state")));
    return code;
}

/* As it came, but for what a terminal would obey: what answers need not be qproxy. */
static void print_json(struct qp_buf *body)
{
    struct qp_slice rest = qp_buf_slice(body);
    if (rest.at && rest.len > 0 && rest.at[rest.len - 1] == '\n')
        rest.len--;
    while (rest.at) {
        struct qp_slice line = qp_slice_cut(&rest, '\n');
        struct qp_buf text = {0};
        qp_buf_append(&text, line);
        qp_buf_append_char(&text, '\0');
        qp_say(stdout, "", qp_buf_slice(&text).at);
        qp_buf_deinit(&text);
    }
}

/* Gives the exit code. */
static int print_for_people(const struct qp_talk *talk, const cJSON *status)
{
    const cJSON *first = qp_member_first(status, "accounts");
    char span[QP_SPAN_BYTES];
    if (talk->is_own)
        puts("no daemon runs; this is what the vault knows\n");
    else
        printf("%s has been running for %s\n\n", talk->where,
               qp_span(qp_member_number(status, "uptime_s"), span));
    print_table(first);
    putchar('\n');
    for (const cJSON *account = first; account; account = account->next)
        print_remarks(account);
    bool is_writable = print_vault(cJSON_GetObjectItemCaseSensitive(status, "vault"));
    return qp_exit_worse(judge(status), is_writable ? EX_OK : EX_IOERR);
}

static int speak(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    struct qp_buf body = {0};
    (void)account;
    int code = qp_talk_get(talk, "/api/status", &body);
    if (code != EX_OK)
        return code;
    cJSON *status = qp_json_parse_object(qp_buf_slice(&body));
    if (!status) {
        fprintf(stderr, "qproxy: %s gives a status that makes no sense: is it another version?\n",
                talk->where);
        code = EX_PROTOCOL;
    } else if (options->json) {
        print_json(&body);
        code = judge(status);
    } else {
        code = print_for_people(talk, status);
    }
    cJSON_Delete(status);
    qp_buf_deinit(&body);
    if (talk->is_own) {
        fprintf(stderr, "qproxy: no daemon answers (%s)\n", qp_buf_slice(&talk->no_daemon).at);
        code = qp_exit_worse(code, EX_UNAVAILABLE);
    }
    return qp_exit_worse(code, qp_cli_finish_output());
}

int qp_cli_status(const struct qp_cli_options *options)
{
    static const struct qp_talk_verb verb = {.speak = speak};
    return qp_talk_carry_out(options, &verb);
}
