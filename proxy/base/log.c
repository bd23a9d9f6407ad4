#include "base/log.h"
#include "base/clock.h"
#include "base/sink.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { LINE_BYTES = 4096, ACCESS_BYTES = 16 * 1024 };

static const char level_names[][6] = {"error", "warn", "info", "debug"};

static _Atomic int level_now = QP_LOG_INFO;
static enum qp_log_form form_now = QP_LOG_TEXT;
static struct qp_sink messages = {.fd = 2};
static struct qp_sink access_lines = {.fd = -1};

static _Thread_local char access_data[ACCESS_BYTES];
static _Thread_local size_t access_len;

void qp_log_setup(const struct qp_log_opts *opts)
{
    form_now = opts->form;
    messages = (struct qp_sink){.fd = opts->fd};
    access_lines = (struct qp_sink){.fd = opts->access_fd};
    qp_log_set_level(opts->level);
}

void qp_log_set_level(enum qp_log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

bool qp_log_wants(enum qp_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

struct line {
    size_t len;
    char data[LINE_BYTES];
};

/* Leaves `spare` bytes for what has to follow. */
static void put_message(struct line *line, const char *at, size_t len, bool json, size_t spare)
{
    while (len) {
        size_t bytes = qp_utf8_shown_bytes(qp_slice(at, len));
        bool escape = json && (*at == '"' || *at == '\\');
        if (line->len + (bytes ? bytes : 1) + escape + spare > sizeof(line->data))
            return;
        if (escape)
            line->data[line->len++] = '\\';
        if (bytes)
            memcpy(line->data + line->len, at, bytes);
        else
            line->data[line->len] = '?';
        bytes = bytes ? bytes : 1;
        line->len += bytes;
        at += bytes;
        len -= bytes;
    }
}

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof(line->data) - line->len;
    int len = vsnprintf(line->data + line->len, room, format, args);
    va_end(args);
    if (len > 0)
        line->len += (size_t)len < room ? (size_t)len : room - 1;
}

static void put_time(struct line *line)
{
    int64_t now_ms = qp_clock_unix_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    line->len += strftime(line->data + line->len, sizeof(line->data) - line->len, "%Y-%m-%dT%H:%M:%S", &utc);
    put(line, ".%03dZ", (int)(now_ms % 1000));
}

struct situation {
    enum qp_log_level level;
    const char *room;
    uint64_t conn;
    uint64_t request;
};

static void put_text_head(struct line *line, const struct situation *where)
{
    put_time(line);
    put(line, " %-5s ", level_names[where->level]);
    if (where->conn)
        put(line, "c%" PRIu64 " ", where->conn);
    if (where->request)
        put(line, "r%" PRIu64 " ", where->request);
    put(line, "%s: ", where->room);
}

static void put_json_head(struct line *line, const struct situation *where)
{
    put(line, "{\"time\":\"");
    put_time(line);
    put(line, "\",\"level\":\"%s\"", level_names[where->level]);
    if (where->conn)
        put(line, ",\"conn\":%" PRIu64, where->conn);
    if (where->request)
        put(line, ",\"request\":%" PRIu64, where->request);
    put(line, ",\"room\":\"%s\",\"message\":\"", where->room);
}

static bool write_line(const struct situation *where, const char *message, size_t len)
{
    static const char text_end[] = "\n";
    static const char json_end[] = "\"}\n";
    bool json = form_now == QP_LOG_JSON;
    const char *end = json ? json_end : text_end;
    size_t end_bytes = strlen(end);
    struct line line;
    line.len = 0;
    if (json)
        put_json_head(&line, where);
    else
        put_text_head(&line, where);
    put_message(&line, message, len, json, end_bytes);
    memcpy(line.data + line.len, end, end_bytes);
    return qp_sink_write(&messages, qp_slice(line.data, line.len + end_bytes));
}

/* After the first line that got through again. A pipe whose reader is slow loses lines again and again: at most once a second. */
static void tell_losses(struct qp_sink *sink, const char *what)
{
    uint64_t lost = qp_sink_take_losses(sink, qp_clock_monotonic_ms() / 1000 + 1);
    if (!lost)
        return;
    char message[128];
    int len = snprintf(message, sizeof(message), "%" PRIu64 " %slines were lost: %s", lost, what,
                       qp_sink_why(sink));
    struct situation where = {.level = QP_LOG_WARN, .room = "log"};
    if (!write_line(&where, message, (size_t)len))
        qp_sink_return_losses(sink, lost);
}

void qp_log_line(enum qp_log_level level, const char *room, uint64_t conn, uint64_t request,
                 const char *format, ...)
{
    if (!qp_log_wants(level))
        return;
    int kept_errno = errno;
    char message[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    size_t shown = len < 0 ? 0 : (size_t)len < sizeof(message) ? (size_t)len : sizeof(message) - 1;
    struct situation where = {.level = level, .room = room, .conn = conn, .request = request};
    if (write_line(&where, message, shown))
        tell_losses(&messages, "");
    errno = kept_errno;
}

/* The first loss is told of where messages go elsewhere: nobody looks for lines that are not there. */
static void write_access(struct qp_slice lines)
{
    int kept_errno = errno;
    bool was_well = qp_sink_losses(&access_lines) == 0;
    if (qp_sink_write(&access_lines, lines))
        tell_losses(&access_lines, "access ");
    else if (was_well && access_lines.fd != messages.fd)
        qp_log_warn("log", "access lines cannot be written and are lost until they can: %s",
                    qp_sink_why(&access_lines));
    errno = kept_errno;
}

bool qp_log_may(struct qp_log_pace *pace, unsigned most)
{
    uint64_t second = qp_clock_monotonic_ms() / 1000;
    if (second != pace->second)
        *pace = (struct qp_log_pace){.second = second};
    return ++pace->lines <= most;
}

void qp_log_access(struct qp_slice line)
{
    if (access_lines.fd < 0)
        return;
    if (line.len > sizeof(access_data) - access_len)
        qp_log_access_flush();
    if (line.len > sizeof(access_data)) {
        write_access(line);
        return;
    }
    memcpy(access_data + access_len, line.at, line.len);
    access_len += line.len;
}

void qp_log_access_flush(void)
{
    if (access_len > 0)
        write_access(qp_slice(access_data, access_len));
    access_len = 0;
}

bool qp_log_access_is_pending(void)
{
    return access_len > 0;
}

uint64_t qp_log_lost_lines(void)
{
    return qp_sink_lost_lines();
}
