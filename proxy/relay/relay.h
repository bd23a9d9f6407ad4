/* relay.h - the relay of one worker: a handler on `server` that passes requests on to the accounts' origins.
 *
 * One per loop; it owns the worker's pools (one an account). Everything that it is told is borrowed and outlives it.
 */
#ifndef QP_RELAY_RELAY_H
#define QP_RELAY_RELAY_H

#include "origin/pool.h"
#include "relay/counters.h"
#include "server/server.h"
#include "token/view.h"

struct qp_relay;

struct qp_relay_account {
    const char *name;
    const char *origin_host; /* without brackets */
    uint16_t origin_port;
    const struct qp_trust *trust;
    const char *path_prefix;  /* "/brand-a", removed before forwarding; NULL: none */
    const char *const *hosts; /* Host names that choose this account */
    unsigned host_count;
    bool static_token;  /* an API token: goes in X-API-TOKEN, cannot be refreshed */
    bool rewrite_links; /* result.nextPage, result.file and Location to the address that the client used */
};

enum { QP_LISTENER_ANY = -1 }; /* a listener that is no account's own */

struct qp_relay_opts {
    const struct qp_relay_account *accounts;
    unsigned account_count;
    const int *listener_accounts; /* by listener id: index of the account, or QP_LISTENER_ANY */
    unsigned listener_count;

    uint32_t origin_connect_ms;
    uint32_t origin_handshake_ms;
    uint32_t origin_resolve_ms;
    uint32_t origin_response_ms; /* the longest silence of the origin: until its head, and inside its body */
    uint32_t origin_idle_ms;
    uint32_t origin_lost_ms; /* see qp_pool_opts */
    uint32_t stream_wait_ms; /* for a free stream, the making of a new one included */
    uint32_t request_ms;     /* from the head to the last byte of the answer; 0: no limit */
    uint32_t origin_streams; /* per account */
    uint32_t waiting;        /* for a stream, per account */
    /* The least average bytes a second that the origin gives of an answer's body and takes of a request's, over windows of
     * origin_response_ms; 0: off. */
    uint32_t origin_rate_bytes;
    uint32_t retry_per_cent; /* of recent requests may be retried (budget.h); 0: no limit */
    struct qp_parse_limits response_limits;

    uint64_t replay_memory_bytes;       /* kept in memory, one request */
    uint64_t replay_memory_total_bytes; /* and all of this worker */
    uint64_t replay_body_bytes;         /* kept at all, one request */
    const char *replay_folder;          /* for the unlinked, sealed files */

    const char *via;      /* pseudonym for Via */
    const char *instance; /* tells this process from others of that pseudonym (via.h); NULL: nothing does */
    bool access_log;
    bool access_json;
};

struct qp_relay *qp_relay_new(struct qp_loop *loop, const struct qp_relay_opts *opts, struct qp_view *view);
const struct qp_handler *qp_relay_handler(void);
/* Requires that the server whose handler it is has closed. *relay becomes NULL. */
void qp_relay_close(struct qp_relay **relay);

/* Both are read from any thread: each counter is exact, the set is not a snapshot. */
const struct qp_relay_counters *qp_relay_counters(const struct qp_relay *relay);
struct qp_pool_counters qp_relay_pool_counters(const struct qp_relay *relay, unsigned account);

#endif
