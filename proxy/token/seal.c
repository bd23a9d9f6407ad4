#include "token/seal.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "token/digest.h"
#include <mbedtls/gcm.h>

enum { KEY_BYTES = 32, NONCE_BYTES = 12 };

struct qp_seal {
    mbedtls_gcm_context gcm;
};

struct qp_seal *qp_seal_new(void)
{
    struct qp_seal *seal = qp_alloc(sizeof *seal);
    unsigned char key[KEY_BYTES];
    qp_random_bytes(key, sizeof key);
    mbedtls_gcm_init(&seal->gcm);
    qp_require(mbedtls_gcm_setkey(&seal->gcm, MBEDTLS_CIPHER_ID_AES, key, KEY_BYTES * 8) == 0);
    qp_wipe(key, sizeof key);
    return seal;
}

void qp_seal_free(struct qp_seal **seal)
{
    if (!*seal)
        return;
    mbedtls_gcm_free(&(*seal)->gcm); /* wipes the key schedule */
    qp_free(*seal);
    *seal = NULL;
}

/* SP 800-38D section 8.2.1: a deterministic nonce; the key is used by one object only. */
static void make_nonce(uint64_t index, unsigned char nonce[NONCE_BYTES])
{
    memset(nonce, 0, NONCE_BYTES);
    memcpy(nonce, &index, sizeof index);
}

enum qp_result qp_seal_close_block(struct qp_seal *seal, uint64_t index, struct qp_slice plain, char *out)
{
    unsigned char nonce[NONCE_BYTES];
    make_nonce(index, nonce);
    int rc = mbedtls_gcm_crypt_and_tag(&seal->gcm, MBEDTLS_GCM_ENCRYPT, plain.len, nonce, NONCE_BYTES, NULL,
                                       0, (const unsigned char *)plain.at, (unsigned char *)out,
                                       QP_SEAL_TAG_BYTES, (unsigned char *)out + plain.len);
    return rc == 0 ? QP_OK : QP_SELF_IO;
}

enum qp_result qp_seal_open_block(struct qp_seal *seal, uint64_t index, struct qp_slice sealed, char *out)
{
    if (sealed.len < QP_SEAL_TAG_BYTES)
        return QP_SELF_IO;
    unsigned char nonce[NONCE_BYTES];
    make_nonce(index, nonce);
    size_t len = sealed.len - QP_SEAL_TAG_BYTES;
    int rc = mbedtls_gcm_auth_decrypt(&seal->gcm, len, nonce, NONCE_BYTES, NULL, 0,
                                      (const unsigned char *)sealed.at + len, QP_SEAL_TAG_BYTES,
                                      (const unsigned char *)sealed.at, (unsigned char *)out);
    return rc == 0 ? QP_OK : QP_SELF_IO;
}
