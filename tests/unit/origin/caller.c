#include "unit/origin/caller.h"

#include "base/alloc.h"
#include "base/check.h"
#include <linux/filter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct caller caller;
static unsigned given_count;

static void note(struct owner *owner, const char *event)
{
    qp_buf_append_str(&owner->diary, event);
    qp_buf_append_char(&owner->diary, '\n');
    if (owner->release_at && strncmp(event, owner->release_at, strlen(owner->release_at)) == 0)
        qp_exchange_release(&owner->exchange);
}

static void note_fmt(struct owner *owner, const char *what, struct qp_slice text)
{
    char line[256];

    snprintf(line, sizeof(line), "%s %.*s", what, QP_SLICE_FMT(text));
    note(owner, line);
}

static void on_informed(void *context, const struct qp_message *head)
{
    char text[8] = {(char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
                    (char)('0' + head->status % 10)};

    note_fmt(context, "informed", qp_slice_str(text));
}

static void on_head(void *context, const struct qp_message *head)
{
    char text[8] = {(char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
                    (char)('0' + head->status % 10)};

    note_fmt(context, "head", qp_slice_str(text));
}

static void on_body(void *context, struct qp_slice piece)
{
    struct owner *owner = context;

    owner->body_bytes += piece.len;
    if (!owner->is_quiet)
        note_fmt(owner, "body", piece);
}

static void on_end(void *context)
{
    note(context, "end");
}

static void on_drained(void *context)
{
    note(context, "drained");
}

static void on_failed(void *context, enum qp_result why, const char *detail)
{
    note_fmt(context, "failed", qp_slice_str(qp_result_name(why)));
}

const struct qp_exchange_events owner_events = {
    .informed = on_informed,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
};

int caller_begin(void **state)
{
    caller = (struct caller){
        .opts = {
            .dial = {.host = QP_SLICE("127.0.0.1"), .timeout_ms = 1000},
            .limits = {.head_bytes = 8192, .target_bytes = 1, .fields = 50, .chunk_extension_bytes = 1024},
            .idle_ms = 10000,
            .idle_streams = 8,
            .streams = 8,
            .dials = 8,
            .waiting = 8}};
    given_count = 0;
    caller.loop = wire_begin();
    caller.listening = wire_listen(&caller.port);
    return 0;
}

/* What pool.h promises. */
static void check_counters(const struct qp_pool *pool)
{
    const struct qp_pool_counters c = qp_pool_counters(pool);

    assert_int_equal(c.dials, c.dial_failures + c.closed + c.streams + c.dialling);
}

int caller_end(void **state)
{
    if (caller.pool)
        check_counters(caller.pool);
    qp_pool_close(&caller.pool);
    if (caller.listening >= 0)
        close(caller.listening);
    wire_end();
    return 0;
}

struct qp_pool *caller_pool(void)
{
    caller.opts.dial.port = caller.port;
    if (!caller.pool)
        caller.pool = qp_pool_new(caller.loop, &caller.opts);
    return caller.pool;
}

static void on_given(struct qp_pool_waiter *waiter, struct qp_exchange *exchange, enum qp_result result,
                     const char *detail)
{
    struct owner *owner = QP_CONTAINER_OF(waiter, struct owner, waiter);

    owner->exchange = exchange;
    owner->order = ++given_count;
    note_fmt(owner, "given", qp_slice_str(qp_result_name(result)));
}

void owner_want(struct owner *owner, bool fresh)
{
    owner->waiter.done = on_given;
    owner->exchange = fresh ? NULL : qp_pool_try_take(caller_pool());
    if (owner->exchange) {
        note(owner, "taken");
        return;
    }
    const enum qp_result result = qp_pool_wait(caller_pool(), &owner->waiter, fresh);
    if (result != QP_OK)
        note_fmt(owner, "given", qp_slice_str(qp_result_name(result)));
}

bool owner_run_until_given(struct owner *owner)
{
    return owner->exchange || (owner_run_until(owner, "given ") && owner->exchange);
}

void owner_ask(struct owner *owner, const char *head, bool is_head)
{
    qp_exchange_begin(owner->exchange, &owner_events, owner, is_head);
    qp_exchange_send_head(owner->exchange, qp_slice_str(head), QP_BODY_NONE);
}

const char *owner_diary(struct owner *owner)
{
    *qp_buf_reserve(&owner->diary, 1) = '\0';
    return owner->diary.data + owner->diary.start;
}

bool owner_saw(struct owner *owner, const char *event)
{
    return strstr(owner_diary(owner), event) != NULL;
}

struct expected {
    struct owner *owner;
    const char *event;
};

static bool is_missing(void *context)
{
    const struct expected *expected = context;

    return !owner_saw(expected->owner, expected->event);
}

bool owner_run_until(struct owner *owner, const char *event)
{
    struct expected expected = {.owner = owner, .event = event};

    return wire_run_while(is_missing, &expected);
}

void owner_end(struct owner *owner)
{
    qp_pool_cancel(&owner->waiter);
    qp_exchange_release(&owner->exchange);
    qp_buf_deinit(&owner->diary);
}

void caller_deafen(int fd)
{
    struct sock_filter drop_all = {.code = BPF_RET | BPF_K};
    const struct sock_fprog program = {.len = 1, .filter = &drop_all};

    qp_require(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
}
