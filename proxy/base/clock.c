#include "base/clock.h"

#include <time.h>

static struct timespec now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time); /* these clocks cannot fail on Linux */
    return time;
}

uint64_t qp_clock_monotonic_ms(void)
{
    struct timespec time = now(CLOCK_MONOTONIC);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

uint64_t qp_clock_monotonic_us(void)
{
    struct timespec time = now(CLOCK_MONOTONIC);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

int64_t qp_clock_unix_ms(void)
{
    struct timespec time = now(CLOCK_REALTIME);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}
