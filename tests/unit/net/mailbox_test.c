#include "fixture.h"

#include "net/mailbox.h"

enum { SENDERS = 4, MAILS = 5000 };

struct note {
    struct qp_mail mail;
    unsigned sender;
    unsigned number;
};

struct receiver {
    struct qp_mailbox *mailbox;
    unsigned next[SENDERS];
    unsigned total;
    unsigned close_at;
};

static void deliver(struct qp_mail *mail, void *context)
{
    struct note *note = QP_CONTAINER_OF(mail, struct note, mail);
    struct receiver *receiver = context;

    assert_int_equal(note->number, receiver->next[note->sender]);
    receiver->next[note->sender]++;
    receiver->total++;
    qp_free(note);
    if (receiver->total == receiver->close_at)
        qp_mailbox_close(&receiver->mailbox);
}

static void post(struct qp_mailbox *mailbox, unsigned sender, unsigned number)
{
    struct note *note = qp_alloc(sizeof(*note));

    note->mail.deliver = deliver;
    note->sender = sender;
    note->number = number;
    qp_mailbox_post(mailbox, &note->mail);
}

struct sender {
    uv_thread_t thread;
    struct qp_mailbox *mailbox;
    unsigned number;
};

static void send_all(void *context)
{
    struct sender *sender = context;

    for (unsigned i = 0; i < MAILS; i++)
        post(sender->mailbox, sender->number, i);
}

static bool all_came(void *context)
{
    return ((struct receiver *)context)->total == SENDERS * MAILS;
}

static void mail_from_four_threads_comes_in_each_ones_order(void **state)
{
    struct receiver receiver = {0};
    struct sender senders[SENDERS];

    receiver.mailbox = qp_mailbox_new(test_loop, &receiver);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i].mailbox = receiver.mailbox;
        senders[i].number = i;
        assert_int_equal(uv_thread_create(&senders[i].thread, send_all, &senders[i]), 0);
    }
    run_until(all_came, &receiver);
    for (unsigned i = 0; i < SENDERS; i++)
        uv_thread_join(&senders[i].thread);
    qp_mailbox_close(&receiver.mailbox);
    assert_null(receiver.mailbox);
}

static void closing_delivers_what_is_left(void **state)
{
    struct receiver receiver = {0};

    receiver.mailbox = qp_mailbox_new(test_loop, &receiver);
    for (unsigned i = 0; i < 3; i++)
        post(receiver.mailbox, 0, i);
    qp_mailbox_close(&receiver.mailbox);
    assert_int_equal(receiver.total, 3);
}

static bool is_closed(void *context)
{
    return ((struct receiver *)context)->mailbox == NULL;
}

static void a_delivery_may_close_the_mailbox(void **state)
{
    struct receiver receiver = {.close_at = 2};

    receiver.mailbox = qp_mailbox_new(test_loop, &receiver);
    for (unsigned i = 0; i < 5; i++)
        post(receiver.mailbox, 0, i);
    run_until(is_closed, &receiver);
    assert_int_equal(receiver.total, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mail_from_four_threads_comes_in_each_ones_order, make_loop,
                                        free_loop),
        cmocka_unit_test_setup_teardown(closing_delivers_what_is_left, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_delivery_may_close_the_mailbox, make_loop, free_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
