/* form.h - application/x-www-form-urlencoded and Basic credentials, as the token endpoint reads them. Pure. */
#ifndef STANDIN_FORM_H
#define STANDIN_FORM_H

#include "base/slice.h"

enum { SI_FORM_VALUE = 512 };

/* '+' and %XX decoded into `out`, NUL behind; false when it is malformed, holds a NUL or does not fit. */
bool si_form_decode(struct qp_slice text, char out[SI_FORM_VALUE]);
/* How often `name` stands in the pairs; the first value goes to `out`, decoded. */
unsigned si_form_find(struct qp_slice pairs, const char *name, char out[SI_FORM_VALUE]);
/* "Basic <base64 of id:secret>", both parts form-decoded (RFC 6749 section 2.3.1). */
bool si_form_basic(struct qp_slice value, char id[SI_FORM_VALUE], char secret[SI_FORM_VALUE]);

#endif
