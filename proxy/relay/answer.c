#include "relay/location.h"
#include "relay/relayed.h"
#include "relay/rewrite.h"
#include "relay/via.h"

/* JSON up to this is rewritten as a whole and keeps its Content-Length; longer or chunked JSON is rewritten as it streams by. */
enum { COLLECTED_BYTES = 64 * 1024 };

/* "http://127.0.0.1:8080/prefix": the address that the client used takes the place of the origin's. */
static const struct qp_links_rules *rules_of(struct relayed *r)
{
    struct qp_buf *base = &r->relay->scratch;
    if (r->rules.base.at)
        return &r->rules;
    qp_buf_clear(base);
    qp_buf_append_str(base, qp_request_is_tls(r->request) ? "https://" : "http://");
    qp_buf_append(base, qp_request_authority(r->request));
    qp_buf_append(base, qp_slice_str(r->account->path_prefix ? r->account->path_prefix : ""));
    r->rules = (struct qp_links_rules){
        .origin_host = qp_slice_str(r->account->origin_host),
        .origin_port = r->account->origin_port,
        .base = qp_arena_copy(qp_request_arena(r->request), qp_buf_slice(base)),
    };
    return &r->rules;
}

static bool may_lead_back(const struct relayed *r)
{
    return r->account->rewrite_links && qp_request_authority(r->request).len > 0;
}

/* ---- head ---- */

static bool is_location(const struct qp_field *field)
{
    return field->id == QP_FIELD_LOCATION ||
           (field->id == QP_FIELD_OTHER && qp_slice_is_nocase(field->name, QP_SLICE("Content-Location")));
}

/* The value that takes the field's place; unset: it stays. Its memory is the request's. */
static struct qp_slice led_back(struct relayed *r, const struct qp_field *field)
{
    const struct qp_links_rules *rules = rules_of(r);
    struct qp_buf *value = &r->relay->scratch;
    qp_buf_clear(value);
    if (!qp_location_lead_back(rules, qp_slice_str(r->account->path_prefix), field->value, value))
        return QP_SLICE_NONE;
    return qp_arena_copy(qp_request_arena(r->request), qp_buf_slice(value));
}

static bool replace(struct relayed *r, struct qp_fields *fields, unsigned index, struct qp_slice value)
{
    const size_t bytes = fields->count * sizeof *fields->at;
    struct qp_field *copy = qp_arena_take(qp_request_arena(r->request), bytes);
    if (!copy)
        return false;
    memcpy(copy, fields->at, bytes);
    copy[index].value = value;
    fields->at = copy;
    QP_COUNT(&r->relay->counters, locations_rewritten);
    return true;
}

/* The response's fields, as they came but for where they lead. `own` is where a changed list lies. */
static const struct qp_fields *fields_to_client(struct relayed *r, struct qp_fields *own)
{
    const struct qp_fields *fields = &r->attempt.head->fields;
    for (unsigned i = 0; i < fields->count; i++) {
        if (!is_location(&fields->at[i]) || !may_lead_back(r))
            continue;
        struct qp_slice value = led_back(r, &fields->at[i]);
        *own = *fields;
        if (value.at && replace(r, own, i, value))
            fields = own;
    }
    return fields;
}

static void respond(struct relayed *r, uint64_t length)
{
    const struct qp_message *head = r->attempt.head;
    struct qp_fields own;
    const struct qp_fields *fields = fields_to_client(r, &own);
    struct qp_buf *via = &r->relay->scratch;
    qp_buf_clear(via);
    qp_via_write(head->major, head->minor, qp_slice_str(r->relay->opts.via), QP_SLICE_NONE, via);
    struct qp_answer answer = {
        .status = head->status,
        .reason = head->reason,
        .fields = fields,
        .extra = qp_buf_slice(via),
        .length = length,
    };
    qp_request_respond(r->request, &answer);
}

/* A part of a body (206) stays as it is: its Content-Range counts the bytes that the origin has. */
static bool is_rewritable(const struct relayed *r)
{
    const struct qp_message *head = r->attempt.head;
    return may_lead_back(r) && head->status != 206 && qp_rewrite_is_plain_json(head);
}

/* A 304 need not say what type it is of. */
static bool may_be_rewritable(const struct relayed *r)
{
    const struct qp_message *head = r->attempt.head;
    bool is_untold = head->status == 304 && !qp_fields_find(&head->fields, QP_FIELD_CONTENT_TYPE);
    return is_rewritable(r) || (is_untold && may_lead_back(r));
}

/* What the answer's Content-Length is to say. A HEAD answer and a 304 repeat what the origin said (RFC 9110 section 8.6), unless a GET would have
 * been answered with another length: where its links are led back. */
static uint64_t announced_length(const struct relayed *r)
{
    const struct qp_message *head = r->attempt.head;
    const struct qp_field *field = qp_fields_find(&head->fields, QP_FIELD_CONTENT_LENGTH);
    uint64_t length;
    if (head->body_kind == QP_BODY_LENGTH)
        return head->body_length;
    if (head->body_kind != QP_BODY_NONE || !field || may_be_rewritable(r))
        return QP_LENGTH_UNKNOWN;
    return qp_slice_to_u64(field->value, &length) ? length : QP_LENGTH_UNKNOWN;
}

/* ---- body ---- */

static enum answer_mode choose_mode(const struct relayed *r)
{
    const struct qp_message *head = r->attempt.head;
    if (head->body_kind == QP_BODY_NONE || !is_rewritable(r))
        return ANSWER_AS_IT_COMES;
    return head->body_kind == QP_BODY_LENGTH && head->body_length <= COLLECTED_BYTES ? ANSWER_COLLECTED
                                                                                     : ANSWER_LINKS_STREAMED;
}

static void to_client(void *context, struct qp_slice bytes)
{
    qp_request_send(((struct relayed *)context)->request, bytes);
}
static void to_buffer(void *context, struct qp_slice bytes)
{
    qp_buf_append(context, bytes);
}

/* The collected JSON is complete: it goes out with its links led back and its right length. */
static void give_collected(struct relayed *r, struct qp_slice whole)
{
    struct qp_buf rewritten = {0};
    if (qp_links_may_occur(whole)) {
        qp_links_begin(&r->links, rules_of(r));
        qp_links_feed(&r->links, whole, to_buffer, &rewritten);
        qp_links_end(&r->links, to_buffer, &rewritten);
        whole = qp_buf_slice(&rewritten);
    }
    respond(r, whole.len);
    qp_request_send(r->request, whole);
    qp_buf_deinit(&rewritten);
    r->mode = ANSWER_AS_IT_COMES;
}

static void collect(struct relayed *r, struct qp_slice piece)
{
    uint64_t length = r->attempt.head->body_length;
    if (piece.len == length) {
        give_collected(r, piece); /* the usual case: no copy */
        return;
    }
    qp_buf_append(&r->body, piece);
    if (qp_buf_len(&r->body) == length)
        give_collected(r, qp_buf_slice(&r->body));
}

void qp_answer_begin(struct relayed *r)
{
    r->mode = choose_mode(r);
    qp_buf_clear(&r->body);
    if (r->mode == ANSWER_LINKS_STREAMED)
        qp_links_begin(&r->links, rules_of(r));
    if (r->mode != ANSWER_COLLECTED)
        respond(r, r->mode == ANSWER_LINKS_STREAMED ? QP_LENGTH_UNKNOWN : announced_length(r));
}

void qp_answer_piece(struct relayed *r, struct qp_slice piece)
{
    switch (r->mode) {
    case ANSWER_COLLECTED:
        collect(r, piece);
        break;
    case ANSWER_LINKS_STREAMED:
        qp_links_feed(&r->links, piece, to_client, r);
        break;
    case ANSWER_AS_IT_COMES:
        qp_request_send(r->request, piece);
        break;
    }
    if (qp_request_is_full(r->request))
        qp_exchange_pause(r->attempt.exchange);
    qp_answer_note_turn(r);
}

void qp_answer_note_turn(struct relayed *r)
{
    const uint64_t now_ms = qp_loop_now_ms(r->relay->loop);
    if (r->attempt.request_finished && !qp_request_is_full(r->request))
        qp_rate_run(&r->attempt.answer_rate, now_ms);
    else
        qp_rate_rest(&r->attempt.answer_rate, now_ms);
    qp_upload_note_turn(r);
}

void qp_answer_give_held(struct relayed *r)
{
    r->mode = ANSWER_AS_IT_COMES;
    respond(r, announced_length(r));
    if (qp_buf_len(&r->body))
        qp_request_send(r->request, qp_buf_slice(&r->body));
    qp_buf_clear(&r->body);
}

void qp_answer_end(struct relayed *r)
{
    if (r->mode == ANSWER_LINKS_STREAMED)
        qp_links_end(&r->links, to_client, r);
    if (r->mode == ANSWER_COLLECTED) /* an empty body: no piece ever came */
        give_collected(r, QP_SLICE(""));
}

void qp_answer_cut(struct relayed *r)
{
    if (r->mode != ANSWER_COLLECTED)
        return;
    respond(r, r->attempt.head->body_length);
    if (qp_buf_len(&r->body))
        qp_request_send(r->request, qp_buf_slice(&r->body));
}

/* RFC 9110 section 6.5.1: who has not said that it takes trailers may drop them or mistake them. */
const struct qp_fields *qp_answer_trailers(const struct relayed *r)
{
    const struct qp_fields *asked = &qp_request_message(r->request)->fields;
    return qp_fields_has_token(asked, QP_FIELD_TE, QP_SLICE("trailers")) ? &r->attempt.head->trailers : NULL;
}
