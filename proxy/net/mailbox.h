/* mailbox.h - messages from any thread to one loop: a lock-free queue and a wake-up.
 *
 * Mail is delivered in order of posting per sender, on the receiver's loop, from the top of a turn.
 */
#ifndef QP_NET_MAILBOX_H
#define QP_NET_MAILBOX_H

struct qp_loop;
struct qp_mailbox;

/* Embedded at the start of a message that the sender allocates with qp_alloc(). deliver() owns the message: it frees
 * it, or sends it on. */
struct qp_mail {
    struct qp_mail *next;
    void (*deliver)(struct qp_mail *mail, void *receiver);
};

/* receiver: handed to each deliver(). */
struct qp_mailbox *qp_mailbox_new(struct qp_loop *loop, void *receiver);
/* Any thread. The mailbox must not be closed yet: senders are stopped first. */
void qp_mailbox_post(struct qp_mailbox *mailbox, struct qp_mail *mail);
/* Loop thread. Delivers what is left, then closes. *slot becomes NULL. */
void qp_mailbox_close(struct qp_mailbox **slot);

#endif
