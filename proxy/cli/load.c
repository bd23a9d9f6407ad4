#include "cli/cli.h"

#include <sysexits.h>

static int exit_code(enum qp_config_outcome outcome)
{
    switch (outcome) {
    case QP_CONFIG_LOADED:
        return EX_OK;
    case QP_CONFIG_NO_INPUT:
        return EX_NOINPUT;
    case QP_CONFIG_INVALID:
        break;
    }
    return EX_CONFIG;
}

static int load(const struct qp_cli_options *options, struct qp_config **config, struct qp_problems *unread)
{
    qp_secret_guard_process();
    struct qp_problems problems = {.unread = unread};
    struct qp_config *loaded = NULL;
    int code = exit_code(qp_config_load(options->config_file, qp_cli_check_addresses, &loaded, &problems));
    if (code == EX_OK) {
        *config = loaded;
        return EX_OK;
    }
    const char *file = qp_config_find(options->config_file);
    qp_problems_print(&problems, file ? file : "qproxy", stderr);
    qp_problems_deinit(&problems);
    return code;
}

int qp_cli_load(const struct qp_cli_options *options, struct qp_config **config)
{
    return load(options, config, NULL);
}

int qp_cli_load_readable(const struct qp_cli_options *options, struct qp_config **config,
                         struct qp_problems *unread)
{
    return load(options, config, unread);
}
