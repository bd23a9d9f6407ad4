#include "counters.h"
#include "base/alloc.h"
#include <stdio.h>

static const char *const route_names[SI_ROUTES] = {
#define SI_ROUTE_NAME(id, name) name,
    SI_ROUTE_MAP(SI_ROUTE_NAME)
#undef SI_ROUTE_NAME
};
static const char *const grant_names[SI_GRANTS] = {"client_credentials", "refresh_token",
                                                   "authorization_code", "other"};
static const char *const pages_names[SI_PAGES_ENDS] = {
#define SI_PAGES_NAME(id, name) name,
    SI_PAGES_MAP(SI_PAGES_NAME)
#undef SI_PAGES_NAME
};
static const char *const revocation_names[SI_REVOCATIONS] = {
#define SI_REVOCATION_NAME(id, name) name,
    SI_REVOCATION_MAP(SI_REVOCATION_NAME)
#undef SI_REVOCATION_NAME
};

void si_counters_reset(struct si_counters *counters)
{
    for (size_t i = 0; counters->keys && i < SI_KEYS; i++)
        qp_free(counters->keys[i].text);
    qp_free(counters->keys);
    memset(counters, 0, sizeof(*counters));
}

void si_count_outcome(struct si_counters *counters, enum si_grant grant, const char *name)
{
    for (struct si_outcome *outcome = counters->outcome; outcome < counters->outcome + SI_OUTCOMES;
         outcome++) {
        if (outcome->name[0] == '\0')
            snprintf(outcome->name, sizeof(outcome->name), "%s", name);
        if (strcmp(outcome->name, name) != 0)
            continue;
        outcome->count[grant]++;
        return;
    }
}

static uint64_t hash_of(struct qp_slice text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.at[i]) * 0x100000001b3u;
    return hash;
}

void si_count_post(struct si_counters *counters, struct qp_slice key)
{
    counters->posts++;
    if (!key.at || counters->key_count >= SI_KEYS / 2)
        return;
    if (!counters->keys)
        counters->keys = qp_alloc(SI_KEYS * sizeof(*counters->keys));
    uint64_t hash = hash_of(key);
    for (uint64_t at = hash % SI_KEYS;; at = (at + 1) % SI_KEYS) {
        struct si_key *slot = &counters->keys[at];
        if (!slot->text) {
            slot->text = qp_strndup(key.at, key.len);
            slot->hash = hash;
            counters->key_count++;
        }
        if (slot->hash != hash || !qp_slice_is(qp_slice_str(slot->text), key))
            continue;
        slot->count++;
        return;
    }
}

struct si_echo *si_count_echo(struct si_counters *counters)
{
    struct si_echo *echo = &counters->echo[counters->echo_count++ % SI_ECHOES];
    *echo = (struct si_echo){0};
    return echo;
}

uint64_t si_rejected_total(const struct si_counters *counters)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < SI_VERDICTS; i++)
        total += counters->rejected[i];
    return total;
}

static void write_token_calls(const struct si_counters *counters, struct qp_buf *out)
{
    qp_buf_append_fmt(out, "\"token_calls\":{\"total\":%llu,\"open\":%llu,\"open_most\":%llu",
                      (unsigned long long)counters->token_calls,
                      (unsigned long long)counters->token_calls_open,
                      (unsigned long long)counters->token_calls_open_most);
    for (unsigned grant = 0; grant < SI_GRANTS; grant++) {
        const char *comma = "";
        qp_buf_append_fmt(out, ",\"%s\":{", grant_names[grant]);
        for (unsigned i = 0; i < SI_OUTCOMES; i++) {
            if (counters->outcome[i].count[grant] == 0)
                continue;
            qp_buf_append_fmt(out, "%s\"%s\":%llu", comma, counters->outcome[i].name,
                              (unsigned long long)counters->outcome[i].count[grant]);
            comma = ",";
        }
        qp_buf_append_char(out, '}');
    }
    qp_buf_append_char(out, '}');
}

/* A member of an object, the first one with at == 0. */
static void write_count(unsigned at, const char *name, uint64_t value, struct qp_buf *out)
{
    qp_buf_append_fmt(out, "%s\"%s\":%llu", at ? "," : "", name, (unsigned long long)value);
}

static void write_redemptions(const struct si_counters *counters, const struct si_tokens *tokens,
                              struct qp_buf *out)
{
    uint64_t most = 0;
    uint64_t repeated = 0;
    uint64_t revoked = 0;
    for (size_t i = 0; i < tokens->refresh_count; i++) {
        const struct si_refresh *refresh = &tokens->refresh[i];
        most = refresh->redemptions > most ? refresh->redemptions : most;
        repeated += refresh->redemptions > 1;
        revoked += refresh->revoked;
    }
    qp_buf_append_fmt(
        out, ",\"redemptions\":{\"refresh_tokens\":%zu,\"most\":%llu,\"repeated\":%llu,\"revoked\":%llu",
        tokens->refresh_count, (unsigned long long)most, (unsigned long long)repeated,
        (unsigned long long)revoked);
    qp_buf_append_str(out, ",\"ends\":{");
    for (unsigned i = 0; i < SI_REDEEM_ENDS; i++)
        write_count(i, si_redeemed_name(i), counters->refreshed[i], out);
    qp_buf_append_str(out, "}}");
}

static void write_sign_ins(const struct si_counters *counters, struct qp_buf *out)
{
    uint64_t refused = 0;
    qp_buf_append_str(out, ",\"sign_ins\":{");
    for (unsigned i = 0; i < SI_PAGES_ENDS; i++)
        write_count(i, pages_names[i], counters->pages[i], out);
    for (unsigned i = SI_CODE_REDEEMED + 1; i < SI_CODE_ENDS; i++)
        refused += counters->code[i];
    qp_buf_append_fmt(out, "},\"codes\":{\"issued\":%llu,\"redeemed\":%llu,\"refused\":%llu,\"why\":{",
                      (unsigned long long)counters->pages[SI_PAGES_ALLOWED],
                      (unsigned long long)counters->code[SI_CODE_REDEEMED], (unsigned long long)refused);
    for (unsigned i = SI_CODE_REDEEMED + 1; i < SI_CODE_ENDS; i++)
        write_count(i - SI_CODE_REDEEMED - 1, si_code_words(i)->name, counters->code[i], out);
    qp_buf_append_str(out, "}},\"revocations\":{");
    for (unsigned i = 0; i < SI_REVOCATIONS; i++)
        write_count(i, revocation_names[i], counters->revocation[i], out);
    qp_buf_append_char(out, '}');
}

static void write_posts(const struct si_counters *counters, struct qp_buf *out)
{
    uint64_t repeated = 0;
    const char *comma = "";
    qp_buf_append_fmt(out, ",\"posts\":{\"executed\":%llu,\"by_key\":{", (unsigned long long)counters->posts);
    for (size_t i = 0; counters->keys && i < SI_KEYS; i++) {
        const struct si_key *key = &counters->keys[i];
        if (!key->text)
            continue;
        repeated += key->count > 1;
        qp_buf_append_fmt(out, "%s\"", comma);
        qp_buf_append_json(out, qp_slice_str(key->text));
        qp_buf_append_fmt(out, "\":%llu", (unsigned long long)key->count);
        comma = ",";
    }
    qp_buf_append_fmt(out, "},\"repeated_keys\":%llu}", (unsigned long long)repeated);
}

static void write_echoes(const struct si_counters *counters, uint64_t echoes, struct qp_buf *out)
{
    uint64_t kept = counters->echo_count < SI_ECHOES ? counters->echo_count : SI_ECHOES;
    uint64_t wanted = echoes < kept ? echoes : kept;
    qp_buf_append_fmt(out, ",\"echo_count\":%llu,\"echoes\":[", (unsigned long long)counters->echo_count);
    for (uint64_t i = counters->echo_count - wanted; i < counters->echo_count; i++) {
        const struct si_echo *echo = &counters->echo[i % SI_ECHOES];
        qp_buf_append_fmt(out,
                          "%s{\"method\":\"%s\",\"status\":%u,\"token\":%llu,\"bytes\":%llu,\"complete\":%s,",
                          i == counters->echo_count - wanted ? "" : ",", echo->method, echo->status,
                          (unsigned long long)echo->serial, (unsigned long long)echo->bytes,
                          echo->complete ? "true" : "false");
        qp_buf_append_fmt(out, "\"sha256\":\"%s\",\"label\":\"", echo->sha256);
        qp_buf_append_json(out, qp_slice_str(echo->label));
        qp_buf_append_str(out, "\"}");
    }
    qp_buf_append_char(out, ']');
}

void si_counters_write(const struct si_counters *counters, const struct si_tokens *tokens, uint64_t echoes,
                       struct qp_buf *out)
{
    write_token_calls(counters, out);
    write_redemptions(counters, tokens, out);
    write_sign_ins(counters, out);
    qp_buf_append_fmt(out, ",\"tokens_issued\":%llu,\"rejected_401\":%llu,\"rejected\":{",
                      (unsigned long long)tokens->issued, (unsigned long long)si_rejected_total(counters));
    for (unsigned i = SI_UNKNOWN; i < SI_VERDICTS; i++)
        qp_buf_append_fmt(out, "\"%s\":%llu,", si_verdict_name(i), (unsigned long long)counters->rejected[i]);
    qp_buf_append_fmt(out, "\"no_credential\":%llu,\"two_credentials\":%llu},\"requests\":{\"total\":",
                      (unsigned long long)counters->no_credential,
                      (unsigned long long)counters->two_credentials);
    uint64_t total = 0;
    for (unsigned i = 0; i < SI_ROUTES; i++)
        total += counters->route[i];
    qp_buf_append_u64(out, total);
    for (unsigned i = 0; i < SI_ROUTES; i++)
        qp_buf_append_fmt(out, ",\"%s\":%llu", route_names[i], (unsigned long long)counters->route[i]);
    qp_buf_append_str(out, "},\"answers\":{");
    const char *comma = "";
    for (unsigned status = 0; status < 1000; status++) {
        if (counters->answered[status] == 0)
            continue;
        qp_buf_append_fmt(out, "%s\"%u\":%llu", comma, status,
                          (unsigned long long)counters->answered[status]);
        comma = ",";
    }
    qp_buf_append_char(out, '}');
    write_posts(counters, out);
    write_echoes(counters, echoes, out);
}
