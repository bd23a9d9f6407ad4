/* shot.h - one small request on a fresh stream, and its whole answer. Private to token/; control thread.
 *
 * Token calls, revocations and whoami are shots: few, bounded, each with one deadline, none worth a kept connection. TLS sessions are kept by the range,
 * so that the next shot at the same place resumes.
 */
#ifndef QP_TOKEN_SHOT_H
#define QP_TOKEN_SHOT_H

#include "base/buf.h"
#include "base/result.h"
#include "token/account.h"

enum { QP_SHOT_ANSWER_BYTES = 64 * 1024 }; /* a larger answer is not read */

struct qp_loop;
struct qp_shot;
struct qp_shot_range;

/* A place that shots go to: `url`'s host and path, reached as the account says. Borrows both. allow_plain: see struct qp_keeper_opts. */
struct qp_shot_range *qp_shot_range_new(struct qp_loop *loop, const struct qp_account_opts *account,
                                        const char *url, bool allow_plain);
/* Requires that no shot is under way. *range becomes NULL; NULL inside is fine. */
void qp_shot_range_free(struct qp_shot_range **range);

struct qp_shot_result {
    enum qp_result why; /* QP_OK: there is a whole answer */
    const char *detail; /* of a failure: more of it for people, in printable ASCII; may be empty */
    unsigned status;
    struct qp_slice body;
    uint32_t retry_after_s; /* what the other side asked for; 0: nothing */
    bool has_sent;          /* bytes of the request were handed to the stream */
};

struct qp_shot_opts {
    /* Writes head and body, at the last moment, so that secrets in them live shortly. Both are wiped by the shot; who appends secrets reserves first. */
    void (*write)(void *owner, struct qp_slice authority, struct qp_slice path, struct qp_buf *head,
                  struct qp_buf *body);
    /* Once, never from inside, within the account's token_call_ms; the shot is gone by then. The result is valid within the call. */
    void (*done)(void *owner, const struct qp_shot_result *result);
    void *owner;
};

struct qp_shot *qp_shot_start(struct qp_shot_range *range, const struct qp_shot_opts *opts);
/* No `done` follows. *shot becomes NULL; NULL inside is fine. */
void qp_shot_cancel(struct qp_shot **shot);

#endif
