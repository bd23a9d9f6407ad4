/* rewrite.h - which fields go where: the one place where the token goes in, and nowhere else. Pure.
 *
 * Towards the origin: the target byte for byte; Host is the origin's authority; the client's credentials, hop-by-hop and nominated fields stay behind; framing
 * is written anew; the token is set last and exactly once. Towards the client: hop-by-hop fields stay behind; the server room does that by
 * qp_field_passes(); here is what is added.
 */
#ifndef QP_RELAY_REWRITE_H
#define QP_RELAY_REWRITE_H

#include "base/secret.h"
#include "http/message.h"
#include "http/write.h"

struct qp_rewrite {
    const struct qp_message *message; /* the client's request */
    struct qp_slice target;           /* what the origin is asked for */
    struct qp_slice authority;        /* the origin's */
    struct qp_slice via;              /* pseudonym */
    struct qp_slice instance;         /* see via.h */
    const struct qp_secret *token;
    bool static_token;    /* in X-API-TOKEN instead of Authorization: Bearer */
    bool plain_answer;    /* the answer may have to be rewritten: ask for no content coding */
    bool expect_continue; /* wait for a 100 before the body */
};

/* Appends the whole head. It holds the token: the caller wipes the buffer after use. */
void qp_rewrite_request(const struct qp_rewrite *rewrite, struct qp_buf *head);

/* RFC 9110 section 7.6.2: true if the request is one whose Max-Forwards counts (OPTIONS, for TRACE is refused) and it has a valid one.
 * *hops: how many more it may make; with 0 it is ours to answer. */
bool qp_rewrite_max_forwards(const struct qp_message *message, uint64_t *hops);

/* How the request's body goes to the origin: as it came; a method that usually has a body but came without one says Content-Length: 0 (the API answers 411
 * otherwise). */
enum qp_body_kind qp_rewrite_body_kind(const struct qp_message *message);

/* True if the answer's body is JSON that can be read as it is: the only kind whose links are rewritten. */
bool qp_rewrite_is_plain_json(const struct qp_message *answer);

#endif
