/* digest.h - random texts, hashes and codes, in base64url without padding (RFC 4648 section 5). Any thread.
 *
 * For what is compared and carried in URLs, cookies and forms: states, verifiers, session names. Not for keys at rest.
 */
#ifndef QP_TOKEN_DIGEST_H
#define QP_TOKEN_DIGEST_H

#include "base/secret.h"
#include "base/slice.h"

enum { QP_DIGEST_TEXT_BYTES = 43 + 1 }; /* 32 bytes as text, with its NUL */

/* From the system's generator; waits only for a machine that has just started. Requires bytes <= 256. */
void qp_random_bytes(void *out, size_t bytes);
/* 256 random bits. */
void qp_random_text(char out[QP_DIGEST_TEXT_BYTES]);
/* SHA-256; of a verifier: its S256 challenge (RFC 7636 section 4.2). */
void qp_sha256_text(struct qp_slice in, char out[QP_DIGEST_TEXT_BYTES]);
/* HMAC-SHA-256 (RFC 2104). */
void qp_hmac_text(struct qp_slice key, struct qp_slice in, char out[QP_DIGEST_TEXT_BYTES]);
/* In constant time for equal lengths. */
bool qp_text_is_equal_secretly(struct qp_slice a, struct qp_slice b);

#endif
