/* A message from lines of "name:value" straight into the field list and the framing decision, past the
 * parser.
 *
 * Input: one byte of options (bit 0: response, 1: HTTP/1.0, 2: answers HEAD), one byte of status, then the
 * lines. What must hold: an accepted message has one framing, and no bytes of a field decide it twice.
 */
#include "base/arena.h"
#include "base/check.h"
#include "http/framing.h"
#include "http/uri.h"

static void require_sound(const struct qp_message *message, bool no_body)
{
    const unsigned lengths = qp_fields_count(&message->fields, QP_FIELD_CONTENT_LENGTH);
    const unsigned codings = qp_fields_count(&message->fields, QP_FIELD_TRANSFER_ENCODING);
    qp_require(lengths + codings <= 1);
    qp_require(message->body_length <= INT64_MAX);
    qp_require(message->body_kind != QP_BODY_CHUNKED || (codings == 1 && message->minor == 1));
    qp_require(message->body_kind != QP_BODY_LENGTH || lengths == 1);
    if (message->direction == QP_REQUEST) {
        qp_require(message->body_kind != QP_BODY_UNTIL_CLOSE &&
                   qp_fields_count(&message->fields, QP_FIELD_HOST) <= 1);
        qp_require(message->minor == 0 ||
                   qp_is_authority(qp_fields_find(&message->fields, QP_FIELD_HOST)->value));
    } else if (no_body || message->status < 200 || message->status == 204 || message->status == 304) {
        qp_require(message->body_kind == QP_BODY_NONE);
    }
    if (message->keep_alive)
        qp_require(message->body_kind != QP_BODY_UNTIL_CLOSE &&
                   !qp_fields_has_token(&message->fields, QP_FIELD_CONNECTION, QP_SLICE("close")));
}

static void require_nomination_spares_ours(const struct qp_fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        const struct qp_field *field = &fields->at[i];
        const unsigned rules = qp_field_rules(field->id);
        qp_require(field->id == qp_field_lookup(field->name));
        qp_require(!field->nominated || (rules & (QP_RULE_OURS | QP_RULE_CREDENTIAL)) == 0);
        qp_require(field->nominated == 0 || qp_fields_has_token(fields, QP_FIELD_CONNECTION, field->name));
        qp_require(!qp_field_passes_as_trailer(field) || qp_field_passes(field));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qp_arena arena;
    if (size < 2)
        return 0;
    struct qp_message message = {
        .direction = data[0] & 1 ? QP_RESPONSE : QP_REQUEST,
        .major = 1,
        .minor = data[0] & 2 ? 0 : 1,
        .status = (uint16_t)(100 + data[1] * 2),
        .method = QP_SLICE("GET"),
        .target = QP_SLICE("/"),
    };
    const bool no_body = message.direction == QP_RESPONSE && (data[0] & 4);
    struct qp_slice lines = qp_slice((const char *)data + 2, size - 2);
    qp_arena_init(&arena, 4096, 1 << 24);
    while (lines.at) {
        struct qp_slice value = qp_slice_cut(&lines, '\n');
        const struct qp_slice name = qp_slice_cut(&value, ':');
        if (value.at && !qp_fields_add(&message.fields, &arena, name, qp_slice_trim(value)))
            break;
    }
    if (qp_framing_decide(&message, no_body) == QP_REFUSAL_NONE)
        require_sound(&message, no_body);
    qp_fields_mark_nominated(&message.fields, &message.fields);
    require_nomination_spares_ours(&message.fields);
    qp_arena_deinit(&arena);
    return 0;
}
