/* Any bytes as the content of a configuration file: problems or a configuration, never a crash; and what was
 * accepted can be printed. */
#include "config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    struct qp_problems problems = {0};
    const char *refused = size && data[0] == '{' ? NULL : "literals are refused";
    struct qp_config *config =
        qp_config_parse(qp_slice((const char *)data, size), "fuzz", refused, NULL, &problems);
    if (!config != (problems.count > 0))
        abort();
    qp_problems_print(&problems, "fuzz", nowhere);
    if (config)
        qp_config_print(config, nowhere);
    qp_config_free(&config);
    qp_problems_deinit(&problems);
    if (qp_secret_live_count() != 0)
        abort();
    return 0;
}
