#include "relay/rate.h"

void qp_rate_run(struct qp_rate *rate, uint64_t now_ms)
{
    if (!rate->runs)
        rate->since_ms = now_ms;
    rate->runs = true;
}

void qp_rate_rest(struct qp_rate *rate, uint64_t now_ms)
{
    if (rate->runs)
        rate->turn_ms += now_ms - rate->since_ms;
    rate->runs = false;
}

bool qp_rate_is_slow(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes, uint32_t window_ms,
                     uint32_t least_bytes)
{
    const uint64_t turn_ms = rate->turn_ms + (rate->runs ? now_ms - rate->since_ms : 0);
    if (turn_ms < window_ms)
        return false;
    const bool is_slow = (bytes - rate->bytes) * 1000 < least_bytes * turn_ms;
    *rate = (struct qp_rate){.since_ms = now_ms, .bytes = bytes, .runs = rate->runs};
    return is_slow;
}
