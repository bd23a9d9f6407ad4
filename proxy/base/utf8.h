/* utf8.h - what may be shown of bytes that came from elsewhere (RFC 3629). Pure. */
#ifndef QP_BASE_UTF8_H
#define QP_BASE_UTF8_H

#include "base/slice.h"

/* How many bytes the character at the start has; 0 for none that may be shown: broken, cut or overlong, a surrogate, and what a terminal would obey
 * (C0, DEL, C1). Requires text.len > 0. */
size_t qp_utf8_shown_bytes(struct qp_slice text);

/* Every byte that is not printable ASCII becomes '?'. */
void qp_ascii_only(char *text);

#endif
