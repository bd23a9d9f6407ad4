#include "relay/rate.h"

void qp_rate_begin(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes)
{
    *rate = (struct qp_rate){.since_ms = now_ms, .bytes = bytes, .runs = true};
}

void qp_rate_stop(struct qp_rate *rate)
{
    rate->runs = false;
}

bool qp_rate_is_slow(struct qp_rate *rate, uint64_t now_ms, uint64_t bytes, uint32_t window_ms,
                     uint32_t least_bytes)
{
    const uint64_t passed_ms = now_ms - rate->since_ms;
    if (rate->runs && passed_ms < window_ms)
        return false;
    const bool slow = rate->runs && (bytes - rate->bytes) * 1000 < least_bytes * passed_ms;
    qp_rate_begin(rate, now_ms, bytes);
    return slow;
}
