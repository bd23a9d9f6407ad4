/* Keys: texts, passphrases, the former one, files, rotation. What happens when it is interrupted: vault_crash_test.c. */
#include "vault_rig.h"
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PASSPHRASE "correct horse battery"

static void assert_hex(struct qp_slice bytes, const char *expected)
{
    char hex[128];
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes.at[i]);
    assert_string_equal(hex, expected);
}

/* Computed with Python's hashlib and hmac. */
static void keys_are_what_another_program_computes(void **state)
{
    struct rig *rig = *state;
    struct qp_vault_key key = {0};
    struct qp_vault_kdf kdf = {.kind = QP_VAULT_KDF_NONE};
    assert_true(qp_vault_key_derive(&rig->opts.key, &kdf, &key));
    assert_hex(qp_secret_reveal(key.bytes), RIG_KEY);
    assert_hex(qp_slice((const char *)key.id, sizeof(key.id)), "e15560ddbcb2eeec");
    qp_vault_key_free(&key);
    kdf = (struct qp_vault_kdf){.kind = QP_VAULT_KDF_PBKDF2_SHA512, .iterations = 1000};
    for (unsigned char i = 0; i < sizeof(kdf.salt); i++)
        kdf.salt[i] = i;
    assert_false(qp_vault_key_derive(&rig->opts.key, &kdf, &key));
    rig_set_key(&rig->opts.key, PASSPHRASE, true);
    assert_true(qp_vault_key_derive(&rig->opts.key, &kdf, &key));
    assert_hex(qp_secret_reveal(key.bytes),
               "4e8c45522e72ddfa6b6515bf57a0aea51dae20361fbb2e6b96c17d67813ae3c9");
    assert_hex(qp_slice((const char *)key.id, sizeof(key.id)), "5e7c74b30d1cde8f");
    qp_vault_key_free(&key);
}

static void a_key_that_is_none_is_said_before_the_file_is_looked_at(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *text;
        bool is_passphrase;
    } rows[] = {
        {NULL, false},
        {"", false},
        {"00", false},
        {RIG_KEY "0", false},
        {"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1 ", false},
        {"0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
        {"", true},
        {"elevenbytes", true},
        {NULL, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_set_key(&rig->opts.key, rows[i].text, rows[i].is_passphrase);
        rig_refused(rig, QP_VAULT_BAD_KEY);
        assert_non_null(strstr(rig->error, "vault.key"));
        if (rows[i].text && *rows[i].text)
            assert_null(strstr(rig->error, rows[i].text));
    }
    rig_set_key(&rig->opts.key, RIG_KEY, false);
    rig_set_key(&rig->opts.old_key, "00", false);
    rig_refused(rig, QP_VAULT_BAD_KEY);
    assert_non_null(strstr(rig->error, "vault.old_key"));
    assert_false(rig_is_there(rig->path));
}

static void digits_may_be_upper_case(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    rig_set_key(&rig->opts.key, "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", false);
    assert_true(rig_holds(rig, "one"));
}

/* ---- passphrases ---- */

static uint32_t iterations_in(const char *path)
{
    struct qp_buf file = rig_read(path);
    uint32_t iterations = 0;
    for (size_t i = 0; i < 4; i++)
        iterations |= (uint32_t)(unsigned char)file.data[16 + i] << (8 * i);
    qp_buf_deinit(&file);
    return iterations;
}

static void a_passphrase_is_derived_slowly_and_opens(void **state)
{
    struct rig *rig = *state;
    struct timespec from;
    struct timespec to;
    rig_set_key(&rig->opts.key, PASSPHRASE, true);
    clock_gettime(CLOCK_MONOTONIC, &from);
    rig_make(rig, "one");
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("a new vault with a passphrase takes %ld ms\n",
                  (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
    assert_int_equal(iterations_in(rig->path), QP_VAULT_ITERATIONS);
    assert_true(QP_VAULT_ITERATIONS >= 210000);
    struct qp_vault *vault = rig_open(rig);
    assert_false(qp_vault_was_resealed(vault));
    assert_true(rig_is_filled(vault, "a", "one"));
    qp_vault_close(&vault);
    rig_set_key(&rig->opts.key, "wrong horse battery", true);
    rig_refused(rig, QP_VAULT_WRONG_KEY);
    assert_non_null(strstr(rig->error, "passphrase"));
    rig_set_key(&rig->opts.key, RIG_KEY, false);
    rig_refused(rig, QP_VAULT_WRONG_KEY);
    assert_non_null(strstr(rig->error, "passphrase"));
    rig_set_key(&rig->opts.old_key, PASSPHRASE, true); /* from a passphrase to a key */
    vault = rig_open(rig);
    assert_true(qp_vault_was_resealed(vault));
    assert_true(rig_is_filled(vault, "a", "one"));
    qp_vault_close(&vault);
    assert_int_equal(iterations_in(rig->path), 0);
    rig_set_key(&rig->opts.old_key, NULL, false);
    assert_true(rig_holds(rig, "one"));
}

/* A vault as a qproxy of old wrote it, or as nobody does. */
static void put_with_iterations(struct rig *rig, uint32_t iterations)
{
    struct qp_vault_key key = {0};
    struct qp_vault_kdf kdf = {.kind = QP_VAULT_KDF_PBKDF2_SHA512, .iterations = iterations, .salt = "salt"};
    struct qp_buf file = {0};
    unsigned char nonce[QP_VAULT_NONCE_BYTES];
    kdf.iterations = iterations > QP_VAULT_ITERATIONS_MOST ? 1 : iterations;
    assert_true(qp_vault_key_derive(&rig->opts.key, &kdf, &key));
    key.kdf.iterations = iterations;
    qp_vault_seal(&key, QP_SLICE("{\"accounts\":[]}"), &file, nonce);
    rig_put(rig->path, qp_buf_slice(&file));
    qp_buf_deinit(&file);
    qp_vault_key_free(&key);
}

static void few_iterations_are_raised_at_once(void **state)
{
    struct rig *rig = *state;
    rig_set_key(&rig->opts.key, PASSPHRASE, true);
    put_with_iterations(rig, 1000);
    struct qp_vault *vault = rig_open(rig);
    assert_true(qp_vault_was_resealed(vault));
    assert_false(qp_vault_is_dirty(vault));
    assert_int_equal(iterations_in(rig->path), QP_VAULT_ITERATIONS);
    qp_vault_close(&vault);
    vault = rig_open(rig);
    assert_false(qp_vault_was_resealed(vault));
    qp_vault_close(&vault);
}

static void too_many_iterations_are_not_waited_for(void **state)
{
    struct rig *rig = *state;
    rig_set_key(&rig->opts.key, PASSPHRASE, true);
    put_with_iterations(rig, QP_VAULT_ITERATIONS_MOST + 1);
    rig_refused(rig, QP_VAULT_CORRUPT);
    put_with_iterations(rig, UINT32_MAX);
    rig_refused(rig, QP_VAULT_CORRUPT);
}

/* ---- the key before ---- */

static void the_former_key_reads_and_the_vault_gets_the_present_one(void **state)
{
    struct rig *rig = *state;
    rig_make(rig, "one");
    struct qp_buf backup = rig_read(rig->path);
    rig_set_key(&rig->opts.key, RIG_OTHER_KEY, false);
    rig_set_key(&rig->opts.old_key, RIG_KEY, false);
    struct qp_vault *vault = rig_open(rig);
    assert_true(qp_vault_was_resealed(vault));
    assert_false(qp_vault_is_dirty(vault));
    assert_true(rig_is_filled(vault, "a", "one"));
    rig_fill(vault, "a", "two");
    rig_write(rig, vault);
    rig_put(rig->path, qp_buf_slice(&backup)); /* of before the change */
    assert_true(qp_vault_reread(vault, "a"));
    assert_true(rig_is_filled(vault, "a", "one"));
    rig_write(rig, vault);
    qp_vault_close(&vault);
    rig_set_key(&rig->opts.old_key, NULL, false);
    assert_true(rig_holds(rig, "one"));
    rig_set_key(&rig->opts.key, RIG_KEY, false);
    rig_refused(rig, QP_VAULT_WRONG_KEY);
    qp_buf_deinit(&backup);
}

/* ---- files ---- */

static void a_new_key_file_is_private_and_never_overwrites(void **state)
{
    struct rig *rig = *state;
    struct stat status;
    mode_t old = umask(0);
    assert_int_equal(qp_vault_key_new(rig->key_file, rig->error, sizeof(rig->error)), QP_OK);
    umask(old);
    assert_int_equal(stat(rig->key_file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    struct qp_buf text = rig_read(rig->key_file);
    assert_int_equal(qp_buf_len(&text), 65);
    assert_int_equal(strspn(text.data, "0123456789abcdef"), 64);
    assert_int_equal(text.data[64], '\n');
    assert_int_equal(qp_vault_key_new(rig->key_file, rig->error, sizeof(rig->error)), QP_NET_IN_USE);
    assert_non_null(strstr(rig->error, rig->key_file));
    struct qp_buf again = rig_read(rig->key_file);
    assert_memory_equal(again.data, text.data, 65);
    assert_int_equal(qp_vault_key_new(rig_in(rig, "other.key"), rig->error, sizeof(rig->error)), QP_OK);
    struct qp_buf other = rig_read(rig_in(rig, "other.key"));
    assert_memory_not_equal(other.data, text.data, 64);
    qp_buf_wipe(&text);
    qp_buf_wipe(&again);
    qp_buf_wipe(&other);

    static const char *const wrong[] = {"no folder/key", "absent/"};
    assert_int_equal(mkdir(rig_in(rig, "folder"), 0700), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(qp_vault_key_new(rig_in(rig, wrong[i]), rig->error, sizeof(rig->error)), QP_SELF_IO);
        assert_non_null(strstr(rig->error, wrong[i]));
    }
    assert_int_equal(qp_vault_key_new(rig_in(rig, "folder"), rig->error, sizeof(rig->error)), QP_NET_IN_USE);
}

/* As the daemon does: the key from its file. */
static void take_key_from_file(struct rig *rig)
{
    struct qp_buf text = rig_read(rig->key_file);
    assert_int_equal(qp_buf_len(&text), 65);
    text.data[64] = 0;
    rig_set_key(&rig->opts.key, text.data, false);
    rig->opts.key_file = rig->key_file;
    qp_buf_wipe(&text);
}

static void make_with_key_file(struct rig *rig)
{
    rig_put(rig->key_file, QP_SLICE(RIG_KEY "\n"));
    take_key_from_file(rig);
    rig_make(rig, "one");
}

static void a_rotation_changes_key_and_file(void **state)
{
    struct rig *rig = *state;
    make_with_key_file(rig);
    assert_int_equal(chmod(rig->key_file, 0640), 0);
    struct qp_buf before = rig_read(rig->path);
    struct qp_vault *vault = rig_open(rig);
    rig_fill(vault, "a", "two");
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
    assert_non_null(strstr(rig->error, rig->key_file));
    assert_false(qp_vault_was_resealed(vault));
    struct qp_buf key = rig_read(rig->key_file);
    assert_memory_not_equal(key.data, RIG_KEY, 64);
    qp_buf_wipe(&key);
    struct stat status;
    assert_int_equal(stat(rig->key_file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640); /* a group that had to read it must go on reading it */
    assert_false(rig_is_there(rig_in(rig, "vault.key.new")));

    rig_put(rig->path, qp_buf_slice(&before)); /* a backup of before the rotation */
    rig_fill(vault, "a", "three");
    assert_true(qp_vault_reread(vault, "a"));
    assert_true(rig_is_filled(vault, "a", "one"));
    rig_write(rig, vault);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
    qp_vault_close(&vault);
    rig_refused(rig, QP_VAULT_WRONG_KEY);
    take_key_from_file(rig);
    assert_true(rig_holds(rig, "one"));
    qp_buf_deinit(&before);
}

static void a_link_to_the_key_file_stays_a_link(void **state)
{
    struct rig *rig = *state;
    make_with_key_file(rig);
    assert_int_equal(symlink("vault.key", rig_in(rig, "link")), 0);
    rig->opts.key_file = rig_in(rig, "link");
    struct qp_vault *vault = rig_open(rig);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
    qp_vault_close(&vault);
    char target[64];
    assert_int_equal(readlink(rig_in(rig, "link"), target, sizeof(target)), 9);
    take_key_from_file(rig);
    assert_true(rig_holds(rig, "one"));
}

/* It may hold the key that the vault is sealed with. */
static void what_lies_beside_the_key_file_and_cannot_be_read_is_not_replaced(void **state)
{
    struct rig *rig = *state;
    char target[64];
    make_with_key_file(rig);
    struct qp_vault *vault = rig_open(rig);
    assert_int_equal(symlink("elsewhere.key", rig_in(rig, "vault.key.new")), 0);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_SELF_IO);
    assert_non_null(strstr(rig->error, "keeps its key"));
    assert_non_null(strstr(rig->error, "cannot be read"));
    assert_int_equal(readlink(rig_in(rig, "vault.key.new"), target, sizeof(target)), 13);
    assert_int_equal(unlink(rig_in(rig, "vault.key.new")), 0);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
    qp_vault_close(&vault);
    take_key_from_file(rig);
    assert_true(rig_holds(rig, "one"));
}

static void without_a_key_file_it_says_how_else(void **state)
{
    struct rig *rig = *state;
    struct qp_vault *vault = rig_open(rig);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_NET_DENIED);
    assert_non_null(strstr(rig->error, "vault.old_key"));
    qp_vault_close(&vault);
    assert_int_equal(remove(rig->path), 0);
    rig_put(rig->key_file, QP_SLICE(PASSPHRASE "\n"));
    rig_set_key(&rig->opts.key, PASSPHRASE, true);
    rig->opts.key_file = rig->key_file;
    vault = rig_open(rig);
    assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_NET_DENIED);
    assert_non_null(strstr(rig->error, "passphrase"));
    assert_non_null(strstr(rig->error, "vault.old_key"));
    qp_vault_close(&vault);
}

static void a_key_beside_that_was_never_used_is_in_nobodys_way(void **state)
{
    struct rig *rig = *state;
    static const char *const stray[] = {RIG_OTHER_KEY "\n", "half a ke", ""};
    make_with_key_file(rig);
    for (size_t i = 0; i < sizeof(stray) / sizeof(stray[0]); i++) {
        rig_put(rig_in(rig, "vault.key.new"), qp_slice_str(stray[i]));
        assert_true(rig_holds(rig, "one"));
        assert_true(rig_is_there(rig_in(rig, "vault.key.new")));
        struct qp_vault *vault = rig_open(rig);
        assert_int_equal(qp_vault_rotate(vault, rig->error, sizeof(rig->error)), QP_OK);
        qp_vault_close(&vault);
        assert_false(rig_is_there(rig_in(rig, "vault.key.new")));
        take_key_from_file(rig);
        assert_true(rig_holds(rig, "one"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(function) cmocka_unit_test_setup_teardown(function, rig_start, rig_end)
        CASE(keys_are_what_another_program_computes),
        CASE(a_key_that_is_none_is_said_before_the_file_is_looked_at),
        CASE(digits_may_be_upper_case),
        CASE(a_passphrase_is_derived_slowly_and_opens),
        CASE(few_iterations_are_raised_at_once),
        CASE(too_many_iterations_are_not_waited_for),
        CASE(the_former_key_reads_and_the_vault_gets_the_present_one),
        CASE(a_new_key_file_is_private_and_never_overwrites),
        CASE(a_rotation_changes_key_and_file),
        CASE(a_link_to_the_key_file_stays_a_link),
        CASE(what_lies_beside_the_key_file_and_cannot_be_read_is_not_replaced),
        CASE(without_a_key_file_it_says_how_else),
        CASE(a_key_beside_that_was_never_used_is_in_nobodys_way),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
