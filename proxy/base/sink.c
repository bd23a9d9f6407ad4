#include "base/sink.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* One for all, since two sinks may lead to one pipe: between the look whether it takes a line and the writing nobody may fill it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t lost_lines;

enum kind { KIND_FILE, KIND_SOCKET, KIND_OTHER };

/* Asked anew each time, for a file may be put in another's place (rotation); it is one call for many lines. */
static enum kind kind_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || S_ISREG(status.st_mode))
        return KIND_FILE;
    return S_ISSOCK(status.st_mode) ? KIND_SOCKET : KIND_OTHER;
}

/* A descriptor of ours may be another program's too, so it is not made non-blocking. A pipe that can be written to takes PIPE_BUF bytes. */
static bool can_take(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    int ready = poll(&look, 1, 0);
    if (ready == 0)
        errno = EAGAIN;
    return ready > 0;
}

static ssize_t write_now(int fd, enum kind kind, struct qp_slice bytes)
{
    if (kind == KIND_SOCKET)
        return send(fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (kind == KIND_OTHER && !can_take(fd))
        return -1;
    return write(fd, bytes.at, bytes.len);
}

/* What is written at once: all of it to a file, else whole lines that fit into PIPE_BUF bytes. */
static size_t piece_of(enum kind kind, struct qp_slice lines)
{
    if (kind != KIND_OTHER || lines.len <= PIPE_BUF)
        return lines.len;
    const char *end = memrchr(lines.at, '\n', PIPE_BUF);
    return end ? (size_t)(end + 1 - lines.at) : PIPE_BUF;
}

static uint64_t count_lines(struct qp_slice text)
{
    uint64_t lines = 0;
    while (qp_slice_cut(&text, '\n').at && text.at)
        lines++;
    return lines;
}

/* A line that was cut short by a full disk must not run into the next one. */
static bool mend(struct qp_sink *sink, enum kind kind)
{
    if (sink->is_torn && write_now(sink->fd, kind, QP_SLICE("\n")) == 1)
        sink->is_torn = false;
    return !sink->is_torn;
}

static bool write_all(struct qp_sink *sink, enum kind kind, struct qp_slice *rest)
{
    while (rest->len > 0) {
        size_t want = piece_of(kind, *rest);
        ssize_t wrote = write_now(sink->fd, kind, qp_slice(rest->at, want));
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        sink->is_torn = rest->at[wrote - 1] != '\n';
        *rest = qp_slice(rest->at + wrote, rest->len - (size_t)wrote);
    }
    return true;
}

bool qp_sink_write(struct qp_sink *sink, struct qp_slice lines)
{
    pthread_mutex_lock(&lock);
    enum kind kind = kind_of(sink->fd);
    bool is_done = mend(sink, kind) && write_all(sink, kind, &lines);
    if (!is_done) {
        uint64_t lost = count_lines(lines);
        sink->why = errno;
        sink->untold += lost;
        atomic_fetch_add_explicit(&lost_lines, lost, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    return is_done;
}

uint64_t qp_sink_losses(const struct qp_sink *sink)
{
    pthread_mutex_lock(&lock);
    uint64_t lines = sink->untold;
    pthread_mutex_unlock(&lock);
    return lines;
}

const char *qp_sink_why(const struct qp_sink *sink)
{
    pthread_mutex_lock(&lock);
    int why = sink->why;
    pthread_mutex_unlock(&lock);
    const char *text = why == EAGAIN ? "nobody took them in time" : strerrordesc_np(why);
    return text ? text : "no reason known";
}

uint64_t qp_sink_take_losses(struct qp_sink *sink, uint64_t now_s)
{
    pthread_mutex_lock(&lock);
    uint64_t lines = now_s == sink->told_s ? 0 : sink->untold;
    if (lines > 0) {
        sink->untold = 0;
        sink->told_s = now_s;
    }
    pthread_mutex_unlock(&lock);
    return lines;
}

void qp_sink_return_losses(struct qp_sink *sink, uint64_t lines)
{
    pthread_mutex_lock(&lock);
    sink->untold += lines;
    pthread_mutex_unlock(&lock);
}

uint64_t qp_sink_lost_lines(void)
{
    return atomic_load_explicit(&lost_lines, memory_order_relaxed);
}
