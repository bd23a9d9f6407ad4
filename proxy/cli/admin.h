/* admin.h - the admin listeners: their addresses, and where their numbers come from. Control thread.
 *
 * Claimed with the other addresses, opened when the workers run, and the last to close, so that they answer while the workers drain.
 */
#ifndef QP_CLI_ADMIN_H
#define QP_CLI_ADMIN_H

#include "cli/daemon_opts.h"
#include "cli/worker.h"

struct qp_cli_admin;

struct qp_cli_admin_address {
    const char *text;
    bool is_optional; /* without it we go on: `missed` is told */
};

struct qp_cli_admin_opts {
    const struct qp_cli_admin_address *addresses;
    unsigned address_count;
    /* One line: the address, and why it cannot be had. It counts as ours all the same for where sign-ins come back to. */
    void (*missed)(const char *line);
};

/* Claims the addresses; Unix sockets get the mode 0600. Gives the exit code, with one line in `error` where that is not EX_OK. *slot stays NULL where
 * there is no address. */
int qp_cli_admin_new(const struct qp_cli_admin_opts *opts, struct qp_cli_admin **slot, char *error,
                     size_t error_size);
/* What the room is shown. All borrowed. */
struct qp_cli_admin_parts {
    const struct qp_config *config;
    const struct qp_daemon_opts *opts;
    struct qp_keeper *keeper;
    struct qp_worker *const
        *workers; /* a slot may become NULL after qp_cli_admin_keep(); NULL: there are none */
};
/* Answers from now on. Gives the exit code, as above. NULL is fine here and below. */
int qp_cli_admin_open(struct qp_cli_admin *admin, struct qp_loop *loop,
                      const struct qp_cli_admin_parts *parts, char *error, size_t error_size);
/* "admin on ADDRESS" for each that is open. */
void qp_cli_admin_announce(const struct qp_cli_admin *admin);
/* True if a browser can come back to one of them: one that is open and no Unix socket. */
bool qp_cli_admin_takes_browsers(const struct qp_cli_admin *admin);
/* Remembers the last numbers of a worker that is about to be freed. */
void qp_cli_admin_keep(struct qp_cli_admin *admin, unsigned worker);
void qp_cli_admin_set_stopping(struct qp_cli_admin *admin);
/* `done` is called when the last answer is out, and at once without a listener. */
void qp_cli_admin_drain(struct qp_cli_admin *admin, void (*done)(void *context), void *context);
/* Before the keeper is closed. *slot becomes NULL. */
void qp_cli_admin_free(struct qp_cli_admin **slot);

#endif
