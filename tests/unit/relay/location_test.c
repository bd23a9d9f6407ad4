#include "relay/location.h"

#include "cmocka_all.h"

struct row {
    const char *value;
    const char *plain;    /* for an account without a path_prefix; NULL: it stays */
    const char *prefixed; /* for one with "/brand" */
};

#define BASE "http://127.0.0.1:8080"

static const struct row ROWS[] = {
    {"https://iad1.qualtrics.com/API/v3/x?a=%2f#f", BASE "/API/v3/x?a=%2f#f", BASE "/brand/API/v3/x?a=%2f#f"},
    {"https://iad1.qualtrics.com:443/API/", BASE "/API/", BASE "/brand/API/"},
    {"HTTPS://IAD1.Qualtrics.COM/API/v4//..", BASE "/API/v4//..", BASE "/brand/API/v4//.."},
    {"https://iad1.qualtrics.com/API/v3/x#https://evil.example/", BASE "/API/v3/x#https://evil.example/",
     BASE "/brand/API/v3/x#https://evil.example/"},
    {"/API/v3/x", NULL, "/brand/API/v3/x"},
    /* not the API */
    {"https://iad1.qualtrics.com/", NULL, NULL},
    {"https://iad1.qualtrics.com/API", NULL, NULL},
    {"https://iad1.qualtrics.com/api/v3/x", NULL, NULL},
    {"https://iad1.qualtrics.com/jfe/form/SV_1", NULL, NULL},
    {"https://iad1.qualtrics.com?/API/v3/x", NULL, NULL},
    {"https://iad1.qualtrics.com#/API/v3/x", NULL, NULL},
    {"/jfe/form/SV_1", NULL, NULL},
    {"/API", NULL, NULL},
    /* not the account's own */
    {"https://fra1.qualtrics.com/API/v3/x", NULL, NULL},
    {"https://brand.iad1.qualtrics.com/API/v3/x", NULL, NULL},
    {"https://iad1.qualtrics.com.evil.example/API/v3/x", NULL, NULL},
    {"https://iad1.qualtrics.com@evil.example/API/v3/x", NULL, NULL},
    {"https://evil.example/https://iad1.qualtrics.com/API/v3/x", NULL, NULL},
    {"https://iad1.qualtrics.com:8443/API/v3/x", NULL, NULL},
    {"http://iad1.qualtrics.com/API/v3/x", NULL, NULL},
    {"http://iad1.qualtrics.com:443/API/v3/x", NULL, NULL},
    {"//iad1.qualtrics.com/API/v3/x", NULL, NULL},
    {"x/API/v3", NULL, NULL},
    {"../API/v3/x", NULL, NULL},
    {"https://iad1.qualtrics.com/API/v3/\xc3\xa9", NULL, NULL},
    {"", NULL, NULL},
    {"#/API/", NULL, NULL},
};

static void check(const struct qp_links_rules *rules, struct qp_slice prefix, const char *value,
                  const char *wanted)
{
    struct qp_buf out = {0};
    bool is_led_back = qp_location_lead_back(rules, prefix, qp_slice_str(value), &out);
    if (is_led_back != (wanted != NULL) || !qp_slice_is(qp_buf_slice(&out), qp_slice_str(wanted)))
        fail_msg("%s -> %.*s", value, QP_SLICE_FMT(qp_buf_slice(&out)));
    qp_buf_deinit(&out);
}

static void only_what_leads_to_the_accounts_own_api_is_led_back(void **state)
{
    struct qp_links_rules plain = {
        .origin_host = QP_SLICE("iad1.qualtrics.com"), .origin_port = 443, .base = QP_SLICE(BASE)};
    struct qp_links_rules prefixed = plain;
    prefixed.base = QP_SLICE(BASE "/brand");
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        check(&plain, QP_SLICE_NONE, ROWS[i].value, ROWS[i].plain);
        check(&prefixed, QP_SLICE("/brand"), ROWS[i].value, ROWS[i].prefixed);
    }
}

static void an_origin_may_have_a_port_and_an_address(void **state)
{
    struct qp_links_rules rules = {
        .origin_host = QP_SLICE("::1"), .origin_port = 8443, .base = QP_SLICE(BASE)};
    check(&rules, QP_SLICE_NONE, "https://[::1]:8443/API/x", BASE "/API/x");
    check(&rules, QP_SLICE_NONE, "https://[::1]/API/x", NULL);
    rules.origin_port = 443;
    check(&rules, QP_SLICE_NONE, "https://[::1]/API/x", BASE "/API/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_leads_to_the_accounts_own_api_is_led_back),
        cmocka_unit_test(an_origin_may_have_a_port_and_an_address),
    };
    return cmocka_run_group_tests_name("relay.location", tests, NULL, NULL);
}
