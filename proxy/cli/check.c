#include "cli/cli.h"

#include <sysexits.h>

/* What a full disk or a closed pipe swallowed must not look like success. */
static int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EX_OK;
    perror("qproxy: standard output");
    return EX_IOERR;
}

int qp_cli_check(const struct qp_cli_options *options)
{
    if (options->sample)
        qp_config_sample(stdout);
    if (options->table)
        qp_config_table(stdout);
    if (options->sample || options->table)
        return finish_output();

    struct qp_config *config = NULL;
    int code = qp_cli_load(options, &config);
    if (code != EX_OK)
        return code;
    qp_config_print(config, stdout);
    qp_config_free(&config);
    return finish_output();
}
