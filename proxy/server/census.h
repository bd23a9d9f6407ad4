/* census.h - how many client connections there are, overall and by address, over all servers of a process.
 *
 * Each worker has listeners of its own (SO_REUSEPORT), between which the kernel deals connections out blindly. Limits that were shared out
 * among the workers would turn clients away at one worker while another has room, so the servers count together: one atomic number for the
 * places, a table under a lock for the addresses, which only an opening or closing connection takes and only where that limit is set. A
 * server takes its place before it accepts, so the limit is never passed, not even for a moment.
 *
 * A server that finds no place waits, and the others are told: each of them with a connection that rests ends it (its owner decides which),
 * and whoever gives a place back wakes all that wait.
 *
 * Thread: any, but for new and free; members belong to their server and its loop. `look` comes by mail, on that loop.
 */
#ifndef QP_SERVER_CENSUS_H
#define QP_SERVER_CENSUS_H

#include "base/list.h"
#include "net/mailbox.h"
#include "server/per_address.h"

struct qp_census;
struct qp_loop;

/* 0: no limit. */
struct qp_census *qp_census_new(uint32_t connections, uint32_t per_address);
/* After all members have left. *slot becomes NULL. */
void qp_census_free(struct qp_census **slot);

struct qp_census_member {
    struct qp_list link;
    struct qp_census *census;
    struct qp_mailbox *mailbox;
    struct qp_mail mail;
    bool is_posted; /* the mail is on its way; under the census's lock */
    bool is_waiting;
    /* There may be room again, or somebody else needs some. */
    void (*look)(struct qp_census_member *member);
};

void qp_census_join(struct qp_census *census, struct qp_census_member *member, struct qp_loop *loop,
                    void (*look)(struct qp_census_member *member));
/* Gives up the waiting. `look` may come once more, from inside the call. */
void qp_census_leave(struct qp_census_member *member);

uint32_t qp_census_limit(const struct qp_census *census);
uint32_t qp_census_limit_per_address(const struct qp_census *census);
bool qp_census_has_room(const struct qp_census *census);
/* A place for one connection; false: there is none. */
bool qp_census_take(struct qp_census *census);
void qp_census_give(struct qp_census *census);
/* Takes a place or, if there is none, makes the member wait for one and tells the others. False: it waits. */
bool qp_census_take_or_wait(struct qp_census_member *member);
void qp_census_stop_waiting(struct qp_census_member *member);
/* A hint: somebody waits. Cheap enough for each request. */
bool qp_census_is_waited_for(const struct qp_census *census);

/* Counts one more connection of this address, unless it has its limit already; true where there is no limit. */
bool qp_census_add_address(struct qp_census *census, const struct qp_client_address *client);
/* Undoes a successful add. */
void qp_census_remove_address(struct qp_census *census, const struct qp_client_address *client);

#endif
