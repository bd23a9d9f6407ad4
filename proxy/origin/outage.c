#include "origin/outage.h"

#include <stddef.h>
#include <stdio.h>

bool qp_outage_is_of_one_connection(enum qp_result why)
{
    return why == QP_NET_RESET || why == QP_NET_END || why == QP_NET_TRUNCATED;
}

void qp_outage_note_failure(struct qp_outage *outage, uint64_t now_ms, enum qp_result why, const char *detail)
{
    const bool was_on = outage->is_on;

    outage->failures++;
    outage->why = why;
    snprintf(outage->detail, sizeof(outage->detail), "%s", detail ? detail : "");
    outage->is_on |= !qp_outage_is_of_one_connection(why) || outage->failures >= QP_OUTAGE_CUTS;
    if (was_on && now_ms < outage->due_ms)
        return; /* begun before the outage was known: no news */
    outage->pause_ms = was_on ? 2 * outage->pause_ms : QP_OUTAGE_FIRST_PAUSE_MS;
    if (outage->pause_ms > QP_OUTAGE_LONGEST_PAUSE_MS)
        outage->pause_ms = QP_OUTAGE_LONGEST_PAUSE_MS;
    outage->due_ms = now_ms + outage->pause_ms;
}

unsigned qp_outage_end(struct qp_outage *outage)
{
    const unsigned failures = outage->failures;

    outage->is_on = false;
    outage->failures = 0;
    return failures;
}
