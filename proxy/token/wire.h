/* wire.h - what keeper and views say to each other. Private to token/.
 *
 * view -> keeper: struct qp_token_ask, to the keeper's mailbox, which outlives every view.
 * keeper -> view: struct qp_token_news, over the view's line. A view closes on its own thread while the
 * keeper may be posting on another; so the line, not the mailbox, is what the keeper holds: it is counted,
 * and its lock (taken by the keeper for each piece of news and by the view once, never on the warm path)
 * keeps a post and the close apart.
 */
#ifndef QP_TOKEN_WIRE_H
#define QP_TOKEN_WIRE_H

#include "net/mailbox.h"
#include "token/view.h"
#include <pthread.h>

struct qp_view_line {
    pthread_mutex_t lock;
    struct qp_mailbox *mailbox; /* NULL: the view is closed. Under the lock */
    unsigned holders;           /* under the lock */
    void *seat;                 /* the keeper's own; control thread */
};

struct qp_view_line *qp_view_line_new(struct qp_mailbox *mailbox);
void qp_view_line_hold(struct qp_view_line *line);
/* The mailbox gets nothing more; the caller may close it. */
void qp_view_line_cut(struct qp_view_line *line);
/* *line becomes NULL; the last holder's call frees it. */
void qp_view_line_release(struct qp_view_line **line);

enum qp_ask_kind { QP_ASK_NEED, QP_ASK_ACCEPTED, QP_ASK_REJECTED };

struct qp_token_ask {
    struct qp_mail mail;
    struct qp_view_line *line; /* whose; held by the keeper as long as it lives */
    enum qp_ask_kind kind;
    unsigned account;
    uint64_t generation; /* QP_ASK_NEED: at least this one */
};

enum qp_news_kind { QP_NEWS_TOKEN, QP_NEWS_DAMPING, QP_NEWS_OUTCOME };

struct qp_token_news {
    struct qp_mail mail;
    enum qp_news_kind kind;
    unsigned account;
    uint64_t generation;     /* TOKEN: its own. OUTCOME: the one that was asked for */
    struct qp_secret *token; /* TOKEN: the view's own copy; NULL: taken back, the account is signed out */
    uint64_t until_ms; /* TOKEN: expiry, 0: never. DAMPING: no mint on a 401 before. Monotonic: the same for
                          all loops */
    enum qp_need_outcome outcome;
    uint32_t retry_after_s;
    char text[256];
};

/* Posts, or discards when the view is closed. Control thread. */
void qp_view_line_post(struct qp_view_line *line, struct qp_token_news *news);
void qp_token_news_free(struct qp_token_news *news);

/* The two deliver functions: in view.c and keeper.c. */
void qp_view_take_news(struct qp_mail *mail, void *receiver);
void qp_keeper_take_ask(struct qp_mail *mail, void *receiver);

struct qp_mailbox *qp_keeper_mailbox(struct qp_keeper *keeper);
struct qp_view_line *qp_view_line(struct qp_view *view);

#endif
