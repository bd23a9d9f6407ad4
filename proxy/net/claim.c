/* claim.c - proving that an address is free, and keeping it.
 *
 * TCP: SO_REUSEPORT would let a second daemon of the same user share the port unnoticed. The claim's socket is bound and listens for a
 * moment without it, which fails if anybody else has the port in any way; then it stops to listen (so it takes no connection)
 * but stays bound, and allows sharing from then on. A later daemon's proof fails on it, workers come or not.
 *
 * Unix: a file beside the socket is locked first, so that two daemons do not take the same dead socket for theirs.
 */
#include "net/listen.h"

#include "base/alloc.h"
#include "base/lock_file.h"
#include "net/holder.h"
#include "net/loop_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

struct qp_listen_claim {
    struct qp_address address;
    int fd;      /* TCP: bound, not listening; Unix: listening */
    int lock_fd; /* Unix */
    dev_t device;
    ino_t inode; /* of the Unix socket's file */
};

static const char *path_of(const struct qp_address *address)
{
    return address->u.local.sun_path;
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

static int new_tcp_socket(const struct qp_address *address)
{
    int family = address->u.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    /* Else connections of a former daemon in TIME_WAIT block the port. And [::] does not mean IPv4 too. */
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0 ||
        (family == AF_INET6 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool claim_tcp(struct qp_listen_claim *claim)
{
    struct qp_address *address = &claim->address;

    claim->fd = new_tcp_socket(address);
    if (claim->fd < 0 || bind(claim->fd, &address->u.any, address->len) != 0)
        return false;
    /* A port of the kernel's choice is free, and the pause in listening would give it back. */
    bool chosen =
        address->u.any.sa_family == AF_INET6 ? address->u.v6.sin6_port == 0 : address->u.v4.sin_port == 0;
    if (chosen ? getsockname(claim->fd, &address->u.any, &address->len) != 0 : listen(claim->fd, 1) != 0)
        return false;
    /* Two sockets with SO_REUSEADDR share a port while only one of them listens: without it the claim stands in the way of all but
     * our workers. It goes before the listening ends, or two daemons that start together could listen in turn. */
    if (set_option(claim->fd, SOL_SOCKET, SO_REUSEADDR, 0) != 0 ||
        set_option(claim->fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
        return false;
    return chosen || shutdown(claim->fd, SHUT_RD) == 0;
}

static int lock_beside(const char *path)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];

    snprintf(name, sizeof(name), "%s.lock", path);
    int fd = qp_lock_file_take(AT_FDCWD, name);
    if (fd < 0 && errno == EWOULDBLOCK)
        errno = EADDRINUSE;
    return fd;
}

/* True if somebody answers; who, if the kernel tells. */
static bool is_answered(const struct qp_address *address, char *who, size_t size)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return true;
    bool answered = connect(fd, &address->u.any, address->len) == 0 || errno == EAGAIN;
    if (answered && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid > 0)
        qp_holder_describe(cred.pid, who, size);
    close(fd);
    return answered;
}

static bool clear_path(const struct qp_address *address, char *who, size_t size)
{
    struct stat there;

    if (lstat(path_of(address), &there) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(there.st_mode)) {
        errno = EEXIST;
        return false;
    }
    if (is_answered(address, who, size)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(path_of(address)) == 0 || errno == ENOENT;
}

static bool claim_local(struct qp_listen_claim *claim, unsigned mode, char *who, size_t size)
{
    struct qp_address *address = &claim->address;
    struct stat made;

    claim->lock_fd = lock_beside(path_of(address));
    if (claim->lock_fd < 0) {
        int error = errno;
        is_answered(address, who, size);
        errno = error;
        return false;
    }
    if (!clear_path(address, who, size))
        return false;
    claim->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The socket's own mode bounds the file's from the first moment, without touching the process's umask. */
    if (claim->fd < 0 || fchmod(claim->fd, mode) != 0 || bind(claim->fd, &address->u.any, address->len) != 0)
        return false;
    if (lstat(path_of(address), &made) != 0)
        return false;
    claim->device = made.st_dev;
    claim->inode = made.st_ino;
    return chmod(path_of(address), mode) == 0 && listen(claim->fd, BACKLOG) == 0;
}

static enum qp_result explain(const struct qp_address *address, int fault, const char *who, char *line,
                              size_t line_size)
{
    char text[128];

    qp_address_format(address, text, sizeof(text));
    switch (fault) {
    case EADDRINUSE:
        snprintf(line, line_size, "%s is in use by %s", text, *who ? who : "another process");
        return QP_NET_IN_USE;
    case EEXIST:
        snprintf(line, line_size,
                 "%s: a file that is not a socket is there; remove it or choose another path", text);
        return QP_NET_IN_USE;
    case EACCES:
    case EPERM:
        snprintf(line, line_size, "%s: permission denied%s", text,
                 address->u.any.sa_family == AF_UNIX ? "; may this user write to the folder?"
                                                     : "; ports below 1024 need CAP_NET_BIND_SERVICE");
        return QP_NET_DENIED;
    case EADDRNOTAVAIL:
        snprintf(line, line_size, "%s: this machine has no such address", text);
        return QP_NET_UNREACHABLE;
    default:
        snprintf(line, line_size, "%s: %s", text, strerror(fault));
        return qp_net_result(-fault);
    }
}

static void free_claim(struct qp_listen_claim *claim)
{
    if (claim->fd >= 0)
        close(claim->fd);
    if (claim->lock_fd >= 0)
        close(claim->lock_fd);
    qp_free(claim);
}

enum qp_result qp_listen_claim(struct qp_address *address, unsigned mode, struct qp_listen_claim **out,
                               char *error, size_t error_size)
{
    struct qp_listen_claim *claim = qp_alloc(sizeof(*claim));
    bool local = address->u.any.sa_family == AF_UNIX;
    char who[128] = "";

    claim->address = *address;
    claim->fd = -1;
    claim->lock_fd = -1;
    if (!(local ? claim_local(claim, mode, who, sizeof(who)) : claim_tcp(claim))) {
        int fault = errno;
        if (!local && fault == EADDRINUSE)
            qp_holder_of_tcp(address, who, sizeof(who));
        free_claim(claim);
        return explain(address, fault, who, error, error_size);
    }
    *address = claim->address;
    *out = claim;
    return QP_OK;
}

int qp_listen_fd(struct qp_listen_claim *claim)
{
    const struct qp_address *address = &claim->address;

    if (address->u.any.sa_family == AF_UNIX)
        return fcntl(claim->fd, F_DUPFD_CLOEXEC, 0);
    int fd = new_tcp_socket(address);
    if (fd < 0)
        return -1;
    if (set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0 && bind(fd, &address->u.any, address->len) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void qp_listen_release(struct qp_listen_claim **slot)
{
    struct qp_listen_claim *claim = *slot;
    struct stat there;
    char lock[sizeof(claim->address.u.local.sun_path) + 8];

    *slot = NULL;
    if (!claim)
        return;
    if (claim->address.u.any.sa_family == AF_UNIX) {
        /* Only our own file: somebody may have replaced it by hand. */
        if (lstat(path_of(&claim->address), &there) == 0 && there.st_ino == claim->inode &&
            there.st_dev == claim->device)
            unlink(path_of(&claim->address));
        snprintf(lock, sizeof(lock), "%s.lock", path_of(&claim->address));
        unlink(lock);
    }
    free_claim(claim);
}
