#include "relay/damping.h"

enum { HOLD_FIRST_MS = 1000, HOLD_MOST_MS = 5 * 60 * 1000, PROBES = 8 };

/* FNV-1a, 64 bit. Two paths that share a hash share their damping for minutes at worst. */
uint64_t qp_damping_hash(unsigned account, struct qp_slice target)
{
    uint64_t hash = 14695981039346656037u ^ account;
    for (size_t i = 0; i < target.len && target.at[i] != '?'; i++)
        hash = (hash ^ (unsigned char)target.at[i]) * 1099511628211u;
    return hash ? hash : 1;
}

/* Index of the path's entry; QP_DAMPING_ENTRIES: none. */
static unsigned find(const struct qp_damping *damping, uint64_t path_hash)
{
    for (unsigned i = 0; damping->used > 0 && i < PROBES; i++) {
        unsigned at = (unsigned)((path_hash + i) % QP_DAMPING_ENTRIES);
        if (damping->entries[at].path_hash == path_hash)
            return at;
    }
    return QP_DAMPING_ENTRIES;
}

bool qp_damping_holds(const struct qp_damping *damping, uint64_t path_hash, uint64_t now_ms)
{
    unsigned at = find(damping, path_hash);
    return at < QP_DAMPING_ENTRIES && now_ms < damping->entries[at].until_ms;
}

/* The path's own entry, else a free one, else the one that would be forgotten first. */
static struct qp_damping_entry *place(struct qp_damping *damping, uint64_t path_hash)
{
    unsigned own = find(damping, path_hash);
    if (own < QP_DAMPING_ENTRIES)
        return &damping->entries[own];
    struct qp_damping_entry *oldest = NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        struct qp_damping_entry *entry = &damping->entries[(path_hash + i) % QP_DAMPING_ENTRIES];
        if (!oldest || entry->until_ms < oldest->until_ms)
            oldest = entry;
    }
    return oldest;
}

void qp_damping_rejected(struct qp_damping *damping, uint64_t path_hash, uint64_t generation,
                         bool accepted_elsewhere, uint64_t now_ms)
{
    const struct qp_damping_accepted *accepted = &damping->accepted[path_hash % QP_DAMPING_ENTRIES];
    const bool is_known = accepted->path_hash == path_hash;
    const bool worked_lately = is_known && now_ms < accepted->at_ms + QP_DAMPING_WORKED_LATELY_MS;
    if (is_known && accepted->generation >= generation)
        return;
    if (worked_lately && !accepted_elsewhere)
        return;
    struct qp_damping_entry *entry = place(damping, path_hash);
    uint32_t hold_ms = 0;
    if (entry->path_hash == path_hash) {
        if (entry->generation >= generation)
            return;
        hold_ms = entry->hold_ms ? entry->hold_ms * 2 : HOLD_FIRST_MS;
    } else {
        damping->used += entry->path_hash == 0;
        hold_ms = accepted_elsewhere && !worked_lately ? HOLD_FIRST_MS : 0;
    }
    hold_ms = hold_ms < HOLD_MOST_MS ? hold_ms : HOLD_MOST_MS;
    *entry = (struct qp_damping_entry){
        .path_hash = path_hash, .generation = generation, .until_ms = now_ms + hold_ms, .hold_ms = hold_ms};
}

void qp_damping_accepted(struct qp_damping *damping, uint64_t path_hash, uint64_t generation, uint64_t now_ms)
{
    struct qp_damping_accepted *accepted = &damping->accepted[path_hash % QP_DAMPING_ENTRIES];
    bool is_late = accepted->path_hash == path_hash && accepted->generation > generation;
    if (!is_late)
        *accepted =
            (struct qp_damping_accepted){.path_hash = path_hash, .generation = generation, .at_ms = now_ms};
    unsigned at = find(damping, path_hash);
    if (at == QP_DAMPING_ENTRIES)
        return;
    damping->entries[at] = (struct qp_damping_entry){0};
    damping->used--;
}
