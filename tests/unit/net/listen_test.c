#include "fixture.h"

#include "net/holder.h"
#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int accept_error; /* what accept4() says instead of accepting */
static unsigned accept_count;

static bool nobody_is_looked_for; /* in /proc, which takes milliseconds */

bool __real_qp_holder_of_tcp(const struct qp_address *address, char *out, size_t size);
bool __wrap_qp_holder_of_tcp(const struct qp_address *address, char *out, size_t size);
bool __wrap_qp_holder_of_tcp(const struct qp_address *address, char *out, size_t size)
{
    return !nobody_is_looked_for && __real_qp_holder_of_tcp(address, out, size);
}

int __real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    accept_count++;
    if (accept_error != 0) {
        errno = accept_error;
        return -1;
    }
    return __real_accept4(fd, address, len, flags);
}

static struct qp_address parse(const char *text)
{
    struct qp_address address;
    const char *why;

    assert_int_equal(qp_address_parse(qp_slice_str(text), &address, &why), QP_OK);
    return address;
}

static struct qp_listen_claim *claim(struct qp_address *address)
{
    struct qp_listen_claim *made = NULL;
    char error[256] = "";

    if (qp_listen_claim(address, 0660, &made, error, sizeof(error)) != QP_OK)
        fail_msg("%s", error);
    return made;
}

/* Also gives the line. */
static enum qp_result refused(struct qp_address address, char *error, size_t size)
{
    struct qp_listen_claim *made = NULL;
    enum qp_result result = qp_listen_claim(&address, 0660, &made, error, size);

    assert_null(made);
    return result;
}

static int connect_to(const struct qp_address *address)
{
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, &address->u.any, address->len) == 0)
        return fd;
    close(fd);
    return -1;
}

struct door {
    struct qp_listener *listener;
    unsigned count;
    struct qp_address from;
    bool pause;
    bool close;
};

static void on_accepted(void *owner, struct qp_stream *stream, const struct qp_address *from)
{
    struct door *door = owner;

    door->count++;
    door->from = *from;
    qp_stream_close(&stream, false);
    if (door->pause)
        qp_listener_pause(door->listener);
    if (door->close)
        qp_listener_close(&door->listener);
}

static const struct qp_listener_events door_events = {.accepted = on_accepted};

static void open_door(struct door *door, struct qp_listen_claim *claimed)
{
    int fd = qp_listen_fd(claimed);

    assert_true(fd >= 0);
    door->listener = qp_listener_new(test_loop, fd, &door_events, door);
}

static bool someone_came(void *door)
{
    return ((struct door *)door)->count > 0;
}

static void a_claimed_port_is_claimed_before_and_while_workers_listen(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    char error[256];
    char me[64];

    snprintf(me, sizeof(me), "process %ld", (long)getpid());
    for (unsigned i = 0; i < 2; i++) {
        struct qp_address address = parse(texts[i]);
        struct qp_listen_claim *first = claim(&address);
        struct qp_listen_claim *again;
        /* Port 0 and a port by its number are two ways of claiming. */
        for (unsigned way = 0; way < 2; way++) {
            assert_int_equal(refused(address, error, sizeof(error)), QP_NET_IN_USE);
            assert_int_equal(connect_to(&address), -1); /* a claim takes no connection */
            int a = qp_listen_fd(first);
            int b = qp_listen_fd(first);
            assert_true(a >= 0 && b >= 0);
            assert_int_equal(refused(address, error, sizeof(error)), QP_NET_IN_USE);
            assert_non_null(strstr(error, me));
            int client = connect_to(&address);
            assert_true(client >= 0);
            close(client);
            close(a);
            close(b);
            qp_listen_release(&first);
            assert_null(first);
            if (way == 0)
                first = claim(&address);
        }
        again = claim(&address);
        qp_listen_release(&again);
    }
}

struct rival {
    pthread_barrier_t *barrier;
    struct qp_address address;
    struct qp_listen_claim *claims[2];
    unsigned both;
};

enum { RIVAL_ROUNDS = 20000 };

static void claim_in_rounds(struct rival *rival, unsigned side)
{
    char error[256];

    for (unsigned round = 0; round < RIVAL_ROUNDS; round++) {
        struct qp_address address = rival->address;
        pthread_barrier_wait(rival->barrier);
        for (volatile unsigned delay = 0; side == 1 && delay < round % 400; delay++)
            continue;
        if (qp_listen_claim(&address, 0, &rival->claims[side], error, sizeof(error)) != QP_OK)
            rival->claims[side] = NULL;
        pthread_barrier_wait(rival->barrier);
        if (side == 0)
            rival->both += rival->claims[0] && rival->claims[1];
        pthread_barrier_wait(rival->barrier);
        qp_listen_release(&rival->claims[side]);
    }
}

static void *claim_too(void *rival)
{
    claim_in_rounds(rival, 1);
    return NULL;
}

static void of_two_who_claim_together_at_most_one_succeeds(void **state)
{
    struct rival rival = {.address = parse("127.0.0.1:0")};
    pthread_barrier_t barrier;
    pthread_t other;

    struct qp_listen_claim *first = claim(&rival.address);
    qp_listen_release(&first);
    nobody_is_looked_for = true;
    rival.barrier = &barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&other, NULL, claim_too, &rival), 0);
    claim_in_rounds(&rival, 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    pthread_barrier_destroy(&barrier);
    nobody_is_looked_for = false;
    assert_int_equal(rival.both, 0);
}

static void a_foreign_listener_is_found_and_named(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char error[256];
    char text[64];

    assert_int_equal(bind(fd, &address.u.any, address.len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &address.u.any, &address.len), 0);
    assert_int_equal(refused(address, error, sizeof(error)), QP_NET_IN_USE);
    assert_non_null(strstr(error, qp_address_format(&address, text, sizeof(text))));
    assert_non_null(strstr(error, "net.listen"));
    close(fd);
}

static void an_address_that_is_not_ours_is_refused_in_words(void **state)
{
    char error[256];

    assert_int_equal(refused(parse("192.0.2.1:0"), error, sizeof(error)), QP_NET_UNREACHABLE);
    assert_non_null(strstr(error, "192.0.2.1:0"));
    assert_int_not_equal(refused(parse("unix:/nowhere/at/all.sock"), error, sizeof(error)), QP_OK);
    assert_non_null(strstr(error, "unix:/nowhere/at/all.sock"));
}

static void a_listener_accepts_and_tells_from_where(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    struct qp_listen_claim *claimed = claim(&address);
    struct door door = {0};

    open_door(&door, claimed);
    int client = connect_to(&address);
    run_until(someone_came, &door);
    assert_true(qp_address_is_loopback(&door.from));
    struct qp_address mine = {.len = sizeof(mine.u)};
    getsockname(client, &mine.u.any, &mine.len);
    assert_true(qp_address_equal(&mine, &door.from));
    close(client);
    qp_listener_close(&door.listener);
    assert_int_equal(connect_to(&address), -1);
    qp_listen_release(&claimed);
}

static bool three_came(void *door)
{
    return ((struct door *)door)->count >= 3;
}

static void a_paused_listener_leaves_connections_waiting(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    struct qp_listen_claim *claimed = claim(&address);
    struct door door = {.pause = true};
    int clients[3];

    open_door(&door, claimed);
    for (unsigned i = 0; i < 3; i++)
        clients[i] = connect_to(&address);
    run_for_ms(40);
    assert_int_equal(door.count, 1);
    door.pause = false;
    qp_listener_resume(door.listener);
    run_until(three_came, &door);
    for (unsigned i = 0; i < 3; i++)
        close(clients[i]);
    qp_listener_close(&door.listener);
    qp_listen_release(&claimed);
}

static void a_listener_may_be_closed_when_it_accepts(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    struct qp_listen_claim *claimed = claim(&address);
    struct door door = {.close = true};

    open_door(&door, claimed);
    int client = connect_to(&address);
    run_until(someone_came, &door);
    assert_null(door.listener);
    close(client);
    qp_listen_release(&claimed);
}

static void faults_of_accepting_neither_spin_nor_stop_it(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, EINVAL};

    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct qp_address address = parse("127.0.0.1:0");
        struct qp_listen_claim *claimed = claim(&address);
        struct door door = {0};
        open_door(&door, claimed);
        int client = connect_to(&address);
        accept_error = errors[i];
        accept_count = 0;
        run_for_ms(250);
        assert_true(accept_count <= 8);
        assert_int_equal(door.count, 0);
        accept_error = 0;
        run_until(someone_came, &door);
        close(client);
        qp_listener_close(&door.listener);
        qp_listen_release(&claimed);
    }
}

/* For so long there is no descriptor but those that are given back; `last` is the highest that is open. */
static void run_without_descriptors(unsigned ms, int last)
{
    struct rlimit old;
    struct rlimit none;
    int fill[64];
    unsigned filled = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)last + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (filled < 64 && (fill[filled] = dup(last)) >= 0)
        filled++;
    run_for_ms(ms);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    while (filled > 0)
        close(fill[--filled]);
}

static void without_descriptors_clients_hear_at_once(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    struct qp_listen_claim *claimed = claim(&address);
    struct door door = {0};

    open_door(&door, claimed);
    run_for_ms(10); /* the loop's own descriptors are open */
    int client = connect_to(&address);
    run_without_descriptors(50, client);
    assert_int_equal(door.count, 0);
    char byte;
    assert_int_equal(recv(client, &byte, 1, MSG_DONTWAIT), 0); /* closed, not waiting */
    close(client);
    client = connect_to(&address);
    run_until(someone_came, &door);
    close(client);
    qp_listener_close(&door.listener);
    qp_listen_release(&claimed);
}

/* Their clients have been told all; whoever makes many ends must not keep others out. */
static void what_lingers_gives_its_descriptor_to_who_comes(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    struct qp_listen_claim *claimed = claim(&address);
    struct door door = {0};
    struct end told = {0};
    int fds[2];

    open_door(&door, claimed);
    connected_pair(AF_INET, fds);
    own(&told, qp_stream_adopt(test_loop, fds[0], AF_INET));
    send_text(&told, "bye");
    qp_stream_linger(&told.stream, 60000, 0);
    run_for_ms(10);
    int client = connect_to(&address);
    run_without_descriptors(50, client);
    assert_int_equal(door.count, 1);
    assert_int_equal(qp_stream_count(test_loop), 0);
    close(client);
    close(fds[1]);
    qp_listener_close(&door.listener);
    qp_listen_release(&claimed);
}

static void a_lost_reserve_is_found_again(void **state)
{
    struct qp_address address = parse("127.0.0.1:0");
    struct qp_listen_claim *claimed = claim(&address);
    struct door door = {0};

    open_door(&door, claimed);
    close(test_loop->reserve_fd); /* another thread was quicker to take it */
    test_loop->reserve_fd = -1;
    accept_error = EMFILE;
    int client = connect_to(&address);
    run_for_ms(30);
    accept_error = 0;
    assert_true(test_loop->reserve_fd >= 0);
    close(client);
    qp_listener_close(&door.listener);
    qp_listen_release(&claimed);
}

static char folder[] = "/tmp/qp_listen_XXXXXX";

static struct qp_address in_folder(const char *name)
{
    char text[128];

    snprintf(text, sizeof(text), "unix:%s/%s", folder, name);
    return parse(text);
}

static unsigned files_in_folder(void)
{
    char command[64];
    unsigned count = 0;

    snprintf(command, sizeof(command), "ls -A %s | wc -l", folder);
    FILE *pipe = popen(command, "r");
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

static void a_unix_socket_has_its_mode_and_leaves_no_file_behind(void **state)
{
    struct qp_address address = in_folder("a.sock");
    struct stat made;
    char error[256];
    mode_t before = umask(0022);
    struct qp_listen_claim *claimed = claim(&address);

    assert_int_equal(umask(before), 0022); /* nobody touched it */
    assert_int_equal(stat(address.u.local.sun_path, &made), 0);
    assert_int_equal(made.st_mode & 0777, 0660);
    assert_int_equal(refused(address, error, sizeof(error)), QP_NET_IN_USE);
    assert_non_null(strstr(error, "a.sock"));
    struct door doors[2] = {{0}, {0}};
    open_door(&doors[0], claimed);
    open_door(&doors[1], claimed);
    int client = connect_to(&address);
    assert_true(client >= 0);
    run_for_ms(20);
    assert_int_equal(doors[0].count + doors[1].count,
                     2); /* and the one that asked whether anybody lives there */
    close(client);
    qp_listener_close(&doors[0].listener);
    qp_listener_close(&doors[1].listener);
    qp_listen_release(&claimed);
    assert_int_equal(files_in_folder(), 0);
}

static void a_dead_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct qp_address address = in_folder("b.sock");
    char error[256];
    int live = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(live, &address.u.any, address.len), 0);
    assert_int_equal(listen(live, 1), 0);
    assert_int_equal(refused(address, error, sizeof(error)), QP_NET_IN_USE);
    assert_non_null(strstr(error, "net.listen"));
    close(live);
    struct qp_listen_claim *claimed = claim(&address);
    qp_listen_release(&claimed);
}

static void a_file_that_is_no_socket_is_kept(void **state)
{
    struct qp_address address = in_folder("c.sock");
    char error[256];
    int fd = open(address.u.local.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    close(fd);
    assert_int_equal(refused(address, error, sizeof(error)), QP_NET_IN_USE);
    assert_non_null(strstr(error, "not a socket"));
    assert_int_equal(access(address.u.local.sun_path, F_OK), 0);
    unlink(address.u.local.sun_path);
}

/* ---- whose it is ---- */

/* Of IPv6: for both families, where the address is. */
static int listen_at(struct qp_address *address)
{
    const int off = 0;
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (address->u.any.sa_family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
    assert_int_equal(bind(fd, &address->u.any, address->len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &address->u.any, &address->len), 0);
    return fd;
}

/* However somebody takes the port: a connection that ends with him is seen to, also when he has closed the door behind it. */
static void who_is_at_the_other_end_is_found_wherever_he_stands(void **state)
{
    static const char *const rows[][2] = {
        {"127.0.0.1:0", "127.0.0.1:0"},          {"0.0.0.0:0", "127.0.0.1:0"}, {"[::1]:0", "[::1]:0"},
        {"[::ffff:127.0.0.1]:0", "127.0.0.1:0"}, {"[::]:0", "127.0.0.1:0"},    {"[::]:0", "[::1]:0"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qp_address address = parse(rows[i][0]);
        struct qp_address called = parse(rows[i][1]);
        uid_t user = geteuid() + 1;
        int door = listen_at(&address);
        called.u.v4.sin_port = address.u.v4.sin_port; /* at the same place in both families */
        int fd = connect_to(&called);
        assert_true(qp_holder_user_of_peer(fd, &user));
        assert_int_equal(user, geteuid());
        int accepted = accept(door, NULL, NULL);
        close(door);
        user = geteuid() + 1;
        assert_true(qp_holder_user_of_peer(fd, &user));
        assert_int_equal(user, geteuid());
        close(accepted);
        close(fd);
    }
}

static void of_nobody_there_is_no_user(void **state)
{
    uid_t user;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_false(qp_holder_user_of_peer(fd, &user));
    close(fd);
    assert_false(qp_holder_user_of_peer(fd, &user));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claimed_port_is_claimed_before_and_while_workers_listen),
        cmocka_unit_test(of_two_who_claim_together_at_most_one_succeeds),
        cmocka_unit_test(a_foreign_listener_is_found_and_named),
        cmocka_unit_test(an_address_that_is_not_ours_is_refused_in_words),
        cmocka_unit_test_setup_teardown(a_listener_accepts_and_tells_from_where, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_paused_listener_leaves_connections_waiting, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_listener_may_be_closed_when_it_accepts, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(faults_of_accepting_neither_spin_nor_stop_it, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_lost_reserve_is_found_again, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(without_descriptors_clients_hear_at_once, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(what_lingers_gives_its_descriptor_to_who_comes, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(what_lingers_gives_its_descriptor_to_who_comes, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_unix_socket_has_its_mode_and_leaves_no_file_behind, make_loop,
                                        free_loop),
        cmocka_unit_test(a_dead_unix_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_file_that_is_no_socket_is_kept),
        cmocka_unit_test(who_is_at_the_other_end_is_found_wherever_he_stands),
        cmocka_unit_test(of_nobody_there_is_no_user),
    };
    assert_non_null(mkdtemp(folder));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
