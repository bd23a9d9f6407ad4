#include "token/grant.h"
#include "token/json.h"
#include <stdio.h>
#include <strings.h>

enum {
    ACCESS_TOKEN_BYTES = 8 * 1024, /* what every origin takes in one field */
    CODE_BYTES = 32,               /* the longest in use has 25 */
    LIFE_DEFAULT_S = 3600,
    LIFE_MAX_S = 365 * 24 * 3600
};

/* RFC 6749 section 5.2, and the envelope that the API itself uses. */
static const char *error_code_of(const cJSON *root)
{
    const char *code = qp_json_string_of(root, "error");
    if (code)
        return code;
    const cJSON *meta = cJSON_GetObjectItemCaseSensitive(root, "meta");
    return qp_json_string_of(cJSON_GetObjectItemCaseSensitive(meta, "error"), "errorCode");
}

/* What the endpoint says goes to log and status page: nothing in it may be more than a word, and what is longer than any
 * code might be an echo of what we sent. */
static void take_code(const char *code, struct qp_grant_answer *answer)
{
    size_t len = strlen(code);
    if (len > CODE_BYTES)
        return;
    for (size_t i = 0; i <= len; ++i) {
        bool is_word = (code[i] >= '0' && code[i] <= '9') || (code[i] >= 'A' && code[i] <= 'Z') ||
                       (code[i] >= 'a' && code[i] <= 'z') || code[i] == '_' || code[i] == '-' ||
                       code[i] == '.';
        answer->error[i] = '?';
        if (is_word || i == len)
            answer->error[i] = code[i];
    }
}

/* RFC 6750 section 2.1, and nothing that could leave a field value (RFC 9110 section 5.5). */
static bool is_usable_token(const char *token)
{
    size_t len = strnlen(token, ACCESS_TOKEN_BYTES + 1);
    if (len == 0 || len > ACCESS_TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < len; ++i) {
        if (token[i] < 0x21 || token[i] > 0x7e)
            return false;
    }
    return true;
}

static bool is_bearer(const cJSON *root)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(root, "token_type");
    if (!type || cJSON_IsNull(type))
        return true;
    const char *word = cJSON_GetStringValue(type);
    return word && strcasecmp(word, "bearer") == 0;
}

/* A life of nothing is taken as no statement: a token that dies earlier than believed costs one 401 and a
 * replay, one that is believed dead at birth would serve nobody. */
static uint32_t life_of(const cJSON *root)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "expires_in");
    double seconds = 0;
    uint64_t digits = 0;
    if (cJSON_IsNumber(item))
        seconds = cJSON_GetNumberValue(item);
    else if (cJSON_IsString(item) && qp_slice_to_u64(qp_slice_str(cJSON_GetStringValue(item)), &digits))
        seconds = (double)digits;
    if (!(seconds > 0))
        return LIFE_DEFAULT_S;
    if (seconds >= LIFE_MAX_S)
        return LIFE_MAX_S;
    return seconds < 1 ? 1 : (uint32_t)seconds;
}

struct code_row {
    const char *code;
    enum qp_grant_outcome outcome;
    const char *text;
};

static const struct code_row code_rows[] = {
    {"invalid_grant", QP_GRANT_SIGN_IN, "the refresh token is expired, revoked or spent: sign in again"},
    {"invalid_client", QP_GRANT_REFUSED,
     "the token endpoint does not know this client: check client_id and client_secret"},
    {"unauthorized_client", QP_GRANT_REFUSED,
     "this client may not use this grant: check the client's grant type in the OAuth Client Manager"},
    {"invalid_scope", QP_GRANT_REFUSED, "the token endpoint does not grant this scope: check scope"},
    {"unsupported_grant_type", QP_GRANT_REFUSED,
     "the token endpoint does not offer this grant: check grant and token_url"},
    {"invalid_request", QP_GRANT_REFUSED,
     "the token endpoint does not understand the request: check grant, client_auth and scope"},
};

static void set_own(struct qp_grant_answer *answer, const char *error, const char *text)
{
    answer->outcome = QP_GRANT_PASSING;
    snprintf(answer->error, sizeof(answer->error), "%s", error);
    snprintf(answer->text, sizeof(answer->text), "%s", text);
}

static bool judge_code(const char *code, struct qp_grant_answer *answer)
{
    for (size_t i = 0; i < sizeof(code_rows) / sizeof(code_rows[0]); ++i) {
        if (strcmp(code, code_rows[i].code) != 0)
            continue;
        set_own(answer, code, code_rows[i].text);
        answer->outcome = code_rows[i].outcome;
        return true;
    }
    return false;
}

/* A refresh token is taken whatever is wrong with the rest: the one that was sent is spent now. */
static void judge_grant(const cJSON *root, struct qp_grant_answer *answer)
{
    const char *token = qp_json_string_of(root, "access_token");
    const char *refresh = qp_json_string_of(root, "refresh_token");
    if (refresh)
        answer->refresh_token = qp_secret_new(qp_slice_str(refresh));
    if (!token) {
        set_own(answer, "no_token", "the token endpoint's answer has no access_token: check token_url");
    } else if (!is_usable_token(token)) {
        set_own(answer, "bad_token",
                "the token endpoint's access_token is over 8 KiB or holds bytes that no field can carry");
    } else if (!is_bearer(root)) {
        set_own(answer, "bad_token_type", "the token endpoint's token_type is not bearer");
    } else {
        answer->outcome = QP_GRANT_GRANTED;
        answer->access_token = qp_secret_new(qp_slice_str(token));
        answer->expires_in_s = life_of(root);
    }
}

static void judge_status(unsigned status, struct qp_grant_answer *answer)
{
    const char *remedy = "tried again later";
    if (status >= 300 && status < 400)
        remedy = "redirects are not followed, set token_url to its final address";
    else if (status == 401 || status == 403)
        remedy = "check client_id and client_secret";
    else if (status == 404 || status == 405)
        remedy = "check token_url";
    answer->outcome = QP_GRANT_PASSING;
    snprintf(answer->error, sizeof(answer->error), "http_%u", status);
    snprintf(answer->text, sizeof(answer->text), "the token endpoint answers with status %u: %s", status,
             remedy);
}

static bool is_passing_status(unsigned status)
{
    return status == 408 || status == 429 || status >= 500 || (status >= 300 && status < 400);
}

static void judge_object(unsigned status, const cJSON *root, struct qp_grant_answer *answer)
{
    bool is_success = status >= 200 && status < 300;
    const char *code = error_code_of(root);
    if (is_success && (!code || qp_json_string_of(root, "access_token"))) {
        judge_grant(root, answer);
        return;
    }
    judge_status(status, answer);
    if (!code)
        return;
    if (!is_passing_status(status) && judge_code(code, answer))
        return;
    take_code(code, answer);
}

void qp_grant_judge(unsigned status, struct qp_slice body, struct qp_grant_answer *answer)
{
    *answer = (struct qp_grant_answer){.expires_in_s = LIFE_DEFAULT_S};
    if (body.len > QP_GRANT_ANSWER_BYTES) {
        set_own(answer, "too_large", "the token endpoint's answer is over 64 KiB: check token_url");
        return;
    }
    cJSON *root = qp_json_parse_answer(body);
    if (root)
        judge_object(status, root, answer);
    else if (status >= 200 && status < 300)
        set_own(answer, "not_json", "the token endpoint's answer is not a JSON object: check token_url");
    else
        judge_status(status, answer);
    cJSON_Delete(root);
}

void qp_grant_answer_deinit(struct qp_grant_answer *answer)
{
    qp_secret_free(&answer->access_token);
    qp_secret_free(&answer->refresh_token);
}
