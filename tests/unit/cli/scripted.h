/* scripted.h - a server that says what it is told, on a thread of its own: one connection, one line of the script. */
#ifndef QP_TESTS_SCRIPTED_H
#define QP_TESTS_SCRIPTED_H

#include "net/address.h"
#include <pthread.h>
#include <stdbool.h>

enum { SCRIPTED_REQUEST_BYTES = 64 * 1024, SCRIPTED_REQUESTS = 16 };

struct scripted_line {
    const char *answer; /* NULL: none */
    size_t bytes;       /* of the answer; 0: up to its NUL */
    size_t piece;       /* bytes a write; 0: all at once */
    bool is_rude;       /* does not read the request */
    bool is_silent;     /* keeps the connection open behind the answer, until the client closes it */
};

struct scripted {
    struct qp_address address;
    const struct scripted_line *lines; /* borrowed */
    unsigned line_count;
    int listening;
    char path[96];
    pthread_t thread;
    /* To be read after scripted_end(). */
    unsigned request_count;
    char requests[SCRIPTED_REQUESTS][SCRIPTED_REQUEST_BYTES];
};

/* At a Unix socket, or at a port of 127.0.0.1. */
struct scripted *scripted_begin(bool is_local, const struct scripted_line *lines, unsigned line_count);
/* Waits until the script is through; *requests[i] is then what came with the i-th connection. */
void scripted_end(struct scripted *scripted);
void scripted_free(struct scripted **scripted);

#endif
