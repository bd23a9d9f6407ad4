#include "unit/server/wire.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/timer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_WIRES = 64, LIMIT_MS = 2000 };

static struct {
    struct qp_loop *loop;
    struct qp_timer tick;
    struct wire *wires[MAX_WIRES];
    bool wants_end[MAX_WIRES];
    unsigned count;
    bool (*go_on)(void *context);
    void *context;
    uint64_t until_ms;
    bool timed_out;
} bench;

static void read_some(struct wire *wire)
{
    while (!wire->paused && !wire->ended && !wire->reset) {
        char *room = qp_buf_reserve(&wire->in, 65536);
        ssize_t got = recv(wire->fd, room, 65536, MSG_DONTWAIT);
        if (got > 0)
            qp_buf_commit(&wire->in, (size_t)got);
        else if (got == 0)
            wire->ended = true;
        else if (errno != EAGAIN && errno != EINTR)
            wire->reset = true;
        else
            return;
    }
}

static void write_some(struct wire *wire, bool *wants_end)
{
    while (qp_buf_len(&wire->out) > 0) {
        struct qp_slice rest = qp_buf_slice(&wire->out);
        ssize_t put = send(wire->fd, rest.at, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put > 0)
            qp_buf_consume(&wire->out, (size_t)put);
        else if (errno == EAGAIN)
            return;
        else
            qp_buf_clear(&wire->out);
    }
    if (*wants_end)
        shutdown(wire->fd, SHUT_WR);
    *wants_end = false;
}

static void move_bytes(void *context)
{
    if (!bench.go_on)
        return;
    for (unsigned i = 0; i < bench.count; i++) {
        if (bench.wires[i]->fd < 0)
            continue;
        write_some(bench.wires[i], &bench.wants_end[i]);
        read_some(bench.wires[i]);
    }
    bench.timed_out = qp_clock_monotonic_ms() >= bench.until_ms;
    if (bench.timed_out || !bench.go_on(bench.context))
        qp_loop_stop(bench.loop);
}

/* The wires do not wake the loop; this does. */
static void on_tick(struct qp_timer *timer)
{
    qp_timer_arm(bench.loop, timer, 1);
}

struct qp_loop *wire_begin(void)
{
    memset(&bench, 0, sizeof(bench));
    bench.loop = qp_loop_new();
    qp_timer_init(&bench.tick, on_tick);
    qp_loop_on_idle(bench.loop, move_bytes, NULL);
    return bench.loop;
}

void wire_end(void)
{
    for (unsigned i = 0; i < bench.count; i++) {
        wire_close(bench.wires[i]);
        qp_buf_deinit(&bench.wires[i]->in);
        qp_buf_deinit(&bench.wires[i]->out);
        qp_free(bench.wires[i]);
    }
    qp_timer_deinit(&bench.tick);
    qp_loop_free(&bench.loop);
}

static struct wire *adopt(int fd)
{
    struct wire *wire = qp_alloc(sizeof(*wire));
    const int one = 1;

    qp_require(fd >= 0 && bench.count < MAX_WIRES);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    wire->fd = fd;
    bench.wires[bench.count++] = wire;
    return wire;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

struct wire *wire_connect(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    qp_require(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    return adopt(fd);
}

struct wire *wire_connect_local(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    qp_require(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    qp_require(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    return adopt(fd);
}

int wire_listen(uint16_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    qp_require(bind(fd, (const struct sockaddr *)&address, len) == 0 && listen(fd, 64) == 0);
    qp_require(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

struct waiting {
    int listening;
    int fd;
};

static bool nobody_yet(void *context)
{
    struct waiting *waiting = context;

    waiting->fd = accept4(waiting->listening, NULL, NULL, SOCK_CLOEXEC);
    return waiting->fd < 0;
}

struct wire *wire_accept(int listening)
{
    struct waiting waiting = {.listening = listening, .fd = -1};

    return wire_run_while(nobody_yet, &waiting) ? adopt(waiting.fd) : NULL;
}

bool wire_nobody_came(int listening)
{
    const int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

void wire_send_bytes(struct wire *wire, const char *at, size_t len)
{
    qp_buf_append(&wire->out, qp_slice(at, len));
}

void wire_send(struct wire *wire, const char *text)
{
    qp_buf_append_str(&wire->out, text);
}

void wire_end_output(struct wire *wire)
{
    for (unsigned i = 0; i < bench.count; i++)
        bench.wants_end[i] |= bench.wires[i] == wire;
}

void wire_reset(struct wire *wire)
{
    const struct linger hard = {.l_onoff = 1};

    setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    wire_close(wire);
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
}

bool wire_run_while(bool (*go_on)(void *context), void *context)
{
    bench.go_on = go_on;
    bench.context = context;
    bench.until_ms = qp_clock_monotonic_ms() + LIMIT_MS;
    qp_timer_arm(bench.loop, &bench.tick, 1);
    qp_loop_run(bench.loop);
    qp_timer_disarm(&bench.tick);
    bench.go_on = NULL;
    return !bench.timed_out;
}

static bool is_before(void *context)
{
    return qp_clock_monotonic_ms() < *(const uint64_t *)context;
}

void wire_run_ms(uint64_t ms)
{
    uint64_t until_ms = qp_clock_monotonic_ms() + ms;

    wire_run_while(is_before, &until_ms);
}

struct expected {
    struct wire *wire;
    const char *what;
};

static bool is_missing(void *context)
{
    const struct expected *expected = context;

    return !wire_has(expected->wire, expected->what) && !expected->wire->ended && !expected->wire->reset;
}

bool wire_run_until(struct wire *wire, const char *what)
{
    struct expected expected = {.wire = wire, .what = what};

    wire_run_while(is_missing, &expected);
    return wire_has(wire, what);
}

static bool is_open(void *context)
{
    const struct wire *wire = context;

    return !wire->ended && !wire->reset;
}

bool wire_run_until_end(struct wire *wire)
{
    return wire_run_while(is_open, wire);
}

bool wire_has(const struct wire *wire, const char *what)
{
    return wire_count(wire, what) > 0;
}

/* Not with memmem(): ThreadSanitizer would look at the whole rest for each find. */
unsigned wire_count(const struct wire *wire, const char *what)
{
    const struct qp_slice text = qp_buf_slice(&wire->in);
    const size_t len = strlen(what);
    unsigned count = 0;

    for (size_t i = 0; i + len <= text.len; i++)
        count += text.at[i] == what[0] && memcmp(text.at + i, what, len) == 0;
    return count;
}

const char *wire_text(struct wire *wire)
{
    *qp_buf_reserve(&wire->in, 1) = '\0';
    return wire->in.data + wire->in.start;
}

void wire_forget(struct wire *wire)
{
    qp_buf_clear(&wire->in);
}
