#include "control.h"
#include "base/alloc.h"
#include <stdio.h>

enum { CONTROL_BODY_BYTES = 256 * 1024, ECHOES_LISTED = 64 };

struct order {
    struct si_control *control;
    struct qp_request *request;
    struct qp_buf body;
    struct qp_buf out;
    struct qp_slice query;
};

static uint64_t param(const struct order *order, const char *name, uint64_t otherwise)
{
    struct qp_slice rest = order->query;
    while (rest.at) {
        struct qp_slice pair = qp_slice_cut(&rest, '&');
        struct qp_slice key = qp_slice_cut(&pair, '=');
        uint64_t value = 1; /* "?tokens" alone */
        if (qp_slice_is(key, qp_slice_str(name)) &&
            (!pair.at || pair.len == 0 || qp_slice_to_u64(pair, &value)))
            return value;
    }
    return otherwise;
}

/* ---- orders: each fills order->out and gives the status ---- */

static unsigned counters(struct order *order)
{
    struct si_world *world = order->control->world;
    struct si_loops loops = {0};
    order->control->ask_loops(order->control->context, &loops);
    qp_buf_append_char(&order->out, '{');
    si_lock(world);
    si_counters_write(&world->counters, &world->tokens, param(order, "echoes", ECHOES_LISTED), &order->out);
    si_unlock(world);
    qp_buf_append_fmt(&order->out,
                      ",\"connections\":{\"open\":%llu,\"streams\":%u,\"accepted\":%llu,\"requests\":%llu,"
                      "\"refusals\":%llu,"
                      "\"gone\":%llu}",
                      (unsigned long long)loops.server.connections_open, loops.streams,
                      (unsigned long long)loops.server.connections_accepted,
                      (unsigned long long)loops.server.requests, (unsigned long long)loops.server.refusals,
                      (unsigned long long)loops.server.gone);
    qp_buf_append_fmt(&order->out, ",\"handshakes\":{\"full\":%llu,\"resumed\":%llu,\"failed\":%llu}}\n",
                      (unsigned long long)loops.tls.full_handshakes,
                      (unsigned long long)loops.tls.resumed_handshakes,
                      (unsigned long long)loops.tls.failed_handshakes);
    return 200;
}

static unsigned revoke_all(struct order *order)
{
    struct si_world *world = order->control->world;
    si_lock(world);
    uint64_t revoked = si_tokens_revoke(&world->tokens, param(order, "keep_latest", 0));
    if (param(order, "refresh", 0))
        si_tokens_revoke_refresh(&world->tokens);
    si_unlock(world);
    qp_buf_append_fmt(&order->out, "{\"revoked\":%llu}\n", (unsigned long long)revoked);
    return 200;
}

static unsigned get_knobs(struct order *order)
{
    struct si_world *world = order->control->world;
    si_lock(world);
    si_knobs_write(&world->knobs, &order->out);
    si_unlock(world);
    qp_buf_append_char(&order->out, '\n');
    return 200;
}

static unsigned post_knobs(struct order *order)
{
    struct si_world *world = order->control->world;
    struct si_knobs defaults;
    char why[160];
    si_knobs_default(&defaults, world->opts.token_life_s, world->opts.datacenter);
    si_lock(world);
    bool good = si_knobs_apply(&world->knobs, &defaults, qp_buf_slice(&order->body), why, sizeof(why));
    si_unlock(world);
    if (good)
        return get_knobs(order);
    qp_buf_append_str(&order->out, "{\"error\":\"");
    qp_buf_append_json(&order->out, qp_slice_str(why));
    qp_buf_append_str(&order->out, "\"}\n");
    return 400;
}

static unsigned reset(struct order *order)
{
    si_world_reset(order->control->world, param(order, "tokens", 0) != 0);
    qp_buf_append_str(&order->out, "{}\n");
    return 200;
}

static unsigned issued(struct order *order)
{
    struct si_world *world = order->control->world;
    si_lock(world);
    qp_buf_append_char(&order->out, '{');
    si_tokens_write(&world->tokens, &order->out);
    qp_buf_append_str(&order->out, ",\"codes\":");
    si_codes_write(&world->sign_ins, &order->out);
    si_unlock(world);
    qp_buf_append_str(&order->out, "}\n");
    return 200;
}

/* What a person's sign-in would give: the beginning of a family. */
static unsigned refresh_token(struct order *order)
{
    struct si_world *world = order->control->world;
    si_lock(world);
    qp_buf_append_fmt(&order->out, "{\"refresh_token\":\"%s\"}\n",
                      si_tokens_refresh_new(&world->tokens, 0, NULL)->value);
    si_unlock(world);
    return 200;
}

static unsigned other(struct order *order)
{
    qp_buf_append_str(&order->out,
                      "{\"error\":\"GET /counters[?echoes=N] /knobs /issued, POST /knobs /reset[?tokens] "
                      "/revoke-all[?keep_latest=N][&refresh] /refresh-token\"}\n");
    return 404;
}

static const struct {
    const char *method;
    const char *path;
    unsigned (*run)(struct order *order);
} orders[] = {
    {"GET", "/counters", counters},
    {"POST", "/revoke-all", revoke_all},
    {"GET", "/knobs", get_knobs},
    {"POST", "/knobs", post_knobs},
    {"POST", "/reset", reset},
    {"GET", "/issued", issued},
    {"POST", "/refresh-token", refresh_token},
};

/* ---- the handler ---- */

static void order_free(struct order *order)
{
    qp_buf_deinit(&order->body);
    qp_buf_deinit(&order->out);
    qp_free(order);
}

static void on_head(void *handler_context, struct qp_request *request)
{
    struct order *order = qp_alloc(sizeof(*order));
    order->control = handler_context;
    order->request = request;
    qp_request_set_context(request, order);
    if (qp_request_message(request)->expect_continue)
        qp_request_inform(request, 100, QP_SLICE_NONE, NULL);
}

static void on_body(struct qp_request *request, struct qp_slice piece)
{
    struct order *order = qp_request_context(request);
    if (qp_buf_len(&order->body) + piece.len <= CONTROL_BODY_BYTES)
        qp_buf_append(&order->body, piece);
}

static void on_end(struct qp_request *request)
{
    struct order *order = qp_request_context(request);
    struct qp_slice method = qp_request_message(request)->method;
    struct qp_slice rest = qp_request_target(request);
    struct qp_slice path = qp_slice_cut(&rest, '?');
    unsigned (*run)(struct order *) = other;
    order->query = rest;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        if (qp_slice_is(method, qp_slice_str(orders[i].method)) &&
            qp_slice_is(path, qp_slice_str(orders[i].path)))
            run = orders[i].run;
    unsigned status = run(order);
    struct qp_buf out = order->out; /* the reply ends the request, so what it needs is taken out first */
    order->out = (struct qp_buf){0};
    order_free(order);
    qp_request_reply(request, status, "application/json", QP_SLICE_NONE, qp_buf_slice(&out));
    qp_buf_deinit(&out);
}

static void on_drained(struct qp_request *request) {}

static void on_gone(struct qp_request *request, enum qp_result why)
{
    order_free(qp_request_context(request));
}

static const char *refusal_body(void *handler_context, const struct qp_request *request,
                                const struct qp_refusal *refusal, struct qp_buf *body)
{
    qp_buf_append_fmt(body, "%s\n", refusal->text);
    return "text/plain";
}

const struct qp_handler si_control_handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
    .refusal_body = refusal_body,
};
