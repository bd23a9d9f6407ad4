#include "unit/admin/fake_keeper.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct qp_keeper {
    int nothing;
};

struct fake fake;
static struct qp_keeper keeper;

struct qp_keeper *fake_begin(struct qp_loop *loop)
{
    memset(&fake, 0, sizeof fake);
    fake.loop = loop;
    fake.end = (struct qp_order_end){.ok = true, .code = "refreshed", .text = "there is a new token"};
    fake.vault = (struct qp_vault_status){.is_configured = true, .is_writable = true};
    fake.progress = "waiting";
    for (unsigned i = 0; i < FAKE_ACCOUNTS; i++)
        fake.status[i] = (struct qp_token_status){
            .grant = QP_GRANT_AUTHORIZATION_CODE,
            .state = QP_TOKEN_FRESH,
            .generation = 1,
            .usable = true,
            .age_s = 60,
            .expires_in_s = 3540,
            .next_call_s = 3480,
            .can_sign_in = true,
            .can_refresh = true,
            .can_sign_out = true,
            .signed_in_s = 60,
            .refresh_token_age_s = 60,
            .identity = &fake.identity[i],
        };
    return &keeper;
}

void fake_end(void)
{
    for (unsigned i = 0; i < fake.order_count; i++)
        qp_later_cancel(&fake.orders[i].job);
}

/* ---- orders ---- */

static void on_end(struct qp_job *job)
{
    struct fake_order *order = QP_CONTAINER_OF(job, struct fake_order, job);
    qp_order_done *done = order->done;
    order->done = NULL;
    if (done)
        done(order->owner, &fake.end);
}

static struct fake_order *take(const char *what, unsigned account, qp_order_done *done, void *owner)
{
    assert_true(fake.order_count < FAKE_ORDERS);
    struct fake_order *order = &fake.orders[fake.order_count++];
    *order = (struct fake_order){.done = done, .owner = owner, .account = account};
    snprintf(order->what, sizeof order->what, "%s", what);
    qp_job_init(&order->job, on_end);
    if (!fake.is_held)
        qp_later(fake.loop, &order->job);
    return order;
}

void fake_release(void)
{
    fake.is_held = false;
    for (unsigned i = 0; i < fake.order_count; i++)
        if (fake.orders[i].done)
            qp_later(fake.loop, &fake.orders[i].job);
}

const struct fake_order *fake_last(void)
{
    assert_true(fake.order_count > 0);
    return &fake.orders[fake.order_count - 1];
}

void qp_keeper_refresh(struct qp_keeper *of, unsigned account, qp_order_done *done, void *owner)
{
    take("refresh", account, done, owner);
}

void qp_keeper_sign_out(struct qp_keeper *of, unsigned account, qp_order_done *done, void *owner)
{
    take("sign_out", account, done, owner);
}

void qp_keeper_check(struct qp_keeper *of, unsigned account, bool spend, qp_order_done *done, void *owner)
{
    take("check", account, done, owner)->spend = spend;
}

void qp_keeper_abandon(struct qp_keeper *of, void *owner)
{
    for (unsigned i = 0; i < fake.order_count; i++) {
        if (!fake.orders[i].done || fake.orders[i].owner != owner)
            continue;
        fake.orders[i].done = NULL;
        fake.abandoned++;
    }
}

enum qp_result qp_keeper_rotate_key(struct qp_keeper *of, char *text, size_t text_size)
{
    snprintf(text, text_size, "%s", fake.rotated == QP_OK ? "the vault has a new key" : "no space left");
    return fake.rotated;
}

/* ---- state ---- */

struct qp_token_status qp_keeper_status(const struct qp_keeper *of, unsigned account)
{
    assert_true(of == &keeper && account < FAKE_ACCOUNTS);
    return fake.status[account];
}

struct qp_vault_status qp_keeper_vault_status(const struct qp_keeper *of)
{
    return fake.vault;
}

static const struct {
    const char *word;
    const char *text;
} STATES[] = {
#define STATE(name, word, text) [name] = {word, text},
    QP_TOKEN_STATE_MAP(STATE)
#undef STATE
};

const char *qp_token_state_word(enum qp_token_state state)
{
    return STATES[state].word;
}

const char *qp_token_state_text(enum qp_token_state state)
{
    return STATES[state].text;
}

/* ---- sign-ins ---- */

static void put_coded(char *out, size_t size, const char *text)
{
    size_t len = 0;
    for (; *text && len + 4 < size; text++)
        len += (size_t)snprintf(out + len, size - len, strchr(":/?#&=", *text) ? "%%%02X" : "%c", *text);
}

bool qp_sign_in_begin(struct qp_keeper *of, unsigned account, const char *redirect_uri,
                      struct qp_slice binding, struct qp_sign_in_begun *begun, const char **why)
{
    char coded[256] = "";
    *why = fake.refusal;
    if (fake.refusal)
        return false;
    fake.begun_count++;
    fake.begun_account = account;
    snprintf(fake.begun_binding, sizeof fake.begun_binding, "%.*s", QP_SLICE_FMT(binding));
    snprintf(fake.begun_uri, sizeof fake.begun_uri, "%s", redirect_uri);
    snprintf(fake.begun_state, sizeof fake.begun_state, "state-number-%u", fake.begun_count);
    put_coded(coded, sizeof coded, redirect_uri);
    snprintf(fake.begun_url, sizeof fake.begun_url,
             "https://as.example/oauth2/auth?response_type=code&redirect_uri=%s&state=%s&code_challenge=c",
             coded, fake.begun_state);
    snprintf(begun->id, sizeof begun->id, "id-number-%u", fake.begun_count);
    begun->url = fake.begun_url;
    return true;
}

void qp_sign_in_finish(struct qp_keeper *of, const struct qp_sign_in_answer *answer, qp_order_done *done,
                       void *owner)
{
    snprintf(fake.finished_query, sizeof fake.finished_query, "%.*s", QP_SLICE_FMT(answer->query));
    snprintf(fake.finished_binding, sizeof fake.finished_binding, "%.*s", QP_SLICE_FMT(answer->binding));
    snprintf(fake.finished_id, sizeof fake.finished_id, "%s", answer->id ? answer->id : "-");
    take("finish", 0, done, owner);
}

const char *qp_sign_in_progress(struct qp_keeper *of, const char *id, struct qp_order_end *end,
                                unsigned *account_index)
{
    bool is_over = strcmp(fake.progress, "done") == 0 || strcmp(fake.progress, "failed") == 0;
    snprintf(fake.progress_id, sizeof fake.progress_id, "%s", id);
    if (is_over && end)
        *end = fake.end;
    return fake.progress;
}
