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

const char *si_redeemed_name(enum si_redeemed redeemed)
{
    static const char *const names[SI_REDEEM_ENDS] = {"ok", "again", "reused", "revoked", "unknown"};
    return names[redeemed];
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
    tokens->families_gone = families;
}

void si_tokens_deinit(struct si_tokens *tokens)
{
    for (uint64_t i = 0; i < tokens->families - tokens->families_gone; i++)
        qp_free(tokens->family[i].scope);
    qp_free(tokens->family);
    qp_free(tokens->refresh);
    tokens->family = NULL;
    tokens->refresh = NULL;
    tokens->families_gone = tokens->families;
    tokens->family_capacity = tokens->refresh_count = tokens->refresh_capacity = 0;
}

/* The array with room for one item more. */
static void *grown(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 64;
    char *bigger = qp_alloc(*capacity * item_bytes);
    if (count)
        memcpy(bigger, items, count * item_bytes);
    qp_free(items);
    return bigger;
}

/* ---- families ---- */

uint64_t si_tokens_family_new(struct si_tokens *tokens, const struct si_user *user, const char *scope)
{
    size_t count = (size_t)(tokens->families - tokens->families_gone);
    tokens->family = grown(tokens->family, count, &tokens->family_capacity, sizeof(*tokens->family));
    tokens->family[count] =
        (struct si_family){.user = user, .scope = scope ? qp_strndup(scope, strlen(scope)) : NULL};
    return ++tokens->families;
}

const struct si_family *si_tokens_family(const struct si_tokens *tokens, uint64_t family)
{
    return family > tokens->families_gone ? &tokens->family[family - tokens->families_gone - 1] : NULL;
}

/* What a server does that detects the reuse of a rotated token (RFC 9700 section 4.14.2) or of a code (RFC 6749 section 4.1.2). */
void si_tokens_revoke_family(struct si_tokens *tokens, uint64_t family)
{
    for (size_t i = 0; i < tokens->refresh_count; i++)
        if (tokens->refresh[i].family == family)
            tokens->refresh[i].revoked = true;
    for (size_t i = 0; i < SI_ACCESS_KEPT; i++)
        if (tokens->access[i].family == family)
            tokens->access[i].revoked = true;
    if (family > tokens->families_gone)
        tokens->family[family - tokens->families_gone - 1].revoked = true;
}

/* ---- access tokens ---- */

const struct si_access *si_tokens_issue(struct si_tokens *tokens, uint64_t life_s, uint64_t family)
{
    uint64_t serial = ++tokens->issued;
    struct si_access *access = &tokens->access[serial % SI_ACCESS_KEPT];
    const struct si_family *of = si_tokens_family(tokens, family);
    *access = (struct si_access){.serial = serial,
                                 .family = family,
                                 .expires_ms = qp_clock_monotonic_ms() + life_s * 1000,
                                 .revoked = of && of->revoked}; /* by another thread, a moment ago */
    uint64_t high = si_mix(tokens->seed ^ (serial << 16) ^ 0xacce55);
    si_uuid(high, si_mix(high), access->value);
    return access;
}

static const struct si_access *find_access(const struct si_tokens *tokens, struct qp_slice value)
{
    uint64_t kept = tokens->issued < SI_ACCESS_KEPT ? tokens->issued : SI_ACCESS_KEPT;
    for (uint64_t i = 0; i < kept; i++) {
        const struct si_access *access = &tokens->access[(tokens->issued - i) % SI_ACCESS_KEPT];
        if (access->serial != 0 && qp_slice_is(value, qp_slice_str(access->value)))
            return access;
    }
    return NULL;
}

enum si_verdict si_tokens_check(const struct si_tokens *tokens, struct qp_slice value, uint64_t *serial)
{
    const struct si_access *access = find_access(tokens, value);
    *serial = access ? access->serial : 0;
    if (!access)
        return SI_UNKNOWN;
    if (access->revoked)
        return SI_REVOKED;
    return qp_clock_monotonic_ms() >= access->expires_ms ? SI_EXPIRED : SI_VALID;
}

const struct si_user *si_tokens_user(const struct si_tokens *tokens, uint64_t serial)
{
    const struct si_access *access = &tokens->access[serial % SI_ACCESS_KEPT];
    const struct si_family *family =
        access->serial == serial ? si_tokens_family(tokens, access->family) : NULL;
    return family ? family->user : NULL;
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

/* ---- refresh tokens ---- */

void si_tokens_revoke_refresh(struct si_tokens *tokens)
{
    for (size_t i = 0; i < tokens->refresh_count; i++)
        tokens->refresh[i].revoked = true;
}

const struct si_refresh *si_tokens_refresh_new(struct si_tokens *tokens, uint64_t family, const char *value)
{
    tokens->refresh =
        grown(tokens->refresh, tokens->refresh_count, &tokens->refresh_capacity, sizeof(*tokens->refresh));
    struct si_refresh *refresh = &tokens->refresh[tokens->refresh_count++];
    *refresh = (struct si_refresh){.family = family ? family : si_tokens_family_new(tokens, NULL, NULL)};
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

/* Its place, or refresh_count. */
static size_t find_refresh(const struct si_tokens *tokens, struct qp_slice value)
{
    for (size_t i = tokens->refresh_count; i-- > 0;)
        if (qp_slice_is(value, qp_slice_str(tokens->refresh[i].value)))
            return i;
    return tokens->refresh_count;
}

const struct si_family *si_tokens_refresh_family(const struct si_tokens *tokens, struct qp_slice value)
{
    size_t at = find_refresh(tokens, value);
    return at < tokens->refresh_count ? si_tokens_family(tokens, tokens->refresh[at].family) : NULL;
}

bool si_tokens_revoke_one(struct si_tokens *tokens, struct qp_slice value)
{
    size_t at = find_refresh(tokens, value);
    const struct si_access *access = find_access(tokens, value);
    if (at < tokens->refresh_count)
        si_tokens_revoke_family(tokens, tokens->refresh[at].family);
    else if (access && access->family)
        si_tokens_revoke_family(tokens, access->family);
    else if (access)
        tokens->access[access->serial % SI_ACCESS_KEPT].revoked = true;
    return access || at < tokens->refresh_count;
}

/* A client that lost the answer asks again. Once the successor was used, it had arrived: then this is somebody else. */
static bool is_graced(const struct si_tokens *tokens, const struct si_refresh *refresh, uint64_t grace_ms)
{
    return qp_clock_monotonic_ms() - refresh->spent_ms < grace_ms &&
           !tokens->refresh[refresh->successor].spent;
}

static void give_successor(const struct si_tokens *tokens, size_t at, struct si_redemption *redemption)
{
    const struct si_refresh *successor = &tokens->refresh[tokens->refresh[at].successor];
    snprintf(redemption->successor, sizeof(redemption->successor), "%s", successor->value);
}

enum si_redeemed si_tokens_redeem(struct si_tokens *tokens, struct qp_slice value, bool rotate,
                                  uint64_t grace_ms, struct si_redemption *redemption)
{
    size_t at = find_refresh(tokens, value);
    if (at == tokens->refresh_count)
        return SI_REDEEM_UNKNOWN;
    struct si_refresh *refresh = &tokens->refresh[at];
    if (rotate || refresh->spent)
        refresh->redemptions++;
    if (refresh->revoked)
        return SI_REDEEM_REVOKED;
    *redemption = (struct si_redemption){.family = refresh->family};
    if (refresh->spent && is_graced(tokens, refresh, grace_ms)) {
        give_successor(tokens, at, redemption);
        return SI_REDEEMED_AGAIN;
    }
    if (refresh->spent) {
        si_tokens_revoke_family(tokens, refresh->family);
        return SI_REUSED;
    }
    if (!rotate)
        return SI_REDEEMED;
    refresh->spent = true;
    refresh->spent_ms = qp_clock_monotonic_ms();
    refresh->successor = tokens->refresh_count;
    si_tokens_refresh_new(tokens, refresh->family, NULL); /* moves the array */
    give_successor(tokens, at, redemption);
    return SI_REDEEMED;
}

void si_tokens_write(const struct si_tokens *tokens, struct qp_buf *out)
{
    uint64_t kept = tokens->issued < SI_ACCESS_KEPT ? tokens->issued : SI_ACCESS_KEPT;
    const char *comma = "";
    qp_buf_append_str(out, "\"access_tokens\":[");
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
    qp_buf_append_char(out, ']');
}
