/* chars.h - which byte may stand where. Private to http/. One table instead of a comparison chain per rule.
 */
#ifndef QP_HTTP_CHARS_H
#define QP_HTTP_CHARS_H

#include "base/slice.h"

/* Bits of a table entry. */
enum qp_char_class {
    QP_CHAR_TOKEN = 1 << 0, /* tchar, RFC 9110 section 5.6.2 */
    QP_CHAR_VALUE = 1 << 1, /* field-vchar, SP and HTAB, RFC 9110 section 5.5 */
    QP_CHAR_TARGET =
        1 << 2, /* visible ASCII but '#': a target goes through byte for byte, so no more is asked of it */
    QP_CHAR_HOST =
        1 << 3, /* unreserved and sub-delims, RFC 3986 section 3.2.2; '%' is looked at on its own */
    QP_CHAR_HEX = 1 << 4,
    QP_CHAR_DIGIT = 1 << 5
};

extern const uint8_t qp_char_table[256];

static inline bool qp_char_is(char c, enum qp_char_class class)
{
    return (qp_char_table[(unsigned char)c] & class) != 0;
}

/* True if all bytes are of the class; also of an empty text. */
static inline bool qp_chars_are(struct qp_slice text, enum qp_char_class class)
{
    for (size_t i = 0; i < text.len; i++)
        if (!qp_char_is(text.at[i], class))
            return false;
    return true;
}

#endif
