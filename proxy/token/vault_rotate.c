/* vault_rotate.c - a new key for the vault.
 *
 *   made, in key_file.new, on disk -> the vault sealed with it, on disk -> renamed over key_file, on disk
 *
 * At no instant is the vault sealed with a key that is in neither file, and an opening looks into both. So key_file.new is removed only by the next
 * rotation, when the vault has just been sealed with the key of key_file.
 */
#include "base/fault.h"
#include "token/vault_impl.h"
#include <errno.h>
#include <stdio.h>

int qp_vault_rotate_finish(struct qp_vault *vault)
{
    int error = qp_place_rename(&vault->key_place, QP_VAULT_NEW_KEY);
    return error ? error : qp_place_sync(&vault->key_place);
}

/* The key that lies beside key_file may be the one in use, if its renaming failed: what cannot be read is not replaced. */
static int clear_way(struct qp_vault *vault)
{
    struct qp_vault_key beside = {0};
    bool is_replaced = false;
    int error = vault->is_dirty ? qp_vault_store(vault, &vault->key, "rotate", &is_replaced) : 0;
    if (error)
        return error;
    error = qp_vault_key_read(&vault->key_place, QP_VAULT_NEW_KEY, &beside);
    if (error)
        return error == ENOENT || error == EBADMSG ? 0 : error;
    if (qp_secret_equal(beside.bytes, vault->key.bytes))
        error = qp_vault_rotate_finish(vault);
    qp_vault_key_free(&beside);
    return error;
}

static int make_key(struct qp_vault *vault, struct qp_vault_key *key)
{
    qp_vault_key_random(key);
    int error = qp_vault_key_write(&vault->key_place, QP_VAULT_NEW_KEY, key);
    if (!error && qp_fault("rotate.key_written"))
        error = errno;
    return error;
}

/* Takes the key over if the file is sealed with it, even if that may not last a power failure. */
static int seal_with(struct qp_vault *vault, struct qp_vault_key *key, bool *is_replaced)
{
    int error = qp_vault_store(vault, key, "rotate", is_replaced);
    if (!*is_replaced)
        return error;
    qp_vault_key_free(&vault->former);
    vault->former = vault->key;
    vault->key = *key;
    *key = (struct qp_vault_key){0};
    return error;
}

static const char *why_not(const struct qp_vault *vault)
{
    if (vault->opts.key.is_passphrase)
        return "a passphrase is yours to choose: set vault.old_key to the present one and vault.key to the "
               "new one, "
               "and start qproxy again";
    if (!vault->key_place.path)
        return "vault.key was not read from a file: make a key with `qproxy key new FILE`, set vault.old_key "
               "to the "
               "present one and vault.key to file:FILE, and start qproxy again";
    return NULL;
}

/* NULL: all is done. Else how far it came. */
static const char *rotate(struct qp_vault *vault, int *error)
{
    struct qp_vault_key key = {0};
    bool is_replaced = false;
    *error = clear_way(vault);
    if (*error)
        return "the vault keeps its key, since what a former rotation left (the vault, or the file beside "
               "the key "
               "file that ends in .new) cannot be read or finished";
    *error = make_key(vault, &key);
    if (!*error)
        *error = seal_with(vault, &key, &is_replaced);
    qp_vault_key_free(&key);
    if (*error && !is_replaced)
        return "the vault keeps its key, since no new one can be brought into use";
    if (*error)
        return "the vault has a new key, but the disk has not confirmed it; keep both the key file and the "
               "one beside "
               "it that ends in .new";
    *error = qp_fault("rotate.sealed") ? errno : qp_vault_rotate_finish(vault);
    if (*error)
        return "the vault has a new key; the file beside the key file that ends in .new holds it, and could "
               "not be "
               "renamed";
    (void)qp_fault("rotate.done");
    return NULL;
}

enum qp_result qp_vault_rotate(struct qp_vault *vault, char *text, size_t text_size)
{
    const char *reason = why_not(vault);
    int error = 0;
    if (reason) {
        snprintf(text, text_size, "%s", reason);
        return QP_NET_DENIED;
    }
    const char *failure = rotate(vault, &error);
    if (failure) {
        snprintf(text, text_size, "%s (key file '%s'): %s%s", failure, vault->key_place.path, strerror(error),
                 qp_vault_remedy(error));
        return QP_SELF_IO;
    }
    snprintf(text, text_size, "the vault is sealed with a new key, which is in '%s'", vault->key_place.path);
    return QP_OK;
}
