/* loop_impl.h - the inside of a loop. Private to net/. */
#ifndef QP_NET_LOOP_IMPL_H
#define QP_NET_LOOP_IMPL_H

#include "base/check.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"
#include <stdbool.h>
#include <uv.h>

enum {
    QP_LOOP_JOB_ROUNDS = 8,           /* rounds of jobs that beget jobs before the loop polls again */
    QP_LOOP_SPARE_BLOCKS = 64,        /* output blocks kept for reuse: 1 MiB a loop */
    QP_LOOP_LINGERING = 1024,         /* streams that linger: no limit on connections counts them */
    QP_LOOP_SIGNALS = 8,              /* different signals that one loop may watch */
    QP_BLOCK_BYTES = 16 * 1024 + 512, /* a full TLS record with its header and tag */
    QP_CIPHER_BYTES = 4 * QP_BLOCK_BYTES,
    QP_WHEEL_SLOTS = 1024, /* a power of two */
    QP_WHEEL_SLOT_MS = 8
};

/* Output that waits: the bytes and the request that carries them. Attached to a stream only while it has pending output. */
struct qp_block {
    struct qp_block *next; /* in the loop's list of spares */
    struct qp_stream *stream;
    uint32_t start;
    uint32_t end;
    uv_write_t request;
    char bytes[QP_BLOCK_BYTES];
};

struct qp_wheel {
    uv_timer_t alarm;
    uint64_t tick;                        /* the last slot time, in slots, that was looked at */
    uint64_t alarm_tick;                  /* when the alarm rings; 0: not set */
    bool has_polled;                      /* since the alarm was found to be late */
    uint64_t filled[QP_WHEEL_SLOTS / 64]; /* a bit for each slot that may hold timers */
    struct qp_list slots[QP_WHEEL_SLOTS];
};

struct qp_signal_watch {
    uv_signal_t uv;
    void (*handler)(void *context, int signum);
    void *context;
};

struct qp_loop {
    uv_loop_t uv;
    uv_prepare_t before_poll;
    uv_idle_t no_wait; /* active: the poll does not block */
    struct qp_list jobs;
    struct qp_list attention; /* streams with something to flush or to report */
    struct qp_list lingering; /* oldest first */
    unsigned lingering_count;
    void (*idle_hook)(void *context);
    void *idle_context;
    struct qp_block *spare_blocks;
    unsigned spare_block_count;
    unsigned stream_count;
    unsigned question_count; /* to the resolver, in the hands of libuv's threads */
    int reserve_fd;          /* given up for a moment when a listener finds no descriptor */
    unsigned signal_count;
    bool running;
    uv_thread_t thread;
    size_t cipher_len;
    struct qp_wheel wheel;
    struct qp_signal_watch signals[QP_LOOP_SIGNALS];
    char read_bytes[QP_STREAM_READ_BYTES];  /* what a socket gave: plain or cipher */
    char plain_bytes[QP_STREAM_READ_BYTES]; /* what TLS made of it */
    char cipher_bytes[QP_CIPHER_BYTES];     /* records of one stream on their way to its socket */
};

static inline struct qp_loop *qp_loop_of(const uv_handle_t *handle)
{
    return handle->loop->data;
}

/* One round over the streams that wait for attention. At the top of the loop only. */
void qp_loop_settle(struct qp_loop *loop);

/* Room for output; NULL when memory is gone. */
struct qp_block *qp_block_take(struct qp_loop *loop);
void qp_block_give(struct qp_loop *loop, struct qp_block *block);

void qp_wheel_init(struct qp_loop *loop);

/* The one place where libuv's errors become ours. */
enum qp_result qp_net_result(int uv_error);

#endif
