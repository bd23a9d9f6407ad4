/* Holds the place until the rooms that serve are there. */
#include "cli/cli.h"

#include <sysexits.h>

int qp_cli_run(const struct qp_cli_options *options)
{
    struct qp_config *config = NULL;
    int code = qp_cli_load(options, &config);
    if (code != EX_OK)
        return code;
    qp_config_free(&config);
    fputs("qproxy: run is not there yet; `qproxy check` is\n", stderr);
    return EX_UNAVAILABLE;
}
