#include "token/place.h"
#include "base/alloc.h"
#include "base/lock_file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_BYTES = NAME_MAX + 1, HOLDER_BYTES = 24 };

/* The folder is resolved, the name kept: for a file that is not there yet. */
static int resolve_folder(const char *path, char resolved[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char folder[PATH_MAX];
    if (!*name)
        return *path ? EISDIR : ENOENT;
    int len =
        snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (len < 0 || (size_t)len >= sizeof(folder))
        return ENAMETOOLONG;
    if (!realpath(folder, resolved))
        return errno;
    size_t used = strlen(resolved);
    const char *between = used && resolved[used - 1] == '/' ? "" : "/";
    len = snprintf(resolved + used, PATH_MAX - used, "%s%s", between, name);
    return (size_t)len >= PATH_MAX - used ? ENAMETOOLONG : 0;
}

static int resolve(const char *path, char resolved[PATH_MAX])
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? resolve_folder(path, resolved) : errno;
    if (!realpath(path, resolved))
        return errno == ENOENT ? ENOLINK : errno;
    return resolved[1] ? 0 : EISDIR;
}

int qp_place_open(struct qp_place *place, const char *path)
{
    char resolved[PATH_MAX];
    int error = resolve(path, resolved);
    if (error)
        return error;
    char *name = strrchr(resolved, '/') + 1;
    char kept = *name;
    *name = 0;
    int folder_fd = open(resolved, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *name = kept;
    if (folder_fd < 0)
        return errno;
    struct stat status;
    bool is_there = fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && fstat(folder_fd, &status) != 0) {
        error = errno;
        close(folder_fd);
        return error;
    }
    *place = (struct qp_place){.path = qp_strndup(resolved, strlen(resolved)),
                               .folder_fd = folder_fd,
                               .owner = status.st_uid,
                               .group = status.st_gid,
                               .mode = QP_PLACE_PRIVATE};
    if (is_there)
        place->mode |= status.st_mode & S_IRGRP;
    place->name = place->path + (name - resolved);
    return 0;
}

void qp_place_close(struct qp_place *place)
{
    if (!place->path)
        return;
    close(place->folder_fd);
    qp_free(place->path);
    *place = (struct qp_place){0};
}

/* A name that is too long is cut, and then none that exists: the system says ENAMETOOLONG or ENOENT. */
static const char *with_suffix(const struct qp_place *place, const char *suffix, char name[NAME_BYTES + 8])
{
    snprintf(name, NAME_BYTES + 8, "%s%s", place->name, suffix);
    return name;
}

bool qp_place_is_free(const struct qp_place *place)
{
    struct stat status;
    return fstatat(place->folder_fd, place->name, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

static int read_up_to(int fd, size_t most_bytes, struct qp_buf *bytes)
{
    char *room = qp_buf_reserve(bytes, most_bytes);
    for (size_t len = 0; len < most_bytes;) {
        ssize_t got = read(fd, room + len, most_bytes - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        len += (size_t)got;
        qp_buf_commit(bytes, (size_t)got);
    }
    return 0;
}

int qp_place_read(const struct qp_place *place, const char *suffix, size_t most_bytes, struct qp_buf *bytes,
                  struct stat *status)
{
    char name[NAME_BYTES + 8];
    struct stat here;
    /* Without O_NONBLOCK a FIFO that nobody writes to would hold us here for ever. */
    int fd = openat(place->folder_fd, with_suffix(place, suffix, name),
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno;
    int error = fstat(fd, &here) == 0 ? 0 : errno;
    if (!error && !S_ISREG(here.st_mode))
        error = EINVAL;
    if (!error) {
        /* One byte more than there should be, so that too much is seen. */
        size_t size = (uint64_t)here.st_size < most_bytes ? (size_t)here.st_size : most_bytes;
        error = read_up_to(fd, size + 1, bytes);
    }
    close(fd);
    if (!error && status)
        *status = here;
    return error;
}

/* Root may give files away, others may not; then nobody of a group that we do not mean reads it. */
static int set_mode(const struct qp_place *place, int fd, mode_t mode)
{
    uid_t owner = geteuid() == 0 ? place->owner : (uid_t)-1;
    if (fchown(fd, owner, place->group) != 0) {
        if (errno != EPERM)
            return errno;
        mode = QP_PLACE_PRIVATE;
    }
    return fchmod(fd, mode) == 0 ? 0 : errno;
}

int qp_place_create(const struct qp_place *place, const char *suffix, mode_t mode, int *fd)
{
    char name[NAME_BYTES + 8];
    with_suffix(place, suffix, name);
    if (*suffix && unlinkat(place->folder_fd, name, 0) != 0 && errno != ENOENT)
        return errno;
    /* Readable too: where the file system cannot set space aside, posix_fallocate() looks at what is there. */
    int made =
        openat(place->folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, QP_PLACE_PRIVATE);
    if (made < 0)
        return errno;
    int error = set_mode(place, made, mode);
    if (error) {
        close(made);
        unlinkat(place->folder_fd, name, 0);
        return error;
    }
    *fd = made;
    return 0;
}

int qp_place_fill(int fd, struct qp_slice content)
{
    for (size_t at = 0; at < content.len;) {
        ssize_t put = pwrite(fd, content.at + at, content.len - at, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        at += (size_t)put;
    }
    return ftruncate(fd, (off_t)content.len) == 0 ? 0 : errno;
}

int qp_place_rename(const struct qp_place *place, const char *suffix)
{
    char name[NAME_BYTES + 8];
    with_suffix(place, suffix, name);
    return renameat(place->folder_fd, name, place->folder_fd, place->name) == 0 ? 0 : errno;
}

void qp_place_remove(const struct qp_place *place, const char *suffix)
{
    char name[NAME_BYTES + 8];
    unlinkat(place->folder_fd, with_suffix(place, suffix, name), 0);
}

/* Some file systems have nothing to do here, and say so with EINVAL. */
int qp_place_sync(const struct qp_place *place)
{
    return fsync(place->folder_fd) == 0 || errno == EINVAL ? 0 : errno;
}

static uint64_t holder_of(const struct qp_place *place)
{
    struct qp_buf text = {0};
    uint64_t holder = 0;
    if (qp_place_read(place, ".lock", HOLDER_BYTES, &text, NULL) == 0) {
        struct qp_slice rest = qp_buf_slice(&text);
        if (!qp_slice_to_u64(qp_slice_cut(&rest, '\n'), &holder))
            holder = 0;
    }
    qp_buf_deinit(&text);
    return holder;
}

/* Root writes into it, so it must not be another name of a file that matters. */
static int sign_lock(const struct qp_place *place, int fd)
{
    char text[HOLDER_BYTES];
    struct stat status;
    if (fstat(fd, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
        return EINVAL;
    int error = set_mode(place, fd, QP_PLACE_PRIVATE);
    if (error)
        return error;
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    (void)qp_place_fill(
        fd, qp_slice(text, (size_t)len)); /* without it the message of the other process knows less */
    return 0;
}

int qp_place_lock(const struct qp_place *place, int *fd, uint64_t *holder)
{
    char name[NAME_BYTES + 8];
    int taken = qp_lock_file_take(place->folder_fd, with_suffix(place, ".lock", name));
    if (taken < 0) {
        int error = errno;
        *holder = error == EWOULDBLOCK ? holder_of(place) : 0;
        return error;
    }
    int error = sign_lock(place, taken);
    if (error) {
        close(taken);
        return error;
    }
    *fd = taken;
    return 0;
}
