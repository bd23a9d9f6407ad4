/* admin.h - what the admin listeners serve: a page for people, sign-in, health, readiness, status, metrics; and what the command line asks of a daemon.
 *
 *   GET  /                      the page; works without its script, which only keeps it live
 *   GET  /page.css, /page.js, /icon.svg    its parts; nothing comes from elsewhere
 *   GET  /login/ACCOUNT         302 to the authorization URL, the attempt bound to this browser; /login where one account only can be signed in. Who came by
 *                               another name than that of the redirect URI is first sent to /login there: the cookie must be of that name
 *   GET  /oauth/callback        where sign-ins come back to: 303 to /signed-in/ACCOUNT, or a page that says what went wrong
 *   GET  /signed-in/ACCOUNT     says whether it is
 *   POST /logout/ACCOUNT        signs out
 *   POST /refresh/ACCOUNT       a token call now
 *                               (both: 303 to /#ACCOUNT with the outcome shown there; JSON {"ok","code","text"} for who accepts application/json and not text/html)
 *   GET  /healthz               200 "ok" while the control thread's loop runs
 *   GET  /readyz                200 or 503 with each account's state and the reason, and the vault's; ?account=NAME asks about that one only
 *   GET  /api/status            everything that is known, as JSON
 *   GET  /metrics               the same in Prometheus' text format 0.0.4
 *   GET  /api/session           {"csrf":"..."}, and the cookie that it belongs to
 *   POST /api/sign-in/ACCOUNT   begins a sign-in that is not bound to a browser: {"id","url","redirect_uri","expires_in_s"}
 *   GET  /api/sign-in?id=ID     {"state":"waiting|working|done|failed|unknown","code","text"}
 *   POST /api/sign-in           form: id, address (what the browser was redirected to, pasted): {"ok","code","text"}
 *   POST /api/check/ACCOUNT     form: spend=1 if a refresh token may be redeemed for it: {"ok","code","text","brand","user","datacenter","warning"}
 *   POST /api/key/rotate        a new vault key: {"ok","code","text"}; codes: rotated, vault (it or the key file cannot be written), not_rotatable
 *
 * Orders that were carried out answer 200, whatever "ok" says. What is refused is answered with X-Qproxy-Error and a page, for who accepts text/html and
 * not below /api, else the usual envelope: 400 bad_form, 401 admin_token_needed, 403 wrong_host, wrong_origin, no_session, reload (csrf), not_navigated,
 * 404 not_found, no_account, which_account, 405 method_not_allowed, 409 no_sign_in, 415 form_needed; 413 for bodies over 64 KiB.
 *
 * A third handler on `server`, beside the relay and the tests' stand-in, with a server of its own on the control thread's loop: nothing
 * of it can be reached through the listeners of the API, and it forwards nothing. It never gets to see a credential: the keeper's status has none.
 *
 * Guards, in this order:
 *   1. Host (and the authority of an absolute target) must name a listener or one of `hosts` exactly, against DNS rebinding: else 403 wrong_host.
 *   2. With `token`, everything but /healthz needs it, as a bearer token or as the password of HTTP Basic, unless the request came by a Unix socket (whose
 *      mode is its guard): else 401.
 *   3. A POST needs an Origin that is the listener's own as the client named it (for a Unix socket http://localhost; for one of `hosts` https too, for a TLS
 *      server may stand before us), the cookie and the csrf token that belongs to it, in the form member csrf or the field X-Csrf-Token: else 403. What
 *      is read has no side effect but /login, which is only for who comes from these pages or typed the address: another page could have the account
 *      signed in anew as whoever is signed in at the authorization server, without a question.
 *   4. No answer may be framed, cached or sniffed; scripts, styles and connections only to itself; no CORS.
 */
#ifndef QP_ADMIN_ADMIN_H
#define QP_ADMIN_ADMIN_H

#include "base/secret.h"
#include "net/address.h"
#include <stdint.h>

struct qp_admin;
struct qp_keeper;
struct qp_loop;

struct qp_admin_counter {
    const char *name;  /* "dial_failures" */
    const char *help;  /* what it counts, in words */
    bool is_level;     /* as it is now; otherwise it only grows */
    const char *group; /* "relay": goes before the name, or around it in JSON; of a worker's counters */
    /* One of several numbers of one name, which stand together in the table: "reason" and "idle". NULL: the only one. */
    const char *label;
    const char *label_value;
};

struct qp_admin_table {
    const struct qp_admin_counter *rows;
    unsigned count;
};

/* All is borrowed. */
struct qp_admin_opts {
    const char *version;
    const struct qp_address *addresses; /* as they are, not port 0; by listener id */
    unsigned address_count;
    const char *const *hosts; /* further names, with a port where there is one */
    unsigned host_count;
    const struct qp_secret *token; /* NULL: nothing needs it */
    struct qp_keeper *keeper;
    const char *const *account_names; /* in the keeper's order */
    const char *const
        *redirect_uris; /* of each account; NULL inside: the one that follows from `addresses` */
    unsigned account_count;
    unsigned worker_count; /* 0: the command line's own, without workers */
    struct qp_admin_table
        counters;               /* what each worker counts; the relay's first, the rows of a group together */
    struct qp_admin_table pool; /* what it counts for each account's origin */
    /* Reads one worker's numbers, whatever it is doing: counters by row; pool by account, then by row. */
    void (*read)(void *context, unsigned worker, uint64_t *counters, uint64_t *pool);
    void *context;
};

struct qp_admin *qp_admin_new(struct qp_loop *loop, const struct qp_admin_opts *opts);
/* Accepts on `fd`, which it takes; listener: its index in `addresses`. */
void qp_admin_listen(struct qp_admin *admin, unsigned listener, int fd);
/* From now on it says that it is not ready, so that whoever balances load looks elsewhere. */
void qp_admin_set_stopping(struct qp_admin *admin);
/* Answers what was asked already, and calls `done`. */
void qp_admin_drain(struct qp_admin *admin, uint64_t limit_ms, void (*done)(void *context), void *context);
/* Before the keeper. *slot becomes NULL; NULL inside is fine. */
void qp_admin_close(struct qp_admin **slot);

/* "http://ADDRESS/oauth/callback" of the first address that is not a Unix socket, or "" if there is none. out: 160 bytes. */
void qp_admin_redirect_uri(const struct qp_address *addresses, unsigned address_count, char out[160]);

#endif
