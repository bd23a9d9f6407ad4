#include "cli/control.h"
#include "base/log.h"
#include "cli/exit_codes.h"
#include "net/loop.h"
#include <sysexits.h>

int qp_control_init(struct qp_control *control, const struct qp_config *config)
{
    *control = (struct qp_control){.config = config};
    if (qp_tls_init() != QP_OK) {
        snprintf(control->error, sizeof control->error,
                 "the TLS library could not be started: no randomness from the kernel");
        return EX_OSERR;
    }
    if (qp_daemon_opts_init(&control->opts, config, control->error, sizeof control->error) != QP_OK)
        return EX_CONFIG;
    control->loop = qp_loop_new();
    return EX_OK;
}

int qp_control_claim(struct qp_control *control, const struct qp_cli_admin_opts *opts)
{
    return qp_cli_admin_new(opts, &control->admin, control->error, sizeof control->error);
}

/* So that whoever changed the key knows when the former one may go. */
static void tell_of_new_key(const struct qp_vault *vault)
{
    if (!qp_vault_was_resealed(vault))
        return;
    if (qp_vault_is_dirty(vault))
        qp_log_warn(
            "run",
            "the vault is not sealed with vault.key yet, since that cannot be written: keep vault.old_key");
    else
        qp_log_info("run",
                    "the vault is sealed with vault.key now: vault.old_key can be removed if it is set");
}

int qp_control_load(struct qp_control *control, bool passive)
{
    if (control->opts.vault.path) {
        int code = qp_exit_of_vault(
            qp_vault_open(&control->opts.vault, &control->vault, control->error, sizeof control->error));
        if (code != EX_OK)
            return code;
        tell_of_new_key(control->vault);
    }
    struct qp_keeper_opts keeper = {.accounts = control->opts.accounts,
                                    .account_count = control->opts.account_count,
                                    .vault = control->vault,
                                    .cache_tokens = control->config->vault.cache_tokens,
                                    .passive = passive};
    control->keeper = qp_keeper_new(control->loop, &keeper);
    return EX_OK;
}

int qp_control_answer(struct qp_control *control, struct qp_worker *const *workers)
{
    const struct qp_cli_admin_parts parts = {
        .config = control->config, .opts = &control->opts, .keeper = control->keeper, .workers = workers};
    return qp_cli_admin_open(control->admin, control->loop, &parts, control->error, sizeof control->error);
}

static void end_loop(void *context)
{
    qp_loop_stop(((struct qp_control *)context)->loop);
}

static void on_keeper_drained(void *context)
{
    struct qp_control *control = context;
    qp_cli_admin_drain(control->admin, end_loop, control);
}

void qp_control_drain(struct qp_control *control)
{
    qp_keeper_drain(control->keeper, control->config->timeouts.drain_ms, on_keeper_drained, control);
}

void qp_control_deinit(struct qp_control *control)
{
    qp_cli_admin_free(&control->admin);
    if (control->keeper)
        qp_keeper_close(&control->keeper);
    qp_vault_close(&control->vault);
    if (control->loop)
        qp_loop_free(&control->loop);
    if (control->opts.trusts)
        qp_daemon_opts_deinit(&control->opts);
    *control = (struct qp_control){0};
}
