/* clock.h - the two clocks. Any thread. Expiry and deadlines use the monotonic one; only logs and the vault use the
 * wall clock. Loops cache the monotonic time: prefer qp_loop_now_ms(). */
#ifndef QP_BASE_CLOCK_H
#define QP_BASE_CLOCK_H

#include <stdint.h>

uint64_t qp_clock_monotonic_ms(void);
uint64_t qp_clock_monotonic_us(void);
int64_t qp_clock_unix_ms(void);

#endif
