/* tokens.h - access tokens, refresh tokens, and the families that sign-ins make of them. No locking of its own. */
#ifndef STANDIN_TOKENS_H
#define STANDIN_TOKENS_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum { SI_UUID_BYTES = 37, SI_ACCESS_KEPT = 8192, SI_REFRESH_TEXT = 160 };

struct si_user;

/* What came of one sign-in: its tokens are revoked together. */
struct si_family {
    const struct si_user *user; /* NULL: nobody signed in; the service's own */
    char *scope;                /* granted; NULL: any */
    bool revoked;
};

struct si_access {
    char value[SI_UUID_BYTES];
    uint64_t serial; /* the first token is 1: what proxies call its generation */
    uint64_t family; /* 0: of no sign-in */
    uint64_t expires_ms;
    bool revoked;
};

struct si_refresh {
    char value[SI_REFRESH_TEXT];
    uint64_t family;
    uint64_t redemptions; /* how often it was presented, successful or not */
    uint64_t spent_ms;
    size_t successor; /* its place, once it is spent */
    bool spent;
    bool revoked;
};

struct si_tokens {
    uint64_t seed;
    uint64_t issued;          /* serial of the newest access token */
    uint64_t families;        /* number of the newest family */
    uint64_t families_gone;   /* those before the last reset */
    struct si_family *family; /* number - families_gone - 1 */
    size_t family_capacity;
    struct si_access access[SI_ACCESS_KEPT]; /* serial modulo SI_ACCESS_KEPT */
    struct si_refresh *refresh;
    size_t refresh_count;
    size_t refresh_capacity;
};

enum si_verdict { SI_VALID, SI_UNKNOWN, SI_EXPIRED, SI_REVOKED, SI_FORCED, SI_VERDICTS };
const char *si_verdict_name(enum si_verdict verdict);

enum si_redeemed {
    SI_REDEEMED,
    SI_REDEEMED_AGAIN, /* spent just before: the same successor, by the knob grace_s */
    SI_REUSED,         /* spent: its family is revoked now */
    SI_REDEEM_REVOKED,
    SI_REDEEM_UNKNOWN,
    SI_REDEEM_ENDS
};
const char *si_redeemed_name(enum si_redeemed redeemed);

void si_tokens_init(struct si_tokens *tokens, uint64_t seed);
void si_tokens_deinit(struct si_tokens *tokens);

const struct si_access *si_tokens_issue(struct si_tokens *tokens, uint64_t life_s, uint64_t family);
/* serial: set when the token was ever issued (and is still remembered), else 0. */
enum si_verdict si_tokens_check(const struct si_tokens *tokens, struct qp_slice value, uint64_t *serial);
/* All but the newest `keep`; gives how many were valid until now. */
uint64_t si_tokens_revoke(struct si_tokens *tokens, uint64_t keep);
/* Every refresh token too. */
void si_tokens_revoke_refresh(struct si_tokens *tokens);

/* Gives the new family's number. scope NULL: any. */
uint64_t si_tokens_family_new(struct si_tokens *tokens, const struct si_user *user, const char *scope);
/* NULL for 0, and for those of before a reset. */
const struct si_family *si_tokens_family(const struct si_tokens *tokens, uint64_t family);
/* Whose access token that is; NULL: nobody's. */
const struct si_user *si_tokens_user(const struct si_tokens *tokens, uint64_t serial);
void si_tokens_revoke_family(struct si_tokens *tokens, uint64_t family);
/* Of an access or a refresh token: its whole family, or itself if it has none. False: it is unknown. */
bool si_tokens_revoke_one(struct si_tokens *tokens, struct qp_slice value);

/* A new refresh token; family 0: begins a family. value NULL: a made-up one. */
const struct si_refresh *si_tokens_refresh_new(struct si_tokens *tokens, uint64_t family, const char *value);
/* Of a refresh token; NULL: it is unknown. */
const struct si_family *si_tokens_refresh_family(const struct si_tokens *tokens, struct qp_slice value);
struct si_redemption {
    uint64_t family;
    char successor[SI_REFRESH_TEXT]; /* empty: it was not rotated */
};
/* Presents a refresh token. The redemption is written when it ends with SI_REDEEMED or SI_REDEEMED_AGAIN. */
enum si_redeemed si_tokens_redeem(struct si_tokens *tokens, struct qp_slice value, bool rotate,
                                  uint64_t grace_ms, struct si_redemption *redemption);

/* Members of an object, without its braces. */
void si_tokens_write(const struct si_tokens *tokens, struct qp_buf *out);

/* Two words as a UUID of version 4. */
void si_uuid(uint64_t high, uint64_t low, char out[SI_UUID_BYTES]);

#endif
