/* lock_file.h - a file whose lock says to other processes: this is mine. Any thread; blocking, but not for the lock.
 *
 * The lock ends with the descriptor, so at any death too. The file may be removed at any time by who has the lock.
 */
#ifndef QP_BASE_LOCK_FILE_H
#define QP_BASE_LOCK_FILE_H

/* Makes the file (mode 0600) if it is not there, and locks it. folder_fd: where `name` starts, or AT_FDCWD. A descriptor to close, or -1: errno is
 * EWOULDBLOCK when another process has the lock. */
int qp_lock_file_take(int folder_fd, const char *name);

#endif
