/* room.h - what the files of admin/ share: the room itself, and a visit, which is one request from its head to its one answer. Private to admin/.
 *
 *   admin.c          its life, and what it knows at one moment
 *   routes.c         which path is whose, and a request's way past the guards
 *   visit.c          the answers, each of which ends the visit
 *   orders.c, sign_in_pages.c    what is asked of the keeper, and is answered when that answers
 */
#ifndef QP_ADMIN_ROOM_H
#define QP_ADMIN_ROOM_H

#include "admin/form.h"
#include "admin/history.h"
#include "admin/session.h"
#include "admin/snapshot.h"
#include "http/refusal.h"
#include "net/timer.h"
#include "server/server.h"
#include "token/sign_in.h"

enum { QP_REDIRECT_URI_BYTES = 160 };

/* Which account a sign-in is for: the callback does not say. As many as the keeper has attempts, and replaced in the same order. */
struct qp_begun_sign_ins {
    struct {
        char state_hash[QP_DIGEST_TEXT_BYTES];
        unsigned account;
    } at[QP_SIGN_IN_ATTEMPTS];
    unsigned next;
};

struct qp_admin {
    struct qp_loop *loop;
    struct qp_admin_opts opts;
    struct qp_server *server;
    char redirect_uri[QP_REDIRECT_URI_BYTES]; /* for accounts that have none of their own */
    uint64_t started_ms;
    int64_t started_unix_s;
    uint64_t warned_ms; /* when the last refused visit was logged; 0: none was */
    bool is_stopping;
    struct qp_admin_account *accounts;
    uint64_t *worker_values;
    uint64_t *pool_values;
    struct qp_sessions sessions;
    struct qp_begun_sign_ins begun;
    struct qp_history history;
    struct qp_timer minute;
};

/* All that is known now; valid until the next call and the end of the turn. */
struct qp_admin_snapshot qp_admin_look(struct qp_admin *admin);

/* ---- a visit ---- */

enum qp_visit_method { QP_VISIT_GET = 1 << 0, QP_VISIT_HEAD = 1 << 1, QP_VISIT_POST = 1 << 2 };

struct qp_visit;

struct qp_route {
    const char *path; /* one that ends in "/" is followed by an account's name, but for "/" itself */
    unsigned methods; /* of enum qp_visit_method */
    bool has_session; /* who comes without a cookie gets one */
    /* Answers now or later. Guarded; of a POST the form is there. */
    void (*give)(struct qp_visit *visit);
};

struct qp_visit {
    struct qp_admin *admin;
    struct qp_request *request;
    const struct qp_route *route;
    unsigned account;                   /* where the route is followed by one */
    struct qp_slice query;              /* without its '?' */
    bool is_api;                        /* answers in JSON only; else pages for those that would like one */
    bool is_new_session;                /* the answer gives the cookie */
    char session[QP_DIGEST_TEXT_BYTES]; /* "": none */
    struct qp_buf body;
    struct qp_form form;
};

struct qp_visit_answer {
    unsigned status;
    const char *type;
    const char *location;        /* NULL: none */
    const char *extra;           /* further whole field lines; NULL: none */
    const char *referrer_policy; /* NULL: no-referrer */
};

/* Each of these ends the visit, and frees it. body is taken; it may be empty. */
void qp_visit_answer(struct qp_visit *visit, const struct qp_visit_answer *answer, struct qp_buf *body);
void qp_visit_give_json(struct qp_visit *visit, unsigned status, struct qp_buf *body);
void qp_visit_redirect(struct qp_visit *visit, unsigned status, const char *location);
/* In the form that the client would like. allow: for 405, else NULL. */
void qp_visit_refuse(struct qp_visit *visit, const struct qp_refusal *why);
void qp_visit_refuse_method(struct qp_visit *visit, const char *allow);
/* A page that says one thing. href and link: where to go from there; NULL: nowhere. */
void qp_visit_give_message(struct qp_visit *visit, unsigned status, const char *title, const char *text,
                           const char *href, const char *link);
/* For who leaves: without an answer. */
void qp_visit_free(struct qp_visit *visit);

bool qp_visit_wants_page(const struct qp_visit *visit);
const char *qp_visit_account_name(const struct qp_visit *visit);

/* ---- routes.c ---- */

void qp_routes_begin(struct qp_admin *admin, struct qp_request *request);
/* The request has wholly arrived. */
void qp_routes_end(struct qp_visit *visit);

/* ---- orders.c ---- */

void qp_give_refresh(struct qp_visit *visit);
void qp_give_logout(struct qp_visit *visit);
void qp_give_check(struct qp_visit *visit);
void qp_give_key_rotation(struct qp_visit *visit);
/* {"ok","code","text"} */
void qp_visit_give_end(struct qp_visit *visit, const struct qp_order_end *end);

/* ---- sign_in_pages.c ---- */

void qp_give_login(struct qp_visit *visit);
void qp_give_only_login(struct qp_visit *visit);
void qp_give_callback(struct qp_visit *visit);
void qp_give_signed_in(struct qp_visit *visit);
void qp_give_api_begin(struct qp_visit *visit);
void qp_give_api_progress(struct qp_visit *visit);
void qp_give_api_finish(struct qp_visit *visit);

#endif
