/* A token endpoint's answer: two bytes of status, then the body; the same bytes as a Retry-After. */
#include "base/check.h"
#include "token/grant.h"
#include "token/pace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned status = 100 + (data[0] * 256u + data[1]) % 500;
    struct qp_slice body = qp_slice((const char *)data + 2, size - 2);
    struct qp_grant_answer answer;
    qp_grant_judge(status, body, &answer);
    qp_require((answer.outcome == QP_GRANT_GRANTED) == (answer.access_token != NULL));
    /* Also without an access token: the refresh token that was sent is spent by then. */
    qp_require(!answer.refresh_token || (status >= 200 && status < 300));
    qp_require(answer.expires_in_s >= 1 && answer.expires_in_s <= 365 * 24 * 3600);
    if (answer.access_token) {
        struct qp_slice token = qp_secret_reveal(answer.access_token);
        qp_require(token.len > 0 && token.len <= 8192 && status >= 200 && status < 300);
        for (size_t i = 0; i < token.len; ++i)
            qp_require(token.at[i] > 0x20 && token.at[i] < 0x7f);
    } else {
        qp_require(answer.error[0] && answer.text[0]);
        for (const char *c = answer.error; *c; ++c)
            qp_require(*c > 0x20 && *c < 0x7f);
    }
    qp_grant_answer_deinit(&answer);
    qp_require(qp_pace_retry_after_s(body, 1700000000) <= QP_PACE_RETRY_AFTER_MAX_S);
    return 0;
}
