/* rate.h - do bytes move fast enough, averaged over a window? Pure: the caller says what time it is.
 *
 * The window runs only while it is the origin's turn; whoever waits for somebody else stops it. Silence is the deadline's, not this one's:
 * this looks only when bytes move.
 */
#ifndef QP_RELAY_RATE_H
#define QP_RELAY_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: no window runs. */
struct qp_rate {
    uint64_t since_ms;
    uint64_t bytes; /* when the window began */
    bool runs;
};

void qp_rate_begin(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes);
/* `bytes`: moved so far in all. Begins a window where none runs. True if one has ended with less than least_bytes a second; 0: never. */
bool qp_rate_is_slow(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes, uint32_t window_ms,
                     uint32_t least_bytes);
void qp_rate_stop(struct qp_rate *rate);

#endif
