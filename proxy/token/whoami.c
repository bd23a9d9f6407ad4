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

static const struct qp_slice brand_domain = QP_SLICE(".qualtrics.com");

static bool is_in_host(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-';
}

/* The first host under qualtrics.com that the text names, or none. */
static struct qp_slice host_in(const char *text)
{
    const char *domain = qp_slice_find(qp_slice_str(text), brand_domain);
    const char *start = domain;
    while (domain && start > text && is_in_host(start[-1]))
        --start;
    return start == domain ? QP_SLICE_NONE : qp_slice(start, (size_t)(domain - start) + brand_domain.len);
}

/* The label before the domain, where it can be a datacenter's id: those end in a digit, and a brand's name says nothing of where it lives. */
static struct qp_slice datacenter_in(struct qp_slice host)
{
    struct qp_slice label = QP_SLICE_NONE;
    if (!qp_slice_ends_nocase(host, brand_domain))
        return label;
    host.len -= brand_domain.len;
    while (host.at)
        label = qp_slice_cut(&host, '.');
    char last = label.len ? label.at[label.len - 1] : 0;
    return last >= '0' && last <= '9' ? label : QP_SLICE_NONE;
}

/* A notice that names another host names the right one: true. whoami's own datacenter may be another id of the same place, so it only says "check". */
static bool warn_of(const cJSON *root, struct qp_slice host, struct qp_identity *identity)
{
    char notice[160];
    char *warning = identity->warning;
    size_t size = sizeof(identity->warning);
    TAKE(notice, cJSON_GetObjectItemCaseSensitive(root, "meta"), "notice");
    struct qp_slice named = host_in(notice);
    struct qp_slice datacenter = datacenter_in(host);
    if (named.at && !qp_slice_is_nocase(named, host)) {
        snprintf(warning, size, "Qualtrics says \"%s\": set datacenter to %.*s", notice, QP_SLICE_FMT(named));
        return true;
    }
    if (*notice)
        snprintf(warning, size, "Qualtrics says \"%s\"", notice);
    else if (*identity->datacenter && datacenter.at &&
             !qp_slice_is_nocase(datacenter, qp_slice_str(identity->datacenter)))
        snprintf(warning, size,
                 "whoami names the datacenter '%s' and the configured origin is %.*s: if requests fail, "
                 "check datacenter",
                 identity->datacenter, QP_SLICE_FMT(host));
    return false;
}

/* The verdict's code, or NULL if this is no answer to whoami. */
static const char *judge_identity(struct qp_slice body, struct qp_slice host, struct qp_identity *identity)
{
    struct qp_identity found = {0};
    const char *code = NULL;
    cJSON *root = qp_json_parse_answer(body);
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(root, "result");
    TAKE(found.user, result, "userName");
    if (*found.user) {
        TAKE(found.brand, result, "brandId");
        TAKE(found.datacenter, result, "datacenter");
        code = warn_of(root, host, &found) ? "wrong_host" : "ok";
        *identity = found;
    }
    cJSON_Delete(root);
    return code;
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
    {QP_NET_TLS_TIMEOUT, 0, -1, "network", "the origin does not finish the TLS handshake in time"},
    {QP_OK, 400, 0, "ok_without_token",
     "the origin answers and its certificate is good; nobody was asked for, because there is no token"},
    {QP_OK, 401, 0, "ok_without_token",
     "the origin answers and its certificate is good; nobody was asked for, because there is no token"},
    {QP_OK, 401, 1, "rejected",
     "the origin does not accept the token: is this the account's own datacenter, and is the client still "
     "allowed?"},
    {QP_OK, 403, 1, "forbidden",
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
    bool may_be_identity = shot->why == QP_OK && shot->status == 200 && had_token;
    const char *code = may_be_identity ? judge_identity(shot->body, host, identity) : NULL;
    char text[96];
    if (row) {
        say(verdict, row->code, row->text, shot->why == QP_OK ? "" : shot->detail);
    } else if (shot->why != QP_OK) {
        say(verdict, "network", qp_result_text(shot->why), shot->detail);
    } else if (code) {
        snprintf(verdict->text, sizeof(verdict->text),
                 "the origin knows the account as '%s' of brand '%s'%s%s", identity->user, identity->brand,
                 *identity->warning ? "; " : "", identity->warning);
        verdict->code = code;
    } else {
        snprintf(text, sizeof(text),
                 "the origin answers whoami with status %u, which says nothing of the account", shot->status);
        say(verdict, "unexpected", text, "");
    }
}
