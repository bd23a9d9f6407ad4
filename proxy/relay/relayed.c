#include "relay/relayed.h"
#include "base/alloc.h"

enum {
    WARM_REQUESTS = 256,
    WARM_BODY_BYTES = 4096,
    /* Then the body goes without a 100: the origin may not know Expect (RFC 9110 section 10.1.1). */
    CONTINUE_MS = 1000
};

struct state_row {
    char letter;
    const char *text;
    size_t deadline;
};
static const struct state_row STATES[] = {
#define STATE_ROW(name, letter, text, deadline) [name] = {letter, text, deadline},
    QP_RELAYED_STATE_MAP(STATE_ROW)
#undef STATE_ROW
};

struct relayed *qp_relayed_take(struct qp_relay *relay)
{
    struct qp_list *link = qp_list_shift(&relay->warm);
    if (link) {
        relay->warm_count--;
        return QP_CONTAINER_OF(link, struct relayed, link);
    }
    struct relayed *r = qp_alloc(sizeof *r);
    r->relay = relay;
    qp_list_init(&r->link);
    return r;
}

static void free_relayed(struct relayed *r)
{
    qp_kept_deinit(&r->kept);
    qp_links_deinit(&r->links);
    qp_buf_deinit(&r->body);
    qp_free(r);
}

void qp_relay_free_warm(struct qp_relay *relay)
{
    for (struct qp_list *link; (link = qp_list_shift(&relay->warm)) != NULL;)
        free_relayed(QP_CONTAINER_OF(link, struct relayed, link));
    relay->warm_count = 0;
}

void qp_relayed_give(struct relayed *r)
{
    struct qp_relay *relay = r->relay;
    qp_timer_deinit(&r->deadline);
    qp_kept_reset(&r->kept);
    if (relay->warm_count >= WARM_REQUESTS) {
        free_relayed(r);
        return;
    }
    if (r->body.capacity > WARM_BODY_BYTES)
        qp_buf_deinit(&r->body);
    qp_buf_clear(&r->body);
    *r = (struct relayed){.relay = relay, .kept = r->kept, .body = r->body, .links = {.held = r->links.held}};
    qp_list_init(&r->link);
    qp_list_prepend(&relay->warm, &r->link);
    relay->warm_count++;
}

static uint32_t own_time_ms(const struct relayed *r)
{
    const size_t offset = STATES[r->state].deadline;
    if (r->attempt.waits_for_continue)
        return CONTINUE_MS;
    return offset ? *(const uint32_t *)(const void *)((const char *)&r->relay->opts + offset) : 0;
}

void qp_relayed_arm_deadline(struct relayed *r)
{
    const uint64_t now_ms = qp_loop_now_ms(r->relay->loop);
    uint64_t after_ms = own_time_ms(r);
    if (r->due_ms) {
        const uint64_t left_ms = r->due_ms > now_ms ? r->due_ms - now_ms : 1;
        after_ms = after_ms && after_ms < left_ms ? after_ms : left_ms;
    }
    if (after_ms)
        qp_timer_arm(r->relay->loop, &r->deadline, after_ms);
    else
        qp_timer_disarm(&r->deadline);
}

bool qp_relayed_is_overdue(const struct relayed *r)
{
    return r->due_ms && qp_loop_now_ms(r->relay->loop) >= r->due_ms;
}

void qp_relayed_set_state(struct relayed *r, enum relayed_state state)
{
    r->state = state;
    qp_relayed_arm_deadline(r);
}

const char *qp_relayed_state_text(const struct relayed *r)
{
    return STATES[r->state].text;
}

void qp_relayed_count_attempt(struct relayed *r)
{
    struct qp_relay_counters *counters = &r->relay->counters;
    QP_COUNT(counters, attempts);
    if (r->attempts++ == 0) {
        QP_COUNT(counters, forwarded);
    } else if (r->was_stale) {
        QP_COUNT(counters, stale_retries);
    } else if (r->rejected) {
        QP_COUNT(counters, replays);
        r->replays++;
    } else if (r->unexpected) {
        QP_COUNT(counters, expect_retries);
    }
    r->rejected = r->was_stale = false;
}

char qp_relayed_state_letter(const struct relayed *r)
{
    return STATES[r->state].letter;
}
