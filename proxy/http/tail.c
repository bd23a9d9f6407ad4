#include "http/tail.h"

void qp_tail_keep(struct qp_tail *tail, struct qp_slice piece)
{
    const size_t fresh = piece.len < QP_TAIL_BYTES ? piece.len : QP_TAIL_BYTES;
    const size_t room = QP_TAIL_BYTES - fresh;
    const size_t kept = tail->count < room ? tail->count : room;
    memmove(tail->bytes, tail->bytes + tail->count - kept, kept);
    memcpy(tail->bytes + kept, piece.at + piece.len - fresh, fresh);
    tail->count = (uint8_t)(kept + fresh);
}

/* The byte so many places before `at`; NUL before the start. */
static char byte_before(const struct qp_tail *tail, const char *at, size_t distance)
{
    const size_t in_window = (size_t)(at - tail->window);
    if (distance <= in_window)
        return at[-(ptrdiff_t)distance];
    const size_t in_tail = distance - in_window;
    return in_tail <= tail->count ? tail->bytes[tail->count - in_tail] : '\0';
}

bool qp_tail_stands_before(const struct qp_tail *tail, const char *at, struct qp_slice what)
{
    for (size_t distance = 1; distance <= what.len; distance++)
        if (byte_before(tail, at, distance) != what.at[what.len - distance])
            return false;
    return byte_before(tail, at, what.len + 1) != ' ';
}
