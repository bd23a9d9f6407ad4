/* holder.h - who has a busy address, as far as /proc tells. Private to net/. Blocking; for a message at start. */
#ifndef QP_NET_HOLDER_H
#define QP_NET_HOLDER_H

#include "net/address.h"
#include <sys/types.h>

/* Writes "nginx (process 4711)" for a TCP address that somebody listens on; false when that cannot be told. */
bool qp_holder_of_tcp(const struct qp_address *address, char *out, size_t size);
/* The same for a process id. */
void qp_holder_describe(pid_t pid, char *out, size_t size);

#endif
