#include "cli/talk.h"
#include "base/alloc.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "http/fields.h"
#include "token/json.h"
#include <libgen.h>
#include <signal.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { ADDRESS_BYTES = 160, LOOK_MS = 5000, ORDER_SLACK_MS = 15000, CALLS_AN_ORDER_MAY_MAKE = 3 };

/* ---- JSON ---- */

const char *qp_member_text(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

bool qp_member_bool(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

int64_t qp_member_number(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    bool is_sane = cJSON_IsNumber(member) && member->valuedouble >= 0 && member->valuedouble < 9e15;
    return is_sane ? (int64_t)member->valuedouble : -1;
}

const cJSON *qp_member_first(const cJSON *object, const char *name)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsArray(list) ? list->child : NULL;
}

/* The envelope that qproxy's own refusals have; gives NULL if this is none. */
static const cJSON *error_of(const cJSON *json)
{
    const cJSON *meta = cJSON_GetObjectItemCaseSensitive(json, "meta");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(meta, "error");
    return *qp_member_text(error, "errorMessage") ? error : NULL;
}

/* Without what says that it is qproxy's: we know that. */
static const char *without(const char *prefix, const char *text)
{
    return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : text;
}

/* False if the answer is not qproxy's. */
static bool read_reply(const struct qp_client_answer *answer, struct qp_reply *reply)
{
    cJSON *json = qp_json_parse_object(qp_buf_slice(&answer->body));
    const cJSON *error = error_of(json);
    bool says_ok = cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(json, "ok"));
    if (!json || (!says_ok && !error && answer->status != 200)) {
        cJSON_Delete(json);
        return false;
    }
    *reply = (struct qp_reply){.json = json};
    reply->ok = says_ok ? qp_member_bool(json, "ok") : !error;
    reply->code =
        error ? without("qproxy_", qp_member_text(error, "errorCode")) : qp_member_text(json, "code");
    reply->text =
        error ? without("qproxy: ", qp_member_text(error, "errorMessage")) : qp_member_text(json, "text");
    reply->exit_code = reply->ok ? EX_OK : qp_exit_of_order(reply->code);
    return true;
}

void qp_reply_deinit(struct qp_reply *reply)
{
    cJSON_Delete(reply->json);
    *reply = (struct qp_reply){0};
}

/* ---- asking ---- */

static uint32_t order_limit_ms(const struct qp_config *config)
{
    uint64_t limit_ms =
        CALLS_AN_ORDER_MAY_MAKE * (config->timeouts.origin_connect_ms + config->timeouts.token_call_ms) +
        ORDER_SLACK_MS;
    return limit_ms > INT32_MAX ? INT32_MAX : (uint32_t)limit_ms;
}

static int explain(const struct qp_talk *talk, enum qp_result result)
{
    if (result == QP_SELF_CANCELED)
        return qp_interrupt_exit_code(talk->client.stop_fd);
    fprintf(stderr, "qproxy: %s does not answer: %s\n", talk->where, qp_result_text(result));
    return EX_UNAVAILABLE;
}

static int ask(const struct qp_talk *talk, const struct qp_client_request *request, struct qp_reply *reply)
{
    struct qp_client_answer answer;
    enum qp_result result = qp_client_ask(&talk->client, request, &answer);
    if (result != QP_OK)
        return explain(talk, result);
    bool is_understood = read_reply(&answer, reply);
    unsigned status = answer.status;
    qp_client_answer_deinit(&answer);
    if (is_understood)
        return EX_OK;
    fprintf(stderr, "qproxy: %s gives an answer with status %u that makes no sense: is it another version?\n",
            talk->where, status);
    return EX_PROTOCOL;
}

int qp_talk_ask(struct qp_talk *talk, const char *target, struct qp_reply *reply)
{
    return ask(talk,
               &(struct qp_client_request){
                   .method = "GET", .target = target, .cookie = talk->cookie, .limit_ms = LOOK_MS},
               reply);
}

int qp_talk_order(struct qp_talk *talk, const struct qp_order *order, struct qp_reply *reply)
{
    struct qp_buf target = {0};
    qp_buf_append_str(&target, order->path);
    if (order->account)
        qp_client_put_escaped(&target, qp_slice_str(order->account));
    qp_buf_append_char(&target, '\0');
    int code = ask(talk,
                   &(struct qp_client_request){.method = "POST",
                                               .target = qp_buf_slice(&target).at,
                                               .form = order->form.at ? order->form : QP_SLICE(""),
                                               .cookie = talk->cookie,
                                               .csrf = talk->csrf,
                                               .limit_ms = order_limit_ms(talk->config)},
                   reply);
    qp_buf_deinit(&target);
    if (code == EX_OK && strcmp(reply->code, "no_account") == 0)
        fprintf(stderr, "qproxy: %s runs with another configuration than %s: it knows no account '%s'\n",
                talk->where, talk->config->source, order->account ? order->account : "");
    return code;
}

int qp_talk_get(struct qp_talk *talk, const char *target, struct qp_buf *body)
{
    struct qp_client_answer answer;
    const struct qp_client_request request = {
        .method = "GET", .target = target, .cookie = talk->cookie, .limit_ms = LOOK_MS};
    enum qp_result result = qp_client_ask(&talk->client, &request, &answer);
    if (result != QP_OK)
        return explain(talk, result);
    if (answer.status == 200)
        qp_buf_append(body, qp_buf_slice(&answer.body));
    else
        fprintf(stderr, "qproxy: %s answers %s with status %u: is it another version?\n", talk->where, target,
                answer.status);
    int code = answer.status == 200 ? EX_OK : EX_PROTOCOL;
    qp_client_answer_deinit(&answer);
    return code;
}

/* ---- the session ---- */

enum found { FOUND, NOT_HERE, FOUND_AND_REFUSED };

static void note(struct qp_talk *talk, const char *address, const char *why)
{
    qp_buf_append_fmt(&talk->no_daemon, "%s%s: %s", qp_buf_len(&talk->no_daemon) ? "; " : "", address, why);
}

static bool take_session(struct qp_talk *talk, const struct qp_client_answer *answer, const cJSON *json)
{
    const char *csrf = qp_member_text(json, "csrf");
    if (!*csrf || strlen(csrf) >= sizeof talk->csrf || !*answer->cookie ||
        !qp_is_field_value(qp_slice_str(csrf)))
        return false;
    snprintf(talk->csrf, sizeof talk->csrf, "%s", csrf);
    snprintf(talk->cookie, sizeof talk->cookie, "%s", answer->cookie);
    return true;
}

static void explain_token(const struct qp_talk *talk)
{
    fprintf(stderr, "qproxy: %s %s\n", talk->where,
            talk->client.token               ? "does not accept the admin.token of this configuration"
            : talk->config->admin.token.from ? "wants its admin.token, which cannot be read here:"
                                             : "wants an admin.token, and this configuration has none");
    qp_problems_print(&talk->unread, talk->config->source, stderr);
}

/* What answers may be anything. */
static enum found judge_answer(struct qp_talk *talk, const struct qp_client_answer *answer,
                               const char *address, int *code)
{
    struct qp_reply reply;
    enum found found = FOUND;
    if (!read_reply(answer, &reply)) {
        note(talk, address, "something that is not qproxy answers");
        return NOT_HERE;
    }
    if (strcmp(reply.code, "admin_token_needed") == 0) {
        explain_token(talk);
        *code = EX_NOPERM;
        found = FOUND_AND_REFUSED;
    } else if (!reply.ok) {
        fprintf(stderr, "qproxy: %s ", talk->where);
        qp_say(stderr, "answers: ", reply.text);
        *code = reply.exit_code;
        found = FOUND_AND_REFUSED;
    } else if (!take_session(talk, answer, reply.json)) {
        note(talk, address, "something that is not qproxy answers");
        found = NOT_HERE;
    }
    qp_reply_deinit(&reply);
    return found;
}

static enum found begin_session(struct qp_talk *talk, const char *address, int *code)
{
    static const struct qp_client_request request = {
        .method = "GET", .target = "/api/session", .limit_ms = LOOK_MS};
    struct qp_client_answer answer;
    enum qp_result result = qp_client_ask(&talk->client, &request, &answer);
    if (result == QP_OK) {
        enum found found = judge_answer(talk, &answer, address, code);
        qp_client_answer_deinit(&answer);
        return found;
    }
    if (result == QP_SELF_CANCELED)
        *code = qp_interrupt_exit_code(talk->client.stop_fd);
    if (result == QP_NET_DENIED) {
        fprintf(stderr, "qproxy: %s is only for the user that it runs as\n", talk->where);
        *code = EX_NOPERM;
    }
    if (result == QP_NET_STRANGER)
        fprintf(
            stderr,
            "qproxy: at %s another user of this machine listens, who owns neither the configuration nor the "
            "vault; he is told nothing\n",
            address);
    note(talk, address, qp_result_text(result));
    return result == QP_SELF_CANCELED || result == QP_NET_DENIED ? FOUND_AND_REFUSED : NOT_HERE;
}

/* ---- finding somebody to talk to ---- */

static void trust(struct qp_client_trusted *trusted, uid_t user)
{
    trusted->users[trusted->count++] = user;
}

static void trust_owner(struct qp_client_trusted *trusted, const char *path)
{
    struct stat file;
    if (stat(path, &file) == 0)
        trust(trusted, file.st_uid);
}

/* Who can write the configuration or the vault has already all that could be betrayed to him. */
static void trust_owners(struct qp_talk *talk, const struct qp_cli_options *options)
{
    const char *config_file = qp_config_find(options->config_file);
    const char *vault = talk->config->vault.path;
    trust(&talk->trusted, 0);
    trust(&talk->trusted, geteuid());
    if (config_file)
        trust_owner(&talk->trusted, config_file);
    if (!vault)
        return;
    char *folder = qp_strndup(vault, strlen(vault));
    trust_owner(&talk->trusted, vault);
    trust_owner(&talk->trusted, dirname(folder));
    qp_free(folder);
}

static bool can_be_dialled(const struct qp_address *address)
{
    if (address->u.any.sa_family == AF_UNIX)
        return true;
    return address->u.any.sa_family == AF_INET ? address->u.v4.sin_port != 0 : address->u.v6.sin6_port != 0;
}

static enum found try_address(struct qp_talk *talk, const struct qp_talk_verb *verb,
                              const struct qp_address *listened, int *code)
{
    char text[ADDRESS_BYTES];
    bool is_local = listened->u.any.sa_family == AF_UNIX;
    talk->client.address = qp_address_dialled(listened);
    talk->client.token = is_local ? NULL : talk->config->admin.token.value;
    talk->client.trusted = talk->client.token || verb->for_sign_in ? &talk->trusted : NULL;
    qp_address_format(&talk->client.address, text, sizeof text);
    snprintf(talk->where, sizeof talk->where, "the daemon at %s", text);
    return begin_session(talk, text, code);
}

/* Unix sockets first: no token is needed there. */
static enum found find_daemon(struct qp_talk *talk, const struct qp_talk_verb *verb, int *code)
{
    const struct qp_config_list *list = &talk->config->admin.listen;
    const char *why = NULL;
    for (int wants_local = 1; wants_local >= 0; wants_local--) {
        for (size_t i = 0; i < list->count; i++) {
            struct qp_address address;
            if (qp_address_parse(qp_slice_str(list->at[i]), &address, &why) != QP_OK ||
                (address.u.any.sa_family == AF_UNIX) != wants_local || !can_be_dialled(&address))
                continue;
            enum found found = try_address(talk, verb, &address, code);
            if (found != NOT_HERE)
                return found;
        }
    }
    if (!qp_buf_len(&talk->no_daemon))
        qp_buf_append_str(&talk->no_daemon, "admin.listen names no address to look at");
    return NOT_HERE;
}

static int become_own(struct qp_talk *talk, const struct qp_talk_verb *verb)
{
    const char *no_daemon = qp_buf_slice(&talk->no_daemon).at;
    if (verb->without_vault && !talk->config->vault.path) {
        fprintf(stderr, "qproxy: no daemon answers (%s), and without a vault there is nothing to %s\n",
                no_daemon, verb->without_vault);
        return EX_UNAVAILABLE;
    }
    if (talk->unread.count) {
        fprintf(stderr, "qproxy: no daemon answers (%s), and to do without one this is missing:\n",
                no_daemon);
        qp_problems_print(&talk->unread, talk->config->source, stderr);
        return EX_CONFIG;
    }
    const struct qp_own_opts opts = {
        .config = talk->config, .for_sign_in = verb->for_sign_in, .no_daemon = no_daemon};
    int code = qp_own_begin(&opts, &talk->own);
    if (code != EX_OK)
        return code;
    talk->is_own = true;
    talk->client.address = talk->own.address;
    talk->client.token = NULL;
    talk->client.trusted = &talk->trusted;
    snprintf(talk->where, sizeof talk->where, "the control half of this command");
    enum found found = begin_session(talk, "our own socket", &code);
    if (found == NOT_HERE)
        fprintf(stderr, "qproxy: %s does not answer\n", talk->where);
    return found == NOT_HERE ? EX_SOFTWARE : code;
}

static int begin(struct qp_talk *talk, const struct qp_talk_verb *verb)
{
    int code = EX_OK;
    talk->client.stop_fd = qp_interrupt_open();
    if (talk->client.stop_fd < 0) {
        perror("qproxy: signals cannot be waited for");
        return EX_OSERR;
    }
    enum found found = find_daemon(talk, verb, &code);
    qp_buf_append_char(&talk->no_daemon, '\0');
    return found == NOT_HERE ? become_own(talk, verb) : code;
}

static void end(struct qp_talk *talk)
{
    qp_own_end(&talk->own);
    qp_interrupt_close(&talk->client.stop_fd);
    qp_buf_deinit(&talk->no_daemon);
    qp_wipe(talk->cookie, sizeof talk->cookie);
    qp_wipe(talk->csrf, sizeof talk->csrf);
}

/* ---- the account ---- */

/* Says which there are. */
static int refuse_account(const struct qp_config *config, const struct qp_talk_verb *verb, const char *why)
{
    const char *between = "";
    fprintf(stderr, "qproxy: %s; accounts that %s:", why, verb->what);
    for (size_t i = 0; i < config->account_count; i++) {
        if (!verb->fits(&config->accounts[i]))
            continue;
        fprintf(stderr, "%s %s", between, config->accounts[i].name);
        between = ",";
    }
    fputs(*between ? "\n" : " none\n", stderr);
    return EX_USAGE;
}

static int choose_only(const struct qp_config *config, const struct qp_talk_verb *verb, int *account)
{
    unsigned fitting = 0;
    for (size_t i = 0; i < config->account_count; i++) {
        if (!verb->fits(&config->accounts[i]))
            continue;
        fitting++;
        *account = (int)i;
    }
    if (fitting == 1)
        return EX_OK;
    return refuse_account(config, verb, fitting ? "say which account" : "there is no account for this");
}

static int choose_account(const struct qp_config *config, const struct qp_talk_verb *verb, const char *name,
                          int *account)
{
    char why[128];
    *account = QP_TALK_ANY;
    if (!verb->fits || (!name && verb->may_be_all))
        return EX_OK;
    if (!name)
        return choose_only(config, verb, account);
    for (size_t i = 0; i < config->account_count; i++)
        if (strcmp(config->accounts[i].name, name) == 0)
            *account = (int)i;
    if (*account != QP_TALK_ANY && verb->fits(&config->accounts[*account]))
        return EX_OK;
    snprintf(why, sizeof why, "'%.64s' is %s", name,
             *account == QP_TALK_ANY ? "no account of this configuration" : "not one for this");
    return refuse_account(config, verb, why);
}

int qp_talk_carry_out(const struct qp_cli_options *options, const struct qp_talk_verb *verb)
{
    struct qp_talk talk = {.client = {.stop_fd = -1}};
    struct qp_config *config = NULL;
    int account = QP_TALK_ANY;
    int code = qp_cli_load_readable(options, &config, &talk.unread);
    if (code == EX_OK)
        code = choose_account(config, verb, options->word, &account);
    if (code == EX_OK) {
        talk.config = config;
        trust_owners(&talk, options);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        qp_config_forget_environment();
        code = begin(&talk, verb);
        if (code == EX_OK)
            code = verb->speak(&talk, options, account);
        end(&talk);
    }
    qp_problems_deinit(&talk.unread);
    qp_config_free(&config);
    return code;
}
