/* census_test.c - places for connections, over several servers and threads. */
#include "unit/server/stage.h"

#include "server/session.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void share(uint32_t connections, uint32_t per_address)
{
    stage_opts()->census = qp_census_new(connections, per_address);
    stage_opts()->client_idle_ms = 600000;
}

static struct wire *busy(struct wire *client)
{
    wire_send(client, GET("/hold"));
    wire_run_ms(10);
    return client;
}

static struct wire *rested(struct wire *client)
{
    wire_send(client, GET("/now"));
    assert_true(wire_run_until(client, "now"));
    wire_forget(client);
    return client;
}

static void counts_over_all_servers_exactly(void **state)
{
    share(2, 0);
    struct wire *first = busy(stage_connect());
    struct wire *second = busy(stage_connect_other());
    struct wire *here = stage_connect();
    struct wire *there = stage_connect_other();

    wire_send(here, GET("/now"));
    wire_send(there, GET("/now"));
    stage_pass_ms(5000);
    wire_run_ms(30);
    assert_false(wire_has(here, "now"));
    assert_false(wire_has(there, "now"));
    wire_reset(first); /* at the one server: both that wait may come */
    assert_true(wire_run_until(here, "now"));
    wire_reset(here);
    assert_true(wire_run_until(there, "now"));
    assert_false(second->ended);
}

static void a_place_at_one_server_is_one_at_the_other(void **state)
{
    share(1, 0);
    struct wire *first = busy(stage_connect());
    struct wire *there = stage_connect_other();

    wire_send(there, GET("/now"));
    wire_run_ms(30);
    assert_false(wire_has(there, "now"));
    wire_reset(first);
    assert_true(wire_run_until(there, "now"));
}

static void who_rested_longest_makes_room(void **state)
{
    share(3, 0);
    struct wire *old = rested(stage_connect());
    stage_pass_ms(500);
    struct wire *young = rested(stage_connect());
    struct wire *working = busy(stage_connect());
    stage_pass_ms(2000);
    struct wire *late = stage_connect();

    wire_send(late, GET("/now"));
    assert_true(wire_run_until(late, "now"));
    assert_true(old->ended);
    assert_false(old->reset);
    assert_false(young->ended || working->ended);
    assert_int_equal(qp_server_counters(stage.server).closed[QP_CLOSED_ROOM], 1);
    assert_int_equal(qp_server_counters(stage.server).connections_open, 3);
}

static void rests_elsewhere_make_room_too(void **state)
{
    share(2, 0);
    struct wire *resting = rested(stage_connect());
    struct wire *working = busy(stage_connect());
    stage_pass_ms(2000);
    struct wire *late = stage_connect_other();

    wire_send(late, GET("/now"));
    assert_true(wire_run_until(late, "now"));
    assert_true(resting->ended);
    assert_false(working->ended);
}

static void a_short_rest_is_left_alone(void **state)
{
    share(1, 0);
    struct wire *resting = rested(stage_connect());
    struct wire *late = stage_connect_other();

    wire_send(late, GET("/now"));
    stage_pass_ms(700);
    wire_run_ms(30);
    assert_false(resting->ended || wire_has(late, "now"));
    wire_send(resting, GET("/now")); /* it is in use after all */
    assert_true(wire_run_until(resting, "now"));
    stage_pass_ms(700);
    wire_run_ms(30);
    assert_false(resting->ended);
    stage_pass_ms(500);
    assert_true(wire_run_until(late, "now"));
    assert_true(resting->ended);
}

static void who_has_never_spoken_makes_room(void **state)
{
    share(2, 0);
    struct wire *mute = stage_connect();
    struct wire *begun = stage_connect();

    wire_send(begun, "GET /now HT");
    wire_run_ms(20);
    stage_pass_ms(2000);
    struct wire *late = stage_connect();
    wire_send(late, GET("/now"));
    assert_true(wire_run_until(late, "now"));
    assert_true(mute->ended);
    assert_false(begun->ended);
}

static void what_ends_its_work_while_others_wait_makes_room_later(void **state)
{
    share(1, 0);
    struct wire *working = busy(stage_connect());
    struct wire *late = stage_connect_other();

    wire_send(late, GET("/now"));
    stage_pass_ms(3000);
    assert_false(wire_has(late, "now"));
    qp_request_reply(stage.held, 200, NULL, QP_SLICE_NONE, QP_SLICE("done"));
    assert_true(wire_run_until(working, "done"));
    assert_false(working->ended);
    stage_pass_ms(1200);
    assert_true(wire_run_until(late, "now"));
    assert_true(working->ended);
}

/* Past the wire's own queue: it lies in the socket when the loop next looks. */
static void say_at_once(struct wire *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void a_request_that_has_come_but_was_not_read_yet_keeps_its_connection(void **state)
{
    share(2, 0);
    struct wire *old = rested(stage_connect());
    struct wire *young = rested(stage_connect());

    stage_pass_ms(2000);
    struct wire *late = stage_connect(); /* the loop hears of it first */
    wire_send(late, GET("/now"));
    say_at_once(old, GET("/now"));
    assert_true(wire_run_until(late, "now"));
    assert_true(wire_run_until(old, "now"));
    assert_true(young->ended);
}

static void a_drain_answers_what_has_come_but_was_not_read_yet(void **state)
{
    share(3, 0);
    struct wire *asking = rested(stage_connect());
    struct wire *resting = rested(stage_connect());
    struct wire *stray = rested(stage_connect());

    say_at_once(asking, GET("/now"));
    say_at_once(stray, "\r\n");
    qp_server_drain(stage.server, 5000, NULL, NULL);
    assert_true(wire_run_until(asking, "now"));
    assert_true(wire_run_until_end(asking));
    assert_true(wire_run_until_end(resting));
    assert_true(wire_run_until_end(stray)); /* an empty line asks for nothing */
}

static void addresses_are_counted_over_all_servers(void **state)
{
    share(0, 2);
    struct wire *first = busy(stage_connect());
    struct wire *second = busy(stage_connect_other());
    struct wire *third = stage_connect();

    assert_true(wire_run_until_end(third));
    assert_true(wire_has(third, "HTTP/1.1 503 "));
    wire_reset(second);
    wire_run_ms(20);
    struct wire *fourth = stage_connect();
    wire_send(fourth, GET("/now"));
    assert_true(wire_run_until(fourth, "now"));
    assert_false(first->ended);
}

static void a_draining_server_leaves_its_places(void **state)
{
    share(1, 0);
    struct wire *resting = rested(stage_connect());
    struct wire *late = stage_connect_other();

    wire_send(late, GET("/now"));
    wire_run_ms(20);
    qp_server_drain(stage.server, 5000, NULL, NULL);
    assert_true(wire_run_until(late, "now"));
    assert_true(wire_run_until_end(resting));
}

static void a_server_that_waits_may_be_closed(void **state)
{
    share(1, 0);
    busy(stage_connect());
    struct wire *late = stage_connect();

    wire_send(late, GET("/now"));
    wire_run_ms(20);
    assert_true(qp_census_is_waited_for(stage_opts()->census));
    qp_server_close(&stage.server);
    assert_false(qp_census_is_waited_for(stage_opts()->census));
    assert_true(qp_census_take(stage_opts()->census));
    qp_census_give(stage_opts()->census);
}

enum { THREADS = 4, ROUNDS = 20000, PLACES = 3 };
static _Atomic int inside;
static _Atomic int most;

static void *come_and_go(void *context)
{
    struct qp_census *census = context;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!qp_census_take(census))
            continue;
        const int now = ++inside;
        if (now > most)
            most = now;
        --inside;
        qp_census_give(census);
    }
    return NULL;
}

static void threads_never_pass_the_limit(void **state)
{
    struct qp_census *census = qp_census_new(PLACES, 0);
    pthread_t threads[THREADS];

    inside = most = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, census), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(most > 0 && most <= PLACES);
    for (unsigned i = 0; i < PLACES; i++)
        assert_true(qp_census_take(census));
    assert_false(qp_census_take(census));
    for (unsigned i = 0; i < PLACES; i++)
        qp_census_give(census);
    qp_census_free(&census);
}

/* A thread with a loop, which takes a place and gives it back, and waits where there is none. Nobody begins the next turn before all have had this
 * one: whose waking is forgotten waits for ever. */
enum { COMERS = 3, TURNS = 10000, PATIENCE_MS = 60000 };

static _Atomic unsigned turns_had;

struct comer {
    struct qp_census *census;
    struct qp_loop *loop;
    struct qp_census_member member;
    struct qp_job turn;
    struct qp_timer patience;
    unsigned turns;
    bool holds;
    bool waits;
};

static void on_turn(struct qp_job *job)
{
    struct comer *comer = QP_CONTAINER_OF(job, struct comer, turn);

    if (comer->holds) {
        comer->holds = false;
        qp_census_give(comer->census);
        comer->turns++;
        turns_had++;
    } else if (turns_had < comer->turns * COMERS) {
        sched_yield();
    } else if (comer->turns == TURNS) {
        qp_loop_stop(comer->loop);
        return;
    } else if (qp_census_take_or_wait(&comer->member)) {
        comer->holds = true;
    } else {
        comer->waits = true;
        return;
    }
    qp_later(comer->loop, &comer->turn);
}

static void on_look(struct qp_census_member *member)
{
    struct comer *comer = QP_CONTAINER_OF(member, struct comer, member);

    if (!comer->waits || !qp_census_has_room(comer->census))
        return;
    qp_census_stop_waiting(member);
    comer->waits = false;
    qp_later(comer->loop, &comer->turn);
}

static void on_out_of_patience(struct qp_timer *timer)
{
    qp_loop_stop(QP_CONTAINER_OF(timer, struct comer, patience)->loop);
}

static void *come_and_wait(void *context)
{
    struct comer *comer = context;

    comer->loop = qp_loop_new();
    qp_census_join(comer->census, &comer->member, comer->loop, on_look);
    qp_timer_init(&comer->patience, on_out_of_patience);
    qp_timer_arm(comer->loop, &comer->patience, PATIENCE_MS);
    qp_job_init(&comer->turn, on_turn);
    qp_later(comer->loop, &comer->turn);
    qp_loop_run(comer->loop);
    qp_later_cancel(&comer->turn);
    qp_timer_deinit(&comer->patience);
    qp_census_leave(&comer->member);
    qp_loop_free(&comer->loop);
    return NULL;
}

static void who_waits_for_another_thread_is_never_forgotten(void **state)
{
    struct qp_census *census = qp_census_new(1, 0);
    struct comer comers[COMERS];
    pthread_t threads[COMERS];

    turns_had = 0;
    for (unsigned i = 0; i < COMERS; i++) {
        comers[i] = (struct comer){.census = census};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_wait, &comers[i]), 0);
    }
    for (unsigned i = 0; i < COMERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < COMERS; i++)
        assert_int_equal(comers[i].turns, TURNS);
    assert_false(qp_census_is_waited_for(census));
    qp_census_free(&census);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_over_all_servers_exactly),
        TEST(a_place_at_one_server_is_one_at_the_other),
        TEST(who_rested_longest_makes_room),
        TEST(rests_elsewhere_make_room_too),
        TEST(a_short_rest_is_left_alone),
        TEST(who_has_never_spoken_makes_room),
        TEST(what_ends_its_work_while_others_wait_makes_room_later),
        TEST(a_request_that_has_come_but_was_not_read_yet_keeps_its_connection),
        TEST(a_drain_answers_what_has_come_but_was_not_read_yet),
        TEST(addresses_are_counted_over_all_servers),
        TEST(a_draining_server_leaves_its_places),
        TEST(a_server_that_waits_may_be_closed),
        cmocka_unit_test(threads_never_pass_the_limit),
        cmocka_unit_test(who_waits_for_another_thread_is_never_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
