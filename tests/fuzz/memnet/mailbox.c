#include "net/mailbox.h"
#include "fuzz/memnet/memnet_impl.h"

struct qp_mailbox {
    struct qp_list link;
    void *receiver;
    struct qp_mail *first;
    struct qp_mail **end;
};

struct qp_mailbox *qp_mailbox_new(struct qp_loop *loop, void *receiver)
{
    struct qp_mailbox *mailbox = qp_alloc(sizeof(*mailbox));

    mailbox->receiver = receiver;
    mailbox->end = &mailbox->first;
    qp_list_append(&loop->mailboxes, &mailbox->link);
    return mailbox;
}

void qp_mailbox_post(struct qp_mailbox *mailbox, struct qp_mail *mail)
{
    mail->next = NULL;
    *mailbox->end = mail;
    mailbox->end = &mail->next;
}

/* What is posted meanwhile comes in the next turn. */
static bool deliver(struct qp_mailbox *mailbox)
{
    struct qp_mail *batch = mailbox->first;

    mailbox->first = NULL;
    mailbox->end = &mailbox->first;
    if (!batch)
        return false;
    while (batch) {
        struct qp_mail *mail = batch;
        batch = mail->next;
        mail->next = NULL;
        mail->deliver(mail, mailbox->receiver);
    }
    return true;
}

bool mem_deliver_mail(struct qp_loop *loop)
{
    bool did = false;

    QP_LIST_FOR_EACH_SAFE (link, &loop->mailboxes)
        did |= deliver(QP_CONTAINER_OF(link, struct qp_mailbox, link));
    return did;
}

void qp_mailbox_close(struct qp_mailbox **slot)
{
    struct qp_mailbox *mailbox = *slot;

    *slot = NULL;
    if (!mailbox)
        return;
    while (deliver(mailbox))
        continue;
    qp_list_remove(&mailbox->link);
    qp_free(mailbox);
}
