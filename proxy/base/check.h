/* check.h - two kinds of "this cannot be".
 *
 * qp_require() is a contract with our own callers: it never continues. Bytes from a client, an origin, a token
 * endpoint or a file must never reach it.
 * qp_broken() is for states that should not occur but that the process survives: it logs once per place and
 * evaluates to true, so that the caller handles it: `if (qp_broken(cond)) return QP_SELF_BROKEN;`
 */
#ifndef QP_BASE_CHECK_H
#define QP_BASE_CHECK_H

#include <stdbool.h>

__attribute__((noreturn)) void qp_require_failed(const char *condition, const char *file, int line);
bool qp_broken_report(const char *condition, const char *file, int line);

#define qp_require(condition)                                  \
    do {                                                       \
        if (__builtin_expect(!(condition), 0))                 \
            qp_require_failed(#condition, __FILE__, __LINE__); \
    } while (0)

#define qp_broken(condition) \
    (__builtin_expect(!!(condition), 0) && qp_broken_report(#condition, __FILE__, __LINE__))

/* Contracts that are too dear for the release build (thread ownership, list membership). */
#ifdef QP_DEBUG
#define qp_debug_require(condition) qp_require(condition)
#else
#define qp_debug_require(condition) ((void)0)
#endif

#endif
