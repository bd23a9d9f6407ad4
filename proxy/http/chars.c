#include "http/chars.h"

enum {
    T = QP_CHAR_TOKEN,
    V = QP_CHAR_VALUE,
    R = QP_CHAR_TARGET,
    H = QP_CHAR_HOST,
    VISIBLE = V | R,
    DELIM = VISIBLE | H,    /* sub-delims that are no tchar */
    BOTH = VISIBLE | T | H, /* unreserved and sub-delims that are */
    LETTER = BOTH,
    HEX = LETTER | QP_CHAR_HEX,
    DIGIT = HEX | QP_CHAR_DIGIT
};

const uint8_t qp_char_table[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = BOTH,
    ['"'] = VISIBLE,
    ['#'] = V | T,
    ['$'] = BOTH,
    ['%'] = VISIBLE | T,
    ['&'] = BOTH,
    ['\''] = BOTH,
    ['('] = DELIM,
    [')'] = DELIM,
    ['*'] = BOTH,
    ['+'] = BOTH,
    [','] = DELIM,
    ['-'] = BOTH,
    ['.'] = BOTH,
    ['/'] = VISIBLE,
    ['0' ... '9'] = DIGIT,
    [':'] = VISIBLE,
    [';'] = DELIM,
    ['<'] = VISIBLE,
    ['='] = DELIM,
    ['>'] = VISIBLE,
    ['?'] = VISIBLE,
    ['@'] = VISIBLE,
    ['A' ... 'F'] = HEX,
    ['G' ... 'Z'] = LETTER,
    ['['] = VISIBLE,
    ['\\'] = VISIBLE,
    [']'] = VISIBLE,
    ['^'] = VISIBLE | T,
    ['_'] = BOTH,
    ['`'] = VISIBLE | T,
    ['a' ... 'f'] = HEX,
    ['g' ... 'z'] = LETTER,
    ['{'] = VISIBLE,
    ['|'] = VISIBLE | T,
    ['}'] = VISIBLE,
    ['~'] = BOTH,
    [0x80 ... 0xff] = V /* obs-text */
};
