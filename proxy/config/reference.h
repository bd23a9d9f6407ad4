/* reference.h - secrets that stand elsewhere: env:NAME, file:PATH, cred:NAME. Control thread. Private to
 * config. */
#ifndef QP_CONFIG_REFERENCE_H
#define QP_CONFIG_REFERENCE_H

#include "base/secret.h"

enum { QP_REFERENCE_WHY_BYTES = 512 };

bool qp_reference_is(const char *text);

/* What it refers to, a newline at the end removed. NULL with the reason and the remedy in `why`, which holds
 * QP_REFERENCE_WHY_BYTES. Requires qp_reference_is(). */
struct qp_secret *qp_reference_read(const char *reference, char *why);

/* A secret of these bytes, if a credential can look like that: printable ASCII, not empty (RFC 6749 appendix
 * A). The rest would break header fields and forms. Otherwise as above. */
struct qp_secret *qp_reference_check(struct qp_slice bytes, const char *what, char *why);

/* True for an environment variable that is set and not empty, or was until it was forgotten. */
bool qp_reference_environment_has(const char *name);

#endif
