/* envelope.h - the body of an error that is our own, whichever handler gives it. Pure. */
#ifndef QP_SERVER_ENVELOPE_H
#define QP_SERVER_ENVELOPE_H

#include "base/buf.h"

/* Qualtrics' own form, so that client libraries can read it:
 * {"meta":{"httpStatus":"503 - Service Unavailable","requestId":"qproxy-12-3","error":{"errorMessage":…,"errorCode":…}}}.
 * detail: one more sentence or NULL. */
void qp_envelope_error(struct qp_buf *body, unsigned status, const char *code, const char *text,
                       const char *detail, uint64_t conn, uint64_t request);

#endif
