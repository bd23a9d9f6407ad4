/* place.h - a small file that is only ever replaced as a whole, and those beside it. Private to token/; control thread; blocking.
 *
 * Everything happens in the folder that was opened, under PATH and PATH with a suffix. What is made has the mode that is asked for whatever the
 * umask, and, when root makes it, belongs to whom the file (or else its folder) belongs to: what `sudo qproxy` wrote must be readable to the daemon.
 * An `int` result is 0 or an errno.
 */
#ifndef QP_TOKEN_PLACE_H
#define QP_TOKEN_PLACE_H

#include "base/buf.h"
#include <sys/stat.h>

struct qp_place {
    char *path; /* absolute, without links: replacing the file does not replace a link to it */
    char *name; /* its last part; lies in path */
    int folder_fd;
    uid_t owner;
    gid_t group;
    mode_t mode; /* the file's own, without what others might do; 0600 if it is not there */
};

enum { QP_PLACE_PRIVATE = S_IRUSR | S_IWUSR };

/* ENOENT: there is no such folder; the file itself need not be there. ENOLINK: a link to nothing. */
int qp_place_open(struct qp_place *place, const char *path);
/* A zeroed struct is fine. */
void qp_place_close(struct qp_place *place);
/* The system says that there is no such file. Anything else that it says is no reason to make one. */
bool qp_place_is_free(const struct qp_place *place);

/* Appends the file's content, up to most_bytes + 1 bytes of it. EINVAL: not a regular file. status: may be NULL. */
int qp_place_read(const struct qp_place *place, const char *suffix, size_t most_bytes, struct qp_buf *bytes,
                  struct stat *status);
/* A new, empty file in the place of what may be there under this name; without a suffix only if nothing is: else EEXIST. */
int qp_place_create(const struct qp_place *place, const char *suffix, mode_t mode, int *fd);
/* From the file's start on, and nothing behind it. */
int qp_place_fill(int fd, struct qp_slice content);
int qp_place_rename(const struct qp_place *place, const char *suffix);
void qp_place_remove(const struct qp_place *place, const char *suffix);
/* What was made, renamed or removed is so even when the power fails. */
int qp_place_sync(const struct qp_place *place);

/* Locks PATH.lock and writes our process id into it. EWOULDBLOCK: *holder is the id of who has it, 0 if that is not known. */
int qp_place_lock(const struct qp_place *place, int *fd, uint64_t *holder);

#endif
