/* cli.h - the command line: `qproxy [SUBCOMMAND] [OPTIONS]`. Main thread. Exit codes: exit_codes.h. */
#ifndef QP_CLI_CLI_H
#define QP_CLI_CLI_H

#include "config/config.h"

struct qp_cli_options {
    const char *config_file; /* -c; NULL: searched */
    const char *word;        /* the account or file that was named; NULL: none */
    bool sample;             /* check: the commented sample instead */
    bool table;              /* check: the settings as Markdown instead */
    bool online;             /* check: ask the origins, too */
    bool spend;              /* check: a refresh token may be redeemed for it */
    bool json;               /* status: as it came */
    bool no_browser;         /* login: open none */
};

/* Reads the command line and carries it out. Gives the exit code. */
int qp_cli_main(int argc, char **argv);

/* The subcommands. Each gives the exit code. */
int qp_cli_run(const struct qp_cli_options *options);
int qp_cli_check(const struct qp_cli_options *options);
int qp_cli_check_online(const struct qp_cli_options *options);
int qp_cli_login(const struct qp_cli_options *options);
int qp_cli_logout(const struct qp_cli_options *options);
int qp_cli_refresh(const struct qp_cli_options *options);
int qp_cli_status(const struct qp_cli_options *options);
int qp_cli_key_new(const struct qp_cli_options *options);
int qp_cli_key_rotate(const struct qp_cli_options *options);

/* EX_OK, or EX_IOERR with a message: what a full disk or a closed pipe swallowed must not look like success. */
int qp_cli_finish_output(void);

/* Guards the process, loads the configuration and judges its addresses; says everything that is wrong on
 * stderr. Gives 0, or the exit code: *config is written on 0 only. */
int qp_cli_load(const struct qp_cli_options *options, struct qp_config **config);
/* The same, but secrets that only the daemon can read (its unit's credentials, its environment) are told in `unread`, the caller's to
 * deinit. */
int qp_cli_load_readable(const struct qp_cli_options *options, struct qp_config **config,
                         struct qp_problems *unread);

/* config may not know net, so addresses are judged here: syntax, whether two of them are the same, and
 * whether the admin pages stay on this machine or have a token. */
void qp_cli_check_addresses(const struct qp_config *config, struct qp_problems *problems);

#endif
