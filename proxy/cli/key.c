/* key.c - `qproxy key new FILE`. */
#include "cli/cli.h"
#include "token/vault.h"
#include <limits.h>
#include <stdlib.h>
#include <sysexits.h>

int qp_cli_key_new(const struct qp_cli_options *options)
{
    char error[512];
    char whole[PATH_MAX];
    qp_secret_guard_process();
    if (qp_vault_key_new(options->word, error, sizeof error) != QP_OK) {
        fprintf(stderr, "qproxy: %s\n", error);
        return EX_CANTCREAT;
    }
    const char *file = realpath(options->word, whole) ? whole : options->word;
    printf("%s holds a new key, and only its owner can read it. Keep a copy apart from the vault: without "
           "the key nobody\n"
           "can read the vault. In the configuration, with a path of your choice for the vault:\n\n"
           "    \"vault\": {\n"
           "        \"path\": \"/var/lib/qproxy/vault\",\n"
           "        \"key\": \"file:%s\"\n"
           "    }\n",
           file, file);
    return qp_cli_finish_output();
}
