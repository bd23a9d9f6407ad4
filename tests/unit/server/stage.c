#include "unit/server/stage.h"

#include "base/alloc.h"
#include "base/check.h"
#include "net/listen.h"
#include <arpa/inet.h>
#include <stdio.h>

struct stage stage;
static struct qp_listen_claim *claim;

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
    qp_buf_append_fmt(&stage.diary, "gone %s\n", qp_result_name(why));
    if (stage.held == request)
        stage.held = NULL;
}

static const char *refusal_body(void *context, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body)
{
    qp_buf_append_fmt(body, "{\"code\":\"%s\"}", refusal->code);
    return "application/json";
}

static const struct qp_handler handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
    .refusal_body = refusal_body,
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
    qp_require(qp_address_parse(QP_SLICE("127.0.0.1:0"), &address, &why) == QP_OK);
    qp_require(qp_listen_claim(&address, 0660, &claim, error, sizeof(error)) == QP_OK);
    stage.port = ntohs(address.u.v4.sin_port);
    return 0;
}

int stage_end(void **state)
{
    qp_server_close(&stage.server);
    qp_listen_release(&claim);
    wire_end();
    qp_buf_deinit(&stage.diary);
    qp_buf_deinit(&stage.body);
    return 0;
}

/* The server is made at the first client, so that a test can change the options before. */
struct wire *stage_connect(void)
{
    if (!stage.server) {
        stage.server = qp_server_new(stage.loop, &stage.opts, &handler, &stage);
        qp_server_listen(stage.server, qp_listen_fd(claim), 7, NULL);
    }
    return wire_connect(stage.port);
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
