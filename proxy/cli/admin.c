#include "cli/admin.h"
#include "base/alloc.h"
#include "base/log.h"
#include "net/listen.h"
#include "version.h"
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

enum { ERROR_BYTES = 512, ADDRESS_BYTES = 160, SOCKET_MODE = 0600, LAST_ANSWERS_MS = 500 };

struct qp_cli_admin {
    struct qp_address address;
    struct qp_listen_claim *claim;
    struct qp_admin *room; /* NULL: not open */
    struct qp_worker *const *workers;
    const char **names;
    unsigned account_count;
    uint64_t *kept_relay; /* worker by worker: the last numbers of those that have gone */
    uint64_t *kept_pool;
};

/* ---- the address ---- */

static int explain(const struct qp_config *config, enum qp_result result, const char *error)
{
    if (config->admin_is_by_default) {
        qp_log_warn("run", "no admin pages: %s; name another address in admin.listen, or \"off\"", error);
        return EX_OK;
    }
    qp_log_error("run", "admin.listen: %s", error);
    return result == QP_NET_IN_USE ? EX_UNAVAILABLE : EX_OSERR;
}

int qp_cli_admin_new(const struct qp_config *config, struct qp_cli_admin **slot)
{
    char error[ERROR_BYTES];
    const char *why = NULL;
    if (!config->admin_listen)
        return EX_OK;
    struct qp_cli_admin *admin = qp_alloc(sizeof *admin);
    enum qp_result result = qp_address_parse(qp_slice_str(config->admin_listen), &admin->address, &why);
    if (result == QP_OK)
        result = qp_listen_claim(&admin->address, SOCKET_MODE, &admin->claim, error, sizeof error);
    if (result != QP_OK) {
        qp_free(admin);
        return explain(config, result, why ? why : error);
    }
    *slot = admin;
    return EX_OK;
}

/* ---- the numbers ---- */

static uint64_t *kept_relay(const struct qp_cli_admin *admin, unsigned worker)
{
    return &admin->kept_relay[(size_t)worker * qp_worker_relay_counters.count];
}

static uint64_t *kept_pool(const struct qp_cli_admin *admin, unsigned worker)
{
    return &admin->kept_pool[(size_t)worker * admin->account_count * qp_worker_pool_counters.count];
}

static void read_worker(void *context, unsigned worker, uint64_t *relay, uint64_t *pool)
{
    const struct qp_cli_admin *admin = context;
    if (admin->workers[worker]) {
        qp_worker_read(admin->workers[worker], relay, pool);
        return;
    }
    memcpy(relay, kept_relay(admin, worker), qp_worker_relay_counters.count * sizeof *relay);
    memcpy(pool, kept_pool(admin, worker),
           (size_t)admin->account_count * qp_worker_pool_counters.count * sizeof *pool);
}

void qp_cli_admin_keep(struct qp_cli_admin *admin, unsigned worker)
{
    if (admin && admin->room && admin->workers[worker])
        qp_worker_read(admin->workers[worker], kept_relay(admin, worker), kept_pool(admin, worker));
}

/* ---- its life ---- */

static void prepare(struct qp_cli_admin *admin, const struct qp_daemon_opts *opts,
                    struct qp_worker *const *workers)
{
    size_t pools = (size_t)opts->workers * opts->account_count;
    admin->workers = workers;
    admin->account_count = opts->account_count;
    admin->kept_relay = qp_alloc((size_t)opts->workers * qp_worker_relay_counters.count * sizeof(uint64_t));
    admin->kept_pool = qp_alloc(pools * qp_worker_pool_counters.count * sizeof(uint64_t));
    admin->names = qp_alloc(opts->account_count * sizeof *admin->names);
    for (unsigned i = 0; i < opts->account_count; i++)
        admin->names[i] = opts->accounts[i].name;
}

int qp_cli_admin_open(struct qp_cli_admin *admin, struct qp_loop *loop, const struct qp_daemon_opts *opts,
                      const struct qp_keeper *keeper, struct qp_worker *const *workers)
{
    if (!admin)
        return EX_OK;
    int fd = qp_listen_fd(admin->claim);
    if (fd < 0) {
        qp_log_error("run", "admin.listen cannot be opened: %s", strerror(errno));
        return EX_OSERR;
    }
    prepare(admin, opts, workers);
    struct qp_admin_opts room = {
        .version = QP_VERSION,
        .address = admin->address,
        .keeper = keeper,
        .account_names = admin->names,
        .account_count = opts->account_count,
        .worker_count = opts->workers,
        .relay = qp_worker_relay_counters,
        .pool = qp_worker_pool_counters,
        .read = read_worker,
        .context = admin,
    };
    admin->room = qp_admin_new(loop, &room);
    qp_admin_listen(admin->room, fd);
    return EX_OK;
}

void qp_cli_admin_announce(const struct qp_cli_admin *admin)
{
    char address[ADDRESS_BYTES];
    if (admin && admin->room)
        printf("admin on %s\n", qp_address_format(&admin->address, address, sizeof address));
}

void qp_cli_admin_set_stopping(struct qp_cli_admin *admin)
{
    if (admin && admin->room)
        qp_admin_set_stopping(admin->room);
}

void qp_cli_admin_drain(struct qp_cli_admin *admin, void (*done)(void *context), void *context)
{
    if (admin && admin->room)
        qp_admin_drain(admin->room, LAST_ANSWERS_MS, done, context);
    else
        done(context);
}

void qp_cli_admin_free(struct qp_cli_admin **slot)
{
    struct qp_cli_admin *admin = *slot;
    *slot = NULL;
    if (!admin)
        return;
    qp_admin_close(&admin->room);
    qp_listen_release(&admin->claim);
    qp_free(admin->kept_relay);
    qp_free(admin->kept_pool);
    qp_free((void *)admin->names);
    qp_free(admin);
}
