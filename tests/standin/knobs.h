/* knobs.h - what a test can turn while the stand-in runs. Plain data; the table is in knobs.c. */
#ifndef STANDIN_KNOBS_H
#define STANDIN_KNOBS_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum { SI_FOR_EVER = -1, SI_NONE = -1 };
#define SI_ISS_SELF "origin"

struct si_knobs {
    int64_t token_life_s;
    int64_t token_fail_count; /* so many token calls fail; SI_FOR_EVER */
    char token_fail_kind[32];
    int64_t token_delay_ms;
    bool rotate;     /* a redeemed refresh token is replaced */
    int64_t grace_s; /* so long a spent refresh token is answered with the same successor */
    int64_t code_life_s;
    bool require_pkce;
    char offline_word[64]; /* of a scope that asks for a refresh token; empty: there is always one */
    bool auto_consent;     /* no pages: the first user signs in and allows at once */
    char auth_error[64];   /* empty: none */
    char iss[160];         /* SI_ISS_SELF: the origin; empty: none is sent */
    int64_t revoke_status; /* 0: revocations succeed */
    bool always_401;
    bool forbid_403;
    int64_t rate_429_count;
    int64_t rate_429_retry_after; /* SI_NONE: no such field */
    int64_t status_503;           /* so many API requests are answered 503; SI_FOR_EVER */
    bool reject_both_headers;
    char datacenter[64];
    char notice[160];
    char next_page_host[160]; /* empty: the host that the request named */
    bool gzip;                /* for requests that accept it */
    bool chunked;
    char reject_when[8]; /* a bad bearer's 401 comes at "head", after "half" of the body, at its "end" */
    bool reject_close;
    bool reject_chunked;
    int64_t reject_bytes; /* the 401's body is at least so long */
    int64_t export_polls; /* polls that say inProgress */
    int64_t export_bytes; /* of the CSV in it */
    bool origin_keepalive;
    int64_t delay_ms;
};

void si_knobs_default(struct si_knobs *knobs, uint64_t token_life_s, const char *datacenter);
/* Changes the knobs that the object names; nothing at all on a mistake, which `why` then names. null: the default. */
bool si_knobs_apply(struct si_knobs *knobs, const struct si_knobs *defaults, struct qp_slice json, char *why,
                    size_t why_size);
void si_knobs_write(const struct si_knobs *knobs, struct qp_buf *out);

/* True if the count is not used up; counts down. */
bool si_knob_take(int64_t *count);

#endif
