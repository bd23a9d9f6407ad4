#include "base/utf8.h"

size_t qp_utf8_shown_bytes(struct qp_slice text)
{
    const unsigned char *c = (const unsigned char *)text.at;
    if (c[0] < 0x80)
        return c[0] >= 0x20 && c[0] != 0x7F;
    size_t want = c[0] >= 0xF0 ? 4 : c[0] >= 0xE0 ? 3 : 2;
    if (c[0] < 0xC2 || c[0] > 0xF4 || want > text.len)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((c[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90);
    bool surrogate_or_beyond = (c[0] == 0xED && c[1] > 0x9F) || (c[0] == 0xF4 && c[1] > 0x8F);
    bool c1_control = c[0] == 0xC2 && c[1] < 0xA0;
    return overlong || surrogate_or_beyond || c1_control ? 0 : want;
}

void qp_ascii_only(char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
}
