/* check_online.c - `qproxy check --online [--spend] [ACCOUNT]`: asks each account's origin who we are, and prints what came of it. */
#include "base/alloc.h"
#include "cli/exit_codes.h"
#include "cli/table.h"
#include "cli/talk.h"
#include "token/json.h"
#include <sysexits.h>

struct row {
    const char *name;
    const char *origin;
    int64_t generation_before;
    int64_t generation_after;
    bool needs_sign_in;
    struct qp_reply reply;
    const char *code;
    int exit_code;
};

/* What a code says of the origin: could it be reached, and is it who it should be? */
static const struct verdict {
    const char *code;
    const char *text;
    enum qp_tone tone;
} ORIGIN[] = {
    {"resolve", "no such name", QP_TONE_BAD},
    {"network", "not reached", QP_TONE_BAD},
    {"certificate", "certificate refused", QP_TONE_BAD},
    {"stopping", "not asked", QP_TONE_WARN},
    {"no_account", "not asked", QP_TONE_WARN},
};

/* What it says of the token, where its generation does not say it. */
static const struct verdict TOKEN[] = {
    {"ok_without_token", "skipped", QP_TONE_WARN}, {"sign_in_needed", "sign in first", QP_TONE_BAD},
    {"refused", "refused", QP_TONE_BAD},           {"token_failed", "failed", QP_TONE_BAD},
    {"rejected", "rejected", QP_TONE_BAD},
};

static struct verdict find(const struct verdict *verdicts, size_t count, const char *code,
                           struct verdict otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(verdicts[i].code, code) == 0)
            return verdicts[i];
    return otherwise;
}

static struct verdict judge_token(const struct row *row)
{
    struct verdict verdict = {"", "none", QP_TONE_PLAIN};
    if (row->generation_after > 0 && row->generation_after != row->generation_before)
        verdict = (struct verdict){"", "minted", QP_TONE_GOOD};
    else if (row->generation_after > 0)
        verdict = (struct verdict){"", "at hand", QP_TONE_GOOD};
    return find(TOKEN, sizeof TOKEN / sizeof TOKEN[0], row->code, verdict);
}

static void put_row(struct qp_table *table, const struct row *row)
{
    const cJSON *json = row->reply.json;
    struct verdict origin = find(ORIGIN, sizeof ORIGIN / sizeof ORIGIN[0], row->reply.code,
                                 (struct verdict){"", "verified", QP_TONE_GOOD});
    struct verdict token = judge_token(row);
    qp_table_put(table, QP_TONE_PLAIN, row->name);
    qp_table_put(table, QP_TONE_PLAIN, row->origin);
    qp_table_put(table, origin.tone, origin.text);
    qp_table_put(table, token.tone, token.text);
    qp_table_put(table, QP_TONE_PLAIN, qp_member_text(json, "user"));
    qp_table_put(table, QP_TONE_PLAIN, qp_member_text(json, "brand"));
    qp_table_put(table, QP_TONE_PLAIN, qp_member_text(json, "datacenter"));
    qp_table_put(table, row->exit_code == EX_OK ? QP_TONE_GOOD : QP_TONE_BAD, row->code);
}

static void print_rows(const struct row *rows, size_t count)
{
    static const char *const HEADS[] = {"ACCOUNT", "ORIGIN", "REACHED",    "TOKEN",
                                        "USER",    "BRAND",  "DATACENTER", "RESULT"};
    enum { COLUMNS = sizeof HEADS / sizeof HEADS[0] };
    struct qp_table table = {.columns = COLUMNS};
    for (size_t i = 0; i < COLUMNS; i++)
        qp_table_put(&table, QP_TONE_HEAD, HEADS[i]);
    for (size_t i = 0; i < count; i++)
        put_row(&table, &rows[i]);
    qp_table_print(&table, qp_has_colours(stdout), stdout);
    qp_table_deinit(&table);
    putchar('\n');
    for (size_t i = 0; i < count; i++) {
        char prefix[128];
        const char *warning = qp_member_text(rows[i].reply.json, "warning");
        snprintf(prefix, sizeof prefix, "%.80s: ", rows[i].name);
        qp_say(stdout, prefix, rows[i].reply.text);
        snprintf(prefix, sizeof prefix, "%.80s: warning: ", rows[i].name);
        if (*warning && !strstr(rows[i].reply.text, warning))
            qp_say(stdout, prefix, warning);
    }
}

static void take_account(const cJSON *account, struct row *row, int64_t *generation)
{
    if (strcmp(qp_member_text(account, "name"), row->name) != 0)
        return;
    row->needs_sign_in = strcmp(qp_member_text(account, "state"), "sign-in-needed") == 0;
    if (qp_member_bool(account, "usable_token"))
        *generation = qp_member_number(account, "generation");
}

/* *generation: 0: no usable token, or not known. */
static int look(struct qp_talk *talk, struct row *row, int64_t *generation)
{
    struct qp_buf body = {0};
    int code = qp_talk_get(talk, "/api/status", &body);
    cJSON *status = code == EX_OK ? qp_json_parse_object(qp_buf_slice(&body)) : NULL;
    *generation = 0;
    for (const cJSON *account = qp_member_first(status, "accounts"); account; account = account->next)
        take_account(account, row, generation);
    cJSON_Delete(status);
    qp_buf_deinit(&body);
    return code;
}

static int check(struct qp_talk *talk, const struct qp_config_account *account, bool spend, struct row *row)
{
    const struct qp_order order = {
        .path = "/api/check/", .account = account->name, .form = spend ? QP_SLICE("spend=1") : QP_SLICE("")};
    row->name = account->name;
    row->origin = account->origin.authority;
    int code = look(talk, row, &row->generation_before);
    if (code == EX_OK)
        code = qp_talk_order(talk, &order, &row->reply);
    if (code == EX_OK)
        code = look(talk, row, &row->generation_after);
    if (code != EX_OK)
        return code;
    /* The origin is well, but without a sign-in that is no use. */
    bool lacks_sign_in = row->needs_sign_in && row->reply.ok;
    row->code = lacks_sign_in ? "sign_in_needed" : row->reply.code;
    row->exit_code = lacks_sign_in ? qp_exit_of_order(row->code) : row->reply.exit_code;
    return EX_OK;
}

static int speak(struct qp_talk *talk, const struct qp_cli_options *options, int account)
{
    const struct qp_config *config = talk->config;
    size_t first = account == QP_TALK_ANY ? 0 : (size_t)account;
    size_t count = account == QP_TALK_ANY ? config->account_count : 1;
    struct row *rows = qp_alloc(count * sizeof *rows);
    int code = EX_OK;
    int worst = EX_OK;
    size_t done = 0;
    while (done < count && code == EX_OK) {
        code = check(talk, &config->accounts[first + done], options->spend, &rows[done]);
        worst = qp_exit_worse(worst, rows[done++].exit_code);
    }
    if (code == EX_OK) {
        print_rows(rows, count);
        code = qp_exit_worse(worst, qp_cli_finish_output());
    }
    for (size_t i = 0; i < done; i++)
        qp_reply_deinit(&rows[i].reply);
    qp_free(rows);
    return code;
}

static bool is_any(const struct qp_config_account *account)
{
    (void)account;
    return true;
}

int qp_cli_check_online(const struct qp_cli_options *options)
{
    static const struct qp_talk_verb verb = {
        .fits = is_any, .what = "can be checked", .may_be_all = true, .speak = speak};
    return qp_talk_carry_out(options, &verb);
}
