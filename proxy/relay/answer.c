#include "relay/relayed.h"
#include "relay/rewrite.h"

/* JSON up to this is rewritten as a whole and keeps its Content-Length; longer or chunked JSON is rewritten as it streams by. */
enum { COLLECTED_BYTES = 64 * 1024 };

static void respond(struct relayed *r, uint64_t length)
{
    const struct qp_message *head = r->attempt.head;
    struct qp_buf *via = &r->relay->scratch;
    qp_buf_clear(via);
    qp_rewrite_via(head->major, head->minor, qp_slice_str(r->relay->opts.via), via);
    struct qp_answer answer = {
        .status = head->status,
        .reason = head->reason,
        .fields = &head->fields,
        .extra = qp_buf_slice(via),
        .length = length,
    };
    qp_request_respond(r->request, &answer);
}

/* What the answer's Content-Length is to say. A HEAD answer and a 304 repeat what the origin said (RFC 9110 section 8.6). */
static uint64_t announced_length(const struct qp_message *head)
{
    const struct qp_field *field = qp_fields_find(&head->fields, QP_FIELD_CONTENT_LENGTH);
    uint64_t length;
    if (head->body_kind == QP_BODY_LENGTH)
        return head->body_length;
    if (head->body_kind == QP_BODY_NONE && field && qp_slice_to_u64(field->value, &length))
        return length;
    return QP_LENGTH_UNKNOWN;
}

/* A part of a body (206) stays as it is: its Content-Range counts the bytes that the origin has. */
static bool may_hold_links(const struct relayed *r)
{
    const struct qp_message *head = r->attempt.head;
    return r->account->rewrite_links && head->body_kind != QP_BODY_NONE && head->status != 206 &&
           qp_rewrite_is_plain_json(head) && qp_request_authority(r->request).len > 0;
}

static enum answer_mode choose_mode(const struct relayed *r)
{
    const struct qp_message *head = r->attempt.head;
    if (!may_hold_links(r))
        return ANSWER_AS_IT_COMES;
    return head->body_kind == QP_BODY_LENGTH && head->body_length <= COLLECTED_BYTES ? ANSWER_COLLECTED
                                                                                     : ANSWER_LINKS_STREAMED;
}

/* "http://127.0.0.1:8080/prefix": the address that the client used. */
static void begin_links(struct relayed *r)
{
    struct qp_buf *base = &r->relay->scratch;
    qp_buf_clear(base);
    qp_buf_append_str(base, qp_request_is_tls(r->request) ? "https://" : "http://");
    qp_buf_append(base, qp_request_authority(r->request));
    qp_buf_append(base, qp_slice_str(r->account->path_prefix ? r->account->path_prefix : ""));
    r->rules = (struct qp_links_rules){
        .origin_host = qp_slice_str(r->account->origin_host),
        .origin_port = r->account->origin_port,
        .base = qp_arena_copy(qp_request_arena(r->request), qp_buf_slice(base)),
    };
    qp_links_begin(&r->links, &r->rules);
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
        begin_links(r);
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
        begin_links(r);
    if (r->mode != ANSWER_COLLECTED)
        respond(r, r->mode == ANSWER_LINKS_STREAMED ? QP_LENGTH_UNKNOWN : announced_length(r->attempt.head));
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
}

void qp_answer_give_held(struct relayed *r)
{
    r->mode = ANSWER_AS_IT_COMES;
    respond(r, announced_length(r->attempt.head));
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
