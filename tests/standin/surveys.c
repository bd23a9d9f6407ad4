/* surveys.c - whoami, surveys, their definitions. */
#include "answers.h"
#include <stdio.h>

enum { SURVEYS = 250, SURVEY_PAGE = 100, QUESTIONS = 24 };

void si_link_begin(struct si_call *call)
{
    struct qp_slice host = si_param(call, "host");
    if (!host.at && call->knobs.next_page_host[0])
        host = qp_slice_str(call->knobs.next_page_host);
    qp_buf_append_str(&call->out, "\"https://");
    qp_buf_append_json(&call->out, host.at ? host : qp_request_authority(call->request));
    qp_buf_append_str(&call->out, "/API/v3/");
}

/* The same for the same name. Unset: the service's own. */
static void put_user_id(struct qp_buf *out, struct qp_slice name)
{
    uint64_t word = 0;
    for (size_t i = 0; i < name.len; i++)
        word = si_mix(word ^ (unsigned char)name.at[i]);
    if (name.at)
        qp_buf_append_fmt(out, "UR_%015llx", (unsigned long long)word >> 4);
    else
        qp_buf_append_str(out, "UR_3fX9eLw0qQhB7Zd");
}

void si_whoami(struct si_call *call)
{
    struct qp_buf *out = &call->out;
    si_lock(call->world);
    const struct si_user *user = si_tokens_user(&call->world->tokens, call->serial);
    si_unlock(call->world);
    struct qp_slice name = user ? user->name : QP_SLICE("service@standin#standin");
    si_result_begin(call);
    qp_buf_append_str(out, "{\"brandId\":\"standin\",\"userId\":\"");
    put_user_id(out, user ? name : QP_SLICE_NONE);
    qp_buf_append_str(out, "\",\"userName\":\"");
    qp_buf_append_json(out, name);
    qp_buf_append_str(out, "\",\"accountType\":\"UT_BRANDADMIN\",\"firstName\":\"Stand\",\"lastName\":\"In\","
                           "\"email\":\"service@standin.example\",\"datacenter\":\"");
    qp_buf_append_json(out, qp_slice_str(call->knobs.datacenter));
    qp_buf_append_str(out, "\",\"language\":\"en\"}");
    si_reply_result(call);
}

static void survey_id(uint64_t number, char id[20])
{
    snprintf(id, 20, "SV_%015llu", (unsigned long long)number);
}

/* The number of a survey id; false for one that is none of ours. */
static bool survey_number(struct qp_slice id, uint64_t *number)
{
    return qp_slice_starts(id, QP_SLICE("SV_")) && qp_slice_to_u64(qp_slice(id.at + 3, id.len - 3), number) &&
           *number >= 1 && *number <= SURVEYS;
}

void si_surveys(struct si_call *call)
{
    uint64_t offset = si_param_u64(call, "offset", 0);
    uint64_t end = offset + SURVEY_PAGE < SURVEYS ? offset + SURVEY_PAGE : SURVEYS;
    si_result_begin(call);
    qp_buf_append_str(&call->out, "{\"elements\":[");
    for (uint64_t i = offset; i < end; i++) {
        char id[20];
        survey_id(i + 1, id);
        qp_buf_append_fmt(&call->out,
                          "%s{\"id\":\"%s\",\"name\":\"Survey %llu: caf\xc3\xa9 "
                          "\\\"quoted\\\"\",\"ownerId\":\"UR_3fX9eLw0qQhB7Zd\","
                          "\"lastModified\":\"2026-03-01T12:00:00Z\",\"creationDate\":\"2026-01-01T12:00:"
                          "00Z\",\"isActive\":%s}",
                          i == offset ? "" : ",", id, (unsigned long long)i + 1, i % 3 ? "true" : "false");
    }
    qp_buf_append_str(&call->out, "],\"nextPage\":");
    if (end < SURVEYS) {
        si_link_begin(call);
        qp_buf_append_fmt(&call->out, "surveys?offset=%llu\"", (unsigned long long)end);
    } else {
        qp_buf_append_str(&call->out, "null");
    }
    qp_buf_append_char(&call->out, '}');
    si_reply_result(call);
}

/* As GET /surveys/{id} shows them; `definition`: as /survey-definitions/{id} does. */
static void questions(struct si_call *call, bool definition)
{
    for (unsigned i = 1; i <= QUESTIONS; i++) {
        qp_buf_append_fmt(&call->out, "%s\"QID%u\":{", i == 1 ? "" : ",", i);
        if (definition)
            qp_buf_append_fmt(
                &call->out,
                "\"QuestionText\":\"Question %u: see <a href=\\\"https://az1.qualtrics.com/jfe/form/SV_1\\\">"
                "here<\\/a>\",\"DataExportTag\":\"Q%u\",\"QuestionType\":\"MC\",\"Selector\":\"SAVR\","
                "\"SubSelector\":\"TX\",\"Configuration\":{\"QuestionDescriptionOption\":\"UseText\"},"
                "\"Choices\":{\"1\":{\"Display\":\"Yes\"},\"2\":{\"Display\":\"No\"}},\"QuestionID\":\"QID%"
                "u\"}",
                i, i, i);
        else
            qp_buf_append_fmt(
                &call->out,
                "\"questionType\":{\"type\":\"MC\",\"selector\":\"SAVR\",\"subSelector\":\"TX\"},"
                "\"questionText\":\"Question %u: "
                "\\u00fc\\ud83d\\ude00\",\"questionLabel\":null,\"validation\":"
                "{\"doesForceResponse\":false},\"questionName\":\"Q%u\",\"choices\":{\"1\":{\"recode\":\"1\","
                "\"description\":\"Yes\",\"choiceText\":\"Yes\"},\"2\":{\"recode\":\"2\",\"description\":"
                "\"No\",\"choiceText\":\"No\"}}}",
                i, i);
    }
}

void si_survey(struct si_call *call)
{
    uint64_t number;
    if (!survey_number(call->segment[3], &number)) {
        si_reply_error(call, 404, "STANDIN_404", "Survey not found.");
        return;
    }
    struct qp_buf *out = &call->out;
    char id[20];
    survey_id(number, id);
    si_result_begin(call);
    qp_buf_append_fmt(
        out,
        "{\"id\":\"%s\",\"name\":\"Survey "
        "%llu\",\"ownerId\":\"UR_3fX9eLw0qQhB7Zd\",\"organizationId\":\"standin\","
        "\"isActive\":true,\"creationDate\":\"2026-01-01T12:00:00Z\",\"lastModifiedDate\":"
        "\"2026-03-01T12:00:00Z\",\"expiration\":{\"startDate\":null,\"endDate\":null},\"questions\":{",
        id, (unsigned long long)number);
    questions(call, false);
    qp_buf_append_str(
        out, "},\"exportColumnMap\":{\"Q1\":{\"question\":\"QID1\"}},\"blocks\":{\"BL_1\":{\"description\":"
             "\"Default Question Block\",\"elements\":[{\"type\":\"Question\",\"questionId\":\"QID1\"}]}},"
             "\"flow\":[{\"id\":\"BL_1\",\"type\":\"Block\"}],\"embeddedData\":[{\"name\":\"source\","
             "\"defaultValue\":\"web\"}],\"comments\":{},\"loopAndMerge\":{},\"responseCounts\":{"
             "\"auditable\":1200,\"generated\":0,\"deleted\":3}}");
    si_reply_result(call);
}

/* A reply in which `meta` stands first, with absolute URLs that nobody may rewrite. */
void si_definition(struct si_call *call)
{
    uint64_t number;
    if (!survey_number(call->segment[3], &number)) {
        si_reply_error(call, 404, "STANDIN_404", "Survey not found.");
        return;
    }
    struct qp_buf *out = &call->out;
    bool qsf = qp_slice_is(si_param(call, "format"), QP_SLICE("qsf"));
    char id[20];
    survey_id(number, id);
    qp_buf_append_fmt(out, "{\"meta\":{\"requestId\":\"%s\",\"httpStatus\":\"200 - OK\"},\"result\":{",
                      call->request_id);
    if (qsf)
        qp_buf_append_str(out, "\"SurveyEntry\":{");
    qp_buf_append_fmt(
        out,
        "\"QuestionCount\":\"%u\",\"SurveyOptions\":{\"BackButton\":\"false\",\"EOSRedirectURL\":"
        "\"https://standin.qualtrics.com/jfe/form/%s\"},\"ProjectInfo\":{\"ProjectCategory\":\"CORE\"},"
        "\"SurveyID\":\"%s\",\"SurveyName\":\"Survey %llu\",\"SurveyStatus\":\"Active\",\"LastModified\":"
        "\"2026-03-01T12:00:00Z\",\"BrandID\":\"standin\",\"OwnerID\":\"UR_3fX9eLw0qQhB7Zd\",\"Questions\":{",
        QUESTIONS, id, id, (unsigned long long)number);
    questions(call, true);
    qp_buf_append_str(
        out,
        "},\"Blocks\":{\"BL_1\":{\"Type\":\"Default\",\"ID\":\"BL_1\"}},\"SurveyFlow\":{\"FlowID\":\"FL_1\","
        "\"Type\":\"Root\"},\"BrandBaseURL\":\"https://standin.az1.qualtrics.com\"}}");
    if (qsf)
        qp_buf_append_char(out, '}');
    si_reply_out(call, 200, "application/json");
}
