/* fields.h - an ordered list of fields (RFC 9110 section 5), and what is known of each name.
 *
 * Order and repetition are kept. A field whose name stands in field_rules.def carries its id, so that later
 * questions compare a byte and not a name. Slices are borrowed from the arena of the message.
 */
#ifndef QP_HTTP_FIELDS_H
#define QP_HTTP_FIELDS_H

#include "base/arena.h"
#include "base/slice.h"

/* What the proxy does with a field; bits. */
enum qp_field_rule {
    QP_RULE_PASS = 0,
    QP_RULE_HOP = 1 << 0,          /* of this connection only: never forwarded (RFC 9110 section 7.6.1) */
    QP_RULE_CREDENTIAL = 1 << 1,   /* a client's credential: never forwarded, never logged */
    QP_RULE_OURS = 1 << 2,         /* the proxy writes its own: framing, Host */
    QP_RULE_NO_TRAILER = 1 << 3,   /* never honoured or sent in trailers (RFC 9110 section 6.5.1) */
    QP_RULE_SECRET_ANSWER = 1 << 4 /* must not be logged when it comes from an origin (Set-Cookie) */
};

enum qp_field_id {
    QP_FIELD_OTHER = 0,
#define QP_FIELD_ROW(id, name, rules) id,
#include "http/field_rules.def"
#undef QP_FIELD_ROW
    QP_FIELD_ID_COUNT
};

struct qp_field {
    struct qp_slice name;  /* as it came */
    struct qp_slice value; /* without surrounding OWS */
    enum qp_field_id id;
    bool nominated; /* named by a Connection field of the same message: hop-by-hop for this message */
};

enum { QP_FIELDS_FIRST_CAPACITY = 24 }; /* a usual head is served by one */

struct qp_fields {
    struct qp_field *at;
    unsigned count;
    unsigned capacity;
};

/* The id of a name, QP_FIELD_OTHER when it is not in the table. */
enum qp_field_id qp_field_lookup(struct qp_slice name);
unsigned qp_field_rules(enum qp_field_id id);

/* False when the arena's cap is reached. Slices are kept as they are, not copied. */
bool qp_fields_add(struct qp_fields *fields, struct qp_arena *arena, struct qp_slice name,
                   struct qp_slice value);
/* First field with that id, or NULL. Requires id != QP_FIELD_OTHER. */
const struct qp_field *qp_fields_find(const struct qp_fields *fields, enum qp_field_id id);
unsigned qp_fields_count(const struct qp_fields *fields, enum qp_field_id id);
/* By name, for what has no id. */
const struct qp_field *qp_fields_find_name(const struct qp_fields *fields, struct qp_slice name);
/* Takes the next element off a comma-separated list, trimmed, empty ones skipped (RFC 9110 section 5.6.1);
 * false when none is left. *list is consumed and may be QP_SLICE_NONE. */
bool qp_list_next(struct qp_slice *list, struct qp_slice *element);
/* True if some field with that id has `token` as one of its comma-separated elements (case-insensitive, RFC
 * 9110 section 5.6.1). */
bool qp_fields_has_token(const struct qp_fields *fields, enum qp_field_id id, struct qp_slice token);

/* Marks every one of `fields` (the head itself, or the trailers) that a Connection field of the head nominates (any
 * case, several lines, empty elements), but never one that carries QP_RULE_OURS or QP_RULE_CREDENTIAL: a client can
 * name neither the token nor Host away. */
void qp_fields_mark_nominated(const struct qp_fields *head, struct qp_fields *fields);

/* True if the field goes on to the other side: neither hop-by-hop nor nominated nor the proxy's own nor a
 * credential. */
bool qp_field_passes(const struct qp_field *field);
/* The same for a trailer field. */
bool qp_field_passes_as_trailer(const struct qp_field *field);

/* RFC 9110 section 5.6.2 token; 5.5 field-value (no CR, LF, NUL, other controls but HTAB). */
bool qp_is_token(struct qp_slice text);
bool qp_is_field_value(struct qp_slice text);

#endif
