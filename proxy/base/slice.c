#include "base/slice.h"
#include "base/check.h"

/* Not tolower(3): that obeys the locale, protocol text does not. */
static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool qp_slice_is_nocase(struct qp_slice a, struct qp_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool qp_slice_starts(struct qp_slice text, struct qp_slice prefix)
{
    return text.len >= prefix.len && qp_slice_is(qp_slice(text.at, prefix.len), prefix);
}

bool qp_slice_ends_nocase(struct qp_slice text, struct qp_slice suffix)
{
    if (text.len < suffix.len || suffix.len == 0)
        return suffix.len == 0;
    return qp_slice_is_nocase(qp_slice(text.at + (text.len - suffix.len), suffix.len), suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct qp_slice qp_slice_trim(struct qp_slice text)
{
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    while (text.len && is_blank(*text.at)) {
        text.at++;
        text.len--;
    }
    return text;
}

struct qp_slice qp_slice_cut(struct qp_slice *text, char separator)
{
    qp_require(text->at);
    struct qp_slice whole = *text;
    const char *found = whole.len ? memchr(whole.at, separator, whole.len) : NULL;
    if (!found) {
        *text = QP_SLICE_NONE;
        return whole;
    }
    size_t before = (size_t)(found - whole.at);
    *text = qp_slice(found + 1, whole.len - before - 1);
    return qp_slice(whole.at, before);
}

const char *qp_slice_find(struct qp_slice text, struct qp_slice what)
{
    if (!text.at || what.len == 0)
        return text.at;
    return memmem(text.at, text.len, what.at, what.len);
}

bool qp_slice_to_u64(struct qp_slice text, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (text.len == 0)
        return false;
    *value = sum;
    return true;
}
