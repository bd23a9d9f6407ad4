#include "world.h"
#include "base/alloc.h"
#include <stdio.h>

struct si_world *si_world_new(const struct si_opts *opts)
{
    struct si_world *world = qp_alloc(sizeof(*world));
    world->opts = *opts;
    pthread_mutex_init(&world->lock, NULL);
    si_world_reset(world, true);
    return world;
}

void si_world_free(struct si_world **world)
{
    si_counters_reset(&(*world)->counters);
    si_tokens_deinit(&(*world)->tokens);
    pthread_mutex_destroy(&(*world)->lock);
    qp_free(*world);
    *world = NULL;
}

void si_lock(struct si_world *world)
{
    pthread_mutex_lock(&world->lock);
}
void si_unlock(struct si_world *world)
{
    pthread_mutex_unlock(&world->lock);
}

void si_world_reset(struct si_world *world, bool tokens)
{
    si_lock(world);
    si_knobs_default(&world->knobs, world->opts.token_life_s, world->opts.datacenter);
    uint64_t open = world->counters.token_calls_open;
    si_counters_reset(&world->counters);
    world->counters.token_calls_open = open;
    if (tokens) {
        si_tokens_deinit(&world->tokens);
        si_tokens_init(&world->tokens, world->opts.seed);
        si_sign_ins_reset(&world->sign_ins);
        if (world->opts.refresh_token)
            si_tokens_refresh_new(&world->tokens, 0, world->opts.refresh_token);
    }
    for (size_t i = 0; i < world->tokens.refresh_count; i++)
        world->tokens.refresh[i].redemptions = 0;
    si_unlock(world);
}

uint64_t si_next_id(struct si_world *world)
{
    return si_mix(world->opts.seed ^ (++world->ids << 8));
}

void si_next_uuid(struct si_world *world, char out[SI_UUID_BYTES])
{
    uint64_t high = si_next_id(world);
    si_uuid(high, si_mix(high), out);
}

void si_next_name(struct si_world *world, const char *prefix, char *out, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char name[16];
    uint64_t value = si_next_id(world);
    for (size_t i = 0; i < 15; i++, value = si_mix(value))
        name[i] = letters[value % 62];
    name[15] = '\0';
    snprintf(out, size, "%s%s", prefix, name);
}
