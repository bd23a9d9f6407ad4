#include "origin/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

enum { PROBES = 3 };

void qp_socket_keep_alive(int fd, uint32_t lost_ms)
{
    const int idle_s = lost_ms < 1000 ? 1 : (int)(lost_ms / 1000);
    const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {IPPROTO_TCP, TCP_KEEPIDLE, idle_s},
        {IPPROTO_TCP, TCP_KEEPINTVL, idle_s < PROBES ? 1 : idle_s / PROBES},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
    };

    /* A refusal costs the early notice only. */
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

bool qp_socket_is_silent(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool qp_socket_is_mute(int fd, uint32_t for_ms)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_unacked > 0 &&
           info.tcpi_last_ack_recv >= for_ms;
}
