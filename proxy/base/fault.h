/* fault.h - points at which a test makes the program die, stop or fail. Any thread.
 *
 * In every build but the release (QPROXY_FAULTS) the environment variable QP_FAULT names points and what happens there:
 *     QP_FAULT="vault.record.renamed=kill"          SIGKILL to itself, as kill -9 at that instant
 *     QP_FAULT="vault.mark.write=ENOSPC"            the operation fails with that errno
 *     QP_FAULT="redeem.sent@3=kill,vault.write=EROFS@2"  only at the third passing; at the second one and never again
 *     QP_FAULT="redeem.sent=stop"                   SIGSTOP, so that the test can look, and go on with SIGCONT
 * `@n` behind the point: from the n-th passing on; behind the action: that one passing only. In the release nothing of it exists.
 */
#ifndef QP_BASE_FAULT_H
#define QP_BASE_FAULT_H

#include <stdbool.h>

#ifdef QPROXY_FAULTS
/* True: the caller's operation is to fail, errno says how. Does not return where the point says kill. */
bool qp_fault(const char *point);
#else
static inline bool qp_fault(const char *point)
{
    (void)point;
    return false;
}
#endif

#endif
