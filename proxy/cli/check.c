#include "cli/cli.h"
#include "cli/daemon_opts.h"

#include <sysexits.h>

/* What `run` would find out only when it makes its TLS contexts: whether the CA files hold certificates. */
static int judge_ca_files(const struct qp_config *config)
{
    struct qp_daemon_opts opts;
    char error[512];
    if (qp_daemon_opts_init(&opts, config, error, sizeof(error)) != QP_OK) {
        fprintf(stderr, "qproxy: %s\n", error);
        return EX_CONFIG;
    }
    qp_daemon_opts_deinit(&opts);
    return EX_OK;
}

int qp_cli_check(const struct qp_cli_options *options)
{
    if (!options->online && (options->spend || options->word)) {
        fprintf(stderr, "qproxy: %s only goes with --online; see `qproxy check --help`\n",
                options->spend ? "--spend" : "an ACCOUNT");
        return EX_USAGE;
    }
    if (options->sample)
        qp_config_sample(stdout);
    if (options->table)
        qp_config_table(stdout);
    if (options->sample || options->table)
        return qp_cli_finish_output();
    if (options->online)
        return qp_cli_check_online(options);

    struct qp_config *config = NULL;
    int code = qp_cli_load(options, &config);
    if (code != EX_OK)
        return code;
    code = judge_ca_files(config);
    if (code == EX_OK) {
        qp_config_print(config, stdout);
        code = qp_cli_finish_output();
    }
    qp_config_free(&config);
    return code;
}
