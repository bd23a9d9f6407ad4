/* holder.c - address -> socket's inode (/proc/net/tcp) -> process that has it open (/proc/PID/fd). */
#include "net/holder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATE_LISTEN = 0x0A };

/* One line of /proc/net/tcp or tcp6: addresses as hexadecimal words in the machine's order. */
static bool line_matches(const char *line, const struct qp_address *address, unsigned long *inode)
{
    char local[33];
    unsigned port;
    unsigned state;
    bool v6 = address->u.any.sa_family == AF_INET6;
    unsigned wanted = ntohs(v6 ? address->u.v6.sin6_port : address->u.v4.sin_port);

    if (sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu", local, &port,
               &state, inode) != 4)
        return false;
    if (port != wanted || state != STATE_LISTEN || *inode == 0)
        return false;
    /* Any address conflicts with each: so only two different true addresses are no match. */
    if (strspn(local, "0") == strlen(local))
        return true;
    char mine[33];
    uint32_t words[4];
    if (v6) {
        memcpy(words, &address->u.v6.sin6_addr, sizeof(words));
        if (IN6_IS_ADDR_UNSPECIFIED(&address->u.v6.sin6_addr))
            return true;
        snprintf(mine, sizeof(mine), "%08X%08X%08X%08X", words[0], words[1], words[2], words[3]);
    } else {
        if (address->u.v4.sin_addr.s_addr == htonl(INADDR_ANY))
            return true;
        snprintf(mine, sizeof(mine), "%08X", address->u.v4.sin_addr.s_addr);
    }
    return strcmp(mine, local) == 0;
}

static bool find_inode(const char *table, const struct qp_address *address, unsigned long *inode)
{
    FILE *file = fopen(table, "re");
    char line[512];
    bool found = false;

    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file))
        found = line_matches(line, address, inode);
    fclose(file);
    return found;
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
    unsigned long inode;
    /* A socket for all IPv6 addresses may hold the IPv4 port too. */
    struct qp_address any6 = {.u.v6.sin6_family = AF_INET6};

    if (address->u.any.sa_family == AF_INET6) {
        if (!find_inode("/proc/net/tcp6", address, &inode))
            return false;
    } else if (!find_inode("/proc/net/tcp", address, &inode)) {
        any6.u.v6.sin6_port = address->u.v4.sin_port;
        if (!find_inode("/proc/net/tcp6", &any6, &inode))
            return false;
    }
    pid_t pid = find_process(inode);
    if (pid == 0)
        return false;
    qp_holder_describe(pid, out, size);
    return true;
}
