/* pages.h - a snapshot as each format has it. Pure. Private to admin/. */
#ifndef QP_ADMIN_PAGES_H
#define QP_ADMIN_PAGES_H

#include "admin/snapshot.h"

void qp_put_ready_json(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);
void qp_put_status_json(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);
void qp_put_metrics(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);
void qp_put_page(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);

/* The SHA-256 of the page's style, as Content-Security-Policy wants it. */
#define QP_PAGE_STYLE_HASH "sha256-3kHYwaisZRd7QJYX9qswLi8YmWjDaJhf9GujgN7R564="

#endif
