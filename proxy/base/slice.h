/* slice.h - a borrowed run of bytes: pointer and length, passed by value.
 *
 * A slice owns nothing and ends nothing with a NUL. at == NULL means "not set", which is not the same as empty.
 * Who hands out a slice says in its header how long it is valid.
 */
#ifndef QP_BASE_SLICE_H
#define QP_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct qp_slice {
    const char *at;
    size_t len;
};

/* A slice over a string literal. */
#define QP_SLICE(literal) ((struct qp_slice){.at = "" literal, .len = sizeof(literal) - 1})
#define QP_SLICE_NONE     ((struct qp_slice){.at = NULL, .len = 0})

/* For printf's %.*s. */
#define QP_SLICE_FMT(slice) (int)(slice).len, ((slice).at ? (slice).at : "")

static inline struct qp_slice qp_slice(const char *at, size_t len)
{
    return (struct qp_slice){.at = at, .len = len};
}

/* Of a NUL-terminated string; NULL gives QP_SLICE_NONE. */
static inline struct qp_slice qp_slice_str(const char *text)
{
    return (struct qp_slice){.at = text, .len = text ? strlen(text) : 0};
}

static inline bool qp_slice_is(struct qp_slice a, struct qp_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* ASCII case-insensitive, as RFC 9110 section 5.1 wants for field names. */
bool qp_slice_is_nocase(struct qp_slice a, struct qp_slice b);
bool qp_slice_starts(struct qp_slice text, struct qp_slice prefix);
bool qp_slice_ends_nocase(struct qp_slice text, struct qp_slice suffix);

/* Without leading and trailing SP and HTAB (RFC 9110 OWS). */
struct qp_slice qp_slice_trim(struct qp_slice text);

/* Cuts the text at the first `separator`: gives the part before it and leaves the part behind it in *text; gives the
 * whole and leaves QP_SLICE_NONE when there is none. Requires text->at != NULL. */
struct qp_slice qp_slice_cut(struct qp_slice *text, char separator);

/* First occurrence, or NULL. */
const char *qp_slice_find(struct qp_slice text, struct qp_slice what);

/* One or more ASCII digits and nothing else, no overflow; the value is written only on true. */
bool qp_slice_to_u64(struct qp_slice text, uint64_t *value);

#endif
