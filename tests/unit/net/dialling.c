#include "dialling.h"

#include "net/address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct scripted_resolver resolver;
uint64_t skew_ms;
int connect_error;
unsigned connect_count;
char connected_to[256][48];

void answer_now(struct qp_job *job)
{
    (void)job;
    resolver.cb(resolver.request, resolver.status,
                resolver.status == 0 && resolver.address_count > 0 ? &resolver.infos[0] : NULL);
}

uint64_t __real_qp_loop_now_ms(const struct qp_loop *loop);
uint64_t __wrap_qp_loop_now_ms(const struct qp_loop *loop);
uint64_t __wrap_qp_loop_now_ms(const struct qp_loop *loop)
{
    return __real_qp_loop_now_ms(loop) + skew_ms;
}

int __real_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb cb, const char *node,
                          const char *service, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb cb, const char *node,
                          const char *service, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb cb, const char *node,
                          const char *service, const struct addrinfo *hints)
{
    resolver.count++;
    if (!resolver.scripted)
        return __real_uv_getaddrinfo(loop, request, cb, node, service, hints);
    if (resolver.start_error != 0)
        return resolver.start_error;
    resolver.request = request;
    resolver.cb = cb;
    if (!resolver.silent)
        qp_later(test_loop, &resolver.job);
    return 0;
}

void __real_uv_freeaddrinfo(struct addrinfo *list);
void __wrap_uv_freeaddrinfo(struct addrinfo *list);
void __wrap_uv_freeaddrinfo(struct addrinfo *list)
{
    if (!resolver.scripted)
        __real_uv_freeaddrinfo(list);
}

int __real_uv_tcp_connect(uv_connect_t *request, uv_tcp_t *tcp, const struct sockaddr *address,
                          uv_connect_cb cb);
int __wrap_uv_tcp_connect(uv_connect_t *request, uv_tcp_t *tcp, const struct sockaddr *address,
                          uv_connect_cb cb);
int __wrap_uv_tcp_connect(uv_connect_t *request, uv_tcp_t *tcp, const struct sockaddr *address,
                          uv_connect_cb cb)
{
    assert_true(connect_count < sizeof(connected_to) / sizeof(connected_to[0]));
    uv_ip_name(address, connected_to[connect_count++], sizeof(connected_to[0]));
    return connect_error != 0 ? connect_error : __real_uv_tcp_connect(request, tcp, address, cb);
}

void also_resolves_to(const char *text)
{
    unsigned i = resolver.address_count++;
    struct addrinfo *info = &resolver.infos[i];

    assert_true(i < sizeof(resolver.infos) / sizeof(resolver.infos[0]));
    resolver.scripted = true;
    memset(&resolver.addresses[i], 0, sizeof(resolver.addresses[i]));
    info->ai_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    resolver.addresses[i].any.sa_family = (sa_family_t)info->ai_family;
    void *to = info->ai_family == AF_INET6 ? (void *)&resolver.addresses[i].v6.sin6_addr
                                           : (void *)&resolver.addresses[i].v4.sin_addr;
    assert_int_equal(inet_pton(info->ai_family, text, to), 1);
    info->ai_addr = &resolver.addresses[i].any;
    info->ai_next = NULL;
    if (i > 0)
        resolver.infos[i - 1].ai_next = info;
}

void resolves_to(const char *const *texts)
{
    resolver.scripted = true;
    resolver.status = 0;
    resolver.address_count = 0;
    for (; *texts; texts++)
        also_resolves_to(*texts);
}

/* ---- the server ---- */

static struct qp_listen_claim *claimed;
static struct qp_listener *listener;
struct qp_tls *server_tls;
struct qp_stream *served[4];
unsigned served_count;
uint16_t port;
bool cut_served;

static void ignore_data(void *owner, struct qp_slice bytes)
{
    (void)owner;
    (void)bytes;
}

static void ignore(void *owner)
{
    (void)owner;
}

static void ignore_fault(void *owner, enum qp_result why)
{
    (void)owner;
    (void)why;
}

static const struct qp_stream_events server_events = {ignore_data, ignore, ignore, ignore_fault};

static void on_accepted(void *owner, struct qp_stream *stream, const struct qp_address *from)
{
    struct qp_stream **slot = &served[served_count++ % 4];

    (void)owner;
    (void)from;
    qp_stream_close(slot, false);
    if (cut_served) {
        qp_stream_close(&stream, true);
        return;
    }
    qp_stream_set_owner(stream, &server_events, NULL);
    if (server_tls)
        qp_stream_serve_tls(stream, server_tls);
    qp_stream_resume(stream);
    *slot = stream;
}

static const struct qp_listener_events listener_events = {.accepted = on_accepted};

void claim_port(void)
{
    struct qp_address address;
    char error[256];
    const char *why;

    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:0"), &address, &why), QP_OK);
    assert_int_equal(qp_listen_claim(&address, 0, &claimed, error, sizeof(error)), QP_OK);
    port = ntohs(address.u.v4.sin_port);
}

void serve(const char *name)
{
    char cert[256];
    char key[256];
    char error[512];

    claim_port();
    listener = qp_listener_new(test_loop, qp_listen_fd(claimed), &listener_events, NULL);
    if (!name)
        return;
    snprintf(cert, sizeof(cert), QP_TEST_CERTS "/%s.pem", name);
    snprintf(key, sizeof(key), QP_TEST_CERTS "/%s.key", name);
    assert_int_equal(qp_tls_server_new(test_loop, cert, key, &server_tls, error, sizeof(error)), QP_OK);
}

void close_served(void)
{
    for (unsigned i = 0; i < 4; i++)
        qp_stream_close(&served[i], false);
}

void open_black_hole(struct black_hole *hole, const char *text)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

    assert_int_equal(inet_pton(AF_INET, text, &at.sin_addr), 1);
    hole->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hole->fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(hole->fds[0], 0), 0);
    for (unsigned i = 1; i < 4; i++) {
        hole->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(connect(hole->fds[i], (struct sockaddr *)&at, sizeof(at)) == 0 || errno == EINPROGRESS);
    }
}

void close_black_hole(struct black_hole *hole)
{
    for (unsigned i = 0; i < 4; i++)
        close(hole->fds[i]);
}

/* ---- the client ---- */

static struct qp_trust *trust;
struct qp_dialer *dialer;

static void on_done(void *owner, struct qp_stream *stream, enum qp_result result, const char *detail)
{
    struct outcome *outcome = owner;

    outcome->dial = NULL;
    outcome->stream = stream;
    outcome->count++;
    outcome->result = result;
    snprintf(outcome->detail, sizeof(outcome->detail), "%s", detail);
    if (outcome->cancel)
        qp_dial_cancel(&outcome->cancel->dial);
}

static const struct qp_dial_events dial_events = {.done = on_done};

bool is_done(void *outcome)
{
    return ((struct outcome *)outcome)->count > 0;
}

void make_dialer_with(const char *host, const char *ca, uint32_t timeout_ms, uint32_t handshake_ms,
                      uint32_t resolve_ms)
{
    char path[256];
    char error[256];

    if (ca) {
        snprintf(path, sizeof(path), QP_TEST_CERTS "/%s.pem", ca);
        assert_int_equal(qp_trust_load(path, &trust, error, sizeof(error)), QP_OK);
    }
    dialer = qp_dialer_new(test_loop, &(struct qp_dialer_opts){.host = qp_slice_str(host),
                                                               .port = port,
                                                               .trust = trust,
                                                               .timeout_ms = timeout_ms,
                                                               .handshake_ms = handshake_ms,
                                                               .resolve_ms = resolve_ms});
}

void make_dialer(const char *host, const char *ca, uint32_t timeout_ms)
{
    make_dialer_with(host, ca, timeout_ms, 0, 0);
}

void start(struct outcome *outcome)
{
    outcome->dial = qp_dial_start(dialer, &dial_events, outcome);
    assert_int_equal(outcome->count, 0);
}

void dial(struct outcome *outcome)
{
    start(outcome);
    run_until(is_done, outcome);
    assert_int_equal(outcome->count, 1);
    assert_int_equal(outcome->stream != NULL, outcome->result == QP_OK);
}

void dial_well(void)
{
    struct outcome outcome = {0};

    dial(&outcome);
    assert_string_equal(outcome.detail, "");
    assert_int_equal(outcome.result, QP_OK);
    qp_stream_close(&outcome.stream, false);
}

int set_up(void **state)
{
    memset(&resolver, 0, sizeof(resolver));
    qp_job_init(&resolver.job, answer_now);
    skew_ms = 0;
    connect_error = 0;
    connect_count = 0;
    served_count = 0;
    cut_served = false;
    return make_loop(state);
}

int tear_down(void **state)
{
    qp_dialer_free(&dialer);
    close_served();
    qp_listener_close(&listener);
    qp_tls_free(&server_tls);
    qp_trust_free(&trust);
    qp_listen_release(&claimed);
    return free_loop(state);
}
