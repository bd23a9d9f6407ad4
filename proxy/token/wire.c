#include "token/wire.h"
#include "base/alloc.h"
#include "base/check.h"

struct qp_view_line *qp_view_line_new(struct qp_mailbox *mailbox)
{
    struct qp_view_line *line = qp_alloc(sizeof(*line));
    qp_require(pthread_mutex_init(&line->lock, NULL) == 0);
    line->mailbox = mailbox;
    line->holders = 1;
    return line;
}

void qp_view_line_hold(struct qp_view_line *line)
{
    pthread_mutex_lock(&line->lock);
    ++line->holders;
    pthread_mutex_unlock(&line->lock);
}

void qp_view_line_cut(struct qp_view_line *line)
{
    pthread_mutex_lock(&line->lock);
    line->mailbox = NULL;
    pthread_mutex_unlock(&line->lock);
}

void qp_view_line_release(struct qp_view_line **line)
{
    struct qp_view_line *released = *line;
    *line = NULL;
    pthread_mutex_lock(&released->lock);
    bool is_last = --released->holders == 0;
    pthread_mutex_unlock(&released->lock);
    if (!is_last)
        return;
    pthread_mutex_destroy(&released->lock);
    qp_free(released);
}

void qp_view_line_post(struct qp_view_line *line, struct qp_token_news *news)
{
    news->mail.deliver = qp_view_take_news;
    pthread_mutex_lock(&line->lock);
    bool is_open = line->mailbox != NULL;
    if (is_open)
        qp_mailbox_post(line->mailbox, &news->mail);
    pthread_mutex_unlock(&line->lock);
    if (!is_open)
        qp_token_news_free(news);
}

void qp_token_news_free(struct qp_token_news *news)
{
    qp_secret_free(&news->token);
    qp_free(news);
}
