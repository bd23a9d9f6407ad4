#include "vault_rig.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void rig_set_key(struct qp_vault_key_opts *key, const char *text, bool is_passphrase)
{
    struct qp_secret *old = (struct qp_secret *)(uintptr_t)key->text;
    qp_secret_free(&old);
    *key = (struct qp_vault_key_opts){.text = text ? qp_secret_new(qp_slice_str(text)) : NULL,
                                      .is_passphrase = is_passphrase};
}

const char *rig_in(const struct rig *rig, const char *name)
{
    static char paths[2][RIG_PATH_BYTES];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    snprintf(path, RIG_PATH_BYTES, "%s/%s", rig->folder, name);
    return path;
}

int rig_start(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    char resolved[4096];
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/qproxy-vault-XXXXXX");
    if (!mkdtemp(rig->folder) || !realpath(rig->folder, resolved))
        return -1;
    snprintf(rig->folder, sizeof(rig->folder), "%.200s", resolved);
    snprintf(rig->path, sizeof(rig->path), "%s", rig_in(rig, "vault"));
    snprintf(rig->key_file, sizeof(rig->key_file), "%s", rig_in(rig, "vault.key"));
    rig->opts = (struct qp_vault_opts){.path = rig->path, .create = true};
    rig_set_key(&rig->opts.key, RIG_KEY, false);
    *state = rig;
    return 0;
}

static void empty_folder(const struct rig *rig)
{
    DIR *folder = opendir(rig->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            assert_int_equal(remove(rig_in(rig, entry->d_name)), 0);
    closedir(folder);
}

int rig_end(void **state)
{
    struct rig *rig = *state;
    rig_set_key(&rig->opts.key, NULL, false);
    rig_set_key(&rig->opts.old_key, NULL, false);
    assert_int_equal(qp_secret_live_count(), 0);
    empty_folder(rig);
    assert_int_equal(rmdir(rig->folder), 0);
    free(rig);
    return 0;
}

enum qp_vault_outcome rig_try_open(struct rig *rig, struct qp_vault **vault)
{
    rig->error[0] = 0;
    return qp_vault_open(&rig->opts, vault, rig->error, sizeof(rig->error));
}

struct qp_vault *rig_open(struct rig *rig)
{
    struct qp_vault *vault = NULL;
    enum qp_vault_outcome outcome = rig_try_open(rig, &vault);
    assert_string_equal(rig->error, "");
    assert_int_equal(outcome, QP_VAULT_OPEN);
    return vault;
}

static void assert_same(const struct qp_buf *a, const struct qp_buf *b)
{
    assert_int_equal(qp_buf_len(a), qp_buf_len(b));
    assert_true(qp_slice_is(qp_buf_slice(a), qp_buf_slice(b)));
}

void rig_refused(struct rig *rig, enum qp_vault_outcome expected)
{
    struct qp_vault *vault = NULL;
    struct qp_buf before = rig_read(rig->path);
    bool was_there = rig_is_there(rig->path);
    assert_int_equal(rig_try_open(rig, &vault), expected);
    assert_null(vault);
    assert_non_null(strstr(rig->error, rig->opts.path));
    assert_null(strchr(rig->error, '\n'));
    assert_true(strlen(rig->error) > strlen(rig->opts.path) + 20);
    assert_int_equal(was_there, rig_is_there(rig->path));
    struct qp_buf after = rig_read(rig->path);
    assert_same(&before, &after);
    qp_buf_deinit(&before);
    qp_buf_deinit(&after);
}

void rig_write(struct rig *rig, struct qp_vault *vault)
{
    rig->error[0] = 0;
    enum qp_result result = qp_vault_write(vault, "record", rig->error, sizeof(rig->error));
    assert_string_equal(rig->error, "");
    assert_int_equal(result, QP_OK);
    assert_false(qp_vault_is_dirty(vault));
}

static void set_secret(struct qp_secret **secret, const char *mark, const char *what)
{
    char text[256];
    qp_secret_free(secret);
    snprintf(text, sizeof(text), "%s-%s", mark, what);
    *secret = qp_secret_new(qp_slice_str(text));
}

/* A number of its own for each mark. */
static int64_t time_of(const char *mark)
{
    int64_t sum = 1700000000;
    for (const char *c = mark; *c; c++)
        sum = sum + 31 * *c;
    return sum;
}

void rig_fill(struct qp_vault *vault, const char *name, const char *mark)
{
    struct qp_vault_record *record = qp_vault_record(vault, name);
    set_secret(&record->refresh_token, mark, "refresh");
    set_secret(&record->access_token, mark, "access");
    snprintf(record->binding, sizeof(record->binding), "%s-binding", mark);
    snprintf(record->seed, sizeof(record->seed), "%s-seed", mark);
    record->refresh_token_unix_s = time_of(mark);
    record->signed_in_unix_s = time_of(mark) + 1;
    record->access_token_unix_s = time_of(mark) + 2;
    record->access_token_until_unix_s = time_of(mark) + 3;
    record->redeeming = time_of(mark) % 2;
    snprintf(record->identity.brand, sizeof(record->identity.brand), "%s-brand", mark);
    snprintf(record->identity.user, sizeof(record->identity.user), "%s-user", mark);
    snprintf(record->identity.datacenter, sizeof(record->identity.datacenter), "%s-dc", mark);
    snprintf(record->identity.warning, sizeof(record->identity.warning), "%s-warning", mark);
}

static bool says(const char *text, const char *mark, const char *what)
{
    char expected[256];
    snprintf(expected, sizeof(expected), "%s-%s", mark, what);
    return strcmp(text, expected) == 0;
}

static bool secret_says(const struct qp_secret *secret, const char *mark, const char *what)
{
    char expected[256];
    snprintf(expected, sizeof(expected), "%s-%s", mark, what);
    return secret && qp_slice_is(qp_secret_reveal(secret), qp_slice_str(expected));
}

bool rig_is_filled(struct qp_vault *vault, const char *name, const char *mark)
{
    const struct qp_vault_record *record = qp_vault_record(vault, name);
    return strcmp(record->name, name) == 0 && secret_says(record->refresh_token, mark, "refresh") &&
           secret_says(record->access_token, mark, "access") && says(record->binding, mark, "binding") &&
           says(record->seed, mark, "seed") && record->refresh_token_unix_s == time_of(mark) &&
           record->signed_in_unix_s == time_of(mark) + 1 &&
           record->access_token_unix_s == time_of(mark) + 2 &&
           record->access_token_until_unix_s == time_of(mark) + 3 &&
           record->redeeming == (time_of(mark) % 2) && says(record->identity.brand, mark, "brand") &&
           says(record->identity.user, mark, "user") && says(record->identity.datacenter, mark, "dc") &&
           says(record->identity.warning, mark, "warning");
}

void rig_make(struct rig *rig, const char *mark)
{
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", mark);
    rig_write(rig, vault);
    qp_vault_close(&vault);
}

bool rig_holds(struct rig *rig, const char *mark)
{
    struct qp_vault *vault = rig_open(rig);
    bool holds = rig_is_filled(vault, "a", mark);
    qp_vault_close(&vault);
    return holds;
}

struct qp_buf rig_read(const char *path)
{
    struct qp_buf bytes = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return bytes;
    ssize_t got = 0;
    do {
        qp_buf_commit(&bytes, (size_t)got);
        got = read(fd, qp_buf_reserve(&bytes, 65536), 65536);
    } while (got > 0);
    close(fd);
    return bytes;
}

void rig_put(const char *path, struct qp_slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.len ? bytes.at : "", bytes.len), bytes.len);
    close(fd);
}

bool rig_is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

int rig_in_child(int (*act)(struct rig *rig), struct rig *rig)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion must not go on with the next test here */
        _exit(act(rig));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

void rig_child_ends_well(int (*act)(struct rig *rig), struct rig *rig)
{
    int status = rig_in_child(act, rig);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == RIG_CANNOT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}
