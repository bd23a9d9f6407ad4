/* memnet.h - the net room in memory, for a test that holds the other ends.
 *
 * These files take the place of proxy/net at the linker: they define what net's headers declare, for one thread, without sockets, TLS,
 * threads or waiting. Time stands still but for mem_advance(), the two clocks of base/clock.h included (wrapped at the linker). What is
 * lent for a call is a block of its own, freed behind the call, and a closed stream's memory goes at once, so that AddressSanitizer sees
 * whoever touches them later. What the contracts demand of the rooms is required: nothing open when the loop is freed, no spinning.
 *
 * A call that net/ gains and the rooms use is missing here: the linker then says "multiple definition" of the others.
 * The test's end of a stream is a struct mem_end. It stays the loop's, also when the proxy has closed, until the loop is freed.
 */
#ifndef QP_TEST_MEMNET_H
#define QP_TEST_MEMNET_H

#include "base/buf.h"
#include "base/list.h"
#include "base/result.h"
#include "net/stream.h"
#include <stdint.h>

struct qp_dial;
struct qp_listener;
struct qp_loop;

enum { MEM_FD_FIRST = 1 << 20 }; /* a stream's fd is this and more: no real one */
#define MEM_ALL SIZE_MAX

struct mem_end {
    struct qp_list link;
    struct qp_loop *loop;
    struct qp_stream *stream; /* the proxy's end; NULL: it has closed */
    int fd;
    /* Towards the proxy. */
    struct qp_buf input;
    size_t piece;          /* the most bytes that a `data` event carries */
    unsigned small_pieces; /* of so many events more */
    uint64_t delivered;    /* bytes that the proxy has been given */
    uint64_t delivered_ms; /* when it got the last of them */
    bool input_over;       /* behind the input comes an end */
    bool end_delivered;    /* and the proxy has been told */
    bool cut;              /* reset by the test */
    bool vanished;         /* closed by the test: what the proxy writes now meets a reset */
    /* From the proxy. */
    struct qp_buf output; /* what has arrived; the test consumes it */
    size_t window;        /* so much more is taken; MEM_ALL: everything */
    bool fin;             /* the proxy has ended its direction, properly */
    bool reset;           /* the proxy has cut */
    size_t lost;          /* bytes that it had written and dropped by closing */
    /* Called when output has come, or the proxy's direction is over. From inside a call of the proxy's: may look, say and end, no more. */
    void (*arrived)(struct mem_end *end);
    void *owner;
};

/* ---- the ends ---- */

/* A client connects; `accepted` comes with the next turn in which the listener accepts. */
struct mem_end *mem_connect(struct qp_listener *listener);
/* The first that was made and is not closed. */
struct qp_listener *mem_first_listener(const struct qp_loop *loop);
void mem_say(struct mem_end *end, struct qp_slice bytes);
/* Our direction is over: FIN, or a close_notify. */
void mem_finish(struct mem_end *end);
/* A reset: what was not delivered is lost. */
void mem_cut(struct mem_end *end);
/* Closed without having read all: what was said still arrives, then an end, but a write meets a reset. */
void mem_vanish(struct mem_end *end);
void mem_open_window(struct mem_end *end, size_t bytes);
/* The next events bring so many bytes at most. */
void mem_set_piece(struct mem_end *end, size_t bytes);

/* ---- dials ---- */

/* The oldest that is neither answered nor canceled and goes to that host; NULL: none. */
struct qp_dial *mem_dial_to(struct qp_loop *loop, struct qp_slice host);
struct mem_end *mem_dial_accept(struct qp_dial *dial);
void mem_dial_fail(struct qp_dial *dial, enum qp_result why);
/* All hosts have other addresses now: no stream leads to them. */
void mem_move_hosts(struct qp_loop *loop);

/* ---- time ---- */

/* One turn of the loop; false: there was nothing to do. */
bool mem_turn(struct qp_loop *loop);
/* Turns until there is nothing more to do at this instant. */
void mem_settle(struct qp_loop *loop);
/* When the next timer fires; 0: none is armed. */
uint64_t mem_next_due_ms(const struct qp_loop *loop);
/* Lets time pass, timer by timer. */
void mem_advance(struct qp_loop *loop, uint64_t ms);

/* `end` comes also to a stream that is paused, as stream.h allows. */
void mem_set_eager_ends(struct qp_loop *loop, bool eager);
/* Every stream that the proxy has open: the most bytes of output that one of them holds. */
size_t mem_most_pending(const struct qp_loop *loop);
unsigned mem_open_count(const struct qp_loop *loop);
struct mem_end *mem_end_of_fd(int fd);

#endif
