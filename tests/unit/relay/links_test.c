#include "relay/links.h"

#include "base/alloc.h"

#include <stdio.h>

#include "cmocka_all.h"

static const struct qp_links_rules RULES = {
    .origin_host = {"iad1.qualtrics.com", 18}, .origin_port = 443, .base = {"http://127.0.0.1:8080/p", 23}};
static const struct qp_links_rules OWN_ORIGIN = {
    .origin_host = {"localhost", 9}, .origin_port = 9443, .base = {"http://127.0.0.1:8080", 21}};
static const struct qp_links_rules V6_ORIGIN = {
    .origin_host = {"::1", 3}, .origin_port = 9443, .base = {"http://127.0.0.1:8080", 21}};

static void collect(void *out, struct qp_slice bytes)
{
    qp_buf_append(out, bytes);
}

/* Feeds `in`, cut at the given places (each piece in memory of its own). */
static uint64_t feed(const struct qp_links_rules *rules, struct qp_slice in, size_t first, size_t then,
                     struct qp_buf *out)
{
    struct qp_links links = {0};
    qp_buf_clear(out);
    qp_links_begin(&links, rules);
    for (size_t at = 0, take = first; at < in.len; at += take, take = then) {
        take = take < in.len - at ? take : in.len - at;
        char *piece = qp_alloc(take + 1);
        memcpy(piece, in.at + at, take);
        qp_links_feed(&links, qp_slice(piece, take), collect, out);
        qp_free(piece);
    }
    qp_links_end(&links, collect, out);
    uint64_t rewritten = links.rewritten;
    qp_links_deinit(&links);
    return rewritten;
}

/* However it is cut. */
static void check(const struct qp_links_rules *rules, const char *in, const char *wanted)
{
    struct qp_slice text = qp_slice_str(in);
    struct qp_buf out = {0};
    uint64_t links = feed(rules, text, text.len + 1, 1, &out);
    qp_buf_append_char(&out, '\0');
    assert_string_equal(qp_buf_slice(&out).at, wanted);
    assert_int_equal(links > 0, strcmp(in, wanted) != 0);
    for (size_t cut = 1; cut <= text.len; cut++) {
        assert_int_equal(feed(rules, text, cut, text.len, &out), links);
        assert_true(qp_slice_is(qp_buf_slice(&out), qp_slice_str(wanted)));
    }
    assert_int_equal(feed(rules, text, 1, 1, &out), links);
    assert_true(qp_slice_is(qp_buf_slice(&out), qp_slice_str(wanted)));
    if (!qp_links_may_occur(text))
        assert_string_equal(in, wanted);
    qp_buf_deinit(&out);
}

static void check_same(const char *in)
{
    check(&RULES, in, in);
}

static void the_two_links_are_led_back(void **state)
{
    check(
        &RULES,
        "{\"result\":{\"elements\":[],\"nextPage\":\"https://iad1.qualtrics.com/API/v3/"
        "surveys?offset=100\"}}",
        "{\"result\":{\"elements\":[],\"nextPage\":\"http://127.0.0.1:8080/p/API/v3/surveys?offset=100\"}}");
    check(&RULES,
          "{\"result\":{\"percentComplete\":100,\"file\":\"https://iad1.qualtrics.com/API/v3/responseexports/"
          "ES_1/file\"}}",
          "{\"result\":{\"percentComplete\":100,\"file\":\"http://127.0.0.1:8080/p/API/v3/responseexports/"
          "ES_1/file\"}}");
    check(
        &RULES,
        " \r\n{ \"meta\" : {} , \"result\" :\t{ \"nextPage\" :\n \"https://x.y.qualtrics.com/API/v3/\" } }\n",
        " \r\n{ \"meta\" : {} , \"result\" :\t{ \"nextPage\" :\n \"http://127.0.0.1:8080/p/API/v3/\" } }\n");
    check(&RULES,
          "{\"result\":{\"a\":{\"b\":[{}]},\"nextPage\":\"https://az1.qualtrics.com/API/v3/"
          "a\",\"file\":\"https://eu.qualtrics.com/API/v3/b\"}}",
          "{\"result\":{\"a\":{\"b\":[{}]},\"nextPage\":\"http://127.0.0.1:8080/p/API/v3/"
          "a\",\"file\":\"http://127.0.0.1:8080/p/API/v3/b\"}}");
}

/* From qualtrics.md 4.3.2: another host than was called, and a query that must stay byte for byte. */
static void what_follows_stays_byte_for_byte(void **state)
{
    check(
        &RULES,
        "{\"result\":{\"nextPage\":\"https://az1.qualtrics.com/API/v3/distributions/EMD_1/"
        "links?surveyId=SV_1&"
        "proxyInfo=%7B%22proxyDepth%22%3A1%7D&skipToken=MLRP_\\u0041\\\"\\\\%2f//\"}}",
        "{\"result\":{\"nextPage\":\"http://127.0.0.1:8080/p/API/v3/distributions/EMD_1/links?surveyId=SV_1&"
        "proxyInfo=%7B%22proxyDepth%22%3A1%7D&skipToken=MLRP_\\u0041\\\"\\\\%2f//\"}}");
    check(&RULES, "{\"result\":{\"nextPage\":\"https:\\/\\/az1.qualtrics.com\\/API\\/v3\\/a\\/b\"}}",
          "{\"result\":{\"nextPage\":\"http://127.0.0.1:8080/p\\/API\\/v3\\/a\\/b\"}}");
}

static const struct qp_links_rules V6_DEFAULT_PORT = {
    .origin_host = {"::1", 3}, .origin_port = 443, .base = {"http://127.0.0.1:8080", 21}};

static void link(const struct qp_links_rules *rules, const char *authority, bool ours)
{
    char in[256], wanted[256];
    snprintf(in, sizeof in, "{\"result\":{\"nextPage\":\"https://%s/API/v3/x\"}}", authority);
    snprintf(wanted, sizeof wanted, "{\"result\":{\"nextPage\":\"%.*s/API/v3/x\"}}",
             QP_SLICE_FMT(rules->base));
    check(rules, in, ours ? wanted : in);
}

static void only_hosts_of_ours_are_led_back(void **state)
{
    static const char *const ours[] = {"iad1.qualtrics.com", "IAD1.Qualtrics.COM", "brand.az1.qualtrics.com",
                                       "www.qualtrics.com", "iad1.qualtrics.com:443"};
    static const char *const others[] = {"qualtrics.com",
                                         ".qualtrics.com",
                                         "evilqualtrics.com",
                                         "iad1.qualtrics.com.evil.example",
                                         "iad1.qualtrics.com:8443",
                                         "iad1.qualtrics.com:",
                                         "iad1.qualtrics.com:443x",
                                         "iad1.qualtrics.com:99999999999999999999",
                                         "user@iad1.qualtrics.com",
                                         "iad1.qualtrics.com@evil.example",
                                         "",
                                         "[::1]",
                                         "127.0.0.1:8080",
                                         "iad1.qualtrics.com\\u002f"};
    for (unsigned i = 0; i < sizeof ours / sizeof ours[0]; i++)
        link(&RULES, ours[i], true);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        link(&RULES, others[i], false);
}

static void the_accounts_own_origin_is_ours_at_its_port(void **state)
{
    link(&OWN_ORIGIN, "localhost:9443", true);
    link(&OWN_ORIGIN, "LOCALHOST:9443", true);
    link(&OWN_ORIGIN, "localhost", false);
    link(&OWN_ORIGIN, "localhost:443", false);
    link(&OWN_ORIGIN, "a.localhost:9443", false);
    link(&OWN_ORIGIN, "fra1.qualtrics.com", true);
    link(&V6_ORIGIN, "[::1]:9443", true);
    link(&V6_ORIGIN, "[::1]", false);
    link(&V6_ORIGIN, "[::1:9443", false);
    link(&V6_ORIGIN, "[::1]x:9443", false);
    link(&V6_ORIGIN, "[::1]9443", false);
    link(&V6_DEFAULT_PORT, "[::1]", true);
    link(&V6_DEFAULT_PORT, "[::1", false);
    link(&V6_DEFAULT_PORT, "[::1]x", false);
    link(&V6_ORIGIN, "[", false);
    link(&V6_ORIGIN, "]", false);
}

static void other_links_stay(void **state)
{
    check_same("{\"result\":{\"nextPage\":null}}");
    check_same("{\"result\":{\"nextPage\":\"\"}}");
    check_same("{\"result\":{\"nextPage\":\"string\"}}");
    check_same("{\"result\":{\"nextPage\":\"?offset=100\"}}");
    check_same("{\"result\":{\"nextPage\":\"http://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{\"nextPage\":\"http://127.0.0.1:8080/p/API/v3/x\"}}"); /* led back already */
    check_same("{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3\"}}");
    check_same("{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v2/x\"}}");
    check_same("{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/jfe/form/API/v3/\"}}");
    check_same("{\"result\":{\"nextPage\":\" https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{\"link\":\"https://iad1.qualtrics.com/API/v3/x\",\"nextpage\":\"https://"
               "iad1.qualtrics.com/API/v3/x\"}}");
}

static void only_members_of_the_top_level_result_are_looked_at(void **state)
{
    check_same("{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}");
    check_same("{\"meta\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{\"a\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}}");
    check_same("{\"result\":{\"elements\":[{\"file\":\"https://iad1.qualtrics.com/API/v3/x\"}]}}");
    check_same("{\"result\":[{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}]}");
    check_same("{\"result\":[\"nextPage\",\"https://iad1.qualtrics.com/API/v3/x\"]}");
    check_same("{\"result\":{\"nextPage\":[\"https://iad1.qualtrics.com/API/v3/x\"]}}");
    check_same("{\"result\":{\"nextPage\":{\"href\":\"https://iad1.qualtrics.com/API/v3/x\"}}}");
    check_same("{\"a\":{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}}");
    check_same("[{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}]");
    check_same("{\"result\":\"x\",\"other\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{},\"other\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{\"a\":\"nextPage\",\"b\":\"https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{\"a\":\"\\\",\\\"nextPage\\\":\\\"https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("{\"result\":{\"a\\\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\"}}");
    check_same("\"{\\\"result\\\":{\\\"nextPage\\\":\\\"https://iad1.qualtrics.com/API/v3/x\\\"}}\"");
}

static void what_is_no_json_passes(void **state)
{
    check_same("");
    check_same("\"");
    check_same("\"\\");
    check_same("}}}]]]{{{[[[,,,:::");
    check_same("<html>\"result\" {\"nextPage\" it's</html>");
    check_same("{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x");
    check_same("{\"result\":{\"nextPage");
    check_same("{\"result\":{\"nextPage\":\"https://iad1.qualtrics.com/API/v3/x\\");
}

static void string_of(struct qp_buf *text, size_t bytes, const char *start)
{
    qp_buf_append_str(text, start);
    for (size_t i = strlen(start); i < bytes; i++)
        qp_buf_append_char(text, 'a');
}

/* What is held is bounded, and how the bytes arrive makes no difference. */
static void long_strings_pass_however_they_are_cut(void **state)
{
    static const size_t sizes[] = {16 * 1024 - 3, 16 * 1024 - 2, 16 * 1024 - 1, 16 * 1024, 40 * 1024};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct qp_buf text = {0}, whole = {0}, cut = {0};
        qp_buf_append_str(&text, "{\"");
        string_of(&text, sizes[i], "nextPage");
        qp_buf_append_str(&text, "\":1,\"result\":{\"nextPage\":\"");
        string_of(&text, sizes[i], "https://iad1.qualtrics.com/API/v3/");
        qp_buf_append_str(&text, "\",\"file\":\"https://iad1.qualtrics.com/API/v3/f\"}}");
        struct qp_slice in = qp_buf_slice(&text);
        uint64_t links = feed(&RULES, in, in.len, 1, &whole);
        assert_int_equal(links, sizes[i] + 2 <= 16 * 1024 ? 2 : 1);
        for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) {
            assert_int_equal(feed(&RULES, in, piece, piece, &cut), links);
            assert_true(qp_slice_is(qp_buf_slice(&whole), qp_buf_slice(&cut)));
        }
        qp_buf_deinit(&text);
        qp_buf_deinit(&whole);
        qp_buf_deinit(&cut);
    }
}

static void a_used_one_begins_afresh(void **state)
{
    struct qp_links links = {0};
    struct qp_buf out = {0};
    qp_links_begin(&links, &RULES);
    qp_links_feed(&links, QP_SLICE("{\"result\":{\"nextPage\":\"https://iad1.qu"), collect, &out);
    qp_buf_clear(&out);
    qp_links_begin(&links, &RULES);
    qp_links_feed(&links, QP_SLICE("{\"a\":1}"), collect, &out);
    qp_links_end(&links, collect, &out);
    assert_true(qp_slice_is(qp_buf_slice(&out), QP_SLICE("{\"a\":1}")));
    qp_links_deinit(&links);
    qp_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_two_links_are_led_back),
        cmocka_unit_test(what_follows_stays_byte_for_byte),
        cmocka_unit_test(only_hosts_of_ours_are_led_back),
        cmocka_unit_test(the_accounts_own_origin_is_ours_at_its_port),
        cmocka_unit_test(other_links_stay),
        cmocka_unit_test(only_members_of_the_top_level_result_are_looked_at),
        cmocka_unit_test(what_is_no_json_passes),
        cmocka_unit_test(long_strings_pass_however_they_are_cut),
        cmocka_unit_test(a_used_one_begins_afresh),
    };
    return cmocka_run_group_tests_name("relay.links", tests, NULL, NULL);
}
