/* holder.c - address -> socket's user and inode (/proc/net/tcp) -> process that has it open (/proc/PID/fd). */
#include "net/holder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATE_LISTEN = 0x0A, LOCAL_BYTES = 33, MOST_PLACES = 4 };

static const char TCP[] = "/proc/net/tcp";
static const char TCP6[] = "/proc/net/tcp6";

/* A socket in one of these tables, whose addresses are hexadecimal words in the machine's order. */
struct row {
    char local[LOCAL_BYTES];
    char remote[LOCAL_BYTES];
    unsigned port;
    unsigned remote_port;
    unsigned state;
    unsigned user;
    unsigned long inode;
};

/* Where a listener for an address may stand. */
struct place {
    const char *table;
    char local[LOCAL_BYTES];
};

/* What a socket must be to be the one that is looked for. */
struct wanted {
    const char *table;
    const char *local;  /* NULL: at whichever address */
    const char *remote; /* NULL: a listener */
    unsigned port;
    unsigned remote_port;
};

static bool read_row(const char *line, struct row *row)
{
    return sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %32[0-9A-Fa-f]:%x %x %*s %*s %*s %u %*s %lu", row->local,
                  &row->port, row->remote, &row->remote_port, &row->state, &row->user, &row->inode) == 7;
}

static bool is_wanted(const struct row *row, const struct wanted *wanted)
{
    if (row->port != wanted->port || (wanted->local && strcmp(row->local, wanted->local) != 0))
        return false;
    if (!wanted->remote)
        return row->state == STATE_LISTEN && row->inode != 0;
    return row->remote_port == wanted->remote_port && strcmp(row->remote, wanted->remote) == 0;
}

static bool find_row(const struct wanted *wanted, struct row *row)
{
    FILE *file = fopen(wanted->table, "re");
    char line[512];
    bool found = false;

    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file))
        found = read_row(line, row) && is_wanted(row, wanted);
    fclose(file);
    return found;
}

static bool is_v6(const struct qp_address *address)
{
    return address->u.any.sa_family == AF_INET6;
}

static unsigned port_of(const struct qp_address *address)
{
    return ntohs(is_v6(address) ? address->u.v6.sin6_port : address->u.v4.sin_port);
}

static void put_place(struct place *place, const char *table, const uint32_t *words, unsigned count)
{
    place->table = table;
    for (unsigned i = 0; i < count; i++)
        snprintf(place->local + (size_t)i * 8, 9, "%08X", words[i]);
}

/* In the order in which the kernel prefers them: the address itself, of IPv4 also as IPv6 writes it; then all addresses, which a socket of IPv6 may be
 * for in both families. */
static unsigned find_places(const struct qp_address *address, struct place places[MOST_PLACES])
{
    uint32_t words[4] = {0, 0, htonl(0xFFFF), address->u.v4.sin_addr.s_addr};
    const uint32_t any[4] = {0};

    if (is_v6(address)) {
        memcpy(words, &address->u.v6.sin6_addr, sizeof(words));
        put_place(&places[0], TCP6, words, 4);
        put_place(&places[1], TCP6, any, 4);
        return 2;
    }
    put_place(&places[0], TCP, words + 3, 1);
    put_place(&places[1], TCP6, words, 4);
    put_place(&places[2], TCP, any, 1);
    put_place(&places[3], TCP6, any, 4);
    return MOST_PLACES;
}

static bool find_listener(const struct qp_address *address, struct row *row)
{
    struct place places[MOST_PLACES];
    unsigned count = find_places(address, places);

    for (unsigned i = 0; i < count; i++)
        if (find_row(&(struct wanted){places[i].table, places[i].local, NULL, port_of(address), 0}, row))
            return true;
    return false;
}

/* In the way of listening on all addresses stands whoever listens on one of them. */
static bool find_obstacle(const struct qp_address *address, struct row *row)
{
    bool any = is_v6(address) ? IN6_IS_ADDR_UNSPECIFIED(&address->u.v6.sin6_addr)
                              : address->u.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    const struct wanted one = {is_v6(address) ? TCP6 : TCP, NULL, NULL, port_of(address), 0};

    return find_listener(address, row) || (any && find_row(&one, row));
}

/* The other end of the connection between the two. */
static bool find_accepted(const struct qp_address *there, const struct qp_address *here, struct row *row)
{
    struct place local[MOST_PLACES];
    struct place remote[MOST_PLACES];
    unsigned count = find_places(there, local);

    (void)find_places(here, remote);
    for (unsigned i = 0; i < count; i++) {
        const struct wanted wanted = {local[i].table, local[i].local, remote[i].local, port_of(there),
                                      port_of(here)};
        if (find_row(&wanted, row))
            return true;
    }
    return false;
}

/* In this order: who is no longer seen to listen has accepted the connection before, and is seen to have it. */
static bool find_peer(int fd, const struct qp_address *there, uid_t *user)
{
    struct qp_address here = {.len = sizeof(here.u)};
    struct row row;

    if (getsockname(fd, &here.u.any, &here.len) != 0)
        return false;
    if (!find_listener(there, &row) && !find_accepted(there, &here, &row))
        return false;
    *user = row.user;
    return true;
}

bool qp_holder_user_of_peer(int fd, uid_t *user)
{
    struct qp_address there = {.len = sizeof(there.u)};
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getpeername(fd, &there.u.any, &there.len) != 0)
        return false;
    if (there.u.any.sa_family != AF_UNIX)
        return find_peer(fd, &there, user);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *user = peer.uid;
    return true;
}

static bool has_open(const char *pid, const char *link)
{
    char path[300];
    char target[64];
    bool found = false;
    struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    while (!found && (entry = readdir(folder)) != NULL) {
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
        if (len > 0) {
            target[len] = 0;
            found = strcmp(target, link) == 0;
        }
    }
    closedir(folder);
    return found;
}

static pid_t find_process(unsigned long inode)
{
    char link[64];
    struct dirent *entry;
    pid_t pid = 0;

    snprintf(link, sizeof(link), "socket:[%lu]", inode);
    DIR *folder = opendir("/proc");
    if (!folder)
        return 0;
    while (pid == 0 && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_open(entry->d_name, link))
            pid = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    closedir(folder);
    return pid;
}

void qp_holder_describe(pid_t pid, char *out, size_t size)
{
    char path[64];
    char name[64] = "";

    snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fgets(name, sizeof(name), file))
            name[strcspn(name, "\n")] = 0;
        fclose(file);
    }
    for (char *at = name; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    if (*name)
        snprintf(out, size, "%s (process %ld)", name, (long)pid);
    else
        snprintf(out, size, "process %ld", (long)pid);
}

bool qp_holder_of_tcp(const struct qp_address *address, char *out, size_t size)
{
    struct row row;
    pid_t pid = find_obstacle(address, &row) ? find_process(row.inode) : 0;

    if (pid == 0)
        return false;
    qp_holder_describe(pid, out, size);
    return true;
}
