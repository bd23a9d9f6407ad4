/* relayed.h - one request on its way: the state that request.c (the story), upload.c, answer.c and relayed.c share. Private to relay/. */
#ifndef QP_RELAY_RELAYED_H
#define QP_RELAY_RELAYED_H

#include "relay/links.h"
#include "relay/rate.h"
#include "relay/relay_impl.h"
#include "relay/replay.h"
#include "relay/reply.h"

/*    state            letter  what it waits for             its deadline in qp_relay_opts, 0: none of its own */
#define QP_RELAYED_STATE_MAP(X)                                                                             \
    X(STATE_READ_HEAD, 'H', "reading the head", 0)                                                          \
    X(STATE_TOKEN, 'T', "waiting for a token", 0)                                                           \
    X(STATE_STREAM, 'S', "waiting for a stream", offsetof(struct qp_relay_opts, stream_wait_ms))            \
    X(STATE_SEND, 'U', "sending the request", offsetof(struct qp_relay_opts, origin_response_ms))           \
    X(STATE_WAIT_HEAD, 'W', "waiting for the response", offsetof(struct qp_relay_opts, origin_response_ms)) \
    X(STATE_RELAY_BODY, 'B', "relaying the response", offsetof(struct qp_relay_opts, origin_response_ms))   \
    X(STATE_DONE, '-', "done", 0)

enum relayed_state {
#define QP_RELAYED_STATE_ENUM(name, letter, text, deadline) name,
    QP_RELAYED_STATE_MAP(QP_RELAYED_STATE_ENUM)
#undef QP_RELAYED_STATE_ENUM
        STATE_COUNT
};

/* One try to have the request answered: cleared by one assignment. */
struct qp_attempt {
    struct qp_exchange *exchange;
    const struct qp_message *head; /* of the response, once it came */
    uint64_t generation;           /* of the token that it carries */
    uint64_t sent_bytes;           /* of the request's body */
    uint64_t taken_bytes;  /* of these by the origin, when that was last looked at: qp_upload_goes_on() */
    uint64_t answer_bytes; /* of the response's body, as they came */
    struct qp_rate upload_rate; /* of the origin's taking: qp_upload_note_turn() */
    struct qp_rate answer_rate; /* of its giving: qp_answer_note_turn() */
    bool request_finished;
    bool waits_for_continue;
    bool expects; /* its head says Expect: 100-continue */
};

/* How the response's body reaches the client. */
enum answer_mode { ANSWER_AS_IT_COMES, ANSWER_COLLECTED, ANSWER_LINKS_STREAMED };

struct relayed {
    struct qp_list link; /* in relay->warm, while unused */
    struct qp_relay *relay;
    struct qp_request *request;             /* the server's */
    const struct qp_relay_account *account; /* NULL until one is found */
    unsigned account_index;
    enum relayed_state state;
    struct qp_timer deadline;
    struct qp_need need;
    struct qp_pool_waiter waiter;
    struct qp_attempt attempt;
    struct qp_kept kept;
    struct qp_slice target; /* at the origin */
    uint64_t path_hash;
    uint64_t min_generation; /* that the next attempt's token must have */
    uint64_t started_us;
    uint64_t due_ms; /* when the whole request must have ended; 0: no limit */
    unsigned attempts;
    unsigned replays;
    unsigned expired; /* times that the token ran out while the stream was awaited */
    bool minted;      /* has asked for a newer token */
    bool retried;     /* after a dead stream */
    bool unexpected;  /* the origin does not know Expect: 100-continue, which was ours to say */
    bool rejected;    /* the last attempt was, and the next one is its replay */
    bool was_stale;   /* the last attempt's stream was dead, and the next one is its retry */
    bool holding;     /* a rejected answer is held while TOKEN waits */
    bool held_ended;
    enum answer_mode mode;
    struct qp_buf body; /* of the held answer, or of the JSON that is collected */
    struct qp_links links;
    struct qp_links_rules rules;
};

/* ---- relayed.c ---- */

/* A fresh one, or a used one with its buffers. */
struct relayed *qp_relayed_take(struct qp_relay *relay);
/* Back to the relay; what a large request grew is given back. */
void qp_relayed_give(struct relayed *r);
/* The one setter of the state; arms its deadline. */
void qp_relayed_set_state(struct relayed *r, enum relayed_state state);
/* Anew, for the state's own time or what is left of the whole request's. */
void qp_relayed_arm_deadline(struct relayed *r);
const char *qp_relayed_state_text(const struct relayed *r);
/* An attempt is sent now, and not before: a replay that gets no stream is none. */
void qp_relayed_count_attempt(struct relayed *r);
char qp_relayed_state_letter(const struct relayed *r);
/* The whole request has had its time. */
bool qp_relayed_is_overdue(const struct relayed *r);

/* ---- rejected.c: what a 401 means ---- */

/* The path and the account learn from every answer. */
void qp_rejected_learn(struct relayed *r, bool accepted);
enum qp_replay_verdict qp_rejected_judge(struct relayed *r, unsigned status);
/* Counts the 401 that goes to the client, and says why. */
void qp_rejected_pass_on(struct relayed *r, enum qp_replay_verdict verdict);

/* ---- retry.c: may a request that failed before its answer be sent again? ---- */

/* After a failure of the attempt's stream. True: it is counted, and the next attempt runs on a fresh stream. */
bool qp_retry_take(struct relayed *r);
/* The same for a 408 with which the origin closes a kept connection: it has crossed with the request (RFC 9110 section 15.5.9). */
bool qp_retry_parted(struct relayed *r, const struct qp_message *head);
/* The origin refuses an expectation that the client does not know of: it must be asked again without (RFC 9110 section 10.1.1). */
bool qp_retry_without_expect(const struct relayed *r, unsigned status);

/* ---- ending.c: what the client, the log and the counters are told in the end ---- */

enum ending { END_ANSWERED, END_CUT, END_REPLIED, END_GONE };

/* Our own answer, whole, and its line in the log. Requires that no answer has begun. */
void qp_ending_reply(struct relayed *r, const struct qp_reply_row *row, uint32_t retry_after_s,
                     const char *detail);
/* An OPTIONS that may go no further: we are who it was for. */
void qp_ending_answer_options(struct relayed *r);
/* Gives out what there is of an answer that will be cut, and says why. detail: may be NULL. */
void qp_ending_cut(struct relayed *r, const char *why, const char *detail);
/* ended_by, error: see access.h. */
void qp_ending_log(struct relayed *r, enum ending how, char ended_by, const char *error);

/* ---- upload.c: the request's body, from the client through the kept copy to the origin ---- */

/* The body is larger than what is ever kept, and that is known before its first byte. */
bool qp_upload_is_past_replay(const struct relayed *r);
/* Every byte that was received can be sent again. */
bool qp_upload_is_whole(const struct relayed *r);
void qp_upload_take(struct relayed *r, struct qp_slice piece);
/* Looks at how much the origin has taken: true if that is more than at the look before. While what is sent lies in the kernel there may be
 * no other sign of a slow origin's life, neither room nor an answer. */
bool qp_upload_goes_on(struct relayed *r);
/* Whether the upload waits for the origin alone, as its rate counts: not while the client takes nothing of an answer, which may stop the
 * origin's reading too. */
void qp_upload_note_turn(struct relayed *r);
/* Sends what is kept and not sent yet, as far as the origin takes it; then lets the client go on or wait. QP_SELF_IO: the kept copy cannot be
 * read back. */
QP_MUST_USE enum qp_result qp_upload_pump(struct relayed *r);

/* ---- answer.c: the response's body, from the origin through the links' rewriting to the client ---- */

/* Sends the response's head to the client, unless the body must be seen first. */
void qp_answer_begin(struct relayed *r);
void qp_answer_piece(struct relayed *r, struct qp_slice piece);
/* Whether the answer waits for the origin alone, as its rate counts: not while the client takes nothing or has not sent its whole request. And
 * the same of the upload. */
void qp_answer_note_turn(struct relayed *r);
/* A held answer goes out after all: head and what there is of the body. */
void qp_answer_give_held(struct relayed *r);
/* The response is complete: gives out what is left. */
void qp_answer_end(struct relayed *r);
/* The response will not be completed: gives out what there is. */
void qp_answer_cut(struct relayed *r);
/* Those that the client takes, or NULL. Once the response is complete. */
const struct qp_fields *qp_answer_trailers(const struct relayed *r);

#endif
