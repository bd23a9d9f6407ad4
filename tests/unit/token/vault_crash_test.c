/* P4: kill -9 and a failing disk at every step of what the vault does to its files. */
#include "vault_rig.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_fault(const char *point, const char *action)
{
    char text[128];
    snprintf(text, sizeof(text), "%s=%s", point, action);
    assert_int_equal(setenv("QP_FAULT", text, 1), 0);
}

static int end(void **state)
{
    unsetenv("QP_FAULT");
    return rig_end(state);
}

/* The child passes the point in `act` and dies there. */
static void die_at(struct rig *rig, const char *point, int (*act)(struct rig *rig))
{
    set_fault(point, "kill");
    int status = rig_in_child(act, rig);
    unsetenv("QP_FAULT");
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* ---- writing ---- */

struct step {
    const char *point;
    bool is_new; /* the file has the new content from here on */
};

static const struct step write_steps[] = {
    {"vault.record.write", false},  {"vault.record.written", false}, {"vault.record.synced", false},
    {"vault.record.renamed", true}, {"vault.record.done", true},
};
enum { WRITE_STEPS = sizeof(write_steps) / sizeof(write_steps[0]) };

static int write_two(struct rig *rig)
{
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "two");
    rig_write(rig, vault);
    return 0;
}

static int reserve_and_write_two(struct rig *rig)
{
    struct qp_vault *vault = rig_open(rig);
    if (qp_vault_reserve(vault, rig->error, sizeof(rig->error)) != QP_OK)
        return 1;
    rig_fill(vault, "a", "two");
    rig_write(rig, vault);
    return 0;
}

static void P4_killed_while_writing_it_holds_the_old_or_the_new(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < WRITE_STEPS; i++) {
        rig_make(rig, "one");
        die_at(rig, write_steps[i].point, write_two);
        assert_true(rig_holds(rig, write_steps[i].is_new ? "two" : "one"));
        rig_make(rig, "one");
        die_at(rig, write_steps[i].point, reserve_and_write_two);
        assert_true(rig_holds(rig, write_steps[i].is_new ? "two" : "one"));
    }
    rig_make(rig, "one");
    die_at(rig, "vault.reserve", reserve_and_write_two);
    assert_true(rig_holds(rig, "one"));
}

static int just_open(struct rig *rig)
{
    struct qp_vault *vault = NULL;
    return (int)rig_try_open(rig, &vault);
}

static void killed_while_beginning_it_begins_again(void **state)
{
    struct rig *rig = *state;
    static const char *const points[] = {"vault.begin.write", "vault.begin.written", "vault.begin.synced",
                                         "vault.begin.renamed", "vault.begin.done"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        die_at(rig, points[i], just_open);
        rig_make(rig, "one");
        assert_true(rig_holds(rig, "one"));
        assert_int_equal(remove(rig->path), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        set_fault(points[i], "ENOSPC");
        struct qp_vault *vault = NULL;
        assert_int_equal(rig_try_open(rig, &vault), QP_VAULT_UNREADABLE);
        assert_non_null(strstr(rig->error, "free some disk space"));
        unsetenv("QP_FAULT");
        assert_int_equal(rig_is_there(rig->path), i == 3);
    }
    rig_make(rig, "one");
}

static void P4_a_failing_disk_leaves_the_file_and_the_next_write_heals(void **state)
{
    struct rig *rig = *state;
    static const char *const errors[] = {"ENOSPC", "EROFS", "EIO"};
    for (size_t i = 0; i < 3 * (WRITE_STEPS - 1); i++) {
        const struct step *step = &write_steps[i / 3];
        rig_make(rig, "one");
        struct qp_buf before = rig_read(rig->path);
        struct qp_vault *vault = rig_open(rig);
        rig_fill(vault, "a", "two");
        set_fault(step->point, errors[i % 3]);
        assert_int_equal(qp_vault_write(vault, "record", rig->error, sizeof(rig->error)), QP_SELF_IO);
        unsetenv("QP_FAULT");
        assert_true(qp_vault_is_dirty(vault));
        assert_non_null(strstr(rig->error, rig->path));
        assert_null(strchr(rig->error, '\n'));
        assert_false(qp_vault_reread(vault, "a"));
        assert_true(rig_is_filled(vault, "a", "two"));
        assert_false(rig_is_there(rig_in(rig, "vault.tmp")));
        struct qp_buf after = rig_read(rig->path);
        assert_int_equal(qp_slice_is(qp_buf_slice(&before), qp_buf_slice(&after)), !step->is_new);
        if (i % 2)
            rig_write(rig, vault);
        qp_vault_close(&vault);
        assert_true(rig_holds(rig, i % 2 || step->is_new ? "two" : "one"));
        qp_buf_deinit(&before);
        qp_buf_deinit(&after);
    }
}

static void a_failed_reservation_makes_nothing_dirty(void **state)
{
    struct rig *rig = *state;
    struct qp_vault *vault = rig_open(rig);
    set_fault("vault.reserve", "ENOSPC");
    assert_int_equal(qp_vault_reserve(vault, rig->error, sizeof(rig->error)), QP_SELF_IO);
    assert_non_null(strstr(rig->error, "free some disk space"));
    assert_false(qp_vault_is_dirty(vault));
    unsetenv("QP_FAULT");
    assert_int_equal(qp_vault_reserve(vault, rig->error, sizeof(rig->error)), QP_OK);
    assert_int_equal(qp_vault_reserve(vault, rig->error, sizeof(rig->error)), QP_OK);
    struct stat status;
    assert_int_equal(stat(rig_in(rig, "vault.tmp"), &status), 0);
    assert_true(status.st_size >= 128 * 1024 && status.st_blocks * 512 >= status.st_size);
    rig_write(rig, vault);
    assert_true(rig_is_there(rig_in(rig, "vault.tmp"))); /* set aside again, for whoever else is under way */
    qp_vault_close(&vault);
}

/* ---- a disk that is full ---- */

static bool fill_disk(struct rig *rig)
{
    static char block[4096];
    int fd = open(rig_in(rig, "filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t put = 0;
    do {
        put = write(fd, block, sizeof(block));
    } while (put > 0);
    bool is_full = put < 0 && errno == ENOSPC;
    close(fd);
    return is_full;
}

static bool put_line(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_put = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
    close(fd);
    return is_put;
}

/* Where that is allowed, a plain user may mount in a user namespace of his own. */
static bool leave_for_own_mounts(void)
{
    char uid_map[64];
    char gid_map[64];
    snprintf(uid_map, sizeof(uid_map), "0 %ld 1", (long)getuid());
    snprintf(gid_map, sizeof(gid_map), "0 %ld 1", (long)getgid());
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put_line("/proc/self/setgroups", "deny") &&
           put_line("/proc/self/uid_map", uid_map) && put_line("/proc/self/gid_map", gid_map);
}

/* On a file system of its own that nobody else sees, and that goes with the process. */
static int use_full_disk(struct rig *rig)
{
    if (!leave_for_own_mounts() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", rig->folder, "tmpfs", 0, "size=1m") != 0)
        return RIG_CANNOT;
    rig_make(rig, "one");
    struct qp_vault *vault = rig_open(rig);
    if (qp_vault_reserve(vault, rig->error, sizeof(rig->error)) != QP_OK || !fill_disk(rig))
        return 1;
    for (int i = 0; i < 10; i++)
        rig_write(rig, vault);
    static char large[64 * 1024]; /* an answer of the largest size */
    qp_vault_record(vault, "b")->refresh_token = qp_secret_new(qp_slice(large, sizeof(large)));
    rig_write(rig, vault);
    qp_vault_close(&vault);
    if (!fill_disk(rig))
        return 2;
    vault = rig_open(rig);
    rig_fill(vault, "a", "two");
    if (qp_vault_reserve(vault, rig->error, sizeof(rig->error)) != QP_SELF_IO ||
        qp_vault_write(vault, "record", rig->error, sizeof(rig->error)) != QP_SELF_IO ||
        !strstr(rig->error, "No space left on device"))
        return 3;
    if (rig_is_there(rig_in(rig, "vault.tmp")) || remove(rig_in(rig, "filler")) != 0)
        return 4;
    rig_write(rig, vault);
    qp_vault_close(&vault);
    return rig_holds(rig, "two") ? 0 : 5;
}

static void on_a_full_disk_what_was_set_aside_is_enough(void **state)
{
    rig_child_ends_well(use_full_disk, *state);
}

/* ---- rotating the key ---- */

static const struct step rotate_steps[] = {
    {"rotate.key_written", false},  {"vault.rotate.write", false},  {"vault.rotate.written", false},
    {"vault.rotate.synced", false}, {"vault.rotate.renamed", true}, {"vault.rotate.done", true},
    {"rotate.sealed", true},        {"rotate.done", true},
};
enum { ROTATE_STEPS = sizeof(rotate_steps) / sizeof(rotate_steps[0]) };

/* As the daemon does at its start. */
static void take_key_from_file(struct rig *rig)
{
    struct qp_buf text = rig_read(rig->key_file);
    assert_int_equal(qp_buf_len(&text), 65);
    text.data[64] = 0;
    rig_set_key(&rig->opts.key, text.data, false);
    qp_buf_wipe(&text);
}

static void make_with_key_file(struct rig *rig)
{
    remove(rig_in(rig, "vault"));
    remove(rig_in(rig, "vault.key.new"));
    rig_put(rig->key_file, QP_SLICE(RIG_KEY "\n"));
    rig->opts.key_file = rig->key_file;
    take_key_from_file(rig);
    rig_make(rig, "one");
}

static int rotate_with_two(struct rig *rig)
{
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "two");
    return qp_vault_rotate(vault, rig->error, sizeof(rig->error)) == QP_OK ? 0 : 1;
}

static int rotate_with_three(struct rig *rig)
{
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "three");
    return qp_vault_rotate(vault, rig->error, sizeof(rig->error)) == QP_OK ? 0 : 1;
}

/* Once opened, key file and vault belong together again: no key beside is needed. */
static void assert_settled(struct rig *rig, const char *mark)
{
    take_key_from_file(rig);
    assert_true(rig_holds(rig, mark));
    take_key_from_file(rig);
    rig->opts.key_file = NULL;
    assert_true(rig_holds(rig, mark));
    rig->opts.key_file = rig->key_file;
}

static void P4_killed_while_rotating_one_of_the_keys_opens_it(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < ROTATE_STEPS; i++) {
        make_with_key_file(rig);
        die_at(rig, rotate_steps[i].point, rotate_with_two);
        assert_settled(rig, rotate_steps[i].is_new ? "two" : "one");
    }
}

/* The second rotation meets what the first one left, without an opening in between that would tidy. */
static void P4_killed_while_rotating_twice_too(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < ROTATE_STEPS * ROTATE_STEPS; i++) {
        const struct step *first = &rotate_steps[i / ROTATE_STEPS];
        const struct step *second = &rotate_steps[i % ROTATE_STEPS];
        make_with_key_file(rig);
        die_at(rig, first->point, rotate_with_two);
        take_key_from_file(rig);
        die_at(rig, second->point, rotate_with_three);
        assert_settled(rig, second->is_new ? "three" : first->is_new ? "two" : "one");
    }
}

static void an_error_while_rotating_says_which_key_it_has(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < ROTATE_STEPS - 1; i++) {
        if (strcmp(rotate_steps[i].point, "vault.rotate.done") == 0)
            continue;
        make_with_key_file(rig);
        struct qp_vault *vault = rig_open(rig);
        rig_fill(vault, "a", "two");
        set_fault(rotate_steps[i].point, "EROFS");
        assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_SELF_IO);
        unsetenv("QP_FAULT");
        assert_non_null(strstr(rig->error, rotate_steps[i].is_new ? "has a new key" : "keeps its key"));
        assert_non_null(strstr(rig->error, rig->key_file));
        if (i % 2) { /* it goes on in the same process, or another one opens what is there */
            rig_fill(vault, "a", "three");
            rig_write(rig, vault);
            assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
            assert_false(rig_is_there(rig_in(rig, "vault.key.new")));
        }
        qp_vault_close(&vault);
        assert_settled(rig, i % 2 ? "three" : rotate_steps[i].is_new ? "two" : "one");
    }
}

static void a_rotation_that_cannot_be_finished_is_finished_before_the_next(void **state)
{
    struct rig *rig = *state;
    make_with_key_file(rig);
    die_at(rig, "rotate.sealed", rotate_with_two);
    assert_int_equal(remove(rig->key_file), 0);
    assert_int_equal(mkdir(rig->key_file, 0700), 0); /* no rename goes there */
    struct qp_vault *vault = rig_open(rig);
    assert_true(rig_is_filled(vault, "a", "two"));
    assert_false(qp_vault_is_dirty(vault));
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_SELF_IO);
    assert_non_null(strstr(rig->error, "former rotation"));
    rig_fill(vault, "a", "three");
    rig_write(rig, vault);
    assert_int_equal(rmdir(rig->key_file), 0);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
    qp_vault_close(&vault);
    assert_settled(rig, "three");
}

static void P4_a_key_that_may_be_in_use_is_not_removed(void **state)
{
    struct rig *rig = *state;
    make_with_key_file(rig);
    struct qp_vault *vault = rig_open(rig);
    set_fault("vault.rotate.written", "EIO");
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_SELF_IO);
    assert_true(qp_vault_is_dirty(vault));
    /* Before the key beside goes, the vault must be known to be sealed with the one in use: with a disk that fails it is not. */
    struct qp_buf beside = rig_read(rig_in(rig, "vault.key.new"));
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_SELF_IO);
    struct qp_buf still = rig_read(rig_in(rig, "vault.key.new"));
    assert_true(qp_slice_is(qp_buf_slice(&beside), qp_buf_slice(&still)));
    unsetenv("QP_FAULT");
    qp_vault_close(&vault);
    assert_settled(rig, "one");
    qp_buf_wipe(&beside);
    qp_buf_wipe(&still);
}

/* ---- sealing anew at the opening ---- */

static void P4_killed_while_resealing_one_of_the_keys_opens_it(void **state)
{
    struct rig *rig = *state;
    static const char *const points[] = {"vault.reseal.write", "vault.reseal.written", "vault.reseal.synced",
                                         "vault.reseal.renamed", "vault.reseal.done"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        rig_set_key(&rig->opts.key, RIG_KEY, false);
        rig_make(rig, "one");
        rig_set_key(&rig->opts.key, RIG_OTHER_KEY, false);
        rig_set_key(&rig->opts.old_key, RIG_KEY, false);
        die_at(rig, points[i], just_open);
        assert_true(rig_holds(rig, "one"));
        rig_set_key(&rig->opts.old_key, NULL, false);
        assert_true(rig_holds(rig, "one"));
        assert_int_equal(remove(rig->path), 0);
    }
}

static void a_vault_that_cannot_be_resealed_opens_and_owes_it(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_buf backup = rig_read(rig->path);
    rig_set_key(&rig->opts.key, RIG_OTHER_KEY, false);
    rig_set_key(&rig->opts.old_key, RIG_KEY, false);
    set_fault("vault.reseal.write", "EROFS");
    struct qp_vault *vault = rig_open(rig);
    unsetenv("QP_FAULT");
    assert_true(qp_vault_was_resealed(vault));
    assert_true(qp_vault_is_dirty(vault));
    assert_true(rig_is_filled(vault, "a", "one"));
    struct qp_buf now = rig_read(rig->path);
    assert_true(qp_slice_is(qp_buf_slice(&backup), qp_buf_slice(&now)));
    rig_fill(vault, "a", "two");
    assert_false(qp_vault_reread(vault, "a"));
    rig_write(rig, vault);
    qp_vault_close(&vault);
    rig_set_key(&rig->opts.old_key, NULL, false);
    assert_true(rig_holds(rig, "two"));
    qp_buf_deinit(&backup);
    qp_buf_deinit(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(function) cmocka_unit_test_setup_teardown(function, rig_start, end)
        CASE(P4_killed_while_writing_it_holds_the_old_or_the_new),
        CASE(killed_while_beginning_it_begins_again),
        CASE(P4_a_failing_disk_leaves_the_file_and_the_next_write_heals),
        CASE(a_failed_reservation_makes_nothing_dirty),
        CASE(on_a_full_disk_what_was_set_aside_is_enough),
        CASE(P4_killed_while_rotating_one_of_the_keys_opens_it),
        CASE(P4_killed_while_rotating_twice_too),
        CASE(an_error_while_rotating_says_which_key_it_has),
        CASE(a_rotation_that_cannot_be_finished_is_finished_before_the_next),
        CASE(P4_a_key_that_may_be_in_use_is_not_removed),
        CASE(P4_killed_while_resealing_one_of_the_keys_opens_it),
        CASE(a_vault_that_cannot_be_resealed_opens_and_owes_it),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
