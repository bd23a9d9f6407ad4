/* own.h - a control half of our own, for a subcommand that finds no daemon. Main thread, before there are others.
 *
 * The process becomes two: this one runs the control half (vault, passive keeper, admin room without workers) at a Unix socket in a folder that only its user
 * can enter; a child goes on as the client, talks to it as to a daemon, and its end is the end of both. Two processes and not two threads,
 * because cJSON's hooks are one for a process, and because the vault's secrets stay in the process that locked their memory.
 */
#ifndef QP_CLI_OWN_H
#define QP_CLI_OWN_H

#include "config/config.h"
#include "net/address.h"

enum { QP_OWN_FOLDER_BYTES = 96 };

struct qp_own {
    char folder[QP_OWN_FOLDER_BYTES];
    struct qp_address address; /* of the socket */
    bool takes_browsers; /* it listens at a TCP address of admin.listen: a sign-in can come back by itself */
    int control_pid;
};

struct qp_own_opts {
    const struct qp_config *config;
    bool for_sign_in;      /* listen at the TCP addresses of admin.listen too */
    const char *no_daemon; /* why no daemon was found, for the message when the vault is locked */
};

/* Returns in the child only: EX_OK once the control half answers. Else it could not be built, has said why and knows the exit code; the caller
 * ends without a word. The first process never returns, but ends with the child's exit code when the child has ended and what it had begun is done.
 * Descriptors but the standard ones are to be close-on-exec; SIGINT, SIGTERM and SIGHUP are blocked (interrupt.h). */
int qp_own_begin(const struct qp_own_opts *opts, struct qp_own *own);
/* The child's side is done. */
void qp_own_end(struct qp_own *own);

#endif
