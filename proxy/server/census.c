#include "server/census.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdatomic.h>

struct qp_census {
    uint32_t limit;
    uint32_t limit_per_address;
    _Atomic uint32_t open;
    _Atomic uint32_t waiting;
    pthread_mutex_t lock; /* for all below */
    struct qp_list members;
    struct qp_per_address per_address;
};

struct qp_census *qp_census_new(uint32_t connections, uint32_t per_address)
{
    struct qp_census *census = qp_alloc(sizeof(*census));

    census->limit = connections;
    census->limit_per_address = per_address;
    qp_list_init(&census->members);
    qp_require(pthread_mutex_init(&census->lock, NULL) == 0);
    census->per_address.seed = qp_clock_monotonic_us() * 0x9e3779b97f4a7c15U ^ (uintptr_t)census;
    return census;
}

void qp_census_free(struct qp_census **slot)
{
    struct qp_census *census = *slot;

    *slot = NULL;
    if (!census)
        return;
    qp_require(qp_list_is_empty(&census->members));
    pthread_mutex_destroy(&census->lock);
    qp_free(census);
}

uint32_t qp_census_limit(const struct qp_census *census)
{
    return census->limit;
}

uint32_t qp_census_limit_per_address(const struct qp_census *census)
{
    return census->limit_per_address;
}

/* ---- members ---- */

static void deliver(struct qp_mail *mail, void *receiver)
{
    struct qp_census_member *member = receiver;

    (void)mail; /* lies in the member */
    pthread_mutex_lock(&member->census->lock);
    member->is_posted = false;
    pthread_mutex_unlock(&member->census->lock);
    member->look(member);
}

void qp_census_join(struct qp_census *census, struct qp_census_member *member, struct qp_loop *loop,
                    void (*look)(struct qp_census_member *member))
{
    *member = (struct qp_census_member){.census = census, .mail.deliver = deliver, .look = look};
    member->mailbox = qp_mailbox_new(loop, member);
    pthread_mutex_lock(&census->lock);
    qp_list_append(&census->members, &member->link);
    pthread_mutex_unlock(&census->lock);
}

void qp_census_leave(struct qp_census_member *member)
{
    struct qp_census *census = member->census;

    qp_census_stop_waiting(member);
    pthread_mutex_lock(&census->lock);
    qp_list_remove(&member->link); /* nobody posts from here on */
    pthread_mutex_unlock(&census->lock);
    qp_mailbox_close(&member->mailbox);
}

/* Each has one mail, which cannot be on its way twice. Under the lock. */
static void post(struct qp_census_member *member)
{
    if (member->is_posted)
        return;
    member->is_posted = true;
    qp_mailbox_post(member->mailbox, &member->mail);
}

static void post_all(struct qp_census *census, bool only_waiting, const struct qp_census_member *but)
{
    pthread_mutex_lock(&census->lock);
    QP_LIST_FOR_EACH (link, &census->members) {
        struct qp_census_member *member = QP_CONTAINER_OF(link, struct qp_census_member, link);
        if (member != but && (member->is_waiting || !only_waiting))
            post(member);
    }
    pthread_mutex_unlock(&census->lock);
}

static void set_waiting(struct qp_census_member *member, bool is_waiting)
{
    struct qp_census *census = member->census;

    pthread_mutex_lock(&census->lock);
    if (is_waiting && !member->is_waiting)
        atomic_fetch_add(&census->waiting, 1);
    else if (!is_waiting && member->is_waiting)
        atomic_fetch_sub(&census->waiting, 1);
    member->is_waiting = is_waiting;
    pthread_mutex_unlock(&census->lock);
}

/* ---- places ---- */

bool qp_census_has_room(const struct qp_census *census)
{
    return census->limit == 0 || atomic_load(&census->open) < census->limit;
}

bool qp_census_take(struct qp_census *census)
{
    uint32_t open = atomic_load(&census->open);

    do {
        if (census->limit > 0 && open >= census->limit)
            return false;
    } while (!atomic_compare_exchange_weak(&census->open, &open, open + 1));
    return true;
}

/* Either the giver sees that somebody waits, or the one who is about to wait sees the place: both write before they read. */
void qp_census_give(struct qp_census *census)
{
    const uint32_t before = atomic_fetch_sub(&census->open, 1);

    qp_require(before > 0);
    if (atomic_load(&census->waiting) > 0)
        post_all(census, true, NULL);
}

bool qp_census_take_or_wait(struct qp_census_member *member)
{
    struct qp_census *census = member->census;

    if (qp_census_take(census))
        return true;
    set_waiting(member, true);
    if (qp_census_take(census)) {
        set_waiting(member, false);
        return true;
    }
    post_all(census, false, member);
    return false;
}

void qp_census_stop_waiting(struct qp_census_member *member)
{
    set_waiting(member, false);
}

bool qp_census_is_waited_for(const struct qp_census *census)
{
    return atomic_load_explicit(&census->waiting, memory_order_relaxed) > 0;
}

/* ---- addresses ---- */

bool qp_census_add_address(struct qp_census *census, const struct qp_client_address *client)
{
    if (census->limit_per_address == 0)
        return true;
    pthread_mutex_lock(&census->lock);
    const bool is_added = qp_per_address_add(&census->per_address, client, census->limit_per_address);
    pthread_mutex_unlock(&census->lock);
    return is_added;
}

void qp_census_remove_address(struct qp_census *census, const struct qp_client_address *client)
{
    if (census->limit_per_address == 0)
        return;
    pthread_mutex_lock(&census->lock);
    qp_per_address_remove(&census->per_address, client);
    pthread_mutex_unlock(&census->lock);
}
