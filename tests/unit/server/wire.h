/* wire.h - raw sockets against a loop: the other side of every test of server/ and origin/.
 *
 * A wire is a plain TCP socket that the test writes to and reads from as bytes. Its traffic is moved each time the loop is
 * about to wait, so one thread plays both sides and nothing depends on luck.
 */
#ifndef QP_TESTS_WIRE_H
#define QP_TESTS_WIRE_H

#include "base/buf.h"
#include "net/loop.h"
#include <stdbool.h>
#include <stdint.h>

struct wire {
    int fd;
    struct qp_buf in;  /* all that has come */
    struct qp_buf out; /* still to be written */
    bool ended;        /* the other side has ended its direction */
    bool reset;
    bool paused; /* does not read */
};

/* One loop a test. */
struct qp_loop *wire_begin(void);
/* Closes all wires, then frees the loop. */
void wire_end(void);

struct wire *wire_connect(uint16_t port);
/* To a Unix socket. */
struct wire *wire_connect_local(const char *path);
/* A listening socket; accepted by wire_accept(). */
int wire_listen(uint16_t *port);
/* Runs until somebody has connected; NULL after two seconds. */
struct wire *wire_accept(int listening);
/* Nobody has connected (without running the loop). */
bool wire_nobody_came(int listening);

void wire_send(struct wire *wire, const char *text);
void wire_send_bytes(struct wire *wire, const char *at, size_t len);
/* FIN behind what is still to be written. */
void wire_end_output(struct wire *wire);
/* RST. */
void wire_reset(struct wire *wire);
void wire_close(struct wire *wire);

void wire_run_ms(uint64_t ms);
/* Runs until `what` has come; false after two seconds, or when the wire has ended without it. */
bool wire_run_until(struct wire *wire, const char *what);
/* Runs until the other side has ended or reset. */
bool wire_run_until_end(struct wire *wire);
bool wire_run_while(bool (*go_on)(void *context), void *context);

bool wire_has(const struct wire *wire, const char *what);
unsigned wire_count(const struct wire *wire, const char *what);
/* All that has come, as a string; valid until the next run. */
const char *wire_text(struct wire *wire);
void wire_forget(struct wire *wire);

#endif
