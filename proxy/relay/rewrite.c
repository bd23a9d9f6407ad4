#include "relay/rewrite.h"

#include "relay/via.h"

enum qp_body_kind qp_rewrite_body_kind(const struct qp_message *message)
{
    static const struct qp_slice with_body[] = {{"POST", 4}, {"PUT", 3}, {"PATCH", 5}};
    if (message->body_kind != QP_BODY_NONE)
        return message->body_kind;
    for (unsigned i = 0; i < sizeof with_body / sizeof with_body[0]; i++)
        if (qp_slice_is(message->method, with_body[i]))
            return QP_BODY_LENGTH;
    return QP_BODY_NONE;
}

bool qp_rewrite_max_forwards(const struct qp_message *message, uint64_t *hops)
{
    const struct qp_field *field = qp_fields_find(&message->fields, QP_FIELD_MAX_FORWARDS);
    return field && qp_slice_is(message->method, QP_SLICE("OPTIONS")) &&
           qp_fields_count(&message->fields, QP_FIELD_MAX_FORWARDS) == 1 &&
           qp_slice_to_u64(field->value, hops);
}

static void put_max_forwards(uint64_t hops, struct qp_buf *head)
{
    qp_buf_append(head, QP_SLICE("Max-Forwards: "));
    qp_buf_append_u64(head, hops);
    qp_buf_append(head, QP_SLICE("\r\n"));
}

static bool goes_on(const struct qp_rewrite *rewrite, const struct qp_field *field, bool counts_hops)
{
    if (rewrite->plain_answer && field->id == QP_FIELD_ACCEPT_ENCODING)
        return false;
    if (counts_hops && field->id == QP_FIELD_MAX_FORWARDS)
        return false;
    return qp_field_passes(field);
}

void qp_rewrite_request(const struct qp_rewrite *rewrite, struct qp_buf *head)
{
    const struct qp_message *message = rewrite->message;
    uint64_t hops = 0;
    const bool counts_hops = qp_rewrite_max_forwards(message, &hops);
    qp_write_request_line(head, message->method, rewrite->target);
    qp_write_field(head, QP_SLICE("Host"), rewrite->authority);
    for (unsigned i = 0; i < message->fields.count; i++)
        if (goes_on(rewrite, &message->fields.at[i], counts_hops))
            qp_write_field(head, message->fields.at[i].name, message->fields.at[i].value);
    if (counts_hops && hops > 0)
        put_max_forwards(hops - 1, head);
    if (rewrite->plain_answer)
        qp_write_field(head, QP_SLICE("Accept-Encoding"), QP_SLICE("identity"));
    /* RFC 9110 section 10.1.4: TE is for this hop; we can carry trailers if the client can. */
    if (qp_fields_has_token(&message->fields, QP_FIELD_TE, QP_SLICE("trailers")))
        qp_buf_append(head, QP_SLICE("TE: trailers\r\nConnection: TE\r\n"));
    if (rewrite->expect_continue)
        qp_write_field(head, QP_SLICE("Expect"), QP_SLICE("100-continue"));
    qp_via_write(message->major, message->minor, rewrite->via, rewrite->instance, head);
    qp_write_framing(head, qp_rewrite_body_kind(message), message->body_length);
    if (rewrite->static_token) {
        qp_write_field(head, QP_SLICE("X-API-TOKEN"), qp_secret_reveal(rewrite->token));
    } else {
        qp_buf_append(head, QP_SLICE("Authorization: Bearer "));
        qp_buf_append(head, qp_secret_reveal(rewrite->token));
        qp_buf_append(head, QP_SLICE("\r\n"));
    }
    qp_write_head_end(head);
}

bool qp_rewrite_is_plain_json(const struct qp_message *answer)
{
    const struct qp_field *coding = qp_fields_find(&answer->fields, QP_FIELD_CONTENT_ENCODING);
    if (coding && !qp_slice_is_nocase(coding->value, QP_SLICE("identity")))
        return false;
    const struct qp_field *type = qp_fields_find(&answer->fields, QP_FIELD_CONTENT_TYPE);
    if (!type)
        return false;
    struct qp_slice value = type->value;
    struct qp_slice media = qp_slice_trim(qp_slice_cut(&value, ';'));
    return qp_slice_is_nocase(media, QP_SLICE("application/json")) ||
           qp_slice_ends_nocase(media, QP_SLICE("+json"));
}
