#include "token/pace.h"

uint64_t qp_pace_refresh_after_ms(uint64_t life_ms, uint64_t random)
{
    uint64_t margin_ms = life_ms / 10;
    if (margin_ms > QP_PACE_MARGIN_MAX_MS)
        margin_ms = QP_PACE_MARGIN_MAX_MS;
    return life_ms - margin_ms - random % (margin_ms / 4 + 1);
}

uint64_t qp_pace_backoff_ms(unsigned failures, uint64_t random)
{
    unsigned doublings = failures > 0 ? failures - 1 : 0;
    uint64_t window_ms = QP_PACE_BACKOFF_MAX_MS;
    if (doublings < 7)
        window_ms = (uint64_t)QP_PACE_BACKOFF_FIRST_MS << doublings;
    if (window_ms > QP_PACE_BACKOFF_MAX_MS)
        window_ms = QP_PACE_BACKOFF_MAX_MS;
    /* Never at once: an endpoint that refuses in a millisecond would be hammered by a run of small numbers.
     */
    uint64_t floor_ms = window_ms / 10;
    return floor_ms + random % (window_ms - floor_ms + 1);
}

/* RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT". */
static bool digits_at(struct qp_slice text, size_t at, size_t count, uint64_t *value)
{
    return at + count <= text.len && qp_slice_to_u64(qp_slice(text.at + at, count), value);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; March is month 0 so that the leap day comes
 * last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t shifted_year = month > 2 ? year : year - 1;
    int64_t shifted_month = (month + 9) % 12;
    int64_t era_days = 365 * shifted_year + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    return era_days + (153 * shifted_month + 2) / 5 + day - 1 - 719468;
}

static bool unix_time_of(struct qp_slice text, int64_t *unix_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    enum { FIXDATE_BYTES = 29 };
    uint64_t day, year, hour, minute, second;
    if (text.len != FIXDATE_BYTES || memcmp(text.at + 25, " GMT", 4) != 0 || !digits_at(text, 5, 2, &day) ||
        !digits_at(text, 12, 4, &year) || !digits_at(text, 17, 2, &hour) ||
        !digits_at(text, 20, 2, &minute) || !digits_at(text, 23, 2, &second))
        return false;
    for (size_t month = 0; month < 12; ++month) {
        if (memcmp(months + 3 * month, text.at + 8, 3) != 0)
            continue;
        *unix_s = days_of((int64_t)year, (int64_t)month + 1, (int64_t)day) * 86400 +
                  (int64_t)(hour * 3600 + minute * 60 + second);
        return true;
    }
    return false;
}

uint32_t qp_pace_retry_after_s(struct qp_slice value, int64_t unix_s)
{
    int64_t at_s = 0;
    uint64_t seconds = 0;
    bool is_number = value.len > 0;
    for (size_t i = 0; i < value.len; ++i)
        is_number = is_number && value.at[i] >= '0' && value.at[i] <= '9';
    if (is_number && !qp_slice_to_u64(value, &seconds))
        seconds = QP_PACE_RETRY_AFTER_MAX_S; /* more than 64 bits hold */
    else if (!is_number && unix_time_of(value, &at_s) && at_s > unix_s)
        seconds = (uint64_t)(at_s - unix_s);
    return seconds > QP_PACE_RETRY_AFTER_MAX_S ? QP_PACE_RETRY_AFTER_MAX_S : (uint32_t)seconds;
}

void qp_account_damping_new_token(struct qp_account_damping *damping, uint64_t generation)
{
    if (damping->last[0].accepted)
        damping->unaccepted = 0;
    else if (damping->last[0].rejected)
        damping->unaccepted++;
    damping->last[1] = damping->last[0];
    damping->last[0].generation = generation;
    damping->last[0].accepted = damping->last[0].rejected = false;
}

static bool was_never_accepted(const struct qp_account_damping *damping)
{
    for (int i = 0; i < 2; ++i) {
        if (!damping->last[i].generation || damping->last[i].accepted || !damping->last[i].rejected)
            return false;
    }
    return true;
}

bool qp_account_damping_report(struct qp_account_damping *damping, uint64_t generation, bool accepted,
                               uint64_t now_ms)
{
    for (int i = 0; i < 2; ++i) {
        if (damping->last[i].generation != generation)
            continue;
        damping->last[i].accepted |= accepted;
        damping->last[i].rejected |= !accepted;
        if (accepted)
            damping->accepted_ms = now_ms;
        bool worked_lately = damping->accepted_ms && now_ms < damping->accepted_ms + QP_PACE_WORKED_LATELY_MS;
        bool before = damping->never_accepted;
        damping->never_accepted = !accepted && (before || (was_never_accepted(damping) && !worked_lately));
        if (!before && damping->never_accepted) {
            damping->quiet_ms = QP_PACE_DAMPED_FIRST_MS;
            damping->quiet_until_ms = now_ms + damping->quiet_ms;
        }
        return before != damping->never_accepted;
    }
    return false;
}

bool qp_account_damping_is_quiet(const struct qp_account_damping *damping, uint64_t now_ms)
{
    return damping->never_accepted && now_ms < damping->quiet_until_ms;
}

uint64_t qp_account_damping_gap_ms(const struct qp_account_damping *damping)
{
    if (damping->never_accepted || damping->unaccepted == 0 || damping->last[0].accepted)
        return 0;
    unsigned doublings = damping->unaccepted < 7 ? damping->unaccepted - 1 : 6;
    uint64_t gap_ms = (uint64_t)QP_PACE_GAP_FIRST_MS << doublings;
    return gap_ms < QP_PACE_GAP_MAX_MS ? gap_ms : QP_PACE_GAP_MAX_MS;
}

void qp_account_damping_spend(struct qp_account_damping *damping, uint64_t now_ms)
{
    damping->quiet_ms *= 2;
    if (damping->quiet_ms > QP_PACE_DAMPED_MAX_MS)
        damping->quiet_ms = QP_PACE_DAMPED_MAX_MS;
    damping->quiet_until_ms = now_ms + damping->quiet_ms;
}
