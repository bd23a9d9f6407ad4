/* Dialling: against true listeners on 127.0.0.1, with a resolver that the tests script. */
#include "fixture.h"

#include "net/dial.h"
#include "net/listen.h"
#include "net/tls_impl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The scripted resolver: answers with these addresses or this fault, from the loop, or when the test says so. */
static struct resolver {
    bool scripted;
    bool silent;
    int status;
    unsigned count; /* of questions */
    unsigned address_count;
    struct addrinfo infos[4];
    struct sockaddr_in addresses[4];
    uv_getaddrinfo_t *request;
    uv_getaddrinfo_cb cb;
    struct qp_job job;
} resolver;

static int connect_error;
static unsigned connect_count;

static void answer_now(struct qp_job *job)
{
    (void)job;
    resolver.cb(resolver.request, resolver.status, resolver.status == 0 ? &resolver.infos[0] : NULL);
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
    connect_count++;
    return connect_error != 0 ? connect_error : __real_uv_tcp_connect(request, tcp, address, cb);
}

static void resolves_to(const char *const *texts)
{
    resolver.scripted = true;
    for (; *texts; texts++) {
        unsigned i = resolver.address_count++;
        resolver.addresses[i].sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, *texts, &resolver.addresses[i].sin_addr), 1);
        resolver.infos[i].ai_family = AF_INET;
        resolver.infos[i].ai_addr = (struct sockaddr *)&resolver.addresses[i];
        if (i > 0)
            resolver.infos[i - 1].ai_next = &resolver.infos[i];
    }
}

#define RESOLVES_TO(...) resolves_to((const char *const[]){__VA_ARGS__, NULL})

/* The server. */
static struct qp_listen_claim *claimed;
static struct qp_listener *listener;
static struct qp_tls *server_tls;
static struct qp_stream *served[4];
static unsigned served_count;
static uint16_t port;

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
    (void)owner;
    (void)from;
    qp_stream_set_owner(stream, &server_events, NULL);
    if (server_tls)
        qp_stream_serve_tls(stream, server_tls);
    qp_stream_resume(stream);
    served[served_count++ % 4] = stream;
}

static const struct qp_listener_events listener_events = {.accepted = on_accepted};

static void claim_port(void)
{
    struct qp_address address;
    char error[256];
    const char *why;

    assert_int_equal(qp_address_parse(QP_SLICE("127.0.0.1:0"), &address, &why), QP_OK);
    assert_int_equal(qp_listen_claim(&address, 0, &claimed, error, sizeof(error)), QP_OK);
    port = ntohs(address.u.v4.sin_port);
}

/* name: of the certificate; NULL: plain. */
static void serve(const char *name)
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

/* The client. */
static struct qp_trust *trust;
static struct qp_dialer *dialer;

struct outcome {
    struct qp_stream *stream;
    struct qp_dial *dial;
    unsigned count;
    enum qp_result result;
    char detail[256];
    struct outcome *cancel; /* another dial to cancel when this one is done */
};

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

static bool is_done(void *outcome)
{
    return ((struct outcome *)outcome)->count > 0;
}

static void make_dialer(const char *host, const char *ca, uint32_t timeout_ms)
{
    char path[256];
    char error[256];

    if (ca) {
        snprintf(path, sizeof(path), QP_TEST_CERTS "/%s.pem", ca);
        assert_int_equal(qp_trust_load(path, &trust, error, sizeof(error)), QP_OK);
    }
    dialer = qp_dialer_new(
        test_loop, &(struct qp_dialer_opts){
                       .host = qp_slice_str(host), .port = port, .trust = trust, .timeout_ms = timeout_ms});
}

static void start(struct outcome *outcome)
{
    outcome->dial = qp_dial_start(dialer, &dial_events, outcome);
    assert_int_equal(outcome->count, 0);
}

static void dial(struct outcome *outcome)
{
    start(outcome);
    run_until(is_done, outcome);
    assert_int_equal(outcome->count, 1);
    assert_int_equal(outcome->stream != NULL, outcome->result == QP_OK);
}

static int set_up(void **state)
{
    memset(&resolver, 0, sizeof(resolver));
    qp_job_init(&resolver.job, answer_now);
    connect_error = 0;
    connect_count = 0;
    served_count = 0;
    return make_loop(state);
}

static void close_served(void)
{
    for (unsigned i = 0; i < 4; i++)
        qp_stream_close(&served[i], false);
}

static int tear_down(void **state)
{
    qp_dialer_free(&dialer);
    close_served();
    qp_listener_close(&listener);
    qp_tls_free(&server_tls);
    qp_trust_free(&trust);
    qp_listen_release(&claimed);
    return free_loop(state);
}

static void a_plain_dial_gives_a_stream(void **state)
{
    struct outcome outcome = {0};

    serve(NULL);
    make_dialer("127.0.0.1", NULL, 5000);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    assert_int_equal(resolver.count, 0); /* an address needs no resolver */
    qp_stream_close(&outcome.stream, false);
}

static void a_name_is_resolved_once_for_all_who_dial(void **state)
{
    struct outcome outcomes[3] = {{0}, {0}, {0}};

    serve(NULL);
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.1");
    start(&outcomes[0]);
    start(&outcomes[1]);
    run_until(is_done, &outcomes[0]);
    run_until(is_done, &outcomes[1]);
    dial(&outcomes[2]);
    assert_int_equal(resolver.count, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].result, QP_OK);
        qp_stream_close(&outcomes[i].stream, false);
    }
}

static void the_systems_resolver_knows_localhost(void **state)
{
    struct outcome outcome = {0};

    serve(NULL);
    make_dialer("localhost", NULL, 5000);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    assert_int_equal(resolver.count, 1);
    qp_stream_close(&outcome.stream, false);
}

static void a_verified_origin_gets_a_stream_and_the_next_one_resumes(void **state)
{
    serve("localhost");
    make_dialer("localhost", "ca", 5000);
    RESOLVES_TO("127.0.0.1");
    for (unsigned i = 0; i < 3; i++) {
        struct outcome outcome = {0};
        struct end end = {0};
        dial(&outcome);
        assert_string_equal(outcome.detail, "");
        assert_int_equal(outcome.result, QP_OK);
        own(&end, outcome.stream);
        qp_stream_resume(end.stream);
        run_for_ms(20); /* the tickets come */
        assert_int_equal(end.failed_count, 0);
        close_end(&end);
        close_served();
        assert_int_equal(qp_dialer_tls_counters(dialer).full_handshakes, 1);
        assert_int_equal(qp_dialer_tls_counters(dialer).resumed_handshakes, i);
    }
}

static void a_certificate_that_does_not_fit_is_refused_in_words(void **state)
{
    static const struct {
        const char *cert;
        const char *ca;
        const char *words;
    } cases[] = {
        {"other-name", "ca", "certificate is for another name"},
        {"expired", "ca", "certificate expired"},
        {"localhost", "other-ca", "issuer not trusted"},
    };
    for (unsigned i = 0; i < 3; i++) {
        struct outcome outcome = {0};
        set_up(state);
        serve(cases[i].cert);
        make_dialer("localhost", cases[i].ca, 5000);
        RESOLVES_TO("127.0.0.1", "127.0.0.1");
        dial(&outcome);
        assert_int_equal(outcome.result, QP_NET_TLS_VERIFY);
        assert_non_null(strstr(outcome.detail, cases[i].words));
        assert_non_null(strstr(outcome.detail, "localhost"));
        assert_int_equal(connect_count, 1);
        assert_int_equal(qp_dialer_tls_counters(dialer).failed_handshakes, 1);
        tear_down(state);
    }
}

static void an_address_as_host_is_verified_as_an_address(void **state)
{
    struct outcome outcome = {0};

    serve("localhost"); /* its certificate has 127.0.0.1 as an alternative name */
    make_dialer("127.0.0.1", "ca", 5000);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    qp_stream_close(&outcome.stream, false);
}

static void who_does_not_speak_tls_is_refused(void **state)
{
    struct outcome outcome = {0};

    serve(NULL);
    make_dialer("127.0.0.1", "ca", 5000);
    start(&outcome);
    while (served_count == 0)
        run_for_ms(5);
    struct qp_slice words = QP_SLICE("HTTP/1.1 400 Bad Request\r\n\r\n");
    qp_stream_write(served[0], &words, 1);
    run_until(is_done, &outcome);
    assert_int_equal(outcome.result, QP_NET_TLS);
    assert_non_null(strstr(outcome.detail, "does not speak TLS"));
}

static void a_refusal_tells_who_and_where(void **state)
{
    struct outcome outcome = {0};
    char where[32];

    claim_port(); /* nobody listens */
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.1");
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_REFUSED);
    snprintf(where, sizeof(where), "localhost (127.0.0.1:%u)", (unsigned)port);
    assert_non_null(strstr(outcome.detail, where));
    struct outcome again = {0};
    dial(&again);
    assert_int_equal(resolver.count, 2); /* perhaps the host has moved */
}

static void a_name_that_does_not_resolve_is_told(void **state)
{
    struct outcome outcome = {0};

    port = 443;
    make_dialer("nobody.invalid", NULL, 5000);
    resolver.scripted = true;
    resolver.status = UV_EAI_NONAME;
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_RESOLVE);
    assert_non_null(strstr(outcome.detail, "nobody.invalid"));
}

static void the_next_address_is_tried_when_one_fails(void **state)
{
    struct outcome outcome = {0};

    serve("localhost");
    make_dialer("localhost", "ca", 5000);
    RESOLVES_TO("127.0.0.2", "127.0.0.3", "127.0.0.1");
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    assert_int_equal(connect_count, 3);
    qp_stream_close(&outcome.stream, false);
}

static void a_connect_that_cannot_start_ends_in_a_result(void **state)
{
    struct outcome outcome = {0};

    port = 443;
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.2", "127.0.0.3");
    connect_error = UV_EMFILE;
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_DESCRIPTORS);
    assert_int_equal(connect_count, 2);
}

static void one_deadline_covers_everything(void **state)
{
    /* Silent: a resolver; then a listener that never shakes hands. */
    for (unsigned stage = 0; stage < 2; stage++) {
        struct outcome outcome = {0};
        set_up(state);
        serve(NULL);
        make_dialer("localhost", "ca", 100);
        RESOLVES_TO("127.0.0.1");
        resolver.silent = stage == 0;
        uint64_t start_ms = qp_loop_now_ms(test_loop);
        dial(&outcome);
        assert_int_equal(outcome.result, QP_NET_TIMEOUT);
        assert_true(qp_loop_now_ms(test_loop) - start_ms < 2000);
        if (stage == 0) { /* the answer comes after all, when nobody waits */
            answer_now(&resolver.job);
        }
        tear_down(state);
    }
}

static void a_silent_address_does_not_use_up_all_the_time(void **state)
{
    struct outcome outcome = {0};
    struct sockaddr_in silent = {.sin_family = AF_INET};
    int fill[3];

    serve(NULL);
    silent.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.2", &silent.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&silent, sizeof(silent)), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (unsigned i = 0; i < 3; i++) { /* its queue is full: the kernel does not answer */
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(connect(fill[i], (struct sockaddr *)&silent, sizeof(silent)) == 0 ||
                    errno == EINPROGRESS);
    }
    make_dialer("localhost", NULL, 600);
    RESOLVES_TO("127.0.0.2", "127.0.0.1");
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    qp_stream_close(&outcome.stream, false);
    for (unsigned i = 0; i < 3; i++)
        close(fill[i]);
    close(fd);
}

static void a_dial_can_be_canceled_at_each_stage(void **state)
{
    enum { STARTED, RESOLVING, CONNECTING, HANDSHAKE, STAGES };

    for (unsigned stage = STARTED; stage < STAGES; stage++) {
        struct outcome outcome = {0};
        set_up(state);
        serve(NULL);
        make_dialer(stage == CONNECTING ? "127.0.0.1" : "localhost", "ca", 5000);
        RESOLVES_TO("127.0.0.1");
        resolver.silent = stage == RESOLVING;
        start(&outcome);
        if (stage == CONNECTING) {
            /* As far as the job that connects, and no poll yet. */
            qp_loop_stop(test_loop);
            uv_run(&test_loop->uv, UV_RUN_NOWAIT);
            while (connect_count == 0)
                uv_run(&test_loop->uv, UV_RUN_NOWAIT);
        } else if (stage != STARTED) {
            run_for_ms(20);
        }
        assert_int_equal(connect_count, stage >= CONNECTING);
        qp_dial_cancel(&outcome.dial);
        assert_null(outcome.dial);
        if (stage == RESOLVING)
            answer_now(&resolver.job);
        run_for_ms(20);
        assert_int_equal(outcome.count, 0);
        close_served();
        run_until(no_streams, NULL);
        tear_down(state);
    }
}

static void a_dialer_may_be_freed_while_the_resolver_works(void **state)
{
    struct outcome outcome = {0};

    port = 443;
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.1");
    resolver.silent = true;
    start(&outcome);
    run_for_ms(10);
    qp_dial_cancel(&outcome.dial);
    qp_dialer_free(&dialer);
    answer_now(&resolver.job);
}

static void a_finished_dial_may_cancel_another_that_waited_with_it(void **state)
{
    struct outcome second = {0};
    struct outcome first = {.cancel = &second};

    port = 443;
    make_dialer("nobody.invalid", NULL, 5000);
    resolver.scripted = true;
    resolver.status = UV_EAI_NONAME;
    start(&first);
    start(&second);
    run_until(is_done, &first);
    run_for_ms(10);
    assert_int_equal(second.count, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_dial_gives_a_stream),
        TEST(a_name_is_resolved_once_for_all_who_dial),
        TEST(the_systems_resolver_knows_localhost),
        TEST(a_verified_origin_gets_a_stream_and_the_next_one_resumes),
        cmocka_unit_test(a_certificate_that_does_not_fit_is_refused_in_words),
        TEST(an_address_as_host_is_verified_as_an_address),
        TEST(who_does_not_speak_tls_is_refused),
        TEST(a_refusal_tells_who_and_where),
        TEST(a_name_that_does_not_resolve_is_told),
        TEST(the_next_address_is_tried_when_one_fails),
        TEST(a_connect_that_cannot_start_ends_in_a_result),
        cmocka_unit_test(one_deadline_covers_everything),
        TEST(a_silent_address_does_not_use_up_all_the_time),
        cmocka_unit_test(a_dial_can_be_canceled_at_each_stage),
        TEST(a_dialer_may_be_freed_while_the_resolver_works),
        TEST(a_finished_dial_may_cancel_another_that_waited_with_it),
    };
    if (qp_tls_init() != QP_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
