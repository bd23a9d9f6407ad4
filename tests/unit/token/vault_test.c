/* The file: what it keeps, what it detects, what it refuses. */
#include "token/digest.h"
#include "vault_rig.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether memory that is given back still holds a secret. */
static const char *sought[4];
static int found_in_freed;

static bool holds_sought(const void *memory, size_t bytes)
{
    for (size_t i = 0; i < sizeof(sought) / sizeof(sought[0]); i++)
        if (sought[i] && memmem(memory, bytes, sought[i], strlen(sought[i])))
            return true;
    return false;
}

void __real_qp_free(void *memory);
void __wrap_qp_free(void *memory);
void __wrap_qp_free(void *memory)
{
    if (memory && holds_sought(memory, malloc_usable_size(memory)))
        found_in_freed++;
    __real_qp_free(memory);
}

/* ---- what it keeps ---- */

static void all_of_a_record_comes_back(void **state)
{
    struct rig *rig = *state;
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "one");
    rig_fill(vault, "second account", "two");
    struct qp_vault_record *empty = qp_vault_record(vault, "empty");
    assert_ptr_equal(qp_vault_record(vault, "empty"), empty);
    rig_write(rig, vault);
    qp_vault_close(&vault);
    assert_null(vault);
    qp_vault_close(&vault);

    vault = rig_open(rig);
    assert_false(qp_vault_was_resealed(vault));
    assert_true(rig_is_filled(vault, "a", "one"));
    assert_true(rig_is_filled(vault, "second account", "two"));
    empty = qp_vault_record(vault, "empty");
    assert_null(empty->refresh_token);
    assert_null(empty->access_token);
    assert_false(empty->redeeming);
    assert_int_equal(empty->signed_in_unix_s, 0);
    assert_string_equal(empty->binding, "");
    assert_string_equal(empty->identity.warning, "");
    qp_vault_close(&vault);
}

/* A hostile whoami or token endpoint decides on them. */
static void any_bytes_come_back(void **state)
{
    struct rig *rig = *state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    static const char escape[] = "\\u0000 \\\" </script> \xff\xc3";
    char *large = calloc(1, 1 << 20);
    struct qp_vault *vault = rig_open(rig);
    struct qp_vault_record *record = qp_vault_record(vault, "a \"quoted\" \\name\\u0000");
    record->refresh_token = qp_secret_new(qp_slice(bytes, sizeof(bytes)));
    record->access_token = qp_secret_new(qp_slice(large, 1 << 20));
    memcpy(record->identity.user, bytes + 1, sizeof(bytes) - 1);
    record->identity.user[sizeof(bytes) - 1] = 0;
    memcpy(record->identity.brand, escape, sizeof(escape));
    memset(record->identity.datacenter, 'x', sizeof(record->identity.datacenter)); /* no NUL: cut to fit */
    record->signed_in_unix_s = -5;
    record->access_token_unix_s = INT64_MAX;
    record->access_token_until_unix_s = INT64_MIN;
    qp_vault_record(vault, "empty secret")->refresh_token = qp_secret_new(QP_SLICE(""));
    rig_write(rig, vault);
    qp_vault_close(&vault);

    vault = rig_open(rig);
    record = qp_vault_record(vault, "a \"quoted\" \\name\\u0000");
    assert_true(qp_slice_is(qp_secret_reveal(record->refresh_token), qp_slice(bytes, sizeof(bytes))));
    assert_true(qp_slice_is(qp_secret_reveal(record->access_token), qp_slice(large, 1 << 20)));
    assert_memory_equal(record->identity.user, bytes + 1, sizeof(bytes) - 1);
    assert_string_equal(record->identity.brand, escape);
    assert_int_equal(strlen(record->identity.datacenter), sizeof(record->identity.datacenter) - 1);
    assert_int_equal(record->signed_in_unix_s, -5);
    assert_true(record->access_token_unix_s == INT64_C(1) << 53);
    assert_true(record->access_token_until_unix_s == -(INT64_C(1) << 53));
    assert_int_equal(qp_secret_reveal(qp_vault_record(vault, "empty secret")->refresh_token).len, 0);
    qp_vault_close(&vault);
    free(large);
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void its_mode_is_0600_whatever_the_umask(void **state)
{
    struct rig *rig = *state;
    static const mode_t masks[] = {0, 0777, 022};
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        mode_t old = umask(masks[i]);
        struct qp_vault *vault = rig_open(rig);
        assert_int_equal(qp_vault_reserve(vault, rig->error, sizeof(rig->error)), QP_OK);
        mode_t temporary = mode_of(rig_in(rig, "vault.tmp"));
        rig_fill(vault, "a", "one");
        rig_write(rig, vault);
        umask(old);
        assert_int_equal(temporary, 0600);
        assert_int_equal(mode_of(rig->path), 0600);
        assert_int_equal(mode_of(rig_in(rig, "vault.lock")), 0600);
        qp_vault_close(&vault);
        assert_int_equal(remove(rig->path), 0);
        assert_int_equal(remove(rig_in(rig, "vault.lock")), 0);
    }
}

static bool file_holds(struct qp_slice file, struct qp_slice secret)
{
    char hex[256];
    char base64[256];
    size_t len = 0;
    for (size_t i = 0; i < secret.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)secret.at[i]);
    assert_int_equal(mbedtls_base64_encode((unsigned char *)base64, sizeof(base64), &len,
                                           (const unsigned char *)secret.at, secret.len / 3 * 3),
                     0);
    return memmem(file.at, file.len, secret.at, secret.len) ||
           memmem(file.at, file.len, hex, secret.len * 2) || memmem(file.at, file.len, base64, len);
}

static void P1_its_bytes_hold_no_secret_and_never_repeat(void **state)
{
    struct rig *rig = *state;
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "hunter2");
    rig_write(rig, vault);
    struct qp_buf first = rig_read(rig->path);
    rig_write(rig, vault);
    struct qp_buf second = rig_read(rig->path);
    qp_vault_close(&vault);
    assert_int_equal(qp_buf_len(&first), qp_buf_len(&second));
    assert_memory_not_equal(first.data + 44, second.data + 44, 12);
    size_t same = 0;
    for (size_t i = QP_VAULT_HEADER_BYTES; i < qp_buf_len(&first); i++)
        same += first.data[i] == second.data[i];
    assert_true(same < qp_buf_len(&first) / 16);
    static const char *const secrets[] = {"hunter2-refresh", "hunter2-access", "hunter2-brand", RIG_KEY,
                                          "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        size_t len = i == 4 ? 12 : strlen(secrets[i]);
        assert_false(file_holds(qp_buf_slice(&second), qp_slice(secrets[i], len)));
    }
    qp_buf_deinit(&first);
    qp_buf_deinit(&second);
}

static void P1_no_secret_stays_behind_in_freed_memory(void **state)
{
    struct rig *rig = *state;
    sought[0] = "hunter2-refresh";
    sought[1] = "aHVudGVyMi1yZWZyZXNo"; /* the same in base64 */
    sought[2] = "hunter2-access";
    sought[3] = "aHVudGVyMi1hY2Nlc3";
    struct qp_vault *vault = rig_open(rig);
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof(name), "account %d", i);
        rig_fill(vault, name, "hunter2");
    }
    rig_write(rig, vault);
    qp_vault_close(&vault);
    vault = rig_open(rig);
    assert_false(qp_vault_reread(vault, "account 1"));
    qp_vault_close(&vault);
    memset(sought, 0, sizeof(sought));
    assert_int_equal(found_in_freed, 0);
}

/* ---- what it detects ---- */

static void every_changed_bit_is_detected(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_buf file = rig_read(rig->path);
    for (size_t bit = 0; bit < 8 * qp_buf_len(&file); bit++) {
        struct qp_vault *vault = NULL;
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
        rig_put(rig->path, qp_buf_slice(&file));
        assert_int_equal(rig_try_open(rig, &vault), QP_VAULT_CORRUPT);
        assert_non_null(strstr(rig->error, "damaged"));
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ (1 << bit % 8));
    }
    rig_put(rig->path, qp_buf_slice(&file));
    assert_true(rig_holds(rig, "one"));
    qp_buf_deinit(&file);
}

static void every_missing_or_added_byte_is_detected(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_buf file = rig_read(rig->path);
    size_t len = qp_buf_len(&file);
    for (size_t cut = 0; cut < len; cut++) {
        rig_put(rig->path, qp_slice(file.data, cut));
        rig_refused(rig, QP_VAULT_CORRUPT);
    }
    qp_buf_append_char(&file, 0);
    rig_put(rig->path, qp_buf_slice(&file));
    rig_refused(rig, QP_VAULT_CORRUPT);
    assert_non_null(strstr(rig->error, "added"));
    rig_put(rig->path, qp_slice(file.data, len));
    assert_int_equal(truncate(rig->path, QP_VAULT_MOST_BYTES + 1), 0);
    rig_refused(rig, QP_VAULT_CORRUPT);
    assert_non_null(strstr(rig->error, "longer"));
    rig_put(rig->path, qp_slice(file.data, len));
    assert_true(rig_holds(rig, "one"));
    qp_buf_deinit(&file);
}

/* As a forger would, who has no key. */
static void put_with_check(const struct rig *rig, struct qp_buf *file, size_t at, unsigned char byte)
{
    unsigned char hash[32];
    char kept[QP_VAULT_HEADER_BYTES];
    memcpy(kept, file->data, sizeof(kept));
    file->data[at] = (char)byte;
    assert_int_equal(mbedtls_sha256((const unsigned char *)file->data, 60, hash, 0), 0);
    memcpy(file->data + 60, hash, 4);
    rig_put(rig->path, qp_buf_slice(file));
    memcpy(file->data, kept, sizeof(kept));
}

static void a_forged_header_is_never_accepted(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_buf file = rig_read(rig->path);
    static const struct {
        size_t at;
        unsigned char byte;
        enum qp_vault_outcome outcome;
    } rows[] = {
        {0, 'X', QP_VAULT_CORRUPT},     {8, 0, QP_VAULT_CORRUPT},     {8, 2, QP_VAULT_TOO_NEW},
        {9, 1, QP_VAULT_TOO_NEW},       {10, 65, QP_VAULT_CORRUPT},   {12, 1, QP_VAULT_CORRUPT},
        {12, 2, QP_VAULT_CORRUPT},      {13, 1, QP_VAULT_CORRUPT},    {15, 1, QP_VAULT_CORRUPT},
        {16, 1, QP_VAULT_CORRUPT},      {19, 0xff, QP_VAULT_CORRUPT}, {20, 1, QP_VAULT_CORRUPT},
        {36, 0xaa, QP_VAULT_WRONG_KEY}, {44, 0xaa, QP_VAULT_CORRUPT}, {56, 1, QP_VAULT_CORRUPT},
        {59, 0xff, QP_VAULT_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((unsigned char)file.data[rows[i].at] == rows[i].byte)
            continue; /* one in 256 for what is random */
        put_with_check(rig, &file, rows[i].at, rows[i].byte);
        rig_refused(rig, rows[i].outcome);
    }
    qp_buf_deinit(&file);
}

static void another_key_is_told_from_damage(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    rig_set_key(&rig->opts.key, RIG_OTHER_KEY, false);
    rig_refused(rig, QP_VAULT_WRONG_KEY);
    assert_non_null(strstr(rig->error, "vault.old_key"));
    rig_set_key(&rig->opts.old_key, RIG_OTHER_KEY, false);
    rig_refused(rig, QP_VAULT_WRONG_KEY);
    rig_set_key(&rig->opts.key, RIG_KEY, false);
    assert_true(rig_holds(rig, "one"));
}

static void an_absent_one_is_begun_only_on_request(void **state)
{
    struct rig *rig = *state;
    rig->opts.create = false;
    rig_refused(rig, QP_VAULT_ABSENT);
    assert_false(rig_is_there(rig_in(rig, "vault.lock")));
    rig->opts.create = true;
    struct qp_vault *vault = rig_open(rig);
    assert_false(qp_vault_is_dirty(vault));
    assert_false(qp_vault_was_resealed(vault));
    assert_true(rig_is_there(rig->path));
    qp_vault_close(&vault);
    rig->opts.create = false;
    vault = rig_open(rig);
    qp_vault_close(&vault);

    rig->opts.create = true;
    static const char *const places[] = {"no folder/vault", "no folder/no folder/vault", "dangling"};
    assert_int_equal(symlink("nothing", rig_in(rig, "dangling")), 0);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        rig->opts.path = rig_in(rig, places[i]);
        assert_int_equal(rig_try_open(rig, &vault), QP_VAULT_ABSENT);
        assert_non_null(strstr(rig->error, places[i]));
    }
    assert_false(rig_is_there(rig_in(rig, "nothing")));
    rig->opts.path = rig->path;
}

/* ---- what it refuses ---- */

static void what_others_may_read_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0644, 0660, 0610};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(rig->path, modes[i]), 0);
        rig_refused(rig, QP_VAULT_UNREADABLE);
        assert_non_null(strstr(rig->error, "chmod 600"));
    }
    assert_int_equal(chmod(rig->path, 0600), 0);
    assert_true(rig_holds(rig, "one"));
}

static void what_is_no_file_is_refused(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(mkdir(rig->path, 0700), 0);
    rig_refused(rig, QP_VAULT_UNREADABLE);
    assert_int_equal(rmdir(rig->path), 0);
    assert_int_equal(mkfifo(rig->path, 0600), 0);
    rig_refused(rig, QP_VAULT_UNREADABLE);
    assert_int_equal(remove(rig->path), 0);
    rig_put(rig->path, QP_SLICE("{\"not\": \"a vault\"}"));
    rig_refused(rig, QP_VAULT_CORRUPT);
    assert_non_null(strstr(rig->error, "no vault"));
    static const char *const paths[] = {"/", "/tmp/", "/dev/null/vault"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct qp_vault *vault = NULL;
        rig->opts.path = paths[i];
        assert_int_equal(rig_try_open(rig, &vault), QP_VAULT_UNREADABLE);
    }
    rig->opts.path = rig->path;
}

/* Says by the pipe that it has the vault, and keeps it until it is killed. */
static int hold_vault(struct rig *rig, int fd)
{
    struct qp_vault *vault = rig_open(rig);
    if (write(fd, vault ? "y" : "n", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static void another_process_is_kept_out_and_named(void **state)
{
    struct rig *rig = *state;
    int ends[2];
    char answer = 0;
    char who[64];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        _exit(hold_vault(rig, ends[1]));
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &answer, 1), 1);
    close(ends[0]);
    rig_refused(rig, QP_VAULT_LOCKED);
    snprintf(who, sizeof(who), "process %ld", (long)child);
    assert_non_null(strstr(rig->error, who));
    rig_put(rig_in(rig, "vault.lock"), QP_SLICE("garbage")); /* then it cannot be named */
    rig_refused(rig, QP_VAULT_LOCKED);
    assert_non_null(strstr(rig->error, "another process"));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct qp_vault *vault = rig_open(rig);
    rig_refused(rig, QP_VAULT_LOCKED); /* two in one process keep each other out too */
    qp_vault_close(&vault);
}

static void a_lock_that_is_another_name_of_a_file_is_left_alone(void **state)
{
    struct rig *rig = *state;
    rig_put(rig_in(rig, "precious"), QP_SLICE("precious"));
    assert_int_equal(link(rig_in(rig, "precious"), rig_in(rig, "vault.lock")), 0);
    rig_refused(rig, QP_VAULT_UNREADABLE);
    assert_int_equal(remove(rig_in(rig, "vault.lock")), 0);
    assert_int_equal(symlink("precious", rig_in(rig, "vault.lock")), 0);
    rig_refused(rig, QP_VAULT_UNREADABLE);
    struct qp_buf bytes = rig_read(rig_in(rig, "precious"));
    assert_true(qp_slice_is(qp_buf_slice(&bytes), QP_SLICE("precious")));
    qp_buf_deinit(&bytes);
}

static void a_link_to_it_stays_a_link(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    assert_int_equal(symlink("vault", rig_in(rig, "link")), 0);
    rig->opts.path = rig_in(rig, "link");
    struct qp_vault *vault = rig_open(rig);
    assert_true(rig_is_filled(vault, "a", "one"));
    rig_fill(vault, "a", "two");
    rig_write(rig, vault);
    struct qp_vault *second = NULL;
    rig->opts.path = rig->path; /* one lock, by whatever name it is called */
    assert_int_equal(rig_try_open(rig, &second), QP_VAULT_LOCKED);
    qp_vault_close(&vault);
    char target[64] = "";
    assert_int_equal(readlink(rig_in(rig, "link"), target, sizeof(target)), 5);
    assert_true(rig_holds(rig, "two"));
}

static void what_a_crash_leaves_is_in_nobodys_way(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    rig_put(rig_in(rig, "vault.tmp"), QP_SLICE("half a va"));
    assert_true(rig_holds(rig, "one"));
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "two");
    rig_write(rig, vault);
    assert_int_equal(qp_vault_reserve(vault, rig->error, sizeof(rig->error)), QP_OK);
    assert_int_equal(remove(rig_in(rig, "vault.tmp")), 0); /* somebody tidies */
    rig_fill(vault, "a", "three");
    rig_write(rig, vault);
    assert_int_equal(qp_vault_reserve(vault, rig->error, sizeof(rig->error)), QP_OK);
    qp_vault_close(&vault);
    assert_false(rig_is_there(rig_in(rig, "vault.tmp")));
    assert_true(rig_holds(rig, "three"));
}

/* ---- reading it again ---- */

static void a_restored_file_is_read_again(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_buf backup = rig_read(rig->path);
    struct qp_vault *vault = rig_open(rig);
    struct qp_vault_record *record = qp_vault_record(vault, "a");
    assert_false(qp_vault_reread(vault, "a"));
    rig_fill(vault, "a", "two");
    assert_false(qp_vault_reread(vault, "a")); /* the file is ours, it is only older */
    assert_true(rig_is_filled(vault, "a", "two"));
    rig_write(rig, vault);
    assert_false(qp_vault_reread(vault, "a"));
    rig_put(rig->path, qp_buf_slice(&backup));
    assert_false(qp_vault_reread(vault, "b"));
    assert_true(qp_vault_reread(vault, "a"));
    assert_ptr_equal(qp_vault_record(vault, "a"), record);
    assert_true(rig_is_filled(vault, "a", "one"));
    assert_false(qp_vault_reread(vault, "a"));
    qp_secret_free(&record->refresh_token);
    assert_true(qp_vault_reread(vault, "a"));
    rig_put(rig->path, QP_SLICE("damaged"));
    rig_fill(vault, "a", "two");
    assert_false(qp_vault_reread(vault, "a"));
    assert_int_equal(remove(rig->path), 0);
    assert_false(qp_vault_reread(vault, "a"));
    assert_true(rig_is_filled(vault, "a", "two"));
    rig_write(rig, vault);
    qp_vault_close(&vault);
    assert_true(rig_holds(rig, "two"));
    qp_buf_deinit(&backup);
}

/* ---- the system's no ---- */

static int use_read_only_folder(struct rig *rig)
{
    if (getuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
        return RIG_CANNOT;
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "two");
    if (chmod(rig->folder, 0500) != 0)
        return 1;
    bool refused = qp_vault_write(vault, "record", rig->error, sizeof(rig->error)) == QP_SELF_IO &&
                   qp_vault_is_dirty(vault) && strstr(rig->error, "Permission denied: let qproxy's user");
    refused = refused && qp_vault_reserve(vault, rig->error, sizeof(rig->error)) == QP_SELF_IO;
    struct qp_vault *second = NULL;
    refused = refused && rig_try_open(rig, &second) == QP_VAULT_LOCKED;
    qp_vault_close(&vault);
    if (!refused || !rig_holds(rig, "one") || remove(rig_in(rig, "vault.lock")) == 0)
        return 2;
    if (chmod(rig->folder, 0700) != 0 || remove(rig_in(rig, "vault.lock")) != 0 ||
        chmod(rig->folder, 0500) != 0)
        return 3;
    bool unlockable = rig_try_open(rig, &second) == QP_VAULT_UNREADABLE && strstr(rig->error, "locked");
    return unlockable && chmod(rig->path, 0) == 0 && rig_try_open(rig, &second) == QP_VAULT_UNREADABLE ? 0
                                                                                                       : 4;
}

static void a_folder_that_cannot_be_written_is_said(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    if (getuid() == 0) {
        assert_int_equal(chown(rig->folder, 65534, 65534), 0);
        assert_int_equal(chown(rig->path, 65534, 65534), 0);
        assert_int_equal(chown(rig_in(rig, "vault.lock"), 65534, 65534), 0);
    }
    rig_child_ends_well(use_read_only_folder, rig);
    assert_int_equal(chmod(rig->folder, 0700), 0);
}

static void assert_owner(const char *path, uid_t owner)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_uid, owner);
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void what_root_writes_stays_its_owners(void **state)
{
    struct rig *rig = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(rig->folder, 65534, 65534), 0);
    struct qp_vault *vault = rig_open(rig); /* it begins in somebody's folder */
    assert_owner(rig->path, 65534);
    assert_owner(rig_in(rig, "vault.lock"), 65534);
    qp_vault_close(&vault);
    assert_int_equal(chown(rig->path, 65533, 65533), 0);
    vault = rig_open(rig);
    rig_write(rig, vault);
    qp_vault_close(&vault);
    assert_owner(rig->path, 65533);
}

/* The disk takes a part of the file: a true partial write, without fault points. */
static int write_half(struct rig *rig)
{
    struct qp_vault *vault = rig_open(rig);
    signal(SIGXFSZ, SIG_IGN);
    rig_fill(vault, "a", "two");
    struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return RIG_CANNOT;
    if (qp_vault_write(vault, "record", rig->error, sizeof(rig->error)) != QP_SELF_IO ||
        !qp_vault_is_dirty(vault) || qp_vault_reserve(vault, rig->error, sizeof(rig->error)) != QP_SELF_IO)
        return 1;
    if (rig_is_there(rig_in(rig, "vault.tmp")))
        return 2;
    struct qp_buf now = rig_read(rig->path);
    qp_vault_close(&vault);
    bool kept = rig_holds(rig, "one") && qp_buf_len(&now) > 100;
    qp_buf_deinit(&now);
    return kept ? 0 : 3;
}

static void a_half_written_file_never_takes_its_place(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    rig_child_ends_well(write_half, rig);
    assert_true(rig_holds(rig, "one"));
}

static void more_than_a_vault_takes_is_not_written(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_vault *vault = rig_open(rig);
    char *large = calloc(1, 1 << 20);
    static const char *const names[] = {"b", "c", "d", "e"};
    for (size_t i = 0; i < 4; i++)
        qp_vault_record(vault, names[i])->refresh_token = qp_secret_new(qp_slice(large, 1 << 20));
    free(large);
    assert_int_equal(qp_vault_write(vault, "record", rig->error, sizeof(rig->error)), QP_SELF_IO);
    assert_true(qp_vault_is_dirty(vault));
    for (size_t i = 1; i < 4; i++)
        qp_secret_free(&qp_vault_record(vault, names[i])->refresh_token);
    rig_write(rig, vault);
    qp_vault_close(&vault);
    assert_true(rig_holds(rig, "one"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(function) cmocka_unit_test_setup_teardown(function, rig_start, rig_end)
        CASE(all_of_a_record_comes_back),
        CASE(any_bytes_come_back),
        CASE(its_mode_is_0600_whatever_the_umask),
        CASE(P1_its_bytes_hold_no_secret_and_never_repeat),
        CASE(P1_no_secret_stays_behind_in_freed_memory),
        CASE(every_changed_bit_is_detected),
        CASE(every_missing_or_added_byte_is_detected),
        CASE(a_forged_header_is_never_accepted),
        CASE(another_key_is_told_from_damage),
        CASE(an_absent_one_is_begun_only_on_request),
        CASE(what_others_may_read_is_refused),
        CASE(what_is_no_file_is_refused),
        CASE(another_process_is_kept_out_and_named),
        CASE(a_lock_that_is_another_name_of_a_file_is_left_alone),
        CASE(a_link_to_it_stays_a_link),
        CASE(what_a_crash_leaves_is_in_nobodys_way),
        CASE(a_restored_file_is_read_again),
        CASE(a_folder_that_cannot_be_written_is_said),
        CASE(what_root_writes_stays_its_owners),
        CASE(a_half_written_file_never_takes_its_place),
        CASE(more_than_a_vault_takes_is_not_written),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
