/* counters.h - what happened, for tests to read. No locking of its own. */
#ifndef STANDIN_COUNTERS_H
#define STANDIN_COUNTERS_H

#include "sign_ins.h"
#include "tokens.h"

#define SI_ROUTE_MAP(X)                            \
    X(SI_ROUTE_UNKNOWN, "unknown")                 \
    X(SI_ROUTE_AUTHORIZE, "authorize")             \
    X(SI_ROUTE_SIGN_IN, "sign_in")                 \
    X(SI_ROUTE_CONSENT, "consent")                 \
    X(SI_ROUTE_TOKEN, "token")                     \
    X(SI_ROUTE_REVOKE, "revoke")                   \
    X(SI_ROUTE_WHOAMI, "whoami")                   \
    X(SI_ROUTE_SURVEYS, "surveys")                 \
    X(SI_ROUTE_SURVEY, "survey")                   \
    X(SI_ROUTE_DEFINITION, "survey_definition")    \
    X(SI_ROUTE_EXPORT_START, "export_start")       \
    X(SI_ROUTE_EXPORT_POLL, "export_poll")         \
    X(SI_ROUTE_EXPORT_FILE, "export_file")         \
    X(SI_ROUTE_LEGACY_START, "legacy_start")       \
    X(SI_ROUTE_LEGACY_POLL, "legacy_poll")         \
    X(SI_ROUTE_LEGACY_FILE, "legacy_file")         \
    X(SI_ROUTE_IMPORT_START, "import_start")       \
    X(SI_ROUTE_IMPORT_POLL, "import_poll")         \
    X(SI_ROUTE_DIRECTORIES, "directories")         \
    X(SI_ROUTE_MAILING_LISTS, "mailinglists")      \
    X(SI_ROUTE_CONTACTS, "contacts")               \
    X(SI_ROUTE_DISTRIBUTIONS, "distributions")     \
    X(SI_ROUTE_DISTRIBUTE, "distribution_create")  \
    X(SI_ROUTE_LINKS, "distribution_links")        \
    X(SI_ROUTE_SUBSCRIBE, "subscription_create")   \
    X(SI_ROUTE_SUBSCRIPTION, "subscription")       \
    X(SI_ROUTE_UNSUBSCRIBE, "subscription_delete") \
    X(SI_ROUTE_ECHO, "_echo")                      \
    X(SI_ROUTE_BLOB, "_blob")                      \
    X(SI_ROUTE_SLOW, "_slow")                      \
    X(SI_ROUTE_STATUS, "_status")                  \
    X(SI_ROUTE_CUT, "_cut")                        \
    X(SI_ROUTE_NEXTPAGE, "_nextpage")              \
    X(SI_ROUTE_EARLY, "_early")

enum si_route_id {
#define SI_ROUTE_ENUM(id, name) id,
    SI_ROUTE_MAP(SI_ROUTE_ENUM)
#undef SI_ROUTE_ENUM
        SI_ROUTES
};

enum si_grant { SI_GRANT_CLIENT, SI_GRANT_REFRESH, SI_GRANT_CODE, SI_GRANT_OTHER, SI_GRANTS };

/* What becomes of a person's way through the pages. */
#define SI_PAGES_MAP(X)                           \
    X(SI_PAGES_BEGUN, "begun")                    \
    X(SI_PAGES_SHOWN_FAULT, "shown_faults")       \
    X(SI_PAGES_SENT_FAULT, "redirected_faults")   \
    X(SI_PAGES_WRONG_PASSWORD, "wrong_passwords") \
    X(SI_PAGES_DENIED, "denied")                  \
    X(SI_PAGES_ALLOWED, "allowed")
enum si_pages {
#define SI_PAGES_ENUM(id, name) id,
    SI_PAGES_MAP(SI_PAGES_ENUM)
#undef SI_PAGES_ENUM
        SI_PAGES_ENDS
};

#define SI_REVOCATION_MAP(X)            \
    X(SI_REVOCATION_DONE, "done")       \
    X(SI_REVOCATION_UNKNOWN, "unknown") \
    X(SI_REVOCATION_REFUSED, "refused") \
    X(SI_REVOCATION_FAILED, "failed")
enum si_revocation {
#define SI_REVOCATION_ENUM(id, name) id,
    SI_REVOCATION_MAP(SI_REVOCATION_ENUM)
#undef SI_REVOCATION_ENUM
        SI_REVOCATIONS
};

enum { SI_OUTCOMES = 32, SI_ECHOES = 4096, SI_HASH_TEXT = 65, SI_KEYS = 65536 };

struct si_outcome {
    char name[32];
    uint64_t count[SI_GRANTS];
};

/* One attempt at _echo, accepted or rejected. */
struct si_echo {
    uint64_t serial; /* of the token that it carried; 0: an unknown one */
    uint64_t bytes;
    uint16_t status;
    bool complete; /* the body came to its end before the answer did, and the hash is of all of it */
    char method[16];
    char sha256[SI_HASH_TEXT];
    char label[64]; /* the Idempotency-Key, or what X-Test-Id says */
};

struct si_key {
    uint64_t hash;
    uint64_t count;
    char *text;
};

struct si_counters {
    uint64_t token_calls;
    uint64_t token_calls_open;
    uint64_t token_calls_open_most;
    struct si_outcome outcome[SI_OUTCOMES];
    uint64_t pages[SI_PAGES_ENDS];
    uint64_t code[SI_CODE_ENDS];        /* presented at the token endpoint, by what came of it */
    uint64_t refreshed[SI_REDEEM_ENDS]; /* refresh tokens, likewise */
    uint64_t revocation[SI_REVOCATIONS];
    uint64_t rejected[SI_VERDICTS]; /* 401 by reason */
    uint64_t no_credential;
    uint64_t two_credentials;
    uint64_t route[SI_ROUTES];
    uint64_t answered[1000]; /* by status */
    uint64_t posts;
    struct si_key *keys; /* SI_KEYS slots, open addressing */
    uint64_t key_count;
    uint64_t echo_count;
    struct si_echo echo[SI_ECHOES];
};

void si_counters_reset(struct si_counters *counters);
void si_count_outcome(struct si_counters *counters, enum si_grant grant, const char *name);
/* A POST that was carried out. key: its Idempotency-Key or unset. */
void si_count_post(struct si_counters *counters, struct qp_slice key);
/* The slot for the next record, cleared. */
struct si_echo *si_count_echo(struct si_counters *counters);

/* Members of an object, without its braces. echoes: how many of the last ones to list. */
void si_counters_write(const struct si_counters *counters, const struct si_tokens *tokens, uint64_t echoes,
                       struct qp_buf *out);
uint64_t si_rejected_total(const struct si_counters *counters);

#endif
