/* Dialling: against true listeners on 127.0.0.1, with a resolver that the tests script. */
#include "dialling.h"

#include <stdio.h>
#include <string.h>

static void a_plain_dial_gives_a_stream(void **state)
{
    struct outcome outcome = {0};

    serve(NULL);
    make_dialer("127.0.0.1", NULL, 5000);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    assert_int_equal(resolver.count, 0); /* an address needs no resolver */
    qp_stream_close(&outcome.stream, false);
}

static void a_name_is_resolved_once_for_all_who_dial(void **state)
{
    struct outcome outcomes[3] = {{0}, {0}, {0}};

    serve(NULL);
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.1");
    start(&outcomes[0]);
    start(&outcomes[1]);
    run_until(is_done, &outcomes[0]);
    run_until(is_done, &outcomes[1]);
    dial(&outcomes[2]);
    assert_int_equal(resolver.count, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].result, QP_OK);
        qp_stream_close(&outcomes[i].stream, false);
    }
}

static void the_systems_resolver_knows_localhost(void **state)
{
    struct outcome outcome = {0};

    serve(NULL);
    make_dialer("localhost", NULL, 5000);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    assert_int_equal(resolver.count, 1);
    qp_stream_close(&outcome.stream, false);
}

static void a_verified_origin_gets_a_stream_and_the_next_one_resumes(void **state)
{
    serve("localhost");
    make_dialer("localhost", "ca", 5000);
    RESOLVES_TO("127.0.0.1");
    for (unsigned i = 0; i < 3; i++) {
        struct outcome outcome = {0};
        struct end end = {0};
        dial(&outcome);
        assert_string_equal(outcome.detail, "");
        assert_int_equal(outcome.result, QP_OK);
        own(&end, outcome.stream);
        qp_stream_resume(end.stream);
        run_for_ms(20); /* the tickets come */
        assert_int_equal(end.failed_count, 0);
        close_end(&end);
        close_served();
        assert_int_equal(qp_dialer_tls_counters(dialer).full_handshakes, 1);
        assert_int_equal(qp_dialer_tls_counters(dialer).resumed_handshakes, i);
    }
}

static void a_certificate_that_does_not_fit_is_refused_in_words(void **state)
{
    static const struct {
        const char *cert;
        const char *ca;
        const char *words;
    } cases[] = {
        {"other-name", "ca", "certificate is for another name"},
        {"expired", "ca", "certificate expired"},
        {"localhost", "other-ca", "issuer not trusted"},
    };
    for (unsigned i = 0; i < 3; i++) {
        struct outcome outcome = {0};
        set_up(state);
        serve(cases[i].cert);
        make_dialer("localhost", cases[i].ca, 5000);
        RESOLVES_TO("127.0.0.1", "127.0.0.1");
        dial(&outcome);
        assert_int_equal(outcome.result, QP_NET_TLS_VERIFY);
        assert_non_null(strstr(outcome.detail, cases[i].words));
        assert_non_null(strstr(outcome.detail, "localhost"));
        assert_int_equal(connect_count, 1);
        assert_int_equal(qp_dialer_tls_counters(dialer).failed_handshakes, 1);
        tear_down(state);
    }
}

static void an_address_as_host_is_verified_as_an_address(void **state)
{
    struct outcome outcome = {0};

    serve("localhost"); /* its certificate has 127.0.0.1 as an alternative name */
    make_dialer("127.0.0.1", "ca", 5000);
    dial(&outcome);
    assert_int_equal(outcome.result, QP_OK);
    qp_stream_close(&outcome.stream, false);
}

static void who_does_not_speak_tls_is_refused(void **state)
{
    struct outcome outcome = {0};

    serve(NULL);
    make_dialer("127.0.0.1", "ca", 5000);
    start(&outcome);
    while (served_count == 0)
        run_for_ms(5);
    struct qp_slice words = QP_SLICE("HTTP/1.1 400 Bad Request\r\n\r\n");
    qp_stream_write(served[0], &words, 1);
    run_until(is_done, &outcome);
    assert_int_equal(outcome.result, QP_NET_TLS);
    assert_non_null(strstr(outcome.detail, "does not speak TLS"));
}

static void a_refusal_tells_who_and_where(void **state)
{
    struct outcome outcome = {0};
    char where[32];

    claim_port(); /* nobody listens */
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.1");
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_REFUSED);
    snprintf(where, sizeof(where), "localhost (127.0.0.1:%u)", (unsigned)port);
    assert_non_null(strstr(outcome.detail, where));
}

static void a_name_that_does_not_resolve_is_told(void **state)
{
    struct outcome outcome = {0};

    port = 443;
    make_dialer("nobody.invalid", NULL, 5000);
    resolver.scripted = true;
    resolver.status = UV_EAI_NONAME;
    dial(&outcome);
    assert_int_equal(outcome.result, QP_NET_RESOLVE);
    assert_non_null(strstr(outcome.detail, "nobody.invalid"));
}

static void one_deadline_covers_everything(void **state)
{
    /* Silent: a resolver; then a listener that never shakes hands. */
    for (unsigned stage = 0; stage < 2; stage++) {
        struct outcome outcome = {0};
        set_up(state);
        serve(NULL);
        make_dialer("localhost", "ca", 100);
        RESOLVES_TO("127.0.0.1");
        resolver.silent = stage == 0;
        uint64_t start_ms = qp_loop_now_ms(test_loop);
        dial(&outcome);
        assert_int_equal(outcome.result, stage == 0 ? QP_NET_RESOLVE : QP_NET_TIMEOUT);
        assert_true(qp_loop_now_ms(test_loop) - start_ms < 2000);
        if (stage == 0) { /* the answer comes after all, when nobody waits */
            answer_now(&resolver.job);
        }
        tear_down(state);
    }
}

static void a_dial_can_be_canceled_at_each_stage(void **state)
{
    enum { STARTED, RESOLVING, CONNECTING, HANDSHAKE, STAGES };

    for (unsigned stage = STARTED; stage < STAGES; stage++) {
        struct outcome outcome = {0};
        set_up(state);
        serve(NULL);
        make_dialer(stage == CONNECTING ? "127.0.0.1" : "localhost", "ca", 5000);
        RESOLVES_TO("127.0.0.1");
        resolver.silent = stage == RESOLVING;
        start(&outcome);
        if (stage == CONNECTING) {
            /* As far as the job that connects, and no poll yet. */
            qp_loop_stop(test_loop);
            uv_run(&test_loop->uv, UV_RUN_NOWAIT);
            while (connect_count == 0)
                uv_run(&test_loop->uv, UV_RUN_NOWAIT);
        } else if (stage != STARTED) {
            run_for_ms(20);
        }
        assert_int_equal(connect_count, stage >= CONNECTING);
        qp_dial_cancel(&outcome.dial);
        assert_null(outcome.dial);
        if (stage == RESOLVING)
            answer_now(&resolver.job);
        run_for_ms(20);
        assert_int_equal(outcome.count, 0);
        close_served();
        run_until(no_streams, NULL);
        tear_down(state);
    }
}

static void a_dialer_may_be_freed_while_the_resolver_works(void **state)
{
    struct outcome outcome = {0};

    port = 443;
    make_dialer("localhost", NULL, 5000);
    RESOLVES_TO("127.0.0.1");
    resolver.silent = true;
    start(&outcome);
    run_for_ms(10);
    qp_dial_cancel(&outcome.dial);
    qp_dialer_free(&dialer);
    answer_now(&resolver.job);
}

static void a_finished_dial_may_cancel_another_that_waited_with_it(void **state)
{
    struct outcome second = {0};
    struct outcome first = {.cancel = &second};

    port = 443;
    make_dialer("nobody.invalid", NULL, 5000);
    resolver.scripted = true;
    resolver.status = UV_EAI_NONAME;
    start(&first);
    start(&second);
    run_until(is_done, &first);
    run_for_ms(10);
    assert_int_equal(second.count, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_dial_gives_a_stream),
        TEST(a_name_is_resolved_once_for_all_who_dial),
        TEST(the_systems_resolver_knows_localhost),
        TEST(a_verified_origin_gets_a_stream_and_the_next_one_resumes),
        cmocka_unit_test(a_certificate_that_does_not_fit_is_refused_in_words),
        TEST(an_address_as_host_is_verified_as_an_address),
        TEST(who_does_not_speak_tls_is_refused),
        TEST(a_refusal_tells_who_and_where),
        TEST(a_name_that_does_not_resolve_is_told),
        cmocka_unit_test(one_deadline_covers_everything),
        cmocka_unit_test(a_dial_can_be_canceled_at_each_stage),
        TEST(a_dialer_may_be_freed_while_the_resolver_works),
        TEST(a_finished_dial_may_cancel_another_that_waited_with_it),
    };
    if (qp_tls_init() != QP_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
