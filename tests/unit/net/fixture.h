/* fixture.h - a loop, two ends of a connection on it, and what happened to each. For the tests of net/. */
#ifndef QP_TEST_NET_FIXTURE_H
#define QP_TEST_NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_impl.h"
#include <stdbool.h>
#include <stdlib.h>

/* One end and its diary. */
struct end {
    struct qp_stream *stream;
    struct qp_buf got;
    size_t got_bytes;
    size_t largest_event;
    unsigned data_count;
    unsigned end_count;
    unsigned drained_count;
    unsigned failed_count;
    enum qp_result why;
    bool keep;   /* store what comes in `got` */
    bool inside; /* a call on the stream is running: no event may come */
    enum { IN_NOTHING, IN_DATA, IN_END, IN_DRAINED, IN_FAILED } close_in;
    bool close_hard;
    void (*on_data)(struct end *end, struct qp_slice bytes);
};

extern struct qp_loop *test_loop;
extern const struct qp_stream_events end_events;

/* cmocka's setup and teardown: a fresh loop; nothing may be left open. */
int make_loop(void **state);
int free_loop(void **state);

/* Two connected descriptors. family: AF_INET or AF_UNIX. */
void connected_pair(int family, int fds[2]);
/* Both ends on the loop, paused, owned by the diaries. */
void open_pair(int family, struct end *a, struct end *b);
void own(struct end *end, struct qp_stream *stream);
void send_text(struct end *end, const char *text);
void close_end(struct end *end);

/* Runs the loop until the condition holds; fails the test after ten seconds. */
void run_until(bool (*condition)(void *context), void *context);
void run_for_ms(unsigned ms);
/* Conditions. */
bool has_end(void *end);
bool has_failed(void *end);
bool has_drained(void *end);
bool has_data(void *end);
bool no_streams(void *unused);
struct got_at_least {
    const struct end *end;
    size_t bytes;
};
bool has_bytes(void *got_at_least);

/* A descriptor's blocking peer for raw bytes. */
void read_all(int fd, struct qp_buf *into);

#endif
