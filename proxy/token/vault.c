#include "base/alloc.h"
#include "base/check.h"
#include "base/fault.h"
#include "token/vault_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* RESERVE_BYTES: a token endpoint's answer is 64 KiB at most, in base64 a third more. */
enum { RESERVE_BYTES = 128 * 1024 };

#define TEMPORARY ".tmp"

/* Where an opening says why it failed. */
struct report {
    const char *path;
    char *text;
    size_t size;
};

static enum qp_vault_outcome say(const struct report *report, enum qp_vault_outcome outcome,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));
static enum qp_vault_outcome say(const struct report *report, enum qp_vault_outcome outcome,
                                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = snprintf(report->text, report->size, "the vault '%s' ", report->path);
    if (used > 0 && (size_t)used < report->size)
        vsnprintf(report->text + used, report->size - (size_t)used, format, args);
    va_end(args);
    return outcome;
}

const char *qp_vault_remedy(int error)
{
    static const struct {
        int error;
        const char *text;
    } rows[] = {
        {ENOSPC, ": free some disk space"},
        {EDQUOT, ": free some disk space, or raise the quota"},
        {EROFS, ": put it where the file system can be written"},
        {EACCES, ": let qproxy's user write in its folder"},
        {EPERM, ": let qproxy's user write in its folder"},
        {ENOENT, ": make its folder"},
        {EFBIG, ": too much is kept in it, remove accounts"},
        {EIO, ": the disk may be failing, look at the system's log"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].error == error)
            return rows[i].text;
    return "";
}

/* ---- writing ---- */

static void drop_spare(struct qp_vault *vault)
{
    if (vault->spare_fd < 0)
        return;
    close(vault->spare_fd);
    vault->spare_fd = -1;
    qp_place_remove(&vault->place, TEMPORARY);
}

/* The spare one, unless somebody tidied it away. */
static int open_temporary(struct qp_vault *vault)
{
    struct stat status;
    if (vault->spare_fd >= 0 && fstat(vault->spare_fd, &status) == 0 && status.st_nlink == 1)
        return 0;
    drop_spare(vault);
    return qp_place_create(&vault->place, TEMPORARY, QP_PLACE_PRIVATE, &vault->spare_fd);
}

/* Some file systems cannot set space aside; then there is none, and no write fails for that. */
static int set_aside(struct qp_vault *vault)
{
    int error = open_temporary(vault);
    if (error)
        return error;
    off_t bytes = (off_t)(vault->file_bytes + RESERVE_BYTES);
    do {
        error = posix_fallocate(vault->spare_fd, 0, bytes);
    } while (error == EINTR);
    if (error == EINVAL || error == EOPNOTSUPP)
        error = 0;
    if (error)
        drop_spare(vault);
    return error;
}

/* Each fault point fails what comes next. */
static int replace_file(struct qp_vault *vault, struct qp_slice content, const char *step, bool *is_replaced)
{
    int error = qp_fault_fmt("vault.%s.write", step) ? errno : open_temporary(vault);
    if (!error)
        error = qp_place_fill(vault->spare_fd, content);
    if (!error && (qp_fault_fmt("vault.%s.written", step) || fsync(vault->spare_fd) != 0))
        error = errno;
    if (!error)
        error = qp_fault_fmt("vault.%s.synced", step) ? errno : qp_place_rename(&vault->place, TEMPORARY);
    if (error) {
        drop_spare(vault);
        return error;
    }
    *is_replaced = true;
    close(vault->spare_fd);
    vault->spare_fd = -1;
    error = qp_fault_fmt("vault.%s.renamed", step) ? errno : qp_place_sync(&vault->place);
    if (!error)
        (void)qp_fault_fmt("vault.%s.done", step);
    return error;
}

/* The plain text's memory is of its final size from the start on, or grows by wiped copies. */
static int seal_records(const struct qp_vault *vault, const struct qp_vault_key *key, struct qp_buf *content,
                        unsigned char *nonce)
{
    struct qp_buf text = {0};
    int error = 0;
    qp_buf_reserve(&text, vault->file_bytes + RESERVE_BYTES);
    qp_vault_records_write(&vault->records, &text);
    if (qp_buf_len(&text) > QP_VAULT_MOST_BYTES - QP_VAULT_HEADER_BYTES - QP_VAULT_TAG_BYTES)
        error = EFBIG;
    else
        qp_vault_seal(key, qp_buf_slice(&text), content, nonce);
    qp_buf_wipe(&text);
    return error;
}

int qp_vault_store(struct qp_vault *vault, const struct qp_vault_key *key, const char *step,
                   bool *is_replaced)
{
    struct qp_buf content = {0};
    unsigned char nonce[QP_VAULT_NONCE_BYTES];
    bool had_spare = vault->spare_fd >= 0;
    *is_replaced = false;
    int error = seal_records(vault, key, &content, nonce);
    if (!error)
        error = replace_file(vault, qp_buf_slice(&content), step, is_replaced);
    if (*is_replaced) {
        memcpy(vault->nonce, nonce, sizeof(nonce));
        vault->file_bytes = qp_buf_len(&content);
    }
    qp_buf_deinit(&content);
    vault->is_dirty = error != 0;
    /* Another account's call may be under way, whose answer was promised the space that this write took. */
    if (!error && had_spare)
        (void)set_aside(vault);
    return error;
}

enum qp_result qp_vault_write(struct qp_vault *vault, const char *step, char *error, size_t error_size)
{
    bool is_replaced = false;
    int failed = qp_vault_store(vault, &vault->key, step, &is_replaced);
    if (!failed)
        return QP_OK;
    snprintf(error, error_size, "the vault '%s' cannot be written: %s%s", vault->place.path, strerror(failed),
             qp_vault_remedy(failed));
    return QP_SELF_IO;
}

enum qp_result qp_vault_reserve(struct qp_vault *vault, char *error, size_t error_size)
{
    int failed = qp_fault("vault.reserve") ? errno : set_aside(vault);
    if (!failed)
        return QP_OK;
    snprintf(error, error_size, "no space can be set aside for the vault '%s': %s%s", vault->place.path,
             strerror(failed), qp_vault_remedy(failed));
    return QP_SELF_IO;
}

bool qp_vault_is_dirty(const struct qp_vault *vault)
{
    return vault->is_dirty;
}

bool qp_vault_was_resealed(const struct qp_vault *vault)
{
    return vault->was_resealed;
}

/* ---- reading ---- */

/* Whose key it was. */
enum source { SOURCE_NONE, SOURCE_KNOWN, SOURCE_PRESENT, SOURCE_NEW_FILE, SOURCE_OLD };

static bool is_for(const struct qp_vault_key *key, const struct qp_vault_header *header)
{
    return key->bytes && memcmp(key->id, header->key_id, sizeof(key->id)) == 0;
}

/* Frees the key if it is not the header's. */
static bool keep_if_for(struct qp_vault_key *key, const struct qp_vault_header *header)
{
    if (is_for(key, header))
        return true;
    qp_vault_key_free(key);
    return false;
}

static bool derive_for(const struct qp_vault_key_opts *opts, const struct qp_vault_header *header,
                       struct qp_vault_key *key)
{
    return qp_vault_key_derive(opts, &header->kdf, key) && keep_if_for(key, header);
}

/* Those that are at hand come first: to derive one may take half a second. */
static enum source find_key(const struct qp_vault *vault, const struct qp_vault_header *header,
                            struct qp_vault_key *key)
{
    const struct qp_vault_key *known = is_for(&vault->key, header) ? &vault->key : &vault->former;
    if (is_for(known, header)) {
        *key = *known;
        key->bytes = qp_secret_dup(known->bytes);
        return SOURCE_KNOWN;
    }
    if (derive_for(&vault->opts.key, header, key))
        return SOURCE_PRESENT;
    if (vault->key_place.path && qp_vault_key_read(&vault->key_place, QP_VAULT_NEW_KEY, key) == 0 &&
        keep_if_for(key, header))
        return SOURCE_NEW_FILE;
    return derive_for(&vault->opts.old_key, header, key) ? SOURCE_OLD : SOURCE_NONE;
}

/* What one reading of the file gives. */
struct reading {
    struct qp_vault_header header;
    struct qp_vault_key key;
    enum source source;
    struct qp_list records;
};

static void end_reading(struct reading *reading)
{
    qp_vault_records_free(&reading->records);
    qp_vault_key_free(&reading->key);
}

#define DAMAGED "is damaged (%s): restore it from a backup, or move it away and sign in again"

static enum qp_vault_outcome read_content(const struct qp_vault *vault, struct qp_slice file,
                                          struct reading *reading, const struct report *report)
{
    const char *why = NULL;
    enum qp_vault_outcome outcome = qp_vault_header_read(file, &reading->header, &why);
    if (outcome == QP_VAULT_TOO_NEW)
        return say(report, outcome, "was written by a newer qproxy than this one: use that one");
    if (outcome != QP_VAULT_OPEN)
        return say(report, outcome, DAMAGED, why);
    reading->source = find_key(vault, &reading->header, &reading->key);
    if (reading->source == SOURCE_NONE)
        return say(report, QP_VAULT_WRONG_KEY,
                   "is sealed with %s: set vault.key, or vault.old_key, to the one it was made with",
                   reading->header.kdf.kind == QP_VAULT_KDF_NONE ? "another key" : "another passphrase");
    struct qp_buf text = {0};
    if (!qp_vault_unseal(&reading->key, file, &reading->header, &text))
        outcome = say(report, QP_VAULT_CORRUPT, DAMAGED, "its content was changed");
    else if (!qp_vault_records_read(qp_buf_slice(&text), &reading->records))
        outcome = say(report, QP_VAULT_CORRUPT, DAMAGED, "its content makes no sense");
    qp_buf_wipe(&text);
    return outcome;
}

static enum qp_vault_outcome check_file(int error, const struct stat *status, const struct report *report)
{
    if (error == ENOENT)
        return say(report, QP_VAULT_ABSENT, "does not exist: check vault.path");
    if (error == EINVAL)
        return say(report, QP_VAULT_UNREADABLE, "is not a regular file: set vault.path to one");
    if (error)
        return say(report, QP_VAULT_UNREADABLE, "cannot be read: %s%s", strerror(error),
                   error == EACCES ? ": let qproxy's user read it" : "");
    if (status->st_mode & (S_IRWXG | S_IRWXO))
        return say(report, QP_VAULT_UNREADABLE, "is open to other users (mode %03o): chmod 600 '%s'",
                   (unsigned)status->st_mode & 0777, report->path);
    if (status->st_size > QP_VAULT_MOST_BYTES)
        return say(report, QP_VAULT_CORRUPT, DAMAGED, "it is longer than any vault");
    return QP_VAULT_OPEN;
}

/* On QP_VAULT_OPEN the reading is for end_reading(). */
static enum qp_vault_outcome read_file(struct qp_vault *vault, struct reading *reading,
                                       const struct report *report)
{
    struct qp_buf file = {0};
    struct stat status = {0};
    *reading = (struct reading){0};
    qp_list_init(&reading->records);
    int error = qp_place_read(&vault->place, "", QP_VAULT_MOST_BYTES, &file, &status);
    enum qp_vault_outcome outcome = check_file(error, &status, report);
    if (outcome == QP_VAULT_OPEN)
        outcome = read_content(vault, qp_buf_slice(&file), reading, report);
    if (outcome == QP_VAULT_OPEN)
        vault->file_bytes = qp_buf_len(&file);
    else
        end_reading(reading);
    qp_buf_deinit(&file);
    return outcome;
}

/* ---- opening ---- */

static enum qp_vault_outcome check_keys(const struct qp_vault_opts *opts, const struct report *report)
{
    const char *fault = qp_vault_key_fault(&opts->key);
    const char *old_fault = opts->old_key.text ? qp_vault_key_fault(&opts->old_key) : NULL;
    if (!fault && !old_fault)
        return QP_VAULT_OPEN;
    return say(report, QP_VAULT_BAD_KEY, "cannot be opened: vault.%s %s", fault ? "key" : "old_key",
               fault ? fault : old_fault);
}

static enum qp_vault_outcome find_place(struct qp_vault *vault, const struct report *report)
{
    int error = qp_place_open(&vault->place, vault->opts.path);
    if (error == ENOENT)
        return say(report, QP_VAULT_ABSENT,
                   "does not exist, nor does its folder: make the folder, with mode 700");
    if (error == ENOLINK)
        return say(report, QP_VAULT_ABSENT, "is a link to a file that does not exist");
    if (error)
        return say(report, QP_VAULT_UNREADABLE, "cannot be reached: %s", strerror(error));
    if (!vault->opts.create && qp_place_is_free(&vault->place))
        return say(report, QP_VAULT_ABSENT, "does not exist: check vault.path");
    return QP_VAULT_OPEN;
}

static enum qp_vault_outcome take_lock(struct qp_vault *vault, const struct report *report)
{
    uint64_t holder = 0;
    char who[48] = "another process";
    int error = qp_place_lock(&vault->place, &vault->lock_fd, &holder);
    if (!error)
        return QP_VAULT_OPEN;
    if (error != EWOULDBLOCK)
        return say(report, QP_VAULT_UNREADABLE, "cannot be locked with '%s.lock': %s%s", report->path,
                   strerror(error), qp_vault_remedy(error));
    if (holder)
        snprintf(who, sizeof(who), "process %" PRIu64, holder);
    return say(report, QP_VAULT_LOCKED, "is in use by %s: stop it first, or work through it", who);
}

static enum qp_vault_outcome begin(struct qp_vault *vault, const struct report *report)
{
    bool is_replaced = false;
    qp_vault_key_make(&vault->opts.key, &vault->key);
    int error = qp_vault_store(vault, &vault->key, "begin", &is_replaced);
    if (!error)
        return QP_VAULT_OPEN;
    return say(report, QP_VAULT_UNREADABLE, "cannot be made: %s%s", strerror(error), qp_vault_remedy(error));
}

/* A failure is no reason to refuse what was read: the vault is dirty then, and the next write tries again. */
static void reseal(struct qp_vault *vault, struct reading *reading)
{
    bool is_replaced = false;
    vault->former = reading->key;
    reading->key = (struct qp_vault_key){0};
    qp_vault_key_make(&vault->opts.key, &vault->key);
    vault->was_resealed = true;
    (void)qp_vault_store(vault, &vault->key, "reseal", &is_replaced);
}

static void adopt(struct qp_vault *vault, struct reading *reading)
{
    const struct qp_vault_kdf *kdf = &reading->key.kdf;
    qp_list_move_all(&vault->records, &reading->records);
    memcpy(vault->nonce, reading->header.nonce, sizeof(vault->nonce));
    bool is_weak = kdf->kind == QP_VAULT_KDF_PBKDF2_SHA512 && kdf->iterations < QP_VAULT_ITERATIONS;
    if (reading->source == SOURCE_OLD || is_weak) {
        reseal(vault, reading);
        return;
    }
    vault->key = reading->key;
    reading->key = (struct qp_vault_key){0};
    if (reading->source == SOURCE_NEW_FILE)
        (void)qp_vault_rotate_finish(vault); /* else the next rotation does it */
}

static enum qp_vault_outcome enter(struct qp_vault *vault, const struct report *report)
{
    struct reading reading;
    enum qp_vault_outcome outcome = find_place(vault, report);
    if (outcome == QP_VAULT_OPEN)
        outcome = take_lock(vault, report);
    if (outcome != QP_VAULT_OPEN)
        return outcome;
    if (vault->opts.key_file && qp_place_open(&vault->key_place, vault->opts.key_file) != 0)
        vault->key_place = (struct qp_place){0}; /* the key is known; only its rotation is not possible */
    if (vault->opts.create && qp_place_is_free(&vault->place))
        return begin(vault, report);
    outcome = read_file(vault, &reading, report);
    if (outcome != QP_VAULT_OPEN)
        return outcome;
    adopt(vault, &reading);
    end_reading(&reading);
    return QP_VAULT_OPEN;
}

enum qp_vault_outcome qp_vault_open(const struct qp_vault_opts *opts, struct qp_vault **vault, char *error,
                                    size_t error_size)
{
    struct report report = {.path = opts->path, .size = error_size};
    report.text = error;
    enum qp_vault_outcome outcome = check_keys(opts, &report);
    if (outcome != QP_VAULT_OPEN)
        return outcome;
    struct qp_vault *opened = qp_alloc(sizeof(*opened));
    *opened = (struct qp_vault){.opts = *opts, .lock_fd = -1, .spare_fd = -1};
    qp_list_init(&opened->records);
    outcome = enter(opened, &report);
    if (outcome == QP_VAULT_OPEN)
        *vault = opened;
    else
        qp_vault_close(&opened);
    return outcome;
}

void qp_vault_close(struct qp_vault **vault)
{
    struct qp_vault *old = *vault;
    *vault = NULL;
    if (!old)
        return;
    qp_vault_records_free(&old->records);
    qp_vault_key_free(&old->key);
    qp_vault_key_free(&old->former);
    drop_spare(old);
    qp_place_close(&old->key_place);
    qp_place_close(&old->place);
    if (old->lock_fd >= 0) {
        (void)qp_place_fill(old->lock_fd, QP_SLICE_NONE); /* our process id says nothing from now on */
        close(old->lock_fd);
    }
    qp_free(old);
}

/* ---- records ---- */

struct qp_vault_record *qp_vault_record(struct qp_vault *vault, const char *name)
{
    qp_require(*name);
    struct qp_vault_record *record = qp_vault_records_find(&vault->records, name);
    return record ? record : qp_vault_records_add(&vault->records, name);
}

/* A file that we wrote ourselves holds nothing new, even if it is older than the memory because a write failed: the refresh token in it may be
 * spent. The nonce tells. */
bool qp_vault_reread(struct qp_vault *vault, const char *name)
{
    struct reading reading;
    bool is_other = false;
    if (read_file(vault, &reading, &(struct report){.path = vault->place.path}) != QP_VAULT_OPEN)
        return false;
    struct qp_vault_record *there = qp_vault_records_find(&reading.records, name);
    struct qp_vault_record *here = qp_vault_records_find(&vault->records, name);
    if (memcmp(reading.header.nonce, vault->nonce, sizeof(vault->nonce)) != 0 && there &&
        there->refresh_token && !(here && qp_secret_equal(here->refresh_token, there->refresh_token))) {
        qp_vault_record_move(qp_vault_record(vault, name), there);
        is_other = true;
    }
    end_reading(&reading);
    return is_other;
}
