#include "http/framing.h"

#include "http/uri.h"

/* Codings that exist but are not done here (RFC 9112 section 7.2): an honest 501. Everything else is a
 * malformed field. */
static const struct qp_slice unsupported_codings[] = {
    QP_SLICE("gzip"), QP_SLICE("x-gzip"), QP_SLICE("deflate"), QP_SLICE("compress"), QP_SLICE("x-compress"),
};

static bool is_unsupported_coding(struct qp_slice coding)
{
    for (size_t i = 0; i < sizeof(unsupported_codings) / sizeof(unsupported_codings[0]); i++)
        if (qp_slice_is_nocase(coding, unsupported_codings[i]))
            return true;
    return false;
}

/* What a whole Transfer-Encoding list amounts to, over all its lines. */
struct codings {
    unsigned chunked;
    unsigned unsupported;
    unsigned unknown;
    bool chunked_is_last;
};

static void count_codings(struct qp_slice list, struct codings *codings)
{
    struct qp_slice coding;
    while (qp_list_next(&list, &coding)) {
        codings->chunked_is_last = qp_slice_is_nocase(coding, QP_SLICE("chunked"));
        if (codings->chunked_is_last)
            codings->chunked++;
        else if (is_unsupported_coding(coding))
            codings->unsupported++;
        else
            codings->unknown++;
    }
}

/* RFC 9112 section 6.1: `chunked`, once, as the last coding; and since nothing else is decoded here, alone.
 * An empty element is harmless to us, but not every reader of a list skips it: the field has to be the very
 * word. */
static enum qp_refusal_id check_coding(const struct qp_message *message)
{
    struct codings codings = {0};
    const struct qp_field *field = qp_fields_find(&message->fields, QP_FIELD_TRANSFER_ENCODING);
    if (message->minor == 0)
        return QP_REFUSAL_CODING_IN_1_0;
    for (unsigned i = 0; i < message->fields.count; i++)
        if (message->fields.at[i].id == QP_FIELD_TRANSFER_ENCODING)
            count_codings(message->fields.at[i].value, &codings);
    if (qp_slice_is_nocase(field->value, QP_SLICE("chunked")) &&
        qp_fields_count(&message->fields, QP_FIELD_TRANSFER_ENCODING) == 1)
        return QP_REFUSAL_NONE;
    const bool misplaced = codings.chunked > 1 || (codings.chunked == 1 && !codings.chunked_is_last);
    return codings.unsupported > 0 && codings.unknown == 0 && !misplaced ? QP_REFUSAL_CODING_UNSUPPORTED
                                                                         : QP_REFUSAL_CODING;
}

static enum qp_refusal_id frame_by_fields(struct qp_message *message)
{
    const struct qp_field *length = qp_fields_find(&message->fields, QP_FIELD_CONTENT_LENGTH);
    const struct qp_field *coding = qp_fields_find(&message->fields, QP_FIELD_TRANSFER_ENCODING);
    if (length && coding)
        return QP_REFUSAL_LENGTH_AND_CODING;
    if (coding) {
        message->body_kind = QP_BODY_CHUNKED;
        return check_coding(message);
    }
    if (!length) {
        message->body_kind = message->direction == QP_REQUEST ? QP_BODY_NONE : QP_BODY_UNTIL_CLOSE;
        return QP_REFUSAL_NONE;
    }
    /* RFC 9110 section 8.6 would let equal values pass as one; whoever doubles a length is not worth it. */
    if (qp_fields_count(&message->fields, QP_FIELD_CONTENT_LENGTH) > 1 ||
        memchr(length->value.at, ',', length->value.len))
        return QP_REFUSAL_LENGTH_REPEATED;
    message->body_kind = QP_BODY_LENGTH;
    if (!qp_slice_to_u64(length->value, &message->body_length) || message->body_length > INT64_MAX)
        return QP_REFUSAL_LENGTH;
    return QP_REFUSAL_NONE;
}

/* RFC 9112 section 6.3, rule 1. The fields were checked all the same: a doubled length is as wrong in an
 * answer to HEAD. */
static bool never_has_body(const struct qp_message *message, bool no_body)
{
    return message->direction == QP_RESPONSE &&
           (no_body || message->status < 200 || message->status == 204 || message->status == 304);
}

/* RFC 9112 section 3.2. HTTP/1.0 may leave Host out, but what is there must be sound there too. */
static enum qp_refusal_id check_host(const struct qp_message *message)
{
    const struct qp_field *host = qp_fields_find(&message->fields, QP_FIELD_HOST);
    if (!host)
        return message->minor == 0 ? QP_REFUSAL_NONE : QP_REFUSAL_HOST_MISSING;
    if (qp_fields_count(&message->fields, QP_FIELD_HOST) > 1)
        return QP_REFUSAL_HOST_REPEATED;
    return qp_is_authority(host->value) ? QP_REFUSAL_NONE : QP_REFUSAL_HOST_INVALID;
}

/* RFC 9110 section 10.1.1: 100-continue from an HTTP/1.0 client is ignored. */
static enum qp_refusal_id check_expect(struct qp_message *message)
{
    struct qp_slice element;
    for (unsigned i = 0; i < message->fields.count; i++) {
        if (message->fields.at[i].id != QP_FIELD_EXPECT)
            continue;
        struct qp_slice list = message->fields.at[i].value;
        while (qp_list_next(&list, &element)) {
            if (!qp_slice_is_nocase(element, QP_SLICE("100-continue")))
                return QP_REFUSAL_EXPECT;
            message->expect_continue = message->minor > 0;
        }
    }
    return QP_REFUSAL_NONE;
}

static enum qp_refusal_id check_request(struct qp_message *message)
{
    struct qp_target ignored;
    if (!qp_target_parse(message->method, message->target, &ignored))
        return QP_REFUSAL_TARGET;
    const enum qp_refusal_id host = check_host(message);
    return host != QP_REFUSAL_NONE ? host : check_expect(message);
}

/* RFC 9112 section 9.3. */
static bool stays_open(const struct qp_message *message)
{
    if (message->body_kind == QP_BODY_UNTIL_CLOSE ||
        qp_fields_has_token(&message->fields, QP_FIELD_CONNECTION, QP_SLICE("close")))
        return false;
    return message->minor > 0 ||
           qp_fields_has_token(&message->fields, QP_FIELD_CONNECTION, QP_SLICE("keep-alive"));
}

enum qp_refusal_id qp_framing_check_trailers(const struct qp_fields *trailers)
{
    for (unsigned i = 0; i < trailers->count; i++)
        if (qp_field_rules(trailers->at[i].id) & (QP_RULE_OURS | QP_RULE_HOP | QP_RULE_CREDENTIAL))
            return QP_REFUSAL_TRAILER;
    return QP_REFUSAL_NONE;
}

enum qp_refusal_id qp_framing_decide(struct qp_message *message, bool no_body)
{
    message->body_length = 0;
    message->expect_continue = false;
    enum qp_refusal_id refusal = frame_by_fields(message);
    if (refusal == QP_REFUSAL_NONE && message->direction == QP_REQUEST)
        refusal = check_request(message);
    if (refusal != QP_REFUSAL_NONE)
        return refusal;
    if (never_has_body(message, no_body)) {
        message->body_kind = QP_BODY_NONE;
        message->body_length = 0;
    }
    message->keep_alive = stays_open(message);
    return QP_REFUSAL_NONE;
}
