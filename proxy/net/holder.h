/* holder.h - who has an address of this machine, as far as /proc tells. Any thread; blocking: a table of the kernel's is read. */
#ifndef QP_NET_HOLDER_H
#define QP_NET_HOLDER_H

#include "net/address.h"
#include <sys/types.h>

/* Writes "nginx (process 4711)" for a TCP address that somebody listens on; false when that cannot be told. */
bool qp_holder_of_tcp(const struct qp_address *address, char *out, size_t size);
/* The same for a process id. */
void qp_holder_describe(pid_t pid, char *out, size_t size);
/* The user at the other end of a connected TCP or Unix socket: who listens there or, if he has ceased to, who accepted the connection. False: nobody on
 * this machine is seen to, so that it leads elsewhere. */
bool qp_holder_user_of_peer(int fd, uid_t *user);

#endif
