/* memory.h - whose memory the libraries of this room use. */
#ifndef QP_NET_MEMORY_H
#define QP_NET_MEMORY_H

/* libuv and mbedTLS take theirs from base/alloc.h from now on, so that it counts for the ceiling. Before anything else of this room, and before
 * whatever else uses these libraries: once per process, before threads. */
void qp_net_count_memory(void);

#endif
