/* vault_key.c - keys: as text, as derived from a passphrase, in files. */
#include "base/check.h"
#include "token/digest.h"
#include "token/vault_impl.h"
#include <errno.h>
#include <mbedtls/md.h>
#include <mbedtls/pkcs5.h>
#include <stdio.h>
#include <unistd.h>

enum { HEX_BYTES = 2 * QP_VAULT_KEY_BYTES, HASH_BYTES = 32 };

void qp_vault_key_free(struct qp_vault_key *key)
{
    qp_secret_free(&key->bytes);
    *key = (struct qp_vault_key){0};
}

/* -1: no hex digit. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool hex_decode(struct qp_slice hex, unsigned char bytes[QP_VAULT_KEY_BYTES])
{
    if (!hex.at || hex.len != HEX_BYTES)
        return false;
    for (size_t i = 0; i < QP_VAULT_KEY_BYTES; i++) {
        int high = hex_value(hex.at[2 * i]);
        int low = hex_value(hex.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void hex_encode(struct qp_slice bytes, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        hex[2 * i] = digits[(unsigned char)bytes.at[i] >> 4];
        hex[2 * i + 1] = digits[bytes.at[i] & 0xF];
    }
}

const char *qp_vault_key_fault(const struct qp_vault_key_opts *opts)
{
    unsigned char bytes[QP_VAULT_KEY_BYTES];
    if (!opts->text)
        return "is not set: make a key with `qproxy key new FILE`";
    struct qp_slice text = qp_secret_reveal(opts->text);
    if (opts->is_passphrase)
        return text.len < QP_VAULT_PASSPHRASE_LEAST_BYTES
                   ? "is a passphrase of less than 12 bytes: take a longer one"
                   : NULL;
    bool is_hex = hex_decode(text, bytes);
    qp_wipe(bytes, sizeof(bytes));
    return is_hex
               ? NULL
               : "is not 64 hex digits: make a key with `qproxy key new FILE`, or say passphrase: before it";
}

/* Wipes the bytes. */
static void set_key(struct qp_vault_key *key, unsigned char bytes[QP_VAULT_KEY_BYTES],
                    const struct qp_vault_kdf *kdf)
{
    static const unsigned char label[] = "qproxy vault key id";
    unsigned char hash[HASH_BYTES];
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    qp_require(mbedtls_md_hmac(sha256, bytes, QP_VAULT_KEY_BYTES, label, sizeof(label) - 1, hash) == 0);
    key->bytes = qp_secret_new(qp_slice((const char *)bytes, QP_VAULT_KEY_BYTES));
    key->kdf = *kdf;
    memcpy(key->id, hash, QP_VAULT_KEY_ID_BYTES);
    qp_wipe(bytes, QP_VAULT_KEY_BYTES);
}

bool qp_vault_key_derive(const struct qp_vault_key_opts *opts, const struct qp_vault_kdf *kdf,
                         struct qp_vault_key *key)
{
    unsigned char bytes[QP_VAULT_KEY_BYTES];
    if (!opts->text || opts->is_passphrase != (kdf->kind == QP_VAULT_KDF_PBKDF2_SHA512))
        return false;
    struct qp_slice text = qp_secret_reveal(opts->text);
    if (opts->is_passphrase)
        qp_require(mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA512, (const unsigned char *)text.at, text.len,
                                                 kdf->salt, sizeof(kdf->salt), kdf->iterations, sizeof(bytes),
                                                 bytes) == 0);
    else
        qp_require(hex_decode(text, bytes));
    set_key(key, bytes, kdf);
    return true;
}

void qp_vault_key_make(const struct qp_vault_key_opts *opts, struct qp_vault_key *key)
{
    struct qp_vault_kdf kdf = {.kind = QP_VAULT_KDF_NONE};
    if (opts->is_passphrase) {
        kdf.kind = QP_VAULT_KDF_PBKDF2_SHA512;
        kdf.iterations = QP_VAULT_ITERATIONS;
        qp_random_bytes(kdf.salt, sizeof(kdf.salt));
    }
    qp_require(qp_vault_key_derive(opts, &kdf, key));
}

void qp_vault_key_random(struct qp_vault_key *key)
{
    unsigned char bytes[QP_VAULT_KEY_BYTES];
    qp_random_bytes(bytes, sizeof(bytes));
    set_key(key, bytes, &(struct qp_vault_kdf){.kind = QP_VAULT_KDF_NONE});
}

int qp_vault_key_write(const struct qp_place *place, const char *suffix, const struct qp_vault_key *key)
{
    char text[HEX_BYTES + 1];
    int fd = -1;
    int error = qp_place_create(place, suffix, place->mode, &fd);
    if (error)
        return error;
    hex_encode(qp_secret_reveal(key->bytes), text);
    text[HEX_BYTES] = '\n';
    error = qp_place_fill(fd, qp_slice(text, sizeof(text)));
    qp_wipe(text, sizeof(text));
    if (!error && fsync(fd) != 0)
        error = errno;
    close(fd);
    if (!error)
        error = qp_place_sync(place);
    if (error)
        qp_place_remove(place, suffix);
    return error;
}

int qp_vault_key_read(const struct qp_place *place, const char *suffix, struct qp_vault_key *key)
{
    unsigned char bytes[QP_VAULT_KEY_BYTES];
    struct qp_buf text = {0};
    int error = qp_place_read(place, suffix, HEX_BYTES + 1, &text, NULL);
    struct qp_slice hex = qp_buf_slice(&text);
    if (hex.at && hex.len == HEX_BYTES + 1 && hex.at[HEX_BYTES] == '\n')
        hex.len--;
    if (!error && !hex_decode(hex, bytes))
        error = EBADMSG;
    qp_buf_wipe(&text);
    if (!error)
        set_key(key, bytes, &(struct qp_vault_kdf){.kind = QP_VAULT_KDF_NONE});
    qp_wipe(bytes, sizeof(bytes));
    return error;
}

enum qp_result qp_vault_key_new(const char *file, char *error, size_t error_size)
{
    struct qp_place place = {0};
    struct qp_vault_key key = {0};
    int failed = qp_place_open(&place, file);
    if (!failed) {
        qp_vault_key_random(&key);
        failed = qp_vault_key_write(&place, "", &key);
        qp_vault_key_free(&key);
        qp_place_close(&place);
    }
    if (!failed)
        return QP_OK;
    if (failed == EEXIST) {
        snprintf(error, error_size,
                 "the file '%s' is there already: a key is not overwritten, name another file", file);
        return QP_NET_IN_USE;
    }
    snprintf(error, error_size, "the key file '%s' cannot be written: %s%s", file, strerror(failed),
             qp_vault_remedy(failed));
    return QP_SELF_IO;
}
