#include "relay/via.h"

void qp_via_write(unsigned major, unsigned minor, struct qp_slice name, struct qp_slice instance,
                  struct qp_buf *line)
{
    qp_buf_append(line, QP_SLICE("Via: "));
    qp_buf_append_u64(line, major);
    qp_buf_append_char(line, '.');
    qp_buf_append_u64(line, minor);
    qp_buf_append_char(line, ' ');
    qp_buf_append(line, name);
    if (instance.len > 0) {
        qp_buf_append(line, QP_SLICE(" ("));
        qp_buf_append(line, instance);
        qp_buf_append_char(line, ')');
    }
    qp_buf_append(line, QP_SLICE("\r\n"));
}

/* Takes the next element off a list whose elements may end in a comment, which may hold commas, quoted pairs and comments (RFC 9110 section
 * 5.6.5). False when none is left. */
static bool next_element(struct qp_slice *list, struct qp_slice *element)
{
    unsigned depth = 0;
    size_t at = 0;
    if (list->len == 0)
        return false;
    for (; at < list->len && (depth > 0 || list->at[at] != ','); at++) {
        if (list->at[at] == '(')
            depth++;
        else if (list->at[at] == ')' && depth > 0)
            depth--;
        else if (list->at[at] == '\\' && depth > 0 && at + 1 < list->len)
            at++;
    }
    *element = qp_slice_trim(qp_slice(list->at, at));
    at += at < list->len; /* the comma */
    *list = qp_slice(list->at + at, list->len - at);
    return true;
}

/* Takes the text up to the next blank or comment off. */
static struct qp_slice take_word(struct qp_slice *text)
{
    size_t len = 0;
    while (len < text->len && text->at[len] != ' ' && text->at[len] != '\t' && text->at[len] != '(')
        len++;
    struct qp_slice word = qp_slice(text->at, len);
    *text = qp_slice_trim(qp_slice(text->at + len, text->len - len));
    return word;
}

static bool is_comment_of(struct qp_slice text, struct qp_slice instance)
{
    return instance.len > 0 && text.len == instance.len + 2 && text.at[0] == '(' &&
           text.at[text.len - 1] == ')' && memcmp(text.at + 1, instance.at, instance.len) == 0;
}

/* How much one Via field counts for: an element of ours as many as make a loop, one of our name as one. */
static unsigned weigh(struct qp_slice list, struct qp_slice name, struct qp_slice instance)
{
    struct qp_slice element;
    unsigned weight = 0;
    while (next_element(&list, &element)) {
        take_word(&element); /* the protocol */
        if (!qp_slice_is_nocase(take_word(&element), name))
            continue;
        weight += is_comment_of(element, instance) ? QP_VIA_NAMES_MOST : 1;
    }
    return weight;
}

bool qp_via_is_loop(const struct qp_fields *fields, struct qp_slice name, struct qp_slice instance)
{
    unsigned weight = 0;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->at[i].id == QP_FIELD_VIA)
            weight += weigh(fields->at[i].value, name, instance);
    return weight >= QP_VIA_NAMES_MOST;
}
