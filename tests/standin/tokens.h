/* tokens.h - access tokens and families of refresh tokens. No locking of its own. */
#ifndef STANDIN_TOKENS_H
#define STANDIN_TOKENS_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum { SI_UUID_BYTES = 37, SI_ACCESS_KEPT = 8192, SI_REFRESH_TEXT = 160 };

struct si_access {
    char value[SI_UUID_BYTES];
    uint64_t serial; /* the first token is 1: what proxies call its generation */
    uint64_t family; /* 0: of no refresh token */
    uint64_t expires_ms;
    bool revoked;
};

struct si_refresh {
    char value[SI_REFRESH_TEXT];
    uint64_t family;
    uint64_t redemptions; /* how often it was presented, successful or not */
    bool spent;
    bool revoked;
};

struct si_tokens {
    uint64_t seed;
    uint64_t issued; /* serial of the newest access token */
    uint64_t families;
    struct si_access access[SI_ACCESS_KEPT]; /* serial modulo SI_ACCESS_KEPT */
    struct si_refresh *refresh;
    size_t refresh_count;
    size_t refresh_capacity;
};

enum si_verdict { SI_VALID, SI_UNKNOWN, SI_EXPIRED, SI_REVOKED, SI_FORCED, SI_VERDICTS };
const char *si_verdict_name(enum si_verdict verdict);

void si_tokens_init(struct si_tokens *tokens, uint64_t seed);
void si_tokens_deinit(struct si_tokens *tokens);

const struct si_access *si_tokens_issue(struct si_tokens *tokens, uint64_t life_s, uint64_t family);
/* serial: set when the token was ever issued (and is still remembered), else 0. */
enum si_verdict si_tokens_check(const struct si_tokens *tokens, struct qp_slice value, uint64_t *serial);
/* All but the newest `keep`; gives how many were valid until now. */
uint64_t si_tokens_revoke(struct si_tokens *tokens, uint64_t keep);
/* Every refresh token too. */
void si_tokens_revoke_refresh(struct si_tokens *tokens);

/* A new refresh token; family 0: begins a family. value NULL: a made-up one. */
const struct si_refresh *si_tokens_refresh_new(struct si_tokens *tokens, uint64_t family, const char *value);
/* Presents a refresh token. False: it is unknown or revoked, or spent, in which case its whole family is revoked now. On true it is
 * spent if `rotate` says so, and *family is set. */
bool si_tokens_redeem(struct si_tokens *tokens, struct qp_slice value, bool rotate, uint64_t *family);

void si_tokens_write(const struct si_tokens *tokens, struct qp_buf *out);

/* Two words as a UUID of version 4. */
void si_uuid(uint64_t high, uint64_t low, char out[SI_UUID_BYTES]);

#endif
