/* dial.c - from a host name to a ready stream.
 *
 *   start -> RESOLVE -> CONNECT -> HANDSHAKE -> done
 *               ^          |           |
 *               |          +-----------+-- unreachable: the next address
 *               +-- all dials of a dialer wait for one resolution, whose answer is kept for 30 s
 *
 * libuv's requests (resolving, connecting) outlive a canceled dial, so they live in memory of their own.
 */
#include "net/dial.h"

#include "base/alloc.h"
#include "base/log.h"
#include "net/address.h"
#include "net/stream_impl.h"
#include <netdb.h>
#include <stdio.h>

enum { MAX_ADDRESSES = 8, KEEP_RESOLVED_MS = 30 * 1000 };

struct resolution {
    uv_getaddrinfo_t request;
    struct qp_dialer *dialer; /* NULL: nobody wants the answer any more */
};

struct qp_dialer {
    struct qp_loop *loop;
    char *host;
    uint16_t port;
    uint32_t timeout_ms;
    struct qp_tls *tls;            /* NULL: plain */
    struct resolution *resolution; /* running */
    struct qp_list waiting;        /* dials that wait for it */
    unsigned dial_count;
    bool numeric; /* the host is an address: nothing to resolve */
    uint64_t resolved_until_ms;
    unsigned address_count;
    struct qp_address addresses[MAX_ADDRESSES];
};

struct connecting {
    uv_connect_t request;
    struct qp_dial *dial; /* NULL: given up */
};

struct qp_dial {
    struct qp_dialer *dialer;
    const struct qp_dial_events *events;
    void *owner;
    struct qp_job begin;
    struct qp_list waiting;
    struct qp_timer limit;
    uint64_t due_ms;
    struct connecting *connecting;
    struct qp_stream *stream;
    /* A copy, because the dialer may resolve anew meanwhile. */
    struct qp_address addresses[MAX_ADDRESSES];
    unsigned address_count;
    unsigned next_address;
    enum qp_result last_fault;
    char detail[192];
};

static void try_next(struct qp_dial *dial);

/* --- dialers --- */

static void set_address(struct qp_address *address, const struct sockaddr *from, uint16_t port)
{
    if (from->sa_family == AF_INET6) {
        memcpy(&address->u.v6, from, sizeof(address->u.v6));
        address->u.v6.sin6_port = htons(port);
        address->len = sizeof(address->u.v6);
    } else {
        memcpy(&address->u.v4, from, sizeof(address->u.v4));
        address->u.v4.sin_port = htons(port);
        address->len = sizeof(address->u.v4);
    }
}

static void find_numeric(struct qp_dialer *dialer)
{
    struct qp_address *address = &dialer->addresses[0];

    if (uv_ip4_addr(dialer->host, dialer->port, &address->u.v4) == 0)
        address->len = sizeof(address->u.v4);
    else if (uv_ip6_addr(dialer->host, dialer->port, &address->u.v6) == 0)
        address->len = sizeof(address->u.v6);
    else
        return;
    dialer->numeric = true;
    dialer->address_count = 1;
}

struct qp_dialer *qp_dialer_new(struct qp_loop *loop, const struct qp_dialer_opts *opts)
{
    struct qp_dialer *dialer = qp_alloc(sizeof(*dialer));

    dialer->loop = loop;
    dialer->host = qp_strndup(opts->host.at, opts->host.len);
    dialer->port = opts->port;
    dialer->timeout_ms = opts->timeout_ms;
    qp_list_init(&dialer->waiting);
    find_numeric(dialer);
    if (opts->trust)
        dialer->tls = qp_tls_client_new(loop, opts->trust, opts->host);
    return dialer;
}

void qp_dialer_free(struct qp_dialer **slot)
{
    struct qp_dialer *dialer = *slot;

    *slot = NULL;
    if (!dialer)
        return;
    qp_require(dialer->dial_count == 0);
    if (dialer->resolution) {
        dialer->resolution->dialer = NULL;
        uv_cancel(
            (uv_req_t *)&dialer->resolution->request); /* refused once it runs: then it ends by itself */
    }
    qp_tls_free(&dialer->tls);
    qp_free(dialer->host);
    qp_free(dialer);
}

struct qp_tls_counters qp_dialer_tls_counters(const struct qp_dialer *dialer)
{
    return dialer->tls ? qp_tls_counters(dialer->tls) : (struct qp_tls_counters){0};
}

/* --- the end of a dial --- */

/* Everything but the stream. */
static void free_dial(struct qp_dial *dial)
{
    dial->dialer->dial_count--;
    qp_later_cancel(&dial->begin);
    qp_list_remove(&dial->waiting);
    qp_timer_deinit(&dial->limit);
    if (dial->connecting)
        dial->connecting->dial = NULL;
    qp_free(dial);
}

static void succeed(struct qp_dial *dial)
{
    const struct qp_dial_events *events = dial->events;
    struct qp_stream *stream = dial->stream;
    void *owner = dial->owner;

    qp_stream_set_owner(stream, NULL, NULL);
    free_dial(dial);
    events->done(owner, stream, QP_OK, "");
}

static void give_up(struct qp_dial *dial, enum qp_result why)
{
    const struct qp_dial_events *events = dial->events;
    void *owner = dial->owner;
    char detail[sizeof(dial->detail)];

    memcpy(detail, dial->detail, sizeof(detail));
    qp_stream_close(&dial->stream, false);
    free_dial(dial);
    events->done(owner, NULL, why, detail);
}

void qp_dial_cancel(struct qp_dial **slot)
{
    struct qp_dial *dial = *slot;

    *slot = NULL;
    if (!dial)
        return;
    qp_stream_close(&dial->stream, false);
    free_dial(dial);
}

/* --- resolving --- */

static void connect_to_resolved(struct qp_dial *dial)
{
    struct qp_dialer *dialer = dial->dialer;

    memcpy(dial->addresses, dialer->addresses, sizeof(dial->addresses));
    dial->address_count = dialer->address_count;
    try_next(dial);
}

static void keep_addresses(struct qp_dialer *dialer, const struct addrinfo *list)
{
    dialer->address_count = 0;
    for (; list && dialer->address_count < MAX_ADDRESSES; list = list->ai_next) {
        if (list->ai_family == AF_INET || list->ai_family == AF_INET6)
            set_address(&dialer->addresses[dialer->address_count++], list->ai_addr, dialer->port);
    }
    dialer->resolved_until_ms = qp_loop_now_ms(dialer->loop) + KEEP_RESOLVED_MS;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolution *resolution = QP_CONTAINER_OF(request, struct resolution, request);
    struct qp_dialer *dialer = resolution->dialer;
    struct qp_list waiting;

    qp_free(resolution);
    if (!dialer) {
        uv_freeaddrinfo(list);
        return;
    }
    dialer->resolution = NULL;
    if (status == 0)
        keep_addresses(dialer, list);
    uv_freeaddrinfo(list);
    qp_list_init(&waiting);
    qp_list_move_all(&waiting, &dialer->waiting);
    /* Any of them may cancel others in its event, and so take them off the list. */
    for (struct qp_list *link; (link = qp_list_shift(&waiting)) != NULL;) {
        struct qp_dial *dial = QP_CONTAINER_OF(link, struct qp_dial, waiting);
        if (status == 0) {
            connect_to_resolved(dial);
        } else {
            snprintf(dial->detail, sizeof(dial->detail), "%s: %s", dialer->host, uv_strerror(status));
            give_up(dial, QP_NET_RESOLVE);
        }
    }
}

static void on_begin(struct qp_job *job)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct qp_dial *dial = QP_CONTAINER_OF(job, struct qp_dial, begin);
    struct qp_dialer *dialer = dial->dialer;

    if (dialer->numeric ||
        (dialer->address_count > 0 && qp_loop_now_ms(dialer->loop) < dialer->resolved_until_ms)) {
        connect_to_resolved(dial);
        return;
    }
    qp_list_append(&dialer->waiting, &dial->waiting);
    if (dialer->resolution)
        return;
    struct resolution *resolution = qp_alloc(sizeof(*resolution));
    resolution->dialer = dialer;
    int error =
        uv_getaddrinfo(&dialer->loop->uv, &resolution->request, on_resolved, dialer->host, NULL, &hints);
    if (error == 0) {
        dialer->resolution = resolution;
        return;
    }
    qp_free(resolution);
    snprintf(dial->detail, sizeof(dial->detail), "%s: %s", dialer->host, uv_strerror(error));
    give_up(dial, QP_NET_RESOLVE);
}

/* --- connecting --- */

/* The attempt at this address failed. */
static void note_fault(struct qp_dial *dial, enum qp_result why, const char *words)
{
    char where[80];

    dial->last_fault = why;
    if (dial->next_address > 0) {
        qp_address_format(&dial->addresses[dial->next_address - 1], where, sizeof(where));
        snprintf(dial->detail, sizeof(dial->detail), "%s (%s): %s", dial->dialer->host, where, words);
    } else {
        snprintf(dial->detail, sizeof(dial->detail), "%s: %s", dial->dialer->host, words);
    }
    qp_stream_close(&dial->stream, false);
    if (dial->connecting)
        dial->connecting->dial = NULL;
    dial->connecting = NULL;
}

static void never_data(void *owner, struct qp_slice bytes)
{
    (void)owner;
    (void)bytes;
}

static void never_end(void *owner)
{
    (void)owner; /* a close_notify in a handshake is a fault */
}

static void never_drained(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, enum qp_result why)
{
    struct qp_dial *dial = owner;
    const char *words = qp_stream_tls_detail(dial->stream);
    char copy[96];

    if (why == QP_NET_TRUNCATED || why == QP_NET_RESET) {
        why = QP_NET_RESET;
        words = "closed during the TLS handshake";
    }
    snprintf(copy, sizeof(copy), "%s", *words ? words : qp_result_text(why));
    note_fault(dial, why, copy);
    /* Another address may be in better health, but it would show the same certificate. */
    if (why == QP_NET_TLS || why == QP_NET_TLS_VERIFY)
        give_up(dial, why);
    else
        try_next(dial);
}

static const struct qp_stream_events handshake_events = {
    .data = never_data,
    .end = never_end,
    .drained = never_drained,
    .failed = on_failed,
};

static void on_ready(void *owner)
{
    succeed(owner);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct connecting *connecting = QP_CONTAINER_OF(request, struct connecting, request);
    struct qp_dial *dial = connecting->dial;

    qp_free(connecting);
    if (!dial)
        return;
    dial->connecting = NULL;
    if (status != 0) {
        note_fault(dial, qp_net_result(status), uv_strerror(status));
        try_next(dial);
        return;
    }
    if (!dial->dialer->tls) {
        succeed(dial);
        return;
    }
    qp_stream_set_owner(dial->stream, &handshake_events, dial);
    qp_stream_start_tls(dial->stream, dial->dialer->tls, on_ready);
}

/* An address that does not answer may use up its share of the time, not all of it. */
static void arm_share(struct qp_dial *dial)
{
    uint64_t now_ms = qp_loop_now_ms(dial->dialer->loop);
    uint64_t left_ms = dial->due_ms > now_ms ? dial->due_ms - now_ms : 0;
    unsigned addresses_left = dial->address_count - dial->next_address + 1;

    qp_timer_arm(dial->dialer->loop, &dial->limit, left_ms / addresses_left);
}

static int start_connecting(struct qp_dial *dial, const struct qp_address *address)
{
    struct connecting *connecting = qp_alloc(sizeof(*connecting));

    dial->stream = qp_stream_new_tcp(dial->dialer->loop);
    connecting->dial = dial;
    int error = uv_tcp_connect(&connecting->request, &dial->stream->uv.tcp, &address->u.any, on_connected);
    if (error == 0)
        dial->connecting = connecting;
    else
        qp_free(connecting);
    return error;
}

/* From the top of the loop only: it may end the dial. */
static void try_next(struct qp_dial *dial)
{
    struct qp_dialer *dialer = dial->dialer;

    while (dial->next_address < dial->address_count) {
        const struct qp_address *address = &dial->addresses[dial->next_address++];
        arm_share(dial);
        int error = start_connecting(dial, address);
        if (error == 0)
            return;
        note_fault(dial, qp_net_result(error), uv_strerror(error));
    }
    dialer->resolved_until_ms = 0; /* perhaps the host has moved */
    if (dial->address_count == 0) {
        snprintf(dial->detail, sizeof(dial->detail), "%s has no address", dialer->host);
        dial->last_fault = QP_NET_RESOLVE;
    }
    give_up(dial, dial->last_fault);
}

static void on_limit(struct qp_timer *timer)
{
    struct qp_dial *dial = QP_CONTAINER_OF(timer, struct qp_dial, limit);
    bool resolving = dial->next_address == 0;

    note_fault(dial, QP_NET_TIMEOUT, resolving ? "no answer from the resolver in time" : "no answer in time");
    if (resolving || qp_loop_now_ms(dial->dialer->loop) >= dial->due_ms)
        give_up(dial, QP_NET_TIMEOUT);
    else
        try_next(dial);
}

struct qp_dial *qp_dial_start(struct qp_dialer *dialer, const struct qp_dial_events *events, void *owner)
{
    struct qp_dial *dial = qp_alloc(sizeof(*dial));

    qp_loop_check(dialer->loop);
    dialer->dial_count++;
    dial->dialer = dialer;
    dial->events = events;
    dial->owner = owner;
    dial->due_ms = qp_loop_now_ms(dialer->loop) + dialer->timeout_ms;
    qp_list_init(&dial->waiting);
    qp_timer_init(&dial->limit, on_limit);
    qp_timer_arm(dialer->loop, &dial->limit, dialer->timeout_ms);
    qp_job_init(&dial->begin, on_begin);
    qp_later(dialer->loop, &dial->begin);
    return dial;
}
