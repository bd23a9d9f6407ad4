#include "token/grant.h"
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

static bool is_plain_in_forms(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '*' ||
           c == '-' || c == '.' || c == '_';
}

/* RFC 6749 appendix B: application/x-www-form-urlencoded over UTF-8. */
static void append_form_encoded(struct qp_buf *out, struct qp_slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; text.at && i < text.len; ++i) {
        unsigned char c = (unsigned char)text.at[i];
        if (is_plain_in_forms(c)) {
            qp_buf_append_char(out, (char)c);
        } else if (c == ' ') {
            qp_buf_append_char(out, '+');
        } else {
            qp_buf_append_char(out, '%');
            qp_buf_append_char(out, hex[c >> 4]);
            qp_buf_append_char(out, hex[c & 15]);
        }
    }
}

static void append_pair(struct qp_buf *out, const char *name, struct qp_slice value)
{
    if (qp_buf_len(out))
        qp_buf_append_char(out, '&');
    qp_buf_append_str(out, name);
    qp_buf_append_char(out, '=');
    append_form_encoded(out, value);
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

void qp_grant_body(const struct qp_account_opts *account, const struct qp_secret *refresh_token,
                   struct qp_buf *body)
{
    qp_buf_reserve(body,
                   FIXED_BYTES + encoded_bytes_max *
                                     (text_bytes(account->client_id) + text_bytes(account->scope) +
                                      secret_bytes(account->client_secret) + secret_bytes(refresh_token)));
    if (account->grant == QP_GRANT_REFRESH_TOKEN) {
        append_pair(body, "grant_type", QP_SLICE("refresh_token"));
        if (refresh_token)
            append_pair(body, "refresh_token", qp_secret_reveal(refresh_token));
    } else {
        append_pair(body, "grant_type", QP_SLICE("client_credentials"));
    }
    if (account->scope)
        append_pair(body, "scope", qp_slice_str(account->scope));
    if (authenticates_in_head(account))
        return;
    append_pair(body, "client_id", qp_slice_str(account->client_id));
    if (account->client_secret)
        append_pair(body, "client_secret", qp_secret_reveal(account->client_secret));
}

static void append_basic(const struct qp_account_opts *account, struct qp_buf *head)
{
    struct qp_buf pair = {0};
    qp_buf_reserve(&pair, 1 + encoded_bytes_max *
                                  (text_bytes(account->client_id) + secret_bytes(account->client_secret)));
    append_form_encoded(&pair, qp_slice_str(account->client_id));
    qp_buf_append_char(&pair, ':');
    append_form_encoded(&pair, qp_secret_reveal(account->client_secret));
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
