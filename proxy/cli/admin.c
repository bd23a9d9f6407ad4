#include "cli/admin.h"
#include "base/alloc.h"
#include "cli/exit_codes.h"
#include "net/listen.h"
#include "version.h"
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

enum { ERROR_BYTES = 512, ADDRESS_BYTES = 160, SOCKET_MODE = 0600, LAST_ANSWERS_MS = 500 };

struct qp_cli_admin {
    struct qp_address *addresses;    /* by listener id */
    struct qp_listen_claim **claims; /* by listener id; NULL: somebody else has it */
    unsigned address_count;
    struct qp_admin *room; /* NULL: not open */
    struct qp_worker *const *workers;
    unsigned worker_count;
    const char **names;
    const char **redirect_uris;
    unsigned account_count;
    uint64_t *kept_values; /* worker by worker: the last numbers of those that have gone */
    uint64_t *kept_pool;
};

/* ---- the addresses ---- */

static enum qp_result claim(struct qp_cli_admin *admin, unsigned i, const char *text, char *error,
                            size_t error_size)
{
    const char *why = NULL;
    enum qp_result result = qp_address_parse(qp_slice_str(text), &admin->addresses[i], &why);
    if (result != QP_OK)
        snprintf(error, error_size, "%s: %s", text, why);
    else
        result = qp_listen_claim(&admin->addresses[i], SOCKET_MODE, &admin->claims[i], error, error_size);
    return result;
}

int qp_cli_admin_new(const struct qp_cli_admin_opts *opts, struct qp_cli_admin **slot, char *error,
                     size_t error_size)
{
    char line[ERROR_BYTES];
    if (!opts->address_count)
        return EX_OK;
    struct qp_cli_admin *admin = qp_alloc(sizeof *admin);
    admin->addresses = qp_alloc(opts->address_count * sizeof *admin->addresses);
    admin->claims = qp_alloc(opts->address_count * sizeof(struct qp_listen_claim *));
    for (unsigned i = 0; i < opts->address_count; i++) {
        const struct qp_cli_admin_address *address = &opts->addresses[i];
        admin->address_count++;
        enum qp_result result = claim(admin, i, address->text, line, sizeof line);
        if (result == QP_OK)
            continue;
        if (address->is_optional) {
            opts->missed(line);
            continue;
        }
        snprintf(error, error_size, "admin.listen: %s", line);
        qp_cli_admin_free(&admin);
        return qp_exit_of_claim(result);
    }
    *slot = admin;
    return EX_OK;
}

bool qp_cli_admin_takes_browsers(const struct qp_cli_admin *admin)
{
    for (unsigned i = 0; admin && i < admin->address_count; i++)
        if (admin->claims[i] && admin->addresses[i].u.any.sa_family != AF_UNIX)
            return true;
    return false;
}

/* ---- the numbers ---- */

static uint64_t *kept_values(const struct qp_cli_admin *admin, unsigned worker)
{
    return &admin->kept_values[(size_t)worker * qp_worker_counters.count];
}

static uint64_t *kept_pool(const struct qp_cli_admin *admin, unsigned worker)
{
    return &admin->kept_pool[(size_t)worker * admin->account_count * qp_worker_pool_counters.count];
}

static void read_worker(void *context, unsigned worker, uint64_t *values, uint64_t *pool)
{
    const struct qp_cli_admin *admin = context;
    if (admin->workers[worker]) {
        qp_worker_read(admin->workers[worker], values, pool);
        return;
    }
    memcpy(values, kept_values(admin, worker), qp_worker_counters.count * sizeof *values);
    memcpy(pool, kept_pool(admin, worker),
           (size_t)admin->account_count * qp_worker_pool_counters.count * sizeof *pool);
}

void qp_cli_admin_keep(struct qp_cli_admin *admin, unsigned worker)
{
    if (admin && admin->room && admin->workers[worker])
        qp_worker_read(admin->workers[worker], kept_values(admin, worker), kept_pool(admin, worker));
}

/* ---- its life ---- */

static void prepare(struct qp_cli_admin *admin, const struct qp_cli_admin_parts *parts)
{
    const struct qp_daemon_opts *opts = parts->opts;
    admin->workers = parts->workers;
    admin->worker_count = parts->workers ? opts->workers : 0;
    admin->account_count = opts->account_count;
    size_t pools = (size_t)admin->worker_count * admin->account_count;
    admin->kept_values =
        qp_alloc(((size_t)admin->worker_count * qp_worker_counters.count + 1) * sizeof(uint64_t));
    admin->kept_pool = qp_alloc((pools * qp_worker_pool_counters.count + 1) * sizeof(uint64_t));
    admin->names = qp_alloc((opts->account_count + 1) * sizeof *admin->names);
    admin->redirect_uris = qp_alloc((opts->account_count + 1) * sizeof *admin->redirect_uris);
    for (unsigned i = 0; i < opts->account_count; i++) {
        admin->names[i] = opts->accounts[i].name;
        admin->redirect_uris[i] = opts->accounts[i].redirect_uri;
    }
}

static struct qp_admin *new_room(struct qp_cli_admin *admin, struct qp_loop *loop,
                                 const struct qp_cli_admin_parts *parts)
{
    const struct qp_config_list *hosts = &parts->config->admin.host;
    struct qp_admin_opts room = {
        .version = QP_VERSION,
        .addresses = admin->addresses,
        .address_count = admin->address_count,
        .hosts = (const char *const *)hosts->at,
        .host_count = (unsigned)hosts->count,
        .token = parts->config->admin.token.value,
        .keeper = parts->keeper,
        .account_names = admin->names,
        .redirect_uris = admin->redirect_uris,
        .account_count = admin->account_count,
        .worker_count = admin->worker_count,
        .counters = qp_worker_counters,
        .pool = qp_worker_pool_counters,
        .read = read_worker,
        .context = admin,
    };
    return qp_admin_new(loop, &room);
}

int qp_cli_admin_open(struct qp_cli_admin *admin, struct qp_loop *loop,
                      const struct qp_cli_admin_parts *parts, char *error, size_t error_size)
{
    if (!admin)
        return EX_OK;
    prepare(admin, parts);
    admin->room = new_room(admin, loop, parts);
    for (unsigned i = 0; i < admin->address_count; i++) {
        if (!admin->claims[i])
            continue;
        int fd = qp_listen_fd(admin->claims[i]);
        if (fd < 0) {
            snprintf(error, error_size, "admin.listen cannot be opened: %s", strerror(errno));
            return EX_OSERR;
        }
        qp_admin_listen(admin->room, i, fd);
    }
    return EX_OK;
}

void qp_cli_admin_announce(const struct qp_cli_admin *admin)
{
    char text[ADDRESS_BYTES];
    for (unsigned i = 0; admin && i < admin->address_count; i++)
        if (admin->claims[i])
            printf("admin on %s\n", qp_address_format(&admin->addresses[i], text, sizeof text));
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
    for (unsigned i = 0; i < admin->address_count; i++)
        qp_listen_release(&admin->claims[i]);
    qp_free(admin->addresses);
    qp_free((void *)admin->claims);
    qp_free(admin->kept_values);
    qp_free(admin->kept_pool);
    qp_free((void *)admin->names);
    qp_free((void *)admin->redirect_uris);
    qp_free(admin);
}
