/* world.h - what the stand-in knows: settings, knobs, sign-ins, tokens, counters, jobs. Shared by its threads.
 *
 * Everything in struct si_world but `opts` is guarded by its lock: take it with si_lock(), and call the functions of
 * knobs.h, sign_ins.h, tokens.h and counters.h on its parts only while holding it.
 */
#ifndef STANDIN_WORLD_H
#define STANDIN_WORLD_H

#include "counters.h"
#include "knobs.h"
#include "tokens.h"
#include <pthread.h>

enum { SI_USERS = 16, SI_REDIRECT_URIS = 16 };

struct si_opts {
    const char *listen;
    const char *control;
    const char *cert_file;
    const char *key_file;
    const char *client_id;
    const char *client_secret;
    const char *api_token;     /* NULL: none is valid */
    const char *refresh_token; /* a first refresh token, already known; NULL: none */
    const char *datacenter;    /* what whoami says, until a knob says otherwise */
    struct si_user users[SI_USERS];
    unsigned user_count;
    const char *redirect_uris[SI_REDIRECT_URIS];
    unsigned redirect_uri_count; /* 0: any http URI on a loopback address will do */
    bool is_public;              /* the client has no secret */
    uint64_t token_life_s;
    uint64_t seed;
    unsigned threads;
    bool exit_with_stdin;
};

enum si_work_kind { SI_WORK_EXPORT, SI_WORK_LEGACY, SI_WORK_IMPORT };

/* An export or import that a POST has started. */
struct si_work {
    enum si_work_kind kind;
    char id[24];
    char file_id[48];
    uint64_t polls_left;
    uint64_t bytes;
    bool compress;
};

struct si_subscription {
    char id[24];
    char topics[128];
    char url[256];
    bool encrypted;
    bool deleted;
};

enum { SI_WORKS = 4096, SI_SUBSCRIPTIONS = 512 };

struct si_world {
    struct si_opts opts;
    pthread_mutex_t lock;
    struct si_knobs knobs;
    struct si_tokens tokens;
    struct si_sign_ins sign_ins;
    struct si_counters counters;
    uint64_t ids;           /* number of the last id given out */
    uint64_t works;         /* how many were started; the newest SI_WORKS are kept */
    uint64_t subscriptions; /* likewise */
    uint64_t distributions;
    struct si_work work[SI_WORKS];
    struct si_subscription subscription[SI_SUBSCRIPTIONS];
};

struct si_world *si_world_new(const struct si_opts *opts);
void si_world_free(struct si_world **world);

void si_lock(struct si_world *world);
void si_unlock(struct si_world *world);

/* Knobs and counters as at the start. Tokens stay valid unless `tokens` says so. Takes the lock. */
void si_world_reset(struct si_world *world, bool tokens);

/* The next value of the seeded sequence, and the same as text: a UUID, or `prefix` and 15 letters and digits. The caller holds the lock. */
uint64_t si_next_id(struct si_world *world);
void si_next_uuid(struct si_world *world, char out[SI_UUID_BYTES]);
void si_next_name(struct si_world *world, const char *prefix, char *out, size_t size);

/* The mixing function of all deterministic content (splitmix64). */
static inline uint64_t si_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
