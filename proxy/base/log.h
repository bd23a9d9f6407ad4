/* log.h - one line per situation. Any thread; a line is one write, and no write waits (sink.h).
 *
 * Lower-case, no period, variable text quoted by the caller with %s in ''. A token, a
 * credential, a body or a whole head is never an argument: secrets have no formatter on purpose.
 * Text form:  2026-11-23T20:15:02.123Z warn  c12 r3 token: message
 * JSON form:  {"time":"…","level":"warn","conn":12,"request":3,"room":"token","message":"…"}
 */
#ifndef QP_BASE_LOG_H
#define QP_BASE_LOG_H

#include "base/slice.h"

enum qp_log_level { QP_LOG_ERROR, QP_LOG_WARN, QP_LOG_INFO, QP_LOG_DEBUG };
enum qp_log_form { QP_LOG_TEXT, QP_LOG_JSON };

struct qp_log_opts {
    enum qp_log_level level;
    enum qp_log_form form;
    int fd;        /* where messages go; 2 by default */
    int access_fd; /* where access lines go; -1: none */
};

/* Before threads start. Without it: text, info, to 2, no access lines. To change a file later (rotation), dup2() the
 * new one over the fd. */
void qp_log_setup(const struct qp_log_opts *opts);
/* Any thread, any time. */
void qp_log_set_level(enum qp_log_level level);

/* True if lines of that level are written; for callers that would have to compute something for the line. */
bool qp_log_wants(enum qp_log_level level);

/* room: "net", "token", … conn and request: ids, 0 for none. Cut at 4 KiB; control bytes and broken UTF-8 become '?'. Keeps
 * errno. Lines that cannot be written (disk full, a pipe that nobody reads) are counted, and behind the next one that can it says how many. */
void qp_log_line(enum qp_log_level level, const char *room, uint64_t conn, uint64_t request,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

#define qp_log_error(room, ...) qp_log_line(QP_LOG_ERROR, room, 0, 0, __VA_ARGS__)
#define qp_log_warn(room, ...)  qp_log_line(QP_LOG_WARN, room, 0, 0, __VA_ARGS__)
#define qp_log_info(room, ...)  qp_log_line(QP_LOG_INFO, room, 0, 0, __VA_ARGS__)
#define qp_log_debug(room, ...)                                 \
    do {                                                        \
        if (qp_log_wants(QP_LOG_DEBUG))                         \
            qp_log_line(QP_LOG_DEBUG, room, 0, 0, __VA_ARGS__); \
    } while (0)

/* So that an outage does not become a flood: zeroed at first, of one thread. */
struct qp_log_pace {
    uint64_t second;
    unsigned lines;
};
/* True for the first `most` lines of each second. */
bool qp_log_may(struct qp_log_pace *pace, unsigned most);

/* Appends one finished access line (with its newline) to this thread's buffer; it is written when the buffer
 * holds 16 KiB or at qp_log_access_flush(), which each worker calls within a second. */
void qp_log_access(struct qp_slice line);
void qp_log_access_flush(void);
/* True if this thread's buffer holds lines. */
bool qp_log_access_is_pending(void);

/* Of both kinds, since the start. */
uint64_t qp_log_lost_lines(void);

#endif
