#include "unit/admin/bench.h"
#include "net/listen.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct bench bench;

static const char *const NAMES[FAKE_ACCOUNTS] = {"main", "other", "third", "key"};
static const struct qp_admin_counter COUNTERS[] = {
    {"requests", "requests taken", false, "relay", NULL, NULL},
    {"own_replies", "answers of our own", false, "relay", NULL, NULL}};
static const struct qp_admin_counter POOL[] = {{"idle", "idle ones", true, NULL, NULL, NULL}};

static void read_numbers(void *context, unsigned worker, uint64_t *counters, uint64_t *pool)
{
    assert_ptr_equal(context, &bench);
    counters[0] = bench.count + worker;
    counters[1] = 0;
    for (unsigned i = 0; i < FAKE_ACCOUNTS; i++)
        pool[i] = i;
}

static void claim(unsigned i, const char *text)
{
    const char *why = NULL;
    char error[256];
    assert_int_equal(qp_address_parse(qp_slice_str(text), &bench.addresses[i], &why), QP_OK);
    assert_int_equal(qp_listen_claim(&bench.addresses[i], 0600, &bench.claims[i], error, sizeof error),
                     QP_OK);
}

void bench_begin_with(const struct bench_opts *opts)
{
    char local[128];
    memset(&bench, 0, sizeof bench);
    bench.loop = wire_begin();
    bench.host = opts->host;
    bench.token = opts->token ? qp_secret_new(qp_slice_str(opts->token)) : NULL;
    snprintf(bench.path, sizeof bench.path, "/tmp/qp-admin-%d.sock", (int)getpid());
    snprintf(local, sizeof local, "unix:%s", bench.path);
    claim(0, "127.0.0.1:0");
    claim(1, local);
    bench.port = ntohs(bench.addresses[0].u.v4.sin_port);
    snprintf(bench.own, sizeof bench.own, "127.0.0.1:%u", (unsigned)bench.port);
    struct qp_admin_opts room = {
        .version = "1.2.3",
        .addresses = bench.addresses,
        .address_count = 2,
        .hosts = &bench.host,
        .host_count = opts->host != NULL,
        .token = bench.token,
        .keeper = fake_begin(bench.loop),
        .account_names = NAMES,
        .redirect_uris = bench.redirect_uris,
        .account_count = FAKE_ACCOUNTS,
        .worker_count = 2,
        .counters = {COUNTERS, 2},
        .pool = {POOL, 1},
        .read = read_numbers,
        .context = &bench,
    };
    bench.admin = qp_admin_new(bench.loop, &room);
    for (unsigned i = 0; i < 2; i++)
        qp_admin_listen(bench.admin, i, qp_listen_fd(bench.claims[i]));
}

int bench_begin(void **state)
{
    const struct bench_opts opts = {0};
    bench_begin_with(&opts);
    return 0;
}

int bench_end(void **state)
{
    qp_admin_close(&bench.admin);
    fake_end();
    for (unsigned i = 0; i < 2; i++)
        qp_listen_release(&bench.claims[i]);
    qp_secret_free(&bench.token);
    wire_end();
    return 0;
}

/* ---- asking ---- */

static void put_filled(struct qp_buf *out, const char *request)
{
    const struct {
        const char *name;
        const char *value;
    } rows[] = {{"$HOST", bench.own}, {"$COOKIE", bench.cookie}, {"$CSRF", bench.csrf}};
    while (*request) {
        size_t row = 0;
        while (row < 3 && strncmp(request, rows[row].name, strlen(rows[row].name)) != 0)
            row++;
        if (row < 3) {
            qp_buf_append_str(out, rows[row].value);
            request += strlen(rows[row].name);
        } else {
            qp_buf_append_char(out, *request++);
        }
    }
    qp_buf_append_char(out, '\0');
}

static struct wire *send_by(struct wire *client, const char *request)
{
    struct qp_buf text = {0};
    put_filled(&text, request);
    wire_send(client, qp_buf_slice(&text).at);
    qp_buf_deinit(&text);
    return client;
}

struct wire *bench_send(const char *request)
{
    return send_by(wire_connect(bench.port), request);
}

static const char *all_of(struct wire *client)
{
    assert_true(wire_run_until_end(client));
    return wire_text(client);
}

const char *bench_ask(const char *request)
{
    return all_of(bench_send(request));
}

const char *bench_ask_local(const char *request)
{
    return all_of(send_by(wire_connect_local(bench.path), request));
}

const char *bench_post(const char *target, const char *extra, const char *form)
{
    struct qp_buf filled = {0};
    struct qp_buf text = {0};
    put_filled(&filled, form);
    qp_buf_append_fmt(&text,
                      "POST %s HTTP/1.1\r\nHost: $HOST\r\nOrigin: http://$HOST\r\nCookie: "
                      "qproxy_session=$COOKIE\r\n" FORM "%sContent-Length: %zu\r\n" CLOSE,
                      target, extra, qp_buf_len(&filled) - 1);
    qp_buf_append_str(&text, qp_buf_slice(&filled).at);
    qp_buf_append_char(&text, '\0');
    const char *answer = bench_ask(qp_buf_slice(&text).at);
    qp_buf_deinit(&filled);
    qp_buf_deinit(&text);
    return answer;
}

void bench_visit(void)
{
    const char *answer = bench_ask(GET("/api/session") CLOSE);
    assert_int_equal(sscanf(field_of(answer, "Set-Cookie"), "qproxy_session=%43[A-Za-z0-9_-]", bench.cookie),
                     1);
    assert_int_equal(sscanf(body_of(answer), "{\"csrf\":\"%43[A-Za-z0-9_-]\"}", bench.csrf), 1);
}

/* ---- looking at answers ---- */

void assert_has(const char *answer, const char *what)
{
    if (!strstr(answer, what))
        fail_msg("no '%s' in:\n%s", what, answer);
}

void assert_lacks(const char *answer, const char *what)
{
    if (strstr(answer, what))
        fail_msg("'%s' in:\n%s", what, answer);
}

void assert_status(const char *answer, const char *status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    if (strncmp(answer, line, strlen(line)) != 0)
        fail_msg("not %s:\n%s", status, answer);
}

const char *field_of(const char *answer, const char *name)
{
    static char value[2048];
    char start[64];
    snprintf(start, sizeof start, "\r\n%s: ", name);
    const char *at = strstr(answer, start);
    if (!at)
        fail_msg("no field %s in:\n%s", name, answer);
    at += strlen(start);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}
