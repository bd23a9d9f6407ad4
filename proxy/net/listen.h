/* listen.h - sockets that accept.
 *
 * The control thread claims each address once (qp_listen_claim: proves that nobody else has it, says who if somebody
 * does, replaces a dead Unix socket's file); then each worker gets a descriptor of its own (TCP: SO_REUSEPORT; Unix: the
 * same socket, duplicated) and accepts on its own loop.
 */
#ifndef QP_NET_LISTEN_H
#define QP_NET_LISTEN_H

#include "net/address.h"
#include "net/stream.h"

struct qp_listen_claim;
struct qp_listener;

/* Proves the address free and keeps it claimed (until qp_listen_release). `*address` gets the real port where it asked for 0. mode: of a Unix
 * socket's file, e.g. 0660. On failure `error` holds one line with the address, the reason and, where /proc tells, the
 * process that has it. Blocking; control thread at start. A daemon on a Unix socket sees the proof of a later one as a connection
 * that closes at once. */
QP_MUST_USE enum qp_result qp_listen_claim(struct qp_address *address, unsigned mode,
                                           struct qp_listen_claim **claim, char *error, size_t error_size);
/* A listening, non-blocking descriptor for one worker; -1 with errno on failure. Any thread, before workers run. */
int qp_listen_fd(struct qp_listen_claim *claim);
/* Gives the claim up; removes the Unix socket's file. *slot becomes NULL. */
void qp_listen_release(struct qp_listen_claim **slot);

struct qp_listener_events {
    /* A new connection; the callee owns the stream. `from` is borrowed. Called from the top of the loop. */
    void (*accepted)(void *owner, struct qp_stream *stream, const struct qp_address *from);
    /* For an owner that must not have more than so many; both may be NULL. May the next connection be accepted? is_certain: one waits;
     * else there may be none, and where there is no room it is asked again once it is certain. An owner that says no then pauses the
     * listener, or is asked for ever. A yes is followed by `accepted` or by `unused`. */
    bool (*admit)(void *owner, bool is_certain);
    void (*unused)(void *owner);
};

/* Starts accepting; takes the descriptor. At descriptor exhaustion it accepts and closes with a reserve descriptor and pauses for
 * 100 ms, so that it neither spins nor stops for ever. */
struct qp_listener *qp_listener_new(struct qp_loop *loop, int fd, const struct qp_listener_events *events,
                                    void *owner);
/* Stops and resumes accepting, for the limit on connections. */
void qp_listener_pause(struct qp_listener *listener);
void qp_listener_resume(struct qp_listener *listener);
void qp_listener_close(struct qp_listener **slot);

#endif
