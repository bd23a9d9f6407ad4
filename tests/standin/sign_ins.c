#include "sign_ins.h"
#include "base/check.h"
#include "base/clock.h"
#include "world.h"
#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>
#include <stdio.h>

static const struct si_code_words words[SI_CODE_ENDS] = {
    [SI_CODE_REDEEMED] = {"redeemed", NULL, NULL},
    [SI_CODE_UNKNOWN] = {"unknown", "invalid_grant", "The code is unknown."},
    [SI_CODE_USED] = {"used", "invalid_grant", "The code was used before; what it gave is revoked."},
    [SI_CODE_EXPIRED] = {"expired", "invalid_grant", "The code is too old."},
    [SI_CODE_REDIRECT_URI] = {"redirect_uri", "invalid_grant",
                              "redirect_uri is not the one of the authorization request."},
    [SI_CODE_NO_VERIFIER] = {"no_verifier", "invalid_request", "code_verifier is missing."},
    [SI_CODE_BAD_VERIFIER] = {"bad_verifier", "invalid_request",
                              "code_verifier is not 43 to 128 unreserved characters."},
    [SI_CODE_WRONG_VERIFIER] = {"wrong_verifier", "invalid_grant",
                                "code_verifier does not fit the code_challenge."},
    [SI_CODE_STRAY_VERIFIER] = {"stray_verifier", "invalid_grant",
                                "code_verifier without a code_challenge before."},
};

const struct si_code_words *si_code_words(enum si_code_end end)
{
    return &words[end];
}

void si_sign_ins_reset(struct si_sign_ins *sign_ins)
{
    memset(sign_ins, 0, sizeof(*sign_ins));
}

struct si_sign_in *si_sign_in_begin(struct si_sign_ins *sign_ins, uint64_t word)
{
    struct si_sign_in *sign_in = &sign_ins->at[sign_ins->begun++ % SI_SIGN_INS];
    *sign_in =
        (struct si_sign_in){.stage = SI_STAGE_ASKED, .expires_ms = qp_clock_monotonic_ms() + SI_SIGN_IN_MS};
    snprintf(sign_in->id, sizeof(sign_in->id), "%016llx%016llx", (unsigned long long)word,
             (unsigned long long)si_mix(word));
    return sign_in;
}

struct si_sign_in *si_sign_in_find(struct si_sign_ins *sign_ins, const char *id)
{
    for (size_t i = 0; i < SI_SIGN_INS; i++) {
        struct si_sign_in *sign_in = &sign_ins->at[i];
        bool waits = sign_in->stage == SI_STAGE_ASKED || sign_in->stage == SI_STAGE_SIGNED_IN;
        if (waits && strcmp(sign_in->id, id) == 0)
            return qp_clock_monotonic_ms() < sign_in->expires_ms ? sign_in : NULL;
    }
    return NULL;
}

void si_sign_in_issue(struct si_sign_in *sign_in, uint64_t word, uint64_t life_s)
{
    sign_in->stage = SI_STAGE_CODE;
    sign_in->expires_ms = qp_clock_monotonic_ms() + life_s * 1000;
    /* With characters that mean something in a query and in a form: a client that forgets to decode or to encode is found out. */
    snprintf(sign_in->code, sizeof(sign_in->code), "%016llx/%016llx+%016llx=", (unsigned long long)word,
             (unsigned long long)si_mix(word), (unsigned long long)si_mix(word + 1));
}

/* ---- PKCE (RFC 7636) ---- */

bool si_challenge_is_valid(const char *challenge)
{
    size_t len = strlen(challenge);
    for (size_t i = 0; i < len; i++)
        if (!si_form_is_unreserved(challenge[i]) || challenge[i] == '.' || challenge[i] == '~')
            return false;
    return len == SI_CHALLENGE_TEXT - 1;
}

static bool verifier_is_valid(const char *verifier)
{
    size_t len = strlen(verifier);
    for (size_t i = 0; i < len; i++)
        if (!si_form_is_unreserved(verifier[i]))
            return false;
    return len >= 43 && len < SI_VERIFIER_TEXT;
}

static bool verifier_fits(const char *verifier, const char *challenge)
{
    unsigned char digest[32];
    unsigned char text[SI_CHALLENGE_TEXT + 1]; /* 44 characters, the last of them padding, and the NUL */
    size_t len;
    qp_require(mbedtls_sha256((const unsigned char *)verifier, strlen(verifier), digest, 0) == 0);
    qp_require(mbedtls_base64_encode(text, sizeof(text), &len, digest, sizeof(digest)) == 0);
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    return memcmp(text, challenge, SI_CHALLENGE_TEXT - 1) == 0;
}

static enum si_code_end judge_verifier(const char *verifier, const char *challenge)
{
    if (!challenge
            [0]) /* a verifier from nowhere: somebody took the challenge away (RFC 9700 section 4.8.2) */
        return verifier[0] ? SI_CODE_STRAY_VERIFIER : SI_CODE_REDEEMED;
    if (!verifier[0])
        return SI_CODE_NO_VERIFIER;
    if (!verifier_is_valid(verifier))
        return SI_CODE_BAD_VERIFIER;
    return verifier_fits(verifier, challenge) ? SI_CODE_REDEEMED : SI_CODE_WRONG_VERIFIER;
}

/* ---- codes ---- */

enum si_code_end si_code_redeem(struct si_sign_ins *sign_ins, const char *code, const char *redirect_uri,
                                const char *verifier, struct si_sign_in **sign_in)
{
    struct si_sign_in *found = NULL;
    for (size_t i = 0; i < SI_SIGN_INS && !found; i++)
        if (sign_ins->at[i].code[0] && strcmp(sign_ins->at[i].code, code) == 0)
            found = &sign_ins->at[i];
    *sign_in = found;
    if (!found)
        return SI_CODE_UNKNOWN;
    snprintf(found->verifier, sizeof(found->verifier), "%s", verifier);
    if (found->stage == SI_STAGE_REDEEMED)
        return SI_CODE_USED;
    if (qp_clock_monotonic_ms() >= found->expires_ms)
        return SI_CODE_EXPIRED;
    if (strcmp(found->redirect_uri, redirect_uri) != 0)
        return SI_CODE_REDIRECT_URI;
    enum si_code_end end = judge_verifier(verifier, found->challenge);
    if (end == SI_CODE_REDEEMED)
        found->stage = SI_STAGE_REDEEMED;
    return end;
}

void si_codes_write(const struct si_sign_ins *sign_ins, struct qp_buf *out)
{
    uint64_t kept = sign_ins->begun < SI_SIGN_INS ? sign_ins->begun : SI_SIGN_INS;
    const char *comma = "";
    qp_buf_append_char(out, '[');
    for (uint64_t i = sign_ins->begun - kept; i < sign_ins->begun; i++) {
        const struct si_sign_in *sign_in = &sign_ins->at[i % SI_SIGN_INS];
        if (!sign_in->code[0])
            continue;
        qp_buf_append_fmt(out, "%s{\"value\":\"%s\",\"family\":%llu,\"redeemed\":%s,\"verifier\":\"", comma,
                          sign_in->code, (unsigned long long)sign_in->family,
                          sign_in->stage == SI_STAGE_REDEEMED ? "true" : "false");
        qp_buf_append_json(out, qp_slice_str(sign_in->verifier));
        qp_buf_append_str(out, "\"}");
        comma = ",";
    }
    qp_buf_append_char(out, ']');
}
