/* pages.h - a snapshot as each format has it. Pure. Private to admin/. */
#ifndef QP_ADMIN_PAGES_H
#define QP_ADMIN_PAGES_H

#include "admin/session.h"
#include "admin/snapshot.h"

#define QP_JSON_TYPE "application/json"
#define QP_PAGE_TYPE "text/html; charset=utf-8"

void qp_put_ready_json(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);
void qp_put_status_json(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);
/* Members of the object that is open: brand, user, datacenter, warning; null for what is not known. */
void qp_put_identity_json(struct qp_buf *out, const struct qp_identity *identity);
void qp_put_metrics(struct qp_buf *out, const struct qp_admin_snapshot *snapshot);

/* Whose page it is: what its forms carry, and what it has to be told. */
struct qp_page_viewer {
    const char *csrf;
    const char *session;
    const struct qp_sessions *sessions;
    uint64_t now_ms;
};
void qp_put_page(struct qp_buf *out, const struct qp_admin_snapshot *snapshot,
                 const struct qp_page_viewer *viewer);
/* A page that says one thing; text: a sentence, with or without its period. href and link: where to go from there. */
void qp_put_message(struct qp_buf *out, const char *title, const char *text, const char *href,
                    const char *link);

#endif
