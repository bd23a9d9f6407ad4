/* mailbox.c - a stack that senders push to with one compare-and-swap and the receiver takes whole.
 *
 * Taking turns the order round, so each sender's order is kept. Only the first mail of a batch wakes the loop.
 */
#include "net/mailbox.h"

#include "base/alloc.h"
#include "net/loop_impl.h"
#include <stdatomic.h>

struct qp_mailbox {
    uv_async_t wake;
    void *receiver;
    _Atomic(struct qp_mail *) posted; /* newest first */
    struct qp_mail *taken;            /* oldest first; loop thread only */
};

static void take_posted(struct qp_mailbox *mailbox)
{
    struct qp_mail *mail = atomic_exchange_explicit(&mailbox->posted, NULL, memory_order_acquire);

    while (mail) {
        struct qp_mail *older = mail->next;
        mail->next = mailbox->taken;
        mailbox->taken = mail;
        mail = older;
    }
}

static void deliver_taken(struct qp_mailbox *mailbox)
{
    while (mailbox->taken) {
        struct qp_mail *mail = mailbox->taken;
        mailbox->taken = mail->next;
        mail->next = NULL;
        mail->deliver(mail, mailbox->receiver);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct qp_mailbox *mailbox = QP_CONTAINER_OF(wake, struct qp_mailbox, wake);

    /* One batch a turn: what is posted meanwhile wakes the loop again. deliver() may close the mailbox, which empties it. */
    take_posted(mailbox);
    deliver_taken(mailbox);
}

struct qp_mailbox *qp_mailbox_new(struct qp_loop *loop, void *receiver)
{
    struct qp_mailbox *mailbox = qp_alloc(sizeof(*mailbox));

    mailbox->receiver = receiver;
    atomic_init(&mailbox->posted, NULL);
    qp_require(uv_async_init(&loop->uv, &mailbox->wake, on_wake) == 0);
    return mailbox;
}

void qp_mailbox_post(struct qp_mailbox *mailbox, struct qp_mail *mail)
{
    struct qp_mail *head = atomic_load_explicit(&mailbox->posted, memory_order_relaxed);

    do {
        mail->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->posted, &head, mail, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on the mail is the receiver's. */
    if (!head)
        uv_async_send(&mailbox->wake);
}

static void on_closed(uv_handle_t *handle)
{
    qp_free(QP_CONTAINER_OF(handle, struct qp_mailbox, wake));
}

void qp_mailbox_close(struct qp_mailbox **slot)
{
    struct qp_mailbox *mailbox = *slot;

    *slot = NULL;
    if (!mailbox)
        return;
    qp_loop_check(qp_loop_of((uv_handle_t *)&mailbox->wake));
    deliver_taken(mailbox);
    take_posted(mailbox);
    deliver_taken(mailbox);
    uv_close((uv_handle_t *)&mailbox->wake, on_closed);
}
