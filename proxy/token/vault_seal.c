/* vault_seal.c - the header, and what is sealed behind it. */
#include "base/check.h"
#include "token/digest.h"
#include "token/vault_impl.h"
#include <mbedtls/gcm.h>
#include <mbedtls/sha256.h>

/* Where each part of the header starts: see vault.h. */
enum {
    AT_VERSION = 8,
    AT_HEADER_BYTES = 10,
    AT_KDF = 12,
    AT_ZERO = 13,
    AT_ITERATIONS = 16,
    AT_SALT = 20,
    AT_KEY_ID = 36,
    AT_NONCE = 44,
    AT_SEALED_BYTES = 56,
    AT_CHECK = 60,
    CHECK_BYTES = QP_VAULT_HEADER_BYTES - AT_CHECK,
    HASH_BYTES = 32
};

static const unsigned char magic[AT_VERSION] = {'Q', 'P', 'V', 'A', 'U', 'L', 'T', '\n'};

static void put_number(unsigned char *at, size_t bytes, uint32_t value)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t take_number(const unsigned char *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint32_t)at[i] << (8 * i);
    return value;
}

/* Not against forgers (the tag is): it tells a flipped bit from another key and from a newer version. */
static void make_check(const unsigned char *header, unsigned char check[CHECK_BYTES])
{
    unsigned char hash[HASH_BYTES];
    qp_require(mbedtls_sha256(header, AT_CHECK, hash, 0) == 0);
    memcpy(check, hash, CHECK_BYTES);
}

static bool is_checked(const unsigned char *header)
{
    unsigned char check[CHECK_BYTES];
    make_check(header, check);
    return memcmp(check, header + AT_CHECK, CHECK_BYTES) == 0;
}

static bool is_kdf_sane(const struct qp_vault_kdf *kdf)
{
    if (kdf->kind == QP_VAULT_KDF_NONE)
        return kdf->iterations == 0;
    return kdf->kind == QP_VAULT_KDF_PBKDF2_SHA512 && kdf->iterations > 0 &&
           kdf->iterations <= QP_VAULT_ITERATIONS_MOST;
}

static void take_fields(const unsigned char *at, struct qp_vault_header *header)
{
    header->kdf.kind = at[AT_KDF];
    header->kdf.iterations = take_number(at + AT_ITERATIONS, 4);
    memcpy(header->kdf.salt, at + AT_SALT, sizeof(header->kdf.salt));
    memcpy(header->key_id, at + AT_KEY_ID, sizeof(header->key_id));
    memcpy(header->nonce, at + AT_NONCE, sizeof(header->nonce));
    header->sealed_bytes = take_number(at + AT_SEALED_BYTES, 4);
}

static const char *fault_of(const unsigned char *at, size_t file_bytes, const struct qp_vault_header *header)
{
    if (take_number(at + AT_HEADER_BYTES, 2) != QP_VAULT_HEADER_BYTES || take_number(at + AT_ZERO, 3) != 0 ||
        !is_kdf_sane(&header->kdf))
        return "its header makes no sense";
    uint64_t wanted = QP_VAULT_HEADER_BYTES + (uint64_t)header->sealed_bytes + QP_VAULT_TAG_BYTES;
    if (file_bytes < wanted)
        return "it is cut short";
    return file_bytes > wanted ? "something was added to it" : NULL;
}

enum qp_vault_outcome qp_vault_header_read(struct qp_slice file, struct qp_vault_header *header,
                                           const char **why)
{
    const unsigned char *at = (const unsigned char *)file.at;
    *why = NULL;
    if (file.len == 0)
        *why = "it is empty";
    else if (memcmp(at, magic, file.len < sizeof(magic) ? file.len : sizeof(magic)) != 0)
        *why = "it is no vault";
    else if (file.len < QP_VAULT_HEADER_BYTES)
        *why = "it is cut short";
    else if (!is_checked(at) || take_number(at + AT_VERSION, 2) == 0)
        *why = "its header was changed";
    if (*why)
        return QP_VAULT_CORRUPT;
    if (take_number(at + AT_VERSION, 2) > QP_VAULT_VERSION)
        return QP_VAULT_TOO_NEW;
    take_fields(at, header);
    *why = fault_of(at, file.len, header);
    return *why ? QP_VAULT_CORRUPT : QP_VAULT_OPEN;
}

static void start_gcm(mbedtls_gcm_context *gcm, const struct qp_vault_key *key)
{
    const unsigned char *bytes = (const unsigned char *)qp_secret_reveal(key->bytes).at;
    mbedtls_gcm_init(gcm);
    qp_require(mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, bytes, QP_VAULT_KEY_BYTES * 8) == 0);
}

void qp_vault_seal(const struct qp_vault_key *key, struct qp_slice text, struct qp_buf *file,
                   unsigned char nonce[QP_VAULT_NONCE_BYTES])
{
    qp_require(text.len < QP_VAULT_MOST_BYTES);
    size_t bytes = QP_VAULT_HEADER_BYTES + text.len + QP_VAULT_TAG_BYTES;
    unsigned char *at = (unsigned char *)qp_buf_reserve(file, bytes);
    qp_random_bytes(nonce, QP_VAULT_NONCE_BYTES);
    memset(at, 0, QP_VAULT_HEADER_BYTES);
    memcpy(at, magic, sizeof(magic));
    put_number(at + AT_VERSION, 2, QP_VAULT_VERSION);
    put_number(at + AT_HEADER_BYTES, 2, QP_VAULT_HEADER_BYTES);
    at[AT_KDF] = (unsigned char)key->kdf.kind;
    put_number(at + AT_ITERATIONS, 4, key->kdf.iterations);
    memcpy(at + AT_SALT, key->kdf.salt, QP_VAULT_SALT_BYTES);
    memcpy(at + AT_KEY_ID, key->id, QP_VAULT_KEY_ID_BYTES);
    memcpy(at + AT_NONCE, nonce, QP_VAULT_NONCE_BYTES);
    put_number(at + AT_SEALED_BYTES, 4, (uint32_t)text.len);
    make_check(at, at + AT_CHECK);

    mbedtls_gcm_context gcm;
    start_gcm(&gcm, key);
    int rc = mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, text.len, nonce, QP_VAULT_NONCE_BYTES, at,
                                       QP_VAULT_HEADER_BYTES, (const unsigned char *)text.at,
                                       at + QP_VAULT_HEADER_BYTES, QP_VAULT_TAG_BYTES,
                                       at + QP_VAULT_HEADER_BYTES + text.len);
    mbedtls_gcm_free(&gcm); /* wipes the key schedule */
    qp_require(rc == 0);
    qp_buf_commit(file, bytes);
}

bool qp_vault_unseal(const struct qp_vault_key *key, struct qp_slice file,
                     const struct qp_vault_header *header, struct qp_buf *text)
{
    const unsigned char *at = (const unsigned char *)file.at;
    const unsigned char *sealed = at + QP_VAULT_HEADER_BYTES;
    unsigned char *room = (unsigned char *)qp_buf_reserve(text, header->sealed_bytes);
    mbedtls_gcm_context gcm;
    start_gcm(&gcm, key);
    int rc = mbedtls_gcm_auth_decrypt(&gcm, header->sealed_bytes, header->nonce, QP_VAULT_NONCE_BYTES, at,
                                      QP_VAULT_HEADER_BYTES, sealed + header->sealed_bytes,
                                      QP_VAULT_TAG_BYTES, sealed, room);
    mbedtls_gcm_free(&gcm);
    if (rc != 0)
        return false;
    qp_buf_commit(text, header->sealed_bytes);
    return true;
}
