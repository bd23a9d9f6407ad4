#include "rig.h"
#include <stdio.h>

enum { LOOK_MS = 4 };

static void look(struct qp_timer *timer)
{
    struct rig *rig = QP_CONTAINER_OF(timer, struct rig, look);
    rig->came = rig->until && rig->until(rig);
    if (rig->came || qp_loop_now_ms(rig->loop) >= rig->limit_ms)
        qp_loop_stop(rig->loop);
    else
        qp_timer_arm(rig->loop, timer, LOOK_MS);
}

static void run(struct rig *rig, bool (*until)(struct rig *rig), uint64_t limit_ms)
{
    rig->until = until;
    rig->came = false;
    rig->limit_ms = qp_loop_now_ms(rig->loop) + limit_ms;
    qp_timer_arm(rig->loop, &rig->look, LOOK_MS);
    qp_loop_run(rig->loop);
}

void rig_run_until(struct rig *rig, bool (*until)(struct rig *rig), uint64_t limit_ms)
{
    run(rig, until, limit_ms);
    assert_true(rig->came);
}

void rig_run_for(struct rig *rig, uint64_t ms)
{
    run(rig, NULL, ms);
}

static struct qp_secret *secret_of(const char *text)
{
    return text ? qp_secret_new(qp_slice_str(text)) : NULL;
}

void rig_open(struct rig *rig, const char *refresh_token, const struct endpoint_step *steps, unsigned count)
{
    *rig = (struct rig){0};
    rig->endpoint = count ? endpoint_start(steps, count) : NULL;
    snprintf(rig->url, sizeof(rig->url), "http://127.0.0.1:%u/oauth2/token",
             rig->endpoint ? endpoint_port(rig->endpoint) : 1);
    rig->client_secret = secret_of("hush");
    rig->refresh_token = secret_of(refresh_token);
    rig->account = (struct qp_account_opts){
        .name = "main",
        .grant = refresh_token ? QP_GRANT_REFRESH_TOKEN : QP_GRANT_CLIENT_CREDENTIALS,
        .client_id = "id",
        .client_secret = rig->client_secret,
        .refresh_token = rig->refresh_token,
        .token_url = rig->url,
        .origin_connect_ms = 2000,
        .token_call_ms = 2000,
    };
    rig->loop = qp_loop_new();
    qp_timer_init(&rig->look, look);
}

void rig_start(struct rig *rig)
{
    rig->keeper = qp_keeper_new(
        rig->loop,
        &(struct qp_keeper_opts){.accounts = &rig->account, .account_count = 1, .allow_plain_http = true});
    rig->view = qp_view_new(rig->loop, rig->keeper,
                            &(struct qp_view_opts){.account_count = 1, .token_wait_ms = 3000, .waiting = 8});
    qp_keeper_add_view(rig->keeper, rig->view);
    qp_keeper_start(rig->keeper);
}

void rig_close(struct rig *rig)
{
    qp_view_close(&rig->view);
    qp_keeper_close(&rig->keeper);
    qp_timer_deinit(&rig->look);
    qp_loop_free(&rig->loop);
    qp_secret_free(&rig->client_secret);
    qp_secret_free(&rig->refresh_token);
    if (rig->endpoint)
        endpoint_stop(rig->endpoint);
}

struct qp_token_status rig_status(const struct rig *rig)
{
    return qp_keeper_status(rig->keeper, 0);
}

static bool is_in_state(struct rig *rig)
{
    return rig_status(rig).state == rig->wanted;
}

void rig_run_to_state(struct rig *rig, enum qp_token_state state, uint64_t limit_ms)
{
    rig->wanted = state;
    rig_run_until(rig, is_in_state, limit_ms);
}

static bool has_generation(struct rig *rig)
{
    struct qp_token token;
    return qp_view_token(rig->view, 0, rig->wanted, &token);
}

void rig_run_to_generation(struct rig *rig, uint64_t generation, uint64_t limit_ms)
{
    rig->wanted = generation;
    rig_run_until(rig, has_generation, limit_ms);
}

static void remember(struct qp_need *need, enum qp_need_outcome outcome, uint32_t retry_after_s,
                     const char *text)
{
    struct answered *answered = QP_CONTAINER_OF(need, struct answered, need);
    struct qp_token token;
    ++answered->times;
    answered->outcome = outcome;
    answered->retry_after_s = retry_after_s;
    snprintf(answered->text, sizeof(answered->text), "%s", text ? text : "");
    assert_int_equal(text == NULL, outcome == QP_NEED_MET);
    if (outcome == QP_NEED_MET)
        assert_true(qp_view_token(answered->rig->view, 0, need->min_generation, &token));
}

void rig_need(struct rig *rig, uint64_t min_generation, struct answered *answered)
{
    *answered = (struct answered){.rig = rig, .need.answered = remember};
    qp_view_need(rig->view, 0, min_generation, &answered->need);
    assert_int_equal(answered->times, 0);
}

static struct answered *awaited;

static bool is_answered(struct rig *rig)
{
    return awaited->times > 0;
}

struct answered rig_ask(struct rig *rig, uint64_t min_generation)
{
    struct answered answered;
    rig_need(rig, min_generation, &answered);
    awaited = &answered;
    rig_run_until(rig, is_answered, 5000);
    assert_int_equal(answered.times, 1);
    return answered;
}

void rig_assert_token(struct rig *rig, uint64_t min_generation, const char *value)
{
    struct qp_token token;
    assert_true(qp_view_token(rig->view, 0, min_generation, &token));
    assert_true(qp_slice_is(qp_secret_reveal(token.value), qp_slice_str(value)));
}
