#include "tokens.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "world.h"
#include <stdio.h>

const char *si_verdict_name(enum si_verdict verdict)
{
    static const char *const names[SI_VERDICTS] = {"valid", "unknown", "expired", "revoked", "forced"};
    return names[verdict];
}

void si_uuid(uint64_t high, uint64_t low, char out[SI_UUID_BYTES])
{
    snprintf(out, SI_UUID_BYTES, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16) & 0xffffu, (unsigned)high & 0xfffu,
             ((unsigned)(low >> 48) & 0x3fffu) | 0x8000u, (unsigned long long)low & 0xffffffffffffull);
}

void si_tokens_init(struct si_tokens *tokens, uint64_t seed)
{
    /* Serials go on over a reset: an old token must not come back as a new one. */
    uint64_t issued = tokens->issued;
    uint64_t families = tokens->families;
    memset(tokens, 0, sizeof(*tokens));
    tokens->seed = seed;
    tokens->issued = issued;
    tokens->families = families;
}

void si_tokens_deinit(struct si_tokens *tokens)
{
    qp_free(tokens->refresh);
    tokens->refresh = NULL;
    tokens->refresh_count = tokens->refresh_capacity = 0;
}

const struct si_access *si_tokens_issue(struct si_tokens *tokens, uint64_t life_s, uint64_t family)
{
    uint64_t serial = ++tokens->issued;
    struct si_access *access = &tokens->access[serial % SI_ACCESS_KEPT];
    *access = (struct si_access){
        .serial = serial, .family = family, .expires_ms = qp_clock_monotonic_ms() + life_s * 1000};
    uint64_t high = si_mix(tokens->seed ^ (serial << 16) ^ 0xacce55);
    si_uuid(high, si_mix(high), access->value);
    return access;
}

enum si_verdict si_tokens_check(const struct si_tokens *tokens, struct qp_slice value, uint64_t *serial)
{
    uint64_t kept = tokens->issued < SI_ACCESS_KEPT ? tokens->issued : SI_ACCESS_KEPT;
    *serial = 0;
    for (uint64_t i = 0; i < kept; i++) {
        const struct si_access *access = &tokens->access[(tokens->issued - i) % SI_ACCESS_KEPT];
        if (access->serial == 0 || !qp_slice_is(value, qp_slice_str(access->value)))
            continue;
        *serial = access->serial;
        if (access->revoked)
            return SI_REVOKED;
        return qp_clock_monotonic_ms() >= access->expires_ms ? SI_EXPIRED : SI_VALID;
    }
    return SI_UNKNOWN;
}

uint64_t si_tokens_revoke(struct si_tokens *tokens, uint64_t keep)
{
    uint64_t kept = tokens->issued < SI_ACCESS_KEPT ? tokens->issued : SI_ACCESS_KEPT;
    uint64_t revoked = 0;
    for (uint64_t i = keep; i < kept; i++) {
        struct si_access *access = &tokens->access[(tokens->issued - i) % SI_ACCESS_KEPT];
        revoked += access->serial != 0 && !access->revoked && qp_clock_monotonic_ms() < access->expires_ms;
        access->revoked = true;
    }
    return revoked;
}

void si_tokens_revoke_refresh(struct si_tokens *tokens)
{
    for (size_t i = 0; i < tokens->refresh_count; i++)
        tokens->refresh[i].revoked = true;
}

const struct si_refresh *si_tokens_refresh_new(struct si_tokens *tokens, uint64_t family, const char *value)
{
    if (tokens->refresh_count == tokens->refresh_capacity) {
        size_t capacity = tokens->refresh_capacity ? tokens->refresh_capacity * 2 : 64;
        struct si_refresh *grown = qp_alloc(capacity * sizeof(*grown));
        if (tokens->refresh_count)
            memcpy(grown, tokens->refresh, tokens->refresh_count * sizeof(*grown));
        qp_free(tokens->refresh);
        tokens->refresh = grown;
        tokens->refresh_capacity = capacity;
    }
    struct si_refresh *refresh = &tokens->refresh[tokens->refresh_count++];
    *refresh = (struct si_refresh){.family = family ? family : ++tokens->families};
    if (value) {
        snprintf(refresh->value, sizeof(refresh->value), "%s", value);
        return refresh;
    }
    uint64_t word =
        si_mix(tokens->seed ^ ((uint64_t)tokens->refresh_count << 16) ^ (tokens->families << 40) ^ 0x4ef4e5);
    snprintf(refresh->value, sizeof(refresh->value), "%016llx%016llx.%016llx", (unsigned long long)word,
             (unsigned long long)si_mix(word), (unsigned long long)si_mix(word + 1));
    return refresh;
}

/* What a server does that detects the reuse of a rotated token (RFC 9700 section 4.14.2). */
static void revoke_family(struct si_tokens *tokens, uint64_t family)
{
    for (size_t i = 0; i < tokens->refresh_count; i++)
        if (tokens->refresh[i].family == family)
            tokens->refresh[i].revoked = true;
    for (size_t i = 0; i < SI_ACCESS_KEPT; i++)
        if (tokens->access[i].family == family)
            tokens->access[i].revoked = true;
}

bool si_tokens_redeem(struct si_tokens *tokens, struct qp_slice value, bool rotate, uint64_t *family)
{
    for (size_t i = tokens->refresh_count; i-- > 0;) {
        struct si_refresh *refresh = &tokens->refresh[i];
        if (!qp_slice_is(value, qp_slice_str(refresh->value)))
            continue;
        if (rotate || refresh->spent)
            refresh->redemptions++;
        if (refresh->spent)
            revoke_family(tokens, refresh->family);
        if (refresh->spent || refresh->revoked)
            return false;
        refresh->spent = rotate;
        *family = refresh->family;
        return true;
    }
    return false;
}

void si_tokens_write(const struct si_tokens *tokens, struct qp_buf *out)
{
    uint64_t kept = tokens->issued < SI_ACCESS_KEPT ? tokens->issued : SI_ACCESS_KEPT;
    const char *comma = "";
    qp_buf_append_str(out, "{\"access_tokens\":[");
    for (uint64_t i = kept; i-- > 0;) {
        const struct si_access *access = &tokens->access[(tokens->issued - i) % SI_ACCESS_KEPT];
        if (access->serial == 0)
            continue;
        uint64_t serial;
        enum si_verdict verdict = si_tokens_check(tokens, qp_slice_str(access->value), &serial);
        qp_buf_append_fmt(out, "%s{\"serial\":%llu,\"value\":\"%s\",\"state\":\"%s\"}", comma,
                          (unsigned long long)access->serial, access->value, si_verdict_name(verdict));
        comma = ",";
    }
    qp_buf_append_str(out, "],\"refresh_tokens\":[");
    for (size_t i = 0; i < tokens->refresh_count; i++) {
        const struct si_refresh *refresh = &tokens->refresh[i];
        qp_buf_append_fmt(out, "%s{\"family\":%llu,\"value\":\"", i ? "," : "",
                          (unsigned long long)refresh->family);
        qp_buf_append_json(out, qp_slice_str(refresh->value));
        qp_buf_append_fmt(out, "\",\"redemptions\":%llu,\"spent\":%s,\"revoked\":%s}",
                          (unsigned long long)refresh->redemptions, refresh->spent ? "true" : "false",
                          refresh->revoked ? "true" : "false");
    }
    qp_buf_append_str(out, "]}");
}
