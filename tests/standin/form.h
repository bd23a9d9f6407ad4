/* form.h - application/x-www-form-urlencoded and Basic credentials, as the OAuth endpoints read and write them. Pure. */
#ifndef STANDIN_FORM_H
#define STANDIN_FORM_H

#include "base/buf.h"

#define SI_DEFAULT_SCOPE "manage:all"
enum { SI_FORM_VALUE = 1024 };

/* '+' and %XX decoded into `out`, NUL behind; false when it is malformed, holds a NUL or does not fit. */
bool si_form_decode(struct qp_slice text, char out[SI_FORM_VALUE]);
bool si_form_is_unreserved(char c); /* RFC 3986 section 2.3 */
/* All but the unreserved characters as %XX. */
void si_form_encode(struct qp_buf *out, struct qp_slice text);
/* Whether each word of a scope stands in the other (RFC 6749 section 3.3); an empty one does. */
bool si_scope_is_within(const char *scope, const char *other);
/* How often `name` stands in the pairs; the first value goes to `out`, decoded. */
unsigned si_form_find(struct qp_slice pairs, const char *name, char out[SI_FORM_VALUE]);
/* "Basic <base64 of id:secret>", both parts form-decoded (RFC 6749 section 2.3.1). */
bool si_form_basic(struct qp_slice value, char id[SI_FORM_VALUE], char secret[SI_FORM_VALUE]);

#endif
