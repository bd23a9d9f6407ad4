#include "base/check.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stdlib.h>

void qp_require_failed(const char *condition, const char *file, int line)
{
    qp_log_error("base", "contract broken: '%s' at %s:%d", condition, file, line);
    abort();
}

/* Places that have been reported. When the table is full, further places log each time, which is no worse
 * than the bugs deserve. */
static _Atomic uint64_t reported[256];

static bool is_first_report(const char *file, int line)
{
    uint64_t place = ((uint64_t)(uintptr_t)file << 16) ^ (uint64_t)(unsigned)line;
    for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++) {
        uint64_t expected = 0;
        if (atomic_compare_exchange_strong(&reported[i], &expected, place))
            return true;
        if (expected == place)
            return false;
    }
    return true;
}

bool qp_broken_report(const char *condition, const char *file, int line)
{
    if (is_first_report(file, line))
        qp_log_error("base", "should not be: '%s' at %s:%d; please report this", condition, file, line);
    return true;
}
