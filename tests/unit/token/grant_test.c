#include "cmocka_all.h"
#include "token/grant.h"

/* RFC 6749 section 2.3.1 and appendix B. */

static struct qp_secret *secret_of(const char *text)
{
    return qp_secret_new(qp_slice_str(text));
}

static const struct qp_grant_request by_client = {.kind = QP_GRANT_BY_CLIENT};

static void assert_buf(struct qp_buf *buf, const char *expected)
{
    qp_buf_append_char(buf, 0);
    assert_string_equal(qp_buf_slice(buf).at, expected);
    qp_buf_wipe(buf);
}

static void test_body_of_client_credentials(void **state)
{
    struct qp_buf body = {0};
    struct qp_secret *secret = secret_of("s");
    struct qp_account_opts account = {
        .client_id = "id", .client_secret = secret, .scope = "read:surveys manage:all"};
    qp_grant_body(&account, &by_client, &body);
    assert_buf(&body, "grant_type=client_credentials&scope=read%3Asurveys+manage%3Aall");
    account.scope = NULL;
    qp_grant_body(&account, &by_client, &body);
    assert_buf(&body, "grant_type=client_credentials");
    qp_secret_free(&secret);
}

static void test_body_credentials_are_form_encoded(void **state)
{
    struct qp_buf body = {0};
    struct qp_secret *secret = secret_of(":+%&=/ \xc3\xa4");
    struct qp_account_opts account = {
        .client_auth = QP_CLIENT_AUTH_BODY, .client_id = "UR_1|x~", .client_secret = secret};
    qp_grant_body(&account, &by_client, &body);
    assert_buf(&body,
               "grant_type=client_credentials&client_id=UR_1%7Cx%7E&client_secret=%3A%2B%25%26%3D%2F+%C3%A4");
    qp_secret_free(&secret);
}

static void test_body_of_refresh_token(void **state)
{
    struct qp_buf body = {0};
    struct qp_secret *refresh = secret_of("r/1=");
    struct qp_account_opts account = {.grant = QP_GRANT_REFRESH_TOKEN, .client_id = "id"};
    qp_grant_body(&account, &(struct qp_grant_request){.kind = QP_GRANT_BY_REFRESH, .token = refresh}, &body);
    /* Without a secret there is nothing for Basic: the client names itself (section 3.2.1). */
    assert_buf(&body, "grant_type=refresh_token&refresh_token=r%2F1%3D&client_id=id");
    qp_secret_free(&refresh);
}

/* RFC 6749 section 4.1.3, RFC 7636 section 4.5: no scope, which the code has fixed already. */
static void test_body_of_a_code(void **state)
{
    struct qp_buf body = {0};
    struct qp_secret *code = secret_of("c+1/");
    struct qp_secret *verifier = secret_of("v-_~");
    struct qp_account_opts account = {
        .grant = QP_GRANT_AUTHORIZATION_CODE, .client_id = "id", .scope = "read:surveys"};
    struct qp_grant_request request = {.kind = QP_GRANT_BY_CODE,
                                       .code = code,
                                       .verifier = verifier,
                                       .redirect_uri = "http://127.0.0.1:8081/oauth/callback"};
    qp_grant_body(&account, &request, &body);
    assert_buf(&body, "grant_type=authorization_code&code=c%2B1%2F&code_verifier=v-_%7E"
                      "&redirect_uri=http%3A%2F%2F127.0.0.1%3A8081%2Foauth%2Fcallback&client_id=id");
    qp_secret_free(&code);
    qp_secret_free(&verifier);
}

/* RFC 7009 section 2.1. */
static void test_body_of_a_revocation(void **state)
{
    struct qp_buf body = {0};
    struct qp_secret *token = secret_of("t&1");
    struct qp_secret *secret = secret_of("s");
    struct qp_account_opts account = {.grant = QP_GRANT_AUTHORIZATION_CODE,
                                      .client_auth = QP_CLIENT_AUTH_BODY,
                                      .client_id = "id",
                                      .client_secret = secret,
                                      .scope = "x"};
    qp_grant_body(&account, &(struct qp_grant_request){.kind = QP_GRANT_REVOKE, .token = token}, &body);
    assert_buf(&body, "token=t%261&client_id=id&client_secret=s");
    qp_secret_free(&token);
    qp_secret_free(&secret);
}

static void assert_head(const struct qp_account_opts *account, const char *authorization)
{
    struct qp_buf head = {0};
    qp_grant_head(account, QP_SLICE("dc.example:8443"), QP_SLICE("/oauth2/token?x=1"), 29, &head);
    qp_buf_append_char(&head, 0);
    const char *text = qp_buf_slice(&head).at;
    assert_true(strncmp(text, "POST /oauth2/token?x=1 HTTP/1.1\r\nHost: dc.example:8443\r\n", 56) == 0);
    assert_non_null(strstr(text, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 29\r\n"));
    assert_null(strstr(text, "Accept-Encoding"));
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
    if (authorization)
        assert_non_null(strstr(text, authorization));
    else
        assert_null(strstr(text, "Authorization"));
    qp_buf_wipe(&head);
}

static void test_head_basic(void **state)
{
    static const struct {
        const char *id, *secret, *line;
    } rows[] = {
        {"id", "secret", "\r\nAuthorization: Basic aWQ6c2VjcmV0\r\n"},
        {"a", "b", "\r\nAuthorization: Basic YTpi\r\n"},
        {"a", "bc", "\r\nAuthorization: Basic YTpiYw==\r\n"},
        {"a", "bcd", "\r\nAuthorization: Basic YTpiY2Q=\r\n"},
        /* base64("i%3Ad:%3A%2B%25%26%3D%2F+%C3%A4") */
        {"i:d", ":+%&=/ \xc3\xa4",
         "\r\nAuthorization: Basic aSUzQWQ6JTNBJTJCJTI1JTI2JTNEJTJGKyVDMyVBNA==\r\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct qp_secret *secret = secret_of(rows[i].secret);
        struct qp_account_opts account = {.client_id = rows[i].id, .client_secret = secret};
        assert_head(&account, rows[i].line);
        qp_secret_free(&secret);
    }
}

static void test_head_without_basic(void **state)
{
    struct qp_secret *secret = secret_of("s");
    assert_head(&(struct qp_account_opts){.client_id = "id"}, NULL);
    assert_head(&(struct qp_account_opts){.client_auth = QP_CLIENT_AUTH_BODY,
                                          .client_id = "id",
                                          .client_secret = secret},
                NULL);
    qp_secret_free(&secret);
}

/* What grows is copied, and the old copy is not wiped: whatever the sizes, the first reserve is enough. */
static void test_no_growth_whatever_the_sizes(void **state)
{
    static char worst[4001];
    memset(worst, '/', sizeof(worst) - 1);
    struct qp_secret *secret = secret_of(worst);
    struct qp_account_opts account = {.grant = QP_GRANT_REFRESH_TOKEN,
                                      .client_auth = QP_CLIENT_AUTH_BODY,
                                      .client_id = worst,
                                      .client_secret = secret,
                                      .scope = worst};
    struct qp_buf body = {0}, head = {0};
    qp_grant_body(&account, &(struct qp_grant_request){.kind = QP_GRANT_BY_REFRESH, .token = secret}, &body);
    assert_true(qp_buf_len(&body) >= 4 * 3 * 4000);
    account.client_auth = QP_CLIENT_AUTH_BASIC;
    qp_grant_head(&account, qp_slice_str(worst), qp_slice_str(worst), 1, &head);
    assert_true(qp_buf_len(&head) >= 2 * 4 * 4000);
    assert_true(body.capacity >= qp_buf_len(&body) && head.capacity >= qp_buf_len(&head));
    qp_buf_wipe(&body);
    qp_buf_wipe(&head);
    qp_secret_free(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_client_credentials),
        cmocka_unit_test(test_body_credentials_are_form_encoded),
        cmocka_unit_test(test_body_of_refresh_token),
        cmocka_unit_test(test_body_of_a_code),
        cmocka_unit_test(test_body_of_a_revocation),
        cmocka_unit_test(test_head_basic),
        cmocka_unit_test(test_head_without_basic),
        cmocka_unit_test(test_no_growth_whatever_the_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
