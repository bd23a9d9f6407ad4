#include "token/whoami.h"
#include "base/alloc.h"
#include "http/write.h"
#include "token/json.h"
#include <stdio.h>

enum { FIXED_BYTES = 512 };

void qp_whoami_head(const struct qp_account_opts *account, const struct qp_secret *token,
                    struct qp_slice authority, struct qp_slice path, struct qp_buf *head)
{
    size_t token_bytes = token ? qp_secret_reveal(token).len : 0;
    qp_buf_reserve(head, FIXED_BYTES + authority.len + path.len + token_bytes);
    qp_write_request_line(head, QP_SLICE("GET"), path);
    qp_write_field(head, QP_SLICE("Host"), authority);
    if (token && account->grant == QP_GRANT_API_TOKEN) {
        qp_write_field(head, QP_SLICE("X-API-TOKEN"), qp_secret_reveal(token));
    } else if (token) {
        qp_buf_append_str(head, "Authorization: Bearer ");
        qp_buf_append(head, qp_secret_reveal(token));
        qp_buf_append_str(head, "\r\n");
    }
    qp_write_field(head, QP_SLICE("User-Agent"), QP_SLICE("qproxy"));
    qp_write_field(head, QP_SLICE("Accept"), QP_SLICE("application/json"));
    qp_write_field(head, QP_SLICE("Connection"), QP_SLICE("close"));
    qp_write_head_end(head);
}

/* ---- the identity ---- */

#define TAKE(out, object, name) qp_json_text_of((object), (name), (out), sizeof(out))

static bool is_label_of(struct qp_slice host, const char *label)
{
    while (host.at) {
        if (qp_slice_is_nocase(qp_slice_cut(&host, '.'), qp_slice_str(label)))
            return true;
    }
    return false;
}

/* A notice that names a host names the right one; whoami's own datacenter may be another id of the same place, so it only says "check". */
static void warn_of(const cJSON *root, struct qp_slice host, struct qp_identity *identity)
{
    char notice[200];
    char *warning = identity->warning;
    size_t size = sizeof(identity->warning);
    struct qp_slice brand_domain = QP_SLICE(".qualtrics.com");
    TAKE(notice, cJSON_GetObjectItemCaseSensitive(root, "meta"), "notice");
    bool names_a_host = qp_slice_find(qp_slice_str(notice), brand_domain) != NULL;
    if (names_a_host && !qp_slice_find(qp_slice_str(notice), host))
        snprintf(warning, size, "Qualtrics says \"%s\": set datacenter to the host that is named there",
                 notice);
    else if (*notice)
        snprintf(warning, size, "Qualtrics says \"%s\"", notice);
    else if (*identity->datacenter && qp_slice_ends_nocase(host, brand_domain) &&
             !is_label_of(host, identity->datacenter))
        snprintf(warning, size,
                 "whoami names the datacenter '%s' and the configured origin is %.*s: if requests fail, "
                 "check datacenter",
                 identity->datacenter, QP_SLICE_FMT(host));
}

static bool judge_identity(struct qp_slice body, struct qp_slice host, struct qp_identity *identity)
{
    cJSON *root = qp_json_parse_object(body);
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(root, "result");
    bool is_whoami = cJSON_IsObject(result);
    if (is_whoami) {
        *identity = (struct qp_identity){0};
        TAKE(identity->brand, result, "brandId");
        TAKE(identity->user, result, "userName");
        TAKE(identity->datacenter, result, "datacenter");
        warn_of(root, host, identity);
    }
    cJSON_Delete(root);
    return is_whoami;
}

/* ---- the verdict ---- */

struct row {
    enum qp_result why; /* QP_OK: by status */
    unsigned status;    /* 0: any */
    int had_token;      /* -1: either */
    const char *code;
    const char *text;
};

static const struct row rows[] = {
    {QP_NET_RESOLVE, 0, -1, "resolve", "the origin's host name does not resolve: check datacenter and DNS"},
    {QP_NET_TLS_VERIFY, 0, -1, "certificate",
     "the origin's certificate is not accepted: check datacenter and ca_file"},
    {QP_NET_TLS, 0, -1, "certificate", "TLS with the origin failed: check datacenter and ca_file"},
    {QP_NET_REFUSED, 0, -1, "network", "the origin refuses the connection: check datacenter"},
    {QP_NET_TIMEOUT, 0, -1, "network", "the origin does not answer in time: check the network"},
    {QP_OK, 400, 0, "ok_without_token",
     "the origin answers and its certificate is good; nobody was asked for, because there is no token"},
    {QP_OK, 401, 0, "ok_without_token",
     "the origin answers and its certificate is good; nobody was asked for, because there is no token"},
    {QP_OK, 401, 1, "rejected",
     "the origin does not accept the token: is this the account's own datacenter, and is the client still "
     "allowed?"},
    {QP_OK, 403, -1, "forbidden",
     "the origin knows the account and does not let it ask who it is: it lacks a permission or a scope"},
};

static const struct row *find_row(const struct qp_shot_result *shot, bool had_token)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        bool fits_status = rows[i].status == 0 || rows[i].status == shot->status;
        bool fits_token = rows[i].had_token < 0 || (rows[i].had_token == 1) == had_token;
        if (rows[i].why == shot->why && fits_status && fits_token)
            return &rows[i];
    }
    return NULL;
}

static void say(struct qp_whoami_verdict *verdict, const char *code, const char *text, const char *detail)
{
    verdict->code = code;
    snprintf(verdict->text, sizeof(verdict->text), "%s%s%s%s", text, *detail ? " (" : "", detail,
             *detail ? ")" : "");
}

void qp_whoami_judge(const struct qp_shot_result *shot, bool had_token, struct qp_slice host,
                     struct qp_identity *identity, struct qp_whoami_verdict *verdict)
{
    const struct row *row = find_row(shot, had_token);
    char text[96];
    if (row) {
        say(verdict, row->code, row->text, shot->why == QP_OK ? "" : shot->detail);
    } else if (shot->why != QP_OK) {
        say(verdict, "network", qp_result_text(shot->why), shot->detail);
    } else if (shot->status == 200 && had_token && judge_identity(shot->body, host, identity)) {
        snprintf(verdict->text, sizeof(verdict->text),
                 "the origin knows the account as '%s' of brand '%s'%s%s", identity->user, identity->brand,
                 *identity->warning ? "; " : "", identity->warning);
        verdict->code = *identity->warning ? "wrong_host" : "ok";
    } else {
        snprintf(text, sizeof(text),
                 "the origin answers whoami with status %u, which says nothing of the account", shot->status);
        say(verdict, "unexpected", text, "");
    }
}
