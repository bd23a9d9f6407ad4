#include "token/grant.h"
#include "http/form.h"
#include "http/write.h"

/* A buffer that grows leaves its old block unwiped: the callers reserve for the worst case first. */
enum { FIXED_BYTES = 512 };
static const size_t encoded_bytes_max = 3;

static size_t secret_bytes(const struct qp_secret *secret)
{
    return secret ? qp_secret_reveal(secret).len : 0;
}

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) : 0;
}

static void append_base64(struct qp_buf *out, struct qp_slice in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; in.at && i < in.len; i += 3) {
        size_t have = in.len - i < 3 ? in.len - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; ++k)
            group = group << 8 | (k < have ? (unsigned char)in.at[i + k] : 0u);
        for (size_t k = 0; k < 4; ++k)
            qp_buf_append_char(out, k <= have ? digits[group >> (18 - 6 * k) & 63] : '=');
    }
}

/* A client without a secret has nothing to authenticate with: it names itself in the body (RFC 6749
 * section 3.2.1). */
static bool authenticates_in_head(const struct qp_account_opts *account)
{
    return account->client_auth == QP_CLIENT_AUTH_BASIC && account->client_secret;
}

static const char *const type_names[] = {
    [QP_GRANT_BY_CLIENT] = "client_credentials",
    [QP_GRANT_BY_REFRESH] = "refresh_token",
    [QP_GRANT_BY_CODE] = "authorization_code",
};

static void append_secret(struct qp_buf *body, const char *name, const struct qp_secret *value)
{
    if (value)
        qp_form_append_pair(body, name, qp_secret_reveal(value));
}

/* What somebody signed in for is fixed by the code: a scope sent again could only narrow it (RFC 6749 section 6). */
static bool sends_scope(const struct qp_account_opts *account, enum qp_grant_kind kind)
{
    return account->scope && account->grant != QP_GRANT_AUTHORIZATION_CODE && kind != QP_GRANT_REVOKE;
}

static void append_grant(const struct qp_grant_request *request, struct qp_buf *body)
{
    if (request->kind == QP_GRANT_REVOKE) {
        append_secret(body, "token", request->token);
        return;
    }
    qp_form_append_pair(body, "grant_type", qp_slice_str(type_names[request->kind]));
    append_secret(body, "refresh_token", request->token);
    append_secret(body, "code", request->code);
    append_secret(body, "code_verifier", request->verifier);
    if (request->redirect_uri)
        qp_form_append_pair(body, "redirect_uri", qp_slice_str(request->redirect_uri));
}

void qp_grant_body(const struct qp_account_opts *account, const struct qp_grant_request *request,
                   struct qp_buf *body)
{
    qp_buf_reserve(body,
                   FIXED_BYTES + encoded_bytes_max *
                                     (text_bytes(account->client_id) + text_bytes(account->scope) +
                                      text_bytes(request->redirect_uri) +
                                      secret_bytes(account->client_secret) + secret_bytes(request->token) +
                                      secret_bytes(request->code) + secret_bytes(request->verifier)));
    append_grant(request, body);
    if (sends_scope(account, request->kind))
        qp_form_append_pair(body, "scope", qp_slice_str(account->scope));
    if (authenticates_in_head(account))
        return;
    qp_form_append_pair(body, "client_id", qp_slice_str(account->client_id));
    append_secret(body, "client_secret", account->client_secret);
}

static void append_basic(const struct qp_account_opts *account, struct qp_buf *head)
{
    struct qp_buf pair = {0};
    qp_buf_reserve(&pair, 1 + encoded_bytes_max *
                                  (text_bytes(account->client_id) + secret_bytes(account->client_secret)));
    qp_form_append_encoded(&pair, qp_slice_str(account->client_id));
    qp_buf_append_char(&pair, ':');
    qp_form_append_encoded(&pair, qp_secret_reveal(account->client_secret));
    qp_buf_append_str(head, "Authorization: Basic ");
    append_base64(head, qp_buf_slice(&pair));
    qp_buf_append_str(head, "\r\n");
    qp_buf_wipe(&pair);
}

void qp_grant_head(const struct qp_account_opts *account, struct qp_slice authority, struct qp_slice path,
                   size_t body_bytes, struct qp_buf *head)
{
    /* Base64 makes four of three. */
    qp_buf_reserve(head, FIXED_BYTES + authority.len + path.len +
                             2 * encoded_bytes_max *
                                 (text_bytes(account->client_id) + secret_bytes(account->client_secret)));
    qp_write_request_line(head, QP_SLICE("POST"), path);
    qp_write_field(head, QP_SLICE("Host"), authority);
    if (authenticates_in_head(account))
        append_basic(account, head);
    qp_write_field(head, QP_SLICE("User-Agent"), QP_SLICE("qproxy"));
    qp_write_field(head, QP_SLICE("Accept"), QP_SLICE("application/json"));
    qp_write_field(head, QP_SLICE("Content-Type"), QP_SLICE("application/x-www-form-urlencoded"));
    qp_write_framing(head, QP_BODY_LENGTH, body_bytes);
    /* One call an hour keeps no connection warm. */
    qp_write_field(head, QP_SLICE("Connection"), QP_SLICE("close"));
    qp_write_head_end(head);
}
