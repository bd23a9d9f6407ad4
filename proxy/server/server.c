/* server.c - listeners, the sessions that they open, and how all of it ends. */
#include "server/session.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdio.h>
#include <time.h>

/* At the limit each end and each new connection cross it: that is one situation, not a thousand. */
enum { FULL_LOG_MS = 10000 };

/* A listener and what its sessions need to know of it. */
struct port {
    struct qp_list link;
    struct qp_server *server;
    struct qp_listener *listener;
    struct qp_tls *tls;
    unsigned id;
};

static void on_accepted(void *owner, struct qp_stream *stream, const struct qp_address *from);
static void on_drain_limit(struct qp_timer *timer);
static void on_drained(struct qp_job *job);

static const struct qp_listener_events listener_events = {.accepted = on_accepted};

struct qp_server *qp_server_new(struct qp_loop *loop, const struct qp_server_opts *opts,
                                const struct qp_handler *handler, void *handler_context)
{
    struct qp_server *server = qp_alloc(sizeof(*server));

    server->loop = loop;
    server->opts = *opts;
    server->next_conn_id = opts->first_conn_id ? opts->first_conn_id : 1;
    server->handler = handler;
    server->handler_context = handler_context;
    server->per_address.seed = qp_clock_monotonic_us() * 0x9e3779b97f4a7c15U ^ (uintptr_t)server;
    qp_list_init(&server->ports);
    qp_list_init(&server->sessions);
    qp_list_init(&server->warm);
    qp_timer_init(&server->drain_timer, on_drain_limit);
    qp_job_init(&server->drained, on_drained);
    return server;
}

void qp_server_listen(struct qp_server *server, int fd, unsigned listener_id, struct qp_tls *tls)
{
    struct port *port = qp_alloc(sizeof(*port));

    port->server = server;
    port->id = listener_id;
    port->tls = tls;
    qp_list_append(&server->ports, &port->link);
    port->listener = qp_listener_new(server->loop, fd, &listener_events, port);
}

/* ---- the limit on connections ---- */

static void follow_limit(struct qp_server *server)
{
    const uint32_t limit = server->opts.connections;
    const bool is_full = limit > 0 && qp_count_of(&server->counters.connections_open) >= limit;

    if (is_full == server->is_full)
        return;
    server->is_full = is_full;
    QP_LIST_FOR_EACH (link, &server->ports) {
        struct port *port = QP_CONTAINER_OF(link, struct port, link);
        if (is_full)
            qp_listener_pause(port->listener);
        else
            qp_listener_resume(port->listener);
    }
    if (is_full && qp_loop_now_ms(server->loop) >= server->full_log_ms) {
        qp_log_warn("server", "limit of %u connections reached, accepting pauses", limit);
        server->full_log_ms = qp_loop_now_ms(server->loop) + FULL_LOG_MS;
    }
}

static void on_accepted(void *owner, struct qp_stream *stream, const struct qp_address *from)
{
    struct port *port = owner;
    struct qp_server *server = port->server;
    const uint32_t limit = server->opts.connections_per_address;
    struct qp_client_address client;

    qp_client_address_set(&client, from);
    qp_count(&server->counters.connections_accepted);
    if (limit > 0 && !qp_per_address_add(&server->per_address, &client, limit)) {
        qp_count(&server->counters.connections_refused);
        qp_stream_close(&stream, false);
        return;
    }
    qp_count(&server->counters.connections_open);
    qp_session_open(server, stream, &client, port->id, port->tls);
    follow_limit(server);
}

void qp_server_session_closed(struct qp_server *server, enum qp_server_closed why)
{
    qp_count(&server->counters.closed[why]);
    qp_count_less(&server->counters.connections_open);
    follow_limit(server);
    if (server->drain_done && qp_list_is_empty(&server->sessions))
        qp_later(server->loop, &server->drained);
}

/* ---- the Date field ---- */

/* RFC 9110 section 5.6.7: the names are English whatever the locale is. */
struct qp_slice qp_server_date(struct qp_server *server)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const uint64_t now_ms = qp_loop_now_ms(server->loop);

    if (now_ms < server->date_until_ms)
        return qp_slice_str(server->date);
    const int64_t unix_ms = qp_clock_unix_ms();
    const time_t unix_s = (time_t)(unix_ms / 1000);
    struct tm tm = {0};
    gmtime_r(&unix_s, &tm);
    snprintf(server->date, sizeof(server->date), "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    server->date_until_ms = now_ms + 1000 - (uint64_t)(unix_ms % 1000);
    return qp_slice_str(server->date);
}

/* ---- ends ---- */

static void close_ports(struct qp_server *server)
{
    for (struct qp_list *link; (link = qp_list_shift(&server->ports)) != NULL;) {
        struct port *port = QP_CONTAINER_OF(link, struct port, link);
        qp_listener_close(&port->listener);
        qp_free(port);
    }
}

static void cancel_sessions(struct qp_server *server)
{
    QP_LIST_FOR_EACH_SAFE (link, &server->sessions) {
        qp_session_cancel(QP_CONTAINER_OF(link, struct qp_session, link), QP_CLOSED_STOP);
    }
}

void qp_server_drain(struct qp_server *server, uint64_t limit_ms, void (*done)(void *context), void *context)
{
    if (qp_broken(server->is_draining))
        return;
    server->is_draining = true;
    server->drain_done = done;
    server->drain_context = context;
    close_ports(server);
    QP_LIST_FOR_EACH_SAFE (link, &server->sessions) {
        struct qp_session *session = QP_CONTAINER_OF(link, struct qp_session, link);
        if (qp_session_is_idle(session))
            qp_session_close(session, QP_SESSION_STAGED, QP_CLOSED_STOP);
    }
    qp_timer_arm(server->loop, &server->drain_timer, limit_ms);
    if (qp_list_is_empty(&server->sessions))
        qp_later(server->loop, &server->drained);
}

static void on_drain_limit(struct qp_timer *timer)
{
    struct qp_server *server = QP_CONTAINER_OF(timer, struct qp_server, drain_timer);

    qp_log_warn("server", "cutting %llu connections that did not end in time",
                (unsigned long long)qp_count_of(&server->counters.connections_open));
    cancel_sessions(server);
}

static void on_drained(struct qp_job *job)
{
    struct qp_server *server = QP_CONTAINER_OF(job, struct qp_server, drained);
    void (*done)(void *) = server->drain_done;

    qp_timer_disarm(&server->drain_timer);
    server->drain_done = NULL;
    if (done)
        done(server->drain_context);
}

static void end(struct qp_server *server)
{
    server->drain_done = NULL;
    server->is_draining = true;
    close_ports(server);
    cancel_sessions(server);
    qp_later_cancel(&server->drained);
    qp_timer_deinit(&server->drain_timer);
    for (struct qp_list *link; (link = qp_list_shift(&server->warm)) != NULL;)
        qp_request_free(QP_CONTAINER_OF(link, struct qp_request, link));
    qp_free(server);
}

void qp_server_close(struct qp_server **server)
{
    struct qp_server *closed = *server;

    *server = NULL;
    if (closed)
        end(closed);
}

/* ---- what it has done ---- */

static const uint16_t refusal_statuses[] = {
#define STATUS(status) status,
    QP_SERVER_REFUSAL_MAP(STATUS)
#undef STATUS
};

void qp_server_count_refusal(struct qp_server *server, unsigned status)
{
    unsigned row = 0;

    while (row < QP_REFUSAL_STATUSES - 1 && refusal_statuses[row] != status)
        row++;
    qp_count(&server->counters.refusals_by_status[row]);
}

struct qp_server_counters qp_server_counters(const struct qp_server *server)
{
    struct qp_server_counters now = {
#define READ(name, text) .name = qp_count_of(&server->counters.name),
        QP_SERVER_COUNTER_MAP(READ, READ)
#undef READ
    };
    for (unsigned i = 0; i < QP_CLOSED_COUNT; i++)
        now.closed[i] = qp_count_of(&server->counters.closed[i]);
    for (unsigned i = 0; i < QP_REFUSAL_STATUSES; i++) {
        now.refusals_by_status[i] = qp_count_of(&server->counters.refusals_by_status[i]);
        now.refusals += now.refusals_by_status[i];
    }
    return now;
}
