/* fault.h - points at which a test makes the program die, stop or fail. Any thread.
 *
 * In every build but the release (QPROXY_FAULTS) the environment variable QP_FAULT names points and what happens there:
 *     QP_FAULT="vault.record.renamed=kill"          SIGKILL to itself, as kill -9 at that instant
 *     QP_FAULT="vault.mark.write=ENOSPC"            the operation fails with that errno
 *     QP_FAULT="redeem.send@3=kill,vault.record.write=EROFS@2"  from the third passing on; at the second one only
 *     QP_FAULT="redeem.send=stop"                   SIGSTOP, so that the test can look, and go on with SIGCONT
 * `@n` behind the point: from the n-th passing on; behind the action: that one passing only. Passings are counted from when the variable
 * took its present value. What cannot be understood ends the program, lest a test pass without having tested. In the release nothing of it
 * exists.
 */
#ifndef QP_BASE_FAULT_H
#define QP_BASE_FAULT_H

#include <stdbool.h>

#ifdef QPROXY_FAULTS
/* True: the caller's operation is to fail, errno says how. Does not return where the point says kill. */
bool qp_fault(const char *point);
/* For a point whose name is put together. */
bool qp_fault_fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));
#else
static inline bool qp_fault(const char *point)
{
    (void)point;
    return false;
}
/* A macro, so that not even the name is left. */
#define qp_fault_fmt(...) false
#endif

#endif
