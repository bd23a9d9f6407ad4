/* lists.c - directories, contacts, distributions, event subscriptions. */
#include "answers.h"
#include <cJSON.h>
#include <stdio.h>

enum { CONTACTS = 120, CONTACT_PAGE = 50, LINKS = 30, LINK_PAGE = 10 };

/* {"elements":[...],"nextPage":null} around elements of a constant text. */
static void one_page(struct si_call *call, const char *elements)
{
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"elements\":[%s],\"nextPage\":null}", elements);
    si_reply_result(call);
}

void si_directories(struct si_call *call)
{
    one_page(call, "{\"directoryId\":\"POOL_1\",\"name\":\"Default\",\"contactCount\":120,\"isDefault\":true,"
                   "\"deduplicationCriteria\":{\"email\":true,\"firstName\":false,\"lastName\":false,"
                   "\"externalDataReference\":false,\"phone\":false}}");
}

void si_mailing_lists(struct si_call *call)
{
    one_page(call, "{\"mailingListId\":\"CG_1\",\"name\":\"Customers\",\"ownerId\":\"UR_3fX9eLw0qQhB7Zd\","
                   "\"contactCount\":120,\"creationDate\":\"2026-01-01T12:00:00Z\",\"lastModifiedDate\":"
                   "\"2026-03-01T12:00:00Z\"},{\"mailingListId\":\"CG_2\",\"name\":\"Partners\",\"ownerId\":"
                   "\"UR_3fX9eLw0qQhB7Zd\",\"contactCount\":120,\"creationDate\":\"2026-01-01T12:00:00Z\","
                   "\"lastModifiedDate\":\"2026-03-01T12:00:00Z\"}");
}

/* skipToken is opaque to clients and holds what must survive byte for byte: "S+a/b=_12" as "S%2Ba%2Fb%3D_12". */
#define SKIP_PREFIX "S%2Ba%2Fb%3D_"

static uint64_t skip_token(const struct si_call *call)
{
    struct qp_slice token = si_param(call, "skipToken");
    uint64_t at = 0;
    if (token.at && qp_slice_starts(token, QP_SLICE(SKIP_PREFIX))) {
        struct qp_slice number =
            qp_slice(token.at + sizeof(SKIP_PREFIX) - 1, token.len - sizeof(SKIP_PREFIX) + 1);
        if (!qp_slice_to_u64(number, &at))
            at = 0;
    }
    return at;
}

void si_contacts(struct si_call *call)
{
    uint64_t size = si_param_u64(call, "pageSize", CONTACT_PAGE);
    uint64_t from = skip_token(call);
    size = size < 1 || size > 500 ? CONTACT_PAGE : size;
    uint64_t end = from + size < CONTACTS ? from + size : CONTACTS;
    si_result_begin(call);
    qp_buf_append_str(&call->out, "{\"elements\":[");
    for (uint64_t i = from; i < end; i++)
        qp_buf_append_fmt(
            &call->out,
            "%s{\"contactId\":\"CID_%015llu\",\"contactLookupId\":\"CGC_%015llu\",\"firstName\":\"First%"
            "llu\","
            "\"lastName\":\"Last\",\"email\":\"contact%llu@standin.example\",\"phone\":null,\"extRef\":null,"
            "\"language\":\"en\",\"unsubscribed\":false,\"mailingListUnsubscribed\":false}",
            i == from ? "" : ",", (unsigned long long)i, (unsigned long long)i, (unsigned long long)i,
            (unsigned long long)i);
    qp_buf_append_str(&call->out, "],\"nextPage\":");
    if (end < CONTACTS) {
        si_link_begin(call);
        for (unsigned i = 2; i < call->segments; i++)
            qp_buf_append_fmt(&call->out, "%s%.*s", i == 2 ? "" : "/", QP_SLICE_FMT(call->segment[i]));
        qp_buf_append_fmt(&call->out, "?pageSize=%llu&useNewPaginationScheme=true&skipToken=%s%llu\"",
                          (unsigned long long)size, SKIP_PREFIX, (unsigned long long)end);
    } else {
        qp_buf_append_str(&call->out, "null");
    }
    qp_buf_append_char(&call->out, '}');
    si_reply_result(call);
}

void si_distributions(struct si_call *call)
{
    if (!si_param(call, "surveyId").at) {
        si_reply_error(call, 400, "QVAL_1", "surveyId: a survey is required.");
        return;
    }
    one_page(
        call,
        "{\"id\":\"EMD_000000000000001\",\"parentDistributionId\":null,\"ownerId\":\"UR_3fX9eLw0qQhB7Zd\","
        "\"organizationId\":\"standin\",\"requestStatus\":\"Done\",\"requestType\":\"Invite\",\"sendDate\":"
        "\"2026-02-01T12:00:00Z\",\"createdDate\":\"2026-02-01T12:00:00Z\",\"modifiedDate\":\"2026-02-01T12:"
        "00:00Z\","
        "\"headers\":{\"fromEmail\":\"noreply@qualtrics.com\",\"replyToEmail\":\"a@standin.example\","
        "\"fromName\":\"A\","
        "\"subject\":\"Hello\"},\"recipients\":{\"mailingListId\":\"CG_1\",\"contactId\":null,\"libraryId\":"
        "\"GR_1\","
        "\"sampleId\":null},\"message\":{\"libraryId\":\"GR_1\",\"messageId\":\"MS_1\"},\"surveyLink\":{"
        "\"surveyId\":"
        "\"SV_000000000000001\",\"expirationDate\":\"2026-12-31T23:59:59Z\",\"linkType\":\"Individual\"},"
        "\"embeddedData\":null,\"stats\":{\"sent\":30,\"failed\":0,\"started\":12,\"bounced\":0,\"opened\":"
        "20,"
        "\"skipped\":0,\"finished\":10,\"complaints\":0,\"blocked\":0}}");
}

void si_distribute(struct si_call *call)
{
    struct qp_slice body = qp_buf_slice(&call->body);
    cJSON *root = cJSON_ParseWithLength(body.at ? body.at : "", body.len);
    bool good = cJSON_GetObjectItemCaseSensitive(root, "surveyLink") &&
                cJSON_GetObjectItemCaseSensitive(root, "recipients");
    cJSON_Delete(root);
    if (!good) {
        si_reply_error(call, 400, "QVAL_1", "surveyLink and recipients are required.");
        return;
    }
    char id[24];
    si_lock(call->world);
    call->world->distributions++;
    si_next_name(call->world, "EMD_", id, sizeof(id));
    si_unlock(call->world);
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"id\":\"%s\"}", id);
    si_reply_result(call);
}

/* The recorded case: the link to the next page names another datacenter than the one that was asked. */
void si_links(struct si_call *call)
{
    if (!qp_slice_starts(call->segment[3], QP_SLICE("EMD_"))) {
        si_reply_error(call, 404, "GED_3", "Distribution not found.");
        return;
    }
    uint64_t from = skip_token(call);
    uint64_t end = from + LINK_PAGE < LINKS ? from + LINK_PAGE : LINKS;
    struct qp_buf *out = &call->out;
    si_result_begin(call);
    qp_buf_append_str(out, "{\"elements\":[");
    for (uint64_t i = from; i < end; i++)
        qp_buf_append_fmt(
            out,
            "%s{\"contactId\":\"CID_%015llu\",\"link\":\"https://standin.az1.qualtrics.com/jfe/form/"
            "SV_000000000000001?Q_DL=%llu&Q_CHL=gl\",\"exceededContactFrequency\":false,\"linkExpiration\":"
            "\"2026-12-31T23:59:59Z\",\"status\":\"Email not sent\",\"firstName\":\"F\",\"lastName\":\"L\","
            "\"externalDataReference\":null,\"email\":\"contact%llu@standin.example\",\"unsubscribed\":"
            "false}",
            i == from ? "" : ",", (unsigned long long)i, (unsigned long long)i, (unsigned long long)i);
    if (end < LINKS)
        qp_buf_append_fmt(out,
                          "],\"nextPage\":\"https://az1.qualtrics.com/API/v3/distributions/%.*s/"
                          "links?surveyId=%.*s&proxyDepth=1&"
                          "proxyInfo=%%7B%%22proxyDepth%%22%%3A1%%7D&skipToken=%s%llu\"}",
                          QP_SLICE_FMT(call->segment[3]), QP_SLICE_FMT(si_param(call, "surveyId")),
                          SKIP_PREFIX, (unsigned long long)end);
    else
        qp_buf_append_str(out, "],\"nextPage\":null}");
    si_reply_result(call);
}

/* ---- event subscriptions ---- */

static const char *text_of(const cJSON *root, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

void si_subscribe(struct si_call *call)
{
    struct qp_slice body = qp_buf_slice(&call->body);
    cJSON *root = cJSON_ParseWithLength(body.at ? body.at : "", body.len);
    struct si_subscription made = {.encrypted =
                                       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "encrypt"))};
    snprintf(made.topics, sizeof(made.topics), "%s", text_of(root, "topics"));
    snprintf(made.url, sizeof(made.url), "%s", text_of(root, "publicationUrl"));
    cJSON_Delete(root);
    if (!made.topics[0] || !made.url[0]) {
        si_reply_error(call, 400, "QVAL_1", "publicationUrl and topics are required.");
        return;
    }
    si_lock(call->world);
    si_next_name(call->world, "SUB_", made.id, sizeof(made.id));
    call->world->subscription[call->world->subscriptions++ % SI_SUBSCRIPTIONS] = made;
    si_unlock(call->world);
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"id\":\"%s\"}", made.id);
    si_reply_result(call);
}

/* A copy of the subscription; `remove`: it is deleted now. Answers 404 itself. */
static bool find_subscription(struct si_call *call, bool remove, struct si_subscription *found)
{
    struct si_world *world = call->world;
    bool there = false;
    si_lock(world);
    for (size_t i = 0; i < SI_SUBSCRIPTIONS && !there; i++) {
        struct si_subscription *one = &world->subscription[i];
        if (one->deleted || !one->id[0] || !qp_slice_is(call->segment[3], qp_slice_str(one->id)))
            continue;
        *found = *one;
        one->deleted = remove;
        there = true;
    }
    si_unlock(world);
    if (there)
        return true;
    char message[96];
    snprintf(message, sizeof(message), "%.*s not found", QP_SLICE_FMT(call->segment[3]));
    si_reply_error(call, 404, "ESSG_2", message);
    return false;
}

void si_subscription(struct si_call *call)
{
    struct si_subscription found;
    if (!find_subscription(call, false, &found))
        return;
    si_result_begin(call);
    qp_buf_append_fmt(&call->out, "{\"id\":\"%s\",\"scope\":\"standin\",\"topics\":\"", found.id);
    qp_buf_append_json(&call->out, qp_slice_str(found.topics));
    qp_buf_append_str(&call->out, "\",\"publicationUrl\":\"");
    qp_buf_append_json(&call->out, qp_slice_str(found.url));
    qp_buf_append_fmt(&call->out, "\",\"encrypted\":%s,\"successfulCalls\":0}",
                      found.encrypted ? "true" : "false");
    si_reply_result(call);
}

void si_unsubscribe(struct si_call *call)
{
    struct si_subscription found;
    if (find_subscription(call, true, &found))
        si_reply_meta(call, 200);
}
