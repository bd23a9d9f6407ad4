/* server.c - listeners, the sessions that they open, and how all of it ends. */
#include "server/session.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdio.h>
#include <time.h>

/* At a limit each end and each new connection cross it: that is one situation, not a thousand. */
enum { LIMIT_LOG_MS = 10000, OWING_LOOK_MS = 20 };

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

static bool on_admit(void *owner, bool is_certain);
static void on_unused(void *owner);
static void on_look(struct qp_census_member *member);
static void on_room(struct qp_timer *timer);

static const struct qp_listener_events listener_events = {
    .accepted = on_accepted, .admit = on_admit, .unused = on_unused};

struct qp_server *qp_server_new(struct qp_loop *loop, const struct qp_server_opts *opts,
                                const struct qp_handler *handler, void *handler_context)
{
    struct qp_server *server = qp_alloc(sizeof(*server));

    server->loop = loop;
    server->opts = *opts;
    server->next_conn_id = opts->first_conn_id ? opts->first_conn_id : 1;
    server->handler = handler;
    server->handler_context = handler_context;
    server->census = opts->census;
    if (!server->census)
        server->census = server->own_census = qp_census_new(opts->connections, opts->connections_per_address);
    qp_census_join(server->census, &server->member, loop, on_look);
    qp_timer_init(&server->room, on_room);
    qp_timer_init(&server->shortage, qp_server_look_at_shortage);
    qp_list_init(&server->ports);
    qp_list_init(&server->resting);
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

/* ---- the limits on connections ----
 *
 *   a connection waits -> a place? -> accept
 *                           | no: a session that has rested for QP_REST_MS is ended, the longest first, here or at another server
 *                           v
 *                         wait, without polling -> a place was given back: poll again
 */

static bool may_log(struct qp_server *server, uint64_t *not_before_ms)
{
    const uint64_t now_ms = qp_loop_now_ms(server->loop);

    if (now_ms < *not_before_ms)
        return false;
    *not_before_ms = now_ms + LIMIT_LOG_MS;
    return true;
}

void qp_server_hold(struct qp_server *server, bool is_full, bool is_short)
{
    const bool was_held = server->is_full || server->is_short;
    const bool is_held = is_full || is_short;

    server->is_full = is_full;
    server->is_short = is_short;
    if (is_held == was_held)
        return;
    QP_LIST_FOR_EACH (link, &server->ports) {
        struct port *port = QP_CONTAINER_OF(link, struct port, link);
        if (is_held)
            qp_listener_pause(port->listener);
        else
            qp_listener_resume(port->listener);
    }
}

/* Ends the session that has rested longest, if for long enough; else looks again when that will be so. */
static bool make_room(struct qp_server *server)
{
    QP_LIST_FOR_EACH (link, &server->resting) {
        struct qp_session *session = QP_CONTAINER_OF(link, struct qp_session, link);
        const uint64_t rest_ms = qp_session_rest_ms(session);
        if (rest_ms < QP_REST_MS) {
            qp_timer_arm(server->loop, &server->room, QP_REST_MS - rest_ms);
            return false;
        }
        if (qp_stream_has_unread(session->stream)) /* it rests no longer, though nobody has looked yet */
            continue;
        qp_log_line(QP_LOG_DEBUG, "server", session->conn_id, session->request_count,
                    "closed after %llu ms of rest: others need its place", (unsigned long long)rest_ms);
        qp_session_close(session, QP_SESSION_STAGED, QP_CLOSED_ROOM);
        return true;
    }
    return false;
}

static bool on_admit(void *owner, bool is_certain)
{
    struct qp_server *server = ((struct port *)owner)->server;

    if (qp_server_is_short(server))
        return false;
    if (qp_census_take(server->census))
        return true;
    if (!is_certain)
        return false;
    if (may_log(server, &server->full_log_ms))
        qp_log_warn("server",
                    "limit of %u connections reached: those that rest are closed, or accepting pauses; raise "
                    "limits.connections",
                    qp_census_limit(server->census));
    if (make_room(server) && qp_census_take(server->census))
        return true;
    if (qp_census_take_or_wait(&server->member))
        return true;
    qp_server_hold(server, true, server->is_short);
    return false;
}

static void on_unused(void *owner)
{
    qp_census_give(((struct port *)owner)->server->census);
}

/* A server that waits polls again once there is a place, and not before: servers that wait would wake each other for ever. */
static void on_look(struct qp_census_member *member)
{
    struct qp_server *server = QP_CONTAINER_OF(member, struct qp_server, member);

    if (server->is_full && qp_census_has_room(server->census)) {
        qp_census_stop_waiting(member);
        qp_server_hold(server, false, server->is_short);
    } else if (qp_census_is_waited_for(server->census)) {
        make_room(server);
    }
}

static void on_room(struct qp_timer *timer)
{
    struct qp_server *server = QP_CONTAINER_OF(timer, struct qp_server, room);

    if (server->is_draining)
        qp_later(server->loop, &server->drained);
    else if (qp_census_is_waited_for(server->census))
        make_room(server);
}

void qp_server_session_rests(struct qp_server *server)
{
    if (qp_census_is_waited_for(server->census) && !qp_timer_is_armed(&server->room))
        make_room(server);
}

static void turn_away(struct qp_server *server, struct qp_session *session)
{
    char text[QP_CLIENT_TEXT_BYTES];

    qp_count(&server->counters.connections_refused);
    server->turned_log_count++;
    if (may_log(server, &server->turned_log_ms)) {
        qp_log_warn(
            "server",
            "%llu connections were answered 503 too_many_connections, the last from %s: the limit for one "
            "address is %u (limits.connections_per_address)",
            (unsigned long long)server->turned_log_count,
            qp_client_address_format(&session->client, text, sizeof(text)),
            qp_census_limit_per_address(server->census));
        server->turned_log_count = 0;
    }
    qp_session_turn_away(session);
}

static void on_accepted(void *owner, struct qp_stream *stream, const struct qp_address *from)
{
    struct port *port = owner;
    struct qp_server *server = port->server;
    struct qp_client_address client;

    qp_client_address_set(&client, from);
    qp_count(&server->counters.connections_accepted);
    qp_count(&server->counters.connections_open);
    struct qp_session *session = qp_session_open(server, stream, &client, port->id, port->tls);
    session->is_counted = qp_census_add_address(server->census, &client);
    if (!session->is_counted)
        turn_away(server, session);
}

void qp_server_session_closed(struct qp_server *server, enum qp_server_closed why)
{
    qp_count(&server->counters.closed[why]);
    qp_count_less(&server->counters.connections_open);
    qp_census_give(server->census);
    if (server->drain_done && qp_count_of(&server->counters.connections_open) == 0)
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

/* Nobody is waited for any more, and others need not make room. */
static void stop_accepting(struct qp_server *server)
{
    close_ports(server);
    server->is_full = false;
    qp_census_stop_waiting(&server->member);
    qp_timer_disarm(&server->room);
}

static void close_idle(struct qp_list *sessions)
{
    QP_LIST_FOR_EACH_SAFE (link, sessions) {
        struct qp_session *session = QP_CONTAINER_OF(link, struct qp_session, link);
        if (qp_session_is_idle(session) && !qp_stream_has_unread(session->stream))
            qp_session_close(session, QP_SESSION_STAGED, QP_CLOSED_STOP);
    }
}

static void cancel_sessions(struct qp_server *server)
{
    QP_LIST_FOR_EACH_SAFE (link, &server->resting) {
        qp_session_cancel(QP_CONTAINER_OF(link, struct qp_session, link), QP_CLOSED_STOP);
    }
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
    stop_accepting(server);
    close_idle(&server->resting);
    close_idle(&server->sessions); /* empty lines came */
    qp_timer_arm(server->loop, &server->drain_timer, limit_ms);
    if (qp_count_of(&server->counters.connections_open) == 0)
        qp_later(server->loop, &server->drained);
}

static void on_drain_limit(struct qp_timer *timer)
{
    struct qp_server *server = QP_CONTAINER_OF(timer, struct qp_server, drain_timer);
    const unsigned long long open = qp_count_of(&server->counters.connections_open);

    if (open > 0)
        qp_log_warn("server", "cutting %llu connections that did not end in time", open);
    else
        qp_log_warn("server", "cutting answers that their clients did not take in time");
    cancel_sessions(server);
    qp_later(server->loop, &server->drained);
}

static void on_drained(struct qp_job *job)
{
    struct qp_server *server = QP_CONTAINER_OF(job, struct qp_server, drained);
    void (*done)(void *) = server->drain_done;

    /* Whoever is told may free the loop, and with it what the last answers' clients have still to take. */
    if (qp_timer_is_armed(&server->drain_timer) && qp_stream_some_linger_owing(server->loop)) {
        qp_timer_arm(server->loop, &server->room, OWING_LOOK_MS);
        return;
    }
    qp_timer_disarm(&server->drain_timer);
    server->drain_done = NULL;
    if (done)
        done(server->drain_context);
}

static void end(struct qp_server *server)
{
    server->drain_done = NULL;
    server->is_draining = true;
    stop_accepting(server);
    cancel_sessions(server);
    qp_census_leave(&server->member);
    qp_census_free(&server->own_census);
    qp_timer_deinit(&server->room);
    qp_timer_deinit(&server->shortage);
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
