/* write.h - messages to bytes. Pure: appends to a buffer.
 *
 * Framing fields are always generated here from what was decided, never copied (RFC 9112 section 6.3). Names
 * and values are the caller's to have checked (qp_is_token, qp_is_field_value); debug builds check again.
 */
#ifndef QP_HTTP_WRITE_H
#define QP_HTTP_WRITE_H

#include "base/buf.h"
#include "http/message.h"

/* "GET /path HTTP/1.1\r\n" */
void qp_write_request_line(struct qp_buf *out, struct qp_slice method, struct qp_slice target);
/* "HTTP/1.1 200 OK\r\n"; an empty reason is written as such (the space stays). */
void qp_write_status_line(struct qp_buf *out, unsigned status, struct qp_slice reason);
void qp_write_field(struct qp_buf *out, struct qp_slice name, struct qp_slice value);
/* Content-Length or Transfer-Encoding for the kind; nothing for NONE and UNTIL_CLOSE. */
void qp_write_framing(struct qp_buf *out, enum qp_body_kind kind, uint64_t length);
/* The empty line. */
void qp_write_head_end(struct qp_buf *out);

enum { QP_CHUNK_HEAD_BYTES = 18 };
/* "1f4\r\n" into `out`, gives its length. The data and "\r\n" follow. */
size_t qp_write_chunk_head(char out[QP_CHUNK_HEAD_BYTES], size_t chunk_bytes);
/* "0\r\n", those trailers that qp_field_passes_as_trailer(), "\r\n". trailers may be NULL. */
void qp_write_last_chunk(struct qp_buf *out, const struct qp_fields *trailers);

/* The standard reason phrase, empty for an unknown status (RFC 9110 section 15). */
struct qp_slice qp_status_reason(unsigned status);

#endif
