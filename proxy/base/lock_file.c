#include "base/lock_file.h"
#include <stdbool.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TRIES = 10 };

/* Its owner may have removed the file between our open and our lock, then the lock means nothing. */
static bool is_still_there(int fd, int folder_fd, const char *name)
{
    struct stat mine;
    struct stat there;
    return fstat(fd, &mine) == 0 && fstatat(folder_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

int qp_lock_file_take(int folder_fd, const char *name)
{
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        int fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                        S_IRUSR | S_IWUSR);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
        if (is_still_there(fd, folder_fd, name))
            return fd;
        close(fd);
    }
    errno = EWOULDBLOCK;
    return -1;
}
