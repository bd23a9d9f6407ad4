/* rate.h - do bytes move fast enough, averaged over a window of time? Pure: the caller says what time it is.
 *
 * Only the time counts in which it was the origin's turn, in however many pieces: while the client is waited for, the window rests. Silence
 * is the deadline's, not this one's: this is asked when bytes move.
 */
#ifndef QP_RELAY_RATE_H
#define QP_RELAY_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: a window at its beginning, which rests. */
struct qp_rate {
    uint64_t turn_ms;  /* of turns in this window that have ended */
    uint64_t since_ms; /* of the one that runs */
    uint64_t bytes;    /* when the window began */
    bool runs;
};

/* Both may be called again and again. */
void qp_rate_run(struct qp_rate *rate, uint64_t now_ms);
void qp_rate_rest(struct qp_rate *rate, uint64_t now_ms);
/* `bytes`: moved so far in all. True if a window has ended with less than least_bytes a second; the next one has begun. 0: never. */
bool qp_rate_is_slow(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes, uint32_t window_ms,
                     uint32_t least_bytes);

#endif
