/* control.h - the control half: all that the control thread has beside the workers, which are run's. For `run`, and for a
 * subcommand that finds no daemon (own.h). Control thread.
 *
 *   qp_control_init -> (claims of the API) -> qp_control_claim -> qp_control_load -> (workers) -> qp_keeper_start ->
 *   qp_control_answer -> qp_loop_run
 *   qp_control_drain -> ... the loop stops -> qp_control_deinit
 *
 * Each step gives the exit code, with one line in `error` where that is not EX_OK.
 */
#ifndef QP_CLI_CONTROL_H
#define QP_CLI_CONTROL_H

#include "cli/admin.h"
#include "cli/daemon_opts.h"
#include "token/keeper.h"
#include "token/vault.h"

enum { QP_CONTROL_ERROR_BYTES = 512 };

/* A zeroed struct is what qp_control_deinit() leaves. */
struct qp_control {
    const struct qp_config *config; /* borrowed */
    struct qp_daemon_opts opts;
    struct qp_loop *loop;
    struct qp_vault *vault; /* NULL: none is configured */
    struct qp_keeper *keeper;
    struct qp_cli_admin *admin; /* NULL: admin.listen is off */
    char error[QP_CONTROL_ERROR_BYTES];
};

/* The TLS library, what each room is told, the loop. */
int qp_control_init(struct qp_control *control, const struct qp_config *config);
/* The admin addresses. */
int qp_control_claim(struct qp_control *control, const struct qp_cli_admin_opts *opts);
/* The vault, where there is one, and the keeper. passive: it makes no call that nobody asked for. */
int qp_control_load(struct qp_control *control, bool passive);
/* Opens the admin listeners. workers: as qp_cli_admin_parts has them. */
int qp_control_answer(struct qp_control *control, struct qp_worker *const *workers);
/* What the keeper must not drop midway is waited for (timeouts.drain), then the last admin answers go out, then the loop stops. */
void qp_control_drain(struct qp_control *control);
/* After qp_loop_run(), and after whatever else was made on the loop; also after a step that failed. */
void qp_control_deinit(struct qp_control *control);

#endif
