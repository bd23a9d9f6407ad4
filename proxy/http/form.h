/* form.h - application/x-www-form-urlencoded (RFC 6749 appendix B, the URL standard section 5), as queries and bodies have it. Pure. */
#ifndef QP_HTTP_FORM_H
#define QP_HTTP_FORM_H

#include "base/buf.h"

/* '+' and %XX decoded into `out`, NUL behind. False, and "" there, when it is malformed, holds a NUL, or does not fit into `size` bytes. */
bool qp_form_decode(struct qp_slice text, char *out, size_t size);
/* How often the parameter stands in the pairs, its name encoded or not; the first value goes to `out`, decoded, which is "" if there is none. A value
 * that cannot be decoded counts as two: no caller takes a parameter that stands twice. Requires a name of less than 64 bytes. */
unsigned qp_form_find(struct qp_slice pairs, const char *name, char *out, size_t size);

/* At most three bytes for one. */
void qp_form_append_encoded(struct qp_buf *out, struct qp_slice text);
/* "name=value", with '&' before it unless the buffer is empty or ends in '?'. */
void qp_form_append_pair(struct qp_buf *out, const char *name, struct qp_slice value);

#endif
