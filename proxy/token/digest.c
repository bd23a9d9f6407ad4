#include "token/digest.h"
#include "base/check.h"
#include <errno.h>
#include <mbedtls/base64.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include <mbedtls/sha256.h>
#include <sys/random.h>

enum { HASH_BYTES = 32, MOST_RANDOM_BYTES = 256 };

/* Up to 256 bytes come whole or, before the generator is seeded, not at all (getrandom(2)). */
void qp_random_bytes(void *out, size_t bytes)
{
    qp_require(bytes <= MOST_RANDOM_BYTES);
    ssize_t got = 0;
    do {
        got = getrandom(out, bytes, 0);
    } while (got < 0 && errno == EINTR);
    qp_require(got == (ssize_t)bytes);
}

static void write_text(const unsigned char bytes[HASH_BYTES], char out[QP_DIGEST_TEXT_BYTES])
{
    unsigned char padded[QP_DIGEST_TEXT_BYTES + 1];
    size_t len = 0;
    qp_require(mbedtls_base64_encode(padded, sizeof(padded), &len, bytes, HASH_BYTES) == 0 &&
               len == QP_DIGEST_TEXT_BYTES);
    for (size_t i = 0; i < QP_DIGEST_TEXT_BYTES - 1; i++) {
        char c = (char)padded[i];
        if (c == '+')
            c = '-';
        else if (c == '/')
            c = '_';
        out[i] = c;
    }
    out[QP_DIGEST_TEXT_BYTES - 1] = 0;
    qp_wipe(padded, sizeof(padded));
}

void qp_random_text(char out[QP_DIGEST_TEXT_BYTES])
{
    unsigned char bytes[HASH_BYTES];
    qp_random_bytes(bytes, sizeof(bytes));
    write_text(bytes, out);
    qp_wipe(bytes, sizeof(bytes));
}

void qp_sha256_text(struct qp_slice in, char out[QP_DIGEST_TEXT_BYTES])
{
    unsigned char hash[HASH_BYTES];
    qp_require(mbedtls_sha256((const unsigned char *)in.at, in.len, hash, 0) == 0);
    write_text(hash, out);
    qp_wipe(hash, sizeof(hash));
}

void qp_hmac_text(struct qp_slice key, struct qp_slice in, char out[QP_DIGEST_TEXT_BYTES])
{
    unsigned char code[HASH_BYTES];
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    qp_require(mbedtls_md_hmac(sha256, (const unsigned char *)key.at, key.len, (const unsigned char *)in.at,
                               in.len, code) == 0);
    write_text(code, out);
    qp_wipe(code, sizeof(code));
}

bool qp_text_is_equal_secretly(struct qp_slice a, struct qp_slice b)
{
    return a.len == b.len && mbedtls_ct_memcmp(a.at, b.at, a.len) == 0;
}
