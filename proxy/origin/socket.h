/* socket.h - looks at the socket under a stream: what the kernel knows and no event tells. Private to the room.
 *
 * Each look is one system call that neither blocks nor changes anything. A descriptor that is none (-1) is dead.
 */
#ifndef QP_ORIGIN_SOCKET_H
#define QP_ORIGIN_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Lets the kernel ask an idle origin's host for signs of life: one that gives none is reported as a dead stream within twice lost_ms. */
void qp_socket_keep_alive(int fd, uint32_t lost_ms);
/* The origin has neither closed it nor sent a byte that was not read yet. */
bool qp_socket_is_silent(int fd);
/* What was sent is not acknowledged, and the origin's host has acknowledged nothing for so long. (A host whose program does not read
 * still acknowledges.) */
bool qp_socket_is_mute(int fd, uint32_t for_ms);

#endif
