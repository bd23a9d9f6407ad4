/* admin.h - the daemon's admin listener: its address, and where its numbers come from. Control thread.
 *
 * Claimed with the other addresses, opened when the workers run, and the last to close, so that it answers while they drain.
 */
#ifndef QP_CLI_ADMIN_H
#define QP_CLI_ADMIN_H

#include "cli/daemon_opts.h"
#include "cli/worker.h"

struct qp_cli_admin;

/* Claims admin.listen. Gives the exit code, and logs what is wrong. *slot stays NULL on EX_OK where it is off, and where the default address cannot
 * be had: nobody asked for it, so that is a warning. */
int qp_cli_admin_new(const struct qp_config *config, struct qp_cli_admin **slot);
/* Borrows all three; a slot of `workers` may become NULL after qp_cli_admin_keep(). Gives the exit code. NULL is fine here and below. */
int qp_cli_admin_open(struct qp_cli_admin *admin, struct qp_loop *loop, const struct qp_daemon_opts *opts,
                      const struct qp_keeper *keeper, struct qp_worker *const *workers);
/* "admin on ADDRESS", where it is open. */
void qp_cli_admin_announce(const struct qp_cli_admin *admin);
/* Remembers the last numbers of a worker that is about to be freed. */
void qp_cli_admin_keep(struct qp_cli_admin *admin, unsigned worker);
void qp_cli_admin_set_stopping(struct qp_cli_admin *admin);
/* `done` is called when the last answer is out, and at once without a listener. */
void qp_cli_admin_drain(struct qp_cli_admin *admin, void (*done)(void *context), void *context);
/* *slot becomes NULL. */
void qp_cli_admin_free(struct qp_cli_admin **slot);

#endif
