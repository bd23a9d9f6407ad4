/* text.h - texts into JSON, HTML and Prometheus' format. Pure. Private to admin/.
 *
 * Whatever comes in, what goes out is valid UTF-8 of its format: broken UTF-8, and controls (C1 too) where the format cannot say them, become
 * U+FFFD. Messages of a token endpoint come this way.
 */
#ifndef QP_ADMIN_TEXT_H
#define QP_ADMIN_TEXT_H

#include "base/buf.h"

/* As an element's text or a quoted attribute. */
void qp_put_html(struct qp_buf *out, const char *text);
/* As the inside of a label's quotes. */
void qp_put_label(struct qp_buf *out, const char *text);

/* A JSON document, member by member; the commas come by themselves. name NULL: a member of a list. */
void qp_json_open(struct qp_buf *out, const char *name, char bracket);
void qp_json_close(struct qp_buf *out, char bracket);
void qp_json_text(struct qp_buf *out, const char *name, const char *text); /* NULL: null */
void qp_json_bool(struct qp_buf *out, const char *name, bool value);
void qp_json_u64(struct qp_buf *out, const char *name, uint64_t value);
void qp_json_seconds(struct qp_buf *out, const char *name, int64_t seconds); /* negative: null */

#endif
