/* sign_ins.h - sign-ins under way and the codes that they end in. No locking of its own.
 *
 *     ASKED -> SIGNED_IN -> CODE -> REDEEMED       denied, or not in time: OVER
 *
 * The newest SI_SIGN_INS are kept; a new one takes the place of the oldest.
 */
#ifndef STANDIN_SIGN_INS_H
#define STANDIN_SIGN_INS_H

#include "base/buf.h"
#include "form.h"

enum { SI_SIGN_INS = 1024, SI_SIGN_IN_MS = 600000, SI_CHALLENGE_TEXT = 43 + 1, SI_VERIFIER_TEXT = 128 + 1 };

struct si_user {
    struct qp_slice name;
    const char *password;
};

enum si_stage { SI_STAGE_OVER, SI_STAGE_ASKED, SI_STAGE_SIGNED_IN, SI_STAGE_CODE, SI_STAGE_REDEEMED };

struct si_sign_in {
    enum si_stage stage;
    uint64_t expires_ms; /* of the sign-in, then of the code */
    char id[33];         /* what its pages carry in a hidden field */
    char redirect_uri[SI_FORM_VALUE];
    char state[SI_FORM_VALUE];
    char scope[SI_FORM_VALUE];
    char challenge[SI_CHALLENGE_TEXT]; /* empty: without PKCE */
    const struct si_user *user;
    char code[64];
    char verifier[SI_VERIFIER_TEXT]; /* the last that came with the code */
    uint64_t family;                 /* of the tokens that the code was redeemed for */
};

struct si_sign_ins {
    uint64_t begun;
    struct si_sign_in at[SI_SIGN_INS]; /* number modulo SI_SIGN_INS */
};

void si_sign_ins_reset(struct si_sign_ins *sign_ins);
/* A new one, in its first stage. word: of the seeded sequence. */
struct si_sign_in *si_sign_in_begin(struct si_sign_ins *sign_ins, uint64_t word);
/* One that waits for a page's form; NULL: there is none, or its time is over. */
struct si_sign_in *si_sign_in_find(struct si_sign_ins *sign_ins, const char *id);
void si_sign_in_issue(struct si_sign_in *sign_in, uint64_t word, uint64_t life_s);

/* A code's way to its tokens, and what is wrong with it; the table is in sign_ins.c. */
enum si_code_end {
    SI_CODE_REDEEMED,
    SI_CODE_UNKNOWN,
    SI_CODE_USED,
    SI_CODE_EXPIRED,
    SI_CODE_REDIRECT_URI,
    SI_CODE_NO_VERIFIER,
    SI_CODE_BAD_VERIFIER,
    SI_CODE_WRONG_VERIFIER,
    SI_CODE_STRAY_VERIFIER,
    SI_CODE_ENDS
};
struct si_code_words {
    const char *name;        /* in the counters */
    const char *error;       /* at the token endpoint */
    const char *description; /* likewise */
};
const struct si_code_words *si_code_words(enum si_code_end end);

/* Presents a code with the redirect URI and the verifier (empty: none came). *sign_in: the code's, unless it is unknown. */
enum si_code_end si_code_redeem(struct si_sign_ins *sign_ins, const char *code, const char *redirect_uri,
                                const char *verifier, struct si_sign_in **sign_in);

/* Whether that can be an S256 challenge: 32 bytes in base64url (RFC 7636 section 4.2). */
bool si_challenge_is_valid(const char *challenge);

/* Every code that is remembered, as a list. */
void si_codes_write(const struct si_sign_ins *sign_ins, struct qp_buf *out);

#endif
