/* daemon_opts.h - the configuration as each room wants to be told it. Pure, but for the daemon's random name. */
#ifndef QP_CLI_DAEMON_OPTS_H
#define QP_CLI_DAEMON_OPTS_H

#include "config/config.h"
#include "net/tls.h"
#include "relay/relay.h"
#include "server/census.h"
#include "token/account.h"
#include "token/vault.h"

/* All that the rooms borrow, for the life of the daemon: it stays where it was initialized. */
struct qp_daemon_opts {
    struct qp_trust **trusts; /* by account; accounts with the same CA file share one */
    struct qp_account_opts *accounts;
    struct qp_relay_account *relay_accounts;
    const char **listen;    /* by listener id */
    int *listener_accounts; /* by listener id */
    unsigned account_count;
    unsigned listener_count;
    unsigned workers;
    struct qp_census *census; /* all workers count their connections in it */
    char instance[9];         /* another one in every process: what Via tells it from its like by */
    struct qp_server_opts server;
    struct qp_relay_opts relay;
    struct qp_view_opts view;
    struct qp_vault_opts vault; /* path NULL: there is none */
};

/* Loads the CA bundles. On failure `error` holds one line. Borrows the configuration. */
QP_MUST_USE enum qp_result qp_daemon_opts_init(struct qp_daemon_opts *opts, const struct qp_config *config,
                                               char *error, size_t error_size);
void qp_daemon_opts_deinit(struct qp_daemon_opts *opts);

#endif
