/* html.h - what the parts of the page have in common. Pure. Private to admin/.
 *
 * Ids on the page: an account's name is its card's; all others have a dot, which no name has. Classes and ids are the style's and the script's too.
 */
#ifndef QP_ADMIN_HTML_H
#define QP_ADMIN_HTML_H

#include "admin/pages.h"

/* Everything up to what is in <body>; title: text. */
void qp_html_open(struct qp_buf *out, const char *title);
void qp_html_close(struct qp_buf *out);

/* The first letter large. */
void qp_html_word(struct qp_buf *out, const char *text);
/* The first letter large and a period behind: texts come without. */
void qp_html_sentence(struct qp_buf *out, const char *text);
/* "1 h 20 min", or `otherwise` if negative. */
void qp_html_duration(struct qp_buf *out, int64_t seconds, const char *otherwise);
/* "12,345" */
void qp_html_count(struct qp_buf *out, uint64_t count);
/* "1 request", "2 requests" */
void qp_html_counted(struct qp_buf *out, uint64_t count, const char *one, const char *many);

/* card.c: one account's card. chart.c: the last hour. */
void qp_html_card(struct qp_buf *out, const struct qp_admin_snapshot *snapshot, unsigned account,
                  const struct qp_page_viewer *viewer);
void qp_html_chart(struct qp_buf *out, const struct qp_history *history);

#endif
