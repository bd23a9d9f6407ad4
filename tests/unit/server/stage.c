#include "unit/server/stage.h"

#include "base/alloc.h"
#include "base/check.h"
#include "net/listen.h"
#include "server/census.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct stage stage;

/* Two addresses, so that a test chooses the server that a client meets. */
static struct {
    struct qp_listen_claim *claim;
    uint16_t port;
    struct qp_server *server;
} doors[2];
static struct qp_listen_claim *local_door;
static char local_path[64];

/* ---- time ---- */

enum {
    STEP_MS = 1000, /* less than the server's own steps, so that it sees what happens between them */
    STEP_TURNS = 6
};
static _Atomic uint64_t ahead_ms;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    const int result = __real_clock_gettime(clock, time);
    const uint64_t ms = clock == CLOCK_REALTIME ? 0 : ahead_ms;

    time->tv_sec += (time_t)(ms / 1000);
    time->tv_nsec += (long)(ms % 1000) * 1000000;
    if (time->tv_nsec >= 1000000000) {
        time->tv_nsec -= 1000000000;
        time->tv_sec++;
    }
    return result;
}

static bool just_once(void *context)
{
    return false;
}

/* Turns of the loop that do not wait. */
static void turn(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        wire_run_while(just_once, NULL);
}

void stage_pass_ms(uint64_t ms)
{
    turn(STEP_TURNS);
    for (uint64_t step; ms > 0; ms -= step) {
        step = ms < STEP_MS ? ms : STEP_MS;
        ahead_ms += step;
        turn(STEP_TURNS);
    }
}

static bool is_target(const struct qp_request *request, const char *target)
{
    return qp_slice_is(qp_request_target(request), qp_slice_str(target));
}

static void reply_text(struct qp_request *request, const char *text)
{
    stage.held = stage.held == request ? NULL : stage.held;
    qp_request_reply(request, 200, "text/plain", QP_SLICE_NONE, qp_slice_str(text));
}

static void on_head(void *context, struct qp_request *request)
{
    const struct qp_message *head = qp_request_message(request);

    qp_require(context == &stage);
    qp_buf_append_fmt(&stage.diary, "head %.*s %.*s\n", QP_SLICE_FMT(head->method),
                      QP_SLICE_FMT(qp_request_target(request)));
    stage.held = request;
    qp_request_set_context(request, &stage);
    if (is_target(request, "/now")) {
        reply_text(request, "now");
    } else if (is_target(request, "/abort")) {
        stage.held = NULL;
        qp_request_abort(request);
    } else if (is_target(request, "/echo")) {
        const struct qp_answer answer = {.status = 200, .length = QP_LENGTH_UNKNOWN};
        qp_request_respond(request, &answer);
    }
}

static void on_body(struct qp_request *request, struct qp_slice piece)
{
    qp_require(qp_request_context(request) == &stage);
    qp_buf_append_fmt(&stage.diary, "body %zu\n", piece.len);
    qp_buf_append(&stage.body, piece);
    if (is_target(request, "/body")) {
        reply_text(request, "seen");
    } else if (is_target(request, "/echo")) {
        qp_request_send(request, piece);
        if (stage.echo_stops && qp_request_is_full(request))
            qp_request_pause(request);
    }
}

static void on_end(struct qp_request *request)
{
    char text[32];

    qp_buf_append_str(&stage.diary, "end\n");
    if (is_target(request, "/echo")) {
        stage.held = NULL;
        qp_request_finish(request, &qp_request_message(request)->trailers);
    } else if (is_target(request, "/end")) {
        snprintf(text, sizeof(text), "%llu bytes", (unsigned long long)qp_request_body_received(request));
        reply_text(request, text);
    }
}

static void on_drained(struct qp_request *request)
{
    qp_buf_append_str(&stage.diary, "drained\n");
    qp_request_resume(request);
}

static void on_gone(struct qp_request *request, enum qp_result why)
{
    const struct qp_refusal *refusal = qp_request_refusal(request);

    qp_buf_append_fmt(&stage.diary, "gone %s\n", qp_result_name(why));
    if (refusal)
        qp_buf_append_fmt(&stage.diary, "told %u %s\n", qp_request_answer_status(request), refusal->code);
    if (stage.held == request)
        stage.held = NULL;
}

static const char *refusal_body(void *context, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body)
{
    qp_buf_append_fmt(body, "{\"code\":\"%s\",\"id\":\"%u-%u\"}", refusal->code,
                      (unsigned)qp_request_conn_id(request), (unsigned)qp_request_number(request));
    return "application/json";
}

static void on_refused(void *context, struct qp_request *request)
{
    const struct qp_slice method = qp_request_message(request)->method;
    const struct qp_slice target = qp_request_target(request);

    qp_require(context == &stage && qp_request_refusal(request) != NULL);
    qp_buf_append_fmt(&stage.diary, "refused %u %s '%.*s' '%.*s'\n", qp_request_answer_status(request),
                      qp_request_refusal(request)->code, QP_SLICE_FMT(method), QP_SLICE_FMT(target));
}

static const struct qp_handler handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
    .refusal_body = refusal_body,
    .refused = on_refused,
};

static const struct qp_server_opts defaults = {
    .client_head_ms = 10000,
    .client_body_ms = 10000,
    .client_idle_ms = 10000,
    .limits = {.head_bytes = 16384, .target_bytes = 4096, .fields = 100, .chunk_extension_bytes = 1024},
    .error_field = "X-Qproxy-Error",
};

struct qp_server_opts *stage_opts(void)
{
    return &stage.opts;
}

int stage_begin(void **state)
{
    struct qp_address address;
    const char *why = NULL;
    char error[256];

    stage = (struct stage){.opts = defaults};
    stage.loop = wire_begin();
    for (unsigned i = 0; i < 2; i++) {
        qp_require(qp_address_parse(QP_SLICE("127.0.0.1:0"), &address, &why) == QP_OK);
        qp_require(qp_listen_claim(&address, 0660, &doors[i].claim, error, sizeof(error)) == QP_OK);
        doors[i].port = ntohs(address.u.v4.sin_port);
    }
    stage.port = doors[0].port;
    return 0;
}

int stage_end(void **state)
{
    qp_server_close(&stage.server);
    qp_server_close(&doors[1].server);
    qp_census_free(&stage.opts.census);
    for (unsigned i = 0; i < 2; i++)
        qp_listen_release(&doors[i].claim);
    qp_listen_release(&local_door);
    wire_end();
    qp_buf_deinit(&stage.diary);
    qp_buf_deinit(&stage.body);
    return 0;
}

static void open_door(struct qp_server **server, struct qp_listen_claim *claim, unsigned listener_id)
{
    if (*server)
        return;
    *server = qp_server_new(stage.loop, &stage.opts, &handler, &stage);
    qp_server_listen(*server, qp_listen_fd(claim), listener_id, stage.tls);
}

/* The server is made at the first client, so that a test can change the options before. */
struct wire *stage_connect(void)
{
    open_door(&stage.server, doors[0].claim, 7);
    return wire_connect(stage.port);
}

struct wire *stage_connect_local(void)
{
    struct qp_address address;
    const char *why = NULL;
    char text[80];
    char error[256];

    if (!local_door) {
        snprintf(local_path, sizeof(local_path), "/tmp/qproxy-stage-%d", (int)getpid());
        snprintf(text, sizeof(text), "unix:%s", local_path);
        qp_require(qp_address_parse(qp_slice_str(text), &address, &why) == QP_OK);
        qp_require(qp_listen_claim(&address, 0600, &local_door, error, sizeof(error)) == QP_OK);
        open_door(&stage.server, local_door, 9);
    }
    return wire_connect_local(local_path);
}

struct wire *stage_connect_other(void)
{
    open_door(&doors[1].server, doors[1].claim, 8);
    return wire_connect(doors[1].port);
}

bool stage_saw(const char *event)
{
    return strstr(stage_diary(), event) != NULL;
}

const char *stage_diary(void)
{
    *qp_buf_reserve(&stage.diary, 1) = '\0';
    return stage.diary.data + stage.diary.start;
}
