/* memnet_impl.h - what the files of memnet share. */
#ifndef QP_TEST_MEMNET_IMPL_H
#define QP_TEST_MEMNET_IMPL_H

#include "base/alloc.h"
#include "base/check.h"
#include "fuzz/memnet/memnet.h"
#include "net/loop.h"
#include "net/timer.h"

struct qp_stream {
    struct qp_list attention; /* linked: something is to be flushed or reported */
    struct mem_end *end;
    const struct qp_stream_events *events;
    void *owner;
    struct qp_buf out; /* what the other end has not taken */
    struct lingering *lingering;
    enum qp_result fault;
    bool paused;
    bool ended;
    bool dirty;
    bool full;
    bool reported;
    bool bytes_first; /* a write met a reset: what had arrived before it comes first */
};

struct qp_loop {
    uint64_t now_ms;
    bool eager_ends;
    int next_fd;
    int first_current_fd; /* streams before it lead to where the hosts were */
    unsigned stream_count;
    struct qp_list jobs;
    struct qp_list attention;
    struct qp_list timers;
    struct qp_list ends;
    struct qp_list dials;
    struct qp_list dialers;
    struct qp_list listeners;
    struct qp_list mailboxes;
};

extern struct qp_loop *mem_loop; /* the one there is; NULL between two runs */

/* stream.c */
struct mem_end *mem_end_new(struct qp_loop *loop);
void mem_end_free(struct mem_end *end);
bool mem_deliver_input(struct qp_loop *loop);
/* One round over the streams that wait for attention. */
void mem_attend(struct qp_loop *loop);
void mem_end_lingering(struct qp_loop *loop);

/* connect.c */
bool mem_deliver_dials(struct qp_loop *loop);
bool mem_deliver_accepted(struct qp_loop *loop);

/* mailbox.c */
bool mem_deliver_mail(struct qp_loop *loop);

#endif
